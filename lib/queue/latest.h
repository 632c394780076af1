/* latest: the last that the view says of each job, as the bytes it is written in. */
#ifndef ZN_QUEUE_LATEST_H
#define ZN_QUEUE_LATEST_H

#include "queue/view.h"

/* Of an array of which nothing waits as a whole: hidden. */
struct zn_latest_job { uint64_t arrival, order; struct zn_bytes record; bool hidden; };

struct zn_latest {
	struct zn_arena arena;
	struct zn_latest_job *jobs;    /* by arrival (job/number.h); also those that ended lately */
	size_t n_jobs, room;
	bool is_mixed;                 /* they came in another order: sorted at the end */
	uint64_t n_records;            /* which became these */
	struct zn_bytes *nodes;        /* the last of each */
	size_t n_nodes;
	struct zn_bytes *quotas;
	size_t n_quotas;
	struct zn_bytes *licences;
	size_t n_licences;
	struct zn_bytes *bookings;     /* the last of each name */
	size_t n_bookings;
	struct zn_bytes *shares;       /* the last of each user in each account */
	size_t n_shares;
};

/* Everything the reader has now. */
int zn_latest_read(struct zn_view_reader *r, struct zn_latest *ret, struct zn_err *err);
/* Its place in jobs, -1. */
ssize_t zn_latest_find(const struct zn_latest *l, uint64_t handle);
void zn_latest_done(struct zn_latest *l);

#endif
