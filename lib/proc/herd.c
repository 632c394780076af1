#include "proc/herd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proc/cgroup.h"
#include "proc/pidfd.h"

enum { STOP_PASSES = 100 }; /* a process in an uninterruptible wait never shows as stopped */

struct zn_herd_member {
	struct zn_proc_id id;
	double before_s, cpu_s; /* of CPU time: before it was found, and now */
};

static bool is_member(const struct zn_herd *h, pid_t pid)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].id.pid == pid)
			return true;
	return false;
}

static bool may_be_member(const struct zn_herd *h, pid_t pid)
{
	uid_t uid;
	gid_t gid;

	if (pid == getpid())
		return false;
	return zn_proc_user(pid, &uid, &gid) == 0 && uid == h->uid;
}

/* Into the groups of the hold, with all its threads. */
static void move(struct zn_herd *h, pid_t pid)
{
	char text[16];
	bool failed = false;

	if (!h->hold)
		return;
	int n = snprintf(text, sizeof(text), "%d", (int)pid);
	if (h->hold->v2[0])
		failed = zn__cg_write(h->hold->v2, "cgroup.procs", text) < 0;
	if (h->hold->join_fd >= 0)
		failed |= write(h->hold->join_fd, text, (size_t)n) < 0;
	h->left_out += failed && kill(pid, 0) == 0;
}

/* Who is new, as of now, has used nothing of what it asked for here. */
static bool add(struct zn_herd *h, pid_t pid)
{
	struct zn_proc_stat st;

	if (is_member(h, pid) || zn_proc_stat(pid, &st) < 0 || st.is_gone || !may_be_member(h, pid))
		return false;
	if (h->n == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 16;
		struct zn_herd_member *v = realloc(h->v, cap * sizeof(*v));
		if (!v)
			return false; /* the next look finds it again */
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = (struct zn_herd_member){ .id = { pid, st.start }, .before_s = st.cpu_s, .cpu_s = st.cpu_s };
	move(h, pid);
	return true;
}

static void forget_ended(struct zn_herd *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (zn_proc_is_alive(&h->v[i].id))
			h->v[n++] = h->v[i];
		else
			h->cpu_gone_s += h->v[i].cpu_s - h->v[i].before_s;
	h->n = n;
}

static bool add_children(struct zn_herd *h, pid_t pid)
{
	struct zn_pids children = { 0 };
	bool found = false;

	zn__tree_children(pid, &children);
	for (size_t i = 0; i < children.n; i++)
		found |= add(h, children.v[i]);
	free(children.v);
	return found;
}

static bool add_grouped(struct zn_herd *h)
{
	char path[PATH_MAX + 16];
	bool found = false;
	int pid;

	if (!h->hold || !h->hold->v2[0])
		return false;
	snprintf(path, sizeof(path), "%s/cgroup.procs", h->hold->v2);
	FILE *f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		found |= pid > 0 && add(h, pid);
	if (f)
		fclose(f);
	return found;
}

static void measure(struct zn_herd *h)
{
	struct zn_proc_stat st;
	uint64_t peak;

	h->cpu_s = h->cpu_gone_s;
	for (size_t i = 0; i < h->n; i++) {
		struct zn_herd_member *m = &h->v[i];
		if (zn_proc_stat(m->id.pid, &st) == 0 && st.start == m->id.start)
			m->cpu_s = st.cpu_s;
		if (zn_proc_peak(m->id.pid, &peak) == 0 && peak > h->peak_bytes)
			h->peak_bytes = peak;
		h->cpu_s += m->cpu_s - m->before_s;
	}
}

bool zn_herd_look(struct zn_herd *h)
{
	bool found = false;

	forget_ended(h);
	for (size_t i = 0; i < h->n; i++) /* which grows meanwhile */
		found |= add_children(h, h->v[i].id.pid);
	found |= add_grouped(h);
	measure(h);
	return found;
}

int zn_herd_open(const struct zn_proc_id *root, struct zn_hold *hold, struct zn_herd *ret)
{
	struct zn_herd h = { .root = *root, .hold = hold };
	gid_t gid;

	h.pidfd = zn__pidfd_open(root->pid);
	if (h.pidfd < 0)
		return h.pidfd;
	/* looked at after the descriptor is held: it can't become another process now */
	if (zn_proc_user(root->pid, &h.uid, &gid) < 0 || !zn_proc_is_alive(root) || !add(&h, root->pid)) {
		zn_herd_close(&h);
		return -ESRCH;
	}
	/* who was born before its parent moved is found by the next look */
	for (int i = 0; i < STOP_PASSES && zn_herd_look(&h); i++)
		;
	*ret = h;
	return 0;
}

void zn_herd_close(struct zn_herd *h)
{
	if (h->pidfd >= 0)
		close(h->pidfd);
	free(h->v);
	h->v = NULL;
	h->n = h->cap = 0;
	h->pidfd = -1;
}

/* ---- signals --------------------------------------------------------------------------------------- */

/* Returns how many still ran. */
static unsigned signal_all(struct zn_herd *h, int sig, struct zn_tree_count *count)
{
	struct zn_proc_stat st;
	unsigned running = 0;

	*count = (struct zn_tree_count){ 0 };
	zn_herd_look(h);
	for (size_t i = 0; i < h->n; i++) {
		bool stopped = zn_proc_stat(h->v[i].id.pid, &st) < 0 || st.state == 'T' || st.state == 't';
		int rc = zn_proc_signal(&h->v[i].id, sig);
		if (rc == -EPERM) {
			count->denied++;
			count->denied_pid = h->v[i].id.pid;
		} else if (rc == 0) {
			count->reached++;
			running += !stopped;
		}
	}
	return running;
}

struct zn_tree_count zn_herd_signal(struct zn_herd *h, int sig)
{
	struct zn_tree_count count;

	signal_all(h, sig, &count);
	return count;
}

static void stop(struct zn_herd *h)
{
	struct zn_tree_count count;

	for (int pass = 0; pass < STOP_PASSES && signal_all(h, SIGSTOP, &count) > 0; pass++)
		;
}

/* The cgroup alone, when all are in it: a frozen process does not see that it was stopped. */
static bool is_grouped(const struct zn_herd *h)
{
	return h->hold && h->hold->v2[0] && !h->left_out;
}

int zn_herd_freeze(struct zn_herd *h, bool freeze)
{
	if (is_grouped(h))
		return zn_hold_freeze(h->hold, freeze);
	if (freeze)
		stop(h);
	else
		zn_herd_signal(h, SIGCONT);
	if (h->hold)
		h->hold->frozen = freeze;
	return 0;
}

struct zn_tree_count zn_herd_kill(struct zn_herd *h)
{
	if (h->hold && h->hold->v2[0])
		zn__cg_write(h->hold->v2, "cgroup.kill", "1");
	if (!is_grouped(h))
		stop(h);
	return zn_herd_signal(h, SIGKILL);
}

bool zn_herd_is_empty(struct zn_herd *h)
{
	zn_herd_look(h);
	return h->n == 0;
}

/* ---- its exit code ----------------------------------------------------------------------------------- */

/* linux/pidfd.h of 6.15, which older headers lack: what was asked for comes with its bit set in mask. */
struct info {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)
#define INFO_EXIT 8u

/* Of one that its parent has waited for. */
static bool told_by_kernel(int pidfd, int *status)
{
	struct info info = { .mask = INFO_EXIT };

	if (ioctl(pidfd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
		return false;
	*status = info.exit_code;
	return true;
}

int zn_herd_root_ended(const struct zn_herd *h, int *ret_status)
{
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };

	if (poll(&p, 1, 0) != 1)
		return 0;
	/* asked again for one whose parent waited for it in between */
	if (told_by_kernel(h->pidfd, ret_status) || zn_proc_zombie_status(&h->root, ret_status) == 0 ||
	    told_by_kernel(h->pidfd, ret_status))
		return 1;
	return -ENODATA;
}
