#include "sim/saturate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sim/nodes.h"

enum { TASKS_MAX = 1 << 27, MARKS = 130 };

#define F(member, type, heading, help) ZN_FIELD(struct zn_saturation, member, type, heading, help)
static const struct zn_field fields[] = {
	F(policy, STR, "POLICY", "who decided"),
	F(seed, U64, "SEED", "which order the tasks came in"),
	F(arrived_pct, F64, "ARRIVED", "what the tasks that came asked for, percent of all GPUs"),
	F(allocated_pct, F64, "ALLOCATED", "what they got, percent of all GPUs"),
	F(placed, U64, "PLACED", "tasks that got a place"),
	F(refused, U64, "REFUSED", "tasks that got none"),
	{ 0 }
};
const struct zn_kind zn_saturation_kind = {
	.name = "saturation", .brief = "how full a cluster was when so much had arrived", .fields = fields,
	.size = sizeof(struct zn_saturation),
};

struct filling {
	const struct zn_saturate *s;
	struct zn_fleet fleet;
	struct zn_sim_models models;
	struct zn_fleet_task *tasks;          /* of the trace */
	uint32_t *order;                      /* the tasks as they come */
	size_t n, cap;
	uint64_t random, arrived_milli;
	struct zn_saturate_sum sum;
};

/* ---- the cluster ------------------------------------------------------------------------------------------- */

static int add_node(struct filling *f, const struct zn_sim_node *node, struct zn_err *err)
{
	struct zn_sim_has has;
	int rc = zn_sim_node_has(&f->models, node, &has, err);

	if (rc < 0)
		return rc;
	rc = zn_fleet_add(&f->fleet, has.gpus, has.model, has.cpu_milli, has.mem_bytes);
	if (rc < 0)
		return zn_err_set(err, rc, "out of memory");
	zn_fleet_link(&f->fleet, (uint32_t)f->fleet.n - 1, node->links);
	return 0;
}

/* ---- the tasks --------------------------------------------------------------------------------------------- */

static int make_tasks(struct filling *f)
{
	f->tasks = calloc(f->s->trace->n + 1, sizeof(*f->tasks));
	if (!f->tasks)
		return -ENOMEM;
	for (size_t i = 0; i < f->s->trace->n; i++)
		f->tasks[i] = zn_sim_task(&f->models, &f->s->trace->jobs[i]);
	return 0;
}

static uint64_t milli_of(const struct zn_fleet_task *task)
{
	return (uint64_t)task->gpus * task->gpu_milli;
}

static int add_to_order(struct filling *f, uint32_t task)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 1024;
		uint32_t *v = reallocarray(f->order, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		f->order = v;
		f->cap = cap;
	}
	f->order[f->n++] = task;
	return 0;
}

static int make_order(struct filling *f, struct zn_err *err)
{
	uint64_t asked = 0, enough = (f->fleet.gpu_milli * MARKS + 99) / 100;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->s->trace->n; i++) {
		asked += milli_of(&f->tasks[i]);
		rc = add_to_order(f, (uint32_t)i);
	}
	if (rc == 0 && !asked)
		return zn_err_set(err, -EBADMSG, "no job of the trace asks for GPUs");
	if (rc == 0 && (double)enough / (double)asked * (double)f->n > TASKS_MAX)
		return zn_err_set(err, -EBADMSG, "the jobs of the trace are too small to fill the cluster");
	while (rc == 0 && asked < enough) {
		uint32_t task = (uint32_t)(zn_random(&f->random) % f->s->trace->n);
		asked += milli_of(&f->tasks[task]);
		rc = add_to_order(f, task);
	}
	for (size_t i = f->n; rc == 0 && i > 1; i--) {
		size_t j = zn_random(&f->random) % i;
		uint32_t task = f->order[j];
		f->order[j] = f->order[i - 1];
		f->order[i - 1] = task;
	}
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
}

/* ---- filling ----------------------------------------------------------------------------------------------- */

static int place(struct filling *f, const struct zn_fleet_task *task)
{
	struct zn_fleet_spot spot;
	uint64_t from = zn_sim_clock_ns();
	int rc = task->gpus > ZN_FLEET_GPUS ? -EAGAIN : zn_fleet_saw(&f->fleet, task);

	if (rc == 0)
		rc = zn_fleet_choose(&f->fleet, task, &spot);
	if (rc == 0)
		zn_fleet_take(&f->fleet, task, &spot);
	zn_sim_times_note(&f->sum.decisions, zn_sim_clock_ns() - from);
	f->sum.placed += rc == 0;
	f->sum.refused += rc == -EAGAIN;
	f->arrived_milli += milli_of(task);
	return rc == -EAGAIN ? 0 : rc;
}

static double allocated(const struct filling *f)
{
	return (double)f->fleet.used_milli / (double)f->fleet.gpu_milli;
}

static int fill(struct filling *f)
{
	unsigned told = 0;

	for (size_t i = 0; i < f->n && told < MARKS; i++) {
		int rc = place(f, &f->tasks[f->order[i]]);
		if (rc < 0)
			return rc;
		while (told < MARKS && f->arrived_milli * 100 >= f->fleet.gpu_milli * (told + 1))
			f->s->tell(f->s->arg, &(struct zn_saturation){ .seed = f->s->seed, .arrived_pct = ++told,
				.allocated_pct = 100 * allocated(f), .placed = f->sum.placed, .refused = f->sum.refused });
	}
	f->sum.allocated = allocated(f);
	return zn_fleet_fragmentation(&f->fleet, &f->sum.fragmentation);
}

int zn_saturate(const struct zn_saturate *s, struct zn_saturate_sum *ret, struct zn_err *err)
{
	struct filling *f = calloc(1, sizeof(*f));
	int rc = 0;

	if (!f)
		return zn_err_set(err, -ENOMEM, "out of memory");
	f->s = s;
	f->random = s->seed;
	zn_fleet_init(&f->fleet, s->policy, zn_random(&f->random));
	for (size_t i = 0; rc == 0 && i < s->cluster->n_nodes; i++)
		rc = add_node(f, &s->cluster->nodes[i], err);
	if (rc == 0 && (rc = make_tasks(f)) < 0)
		zn_err_set(err, rc, "out of memory");
	if (rc == 0)
		rc = make_order(f, err);
	if (rc == 0 && (rc = fill(f)) < 0)
		zn_err_set(err, rc, "out of memory");
	if (rc == 0)
		rc = zn_sim_links_check(s->cluster->links, err);
	*ret = f->sum;
	zn_fleet_done(&f->fleet);
	free(f->tasks);
	free(f->order);
	free(f);
	return rc;
}
