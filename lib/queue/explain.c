/* explain: why a job does not start, from the picture and the planner. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "job/number.h"
#include "queue/forecast.h"
#include "queue/jobs.h"
#include "queue/where.h"
#include "rec/ids.h"

#define E struct zn_explained
static const struct zn_field explained_fields[] = {
	ZN_FIELD_WITH(E, id, U64, "JOB", "index", "job number"),
	ZN_FIELD(E, index, OU64, "", "which element of an array"),
	ZN_FIELD(E, state, STR, "STATE", "its state"),
	ZN_FIELD(E, answer, STR, "WHY", "one sentence"),
	ZN_FIELD(E, ahead, OU64, "AHEAD", "waiting jobs that come before it"),
	ZN_FIELD_AS(E, factors.waited_s, "waited_s", ODUR, "", "how long it has waited in line"),
	ZN_FIELD_AS(E, factors.estimate_s, "estimate_s", ODUR, "", "how long it may take, as the order has it"),
	ZN_FIELD_AS(E, factors.size, "size", OF64, "", "the part of all there is that it takes, in GPUs"),
	ZN_FIELD_AS(E, factors.fair_share, "fair_share", OF64, "FAIR", "what its urgency is multiplied by for what its user used lately"),
	ZN_FIELD_AS(E, factors.urgency, "urgency", OF64, "", "what that comes to: among jobs of one priority the highest is first"),
	ZN_FIELD(E, expected_s, OTIME, "START", "when it starts, should each job take as long as its limit and nobody else come"),
	ZN_FIELD_SUB(E, reasons, SUBS, &zn__reason_kind, "", "each thing that rejected it, with a count"),
	ZN_FIELD(E, smallest, STR, "", "the smallest change with which it would start now"),
	ZN_FIELD(E, reason, STR, "", "the reason in the job's record"),
	{ 0 },
};
const struct zn_kind zn_explained_kind = { "why", "why a job is where it is", explained_fields, sizeof(E), NULL };

#define P struct zn_planned
static const struct zn_field planned_fields[] = {
	ZN_FIELD(P, now, BOOL, "NOW", "it would start at once"),
	ZN_FIELD(P, node, STR, "NODE", "where it would run; of a gang all of its nodes, and below what it would have of the first"),
	ZN_FIELD(P, gpus, U32S, "GPUS", "GPU indices"),
	ZN_FIELD(P, gpu_milli, OU64, "", "thousandths of that GPU, when it would have a part of one"),
	ZN_FIELD(P, cpus, STR, "CPUS", "CPUs it would be pinned to"),
	ZN_FIELD(P, cpus_held, U64, "HELD", "how many of them would be its alone; 0: shared"),
	ZN_FIELD(P, numas, STR, "NUMA", "NUMA nodes whose memory it would use"),
	ZN_FIELD(P, mem_bytes, OBYTES, "MEM", "memory it would be given"),
	ZN_FIELD(P, nics, STR, "", "the network devices nearest to these GPUs"),
	ZN_FIELD_SUB(P, alloc, SUBS, &zn_job_alloc_kind, "", "of a gang, what it would have of each node"),
	ZN_FIELD(P, ahead, OU64, "AHEAD", "waiting jobs that come before it"),
	ZN_FIELD(P, expected_s, OTIME, "START", "when it would start, should each job take as long as its limit and nobody else come"),
	ZN_FIELD_SUB(P, reasons, SUBS, &zn__reason_kind, "", "why it would not start now"),
	ZN_FIELD(P, smallest, STR, "", "the smallest change with which it would start now"),
	{ 0 },
};
const struct zn_kind zn_planned_kind = { "plan", "where a job would run", planned_fields, sizeof(P), NULL };

/* There is room for it, but that is set aside for somebody else. */
static void explain_behind(const struct zn_forecast *forecast, struct zn_arena *a, E *e)
{
	char limit[ZN_UNIT_TEXT], number[ZN_NUMBER_TEXT];

	e->answer = zn_arena_printf(a, "it fits, but would delay job %s, which comes before it",
	                            zn_handle_text(forecast->behind, number));
	if (forecast->gap_s.has && forecast->gap_s.v >= 1)
		e->smallest = zn_arena_printf(a, "with --time %s it would start now",
		                              zn_format_duration(floor(forecast->gap_s.v), limit));
}

/* There is room for it, but not for so long. */
static void explain_closing(const struct zn_forecast *forecast, struct zn_arena *a, E *e)
{
	char limit[ZN_UNIT_TEXT];
	double left_s = floor(forecast->closes_s.v - zn_now_s());

	e->answer = zn_arena_printf(a, "it fits, but %s", zn_forecast_closing(forecast, a));
	e->smallest = left_s >= 1 ? zn_arena_printf(a, "with --time %s it would start now", zn_format_duration(left_s, limit)) : NULL;
}

static struct zn_of64 fair_share(struct zn_picture *p, const struct zn_order *order)
{
	int64_t payer = p->n_shares ? zn_payers_get(&p->payers, order->user, order->account) : 0;

	return payer > 0 ? ZN_SOME_F64(zn_payer_factor(&p->payers, (uint32_t)payer)) : (struct zn_of64){ 0 };
}

/* In the picture's room. */
static struct zn_job_factors factors_of(struct zn_picture *p, const struct zn_order *order)
{
	struct zn_pick_weights w = zn_picture_weights(p);
	struct zn_of64 fair = fair_share(p, order);
	struct zn_pick_job job = { 0 };

	zn_order_set(order, &p->room, &job);
	double waited_s = zn_line_waited_s(job.submit_s, zn_now_s()), weight = zn_weigh_job(&w, job.estimate_s, (double)job.size);
	return (struct zn_job_factors){
		.waited_s = ZN_SOME_F64(waited_s), .estimate_s = ZN_SOME_F64(job.estimate_s), .size = ZN_SOME_F64((double)job.size),
		.fair_share = fair, .urgency = ZN_SOME_F64(zn_line_urgency(waited_s, weight, zn_weigh_share(&w, fair.has ? fair.v : 1))),
	};
}

/* As many of an array run as may at once; 0: there is room for one. */
static uint32_t full_of(const struct zn_picture *p, const struct zn_job_record *array)
{
	const struct zn_job_record *whole = zn_picture_job(p, array->id);
	uint32_t at_once = whole ? zn_record_at_once(whole) : 0, busy = 0;

	if (!at_once)
		return 0;
	for (const struct zn_job_record *e = whole; e > p->jobs && e[-1].id == array->id; e--)
		busy += zn_picture_has_place(&e[-1]) || !strcmp(e[-1].state, "QUEUED");
	return busy >= at_once ? busy : 0;
}

/* One that is preempted for it; NULL: nobody is. */
static const struct zn_job_record *who_goes_for(const struct zn_picture *p, const struct zn_job_record *job)
{
	size_t mark = strlen(ZN_PREEMPTED);
	uint64_t handle;

	for (size_t i = 0; i < p->n_jobs; i++) {
		const struct zn_job_record *r = &p->jobs[i];
		if (zn_picture_has_place(r) && r->reason && !strncmp(r->reason, ZN_PREEMPTED, mark) &&
		    zn_handle_parse(r->reason + mark, &handle) == 0 && zn_handle_number(handle) == job->id)
			return r;
	}
	return NULL;
}

const char *zn_picture_closed(const struct zn_picture *p)
{
	for (uint32_t i = 0; i < p->n_nodes; i++)
		if (!strcmp(p->nodes[i].state, "up"))
			return NULL;
	return p->n_nodes && p->nodes->reason ? p->nodes->reason : p->n_nodes ? p->nodes->state : "no node has reported yet";
}

static int explain_queued(struct zn_picture *p, const struct zn_job_record *job, E *e, struct zn_err *err)
{
	struct zn__where where;
	char number[ZN_NUMBER_TEXT];
	struct zn_order order = zn_forecast_order(job);

	e->answer = zn_picture_closed(p);
	if (e->answer)
		return 0;
	int rc = zn_picture_room(p, err);
	if (rc < 0)
		return rc;
	zn_room_fill_in(&p->room, &order.ask.part);
	struct zn_forecast forecast = { 0 };
	rc = zn__where(p, &order.ask, &where);
	if (rc == 0)
		rc = zn_forecast(p, &order, zn_now_s(), &forecast);
	if (rc < 0)
		return rc;
	rc = where.rc;
	e->ahead = ZN_SOME_U64(forecast.ahead);
	if (rc != -EINVAL)
		e->expected_s = forecast.start_s;
	e->reasons = where.reasons;
	if (!forecast.behind) /* else what would fit is set aside */
		e->smallest = where.smallest;
	rc = zn_picture_lacks(p, job->licences, rc, &p->arena, &e->reasons, &e->smallest);
	if (rc == -ENOMEM)
		return rc;
	const char *quota = zn_forecast_over_quota(p, &order);
	uint32_t full = full_of(p, job);
	const struct zn_job_record *goes = who_goes_for(p, job);
	e->factors = factors_of(p, &order);
	if (quota || full || goes)
		e->smallest = NULL;
	const char *first = where.answer ? where.answer : e->reasons.n ? ((struct zn_explained_reason *)e->reasons.v)->text : "it does not fit";
	if (goes && !full && !quota && rc != -EINVAL)
		e->answer = zn_arena_printf(&p->arena, "job %s makes room for it", zn_handle_text(zn_record_handle(goes), number));
	else if (full)
		e->answer = zn_arena_printf(&p->arena, "%u of its array run, and no more may at once", full);
	else if (quota && rc != -EINVAL)
		e->answer = quota;
	else if (rc == 0 && forecast.kept_by)
		e->answer = zn_arena_printf(&p->arena, "it comes after job %s of the same user or account, which waits for the quota",
		                            zn_handle_text(forecast.kept_by, number));
	else if (rc == 0 && forecast.closes_s.has)
		explain_closing(&forecast, &p->arena, e);
	else if (rc == 0 && forecast.behind)
		explain_behind(&forecast, &p->arena, e);
	else if (rc == 0)
		e->answer = job->reason ? job->reason : "it fits: it starts in a moment";
	else if (rc == -EINVAL)
		e->answer = zn_arena_printf(&p->arena, "it can never start here: %s", first);
	else
		e->answer = first;
	return 0;
}

/* Whether by the time limits of the others it would start too late for its deadline. */
static bool misses_deadline(const struct zn_job_record *job, const E *e)
{
	return job->deadline_s.has && e->expected_s.has && e->expected_s.v + job->time_limit_s.v > job->deadline_s.v;
}

static const char *add_deadline(const struct zn_job_record *job, const char *answer, struct zn_arena *a)
{
	char when[ZN_UNIT_TEXT];

	return zn_arena_printf(a, "%s; it is given up at %s, when it could not end by its deadline any more", answer,
	                       zn_format_time(job->deadline_s.v - job->time_limit_s.v, when));
}

static const char *pending_answer(const struct zn_picture *p, const struct zn_job_record *job, struct zn_arena *a)
{
	char when[ZN_UNIT_TEXT];

	(void)p;
	if (!job->after && !job->reservation && job->begin_s.has && job->begin_s.v > zn_now_s())
		return zn_arena_printf(a, "it begins at %s", zn_format_time(job->begin_s.v, when));
	return job->reason ? job->reason : "it is held";
}

int zn_picture_explain(struct zn_picture *p, const struct zn_job_record *job, E *ret, struct zn_err *err)
{
	E e = { .id = job->id, .index = job->index, .state = job->state, .reason = job->reason };
	int rc = 0;

	if (job->elements.has && !job->array && !job->end_s.has)
		e.answer = job->reason ? job->reason : "nothing of it waits as a whole: its elements have begun, have ended, or wait by themselves";
	else if (!strcmp(job->state, "QUEUED"))
		rc = explain_queued(p, job, &e, err);
	else if (!strcmp(job->state, "PENDING"))
		e.answer = pending_answer(p, job, &p->arena);
	else if (job->reason)
		e.answer = job->reason;
	else if (job->adopted_pid.has && !job->end_s.has)
		e.answer = zn_arena_printf(&p->arena, "it was process %llu, outside the queue, until it was adopted",
		                           (unsigned long long)job->adopted_pid.v);
	else
		e.answer = job->end_s.has ? "it ended as it should" : "nothing keeps it";
	if (rc == 0 && misses_deadline(job, &e))
		e.answer = add_deadline(job, e.answer, &p->arena);
	if (rc == 0)
		*ret = e;
	return rc;
}

int zn_picture_add_order(struct zn_picture *p, struct zn_job_record *job, struct zn_err *err)
{
	struct zn_order order = zn_forecast_order(job);
	uint64_t ahead;

	if (strcmp(job->state, "QUEUED") || (job->elements.has && !job->array))
		return 0;
	int rc = zn_picture_room(p, err);
	if (rc < 0)
		return rc == -ENODATA ? 0 : rc;
	zn_room_fill_in(&p->room, &order.ask.part);
	rc = zn_forecast_ahead(p, &order, zn_now_s(), &ahead);
	if (rc < 0)
		return rc;
	job->ahead = ZN_SOME_U64(ahead);
	job->factors = factors_of(p, &order);
	return 0;
}

static int fill_place(const struct zn_facts *f, const struct zn_plan *plan, struct zn_arena *a, P *p)
{
	int rc = zn_ids_numbers(&plan->gpus, a, &p->gpus);

	rc = rc == 0 ? zn_plan_nics(f, &plan->gpus, a, &p->nics) : rc;
	p->cpus = zn_ids_text(&plan->cpus, a);
	p->numas = zn_ids_text(&plan->numas, a);
	p->cpus_held = plan->cpus_held;
	if (plan->part.milli)
		p->gpu_milli = ZN_SOME_U64(plan->part.milli);
	if (plan->mem_bytes)
		p->mem_bytes = ZN_SOME_U64(plan->mem_bytes);
	return rc < 0 || !p->cpus || !p->numas ? -ENOMEM : 0;
}

static int fill_alloc(const struct zn_picture *picture, const struct zn_places *places, struct zn_arena *a, P *p)
{
	struct zn_job_alloc *v = zn_arena_array(a, places->n, sizeof(*v));
	int rc = v ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < places->n; i++) {
		const struct zn_place *at = &places->v[i];
		rc = zn_plan_record(&at->plan, zn_arena_strdup(a, picture->nodes[at->node].node_id), picture->room.nodes[at->node].facts, a, &v[i]);
	}
	p->alloc = (struct zn_list){ v, v ? places->n : 0 };
	return rc;
}

/* What the picture's arena has, for one that lives longer. */
static int copy_reasons(const struct zn__where *w, struct zn_arena *a, P *p)
{
	struct zn_explained_reason *v = zn_arena_array(a, w->reasons.n + 1, sizeof(*v));
	const struct zn_explained_reason *from = w->reasons.v;
	size_t n = 0;

	if (v && w->answer)
		v[n++] = (struct zn_explained_reason){ zn_arena_strdup(a, w->answer), 1 };
	for (size_t i = 0; v && i < w->reasons.n; i++)
		v[n++] = (struct zn_explained_reason){ zn_arena_strdup(a, from[i].text), from[i].count };
	p->reasons = (struct zn_list){ v, n };
	p->smallest = w->smallest ? zn_arena_strdup(a, w->smallest) : NULL;
	return v ? 0 : -ENOMEM;
}

/* "n1,n2" */
static const char *node_names(const struct zn_picture *p, const struct zn_places *places, struct zn_arena *a)
{
	const char *names = zn_arena_strdup(a, p->nodes[places->n ? places->v[0].node : 0].node_id);

	for (uint32_t i = 1; names && i < places->n; i++)
		names = zn_arena_printf(a, "%s,%s", names, p->nodes[places->v[i].node].node_id);
	return names;
}

int zn_picture_plan(struct zn_picture *picture, const struct zn_pick_ask *ask, struct zn_arena *a, P *ret)
{
	struct zn__where where;
	int rc = zn__where(picture, ask, &where);

	if (rc < 0)
		return rc;
	/* of one node it is said even when it is not there now */
	P p = { .now = where.rc == 0, .node = where.rc == 0 || picture->n_nodes == 1 ? node_names(picture, where.places, a) : NULL };
	const struct zn_place *first = where.rc == 0 ? where.places->v : NULL;
	rc = first ? fill_place(picture->room.nodes[first->node].facts, &first->plan, a, &p) : copy_reasons(&where, a, &p);
	if (rc == 0 && where.rc == 0 && where.places->n > 1)
		rc = fill_alloc(picture, where.places, a, &p);
	*ret = p;
	return rc < 0 ? rc : where.rc;
}
