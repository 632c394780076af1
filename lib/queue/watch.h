/* watch: waiting for one job's end while what it writes is copied to where somebody sees it. */
#ifndef ZN_QUEUE_WATCH_H
#define ZN_QUEUE_WATCH_H

#include "queue/follow.h"

struct zn_watch {
	struct zn_tail out, err;       /* path NULL: none; from -1 until it is opened */
	void *arg;
	void (*done)(void *arg, const struct zn_job_record *job); /* may be NULL */
	bool started;                  /* set meanwhile: what lies at the paths is its own */
};

/* As zn_follow_jobs.  The caller ends the tails. */
int zn_watch_job(const char *spool, struct zn_client *client, uint64_t id, struct zn_watch *w, struct zn_err *err);

#endif
