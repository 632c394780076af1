/* report: what the agent says happened to a job. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/server.h"

static void take_numbers(struct zn_server *s, struct zn_job *job, const struct zn_msg_report *m)
{
	job->end_s = m->time_s;
	job->has_exit_code = m->exit_code.has;
	job->exit_code = (int32_t)m->exit_code.v;
	job->signal = m->signal.has ? (uint32_t)m->signal.v : 0;
	if (m->max_rss_bytes.has)
		job->run->max_rss_bytes = m->max_rss_bytes.v;
	job->run->cpu_s = m->cpu_s.has ? m->cpu_s.v : 0;
	job->run->gpu_s = m->gpu_s.has ? m->gpu_s.v : 0;
	if (m->confinement)
		job->run->confinement = zn_jobs_intern(&s->jobs, m->confinement);
}

/* The end of a job: its place is free, its hook runs. */
void zn_job_finish(struct zn_server *s, struct zn_job *job, enum zn_job_state to, const char *reason)
{
	if (job->array && job->array->open) {
		zn_array_stop(s, job, reason);
		return;
	}
	if (job->state == ZN_JOB_QUEUED) /* what was set aside for it is not any more */
		zn_place_soon(s);
	const char *event = to == ZN_JOB_COMPLETED ? "completed" : to == ZN_JOB_FAILED ? "failed" : "cancelled";

	if (job->places)
		zn_place_give(s, job);
	if (!job->end_s) /* one that never began */
		job->end_s = zn_now_s();
	free(job->after);
	job->after = NULL;
	if (zn_change_state(s, job, to, event, reason) < 0)
		return;
	s->counts.ended[to] += job->array ? job->array->rest.count : 1;
	if (job->array)
		zn_jobs_give_up_rest(&s->jobs, job);
	zn_hook_finish(s, job);
	zn_end_submit(s, job);
	zn_after_note(s, job->id);
	zn_job_forget_places(job); /* the history has them */
	if (job->whole)
		zn_array_note(s, job->whole);
}

static void back_to_queue(struct zn_server *s, struct zn_job *job, enum zn_again why, const char *reason)
{
	static const char *const events[ZN_AGAINS] = { "requeued", "preempted", "requeued", "queued" };

	job->cancel = job->requeue = false;
	job->run->preempted_for = 0;
	if (job->places)
		zn_place_give(s, job);
	zn_job_forget_places(job);
	job->run->start_s = job->end_s = 0;
	job->has_exit_code = false;
	job->signal = 0;
	enum zn_job_state to = job->hold && job->state == ZN_JOB_RUNNING ? ZN_JOB_PENDING : ZN_JOB_QUEUED;
	if (zn_change_state(s, job, to, events[why], reason) == 0)
		s->counts.again[why]++;
	if (job->booking)
		zn_booking_look(s, job); /* it may be others' by now */
	zn_times_note(s, job);
	zn_place_soon(s);
}

void zn_job_lost(struct zn_server *s, struct zn_job *job, const char *reason)
{
	if (job->cancel) {
		zn_job_finish(s, job, ZN_JOB_CANCELLED, "cancelled");
	} else if (job->requeues_left) {
		job->requeues_left--;
		back_to_queue(s, job, ZN_AGAIN_LOST, reason);
	} else {
		zn_job_finish(s, job, ZN_JOB_FAILED, reason);
	}
}

static void take_started(struct zn_server *s, struct zn_job *job, const struct zn_msg_report *m)
{
	if (job->state != ZN_JOB_SCHEDULED)
		return;
	job->run->start_s = m->time_s;
	job->refusals = 0;
	if (m->confinement)
		job->run->confinement = zn_jobs_intern(&s->jobs, m->confinement);
	zn_change_state(s, job, ZN_JOB_RUNNING, "started", NULL);
	if (job->preemptible) /* who is urgent may have waited for this: one that only starts is not sent back */
		zn_place_soon(s);
}

/* Why it failed, as one phrase; NULL: it did not. */
static const char *failure(struct zn_server *s, const struct zn_job *job, const struct zn_msg_report *m)
{
	if (m->reason)
		return m->reason;
	if (job->adopted_pid && !m->exit_code.has && !m->signal.has) /* not its child, its agent can't know */
		return NULL;
	if (m->signal.has) {
		const char *name = zn_signal_name((int)m->signal.v);
		return name ? zn_arena_printf(&s->arena, "ended by signal %s", name)
		            : zn_arena_printf(&s->arena, "ended by signal %d", (int)m->signal.v);
	}
	if (m->exit_code.has && m->exit_code.v == 0)
		return NULL;
	return zn_arena_printf(&s->arena, "exit code %d", (int)m->exit_code.v);
}

/* Asked by us, or by a zn-schedd before us that told the agent and died before the journal had it. */
static bool was_asked(bool noted, const struct zn_msg_report *m, const char *what)
{
	return noted || (m->reason && !strncmp(m->reason, what, strlen(what)));
}

/* For whom it was preempted is noted, or, should the journal have missed that, stands behind the agent's reason. */
static void requeue(struct zn_server *s, struct zn_job *job, const char *told)
{
	const char *mark = "requeued: ";
	bool noted = zn_job_run(job)->preempted_for && job->reason && !zn_job_is_frozen(job);
	bool is_told = told && !strncmp(told, mark, strlen(mark)) && !strncmp(told + strlen(mark), ZN_PREEMPTED, strlen(ZN_PREEMPTED));

	job->preempted += !noted && is_told;
	if (noted || is_told)
		back_to_queue(s, job, ZN_AGAIN_PREEMPTED, noted ? job->reason : told + strlen(mark));
	else
		back_to_queue(s, job, ZN_AGAIN_ASKED, "requeued");
}

static void take_exited(struct zn_server *s, struct zn_job *job, const struct zn_msg_report *m)
{
	const char *why = failure(s, job, m);
	bool cancel = was_asked(job->cancel, m, "cancelled");

	take_numbers(s, job, m);
	bool came_first = m->reason && !strcmp(m->reason, "time limit"); /* it was over when it was to be sent back */
	if (!cancel && !came_first && was_asked(job->requeue, m, "requeued")) {
		requeue(s, job, m->reason);
	} else if (cancel) {
		zn_job_finish(s, job, ZN_JOB_CANCELLED,
		              job->cancel && job->reason ? job->reason : m->reason ? m->reason : "cancelled");
	} else if (why && !strncmp(why, "lost", 4)) {
		zn_job_lost(s, job, why);
	} else if (why) {
		zn_job_finish(s, job, ZN_JOB_FAILED, why);
	} else {
		if (job->state == ZN_JOB_SCHEDULED) /* the report of its start was swallowed */
			zn_change_state(s, job, ZN_JOB_RUNNING, "started", NULL);
		zn_job_finish(s, job, ZN_JOB_COMPLETED, m->exit_code.has ? NULL : "it was adopted: its exit code is unknown");
	}
}

static void unstarted(struct zn_server *s, struct zn_job *job)
{
	if (job->cancel)
		zn_job_finish(s, job, ZN_JOB_CANCELLED, job->reason ? job->reason : "cancelled");
	else
		back_to_queue(s, job, ZN_AGAIN_ASKED, "requeued");
}

void zn_job_put_off(struct zn_server *s, struct zn_job *job, const char *reason)
{
	back_to_queue(s, job, ZN_AGAIN_PUT_OFF, reason);
	zn_jobs_defer(&s->jobs, job, (double)zn_boot_ns() / 1e9);
}

static void take_refused(struct zn_server *s, struct zn_job *job, const struct zn_msg_report *m)
{
	if (job->state != ZN_JOB_SCHEDULED)
		return;
	if (job->cancel || job->requeue)
		unstarted(s, job);
	else if (m->again.has && m->again.v && !job->adopted_pid)
		zn_job_put_off(s, job, m->reason);
	else
		zn_job_finish(s, job, ZN_JOB_FAILED, m->reason ? m->reason : "the agent refused to start it");
}

/* Of a gang the last part's is all of its.  One that was to be cancelled or requeued ends as that whatever its parts say. */
void zn_report_end(struct zn_server *s, struct zn_job *job, struct zn_place *place, struct zn_msg_report *m)
{
	bool is_gang = job->places->n > 1;

	if (is_gang && !zn_gang_over(s, job, place, m))
		return;
	if (is_gang && (job->cancel || job->requeue) && !strcmp(m->what, "refused"))
		m->what = "exited";
	if (!strcmp(m->what, "exited"))
		take_exited(s, job, m);
	else
		take_refused(s, job, m);
}

void zn_report_take(struct zn_node *n, const struct zn_msg_report *m)
{
	struct zn_server *s = n->server;
	struct zn_job *job = zn_jobs_get(&s->jobs, m->job);
	struct zn_place *place;
	char number[ZN_NUMBER_TEXT];

	zn_lost_ended(n, m);
	if (!job || job->attempt != m->attempt || !zn_job_has_alloc(job->state) || !(place = zn_place_on(job, n))) {
		if (!job)
			zn_log("the agent reports '%s' of job %s, which is unknown here", m->what, zn_handle_text(m->job, number));
		return; /* an old attempt, or a report that was taken before: acknowledging it is all it needs */
	}
	struct zn_msg_report said = *m;
	if (!strcmp(m->what, "started") && zn_gang_started(s, place, job))
		take_started(s, job, m);
	else if (!strcmp(m->what, "exited") || !strcmp(m->what, "refused"))
		zn_report_end(s, job, place, &said);
}

void zn_job_unstarted(struct zn_server *s, struct zn_job *job)
{
	uint32_t attempt = job->attempt;

	for (uint32_t i = 0; job->attempt == attempt && job->state == ZN_JOB_SCHEDULED && job->places && i < job->places->n; i++) {
		struct zn_place *p = &job->places->v[i];
		struct zn_msg_report never = { .what = "refused", .time_s = zn_now_s(), .reason = "a part of it ended before it began" };
		if (!p->told && !p->started && s->nodes[p->node].settled)
			zn_report_end(s, job, p, &never);
	}
}

static const struct zn_msg_running *running_find(const struct zn_node *n, const struct zn_job *job)
{
	for (size_t i = 0; i < n->n_running; i++)
		if (n->running[i].job == job->id && n->running[i].attempt == job->attempt)
			return &n->running[i];
	return NULL;
}

/* A zn-schedd that died between telling the agent and the journal left them with different minds. */
static void align(struct zn_node *n, const struct zn_job *job, const struct zn_msg_running *r)
{
	bool suspended = job->state == ZN_JOB_SUSPENDED;
	struct zn_msg_steer m = { .op = "limit", .job = job->id, .attempt = job->attempt,
	                          .limit_s = ZN_SOME_F64(job->limit_s) };

	zn_agent_steer(n, &m);
	m.op = suspended ? "suspend" : "resume";
	if (suspended != r->suspended)
		zn_agent_steer(n, &m);
}

static void stop_again(struct zn_node *n, const struct zn_job *job, const char *reason)
{
	zn_agent_steer(n, &(struct zn_msg_steer){ .op = "stop", .job = job->id, .attempt = job->attempt, .reason = reason });
}

/* It runs there: whatever was told meanwhile is told again. */
static void settle_running(struct zn_node *n, struct zn_job *job, struct zn_place *place, const struct zn_msg_running *r)
{
	struct zn_server *s = n->server;

	if (zn_gang_started(s, place, job) && job->state == ZN_JOB_SCHEDULED) {
		job->run->start_s = r->start_s;
		zn_change_state(s, job, ZN_JOB_RUNNING, "started", NULL);
	}
	align(n, job, r);
	if (job->cancel || job->requeue || zn_gang_is_ending(s, job))
		stop_again(n, job, job->cancel ? "cancelled" : job->requeue ? "requeued" : ZN_GANG_PARTNER);
}

static void settle_lost(struct zn_node *n, struct zn_job *job, struct zn_place *place)
{
	struct zn_msg_report m = { .what = "exited", .time_s = zn_now_s(),
	                           .reason = n->rebooted ? "lost: the machine restarted" : "lost: its agent does not know it" };

	if (job->places->n > 1)
		zn_report_end(n->server, job, place, &m);
	else
		zn_job_lost(n->server, job, m.reason);
}

static void settle_job(struct zn_node *n, struct zn_job *job, struct zn_place *place)
{
	const struct zn_msg_running *r = running_find(n, job);
	struct zn_msg_report never = { .what = "refused", .time_s = zn_now_s(), .reason = "a part of it ended before it began" };

	if (place->over)
		return;
	if (r)
		settle_running(n, job, place, r);
	else if (job->state != ZN_JOB_SCHEDULED || n->rebooted)
		settle_lost(n, job, place);
	else if (job->cancel || job->requeue || zn_gang_is_ending(n->server, job))
		zn_report_end(n->server, job, place, &never);
	else {
		place->told = false;
		zn_later_start(n->server, job); /* the agent never heard of this start, or answers it from its log */
	}
}

/* Once: what the last zn-schedd left with no node. */
static void settle_others(struct zn_server *s)
{
	struct zn_job *job, *next;

	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (zn_job_has_alloc(job->state) && !job->places) {
			job->requeues_left = 0; /* nobody knows whether it runs on */
			zn_job_lost(s, job, "lost: its node is none of the nodes any more");
		}
		else if (job->adopted_pid && zn_job_is_waiting(job->state))
			zn_adopt_fail(s, job);
		else if (job->array && !zn_job_is_finished(job->state))
			zn_array_recover(s, job);
	s->settled = true;
	s->settled_ns = zn_boot_ns();
}

void zn_report_settle(struct zn_node *n)
{
	struct zn_server *s = n->server;
	struct zn_job *job, *next;
	struct zn_place *place;

	n->settled = true;
	n->retries = 0;
	if (!s->settled)
		settle_others(s);
	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (zn_job_has_alloc(job->state) && (place = zn_place_on(job, n)))
			settle_job(n, job, place);
	zn_lost_end(n);
	n->rebooted = false;
	zn_lost_note(n);
	zn_owed_make(s); /* one that died between a job's end, or its begin, and this */
	zn_boot_settled(s);
	zn_node_publish(n);
	zn_place_soon(s);
}
