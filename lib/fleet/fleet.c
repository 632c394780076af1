#include "fleet/fleet.h"

#include <errno.h>

#include "fleet/frag.h"
#include "fleet/shape.h"

void zn_fleet_init(struct zn_fleet *f, enum zn_fleet_policy policy, uint64_t seed)
{
	*f = (struct zn_fleet){ .policy = policy, .random = seed };
}

void zn_fleet_done(struct zn_fleet *f)
{
	zn__shapes_done(f);
	free(f->usual);
	free(f->nodes);
	free(f->log);
	*f = (struct zn_fleet){ 0 };
}

/* ---- nodes ------------------------------------------------------------------------------------------------- */

/* The ring of changes has room for one of each node: whoever missed more looks at all of them anyway. */
static int grow(struct zn_fleet *f)
{
	size_t cap = f->cap ? 2 * f->cap : 64;
	struct zn_fleet_node *nodes = reallocarray(f->nodes, cap, sizeof(*nodes));

	if (nodes)
		f->nodes = nodes;
	if (!f->usual && (f->usual = calloc(1, sizeof(*f->usual))))
		f->usual->version = 1;
	uint32_t *log = nodes && f->usual ? reallocarray(f->log, cap, sizeof(*log)) : NULL;
	if (!log)
		return -ENOMEM;
	f->log = log;
	f->cap = cap;
	return 0;
}

int zn_fleet_add(struct zn_fleet *f, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes)
{
	if (f->n == f->cap && grow(f) < 0)
		return -ENOMEM;
	struct zn_fleet_node *node = &f->nodes[f->n++];
	*node = (struct zn_fleet_node){ .gpus = gpus, .model = model, .cpu_milli = cpu_milli, .mem_bytes = mem_bytes,
	                                .free_milli = gpus * ZN_GPU_MILLI };
	for (uint32_t i = 0; i < gpus; i++)
		node->milli[i] = ZN_GPU_MILLI;
	f->gpu_milli += node->free_milli;
	if (cpu_milli != ZN_FLEET_UNKNOWN && cpu_milli > f->cpu_milli_max)
		f->cpu_milli_max = cpu_milli;
	if (mem_bytes != ZN_FLEET_UNKNOWN && mem_bytes > f->mem_bytes_max)
		f->mem_bytes_max = mem_bytes;
	return 0;
}

static void note_change(struct zn_fleet *f, uint32_t at)
{
	f->nodes[at].frag_by = 0;
	f->log[f->changes % f->cap] = at;
	f->nodes[at].changed = f->changes++;
}

static void move(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, bool give)
{
	struct zn_fleet_node *node = &f->nodes[spot->node];
	uint32_t milli = task->gpus * task->gpu_milli;

	for (uint64_t m = spot->gpus; m; m &= m - 1) {
		uint16_t *gpu = &node->milli[__builtin_ctzll(m)];
		*gpu = (uint16_t)(give ? *gpu + task->gpu_milli : *gpu - task->gpu_milli);
	}
	node->free_milli = give ? node->free_milli + milli : node->free_milli - milli;
	node->cpu_milli = give ? node->cpu_milli + task->cpu_milli : node->cpu_milli - task->cpu_milli;
	node->mem_bytes = give ? node->mem_bytes + task->mem_bytes : node->mem_bytes - task->mem_bytes;
	f->used_milli = give ? f->used_milli - milli : f->used_milli + milli;
	note_change(f, spot->node);
}

void zn_fleet_take(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot)
{
	move(f, task, spot, false);
}

void zn_fleet_give(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot)
{
	move(f, task, spot, true);
}

int zn_fleet_saw(struct zn_fleet *f, const struct zn_fleet_task *task)
{
	struct zn__shape *s = f->n ? zn__shape_get(f, task) : NULL;

	return s ? zn__usual_saw(f, s) : f->n ? -ENOMEM : 0;
}

int zn_fleet_fragmentation(struct zn_fleet *f, double *ret)
{
	double frag = 0, left_milli = 0;
	int rc = f->n ? zn__usual_look(f) : 0;

	for (size_t i = 0; rc == 0 && i < f->n; i++) {
		struct zn__left left;
		zn__left_of(&f->nodes[i], &left);
		frag += zn__frag_pure(f->usual, &left);
		left_milli += left.milli;
	}
	*ret = left_milli > 0 ? frag / left_milli : 0;
	return rc;
}
