/* audit: which processes of this machine hold a GPU, and whether each runs next to it.
 *
 * A holder is a process that the GPU's driver names, or the first process of a job that was given a GPU
 * (ZENITH_JOB_ID and CUDA_VISIBLE_DEVICES in its environment) as long as no driver names one of its
 * descendants.  What descends from a holder and holds nothing itself counts with it.
 */
#ifndef ZN_AUDIT_AUDIT_H
#define ZN_AUDIT_AUDIT_H

#include <sys/types.h>

#include "gpu/gpu.h"
#include "plan/verdict.h"

/* One process; only what finding holders needs. */
struct zn_audit_process {
	pid_t pid, ppid;
	uint64_t job;                 /* 0: none */
	struct zn_idset given, used;  /* GPUs by its environment, and by the driver */
	bool is_holder;
	long owner;                   /* index of the holder that it counts with; -1: none */
};

/* Fills is_holder and owner.  Pure. */
void zn_audit_find_holders(struct zn_audit_process *v, size_t n);

struct zn_audit {
	struct zn_list verdicts;      /* struct zn_verdict, wrong ones first, then by pid */
	unsigned hidden;              /* processes whose environment we may not read */
};

/* Looks at every process of this machine now; all of *ret lives in a. */
int zn_audit_read(const struct zn_facts *f, struct zn_arena *a, struct zn_audit *ret, struct zn_err *err);

/* The GPUs that pid and what descends from it hold: those of which a driver says so in f, else those that their
 * environments give them (CUDA_VISIBLE_DEVICES).
 */
void zn_audit_gpus_of(const struct zn_facts *f, pid_t pid, struct zn_idset *ret);

#endif
