#include "queue/forecast.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/units.h"
#include "job/number.h"
#include "queue/future.h"

enum { ENDS_MAX = 20000 };             /* farther into the future nobody believes it */

/* Asked by memory alone it is as large as what it was given, if it ever was. */
static struct zn_gpu_part part_of(const struct zn_job_record *r)
{
	const struct zn_job_alloc *alloc = r->alloc.n ? r->alloc.v : NULL;
	struct zn_gpu_part part = { .mem_bytes = r->gpu_mem_bytes.v };

	if (!r->gpu_share.has && !r->gpu_mem_bytes.has)
		return part;
	part.milli = (uint32_t)lround(r->gpu_share.v * ZN_PART_WHOLE);
	if (!part.milli && alloc)
		part.milli = (uint32_t)alloc->gpu_milli.v;
	part.user = zn_part_user(r->user ? r->user : "");
	return part;
}

struct zn_order zn_forecast_order(const struct zn_job_record *r)
{
	return (struct zn_order){
		.id = zn_record_handle(r), .submit_s = r->submit_s, .begin_s = r->begin_s.v, .user = r->user, .account = r->account,
		.licences = r->licences,
		.limit_s = strcmp(r->state, "SUSPENDED") ? r->time_limit_s.v : 0,
		.ask = { .priority = r->priority, .mem_bytes = r->mem_bytes.v, .gpus = (uint32_t)r->gpus,
		         .cpus = (uint32_t)r->cpus.v, .tasks = (uint32_t)r->tasks,
		         .nodes_min = (uint32_t)r->nodes_min.v, .nodes_max = (uint32_t)r->nodes_max.v,
		         .nvlink_required = r->nvlink && !strcmp(r->nvlink, "require"), .may_exceed = r->preemptible.v,
		         .spread = r->spread.v, .same_switch = r->same_switch.v, .near = r->near, .constraint = r->constraint, .booking = r->reservation,
		         .part = part_of(r) },
	};
}

const char *zn_forecast_over_quota(struct zn_picture *p, const struct zn_order *order)
{
	int64_t payer = zn_payers_get(&p->payers, order->user, order->account);
	struct zn_use use = zn_pick_use(&order->ask);
	const char *text = NULL;

	if (payer > 0)
		zn_payer_may(&p->payers, (uint32_t)payer, &use, order->ask.may_exceed ? ZN_QUOTA_HARD : ZN_QUOTA_SOFT, &p->arena, &text);
	return text;
}

/* Whether it is what is asked for; of an array the one that is meant waits with the others. */
static bool is_wanted(const struct zn_job_record *r, uint64_t wanted)
{
	return zn_record_handle(r) == wanted || (r->array && r->id == zn_handle_number(wanted));
}

static int fill(struct zn__future *f, const struct zn_picture *p, const struct zn_order *job, double now_s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n_jobs; i++) {
		const struct zn_job_record *r = &p->jobs[i];
		struct zn_order o = zn_forecast_order(r);
		rc = zn__future_know(f, &o);
		if (rc == 0 && zn_picture_has_place(r)) {
			zn__future_runs(f, zn__future_add(f, &o), r, r->start_s.has ? r->start_s.v : now_s, now_s);
		} else if (rc == 0 && !strcmp(r->state, "QUEUED") && (r->array || !r->elements.has)) {
			struct zn__one *one = zn__future_add(f, &o);
			rc = r->array ? zn__future_wait_array(f, r, one, job->id) : zn__future_wait(f, one);
			f->wanted = !f->wanted && is_wanted(r, job->id) ? one : f->wanted;
		}
	}
	if (rc == 0 && !f->wanted) {
		struct zn_order o = *job;
		rc = zn__future_know(f, &o);
		f->wanted = zn__future_add(f, &o);
		rc = rc < 0 ? rc : zn__future_wait(f, f->wanted);
	}
	zn_payers_take_ledgers(&f->payers, &p->payers);
	rc = rc == 0 ? zn_picture_weigh(p, &f->payers) : rc;
	if (rc == 0)
		zn_pick_weigh(&f->pick);
	return rc;
}

static uint64_t count_ahead(const struct zn__future *f, double now_s)
{
	uint64_t n = f->wanted_at;

	for (size_t i = 0; i < f->n; i++) {
		const struct zn__one *one = &f->v[i];
		if (one->pick.shape && one != f->wanted && f->wanted->pick.shape &&
		    zn_line_goes_before(&f->pick.line, &one->pick, &f->wanted->pick, now_s))
			n += one->pick.many ? one->rest.count : 1;
	}
	return n;
}

/* The reservation beside which there is no room for it now: that of the soonest time. */
static uint32_t find_in_the_way(struct zn__future *f, const struct zn_pick_gap *gap)
{
	uint32_t level = 0;

	while (level + 1 < gap->n && zn_room_fits(&f->room, &f->wanted->order.ask, level + 1, gap))
		level++;
	return gap->by_time[level];
}

/* Who has that reservation, if he comes before it; else the first. */
static const struct zn_pick_job *who_comes_before(const struct zn__future *f, const struct zn_pick_pass *pass, uint32_t number)
{
	number -= pass->gap.closings;
	for (uint32_t i = 0; i <= number; i++)
		if (pass->ahead.v[i] == &f->wanted->pick)
			return pass->first;
	return pass->ahead.v[number];
}

/* Who keeps it back now. */
static void note_behind(struct zn__future *f, const struct zn_pick_pass *pass, struct zn_forecast *ret)
{
	if (!pass->filling || pass->first == &f->wanted->pick)
		return;
	uint32_t number = find_in_the_way(f, &pass->gap);
	if (number < pass->gap.closings)
		return;
	double at_s = pass->gap.at_s[number];

	ret->behind = zn_handle_of_arrival(who_comes_before(f, pass, number)->seq);
	if (at_s < HUGE_VAL && at_s > pass->now_s)
		ret->gap_s = ZN_SOME_F64(at_s - pass->now_s);
}

/* Whether there is room for it now, on nodes that stay open until then. */
static bool has_room_until(struct zn__future *f, double until_s)
{
	zn_room_future(&f->room, f->wanted->order.ask.priority, until_s);
	return zn_room_future_fits(&f->room, &f->wanted->order.ask);
}

/* It is to be drained, or will be reserved: for that. */
static void note_one_closing(struct zn__future *f, double now_s, double from_s, const char *reserved, struct zn_forecast *ret)
{
	if (from_s <= now_s || from_s <= ret->closes_s.v || !has_room_until(f, from_s))
		return;
	ret->closes_s = ZN_SOME_F64(from_s);
	ret->closes_for = reserved;
}

/* What there is room for is somebody else's, or nobody's, before it would be over: the last of these times. */
static void note_closing(struct zn__future *f, double now_s, struct zn_forecast *ret)
{
	if (!f->wanted->pick.shape || has_room_until(f, now_s + f->wanted->pick.limit_s))
		return;
	for (const struct zn_room_node *n = f->room.nodes; n < f->room.nodes + f->room.n; n++)
		note_one_closing(f, now_s, n->closes_s, NULL, ret);
	for (size_t i = 0; i < f->room.n_booked; i++)
		note_one_closing(f, now_s, f->room.booked[i].from_s, f->room.booked[i].name, ret);
}

const char *zn_forecast_closing(const struct zn_forecast *f, struct zn_arena *a)
{
	char at[ZN_UNIT_TEXT];

	zn_format_time(f->closes_s.v, at);
	return f->closes_for ? zn_arena_printf(a, "would not be over when reservation '%s' begins, %s", f->closes_for, at)
	                     : zn_arena_printf(a, "would not be over when the node is to be drained, %s", at);
}

/* When a node closes or opens, or what is reserved changes, after now_s. */
static double next_opening(const struct zn__future *f, double now_s)
{
	double next_s = zn_room_next_booked(&f->room, now_s);

	for (const struct zn_room_node *n = f->room.nodes; n < f->room.nodes + f->room.n; n++) {
		if (!n->closes_s)
			continue;
		next_s = n->closes_s > now_s ? fmin(next_s, n->closes_s) : next_s;
		next_s = n->opens_s > now_s ? fmin(next_s, n->opens_s) : next_s;
	}
	return next_s;
}

/* The next end by the limits, or the next time that hours of a quota pass, or that a node opens; false: there is none. */
static bool end_next(struct zn__future *f, double *now_s)
{
	struct zn_row_node *first = zn_row_first(&f->pick.running);
	double again_s = zn_payers_again_s(&f->payers), end_s = first ? first->key : HUGE_VAL;

	again_s = fmin(again_s > 0 ? again_s : HUGE_VAL, next_opening(f, *now_s));
	if (again_s < end_s) { /* somebody has hours again before that, or there is more room */
		*now_s = fmax(*now_s, again_s);
		return true;
	}
	if (end_s == HUGE_VAL)
		return false;
	*now_s = fmax(*now_s, first->key);
	if (zn__future_end(f, (struct zn__one *)zn_pick_job_that_runs(first), *now_s) < 0)
		f->failed = true;
	return !f->failed;
}

/* Who of the same owner does. */
static void note_owner(const struct zn__future *f, struct zn_forecast *ret)
{
	const struct zn_pick_shape *s = f->wanted->pick.shape;

	for (int i = 0; s && s->is_out && s->ask.payer && i < 2; i++) {
		const struct zn_owner *o = f->payers.v[s->ask.payer - 1].owner[i];
		const struct zn_pick_shape *first = o ? o->first[zn_pick_up_to(&f->pick, s)].shape : NULL;
		const struct zn_pick_job *job = first ? zn_line_paid(&f->pick.line, first)->first : NULL;
		if (job && job != &f->wanted->pick)
			ret->kept_by = zn_handle_of_arrival(job->seq);
	}
}

static void run_on(struct zn__future *f, double now_s, struct zn_forecast *ret)
{
	struct zn_pick_pass pass;

	for (int i = 0; i < ENDS_MAX; i++) {
		if (zn__future_pass(f, now_s, &pass)) {
			ret->start_s = ZN_SOME_F64(now_s);
			return;
		}
		if (i == 0) {
			note_behind(f, &pass, ret);
			note_owner(f, ret);
			note_closing(f, now_s, ret);
		}
		if (!end_next(f, &now_s))
			return;
	}
}

/* The caller ends it, also when this fails. */
static int begin(struct zn__future *f, const struct zn_picture *p, const struct zn_order *job, double now_s)
{
	int rc = zn__future_init(f, p, p->n_jobs);

	return rc == 0 ? fill(f, p, job, now_s) : rc;
}

int zn_forecast_ahead(const struct zn_picture *p, const struct zn_order *job, double now_s, uint64_t *ret)
{
	struct zn__future f;
	int rc = begin(&f, p, job, now_s);

	rc = f.failed ? -ENOMEM : rc;
	if (rc == 0)
		*ret = count_ahead(&f, now_s);
	zn__future_done(&f);
	return rc;
}

int zn_forecast(const struct zn_picture *p, const struct zn_order *job, double now_s, struct zn_forecast *ret)
{
	struct zn__future f;
	int rc = begin(&f, p, job, now_s);

	if (rc == 0) {
		*ret = (struct zn_forecast){ .ahead = count_ahead(&f, now_s) };
		run_on(&f, now_s, ret);
	}
	if (f.failed)
		rc = -ENOMEM;
	zn__future_done(&f);
	return rc;
}
