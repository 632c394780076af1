#include "pick/room.h"

#include <math.h>

struct zn_ask zn_room_ask(const struct zn_pick_ask *a)
{
	return (struct zn_ask){ .gpus = a->gpus, .cpus = { .has = a->cpus > 0, .v = a->cpus }, .mem_bytes = a->mem_bytes,
	                        .tasks = a->tasks, .nvlink_required = a->nvlink_required, .part = a->part };
}

/* ---- taking and giving ------------------------------------------------------------------------------------ */

static void take_from(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_take_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
}

static void give_to(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_give_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_or(&f->cpus, &p->cpus);
	f->mem_bytes += p->mem_bytes;
}

void zn_room_take(struct zn_room *r, const struct zn_plan *plan, const struct zn_wish *wish)
{
	take_from(&r->free, plan);
	zn_licences_take(&r->licences, wish);
}

void zn_room_give(struct zn_room *r, const struct zn_plan *plan, const struct zn_wish *wish)
{
	give_to(&r->free, plan);
	zn_licences_give(&r->licences, wish);
}

/* ---- how much there is ------------------------------------------------------------------------------------ */

static uint64_t total_mem(const struct zn_facts *f)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->n_numas; i++)
		sum += f->numas[i].mem_bytes;
	return sum;
}

double zn_room_total(const struct zn_room *r)
{
	if (!r->facts)
		return 0;
	return r->facts->n_gpus ? (double)r->facts->n_gpus : (double)r->facts->n_cpus;
}

double zn_room_size(const struct zn_room *r, const struct zn_pick_ask *ask)
{
	static const double least = 1e-3;
	double part = least, total = zn_room_total(r);

	if (!total)
		return 1;
	if (r->facts->n_gpus)
		part = fmax(part, ask->part.milli ? ask->part.milli / 1e3 / (double)r->facts->n_gpus : (double)ask->gpus / (double)r->facts->n_gpus);
	if (r->facts->n_cpus)
		part = fmax(part, (double)(ask->cpus ? ask->cpus : ask->gpus ? 0 : ask->tasks) / (double)r->facts->n_cpus);
	if (ask->mem_bytes)
		part = fmax(part, (double)ask->mem_bytes / fmax(1, (double)total_mem(r->facts)));
	return fmax(part, zn_licences_part(&r->licences, ask->wish)) * total;
}

static struct zn_pick_have have(const struct zn_free *f)
{
	return (struct zn_pick_have){ .gpus = zn_idset_count(&f->gpus), .gpu_milli = zn_free_milli_most(f), .cpus = zn_idset_count(&f->cpus),
	                              .mem_bytes = f->mem_bytes };
}

static struct zn_free without_held(const struct zn_free *f, const struct zn_idset *held)
{
	struct zn_free left = *f;

	zn_free_drop_gpus(&left, held);
	return left;
}

/* What both have. */
static struct zn_free both(const struct zn_free *a, const struct zn_free *b)
{
	struct zn_free ret = *a;

	zn_free_cut_gpus(&ret, b);
	ret.cpus = zn_idset_and(&a->cpus, &b->cpus);
	ret.mem_bytes = a->mem_bytes < b->mem_bytes ? a->mem_bytes : b->mem_bytes;
	return ret;
}

/* ---- zn_pick_ops ------------------------------------------------------------------------------------------- */

static void begin(void *arg, struct zn_pick_have *ret)
{
	struct zn_room *r = arg;

	r->beside = without_held(&r->free, &r->held);
	zn_licences_copy(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	*ret = have(&r->beside);
}

static bool take(void *arg, struct zn_pick_job *job, bool beside, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	const struct zn_wish *wish = job->shape->ask.wish;
	struct zn_ask ask = zn_room_ask(&job->shape->ask);
	struct zn_free now = without_held(&r->free, &r->held);

	if (!r->facts || !zn_licences_fit(&r->licences, wish, beside ? ZN_LICENCES_BESIDE : ZN_LICENCES_NOW) ||
	    zn_plan_make(r->facts, beside ? &r->beside : &now, &ask, &r->plan, NULL) < 0)
		return false;
	take_from(&now, &r->plan);
	zn_room_take(r, &r->plan, wish);
	if (beside) { /* it may be there still when the first in line starts */
		zn_free_take_gpus(&r->beside, &r->plan);
		r->beside.mem_bytes -= r->plan.mem_bytes < r->beside.mem_bytes ? r->plan.mem_bytes : r->beside.mem_bytes;
		zn_licences_add(&r->licences, wish, ZN_LICENCES_BESIDE, -1);
	}
	r->beside = both(&r->beside, &now);
	zn_licences_cut(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	gap->now = have(&now);
	gap->beside = have(&r->beside);
	return true;
}

void zn_room_future(struct zn_room *r)
{
	r->then = without_held(&r->free, &r->held);
	zn_licences_copy(&r->licences, ZN_LICENCES_THEN, ZN_LICENCES_NOW);
}

void zn_room_future_give(struct zn_room *r, const struct zn_pick_job *job)
{
	give_to(&r->then, r->plan_of(job));
	r->then = without_held(&r->then, &r->held);
	zn_licences_add(&r->licences, r->wish_of(job), ZN_LICENCES_THEN, 1);
}

bool zn_room_future_fits(struct zn_room *r, const struct zn_pick_ask *wanted)
{
	struct zn_ask ask = zn_room_ask(wanted);
	struct zn_pick_have left = have(&r->then);
	struct zn_plan plan;

	if (!zn_pick_fits(wanted, &left) || !zn_licences_fit(&r->licences, wanted->wish, ZN_LICENCES_THEN) ||
	    zn_plan_make(r->facts, &r->then, &ask, &plan, NULL) < 0)
		return false;
	if (wanted->gpus && !wanted->cpus) /* it takes what CPUs are left, even none */
		plan.cpus_held = 0;
	take_from(&r->then, &plan);
	zn_licences_add(&r->licences, wanted->wish, ZN_LICENCES_THEN, -1);
	return true;
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	struct zn_free now = without_held(&r->free, &r->held);
	struct zn_row_node *node = NULL;

	if (!r->facts)
		return false;
	zn_room_future(r);
	for (uint32_t i = 0; !zn_room_future_fits(r, &job->shape->ask); i++) {
		node = zn_row_nth(r->running, i);
		if (!node)
			return false;
		zn_room_future_give(r, zn_pick_job_that_runs(node));
	}
	r->beside = both(&now, &r->then);
	zn_licences_copy(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	zn_licences_cut(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_THEN);
	gap->beside = have(&r->beside);
	gap->shadow_s = node && node->key > now_s ? node->key : now_s;
	return true;
}

const struct zn_pick_ops zn_room_ops = { .begin = begin, .take = take, .reserve = reserve };
