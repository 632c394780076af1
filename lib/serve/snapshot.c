/* snapshot: when the journal has grown to twice what a snapshot needs, one is written off the loop. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "serve/server.h"

enum { SMALLEST = 32 << 20 };

static int write_all(void *arg, struct zn_snapshot *snapshot)
{
	struct zn_server *s = arg;

	return zn_memo_snapshot(&s->jobs, snapshot);
}

static void moved(void *arg, uint64_t tag, struct zn_loc loc)
{
	struct zn_server *s = arg;

	zn_memo_moved(&s->jobs, tag, loc);
}

/* An array and its elements are forgotten together: an element that nobody knows waits.  The next of a series is remembered as
 * long as the one before: it says that there was a next.
 */
static bool is_old(struct zn_server *s, const struct zn_job *job, double before_s)
{
	const struct zn_job *last = job->whole ? job->whole : job;

	return zn_job_is_finished(last->state) && last->end_s < before_s &&
	       !(job->every && job->requeue_of && zn_jobs_get(&s->jobs, job->requeue_of));
}

/* Elements first: their array goes in the same turn, no later than what was run at its end and says that it was. */
static void forget_old(struct zn_server *s)
{
	double before = zn_now_s() - s->conf.history_s;
	struct zn_job *job, *next;

	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (job->whole && is_old(s, job, before))
			zn_jobs_drop(&s->jobs, job);
	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (is_old(s, job, before))
			zn_jobs_drop(&s->jobs, job);
	zn_view_forget_history(s->view, before);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;
	int rc = zn_journal_snapshot_poll(s->journal);

	(void)fd;
	(void)what;
	if (rc == 0)
		return;
	event_free(s->on_snapshot);
	s->on_snapshot = NULL;
	s->snapshotting = false;
	if (rc < 0)
		zn_log("the snapshot failed: %s; the old files stay", strerror(-rc));
	s->snapshot_bytes = zn_journal_bytes(s->journal);
	zn_textfile_note(s);
}

/* Where its process can't be watched, we look from time to time: without an end there would never be another one. */
static void watch_end(struct zn_server *s)
{
	static const struct timeval again = { .tv_sec = 1 };

	s->on_snapshot = event_new(s->base, zn_journal_snapshot_pidfd(s->journal), EV_READ | EV_PERSIST, on_done, s);
	if (event_add(s->on_snapshot, NULL) == 0)
		return;
	event_free(s->on_snapshot);
	s->on_snapshot = event_new(s->base, -1, EV_PERSIST, on_done, s);
	event_add(s->on_snapshot, &again);
}

void zn_snapshot_if_due(struct zn_server *s)
{
	static const struct zn_snapshot_job template = { .write = write_all, .moved = moved };
	struct zn_snapshot_job job = template;
	uint64_t bytes = zn_journal_bytes(s->journal);

	if (s->snapshotting || bytes < SMALLEST || bytes < 2 * s->snapshot_bytes)
		return;
	forget_old(s);
	job.arg = s;
	int rc = zn_journal_flush(s->journal);
	if (rc == 0) /* what the snapshot leaves out stands only in the history from now on */
		rc = zn_view_flush(s->view, s->seq);
	if (rc == 0)
		rc = zn_view_sync_history(s->view);
	if (rc == 0)
		rc = zn_journal_snapshot_start(s->journal, &job);
	if (rc < 0) {
		zn_log("can't begin a snapshot: %s", strerror(-rc));
		s->snapshot_bytes = bytes;
		return;
	}
	s->snapshotting = true;
	watch_end(s);
}
