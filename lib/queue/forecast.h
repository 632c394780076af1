/* forecast: the queue as a picture shows it, run on in virtual time by the picking of zn-schedd itself: every job takes
 * as long as its limit says, and nobody else comes.
 */
#ifndef ZN_QUEUE_FORECAST_H
#define ZN_QUEUE_FORECAST_H

#include "queue/order.h"
#include "queue/picture.h"

struct zn_forecast {
	uint64_t ahead;                /* waiting jobs that come before it now */
	struct zn_of64 start_s;        /* absent: something without a limit is in its way, or it can never start */
	uint64_t behind;               /* a job for which something is set aside now, so that there is no room; 0: nothing is, or for this one as the first */
	uint64_t kept_by;              /* a job of the same user or account that comes before it and waits for their quota; 0: none */
	struct zn_of64 gap_s;          /* how long it might take now without delaying that one; absent: that is not known */
	struct zn_of64 closes_s;       /* there is room for it only where it would not be over by then, when the node is to be drained, */
	const char *closes_for;        /* or is reserved: for this; lives as long as the picture */
};

/* When job, which waits in the picture or would, starts in its room.  -ENOMEM. */
int zn_forecast(const struct zn_picture *p, const struct zn_order *job, double now_s, struct zn_forecast *ret);
/* Only how many come before it. */
int zn_forecast_ahead(const struct zn_picture *p, const struct zn_order *job, double now_s, uint64_t *ret);
/* What of a quota keeps it from starting now, as a sentence in the picture's arena; NULL: nothing. */
const char *zn_forecast_over_quota(struct zn_picture *p, const struct zn_order *order);
/* With closes_s: "would not be over when ...", in a. */
const char *zn_forecast_closing(const struct zn_forecast *f, struct zn_arena *a);
struct zn_order zn_forecast_order(const struct zn_job_record *job);

#endif
