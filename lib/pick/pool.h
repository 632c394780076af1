/* pool: a pool of equal GPUs without a place of their own, as the flat simulators have it. */
#ifndef ZN_PICK_POOL_H
#define ZN_PICK_POOL_H

#include "pick/pick.h"

struct zn_victim;

/* A reservation: GPUs that are held until then, for those who look ahead later; and what is left over when it begins. */
struct zn_pool_ahead { struct zn_row_node held; uint64_t left; };

struct zn_pool {
	uint32_t gpus, free;
	struct zn_pick pick;
	struct zn_pool_ahead ahead[ZN_PICK_RESERVATIONS]; /* in a pass */
};

void zn_pool_init(struct zn_pool *p, struct zn_pick_policy policy, uint32_t gpus);
/* job, whose size is the number of its GPUs, waits from now on.  -ENOMEM. */
int zn_pool_wait(struct zn_pool *p, struct zn_pick_job *job, int64_t priority, uint32_t payer, bool may_exceed);
void zn_pool_end(struct zn_pool *p, struct zn_pick_job *job, double now_s); /* it ran */
/* As zn_victims_choose, for head. */
size_t zn_pool_preempt(const struct zn_pool *p, const struct zn_pick_job *head, struct zn_victim *v, size_t n);

#endif
