/* explain: why a job does not start, from the picture and the planner. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "job/number.h"
#include "queue/forecast.h"
#include "rec/ids.h"

static const struct zn_field reason_fields[] = {
	ZN_FIELD(struct zn_explained_reason, text, STR, "REASON", "what rejected it"),
	ZN_FIELD(struct zn_explained_reason, count, U64, "COUNT", "how many devices or nodes this rejected"),
	{ 0 },
};
static const struct zn_kind reason_kind = { NULL, "a rejection", reason_fields,
                                            sizeof(struct zn_explained_reason), NULL };

#define E struct zn_explained
static const struct zn_field explained_fields[] = {
	ZN_FIELD_WITH(E, id, U64, "JOB", "index", "job number"),
	ZN_FIELD(E, index, OU64, "", "which element of an array"),
	ZN_FIELD(E, state, STR, "STATE", "its state"),
	ZN_FIELD(E, answer, STR, "WHY", "one sentence"),
	ZN_FIELD(E, ahead, OU64, "AHEAD", "waiting jobs that come before it"),
	ZN_FIELD(E, fair_share, OF64, "FAIR", "what its urgency is multiplied by for what its user used lately"),
	ZN_FIELD(E, expected_s, OTIME, "START", "when it starts, should each job take as long as its limit and nobody else come"),
	ZN_FIELD_SUB(E, reasons, SUBS, &reason_kind, "", "each thing that rejected it, with a count"),
	ZN_FIELD(E, smallest, STR, "", "the smallest change with which it would start now"),
	ZN_FIELD(E, reason, STR, "", "the reason in the job's record"),
	{ 0 },
};
const struct zn_kind zn_explained_kind = { "why", "why a job is where it is", explained_fields, sizeof(E), NULL };

#define P struct zn_planned
static const struct zn_field planned_fields[] = {
	ZN_FIELD(P, now, BOOL, "NOW", "it would start at once"),
	ZN_FIELD(P, node, STR, "NODE", "where it would run"),
	ZN_FIELD(P, gpus, U32S, "GPUS", "GPU indices"),
	ZN_FIELD(P, gpu_milli, OU64, "", "thousandths of that GPU, when it would have a part of one"),
	ZN_FIELD(P, cpus, STR, "CPUS", "CPUs it would be pinned to"),
	ZN_FIELD(P, cpus_held, U64, "HELD", "how many of them would be its alone; 0: shared"),
	ZN_FIELD(P, numas, STR, "NUMA", "NUMA nodes whose memory it would use"),
	ZN_FIELD(P, mem_bytes, OBYTES, "MEM", "memory it would be given"),
	ZN_FIELD(P, ahead, OU64, "AHEAD", "waiting jobs that come before it"),
	ZN_FIELD(P, expected_s, OTIME, "START", "when it would start, should each job take as long as its limit and nobody else come"),
	ZN_FIELD_SUB(P, reasons, SUBS, &reason_kind, "", "why it would not start now"),
	ZN_FIELD(P, smallest, STR, "", "the smallest change with which it would start now"),
	{ 0 },
};
const struct zn_kind zn_planned_kind = { "plan", "where a job would run", planned_fields, sizeof(P), NULL };

static struct zn_list reason_list(const struct zn_why *why, struct zn_arena *a)
{
	struct zn_explained_reason *v = zn_arena_array(a, why->n + 1, sizeof(*v));

	for (size_t i = 0; v && i < why->n; i++)
		v[i] = (struct zn_explained_reason){ zn_arena_strdup(a, why->reasons[i].text), why->reasons[i].count };
	return (struct zn_list){ v, v ? why->n : 0 };
}

/* Strangers who hold GPUs that the job could have used. */
static void add_strangers(const struct zn_node_record *node, struct zn_arena *a, struct zn_list *reasons)
{
	const struct zn_node_held *held = node ? node->held.v : NULL;
	size_t n = reasons->n;
	struct zn_explained_reason *v = held ? zn_arena_array(a, n + node->held.n, sizeof(*v)) : NULL;

	if (!v)
		return;
	if (n)
		memcpy(v, reasons->v, n * sizeof(*v));
	for (size_t i = 0; i < node->held.n; i++)
		v[n++] = (struct zn_explained_reason){
			zn_arena_printf(a, held[i].command ? "gpu %u: pid %llu of %s (%s), outside the queue"
			                                   : "gpu %u: pid %llu of %s, outside the queue", held[i].gpu,
			                (unsigned long long)held[i].pid.v, held[i].user ? held[i].user : "somebody",
			                held[i].command), 1 };
	*reasons = (struct zn_list){ v, n };
}

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

static struct zn_of64 fair_share(struct zn_picture *p, const struct zn_job_record *job)
{
	int64_t payer = p->n_shares ? zn_payers_get(&p->payers, job->user, job->account) : 0;

	return payer > 0 ? ZN_SOME_F64(zn_payer_factor(&p->payers, (uint32_t)payer)) : (struct zn_of64){ 0 };
}

/* As many of an array run as may at once; 0: there is room for one. */
static uint32_t full_of(const struct zn_picture *p, const struct zn_job_record *array)
{
	const struct zn_job_record *whole = zn_picture_job(p, array->id);
	const char *mark = whole && whole->array ? strchr(whole->array, '%') : NULL;
	uint64_t at_once = 0;
	uint32_t busy = 0;

	if (!mark || zn_parse_u64(mark + 1, 1, UINT32_MAX, &at_once, NULL) < 0)
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

static int explain_queued(struct zn_picture *p, const struct zn_job_record *job, E *e, struct zn_err *err)
{
	struct zn_facts *facts;
	struct zn_free free;
	struct zn_plan plan;
	struct zn_why why = { 0 };
	char number[ZN_NUMBER_TEXT];
	struct zn_order order = zn_forecast_order(job);

	if (!p->n_nodes || strcmp(p->nodes->state, "up")) {
		e->answer = p->n_nodes && p->nodes->reason ? p->nodes->reason : "no node has reported yet";
		return 0;
	}
	int rc = zn_picture_node(p, p->nodes, &facts, &free, err);
	if (rc < 0)
		return rc;
	zn_part_fill_in(&order.ask.part, facts);
	struct zn_ask ask = zn_room_ask(&order.ask);
	rc = zn_plan_make(facts, &free, &ask, &plan, &why);
	struct zn_forecast forecast = { 0 };
	int forecasted = zn_forecast(p, facts, &free, &order, zn_now_s(), &forecast);
	zn_facts_free(facts);
	if (forecasted < 0)
		return forecasted;
	e->ahead = ZN_SOME_U64(forecast.ahead);
	if (rc != -EINVAL)
		e->expected_s = forecast.start_s;
	e->reasons = reason_list(&why, &p->arena);
	if (rc < 0 && ask.gpus)
		add_strangers(p->nodes, &p->arena, &e->reasons);
	if (why.smallest[0] && !forecast.behind) /* else what would fit is set aside */
		e->smallest = zn_arena_strdup(&p->arena, why.smallest);
	rc = zn_picture_lacks(p, job->licences, rc, &p->arena, &e->reasons, &e->smallest);
	if (rc == -ENOMEM)
		return rc;
	const char *quota = zn_forecast_over_quota(p, &order);
	uint32_t full = full_of(p, job);
	const struct zn_job_record *goes = who_goes_for(p, job);
	e->fair_share = fair_share(p, job);
	if (quota || full || goes)
		e->smallest = NULL;
	const char *first = e->reasons.n ? ((struct zn_explained_reason *)e->reasons.v)->text : "it does not fit";
	if (goes && !full && !quota && rc != -EINVAL)
		e->answer = zn_arena_printf(&p->arena, "job %s makes room for it", zn_handle_text(zn_record_handle(goes), number));
	else if (full)
		e->answer = zn_arena_printf(&p->arena, "%u of its array run, and no more may at once", full);
	else if (quota && rc != -EINVAL)
		e->answer = quota;
	else if (rc == 0 && forecast.kept_by)
		e->answer = zn_arena_printf(&p->arena, "it comes after job %s of the same user or account, which waits for the quota",
		                            zn_handle_text(forecast.kept_by, number));
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
	if (!job->after && job->begin_s.has && job->begin_s.v > zn_now_s())
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

int zn_picture_plan(const char *node, const struct zn_facts *facts, const struct zn_free *free,
                    const struct zn_node_record *held, const struct zn_ask *ask, struct zn_arena *a, P *ret)
{
	struct zn_plan plan;
	struct zn_why why = { 0 };
	int rc = zn_plan_make(facts, free, ask, &plan, &why);
	P p = { .now = rc == 0, .node = node };

	if (rc == 0) {
		rc = zn_ids_numbers(&plan.gpus, a, &p.gpus);
		p.cpus = zn_ids_text(&plan.cpus, a);
		p.numas = zn_ids_text(&plan.numas, a);
		if (rc < 0 || !p.cpus || !p.numas)
			return -ENOMEM;
		p.cpus_held = plan.cpus_held;
		if (plan.part.milli)
			p.gpu_milli = ZN_SOME_U64(plan.part.milli);
		if (plan.mem_bytes)
			p.mem_bytes = ZN_SOME_U64(plan.mem_bytes);
	} else {
		p.reasons = reason_list(&why, a);
		if (ask->gpus)
			add_strangers(held, a, &p.reasons);
		p.smallest = why.smallest[0] ? zn_arena_strdup(a, why.smallest) : NULL;
	}
	*ret = p;
	return rc;
}
