/* tree: all descendants of a process, signalled one by one.
 *
 * A walk goes breadth first through /proc/PID/task/TID/children.  Between reading a number and signalling it
 * the process may have ended and its number may be somebody else's: so each is taken by pidfd first and
 * then looked at again; only one whose parent is still who we thought (or the root, which adopts orphans)
 * gets the signal.  Once stopped or killed, a process keeps its number until its parent, stopped too or
 * ourselves, has reaped it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc/pidfd.h"
#include "proc/proc.h"

enum { STOP_PASSES = 100 }; /* a process in an uninterruptible wait never shows as stopped */

struct member { pid_t pid, parent; };

struct walk {
	struct member *v;
	size_t n, cap;
};

static void walk_add(struct walk *w, pid_t pid, pid_t parent)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		struct member *v = realloc(w->v, cap * sizeof(*v));
		if (!v)
			return; /* the caller walks again until nobody is left */
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct member){ .pid = pid, .parent = parent };
}

static bool is_skipped(const struct zn_pids *skip, pid_t pid)
{
	for (size_t i = 0; skip && i < skip->n; i++)
		if (skip->v[i] == pid)
			return true;
	return false;
}

static int thread_children(pid_t pid, const char *tid, const struct zn_pids *skip, struct walk *w)
{
	char path[80];
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%d", &child) == 1)
		if (!is_skipped(skip, child))
			walk_add(w, child, pid);
	fclose(f);
	return 0;
}

/* For a kernel without the children files: everybody in /proc whose parent it is. */
static void scan_children(pid_t pid, const struct zn_pids *skip, struct walk *w)
{
	DIR *d = opendir("/proc");
	struct zn_proc_stat st;

	for (struct dirent *e; d && (e = readdir(d));) {
		int child = atoi(e->d_name);
		if (child > 0 && zn_proc_stat(child, &st) == 0 && st.ppid == pid && !is_skipped(skip, child))
			walk_add(w, child, pid);
	}
	if (d)
		closedir(d);
}

static void add_children(pid_t pid, const struct zn_pids *skip, struct walk *w)
{
	char path[40];

	if (access("/proc/thread-self/children", F_OK) < 0) {
		scan_children(pid, skip, w);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			thread_children(pid, e->d_name, skip, w);
	if (d)
		closedir(d);
}

static void walk_tree(pid_t root, const struct zn_pids *skip, struct walk *w)
{
	w->n = 0;
	add_children(root, skip, w);
	for (size_t i = 0; i < w->n; i++)
		add_children(w->v[i].pid, skip, w);
}

/* 1 when it was sent and the process still ran before, 0 when it was stopped or dead, -errno. */
static int signal_member(const struct member *m, pid_t root, int sig)
{
	struct zn_proc_stat st;
	int fd = zn__pidfd_open(m->pid);

	if (fd < 0)
		return fd;
	int rc = zn_proc_stat(m->pid, &st);
	if (rc == 0 && st.ppid != m->parent && st.ppid != root)
		rc = -ESRCH;
	if (rc == 0 && st.is_gone)
		rc = -ESRCH;
	if (rc == 0)
		rc = zn__pidfd_signal(fd, sig);
	close(fd);
	return rc < 0 ? rc : st.state != 'T' && st.state != 't';
}

/* Returns how many still ran. */
static unsigned signal_all(pid_t root, const struct zn_pids *skip, int sig, struct walk *w,
                           struct zn_tree_count *count)
{
	unsigned running = 0;

	*count = (struct zn_tree_count){ 0 };
	walk_tree(root, skip, w);
	for (size_t i = 0; i < w->n; i++) {
		int rc = signal_member(&w->v[i], root, sig);
		if (rc == -EPERM) {
			count->denied++;
			count->denied_pid = w->v[i].pid;
		} else if (rc >= 0) {
			count->reached++;
			running += rc > 0;
		}
	}
	return running;
}

struct zn_tree_count zn_tree_signal(pid_t root, const struct zn_pids *skip, int sig)
{
	struct zn_tree_count count;
	struct walk w = { 0 };

	signal_all(root, skip, sig, &w, &count);
	free(w.v);
	return count;
}

struct zn_tree_count zn_tree_stop(pid_t root, const struct zn_pids *skip)
{
	struct zn_tree_count count;
	struct walk w = { 0 };

	for (int pass = 0; pass < STOP_PASSES && signal_all(root, skip, SIGSTOP, &w, &count) > 0; pass++)
		;
	free(w.v);
	return count;
}

struct zn_tree_count zn_tree_kill(pid_t root, const struct zn_pids *skip)
{
	zn_tree_stop(root, skip);
	return zn_tree_signal(root, skip, SIGKILL);
}

void zn__tree_children(pid_t pid, struct zn_pids *ret)
{
	struct walk w = { 0 };

	add_children(pid, NULL, &w);
	pid_t *v = realloc(ret->v, (ret->n + w.n + 1) * sizeof(*v));
	for (size_t i = 0; v && i < w.n; i++)
		v[ret->n++] = w.v[i].pid;
	if (v)
		ret->v = v;
	free(w.v);
}

bool zn_tree_is_empty(pid_t root, const struct zn_pids *skip)
{
	struct walk w = { 0 };

	add_children(root, skip, &w);
	size_t n = w.n;
	free(w.v);
	return n == 0;
}
