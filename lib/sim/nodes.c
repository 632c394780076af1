#include "sim/nodes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum { NO_MODEL = ZN_FLEET_MODELS - 1, NO_GPUS = NO_MODEL - 1, MODELS_MAX = NO_GPUS }; /* of no node; of nodes without GPUs */

static const double milli = 1000, mib = 1 << 20;

static int model_number(const struct zn_sim_models *m, const char *model, size_t len)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (strlen(m->v[i]) == len && !memcmp(m->v[i], model, len))
			return (int)i;
	return -ENOENT;
}

/* The number of a node's model, of a new one too; NO_MODEL: there are too many. */
static uint32_t take_model(struct zn_sim_models *m, const struct zn_sim_node *node)
{
	int model = model_number(m, node->gpu_model, strlen(node->gpu_model));

	if (!node->gpus)
		return NO_GPUS;
	if (model >= 0)
		return (uint32_t)model;
	if (m->n == MODELS_MAX)
		return NO_MODEL;
	m->named |= *node->gpu_model != 0;
	m->v[m->n] = node->gpu_model;
	return m->n++;
}

static uint64_t amount(double v, double unit)
{
	return v < 0 ? ZN_FLEET_UNKNOWN : (uint64_t)llround(v * unit);
}

int zn_sim_node_has(struct zn_sim_models *m, const struct zn_sim_node *node, struct zn_sim_has *ret, struct zn_err *err)
{
	*ret = (struct zn_sim_has){ .gpus = node->gpus, .model = take_model(m, node), .cpu_milli = amount(node->cpus, milli),
	                            .mem_bytes = amount(node->mem_mb, mib) };
	if (ret->model == NO_MODEL)
		return zn_err_set(err, -EBADMSG, "the cluster has more than %d kinds of GPUs", MODELS_MAX);
	m->nodes[ret->model][node->gpus]++;
	return 0;
}

/* ---- jobs -------------------------------------------------------------------------------------------------- */

static uint64_t model_mask(const struct zn_sim_models *m, const char *models)
{
	uint64_t mask = 0;

	if (!m->named)
		return 0;
	for (const char *at = models, *end; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '|');
		int model = model_number(m, at, (size_t)(end - at));
		mask |= UINT64_C(1) << (model < 0 ? NO_MODEL : model);
	}
	int unnamed = mask ? model_number(m, "", 0) : -ENOENT; /* nodes that don't say theirs will do */
	return unnamed < 0 ? mask : mask | UINT64_C(1) << unnamed;
}

struct zn_fleet_task zn_sim_task(const struct zn_sim_models *m, const struct zn_trace_job *job)
{
	return (struct zn_fleet_task){
		.gpus = job->gpus, .gpu_milli = job->gpus ? job->gpu_milli : 0, .cpu_milli = amount(job->cpus, milli),
		.mem_bytes = amount(job->mem_mb, mib), .models = model_mask(m, job->gpu_model),
	};
}

/* Whether a usual node has so many GPUs. */
static bool goes_on_one_node(const struct zn_sim_models *m, const struct zn_fleet_task *task)
{
	uint32_t of = 0, could = 0;

	for (uint32_t i = 0; i < m->n; i++)
		for (uint32_t g = 1; (!task->models || task->models >> i & 1) && g <= ZN_FLEET_GPUS; g++) {
			of += m->nodes[i][g];
			could += g >= task->gpus ? m->nodes[i][g] : 0;
		}
	return could && 2 * could >= of;
}

/* Rounded down, so that several fit where all of them together would. */
static uint64_t part(uint64_t v, uint32_t of)
{
	return v / of;
}

struct zn_fleet_gang zn_sim_gang(const struct zn_sim_models *m, const struct zn_trace_job *job, uint32_t nodes, bool split)
{
	struct zn_fleet_gang g = { .task = zn_sim_task(m, job), .n = 1, .same_switch = job->same_switch };

	if (nodes) {
		g.n = nodes;
		g.per_node = 1;
	} else if (job->gpus > 1 && (split || !goes_on_one_node(m, &g.task))) {
		g.n = job->gpus;
	}
	g.task.gpus /= g.n;
	g.task.cpu_milli = part(g.task.cpu_milli, g.n);
	g.task.mem_bytes = part(g.task.mem_bytes, g.n);
	return g;
}

static int add_nodes(const struct zn_cluster *c, const char *vc, struct zn_sim_models *models, struct zn_hall *h, const char **racks,
                     const struct zn_sim_node **nodes, struct zn_err *err)
{
	struct zn_sim_has has;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n_nodes; i++) {
		const struct zn_sim_node *node = &c->nodes[i];
		if (vc && strcmp(node->vc, vc))
			continue;
		rc = zn_sim_node_has(models, node, &has, err);
		if (rc == 0 && (rc = zn_hall_add(h, has.gpus, has.model, has.cpu_milli, has.mem_bytes)) < 0)
			zn_err_set(err, rc, "out of memory");
		if (rc == 0)
			zn_hall_link(h, (uint32_t)n, node->links);
		racks[n] = node->rack;
		nodes[n++] = node;
	}
	return rc;
}

int zn_sim_hall(const struct zn_cluster *c, const char *vc, struct zn_pick_policy policy, struct zn_sim_models *models,
                struct zn_hall *ret, const struct zn_sim_node **nodes, struct zn_err *err)
{
	const char **racks = calloc(c->n_nodes + 1, sizeof(*racks));

	*models = (struct zn_sim_models){ 0 };
	int rc = zn_hall_init(ret, ZN_FLEET_FRAGMENT, policy.reservations);
	rc = racks && rc == 0 ? add_nodes(c, vc, models, ret, racks, nodes, err) : zn_err_set(err, -ENOMEM, "out of memory");
	if (rc == 0) {
		rc = zn_hall_wire(ret, racks);
		rc = rc < 0 ? rc : zn_hall_open(ret, policy, zn_sim_place_of);
		if (rc < 0)
			zn_err_set(err, rc, "%s", rc == -EINVAL ? "the racks of the cluster do not follow each other" : "out of memory");
	}
	free(racks);
	return rc;
}

static int tell(struct zn_hall *h, const struct zn_fleet_gang *gang, struct zn_sim_job *job)
{
	struct zn_pick_ask ask = zn_hall_ask(gang);
	int64_t number = zn_hall_gang(h, gang);

	if (number < 0)
		return -ENOMEM;
	job->gang = (uint32_t)number;
	job->size = (float)zn_hall_size(h, gang);
	job->use = zn_pick_use(&ask);
	return 0;
}

int zn_sim_ask(struct zn_hall *h, const struct zn_sim_models *m, const struct zn_trace_job *t, struct zn_sim_job *job,
               struct zn_fleet_gang *ret)
{
	struct zn_fleet_gang gang = *ret = zn_sim_gang(m, t, t->nodes, false);
	int rc = t->nodes_least ? -EAGAIN : zn_hall_could(h, &gang);

	for (uint32_t n = t->nodes; rc == -EAGAIN && t->nodes_least && n >= t->nodes_least; n--) {
		if (t->gpus % n)
			continue;
		gang = *ret = zn_sim_gang(m, t, n, false);
		rc = zn_hall_could(h, &gang);
	}
	if (rc == -EAGAIN && gang.n == 1 && t->gpus > 1 && !t->nodes) {
		gang = zn_sim_gang(m, t, 0, true);
		rc = zn_hall_could(h, &gang);
	}
	return rc < 0 ? rc : tell(h, &gang, job);
}

void zn_sim_lacks(const struct zn_fleet_gang *g, const struct zn_trace_job *job, char *ret, size_t size)
{
	const struct zn_fleet_task *t = &g->task;
	const char *where = g->same_switch ? " in one rack" : "";
	char beside[192] = "", mem[ZN_UNIT_TEXT];
	size_t len = 0;

	if (t->cpu_milli)
		len += (size_t)snprintf(beside + len, sizeof(beside) - len, ", %g cpus", (double)t->cpu_milli / milli);
	if (t->mem_bytes)
		len += (size_t)snprintf(beside + len, sizeof(beside) - len, ", %s of memory", zn_format_bytes(t->mem_bytes, mem));
	if (*job->gpu_model && len < sizeof(beside))
		snprintf(beside + len, sizeof(beside) - len, ", %s", job->gpu_model);
	if (g->n == 1)
		snprintf(ret, size, "no node has %u gpus%s", (unsigned)t->gpus, beside);
	else if (g->per_node)
		snprintf(ret, size, "no %u nodes%s have %u gpus%s each", (unsigned)g->n, where, (unsigned)t->gpus, beside);
	else
		snprintf(ret, size, "all nodes%s together have no room for %u tasks of %u gpus%s", where, (unsigned)g->n, (unsigned)t->gpus, beside);
}
