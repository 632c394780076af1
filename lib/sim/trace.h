/* trace: a recorded workload: job records, as zn-queue history writes them; CSV as the columns of its first line say, or the Standard Workload Format
 * (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html), which begins with ';'.  These two may be gzipped.
 */
#ifndef ZN_SIM_TRACE_H
#define ZN_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "zenith.h"

struct zn_trace_job {
	uint64_t id;
	double submit_s, duration_s;
	double walltime_s;            /* what the user asked for; 0: it is not known */
	uint32_t gpus;                /* or processors, in a log of a machine that has none */
	const char *user, *vc;        /* "" where the trace has none */
};

struct zn_trace {
	struct zn_arena arena;
	struct zn_trace_job *jobs;    /* as they were submitted */
	size_t n;
	size_t left_out;              /* without GPUs, submission or duration: nothing of them can be simulated */
};

/* -EBADMSG with file and line for what makes no sense: no number, a negative one, a time before the one above it. */
int zn_trace_read(const char *path, struct zn_trace *ret, struct zn_err *err);
void zn_trace_done(struct zn_trace *t);

struct zn_sim_pool { const char *vc; uint32_t gpus; };
struct zn_cluster {
	struct zn_arena arena;
	struct zn_sim_pool *pools;    /* by name of their vc; those without one are "" */
	size_t n;
	uint32_t gpus;                /* all of them */
};

/* CSV of nodes: gpus, and vc if a node belongs to one. */
int zn_cluster_read(const char *path, struct zn_cluster *ret, struct zn_err *err);
void zn_cluster_done(struct zn_cluster *c);

#endif
