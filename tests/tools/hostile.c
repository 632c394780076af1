/* hostile: clients as nobody wants them.  hostile SOCKET HOW [N], with a whole request on standard input:
 *
 *   cut       one connection for each proper beginning of the request; every other one then only stops writing
 *   trickle   the request byte by byte; the answer goes to standard output
 *   garbage   N connections that send random bytes; counts those that got an answer and those that were hung up on
 *   twins     the request twice and then nonsense in one go; what comes back goes to standard output
 *   flood     the request N times, reading no answer, until the other side hangs up or all was taken
 *   huge      a request with one text of N bytes, until it is answered or hung up on; says how many were taken
 *   crowd     N connections that say nothing, until standard input ends; says "open" when all are there
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/spool.h"

static const char *where;
static char request[1 << 16];
static size_t len;

static int call(void)
{
	struct zn_err err;
	int fd = zn_spool_connect(where, &err);

	if (fd < 0) {
		fprintf(stderr, "hostile: %s\n", err.text);
		exit(1);
	}
	return fd;
}

static void say(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
}

/* All until the other side hangs up, or is silent for ms; how much that was. */
static size_t hear(int fd, FILE *to, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char answer[65536];
	size_t all = 0;
	ssize_t n;

	while (poll(&p, 1, ms) > 0 && (n = recv(fd, answer, sizeof(answer), 0)) > 0) {
		all += (size_t)n;
		if (to)
			fwrite(answer, 1, (size_t)n, to);
	}
	return all;
}

static void cut(void)
{
	size_t answers = 0;

	for (size_t n = 0; n < len; n++) {
		int fd = call();
		say(fd, request, n);
		if (n % 2) {
			shutdown(fd, SHUT_WR);
			answers += hear(fd, NULL, 10000) > 0;
		}
		close(fd);
	}
	printf("%zu cuts, %zu answers\n", len, answers);
}

static void trickle(void)
{
	int fd = call();

	for (size_t i = 0; i < len; i++)
		say(fd, request + i, 1);
	hear(fd, stdout, 2000);
	close(fd);
}

static void garbage(size_t n)
{
	size_t answered = 0;
	unsigned char noise[4096];

	for (size_t i = 0; i < n; i++) {
		size_t size = 1 + (size_t)random() % sizeof(noise);
		int fd = call();
		for (size_t k = 0; k < size; k++)
			noise[k] = (unsigned char)random();
		noise[0] |= i % 4 ? 0x80 : 0; /* often what may begin a map or an array */
		say(fd, noise, size);
		shutdown(fd, SHUT_WR);
		answered += hear(fd, NULL, 10000) > 0;
		close(fd);
	}
	printf("%zu of %zu answered\n", answered, n);
}

static void twins(void)
{
	int fd = call();

	memcpy(request + len, request, len);
	memset(request + 2 * len, 0xc1, 100);
	say(fd, request, 2 * len + 100);
	hear(fd, stdout, 10000);
	close(fd);
}

static void flood(size_t n)
{
	int fd = call();

	for (size_t i = 0; i < n; i++) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		if (poll(&p, 1, 3000) <= 0 || p.revents & (POLLERR | POLLHUP)) {
			printf("stopped after %zu\n", i);
			break;
		}
		say(fd, request, len);
	}
	close(fd);
}

static void huge(size_t n)
{
	unsigned char head[] = { 0x81, 0xa2, 'o', 'p', 0xdb, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
		                 (unsigned char)(n >> 8), (unsigned char)n };
	static char text[1 << 16];
	int fd = call();
	size_t sent = 0;

	memset(text, 'x', sizeof(text));
	say(fd, head, sizeof(head));
	for (struct pollfd p = { .fd = fd, .events = POLLIN }; sent < n && poll(&p, 1, 0) == 0; sent += sizeof(text))
		say(fd, text, sizeof(text));
	printf("stopped after %zu\n", sent);
	close(fd);
}

static void crowd(size_t n)
{
	char line[16];

	for (size_t i = 0; i < n; i++)
		call();
	puts("open");
	fflush(stdout);
	while (read(0, line, sizeof(line)) > 0)
		;
}

int main(int argc, char **argv)
{
	size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;

	if (argc < 3)
		return 64;
	where = argv[1];
	const char *how = argv[2];
	if (strcmp(how, "crowd"))
		len = fread(request, 1, sizeof(request) / 4, stdin);
	if (!strcmp(how, "cut"))
		cut();
	else if (!strcmp(how, "trickle"))
		trickle();
	else if (!strcmp(how, "garbage"))
		garbage(n);
	else if (!strcmp(how, "twins"))
		twins();
	else if (!strcmp(how, "flood"))
		flood(n);
	else if (!strcmp(how, "huge"))
		huge(n);
	else if (!strcmp(how, "crowd"))
		crowd(n);
	else
		return 64;
	return 0;
}
