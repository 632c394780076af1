#include "pick/pool.h"

#include <math.h>

#include "pick/preempt.h"

static uint32_t gpus_of(const struct zn_pick_job *job)
{
	return (uint32_t)job->size;
}

static void set_have(struct zn_pick_have *have, uint64_t gpus)
{
	have->gpus = (uint32_t)gpus;
	have->gpu_milli = 0;
	have->cpus = UINT32_MAX;
	have->mem_bytes = UINT64_MAX;
}

static void begin(void *arg, double now_s, struct zn_pick_gap *gap)
{
	(void)now_s;
	set_have(&gap->have[0], ((struct zn_pool *)arg)->free);
}

/* What there is at each level. */
static void count(const struct zn_pool *p, struct zn_pick_gap *gap)
{
	uint64_t least = p->free;

	set_have(&gap->have[0], least);
	for (uint32_t i = 0; i < gap->n; i++) {
		uint64_t left = p->ahead[gap->by_time[i]].left;
		least = left < least ? left : least;
		set_have(&gap->have[i + 1], least);
	}
}

static bool take(void *arg, struct zn_pick_job *job, uint32_t level, struct zn_pick_gap *gap)
{
	struct zn_pool *p = arg;

	p->free -= gpus_of(job);
	for (uint32_t i = 0; i < level; i++)
		p->ahead[gap->by_time[i]].left -= gpus_of(job);
	count(p, gap);
	return true;
}

/* Those who have reservations run, too; or no more.  Returns what they have.  One whose time nobody knows never does. */
static uint64_t hold(struct zn_pool *p, uint32_t n, bool held)
{
	uint64_t gpus = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct zn_row_node *node = &p->ahead[i].held;
		if (!node->weight)
			continue;
		if (held)
			zn_row_add(&p->pick.running, node);
		else
			zn_row_remove(&p->pick.running, node);
		gpus += node->weight;
	}
	return gpus;
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap)
{
	struct zn_pool *p = arg;
	struct zn_pool_ahead *mine = &p->ahead[gap->n];
	uint64_t sum = 0, wanted = hold(p, gap->n, true) + gpus_of(job) - p->free;
	const struct zn_row_node *last = zn_row_reach(&p->pick.running, wanted, &sum);

	hold(p, gap->n, false);
	if (!last)
		return false;
	double at_s = last->key > now_s ? last->key : now_s;
	mine->left = sum - wanted;
	zn_row_node_init(&mine->held, at_s + job->limit_s, job->seq);
	mine->held.weight = at_s < HUGE_VAL || must ? gpus_of(job) : 0;
	zn_gap_add(gap, at_s == HUGE_VAL && must ? -HUGE_VAL : at_s);
	count(p, gap);
	return true;
}

static const struct zn_pick_ops ops = { .begin = begin, .take = take, .reserve = reserve };

void zn_pool_init(struct zn_pool *p, struct zn_pick_policy policy, uint32_t gpus)
{
	*p = (struct zn_pool){ .gpus = gpus, .free = gpus };
	zn_pick_init(&p->pick, policy, gpus, &ops, p);
}

int zn_pool_wait(struct zn_pool *p, struct zn_pick_job *job, int64_t priority, uint32_t payer, bool may_exceed)
{
	return zn_pick_wait(&p->pick, job, &(struct zn_pick_ask){ .gpus = gpus_of(job), .priority = priority, .payer = payer, .may_exceed = may_exceed });
}

void zn_pool_end(struct zn_pool *p, struct zn_pick_job *job, double now_s)
{
	p->free += gpus_of(job);
	zn_pick_gone(&p->pick, job, now_s);
}

/* ---- what would be free ------------------------------------------------------------------------------------ */

struct then { const struct zn_pool *pool; uint32_t wanted; uint64_t free; };

static void then_begin(void *arg)
{
	struct then *t = arg;

	t->free = t->pool->free;
}

static void then_give(void *arg, const struct zn_pick_job *job)
{
	((struct then *)arg)->free += gpus_of(job);
}

static bool then_has_room(void *arg)
{
	const struct then *t = arg;

	return t->free >= t->wanted;
}

static const struct zn_then_ops then_ops = { .begin = then_begin, .give = then_give, .has_room = then_has_room };

size_t zn_pool_preempt(const struct zn_pool *p, const struct zn_pick_job *head, struct zn_victim *v, size_t n)
{
	struct then t = { .pool = p, .wanted = gpus_of(head) };
	bool enough;

	return zn_victims_choose(&then_ops, &t, t.wanted > p->free ? t.wanted - p->free : 0, v, n, &enough);
}
