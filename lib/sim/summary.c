#include "sim/summary.h"

#define F(member, type, heading, help) ZN_FIELD(struct zn_summary, member, type, heading, help)

static const struct zn_field fields[] = {
	F(policy, STR, "POLICY", "who decided"),
	F(jobs, U64, "JOBS", "jobs that ran; with --saturate: that got a place"),
	F(left_out, U64, "LEFT-OUT", "jobs of the trace without GPUs, submission or duration"),
	F(never, U64, "NEVER", "jobs that ask more than there is, and never start; with --saturate: that got no place"),
	F(gpus, U64, "GPUS", "GPUs of the cluster"),
	F(makespan_s, ODUR, "MAKESPAN", "from the first submission to the last end"),
	F(wait_mean_s, OF64, "WAIT", "mean time from submission to start, seconds"),
	F(wait_p99_s, OF64, "WAIT-P99", "what 99 of 100 jobs waited at most, seconds"),
	F(wait_max_s, OF64, "WAIT-MAX", "the longest wait, seconds"),
	F(jct_mean_s, OF64, "JCT", "mean time from submission to end, seconds"),
	F(bsld_mean, OF64, "BSLD", "mean bounded slowdown: (wait + run) / run, of a run of 10 s at least"),
	F(util, F64, "UTIL", "share of the GPU time between first submission and last end that jobs used"),
	F(fragmentation, OF64, "FRAG", "with --saturate: share of the GPUs still free that the usual jobs can't use, on the average"),
	F(preemptions, OU64, "PREEMPTED", "how often a job was sent back to the queue for one of a higher priority"),
	F(lost_gpu_s, ODUR, "LOST", "GPUs held times seconds in the runs that were lost by it"),
	F(decisions, U64, "DECISIONS", "looks at the queue"),
	F(decision_p50_us, F64, "P50-US", "what half of the decisions took at most, microseconds"),
	F(decision_p99_us, F64, "P99-US", "what 99 of 100 took at most, microseconds"),
	F(decision_max_us, F64, "MAX-US", "the longest decision, microseconds"),
	F(jobs_per_s, OF64, "", "jobs that were simulated in a second, reading and writing left out"),
	{ 0 }
};

const struct zn_kind zn_summary_kind = {
	.name = "summary", .brief = "what a simulation comes to", .fields = fields, .size = sizeof(struct zn_summary),
};

/* The least of the n largest of them, of which there are so many at least; their order is lost.  The largest so far are a
 * heap with the least on top.
 */
static void sink(double *heap, size_t n, size_t at)
{
	double v = heap[at];

	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		child += child + 1 < n && heap[child + 1] < heap[child];
		if (v <= heap[child])
			break;
		heap[at] = heap[child];
	}
	heap[at] = v;
}

static double nth_largest(double *v, size_t total, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sink(v, n, i);
	for (size_t i = n; i < total; i++) {
		if (v[i] <= v[0])
			continue;
		v[0] = v[i];
		sink(v, n, 0);
	}
	return v[0];
}

static double largest(const double *v, size_t n)
{
	double most = n ? v[0] : 0;

	for (size_t i = 1; i < n; i++)
		most = v[i] > most ? v[i] : most;
	return most;
}

static double mean(double sum, double n)
{
	return n > 0 ? sum / n : 0;
}

void zn_summary_make(const struct zn_sim_sum *sum, double *waits_s, struct zn_summary *ret)
{
	double n = (double)sum->jobs;

	*ret = (struct zn_summary){ .jobs = sum->jobs, .decisions = sum->decisions.n,
	                            .decision_p50_us = zn_sim_times_us(&sum->decisions, 0.5),
	                            .decision_p99_us = zn_sim_times_us(&sum->decisions, 0.99),
	                            .decision_max_us = (double)sum->decisions.max_ns / 1e3 };
	ret->makespan_s = ZN_SOME_F64(sum->last_s - sum->first_s);
	ret->wait_mean_s = ZN_SOME_F64(mean(sum->wait_s, n));
	ret->wait_max_s = ZN_SOME_F64(largest(waits_s, sum->jobs));
	ret->wait_p99_s = ZN_SOME_F64(sum->jobs ? nth_largest(waits_s, sum->jobs, sum->jobs - (size_t)(n * 0.99)) : 0);
	ret->jct_mean_s = ZN_SOME_F64(mean(sum->jct_s, n));
	ret->bsld_mean = ZN_SOME_F64(mean(sum->bsld, n));
	ret->preemptions = ZN_SOME_U64(sum->preemptions);
	ret->lost_gpu_s = ZN_SOME_F64(sum->lost_gpu_s);
	ret->util = sum->capacity_gpu_s > 0 ? sum->gpu_s / sum->capacity_gpu_s : 0;
}
