/* why: what stands between a request and a machine.  Private to plan. */
#ifndef ZN_PLAN_WHY_H
#define ZN_PLAN_WHY_H

#include "plan/plan.h"

/* Counted once per plan: what the machine has and what of it is free. */
struct zn__room {
	unsigned gpus, gpus_free;
	unsigned cpus, cpus_free;
	uint64_t mem_bytes, mem_free_bytes;
	struct zn_idset gpus_free_set;
};

/* Hardware threads that ask is to have alone at least. */
uint64_t zn__ask_cpus(const struct zn_ask *ask, const struct zn__room *room);
/* -EAGAIN or -EINVAL for an ask that does not fit, as zn_plan_make; fills why unless it is NULL. */
int zn__why_fill(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                 const struct zn__room *room, struct zn_why *why);

#endif
