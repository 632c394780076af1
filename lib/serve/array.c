/* array: elements that wait by themselves, and the end of all. */
#include <errno.h>
#include <string.h>

#include "serve/server.h"

/* Why it may not get in line yet; NULL: it may. */
static const char *why_not(struct zn_server *s, const struct zn_job *element)
{
	const struct zn_job *array = element->whole;

	if (array->after)
		return zn_after_waits(array->after, &s->arena);
	if (zn_array_is_full(array->array))
		return zn_arena_printf(&s->arena, "%u of its array run at once, and no more", array->array->at_once);
	return NULL;
}

const char *zn_array_keeps(struct zn_server *s, struct zn_job *element)
{
	const char *text = why_not(s, element);
	char number[ZN_NUMBER_TEXT];

	if (text && zn_array_keep(element) < 0)
		zn_log("job %s waits until zn-schedd starts again: out of memory", zn_handle_text(element->id, number));
	return text;
}

void zn_array_wake(struct zn_server *s, struct zn_job *array)
{
	struct zn_job *job;

	while (!array->cancel && !array->after && !zn_array_is_full(array->array) && (job = zn_array_next_kept(&s->jobs, array))) {
		if (job->state != ZN_JOB_PENDING || job->hold)
			continue;
		zn_submit_promote(s, job);
		if (job->state == ZN_JOB_QUEUED)
			zn_change_save(s, job, "queued");
	}
}

/* Those that wait by themselves. */
static void cancel_waiting(struct zn_server *s, struct zn_job *array, const char *reason)
{
	for (struct zn_job *job = NULL; s->status == 0 && (job = zn_jobs_next_element(array, job));)
		if (zn_job_is_waiting(job->state))
			zn_job_finish(s, job, ZN_JOB_CANCELLED, reason);
}

void zn_array_stop(struct zn_server *s, struct zn_job *array, const char *reason)
{
	array->cancel = true;
	if (reason != array->reason)
		zn_job_set_text(&array->reason, reason);
	s->counts.ended[ZN_JOB_CANCELLED] += array->array->rest.count;
	zn_jobs_give_up_rest(&s->jobs, array);
	if (zn_change_save(s, array, "cancelling") == 0)
		cancel_waiting(s, array, array->reason);
}

void zn_array_recover(struct zn_server *s, struct zn_job *array)
{
	if (array->cancel)
		cancel_waiting(s, array, array->reason);
	zn_array_note(s, array);
}

void zn_array_note(struct zn_server *s, struct zn_job *array)
{
	const struct zn_array *a = array->array;

	if (zn_job_is_finished(array->state))
		return;
	if (a->open || a->rest.count) {
		zn_array_wake(s, array);
		return;
	}
	if (array->cancel) {
		zn_job_finish(s, array, ZN_JOB_CANCELLED, array->reason);
	} else if (a->failed) {
		zn_job_finish(s, array, ZN_JOB_FAILED, zn_arena_printf(&s->arena, "%u of %u elements failed", a->failed, a->n));
	} else if (a->cancelled) {
		zn_job_finish(s, array, ZN_JOB_CANCELLED, zn_arena_printf(&s->arena, "%u of %u elements were cancelled", a->cancelled, a->n));
	} else {
		array->has_exit_code = true;
		array->exit_code = 0;
		zn_job_finish(s, array, ZN_JOB_COMPLETED, NULL);
	}
}
