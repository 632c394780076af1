/* room_ahead: what zn_pick asks of a room: starts, reservations, and what will be closed. */
#include <math.h>
#include <string.h>

#include "pick/room_priv.h"

static void count(const struct zn_room *r, struct zn_pick_gap *gap)
{
	for (uint32_t level = 0; level <= gap->n; level++)
		gap->have[level] = zn__room_have(r, &(struct zn__room_of){ .level = level, .gap = gap });
}

/* All that a node has, whoever has it. */
static struct zn_plan all_of(const struct zn_facts *f)
{
	struct zn_free idle = zn_plan_idle(f);

	return (struct zn_plan){ .gpus = idle.gpus, .cpus = idle.cpus, .cpus_held = zn_idset_count(&idle.cpus), .mem_bytes = idle.mem_bytes };
}

/* Which number what is closed from then until then has, with n of them there; n: it is a new one. */
static uint32_t closing_of(const struct zn_room *r, double from_s, double until_s, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && (r->ahead[i].from_s != from_s || r->ahead[i].until_s != until_s))
		i++;
	return i;
}

/* There is nothing left of that part of a node then, and all of the others. */
static void close_part(struct zn_room_ahead *a, uint32_t node, const struct zn_plan *part)
{
	struct zn_places *p = a->places;

	zn__free_hold(&a->left[node], part);
	if (!p->n || p->v[p->n - 1].node != node)
		p->v[p->n++] = (struct zn_place){ .node = node };
	struct zn_plan *plan = &p->v[p->n - 1].plan;
	plan->gpus = zn_idset_or(&plan->gpus, &part->gpus);
	if (!part->cpus_held)
		return;
	plan->cpus = part->cpus;
	plan->cpus_held = part->cpus_held;
	plan->mem_bytes = part->mem_bytes;
}

static void add_closing(struct zn_room *r, double from_s, double until_s, struct zn_pick_gap *gap)
{
	struct zn_room_ahead *a = &r->ahead[gap->n];

	a->from_s = from_s;
	a->until_s = until_s;
	a->places->n = 0;
	a->wish = NULL;
	for (uint32_t i = 0; i < r->n; i++)
		a->left[i] = r->nodes[i].facts ? zn_plan_idle(r->nodes[i].facts) : (struct zn_free){ 0 };
	zn_licences_copy(&r->licences, ZN_LICENCES_AHEAD + gap->n, ZN_LICENCES_NOW);
	zn_gap_add(gap, a->from_s);
}

/* These GPUs of it; NULL: all of it. */
static void close_from(struct zn_room *r, double from_s, double until_s, uint32_t node, const struct zn_idset *gpus, struct zn_pick_gap *gap)
{
	struct zn_plan part = gpus ? (struct zn_plan){ .gpus = *gpus } : all_of(r->nodes[node].facts);
	uint32_t number = closing_of(r, from_s, until_s, gap->n);

	r->nodes[node].is_closed = number == ZN_PICK_CLOSINGS; /* there are too many different times */
	if (r->nodes[node].is_closed)
		return;
	if (number == gap->n)
		add_closing(r, from_s, until_s, gap);
	close_part(&r->ahead[number], node, &part);
}

/* Nodes that will be drained, and what will be booked. */
static void add_closings(struct zn_room *r, double now_s, struct zn_pick_gap *gap)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *node = &r->nodes[i];
		if (zn__room_is_open(r, node) && node->closes_s > now_s)
			close_from(r, node->closes_s, node->opens_s, i, NULL, gap);
		for (uint32_t k = 0; k < node->n_booked && zn__room_is_open(r, node); k++) {
			const struct zn_room_booked *b = &node->booked[k];
			if (b->from_s > now_s)
				close_from(r, b->from_s, b->until_s, i, b->is_whole ? NULL : &b->gpus, gap);
		}
	}
}

static void begin(void *arg, double now_s, struct zn_pick_gap *gap)
{
	((struct zn_room *)arg)->now_s = now_s;
	add_closings(arg, now_s, gap);
	count(arg, gap);
}

/* It may be there still when who has the reservation starts. */
static void take_beside(struct zn_room *r, uint32_t number, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < r->places->n; i++) {
		const struct zn_place *place = &r->places->v[i];
		zn__free_take(&r->ahead[number].left[place->node], &place->plan);
	}
	zn_licences_add(&r->licences, wish, ZN_LICENCES_AHEAD + number, -1);
}

bool zn_room_fits(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t level, const struct zn_pick_gap *gap)
{
	const struct zn__room_of of = { .level = level, .gap = gap };

	return zn__room_has_licences(&r->licences, wanted->wish, &of) && zn__room_find(r, wanted, &of);
}

static bool take(void *arg, struct zn_pick_job *job, uint32_t level, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	const struct zn_wish *wish = job->shape->ask.wish;

	if (!zn_room_fits(r, &job->shape->ask, level, gap))
		return false;
	zn_room_take(r, r->places, wish);
	for (uint32_t i = 0; i < level; i++)
		take_beside(r, gap->by_time[i], wish);
	count(r, gap);
	return true;
}

/* ---- reservations -------------------------------------------------------------------------------------------- */

static void set_holds(struct zn_room *r, struct zn_room_ahead *a, bool holds)
{
	if (a->holds != holds)
		zn_licences_add(&r->licences, a->wish, ZN_LICENCES_THEN, holds ? -1 : 1);
	a->holds = holds;
}

/* One without a known end is there for ever. */
static bool is_there(const struct zn_room_ahead *a, double at_s)
{
	return a->from_s <= at_s && (at_s < a->until_s || a->until_s == HUGE_VAL);
}

/* Which of them is over first; NULL: none of them holds anything. */
static struct zn_room_ahead *first_over(struct zn_room *r, uint32_t n)
{
	struct zn_room_ahead *first = NULL;

	for (struct zn_room_ahead *a = r->ahead; a < r->ahead + n; a++)
		if (a->holds && (!first || a->until_s < first->until_s))
			first = a;
	return first;
}

/* Who is over next is over, or what is booked changes; *ran: so many of what runs were before.  False: nobody is left. */
static bool end_next(struct zn_room *r, uint32_t n, uint32_t *ran, double *at_s)
{
	struct zn_row_node *node = zn_row_nth(r->running, *ran);
	struct zn_room_ahead *a = first_over(r, n);
	double booked_s = zn_room_next_booked(r, fmax(*at_s, r->now_s));

	if (booked_s < fmin(node ? node->key : HUGE_VAL, a ? a->until_s : HUGE_VAL)) {
		*at_s = booked_s;
		return true;
	}
	if (node && (!a || node->key <= a->until_s)) {
		zn_room_future_give(r, zn_pick_job_that_runs(node));
		*at_s = node->key;
		++*ran;
	} else if (a) {
		set_holds(r, a, false);
		*at_s = a->until_s;
	}
	return node || a;
}

/* Nodes that will be closed are, for who would run from then on: as the look at what would be has it. */
static void hold_closings(struct zn_room *r, const struct zn_pick_gap *gap, double from_s, double limit_s)
{
	double until_s = from_s + limit_s;

	r->then_s = from_s;
	r->over_s = until_s;
	for (uint32_t i = 0; i < gap->closings; i++)
		set_holds(r, &r->ahead[i], r->ahead[i].from_s < until_s && from_s < r->ahead[i].until_s);
}

/* When there is room for it beside the n reservations, which are there from now on, and what would be free then.  One of
 * which nobody knows the time, and that others may pass, is not.  False: never.
 */
static bool look_ahead(struct zn_room *r, const struct zn_pick_job *job, double now_s, const struct zn_pick_gap *gap, double *ret_at_s)
{
	const struct zn_pick_ask *wanted = &job->shape->ask;
	uint32_t ran = 0;
	bool fits, more = true;

	zn_room_future(r, wanted->priority, 0); /* what closes is held: hold_closings */
	for (uint32_t i = gap->closings; i < gap->n; i++)
		set_holds(r, &r->ahead[i], gap->at_s[i] != HUGE_VAL);
	hold_closings(r, gap, now_s, job->limit_s);
	while (!(fits = zn_room_future_fits(r, wanted)) && more) {
		more = end_next(r, gap->n, &ran, ret_at_s);
		hold_closings(r, gap, fmax(*ret_at_s, now_s), job->limit_s);
	}
	return fits;
}

/* The last one's place, and what is left beside it of what would be free when it starts. */
static void set_aside(struct zn_room *r, const struct zn_pick_gap *gap)
{
	struct zn_room_ahead *mine = &r->ahead[gap->n];

	for (uint32_t i = 0; i < gap->n; i++)
		set_holds(r, &r->ahead[i], gap->at_s[i] != HUGE_VAL && is_there(&r->ahead[i], mine->from_s));
	for (uint32_t i = 0; i < r->n; i++)
		mine->left[i] = zn__room_then(r, i);
	zn_licences_copy(&r->licences, ZN_LICENCES_AHEAD + gap->n, ZN_LICENCES_THEN);
	mine->places->n = r->places->n;
	memcpy(mine->places->v, r->places->v, r->places->n * sizeof(r->places->v[0]));
}

/* When those start who start later, and were before it in the line, it is there. */
static void be_there_for_others(struct zn_room *r, const struct zn_pick_gap *gap)
{
	const struct zn_room_ahead *mine = &r->ahead[gap->n];

	for (uint32_t i = 0; i < gap->n; i++) {
		if (!is_there(mine, r->ahead[i].from_s))
			continue;
		for (uint32_t k = 0; k < mine->places->n; k++)
			zn__free_hold(&r->ahead[i].left[mine->places->v[k].node], &mine->places->v[k].plan);
		zn_licences_add(&r->licences, mine->wish, ZN_LICENCES_AHEAD + i, -1);
	}
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	struct zn_room_ahead *mine = &r->ahead[gap->n];
	double at_s = now_s;
	bool found = look_ahead(r, job, now_s, gap, &at_s);

	if (found) {
		at_s = at_s > now_s ? at_s : now_s;
		mine->from_s = at_s;
		mine->until_s = at_s + job->limit_s;
		mine->wish = job->shape->ask.wish;
		set_aside(r, gap);
	}
	for (uint32_t i = 0; i < gap->n; i++)
		r->ahead[i].holds = false;
	if (!found)
		return false;
	if (at_s < HUGE_VAL || must)
		be_there_for_others(r, gap);
	zn_gap_add(gap, at_s == HUGE_VAL && must ? -HUGE_VAL : at_s);
	count(r, gap);
	return true;
}

const struct zn_pick_ops zn_room_ops = { .begin = begin, .take = take, .reserve = reserve };
