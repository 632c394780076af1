/* change: memory, journal, view: the one way a job changes. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "serve/server.h"

static void put_event(struct zn_server *s, const struct zn_job *job, const char *event, double time_s, bool view,
                      bool history)
{
	struct zn_arena a = { 0 };
	struct zn_event e = { .seq = job->view_seq, .time_s = time_s, .event = event };
	char number[ZN_NUMBER_TEXT];
	int rc = zn_job_public(&s->jobs, job, &a, &e.job);

	if (!s->is_private) { /* the view is everybody's, a key its owner's */
		e.job.key = NULL;
		e.job.reason = zn_job_reason_for_all(e.job.reason, &a);
	}
	if (rc == 0 && history)
		rc = zn_view_put_history(s->view, &e);
	if (rc == 0 && view)
		rc = zn_view_put(s->view, &e);
	if (rc < 0)
		zn_log("view: job %s: %s", zn_handle_text(job->id, number), strerror(-rc));
	zn_arena_done(&a);
}

void zn_change_view(struct zn_server *s, const struct zn_job *job, const char *event, double time_s)
{
	put_event(s, job, event, time_s, true, zn_job_is_finished(job->state));
}

void zn_change_history(struct zn_server *s, const struct zn_job *job, const char *event, double time_s)
{
	put_event(s, job, event, time_s, false, true);
}

int zn_change_save(struct zn_server *s, struct zn_job *job, const char *event)
{
	struct zn_buf b = { 0 };
	char number[ZN_NUMBER_TEXT];
	double now = zn_now_s();
	int rc = zn_memo_encode_change(&s->jobs, job, event, now, &b);

	if (rc == 0) {
		int64_t seq = zn_journal_append(s->journal, b.data, b.len, NULL);
		if (seq > 0) {
			s->seq = job->view_seq = (uint64_t)seq;
			job->is_changed = true;
		} else {
			rc = (int)seq;
		}
	}
	zn_buf_done(&b);
	if (rc < 0) { /* memory and journal disagree now: only the journal counts */
		zn_log("journal: job %s: %s", zn_handle_text(job->id, number), strerror(-rc));
		zn_server_fail(s, rc);
		return rc;
	}
	zn_change_view(s, job, event, now);
	return 0;
}

int zn_change_state(struct zn_server *s, struct zn_job *job, enum zn_job_state to, const char *event,
                    const char *reason)
{
	int rc = zn_jobs_move(&s->jobs, job, to);
	char number[ZN_NUMBER_TEXT];

	if (rc < 0) {
		zn_log("job %s can't go from %s to %s", zn_handle_text(job->id, number),
		       zn_job_state_name(job->state), zn_job_state_name(to));
		return rc;
	}
	if (reason != job->reason)
		zn_job_set_text(&job->reason, reason);
	return zn_change_save(s, job, event);
}

/* Why nothing can be placed there; NULL: it can. */
static const char *why_down(const struct zn_node *n)
{
	if (!n->settled || n->is_silent)
		return "its agent does not answer";
	if (n->n_running)
		return "jobs that it had lost are ended there first";
	return n->facts ? NULL : n->unread;
}

const char *zn_node_state(const struct zn_node *n)
{
	return why_down(n) ? "down" : n->has_drained ? "drained" : n->is_draining ? "draining" : "up";
}

/* Jobs that have a place on it. */
static uint64_t count_jobs(const struct zn_node *n)
{
	const struct zn_row *running = &n->server->jobs.pick.running;
	uint32_t all = zn_row_size(running);
	uint64_t here = 0;

	for (uint32_t i = 0; n->server->n_nodes > 1 && i < all; i++)
		here += zn_place_on(zn__line_job(zn_pick_job_that_runs(zn_row_nth(running, i))), n) != NULL;
	return n->server->n_nodes > 1 ? here : all;
}

bool zn_node_is_empty(const struct zn_node *n)
{
	return !count_jobs(n);
}

void zn_node_publish(struct zn_node *n)
{
	struct zn_server *s = n->server;
	const struct zn_drain *drain = &s->jobs.nodes[n->number].drain;
	struct zn_buf topology = { 0 };
	struct zn_arena a = { 0 };
	const char *reason = why_down(n);
	struct zn_node_record r = {
		.node_id = n->name, .domain = n->domain, .hostname = n->name, .report_s = n->report_s, .healthy = !reason,
		.state = reason ? "down" : "up", .reason = reason,
		.jobs = ZN_SOME_U64(count_jobs(n)), .held = { n->held_by, n->n_held },
		.labels = n->labels,
		.order_estimate = s->conf.weights.estimate, .order_size = s->conf.weights.size, .order_fair_share = s->conf.weights.fair_share,
		.reservations = { .has = s->conf.reservations > 1, .v = s->conf.reservations },
		.share_between_users = { .has = s->jobs.share_between_users, .v = true },
	};

	n->is_draining = drain->by && drain->from_s <= zn_now_s();
	n->has_drained = n->is_draining && !r.jobs.v;
	if (drain->by && !n->is_draining) {
		r.drain_from_s = ZN_SOME_F64(drain->from_s);
		r.drain_until_s = (struct zn_of64){ .has = drain->until_s > 0, .v = drain->until_s };
		r.drain_reason = zn_drain_text(n, &a);
	}
	if (n->is_draining && !reason) {
		r.state = n->has_drained ? "drained" : "draining";
		r.reason = zn_drain_text(n, &a);
	}
	if (n->facts) {
		struct zn_free all = zn_plan_idle(n->facts);
		r.hostname = n->facts->machine.hostname;
		r.cpus = zn_idset_count(&all.cpus);
		r.gpus = zn_idset_count(&all.gpus);
		r.mem_bytes = all.mem_bytes;
		if (zn_facts_encode(n->facts, &topology) == 0)
			r.topology = (struct zn_bytes){ topology.data, topology.len };
	}
	int rc = zn_view_put_node(s->view, s->seq, &r);
	if (rc < 0)
		zn_log("view: node: %s", strerror(-rc));
	zn_arena_done(&a);
	zn_buf_done(&topology);
}

/* The base of a new generation: everything must be durable, since a base is shown at once. */
int zn_view_rebuild(struct zn_server *s)
{
	struct zn_job *job;
	struct zn_err err = { 0 };
	int rc = zn_journal_flush(s->journal);

	if (rc < 0)
		return rc;
	rc = zn_view_flush(s->view, s->seq);
	if (rc == 0)
		rc = zn_view_begin(s->view, s->seq);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < s->n_nodes; i++)
		zn_node_publish(&s->nodes[i]);
	zn_quota_publish(s);
	zn_licence_publish(s);
	zn_booking_publish(s);
	for (job = s->jobs.by_id; job; job = job->hh.next)
		if (!zn_job_is_finished(job->state))
			zn_change_view(s, job, "is", job->submit_s);
	rc = zn_view_publish(s->view, &err);
	if (rc < 0)
		zn_log("%s", err.text);
	return rc;
}
