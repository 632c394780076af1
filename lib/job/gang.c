#include "job/gang.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

static bool is_range(uint16_t least, uint16_t most)
{
	return least != most;
}

void zn_spec_nodes(const struct zn_spec_resources *r, uint16_t *ret_min, uint16_t *ret_max)
{
	uint64_t least = r->nodes_min.has ? r->nodes_min.v : 1, most = r->nodes_max.has ? r->nodes_max.v : least;

	*ret_min = most > 1 ? (uint16_t)least : 0;
	*ret_max = most > 1 ? (uint16_t)most : 0;
}

int zn_spec_nodes_parse(const char *text, struct zn_spec_resources *ret, struct zn_err *err)
{
	const char *dash = strchr(text, '-');
	char least[24];
	int rc = snprintf(least, sizeof(least), "%.*s", dash ? (int)(dash - text) : (int)strlen(text), text) < (int)sizeof(least) ? 0 : -EINVAL;

	if (rc == 0)
		rc = zn_parse_u64(least, 1, ZN_SPEC_NODES_MAX, &ret->nodes_min.v, NULL);
	ret->nodes_max.v = ret->nodes_min.v;
	if (rc == 0 && dash)
		rc = zn_parse_u64(dash + 1, 1, ZN_SPEC_NODES_MAX, &ret->nodes_max.v, NULL);
	if (rc < 0 || ret->nodes_min.v > ret->nodes_max.v)
		return zn_err_set(err, -EINVAL, "'%s' is no number of nodes, 1 to %d, nor two of them as in 2-4", text, ZN_SPEC_NODES_MAX);
	ret->nodes_min.has = ret->nodes_max.has = true;
	return 0;
}

/* For the whole job: as many as it says, or so many on each node. */
static uint64_t of_all(struct zn_ou64 all, struct zn_ou64 per_node, const struct zn_spec_resources *r, uint64_t otherwise)
{
	uint16_t least, most;

	zn_spec_nodes(r, &least, &most);
	return all.has ? all.v : per_node.has ? per_node.v * (most ? most : 1) : otherwise;
}

uint32_t zn_spec_gpus(const struct zn_spec_resources *r)
{
	return r->gpu_share.has || r->gpu_mem_bytes.has ? 1 : (uint32_t)of_all(r->gpus, r->gpus_per_node, r, 0);
}

uint32_t zn_spec_tasks(const struct zn_spec_resources *r)
{
	uint16_t least, most;

	zn_spec_nodes(r, &least, &most);
	return (uint32_t)of_all(r->tasks, r->tasks_per_node, r, most ? most : 1);
}

static int check_number(const char *what, struct zn_ou64 v, uint64_t most, struct zn_err *err)
{
	if (!v.has || (v.v >= 1 && v.v <= most))
		return 0;
	return zn_err_set(err, -EBADMSG, "%s must be 1 to %llu, not %llu", what, (unsigned long long)most, (unsigned long long)v.v);
}

static int check_per_node(const char *what, struct zn_ou64 all, struct zn_ou64 per_node, uint16_t least, uint16_t most, uint64_t limit,
                          struct zn_err *err)
{
	uint64_t nodes = most ? most : 1;

	if (!per_node.has)
		return 0;
	if (is_range(least, most))
		return zn_err_set(err, -EBADMSG, "%s_per_node needs a number of nodes, not a range of them", what);
	if (per_node.v > limit / nodes)
		return zn_err_set(err, -EBADMSG, "%llu %s on each of %llu nodes are more than %llu", (unsigned long long)per_node.v, what,
		                  (unsigned long long)nodes, (unsigned long long)limit);
	if (all.has && all.v != per_node.v * nodes)
		return zn_err_set(err, -EBADMSG, "%s and %s_per_node disagree: %llu, and %llu on each of %llu nodes", what, what,
		                  (unsigned long long)all.v, (unsigned long long)per_node.v, (unsigned long long)nodes);
	return 0;
}

/* Some number of nodes that divides all of it. */
static int check_split(const struct zn_spec_resources *r, uint16_t least, uint16_t most, struct zn_err *err)
{
	uint32_t gpus = zn_spec_gpus(r), tasks = zn_spec_tasks(r);

	for (uint32_t n = least; n <= most; n++)
		if (gpus % n == 0 && tasks % n == 0 && r->cpus.v % n == 0)
			return 0;
	return is_range(least, most)
	       ? zn_err_set(err, -EBADMSG, "%u tasks, %u gpus and %llu cpus can't be split evenly over %u to %u nodes", tasks, gpus,
	                    (unsigned long long)r->cpus.v, least, most)
	       : zn_err_set(err, -EBADMSG, "%u tasks, %u gpus and %llu cpus can't be split evenly over %u nodes", tasks, gpus,
	                    (unsigned long long)r->cpus.v, most);
}

int zn__gang_check(const struct zn_spec *s, struct zn_err *err)
{
	const struct zn_spec_resources *r = &s->resources;
	uint16_t least, most;
	int rc = check_number("nodes_min", r->nodes_min, ZN_SPEC_NODES_MAX, err);

	if (rc == 0)
		rc = check_number("nodes_max", r->nodes_max, ZN_SPEC_NODES_MAX, err);
	if (rc < 0)
		return rc;
	zn_spec_nodes(r, &least, &most);
	if (r->nodes_min.has && r->nodes_max.has && r->nodes_min.v > r->nodes_max.v)
		return zn_err_set(err, -EBADMSG, "nodes_min must not be above nodes_max");
	rc = check_per_node("gpus", r->gpus, r->gpus_per_node, least, most, ZN_SPEC_GPUS_MAX, err);
	if (rc == 0)
		rc = check_per_node("tasks", r->tasks, r->tasks_per_node, least, most, ZN_SPEC_TASKS_MAX, err);
	if (rc < 0 || !most)
		return rc;
	if (is_range(least, most) && !r->tasks.has)
		return zn_err_set(err, -EBADMSG, "a job of %u to %u nodes must say how many tasks it has", least, most);
	if (r->gpu_share.has || r->gpu_mem_bytes.has || s->terminal || s->adopt.pid.has)
		return zn_err_set(err, -EBADMSG, "a job with a part of a gpu or a terminal, or that runs already, has one node");
	return check_split(r, least, most, err);
}
