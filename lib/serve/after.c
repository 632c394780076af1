/* after: jobs that wait for the end of others.  Whoever ends is noted, and at the end of the turn those who waited for it are
 * looked at: one after the other, however long the chain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/awaited.h"
#include "serve/server.h"

int zn_after_may(struct zn_server *s, const struct zn_list *after, struct zn_err *err)
{
	struct zn_after *wanted = zn_after_new(after);
	int rc = after->n && !wanted ? -ENOMEM : 0;

	for (size_t i = 0; rc == 0 && wanted && i < wanted->n; i++) {
		const struct zn_after_one *one = &wanted->v[i];
		const struct zn_job *job = zn_jobs_get(&s->jobs, one->job);
		if (!job)
			rc = zn_err_set(err, -EBADMSG, "there is no job %llu to wait for", (unsigned long long)one->job);
		else if (zn_job_is_finished(job->state) && !zn_after_is_met(one->on, job->state))
			rc = zn_err_set(err, -EBADMSG, "it could never start: %s", zn_after_missed(one, job->state, &s->arena));
	}
	free(wanted);
	return rc;
}

void zn_after_note(struct zn_server *s, uint64_t job)
{
	struct zn_awaited *w = zn_jobs_awaited_take(&s->jobs, job);

	if (w)
		STAILQ_INSERT_TAIL(&s->ended, w, link);
}

/* After a start of zn-schedd: ends that nobody was told of. */
void zn_after_recover(struct zn_server *s)
{
	struct zn_awaited *w, *next;

	HASH_ITER(hh, s->jobs.awaited, w, next) {
		const struct zn_job *job = zn_jobs_get(&s->jobs, w->job);
		if (!job || zn_job_is_finished(job->state))
			zn_after_note(s, w->job);
	}
}

static void look_again(struct zn_server *s, uint64_t id)
{
	struct zn_job *job = zn_jobs_get(&s->jobs, id);
	struct zn_after_one missed;
	enum zn_job_state ended;

	if (!job || job->state != ZN_JOB_PENDING || !job->after)
		return;
	if (zn_jobs_after(&s->jobs, job, &missed, &ended) == ZN_AFTER_MISSED) {
		zn_job_finish(s, job, ZN_JOB_CANCELLED, zn_after_missed(&missed, ended, &s->arena));
		return;
	}
	zn_submit_promote(s, job);
	zn_change_save(s, job, job->state == ZN_JOB_QUEUED ? "queued" : "waits");
}

void zn_after_run(struct zn_server *s)
{
	struct zn_awaited *w;

	while ((w = STAILQ_FIRST(&s->ended)) && s->status == 0 && zn_journal_room(s->journal) >= ZN_ROOM_START) {
		STAILQ_REMOVE_HEAD(&s->ended, link);
		for (size_t i = 0; i < w->n && s->status == 0; i++)
			look_again(s, w->by[i]);
		zn_awaited_free(w);
	}
}

void zn_after_drop_all(struct zn_server *s)
{
	struct zn_awaited *w;

	while ((w = STAILQ_FIRST(&s->ended))) {
		STAILQ_REMOVE_HEAD(&s->ended, link);
		zn_awaited_free(w);
	}
}
