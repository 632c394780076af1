/* hand: the agent's shepherds, from its side.  One that has ended a job and left nothing behind waits for the next
 * one of the same user: a fork costs more than all else that a short job needs.  Soon after it is let go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/agent.h"

#define NS 1000000000ull

enum { IDLE_MAX = 256 };
static const uint64_t IDLE_NS = NS / 2;

static uid_t user_of(const struct zn_msg_start *m)
{
	return m->uid.has ? (uid_t)m->uid.v : geteuid();
}

/* ---- coming and going -------------------------------------------------------------------------------- */

void zn__hand_free(struct agent *a, struct hand *h)
{
	struct hand **at = &a->hands;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	a->n_idle -= h->idle_ns > 0;
	if (h->job)
		h->job->hand = NULL;
	zn__agent_unwatch(a, &h->watch);
	free(h);
}

struct hand *zn__hand_of(struct agent *a, pid_t pid)
{
	struct hand *h = a->hands;

	while (h && h->pid != pid)
		h = h->next;
	return h;
}

/* Watched before it is forked: one that we can't hear would run on. */
static int new_hand(struct agent *a, int fd, struct hand **ret)
{
	struct hand *h = calloc(1, sizeof(*h));
	int rc = h ? 0 : -ENOMEM;

	if (h) {
		*h = (struct hand){ .watch = { .fd = fd, .ready = zn__job_heard }, .next = a->hands };
		a->hands = h;
		rc = zn__agent_watch(a, &h->watch, EPOLLIN);
	} else {
		close(fd);
	}
	if (h && rc < 0)
		zn__hand_free(a, h);
	*ret = h;
	return rc;
}

static int fork_hand(struct agent *a, struct job *j, const struct zn_msg_start *m, struct hand **ret)
{
	struct zn_shepherd_home home = { .spool = a->opts->spool, .node = a->opts->node, .home = a->opts->home, .dirfd = a->dirfd,
	                                 .hands_fd = a->hands_fd, .confine = &a->confine, .facts = a->facts,
	                                 .nofile = a->nofile };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int rc = new_hand(a, pair[0], ret);
	pid_t pid = rc < 0 ? -1 : fork();
	if (pid == 0)
		zn_shepherd_run(&home, m, pair[1], j->leases, j->n_leases);
	if (rc == 0 && pid < 0) {
		rc = -errno;
		zn__hand_free(a, *ret);
	}
	close(pair[1]);
	if (rc == 0) {
		(*ret)->pid = pid;
		(*ret)->uid = user_of(m);
		(*ret)->facts_no = a->facts_no;
	}
	return rc;
}

/* ---- one that is there already ------------------------------------------------------------------------ */

/* Where many jobs end at once the log says so before each shepherd was heard that it may have another one. */
static void hear_those_done(struct agent *a, uid_t uid)
{
	for (struct hand *h = a->hands, *next; h; h = next) {
		next = h->next;
		if (h->uid == uid && !h->idle_ns && (!h->job || h->job->exited) && h->watch.fd >= 0)
			zn__job_heard(a, &h->watch, EPOLLIN);
	}
}

static struct hand *find_idle(struct agent *a, uid_t uid)
{
	struct hand *h = a->hands;

	while (h && !(h->idle_ns && h->uid == uid))
		h = h->next;
	return h;
}

static struct hand *idle_hand(struct agent *a, uid_t uid)
{
	struct hand *h = find_idle(a, uid);

	if (h || !a->hands)
		return h;
	hear_those_done(a, uid);
	return find_idle(a, uid);
}

/* The job's description in one packet, with its leases.  What does not fit into one takes a fork. */
static int hand_over(struct agent *a, struct hand *h, const struct job *j, const struct zn_msg_start *m)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int) * ZN_SHEPHERD_LEASES_MAX)]; } control = { 0 };
	size_t bytes = j->n_leases * sizeof(int);
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	a->packet.len = 0;
	zn_buf_addch(&a->packet, '\0'); /* no command begins so */
	int rc = zn_encode(&zn_msg_start_kind, m, &a->packet);
	if (rc < 0 || a->packet.len > ZN_SHEPHERD_PACKET_MAX || j->n_leases > ZN_SHEPHERD_LEASES_MAX)
		return rc < 0 ? rc : -EMSGSIZE;
	iov = (struct iovec){ .iov_base = a->packet.data, .iov_len = a->packet.len };
	if (bytes) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(bytes);
		control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(bytes) };
		memcpy(CMSG_DATA(&control.head), j->leases, bytes);
	}
	return sendmsg(h->watch.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int zn__hand_begin(struct agent *a, struct job *j, const struct zn_msg_start *m)
{
	struct hand *h = idle_hand(a, user_of(m));
	int rc = h ? hand_over(a, h, j, m) : -ENOENT;

	if (rc == 0) {
		h->idle_ns = 0;
		a->n_idle--;
	} else {
		rc = fork_hand(a, j, m, &h);
	}
	if (rc < 0)
		return rc;
	h->job = j;
	j->hand = h;
	j->start_s = zn_now_s();
	return 0;
}

void zn__hand_rest(struct agent *a, struct hand *h)
{
	if (h->job)
		h->job->hand = NULL;
	h->job = NULL;
	h->idle_ns = zn_boot_ns();
	a->n_idle++;
	if (a->n_idle > IDLE_MAX || a->ending || a->retiring || h->facts_no != a->facts_no)
		zn__hand_free(a, h);
	else if (!a->idle_ns)
		a->idle_ns = h->idle_ns + IDLE_NS;
}

/* When their socket closes they leave. */
void zn__hand_let_go(struct agent *a, bool all)
{
	uint64_t now = zn_boot_ns();

	a->idle_ns = 0;
	for (struct hand *h = a->hands, *next; h; h = next) {
		next = h->next;
		if (h->idle_ns && (all || now >= h->idle_ns + IDLE_NS))
			zn__hand_free(a, h);
		else if (h->idle_ns && (!a->idle_ns || h->idle_ns + IDLE_NS < a->idle_ns))
			a->idle_ns = h->idle_ns + IDLE_NS;
	}
}
