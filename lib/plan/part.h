/* part: which GPU a part of one is given of.  Private to plan. */
#ifndef ZN_PLAN_PART_H
#define ZN_PLAN_PART_H

#include "plan/plan.h"

/* Where there is most left for such a part, when there is not enough. */
struct zn__part_left {
	int gpu;                   /* -1: nothing is left for him anywhere */
	uint32_t milli;
	uint64_t mem_bytes;
	int others_gpu;            /* with enough left, were it not for the parts of another user; -1: none */
};

/* False: there is none.  *ret is the GPU, as a set of one; near: the device it should be near to, or NULL. */
bool zn__part_choose(const struct zn_facts *f, const struct zn_free *free, const struct zn_gpu_part *part, const char *near, struct zn_idset *ret);
struct zn__part_left zn__part_most(const struct zn_facts *f, const struct zn_free *free, const struct zn_gpu_part *part);
/* The memory of the largest GPU; 0: none is known. */
uint64_t zn__part_mem_max(const struct zn_facts *f);

#endif
