#include "fleet/node.h"

/* Of what is not known there is always enough. */
static void move(uint64_t *have, uint64_t much, bool give)
{
	if (*have != ZN_FLEET_UNKNOWN)
		*have = give ? *have + much : *have - much;
}

void zn__node_move(struct zn_fleet_node *node, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, bool give)
{
	uint32_t milli = task->gpus * task->gpu_milli * spot->tasks;
	uint64_t cpu_milli = task->cpu_milli * spot->tasks, mem_bytes = task->mem_bytes * spot->tasks;

	for (uint64_t m = spot->gpus; m; m &= m - 1) {
		uint16_t *gpu = &node->milli[__builtin_ctzll(m)];
		*gpu = (uint16_t)(give ? *gpu + task->gpu_milli : *gpu - task->gpu_milli);
	}
	node->free_milli = give ? node->free_milli + milli : node->free_milli - milli;
	move(&node->cpu_milli, cpu_milli, give);
	move(&node->mem_bytes, mem_bytes, give);
}

static void hold(uint64_t *have, uint64_t much)
{
	if (*have != ZN_FLEET_UNKNOWN)
		*have -= much < *have ? much : *have;
}

void zn__node_hold(struct zn_fleet_node *node, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot)
{
	for (uint64_t m = spot->gpus; m; m &= m - 1) {
		uint16_t *gpu = &node->milli[__builtin_ctzll(m)], much = (uint16_t)(task->gpu_milli < *gpu ? task->gpu_milli : *gpu);
		*gpu = (uint16_t)(*gpu - much);
		node->free_milli -= much;
	}
	hold(&node->cpu_milli, task->cpu_milli * spot->tasks);
	hold(&node->mem_bytes, task->mem_bytes * spot->tasks);
}

uint32_t zn__node_whole(const struct zn_fleet_node *node)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < node->gpus; i++)
		n += node->milli[i] == ZN_GPU_MILLI;
	return n;
}

/* At most n of them, the first. */
static uint64_t first_whole(const struct zn_fleet_node *node, uint32_t n)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; n && i < node->gpus; i++)
		if (node->milli[i] == ZN_GPU_MILLI) {
			mask |= UINT64_C(1) << i;
			n--;
		}
	return mask;
}

double zn__node_worth(const struct zn_fleet_node *node, uint32_t n)
{
	double worth;

	node->links->best(node->links->arg, first_whole(node, ZN_FLEET_GPUS), n, &worth);
	return worth;
}

uint64_t zn__node_best_whole(const struct zn_fleet_node *node, uint32_t n)
{
	double worth;

	if (!node->links || !n)
		return first_whole(node, n);
	return node->links->best(node->links->arg, first_whole(node, ZN_FLEET_GPUS), n, &worth);
}
