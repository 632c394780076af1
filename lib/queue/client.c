#include "queue/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "queue/conf.h"
#include "queue/spool.h"
#include "rec/val.h"

extern char **environ;

#define R struct zn_request
static const struct zn_field request_fields[] = {
	ZN_FIELD(R, op, STR, "", "what is asked"),
	ZN_FIELD(R, id, OU64, "", "job number"),
	ZN_FIELD(R, key, STR, "", "a submit's key instead of the number"),
	ZN_FIELD_SUB(R, job, SUB, &zn_spec_kind, "", "the submission"),
	ZN_FIELD(R, priority, OI64, "", "new priority"),
	ZN_FIELD(R, time_limit_s, ODUR, "", "new time limit"),
	ZN_FIELD(R, job_name, STR, "", "new name"),
	ZN_FIELD(R, signal, OU64, "", "signal"),
	ZN_FIELD(R, grace_s, ODUR, "", "until SIGKILL"),
	ZN_FIELD(R, force, BOOL, "", "running jobs too"),
	ZN_FIELD(R, node, STR, "", "which node"),
	ZN_FIELD(R, reason, STR, "", "why"),
	ZN_FIELD(R, from_s, OTIME, "", "from when on"),
	ZN_FIELD(R, until_s, OTIME, "", "until when"),
	ZN_FIELD_SUB(R, reservation, SUB, &zn_booking_kind, "", "what is reserved, and for whom"),
	{ 0 },
};
const struct zn_kind zn_request_kind = { "request", "a wish to zn-schedd", request_fields, sizeof(R), NULL };

#define A struct zn_reply
static const struct zn_field reply_fields[] = {
	ZN_FIELD(A, ok, BOOL, "OK", "it is done, durably"),
	ZN_FIELD(A, id, OU64, "JOB", "job number"),
	ZN_FIELD(A, code, U32, "CODE", "exit code when it is not"),
	ZN_FIELD(A, error, STR, "ERROR", "why not"),
	ZN_FIELD_SUB(A, jobs, SUBS, &zn_job_kind, "", "the job that was asked for"),
	ZN_FIELD(A, pid, OU64, "", "of zn-schedd"),
	ZN_FIELD(A, version, STR, "", "of zn-schedd"),
	{ 0 },
};
const struct zn_kind zn_reply_kind = { "reply", "zn-schedd's answer", reply_fields, sizeof(A), NULL };

struct zn_client {
	int fd;
	char *spool;
	struct zn_buf out, in;
	size_t eaten;
	struct zn_buf unanswered;      /* requests as they were sent; each takes its length and its bytes */
	size_t answered;               /* bytes of them that got their reply */
	unsigned in_vain;              /* reopened so often since the last reply */
	struct zn_arena arena;
};

static bool autostart_wanted(const char *spool)
{
	const char *env = getenv("ZENITH_AUTOSTART");
	struct zn_conf conf;

	if (zn_spool_is_system(spool)) /* that is for root to start */
		return false;
	if (env)
		return strcmp(env, "no") && strcmp(env, "0");
	if (zn_conf_read(NULL, &conf, NULL) < 0)
		return true; /* zn-schedd itself will say what is wrong with it */
	bool wanted = conf.autostart;
	zn_conf_done(&conf);
	return wanted;
}

/* zn-schedd --detach returns 0 when it listens. */
static int start_daemon(const char *spool, struct zn_err *err)
{
	char path[PATH_MAX];
	char *const argv[] = { (char *)"zn-schedd", (char *)"--detach", (char *)"--spool", (char *)spool, NULL };
	int status;
	pid_t pid;

	zn_program_beside("zn-schedd", path, sizeof(path));
	int rc = posix_spawnp(&pid, path, NULL, NULL, argv, environ);
	if (rc)
		return zn_err_set(err, -ENOTCONN, "can't start '%s': %s", path, strerror(rc));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 75)
		return -EBUSY; /* another one was faster, or an old one is not quite gone */
	snprintf(path, sizeof(path), "%s/schedd.log", spool);
	if (access(path, R_OK) < 0) /* it did not get that far, and has told our standard error */
		return zn_err_set(err, -ENOTCONN, "zn-schedd did not start");
	return zn_err_set(err, -ENOTCONN, "zn-schedd did not start; see '%s'", path);
}

static int try_connect(const char *spool)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sock", spool);
	return zn_spool_connect(path, NULL);
}

static bool nobody_listens(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED;
}

enum { START_TRIES = 200, START_PAUSE_US = 50000 };

static int connect_or_start(const char *spool, struct zn_err *err)
{
	int fd = try_connect(spool);

	for (int i = 0; i < START_TRIES && nobody_listens(fd); i++) {
		int rc = start_daemon(spool, err);
		if (rc == -EBUSY)
			usleep(START_PAUSE_US);
		else if (rc < 0)
			return rc;
		fd = try_connect(spool);
	}
	return fd;
}

int zn_client_open(const char *spool, bool may_start, struct zn_client **ret, struct zn_err *err)
{
	struct zn_err why = { "" };
	int fd = try_connect(spool);

	if (nobody_listens(fd) && may_start && autostart_wanted(spool))
		fd = connect_or_start(spool, &why);
	if (nobody_listens(fd))
		return zn_err_set(err, -ECONNREFUSED, "no zn-schedd answers in '%s'", spool);
	if (fd < 0)
		return why.text[0] ? zn_err_set(err, fd, "%s", why.text) : zn_err_set(err, fd, "can't reach zn-schedd: %s: '%s'", strerror(-fd), spool);
	struct zn_client *c = calloc(1, sizeof(*c));
	if (!c || !(c->spool = strdup(spool))) {
		free(c);
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	*ret = c;
	return 0;
}

int zn_client_send(struct zn_client *c, const struct zn_request *request, struct zn_err *err)
{
	size_t before = c->out.len;
	int rc = zn_encode(&zn_request_kind, request, &c->out);

	if (rc < 0)
		return zn_err_set(err, rc, "can't write the request: %s", strerror(-rc));
	size_t len = c->out.len - before;
	if (len > ZN_SPEC_BYTES_MAX) {
		c->out.len = before;
		return zn_err_set(err, -EBADMSG, "it takes %zu bytes; a submission may take %d", len, ZN_SPEC_BYTES_MAX);
	}
	if (c->answered > c->unanswered.len / 2) {
		zn_buf_eat(&c->unanswered, c->answered);
		c->answered = 0;
	}
	zn_buf_add(&c->unanswered, &len, sizeof(len));
	zn_buf_add(&c->unanswered, c->out.data + before, len);
	return c->unanswered.failed ? -ENOMEM : 0;
}

static void mark_answered(struct zn_client *c)
{
	size_t len;

	memcpy(&len, c->unanswered.data + c->answered, sizeof(len));
	c->answered += sizeof(len) + len;
	c->in_vain = 0;
}

static int gone(struct zn_err *err)
{
	return zn_err_set(err, -ECONNRESET, "zn-schedd went away before it answered");
}

/* A zn-schedd that has no descriptor left hangs up at once: the next try comes later each time. */
static void back_off(struct zn_client *c)
{
	unsigned ms = c->in_vain < 8 ? 1u << c->in_vain : 250;

	if (c->in_vain++)
		usleep(ms * 1000);
}

int zn_client_reopen(struct zn_client *c, struct zn_err *err)
{
	back_off(c);
	int fd = autostart_wanted(c->spool) ? connect_or_start(c->spool, err) : try_connect(c->spool);

	if (nobody_listens(fd)) {
		usleep(START_PAUSE_US);
		return gone(err);
	}
	if (fd < 0)
		return fd;
	close(c->fd);
	c->fd = fd;
	c->in.len = c->eaten = c->out.len = 0;
	for (size_t at = c->answered, len; at < c->unanswered.len; at += sizeof(len) + len) {
		memcpy(&len, c->unanswered.data + at, sizeof(len));
		zn_buf_add(&c->out, c->unanswered.data + at + sizeof(len), len);
	}
	return zn_client_flush(c, err);
}

/* Reads what is there; 0: the other side closed. */
static int receive(struct zn_client *c)
{
	zn_buf_eat(&c->in, c->eaten);
	c->eaten = 0;
	char *room = zn_buf_room(&c->in, 65536);
	if (!room)
		return -ENOMEM;
	ssize_t n = recv(c->fd, room, 65536, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	c->in.len += (size_t)n;
	return n > 0;
}

/* Sends, and takes in replies meanwhile, so that neither side waits for the other for ever. */
int zn_client_flush(struct zn_client *c, struct zn_err *err)
{
	size_t at = 0;

	if (c->out.failed)
		return -ENOMEM;
	while (at < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + at, c->out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			at += (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return gone(err);
		struct pollfd p = { .fd = c->fd, .events = POLLIN | POLLOUT };
		poll(&p, 1, -1);
		if (p.revents & POLLIN && receive(c) <= 0)
			return gone(err);
	}
	c->out.len = 0;
	return 0;
}

static int take_reply(struct zn_client *c, struct zn_reply *ret, struct zn_err *err)
{
	size_t left = c->in.len - c->eaten;
	msgpack_object map;

	if (!left)
		return 0; /* and perhaps no buffer either */
	const char *p = c->in.data + c->eaten;
	ssize_t n = zn_msgpack_check(p, left, 0, err);
	if (n <= 0)
		return (int)n;
	zn_arena_reset(&c->arena);
	int rc = zn_val_unpack(p, (size_t)n, 0, &c->arena, &map, err);
	if (rc == 0)
		rc = zn_decode(&zn_reply_kind, &map, &c->arena, ret, err);
	c->eaten += (size_t)n;
	if (rc == 0 && c->answered < c->unanswered.len)
		mark_answered(c);
	return rc < 0 ? rc : 1;
}

int zn_client_poll(struct zn_client *c, struct zn_reply *ret, struct zn_err *err)
{
	int rc = take_reply(c, ret, err);

	if (rc)
		return rc;
	rc = receive(c);
	if (rc <= 0)
		return gone(err);
	return take_reply(c, ret, err);
}

int zn_client_wait(struct zn_client *c, int timeout_ms, struct zn_reply *ret, struct zn_err *err)
{
	uint64_t end = zn_boot_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;
	int rc = zn_client_flush(c, err);

	while (rc == 0) {
		rc = take_reply(c, ret, err);
		if (rc)
			return rc < 0 ? rc : 0;
		uint64_t now = zn_boot_ns();
		if (timeout_ms >= 0 && now >= end)
			return zn_err_set(err, -ETIMEDOUT, "zn-schedd did not answer within %d ms", timeout_ms);
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		int n = poll(&p, 1, timeout_ms < 0 ? -1 : (int)((end - now) / 1000000u) + 1);
		rc = n > 0 && receive(c) <= 0 ? gone(err) : 0;
	}
	return rc;
}

/* The other way round than the daemon's code_of(). */
int zn_client_errno(const struct zn_reply *reply)
{
	static const struct { uint32_t code; int number; } rows[] = {
		{ 1, -ENOENT }, { 64, -EINVAL }, { 65, -EBADMSG }, { 69, -ECONNREFUSED }, { 75, -EAGAIN }, { 77, -EPERM },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].code == reply->code)
			return rows[i].number;
	return -EIO;
}

int zn_client_fd(const struct zn_client *c)
{
	return c->fd;
}

void zn_client_close(struct zn_client *c)
{
	if (!c)
		return;
	close(c->fd);
	zn_buf_done(&c->in);
	zn_buf_done(&c->out);
	zn_buf_done(&c->unanswered);
	zn_arena_done(&c->arena);
	free(c->spool);
	free(c);
}

/* 1: the same submission lies there already; -EEXIST: another one with its key. */
static int drop_compare(const char *path, const struct zn_spec *spec, struct zn_err *err)
{
	struct zn_buf mine = { 0 }, its = { 0 };
	struct zn_arena a = { 0 };
	struct zn_spec other;
	msgpack_object map;
	char *p;
	size_t n;
	int rc = zn_file_read(AT_FDCWD, path, ZN_SPEC_BYTES_MAX, &a, &p, &n);

	if (rc == 0 && zn_msgpack_check(p, n, 0, NULL) != (ssize_t)n)
		rc = -EBADMSG;
	if (rc == 0)
		rc = zn_val_unpack(p, n, 0, &a, &map, NULL);
	if (rc == 0)
		rc = zn_decode(&zn_spec_kind, &map, &a, &other, NULL);
	if (rc == 0)
		rc = zn_spec_content(spec, &mine);
	if (rc == 0)
		rc = zn_spec_content(&other, &its);
	if (rc == 0)
		rc = mine.len != its.len || memcmp(mine.data, its.data, its.len) ? -EEXIST : 1;
	zn_buf_done(&mine);
	zn_buf_done(&its);
	zn_arena_done(&a);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? zn_err_set(err, -EBADMSG, "key '%s' was already used for a submission that waits in '%s'", spec->key,
	                           path) : rc;
}

static int drop_write(const char *spool, const struct zn_spec *spec, bool for_all, struct zn_err *err)
{
	char dir[PATH_MAX], path[PATH_MAX + ZN_SPEC_NAME_MAX + 8];
	struct zn_buf b = { 0 };

	snprintf(dir, sizeof(dir), "%s/drop/%u", spool, (unsigned)geteuid());
	for (const char *p = spec->key; *p; p++)
		if (*p == '/' || (p == spec->key && *p == '.'))
			return zn_err_set(err, -EINVAL, "key '%s' can't name a file while no zn-schedd runs", spec->key);
	int rc = zn_mkdirs(dir, for_all ? 0770 : 0700, err);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/%s.zr", dir, spec->key);
	rc = drop_compare(path, spec, err);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = zn_encode(&zn_spec_kind, spec, &b);
	if (rc == 0)
		rc = zn_file_replace(path, b.data, b.len, for_all ? 0640 : 0600, err);
	zn_buf_done(&b);
	return rc;
}

/* In a machine-wide spool the modes are for the scheduler's group, which comes from drop/ itself; a chmod would
 * take the setgid bit away, so the umask must not be in the way.
 */
int zn_drop_write(const char *spool, const struct zn_spec *spec, struct zn_err *err)
{
	bool for_all = zn_spool_is_system(spool);
	mode_t old = umask(for_all ? 0007 : 0077);
	int rc = drop_write(spool, spec, for_all, err);

	umask(old);
	return rc;
}
