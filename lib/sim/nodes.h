/* nodes: the nodes of a cluster and the jobs of a trace as a fleet and a hall know them: models as numbers, amounts in
 * thousandths.
 */
#ifndef ZN_SIM_NODES_H
#define ZN_SIM_NODES_H

#include "pick/hall.h"
#include "sim/cluster.h"
#include "sim/run.h"
#include "sim/trace.h"

/* Models of GPUs by number, in the order in which they came. */
struct zn_sim_models {
	const char *v[ZN_FLEET_MODELS];
	uint32_t n;
	bool named;            /* a node of the cluster says its model; where none does, any will do */
	uint32_t nodes[ZN_FLEET_MODELS][ZN_FLEET_GPUS + 1]; /* how many there are of each model with so many GPUs */
};

/* What of a node a fleet is told. */
struct zn_sim_has { uint32_t gpus, model; uint64_t cpu_milli, mem_bytes; };
/* -EBADMSG: there are too many models. */
int zn_sim_node_has(struct zn_sim_models *m, const struct zn_sim_node *node, struct zn_sim_has *ret, struct zn_err *err);

/* A whole job as one task of one node; after the last node. */
struct zn_fleet_task zn_sim_task(const struct zn_sim_models *m, const struct zn_trace_job *job);
/* With equally many GPUs on each of so many nodes; where that is 0, on one if half of those that have its models have so
 * many GPUs; else, or if split, as one task for each GPU.
 */
struct zn_fleet_gang zn_sim_gang(const struct zn_sim_models *m, const struct zn_trace_job *job, uint32_t nodes, bool split);
/* The nodes of that virtual cluster, or all (vc NULL), as a hall that zn_hall_done ends, whatever comes back; nodes has room
 * for them, and gets them by their numbers.
 */
int zn_sim_hall(const struct zn_cluster *c, const char *vc, struct zn_pick_policy policy, struct zn_sim_models *models,
                struct zn_hall *ret, const struct zn_sim_node **nodes, struct zn_err *err);
/* Tells job what it asks of the hall, in which nothing has started: a gang as above, of as many nodes as the trace says, or as many
 * of its range as could ever do, split if it could not start otherwise.
 * -EAGAIN: it could never start there, *ret is what no nodes have; -ENOMEM.
 */
int zn_sim_ask(struct zn_hall *h, const struct zn_sim_models *m, const struct zn_trace_job *t, struct zn_sim_job *job,
               struct zn_fleet_gang *ret);
/* Why it could never start: what no nodes have. */
void zn_sim_lacks(const struct zn_fleet_gang *g, const struct zn_trace_job *job, char *ret, size_t size);

#endif
