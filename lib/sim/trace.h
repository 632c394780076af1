/* trace: a recorded workload: job records, as zn-queue history writes them; CSV as the columns of its first line say,
 * or the Standard Workload Format (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html), which begins with ';'.  These two may be gzipped.
 */
#ifndef ZN_SIM_TRACE_H
#define ZN_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "rec/field.h"
#include "zenith.h"

struct zn_trace_job {
	uint64_t id;
	struct zn_ou64 index;         /* in the array that it is of */
	uint32_t at_once;             /* of which so many may run at once; 0: all */
	double submit_s, duration_s;
	double walltime_s;            /* what the user asked for; 0: it is not known */
	uint32_t gpus;                /* or processors, in a log of a machine that has none */
	uint32_t gpu_milli;           /* of each: 1000, or less of a single one */
	double cpus, mem_mb;          /* of the whole job; 0: it is not known */
	uint32_t nodes;               /* over how many the GPUs are to be spread, equally; 0: it is not known */
	uint32_t nodes_least;         /* where fewer will do, if there are no more: how few; else 0 */
	bool same_switch;             /* on nodes whose racks are the same */
	int64_t priority;             /* larger is more urgent; 0 where the trace has none */
	bool preemptible;             /* it may be sent back for one of a higher priority; false where the trace does not say so */
	const char *user, *vc;        /* "" where the trace has none */
	const char *gpu_model;        /* "A|B": either will do; "": any */
};

enum zn_trace_use {
	ZN_TRACE_POOL,                /* only jobs with GPUs and times, in order; where they could go is not looked at */
	ZN_TRACE_RUN,                 /* the same, and where they could go; those without GPUs if they ask for CPUs */
	ZN_TRACE_PLACE,               /* all, in any order, whatever their times */
};

struct zn_trace {
	enum zn_trace_use use;
	struct zn_arena arena;
	struct zn_trace_job *jobs;    /* as they were submitted, or in the order of the file */
	size_t n;
	size_t left_out;              /* without GPUs (or CPUs), submission or duration; not of ZN_TRACE_PLACE */
};

/* -EBADMSG with file and line for what makes no sense: no number, a negative one, a time before the one above it. */
int zn_trace_read(const char *path, enum zn_trace_use use, struct zn_trace *ret, struct zn_err *err);
void zn_trace_done(struct zn_trace *t);

#endif
