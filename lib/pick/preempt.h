/* preempt: whose place the first in line may have.
 *
 * Who runs and is preemptible makes room for who waits with a higher priority; who started beyond the soft limits of his
 * quota for whoever waits within his own.  Taken are the lowest priorities that will
 * do; of these one alone, if one will do, else no more than it takes; rather who was preempted less often, then who loses
 * less GPU time, then who started last.
 *
 * One that was preempted n times is safe for 2^(n-1) minutes after each start.  So whatever comes, a job that must begin
 * anew each time and takes t minutes is preempted no more than log2(t) + 2 times.  Safe too is who waited for so long that
 * nothing may delay it any more (line.h).
 */
#ifndef ZN_PICK_PREEMPT_H
#define ZN_PICK_PREEMPT_H

#include "pick/room.h"

struct zn_victim {
	struct zn_pick_job *job;       /* it runs */
	int64_t priority;
	uint32_t times;                /* it was preempted before */
	uint32_t gpus, gpu_milli;      /* gpu_milli: of the one, if it is not whole */
	bool goes;                     /* it was told to go, and will */
	double lost_s;                 /* GPU seconds, or seconds where it has none: zn_victim_weigh */
};

/* Of a job with that priority, when others are to make room. */
int64_t zn_victim_priority(const struct zn_pick_job *job, int64_t priority);
/* Whether it may be preempted at now_s for somebody of that priority; sets lost_s, and makes *safe_until_s (0: nothing is known)
 * no later than when it may be.  One that goes may not.
 */
bool zn_victim_weigh(struct zn_victim *v, int64_t priority, double now_s, double *safe_until_s);

/* What there would be: as it is now, then when one more of those who run is gone, and so on; whether that is room for who is
 * first in line, which is asked no more once it is.
 */
struct zn_then_ops {
	void (*begin)(void *arg);
	void (*give)(void *arg, const struct zn_pick_job *job);
	bool (*has_room)(void *arg);
};

/* Of n, all of which may be preempted or go, whom to preempt that there is room when they are gone: these come to the front
 * of v.  lacks_gpus: so many GPUs are too few, at least.  0: nobody, as it would not do, or *ret_enough, those who go already
 * are enough.
 */
size_t zn_victims_choose(const struct zn_then_ops *then, void *arg, uint64_t lacks_gpus, struct zn_victim *v, size_t n, bool *ret_enough);
/* For head at now_s. */
size_t zn_room_preempt(struct zn_room *r, const struct zn_pick_job *head, double now_s, struct zn_victim *v, size_t n, bool *ret_enough);

#endif
