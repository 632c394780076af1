#include "queue/watch.h"

#include <stddef.h>

enum { TICK_MS = 50 };

static void on_started(void *arg, const struct zn_job_record *job)
{
	(void)job;
	((struct zn_watch *)arg)->started = true;
}

static void on_done(void *arg, const struct zn_job_record *job)
{
	struct zn_watch *w = arg;

	if (w->done)
		w->done(w->arg, job);
}

static int on_tick(void *arg, struct zn_err *err)
{
	struct zn_watch *w = arg;

	if (!w->started)
		return 0;
	int rc = zn_tail_copy(&w->out, err);
	return rc == 0 && w->err.path ? zn_tail_copy(&w->err, err) : rc;
}

int zn_watch_job(const char *spool, struct zn_client *client, uint64_t id, struct zn_watch *w, struct zn_err *err)
{
	struct zn_follow f = { .client = client, .arg = w, .done = on_done, .started = on_started,
	                       .tick = w->out.path ? on_tick : NULL, .tick_ms = TICK_MS };

	return zn_follow_jobs(spool, &id, 1, -1, &f, err);
}
