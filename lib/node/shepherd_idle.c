/* shepherd_idle: one job after the other.  The forked agent becomes a shepherd, and one whose job left nothing
 * behind waits for the next.
 */
#include "node/shepherd_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "rec/val.h"

static int cmp_int(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* Above all the agent's ends of other shepherds' sockets: whoever holds one hides the agent's death. */
static void close_others(struct shepherd *s)
{
	int *keep = zn_arena_array(&s->arena, s->n_leases + 3, sizeof(*keep)), next = 3;
	size_t n = 0;

	if (!keep)
		_exit(1);
	keep[n++] = s->sock;
	keep[n++] = s->home->dirfd;
	keep[n++] = s->home->hands_fd;
	for (size_t i = 0; i < s->n_leases; i++)
		keep[n++] = s->leases[i];
	qsort(keep, n, sizeof(*keep), cmp_int);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > next)
			syscall(SYS_close_range, next, keep[i] - 1, 0);
		if (keep[i] >= next)
			next = keep[i] + 1;
	}
	syscall(SYS_close_range, next, ~0U, 0);
}

static void become_shepherd(struct shepherd *s)
{
	sigset_t set;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close_others(s);
	sigfillset(&set); /* nothing but SIGKILL ends a shepherd before its job */
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->timerfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
}

static void take_up(struct shepherd *s, const struct zn_msg_start *start, const int *leases, size_t n_leases)
{
	char name[ZN_JOB_NAME];

	*s = (struct shepherd){ .home = s->home, .sock = s->sock, .sigfd = s->sigfd, .timerfd = s->timerfd,
	                        .start = start, .leases = leases, .n_leases = n_leases, .agent_lives = true,
	                        .port_fd = -1, .term_fd = -1, .start_s = zn_now_s(), .start_ns = zn_boot_ns(),
	                        .limit_s = start->limit_s.has ? start->limit_s.v : 0,
	                        .hold = { .v2_fd = -1, .join_fd = -1 }, .herd.pidfd = -1 };
	snprintf(s->run_dir, sizeof(s->run_dir), "run/%s", zn_job_name(start->job, start->attempt, name));
}

/* A packet from the agent and the leases in it; 0 when it is gone. */
static size_t receive(int sock, char *to, size_t size, int *leases, size_t *ret_n)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int) * ZN_SHEPHERD_LEASES_MAX)]; } control;
	struct iovec iov = { .iov_base = to, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	*ret_n = 0;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(leases, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return n > 0 ? (size_t)n : 0;
}

/* Something arrived on the socket; false: this process is to leave. */
static bool wait_for_work(const struct shepherd *s)
{
	struct pollfd p[2] = { { .fd = s->sigfd, .events = POLLIN }, { .fd = s->sock, .events = POLLIN } };
	struct signalfd_siginfo si;

	while (poll(p, 2, -1) < 0 || !p[1].revents)
		if (p[0].revents && read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si) && si.ssi_signo == SIGTERM)
			return false;
	return true;
}

/* What the agent said of the last job when that had ended already is not about the next one. */
static bool next_start(const struct shepherd *s, struct zn_arena *a, struct zn_msg_start *ret, int *leases, size_t *ret_n)
{
	static char packet[ZN_SHEPHERD_PACKET_MAX];
	msgpack_object map;
	size_t n;

	zn_arena_reset(a);
	prctl(PR_SET_NAME, "zn-idle");
	do
		n = wait_for_work(s) ? receive(s->sock, packet, sizeof(packet), leases, ret_n) : 0;
	while (n && packet[0]);
	return n > 1 && zn_val_unpack(packet + 1, n - 1, 0, a, &map, NULL) == 0 &&
	       zn_decode(&zn_msg_start_kind, &map, a, ret, NULL) == 0;
}

_Noreturn void zn_shepherd_run(const struct zn_shepherd_home *home, const struct zn_msg_start *start, int sock,
                               const int *leases, size_t n_leases)
{
	struct shepherd s = { .home = home, .sock = sock };
	struct zn_arena arena = { 0 };
	struct zn_msg_start next;
	int got[ZN_SHEPHERD_LEASES_MAX];

	take_up(&s, start, leases, n_leases);
	become_shepherd(&s);
	while (zn__shepherd_run_job(&s)) {
		/* an agent that did not hear it would wait for this job's end, and we for the next job */
		if (!zn__shepherd_tell(&s, ZN_SHEPHERD_IDLE, "") || !next_start(&s, &arena, &next, got, &n_leases))
			_exit(0);
		take_up(&s, &next, got, n_leases);
	}
	zn__shepherd_tell(&s, ZN_SHEPHERD_LOGGED, "");
	_exit(0);
}
