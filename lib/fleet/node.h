/* node: what is free of one node.  Private to fleet. */
#ifndef ZN_FLEET_NODE_H
#define ZN_FLEET_NODE_H

#include "fleet/fleet.h"

/* Takes what the tasks of a spot have, or gives it back. */
void zn__node_move(struct zn_fleet_node *node, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, bool give);
/* Takes it where there may be too little: then nothing is left. */
void zn__node_hold(struct zn_fleet_node *node, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
/* Whether the change of that number was the last one of its node: else that changed again after it. */
static inline bool zn__node_changed(const struct zn_fleet *f, uint64_t change, uint32_t *ret_node)
{
	*ret_node = f->log[change & (f->cap - 1)];
	return f->nodes[*ret_node].changed == change;
}

uint32_t zn__node_whole(const struct zn_fleet_node *node);                    /* GPUs of which nothing is taken */
uint64_t zn__node_best_whole(const struct zn_fleet_node *node, uint32_t n);   /* so many of them; there are */
double zn__node_worth(const struct zn_fleet_node *node, uint32_t n);          /* of the links of those; node->links is not NULL */

#endif
