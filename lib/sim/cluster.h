/* cluster: the nodes that a workload is to run on, out of a CSV file. */
#ifndef ZN_SIM_CLUSTER_H
#define ZN_SIM_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "fleet/fleet.h"
#include "sim/links.h"
#include "sim/trace.h"
#include "zenith.h"

struct zn_sim_node {
	const char *name;             /* its line's, if the file has none */
	const char *rack;             /* "pod/rack": what is near to it, the widest first; "" where the file has none */
	const char *vc;
	size_t at;                    /* in the file */
	uint32_t gpus;
	double cpus, mem_mb;          /* below 0: not known, and always enough */
	const char *gpu_model;        /* "" where the file has none */
	const struct zn_fleet_links *links; /* of its topology; NULL where the file has none */
};
struct zn_sim_pool { const char *vc; uint32_t gpus; };

struct zn_cluster {
	struct zn_arena arena;
	struct zn_sim_node *nodes;    /* in the order of the file, or of their racks */
	size_t n_nodes, cap_nodes;
	bool by_rack;                 /* the nodes are in that order */
	struct zn_sim_pool *pools;    /* by name of their vc; those without one are "" */
	size_t n;
	uint32_t gpus;                /* all of them */
	struct zn_sim_links *links;   /* of all topologies */
};

/* CSV of nodes: gpus and, if it is there, vc; to place on them what of node_id, cpus, mem_mb, gpu_model, rack and topology is there,
 * too;
 * these nodes are in the order of their racks. */
int zn_cluster_read(const char *path, enum zn_trace_use use, struct zn_cluster *ret, struct zn_err *err);
/* n nodes more, of which nothing but the GPUs is known.  -EBADMSG: more GPUs than there can be; -ENOMEM. */
int zn_cluster_more(struct zn_cluster *c, uint32_t n, const char *model, uint32_t gpus);
void zn_cluster_done(struct zn_cluster *c);

#endif
