/* pool: who starts now on a pool of equal GPUs, by what was asked and what is said to end when.  Pure: the time is the
 * caller's, and the jobs are his memory.
 *
 * The first in line starts when it fits, and so on; then, with backfill, it has a reservation: the time at which by
 * the estimates enough will be free for it.  Others start early when they are over by then or take only what it leaves
 * (EASY: Lifka, JSSPP 1995; Mu'alem and Feitelson, TPDS 2001).
 */
#ifndef ZN_PICK_POOL_H
#define ZN_PICK_POOL_H

#include "pick/line.h"

struct zn_pick_policy {
	enum zn_pick_order order;
	bool backfill;
	uint32_t depth;               /* look at so many behind the first in line; 0: at all.  Not with ZN_PICK_SHORTEST */
};

struct zn_pool {
	struct zn_pick_policy policy;
	uint32_t gpus, free;
	struct zn_line line;
	struct zn_row running;        /* by the end that is estimated */
};

/* One look at the queue, at one time, from beginning to end. */
struct zn_pick_pass {
	struct zn_pool *pool;
	double now_s;
	bool filling;                 /* the first in line has its reservation */
	struct zn_gap gap;
};

void zn_pool_init(struct zn_pool *p, struct zn_pick_policy policy, uint32_t gpus);
void zn_pool_done(struct zn_pool *p);
/* job waits from now on; it asks at most what the pool has.  -ENOMEM. */
int zn_pool_wait(struct zn_pool *p, struct zn_pick_job *job);
void zn_pool_end(struct zn_pool *p, struct zn_pick_job *job, double now_s); /* it ran */

void zn_pick_begin(struct zn_pick_pass *pass, struct zn_pool *p, double now_s);
/* The next that starts, and has what it asked for from now on; NULL: no other one does. */
struct zn_pick_job *zn_pick_next(struct zn_pick_pass *pass);

#endif
