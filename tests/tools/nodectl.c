/* nodectl SPOOL: talks to an agent.  Lines of JSON from standard input go out as frames, frames that come in go
 * to standard output as lines of JSON.  Lines that begin with '!' are for nodectl itself:
 *
 *   !hello              sends a hello
 *   !ack                from here on acknowledges every report at once; !noack: no longer
 *   !wait KEY=TEXT...   reads until a message has all of these (TEXT as JSON without quotes); fails after 20 s
 *   !cut N              of the next message only the first N bytes (modulo its length) are sent, then the
 *                       connection is closed
 *   !raw TEXT           sends the bytes
 *   !close              closes the connection and opens a new one
 *   !bench N INFLIGHT COMMAND  runs N jobs, prints jobs per second
 *
 * At the end of the input it leaves.
 *
 * nodectl --agent SPOOL does the same from the other side: it is the agent that the scheduler of SPOOL finds.
 *
 * nodectl --hello writes a hello to standard output; nodectl --reboot FILE writes an agent's log as if another boot
 * of the machine had written it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "node/node.h"
#include "node/proto.h"
#include "rec/frame.h"
#include "rec/val.h"

static const char *spool;
static int fd = -1, listener = -1; /* listener: we play the agent */
static struct zn_buf in;
static bool acks;
static long cut = -1;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "nodectl: %s\n", what);
	exit(1);
}

static void open_scheduler(void)
{
	if (fd >= 0)
		close(fd);
	in.len = 0;
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die(strerror(errno));
}

static void open_agent(void)
{
	struct zn_err err = { .text = "" };

	if (listener >= 0) {
		open_scheduler();
		return;
	}
	if (fd >= 0)
		close(fd);
	in.len = 0;
	char home[PATH_MAX];
	snprintf(home, sizeof(home), "%s/node", spool);
	fd = zn_node_connect(home, &err);
	if (fd < 0)
		die(err.text);
}

static void send_all(const char *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0)
			die(strerror(errno));
		p += k;
		n -= (size_t)k;
	}
}

static void send_payload(const struct zn_buf *b)
{
	struct zn_buf f = { 0 };

	zn_frame_put(&f, 0, 7, b->data, b->len);
	if (cut >= 0) {
		send_all(f.data, (size_t)cut % f.len);
		open_agent();
	} else {
		send_all(f.data, f.len);
	}
	cut = -1;
	zn_buf_done(&f);
}

static void send_struct(const struct zn_kind *kind, const void *m)
{
	struct zn_buf b = { 0 };

	zn_encode(kind, m, &b);
	send_payload(&b);
	zn_buf_done(&b);
}

static void send_json(const char *line)
{
	struct zn_buf b = { 0 };
	struct zn_err err = { .text = "" };

	if (zn_json_to_msgpack(line, strlen(line), 0, &b, &err) < 0)
		die(err.text);
	send_payload(&b);
	zn_buf_done(&b);
}

/* ---- what comes in ---- */

static bool value_is(const msgpack_object *map, char *ask)
{
	char *eq = strchr(ask, '=');
	struct zn_buf b = { 0 };

	*eq = '\0';
	const msgpack_object *v = zn_val_get(map, ask);
	*eq = '=';
	if (!v)
		return strcmp(eq + 1, "absent") == 0;
	if (v->type == MSGPACK_OBJECT_STR)
		return strncmp(v->via.str.ptr, eq + 1, v->via.str.size) == 0 && strlen(eq + 1) == v->via.str.size;
	zn_val_to_json(v, &b);
	bool same = strcmp(zn_buf_text(&b), eq + 1) == 0;
	zn_buf_done(&b);
	return same;
}

static bool has_all(const msgpack_object *map, char **asks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!value_is(map, asks[i]))
			return false;
	return true;
}

static void acknowledge(const msgpack_object *map)
{
	struct zn_msg_ack ack;

	if (acks && zn_val_is_text(zn_val_get(map, "kind"), "report") && zn_val_u64(zn_val_get(map, "seq"), &ack.seq))
		send_struct(&zn_msg_ack_kind, &ack);
}

/* Too long to read; its being there is told. */
static void drop_topology(const msgpack_object *map)
{
	msgpack_object *v = (msgpack_object *)zn_val_get(map, "topology");

	if (v)
		*v = (msgpack_object){ .type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true };
}

static bool show(const struct zn_frame *f, char **asks, size_t n)
{
	struct zn_arena a = { 0 };
	struct zn_buf text = { 0 };
	struct zn_err err = { .text = "" };
	msgpack_object map;

	if (zn_msg_unpack(f, &a, &map, &err) < 0)
		die(err.text);
	drop_topology(&map);
	zn_val_to_json(&map, &text);
	puts(zn_buf_text(&text));
	fflush(stdout);
	acknowledge(&map);
	bool met = n && has_all(&map, asks, n);
	zn_buf_done(&text);
	zn_arena_done(&a);
	return met;
}

/* Shows what has come until a message meets all asks, or there is no more of it. */
static bool show_buffered(char **asks, size_t n)
{
	struct zn_frame f;
	ssize_t len;

	while ((len = zn_frame_get(in.data ? in.data : "", in.len, &f)) > 0) {
		bool met = show(&f, asks, n);
		zn_buf_eat(&in, (size_t)len);
		if (met)
			return true;
	}
	if (len < 0)
		die("damaged frame");
	return false;
}

/* 1: some came, 0: the agent closed, -1: time is up. */
static int receive(int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, timeout_ms) <= 0)
		return -1;
	char *room = zn_buf_room(&in, 65536);
	ssize_t n = recv(fd, room, 65536, 0);
	if (n > 0)
		in.len += (size_t)n;
	return n > 0;
}

static void wait_for(char *text)
{
	char *asks[16];
	size_t n = 0;
	uint64_t end = zn_boot_ns() + 20000000000ull;

	for (char *save, *t = strtok_r(text, " ", &save); t && n < 16; t = strtok_r(NULL, " ", &save))
		asks[n++] = t;
	bool closed = n == 1 && strcmp(asks[0], "closed") == 0;
	while (closed || !show_buffered(asks, n)) {
		int rc = zn_boot_ns() < end ? receive(1000) : -2;
		if (rc == 0 && closed)
			return;
		if (rc == 0)
			die("the agent closed the connection");
		if (rc == -2)
			die(text);
	}
}

/* ---- bench ---- */

static struct zn_msg_start job = { .attempt = 1, .tasks = 1, .directory = "/", .output = "/dev/null", .grace_s = 1 };

static unsigned count_exits(uint64_t *last)
{
	struct zn_arena a = { 0 };
	struct zn_frame f;
	ssize_t len;
	size_t at = 0;
	unsigned n = 0;

	while ((len = zn_frame_get(in.data + at, in.len - at, &f)) > 0) {
		msgpack_object map;
		if (zn_msg_unpack(&f, &a, &map, NULL) == 0 && zn_val_is_text(zn_val_get(&map, "kind"), "report")) {
			n += zn_val_is_text(zn_val_get(&map, "what"), "exited");
			zn_val_u64(zn_val_get(&map, "seq"), last);
		}
		at += (size_t)len;
	}
	zn_buf_eat(&in, at);
	zn_arena_done(&a);
	return n;
}

static void bench(const char *text)
{
	unsigned n, inflight, started = 0, done = 0;
	uint64_t last = 0, from = 0;
	static char command[256];
	struct zn_msg_ack ack;

	if (sscanf(text, "%u %u %255s", &n, &inflight, command) != 3)
		die("bench N INFLIGHT COMMAND");
	job.command = command;
	job.job = (uint64_t)(zn_now_s() * 1000);
	from = zn_boot_ns();
	while (done < n) {
		for (; started < n && started - done < inflight; started++) {
			job.job++;
			send_struct(&zn_msg_start_kind, &job);
		}
		if (receive(20000) <= 0)
			die("no answer");
		unsigned got = count_exits(&last);
		if (got) {
			ack.seq = last;
			send_struct(&zn_msg_ack_kind, &ack);
		}
		done += got;
	}
	double s = (double)(zn_boot_ns() - from) * 1e-9;
	printf("%u jobs, %u in flight: %.0f/s, %.0f us each\n", n, inflight, n / s, s / n * 1e6);
}

static void obey(char *line)
{
	struct zn_msg_hello hello = { .version = ZN_NODE_VERSION, .node = "test", .pid = (uint32_t)getpid() };

	if (strcmp(line, "!hello") == 0)
		send_struct(&zn_msg_hello_kind, &hello);
	else if (strcmp(line, "!ack") == 0 || strcmp(line, "!noack") == 0)
		acks = line[1] == 'a';
	else if (strncmp(line, "!wait ", 6) == 0)
		wait_for(line + 6);
	else if (strncmp(line, "!cut ", 5) == 0)
		cut = atol(line + 5);
	else if (strncmp(line, "!raw ", 5) == 0)
		send_all(line + 5, strlen(line + 5));
	else if (strcmp(line, "!close") == 0)
		open_agent();
	else if (strncmp(line, "!bench ", 7) == 0)
		bench(line + 7);
	else if (line[0] == '!')
		die(line);
	else if (line[0])
		send_json(line);
}

static void write_hello(void)
{
	struct zn_msg_hello hello = { .version = ZN_NODE_VERSION, .node = "test" };
	struct zn_buf b = { 0 };

	zn_msg_put(&b, 0, 7, &zn_msg_hello_kind, &hello);
	fwrite(b.data, 1, b.len, stdout);
	zn_buf_done(&b);
}

static void write_reboot(const char *path)
{
	struct zn_arena a = { 0 };
	struct zn_buf out = { 0 };
	struct zn_frame f;
	char *p, boot[ZN_BOOT_ID];
	size_t n, at = 0;
	ssize_t len;

	zn_boot_id(boot);
	if (zn_file_read(AT_FDCWD, path, 64 << 20, &a, &p, &n) < 0)
		die(path);
	while ((len = zn_frame_get(p + at, n - at, &f)) > 0) {
		char *own = zn_arena_memdup(&a, f.payload, f.len), *id = memmem(own, f.len, boot, strlen(boot));
		if (id)
			id[0] = id[0] == '0' ? '1' : '0';
		zn_frame_put(&out, f.seq, f.nonce, own, f.len);
		at += (size_t)len;
	}
	fwrite(out.data, 1, out.len, stdout);
	zn_buf_done(&out);
	zn_arena_done(&a);
}

static void listen_as_agent(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char home[sizeof(un.sun_path)];

	snprintf(home, sizeof(home), "%s/node", spool);
	if (snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", home) >= (int)sizeof(un.sun_path))
		die("the path of the spool is too long");
	mkdir(home, 0700);
	unlink(un.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(listener, 1) < 0)
		die(strerror(errno));
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t cap = 0;

	if (argc == 2 && strcmp(argv[1], "--hello") == 0)
		return write_hello(), fflush(stdout);
	if (argc == 3 && strcmp(argv[1], "--reboot") == 0)
		return write_reboot(argv[2]), fflush(stdout);
	if (argc != 2 && !(argc == 3 && strcmp(argv[1], "--agent") == 0))
		die("usage: nodectl [--agent] SPOOL");
	spool = argv[argc - 1];
	if (argc == 3)
		listen_as_agent();
	open_agent();
	while (getline(&line, &cap, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	free(line);
	return 0;
}
