/* after: jobs that wait for the end of others.  Whoever ends is noted, and at the end of the turn those who waited for it are
 * looked at: one after the other, however long the chain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
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

/* Who waits on is shown anew, if it is for few; nothing of that needs to be remembered. */
static void show_rest(struct zn_server *s, struct zn_job *job)
{
	if (job->after && job->after->n > ZN_AFTER_SHOWN)
		return;
	job->view_seq = s->seq;
	zn_change_view(s, job, "is", zn_now_s());
}

/* One that waits for ended_id, which has ended. */
static void look_again(struct zn_server *s, uint64_t id, uint64_t ended_id)
{
	struct zn_job *job = zn_jobs_get(&s->jobs, id);
	struct zn_after_one missed;
	enum zn_job_state ended;

	if (!job || job->state != ZN_JOB_PENDING || !job->after)
		return;
	if (zn_jobs_after(&s->jobs, job, ended_id, &missed, &ended) == ZN_AFTER_MISSED) {
		zn_job_finish(s, job, ZN_JOB_CANCELLED, zn_after_missed(&missed, ended, &s->arena));
		return;
	}
	zn_submit_promote(s, job);
	if (job->array && !job->after)
		zn_array_wake(s, job);
	if (job->state == ZN_JOB_QUEUED)
		zn_change_save(s, job, "queued");
	else
		show_rest(s, job);
}

enum { EACH = 1024, EACH_BYTES = 4 << 20 }; /* so many that are told write less than that, journal and view together */

/* Journal and view have something set aside, but that is for ends of jobs.  False: it is tried again in a while. */
static bool has_room(struct zn_server *s, size_t told)
{
	static const struct timeval soon = { .tv_sec = 5 };
	struct statvfs fs;

	if (zn_journal_room(s->journal) >= ZN_ROOM_SUBMIT && !s->view_is_behind &&
	    (told % EACH || (statvfs(s->spool, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= EACH_BYTES)))
		return true;
	event_add(s->on_after, &soon);
	return false;
}

void zn_after_run(struct zn_server *s)
{
	struct zn_awaited *w;

	while ((w = STAILQ_FIRST(&s->ended))) {
		for (; w->told < w->n; w->told++) {
			if (s->status < 0 || !has_room(s, w->told))
				return;
			look_again(s, w->by[w->told], w->job);
		}
		STAILQ_REMOVE_HEAD(&s->ended, link);
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
