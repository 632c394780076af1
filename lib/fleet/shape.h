/* shape: the tasks that ask the same, how often they came, and which node is the best for the next one.  Private to
 * fleet.
 */
#ifndef ZN_FLEET_SHAPE_H
#define ZN_FLEET_SHAPE_H

#include <uthash.h>

#include "fleet/fleet.h"
#include "fleet/tree.h"

struct zn__shape {
	struct zn_fleet_task task;
	uint64_t count;
	struct zn__tree tree;         /* what each node is worth to it */
	uint64_t seen;                /* the changes that are in it */
	uint64_t usual;               /* the version of the usual tasks that it is by; 0: there is no tree yet */
	UT_hash_handle hh;
};

/* NULL: out of memory. */
struct zn__shape *zn__shape_get(struct zn_fleet *f, const struct zn_fleet_task *task);
void zn__shapes_done(struct zn_fleet *f);

/* usual.c: counts it, and looks again at what is usual when so many more have come as there were.  -ENOMEM. */
int zn__usual_saw(struct zn_fleet *f, struct zn__shape *shape);

#endif
