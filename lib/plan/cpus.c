#include "plan/cpus.h"

#include <string.h>

static const struct zn_gpu *find_gpu(const struct zn_facts *f, uint32_t gpu)
{
	if (gpu < f->n_gpus && f->gpus[gpu].gpu == gpu)
		return &f->gpus[gpu];
	for (size_t i = 0; i < f->n_gpus; i++)
		if (f->gpus[i].gpu == gpu)
			return &f->gpus[i];
	return NULL;
}

unsigned zn__node_of(const struct zn_facts *f, struct zn_ou64 numa)
{
	if (!numa.has)
		return ZN__NOWHERE;
	if (numa.v < f->n_numas && numa.v < ZN__NODES_MAX && f->numas[numa.v].numa == numa.v)
		return (unsigned)numa.v;
	for (size_t i = 0; i < f->n_numas && i < ZN__NODES_MAX; i++)
		if (f->numas[i].numa == numa.v)
			return (unsigned)i;
	return ZN__NOWHERE;
}

unsigned zn__node_of_gpu(const struct zn_facts *f, uint32_t gpu)
{
	const struct zn_gpu *g = find_gpu(f, gpu);

	return g ? zn__node_of(f, g->numa) : ZN__NOWHERE;
}

uint32_t zn__node_distance(const struct zn_facts *f, unsigned from, unsigned to)
{
	if (from < f->n_numas && to < f->numas[from].distances.n)
		return f->numas[from].distances.v[to];
	return from == to ? 10 : 20;
}

static void add_cpu(struct zn__cpus *c, const struct zn_facts *f, const struct zn_cpu *cpu)
{
	unsigned id = cpu->cpu;

	c->node[id] = (uint16_t)zn__node_of(f, cpu->numa);
	c->next[id] = 0;
	c->core[id] = ZN_IDSET_MAX;
	if (cpu->core < ZN_IDSET_MAX) {
		c->core[id] = (uint16_t)cpu->core;
		c->next[id] = c->first[cpu->core];
		c->first[cpu->core] = (uint16_t)(id + 1);
	}
	zn_idset_add(&c->allowed, id);
	c->n_allowed++;
}

void zn__cpus_make(struct zn__cpus *c, const struct zn_facts *f, const struct zn_idset *allowed)
{
	memset(c->first, 0, sizeof(c->first));
	c->allowed = (struct zn_idset){ 0 };
	c->n_allowed = 0;
	c->n_nodes = f->n_numas < ZN__NODES_MAX ? (unsigned)f->n_numas : ZN__NODES_MAX;
	for (size_t i = 0; i < f->n_cpus; i++) {
		const struct zn_cpu *cpu = &f->cpus[i];
		bool may = allowed ? zn_idset_has(allowed, cpu->cpu) : cpu->allowed;
		if (may && cpu->cpu < ZN_IDSET_MAX && !zn_idset_has(&c->allowed, cpu->cpu))
			add_cpu(c, f, cpu);
	}
}

/* The first link of the chain of cpu's core. */
static unsigned core_chain(const struct zn__cpus *c, unsigned cpu)
{
	return c->core[cpu] < ZN_IDSET_MAX ? c->first[c->core[cpu]] : cpu + 1;
}

bool zn__cpus_is_whole(const struct zn__cpus *c, const struct zn_idset *from, unsigned cpu)
{
	for (unsigned i = core_chain(c, cpu); i; i = c->next[i - 1])
		if (!zn_idset_has(from, i - 1))
			return false;
	return true;
}

struct zn_idset zn__cpus_in(const struct zn__cpus *c, const struct zn_idset *of, unsigned node)
{
	struct zn_idset ret = { 0 };

	zn_idset_each(id, of) {
		if (c->node[id] == node)
			zn_idset_add(&ret, (unsigned)id);
	}
	return ret;
}

static unsigned move(unsigned cpu, struct zn_idset *from, struct zn_idset *to)
{
	zn_idset_remove(from, cpu);
	zn_idset_add(to, cpu);
	return 1;
}

/* Threads of cpu's core in from, the lowest number first (the chain is built the other way round). */
static unsigned take_core(const struct zn__cpus *c, struct zn_idset *from, unsigned cpu, unsigned want,
                          struct zn_idset *to)
{
	unsigned n = move(cpu, from, to);

	while (n < want) {
		unsigned lowest = 0;
		for (unsigned i = core_chain(c, cpu); i; i = c->next[i - 1])
			if (zn_idset_has(from, i - 1) && (!lowest || i < lowest))
				lowest = i;
		if (!lowest)
			break;
		n += move(lowest - 1, from, to);
	}
	return n;
}

unsigned zn__cpus_take(const struct zn__cpus *c, struct zn_idset *from, unsigned node, unsigned want,
                       struct zn_idset *to)
{
	unsigned n = 0;

	for (int whole = 1; whole >= 0 && n < want; whole--)
		for (int id = zn_idset_next(from, 0); id >= 0 && n < want;
		     id = zn_idset_next(from, (unsigned)id + 1)) {
			unsigned cpu = (unsigned)id;
			if (c->node[cpu] != node || (whole && !zn__cpus_is_whole(c, from, cpu)))
				continue;
			n += whole ? take_core(c, from, cpu, want - n, to) : move(cpu, from, to);
		}
	return n;
}

bool zn__cpus_take_core(const struct zn__cpus *c, struct zn_idset *from, unsigned node, struct zn_idset *to)
{
	for (int id = zn_idset_next(from, 0); id >= 0; id = zn_idset_next(from, (unsigned)id + 1))
		if (c->node[id] == node)
			return take_core(c, from, (unsigned)id, ZN_IDSET_MAX, to);
	return false;
}

unsigned zn__cpus_cores(const struct zn__cpus *c, const struct zn_idset *of)
{
	struct zn_idset left = *of, seen = { 0 };
	unsigned n = 0;

	for (int id = zn_idset_next(&left, 0); id >= 0; id = zn_idset_next(&left, 0))
		n += take_core(c, &left, (unsigned)id, ZN_IDSET_MAX, &seen) > 0;
	return n;
}
