#include "fleet/frag.h"

#include <math.h>

static const double filling = 0.1;
static const double noise = 1e-9; /* of sums that are equal on paper */

void zn__left_of(const struct zn_fleet_node *node, struct zn__left *ret)
{
	ret->cpu_milli = node->cpu_milli;
	ret->model = node->model;
	ret->milli = node->free_milli;
	ret->whole = ret->n_parts = 0;
	ret->links = node->links;
	ret->free = 0;
	for (uint32_t i = 0; i < node->gpus; i++)
		if (node->milli[i] == ZN_GPU_MILLI) {
			ret->whole++;
			ret->free |= UINT64_C(1) << i;
		} else if (node->milli[i]) {
			ret->parts[ret->n_parts++] = node->milli[i];
		}
}

/* ---- one usual task ---------------------------------------------------------------------------------------- */

static bool fits_beside(const struct zn__usual_task *t, const struct zn__left *left)
{
	return left->cpu_milli >= t->cpu_milli && (!t->models || t->models >> left->model & 1);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is free on GPUs that have too little for it, and for how many of it the GPUs are enough. */
static uint32_t lost_to(const struct zn__usual_task *t, const struct zn__left *left, uint64_t *copies)
{
	uint32_t lost = 0;

	if (t->milli == ZN_GPU_MILLI) {
		*copies = left->whole / t->gpus;
		return left->milli - left->whole * ZN_GPU_MILLI;
	}
	*copies = (uint64_t)left->whole * (ZN_GPU_MILLI / t->milli);
	for (uint32_t i = 0; i < left->n_parts; i++)
		if (left->parts[i] < t->milli)
			lost += left->parts[i];
		else
			*copies += left->parts[i] / t->milli;
	return lost;
}

/* Of what is whole, and enough for it, what is as good as lost to it for want of links. */
static double ill_linked(const struct zn__usual_task *t, const struct zn__left *left)
{
	double worth;

	if (!left->links || t->gpus < 2)
		return 0;
	left->links->best(left->links->arg, left->free, t->gpus, &worth);
	return (1 - worth) * left->whole * ZN_GPU_MILLI;
}

/* filled_weight: how much what is left of a node that is filled with it counts. */
static double frag_for(const struct zn__usual_task *t, const struct zn__left *left, double filled_weight)
{
	uint64_t copies;

	if (!fits_beside(t, left))
		return left->milli;
	uint32_t lost = lost_to(t, left, &copies);
	if (!copies)
		return left->milli;
	if (t->cpu_milli)
		copies = at_most(copies, left->cpu_milli / t->cpu_milli);
	double filled = left->milli - (double)(copies * t->gpus * t->milli);
	return filled_weight * filled + (1 - filled_weight) * (lost + ill_linked(t, left));
}

double zn__frag(const struct zn__usual *u, const struct zn__left *left)
{
	double sum = 0;

	for (size_t i = 0; left->milli && i < u->n; i++)
		sum += u->v[i].weight * frag_for(&u->v[i], left, filling);
	return sum;
}

double zn__frag_pure(const struct zn__usual *u, const struct zn__left *left)
{
	double sum = 0, weights = 0;

	for (size_t i = 0; i < u->n; i++) {
		sum += u->v[i].weight * frag_for(&u->v[i], left, 0);
		weights += u->v[i].weight;
	}
	return weights > 0 ? sum / weights : 0;
}

/* ---- a task that comes ------------------------------------------------------------------------------------- */

/* As zn__node_best_whole does. */
static void take_best(struct zn__left *left, uint32_t n)
{
	double worth;

	left->whole -= n;
	if (left->links && n)
		left->free &= ~left->links->best(left->links->arg, left->free, n, &worth);
}

static void take_whole(struct zn__left *left, const struct zn_fleet_task *task)
{
	left->cpu_milli -= task->cpu_milli;
	left->milli -= task->gpus * ZN_GPU_MILLI;
	take_best(left, task->gpus);
}

/* part: which of the parts, or n_parts for a GPU that is whole. */
static void take_share(struct zn__left *left, const struct zn_fleet_task *task, uint32_t part)
{
	left->cpu_milli -= task->cpu_milli;
	left->milli -= task->gpu_milli;
	if (part == left->n_parts) {
		take_best(left, 1);
		left->parts[left->n_parts++] = ZN_GPU_MILLI;
	}
	left->parts[part] = (uint16_t)(left->parts[part] - task->gpu_milli);
	if (!left->parts[part])
		left->parts[part] = left->parts[--left->n_parts];
}

static bool had_level(const struct zn__left *left, uint32_t part)
{
	for (uint32_t i = 0; i < part; i++)
		if (left->parts[i] == left->parts[part])
			return true;
	return false;
}

/* The least that its share makes the fragmentation grow by, and on a GPU with how much free. */
static double best_share(const struct zn__usual *u, const struct zn__left *left, const struct zn_fleet_task *task, uint32_t *ret_milli)
{
	double best = HUGE_VAL;

	for (uint32_t part = 0; part <= left->n_parts; part++) {
		uint32_t milli = part < left->n_parts ? left->parts[part] : left->whole ? ZN_GPU_MILLI : 0;
		if (milli < task->gpu_milli || (part < left->n_parts && had_level(left, part)))
			continue;
		struct zn__left after = *left;
		take_share(&after, task, part);
		double frag = zn__frag(u, &after);
		if (frag < best - noise || (frag <= best + noise && milli < *ret_milli)) {
			best = frag;
			*ret_milli = milli;
		}
	}
	return best;
}

double zn__frag_score(const struct zn__usual *u, const struct zn__left *left, double before, const struct zn_fleet_task *task,
                     uint32_t *ret_milli)
{
	double after;

	*ret_milli = ZN_GPU_MILLI;
	if (task->gpus == 1 && task->gpu_milli < ZN_GPU_MILLI) {
		after = best_share(u, left, task, ret_milli);
	} else {
		struct zn__left rest = *left;
		take_whole(&rest, task);
		after = zn__frag(u, &rest);
	}
	return -floor(100 / (1 + exp((after - before) / ZN_GPU_MILLI)) + noise);
}
