/* Dealing a set of GPUs and CPUs out to n shares.
 *
 * GPUs are put into a chain, each beside the one it is best linked to, and cut into n runs of even length.
 * A share's home is the node of its first GPU.  When every share has a home, and every home CPUs for its
 * shares, each home's CPUs are cut evenly among its own shares (CPUs of a node that nobody calls home go to
 * the nearest home); else all CPUs, in the order of the homes, are cut evenly among all.
 */
#include "plan/deal.h"

#include "plan/links.h"
#include "plan/plan.h"

/* What is cut: a CPU, or a core of several. */
struct unit { uint16_t at; };

struct dealer {
	const struct zn_facts *f;
	struct zn__cpus cpus;
	struct zn__links links;
	unsigned chain[ZN__LINKS_MAX];
	unsigned nodes[ZN__NODE_SLOTS], n_nodes;  /* homes in the order of the shares, then other nodes */
	unsigned n_homes;
	unsigned goes_to[ZN__NODE_SLOTS];         /* the home that a node's CPUs are dealt at */
	uint16_t list[ZN_IDSET_MAX];              /* CPUs home by home, core by core */
	struct unit units[ZN_IDSET_MAX + 1];      /* where a unit begins in list; one more as the end */
	unsigned n_list, n_units;
	unsigned home_units[ZN__NODE_SLOTS];      /* of each home */
};

struct run { unsigned at, n; };

/* Run i of n, even, the longer ones first. */
static struct run run_of(unsigned total, uint32_t n, uint32_t i)
{
	unsigned base = total / n, more = total % n;
	struct run r = { .at = i * base + (i < more ? i : more), .n = base + (i < more) };

	return r;
}

static unsigned home_of(const struct dealer *d, uint32_t n, uint32_t i)
{
	struct run r = run_of(d->links.n, n, i);

	return r.n ? zn__node_of(d->f, d->links.numa[d->chain[r.at]]) : ZN__NOWHERE;
}

static void add_node(struct dealer *d, unsigned node, unsigned home)
{
	for (unsigned k = 0; k < d->n_nodes; k++)
		if (d->nodes[k] == node)
			return;
	d->nodes[d->n_nodes++] = node;
	d->goes_to[node] = home;
}

static unsigned nearest_home(const struct dealer *d, unsigned node)
{
	unsigned best = node;

	for (unsigned k = 0; k < d->n_homes; k++)
		if (!k || zn__node_distance(d->f, d->nodes[k], node) < zn__node_distance(d->f, best, node))
			best = d->nodes[k];
	return best;
}

static void list_nodes(struct dealer *d, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < d->links.n; i++) {
		unsigned home = home_of(d, n, i);
		if (home != ZN__NOWHERE)
			add_node(d, home, home);
	}
	d->n_homes = d->n_nodes;
	for (unsigned node = 0; node < d->cpus.n_nodes; node++)
		add_node(d, node, nearest_home(d, node));
	add_node(d, ZN__NOWHERE, d->n_homes ? d->nodes[0] : ZN__NOWHERE);
}

/* Moves a node's CPUs from left to the list; with whole, a core is one unit. */
static void list_cpus(struct dealer *d, unsigned node, unsigned home, bool whole, struct zn_idset *left)
{
	for (int id = zn_idset_next(left, 0); id >= 0; id = zn_idset_next(left, (unsigned)id + 1)) {
		unsigned core = d->cpus.core[id], begin = d->n_list;
		if (d->cpus.node[id] != node)
			continue;
		d->list[d->n_list++] = (uint16_t)id;
		zn_idset_remove(left, (unsigned)id);
		for (unsigned k = core < ZN_IDSET_MAX ? d->cpus.first[core] : 0; k; k = d->cpus.next[k - 1])
			if (zn_idset_has(left, k - 1)) {
				zn_idset_remove(left, k - 1);
				d->list[d->n_list++] = (uint16_t)(k - 1);
			}
		while (begin < d->n_list) {
			d->units[d->n_units++].at = (uint16_t)begin;
			d->home_units[home]++;
			begin = whole ? d->n_list : begin + 1;
		}
	}
}

static void list_units(struct dealer *d, const struct zn_idset *cpus, bool whole)
{
	struct zn_idset left = *cpus;

	d->n_list = d->n_units = 0;
	for (unsigned k = 0; k < d->n_nodes; k++)
		d->home_units[d->nodes[k]] = 0;
	for (unsigned k = 0; k < d->n_nodes; k++) {
		if (d->goes_to[d->nodes[k]] != d->nodes[k])
			continue;
		list_cpus(d, d->nodes[k], d->nodes[k], whole, &left);
		for (unsigned j = d->n_homes; j < d->n_nodes; j++)
			if (j != k && d->goes_to[d->nodes[j]] == d->nodes[k])
				list_cpus(d, d->nodes[j], d->nodes[k], whole, &left);
	}
	d->units[d->n_units].at = (uint16_t)d->n_list;
}

/* Shares before i, and all shares, that have this home. */
static struct run shares_at(const struct dealer *d, unsigned home, uint32_t n, uint32_t i)
{
	struct run r = { 0 };

	for (uint32_t k = 0; k < n; k++)
		if (home_of(d, n, k) == home) {
			r.n++;
			r.at += k < i;
		}
	return r;
}

static bool every_home_suffices(const struct dealer *d, uint32_t n)
{
	if (!d->n_homes || n > d->links.n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		unsigned home = home_of(d, n, i);
		if (home == ZN__NOWHERE || shares_at(d, home, n, 0).n > d->home_units[home])
			return false;
	}
	return true;
}

static struct run units_of(const struct dealer *d, uint32_t n, uint32_t i)
{
	unsigned home, before = 0;
	struct run peers, r;

	if (!every_home_suffices(d, n))
		return run_of(d->n_units, n, i);
	home = home_of(d, n, i);
	for (unsigned k = 0; d->nodes[k] != home; k++)
		before += d->home_units[d->nodes[k]];
	peers = shares_at(d, home, n, i);
	r = run_of(d->home_units[home], peers.n, peers.at);
	r.at += before;
	return r;
}

struct zn__share zn__deal(const struct zn_facts *f, const struct zn_idset *gpus, const struct zn_idset *cpus,
                          bool whole, uint32_t i, uint32_t n)
{
	struct dealer d;
	struct zn__share share = { 0 };
	struct run r;

	d.f = f;
	d.n_nodes = 0;
	zn__cpus_make(&d.cpus, f, cpus);
	zn__links_make(&d.links, f, gpus);
	zn__links_chain(&d.links, d.chain);
	list_nodes(&d, n);
	list_units(&d, &d.cpus.allowed, whole);
	if (d.n_units < n)
		list_units(&d, &d.cpus.allowed, false);
	r = run_of(d.links.n, n, i);
	for (unsigned k = 0; k < r.n; k++)
		zn_idset_add(&share.gpus, d.links.gpu[d.chain[r.at + k]]);
	r = units_of(&d, n, i);
	for (unsigned k = d.units[r.at].at; k < d.units[r.at + r.n].at; k++)
		zn_idset_add(&share.cpus, d.list[k]);
	return share;
}

struct zn_idset zn__numas_of(const struct zn_facts *f, const struct zn__cpus *c, const struct zn_idset *cpus,
                             const struct zn_idset *gpus)
{
	struct zn_idset numas = { 0 };
	unsigned node;

	zn_idset_each(id, cpus) {
		if (c->node[id] != ZN__NOWHERE)
			zn_idset_add(&numas, f->numas[c->node[id]].numa);
	}
	zn_idset_each(gpu, gpus) {
		node = zn__node_of_gpu(f, (uint32_t)gpu);
		if (node != ZN__NOWHERE)
			zn_idset_add(&numas, f->numas[node].numa);
	}
	return numas;
}

struct zn_plan zn_plan_rank(const struct zn_facts *f, const struct zn_plan *job, uint32_t rank, uint32_t tasks)
{
	struct zn_plan p = *job;
	struct zn__share share;
	struct zn__cpus c;

	if (tasks < 2 || rank >= tasks)
		return p;
	share = zn__deal(f, &job->gpus, &job->cpus, false, rank, tasks);
	zn__cpus_make(&c, f, &job->cpus);
	p.gpus = share.gpus;
	p.mem_bytes = job->mem_bytes / tasks;
	p.cpus_held = job->cpus_held ? zn_idset_count(&share.cpus) : 0;
	if (p.cpus_held)
		p.cpus = share.cpus;
	p.numas = zn__numas_of(f, &c, &p.cpus, &p.gpus);
	if (zn_idset_is_empty(&p.numas))
		p.numas = job->numas;
	return p;
}
