#include "pick/pool.h"

void zn_pool_init(struct zn_pool *p, struct zn_pick_policy policy, uint32_t gpus)
{
	*p = (struct zn_pool){ .policy = policy, .gpus = gpus, .free = gpus };
	p->line = (struct zn_line){ .order = policy.order, .pool_gpus = gpus };
}

void zn_pool_done(struct zn_pool *p)
{
	zn_line_done(&p->line);
}

int zn_pool_wait(struct zn_pool *p, struct zn_pick_job *job)
{
	return zn_line_add(&p->line, job);
}

void zn_pool_end(struct zn_pool *p, struct zn_pick_job *job, double now_s)
{
	double unused_s = job->start_s + job->estimate_s - now_s;

	zn_row_remove(&p->running, &job->running);
	p->free += job->gpus;
	if (unused_s > 0)
		zn_line_charge(&p->line, job, -unused_s);
}

static struct zn_pick_job *start(struct zn_pick_pass *pass, struct zn_pick_job *job)
{
	struct zn_pool *p = pass->pool;

	zn_line_remove(&p->line, job);
	zn_line_charge(&p->line, job, job->estimate_s);
	job->start_s = pass->now_s;
	job->running = (struct zn_row_node){ .key = pass->now_s + job->estimate_s, .seq = job->seq, .weight = job->gpus };
	zn_row_add(&p->running, &job->running);
	p->free -= job->gpus;
	return job;
}

/* By the estimates: when enough is free for job, and what is left then. */
static void reserve(struct zn_pick_pass *pass, const struct zn_pick_job *job)
{
	struct zn_pool *p = pass->pool;
	uint64_t sum = 0;
	const struct zn_row_node *last = zn_row_reach(&p->running, job->gpus - p->free, &sum);
	struct zn_row_node *cut = p->policy.depth ? zn_row_nth(&p->line.all, p->policy.depth) : NULL;

	pass->filling = true;
	pass->gap = (struct zn_gap){
		.shadow_s = last && last->key > pass->now_s ? last->key : pass->now_s,
		.extra = (uint32_t)(p->free + sum - job->gpus),
		.has_last = cut != NULL, .last_seq = cut ? cut->seq : 0,
	};
}

static struct zn_pick_job *fill(struct zn_pick_pass *pass)
{
	struct zn_gap *gap = &pass->gap;

	gap->free = pass->pool->free;
	struct zn_pick_job *job = zn_line_fitting(&pass->pool->line, gap, pass->now_s);
	if (!job)
		return NULL;
	if (pass->now_s + job->estimate_s > gap->shadow_s)
		gap->extra -= job->gpus;
	return start(pass, job);
}

void zn_pick_begin(struct zn_pick_pass *pass, struct zn_pool *p, double now_s)
{
	*pass = (struct zn_pick_pass){ .pool = p, .now_s = now_s };
}

struct zn_pick_job *zn_pick_next(struct zn_pick_pass *pass)
{
	struct zn_pool *p = pass->pool;

	if (zn_line_narrowest(&p->line) > p->free)
		return NULL;
	if (!pass->filling) {
		struct zn_pick_job *head = zn_line_head(&p->line, pass->now_s);
		if (head->gpus <= p->free)
			return start(pass, head);
		if (!p->policy.backfill)
			return NULL;
		reserve(pass, head);
	}
	return fill(pass);
}
