#include "sim/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_EACH = 4096 };
static const double short_job_s = 10; /* below it a slowdown says nothing (Feitelson and Rudolph, JSSPP 1998) */

/* ---- what ends next ------------------------------------------------------------------------------------ */

struct ends { struct zn_sim_job **heap; size_t n; };

static bool ends_before(const struct zn_sim_job *a, const struct zn_sim_job *b)
{
	return a->end_s != b->end_s ? a->end_s < b->end_s : a->pick.seq < b->pick.seq;
}

static void ends_push(struct ends *e, struct zn_sim_job *job)
{
	size_t at = e->n++;

	for (; at && ends_before(job, e->heap[(at - 1) / 2]); at = (at - 1) / 2)
		e->heap[at] = e->heap[(at - 1) / 2];
	e->heap[at] = job;
}

static struct zn_sim_job *ends_pop(struct ends *e)
{
	struct zn_sim_job *first = e->heap[0], *last = e->heap[--e->n];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < e->n; at = child) {
		child += child + 1 < e->n && ends_before(e->heap[child + 1], e->heap[child]);
		if (!ends_before(e->heap[child], last))
			break;
		e->heap[at] = e->heap[child];
	}
	e->heap[at] = last;
	return first;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

struct run {
	struct zn_sim_job *jobs;
	size_t n, submitted, done;
	struct zn_pool pool;
	struct ends ends;
	double now_s;
};

static double next_time(const struct run *r)
{
	double at = r->submitted < r->n ? r->jobs[r->submitted].pick.submit_s : HUGE_VAL;

	return r->ends.n && r->ends.heap[0]->end_s < at ? r->ends.heap[0]->end_s : at;
}

static struct zn_use use_of(const struct zn_sim_job *job)
{
	return (struct zn_use){ .running = 1, .gpus = (uint64_t)job->pick.size };
}

static void count_start(struct run *r, const struct zn_sim_job *job)
{
	struct zn_use use = use_of(job);

	if (!r->pool.pick.payers)
		return;
	zn_payer_add(r->pool.pick.payers, job->payer, &use);
	zn_payer_began(r->pool.pick.payers, job->payer, &use, r->now_s);
}

static void count_end(struct run *r, const struct zn_sim_job *job)
{
	struct zn_use use = use_of(job);

	if (!r->pool.pick.payers)
		return;
	zn_payer_take(r->pool.pick.payers, job->payer, &use);
	zn_payer_ended(r->pool.pick.payers, job->payer, &use, job->pick.start_s, r->now_s);
}

static int take_events(struct run *r)
{
	while (r->ends.n && r->ends.heap[0]->end_s <= r->now_s) {
		struct zn_sim_job *job = ends_pop(&r->ends);
		count_end(r, job);
		zn_pool_end(&r->pool, &job->pick, r->now_s);
		r->done++;
	}
	for (; r->submitted < r->n && r->jobs[r->submitted].pick.submit_s <= r->now_s; r->submitted++) {
		struct zn_sim_job *job = &r->jobs[r->submitted];
		if (zn_pool_wait(&r->pool, &job->pick, job->priority, job->payer) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void decide(struct run *r, struct zn_sim_times *times)
{
	uint64_t from = zn_sim_clock_ns();
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	if (r->pool.pick.payers) {
		r->pool.pick.payers->now_s = r->now_s;
		zn_leaves_weigh(&r->pool.pick.payers->leaves, r->now_s);
	}
	zn_pick_begin(&pass, &r->pool.pick, r->now_s);
	while ((pick = zn_pick_next(&pass))) {
		struct zn_sim_job *job = (struct zn_sim_job *)((char *)pick - offsetof(struct zn_sim_job, pick));
		job->end_s = r->now_s + job->duration_s;
		ends_push(&r->ends, job);
		count_start(r, job);
	}
	zn_sim_times_note(times, zn_sim_clock_ns() - from);
}

static void add_up(const struct run *r, struct zn_sim_sum *sum)
{
	double wait_s = 0, run_s = 0, bsld = 0, gpu_s = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct zn_sim_job *job = &r->jobs[i];
		double wait = job->pick.start_s - job->pick.submit_s, d = job->duration_s;
		double slowdown = (wait + d) / (d > short_job_s ? d : short_job_s);
		wait_s += wait;
		run_s += d;
		bsld += slowdown > 1 ? slowdown : 1;
		gpu_s += d * (double)job->pick.size;
	}
	sum->wait_s += wait_s;
	sum->jct_s += wait_s + run_s;
	sum->bsld += bsld;
	sum->gpu_s += gpu_s;
	sum->capacity_gpu_s += r->pool.gpus * (r->now_s - r->jobs[0].pick.submit_s);
	if (!sum->jobs || r->jobs[0].pick.submit_s < sum->first_s)
		sum->first_s = r->jobs[0].pick.submit_s;
	if (!sum->jobs || r->now_s > sum->last_s)
		sum->last_s = r->now_s;
	sum->jobs += r->n;
}

int zn_sim_run(struct zn_sim_job *jobs, size_t n, uint32_t gpus, struct zn_pick_policy policy, struct zn_payers *payers,
               struct zn_sim_sum *sum, void (*progress)(size_t done), struct zn_err *err)
{
	struct run r = { .jobs = jobs, .n = n, .ends.heap = calloc(n + 1, sizeof(struct zn_sim_job *)) };
	size_t told = 0;
	int rc = r.ends.heap ? 0 : -ENOMEM;

	zn_pool_init(&r.pool, policy, gpus);
	r.pool.pick.payers = payers;
	while (rc == 0 && (r.submitted < n || r.ends.n)) {
		r.now_s = next_time(&r);
		rc = take_events(&r);
		decide(&r, &sum->decisions);
		if (progress && r.done - told >= PROGRESS_EACH)
			progress(told = r.done);
	}
	if (rc == 0 && n)
		add_up(&r, sum);
	zn_pick_done(&r.pool.pick);
	free(r.ends.heap);
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
}
