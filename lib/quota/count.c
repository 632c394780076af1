/* count: what everybody has, and had. */
#include "quota/quota_priv.h"

#include <math.h>
#include <utlist.h>

static void note_changed(struct zn_payers *p, struct zn_owner *o)
{
	o->changed++;
	if (o->in_changed)
		return;
	o->in_changed = true;
	LL_PREPEND2(p->changed, o, next_changed);
}

static void add(struct zn_use *to, const struct zn_use *use)
{
	to->running += use->running;
	to->queued += use->queued;
	to->gpus += use->gpus;
	to->gpu_milli += use->gpu_milli;
	to->cpus += use->cpus;
	to->mem_bytes += use->mem_bytes;
}

struct zn_use zn__use_minus(const struct zn_use *a, const struct zn_use *b)
{
	return (struct zn_use){ .running = a->running - b->running, .queued = a->queued - b->queued, .gpus = a->gpus - b->gpus,
	                        .gpu_milli = a->gpu_milli - b->gpu_milli, .cpus = a->cpus - b->cpus, .mem_bytes = a->mem_bytes - b->mem_bytes };
}

void zn_payer_add(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	zn__each_owner(o, p, payer) {
		note_changed(p, o);
		add(&o->use, use);
		if (use->over)
			add(&o->over, use);
	}
}

void zn_payer_take(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	zn__each_owner(o, p, payer) {
		note_changed(p, o);
		o->use = zn__use_minus(&o->use, use);
		if (use->over)
			o->over = zn__use_minus(&o->over, use);
	}
}

bool zn_payer_has_soft(const struct zn_payers *p, uint32_t payer)
{
	bool has = false;

	zn__each_owner(o, p, payer)
		has |= zn__quota_has_soft(o->quota);
	return has;
}

/* What runs is in the ledger up to now. */
static void count_up_to(struct zn_owner *o, double now_s)
{
	if (o->gpus_on > 0 && now_s > o->counted_s)
		zn_ledger_add(&o->ledger, o->counted_s, now_s, o->gpus_on);
	o->counted_s = now_s;
}

static void forget_hours(struct zn_owner *o)
{
	for (unsigned i = 0; i < ZN_QUOTA_LEVELS; i++)
		o->hours[i].until_s = 0;
}

static void hours_changed(struct zn_owner *o, double at_s)
{
	forget_hours(o);
	o->on_s = at_s;
}

/* From a start that may be past. */
static void begin_gpus(struct zn_payers *p, uint32_t payer, double gpus, double start_s)
{
	zn__each_owner(o, p, payer) {
		count_up_to(o, fmax(start_s, o->counted_s));
		zn_ledger_add(&o->ledger, start_s, o->counted_s, gpus);
		o->gpus_on += gpus;
		hours_changed(o, start_s);
	}
}

/* At an end that may be past. */
static void end_gpus(struct zn_payers *p, uint32_t payer, double gpus, double end_s)
{
	zn__each_owner(o, p, payer) {
		count_up_to(o, fmax(end_s, o->counted_s));
		zn_ledger_add(&o->ledger, end_s, o->counted_s, -gpus);
		o->gpus_on = fmax(0, o->gpus_on - gpus);
		hours_changed(o, end_s);
	}
}

static void add_hours(struct zn_payers *p, uint32_t payer, double gpus, double start_s, double end_s)
{
	zn__each_owner(o, p, payer) {
		zn_ledger_add(&o->ledger, start_s, end_s, gpus);
		forget_hours(o);
	}
}

static struct zn_leaf *leaf_of(const struct zn_payers *p, uint32_t payer)
{
	return payer ? p->v[payer - 1].leaf : NULL;
}

void zn_payer_began(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	begin_gpus(p, payer, zn_use_gpus(use), start_s);
	if (leaf) {
		zn_used_began(&leaf->gpu, half_s, zn_use_gpus(use), start_s);
		zn_used_began(&leaf->cpu, half_s, (double)use->cpus, start_s);
	}
}

void zn_payer_ran(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	add_hours(p, payer, zn_use_gpus(use), start_s, end_s);
	if (leaf) {
		zn_used_ran(&leaf->gpu, half_s, zn_use_gpus(use), start_s, end_s);
		zn_used_ran(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payer_ended(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	end_gpus(p, payer, zn_use_gpus(use), end_s);
	if (leaf) {
		zn_used_ended(&leaf->gpu, half_s, zn_use_gpus(use), start_s, end_s);
		zn_used_ended(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payers_take_ledgers(struct zn_payers *p, const struct zn_payers *from)
{
	for (struct zn_owner *o = p->owners; o; o = o->hh.next) {
		struct zn_owner *other;
		HASH_FIND_STR(from->owners, o->name, other);
		if (other) {
			o->ledger = other->ledger;
			o->counted_s = other->counted_s;
			forget_hours(o);
		}
	}
}

double zn_owner_gpu_s(struct zn_owner *o, double now_s)
{
	count_up_to(o, now_s);
	return fmax(0, zn_ledger_sum(&o->ledger, now_s));
}
