/* pin: which CPUs a process runs on and whose memory it uses, as asked of the kernel and as it answers.
 *
 * The kernel narrows CPUs to the cpuset without a word: who wants to know what was really got reads it
 * back.  Memory policy belongs to a thread and can only be set by itself; of another process the pages
 * can be moved.
 */
#ifndef ZN_PROC_PIN_H
#define ZN_PROC_PIN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/idset.h"

enum zn_proc_mem {
	ZN_PROC_MEM_DEFAULT,     /* the node that the thread runs on */
	ZN_PROC_MEM_BIND,
	ZN_PROC_MEM_PREFER,
	ZN_PROC_MEM_INTERLEAVE,
	ZN_PROC_MEM_OTHER,       /* read only: a policy that we never set */
};
const char *zn_proc_mem_name(enum zn_proc_mem mem); /* "bind"; NULL for OTHER */

/* One thread (0: the calling one).  -EINVAL: none of cpus is allowed; -ESRCH; -EPERM.
 * Allocates nothing and takes no lock: it may be called between fork and exec, and so may the next.
 */
int zn_proc_pin_cpus(pid_t tid, const struct zn_idset *cpus);
/* The calling thread, and what it starts.  Kernels before 5.15 prefer only the first of several nodes.
 * -EPERM or -ENOSYS where the kernel or a filter refuses, -EINVAL: a node is not allowed.
 */
int zn_proc_pin_mem(enum zn_proc_mem mem, const struct zn_idset *numas);

/* All threads of a process, those too that start meanwhile; ret_threads (may be NULL): how many. */
int zn_proc_pin_threads(pid_t pid, const struct zn_idset *cpus, unsigned *ret_threads, struct zn_err *err);
/* Moves pages that lie on other nodes that the process may use to numas.  Returns how many could not be
 * moved, or -EPERM, -ENOSYS, ...
 */
long zn_proc_move_pages(pid_t pid, const struct zn_idset *numas, struct zn_err *err);
/* A process and all that descend from it; the caller frees *ret. */
int zn_proc_tree(pid_t root, pid_t **ret, size_t *ret_n, struct zn_err *err);

/* What is to be done with each process that was pinned; a negative answer ends it, but -ESRCH only the first's. */
typedef int zn_proc_pinned_fn(void *arg, pid_t pid, struct zn_err *err);
int zn_proc_pin_process(pid_t pid, const struct zn_idset *cpus, zn_proc_pinned_fn *fn, void *arg, struct zn_err *err);
/* pid and all that descend from it; a descendant that ends meanwhile is none. */
int zn_proc_pin_tree(pid_t pid, const struct zn_idset *cpus, zn_proc_pinned_fn *fn, void *arg, struct zn_err *err);

/* What the kernel says now. */
struct zn_proc_pinned {
	struct zn_idset cpus;          /* sched_getaffinity */
	struct zn_idset cpus_allowed;  /* Cpus_allowed_list and Mems_allowed_list of /proc/PID/status */
	struct zn_idset numas_allowed;
	unsigned threads;
	bool has_mem;                  /* the two below are known: only for the calling thread */
	enum zn_proc_mem mem;
	struct zn_idset mem_numas;
};
/* pid 0: the calling process. */
int zn_proc_pinned_read(pid_t pid, struct zn_proc_pinned *ret, struct zn_err *err);
/* sched_getaffinity alone. */
int zn_proc_cpus_read(pid_t tid, struct zn_idset *ret);
/* The same for all threads of a process together. */
int zn_proc_threads_cpus_read(pid_t pid, struct zn_idset *ret);

/* Where a process's own memory lies: bytes by NUMA node (node n in ret[n]; nodes beyond are not counted) of what
 * is anonymous or shared memory; pages of files belong to everybody who reads them.  -EACCES for another
 * user's process.
 */
enum { ZN_PROC_NUMAS = 64 };
int zn_proc_pages_read(pid_t pid, uint64_t ret[ZN_PROC_NUMAS]);
/* Adds one line of /proc/PID/numa_maps.  Pure. */
void zn_proc_pages_add(const char *line, uint64_t bytes[ZN_PROC_NUMAS]);
/* The CPUs that the process's cgroup allows, whatever its affinity is now; -ENOENT: no cgroup says. */
int zn_proc_cpuset_read(pid_t pid, struct zn_idset *ret);

#endif
