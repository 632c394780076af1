/* links: how the GPUs of a cluster's nodes are linked, as those of a mock are (topo/mock.c), and which of them belong together, as
 * the plan of a job on one node has it (plan/plan.h).
 */
#ifndef ZN_SIM_LINKS_H
#define ZN_SIM_LINKS_H

#include "fleet/fleet.h"
#include "zenith.h"

struct zn_sim_links;                   /* of each topology with so many GPUs, and the next; NULL: there is none */

/* Of a node with so many GPUs, 1 to ZN_FLEET_GPUS, of that topology: a model of the mock, as "v100".  *ret is there until all are
 * freed.  -EINVAL: there is no such model; -ENOMEM, -errno.
 */
int zn_sim_links_get(struct zn_sim_links **all, const char *topology, uint32_t gpus, const struct zn_fleet_links **ret,
                     struct zn_err *err);
/* 0: all that was asked of them was answered; else what was chosen by them is not to be trusted.  -ENOMEM. */
int zn_sim_links_check(const struct zn_sim_links *all, struct zn_err *err);
void zn_sim_links_free(struct zn_sim_links *all);

#endif
