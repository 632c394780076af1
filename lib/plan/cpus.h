/* cpus: which hardware threads go together.  Private to plan.
 *
 * Words: a *core* is whole as long as every thread of it is in the set that is picked from; a *node* is
 * the index of a NUMA node in facts, ZN__NOWHERE when the facts do not say.
 */
#ifndef ZN_PLAN_CPUS_H
#define ZN_PLAN_CPUS_H

#include "plan/facts.h"

enum {
	ZN__NODES_MAX = 1024,          /* the kernel's own limit */
	ZN__NOWHERE = ZN__NODES_MAX,   /* also the place of all CPUs without a node */
	ZN__NODE_SLOTS,
};

/* One pass over the facts; 16 KB that live on the stack. */
struct zn__cpus {
	struct zn_idset allowed;          /* the CPUs that a job could get at all */
	unsigned n_allowed;
	unsigned n_nodes;
	uint16_t node[ZN_IDSET_MAX];      /* of a CPU */
	uint16_t core[ZN_IDSET_MAX];      /* of a CPU */
	uint16_t first[ZN_IDSET_MAX], next[ZN_IDSET_MAX]; /* a core's CPUs as a chain, 1 + number, 0 ends it */
};

/* allowed NULL: what the facts call allowed. */
void zn__cpus_make(struct zn__cpus *c, const struct zn_facts *f, const struct zn_idset *allowed);
/* The index of a NUMA node by its number, ZN__NOWHERE if there is none. */
unsigned zn__node_of(const struct zn_facts *f, struct zn_ou64 numa);
unsigned zn__node_of_gpu(const struct zn_facts *f, uint32_t gpu);
/* The firmware's distance, else 10 for the node itself and 20 for others. */
uint32_t zn__node_distance(const struct zn_facts *f, unsigned from, unsigned to);

bool zn__cpus_is_whole(const struct zn__cpus *c, const struct zn_idset *from, unsigned cpu);
struct zn_idset zn__cpus_in(const struct zn__cpus *c, const struct zn_idset *of, unsigned node);
/* Moves up to want CPUs of a node, whole cores first, from one set to the other; returns how many. */
unsigned zn__cpus_take(const struct zn__cpus *c, struct zn_idset *from, unsigned node, unsigned want,
                       struct zn_idset *to);

/* Moves the first core of a node, as far as it is in from, to the other set; false: there is none. */
bool zn__cpus_take_core(const struct zn__cpus *c, struct zn_idset *from, unsigned node, struct zn_idset *to);
unsigned zn__cpus_cores(const struct zn__cpus *c, const struct zn_idset *of);

#endif
