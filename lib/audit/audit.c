#include "audit/audit.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/plan.h"
#include "proc/pin.h"
#include "proc/proc.h"

_Static_assert((int)ZN_PROC_NUMAS == (int)ZN_SEEN_NUMAS, "proc and plan tell as many nodes apart");

struct table {
	const struct zn_facts *f;
	struct zn_audit_process *v;
	size_t n, cap;
	unsigned hidden;
};

/* ---- every process ---------------------------------------------------------------------------- */

static void add_users(const struct zn_facts *f, struct zn_audit_process *p)
{
	for (size_t i = 0; i < f->n_gpus; i++) {
		const struct zn_gpu_user *users = f->gpus[i].users.v;
		for (size_t k = 0; k < f->gpus[i].users.n; k++)
			if (users[k].pid == (uint32_t)p->pid)
				zn_idset_add(&p->used, f->gpus[i].gpu);
	}
}

/* 0, also where it has none; -EACCES. */
static int add_given(const struct zn_facts *f, struct zn_audit_process *p)
{
	char job[24], gpus[4096];
	int rc = zn_proc_env_read(p->pid, "ZENITH_JOB_ID", job, sizeof(job));

	if (rc == 0 && zn_proc_env_read(p->pid, "CUDA_VISIBLE_DEVICES", gpus, sizeof(gpus)) == 0) {
		p->job = strtoull(job, NULL, 10);
		if (*gpus && zn_pin_parse_gpus(f, gpus, &p->given, NULL) < 0)
			p->given = (struct zn_idset){ 0 };
	}
	return rc == -EACCES || rc == -EPERM ? -EACCES : 0;
}

static int add_process(struct table *t, pid_t pid)
{
	struct zn_proc_stat st;

	if (pid == getpid() || zn_proc_stat(pid, &st) < 0 || st.is_gone)
		return 0;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 256;
		struct zn_audit_process *v = reallocarray(t->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	struct zn_audit_process *p = &t->v[t->n++];
	*p = (struct zn_audit_process){ .pid = pid, .ppid = st.ppid, .owner = -1 };
	add_users(t->f, p);
	t->hidden += add_given(t->f, p) < 0;
	return 0;
}

static int read_processes(struct table *t)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]))
			rc = add_process(t, (pid_t)strtol(e->d_name, NULL, 10));
	closedir(dir);
	return rc;
}

/* ---- a holder and what counts with it ----------------------------------------------------------- */

/* False when it has ended meanwhile. */
static bool see(pid_t pid, struct zn_arena *a, struct zn_seen *ret, const char **ret_user)
{
	char user[64], command[64];
	struct zn_proc_pinned now;

	*ret = (struct zn_seen){ .pid = (uint32_t)pid };
	if (zn_proc_threads_cpus_read(pid, &ret->cpus) < 0 || zn_proc_pinned_read(pid, &now, NULL) < 0)
		return false;
	ret->numas = now.numas_allowed;
	ret->has_pages = zn_proc_pages_read(pid, ret->node_bytes) == 0;
	zn_proc_owner(pid, user, sizeof(user), command, sizeof(command));
	ret->command = zn_arena_strdup(a, command);
	*ret_user = zn_arena_strdup(a, user);
	return true;
}

static bool is_anothers(pid_t pid)
{
	char path[40];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return geteuid() != 0 && stat(path, &st) == 0 && st.st_uid != geteuid();
}

static size_t count_of(const struct table *t, size_t holder)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->v[i].owner == (long)holder;
	return n;
}

/* 1: *ret is filled; 0: it has ended meanwhile; -ENOMEM. */
static int judge(const struct table *t, size_t at, struct zn_arena *a, struct zn_verdict *ret)
{
	const struct zn_audit_process *p = &t->v[at];
	struct zn_holder h = { .job = { p->job, p->job > 0 }, .gpus = zn_idset_is_empty(&p->used) ? p->given : p->used };
	struct zn_seen *seen = zn_arena_array(a, count_of(t, at) + 1, sizeof(*seen));
	const char *user;

	if (!seen)
		return -ENOMEM;
	if (!see(p->pid, a, &seen[h.n++], &h.user))
		return 0;
	for (size_t i = 0; i < t->n; i++)
		if (i != at && t->v[i].owner == (long)at)
			h.n += see(t->v[i].pid, a, &seen[h.n], &user);
	h.v = seen;
	h.needs_root = is_anothers(p->pid);
	if (zn_proc_cpuset_read(p->pid, &h.cpuset) < 0)
		h.cpuset = (struct zn_idset){ 0 };
	int rc = zn_verdict_make(t->f, &h, a, ret);
	return rc < 0 ? rc : 1;
}

static int wrong_first(const void *x, const void *y)
{
	const struct zn_verdict *a = x, *b = y;

	if (a->ok != b->ok)
		return a->ok - b->ok;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static int judge_all(const struct table *t, struct zn_arena *a, struct zn_audit *ret)
{
	struct zn_verdict *v = zn_arena_array(a, t->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		int rc = t->v[i].is_holder ? judge(t, i, a, &v[n]) : 0;
		if (rc < 0)
			return rc;
		n += (size_t)rc;
	}
	qsort(v, n, sizeof(*v), wrong_first);
	*ret = (struct zn_audit){ .verdicts = { v, n }, .hidden = t->hidden };
	return 0;
}

int zn_audit_read(const struct zn_facts *f, struct zn_arena *a, struct zn_audit *ret, struct zn_err *err)
{
	struct table t = { .f = f };
	int rc = read_processes(&t);

	if (rc == 0) {
		zn_audit_find_holders(t.v, t.n);
		rc = judge_all(&t, a, ret);
	}
	free(t.v);
	return rc < 0 ? zn_err_set(err, rc, "can't look at processes: %s", strerror(-rc)) : 0;
}
