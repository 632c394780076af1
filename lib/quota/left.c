/* left: what more an owner may have, and when. */
#include "quota/quota_priv.h"

#include <math.h>

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void zn_owner_wants(struct zn_owner *o, const struct zn_use *use)
{
	o->most.running = max(o->most.running, use->running);
	o->most.gpus = max(o->most.gpus, use->gpus);
	o->most.gpu_milli = max(o->most.gpu_milli, use->gpu_milli);
	o->most.cpus = max(o->most.cpus, use->cpus);
	o->most.mem_bytes = max(o->most.mem_bytes, use->mem_bytes);
}

static uint64_t left(struct zn_ou64 most, uint64_t have)
{
	return !most.has ? UINT64_MAX : most.v > have ? most.v - have : 0;
}

/* In whole ones and thousandths. */
static void gpus_left(struct zn_ou64 most, const struct zn_use *have, struct zn_use *ret)
{
	uint64_t all = zn_use_all_milli(&(struct zn_use){ .gpus = most.v }), had = zn_use_all_milli(have), more = all > had ? all - had : 0;

	*ret = (struct zn_use){ .gpus = most.has ? more / 1000 : UINT64_MAX, .gpu_milli = most.has ? more % 1000 : 0 };
}

static struct zn_use left_of(const struct zn_limits *l, const struct zn_use *have)
{
	struct zn_use ret;

	gpus_left(l->gpus, have, &ret);
	ret.running = left(l->running, have->running);
	ret.cpus = left(l->cpus, have->cpus);
	ret.mem_bytes = left(l->mem_bytes, have->mem_bytes);
	return ret;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct zn_use less_of(const struct zn_use *a, const struct zn_use *b)
{
	struct zn_use ret = zn_use_all_milli(a) < zn_use_all_milli(b) ? *a : *b;

	ret.running = min(a->running, b->running);
	ret.cpus = min(a->cpus, b->cpus);
	ret.mem_bytes = min(a->mem_bytes, b->mem_bytes);
	return ret;
}

/* What is over the soft limits counts for the hard ones alone. */
static struct zn_use left_up_to(const struct zn_owner *o, enum zn_quota_level level, const struct zn_use *have, const struct zn_use *over)
{
	struct zn_use ret = left_of(&o->quota->hard, have);

	if (level == ZN_QUOTA_HARD || !zn__quota_has_soft(o->quota))
		return ret;
	struct zn_use within = zn__use_minus(have, over), soft = left_of(&o->quota->soft, &within);
	return less_of(&ret, &soft);
}

/* Of both limits the lower one. */
static struct zn_of64 hours_of(const struct zn_owner *o, enum zn_quota_level level)
{
	const struct zn_of64 *hard = &o->quota->hard.gpu_hours, *soft = &o->quota->soft.gpu_hours;

	return level == ZN_QUOTA_HARD || !soft->has || (hard->has && hard->v < soft->v) ? *hard : *soft;
}

static struct zn_owner_may find_left(struct zn_owner *o, enum zn_quota_level level, double now_s)
{
	static const struct zn_use nothing;
	struct zn_of64 hours = hours_of(o, level);

	return (struct zn_owner_may){
		.left = left_up_to(o, level, &o->use, &o->over),
		.ever = left_up_to(o, level, &nothing, &nothing),
		.left_hours = zn_owner_has_hours(o, level, now_s),
		.ever_hours = !hours.has || hours.v > 0,
	};
}

void zn_owner_find_left(struct zn_owner *o, double now_s)
{
	o->may[ZN_QUOTA_HARD] = find_left(o, ZN_QUOTA_HARD, now_s);
	o->may[ZN_QUOTA_SOFT] = zn__quota_has_soft(o->quota) ? find_left(o, ZN_QUOTA_SOFT, now_s) : o->may[ZN_QUOTA_HARD];
}

bool zn_owner_is_tight(const struct zn_owner *o)
{
	struct zn_use now = left_up_to(o, ZN_QUOTA_SOFT, &o->use, &o->over);

	return zn_left_lacks(&now, true, &o->most) != ZN_SCARCE_NOTHING;
}

bool zn_owner_has_hours(struct zn_owner *o, enum zn_quota_level level, double now_s)
{
	struct zn_owner_hours *h = &o->hours[level];
	struct zn_of64 most = hours_of(o, level);

	if (!most.has)
		return true;
	if (now_s >= h->at_s && now_s < h->until_s)
		return h->has;
	double used_s = zn_owner_gpu_s(o, now_s), most_s = most.v * 3600;
	h->has = used_s < most_s;
	h->at_s = now_s;
	h->until_s = !h->has ? zn_ledger_next_s(&o->ledger, now_s)
	             : o->gpus_on > 0 ? now_s + (most_s - used_s) / o->gpus_on : HUGE_VAL; /* what slides out only makes it more */
	return h->has;
}

/* What runs is too much by itself, and all else has slid out: before an end nothing gets better. */
static bool waits_for_an_end(const struct zn_owner *o, enum zn_quota_level level, double now_s)
{
	return o->gpus_on * o->quota->window_s >= hours_of(o, level).v * 3600 && now_s - o->on_s >= o->quota->window_s;
}

enum zn_scarce zn__owner_lacks(struct zn_owner *o, enum zn_quota_level level, const struct zn_use *use, double now_s)
{
	struct zn_use now = left_up_to(o, level, &o->use, &o->over);

	return zn_left_lacks(&now, zn_owner_has_hours(o, level, now_s), use);
}

bool zn_use_needs(const struct zn_use *use, enum zn_scarce what)
{
	return what == ZN_SCARCE_CPUS ? use->cpus : what == ZN_SCARCE_MEM ? use->mem_bytes
	       : what == ZN_SCARCE_GPUS || what == ZN_SCARCE_HOURS ? zn_use_all_milli(use) : use->running;
}

/* He has none, and time alone may give him some. */
static bool gets_hours(struct zn_owner *o, enum zn_quota_level level, double now_s)
{
	return !zn_owner_has_hours(o, level, now_s) && !waits_for_an_end(o, level, now_s);
}

double zn_payers_again_s(struct zn_payers *p)
{
	double first_s = 0;

	for (struct zn_owner *o = p->timed; o; o = o->next_timed) {
		if (!gets_hours(o, ZN_QUOTA_SOFT, p->now_s) && !gets_hours(o, ZN_QUOTA_HARD, p->now_s))
			continue;
		double next_s = zn_ledger_next_s(&o->ledger, p->now_s);
		if (first_s == 0 || next_s < first_s)
			first_s = next_s;
	}
	return first_s;
}
