/* room_left: what a node has left: now, beside reservations, or when jobs are over. */
#include <math.h>

#include "pick/room_priv.h"

const struct zn__room_of zn__room_now = { 0 }, zn__room_later = { .then = true };

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

static struct zn_free now_of(const struct zn_room_node *n)
{
	return without_held(&n->free, &n->held);
}

struct zn_free zn__room_unclaimed(const struct zn_room_node *n, const struct zn_free *f, int64_t priority)
{
	struct zn_free left = *f;

	if (priority <= n->claimed_by)
		left.cpus = zn_idset_minus(&left.cpus, &n->claimed);
	return left;
}

struct zn_free zn_room_free_for(const struct zn_room_node *n, const struct zn_pick_ask *wanted)
{
	return zn__room_unclaimed(n, &n->free, wanted->priority);
}

void zn__free_hold(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_hold_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
}

struct zn_free zn__room_then(const struct zn_room *r, uint32_t node)
{
	struct zn_free f = r->nodes[node].then;

	for (const struct zn_room_ahead *a = r->ahead; a < r->ahead + r->n_ahead; a++)
		for (uint32_t i = 0; a->holds && i < a->places->n; i++)
			if (a->places->v[i].node == node)
				zn__free_hold(&f, &a->places->v[i].plan);
	return f;
}

struct zn_free zn_room_at_level(const struct zn_room *r, uint32_t node, uint32_t level, const struct zn_pick_gap *gap)
{
	struct zn_free f = now_of(&r->nodes[node]);

	for (uint32_t i = 0; i < level; i++)
		f = both(&f, &r->ahead[gap->by_time[i]].left[node]);
	return f;
}

struct zn_free zn__room_part(const struct zn_room *r, uint32_t node, const struct zn__room_of *of)
{
	return of->then ? zn__room_then(r, node) : zn_room_at_level(r, node, of->level, of->gap);
}

bool zn__room_has_licences(const struct zn_licences *l, const struct zn_wish *wish, const struct zn__room_of *of)
{
	bool has = zn_licences_fit(l, wish, of->then ? ZN_LICENCES_THEN : ZN_LICENCES_NOW);

	for (uint32_t i = 0; has && i < of->level; i++)
		has = zn_licences_fit(l, wish, ZN_LICENCES_AHEAD + of->gap->by_time[i]);
	return has;
}

bool zn__room_is_open(const struct zn_room *r, const struct zn_room_node *n)
{
	bool is_over = n->closes_s && n->closes_s <= r->now_s && r->now_s < n->opens_s;

	return n->facts && !n->is_closed && !is_over;
}

struct zn_pick_have zn__room_have(const struct zn_room *r, const struct zn__room_of *of)
{
	struct zn_pick_have sum = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		if (!zn__room_is_open(r, n))
			continue;
		struct zn_free f = zn__room_part(r, i, of);
		struct zn_pick_have one = have(&f);
		sum.gpus += one.gpus;
		sum.gpu_milli = one.gpu_milli > sum.gpu_milli ? one.gpu_milli : sum.gpu_milli;
		sum.cpus += one.cpus;
		sum.mem_bytes += one.mem_bytes;
	}
	return sum;
}

/* ---- what would be ----------------------------------------------------------------------------------------- */

void zn_room_future(struct zn_room *r, int64_t priority, double over_s)
{
	r->then_s = r->now_s;
	r->over_s = over_s;
	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_free now = now_of(&r->nodes[i]);
		r->nodes[i].then = zn__room_unclaimed(&r->nodes[i], &now, priority);
	}
	zn_licences_copy(&r->licences, ZN_LICENCES_THEN, ZN_LICENCES_NOW);
}

void zn_room_future_give(struct zn_room *r, const struct zn_pick_job *job)
{
	const struct zn_places *places = r->places_of(job);

	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_room_node *n = &r->nodes[places->v[i].node];
		zn__free_give(&n->then, &places->v[i].plan);
		n->then = without_held(&n->then, &n->held);
	}
	zn_licences_add(&r->licences, r->wish_of(job), ZN_LICENCES_THEN, 1);
}

void zn_room_future_lend_cpus(struct zn_room *r, const struct zn_pick_job *job)
{
	const struct zn_places *places = r->places_of(job);

	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset *then = &r->nodes[places->v[i].node].then.cpus;
		*then = zn_idset_or(then, zn__own_cpus(&places->v[i].plan));
	}
}

bool zn_room_future_fits(struct zn_room *r, const struct zn_pick_ask *wanted)
{
	struct zn_pick_have left = zn__room_have(r, &zn__room_later);

	if (!zn_pick_fits(wanted, &left) || !zn__room_has_licences(&r->licences, wanted->wish, &zn__room_later) || !zn__room_find(r, wanted, &zn__room_later))
		return false;
	for (uint32_t i = 0; i < r->places->n; i++) {
		struct zn_place *place = &r->places->v[i];
		if (wanted->gpus && !wanted->cpus) /* it takes what CPUs are left, even none */
			place->plan.cpus_held = 0;
		zn__free_take(&r->nodes[place->node].then, &place->plan);
	}
	zn_licences_add(&r->licences, wanted->wish, ZN_LICENCES_THEN, -1);
	return true;
}
