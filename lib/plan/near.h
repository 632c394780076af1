/* near: how far a machine's GPUs and NUMA nodes are from a device that a job is to be next to.  Private to plan. */
#ifndef ZN_PLAN_NEAR_H
#define ZN_PLAN_NEAR_H

#include "plan/wiring.h"

/* Of each GPU, in the order of the facts: ZN__STEPS_... to the nearest device of that name.  near NULL: 0. */
void zn__near_steps(const struct zn_facts *f, const char *near, uint8_t steps[ZN_IDSET_MAX]);
/* What a GPU so far away counts: more than any number of nearer ones. */
uint64_t zn__near_weight(unsigned steps);
/* The nodes that devices of that name hang from, as indices in facts; near NULL: none. */
struct zn_idset zn__near_nodes(const struct zn_facts *f, const char *near);
/* Whether the n bytes of text are that PCI address, with or without its domain. */
bool zn__is_pci(const char *pci, const char *text, size_t n);

#endif
