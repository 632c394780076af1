/* every: jobs that come again.  A series is a chain: when one's time has come the next is submitted, which begins at the next
 * time of the calendar and not before this one has ended.  So there is always one of it in the queue to see, to hold or, to
 * end the series, to cancel; and times that were missed are made up for once.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "job/calendar.h"
#include "serve/server.h"

/* What comes after both, strictly. */
static bool next_of(const char *every, double due_s, double now_s, double *ret_s)
{
	struct zn_calendar c;

	if (zn_calendar_parse(every, &c, NULL) < 0 || !zn_calendar_next(&c, due_s, ret_s))
		return false;
	return *ret_s > now_s || zn_calendar_next(&c, now_s, ret_s);
}

int zn_every_begin(struct zn_spec *spec, struct zn_err *err)
{
	double now_s = zn_now_s(), begin_s;

	if (!next_of(spec->policy.every, fmax(now_s, spec->policy.begin_s.v), now_s, &begin_s))
		return zn_err_set(err, -EBADMSG, "every '%.60s': there is no such time any more", spec->policy.every);
	spec->policy.begin_s = ZN_SOME_F64(begin_s);
	return 0;
}

static int submit_next(struct zn_server *s, const struct zn_job *job, const char *key, struct zn_err *err)
{
	struct zn_spec_after before = { .job = job->id, .on = "any" };
	struct zn_memo_submit body;
	double begin_s;
	uint64_t id;
	int rc = zn_submit_body(s, job, &body, err);

	if (rc < 0)
		return rc;
	if (!next_of(job->every, job->begin_s, zn_now_s(), &begin_s))
		return 0; /* the last of its series */
	body.spec.key = key;
	body.spec.hold = (struct zn_obool){ 0 };
	body.spec.policy.begin_s = ZN_SOME_F64(begin_s);
	body.spec.policy.after = (struct zn_list){ .v = &before, .n = 1 };
	return zn_submit_take(s, &body.spec, job->uid, job->gid, job->id, true, &id, err);
}

void zn_every_next(struct zn_server *s, const struct zn_job *job)
{
	char key[40], number[ZN_NUMBER_TEXT];
	struct zn_err err = { 0 };

	snprintf(key, sizeof(key), ZN_KEY_NEXT "%llu", (unsigned long long)job->id);
	if (zn_jobs_get_key(&s->jobs, job->uid, key))
		return;
	int rc = submit_next(s, job, key, &err);
	if (rc == 0)
		return;
	zn_log("the next of job %s: %s", zn_handle_text(job->id, number), err.text[0] ? err.text : strerror(-rc));
	zn_owed_note(s, rc);
}

static bool has_begun(const struct zn_job *job)
{
	return job->state == ZN_JOB_QUEUED || zn_job_has_alloc(job->state) || job->attempt || (job->array && job->array->elements);
}

void zn_every_recover(struct zn_server *s)
{
	struct zn_job *job, *next;

	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (job->every && has_begun(job))
			zn_every_next(s, job);
}
