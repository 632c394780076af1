/* array: many jobs that are one as long as they wait. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "queue/jobs.h"

int zn__array_new(const char *text, struct zn_array **ret, struct zn_err *err)
{
	struct zn_array *a = calloc(1, sizeof(*a));
	int rc = a ? zn_spans_parse(text, &a->rest, &a->at_once, err) : -ENOMEM;

	if (rc < 0) {
		free(a);
		return rc;
	}
	a->n = a->rest.count;
	*ret = a;
	return 0;
}

void zn__array_free(struct zn_array *a)
{
	if (!a)
		return;
	zn_spans_done(&a->rest);
	zn_spans_done(&a->never);
	free(a->kept);
	zn_job_free(a->spare);
	free(a);
}

static bool is_busy(enum zn_job_state s)
{
	return s == ZN_JOB_QUEUED || zn_job_has_alloc(s);
}

/* One of it that is in line must be able to start at any time. */
static void leave_line(struct zn_jobs *q, struct zn_job *array)
{
	const struct zn_array *a = array->array;

	if (array->pick.shape && (!a->rest.count || zn_array_is_full(a) || zn__array_prepare(array) < 0))
		zn__line_remove(q, array);
}

void zn__array_note(struct zn_jobs *q, struct zn_job *element, enum zn_job_state from, enum zn_job_state to)
{
	struct zn_array *a = element->whole->array;

	a->busy += (uint32_t)is_busy(to) - (uint32_t)is_busy(from);
	a->placed += (uint32_t)zn_job_has_alloc(to) - (uint32_t)zn_job_has_alloc(from);
	leave_line(q, element->whole);
	if (!zn_job_is_finished(to) || zn_job_is_finished(from))
		return;
	a->open--;
	a->completed += to == ZN_JOB_COMPLETED;
	a->failed += to == ZN_JOB_FAILED;
	a->cancelled += to == ZN_JOB_CANCELLED;
	struct zn_job *array = element->whole;
	if (to != ZN_JOB_FAILED || array->has_exit_code || array->signal) /* the array's is that of the first */
		return;
	array->has_exit_code = element->has_exit_code;
	array->exit_code = element->exit_code;
	array->signal = element->signal;
}

enum zn_job_state zn_job_shown_state(const struct zn_job *job)
{
	const struct zn_array *a = job->array;

	if (!a || a->rest.count || !zn_job_is_waiting(job->state))
		return job->state;
	return a->placed ? ZN_JOB_RUNNING : a->busy ? ZN_JOB_QUEUED : ZN_JOB_PENDING;
}

int zn_array_keep(struct zn_job *element)
{
	struct zn_array *a = element->whole->array;

	if (element->is_kept)
		return 0;
	if (a->n_kept == a->cap_kept) {
		size_t cap = a->cap_kept ? 2 * a->cap_kept : 8;
		uint64_t *v = reallocarray(a->kept, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		a->kept = v;
		a->cap_kept = cap;
	}
	a->kept[a->n_kept++] = element->id;
	element->is_kept = true;
	return 0;
}

struct zn_job *zn_array_next_kept(struct zn_jobs *q, struct zn_job *array)
{
	struct zn_array *a = array->array;

	while (a->from_kept < a->n_kept) {
		struct zn_job *job = zn_jobs_get(q, a->kept[a->from_kept++]);
		if (!job)
			continue;
		job->is_kept = false;
		return job;
	}
	a->from_kept = a->n_kept = 0;
	return NULL;
}

/* What the array has, and nothing of what happened to it; with the name that is there. */
static void fill(const struct zn_job *array, uint32_t index, struct zn_job *to)
{
	*to = (struct zn_job){
		.id = zn_handle(array->id, index), .state = array->state, .uid = array->uid, .gid = array->gid,
		.user = array->user, .account = array->account, .priority = array->priority, .hold = array->hold,
		.nvlink_required = array->nvlink_required, .pack = array->pack, .spread = array->spread, .same_switch = array->same_switch,
		.near = array->near, .constraint = array->constraint, .booking = array->booking, .preemptible = array->preemptible, .gpus = array->gpus, .tasks = array->tasks, .cpus = array->cpus,
		.gpu_share_milli = array->gpu_share_milli, .part = array->part,
		.mem_bytes = array->mem_bytes, .wish = array->wish, .limit_s = array->limit_s, .grace_s = array->grace_s,
		.submit_s = array->submit_s, .begin_s = array->begin_s, .deadline_s = array->deadline_s,
		.requeues_left = array->requeues_left, .requeue_of = array->requeue_of, .env = array->env,
		.name = to->name,
	};
	memcpy(to->digest, array->digest, ZN_DIGEST);
	if (zn_job_is_finished(to->state)) /* the journal tells what became of it */
		to->state = ZN_JOB_PENDING;
}

/* What waits for the array's sake is counted once more, as its own. */
static int take_from_rest(struct zn_jobs *q, struct zn_job *array, uint32_t index)
{
	struct zn_spans *rest = &array->array->rest;
	uint32_t before = rest->count;
	int rc = zn_spans_remove(rest, index);

	if (rc < 0 || rest->count == before)
		return rc;
	zn__jobs_count_waiters(q, array->state, -1);
	if (array->payer && zn_job_is_waiting(array->state))
		zn_payer_take(&q->payers, array->payer, &(struct zn_use){ .queued = 1 });
	return rc;
}

static void enter(struct zn_jobs *q, struct zn_job *array, struct zn_job *job)
{
	struct zn_array *a = array->array;

	job->whole = array;
	job->payer = array->payer;
	if (job->env)
		job->env->refs++;
	HASH_ADD(hh, q->by_id, id, sizeof(job->id), job);
	q->count[job->state]++;
	zn__jobs_count_waiters(q, job->state, 1);
	if (zn_job_is_waiting(job->state))
		zn_payer_add(&q->payers, job->payer, &(struct zn_use){ .queued = 1 });
	a->elements++;
	a->open++;
	a->busy += is_busy(job->state);
}

int zn__array_prepare(struct zn_job *array)
{
	struct zn_array *a = array->array;

	if (!a->spare)
		a->spare = calloc(1, sizeof(*a->spare));
	return a->spare ? zn_job_set_text(&a->spare->name, array->name) : -ENOMEM;
}

/* What was prepared becomes an element. */
static struct zn_job *use_spare(struct zn_jobs *q, struct zn_job *array, uint32_t index)
{
	struct zn_job *job = array->array->spare;

	array->array->spare = NULL;
	fill(array, index, job);
	enter(q, array, job);
	return job;
}

int zn_jobs_split(struct zn_jobs *q, struct zn_job *array, uint32_t index, struct zn_job **ret)
{
	int rc = zn__array_prepare(array);

	if (rc == 0)
		rc = take_from_rest(q, array, index);
	if (rc < 0)
		return rc;
	*ret = use_spare(q, array, index);
	leave_line(q, array);
	return 0;
}

struct zn_pick_job *zn__array_part(void *jobs, struct zn_pick_job *picked, bool *ret_more)
{
	struct zn_jobs *q = jobs;
	struct zn_job *array = zn__line_job(picked);
	struct zn_array *a = array->array;
	uint32_t index = zn_spans_first(&a->rest);

	take_from_rest(q, array, index); /* the first: that needs no memory */
	struct zn_job *job = use_spare(q, array, index);
	job->pick = (struct zn_pick_job){ .seq = zn_handle_arrival(job->id), .submit_s = picked->submit_s,
		.estimate_s = picked->estimate_s, .limit_s = picked->limit_s, .size = picked->size };
	*ret_more = a->rest.count && !zn_array_is_full(a) && zn__array_prepare(array) == 0;
	return &job->pick;
}

struct zn_job *zn_jobs_next_element(const struct zn_job *array, const struct zn_job *last)
{
	struct zn_job *job = (last ? last : array)->hh.next;

	while (job && job->whole != array)
		job = job->hh.next;
	return job;
}

void zn_jobs_give_up_rest(struct zn_jobs *q, struct zn_job *array)
{
	struct zn_array *a = array->array;

	zn__line_remove(q, array);
	zn__jobs_count_waiters(q, array->state, -(int64_t)a->rest.count);
	if (array->payer && zn_job_is_waiting(array->state))
		zn_payer_take(&q->payers, array->payer, &(struct zn_use){ .queued = a->rest.count });
	if (!a->rest.count)
		return;
	zn_spans_done(&a->never);
	a->never = a->rest;
	a->rest = (struct zn_spans){ 0 };
}
