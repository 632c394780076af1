/* frag: how much of a node's free GPUs the usual tasks could not use.  Private to fleet.
 *
 * Of one usual task, the node's fragmentation is all that is free if the task does not fit, else what is free on GPUs
 * with too little for it; that of the node is the sum over the usual tasks with GPUs, by how often they come (FGD, section
 * 3).  Where it is known how the GPUs are linked, and the links of the best of those that are whole are worth half of what the
 * task could have on the empty node, then half of what is whole is a fragment to it, too.
 *
 * For choosing, nine tenths of that count, and one tenth of what is left when the node is filled with copies of the task until its
 * CPUs or GPUs are used up: this tells nodes apart that have GPUs to spare and too few CPUs.
 */
#ifndef ZN_FLEET_FRAG_H
#define ZN_FLEET_FRAG_H

#include "fleet/fleet.h"

/* A task that comes often. */
struct zn__usual_task { uint32_t gpus, milli; uint64_t cpu_milli, models; double weight; };

enum { ZN__USUAL_MAX = 64 };
struct zn__usual {
	struct zn__usual_task v[ZN__USUAL_MAX]; /* with GPUs; weights: of all usual tasks, those without too, they sum up to 1 */
	size_t n;
	uint64_t version;
};

/* What of a node matters here. */
struct zn__left {
	const struct zn_fleet_links *links;
	uint64_t free;                          /* the GPUs of which nothing is taken, where links is not NULL */
	uint64_t cpu_milli;
	uint32_t model, milli, whole, n_parts;  /* milli: of all GPUs; whole: GPUs of which nothing is taken */
	uint16_t parts[ZN_FLEET_GPUS];          /* what is free of the others */
};

void zn__left_of(const struct zn_fleet_node *node, struct zn__left *ret);
/* In thousandths of a GPU, for choosing. */
double zn__frag(const struct zn__usual *u, const struct zn__left *left);
/* As FGD measures it, in the mean over the usual tasks with GPUs. */
double zn__frag_pure(const struct zn__usual *u, const struct zn__left *left);
/* How little of what is free on a node, whose fragmentation is before, the task breaks up: -100 (best) to 0, in whole steps; of a share also the
 * least free GPU on which it breaks up as little as on any.  The task fits.
 *
 * The steps are those of the reference scheduler (kubernetes-scheduler-simulator, which turns the difference d into
 * 100 / (1 + exp(d / 1000)) and that into a whole number): nodes on one step are alike, and the lowest is taken, which
 * fills one node after the other.  The exact difference would scatter them.
 */
double zn__frag_score(const struct zn__usual *u, const struct zn__left *left, double before,
                     const struct zn_fleet_task *task, uint32_t *ret_milli);

#endif
