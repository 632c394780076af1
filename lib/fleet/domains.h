/* domains: which nodes are near each other: racks in pods in ..., each a run of nodes.  Private to fleet. */
#ifndef ZN_FLEET_DOMAINS_H
#define ZN_FLEET_DOMAINS_H

#include "fleet/fleet.h"

struct zn__level {
	uint32_t n;
	uint32_t *first;       /* of n + 1: the node with which each begins, and where the last ends */
	uint32_t *of;          /* of each node: the domain it is in */
};

/* The smallest domains are on level 0; all nodes together are on none.  Behind the last level, on level n, are those with equal
 * paths, which hang from one switch.
 */
struct zn__domains { uint32_t n; struct zn__level v[ZN_FLEET_LEVELS + 1]; };

/* Of n nodes.  -ENOMEM; -EINVAL. */
int zn__domains_make(const char *const *paths, size_t n, struct zn__domains **ret);
void zn__domains_free(struct zn__domains *d);

#endif
