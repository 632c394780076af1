/* hold: one job's processes as one thing.  The tree below the shepherd, a subreaper, is always there; a cgroup,
 * where one can be made, makes freezing and killing one atomic write and can limit memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/cgroup.h"
#include "proc/proc.h"

/* ---- two ways to stop and end: through the cgroup, or process by process --------------------- */

static int cgroup_freeze(struct zn_hold *h, bool freeze)
{
	return zn__cg_write(h->v2, "cgroup.freeze", freeze ? "1" : "0");
}

static int tree_freeze(struct zn_hold *h, bool freeze)
{
	(void)h;
	if (freeze)
		zn_tree_stop(getpid(), NULL);
	else
		zn_tree_signal(getpid(), NULL, SIGCONT);
	return 0;
}

/* A process can leave the cgroup where its user may write to another one, but not the tree. */
static struct zn_tree_count cgroup_kill(struct zn_hold *h)
{
	zn__cg_write(h->v2, "cgroup.kill", "1");
	return zn_tree_signal(getpid(), NULL, SIGKILL);
}

static struct zn_tree_count tree_kill(struct zn_hold *h)
{
	(void)h;
	return zn_tree_kill(getpid(), NULL);
}

struct backend {
	const char *name;
	int (*freeze)(struct zn_hold *h, bool freeze);
	struct zn_tree_count (*kill)(struct zn_hold *h);
};

static const struct backend backends[] = {
	{ "subreaper", tree_freeze, tree_kill },
	{ "cgroup v2", cgroup_freeze, cgroup_kill },
};

static const struct backend *backend_of(const struct zn_hold *h)
{
	return &backends[h->v2[0] != '\0'];
}

int zn_hold_freeze(struct zn_hold *h, bool freeze)
{
	int rc = backend_of(h)->freeze(h, freeze);

	if (rc == 0)
		h->frozen = freeze;
	return rc;
}

struct zn_tree_count zn_hold_signal(struct zn_hold *h, int sig)
{
	(void)h;
	return zn_tree_signal(getpid(), NULL, sig);
}

struct zn_tree_count zn_hold_kill(struct zn_hold *h)
{
	return backend_of(h)->kill(h);
}

/* ---- making and removing ---------------------------------------------------------------------- */

static int write_number(const char *dir, const char *file, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return zn__cg_write(dir, file, text);
}

static bool make_dir(const char *base, const char *name, char *to)
{
	int n = snprintf(to, PATH_MAX, "%s/%s", base, name);

	if (n > 0 && n < PATH_MAX && mkdir(to, 0755) == 0)
		return true;
	to[0] = '\0';
	return false;
}

static void open_v2(const struct zn_confine *c, const struct zn_hold_ask *ask, struct zn_hold *h)
{
	if (!c->v2[0] || !make_dir(c->v2, ask->name, h->v2))
		return;
	h->v2_fd = open(h->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->v2_fd < 0) {
		rmdir(h->v2);
		h->v2[0] = '\0';
	}
}

/* Those CPUs and no others; where only time can be limited, as much of it as they have. */
static void limit_cpus(const struct zn_confine *c, const struct zn_hold *h, const struct zn_idset *cpus)
{
	char text[4096];

	if (!cpus || zn_idset_is_empty(cpus))
		return;
	if (c->v2_cpuset && zn_idset_format(cpus, text, sizeof(text)) < sizeof(text))
		zn__cg_write(h->v2, "cpuset.cpus", text);
	if (!c->v2_cpu)
		return;
	snprintf(text, sizeof(text), "%u00000 100000", zn_idset_count(cpus));
	zn__cg_write(h->v2, "cpu.max", text);
}

/* The whole job ends when one of its processes meets the limit; half a job is of no use. */
static bool limit_v2(const struct zn_hold *h, uint64_t bytes)
{
	if (write_number(h->v2, "memory.max", bytes) < 0)
		return false;
	zn__cg_write(h->v2, "memory.swap.max", "0");
	zn__cg_write(h->v2, "memory.oom.group", "1");
	return true;
}

static bool limit_v1(const struct zn_confine *c, const struct zn_hold_ask *ask, struct zn_hold *h)
{
	char path[PATH_MAX + 16];

	if (!c->v1_memory[0] || !make_dir(c->v1_memory, ask->name, h->v1_memory))
		return false;
	snprintf(path, sizeof(path), "%s/cgroup.procs", h->v1_memory);
	if (write_number(h->v1_memory, "memory.limit_in_bytes", ask->mem_bytes) == 0)
		h->join_fd = open(path, O_WRONLY | O_CLOEXEC);
	write_number(h->v1_memory, "memory.memsw.limit_in_bytes", ask->mem_bytes);
	if (h->join_fd >= 0)
		return true;
	rmdir(h->v1_memory);
	h->v1_memory[0] = '\0';
	return false;
}

void zn_hold_open(const struct zn_confine *c, const struct zn_hold_ask *ask, struct zn_hold *h,
                  struct zn_buf *notes)
{
	*h = (struct zn_hold){ .v2_fd = -1, .join_fd = -1 };
	open_v2(c, ask, h);
	zn_buf_addstr(notes, backend_of(h)->name);
	if (h->v2[0]) {
		limit_cpus(c, h, ask->cpus);
		if (c->pids_max)
			write_number(h->v2, "pids.max", c->pids_max);
		h->denies = ask->n_denied && zn__cg_deny(h->v2_fd, ask->denied, ask->n_denied) == 0;
	}
	if (!ask->mem_bytes)
		return;
	if (h->v2[0] && c->v2_memory && limit_v2(h, ask->mem_bytes))
		zn_buf_addstr(notes, ", memory by cgroup v2");
	else if (limit_v1(c, ask, h))
		zn_buf_addstr(notes, ", memory by cgroup v1");
	else
		zn_buf_addstr(notes, "; memory limit not enforced");
}

int zn_hold_close(struct zn_hold *h)
{
	int rc = 0;

	if (h->v2_fd >= 0)
		close(h->v2_fd);
	if (h->join_fd >= 0)
		close(h->join_fd);
	h->v2_fd = h->join_fd = -1;
	if (h->v2[0] && rmdir(h->v2) < 0)
		rc = -errno;
	if (h->v1_memory[0] && rmdir(h->v1_memory) < 0)
		rc = -errno;
	return rc;
}

/* ---- what it used ------------------------------------------------------------------------------ */

static bool read_number(const char *dir, const char *file, uint64_t *ret)
{
	char text[64];

	if (zn__cg_read(dir, file, text, sizeof(text)) < 0)
		return false;
	char *end;
	*ret = strtoull(text, &end, 10);
	return end != text;
}

uint64_t zn_hold_pids_refused(const struct zn_hold *h)
{
	char text[256];
	uint64_t n = 0;

	if (h->v2[0] && zn__cg_read(h->v2, "pids.events", text, sizeof(text)) == 0)
		zn__cg_value(text, "max", &n);
	return n;
}

void zn_hold_usage(const struct zn_hold *h, struct zn_hold_usage *ret)
{
	char text[2048];
	uint64_t v;

	*ret = (struct zn_hold_usage){ 0 };
	if (h->v2[0]) {
		if (zn__cg_read(h->v2, "cpu.stat", text, sizeof(text)) == 0 && zn__cg_value(text, "usage_usec", &v)) {
			ret->has_cpu = true;
			ret->cpu_s = (double)v * 1e-6;
		}
		ret->has_peak = read_number(h->v2, "memory.peak", &ret->peak_bytes);
		if (zn__cg_read(h->v2, "memory.events", text, sizeof(text)) == 0)
			zn__cg_value(text, "oom_kill", &ret->oom_kills);
	}
	if (h->v1_memory[0]) {
		ret->has_peak = read_number(h->v1_memory, "memory.max_usage_in_bytes", &ret->peak_bytes);
		if (zn__cg_read(h->v1_memory, "memory.oom_control", text, sizeof(text)) == 0)
			zn__cg_value(text, "oom_kill", &ret->oom_kills);
	}
}
