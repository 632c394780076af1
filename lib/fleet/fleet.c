#include "fleet/fleet.h"

#include <errno.h>

#include <string.h>

#include "fleet/domains.h"
#include "fleet/frag.h"
#include "fleet/node.h"
#include "fleet/shape.h"
#include "fleet/spread.h"

void zn_fleet_init(struct zn_fleet *f, enum zn_fleet_policy policy, uint64_t seed)
{
	*f = (struct zn_fleet){ .policy = policy, .random = seed };
}

void zn_fleet_done(struct zn_fleet *f)
{
	zn__shapes_done(f);
	zn__spreads_done(f);
	zn__domains_free(f->domains);
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
	f->gpus_max = gpus > f->gpus_max ? gpus : f->gpus_max;
	if (cpu_milli != ZN_FLEET_UNKNOWN && cpu_milli > f->cpu_milli_max)
		f->cpu_milli_max = cpu_milli;
	if (mem_bytes != ZN_FLEET_UNKNOWN && mem_bytes > f->mem_bytes_max)
		f->mem_bytes_max = mem_bytes;
	return 0;
}

void zn_fleet_link(struct zn_fleet *f, uint32_t node, const struct zn_fleet_links *links)
{
	f->nodes[node].links = links;
}

static void note_change(struct zn_fleet *f, uint32_t at)
{
	f->nodes[at].frag_by = 0;
	f->log[f->changes & (f->cap - 1)] = at;
	f->nodes[at].changed = f->changes++;
}

static void move(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, bool give)
{
	uint64_t milli = (uint64_t)task->gpus * task->gpu_milli * spot->tasks;

	zn__node_move(&f->nodes[spot->node], task, spot, give);
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

static bool is_as_free(const struct zn_fleet_node *a, const struct zn_fleet_node *b)
{
	return a->cpu_milli == b->cpu_milli && a->mem_bytes == b->mem_bytes && a->free_milli == b->free_milli &&
	       !memcmp(a->milli, b->milli, a->gpus * sizeof(*a->milli));
}

void zn_fleet_set(struct zn_fleet *f, uint32_t at, const struct zn_fleet_node *free)
{
	struct zn_fleet_node *node = &f->nodes[at];

	if (is_as_free(node, free))
		return;
	f->used_milli += node->free_milli;
	f->used_milli -= free->free_milli;
	node->cpu_milli = free->cpu_milli;
	node->mem_bytes = free->mem_bytes;
	node->free_milli = free->free_milli;
	memcpy(node->milli, free->milli, sizeof(node->milli));
	note_change(f, at);
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
