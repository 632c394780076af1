/* request: what a client may ask, one function a wish. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <event2/event.h>

#include "base/clock.h"
#include "serve/server.h"

/* Exit codes of the replies, as in cli/exit.h. */
enum { CODE_NO = 1, CODE_USAGE = 64, CODE_DATA = 65, CODE_UNAVAILABLE = 69, CODE_OS = 71, CODE_AGAIN = 75,
       CODE_DENIED = 77 };

struct wish {
	const struct zn_request *r;
	struct zn_conn *conn;
	struct zn_job *job;            /* for ops on a job */
	struct zn_ou64 index;          /* of its elements, one that waits with the others */
	struct zn_reply reply;
	struct zn_err err;
};

static uint32_t code_of(int rc)
{
	switch (rc) {
	case -EBADMSG: case -EOPNOTSUPP: case -EEXIST:
		return CODE_DATA;
	case -ENOENT: case -EALREADY:
		return CODE_NO;
	case -EINVAL:
		return CODE_USAGE;
	case -EAGAIN: case -EBUSY:
		return CODE_AGAIN;
	case -EPERM: case -EACCES:
		return CODE_DENIED;
	default:
		return CODE_OS;
	}
}

bool zn_is_operator(struct zn_server *s, uid_t uid)
{
	return uid == 0 || uid == geteuid() || (s->conf.operators && zn_conf_is_operator(&s->conf, zn_uid_name(s, uid)));
}

/* What was named, which may be no job of its own yet. */
static uint64_t handle_of(const struct wish *w)
{
	return w->index.has ? zn_handle(w->job->id, (uint32_t)w->index.v) : w->job->id;
}

static int wrong_state(struct wish *w, const char *wish)
{
	char number[ZN_NUMBER_TEXT];

	return zn_err_set(&w->err, -EALREADY, "job %s is %s: it can't be %s", zn_handle_text(handle_of(w), number),
	                  zn_job_state_name(zn_job_shown_state(w->job)), wish);
}

/* An array as such. */
static int is_array(struct wish *w, const char *wish)
{
	char number[ZN_NUMBER_TEXT];

	if (w->index.has)
		return wrong_state(w, wish);
	return zn_err_set(&w->err, -EALREADY, "job %s is an array: name the elements that are to be %s, as in %s.0",
	                  zn_handle_text(w->job->id, number), wish, number);
}

/* An array of which nothing waits as a whole. */
static bool is_void(const struct wish *w)
{
	return w->job->array && !w->job->array->rest.count && !zn_job_is_finished(w->job->state);
}

static int nothing_waits(struct wish *w)
{
	char number[ZN_NUMBER_TEXT];

	return zn_err_set(&w->err, -EALREADY, "nothing of job %s waits as a whole: name those of its elements that do, as in %s.0",
	                  zn_handle_text(w->job->id, number), number);
}

/* One that waits with the others is a job of its own from now on. */
static int take_out(struct zn_server *s, struct wish *w)
{
	return w->index.has ? zn_jobs_split(&s->jobs, w->job, (uint32_t)w->index.v, &w->job) : 0;
}

static int op_submit(struct zn_server *s, struct wish *w)
{
	uint64_t id;
	int rc = zn_submit_take(s, &w->r->job, zn_conn_uid(w->conn), zn_conn_gid(w->conn), 0, false, &id, &w->err);

	if (rc == 0)
		w->reply.id = ZN_SOME_U64(id);
	return rc;
}

static int steer(struct zn_server *s, const struct zn_job *job, struct zn_msg_steer m)
{
	return zn_gang_steer(s, job, &m);
}

static int cancel_one(struct zn_server *s, struct wish *w, struct zn_job *job, char *by)
{
	if (zn_job_is_waiting(job->state)) {
		zn_job_finish(s, job, ZN_JOB_CANCELLED, by);
		return s->status;
	}
	job->cancel = true;
	zn_job_set_text(&job->reason, by);
	int rc = zn_change_save(s, job, "cancelling");
	steer(s, job, (struct zn_msg_steer){ .op = "stop", .reason = by, .signal = w->r->signal,
	                                     .grace_s = w->r->grace_s });
	return rc;
}

static int cancel_array(struct zn_server *s, struct wish *w, char *by)
{
	struct zn_job *array = w->job;
	int rc = 0;

	zn_job_finish(s, array, ZN_JOB_CANCELLED, by); /* what waits; all of it, if nothing runs */
	for (struct zn_job *job = NULL; rc == 0 && (job = zn_jobs_next_element(array, job));)
		if (!zn_job_is_finished(job->state))
			rc = cancel_one(s, w, job, by);
	return rc < 0 ? rc : s->status;
}

static int op_cancel(struct zn_server *s, struct wish *w)
{
	if (zn_job_is_finished(w->job->state))
		return wrong_state(w, "cancelled");
	if (w->r->signal.has && (w->r->signal.v < 1 || w->r->signal.v > 64))
		return zn_err_set(&w->err, -EBADMSG, "there is no signal %llu", (unsigned long long)w->r->signal.v);
	if (w->r->grace_s.has && (w->r->grace_s.v < 0 || w->r->grace_s.v > ZN_SPEC_SECONDS_MAX))
		return zn_err_set(&w->err, -EBADMSG, "grace_s must be 0 to %g", ZN_SPEC_SECONDS_MAX);
	char *by = zn_conn_uid(w->conn) == w->job->uid ? (char *)"cancelled"
	           : zn_arena_printf(&s->arena, "cancelled by %s", zn_uid_name(s, zn_conn_uid(w->conn)));
	int rc = take_out(s, w);
	return rc < 0 ? rc : w->job->array ? cancel_array(s, w, by) : cancel_one(s, w, w->job, by);
}

static int op_hold(struct zn_server *s, struct wish *w)
{
	if (!zn_job_is_waiting(zn_job_shown_state(w->job)) || is_void(w))
		return is_void(w) ? nothing_waits(w) : wrong_state(w, "held");
	int rc = take_out(s, w);
	if (rc < 0)
		return rc;
	struct zn_job *job = w->job;
	job->hold = true;
	if (job->state == ZN_JOB_QUEUED) {
		zn_place_soon(s); /* what was set aside for it is not any more */
		return zn_change_state(s, job, ZN_JOB_PENDING, "held", "held by its owner");
	}
	zn_job_set_text(&job->reason, "held by its owner");
	return zn_change_save(s, job, "held");
}

static int op_release(struct zn_server *s, struct wish *w)
{
	if (is_void(w))
		return nothing_waits(w);
	if (w->job->state != ZN_JOB_PENDING || !w->job->hold)
		return wrong_state(w, "released: nobody holds it");
	int rc = take_out(s, w);
	if (rc < 0)
		return rc;
	struct zn_job *job = w->job;
	job->hold = false;
	zn_job_set_text(&job->reason, NULL);
	zn_submit_promote(s, job);
	return zn_change_save(s, job, "released");
}

static bool is_going(struct zn_server *s, const struct zn_job *job)
{
	return job->cancel || job->requeue || zn_gang_is_ending(s, job);
}

static int op_suspend(struct zn_server *s, struct wish *w)
{
	if (w->job->array)
		return is_array(w, "suspended");
	if (w->job->state != ZN_JOB_RUNNING || is_going(s, w->job))
		return wrong_state(w, w->job->state == ZN_JOB_RUNNING ? "suspended: it is about to end" : "suspended");
	if (!zn_gang_is_heard(s, w->job))
		return zn_err_set(&w->err, -EAGAIN, "the agent does not answer just now");
	steer(s, w->job, (struct zn_msg_steer){ .op = "suspend" });
	return zn_change_state(s, w->job, ZN_JOB_SUSPENDED, "suspended", "suspended by its owner");
}

static int op_resume(struct zn_server *s, struct wish *w)
{
	if (w->job->array)
		return is_array(w, "resumed");
	if (w->job->state != ZN_JOB_SUSPENDED || is_going(s, w->job))
		return wrong_state(w, w->job->state == ZN_JOB_SUSPENDED ? "resumed: it is about to end" : "resumed");
	if (zn_job_is_frozen(w->job))
		return wrong_state(w, "resumed: it makes room for a more urgent one, and goes on after it");
	if (!zn_gang_is_heard(s, w->job))
		return zn_err_set(&w->err, -EAGAIN, "the agent does not answer just now");
	steer(s, w->job, (struct zn_msg_steer){ .op = "resume" });
	return zn_change_state(s, w->job, ZN_JOB_RUNNING, "resumed", NULL);
}

/* A finished job is history: asking for it again makes a new one that names the old. */
static int requeue_finished(struct zn_server *s, struct wish *w, struct zn_memo_submit *body)
{
	uint64_t id;

	body->spec.key = NULL;
	body->spec.policy.every = NULL; /* this once */
	body->spec.hold = (struct zn_obool){ 0 };
	if (w->job->whole) {
		body->spec.policy.array = zn_arena_printf(&s->arena, "%u", zn_handle_index(w->job->id));
		if (!body->spec.policy.array)
			return -ENOMEM;
	}
	if (w->job->attempt || (w->job->array && w->job->array->elements)) /* all that it waited for was there once */
		body->spec.policy.after = (struct zn_list){ 0 };
	int rc = zn_submit_take(s, &body->spec, w->job->uid, w->job->gid, zn_handle_number(w->job->id), false, &id, &w->err);
	if (rc == 0)
		w->reply.id = ZN_SOME_U64(id);
	return rc;
}

static int op_requeue(struct zn_server *s, struct wish *w)
{
	struct zn_job *job = w->job;

	struct zn_memo_submit body;
	if (job->array && !zn_job_is_finished(job->state))
		return is_array(w, "requeued");
	if (job->is_end && !zn_is_operator(s, zn_conn_uid(w->conn)))
		return wrong_state(w, "run again: it is what was run at another one's end");
	if (job->adopted_pid)
		return wrong_state(w, "run again: it was running when it was adopted");
	int rc = zn_submit_body(s, job, &body, &w->err);
	if (rc < 0)
		return rc;
	if (body.spec.terminal)
		return wrong_state(w, "run again: it had a terminal");
	if (zn_job_is_finished(job->state))
		return requeue_finished(s, w, &body);
	if (!zn_job_has_alloc(job->state))
		return wrong_state(w, "requeued: it has not started");
	if (zn_job_is_frozen(job))
		job->run->preempted_for = 0; /* it is not for that one that it goes */
	job->requeue = true;
	rc = zn_change_save(s, job, "requeueing");
	steer(s, job, (struct zn_msg_steer){ .op = "stop", .reason = "requeued" });
	return rc;
}

/* Of one that has begun: others wait, or were let go first, because it is over by then. */
static bool gives_more_time(const struct zn_job *job, const struct zn_request *r)
{
	bool is_longer = job->limit_s > 0 && (r->time_limit_s.v == 0 || r->time_limit_s.v > job->limit_s);

	return r->time_limit_s.has && is_longer && zn_job_has_alloc(job->state);
}

static int check_modify(struct zn_server *s, struct wish *w)
{
	const struct zn_request *r = w->r;
	struct zn_job *job = w->job;

	if (zn_job_is_finished(job->state))
		return wrong_state(w, "modified");
	if (is_void(w))
		return nothing_waits(w);
	if (w->index.has)
		return wrong_state(w, "modified by itself: modify all that wait, or hold it first");
	if (!r->priority.has && !r->time_limit_s.has && !r->job_name)
		return zn_err_set(&w->err, -EINVAL, "nothing to modify was named");
	if (r->priority.has && (r->priority.v < INT32_MIN || r->priority.v > INT32_MAX))
		return zn_err_set(&w->err, -EBADMSG, "priority must fit in 32 bits");
	if (r->priority.has && r->priority.v > job->priority && !zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "only an operator may raise a priority");
	if (r->time_limit_s.has && job->is_end && !zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "the time of what is run at another job's end is not for its owner to change");
	if (gives_more_time(job, r) && !zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "only an operator may give a job more time that has begun");
	if (r->time_limit_s.has && (r->time_limit_s.v < 0 || r->time_limit_s.v > ZN_SPEC_SECONDS_MAX))
		return zn_err_set(&w->err, -EBADMSG, "time_limit_s must be 0 (none) to %g", ZN_SPEC_SECONDS_MAX);
	return r->job_name ? zn_spec_check_name("job_name", r->job_name, &w->err) : 0;
}

static int op_modify(struct zn_server *s, struct wish *w)
{
	const struct zn_request *r = w->r;
	struct zn_job *job = w->job;
	int rc = check_modify(s, w);

	if (rc < 0)
		return rc;
	if (r->job_name)
		zn_job_set_text(&job->name, r->job_name);
	if (r->priority.has)
		job->priority = r->priority.v;
	if (r->time_limit_s.has) {
		job->limit_s = r->time_limit_s.v;
		if (zn_job_has_alloc(job->state))
			steer(s, job, (struct zn_msg_steer){ .op = "limit",
				.limit_s = { .has = job->limit_s > 0, .v = job->limit_s } });
	}
	if (zn_jobs_reorder(&s->jobs, job) < 0)
		return -ENOMEM;
	if (job->booking && job->state == ZN_JOB_PENDING && !job->hold)
		zn_submit_promote(s, job); /* by its limit it may start, or not */
	zn_place_soon(s);
	zn_times_note(s, job);
	return zn_change_save(s, job, "modified");
}

static int op_show(struct zn_server *s, struct wish *w)
{
	const struct zn_job *job = w->job;
	struct zn_memo_submit body;
	struct zn_job_record *r = zn_arena_new(&s->arena, struct zn_job_record);
	int rc = r ? zn_submit_body(s, job, &body, &w->err) : -ENOMEM;

	if (rc == 0)
		rc = zn_job_public(&s->jobs, job, &s->arena, r);
	if (rc < 0)
		return rc;
	const struct zn_spec *spec = &body.spec;
	const struct zn_strs *was = &spec->adopt.command;
	const char *node = job->places ? s->nodes[job->places->v[0].node].name : s->n_nodes == 1 ? s->nodes->name : "%n";
	if (w->index.has)
		zn_record_of_element(r, (uint32_t)w->index.v);
	else if (job->array)
		zn_job_count_elements(job, r);
	r->command = spec->command ? spec->command : was->n ? was->v[0] : spec->adopt.pid.has ? NULL : "(script)";
	r->arguments = was->n ? (struct zn_strs){ was->v + 1, was->n - 1 } : spec->arguments;
	r->directory = spec->directory;
	if (spec->output || (!spec->adopt.pid.has && !spec->terminal))
		r->output = zn_spec_output(zn_spec_output_pattern(spec), spec->directory, handle_of(w), node, &s->arena);
	if (spec->error)
		r->error = zn_spec_output(spec->error, spec->directory, handle_of(w), node, &s->arena);
	if (job->array && !w->index.has) { /* each element has its own */
		r->output = zn_spec_output_pattern(spec);
		r->error = spec->error;
	}
	w->reply.jobs = (struct zn_list){ r, 1 };
	return 0;
}

static int op_find(struct zn_server *s, struct wish *w)
{
	struct zn_job *job = w->r->key ? zn_jobs_get_key(&s->jobs, zn_conn_uid(w->conn), w->r->key) : NULL;

	if (!job)
		return zn_err_set(&w->err, -ENOENT, "no job has the key '%s'", w->r->key ? w->r->key : "");
	w->reply.id = ZN_SOME_U64(job->id);
	return 0;
}

static int check_node(struct zn_server *s, struct wish *w, const char *wish, struct zn_node **ret)
{
	int64_t at = -ENOENT;

	if (!zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "only an operator may %s a node", wish);
	for (uint32_t i = 0; w->r->node && i < s->n_nodes; i++)
		at = strcmp(w->r->node, s->nodes[i].name) ? at : i;
	if (w->r->node && at < 0)
		return zn_err_set(&w->err, -ENOENT, "there is no node '%s'", w->r->node);
	if (!w->r->node && s->n_nodes > 1)
		return zn_err_set(&w->err, -EBADMSG, "which of the %u nodes?", s->n_nodes);
	*ret = &s->nodes[at < 0 ? 0 : at];
	if (zn_journal_room(s->journal) < ZN_ROOM_END)
		return zn_err_set(&w->err, -EAGAIN, "the disk of the spool '%s' is full", s->spool);
	return 0;
}

static int op_drain(struct zn_server *s, struct wish *w)
{
	const struct zn_request *r = w->r;
	struct zn_node *n;
	int rc = check_node(s, w, "drain", &n);

	if (rc == 0 && r->reason)
		rc = zn_spec_check_name("reason", r->reason, &w->err);
	if (rc == 0 && r->from_s.has && !(r->from_s.v > zn_now_s() && r->from_s.v <= zn_now_s() + ZN_SPEC_SECONDS_MAX))
		rc = zn_err_set(&w->err, -EBADMSG, "from when on it is drained must be in the future");
	if (rc == 0 && r->from_s.has && r->until_s.has && !(r->until_s.v > r->from_s.v))
		rc = zn_err_set(&w->err, -EBADMSG, "it can't be drained until a time before it is");
	if (rc == 0 && r->from_s.has && zn_planned_times(s, n, r->from_s.v, r->until_s.v) > ZN_PICK_CLOSINGS)
		rc = zn_err_set(&w->err, -EAGAIN, ZN_PLANNED_ENOUGH, ZN_PICK_CLOSINGS);
	if (rc == 0 && r->until_s.has && !(r->until_s.v > zn_now_s() && r->until_s.v <= zn_now_s() + ZN_SPEC_SECONDS_MAX))
		rc = zn_err_set(&w->err, -EBADMSG, "until when it is drained must be in the future");
	return rc < 0 ? rc : zn_drain_begin(n, zn_uid_name(s, zn_conn_uid(w->conn)), r->reason, r->from_s.v, r->until_s.v);
}

static int op_undrain(struct zn_server *s, struct wish *w)
{
	struct zn_node *n;
	int rc = check_node(s, w, "resume", &n);

	if (rc == 0 && !s->jobs.nodes[n->number].drain.by)
		rc = zn_err_set(&w->err, -EALREADY, "node '%s' is not drained", n->name);
	return rc < 0 ? rc : zn_drain_end(n);
}

static int may_reserve(struct zn_server *s, struct wish *w, size_t room)
{
	if (!zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "only an operator may make or end reservations");
	if (zn_journal_room(s->journal) < room)
		return zn_err_set(&w->err, -EAGAIN, "the disk of the spool '%s' is full", s->spool);
	return 0;
}

static int op_reserve(struct zn_server *s, struct wish *w)
{
	int rc = may_reserve(s, w, ZN_ROOM_SUBMIT);

	return rc < 0 ? rc : zn_booking_make(s, w->r, zn_conn_uid(w->conn), &w->err);
}

static int op_unreserve(struct zn_server *s, struct wish *w)
{
	const char *name = w->r->reservation.name ? w->r->reservation.name : "";
	int rc = may_reserve(s, w, ZN_ROOM_END);

	if (rc == 0 && !zn_bookings_find(&s->jobs.bookings, name))
		rc = zn_err_set(&w->err, -ENOENT, "there is no reservation '%s'", name);
	return rc < 0 ? rc : zn_booking_end(s, name);
}

static int op_ping(struct zn_server *s, struct wish *w)
{
	(void)s;
	w->reply.pid = ZN_SOME_U64((uint64_t)getpid());
	w->reply.version = zn_version();
	return 0;
}

static int op_stop(struct zn_server *s, struct wish *w)
{
	if (!zn_is_operator(s, zn_conn_uid(w->conn)))
		return zn_err_set(&w->err, -EPERM, "only an operator may stop zn-schedd");
	zn_server_stop(s);
	return 0;
}

static const struct {
	const char *op;
	int (*take)(struct zn_server *s, struct wish *w);
	bool on_job;
} ops[] = {
	{ "submit", op_submit, false }, { "cancel", op_cancel, true },   { "hold", op_hold, true },
	{ "release", op_release, true }, { "suspend", op_suspend, true }, { "resume", op_resume, true },
	{ "requeue", op_requeue, true }, { "modify", op_modify, true },   { "show", op_show, true },
	{ "drain", op_drain, false },    { "undrain", op_undrain, false },
	{ "reserve", op_reserve, false }, { "unreserve", op_unreserve, false },
	{ "find", op_find, false },      { "ping", op_ping, false },      { "stop", op_stop, false },
};

/* An element that waits with the others: its array, and which it is. */
static struct zn_job *find_waiting(struct zn_server *s, struct wish *w)
{
	uint64_t handle = w->r->id.v;
	struct zn_job *array = zn_handle_is_element(handle) ? zn_jobs_get(&s->jobs, zn_handle_number(handle)) : NULL;

	if (!array || !array->array || !zn_spans_has(&array->array->rest, zn_handle_index(handle)))
		return NULL;
	w->index = ZN_SOME_U64(zn_handle_index(handle));
	return array;
}

static int find_job(struct zn_server *s, struct wish *w)
{
	const struct zn_request *r = w->r;
	uid_t uid = zn_conn_uid(w->conn);
	char number[ZN_NUMBER_TEXT];

	w->job = r->id.has ? zn_jobs_get(&s->jobs, r->id.v) : r->key ? zn_jobs_get_key(&s->jobs, uid, r->key) : NULL;
	if (!w->job && r->id.has)
		w->job = find_waiting(s, w);
	if (!w->job && r->id.has)
		return zn_err_set(&w->err, -ENOENT, "there is no job %s", zn_handle_text(r->id.v, number));
	if (!w->job)
		return zn_err_set(&w->err, -ENOENT, "no job has the key '%s'", r->key ? r->key : "");
	if (w->job->uid != uid && !zn_is_operator(s, uid))
		return zn_err_set(&w->err, -EPERM, "job %s is not yours", zn_handle_text(handle_of(w), number));
	w->reply.id = ZN_SOME_U64(handle_of(w));
	return 0;
}

static int take(struct zn_server *s, struct wish *w)
{
	for (size_t i = 0; w->r->op && i < sizeof(ops) / sizeof(*ops); i++)
		if (!strcmp(ops[i].op, w->r->op)) {
			int rc = ops[i].on_job ? find_job(s, w) : 0;
			if (rc == 0 && ops[i].on_job && zn_journal_room(s->journal) < ZN_ROOM_END)
				rc = zn_err_set(&w->err, -EAGAIN, "the disk of the spool '%s' is full", s->spool);
			return rc < 0 ? rc : ops[i].take(s, w);
		}
	return zn_err_set(&w->err, -EINVAL, "there is no request '%s'", w->r->op ? w->r->op : "");
}

void zn_request_take(struct zn_server *s, struct zn_conn *c, const struct zn_request *r)
{
	struct wish w = { .r = r, .conn = c };
	int rc = take(s, &w);

	w.reply.ok = rc >= 0;
	if (rc < 0) {
		w.reply.code = code_of(rc);
		w.reply.error = w.err.text[0] ? w.err.text : strerror(-rc);
	}
	rc = zn_later_reply(s, c, &w.reply);
	if (rc < 0) {
		zn_log("can't answer: %s", strerror(-rc));
		zn_conn_doom(c);
	}
}
