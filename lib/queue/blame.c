#include "queue/blame.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job/number.h"
#include "queue/forecast.h"
#include "queue/future.h"

enum { USERS_MAX = 16, STEPS_MAX = 1000000 };

static const struct zn_field cause_fields[] = {
	ZN_FIELD(struct zn_blame_cause, text, STR, "WITHOUT", "what it would have been without"),
	ZN_FIELD(struct zn_blame_cause, saved_s, DUR, "SAVED", "so much less it would have waited then"),
	ZN_FIELD(struct zn_blame_cause, wait_s, DUR, "WAIT", "and so long in all"),
	{ 0 },
};
static const struct zn_kind cause_kind = { NULL, "what kept a job", cause_fields, sizeof(struct zn_blame_cause), NULL };

#define B struct zn_blame
static const struct zn_field blame_fields[] = {
	ZN_FIELD_WITH(B, id, U64, "JOB", "index", "job number"),
	ZN_FIELD(B, index, OU64, "", "which element of an array"),
	ZN_FIELD(B, state, STR, "STATE", "its state"),
	ZN_FIELD(B, wait_s, DUR, "WAITED", "from its submission or begin time to its start, or so far"),
	ZN_FIELD(B, replayed_s, ODUR, "REPLAYED", "the same, decided again from what is on record"),
	ZN_FIELD_SUB(B, causes, SUBS, &cause_kind, "CAUSES", "what it would have waited without each thing, the largest first"),
	{ 0 },
};
const struct zn_kind zn_blame_kind = { "blame", "what a job's wait was made of", blame_fields, sizeof(B), NULL };

/* ---- what was going on --------------------------------------------------------------------------------------- */

/* A run that was over when the wait began, and counts for hours of a quota. */
struct spent { const char *user, *account; struct zn_gpu_run run; };

struct past {
	struct zn_picture *p;
	const struct zn_job_record *wanted;
	struct zn_job_record *v;       /* all that waited or ran then, by arrival */
	size_t n, cap;
	struct spent *spent;           /* in the window of quotas, before that */
	size_t n_spent, cap_spent;
	double from_s, to_s;           /* when wanted might have started, and did, or now */
	double now_s;
	struct zn_err *err;
};

static double ready_s(const struct zn_job_record *r)
{
	return fmax(r->submit_s, r->begin_s.v);
}

static bool waits(const struct zn_job_record *r)
{
	return !strcmp(r->state, "QUEUED");
}

/* Whether it can have been in the way: it was there before wanted started, and not over when that was submitted. */
static bool matters(const struct past *past, const struct zn_job_record *r)
{
	if (ready_s(r) > past->to_s || (r->elements.has && !r->array))
		return false;
	return r->start_s.has ? !r->end_s.has || r->end_s.v > past->from_s : waits(r);
}

static int keep(struct past *past, const struct zn_job_record *r)
{
	if (past->n == past->cap) {
		size_t cap = past->cap ? 2 * past->cap : 256;
		struct zn_job_record *v = reallocarray(past->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		past->v = v;
		past->cap = cap;
	}
	past->v[past->n++] = *r;
	return 0;
}

static int spend(struct past *past, const struct zn_job_record *r)
{
	struct zn_gpu_run v[2];
	unsigned n = zn_picture_runs(r, v);

	for (unsigned i = 0; i < n; i++) {
		if (v[i].end_s > past->from_s)
			continue;
		if (past->n_spent == past->cap_spent) {
			size_t cap = past->cap_spent ? 2 * past->cap_spent : 256;
			struct spent *more = reallocarray(past->spent, cap, sizeof(*more));
			if (!more)
				return -ENOMEM;
			past->spent = more;
			past->cap_spent = cap;
		}
		past->spent[past->n_spent++] = (struct spent){ r->user, r->account, v[i] };
	}
	return 0;
}

static int take_one(struct past *past, const struct zn_job_record *r)
{
	int rc = spend(past, r);

	return rc == 0 && matters(past, r) ? keep(past, r) : rc;
}

static int take_ended(void *arg, struct zn_bytes event)
{
	struct past *past = arg;
	struct zn_job_record r;
	double submit_s = 0;

	if (zn_raw_f64(zn_raw_get(zn_raw_get(event, "job"), "submit_s"), &submit_s) && submit_s > past->to_s)
		return 0;
	int rc = zn_raw_decode(&zn_job_kind, zn_raw_get(event, "job"), &past->p->arena, &r, past->err);

	return rc == 0 ? take_one(past, &r) : rc;
}

static int by_arrival(const void *a, const void *b)
{
	uint64_t x = zn_handle_arrival(zn_record_handle(a)), y = zn_handle_arrival(zn_record_handle(b));

	return (x > y) - (x < y);
}

static int collect(struct past *past, const char *spool)
{
	int rc = zn_history_each(spool, past->from_s - zn_picture_window_s(past->p), false, take_ended, past, past->err);

	for (size_t i = 0; rc >= 0 && i < past->p->n_jobs; i++) {
		const struct zn_job_record *r = &past->p->jobs[i];
		if (!r->end_s.has) /* else the history has it */
			rc = take_one(past, r);
	}
	if (rc >= 0 && past->n)
		qsort(past->v, past->n, sizeof(*past->v), by_arrival);
	return rc < 0 ? rc : 0;
}

/* ---- deciding it again ----------------------------------------------------------------------------------------- */

struct without {
	const char *user;              /* his jobs; NULL: nobody's */
	const char *booking;           /* that reservation; NULL: none */
	bool padding, priorities, quotas, hours, arrays; /* hours: of quotas; arrays: how many of one may run at once */
};

/* How long it took, or takes at most; HUGE_VAL: nobody knows. */
static double takes_s(const struct past *past, const struct zn_job_record *r)
{
	double limit_s = r->time_limit_s.has ? r->time_limit_s.v : HUGE_VAL;

	if (r->start_s.has && r->end_s.has)
		return r->end_s.v - r->start_s.v;
	return r->start_s.has ? fmax(limit_s, past->now_s - r->start_s.v) : limit_s;
}

/* An element that waits with the others is its array. */
static bool is_wanted(const struct past *past, const struct zn_job_record *r)
{
	uint64_t wanted = zn_record_handle(past->wanted);

	return zn_record_handle(r) == wanted ||
	       (r->array && r->id == past->wanted->id && zn_record_has_element(r, zn_handle_index(wanted)));
}

static bool is_his(const struct without *w, const char *user)
{
	return w->user && user && !strcmp(w->user, user);
}

static bool is_left_out(const struct past *past, const struct without *w, const struct zn_job_record *r)
{
	return is_his(w, r->user) && !is_wanted(past, r);
}

static bool ran_already(const struct past *past, const struct zn_job_record *r)
{
	return r->start_s.has && r->start_s.v < past->from_s;
}

/* What was reserved is not on record: what is now is minded for who waits now, as if it had been known since then. */
static bool minds(const struct past *past, const struct without *w, const char *booking)
{
	return waits(past->wanted) && zn_bookings_find(&past->p->bookings, booking) && !(w->booking && !strcmp(w->booking, booking));
}

static int book(struct zn__future *f, const struct past *past, const struct without *w)
{
	const struct zn_room *room = &past->p->room;
	struct zn_room_booked *v = calloc(room->n_booked + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < room->n_booked; i++)
		if (minds(past, w, room->booked[i].name))
			v[n++] = room->booked[i];
	int rc = zn_room_book(&f->room, v, n);
	free(v);
	return rc;
}

/* What those who ran already had. */
static void take_places(struct zn__future *f, const struct past *past, const struct without *w)
{
	f->failed |= book(f, past, w) < 0;
	for (uint32_t i = 0; i < f->room.n; i++) {
		zn_room_set_facts(&f->room, i, past->p->room.nodes[i].facts);
		f->room.nodes[i].free.mixes_users = past->p->nodes[i].share_between_users.v;
		f->room.nodes[i].held = (struct zn_idset){ 0 };
		f->room.nodes[i].is_closed = false;
	}
	for (size_t i = 0; i < past->n; i++) {
		bool has = ran_already(past, &past->v[i]) && !is_left_out(past, w, &past->v[i]);
		const struct zn_places *places = has ? zn_picture_places(past->p, &past->v[i], &f->elements) : NULL;
		f->failed |= has && !places;
		if (places)
			zn_room_take(&f->room, places, NULL);
	}
}

/* Who is to come, by when. */
struct coming { struct zn__one *one; const struct zn_job_record *record; double ready_s; };

static int by_ready(const void *a, const void *b)
{
	const struct coming *x = a, *y = b;

	if (x->ready_s != y->ready_s)
		return x->ready_s < y->ready_s ? -1 : 1;
	return (x->one->pick.seq > y->one->pick.seq) - (x->one->pick.seq < y->one->pick.seq);
}

static int put_in(struct zn__future *f, const struct past *past, const struct without *w, const struct zn_job_record *r, struct coming *to,
                  size_t *n)
{
	struct zn_order o = zn_forecast_order(r);
	double run_s = takes_s(past, r);
	int rc = zn__future_know(f, &o);

	if (rc < 0)
		return rc;
	if (o.ask.booking && !minds(past, w, o.ask.booking))
		o.ask.booking = NULL;
	if (w->priorities)
		o.ask.priority = 0;
	if (w->padding && run_s < HUGE_VAL)
		o.limit_s = fmax(run_s, 0.001);
	struct zn__one *one = zn__future_add(f, &o);
	one->run_s = run_s;
	one->gate.at_once = w->arrays ? 0 : zn_record_at_once(r);
	if (is_wanted(past, r))
		f->wanted = one;
	if (ran_already(past, r)) {
		zn__future_runs(f, one, r, r->start_s.v, past->from_s);
		one->end_s = r->start_s.v + run_s;
	} else {
		to[(*n)++] = (struct coming){ one, r, fmax(ready_s(r), past->from_s) };
	}
	return 0;
}

/* Behind the elements of one array that are jobs of their own, n in all, is the array itself, if some of it wait. */
static void link_array(struct zn__future *f, struct zn__one *elements, size_t n)
{
	struct zn__one *behind = elements + n, *whole = behind;

	if (behind == f->v + f->n || behind->order.id != zn_handle_number(elements->order.id))
		whole = zn__future_add(f, &elements->order);
	whole->pick.many = true;
	whole->gate.at_once = elements->gate.at_once;
	for (struct zn__one *e = elements; e < elements + n; e++) {
		e->whole = whole;
		whole->gate.open += e->pick.runs;
	}
}

/* So that no more of one run at once than may. */
static void link_arrays(struct zn__future *f)
{
	size_t n = f->n;

	for (size_t i = 0, k; i < n; i = k) {
		uint64_t array = zn_handle_number(f->v[i].order.id);
		for (k = i; k < n && zn_handle_is_element(f->v[k].order.id) && zn_handle_number(f->v[k].order.id) == array;)
			k++;
		if (k > i && f->v[i].gate.at_once)
			link_array(f, &f->v[i], k - i);
		k += k == i;
	}
}

/* In the picture's arena. */
static int quotas_without(const struct past *past, const struct without *w, struct zn_quotas *ret)
{
	const struct zn_quotas *all = &past->p->quotas;

	*ret = w->quotas ? (struct zn_quotas){ 0 } : *all;
	if (!w->hours)
		return 0;
	ret->v = zn_arena_array(&past->p->arena, all->n, sizeof(*ret->v));
	for (size_t i = 0; ret->v && i < all->n; i++) {
		ret->v[i] = all->v[i];
		ret->v[i].hard.gpu_hours = ret->v[i].soft.gpu_hours = (struct zn_of64){ 0 };
	}
	return ret->v ? 0 : -ENOMEM;
}

/* Fair share stays. */
static int set_quotas(struct zn__future *f, const struct past *past, const struct without *w)
{
	struct zn_quotas quotas;
	int rc = quotas_without(past, w, &quotas);

	if (rc < 0)
		return rc;
	zn_payers_done(&f->payers);
	zn_payers_init(&f->payers, quotas, zn_picture_shares(past->p));
	f->payers.now_s = past->from_s; /* else what was used is taken to be of a clock that was set back */
	for (size_t i = 0; i < past->n_spent; i++) {
		const struct spent *s = &past->spent[i];
		int64_t payer = is_his(w, s->user) ? 0 : zn_payers_get(&f->payers, s->user, s->account);
		if (payer < 0)
			return -ENOMEM;
		zn_payer_ran(&f->payers, (uint32_t)payer, &s->run.use, s->run.start_s, s->run.end_s);
	}
	return 0;
}

static int fill(struct zn__future *f, const struct past *past, const struct without *w, struct coming *to, size_t *n)
{
	int rc = set_quotas(f, past, w);

	for (size_t i = 0; rc == 0 && i < past->n; i++)
		if (!is_left_out(past, w, &past->v[i]))
			rc = put_in(f, past, w, &past->v[i], to, n);
	if (rc == 0)
		rc = zn_picture_weigh(past->p, &f->payers);
	link_arrays(f);
	qsort(to, *n, sizeof(*to), by_ready);
	return rc;
}

/* The first that ends of those that run; NULL: none does. */
static struct zn__one *next_end(const struct zn__future *f)
{
	struct zn__one *first = NULL;

	for (uint32_t i = 0; i < zn_row_size(&f->pick.running); i++) {
		struct zn__one *one = (struct zn__one *)zn_pick_job_that_runs(zn_row_nth(&f->pick.running, i));
		if (one->goes) /* it made room then */
			one->end_s = fmin(one->end_s, one->pick.start_s + one->pick.limit_s);
		if (one->end_s < HUGE_VAL && (!first || one->end_s < first->end_s))
			first = one;
	}
	return first;
}

static int come(struct zn__future *f, const struct past *past, const struct without *w, const struct coming *c)
{
	struct zn_job_record r = *c->record;

	if (!r.array)
		return c->one->whole ? zn__future_wait_element(f, c->one) : zn__future_wait(f, c->one);
	if (w->arrays)
		r.array = zn_arena_printf(&f->elements, "%.*s", (int)strcspn(r.array, "%"), r.array);
	return r.array ? zn__future_wait_array(f, &r, c->one, zn_record_handle(past->wanted)) : -ENOMEM;
}

/* One step: who is next to come or to end, or that somebody has hours again, or that what is reserved changes.  1: nothing does. */
static int step(struct zn__future *f, const struct past *past, const struct without *w, const struct coming *v, size_t n, size_t *at, double *now_s)
{
	struct zn__one *ends = next_end(f);
	double end_s = ends ? ends->end_s : HUGE_VAL, come_s = *at < n ? v[*at].ready_s : HUGE_VAL;
	double again_s = zn_payers_again_s(&f->payers), next_s = fmin(end_s, come_s);

	again_s = fmin(again_s > *now_s ? again_s : HUGE_VAL, zn_room_next_booked(&f->room, *now_s));
	if (again_s < next_s) {
		*now_s = again_s;
		return 0;
	}
	if (next_s == HUGE_VAL)
		return 1;
	*now_s = fmax(*now_s, next_s);
	return end_s <= come_s ? zn__future_end(f, ends, *now_s) : come(f, past, w, &v[(*at)++]);
}

/* Of one of these, and of all that are at the same time. */
static bool is_due(const struct zn__future *f, const struct coming *v, size_t n, size_t at, double now_s)
{
	const struct zn__one *ends = next_end(f);

	return (at < n && v[at].ready_s <= now_s) || (ends && ends->end_s <= now_s);
}

static int decide(struct zn__future *f, const struct past *past, const struct without *w, const struct coming *v, size_t n, double *ret_s)
{
	struct zn_pick_pass pass;
	double now_s = past->from_s;
	size_t at = 0;
	int rc = 0;

	*ret_s = HUGE_VAL;
	for (int i = 0; rc == 0 && i < STEPS_MAX; i++) {
		while (rc == 0 && is_due(f, v, n, at, now_s))
			rc = step(f, past, w, v, n, &at, &now_s);
		if (rc == 0 && zn__future_pass(f, now_s, &pass)) {
			*ret_s = now_s - past->from_s;
			return 0;
		}
		if (rc == 0)
			rc = f->failed ? -ENOMEM : step(f, past, w, v, n, &at, &now_s);
	}
	return rc < 0 ? rc : 0;
}

static int replay(const struct past *past, const struct without *w, double *ret_s)
{
	struct coming *v = calloc(past->n + 1, sizeof(*v));
	struct zn__future f;
	size_t n = 0;
	int rc = zn__future_init(&f, past->p, 2 * past->n); /* each may be of an array that is no more */

	if (rc == 0)
		take_places(&f, past, w);
	if (rc == 0)
		rc = v ? fill(&f, past, w, v, &n) : -ENOMEM;
	if (rc == 0)
		rc = decide(&f, past, w, v, n, ret_s);
	zn__future_done(&f);
	free(v);
	return rc;
}

/* ---- the causes ------------------------------------------------------------------------------------------------ */

struct user { const char *name; double gpu_s; };

static double overlap_s(const struct past *past, const struct zn_job_record *r)
{
	double start_s = r->start_s.has ? r->start_s.v : past->to_s, end_s = r->end_s.has ? r->end_s.v : past->to_s;

	return fmax(0, fmin(end_s, past->to_s) - fmax(start_s, past->from_s));
}

static int by_use(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return x->gpu_s != y->gpu_s ? (x->gpu_s < y->gpu_s) - (x->gpu_s > y->gpu_s) : strcmp(x->name, y->name);
}

/* Those who had the most meanwhile. */
static size_t list_users(const struct past *past, struct user *v, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < past->n; i++) {
		const struct zn_job_record *r = &past->v[i];
		size_t at = 0;
		if (!r->user)
			continue;
		while (at < n && strcmp(v[at].name, r->user))
			at++;
		if (at == n)
			v[n++] = (struct user){ .name = r->user };
		struct zn_gpu_part part = zn_forecast_order(r).ask.part;
		v[at].gpu_s += overlap_s(past, r) * (part.milli ? part.milli / 1e3 : (double)(r->gpus ? r->gpus : 1));
	}
	qsort(v, n, sizeof(*v), by_use);
	return n < max ? n : max;
}

static int add_cause(const struct past *past, const struct without *w, const char *text, B *b)
{
	static const double least_s = 1;
	struct zn_blame_cause *v = b->causes.v;
	double wait_s;
	int rc = text ? replay(past, w, &wait_s) : -ENOMEM;

	if (rc == 0 && b->replayed_s.v - wait_s >= least_s)
		v[b->causes.n++] = (struct zn_blame_cause){ .text = text, .wait_s = wait_s, .saved_s = b->replayed_s.v - wait_s };
	return rc;
}

static int by_saved(const void *a, const void *b)
{
	const struct zn_blame_cause *x = a, *y = b;

	return (x->saved_s < y->saved_s) - (x->saved_s > y->saved_s);
}

static bool is_limit(const struct zn_limits *l)
{
	return l->running.has || l->gpus.has || l->cpus.has || l->mem_bytes.has;
}

static bool limit_more_than_hours(const struct zn_quotas *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (is_limit(&q->v[i].hard) || is_limit(&q->v[i].soft))
			return true;
	return false;
}

static bool is_array_limited(const struct past *past)
{
	for (size_t i = 0; i < past->n; i++)
		if (zn_record_at_once(&past->v[i]))
			return true;
	return false;
}

/* Those of others. */
static int blame_bookings(const struct past *past, B *b)
{
	const struct zn_bookings *all = &past->p->bookings;
	const char *own = past->wanted->reservation;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < all->n; i++) {
		const char *name = zn_bookings_get(all, i)->name;
		if (minds(past, &(struct without){ 0 }, name) && !(own && !strcmp(own, name)))
			rc = add_cause(past, &(struct without){ .booking = name }, zn_arena_printf(&past->p->arena, "reservation '%s'", name), b);
	}
	return rc;
}

static int find_causes(const struct past *past, B *b)
{
	struct zn_arena *a = &past->p->arena;
	struct user *users = zn_arena_array(a, past->n + 1, sizeof(*users));
	int rc = 0;

	b->causes.v = zn_arena_array(a, USERS_MAX + 5 + past->p->bookings.n, sizeof(struct zn_blame_cause));
	if (!users || !b->causes.v)
		return -ENOMEM;
	size_t n = list_users(past, users, USERS_MAX);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool own = past->wanted->user && !strcmp(users[i].name, past->wanted->user);
		rc = add_cause(past, &(struct without){ .user = users[i].name },
		               zn_arena_printf(a, own ? "the other jobs of %s" : "the jobs of %s", users[i].name), b);
	}
	if (rc == 0)
		rc = add_cause(past, &(struct without){ .padding = true }, "time limits longer than what the jobs took", b);
	if (rc == 0)
		rc = add_cause(past, &(struct without){ .priorities = true }, "priorities", b);
	if (rc == 0 && limit_more_than_hours(&past->p->quotas))
		rc = add_cause(past, &(struct without){ .quotas = true }, "quotas", b);
	if (rc == 0 && zn_picture_window_s(past->p) > 0)
		rc = add_cause(past, &(struct without){ .hours = true }, "quotas of GPU hours", b);
	if (rc == 0 && is_array_limited(past))
		rc = add_cause(past, &(struct without){ .arrays = true }, "limits of how many of an array may run at once", b);
	if (rc == 0)
		rc = blame_bookings(past, b);
	if (b->causes.n)
		qsort(b->causes.v, b->causes.n, sizeof(struct zn_blame_cause), by_saved);
	return rc;
}

static int look_back(struct past *past, const char *spool, B *b)
{
	double wait_s;
	int rc = collect(past, spool);

	if (rc == 0)
		rc = replay(past, &(struct without){ 0 }, &wait_s);
	if (rc < 0 || wait_s == HUGE_VAL)
		return rc;
	b->replayed_s = ZN_SOME_F64(wait_s);
	return find_causes(past, b);
}

int zn_picture_blame(struct zn_picture *p, const char *spool, const struct zn_job_record *job, B *ret, struct zn_err *err)
{
	struct past past = { .p = p, .wanted = job, .from_s = ready_s(job), .now_s = zn_now_s(), .err = err };

	if (!job->start_s.has && !waits(job))
		return zn_err_set(err, -ENODATA, "it waits for something else than room, or never started: zn-queue why says what");
	if (!p->n_nodes)
		return zn_err_set(err, -ENODATA, "no node has reported yet");
	past.to_s = job->start_s.has ? job->start_s.v : past.now_s;
	B b = { .id = job->id, .index = job->index, .state = job->state, .wait_s = fmax(0, past.to_s - past.from_s) };
	int rc = zn_picture_room(p, err);
	if (rc < 0)
		return rc;
	rc = look_back(&past, spool, &b);
	free(past.v);
	free(past.spent);
	if (rc == 0)
		*ret = b;
	return rc;
}
