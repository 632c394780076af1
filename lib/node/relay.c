/* relay: how to reach an agent from the same machine, and how to be its far end of a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "node/node.h"

/* By way of /proc, for spools whose path is longer than a socket's may be. */
int zn_node_connect(const char *home, struct zn_err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int rc = 0;

	int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/sock", dir);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		rc = errno == ENOENT || errno == ENOTDIR ? -ECONNREFUSED : -errno;
		zn_err_set(err, rc, "no agent answers in '%s': %s", home, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (dir >= 0)
		close(dir);
	return rc < 0 ? rc : fd;
}

/* One direction: bytes that came from from and did not yet fit into to. */
struct half {
	int from, to;
	bool ended;
	size_t at, n;
	char bytes[64 << 10];
};

static int fill(struct half *h)
{
	ssize_t n = read(h->from, h->bytes, sizeof(h->bytes));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	h->at = 0;
	h->n = (size_t)n;
	h->ended = n == 0;
	return 0;
}

static int drain(struct half *h)
{
	ssize_t n = write(h->to, h->bytes + h->at, h->n - h->at);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	h->at += (size_t)n;
	return 0;
}

static int carry(struct half *h, short from_events, short to_events)
{
	if (h->at < h->n)
		return to_events ? drain(h) : 0;
	return from_events ? fill(h) : 0;
}

int zn_node_relay(int sock, int in, int out, struct zn_err *err)
{
	static struct half up, down;
	bool closed = false;
	int rc = 0;

	up = (struct half){ .from = in, .to = sock };
	down = (struct half){ .from = sock, .to = out };
	while (rc == 0 && !down.ended) {
		bool up_full = up.at < up.n, down_full = down.at < down.n;
		struct pollfd p[3] = {
			{ .fd = up.ended || up_full ? -1 : in, .events = POLLIN },
			{ .fd = sock, .events = (short)((up_full ? POLLOUT : 0) | (down_full ? 0 : POLLIN)) },
			{ .fd = down_full ? out : -1, .events = POLLOUT },
		};
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			rc = -errno;
		if (rc == 0)
			rc = carry(&up, p[0].revents, p[1].revents & POLLOUT);
		if (rc == 0)
			rc = carry(&down, p[1].revents & (POLLIN | POLLHUP | POLLERR), p[2].revents);
		if (up.ended && up.at == up.n && !closed) {
			shutdown(sock, SHUT_WR); /* what the agent has said goes through */
			closed = true;
		}
	}
	return rc < 0 && rc != -EPIPE ? zn_err_set(err, rc, "the connection to the agent: %s", strerror(-rc)) : 0;
}
