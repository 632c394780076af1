/* verdict: does a process that holds GPUs run, and keep its memory, next to them?  Decided from what the kernel
 * said of it and of all that descend from it, touching nothing.
 */
#ifndef ZN_PLAN_VERDICT_H
#define ZN_PLAN_VERDICT_H

#include "base/idset.h"
#include "plan/facts.h"

enum { ZN_SEEN_NUMAS = 64 };           /* memory on nodes beyond is not counted */

/* One process as the kernel shows it. */
struct zn_seen {
	uint32_t pid;
	const char *command;
	struct zn_idset cpus;          /* where its threads may run, all of them together */
	struct zn_idset numas;         /* whose memory it may use */
	bool has_pages;                /* its pages could be looked at */
	uint64_t node_bytes[ZN_SEEN_NUMAS]; /* its own memory by NUMA node: anonymous and shared, no files */
};

/* A process that holds GPUs, and all that descend from it and hold none of their own. */
struct zn_holder {
	const struct zn_seen *v;       /* the holder first */
	size_t n;
	const char *user;
	struct zn_ou64 job;
	struct zn_idset gpus;
	struct zn_idset cpuset;        /* CPUs that its cgroup allows; empty: not known */
	bool needs_root;               /* it is not ours to steer */
};

struct zn_verdict_memory { uint32_t numa; uint64_t mem_bytes; };

struct zn_verdict {
	uint32_t pid;
	const char *user, *command;
	struct zn_ou64 job;
	struct zn_u32s gpus, gpu_numas;
	uint32_t processes;
	const char *cpus;
	struct zn_u32s numas_allowed;
	struct zn_list memory;         /* struct zn_verdict_memory */
	struct zn_ou64 far_bytes;
	bool ok;
	const char *verdict;           /* one sentence */
	const char *mend;              /* a command; NULL when there is nothing to mend, or no way */
};

extern const struct zn_kind zn_verdict_kind;

/* Wrong are CPUs that are not next to the GPUs, memory nodes that none of the GPUs hangs from, and more than a
 * tenth of the memory, and 64 MiB, on other nodes.  Memory of a mock machine is not judged: its nodes are not
 * the kernel's.  What is not known is not wrong.  Texts and lists live in a.  -ENOMEM is the only failure.
 */
int zn_verdict_make(const struct zn_facts *f, const struct zn_holder *h, struct zn_arena *a, struct zn_verdict *ret);

#endif
