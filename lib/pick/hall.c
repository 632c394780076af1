#define HASH_NONFATAL_OOM 1
#include "base/hash.h"
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
	if (!v)
		return -ENOMEM;
	h->spots = v;
	for (uint32_t i = 0; i < h->n_ahead; i++) {
		struct zn_fleet_spot *set = reallocarray(h->ahead[i].set, spots, sizeof(*set));
		if (!set)
			return -ENOMEM;
		h->ahead[i].set = set;
	}
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

int zn_hall_init(struct zn_hall *h, enum zn_fleet_policy policy, uint32_t reservations)
{
	uint32_t n = reservations ? reservations : 1;

	*h = (struct zn_hall){ .ahead = calloc(n, sizeof(*h->ahead)), .beside = calloc(n, sizeof(*h->beside)) };
	zn_fleet_init(&h->now, policy, 1);
	if (!h->ahead || !h->beside)
		return -ENOMEM;
	for (; h->n_ahead < n; h->n_ahead++)
		zn_fleet_init(&h->beside[h->n_ahead], policy, 1);
	return 0;
}

void zn_hall_done(struct zn_hall *h)
{
	zn_pick_done(&h->pick);
	zn_fleet_then_done(&h->then);
	zn_fleet_done(&h->now);
	for (uint32_t i = 0; i < h->n_ahead; i++) {
		zn_fleet_done(&h->beside[i]);
		free(h->ahead[i].aside);
		free(h->ahead[i].set);
	}
	free_gangs(h);
	free(h->spots);
	free(h->ahead);
	free(h->beside);
	*h = (struct zn_hall){ 0 };
}

int zn_hall_add(struct zn_hall *h, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes)
{
	int rc = zn_fleet_add(&h->now, gpus, model, cpu_milli, mem_bytes);

	if (cpu_milli != ZN_FLEET_UNKNOWN)
		h->cpu_milli += cpu_milli;
	for (uint32_t i = 0; rc == 0 && i < h->n_ahead; i++)
		rc = zn_fleet_add(&h->beside[i], gpus, model, cpu_milli, mem_bytes);
	return rc;
}

int zn_hall_wire(struct zn_hall *h, const char *const *paths)
{
	int rc = zn_fleet_wire(&h->now, paths);

	for (uint32_t i = 0; rc == 0 && i < h->n_ahead; i++)
		rc = zn_fleet_wire(&h->beside[i], paths);
	return rc;
}

void zn_hall_link(struct zn_hall *h, uint32_t node, const struct zn_fleet_links *links)
{
	zn_fleet_link(&h->now, node, links);
	for (uint32_t i = 0; i < h->n_ahead; i++)
		zn_fleet_link(&h->beside[i], node, links);
}

/* ---- what is beside what is set aside ------------------------------------------------------------------------ */

/* Without what is set aside of it, if anything is. */
static void leave_aside(struct zn_fleet_node *node, const struct zn_hall_aside *a)
{
	for (uint64_t m = a->is ? a->gpus : 0; m; m &= m - 1) {
		uint16_t *milli = &node->milli[__builtin_ctzll(m)], most = (uint16_t)(*milli < a->milli_beside ? *milli : a->milli_beside);
		node->free_milli -= *milli - most;
		*milli = most;
	}
	if (a->is && node->cpu_milli > a->cpu_milli_beside)
		node->cpu_milli = a->cpu_milli_beside;
	if (a->is && node->mem_bytes > a->mem_bytes_beside)
		node->mem_bytes = a->mem_bytes_beside;
}

/* Of what is not known there is always enough. */
static uint64_t less(uint64_t a, uint64_t b)
{
	return a == ZN_FLEET_UNKNOWN ? a : a > b ? a - b : 0;
}

/* Tasks that are there then, or are not over by then, have something of what was left beside it. */
static void use_beside(struct zn_hall_aside *a, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot)
{
	if (!a->is)
		return;
	if (a->gpus & spot->gpus)
		a->milli_beside = (uint32_t)less(a->milli_beside, task->gpu_milli);
	a->cpu_milli_beside = less(a->cpu_milli_beside, task->cpu_milli * spot->tasks);
	a->mem_bytes_beside = less(a->mem_bytes_beside, task->mem_bytes * spot->tasks);
}

static const struct zn_fleet_task *task_of(const struct zn_hall *h, const struct zn_hall_ahead *a)
{
	return &h->gangs[a->gang]->gang.task;
}

static struct zn_fleet_held held_by(const struct zn_hall *h, const struct zn_hall_ahead *a)
{
	return (struct zn_fleet_held){ .task = task_of(h, a), .spots = a->set, .n = a->n_set };
}

/* One without a known end is there for ever. */
static bool is_there(const struct zn_hall_ahead *a, double at_s)
{
	return a->from_s <= at_s && (at_s < a->until_s || a->until_s == HUGE_VAL);
}

/* What is set aside of a node, and what may be used beside it once those are there who start earlier, and were behind it in
 * the line.
 */
static struct zn_hall_aside aside_on(const struct zn_hall *h, const struct zn_hall_ahead *of, uint32_t at)
{
	struct zn_hall_aside a = of->aside[at];

	for (uint32_t i = 0; a.is && !h->in_order && i < h->n_levels; i++) {
		const struct zn_hall_ahead *other = &h->ahead[h->levels[i]];
		struct zn_fleet_held held = held_by(h, other);
		const struct zn_fleet_spot *spot = other > of && is_there(other, of->from_s) ? zn_fleet_held_on(&held, at) : NULL;
		if (spot)
			use_beside(&a, held.task, spot);
	}
	return a;
}

/* Of the fleets of all levels what the lowest has, but for what is set aside. */
static void follow(struct zn_hall *h, uint32_t at)
{
	struct zn_fleet_node node = h->now.nodes[at];

	for (uint32_t i = 0; i < h->n_ahead; i++) {
		if (i < h->n_levels) {
			struct zn_hall_aside a = aside_on(h, &h->ahead[h->levels[i]], at);
			leave_aside(&node, &a);
		}
		zn_fleet_set(&h->beside[i], at, &node);
	}
}

static void follow_all(struct zn_hall *h, const struct zn_hall_ahead *a)
{
	for (uint32_t i = 0; i < a->n_set; i++)
		follow(h, a->set[i].node);
}

/* Who has the reservation has its spots then; nobody else has them before. */
static void set_aside(struct zn_hall *h, struct zn_hall_ahead *mine, const struct zn_fleet_spot *spot)
{
	const struct zn_fleet_task *task = task_of(h, mine);
	struct zn_fleet_node then = zn_fleet_then_node(&h->then, spot->node);

	mine->aside[spot->node] = (struct zn_hall_aside){
		.is = true, .gpus = spot->gpus,
		.milli_beside = spot->gpus ? then.milli[__builtin_ctzll(spot->gpus)] - task->gpu_milli : 0,
		.cpu_milli_beside = less(then.cpu_milli, task->cpu_milli * spot->tasks),
		.mem_bytes_beside = less(then.mem_bytes, task->mem_bytes * spot->tasks),
	};
}

/* To the spots that were chosen for it, of what was set aside before. */
static void set_aside_anew(struct zn_hall *h, struct zn_hall_ahead *mine, const struct zn_fleet_spot *spots, uint32_t n)
{
	uint32_t before = mine->n_set;

	for (uint32_t i = 0; i < before; i++)
		mine->aside[mine->set[i].node].is = false;
	for (uint32_t i = 0; i < n; i++)
		set_aside(h, mine, &spots[i]);
	mine->n_set = 0;
	for (uint32_t i = 0; i < before; i++)
		follow(h, mine->set[i].node);
	memcpy(mine->set, spots, n * sizeof(*spots));
	mine->n_set = n;
}

/* The reservations of the gap make the levels. */
static void set_levels(struct zn_hall *h, const struct zn_pick_gap *gap)
{
	h->n_levels = gap->n;
	memcpy(h->levels, gap->by_time, gap->n * sizeof(*gap->by_time));
	h->in_order = true;
	for (uint32_t i = 0; i < gap->n; i++)
		h->in_order &= gap->by_time[i] == i;
}

/* ---- zn_pick_ops ------------------------------------------------------------------------------------------- */

static struct zn_pick_have have(const struct zn_fleet *f)
{
	uint64_t free = f->gpu_milli - f->used_milli;

	return (struct zn_pick_have){ .gpus = (uint32_t)((free + ZN_GPU_MILLI - 1) / ZN_GPU_MILLI), .cpus = UINT32_MAX,
	                              .mem_bytes = UINT64_MAX };
}

static void count(const struct zn_hall *h, struct zn_pick_gap *gap)
{
	gap->have[0] = have(&h->now);
	for (uint32_t i = 0; i < gap->n; i++)
		gap->have[i + 1] = have(&h->beside[i]);
}

static void begin(void *arg, double now_s, struct zn_pick_gap *gap)
{
	struct zn_hall *h = arg;

	(void)now_s;
	zn_fleet_tend(&h->now);
	for (uint32_t i = 0; i < h->n_ahead; i++)
		zn_fleet_tend(&h->beside[i]);
	gap->have[0] = have(&h->now);
}

static struct zn_fleet *at_level(struct zn_hall *h, uint32_t level)
{
	return level ? &h->beside[level - 1] : &h->now;
}

static bool take(void *arg, struct zn_pick_job *job, uint32_t level, struct zn_pick_gap *gap)
{
	struct zn_hall *h = arg;
	const struct zn_fleet_gang *gang = zn_hall_gang_of(h, job);
	int rc = zn_fleet_choose_gang(at_level(h, level), gang, h->spots, &h->n_spots);

	if (rc == -ENOMEM)
		h->rc = rc;
	if (rc < 0)
		return false;
	for (uint32_t i = 0; i < h->n_spots; i++) {
		const struct zn_fleet_spot *spot = &h->spots[i];
		zn_fleet_take(&h->now, &gang->task, spot);
		for (uint32_t k = 0; k < level; k++) /* it may be there still when who has that one starts */
			use_beside(&h->ahead[gap->by_time[k]].aside[spot->node], &gang->task, spot);
		follow(h, spot->node);
	}
	if (h->n_set > gap->n) /* it minds nothing that was set aside for those behind it */
		h->n_set = gap->n;
	count(h, gap);
	return true;
}

static bool fits(void *arg, const struct zn_pick_job *job, uint32_t level)
{
	struct zn_hall *h = arg;

	return zn_fleet_has_room(at_level(h, level), zn_hall_gang_of(h, job)) == 0;
}

/* ---- reservations ------------------------------------------------------------------------------------------- */

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

static bool has_room(const struct ahead *a)
{
	return a->rc < 0 || zn_fleet_then_has_room(&a->h->then);
}

static void let_go(struct zn_hall *h, struct zn_hall_ahead *one)
{
	struct zn_fleet_held held = held_by(h, one);

	zn_fleet_then_let_go(&h->then, &held);
	one->holds = false;
}

/* Of those who are held the first that is over by then; NULL: nobody is. */
static struct zn_hall_ahead *first_over(struct zn_hall *h, double by_s)
{
	struct zn_hall_ahead *first = NULL;

	for (struct zn_hall_ahead *one = h->ahead; one < h->ahead + h->n_ahead; one++)
		if (one->holds && one->until_s <= by_s && (!first || one->until_s < first->until_s))
			first = one;
	return first;
}

/* Those who are over by then are gone, one after the other, until there is room. */
static void end_held(struct ahead *a, double by_s)
{
	struct zn_hall_ahead *first;

	while (!has_room(a) && (first = first_over(a->h, by_s))) {
		let_go(a->h, first);
		a->at_s = first->until_s;
		a->steps += first->n_set;
	}
}

/* One of those that run ends; returns whether there is no room yet. */
static bool end_then(void *arg, const struct zn_row_node *node)
{
	struct ahead *a = arg;
	const struct zn_pick_job *job = zn_pick_job_that_runs((struct zn_row_node *)node);

	end_held(a, node->key);
	if (has_room(a))
		return false;
	a->rc = give_then(a->h, job);
	a->at_s = node->key;
	a->steps += a->h->place_of(job)->n;
	return !has_room(a);
}

/* Those with reservations are there from now on; but who has one of which nobody knows the time, and that others may pass. */
static int hold_all(struct zn_hall *h, const struct zn_pick_gap *gap)
{
	int rc = 0;

	for (uint32_t i = 0; i < h->n_ahead; i++)
		h->ahead[i].holds = false;
	for (uint32_t i = 0; rc == 0 && i < gap->n; i++) {
		struct zn_fleet_held held = held_by(h, &h->ahead[i]);
		if (gap->at_s[i] == HUGE_VAL)
			continue;
		rc = zn_fleet_then_hold(&h->then, &held);
		h->ahead[i].holds = rc == 0;
	}
	return rc;
}

/* Lets those that run end, one after the other, until there is room, and says when that is. */
static struct ahead look_ahead(struct zn_hall *h, const struct zn_fleet_gang *gang, const struct zn_pick_gap *gap)
{
	struct ahead a = { .h = h, .at_s = -HUGE_VAL, .rc = zn_fleet_then_begin(&h->then, gang) };

	a.rc = a.rc < 0 ? a.rc : hold_all(h, gap);
	if (!has_room(&a))
		zn_row_walk(&h->pick.running, end_then, &a);
	if (!has_room(&a))
		end_held(&a, HUGE_VAL);
	if (a.rc == 0 && !zn_fleet_then_has_room(&h->then))
		a.rc = -EAGAIN;
	return a;
}

/* What was set aside for this one still is, as for those before it, and it is too early to look for a better time. */
static bool is_set(struct zn_hall *h, const struct zn_pick_job *job, double now_s, uint32_t number)
{
	const struct zn_hall_ahead *a = &h->ahead[number];

	if (number == 0)
		h->steps_saved += h->steps_each;
	return number < h->n_set && a->seq == job->seq && now_s < a->from_s && (number || h->steps_saved < h->steps_last);
}

static void note_steps(struct zn_hall *h, uint32_t number, uint64_t steps)
{
	h->steps_last = number ? h->steps_last + steps : steps;
	if (number == 0)
		h->steps_saved = 0;
}

/* The next reservation, at the first time at which it has room.  False: it could never start. */
static bool make(struct zn_hall *h, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap)
{
	struct zn_hall_ahead *mine = &h->ahead[gap->n];
	struct ahead a = look_ahead(h, zn_hall_gang_of(h, job), gap);

	note_steps(h, gap->n, a.steps);
	if (a.rc < 0) {
		h->rc = a.rc == -ENOMEM ? a.rc : h->rc;
		return false;
	}
	uint32_t n = zn_fleet_then_choose(&h->then, h->spots);
	mine->seq = job->seq;
	mine->gang = job->gang;
	mine->from_s = fmax(a.at_s, now_s);
	mine->until_s = mine->from_s + job->limit_s;
	for (uint32_t i = 0; i < gap->n; i++)
		if (h->ahead[i].holds && !is_there(&h->ahead[i], mine->from_s))
			let_go(h, &h->ahead[i]);
	zn_gap_add(gap, mine->from_s == HUGE_VAL && must ? -HUGE_VAL : mine->from_s);
	set_levels(h, gap);
	set_aside_anew(h, mine, h->spots, n);
	h->n_set = gap->n;
	return true;
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap)
{
	struct zn_hall *h = arg;

	if (is_set(h, job, now_s, gap->n)) {
		zn_gap_add(gap, h->ahead[gap->n].from_s);
		if (h->in_order && gap->n <= h->n_levels) { /* as the levels are */
			count(h, gap);
			return true;
		}
		set_levels(h, gap);
	} else if (!make(h, job, now_s, must, gap)) {
		return false;
	}
	for (uint32_t i = 0; i < h->n_ahead; i++)
		follow_all(h, &h->ahead[i]);
	count(h, gap);
	return true;
}

static const struct zn_pick_ops ops = { .begin = begin, .take = take, .reserve = reserve, .fits = fits };

int zn_hall_open(struct zn_hall *h, struct zn_pick_policy policy, const struct zn_hall_place *(*place_of)(const struct zn_pick_job *))
{
	zn_pick_init(&h->pick, policy, fmax((double)h->now.gpu_milli / ZN_GPU_MILLI, 1), &ops, h);
	h->place_of = place_of;
	h->steps_each = ZN_HALL_STEPS;
	for (uint32_t i = 0; i < h->n_ahead; i++) {
		h->ahead[i].aside = calloc(h->now.n + 1, sizeof(*h->ahead[i].aside));
		if (!h->ahead[i].aside)
			return -ENOMEM;
	}
	return zn_fleet_then_init(&h->then, &h->now);
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

	int rc = zn_fleet_saw(&h->now, &usual);
	for (uint32_t i = 0; rc == 0 && i < h->n_ahead; i++)
		rc = zn_fleet_saw(&h->beside[i], &usual);
	if (rc < 0)
		return rc;
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
