#include "pick/room_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct zn_ask zn_room_ask(const struct zn_pick_ask *a)
{
	return (struct zn_ask){ .gpus = a->gpus, .cpus = { .has = a->cpus > 0, .v = a->cpus }, .mem_bytes = a->mem_bytes,
	                        .tasks = a->tasks, .nvlink_required = a->nvlink_required, .spread = a->spread, .near = a->near,
	                        .part = a->part };
}

static struct zn_places *places_new(uint32_t n)
{
	return calloc(1, sizeof(struct zn_places) + n * sizeof(struct zn_place));
}

static int open_ahead(struct zn_room *r, uint32_t reservations)
{
	r->ahead = calloc(reservations + 1, sizeof(*r->ahead)); /* one more, that of which memory was short is closed as well */
	for (; r->ahead && r->n_ahead < reservations; r->n_ahead++) {
		struct zn_room_ahead *a = &r->ahead[r->n_ahead];
		a->places = places_new(r->n);
		a->left = calloc(r->n + 1, sizeof(*a->left));
		if (!a->places || !a->left)
			return -ENOMEM;
	}
	return r->ahead ? 0 : -ENOMEM;
}

int zn_room_open(struct zn_room *r, uint32_t n, uint32_t reservations)
{
	r->nodes = calloc(n, sizeof(*r->nodes));
	r->places = places_new(n);
	r->choices = calloc(n, sizeof(*r->choices));
	r->n = n;
	return r->nodes && r->places && r->choices ? open_ahead(r, reservations ? reservations + ZN_PICK_CLOSINGS : 0) : -ENOMEM;
}

void zn_room_close(struct zn_room *r)
{
	for (uint32_t i = 0; r->ahead && i <= r->n_ahead; i++) {
		free(r->ahead[i].places);
		free(r->ahead[i].left);
	}
	zn_licences_done(&r->licences);
	free(r->booked);
	free(r->ahead);
	free(r->nodes);
	free(r->places);
	free(r->choices);
	r->nodes = NULL;
	r->places = NULL;
	r->choices = NULL;
	r->ahead = NULL;
	r->booked = NULL;
	r->n = r->n_ahead = 0;
	r->n_booked = 0;
}

struct zn_places *zn_places_copy(const struct zn_places *p)
{
	size_t size = sizeof(*p) + p->n * sizeof(p->v[0]);
	struct zn_places *copy = malloc(size);

	return copy ? memcpy(copy, p, size) : NULL;
}

void zn_room_set_facts(struct zn_room *r, uint32_t node, const struct zn_facts *facts)
{
	r->nodes[node].facts = facts;
	r->nodes[node].free = facts ? zn_plan_idle(facts) : (struct zn_free){ 0 };
}

/* ---- taking and giving ------------------------------------------------------------------------------------ */

void zn__free_take(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_take_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
}

void zn__free_give(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_give_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_or(&f->cpus, &p->cpus);
	f->mem_bytes += p->mem_bytes;
}

void zn_room_take(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < places->n; i++)
		zn__free_take(&r->nodes[places->v[i].node].free, &places->v[i].plan);
	zn_licences_take(&r->licences, wish);
}

void zn_room_give(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < places->n; i++)
		zn__free_give(&r->nodes[places->v[i].node].free, &places->v[i].plan);
	zn_licences_give(&r->licences, wish);
}

/* ---- CPUs alone ------------------------------------------------------------------------------------------- */

const struct zn_idset *zn__own_cpus(const struct zn_plan *p)
{
	static const struct zn_idset none;

	return p->cpus_held ? &p->cpus : &none;
}

void zn_room_lend_cpus(struct zn_room *r, struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset *free = &r->nodes[places->v[i].node].free.cpus;
		*free = zn_idset_or(free, zn__own_cpus(&places->v[i].plan));
		places->v[i].plan.cpus_held = 0;
	}
}

bool zn_room_take_back_cpus(struct zn_room *r, struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset left = zn_idset_minus(&places->v[i].plan.cpus, &r->nodes[places->v[i].node].free.cpus);
		if (!zn_idset_is_empty(&left))
			return false;
	}
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_place *p = &places->v[i];
		struct zn_idset *free = &r->nodes[p->node].free.cpus;
		*free = zn_idset_minus(free, &p->plan.cpus);
		p->plan.cpus_held = zn_idset_count(&p->plan.cpus);
	}
	return true;
}

void zn_room_claim_cpus(struct zn_room *r, const struct zn_places *places, int64_t priority)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_room_node *n = &r->nodes[places->v[i].node];
		if (zn_idset_is_empty(&n->claimed) || priority > n->claimed_by)
			n->claimed_by = priority;
		n->claimed = zn_idset_or(&n->claimed, &places->v[i].plan.cpus);
	}
}

/* ---- how much there is ------------------------------------------------------------------------------------ */

struct sum { double gpus, cpus, mem_bytes; };

static struct sum sum_of(const struct zn_room *r)
{
	struct sum sum = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_facts *f = r->nodes[i].facts;
		sum.gpus += f ? (double)f->n_gpus : 0;
		sum.cpus += f ? (double)f->n_cpus : 0;
		for (size_t k = 0; f && k < f->n_numas; k++)
			sum.mem_bytes += (double)f->numas[k].mem_bytes;
	}
	return sum;
}

bool zn_room_is_known(const struct zn_room *r)
{
	bool is = false;

	for (uint32_t i = 0; i < r->n; i++)
		is |= r->nodes[i].facts != NULL;
	return is;
}

uint32_t zn_room_gpus(const struct zn_room *r)
{
	return (uint32_t)sum_of(r).gpus;
}

double zn_room_total(const struct zn_room *r)
{
	struct sum all = sum_of(r);

	return all.gpus > 0 ? all.gpus : all.cpus;
}

double zn_room_size(const struct zn_room *r, const struct zn_pick_ask *ask)
{
	static const double least = 1e-3;
	struct sum all = sum_of(r);
	double part = least, total = all.gpus > 0 ? all.gpus : all.cpus;

	if (!total)
		return 1;
	if (all.gpus > 0)
		part = fmax(part, (ask->part.milli ? ask->part.milli / 1e3 : (double)ask->gpus) / all.gpus);
	if (all.cpus > 0)
		part = fmax(part, (double)(ask->cpus ? ask->cpus : ask->gpus ? 0 : ask->tasks) / all.cpus);
	if (ask->mem_bytes)
		part = fmax(part, (double)ask->mem_bytes / fmax(1, all.mem_bytes));
	return fmax(part, zn_licences_part(&r->licences, ask->wish)) * total;
}

void zn_room_fill_in(const struct zn_room *r, struct zn_gpu_part *part)
{
	struct zn_gpu_part most = *part;

	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_gpu_part here = *part;
		if (r->nodes[i].facts)
			zn_part_fill_in(&here, r->nodes[i].facts);
		if (here.milli > most.milli)
			most = here;
	}
	*part = most;
}
