/* listing: the jobs and events that somebody wants to see, from the view and its history, as checked records (see
 * rec/raw.h), each with the bytes in which it was found.
 */
#ifndef ZN_QUEUE_LISTING_H
#define ZN_QUEUE_LISTING_H

#include "queue/view.h"

struct zn_listing {
	struct zn_strs users, states, names; /* only jobs of one of these, in any case; none: of all */
	void (*put)(void *arg, struct zn_bytes record);
	void *arg;
};

/* -EINVAL: there is no such state. */
int zn_listing_check(const struct zn_listing *l, struct zn_err *err);

/* Jobs that have not ended, and, if states were named, those that ended lately; with_ended: first all that have ended.
 * A spool without a view has none.
 */
int zn_listing_jobs(const struct zn_listing *l, const char *spool, bool with_ended, struct zn_err *err);
/* Jobs that ended at or after since_s. */
int zn_listing_ended(const struct zn_listing *l, const char *spool, double since_s, struct zn_err *err);
/* Events above the sequence number after; follow: goes on as they happen, and returns only on an error. */
int zn_listing_events(const struct zn_listing *l, struct zn_view_reader *r, uint64_t after, bool follow,
                      struct zn_err *err);

#endif
