/* awaited: which jobs wait for the end of which. */
#ifndef ZN_QUEUE_AWAITED_H
#define ZN_QUEUE_AWAITED_H

#include <sys/queue.h>

#include "queue/jobs.h"

struct zn_awaited {
	uint64_t job;                  /* whose end is waited for */
	uint64_t *by;                  /* by these; some may wait no more */
	size_t n, cap;
	size_t told;                   /* of by, once it has ended */
	UT_hash_handle hh;
	STAILQ_ENTRY(zn_awaited) link; /* once it is out of the books, for whoever took it */
};

/* What becomes of a job that waits for others. */
enum zn_after_fate {
	ZN_AFTER_FREE,                 /* it waits for none (any more) */
	ZN_AFTER_WAITS,
	ZN_AFTER_MISSED,               /* one ended otherwise than it must have */
};

/* Strikes off what is met, of all or (only not 0) of that one.  *ret_missed and *ret_ended (of ZN_AFTER_MISSED): by
 * what.  One that is forgotten was met: a miss would have ended job then.
 */
enum zn_after_fate zn_jobs_after(struct zn_jobs *q, struct zn_job *job, uint64_t only, struct zn_after_one *ret_missed,
                                 enum zn_job_state *ret_ended);
/* Those who wait for that job, out of the books; NULL: nobody does.  zn_awaited_free. */
struct zn_awaited *zn_jobs_awaited_take(struct zn_jobs *q, uint64_t job);
void zn_awaited_free(struct zn_awaited *w);

/* Inside the room. */
int zn__awaited_add(struct zn_jobs *q, const struct zn_job *job);      /* -ENOMEM */
void zn__awaited_done(struct zn_jobs *q);

#endif
