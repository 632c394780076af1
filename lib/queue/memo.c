#include "queue/memo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "job/licences.h"
#include "rec/ids.h"
#include "rec/val.h"

static const struct zn_field env_fields[] = {
	ZN_FIELD(struct zn_memo_env, id, BIN, "", "digest"),
	ZN_FIELD(struct zn_memo_env, uid, U64, "", "whose"),
	ZN_FIELD(struct zn_memo_env, environment, MAP, "", "names and values"),
	{ 0 },
};
const struct zn_kind zn_memo_env_kind = { "env", "an environment", env_fields, sizeof(struct zn_memo_env), NULL };

#define S struct zn_memo_submit
static const struct zn_field submit_fields[] = {
	ZN_FIELD(S, id, U64, "", "job number"),
	ZN_FIELD(S, uid, U64, "", "user id of the submitter"),
	ZN_FIELD(S, gid, U64, "", "group id of the submitter"),
	ZN_FIELD(S, user, STR, "", "user name"),
	ZN_FIELD(S, submit_s, TIME, "", "when"),
	ZN_FIELD(S, digest, BIN, "", "of the content"),
	ZN_FIELD(S, env, BIN, "", "digest of its environment"),
	ZN_FIELD(S, requeue_of, U64, "", "the finished job that this one repeats"),
	ZN_FIELD_SUB(S, spec, SUB, &zn_spec_kind, "", "what was asked"),
	{ 0 },
};
const struct zn_kind zn_memo_submit_kind = { "submit", "a job as it was asked", submit_fields, sizeof(S), NULL };

#define C struct zn_memo_change
#define P struct zn_memo_place
static const struct zn_field place_fields[] = {
	ZN_FIELD(P, node, STR, "", ""),
	ZN_FIELD(P, gpus, U32S, "", ""),
	ZN_FIELD(P, cpus, STR, "", ""),
	ZN_FIELD(P, numas, STR, "", ""),
	ZN_FIELD(P, cpus_held, U32, "", ""),
	ZN_FIELD(P, mem_bytes, U64, "", ""),
	{ 0 },
};
static const struct zn_kind place_kind = { NULL, "what a gang has of a node", place_fields, sizeof(P), NULL };

static const struct zn_field change_fields[] = {
	ZN_FIELD(C, id, U64, "", ""),
	ZN_FIELD(C, event, STR, "", ""),
	ZN_FIELD(C, time_s, TIME, "", ""),
	ZN_FIELD(C, state, STR, "", ""),
	ZN_FIELD(C, name, STR, "", ""),
	ZN_FIELD(C, reason, STR, "", ""),
	ZN_FIELD(C, confinement, STR, "", ""),
	ZN_FIELD(C, attempt, U32, "", ""),
	ZN_FIELD(C, hold, BOOL, "", ""),
	ZN_FIELD(C, cancel, BOOL, "", ""),
	ZN_FIELD(C, requeue, BOOL, "", ""),
	ZN_FIELD(C, priority, I64, "", ""),
	ZN_FIELD(C, time_limit_s, DUR, "", ""),
	ZN_FIELD(C, begin_s, TIME, "", ""),
	ZN_FIELD(C, start_s, TIME, "", ""),
	ZN_FIELD(C, end_s, TIME, "", ""),
	ZN_FIELD(C, exit_code, OI64, "", ""),
	ZN_FIELD(C, signal, U32, "", ""),
	ZN_FIELD(C, requeues_left, U32, "", ""),
	ZN_FIELD(C, over_quota, BOOL, "", ""),
	ZN_FIELD(C, preempted, U32, "", ""),
	ZN_FIELD(C, preempted_for, U64, "", ""),
	ZN_FIELD(C, max_rss_bytes, U64, "", ""),
	ZN_FIELD(C, cpu_s, F64, "", ""),
	ZN_FIELD(C, gpu_s, F64, "", ""),
	ZN_FIELD(C, gpu_milli, U32, "", ""),
	ZN_FIELD(C, before_gpu_s, F64, "", ""),
	ZN_FIELD(C, before_end_s, TIME, "", ""),
	ZN_FIELD_SUB(C, others, SUBS, &place_kind, "", ""),
	ZN_FIELD(C, over, U32S, "", ""),
	ZN_FIELD(C, gang_ends_as, BIN, "", ""),
	ZN_FIELD(C, node, STR, "", ""),
	ZN_FIELD(C, gpus, U32S, "", ""),
	ZN_FIELD(C, cpus, STR, "", ""),
	ZN_FIELD(C, numas, STR, "", ""),
	ZN_FIELD(C, cpus_held, U32, "", ""),
	ZN_FIELD(C, mem_bytes, U64, "", ""),
	{ 0 },
};
const struct zn_kind zn_memo_change_kind = { "change", "a job after a change", change_fields, sizeof(C), NULL };

static const struct zn_field drain_fields[] = {
	ZN_FIELD(struct zn_memo_drain, node, STR, "", "which node"),
	ZN_FIELD(struct zn_memo_drain, by, STR, "", "who drained it; absent: it is over"),
	ZN_FIELD(struct zn_memo_drain, reason, STR, "", "why"),
	ZN_FIELD(struct zn_memo_drain, from_s, TIME, "", "from when on; 0: at once"),
	ZN_FIELD(struct zn_memo_drain, until_s, TIME, "", "until when; 0: until somebody ends it"),
	{ 0 },
};
const struct zn_kind zn_memo_drain_kind = { "drain", "a node without new jobs", drain_fields, sizeof(struct zn_memo_drain), NULL };

static const struct zn_field meta_fields[] = {
	ZN_FIELD(struct zn_memo_meta, next_id, U64, "", "the next job number"),
	{ 0 },
};
const struct zn_kind zn_memo_meta_kind = { "meta", "the queue itself", meta_fields, sizeof(struct zn_memo_meta),
                                           NULL };

static void ask_from_spec(struct zn_job *job, const struct zn_spec *s)
{
	const struct zn_spec_resources *r = &s->resources;

	job->gpus = s->adopt.pid.has ? (uint32_t)s->adopt.gpus.n : zn_spec_gpus(r);
	job->gpu_share_milli = zn_spec_gpu_milli(r);
	job->part.milli = job->gpu_share_milli;
	job->part.mem_bytes = r->gpu_mem_bytes.v;
	job->tasks = zn_spec_tasks(r);
	zn_spec_nodes(r, &job->nodes_min, &job->nodes_max);
	job->cpus = r->cpus;
	job->mem_bytes = r->mem_bytes.has ? r->mem_bytes.v : 0;
	job->limit_s = r->time_limit_s.has ? r->time_limit_s.v : 0;
	job->nvlink_required = s->locality.nvlink && !strcmp(s->locality.nvlink, "require");
	job->pack = s->locality.pack.v;
	job->spread = s->locality.spread.v;
	job->same_switch = s->locality.same_switch.v;
	job->priority = s->policy.priority.has ? s->policy.priority.v : 0;
	job->grace_s = s->policy.grace_s.has ? s->policy.grace_s.v : -1;
	job->begin_s = s->policy.begin_s.has ? s->policy.begin_s.v : 0;
	job->deadline_s = s->policy.deadline_s.has ? s->policy.deadline_s.v : 0;
	job->requeues_left = s->policy.requeue.has ? (uint32_t)s->policy.requeue.v : 0;
	job->hold = s->hold.has && s->hold.v;
	job->preemptible = s->policy.preemptible.has && s->policy.preemptible.v;
	job->on_end = s->on_end != NULL;
	job->adopted_pid = s->adopt.pid.has ? (uint32_t)s->adopt.pid.v : 0;
}

static int find_wish(struct zn_jobs *q, const struct zn_spec *s, const struct zn_wish **ret)
{
	struct zn_arena a = { 0 };
	struct zn_list list;
	int rc = zn_spec_licences_read(s->resources.licences, &a, &list, NULL);
	const char *text = rc == 0 ? zn_spec_licences_text(&list, &a) : NULL;

	if (rc == 0)
		rc = list.n && !text ? -ENOMEM : zn_licences_wish(&q->room.licences, text, ret);
	zn_arena_done(&a);
	return rc;
}

static struct zn_env *env_find(struct zn_jobs *q, struct zn_bytes id)
{
	struct zn_env *e = NULL;

	if (id.n == ZN_DIGEST)
		HASH_FIND(hh, q->envs, id.p, ZN_DIGEST, e);
	return e;
}

int zn_memo_job(struct zn_jobs *q, const struct zn_memo_submit *m, struct zn_loc body, struct zn_job **ret)
{
	struct zn_job *job = calloc(1, sizeof(*job));
	int rc = -ENOMEM;

	if (!job)
		return -ENOMEM;
	job->id = m->id;
	job->state = ZN_JOB_PENDING;
	job->uid = (uid_t)m->uid;
	job->gid = (gid_t)m->gid;
	job->submit_s = m->submit_s;
	job->requeue_of = m->requeue_of;
	job->body = body;
	job->env = env_find(q, m->env);
	job->user = zn_jobs_intern(q, m->user ? m->user : "");
	if (m->digest.n == ZN_DIGEST)
		memcpy(job->digest, m->digest.p, ZN_DIGEST);
	ask_from_spec(job, &m->spec);
	if (job->user && (m->spec.resources.gpu_share.has || m->spec.resources.gpu_mem_bytes.has))
		job->part.user = zn_part_user(job->user);
	rc = find_wish(q, &m->spec, &job->wish);
	if (rc < 0)
		goto fail;
	rc = -ENOMEM;
	job->is_end = m->spec.key && zn_key_is_ours(m->spec.key, ZN_KEY_END);
	if (m->spec.key)
		job->key = zn_job_user_key(job->uid, m->spec.key);
	if (m->spec.policy.array && (rc = zn__array_new(m->spec.policy.array, &job->array, NULL)) < 0)
		goto fail;
	rc = -ENOMEM;
	if (m->spec.policy.after.n && !(job->after = zn_after_new(&m->spec.policy.after)))
		goto fail;
	if (m->spec.policy.every && !(job->every = zn_jobs_intern(q, m->spec.policy.every)))
		goto fail;
	if (m->spec.locality.constraint && !(job->constraint = zn_jobs_intern(q, m->spec.locality.constraint)))
		goto fail;
	if (m->spec.policy.reservation && !(job->booking = zn_jobs_intern(q, m->spec.policy.reservation)))
		goto fail;
	if (m->spec.locality.near && !(job->near = zn_jobs_intern(q, m->spec.locality.near)))
		goto fail;
	if (m->spec.policy.account && !(job->account = zn_jobs_intern(q, m->spec.policy.account)))
		goto fail;
	if (!job->user || (m->spec.key && !job->key) || zn_job_set_text(&job->name, zn_spec_name(&m->spec)) < 0)
		goto fail;
	*ret = job;
	return 0;
fail:
	zn_job_free(job);
	return rc;
}

struct place_text {
	char cpus[8192], numas[1024];
	uint32_t gpus[ZN_IDSET_MAX];
};

static void change_place(const struct zn_plan *plan, struct place_text *t, C *m)
{
	size_t n = 0;

	zn_idset_format(&plan->cpus, t->cpus, sizeof(t->cpus));
	zn_idset_format(&plan->numas, t->numas, sizeof(t->numas));
	zn_idset_each(gpu, &plan->gpus)
		t->gpus[n++] = (uint32_t)gpu;
	m->gpus = (struct zn_u32s){ t->gpus, n };
	m->cpus = t->cpus;
	m->numas = t->numas;
	m->cpus_held = plan->cpus_held;
	m->mem_bytes = plan->mem_bytes;
}

/* Of a gang: the places behind the first, and which are over. */
static int change_gang(const struct zn_jobs *q, const struct zn_job *job, struct zn_arena *a, C *m)
{
	const struct zn_places *places = job->places;
	P *others = zn_arena_array(a, places->n, sizeof(*others));
	uint32_t *over = zn_arena_array(a, places->n, sizeof(*over)), n_over = 0;
	int rc = others && over ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < places->n; i++) {
		const struct zn_plan *plan = &places->v[i].plan;
		P *to = i ? &others[i - 1] : &(P){ 0 };
		*to = (P){ .node = q->nodes[places->v[i].node].name, .cpus = zn_ids_text(&plan->cpus, a), .numas = zn_ids_text(&plan->numas, a),
		           .cpus_held = plan->cpus_held, .mem_bytes = plan->mem_bytes };
		rc = to->cpus && to->numas ? zn_ids_numbers(&plan->gpus, a, &to->gpus) : -ENOMEM;
		if (places->v[i].over)
			over[n_over++] = i;
	}
	m->others = (struct zn_list){ others, places->n - 1 };
	m->over = (struct zn_u32s){ over, n_over };
	const struct zn_gang *gang = zn_job_run(job)->gang;
	if (gang)
		m->gang_ends_as = (struct zn_bytes){ gang->end, gang->len };
	return rc;
}

int zn_memo_encode_change(const struct zn_jobs *q, const struct zn_job *job, const char *event, double time_s, struct zn_buf *to)
{
	const struct zn_run *run = zn_job_run(job);
	struct place_text text;
	struct zn_arena a = { 0 };
	int rc = 0;
	C m = {
		.id = job->id, .event = event, .time_s = time_s, .state = zn_job_state_name(job->state),
		.name = job->name, .reason = job->reason, .confinement = run->confinement,
		.attempt = job->attempt, .hold = job->hold, .cancel = job->cancel, .requeue = job->requeue,
		.priority = job->priority, .time_limit_s = job->limit_s, .begin_s = job->begin_s,
		.start_s = run->start_s, .end_s = job->end_s, .signal = job->signal,
		.requeues_left = job->requeues_left, .over_quota = job->pick.is_over, .preempted = job->preempted, .preempted_for = run->preempted_for, .max_rss_bytes = run->max_rss_bytes, .cpu_s = run->cpu_s,
		.gpu_s = run->gpu_s, .gpu_milli = job->part.milli, .before_gpu_s = run->before_gpu_s, .before_end_s = run->before_end_s,
	};

	if (job->has_exit_code)
		m.exit_code = ZN_SOME_I64(job->exit_code);
	if (job->places) {
		m.node = q->nodes[job->places->v[0].node].name;
		change_place(&job->places->v[0].plan, &text, &m);
		rc = job->places->n > 1 ? change_gang(q, job, &a, &m) : 0;
	}
	if (rc == 0)
		rc = zn_encode(&zn_memo_change_kind, &m, to);
	zn_arena_done(&a);
	return rc;
}

/* ---- reading ---- */

static int replay_env(struct zn_jobs *q, const msgpack_object *map, struct zn_loc loc, struct zn_arena *a,
                      struct zn_err *err)
{
	struct zn_memo_env m;
	int rc = zn_decode(&zn_memo_env_kind, map, a, &m, err);

	if (rc < 0)
		return rc;
	if (m.id.n != ZN_DIGEST)
		return zn_err_set(err, -EBADMSG, "an environment has no digest");
	struct zn_env *e = env_find(q, m.id);
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		memcpy(e->id, m.id.p, ZN_DIGEST);
		HASH_ADD(hh, q->envs, id, ZN_DIGEST, e);
	}
	e->loc = loc;
	return 0;
}

static int replay_submit(struct zn_jobs *q, const msgpack_object *map, struct zn_loc loc, struct zn_arena *a,
                         struct zn_job **ret_job, double *ret_time_s, struct zn_err *err)
{
	S m;
	int rc = zn_decode(&zn_memo_submit_kind, map, a, &m, err);

	if (rc < 0)
		return rc;
	rc = zn_memo_job(q, &m, loc, ret_job);
	if (rc < 0)
		return rc;
	rc = zn_jobs_add(q, *ret_job);
	if (rc < 0) {
		zn_job_free(*ret_job);
		*ret_job = NULL;
		return zn_err_set(err, rc == -EEXIST ? -EBADMSG : rc, "job %llu was submitted twice",
		                  (unsigned long long)m.id);
	}
	*ret_time_s = m.submit_s;
	return 0;
}

static int read_place(const struct zn_jobs *q, const struct zn_job *job, const P *m, struct zn_place *ret, struct zn_err *err)
{
	int64_t node = m->node ? zn_jobs_node(q, m->node) : -ENOENT;

	if (node < 0)
		return -ENOENT;
	*ret = (struct zn_place){ .node = (uint32_t)node };
	for (size_t i = 0; i < m->gpus.n; i++)
		zn_idset_add(&ret->plan.gpus, m->gpus.v[i]);
	ret->plan.part = job->part;
	ret->plan.cpus_held = m->cpus_held;
	ret->plan.mem_bytes = m->mem_bytes;
	int rc = m->cpus ? zn_idset_parse(m->cpus, &ret->plan.cpus, err) : 0;
	if (rc == 0 && m->numas)
		rc = zn_idset_parse(m->numas, &ret->plan.numas, err);
	return rc < 0 ? -EBADMSG : 0;
}

static int replay_gang(struct zn_job *job, const C *m)
{
	for (size_t i = 0; i < m->over.n; i++)
		if (m->over.v[i] < job->places->n)
			job->places->v[m->over.v[i]].over = true;
	if (!m->gang_ends_as.n)
		return 0;
	struct zn_gang *gang = malloc(sizeof(*gang) + m->gang_ends_as.n);
	if (!gang)
		return -ENOMEM;
	gang->len = m->gang_ends_as.n;
	memcpy(gang->end, m->gang_ends_as.p, m->gang_ends_as.n);
	job->run->gang = gang;
	return 0;
}

/* One of whose nodes one is unknown has none: of one node alone all names are, so that no gang is there. */
static int replay_places(const struct zn_jobs *q, struct zn_job *job, const C *m, struct zn_err *err)
{
	const P first = { .node = m->node, .gpus = m->gpus, .cpus = m->cpus, .numas = m->numas, .cpus_held = m->cpus_held,
	                  .mem_bytes = m->mem_bytes };
	const P *others = m->others.v;
	int rc = 0;

	zn_job_forget_places(job);
	if (!m->node || m->others.n >= q->room.n)
		return 0;
	struct zn_places *p = calloc(1, sizeof(*p) + (m->others.n + 1) * sizeof(p->v[0]));
	if (!p)
		return -ENOMEM;
	for (; rc == 0 && p->n <= m->others.n; p->n++)
		rc = read_place(q, job, p->n ? &others[p->n - 1] : &first, &p->v[p->n], err);
	if (rc < 0) {
		free(p);
		return rc == -ENOENT ? 0 : rc;
	}
	job->places = p;
	return replay_gang(job, m);
}

/* The journal is the truth: a state is set, not moved to, since damage may have swallowed a step. */
static int set_state(struct zn_jobs *q, struct zn_job *job, enum zn_job_state to, double at_s)
{
	zn__line_remove(q, job);
	zn__jobs_set_state(q, job, to, at_s);
	return zn__line_push(q, job);
}

static void change_numbers(const struct zn_jobs *q, struct zn_job *job, const C *m)
{
	job->attempt = m->attempt;
	job->hold = m->hold;
	job->cancel = m->cancel;
	job->requeue = m->requeue;
	job->priority = m->priority;
	job->limit_s = m->time_limit_s;
	job->begin_s = m->begin_s;
	job->end_s = m->end_s;
	job->has_exit_code = m->exit_code.has;
	job->exit_code = (int32_t)m->exit_code.v;
	job->signal = m->signal;
	job->requeues_left = m->requeues_left;
	job->pick.is_over = m->over_quota && zn_payer_has_soft(&q->payers, job->payer); /* what the configuration no longer limits it is not over */
	job->preempted = m->preempted;
	if (m->gpu_milli)
		job->part.milli = m->gpu_milli;
}

static int change_run(struct zn_jobs *q, struct zn_job *job, enum zn_job_state state, const C *m)
{
	if (!m->attempt && !m->node && !zn_job_has_alloc(state))
		return 0;
	if (zn_job_add_run(job) < 0)
		return -ENOMEM;
	job->run->start_s = m->start_s;
	job->run->preempted_for = m->preempted_for;
	job->run->max_rss_bytes = m->max_rss_bytes;
	job->run->cpu_s = m->cpu_s;
	job->run->gpu_s = m->gpu_s;
	job->run->confinement = m->confinement ? zn_jobs_intern(q, m->confinement) : NULL;
	return 0;
}

/* Only a snapshot tells more than was counted as it happened. */
static void change_before(struct zn_jobs *q, struct zn_job *job, const C *m)
{
	bool news = m->before_gpu_s > 0 && zn_job_run(job)->before_gpu_s == 0;

	if (!job->run)
		return;
	job->run->before_gpu_s = m->before_gpu_s;
	job->run->before_end_s = m->before_end_s;
	if (news)
		zn_jobs_count_before(q, job);
}

/* The first that is said of an element; else the submit is missing. */
static int replay_element(struct zn_jobs *q, uint64_t handle, struct zn_job **ret, struct zn_err *err)
{
	struct zn_job *array = zn_handle_is_element(handle) ? zn_jobs_get(q, zn_handle_number(handle)) : NULL;
	char number[ZN_NUMBER_TEXT];

	if (array && array->array)
		return zn_jobs_split(q, array, zn_handle_index(handle), ret);
	return zn_err_set(err, -EBADMSG, "a change of job %s, whose submit is missing", zn_handle_text(handle, number));
}

static int replay_change(struct zn_jobs *q, const msgpack_object *map, struct zn_arena *a, const char **ret_event,
                         struct zn_job **ret_job, double *ret_time_s, struct zn_err *err)
{
	enum zn_job_state state;
	C m;
	int rc = zn_decode(&zn_memo_change_kind, map, a, &m, err);

	if (rc < 0)
		return rc;
	char number[ZN_NUMBER_TEXT];
	if (!m.state || zn_job_state_parse(m.state, &state) < 0)
		return zn_err_set(err, -EBADMSG, "job %s has the unknown state '%s'", zn_handle_text(m.id, number),
		                  m.state ? m.state : "");
	struct zn_job *job = zn_jobs_get(q, m.id);
	rc = job ? 0 : replay_element(q, m.id, &job, err);
	if (rc < 0)
		return rc;
	job->is_changed = true;
	change_numbers(q, job, &m);
	if (state != ZN_JOB_PENDING) { /* all that it waited for has come */
		free(job->after);
		job->after = NULL;
	}
	rc = change_run(q, job, state, &m);
	if (rc == 0)
		rc = replay_places(q, job, &m, err);
	if (rc == 0)
		rc = zn_job_set_text(&job->name, m.name);
	if (rc == 0)
		rc = zn_job_set_text(&job->reason, m.reason);
	if (rc == 0)
		rc = set_state(q, job, state, m.time_s);
	if (job->array && (job->cancel || zn_job_is_finished(state))) /* no more of it start */
		zn_jobs_give_up_rest(q, job);
	change_before(q, job, &m);
	*ret_event = m.event;
	*ret_job = job;
	*ret_time_s = m.time_s;
	return rc;
}

static int replay_meta(struct zn_jobs *q, const msgpack_object *map, struct zn_arena *a, struct zn_err *err)
{
	struct zn_memo_meta m;
	int rc = zn_decode(&zn_memo_meta_kind, map, a, &m, err);

	if (rc == 0 && m.next_id > q->next_id)
		q->next_id = m.next_id;
	return rc;
}

static int replay_drain(struct zn_jobs *q, const msgpack_object *map, struct zn_arena *a, struct zn_err *err)
{
	struct zn_memo_drain m;
	int rc = zn_decode(&zn_memo_drain_kind, map, a, &m, err);

	int64_t node = rc == 0 && m.node ? zn_jobs_node(q, m.node) : -ENOENT;
	return rc < 0 || node < 0 ? rc : zn_jobs_drain(q, (uint32_t)node, m.by, m.reason, m.from_s, m.until_s);
}

static int replay_booking(struct zn_jobs *q, const msgpack_object *map, struct zn_arena *a, struct zn_err *err)
{
	struct zn_booking b;
	int rc = zn_decode(&zn_booking_kind, map, a, &b, err);

	if (rc == 0 && !b.name)
		rc = zn_err_set(err, -EBADMSG, "a reservation has no name");
	return rc < 0 ? rc : zn_jobs_book(q, &b);
}

int zn_memo_replay(struct zn_jobs *q, struct zn_loc loc, const void *payload, size_t len, struct zn_arena *a,
                   const char **ret_event, struct zn_job **ret_job, double *ret_time_s, struct zn_err *err)
{
	msgpack_object map;
	ssize_t n = zn_msgpack_check(payload, len, 0, err);
	int rc = n == (ssize_t)len ? zn_val_unpack(payload, len, 0, a, &map, err) : -EBADMSG;

	*ret_event = NULL;
	*ret_job = NULL;
	*ret_time_s = 0;
	if (rc < 0)
		return rc;
	const msgpack_object *kind = zn_val_get(&map, "kind");
	if (kind && zn_val_is_text(kind, "change"))
		return replay_change(q, &map, a, ret_event, ret_job, ret_time_s, err);
	if (kind && zn_val_is_text(kind, "submit")) {
		rc = replay_submit(q, &map, loc, a, ret_job, ret_time_s, err);
		*ret_event = rc == 0 ? "submitted" : NULL;
		return rc;
	}
	if (kind && zn_val_is_text(kind, "env"))
		return replay_env(q, &map, loc, a, err);
	if (kind && zn_val_is_text(kind, "drain"))
		return replay_drain(q, &map, a, err);
	if (kind && zn_val_is_text(kind, zn_booking_kind.name))
		return replay_booking(q, &map, a, err);
	if (kind && zn_val_is_text(kind, "meta"))
		return replay_meta(q, &map, a, err);
	return 0;
}

/* ---- snapshots ---- */

static int put_meta(struct zn_jobs *q, struct zn_buf *b, struct zn_snapshot *s)
{
	struct zn_memo_meta m = { .next_id = q->next_id };
	int rc = zn_encode(&zn_memo_meta_kind, &m, b);

	return rc < 0 ? rc : zn_snapshot_put(s, 0, b->data, b->len);
}

static int put_drain(const struct zn_jobs_node *node, struct zn_buf *b, struct zn_snapshot *s)
{
	const struct zn_drain *d = &node->drain;
	struct zn_memo_drain m = { .node = node->name, .by = d->by, .reason = d->reason, .from_s = d->from_s, .until_s = d->until_s };

	b->len = 0;
	int rc = m.by ? zn_encode(&zn_memo_drain_kind, &m, b) : 0;
	return rc < 0 || !m.by ? rc : zn_snapshot_put(s, 0, b->data, b->len);
}

static int put_booking(const struct zn_booking *booking, struct zn_buf *b, struct zn_snapshot *s)
{
	b->len = 0;
	int rc = zn_encode(&zn_booking_kind, booking, b);

	return rc < 0 ? rc : zn_snapshot_put(s, 0, b->data, b->len);
}

/* What the submission does not say; an array has what its elements left, in the order in which they ended. */
static bool has_more(const struct zn_job *job)
{
	return job->is_changed || job->array || job->whole;
}

static int put_job(const struct zn_jobs *q, const struct zn_job *job, struct zn_buf *b, struct zn_snapshot *s)
{
	int rc = job->whole ? 0 : zn_snapshot_copy(s, job->id, job->body);

	if (rc < 0 || !has_more(job))
		return rc;
	b->len = 0;
	rc = zn_memo_encode_change(q, job, "is", job->end_s, b);
	return rc < 0 ? rc : zn_snapshot_put(s, 0, b->data, b->len);
}

int zn_memo_snapshot(struct zn_jobs *q, struct zn_snapshot *s)
{
	struct zn_buf b = { 0 };
	uint64_t n = 0;
	int rc = put_meta(q, &b, s);

	for (uint32_t i = 0; rc == 0 && i < q->room.n; i++)
		rc = put_drain(&q->nodes[i], &b, s);
	for (size_t i = 0; rc == 0 && i < q->bookings.n; i++)
		rc = put_booking(zn_bookings_get(&q->bookings, i), &b, s);
	for (struct zn_env *e = q->envs; rc == 0 && e; e = e->hh.next)
		rc = zn_snapshot_copy(s, ZN_TAG_ENV + n++, e->loc);
	for (struct zn_job *job = q->by_id; rc == 0 && job; job = job->hh.next)
		rc = put_job(q, job, &b, s);
	zn_buf_done(&b);
	return rc;
}

void zn_memo_moved(struct zn_jobs *q, uint64_t tag, struct zn_loc loc)
{
	if (tag & ZN_TAG_ENV) {
		if (tag - ZN_TAG_ENV != q->n_moved)
			q->n_moved = 0;
		struct zn_env *e = q->n_moved ? q->moved : q->envs;
		for (uint64_t n = tag - ZN_TAG_ENV - q->n_moved; e && n; n--)
			e = e->hh.next;
		if (!e)
			return;
		e->loc = loc;
		q->moved = e->hh.next;
		q->n_moved = tag - ZN_TAG_ENV + 1;
	} else if (tag) {
		struct zn_job *job = zn_jobs_get(q, tag);
		if (job)
			job->body = loc;
	}
}
