#include "queue/forecast.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job/number.h"
#include "job/spans.h"
#include "pick/preempt.h"

enum { ENDS_MAX = 20000 };             /* farther into the future nobody believes it */

/* A job, or an array: those of its elements that wait. */
struct one {
	struct zn_pick_job pick;
	struct zn_order order;
	struct zn_plan plan;
	struct one *whole;             /* of an element: its array */
	struct zn_spans rest;          /* of an array: who waits; how many begun, may at once, and do */
	uint32_t begun, at_once, busy;
	const struct zn_job_record *record; /* of what runs: whether it may be preempted */
	uint32_t preempted;
	bool goes;                     /* it makes room, and waits again then */
};

struct future {
	struct one *v;
	size_t n;
	struct zn_room room;
	struct zn_payers payers;
	struct zn_pick pick;
	struct one *wanted;
	uint32_t wanted_at;            /* of an array: so many of it start before the one that is meant */
	struct zn_arena elements;      /* that began since */
	bool failed;                   /* for want of memory */
};

static const struct zn_plan *plan_of(const struct zn_pick_job *pick)
{
	return &((const struct one *)pick)->plan;
}

static const struct zn_wish *wish_of(const struct zn_pick_job *pick)
{
	return ((const struct one *)pick)->order.ask.wish;
}

struct zn_order zn_forecast_order(const struct zn_job_record *r)
{
	return (struct zn_order){
		.id = zn_record_handle(r), .submit_s = r->submit_s, .begin_s = r->begin_s.v, .user = r->user, .account = r->account,
		.licences = r->licences,
		.limit_s = strcmp(r->state, "SUSPENDED") ? r->time_limit_s.v : 0,
		.ask = { .priority = r->priority, .mem_bytes = r->mem_bytes.v, .gpus = (uint32_t)r->gpus,
		         .cpus = (uint32_t)r->cpus.v, .tasks = (uint32_t)r->tasks,
		         .nvlink_required = r->nvlink && !strcmp(r->nvlink, "require") },
	};
}

const char *zn_forecast_over_quota(struct zn_picture *p, const struct zn_order *order)
{
	int64_t payer = zn_payers_get(&p->payers, order->user, order->account);
	struct zn_use use = zn_pick_use(&order->ask);
	const char *text = NULL;

	if (payer > 0)
		zn_payer_may(&p->payers, (uint32_t)payer, &use, &p->arena, &text);
	return text;
}

static struct one *add(struct future *f, const struct zn_order *o)
{
	struct one *one = &f->v[f->n++];

	*one = (struct one){ .order = *o };
	zn_order_set(o, &f->room, &one->pick);
	return one;
}

/* Who pays for it, and its wish, in this future.  -ENOMEM. */
static int fill_in(struct future *f, struct zn_order *o)
{
	int64_t payer = zn_payers_get(&f->payers, o->user, o->account);

	o->ask.payer = payer > 0 ? (uint32_t)payer : 0;
	return payer < 0 ? (int)payer : zn_licences_wish(&f->room.licences, o->licences, &o->ask.wish);
}

static bool is_full(const struct one *array)
{
	return array->at_once && array->busy >= array->at_once;
}

static int wait_in_line(struct future *f, struct one *one)
{
	if (one->pick.shape || (one->pick.many && (!one->rest.count || is_full(one))))
		return 0;
	return zn_pick_wait(&f->pick, &one->pick, &one->order.ask);
}

static void count_start(struct future *f, const struct one *one, double start_s)
{
	struct zn_use use = zn_pick_use(&one->order.ask);

	zn_payer_add(&f->payers, one->order.ask.payer, &use);
	zn_payer_began(&f->payers, one->order.ask.payer, &use, start_s);
}

static void count_end(struct future *f, const struct one *one, double now_s)
{
	struct zn_use use = zn_pick_use(&one->order.ask);

	zn_payer_take(&f->payers, one->order.ask.payer, &use);
	zn_payer_ended(&f->payers, one->order.ask.payer, &use, one->pick.start_s, now_s);
}

/* ---- who makes room ---------------------------------------------------------------------------------------- */

static bool was_told(const struct zn_job_record *r)
{
	return r->reason && !strncmp(r->reason, ZN_PREEMPTED, strlen(ZN_PREEMPTED));
}

/* Those who may go or do, of what runs since before; what starts later is left alone. */
static size_t find_victims(struct future *f, int64_t priority, double now_s, struct zn_victim *v)
{
	uint32_t n_running = zn_row_size(&f->pick.running);
	size_t n = 0;

	for (uint32_t i = 0; i < n_running; i++) {
		struct zn_pick_job *pick = zn_pick_job_that_runs(zn_row_nth(&f->pick.running, i));
		struct one *one = (struct one *)pick;
		if (!one->record)
			continue;
		v[n] = (struct zn_victim){ .job = pick, .priority = one->order.ask.priority, .times = one->preempted,
		                           .gpus = one->order.ask.gpus, .goes = one->goes };
		n += v[n].goes || (one->record->preemptible.v && strcmp(one->record->state, "SCHEDULED") &&
		                   zn_victim_weigh(&v[n], priority, now_s));
	}
	return n;
}

/* What asks no grace gets this, as zn-schedd's configuration is not known here. */
static const double usual_grace_s = 30;

static void set_going(struct future *f, struct one *one, double now_s)
{
	const struct zn_of64 *grace = &one->record->grace_s;

	one->goes = true;
	zn_pick_set_limit(&f->pick, &one->pick, one->pick.estimate_s, now_s + (grace->has ? grace->v : usual_grace_s) - one->pick.start_s);
}

/* As zn-schedd does at the end of a pass. */
static void preempt(struct future *f, const struct zn_pick_pass *pass)
{
	const struct zn_pick_ask *ask = pass->first ? &pass->first->shape->ask : NULL;
	struct zn_victim *v = ask ? calloc(zn_row_size(&f->pick.running) + 1, sizeof(*v)) : NULL;

	f->failed |= ask && !v;
	if (!v)
		return;
	size_t n = find_victims(f, ask->priority, pass->now_s, v);
	n = zn_room_preempt(&f->room, ask, v, n);
	for (size_t i = 0; i < n; i++)
		set_going(f, (struct one *)v[i].job, pass->now_s);
	free(v);
}

/* It waits again. */
static bool come_back(struct future *f, struct one *one)
{
	one->goes = false;
	one->record = NULL;
	zn_order_set(&one->order, &f->room, &one->pick);
	return wait_in_line(f, one) == 0;
}

/* ---- arrays ----------------------------------------------------------------------------------------------- */

/* One of an array begins. */
static struct zn_pick_job *part(void *arg, struct zn_pick_job *picked, bool *ret_more)
{
	struct future *f = arg;
	struct one *array = (struct one *)picked, *one = zn_arena_new(&f->elements, struct one);

	if (!one) {
		static struct one nobody; /* it is not looked at: the forecast fails */
		f->failed = true;
		*ret_more = false;
		return &nobody.pick;
	}
	uint32_t index = zn_spans_first(&array->rest);
	zn_spans_remove(&array->rest, index); /* the first: that needs no memory */
	*one = (struct one){ .order = array->order, .whole = array };
	one->order.id = zn_handle(array->order.id, index);
	zn_order_set(&one->order, &f->room, &one->pick);
	array->begun++;
	array->busy++;
	*ret_more = array->rest.count && !is_full(array);
	return &one->pick;
}

/* The last of f->v; its elements are before it. */
static int take_array(struct future *f, const struct zn_job_record *r, struct one *array, uint64_t wanted)
{
	array->pick.many = true;
	for (struct one *e = array; e > f->v && zn_handle_is_element(e[-1].order.id) && zn_handle_number(e[-1].order.id) == r->id; e--) {
		e[-1].whole = array;
		array->busy++;
	}
	int rc = zn_spans_parse(r->array, &array->rest, &array->at_once, NULL);
	if (rc < 0)
		return rc;
	if (zn_handle_is_element(wanted))
		f->wanted_at = zn_spans_before(&array->rest, zn_handle_index(wanted));
	return wait_in_line(f, array);
}

/* Whether it is what is asked for; of an array the one that is meant waits with the others. */
static bool is_wanted(const struct zn_job_record *r, uint64_t wanted)
{
	return zn_record_handle(r) == wanted || (r->array && r->id == zn_handle_number(wanted));
}

static int fill(struct future *f, const struct zn_picture *p, const struct zn_order *job, double now_s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n_jobs; i++) {
		const struct zn_job_record *r = &p->jobs[i];
		struct zn_order o = zn_forecast_order(r);
		rc = fill_in(f, &o);
		if (rc == 0 && zn_picture_has_place(r)) {
			struct one *one = add(f, &o);
			one->plan = zn_picture_place(r);
			one->record = r;
			one->preempted = (uint32_t)r->preempted.v;
			zn_pick_runs(&f->pick, &one->pick, r->start_s.has ? r->start_s.v : now_s, o.ask.gpus);
			zn_licences_take(&f->room.licences, o.ask.wish);
			count_start(f, one, one->pick.start_s);
			if (was_told(r))
				set_going(f, one, now_s);
		} else if (rc == 0 && !strcmp(r->state, "QUEUED") && (r->array || !r->elements.has)) {
			struct one *one = add(f, &o);
			rc = r->array ? take_array(f, r, one, job->id) : wait_in_line(f, one);
			f->wanted = !f->wanted && is_wanted(r, job->id) ? one : f->wanted;
		}
	}
	if (rc == 0 && !f->wanted) {
		struct zn_order o = *job;
		rc = fill_in(f, &o);
		f->wanted = add(f, &o);
		rc = rc < 0 ? rc : wait_in_line(f, f->wanted);
	}
	zn_payers_take_ledgers(&f->payers, &p->payers);
	return rc == 0 ? zn_picture_weigh(p, &f->payers) : rc;
}

static uint64_t count_ahead(const struct future *f, double now_s)
{
	uint64_t n = f->wanted_at;

	for (size_t i = 0; i < f->n; i++) {
		const struct one *one = &f->v[i];
		if (one->pick.shape && one != f->wanted && f->wanted->pick.shape &&
		    zn_line_goes_before(&f->pick.line, &one->pick, &f->wanted->pick, now_s))
			n += one->pick.many ? one->rest.count : 1;
	}
	return n;
}

/* True: the wanted one starts. */
static bool starts(struct future *f, double now_s, struct zn_pick_pass *pass)
{
	struct zn_pick_job *pick;

	f->payers.now_s = now_s;
	zn_pick_begin(pass, &f->pick, now_s);
	while ((pick = zn_pick_next(pass)) && !f->failed) {
		struct one *one = (struct one *)pick;
		if (one == f->wanted || (one->whole == f->wanted && f->wanted->begun > f->wanted_at))
			return true;
		one->plan = f->room.plan;
		count_start(f, one, now_s);
	}
	return false;
}

/* Who keeps it back now. */
static void note_first(const struct future *f, const struct zn_pick_pass *pass, struct zn_forecast *ret)
{
	if (!pass->filling || pass->first == &f->wanted->pick)
		return;
	ret->behind = zn_handle_of_arrival(pass->first->seq);
	if (pass->gap.shadow_s < HUGE_VAL && pass->gap.shadow_s > pass->now_s)
		ret->gap_s = ZN_SOME_F64(pass->gap.shadow_s - pass->now_s);
}

/* One of it has ended: another may begin. */
static bool leave_array(struct future *f, struct one *array)
{
	if (!array)
		return true;
	array->busy--;
	return wait_in_line(f, array) == 0;
}

/* The next end by the limits, or the next time that hours of a quota pass; false: there is none. */
static bool end_next(struct future *f, double *now_s)
{
	struct zn_row_node *first = zn_row_first(&f->pick.running);
	double again_s = zn_payers_again_s(&f->payers), end_s = first ? first->key : HUGE_VAL;

	if (again_s > 0 && again_s < end_s) { /* somebody has hours again before that */
		*now_s = fmax(*now_s, again_s);
		return true;
	}
	if (end_s == HUGE_VAL)
		return false;
	struct zn_pick_job *ends = zn_pick_job_that_runs(first);
	*now_s = fmax(*now_s, first->key);
	zn_room_give(&f->room, plan_of(ends), wish_of(ends));
	count_end(f, (const struct one *)ends, *now_s);
	zn_pick_gone(&f->pick, ends, *now_s);
	if (((struct one *)ends)->goes)
		return come_back(f, (struct one *)ends);
	return leave_array(f, ((const struct one *)ends)->whole);
}

/* Who of the same owner does. */
static void note_owner(const struct future *f, struct zn_forecast *ret)
{
	const struct zn_pick_shape *s = f->wanted->pick.shape;

	for (int i = 0; s && s->is_out && s->ask.payer && i < 2; i++) {
		const struct zn_owner *o = f->payers.v[s->ask.payer - 1].owner[i];
		const struct zn_pick_shape *first = o ? o->first : NULL;
		const struct zn_pick_job *job = first ? zn_line_paid(&f->pick.line, first)->first : NULL;
		if (job && job != &f->wanted->pick)
			ret->kept_by = zn_handle_of_arrival(job->seq);
	}
}

static void run_on(struct future *f, double now_s, struct zn_forecast *ret)
{
	struct zn_pick_pass pass;

	for (int i = 0; i < ENDS_MAX; i++) {
		if (starts(f, now_s, &pass)) {
			ret->start_s = ZN_SOME_F64(now_s);
			return;
		}
		if (i == 0) {
			note_first(f, &pass, ret);
			note_owner(f, ret);
		}
		preempt(f, &pass);
		if (!end_next(f, &now_s))
			return;
	}
}

int zn_forecast(const struct zn_picture *p, const struct zn_facts *facts, const struct zn_free *free_now,
                const struct zn_order *job, double now_s, struct zn_forecast *ret)
{
	struct future f = { .v = calloc(p->n_jobs + 1, sizeof(*f.v)) };

	if (!f.v)
		return -ENOMEM;
	zn_payers_init(&f.payers, p->quotas, zn_picture_shares(p));
	f.room = (struct zn_room){ .facts = facts, .free = *free_now, .running = &f.pick.running, .plan_of = plan_of,
	                          .wish_of = wish_of };
	int rc = zn_picture_set_licences(p, &f.room.licences);
	zn_pick_init(&f.pick, zn_order_policy, fmax(1, zn_room_total(&f.room)), &zn_room_ops, &f.room);
	f.pick.payers = &f.payers;
	f.pick.part = part;
	f.pick.part_arg = &f;
	if (rc == 0)
		rc = fill(&f, p, job, now_s);
	if (rc == 0) {
		*ret = (struct zn_forecast){ .ahead = count_ahead(&f, now_s) };
		run_on(&f, now_s, ret);
	}
	if (f.failed)
		rc = -ENOMEM;
	zn_pick_done(&f.pick);
	zn_payers_done(&f.payers);
	for (size_t i = 0; i < f.n; i++)
		zn_spans_done(&f.v[i].rest);
	zn_arena_done(&f.elements);
	zn_licences_done(&f.room.licences);
	free(f.v);
	return rc;
}
