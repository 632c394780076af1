/* deal: what one of n gets of a set of GPUs and CPUs.  Private to plan. */
#ifndef ZN_PLAN_DEAL_H
#define ZN_PLAN_DEAL_H

#include "plan/cpus.h"

struct zn__share {
	struct zn_idset gpus, cpus; /* disjoint between the shares; cpus may be empty when there are too few */
};

/* Share number i of n.  whole: cores are not split (unless there are fewer cores than shares). */
struct zn__share zn__deal(const struct zn_facts *f, const struct zn_idset *gpus, const struct zn_idset *cpus,
                          bool whole, uint32_t i, uint32_t n);
/* The numbers of the NUMA nodes that these CPUs and GPUs hang from. */
struct zn_idset zn__numas_of(const struct zn_facts *f, const struct zn__cpus *c, const struct zn_idset *cpus,
                             const struct zn_idset *gpus);

#endif
