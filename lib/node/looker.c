/* looker: the process that asks the drivers.  The libraries behind it are large (every shepherd is forked from the
 * agent), and a driver that hangs must not hang the agent.  To open a driver takes longer than to ask it: 30 ms of
 * one GPU, seconds where nobody else keeps the devices awake.  So a looker stays for a moment after its answer.
 *
 * The agent sends a byte, FULL or USERS; the looker answers with the number of bytes in 4, and these.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "node/agent.h"

#define NS 1000000000ull

enum { FULL = 'f', USERS = 'u', LOOK_MS = 30000, READ_STEP = 64 << 10 };
static const uint64_t KEEP_NS = 3 * NS;

/* ---- the process ---------------------------------------------------------------------------------------- */

static int encode_gpus(struct zn_buf *to, struct zn_err *err)
{
	struct zn_gpus *g;
	int rc = zn_gpus_read(&g, err);

	if (rc < 0)
		return rc;
	const unsigned char head[] = { 0xdd, (unsigned char)(g->n >> 24), (unsigned char)(g->n >> 16),
		                       (unsigned char)(g->n >> 8), (unsigned char)g->n };
	zn_buf_add(to, head, sizeof(head));
	for (size_t i = 0; rc == 0 && i < g->n; i++)
		rc = zn_encode(&zn_gpu_kind, &g->v[i], to);
	zn_gpus_free(g);
	return rc;
}

static int encode_all(struct zn_buf *to, struct zn_err *err)
{
	struct zn_facts *f;
	int rc = zn_facts_read(NULL, &f, err);

	if (rc < 0)
		return rc;
	rc = zn_facts_encode(f, to);
	zn_facts_free(f);
	return rc;
}

/* The list, or the sentence that says why there is none. */
static int answer(int fd, bool full)
{
	struct zn_buf b = { 0 };
	struct zn_err err = { .text = "" };
	uint32_t n = 0;

	zn_buf_add(&b, &n, sizeof(n));
	int rc = full ? encode_all(&b, &err) : encode_gpus(&b, &err);
	if (rc < 0) {
		b.len = sizeof(n);
		zn_buf_addstr(&b, err.text[0] ? err.text : strerror(-rc));
	}
	if (b.failed)
		return -ENOMEM;
	n = (uint32_t)(b.len - sizeof(n));
	memcpy(b.data, &n, sizeof(n));
	rc = zn_write_all(fd, b.data, b.len);
	zn_buf_done(&b);
	return rc;
}

static _Noreturn void be_looker(int fd, char ask)
{
	sigset_t none;

	prctl(PR_SET_NAME, "zn-look");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* our leases and locks must end with us, not with this one */
	if (dup2(fd, 3) < 0)
		_exit(1);
	syscall(SYS_close_range, 4, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!zn__look_is_mock())
		zn_gpus_keep();
	do {
		if (answer(3, ask == FULL) < 0)
			_exit(1);
	} while (read(3, &ask, 1) == 1);
	_exit(0);
}

/* ---- the agent's side ------------------------------------------------------------------------------------- */

void zn__looker_let_go(struct agent *a)
{
	zn__agent_unwatch(a, &a->look);
	a->look_until_ns = a->look_keep_ns = 0;
	zn_buf_done(&a->look_in);
	a->look_in = (struct zn_buf){ 0 };
}

void zn__looker_expire(struct agent *a, uint64_t now_ns)
{
	static const char silent[] = "the driver does not answer";

	if (a->look_until_ns && now_ns >= a->look_until_ns) {
		if (a->look_pid)
			kill(a->look_pid, SIGKILL);
		a->look_hangs = a->look_pid != 0;
		zn__looker_let_go(a);
		zn__look_answered(a, (struct zn_bytes){ silent, sizeof(silent) - 1 });
	}
	if (a->look_keep_ns && now_ns >= a->look_keep_ns)
		zn__looker_let_go(a);
}

/* 1: the answer is there, behind its 4 bytes; 0: not yet; <0: there will be none. */
static int hear(struct agent *a)
{
	char *room = zn_buf_room(&a->look_in, READ_STEP);
	ssize_t n = room ? read(a->look.fd, room, READ_STEP) : -1;
	uint32_t want;

	if (!room)
		return -ENOMEM;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EIO;
	a->look_in.len += (size_t)n;
	if (a->look_in.len < sizeof(want))
		return 0;
	memcpy(&want, a->look_in.data, sizeof(want));
	return a->look_in.len - sizeof(want) >= want;
}

/* Takes it out; the looker stays where it may be asked again soon. */
static struct zn_buf take(struct agent *a, int rc)
{
	struct zn_buf got = a->look_in;

	a->look_in = (struct zn_buf){ 0 };
	if (rc > 0)
		zn_buf_eat(&got, sizeof(uint32_t));
	else
		got.len = 0;
	a->look_until_ns = 0;
	if (rc > 0)
		a->look_keep_ns = zn_boot_ns() + KEEP_NS;
	else
		zn__looker_let_go(a);
	return got;
}

static void on_answer(struct agent *a, struct watch *w, uint32_t events)
{
	int rc = hear(a);

	(void)w;
	(void)events;
	if (rc == 0)
		return;
	if (!a->look_until_ns) { /* it died while nobody asked */
		zn__looker_let_go(a);
		return;
	}
	struct zn_buf got = take(a, rc);
	zn__look_answered(a, (struct zn_bytes){ got.data, got.len });
	zn_buf_done(&got);
}

static int start(struct agent *a, char ask)
{
	int pair[2];

	if (a->look_hangs) /* one that hangs in a driver may outlive its SIGKILL; while it does, no other is sent after it */
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	a->look = (struct watch){ .fd = pair[0], .ready = on_answer };
	int rc = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : zn__agent_watch(a, &a->look, EPOLLIN);
	pid_t pid = rc < 0 ? -1 : fork();
	if (pid == 0)
		be_looker(pair[1], ask);
	if (rc == 0 && pid < 0)
		rc = -errno;
	close(pair[1]);
	if (rc < 0)
		zn__looker_let_go(a);
	else
		a->look_pid = pid;
	return rc;
}

int zn__looker_ask(struct agent *a, bool full)
{
	char ask = full ? FULL : USERS;
	int rc = 0;

	if (a->look.fd >= 0 && send(a->look.fd, &ask, 1, MSG_NOSIGNAL) != 1)
		zn__looker_let_go(a);
	if (a->look.fd < 0)
		rc = start(a, ask);
	if (rc < 0)
		return rc;
	a->look_keep_ns = 0;
	a->look_until_ns = zn_boot_ns() + LOOK_MS * (NS / 1000);
	a->look_full = full;
	return 0;
}

int zn__looker_ask_and_wait(struct agent *a, struct zn_buf *ret)
{
	int rc = zn__looker_ask(a, true), n = 1;
	struct pollfd p = { .fd = a->look.fd, .events = POLLIN };

	if (rc < 0)
		return rc;
	while ((n = poll(&p, 1, LOOK_MS)) > 0 && (rc = hear(a)) == 0)
		;
	if (n == 0) {
		kill(a->look_pid, SIGKILL);
		zn_buf_addstr(ret, "the driver does not answer");
	}
	struct zn_buf got = take(a, n > 0 ? rc : -EIO);
	if (n > 0)
		*ret = got;
	else
		zn_buf_done(&got);
	return 0;
}
