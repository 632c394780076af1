#include "sim/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/csv.h"
#include "sim/trace_priv.h"

enum column { GPUS, CPUS, MEM, NUMBERS, VC = NUMBERS, MODEL, NAME, RACK, TOPOLOGY, COLUMNS };
static const struct zn__column columns[COLUMNS] = {
	[GPUS] = { .name = "gpus", .max = ZN__TRACE_GPUS_MAX, .whole = true },
	[CPUS] = { .name = "cpus", .max = 1e9, .place = true },
	[MEM] = { .name = "mem_mb", .max = 1e12, .place = true },
	[NAME] = { .name = "node_id", .place = true }, [RACK] = { .name = "rack", .place = true },
	[VC] = { .name = "vc" }, [MODEL] = { .name = "gpu_model", .place = true },
	[TOPOLOGY] = { .name = "topology", .place = true },
};

static struct zn_sim_pool *pool_of(struct zn_cluster *c, const char *vc)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->pools[i].vc, vc))
			return &c->pools[i];
	struct zn_sim_pool *v = reallocarray(c->pools, c->n + 1, sizeof(*v));
	char *name = zn_arena_strdup(&c->arena, vc);
	if (v)
		c->pools = v;
	if (!v || !name)
		return NULL;
	v[c->n] = (struct zn_sim_pool){ .vc = name };
	return &v[c->n++];
}

/* Room for one more behind c->nodes. */
static struct zn_sim_node *new_node(struct zn_cluster *c)
{
	if (c->n_nodes == c->cap_nodes) {
		size_t cap = c->cap_nodes ? 2 * c->cap_nodes : 64;
		struct zn_sim_node *v = reallocarray(c->nodes, cap, sizeof(*v));
		if (!v)
			return NULL;
		c->nodes = v;
		c->cap_nodes = cap;
	}
	return &c->nodes[c->n_nodes];
}

/* As text that the arena holds once where the node above had the same. */
static const char *keep(struct zn_cluster *c, const char *text, const char *last)
{
	if (!text || !*text)
		return "";
	return last && !strcmp(text, last) ? last : zn_arena_strdup(&c->arena, text);
}

static const char *name_of(struct zn_cluster *c, const struct zn_lines *l, const char *text)
{
	char name[32];

	if (zn__csv_says(text))
		return zn_arena_strdup(&c->arena, text);
	snprintf(name, sizeof(name), "line-%lu", l->number);
	return zn_arena_strdup(&c->arena, name);
}

static int take_links(struct zn_cluster *c, const struct zn_lines *l, const char *topology, struct zn_sim_node *node, struct zn_err *err)
{
	struct zn_err why = { .text = "" };

	if (!zn__csv_says(topology) || !node->gpus)
		return 0;
	int rc = zn_sim_links_get(&c->links, topology, node->gpus, &node->links, &why);
	if (rc == -EINVAL)
		return zn_lines_bad(l, err, "its topology: %s", why.text);
	return rc < 0 ? zn_err_set(err, rc, "%s", why.text) : 0;
}

static int take_node(struct zn_cluster *c, enum zn_trace_use use, const struct zn_lines *l,
                     const char *const field[COLUMNS], struct zn_err *err)
{
	double v[NUMBERS];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < NUMBERS; i++)
		rc = zn__csv_number(l, field[i], &columns[i], &v[i], err);
	if (rc < 0)
		return rc;
	if (v[GPUS] > ZN__TRACE_GPUS_MAX - c->gpus)
		return zn_lines_bad(l, err, "more than %d GPUs in all", ZN__TRACE_GPUS_MAX);
	if (use != ZN_TRACE_POOL && v[GPUS] > ZN_FLEET_GPUS)
		return zn_lines_bad(l, err, "a node has %.0f GPUs, more than the %d that can be placed on", v[GPUS], ZN_FLEET_GPUS);
	struct zn_sim_pool *pool = pool_of(c, field[VC] ? field[VC] : "");
	struct zn_sim_node *node = new_node(c);
	if (!pool || !node)
		return zn_err_set(err, -ENOMEM, "out of memory");
	const struct zn_sim_node *last = c->n_nodes ? node - 1 : NULL;
	*node = (struct zn_sim_node){ .name = name_of(c, l, field[NAME]), .vc = pool->vc, .at = c->n_nodes, .gpus = (uint32_t)v[GPUS],
	                              .cpus = zn__csv_says(field[CPUS]) ? v[CPUS] : -1,
	                              .mem_mb = zn__csv_says(field[MEM]) ? v[MEM] : -1,
	                              .gpu_model = keep(c, field[MODEL], last ? last->gpu_model : NULL),
	                              .rack = keep(c, field[RACK], last ? last->rack : NULL) };
	if (!node->name || !node->gpu_model || !node->rack)
		return zn_err_set(err, -ENOMEM, "out of memory");
	rc = take_links(c, l, field[TOPOLOGY], node, err);
	if (rc < 0)
		return rc;
	c->n_nodes++;
	pool->gpus += node->gpus;
	c->gpus += node->gpus;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct zn_sim_pool *)a)->vc, ((const struct zn_sim_pool *)b)->vc);
}

/* What is on the way to two nodes stands apart from what is on the way to one: '/' comes before all other bytes. */
static int by_path(const char *a, const char *b)
{
	for (;; a++, b++) {
		unsigned x = !*a ? 0 : *a == '/' ? 1 : (unsigned char)*a + 1u, y = !*b ? 0 : *b == '/' ? 1 : (unsigned char)*b + 1u;
		if (x != y)
			return x < y ? -1 : 1;
		if (!x)
			return 0;
	}
}

static int by_rack(const void *a, const void *b)
{
	const struct zn_sim_node *x = a, *y = b;
	int order = by_path(x->rack, y->rack);

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int take_nodes(struct zn_cluster *c, enum zn_trace_use use, struct zn_lines *l, struct zn_err *err)
{
	const char *field[COLUMNS];
	int at[COLUMNS], n = 0, rc;
	char *line;

	while ((rc = zn_lines_next(l, &line, err)) > 0) {
		if (!n) {
			rc = n = zn__csv_header(l, line, columns, COLUMNS, use != ZN_TRACE_POOL, at, err);
			if (rc >= 0 && at[GPUS] < 0)
				rc = zn_lines_bad(l, err, "there is no column 'gpus'");
		} else if (*line) {
			rc = zn__csv_cut(l, line, (size_t)n, at, COLUMNS, field, err);
			rc = rc < 0 ? rc : take_node(c, use, l, field, err);
		}
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !c->gpus)
		rc = zn_err_set(err, -EBADMSG, "'%s' has no GPUs", l->path);
	return rc;
}

int zn_cluster_read(const char *path, enum zn_trace_use use, struct zn_cluster *ret, struct zn_err *err)
{
	struct zn_lines l;

	*ret = (struct zn_cluster){ 0 };
	int rc = zn_lines_open(path, &l, err);
	if (rc == 0)
		rc = take_nodes(ret, use, &l, err);
	zn_lines_close(&l);
	if (rc < 0) {
		zn_cluster_done(ret);
		return rc;
	}
	qsort(ret->pools, ret->n, sizeof(*ret->pools), by_name);
	ret->by_rack = use == ZN_TRACE_RUN;
	if (ret->by_rack)
		qsort(ret->nodes, ret->n_nodes, sizeof(*ret->nodes), by_rack);
	return 0;
}

int zn_cluster_more(struct zn_cluster *c, uint32_t n, const char *model, uint32_t gpus)
{
	struct zn_sim_pool *pool = pool_of(c, "");
	const char *kept = zn_arena_strdup(&c->arena, model);

	if ((uint64_t)n * gpus > ZN__TRACE_GPUS_MAX - c->gpus)
		return -EBADMSG;
	for (uint32_t i = 0; pool && kept && i < n; i++) {
		struct zn_sim_node *node = new_node(c);
		char name[96];
		snprintf(name, sizeof(name), "new-%s-%zu", model, c->n_nodes);
		const char *kept_name = zn_arena_strdup(&c->arena, name);
		if (!node || !kept_name)
			return -ENOMEM;
		*node = (struct zn_sim_node){ .name = kept_name, .rack = "", .vc = pool->vc, .at = c->n_nodes, .gpus = gpus,
		                              .cpus = -1, .mem_mb = -1, .gpu_model = kept };
		c->n_nodes++;
		pool->gpus += gpus;
		c->gpus += gpus;
	}
	if (c->by_rack)
		qsort(c->nodes, c->n_nodes, sizeof(*c->nodes), by_rack);
	return pool && kept ? 0 : -ENOMEM;
}

void zn_cluster_done(struct zn_cluster *c)
{
	free(c->nodes);
	free(c->pools);
	zn_sim_links_free(c->links);
	zn_arena_done(&c->arena);
	*c = (struct zn_cluster){ 0 };
}
