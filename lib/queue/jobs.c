#include "base/clock.h"
#include "queue/awaited.h"
#include "queue/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void zn_jobs_init(struct zn_jobs *q)
{
	*q = (struct zn_jobs){ .next_id = 1 };
	zn__line_init(q);
}

const char *zn_jobs_intern(struct zn_jobs *q, const char *text)
{
	return zn_words_get(&q->words, text);
}

int zn_job_set_text(char **to, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

struct zn_job *zn_jobs_get(struct zn_jobs *q, uint64_t id)
{
	struct zn_job *job;

	HASH_FIND(hh, q->by_id, &id, sizeof(id), job);
	return job;
}

char *zn_job_user_key(uid_t uid, const char *key)
{
	char *text;

	return asprintf(&text, "%u:%s", (unsigned)uid, key) < 0 ? NULL : text;
}

struct zn_job *zn_jobs_get_key(struct zn_jobs *q, uid_t uid, const char *key)
{
	struct zn_job *job = NULL;
	char *text = zn_job_user_key(uid, key);

	if (text)
		HASH_FIND(hh_key, q->by_key, text, strlen(text), job);
	free(text);
	return job;
}

int zn_job_add_run(struct zn_job *job)
{
	if (!job->run)
		job->run = calloc(1, sizeof(*job->run));
	return job->run ? 0 : -ENOMEM;
}

int zn_jobs_add(struct zn_jobs *q, struct zn_job *job)
{
	if (zn_handle_number(job->id) < q->next_id && zn_jobs_get(q, job->id)) /* a higher number is new */
		return -EEXIST;
	int64_t payer = zn_payers_get(&q->payers, job->user, job->account);
	if (payer < 0 || zn__awaited_add(q, job) < 0)
		return -ENOMEM;
	HASH_ADD(hh, q->by_id, id, sizeof(job->id), job);
	if (job->key)
		HASH_ADD_KEYPTR(hh_key, q->by_key, job->key, strlen(job->key), job);
	if (zn_handle_number(job->id) >= q->next_id)
		q->next_id = zn_handle_number(job->id) + 1;
	q->count[job->state]++;
	zn__jobs_count_waiters(q, job->state, zn_job_waiters(job));
	if (job->env)
		job->env->refs++;
	job->payer = (uint32_t)payer;
	if (zn_job_is_waiting(job->state))
		zn_payer_add(&q->payers, job->payer, &(struct zn_use){ .queued = zn_job_waiters(job) });
	return zn__line_push(q, job);
}

void zn_job_forget_places(struct zn_job *job)
{
	free(job->places);
	job->places = NULL;
	if (!job->run)
		return;
	free(job->run->gang);
	job->run->gang = NULL;
}

void zn_job_free(struct zn_job *job)
{
	if (!job)
		return;
	free(job->name);
	free(job->key);
	free(job->reason);
	free(job->after);
	zn_job_forget_places(job);
	free(job->run);
	zn__array_free(job->array);
	free(job);
}

void zn_jobs_drop(struct zn_jobs *q, struct zn_job *job)
{
	zn__line_remove(q, job);
	HASH_DELETE(hh, q->by_id, job);
	if (job->key)
		HASH_DELETE(hh_key, q->by_key, job);
	if (job->whole)
		job->whole->array->elements--;
	q->count[job->state]--;
	zn__jobs_count_waiters(q, job->state, -(int64_t)zn_job_waiters(job));
	if (job->env && --job->env->refs == 0) {
		HASH_DEL(q->envs, job->env);
		free(job->env);
	}
	zn_job_free(job);
}

void zn_jobs_done(struct zn_jobs *q)
{
	struct zn_job *job, *next_job;
	struct zn_env *e, *next_env;

	HASH_ITER(hh, q->by_id, job, next_job)
		if (job->whole)
			zn_jobs_drop(q, job);
	HASH_ITER(hh, q->by_id, job, next_job)
		zn_jobs_drop(q, job);
	HASH_ITER(hh, q->envs, e, next_env) {
		HASH_DEL(q->envs, e);
		free(e);
	}
	for (uint32_t i = 0; i < q->room.n; i++) {
		zn_jobs_drain(q, i, NULL, NULL, 0, 0);
		free(q->nodes[i].name);
	}
	free(q->nodes);
	zn__awaited_done(q);
	zn_payers_done(&q->payers);
	zn_pick_done(&q->pick);
	zn_room_close(&q->room);
	zn_bookings_done(&q->bookings);
	zn_words_free(q->words);
}

/* ---- who is counted for it --------------------------------------------------------------------------------- */

void zn_jobs_set_quotas(struct zn_jobs *q, struct zn_quotas quotas, struct zn_shares shares)
{
	zn_payers_init(&q->payers, quotas, shares);
	q->pick.payers = quotas.n || shares.half_life_s > 0 ? &q->payers : NULL;
}

int zn_jobs_set_licence(struct zn_jobs *q, const char *name, uint64_t total)
{
	return zn_licences_set(&q->room.licences, name, total);
}

static void count_place(struct zn_jobs *q, struct zn_job *job, bool had, bool has)
{
	struct zn_use use = zn_job_use(job);

	if (has && !had)
		zn_payer_add(&q->payers, job->payer, &use);
	if (had && !has)
		zn_payer_take(&q->payers, job->payer, &use);
}

static void count_wait(struct zn_jobs *q, struct zn_job *job, bool waited, bool waits)
{
	struct zn_use use = { .queued = zn_job_waiters(job) };

	if (waits && !waited)
		zn_payer_add(&q->payers, job->payer, &use);
	if (waited && !waits)
		zn_payer_take(&q->payers, job->payer, &use);
}

/* Of one that a snapshot shows when it had ended, all of it at once. */
static void count_time(struct zn_jobs *q, struct zn_job *job, bool had, bool has, double at_s)
{
	struct zn_use use = zn_job_use(job);
	struct zn_run *run = job->run;

	if (!run)
		return;
	if (has && !run->counted_s && run->start_s > 0) {
		run->counted_s = run->start_s;
		zn_payer_began(&q->payers, job->payer, &use, run->counted_s);
	} else if (!has && run->counted_s) {
		double end_s = job->end_s > 0 ? job->end_s : at_s;
		zn_payer_ended(&q->payers, job->payer, &use, run->counted_s, end_s);
		if (!zn_job_is_finished(job->state)) { /* it will run again */
			run->before_gpu_s += zn_use_gpus(&use) * (end_s > run->counted_s ? end_s - run->counted_s : 0);
			run->before_end_s = end_s;
		}
		run->counted_s = 0;
	} else if (!has && !had && zn_job_is_finished(job->state) && run->start_s > 0) {
		zn_payer_ran(&q->payers, job->payer, &use, run->start_s, job->end_s);
	}
}

void zn_jobs_count_before(struct zn_jobs *q, const struct zn_job *job)
{
	struct zn_use use = zn_job_use(job);
	const struct zn_run *run = zn_job_run(job);

	if (job->payer && zn_use_gpus(&use) > 0 && run->before_gpu_s > 0)
		zn_payer_ran(&q->payers, job->payer, &use, run->before_end_s - run->before_gpu_s / zn_use_gpus(&use), run->before_end_s);
}

void zn__jobs_set_state(struct zn_jobs *q, struct zn_job *job, enum zn_job_state to, double at_s)
{
	enum zn_job_state from = job->state;

	q->count[from]--;
	q->count[to]++;
	zn__jobs_count_waiters(q, from, -(int64_t)zn_job_waiters(job));
	zn__jobs_count_waiters(q, to, zn_job_waiters(job));
	job->state = to;
	if (job->preemptible)
		q->n_preemptible += (uint64_t)zn_job_has_alloc(to) - (uint64_t)zn_job_has_alloc(from);
	if (job->whole)
		zn__array_note(q, job, from, to);
	if (!job->payer || zn_job_is_finished(from))
		return;
	count_wait(q, job, zn_job_is_waiting(from), zn_job_is_waiting(to));
	count_place(q, job, zn_job_has_alloc(from), zn_job_has_alloc(to));
	count_time(q, job, zn_job_has_alloc(from), zn_job_has_alloc(to), at_s);
}

int zn_jobs_move(struct zn_jobs *q, struct zn_job *job, enum zn_job_state to)
{
	bool is_void = job->array && !job->array->rest.count; /* its end is that of its elements, which ran */
	if (!zn_job_can_become(is_void ? ZN_JOB_RUNNING : job->state, to))
		return -EPERM;
	zn__line_remove(q, job);
	zn__jobs_set_state(q, job, to, zn_now_s());
	zn__line_clock(q, job);
	int rc = zn__line_push(q, job);
	return rc < 0 || !job->whole ? rc : zn__line_push(q, job->whole); /* there may be room for another one of it */
}

int zn_jobs_set_nodes(struct zn_jobs *q, const char *const *names, uint32_t n)
{
	int rc = zn_room_open(&q->room, n, q->pick.policy.reservations);

	q->nodes = calloc(n, sizeof(*q->nodes));
	if (!q->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = zn_job_set_text(&q->nodes[i].name, names[i]);
	return rc;
}

int64_t zn_jobs_node(const struct zn_jobs *q, const char *name)
{
	for (uint32_t i = 0; i < q->room.n; i++)
		if (!strcmp(q->nodes[i].name, name))
			return i;
	return q->room.n == 1 ? 0 : -ENOENT;
}

int zn_jobs_drain(struct zn_jobs *q, uint32_t node, const char *by, const char *reason, double from_s, double until_s)
{
	struct zn_drain *d = &q->nodes[node].drain;
	int rc = zn_job_set_text(&d->by, by);

	if (rc == 0)
		rc = zn_job_set_text(&d->reason, reason);
	d->from_s = from_s;
	d->until_s = until_s;
	return rc;
}

/* One alone may have been renamed since, but not if it is known by its name. */
static int64_t node_of(const void *jobs, const char *name)
{
	const struct zn_jobs *q = jobs;
	int64_t at = zn_jobs_node(q, name);
	const char *now = at < 0 ? name : q->nodes[at].name;

	return strcmp(now, name) && zn_bookings_name_node(&q->bookings, now) ? -ENOENT : at;
}

int zn_jobs_book(struct zn_jobs *q, const struct zn_booking *b)
{
	int rc = zn_bookings_set(&q->bookings, b);

	return rc < 0 ? rc : zn_bookings_lay(&q->bookings, &q->room, node_of, q);
}

int zn_plan_record(const struct zn_plan *plan, const char *node, const struct zn_facts *facts, struct zn_arena *a, struct zn_job_alloc *alloc)
{
	const char *nics = NULL;
	unsigned n = zn_idset_count(&plan->gpus);
	uint32_t *gpus = zn_arena_array(a, n ? n : 1, sizeof(*gpus));
	size_t len = zn_idset_format(&plan->cpus, NULL, 0) + 1;
	char *cpus = zn_arena_alloc(a, len);

	if (!gpus || !cpus || (facts && zn_plan_nics(facts, &plan->gpus, a, &nics) < 0))
		return -ENOMEM;
	zn_idset_format(&plan->cpus, cpus, len);
	unsigned i = 0;
	zn_idset_each(gpu, &plan->gpus)
		gpus[i++] = (uint32_t)gpu;
	*alloc = (struct zn_job_alloc){ .node = node, .gpus = { gpus, n }, .cpus = plan->cpus_held,
	                                .cpu_list = cpus, .nics = nics };
	if (plan->part.milli)
		alloc->gpu_milli = ZN_SOME_U64(plan->part.milli);
	if (plan->mem_bytes)
		alloc->mem_bytes = ZN_SOME_U64(plan->mem_bytes);
	return 0;
}

static int public_alloc(const struct zn_jobs *q, const struct zn_job *job, struct zn_arena *a, struct zn_job_record *r)
{
	struct zn_job_alloc *alloc = zn_arena_array(a, job->places->n, sizeof(*alloc));
	int rc = alloc ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < job->places->n; i++) {
		const struct zn_place *at = &job->places->v[i];
		rc = zn_plan_record(&at->plan, q->nodes[at->node].name, q->room.nodes[at->node].facts, a, &alloc[i]);
	}
	r->alloc = (struct zn_list){ alloc, alloc ? job->places->n : 0 };
	return rc;
}

/* What follows the quoted part; nothing where a long one was cut in the middle of it. */
static const char *behind_quoted(const char *text)
{
	const char *end = text + strlen(text);

	for (const char *at = end; at > text; at--)
		if (at[-1] == '\'' && (*at == ':' || *at == ' '))
			return at;
	return end;
}

const char *zn_job_reason_for_all(const char *reason, struct zn_arena *a)
{
	static const char *const private[] = { "command '", "directory '", "output '" };
	size_t len = 0;

	for (size_t i = 0; reason && !len && i < sizeof(private) / sizeof(*private); i++)
		if (!strncmp(reason, private[i], strlen(private[i])))
			len = strlen(private[i]) - 2;
	if (!len)
		return reason;
	const char *text = zn_arena_printf(a, "%.*s%s", (int)len, reason, behind_quoted(reason + len + 2));
	return text ? text : "out of memory";
}

static void public_array(const struct zn_job *job, struct zn_arena *a, struct zn_job_record *r)
{
	const struct zn_array *array = job->array;
	const char *rest = array->rest.count ? zn_spans_text(&array->rest, a) : NULL;

	r->array = rest && array->at_once ? zn_arena_printf(a, "%s%%%u", rest, array->at_once) : rest;
	r->array_never = array->never.count ? zn_spans_text(&array->never, a) : NULL;
	r->elements = ZN_SOME_U64(array->n);
	if (!rest && !job->cancel && !zn_job_is_finished(job->state)) /* it was of what waited */
		r->reason = NULL;
	if (zn_job_is_finished(job->state))
		zn_job_count_elements(job, r);
}

void zn_job_count_elements(const struct zn_job *job, struct zn_job_record *r)
{
	r->elements_completed = ZN_SOME_U64(job->array->completed);
	r->elements_failed = ZN_SOME_U64(job->array->failed);
	r->elements_cancelled = ZN_SOME_U64(job->array->cancelled);
}

static struct zn_obool true_or_absent(bool v)
{
	return (struct zn_obool){ .has = v, .v = v };
}

/* What was asked. */
static void public_ask(const struct zn_job *job, struct zn_arena *a, struct zn_job_record *r)
{
	if (zn_handle_is_element(job->id))
		r->index = ZN_SOME_U64(zn_handle_index(job->id));
	if (job->whole && job->whole->array->at_once)
		r->at_once = ZN_SOME_U64(job->whole->array->at_once);
	if (job->array)
		public_array(job, a, r);
	if (job->gpu_share_milli)
		r->gpu_share = ZN_SOME_F64(job->gpu_share_milli / 1e3);
	if (job->part.mem_bytes)
		r->gpu_mem_bytes = ZN_SOME_U64(job->part.mem_bytes);
	if (job->mem_bytes)
		r->mem_bytes = ZN_SOME_U64(job->mem_bytes);
	if (job->nodes_max) {
		r->nodes_min = ZN_SOME_U64(job->nodes_min);
		r->nodes_max = ZN_SOME_U64(job->nodes_max);
	}
	r->pack = true_or_absent(job->pack);
	r->spread = true_or_absent(job->spread);
	r->same_switch = true_or_absent(job->same_switch);
	if (job->limit_s > 0)
		r->time_limit_s = ZN_SOME_F64(job->limit_s);
	r->every = job->every;
	if (job->after)
		r->after = zn_after_text(job->after, a);
	if (job->begin_s > 0)
		r->begin_s = ZN_SOME_F64(job->begin_s);
	if (job->deadline_s > 0)
		r->deadline_s = ZN_SOME_F64(job->deadline_s);
	if (job->requeue_of)
		r->requeue_of = ZN_SOME_U64(job->requeue_of);
	if (job->preemptible) {
		r->preemptible = ZN_SOME_BOOL(true);
		r->grace_s = (struct zn_of64){ .has = job->grace_s >= 0, .v = job->grace_s };
	}
}

/* What happened to it. */
static void public_runs(const struct zn_job *job, struct zn_arena *a, struct zn_job_record *r)
{
	const struct zn_run *run = zn_job_run(job);

	if (run->start_s > 0)
		r->start_s = ZN_SOME_F64(run->start_s);
	if (job->end_s > 0)
		r->end_s = ZN_SOME_F64(job->end_s);
	if (job->has_exit_code)
		r->exit_code = ZN_SOME_I64(job->exit_code);
	if (job->signal)
		r->signal = zn_signal_name((int)job->signal) ? zn_signal_name((int)job->signal)
		           : zn_arena_printf(a, "%u", job->signal);
	if (job->attempt)
		r->attempt = ZN_SOME_U64(job->attempt);
	if (job->pick.is_over && !zn_job_is_waiting(job->state))
		r->over_quota = ZN_SOME_BOOL(true);
	if (job->preempted)
		r->preempted = ZN_SOME_U64(job->preempted);
	if (job->adopted_pid)
		r->adopted_pid = ZN_SOME_U64(job->adopted_pid);
	if (run->max_rss_bytes)
		r->max_rss_bytes = ZN_SOME_U64(run->max_rss_bytes);
	if (job->end_s > 0 && run->start_s > 0) {
		r->cpu_s = ZN_SOME_F64(run->cpu_s);
		r->gpu_s = ZN_SOME_F64(run->gpu_s);
	}
	if (run->before_gpu_s > 0) {
		r->before_gpu_s = ZN_SOME_F64(run->before_gpu_s);
		r->before_end_s = ZN_SOME_F64(run->before_end_s);
	}
	r->confinement = run->confinement;
}

int zn_job_public(const struct zn_jobs *q, const struct zn_job *job, struct zn_arena *a, struct zn_job_record *ret)
{
	struct zn_job_record r = {
		.id = zn_handle_number(job->id),
		.key = job->key ? strchr(job->key, ':') + 1 : NULL,
		.name = job->name,
		.user = job->user,
		.account = job->account,
		.state = zn_job_state_name(zn_job_shown_state(job)),
		.reason = job->reason,
		.priority = job->priority,
		.gpus = job->gpus,
		.tasks = job->tasks,
		.cpus = job->cpus,
		.submit_s = job->submit_s,
		.nvlink = job->nvlink_required ? "require" : NULL,
		.near = job->near, .constraint = job->constraint, .reservation = job->booking,
		.licences = job->wish ? job->wish->text : NULL,
	};

	public_ask(job, a, &r);
	public_runs(job, a, &r);
	int rc = job->places ? public_alloc(q, job, a, &r) : 0;
	if (rc == 0)
		*ret = r;
	return rc;
}
