/* Placing a job on one machine: GPUs by their links, then CPUs and memory next to them.
 *
 * CPUs are dealt node by node.  The nodes of a job's GPUs come first, each for its share of the GPUs, then
 * the nearest.  A job without GPUs goes where it fits on whole cores with the least left over, and rather to
 * a node without GPUs, so that the CPUs next to GPUs stay free for those who need them; or, to be near a device, to the node
 * of that.  To be spread it goes there, too, and on all other nodes, for equal parts.
 */
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

#include "plan/cpus.h"
#include "plan/links.h"
#include "plan/near.h"
#include "plan/part.h"
#include "plan/why.h"

/* One NUMA node while a plan is made; the last slot stands for everything without a node. */
struct site {
	unsigned gpus, chosen;       /* GPUs that hang from it, and those of them for this job */
	unsigned cpus, free, whole;  /* allowed CPUs; free ones; of these in whole cores */
	bool visited;
	unsigned part;               /* of CPUs, for a job that is spread */
};

struct work {
	const struct zn_facts *f;
	struct zn__cpus cpus;
	struct zn_idset avail;       /* free CPUs that the plan has not taken yet */
	struct site sites[ZN__NODE_SLOTS];
};

static unsigned next_site(const struct work *w, unsigned at)
{
	return at + 1 < w->cpus.n_nodes ? at + 1 : at < ZN__NOWHERE ? ZN__NOWHERE : ZN__NODE_SLOTS;
}

static unsigned first_site(const struct work *w)
{
	return w->cpus.n_nodes ? 0 : ZN__NOWHERE;
}

#define each_site(s, w) \
	for (unsigned s = first_site(w); s < ZN__NODE_SLOTS; s = next_site((w), s))

static uint64_t machine_bytes(const struct zn_facts *f)
{
	uint64_t sum = 0;

	if (f->machine.mem_bytes)
		return f->machine.mem_bytes;
	for (size_t i = 0; i < f->n_numas; i++)
		sum += f->numas[i].mem_bytes;
	return sum;
}

static struct zn_idset gpu_set(const struct zn_facts *f)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_gpus; i++)
		zn_idset_add(&set, f->gpus[i].gpu);
	return set;
}

struct zn_free zn_plan_idle(const struct zn_facts *f)
{
	struct zn_free idle = { .gpus = gpu_set(f), .mem_bytes = machine_bytes(f) };

	for (size_t i = 0; i < f->n_cpus; i++)
		if (f->cpus[i].allowed)
			zn_idset_add(&idle.cpus, f->cpus[i].cpu);
	return idle;
}

static void look(struct work *w, const struct zn_facts *f, const struct zn_free *free, struct zn__room *room)
{
	struct zn_idset gpus = gpu_set(f);

	w->f = f;
	zn__cpus_make(&w->cpus, f, NULL);
	w->avail = zn_idset_and(&free->cpus, &w->cpus.allowed);
	room->gpus = zn_idset_count(&gpus);
	room->gpus_free_set = zn_idset_and(&free->gpus, &gpus);
	room->gpus_free = zn_idset_count(&room->gpus_free_set);
	room->cpus = w->cpus.n_allowed;
	room->cpus_free = zn_idset_count(&w->avail);
	room->mem_bytes = machine_bytes(f);
	room->mem_free_bytes = free->mem_bytes;
}

static void look_at_sites(struct work *w, const struct zn_idset *chosen)
{
	each_site(s, w)
		w->sites[s] = (struct site){ 0 };
	zn_idset_each(id, &w->cpus.allowed)
		w->sites[w->cpus.node[id]].cpus++;
	zn_idset_each(id, &w->avail) {
		struct site *s = &w->sites[w->cpus.node[id]];
		s->free++;
		s->whole += zn__cpus_is_whole(&w->cpus, &w->avail, (unsigned)id);
	}
	for (size_t i = 0; i < w->f->n_gpus; i++) {
		struct site *s = &w->sites[zn__node_of(w->f, w->f->gpus[i].numa)];
		s->gpus++;
		s->chosen += zn_idset_has(chosen, w->f->gpus[i].gpu);
	}
}

static unsigned take(struct work *w, unsigned site, uint64_t want, struct zn_plan *p)
{
	unsigned n = want < ZN_IDSET_MAX ? (unsigned)want : ZN_IDSET_MAX;

	n = zn__cpus_take(&w->cpus, &w->avail, site, n, &p->cpus);
	p->cpus_held += n;
	return n;
}

static uint32_t distance_to(const struct work *w, const struct zn_idset *anchors, unsigned site)
{
	uint32_t best = UINT32_MAX - 1;

	if (zn_idset_has(anchors, site))
		return 0;
	if (site == ZN__NOWHERE)
		return best;
	zn_idset_each(a, anchors) {
		uint32_t d = zn__node_distance(w->f, (unsigned)a, site);
		best = d < best ? d : best;
	}
	return best;
}

/* Of the sites not visited yet; NODE_SLOTS: none is left. */
static unsigned nearest_site(const struct work *w, const struct zn_idset *anchors)
{
	unsigned best = ZN__NODE_SLOTS;
	uint32_t best_distance = UINT32_MAX;

	each_site(s, w) {
		uint32_t d = w->sites[s].visited ? UINT32_MAX : distance_to(w, anchors, s);
		if (d < best_distance) {
			best = s;
			best_distance = d;
		}
	}
	return best;
}

static void take_near(struct work *w, const struct zn_idset *anchors, uint64_t want, struct zn_plan *p)
{
	unsigned site;

	while (want && (site = nearest_site(w, anchors)) < ZN__NODE_SLOTS) {
		w->sites[site].visited = true;
		want -= take(w, site, want, p);
	}
}

static struct zn_idset chosen_sites(const struct work *w)
{
	struct zn_idset set = { 0 };

	each_site(s, w)
		if (s != ZN__NOWHERE && w->sites[s].chosen)
			zn_idset_add(&set, s);
	return set;
}

/* Each GPU's fair part of its node's CPUs, as far as they are free; for a part of a GPU that part of them. */
static void take_slices(struct work *w, struct zn_plan *p)
{
	uint64_t milli = p->part.milli ? p->part.milli : ZN_PART_WHOLE;

	each_site(s, w) {
		const struct site *site = &w->sites[s];
		if (site->chosen && site->cpus)
			take(w, s, (uint64_t)site->cpus * site->chosen * milli / ZN_PART_WHOLE / site->gpus, p);
	}
	if (w->sites[ZN__NOWHERE].chosen && !w->sites[ZN__NOWHERE].cpus)
		take_near(w, &(struct zn_idset){ 0 },
		          (uint64_t)w->cpus.n_allowed * w->sites[ZN__NOWHERE].chosen * milli / ZN_PART_WHOLE / w->f->n_gpus, p);
}

static uint64_t threads_a_core(const struct work *w)
{
	const struct zn_machine *m = &w->f->machine;

	return m->cores && m->cpus > m->cores ? m->cpus / m->cores : 1;
}

/* want CPUs next to the chosen GPUs: first each node's part, in whole cores, then what is nearest. */
static void take_beside(struct work *w, uint64_t want, uint32_t gpus, struct zn_plan *p)
{
	struct zn_idset anchors = chosen_sites(w);
	uint64_t threads = threads_a_core(w);

	zn_idset_each(s, &anchors) {
		uint64_t part = want * w->sites[s].chosen / gpus;
		take(w, (unsigned)s, part / threads * threads, p);
	}
	take_near(w, &anchors, want - p->cpus_held, p);
}

static bool is_better_home(const struct work *w, unsigned a, unsigned b, uint64_t want, uint64_t mem_bytes)
{
	const struct site *x = &w->sites[a], *y = &w->sites[b];
	bool mem_x = a == ZN__NOWHERE || w->f->numas[a].mem_bytes >= mem_bytes;
	bool mem_y = b == ZN__NOWHERE || w->f->numas[b].mem_bytes >= mem_bytes;

	if ((x->whole >= want) != (y->whole >= want))
		return x->whole >= want;
	if ((x->free >= want) != (y->free >= want))
		return x->free >= want;
	if (mem_x != mem_y)
		return mem_x;
	if (x->free < want) /* neither holds it all: begin where most of it fits */
		return x->free > y->free;
	if (x->gpus != y->gpus)
		return x->gpus < y->gpus;
	return x->free < y->free;
}

/* As a set of one: where it begins. */
static struct zn_idset choose_home(const struct work *w, const struct zn_ask *ask, uint64_t want)
{
	struct zn_idset near = zn__near_nodes(w->f, ask->near), ret = { 0 };
	unsigned home = ZN__NODE_SLOTS;

	each_site(s, w) {
		if (!zn_idset_is_empty(&near) && !zn_idset_has(&near, s))
			continue;
		if (home == ZN__NODE_SLOTS || is_better_home(w, s, home, want, ask->mem_bytes))
			home = s;
	}
	zn_idset_add(&ret, home);
	return ret;
}

/* Nodes with free CPUs, the nearest first; returns how many. */
static unsigned list_sites(struct work *w, const struct zn_idset *home, unsigned order[ZN__NODE_SLOTS])
{
	unsigned n = 0, s;

	while ((s = nearest_site(w, home)) < ZN__NODE_SLOTS) {
		w->sites[s].visited = true;
		if (w->sites[s].free)
			order[n++] = s;
	}
	return n;
}

/* By turns, a core to each node where all get one, else a thread. */
static void take_spread(struct work *w, const struct zn_idset *home, uint64_t want, struct zn_plan *p)
{
	unsigned order[ZN__NODE_SLOTS], n = list_sites(w, home, order);
	uint64_t threads = threads_a_core(w), each = want / threads < n ? 1 : threads;

	for (uint64_t left = want; left;)
		for (unsigned i = 0; i < n && left; i++) {
			struct site *s = &w->sites[order[i]];
			uint64_t more = s->free - s->part < each ? s->free - s->part : each;
			more = more < left ? more : left;
			s->part += (unsigned)more;
			left -= more;
		}
	for (unsigned i = 0; i < n; i++)
		take(w, order[i], w->sites[order[i]].part, p);
}

static void take_home(struct work *w, const struct zn_ask *ask, uint64_t want, struct zn_plan *p)
{
	struct zn_idset home = choose_home(w, ask, want);

	if (ask->spread)
		take_spread(w, &home, want, p);
	else
		take_near(w, &home, want, p);
}

/* Without CPUs of its own a job runs where its GPUs are, on free CPUs while there are some. */
static struct zn_idset shared_cpus(const struct work *w)
{
	struct zn_idset near = { 0 }, some;

	zn_idset_each(id, &w->cpus.allowed) {
		if (w->sites[w->cpus.node[id]].chosen)
			zn_idset_add(&near, (unsigned)id);
	}
	if (zn_idset_is_empty(&near))
		near = w->cpus.allowed;
	some = zn_idset_and(&near, &w->avail);
	return zn_idset_is_empty(&some) ? near : some;
}

static uint64_t add_node(const struct work *w, unsigned node, struct zn_idset *nodes)
{
	if (node == ZN__NOWHERE || zn_idset_has(nodes, node))
		return 0;
	zn_idset_add(nodes, node);
	return w->f->numas[node].mem_bytes;
}

/* The nodes of its CPUs and GPUs, and the nearest ones with CPUs until they could hold its memory. */
static struct zn_idset memory_of(struct work *w, const struct zn_plan *p)
{
	struct zn_idset nodes = { 0 }, numas = { 0 };
	uint64_t bytes = 0;
	unsigned s;

	zn_idset_each(id, &p->cpus)
		bytes += add_node(w, w->cpus.node[id], &nodes);
	each_site(g, w) {
		if (w->sites[g].chosen)
			bytes += add_node(w, g, &nodes);
		w->sites[g].visited = g == ZN__NOWHERE || !w->sites[g].cpus || zn_idset_has(&nodes, g);
	}
	while (bytes < p->mem_bytes && (s = nearest_site(w, &nodes)) < ZN__NODE_SLOTS) {
		w->sites[s].visited = true;
		bytes += add_node(w, s, &nodes);
	}
	zn_idset_each(n, &nodes)
		zn_idset_add(&numas, w->f->numas[n].numa);
	return numas;
}

static void place(struct work *w, const struct zn_ask *ask, uint64_t want, struct zn_plan *p)
{
	look_at_sites(w, &p->gpus);
	if (ask->gpus && !ask->cpus.has)
		take_slices(w, p);
	else if (ask->gpus && want)
		take_beside(w, want, ask->gpus, p);
	else if (want)
		take_home(w, ask, want, p);
	if (!p->cpus_held)
		p->cpus = shared_cpus(w);
	p->numas = memory_of(w, p);
}

static bool choose_gpus(const struct zn_facts *f, const struct zn_free *free, const struct zn__room *room,
                        const struct zn_ask *ask, struct zn_idset *ret)
{
	struct zn__links links;

	if (!ask->gpus)
		return true;
	if (ask->part.milli)
		return zn__part_choose(f, free, &ask->part, ask->near, ret);
	zn__links_make(&links, f, &room->gpus_free_set);
	zn__links_wish(&links, f, ask->spread, ask->near);
	return zn__links_choose(&links, ask->gpus, ask->nvlink_required, ret);
}

int zn_plan_make(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                 struct zn_plan *ret, struct zn_why *why)
{
	struct zn_plan p = { .mem_bytes = ask->mem_bytes, .part = ask->part };
	struct zn__room room;
	struct work w;
	uint64_t want;

	look(&w, f, free, &room);
	want = zn__ask_cpus(ask, &room);
	if (!room.cpus || (!ask->part.milli && ask->gpus > room.gpus_free) || want > room.cpus_free ||
	    ask->mem_bytes > free->mem_bytes || (ask->near && !zn_facts_has_device(f, ask->near)) || !choose_gpus(f, free, &room, ask, &p.gpus))
		return zn__why_fill(f, free, ask, &room, why);
	place(&w, ask, want, &p);
	*ret = p;
	return 0;
}

/* Pairs of CPUs that are its alone on one node. */
static uint64_t cpu_crowd(const struct zn_facts *f, const struct zn_plan *p)
{
	struct zn__cpus c;
	uint64_t on[ZN__NODE_SLOTS] = { 0 }, pairs = 0;

	zn__cpus_make(&c, f, &p->cpus);
	zn_idset_each(id, &c.allowed)
		pairs += on[c.node[id]]++;
	return pairs;
}

uint64_t zn_plan_crowd(const struct zn_facts *f, const struct zn_plan *p)
{
	struct zn__links links;

	if (zn_idset_is_empty(&p->gpus))
		return p->cpus_held ? cpu_crowd(f, p) : 0;
	zn__links_make(&links, f, &p->gpus);
	zn__links_wish(&links, f, true, NULL);
	return zn__links_crowd(&links);
}

/* So many of its CPUs are on other nodes than such devices. */
static uint64_t cpus_far(const struct zn_facts *f, const struct zn_plan *p, const char *near)
{
	struct zn_idset nodes = zn__near_nodes(f, near);
	struct zn__cpus c;
	uint64_t far = 0;

	zn__cpus_make(&c, f, &p->cpus);
	zn_idset_each(id, &c.allowed)
		far += !zn_idset_has(&nodes, c.node[id]);
	return far;
}

uint64_t zn_plan_far(const struct zn_facts *f, const struct zn_plan *p, const char *near)
{
	uint8_t steps[ZN_IDSET_MAX];
	uint64_t far = 0;

	if (zn_idset_is_empty(&p->gpus))
		return cpus_far(f, p, near);
	zn__near_steps(f, near, steps);
	zn_idset_each(gpu, &p->gpus)
		if (f->wiring->position[gpu])
			far += zn__near_weight(steps[f->wiring->position[gpu] - 1]);
	return far;
}
