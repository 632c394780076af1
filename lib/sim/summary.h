/* summary: what a simulation comes to, as a record. */
#ifndef ZN_SIM_SUMMARY_H
#define ZN_SIM_SUMMARY_H

#include "rec/field.h"
#include "sim/run.h"

struct zn_summary {
	const char *policy;
	uint64_t jobs, left_out, never;
	uint64_t gpus;
	struct zn_of64 makespan_s, wait_mean_s, wait_p99_s, wait_max_s, jct_mean_s, bsld_mean; /* absent without a time */
	double util;
	struct zn_of64 fragmentation;
	struct zn_ou64 preemptions;   /* absent without a time, as is: */
	struct zn_of64 lost_gpu_s;
	uint64_t decisions;
	double decision_p50_us, decision_p99_us, decision_max_us;
	struct zn_of64 jobs_per_s;    /* of the simulation itself */
};

extern const struct zn_kind zn_summary_kind;

/* waits, of all jobs that ran, are in another order after this. */
void zn_summary_make(const struct zn_sim_sum *sum, double *waits_s, struct zn_summary *ret);

#endif
