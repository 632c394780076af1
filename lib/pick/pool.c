#include "pick/pool.h"

#include "pick/preempt.h"

static uint32_t gpus_of(const struct zn_pick_job *job)
{
	return (uint32_t)job->size;
}

static struct zn_pick_have have(uint64_t gpus)
{
	return (struct zn_pick_have){ .gpus = (uint32_t)gpus, .cpus = UINT32_MAX, .mem_bytes = UINT64_MAX };
}

static void begin(void *arg, struct zn_pick_have *ret)
{
	*ret = have(((struct zn_pool *)arg)->free);
}

static bool take(void *arg, struct zn_pick_job *job, bool beside, struct zn_pick_gap *gap)
{
	struct zn_pool *p = arg;

	p->free -= gpus_of(job);
	gap->now.gpus = p->free;
	if (beside)
		gap->beside.gpus -= gpus_of(job);
	return true;
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, struct zn_pick_gap *gap)
{
	struct zn_pool *p = arg;
	uint64_t sum = 0;
	const struct zn_row_node *last = zn_row_reach(&p->pick.running, gpus_of(job) - p->free, &sum);

	if (!last)
		return false;
	gap->shadow_s = last->key > now_s ? last->key : now_s;
	gap->beside = have(p->free + sum - gpus_of(job));
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
