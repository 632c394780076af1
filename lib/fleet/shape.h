/* shape: the tasks that ask the same, how often they came, and which node is the best for the next one.  Private to fleet. */
#ifndef ZN_FLEET_SHAPE_H
#define ZN_FLEET_SHAPE_H

#include <uthash.h>

#include "fleet/fleet.h"
#include "fleet/tree.h"

struct zn__shape {
	struct zn_fleet_task task;
	uint64_t count;
	uint64_t asked;               /* how often a place was looked for */
	struct zn__tree tree;         /* what it costs on each node, once asked twice */
	uint64_t seen;                /* the changes that are in it, */
	uint64_t chosen;              /* and those that were when a place was chosen last */
	uint64_t usual;               /* the version of the usual tasks that it is by; 0: there is no tree yet */
	size_t next;                  /* the nodes from here on are by the version before */
	struct zn__shape *before, *after; /* of those with a tree, by their last use */
	UT_hash_handle hh;
};

/* How many things of so many bytes are kept. */
static inline size_t zn__fleet_keeps(size_t bytes)
{
	size_t n = ZN_FLEET_BYTES / (bytes + 1);

	return n > ZN_FLEET_TREES ? n : ZN_FLEET_TREES;
}

/* NULL: out of memory. */
struct zn__shape *zn__shape_get(struct zn_fleet *f, const struct zn_fleet_task *task);
void zn__shapes_done(struct zn_fleet *f);

/* Its tournament, made if need be, and that of whoever was not asked for longest gone; false: out of memory. */
bool zn__shape_tree(struct zn_fleet *f, struct zn__shape *shape);

/* choose.c: brings the next one up to date, if it has missed much. */
void zn__choose_tend(struct zn_fleet *f);

/* usual.c: counts it, and looks again at what is usual when so many more have come as there were.  -ENOMEM. */
int zn__usual_saw(struct zn_fleet *f, struct zn__shape *shape);
int zn__usual_look(struct zn_fleet *f);                  /* now.  -ENOMEM */

#endif
