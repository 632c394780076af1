/* preempt: of the jobs that run, those that must make room for the first in line. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "queue/jobs.h"

static bool may_run_again(const struct zn_job *job)
{
	return job->preemptible && (job->state == ZN_JOB_RUNNING || zn_job_is_frozen(job)) && !job->adopted_pid;
}

/* Sent back, cancelled, or over its limit and in its grace. */
static bool is_going(const struct zn_job *job, double now_s)
{
	return job->requeue || job->cancel || job->pick.start_s + job->pick.limit_s <= now_s;
}

static struct zn_victim victim_of(struct zn_job *job, double now_s)
{
	return (struct zn_victim){ .job = &job->pick, .priority = zn_victim_priority(&job->pick, job->priority), .times = job->preempted, .gpus = job->gpus,
	                           .gpu_milli = job->part.milli, .goes = is_going(job, now_s) };
}

/* All that may go or do; whether any of these does for somebody. */
static size_t find_victims(struct zn_jobs *q, int64_t priority, double now_s, struct zn_victim *v, bool *ret_going)
{
	uint32_t n_running = zn_row_size(&q->pick.running);
	size_t n = 0;

	*ret_going = false;
	q->safe_until_s = 0;
	for (uint32_t i = 0; i < n_running; i++) {
		struct zn_job *job = zn__line_job(zn_pick_job_that_runs(zn_row_nth(&q->pick.running, i)));
		v[n] = victim_of(job, now_s);
		*ret_going |= zn_job_run(job)->preempted_for && !zn_job_is_frozen(job);
		n += v[n].goes || (may_run_again(job) && zn_victim_weigh(&v[n], priority, now_s, &q->safe_until_s));
	}
	return n;
}

/* They are over at any moment. */
static void set_going(struct zn_jobs *q, struct zn_victim *v, size_t n, double now_s)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].job->start_s + v[i].job->limit_s > now_s)
			zn_pick_set_limit(&q->pick, v[i].job, v[i].job->estimate_s, now_s - v[i].job->start_s);
}

/* v: those who go come first once more, by who they are. */
static size_t going_first(struct zn_victim *v, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (!v[i].goes)
			continue;
		struct zn_victim one = v[i];
		v[i] = v[to];
		v[to++] = one;
	}
	return to;
}

/* ---- those that are frozen ---------------------------------------------------------------------------------- */

/* The first of v were chosen: whether their CPUs alone, with all that those have who go, would do.  One that is frozen has none. */
static bool needs_only_cpus(struct zn_jobs *q, const struct zn_pick_job *head, double now_s, const struct zn_victim *v, size_t n, size_t chosen)
{
	for (size_t i = 0; i < chosen; i++) {
		const struct zn_job *job = zn__line_job(v[i].job);
		if (job->gpus || job->wish || zn_job_is_frozen(job))
			return false;
	}
	zn_room_future(&q->room, head->shape->ask.priority, now_s + head->limit_s);
	for (size_t i = 0; i < n; i++) {
		if (v[i].goes)
			zn_room_future_give(&q->room, v[i].job);
		else if (i < chosen)
			zn_room_future_lend_cpus(&q->room, v[i].job);
	}
	return zn_room_future_fits(&q->room, &head->shape->ask);
}

/* Whoever it made room for waits for it no more: he has his place, or is over. */
static bool may_claim(struct zn_jobs *q, const struct zn_job *job)
{
	const struct zn_job *other = zn_jobs_get(q, zn_job_run(job)->preempted_for);

	return zn_job_is_frozen(job) && !job->cancel && (!other || other->state != ZN_JOB_QUEUED);
}

static bool may_go_on(struct zn_jobs *q, const struct zn_job *job)
{
	const struct zn_job *other = zn_jobs_get(q, zn_job_run(job)->preempted_for);

	return !other || !zn_job_has_alloc(other->state);
}

/* Of all that have a place, which are few beside those that wait. */
static size_t find_frozen(struct zn_jobs *q, struct zn_job **v)
{
	uint32_t n_running = zn_row_size(&q->pick.running);
	size_t n = 0;

	for (uint32_t i = 0; i < n_running; i++) {
		v[n] = zn__line_job(zn_pick_job_that_runs(zn_row_nth(&q->pick.running, i)));
		n += may_claim(q, v[n]);
	}
	return n;
}

static void go_on(struct zn_jobs *q, struct zn_job *job, void (*thaw)(void *arg, struct zn_job *job), void *arg)
{
	if (!may_go_on(q, job) || !zn_room_take_back_cpus(&q->room, job->places))
		zn_room_claim_cpus(&q->room, job->places, zn_victim_priority(&job->pick, job->priority));
	else
		thaw(arg, job);
}

void zn_jobs_thaw(struct zn_jobs *q, void (*thaw)(void *arg, struct zn_job *job), void *arg)
{
	for (uint32_t i = 0; i < q->room.n; i++)
		q->room.nodes[i].claimed = (struct zn_idset){ 0 };
	if (!q->count[ZN_JOB_SUSPENDED])
		return;
	struct zn_job **v = calloc(zn_row_size(&q->pick.running) + 1, sizeof(*v));
	size_t n = v ? find_frozen(q, v) : 0; /* else nobody, then */
	for (size_t i = 0; i < n; i++)
		go_on(q, v[i], thaw, arg); /* which moves it in that row */
	free(v);
}

/* ---- */

bool zn_jobs_preempt(struct zn_jobs *q, const struct zn_pick_job *head, double now_s, const struct zn_preempt_ops *ops, void *arg)
{
	struct zn_job *urgent = zn__line_job((struct zn_pick_job *)head);
	bool going, enough;

	q->safe_until_s = 0;
	if (!q->n_preemptible || urgent->is_end)
		return false;
	struct zn_victim *v = calloc(zn_row_size(&q->pick.running) + 1, sizeof(*v));
	if (!v)
		return false; /* nobody, then */
	size_t n = find_victims(q, urgent->priority, now_s, v, &going);
	size_t chosen = zn_room_preempt(&q->room, head, now_s, v, n, &enough);
	bool freeze = chosen && needs_only_cpus(q, head, now_s, v, n, chosen);
	for (size_t i = 0; i < chosen; i++) {
		struct zn_job *job = zn__line_job(v[i].job);
		if (freeze)
			zn_room_lend_cpus(&q->room, job->places);
		(freeze ? ops->freeze : ops->send_back)(arg, job);
		v[i].goes = !freeze;
	}
	bool makes_room = chosen || (enough && going);
	if (makes_room)
		set_going(q, v, going_first(v, n), now_s);
	free(v);
	return makes_room;
}
