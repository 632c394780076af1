#include "queue/future.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "job/number.h"
#include "queue/words.h"

static const struct zn_places *places_of(const struct zn_pick_job *pick)
{
	return ((const struct zn__one *)pick)->places;
}

static const struct zn_wish *wish_of(const struct zn_pick_job *pick)
{
	return ((const struct zn__one *)pick)->order.ask.wish;
}

struct zn__one *zn__future_add(struct zn__future *f, const struct zn_order *o)
{
	struct zn__one *one = &f->v[f->n++];

	*one = (struct zn__one){ .order = *o };
	zn_order_set(o, &f->room, &one->pick);
	return one;
}

int zn__future_know(struct zn__future *f, struct zn_order *o)
{
	int64_t payer = zn_payers_get(&f->payers, o->user, o->account);

	zn_room_fill_in(&f->room, &o->ask.part);
	o->ask.payer = payer > 0 ? (uint32_t)payer : 0;
	if (o->ask.near && !(o->ask.near = zn_words_get(&f->words, o->ask.near)))
		return -ENOMEM;
	if (o->ask.constraint && !(o->ask.constraint = zn_words_get(&f->words, o->ask.constraint)))
		return -ENOMEM;
	if (o->ask.booking && !(o->ask.booking = zn_words_get(&f->words, o->ask.booking)))
		return -ENOMEM;
	return payer < 0 ? (int)payer : zn_licences_wish(&f->room.licences, o->licences, &o->ask.wish);
}

int zn__future_wait(struct zn__future *f, struct zn__one *one)
{
	if (one->pick.shape || (one->pick.many && (!one->rest.count || zn_gate_is_full(&one->gate))))
		return 0;
	return zn_pick_wait(&f->pick, &one->pick, &one->order.ask);
}

int zn__future_wait_element(struct zn__future *f, struct zn__one *one)
{
	return zn_gate_enter(&one->whole->gate, &one->gated) ? zn__future_wait(f, one) : 0;
}

/* One of it is over: another one may begin. */
static int let_next(struct zn__future *f, struct zn__one *whole)
{
	struct zn_gated *next = zn_gate_leave(&whole->gate);

	return zn__future_wait(f, next ? (struct zn__one *)((char *)next - offsetof(struct zn__one, gated)) : whole);
}

static struct zn_use use_of(const struct zn__one *one)
{
	struct zn_use use = zn_pick_use(&one->order.ask);

	use.over = one->pick.is_over;
	return use;
}

static void count_start(struct zn__future *f, const struct zn__one *one, double start_s)
{
	struct zn_use use = use_of(one);

	zn_payer_add(&f->payers, one->order.ask.payer, &use);
	zn_payer_began(&f->payers, one->order.ask.payer, &use, start_s);
}

static void count_end(struct zn__future *f, const struct zn__one *one, double now_s)
{
	struct zn_use use = use_of(one);

	zn_payer_take(&f->payers, one->order.ask.payer, &use);
	zn_payer_ended(&f->payers, one->order.ask.payer, &use, one->pick.start_s, now_s);
}

/* ---- who makes room ---------------------------------------------------------------------------------------- */

static bool makes_room(const struct zn_job_record *r)
{
	return r->reason && !strncmp(r->reason, ZN_PREEMPTED, strlen(ZN_PREEMPTED));
}

static bool was_told(const struct zn_job_record *r)
{
	return makes_room(r) && strcmp(r->state, "SUSPENDED");
}

/* As zn-schedd sees it: one that only starts, or that its owner suspended, is left alone.  In the past it may have ended since. */
static bool may_go(const struct zn_job_record *r)
{
	return r->preemptible.v && strcmp(r->state, "SCHEDULED") && (strcmp(r->state, "SUSPENDED") || makes_room(r));
}

/* Those who may go or do, of what runs since before; what starts later is left alone. */
static size_t find_victims(struct zn__future *f, int64_t priority, double now_s, struct zn_victim *v)
{
	uint32_t n_running = zn_row_size(&f->pick.running);
	double safe_until_s = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < n_running; i++) {
		struct zn_pick_job *pick = zn_pick_job_that_runs(zn_row_nth(&f->pick.running, i));
		struct zn__one *one = (struct zn__one *)pick;
		if (!one->record)
			continue;
		v[n] = (struct zn_victim){ .job = pick, .priority = zn_victim_priority(pick, one->order.ask.priority), .times = one->preempted,
		                           .gpus = one->order.ask.gpus, .gpu_milli = one->order.ask.part.milli, .goes = one->goes };
		n += v[n].goes || (may_go(one->record) && zn_victim_weigh(&v[n], priority, now_s, &safe_until_s));
	}
	return n;
}

/* What asks no grace gets this, as zn-schedd's configuration is not known here. */
static const double usual_grace_s = 30;

static void set_going(struct zn__future *f, struct zn__one *one, double now_s)
{
	const struct zn_of64 *grace = &one->record->grace_s;
	double left_s = fmin(one->pick.start_s + one->pick.limit_s - now_s, grace->has ? grace->v : usual_grace_s);

	one->goes = true;
	zn_pick_set_limit(&f->pick, &one->pick, one->pick.estimate_s, now_s + left_s - one->pick.start_s);
}

/* As zn-schedd does when the first in line has no room. */
static bool preempt(void *arg, const struct zn_pick_job *head, double now_s)
{
	struct zn__future *f = arg;
	struct zn_victim *v = calloc(zn_row_size(&f->pick.running) + 1, sizeof(*v));
	const struct zn_pick_ask *ask = &head->shape->ask;
	bool enough, goes = false;

	f->failed |= !v;
	if (!v)
		return false;
	size_t n = find_victims(f, ask->priority, now_s, v);
	for (size_t i = 0; i < n; i++)
		goes |= v[i].goes;
	size_t chosen = zn_room_preempt(&f->room, head, now_s, v, n, &enough);
	for (size_t i = 0; i < chosen; i++)
		set_going(f, (struct zn__one *)v[i].job, now_s);
	free(v);
	return chosen || (enough && goes);
}

/* ---- arrays ----------------------------------------------------------------------------------------------- */

/* One of an array begins. */
static struct zn_pick_job *part(void *arg, struct zn_pick_job *picked, bool *ret_more)
{
	struct zn__future *f = arg;
	struct zn__one *array = (struct zn__one *)picked, *one = zn_arena_new(&f->elements, struct zn__one);

	if (!one) {
		static struct zn__one nobody; /* it is not looked at: the forecast fails */
		f->failed = true;
		*ret_more = false;
		return &nobody.pick;
	}
	uint32_t index = zn_spans_first(&array->rest);
	zn_spans_remove(&array->rest, index); /* the first: that needs no memory */
	*one = (struct zn__one){ .order = array->order, .whole = array, .run_s = array->run_s };
	one->order.id = zn_handle(array->order.id, index);
	zn_order_set(&one->order, &f->room, &one->pick);
	array->begun++;
	array->gate.open++;
	*ret_more = array->rest.count && !zn_gate_is_full(&array->gate);
	return &one->pick;
}

int zn__future_wait_array(struct zn__future *f, const struct zn_job_record *r, struct zn__one *array, uint64_t wanted)
{
	array->pick.many = true;
	array->gate.open = 0;
	for (struct zn__one *e = array; e > f->v && zn_handle_is_element(e[-1].order.id) && zn_handle_number(e[-1].order.id) == r->id; e--) {
		e[-1].whole = array;
		array->gate.open += e[-1].pick.runs || e[-1].pick.shape;
	}
	int rc = zn_spans_parse(r->array, &array->rest, &array->gate.at_once, NULL);
	if (rc < 0)
		return rc;
	if (zn_handle_is_element(wanted))
		f->wanted_at = zn_spans_before(&array->rest, zn_handle_index(wanted));
	return zn__future_wait(f, array);
}

/* ---- beginning and end ------------------------------------------------------------------------------------- */

void zn__future_runs(struct zn__future *f, struct zn__one *one, const struct zn_job_record *r, double start_s, double now_s)
{
	one->places = zn_picture_places(f->picture, r, &f->elements);
	if (!one->places) {
		static const struct zn_places none; /* it is not looked at: the forecast fails */
		one->places = &none;
		f->failed = true;
	}
	one->record = r;
	one->pick.is_over = r->over_quota.v;
	one->preempted = (uint32_t)r->preempted.v;
	zn_pick_runs(&f->pick, &one->pick, start_s, one->order.ask.gpus);
	zn_licences_take(&f->room.licences, one->order.ask.wish);
	count_start(f, one, start_s);
	if (!r->end_s.has && was_told(r))
		set_going(f, one, now_s);
}

bool zn__future_pass(struct zn__future *f, double now_s, struct zn_pick_pass *pass)
{
	struct zn_pick_job *pick;

	f->payers.now_s = now_s;
	zn_pick_begin(pass, &f->pick, now_s);
	while ((pick = zn_pick_next(pass)) && !f->failed) {
		struct zn__one *one = (struct zn__one *)pick;
		if (one == f->wanted || (f->wanted && one->whole == f->wanted && f->wanted->begun > f->wanted_at))
			return true;
		one->places = (const struct zn_places *)zn_arena_memdup(&f->elements, f->room.places, sizeof(*one->places) + f->room.places->n * sizeof(one->places->v[0]));
		f->failed |= !one->places;
		if (f->failed)
			return false;
		one->end_s = now_s + one->run_s;
		count_start(f, one, now_s);
	}
	return false;
}

/* It waits again. */
static int come_back(struct zn__future *f, struct zn__one *one)
{
	one->goes = false;
	one->record = NULL;
	zn_order_set(&one->order, &f->room, &one->pick);
	return zn__future_wait(f, one);
}

int zn__future_end(struct zn__future *f, struct zn__one *one, double now_s)
{
	zn_room_give(&f->room, one->places, one->order.ask.wish);
	count_end(f, one, now_s);
	zn_pick_gone(&f->pick, &one->pick, now_s);
	if (one->goes)
		return come_back(f, one);
	return one->whole ? let_next(f, one->whole) : 0;
}

static int copy_room(struct zn__future *f, const struct zn_room *from, uint32_t reservations)
{
	f->room = (struct zn_room){ .running = &f->pick.running, .places_of = places_of, .wish_of = wish_of };
	if (zn_room_open(&f->room, from->n, reservations) < 0)
		return -ENOMEM;
	memcpy(f->room.nodes, from->nodes, from->n * sizeof(*from->nodes));
	return zn_room_book(&f->room, from->booked, from->n_booked);
}

int zn__future_init(struct zn__future *f, const struct zn_picture *p, size_t n)
{
	*f = (struct zn__future){ .picture = p, .v = calloc(n + 1, sizeof(*f->v)) };
	zn_payers_init(&f->payers, p->quotas, zn_picture_shares(p));
	struct zn_pick_policy policy = zn_order_policy(zn_picture_reservations(p));
	int rc = copy_room(f, &p->room, policy.reservations ? policy.reservations : 1);
	zn_pick_init(&f->pick, policy, fmax(1, zn_room_total(&f->room)), &zn_room_ops, &f->room);
	f->pick.line.weights = zn_picture_weights(p);
	f->pick.payers = &f->payers;
	f->pick.part = part;
	f->pick.part_arg = f;
	f->pick.preempt = preempt;
	f->pick.preempt_arg = f;
	return rc == 0 && f->v ? zn_picture_set_licences(p, &f->room.licences) : -ENOMEM;
}

void zn__future_done(struct zn__future *f)
{
	zn_pick_done(&f->pick);
	zn_payers_done(&f->payers);
	for (size_t i = 0; i < f->n; i++)
		zn_spans_done(&f->v[i].rest);
	zn_arena_done(&f->elements);
	zn_words_free(f->words);
	zn_room_close(&f->room);
	free(f->v);
}
