/* gang: where several tasks go that start together. */
#include <errno.h>

#include "fleet/node.h"
#include "fleet/spread.h"

int zn_fleet_wire(struct zn_fleet *f, const char *const *paths)
{
	return zn__domains_make(paths, f->n, &f->domains);
}

static bool may_share_a_node(const struct zn_fleet_gang *g)
{
	return (!g->per_node || g->per_node >= g->n) && (uint64_t)g->n * g->task.gpus <= ZN_FLEET_GPUS;
}

int zn_fleet_has_room(struct zn_fleet *f, const struct zn_fleet_gang *gang)
{
	const struct zn__spread *s = f->n ? zn__spread_get(f, gang) : NULL;

	if (!s)
		return f->n ? -ENOMEM : -EAGAIN;
	return zn__room_has(&s->room, f, gang) ? 0 : -EAGAIN;
}

int zn_fleet_choose_gang(struct zn_fleet *f, const struct zn_fleet_gang *gang, struct zn_fleet_spot *ret, uint32_t *ret_n)
{
	int rc = !f->n ? -EAGAIN : 0;

	*ret_n = 1;
	if (rc == 0 && may_share_a_node(gang)) {
		struct zn_fleet_task all = zn_fleet_task_times(&gang->task, gang->n);
		rc = zn_fleet_choose(f, &all, ret);
		ret->tasks = gang->n;
		if (rc != -EAGAIN || gang->n == 1)
			return rc;
	}
	rc = zn_fleet_has_room(f, gang);
	if (rc < 0)
		return rc;
	const struct zn__spread *s = zn__spread_get(f, gang);
	*ret_n = zn__spread_out(f, &s->room, gang, ret);
	for (uint32_t i = 0; i < *ret_n; i++)
		ret[i].gpus = zn__node_best_whole(&f->nodes[ret[i].node], ret[i].tasks * gang->task.gpus);
	return 0;
}
