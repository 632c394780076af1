/* blame: what a job's wait was made of.  The time from its submission on is decided again from what is on record, once as it was
 * and once without each thing that may have kept it: somebody's jobs, padded time limits, priorities, quotas and hours of quotas, limits of arrays,
 * and of one that waits the reservations that there are.
 */
#ifndef ZN_QUEUE_BLAME_H
#define ZN_QUEUE_BLAME_H

#include "queue/picture.h"

/* Without it the job would have waited wait_s, which is less by saved_s. */
struct zn_blame_cause { const char *text; double saved_s, wait_s; };

struct zn_blame {
	uint64_t id;
	struct zn_ou64 index;          /* of an element of an array */
	const char *state;
	double wait_s;                 /* so far, of one that waits; from its submission, or begin time */
	struct zn_of64 replayed_s;     /* as the picking decides it again; absent: it does not start within what can be foreseen */
	struct zn_list causes;         /* struct zn_blame_cause, the largest first; they overlap */
};
extern const struct zn_kind zn_blame_kind;

/* All of *ret lives in the picture's arena.  -ENODATA: there is nothing to go by. */
int zn_picture_blame(struct zn_picture *p, const char *spool, const struct zn_job_record *job, struct zn_blame *ret,
                     struct zn_err *err);

#endif
