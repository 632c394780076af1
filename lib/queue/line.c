/* line: the queue's jobs as pick knows them: in line while they wait, in the room while they have a place. */
#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "base/clock.h"
#include "queue/jobs.h"
#include "queue/order.h"

struct zn_job *zn__line_job(struct zn_pick_job *pick)
{
	return (struct zn_job *)((char *)pick - offsetof(struct zn_job, pick));
}

static const struct zn_places *places_of(const struct zn_pick_job *pick)
{
	return ((const struct zn_job *)((const char *)pick - offsetof(struct zn_job, pick)))->places;
}

static const struct zn_wish *wish_of(const struct zn_pick_job *pick)
{
	return ((const struct zn_job *)((const char *)pick - offsetof(struct zn_job, pick)))->wish;
}

void zn__line_init(struct zn_jobs *q)
{
	q->room = (struct zn_room){ .running = &q->pick.running, .places_of = places_of, .wish_of = wish_of };
	zn_pick_init(&q->pick, zn_order_policy(1), 1, &zn_room_ops, &q->room);
	q->pick.part = zn__array_part;
	q->pick.part_arg = q;
}

static struct zn_order order_of(const struct zn_job *job)
{
	return (struct zn_order){
		.id = job->id, .submit_s = job->submit_s, .begin_s = job->begin_s, .limit_s = job->limit_s,
		.ask = { .priority = job->priority, .mem_bytes = job->mem_bytes, .gpus = job->gpus,
		         .cpus = job->cpus.has ? (uint32_t)job->cpus.v : 0, .tasks = job->tasks, .nodes_min = job->nodes_min, .nodes_max = job->nodes_max,
		         .payer = job->payer, .nvlink_required = job->nvlink_required, .may_exceed = job->preemptible,
		         .spread = job->spread, .same_switch = job->same_switch, .near = job->near, .constraint = job->constraint, .booking = job->booking, .part = job->part, .wish = job->wish },
	};
}

struct zn_use zn_job_use(const struct zn_job *job)
{
	struct zn_order o = order_of(job);
	struct zn_use use = zn_pick_use(&o.ask);

	use.over = job->pick.is_over;
	return use;
}

/* By memory alone a part is as large as the GPUs say. */
static void size_part(const struct zn_jobs *q, struct zn_job *job)
{
	if (!job->part.mem_bytes)
		return;
	job->part.milli = job->gpu_share_milli;
	zn_room_fill_in(&q->room, &job->part);
}

int zn__line_push(struct zn_jobs *q, struct zn_job *job)
{
	if (job->state != ZN_JOB_QUEUED || job->pick.shape || !zn_room_is_known(&q->room))
		return 0; /* how large it is is not known before */
	if (job->array && (!job->array->rest.count || zn_array_is_full(job->array)))
		return 0;
	if (job->array && zn__array_prepare(job) < 0)
		return -ENOMEM;
	job->pick.many = job->array != NULL;
	size_part(q, job);
	struct zn_order o = order_of(job);
	zn_order_set(&o, &q->room, &job->pick);
	return zn_pick_wait(&q->pick, &job->pick, &o.ask);
}

void zn__line_remove(struct zn_jobs *q, struct zn_job *job)
{
	if (job->pick.shape)
		zn_pick_gone(&q->pick, &job->pick, zn_now_s());
}

void zn__line_clock(struct zn_jobs *q, struct zn_job *job)
{
	struct zn_pick_job *p = &job->pick;

	if (!p->runs)
		return;
	if (job->state == ZN_JOB_SUSPENDED && p->limit_s != HUGE_VAL) {
		job->run->left_s = p->start_s + p->limit_s - zn_now_s();
		zn_pick_set_limit(&q->pick, p, p->estimate_s, HUGE_VAL);
	} else if (job->state == ZN_JOB_RUNNING && zn_job_run(job)->left_s > 0) {
		zn_pick_set_limit(&q->pick, p, p->estimate_s, zn_now_s() + job->run->left_s - p->start_s);
		job->run->left_s = 0;
	}
}

int zn_jobs_reorder(struct zn_jobs *q, struct zn_job *job)
{
	struct zn_order o = order_of(job);
	struct zn_pick_job now = job->pick;

	if (job->pick.runs) {
		zn_order_set(&o, &q->room, &now);
		zn_pick_set_limit(&q->pick, &job->pick, now.estimate_s, now.limit_s);
		zn__line_clock(q, job);
	}
	zn__line_remove(q, job);
	return zn__line_push(q, job);
}

/* ---- the room --------------------------------------------------------------------------------------------- */

int zn_jobs_set_facts(struct zn_jobs *q, uint32_t node, const struct zn_facts *facts)
{
	double total = zn_room_total(&q->room);
	int rc = 0;

	for (uint32_t i = 0; i < q->room.n; i++) {
		zn_room_set_facts(&q->room, i, i == node ? facts : q->room.nodes[i].facts);
		q->room.nodes[i].free.mixes_users = q->share_between_users;
	}
	zn_licences_give_all(&q->room.licences);
	q->pick.line.total = zn_room_total(&q->room) > 0 ? zn_room_total(&q->room) : 1;
	for (struct zn_job *job = q->by_id; job && rc == 0; job = job->hh.next) {
		if (zn_job_has_alloc(job->state) && job->places)
			zn_jobs_take(q, job);
		if (zn_room_total(&q->room) != total || job->part.mem_bytes) /* what a job is large by */
			zn__line_remove(q, job);
		rc = zn__line_push(q, job);
	}
	return rc;
}

void zn_jobs_take(struct zn_jobs *q, struct zn_job *job)
{
	struct zn_order o = order_of(job);
	double start_s = zn_job_run(job)->start_s;

	zn_room_take(&q->room, job->places, job->wish);
	if (job->pick.runs)
		return;
	zn_order_set(&o, &q->room, &job->pick);
	zn_pick_runs(&q->pick, &job->pick, start_s > 0 ? start_s : zn_now_s(), job->gpus);
	zn__line_clock(q, job);
}

void zn_jobs_give(struct zn_jobs *q, struct zn_job *job)
{
	zn_room_give(&q->room, job->places, job->wish);
	zn_pick_gone(&q->pick, &job->pick, zn_now_s());
}

struct zn_job *zn_jobs_next(struct zn_pick_pass *pass)
{
	struct zn_pick_job *pick = zn_pick_next(pass);

	return pick ? zn__line_job(pick) : NULL;
}

double zn_jobs_unblock(struct zn_jobs *q, double now_s)
{
	return zn_line_wake(&q->pick.line, now_s);
}

void zn_jobs_defer(struct zn_jobs *q, struct zn_job *job, double now_s)
{
	static const double first_wait_s = 0.5, longest_wait_s = 30;
	double wait_s = first_wait_s;

	for (uint32_t i = 0; i < job->refusals && wait_s < longest_wait_s; i++)
		wait_s *= 2;
	job->refusals++;
	zn_line_defer(&q->pick.line, &job->pick, now_s + (wait_s < longest_wait_s ? wait_s : longest_wait_s));
}
