/* choose: on which node a task goes, and on which of its GPUs. */
#include <errno.h>

#include "base/random.h"
#include "fleet/frag.h"
#include "fleet/node.h"
#include "fleet/shape.h"

enum { SLICE = 4096 };

/* ---- what a task costs on a node --------------------------------------------------------------------------- */

static bool fits(const struct zn_fleet_node *node, const struct zn_fleet_task *task)
{
	uint32_t n = 0;

	if (node->cpu_milli < task->cpu_milli || node->mem_bytes < task->mem_bytes ||
	    node->free_milli < task->gpus * task->gpu_milli || (task->models && !(task->models >> node->model & 1)))
		return false;
	for (uint32_t i = 0; n < task->gpus && i < node->gpus; i++)
		n += node->milli[i] >= task->gpu_milli;
	return n >= task->gpus;
}

/* What would be left of it: of what is not known, nothing. */
static double left_of(const struct zn_fleet *f, const struct zn_fleet_node *node, const struct zn_fleet_task *task)
{
	static const double gpus = 8.0 * ZN_GPU_MILLI;
	double left = (node->free_milli - task->gpus * task->gpu_milli) / gpus;

	if (f->cpu_milli_max && node->cpu_milli <= f->cpu_milli_max)
		left += (double)(node->cpu_milli - task->cpu_milli) / (double)f->cpu_milli_max;
	if (f->mem_bytes_max && node->mem_bytes <= f->mem_bytes_max)
		left += (double)(node->mem_bytes - task->mem_bytes) / (double)f->mem_bytes_max;
	return left;
}

static double frag_before(const struct zn_fleet *f, struct zn_fleet_node *node, const struct zn__left *left)
{
	if (node->frag_by != f->usual->version) {
		node->frag = zn__frag(f->usual, left);
		node->frag_by = f->usual->version;
	}
	return node->frag;
}

/* milli: of a share, how much is to be free on the GPU that it gets. */
static double frag_score(const struct zn_fleet *f, struct zn_fleet_node *node, const struct zn_fleet_task *task, uint32_t *milli)
{
	struct zn__left left;

	zn__left_of(node, &left);
	return zn__frag_score(f->usual, &left, frag_before(f, node, &left), task, milli);
}

/* How much worse than the best of the node the links between those GPUs are that it would get: more than all that a score tells apart
 * by as much as a hundredth.
 */
static double ill_linked(const struct zn_fleet_node *node, const struct zn_fleet_task *task)
{
	static const double hundredths = 100, above_scores = 101;
	double worth = node->links && task->gpus > 1 ? zn__node_worth(node, task->gpus) : 1;

	return round((1 - worth) * hundredths) * above_scores;
}

/* The less the better. */
static double cost(const struct zn_fleet *f, struct zn_fleet_node *node, const struct zn_fleet_task *task)
{
	uint32_t milli;

	if (!fits(node, task))
		return HUGE_VAL;
	return f->policy == ZN_FLEET_FRAGMENT ? ill_linked(node, task) + frag_score(f, node, task, &milli) : left_of(f, node, task);
}

/* ---- the tournament of a shape ----------------------------------------------------------------------------- */

static void look_at(struct zn_fleet *f, struct zn__shape *s, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		s->tree.v[s->tree.size + i] = cost(f, &f->nodes[i], &s->task);
}

static void look_at_changed(struct zn_fleet *f, struct zn__shape *s)
{
	uint32_t at;

	for (uint64_t c = s->seen; c < f->changes; c++)
		if (zn__node_changed(f, c, &at))
			zn__tree_set(&s->tree, at, cost(f, &f->nodes[at], &s->task));
}

/* What is usual is another thing now: the next SLICE nodes are looked at anew. */
static void look_at_slice(struct zn_fleet *f, struct zn__shape *s)
{
	size_t to = f->n - s->next < SLICE ? f->n : s->next + SLICE;

	look_at(f, s, s->next, to);
	zn__tree_settle(&s->tree, s->next, to);
	s->next = to;
}

/* All that is in it is by what is usual now. */
static bool is_settled(const struct zn_fleet *f, const struct zn__shape *s)
{
	return s->usual == f->usual->version && s->next == f->n;
}

/* The first look is at all nodes, and so is the next one after so many changes; but of a settled tournament at those alone that
 * changed since it was tended.
 */
static bool misses_much(const struct zn_fleet *f, const struct zn__shape *s)
{
	return f->changes - s->chosen > f->n / 2 && (!is_settled(f, s) || f->changes - s->seen > f->n / 2);
}

static void catch_up(struct zn_fleet *f, struct zn__shape *s)
{
	bool looks_at_all = !s->usual || misses_much(f, s);

	if (s->usual != f->usual->version)
		s->next = 0;
	s->usual = f->usual->version;
	if (looks_at_all) {
		look_at(f, s, 0, f->n);
		zn__tree_settle(&s->tree, 0, f->n);
		s->next = f->n;
	} else {
		look_at_changed(f, s);
		if (s->next < f->n)
			look_at_slice(f, s);
	}
	s->seen = s->chosen = f->changes;
}

/* Where more than half of the nodes changed it is as well to look at all, once it is asked. */
void zn__choose_tend(struct zn_fleet *f)
{
	struct zn__shape *s = f->tended_shape ? f->tended_shape : f->shapes;

	if (!s)
		return;
	f->tended_shape = s->hh.next;
	uint64_t missed = f->changes - s->seen;
	if (!s->tree.v || !is_settled(f, s) || missed < f->n / 4 || missed > f->n / 2)
		return;
	look_at_changed(f, s);
	s->seen = f->changes;
}

/* ---- which node -------------------------------------------------------------------------------------------- */

static int choose_any(struct zn_fleet *f, const struct zn_fleet_task *task, size_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (fits(&f->nodes[i], task) && zn_random(&f->random) % ++n == 0)
			*ret = i;
	return n ? 0 : -EAGAIN;
}

/* The GPU for a share: the first with so much free, or of those that are whole the one that is missed least. */
static uint64_t gpu_with(const struct zn_fleet_node *node, uint32_t milli)
{
	uint32_t i = 0;

	if (milli == ZN_GPU_MILLI)
		return zn__node_best_whole(node, 1);
	while (node->milli[i] != milli)
		i++;
	return UINT64_C(1) << i;
}

/* Any of the GPUs that have room for a share. */
static uint64_t any_gpu(struct zn_fleet *f, const struct zn_fleet_node *node, uint32_t milli)
{
	uint64_t gpu = 0, n = 0;

	for (uint32_t i = 0; i < node->gpus; i++)
		if (node->milli[i] >= milli && zn_random(&f->random) % ++n == 0)
			gpu = UINT64_C(1) << i;
	return gpu;
}

static uint32_t least_that_fits(const struct zn_fleet_node *node, uint32_t milli)
{
	uint32_t best = ZN_GPU_MILLI;

	for (uint32_t i = 0; i < node->gpus; i++)
		if (node->milli[i] >= milli && node->milli[i] < best)
			best = node->milli[i];
	return best;
}

static uint64_t gpus_on(struct zn_fleet *f, struct zn_fleet_node *node, const struct zn_fleet_task *task)
{
	uint32_t milli = ZN_GPU_MILLI;

	if (task->gpus != 1 || task->gpu_milli == ZN_GPU_MILLI)
		return zn__node_best_whole(node, task->gpus);
	if (f->policy == ZN_FLEET_RANDOM)
		return any_gpu(f, node, task->gpu_milli);
	if (f->policy == ZN_FLEET_FRAGMENT)
		frag_score(f, node, task, &milli);
	else
		milli = least_that_fits(node, task->gpu_milli);
	return gpu_with(node, milli);
}

static int choose_once(struct zn_fleet *f, const struct zn_fleet_task *task, size_t *ret)
{
	double best = HUGE_VAL;

	for (size_t i = 0; i < f->n; i++) {
		double c = cost(f, &f->nodes[i], task);
		if (c < best) {
			best = c;
			*ret = i;
		}
	}
	return best < HUGE_VAL ? 0 : -EAGAIN;
}

static int choose_best(struct zn_fleet *f, const struct zn_fleet_task *task, size_t *ret)
{
	struct zn__shape *s = zn__shape_get(f, task);

	if (!s)
		return -ENOMEM;
	if (!s->asked++)
		return choose_once(f, task, ret);
	if (!zn__shape_tree(f, s))
		return -ENOMEM;
	catch_up(f, s);
	return zn__tree_first(&s->tree, ret) ? 0 : -EAGAIN;
}

int zn_fleet_choose(struct zn_fleet *f, const struct zn_fleet_task *task, struct zn_fleet_spot *ret)
{
	size_t at = 0;
	int rc = !f->n ? -EAGAIN : f->policy == ZN_FLEET_RANDOM ? choose_any(f, task, &at) : choose_best(f, task, &at);

	if (rc == 0)
		*ret = (struct zn_fleet_spot){ .node = (uint32_t)at, .tasks = 1, .gpus = gpus_on(f, &f->nodes[at], task) };
	return rc;
}
