#include "proc/pin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

/* The kernel's masks are arrays of unsigned long, bit n of word n / BITS. */
enum { BITS = sizeof(unsigned long) * CHAR_BIT, WORDS = ZN_IDSET_MAX / BITS };
struct mask { unsigned long w[WORDS]; };

/* Longer than any set of ours: sched_getaffinity refuses a mask shorter than the kernel's own. */
enum { KERNEL_WORDS = 32768 / BITS };

/* How often all threads or processes are looked at: one that forks faster is not followed for ever. */
enum { LOOKS = 64 };

/* Not in headers older than Linux 5.15. */
enum { PREFERRED_MANY = 5 };

static struct mask mask_of(const struct zn_idset *s)
{
	struct mask m = { 0 };

	zn_idset_each(id, s)
		m.w[(unsigned)id / BITS] |= 1ul << ((unsigned)id % BITS);
	return m;
}

static struct zn_idset set_of(const unsigned long *w)
{
	struct zn_idset s = { 0 };

	for (unsigned id = 0; id < ZN_IDSET_MAX; id++)
		if (w[id / BITS] >> (id % BITS) & 1)
			zn_idset_add(&s, id);
	return s;
}

/* How many bits the memory calls should look at: theirs counts one too many. */
static unsigned long n_bits(const struct zn_idset *s)
{
	unsigned long n = 0;

	zn_idset_each(id, s)
		n = (unsigned long)id + 2;
	return n;
}

/* ---- CPUs ---- */

int zn_proc_pin_cpus(pid_t tid, const struct zn_idset *cpus)
{
	struct mask m = mask_of(cpus);

	return sched_setaffinity(tid, sizeof(m), (const cpu_set_t *)(const void *)&m) < 0 ? -errno : 0;
}

int zn_proc_cpus_read(pid_t tid, struct zn_idset *ret)
{
	unsigned long w[KERNEL_WORDS] = { 0 };

	if (sched_getaffinity(tid, sizeof(w), (cpu_set_t *)(void *)w) < 0)
		return -errno;
	*ret = set_of(w);
	return 0;
}

/* ---- memory ---- */

static const struct { enum zn_proc_mem mem; int mode; const char *name; } policies[] = {
	{ ZN_PROC_MEM_DEFAULT, MPOL_DEFAULT, "default" },
	{ ZN_PROC_MEM_BIND, MPOL_BIND, "bind" },
	{ ZN_PROC_MEM_PREFER, PREFERRED_MANY, "prefer" },
	{ ZN_PROC_MEM_PREFER, MPOL_PREFERRED, "prefer" },
	{ ZN_PROC_MEM_INTERLEAVE, MPOL_INTERLEAVE, "interleave" },
};
enum { POLICIES = sizeof(policies) / sizeof(policies[0]) };

const char *zn_proc_mem_name(enum zn_proc_mem mem)
{
	for (int i = 0; i < POLICIES; i++)
		if (policies[i].mem == mem)
			return policies[i].name;
	return NULL;
}

static int set_policy(int mode, const struct zn_idset *numas)
{
	struct mask m = mask_of(numas);

	return syscall(SYS_set_mempolicy, mode, m.w, n_bits(numas)) < 0 ? -errno : 0;
}

int zn_proc_pin_mem(enum zn_proc_mem mem, const struct zn_idset *numas)
{
	struct zn_idset first = zn_idset_first(numas, 1);
	int rc;

	switch (mem) {
	case ZN_PROC_MEM_DEFAULT:
		return syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0) < 0 ? -errno : 0;
	case ZN_PROC_MEM_BIND:
		return set_policy(MPOL_BIND, numas);
	case ZN_PROC_MEM_INTERLEAVE:
		return set_policy(MPOL_INTERLEAVE, numas);
	case ZN_PROC_MEM_PREFER:
		rc = zn_idset_equal(&first, numas) ? -EINVAL : set_policy(PREFERRED_MANY, numas);
		return rc == -EINVAL ? set_policy(MPOL_PREFERRED, &first) : rc;
	case ZN_PROC_MEM_OTHER:
		break;
	}
	return -EINVAL;
}

/* MPOL_PREFERRED without a node means the local one, as the default does. */
static void read_policy(struct zn_proc_pinned *p)
{
	struct mask m = { 0 };
	int mode = 0;

	p->has_mem = syscall(SYS_get_mempolicy, &mode, m.w, (unsigned long)ZN_IDSET_MAX + 1, NULL, 0) == 0;
	p->mem = ZN_PROC_MEM_OTHER;
	p->mem_numas = set_of(m.w);
	mode &= ~MPOL_MODE_FLAGS;
	for (int i = 0; i < POLICIES; i++)
		if (policies[i].mode == mode)
			p->mem = policies[i].mem;
	if (p->mem == ZN_PROC_MEM_PREFER && zn_idset_is_empty(&p->mem_numas))
		p->mem = ZN_PROC_MEM_DEFAULT;
}

/* ---- other processes ---- */

struct pids {
	pid_t *v;
	size_t n, cap;
};

/* 1: it was not there; 0: it was; -ENOMEM. */
static int add_pid(struct pids *p, pid_t pid)
{
	for (size_t i = p->n; i-- > 0;)
		if (p->v[i] == pid)
			return 0;
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		pid_t *v = reallocarray(p->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = pid;
	return 1;
}

static pid_t pid_of(const char *name)
{
	return isdigit((unsigned char)*name) ? (pid_t)strtol(name, NULL, 10) : 0;
}

/* 1: it had to be moved, 0: it was there already, or has ended. */
static int pin_thread(pid_t tid, const struct zn_idset *cpus)
{
	struct zn_idset before, after;
	int rc = zn_proc_cpus_read(tid, &before);

	if (rc == 0)
		rc = zn_proc_pin_cpus(tid, cpus);
	if (rc == 0)
		rc = zn_proc_cpus_read(tid, &after);
	return rc < 0 ? (rc == -ESRCH ? 0 : rc) : !zn_idset_equal(&before, &after);
}

/* One look at all threads; returns how many had to be moved. */
static int pin_all_threads(const char *path, const struct zn_idset *cpus, unsigned *ret_threads)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned threads = 0;
	int moved = 0, rc = 0;

	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (rc >= 0 && (entry = readdir(dir))) {
		pid_t tid = pid_of(entry->d_name);
		if (!tid)
			continue;
		threads++;
		rc = pin_thread(tid, cpus);
		moved += rc > 0;
	}
	closedir(dir);
	*ret_threads = threads;
	return rc < 0 ? rc : moved;
}

static int explain(pid_t pid, int rc, const struct zn_idset *cpus, struct zn_err *err)
{
	char list[80];

	zn_idset_format(cpus, list, sizeof(list));
	switch (rc) {
	case -ESRCH:
		return zn_err_set(err, rc, "there is no process %d", (int)pid);
	case -EPERM:
	case -EACCES:
		return zn_err_set(err, rc, "process %d is another user's", (int)pid);
	case -EINVAL:
		return zn_err_set(err, rc, "none of cpus %s is allowed to process %d", list, (int)pid);
	}
	return zn_err_set(err, rc, "process %d: %s", (int)pid, strerror(-rc));
}

/* A thread that starts while we look has what its parent had then: look again until all are right.  From
 * then on every new one inherits the right CPUs.
 */
int zn_proc_pin_threads(pid_t pid, const struct zn_idset *cpus, unsigned *ret_threads, struct zn_err *err)
{
	unsigned threads = 0;
	char path[40];
	int moved = 1;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	for (int look = 0; moved > 0 && look < LOOKS; look++)
		moved = pin_all_threads(path, cpus, &threads);
	if (moved == 0 && !threads)
		moved = -ESRCH;
	if (moved < 0)
		return explain(pid, moved, cpus, err);
	if (ret_threads)
		*ret_threads = threads;
	return 0;
}

long zn_proc_move_pages(pid_t pid, const struct zn_idset *numas, struct zn_err *err)
{
	struct zn_proc_pinned now;
	struct zn_idset from;
	struct mask old, to = mask_of(numas);
	long left;

	int rc = zn_proc_pinned_read(pid, &now, err);
	if (rc < 0)
		return rc;
	from = zn_idset_minus(&now.numas_allowed, numas);
	if (zn_idset_is_empty(&from))
		return 0;
	old = mask_of(&from);
	left = syscall(SYS_migrate_pages, pid, (unsigned long)ZN_IDSET_MAX, old.w, to.w);
	if (left < 0)
		return zn_err_set(err, -errno, "can't move the pages of process %d: %s", (int)pid, strerror(errno));
	return left;
}

/* The parent is the second field behind the name, which stands in parentheses and may hold anything. */
static pid_t parent_of(pid_t pid)
{
	struct zn_arena a = { 0 };
	char path[40], *stat, *p = NULL;
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (zn_file_read(AT_FDCWD, path, 4096, &a, &stat, NULL) == 0)
		p = strrchr(stat, ')');
	if (p && strlen(p) > 4)
		parent = (pid_t)strtol(p + 4, NULL, 10);
	zn_arena_done(&a);
	return parent;
}

static int add_children(struct pids *tree)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int fresh = 0, rc = 0;

	if (!dir)
		return -errno;
	while (rc >= 0 && (entry = readdir(dir))) {
		pid_t pid = pid_of(entry->d_name), parent = pid ? parent_of(pid) : 0;
		for (size_t i = 0; parent && i < tree->n; i++)
			if (tree->v[i] == parent) {
				rc = add_pid(tree, pid);
				fresh += rc > 0;
				break;
			}
	}
	closedir(dir);
	return rc < 0 ? rc : fresh;
}

int zn_proc_tree(pid_t root, pid_t **ret, size_t *ret_n, struct zn_err *err)
{
	struct pids tree = { 0 };
	char path[40];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)root);
	rc = access(path, F_OK) == 0 ? add_pid(&tree, root) : -ESRCH;
	for (int look = 0; rc > 0 && look < LOOKS; look++)
		rc = add_children(&tree);
	if (rc < 0) {
		free(tree.v);
		return rc == -ESRCH ? zn_err_set(err, rc, "there is no process %d", (int)root)
		                    : zn_err_set(err, rc, "can't list processes: %s", strerror(-rc));
	}
	*ret = tree.v;
	*ret_n = tree.n;
	return 0;
}

/* ---- what the kernel says ---- */

/* v1 and v2 name the file differently; what /proc says is the path below the hierarchy's root. */
int zn_proc_cpuset_read(pid_t pid, struct zn_idset *ret)
{
	static const char *const files[] = {
		"/sys/fs/cgroup/cpuset%s/cpuset.effective_cpus", "/sys/fs/cgroup%s/cpuset.cpus.effective",
		"/sys/fs/cgroup/unified%s/cpuset.cpus.effective",
	};
	char proc[40], group[PATH_MAX / 2], path[PATH_MAX], list[8192];

	snprintf(proc, sizeof(proc), "/proc/%d/cpuset", (int)pid);
	int rc = zn_file_line(AT_FDCWD, proc, group, sizeof(group));
	for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), files[i], group);
		if (zn_file_line(AT_FDCWD, path, list, sizeof(list)) == 0 && *list)
			return zn_idset_parse(list, ret, NULL);
	}
	return rc < 0 ? rc : -ENOENT;
}

int zn_proc_threads_cpus_read(pid_t pid, struct zn_idset *ret)
{
	struct zn_idset all = { 0 }, one;
	struct dirent *entry;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((entry = readdir(dir))) {
		pid_t tid = pid_of(entry->d_name);
		if (tid && zn_proc_cpus_read(tid, &one) == 0)
			all = zn_idset_or(&all, &one);
	}
	closedir(dir);
	if (zn_idset_is_empty(&all))
		return -ESRCH;
	*ret = all;
	return 0;
}

int zn_proc_pinned_read(pid_t pid, struct zn_proc_pinned *ret, struct zn_err *err)
{
	struct zn_proc_pinned p = { 0 };
	struct zn_arena a = { 0 };
	char path[40], *status;
	const char *threads;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)(pid ? pid : getpid()));
	int rc = zn_proc_cpus_read(pid, &p.cpus);
	if (rc == 0)
		rc = zn_file_read(AT_FDCWD, path, 1 << 16, &a, &status, NULL);
	if (rc < 0) {
		zn_arena_done(&a);
		return explain(pid, rc == -ENOENT ? -ESRCH : rc, &p.cpus, err);
	}
	zn_idset_parse_field(status, "Cpus_allowed_list", &p.cpus_allowed);
	zn_idset_parse_field(status, "Mems_allowed_list", &p.numas_allowed);
	threads = strstr(status, "\nThreads:\t");
	p.threads = threads ? (unsigned)strtoul(threads + 10, NULL, 10) : 0;
	zn_arena_done(&a);
	if (!pid || pid == getpid())
		read_policy(&p);
	*ret = p;
	return 0;
}
