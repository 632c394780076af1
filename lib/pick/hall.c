#define HASH_NONFATAL_OOM 1
#include "pick/hall.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pick/preempt.h"

/* ---- gangs ------------------------------------------------------------------------------------------------- */

const struct zn_fleet_gang *zn_hall_gang_of(const struct zn_hall *h, const struct zn_pick_job *job)
{
	return &h->gangs[job->gang]->gang;
}

/* For one more gang, and the spots of such a one. */
static int make_room(struct zn_hall *h, uint32_t spots)
{
	if (h->n_gangs + 1 >= h->cap_gangs) {
		size_t cap = h->cap_gangs ? 2 * h->cap_gangs : 16;
		struct zn_hall_gang **v = reallocarray(h->gangs, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		h->gangs = v;
		h->cap_gangs = cap;
	}
	if (spots <= h->cap_spots)
		return 0;
	struct zn_fleet_spot *v = reallocarray(h->spots, spots, sizeof(*v));
	if (v)
		h->spots = v;
	struct zn_fleet_spot *set = v ? reallocarray(h->set, spots, sizeof(*set)) : NULL;
	if (!set)
		return -ENOMEM;
	h->set = set;
	h->cap_spots = spots;
	return 0;
}

int64_t zn_hall_gang(struct zn_hall *h, const struct zn_fleet_gang *gang)
{
	struct zn_hall_gang *g;

	HASH_FIND(hh, h->by_gang, gang, sizeof(*gang), g); /* as bytes: it has no padding */
	if (g)
		return g->number;
	g = make_room(h, gang->n) < 0 ? NULL : calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->gang = *gang;
	HASH_ADD(hh, h->by_gang, gang, sizeof(*gang), g);
	if (!g->hh.tbl) {
		free(g);
		return -ENOMEM;
	}
	g->number = (uint32_t)++h->n_gangs;
	h->gangs[g->number] = g;
	return g->number;
}

static void free_gangs(struct zn_hall *h)
{
	struct zn_hall_gang *g, *next;

	HASH_ITER(hh, h->by_gang, g, next) {
		HASH_DEL(h->by_gang, g);
		free(g);
	}
	free(h->gangs);
}

int zn_hall_could(struct zn_hall *h, const struct zn_fleet_gang *gang)
{
	return zn_fleet_has_room(&h->now, gang);
}

static double gpus_of(const struct zn_fleet_gang *g)
{
	return (double)g->n * g->task.gpus * g->task.gpu_milli / ZN_GPU_MILLI;
}

double zn_hall_size(const struct zn_hall *h, const struct zn_fleet_gang *g)
{
	static const double least = 1e-3;
	double total = (double)h->now.gpu_milli / ZN_GPU_MILLI, size = gpus_of(g);

	if (h->cpu_milli && g->task.cpu_milli <= h->cpu_milli)
		size = fmax(size, (double)g->n * (double)g->task.cpu_milli / (double)h->cpu_milli * total);
	return fmax(size, least);
}

struct zn_pick_ask zn_hall_ask(const struct zn_fleet_gang *g)
{
	return (struct zn_pick_ask){ .gpus = (uint32_t)ceil(gpus_of(g)), .cpus = (uint32_t)((g->n * g->task.cpu_milli + 999) / 1000),
	                             .mem_bytes = g->n * g->task.mem_bytes, .tasks = g->n };
}

/* ---- the nodes ---------------------------------------------------------------------------------------------- */

void zn_hall_init(struct zn_hall *h, enum zn_fleet_policy policy)
{
	*h = (struct zn_hall){ 0 };
	zn_fleet_init(&h->now, policy, 1);
	zn_fleet_init(&h->beside, policy, 1);
}

void zn_hall_done(struct zn_hall *h)
{
	zn_pick_done(&h->pick);
	zn_fleet_then_done(&h->then);
	zn_fleet_done(&h->now);
	zn_fleet_done(&h->beside);
	free_gangs(h);
	free(h->spots);
	free(h->aside);
	free(h->set);
	*h = (struct zn_hall){ 0 };
}

int zn_hall_add(struct zn_hall *h, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes)
{
	int rc = zn_fleet_add(&h->now, gpus, model, cpu_milli, mem_bytes);

	if (cpu_milli != ZN_FLEET_UNKNOWN)
		h->cpu_milli += cpu_milli;
	return rc < 0 ? rc : zn_fleet_add(&h->beside, gpus, model, cpu_milli, mem_bytes);
}

int zn_hall_wire(struct zn_hall *h, const char *const *paths)
{
	int rc = zn_fleet_wire(&h->now, paths);

	return rc < 0 ? rc : zn_fleet_wire(&h->beside, paths);
}

/* ---- what is beside what is set aside ------------------------------------------------------------------------ */

/* Of the one fleet what the other has, but for what is set aside. */
static void follow(struct zn_hall *h, uint32_t at)
{
	const struct zn_hall_aside *a = &h->aside[at];
	struct zn_fleet_node node = h->now.nodes[at];

	for (uint64_t m = a->is ? a->gpus : 0; m; m &= m - 1) {
		uint16_t *milli = &node.milli[__builtin_ctzll(m)], most = (uint16_t)(*milli < a->milli_beside ? *milli : a->milli_beside);
		node.free_milli -= *milli - most;
		*milli = most;
	}
	if (a->is && node.cpu_milli > a->cpu_milli_beside)
		node.cpu_milli = a->cpu_milli_beside;
	if (a->is && node.mem_bytes > a->mem_bytes_beside)
		node.mem_bytes = a->mem_bytes_beside;
	zn_fleet_set(&h->beside, at, &node);
}

/* Of what is not known there is always enough. */
static uint64_t less(uint64_t a, uint64_t b)
{
	return a == ZN_FLEET_UNKNOWN ? a : a > b ? a - b : 0;
}

/* The gang has its spots then; nobody else has them before. */
static void set_aside(struct zn_hall *h, const struct zn_fleet_gang *gang, const struct zn_fleet_spot *spot)
{
	const struct zn_fleet_node *then = zn_fleet_then_node(&h->then, spot->node);

	h->aside[spot->node] = (struct zn_hall_aside){
		.is = true, .gpus = spot->gpus,
		.milli_beside = spot->gpus ? then->milli[__builtin_ctzll(spot->gpus)] - gang->task.gpu_milli : 0,
		.cpu_milli_beside = less(then->cpu_milli, gang->task.cpu_milli * spot->tasks),
		.mem_bytes_beside = less(then->mem_bytes, gang->task.mem_bytes * spot->tasks),
	};
}

/* To the spots that were chosen for the gang, of what was set aside before. */
static void set_aside_anew(struct zn_hall *h, const struct zn_fleet_gang *gang, const struct zn_fleet_spot *spots, uint32_t n)
{
	for (uint32_t i = 0; i < h->n_set; i++)
		h->aside[h->set[i].node].is = false;
	for (uint32_t i = 0; i < n; i++)
		set_aside(h, gang, &spots[i]);
	for (uint32_t i = 0; i < h->n_set; i++)
		follow(h, h->set[i].node);
	for (uint32_t i = 0; i < n; i++)
		follow(h, spots[i].node);
	memcpy(h->set, spots, n * sizeof(*spots));
	h->n_set = n;
}

/* ---- zn_pick_ops ------------------------------------------------------------------------------------------- */

static struct zn_pick_have have(const struct zn_fleet *f)
{
	uint64_t free = f->gpu_milli - f->used_milli;

	return (struct zn_pick_have){ .gpus = (uint32_t)((free + ZN_GPU_MILLI - 1) / ZN_GPU_MILLI), .cpus = UINT32_MAX,
	                              .mem_bytes = UINT64_MAX };
}

static void begin(void *arg, struct zn_pick_have *ret)
{
	struct zn_hall *h = arg;

	zn_fleet_tend(&h->now);
	zn_fleet_tend(&h->beside);
	*ret = have(&h->now);
}

static void take_spot(struct zn_hall *h, const struct zn_fleet_gang *gang, const struct zn_fleet_spot *spot, bool beside)
{
	struct zn_hall_aside *a = &h->aside[spot->node];

	zn_fleet_take(&h->now, &gang->task, spot);
	if (a->is && beside) { /* it may be there still when the first in line starts */
		if (a->gpus & spot->gpus)
			a->milli_beside -= gang->task.gpu_milli;
		a->cpu_milli_beside = less(a->cpu_milli_beside, gang->task.cpu_milli * spot->tasks);
		a->mem_bytes_beside = less(a->mem_bytes_beside, gang->task.mem_bytes * spot->tasks);
	}
	follow(h, spot->node);
}

static bool take(void *arg, struct zn_pick_job *job, bool beside, struct zn_pick_gap *gap)
{
	struct zn_hall *h = arg;
	const struct zn_fleet_gang *gang = zn_hall_gang_of(h, job);
	int rc = zn_fleet_choose_gang(beside ? &h->beside : &h->now, gang, h->spots, &h->n_spots);

	if (rc == -ENOMEM)
		h->rc = rc;
	if (rc < 0)
		return false;
	for (uint32_t i = 0; i < h->n_spots; i++)
		take_spot(h, gang, &h->spots[i], beside);
	h->is_set &= gap->shadow_s != 0; /* the first in line minds nothing that was set aside for another */
	gap->now = have(&h->now);
	gap->beside = have(&h->beside);
	return true;
}

static bool fits(void *arg, const struct zn_pick_job *job, bool beside)
{
	struct zn_hall *h = arg;

	return zn_fleet_has_room(beside ? &h->beside : &h->now, zn_hall_gang_of(h, job)) == 0;
}

/* One that runs ends. */
static int give_then(struct zn_hall *h, const struct zn_pick_job *job)
{
	const struct zn_hall_place *place = h->place_of(job);
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < place->n; i++)
		rc = zn_fleet_then_give(&h->then, &zn_hall_gang_of(h, job)->task, &place->spots[i]);
	return rc;
}

struct ahead { struct zn_hall *h; double at_s; uint64_t steps; int rc; };

/* One of those that run ends; returns whether there is no room yet. */
static bool end_then(void *arg, const struct zn_row_node *node)
{
	struct ahead *a = arg;
	const struct zn_pick_job *job = zn_pick_job_that_runs((struct zn_row_node *)node);

	a->rc = give_then(a->h, job);
	a->at_s = node->key;
	a->steps += a->h->place_of(job)->n;
	return a->rc == 0 && !zn_fleet_then_has_room(&a->h->then);
}

/* Lets those that run end, one after the other, until there is room, and says when that is. */
static struct ahead look_ahead(struct zn_hall *h, const struct zn_fleet_gang *gang)
{
	struct ahead a = { .h = h, .at_s = -HUGE_VAL, .rc = zn_fleet_then_begin(&h->then, gang) };

	if (a.rc == 0 && !zn_fleet_then_has_room(&h->then))
		zn_row_walk(&h->pick.running, end_then, &a);
	if (a.rc == 0 && !zn_fleet_then_has_room(&h->then))
		a.rc = -EAGAIN;
	return a;
}

/* What was set aside for this one still is, and it is too early to look for a better time. */
static bool is_set(struct zn_hall *h, const struct zn_pick_job *job, double now_s)
{
	h->steps_saved += h->steps_each;
	return h->is_set && h->set_for == job->seq && now_s < h->set_s && h->steps_saved < h->steps_last;
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, struct zn_pick_gap *gap)
{
	struct zn_hall *h = arg;
	const struct zn_fleet_gang *gang = zn_hall_gang_of(h, job);

	if (!is_set(h, job, now_s)) {
		struct ahead a = look_ahead(h, gang);
		h->steps_last = a.steps;
		h->steps_saved = 0;
		if (a.rc < 0) {
			h->rc = a.rc == -ENOMEM ? a.rc : h->rc;
			return false;
		}
		set_aside_anew(h, gang, h->spots, zn_fleet_then_choose(&h->then, h->spots));
		h->is_set = true;
		h->set_for = job->seq;
		h->set_s = fmax(a.at_s, now_s);
	}
	gap->shadow_s = h->set_s;
	gap->now = have(&h->now);
	gap->beside = have(&h->beside);
	return true;
}

static const struct zn_pick_ops ops = { .begin = begin, .take = take, .reserve = reserve, .fits = fits };

int zn_hall_open(struct zn_hall *h, struct zn_pick_policy policy, const struct zn_hall_place *(*place_of)(const struct zn_pick_job *))
{
	zn_pick_init(&h->pick, policy, fmax((double)h->now.gpu_milli / ZN_GPU_MILLI, 1), &ops, h);
	h->place_of = place_of;
	h->steps_each = ZN_HALL_STEPS;
	h->aside = calloc(h->now.n + 1, sizeof(*h->aside));
	return h->aside ? zn_fleet_then_init(&h->then, &h->now) : -ENOMEM;
}

/* ---- coming and going -------------------------------------------------------------------------------------- */

/* What is usual are whole nodes where a gang goes over several. */
static struct zn_fleet_task on_a_node(const struct zn_hall *h, const struct zn_fleet_gang *g)
{
	uint32_t n = g->task.gpus ? h->now.gpus_max / g->task.gpus : 1;

	n = n < g->n ? n : g->n;
	n = g->per_node && g->per_node < n ? g->per_node : n;
	return zn_fleet_task_times(&g->task, n ? n : 1);
}

int zn_hall_wait(struct zn_hall *h, struct zn_pick_job *job, uint32_t gang, int64_t priority, uint32_t payer, bool may_exceed)
{
	job->gang = gang;
	const struct zn_fleet_gang *g = zn_hall_gang_of(h, job);
	struct zn_fleet_task usual = on_a_node(h, g);

	if (zn_fleet_saw(&h->now, &usual) < 0 || zn_fleet_saw(&h->beside, &usual) < 0)
		return -ENOMEM;
	struct zn_pick_ask ask = zn_hall_ask(g);
	ask.priority = priority;
	ask.payer = payer;
	ask.may_exceed = may_exceed;
	ask.gang = gang;
	return zn_pick_wait(&h->pick, job, &ask);
}

void zn_hall_end(struct zn_hall *h, struct zn_pick_job *job, double now_s)
{
	const struct zn_hall_place *place = h->place_of(job);

	for (uint32_t i = 0; i < place->n; i++) {
		zn_fleet_give(&h->now, &zn_hall_gang_of(h, job)->task, &place->spots[i]);
		follow(h, place->spots[i].node);
	}
	zn_pick_gone(&h->pick, job, now_s);
}

/* ---- what would be free ------------------------------------------------------------------------------------- */

struct then { struct zn_hall *hall; const struct zn_fleet_gang *gang; };

static void note(struct zn_hall *h, int rc)
{
	h->rc = rc < 0 ? rc : h->rc;
}

static void then_begin(void *arg)
{
	struct then *t = arg;

	note(t->hall, zn_fleet_then_begin(&t->hall->then, t->gang));
}

static void then_give(void *arg, const struct zn_pick_job *job)
{
	struct zn_hall *h = ((struct then *)arg)->hall;

	note(h, give_then(h, job));
}

static bool then_has_room(void *arg)
{
	return zn_fleet_then_has_room(&((struct then *)arg)->hall->then);
}

static const struct zn_then_ops then_ops = { .begin = then_begin, .give = then_give, .has_room = then_has_room };

size_t zn_hall_preempt(struct zn_hall *h, const struct zn_pick_job *head, struct zn_victim *v, size_t n)
{
	struct then t = { .hall = h, .gang = zn_hall_gang_of(h, head) };
	uint32_t wanted = head->shape->ask.gpus, free = have(&h->now).gpus;
	bool enough;

	return zn_victims_choose(&then_ops, &t, wanted > free ? wanted - free : 0, v, n, &enough);
}
