/* node: what is free of one node.  Private to fleet. */
#ifndef ZN_FLEET_NODE_H
#define ZN_FLEET_NODE_H

#include "fleet/fleet.h"

/* Takes what the tasks of a spot have, or gives it back. */
void zn__node_move(struct zn_fleet_node *node, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, bool give);
uint32_t zn__node_whole(const struct zn_fleet_node *node);                    /* GPUs of which nothing is taken */
uint64_t zn__node_first_whole(const struct zn_fleet_node *node, uint32_t n);  /* so many of them; there are */

#endif
