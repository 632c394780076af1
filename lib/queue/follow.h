/* follow: waiting for jobs to end, and showing what they write meanwhile.  From the view alone. */
#ifndef ZN_QUEUE_FOLLOW_H
#define ZN_QUEUE_FOLLOW_H

#include "job/record.h"

/* Sleeps until all n jobs have ended; done(arg, record) is told of each, once, as it ends (also of those that had
 * ended before).  timeout_s < 0: no limit.  -ENOENT: a job that the spool does not know; -ETIMEDOUT.
 * started(arg, record), if set, is told of each, once, when it has started: only then is what lies at its output
 * path its own.  With tick, it is called every tick_ms (and after the last end) whatever happens; when it fails,
 * so does the whole.
 */
struct zn_client;
struct zn_follow {
	struct zn_client *client;      /* NULL, or a connection: when zn-schedd dies it is started again, so that
	                                * somebody who waits does not wait for nobody */
	void *arg;
	void (*done)(void *arg, const struct zn_job_record *job);
	void (*started)(void *arg, const struct zn_job_record *job);
	int (*tick)(void *arg, struct zn_err *err);
	int tick_ms;
};
int zn_follow_jobs(const char *spool, const uint64_t *ids, size_t n, double timeout_s, const struct zn_follow *f,
                   struct zn_err *err);

/* One file that grows, copied to a descriptor. */
struct zn_tail { const char *path; int from, to; };
/* Copies what is new; a file that is not there yet is no error. */
int zn_tail_copy(struct zn_tail *t, struct zn_err *err);
void zn_tail_done(struct zn_tail *t);

/* The status a shell would see: the exit code, 128 + signal, or fallback when the job never got that far. */
int zn_job_exit_status(const struct zn_job_record *job, int fallback);

#endif
