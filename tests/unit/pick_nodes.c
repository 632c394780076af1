/* A room of several nodes against what must hold of it, with books of its own: nothing twice on any node, a gang whole, in
 * equal parts, on as few nodes as can be (or as many, to be spread) and as near as those are, at one switch where that is asked, nothing on a closed node, each reservation at the earliest
 * time there is, no start that delays one, none that was missed, everybody ends who could ever start, the same again.  Of the
 * room it believes nothing but where a job went, where one with a reservation will, and what is free at a level; whether a
 * part fits on a node it asks the planner.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pick/room.h"
#include "tap.h"

enum { NODES = 6, MACHINES = 6, JOBS = 200, ROUNDS = 25, ROUNDS_OF_MANY = 8, LICENCES = 2 };

struct job {
	struct zn_pick_job pick;
	struct zn_pick_ask ask;
	struct zn_places *places;
	unsigned licences[LICENCES];      /* asked of each */
	double run_s, end_s, promise_s;   /* end_s 0: it has not started; promise_s 0: nothing was promised */
	bool ended;
	unsigned early;                   /* behind so many reservations of this look it started */
};

/* What there is to be had: now, or then, or at a level. */
struct world { struct zn_free free[NODES]; int64_t licences[LICENCES]; };

static const char *const machines[MACHINES] = {
	"numa:2 core:4 pu:2 gpu:2 mem:32 vram:80 nic:1", "numa:1 core:4 gpu:2 mem:64 vram:40 nic:0", "numa:1 core:8 pu:2 mem:16",
	"numa:2 core:2 gpu:4 nv:18 mem:32 vram:80", "numa:1 core:2 gpu:1 mem:8 vram:24", "numa:1 core:8 gpu:4 mem:64 vram:80 nic:0",
};
static const char *const domains[] = { NULL, "", "a", "a/x", "a/y", "b/x", "b/y" };
static const struct { const char *name; unsigned total; } licences[LICENCES] = { { "matlab", 4 }, { "one", 1 } };

static struct zn_facts *facts[MACHINES];
static struct job jobs[JOBS];
static struct zn_room room;
static unsigned n_nodes;

static unsigned draw(unsigned below) { return (unsigned)rand() % below; }
static bool runs(const struct job *j) { return j->end_s && !j->ended; }
static bool waits(const struct job *j) { return j->pick.shape; }
static double over_by(const struct job *j) { return j->pick.start_s + j->pick.limit_s; }
static const struct zn_places *places_of(const struct zn_pick_job *pick) { return ((const struct job *)pick)->places; }
static const struct zn_wish *wish_of(const struct zn_pick_job *pick) { return ((const struct job *)pick)->ask.wish; }

struct seen { const char *wrong; unsigned started, early, gangs, ranges, spread, bound, promises, others, sooner, compared, kept, moved; uint64_t sum; };
static struct seen seen;

static void hold(bool good, const char *wrong) { seen.wrong = seen.wrong || good ? seen.wrong : wrong; }

/* ---- the books --------------------------------------------------------------------------------------------- */

static void take_from(struct zn_free *f, const struct zn_plan *p)
{
	int gpu = zn_idset_next(&p->gpus, 0);

	f->gpus = zn_idset_minus(&f->gpus, &p->gpus);
	if (p->part.milli) {
		f->parts[gpu].user = p->part.user;
		f->parts[gpu].milli += p->part.milli;
		f->parts[gpu].mem_bytes += p->part.mem_bytes;
	}
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes;
}

/* Strangers' GPUs are nobody's, whoever leaves. */
static void drop_held(struct zn_free *f, const struct zn_idset *held)
{
	f->gpus = zn_idset_minus(&f->gpus, held);
	zn_idset_each(gpu, held)
		f->parts[gpu] = (struct zn_gpu_part){ 0 };
}

static void world_take(struct world *w, const struct job *j)
{
	for (uint32_t i = 0; i < j->places->n; i++)
		take_from(&w->free[j->places->v[i].node], &j->places->v[i].plan);
	for (unsigned i = 0; i < LICENCES; i++)
		w->licences[i] -= j->licences[i];
}

/* As it is without who is over by then, by the limits; -HUGE_VAL: as it is.  Where nothing is known nothing is free. */
static struct world world_at(double then_s)
{
	struct world w = { 0 };

	for (unsigned i = 0; i < n_nodes; i++)
		w.free[i] = room.nodes[i].facts ? zn_plan_idle(room.nodes[i].facts) : (struct zn_free){ 0 };
	for (unsigned i = 0; i < LICENCES; i++)
		w.licences[i] = licences[i].total;
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && over_by(j) > then_s)
			world_take(&w, j);
	for (unsigned i = 0; i < n_nodes; i++)
		drop_held(&w.free[i], &room.nodes[i].held);
	return w;
}

static struct world world_now(void) { return world_at(-HUGE_VAL); }

/* What the room says is free at a level. */
static struct world world_at_level(const struct zn_pick_gap *gap, uint32_t level)
{
	struct world w = world_now();

	for (unsigned i = 0; i < n_nodes; i++)
		w.free[i] = zn_room_at_level(&room, i, level, gap);
	for (unsigned i = 0; i < LICENCES; i++)
		for (uint32_t k = 0; k < level; k++) {
			int64_t left = room.licences.v[i].left[ZN_LICENCES_AHEAD + gap->by_time[k]];
			w.licences[i] = left < w.licences[i] ? left : w.licences[i];
		}
	return w;
}

static struct world world_for(const struct zn_pick_gap *gap, const struct job *j, double now)
{
	return world_at_level(gap, zn_gap_level(gap, now + j->pick.limit_s));
}

/* ---- whether there is room --------------------------------------------------------------------------------- */

/* The part of each of n nodes; false: it does not come out even. */
static bool part_of(const struct zn_pick_ask *a, unsigned n, struct zn_ask *ret)
{
	*ret = (struct zn_ask){ .gpus = a->gpus / n, .part = a->part, .cpus = { .has = a->cpus > 0, .v = a->cpus / n }, .tasks = a->tasks / n,
	                        .mem_bytes = a->mem_bytes / n + (a->mem_bytes % n > 0), .nvlink_required = a->nvlink_required,
	                        .near = a->near };
	return a->gpus % n + a->cpus % n + a->tasks % n == 0;
}

static bool may_start_on(unsigned node) { return room.nodes[node].facts && !room.nodes[node].is_closed; }

static bool fits_on(const struct world *w, unsigned node, const struct zn_ask *part)
{
	const struct zn_free *f = &w->free[node];
	struct zn_plan plan;

	if (!may_start_on(node) || f->mem_bytes < part->mem_bytes || (!part->part.milli && zn_idset_count(&f->gpus) < part->gpus))
		return false;
	return zn_plan_make(room.nodes[node].facts, f, part, &plan, NULL) == 0;
}

static const char *domain_of(unsigned node) { return room.nodes[node].domain ? room.nodes[node].domain : ""; }

/* So many nodes at the switch of that node have room for a part. */
static unsigned fit_beside(const struct world *w, const struct zn_ask *part, unsigned node)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_nodes; i++)
		n += !strcmp(domain_of(i), domain_of(node)) && fits_on(w, i, part);
	return n;
}

static bool fits_on_so_many(const struct world *w, const struct job *j, unsigned n)
{
	struct zn_ask part;
	unsigned found = 0, beside = 0;

	if (!part_of(&j->ask, n, &part))
		return false;
	for (unsigned i = 0; i < n_nodes; i++) {
		unsigned here = fit_beside(w, &part, i);
		found += fits_on(w, i, &part);
		beside = here > beside ? here : beside;
	}
	return (j->ask.same_switch ? beside : found) >= n;
}

static unsigned nodes_least(const struct job *j) { return j->ask.nodes_min ? j->ask.nodes_min : 1; }
static unsigned nodes_most(const struct job *j) { return j->ask.nodes_max ? j->ask.nodes_max : 1; }

/* The fewest nodes that do, or to be spread the most; 0: there is no room. */
static unsigned fewest(const struct world *w, const struct job *j)
{
	unsigned best = 0;

	for (unsigned i = 0; i < LICENCES; i++)
		if (j->licences[i] && (int64_t)j->licences[i] > w->licences[i])
			return 0;
	for (unsigned n = nodes_least(j); n <= nodes_most(j) && n <= n_nodes; n++)
		if ((!best || j->ask.spread) && fits_on_so_many(w, j, n))
			best = n;
	return best;
}

/* Once all that run are over, as the nodes are. */
static struct world emptied;

static bool could_ever(const struct job *j) { return fewest(&emptied, j); }

/* ---- what is wrong with where a job went --------------------------------------------------------------------- */

static bool has_the_part(const struct zn_facts *f, const struct zn_free *free, const struct zn_plan *p)
{
	int gpu = zn_idset_next(&p->gpus, 0);
	const struct zn_gpu_part *of = &free->parts[gpu];

	if (zn_idset_count(&p->gpus) != 1 || !(of->milli || zn_idset_has(&free->gpus, (unsigned)gpu)))
		return false;
	return (!of->milli || of->user == p->part.user) && of->milli + p->part.milli <= 1000 &&
	       of->mem_bytes + p->part.mem_bytes <= f->gpus[gpu].mem_bytes.v;
}

/* w: before it came. */
static const char *not_right_on(const struct world *w, const struct zn_place *at, const struct zn_ask *part)
{
	const struct zn_free *free = &w->free[at->node];
	const struct zn_plan *p = &at->plan;

	if (!may_start_on(at->node))
		return "on a node that is closed or unknown";
	if (p->part.milli != part->part.milli || p->part.mem_bytes != part->part.mem_bytes || p->mem_bytes != part->mem_bytes)
		return "with another part or memory than it asks for";
	if (part->part.milli ? !has_the_part(room.nodes[at->node].facts, free, p) : !zn_idset_is_within(&p->gpus, &free->gpus))
		return "with a GPU that another has";
	if (zn_idset_count(&p->gpus) != part->gpus)
		return "with another number of GPUs than it asks for";
	if (p->cpus_held && (!zn_idset_is_within(&p->cpus, &free->cpus) || zn_idset_count(&p->cpus) != p->cpus_held))
		return "with a CPU that another has";
	if (part->cpus.has && p->cpus_held != part->cpus.v)
		return "with another number of CPUs than it asks for";
	return p->mem_bytes > free->mem_bytes ? "with more memory than there is" : NULL;
}

/* By domain, then by number; none is there twice. */
static bool goes_before(const struct zn_place *a, const struct zn_place *b)
{
	int order = strcmp(domain_of(a->node), domain_of(b->node));

	return order < 0 || (order == 0 && a->node < b->node);
}

/* All or nothing: so many distinct nodes as may be, each with an equal part. */
static const char *not_right(const struct world *w, const struct job *j)
{
	const struct zn_places *at = j->places;
	const char *wrong = NULL;
	struct zn_ask part;

	if (at->n < nodes_least(j) || at->n > nodes_most(j))
		return "on another number of nodes than it asks for";
	if (!part_of(&j->ask, at->n, &part))
		return "in parts that are not equal";
	for (unsigned i = 0; i < LICENCES; i++)
		if (j->licences[i] && (int64_t)j->licences[i] > w->licences[i])
			return "with more licences than there are";
	for (uint32_t i = 0; i < at->n && !wrong; i++)
		wrong = i && !goes_before(&at->v[i - 1], &at->v[i]) ? "on nodes out of order, or one twice" : not_right_on(w, &at->v[i], &part);
	return wrong;
}

/* ---- how near its nodes are ------------------------------------------------------------------------------------ */

/* The first n levels of a domain's name, as many as it has. */
static void first_levels(const char *domain, unsigned n, char ret[16])
{
	size_t len = 0;

	while (domain[len] && (domain[len] != '/' || --n))
		len++;
	snprintf(ret, 16, "%.*s", n ? (int)strlen(domain) : (int)len, domain);
}

static bool is_within(unsigned node, const char *of)
{
	size_t n = strlen(of);

	return !strncmp(domain_of(node), of, n) && (!n || !domain_of(node)[n] || domain_of(node)[n] == '/');
}

static unsigned fit_within(const struct world *w, const struct zn_ask *part, const char *of)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_nodes; i++)
		n += is_within(i, of) && fits_on(w, i, part);
	return n;
}

/* The name of the smallest domain that has all of it. */
static void domain_of_all(const struct zn_places *at, char ret[16])
{
	for (unsigned levels = 2; levels; levels--) {
		unsigned in = 0;
		first_levels(domain_of(at->v[0].node), levels, ret);
		for (uint32_t i = 0; i < at->n; i++)
			in += is_within(at->v[i].node, ret);
		if (in == at->n)
			return;
	}
	ret[0] = '\0';
}

static unsigned levels_of(const char *domain) { return !*domain ? 0 : strchr(domain, '/') ? 2 : 1; }

/* All at one switch, and none with fewer nodes that do would have done.  w: before it came. */
static bool is_at_one_switch(const struct world *w, const struct job *j, const struct zn_places *at)
{
	struct zn_ask part;

	part_of(&j->ask, at->n, &part);
	for (uint32_t i = 0; i < at->n; i++)
		if (strcmp(domain_of(at->v[i].node), domain_of(at->v[0].node)))
			return false;
	for (unsigned i = 0; i < n_nodes; i++) {
		unsigned n = fit_beside(w, &part, i);
		if (n >= at->n && n < fit_beside(w, &part, at->v[0].node))
			return false;
	}
	return true;
}

/* No smaller domain would have done, nor one as small where fewer nodes do.  w: before it came. */
static bool is_near(const struct world *w, const struct job *j, const struct zn_places *at)
{
	struct zn_ask part;
	char its[16], of[16];

	part_of(&j->ask, at->n, &part);
	domain_of_all(at, its);
	for (unsigned i = 0; i < n_nodes; i++)
		for (unsigned levels = levels_of(its) ? levels_of(its) : 1; levels <= levels_of(domain_of(i)); levels++) {
			first_levels(domain_of(i), levels, of);
			unsigned n = fit_within(w, &part, of);
			if (n >= at->n && (levels > levels_of(its) || n < fit_within(w, &part, its)))
				return false;
		}
	return true;
}

/* ---- each answer of the room --------------------------------------------------------------------------------- */

/* Whether that reservation is worth nothing: nobody knows its time, and others may pass. */
static bool is_void(const struct zn_pick_gap *gap, uint32_t number) { return gap->at_s[number] == HUGE_VAL; }

/* What there was before the answer to take.  Room is found where there is some, and only there; on as few nodes as do.  A
 * start that is not in time is held to what is free at its level.
 */
static bool take(void *arg, struct zn_pick_job *pick, uint32_t level, struct zn_pick_gap *gap)
{
	const struct job *j = (const struct job *)pick;
	struct world w = world_at_level(gap, level);
	unsigned n = fewest(&w, j);
	bool is = zn_room_ops.take(arg, pick, level, gap);

	hold(is || !n, "room was not found");
	hold(!is || n, "room was found where there is none");
	hold(!is || room.places->n <= n, "on more nodes than it needs");
	hold(!is || !j->ask.spread || room.places->n >= n, "on fewer nodes than it may have");
	hold(!is || n < 2 || j->ask.same_switch || is_near(&w, j, room.places), "in a larger domain of the network than it needs");
	hold(!is || n < 2 || !j->ask.same_switch || is_at_one_switch(&w, j, room.places), "not at the switch that has just enough for it");
	return is;
}

/* Without what that one may not have yet. */
static void drop_plan(struct zn_free *f, const struct zn_plan *p)
{
	int gpu = zn_idset_next(&p->gpus, 0);
	bool has = p->part.milli && (f->parts[gpu].milli || zn_idset_has(&f->gpus, (unsigned)gpu)) && f->parts[gpu].milli + p->part.milli <= 1000 &&
	           (!f->parts[gpu].milli || f->parts[gpu].user == p->part.user);
	struct zn_plan rest = *p;

	rest.mem_bytes = p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
	if (!has) {
		drop_held(f, &p->gpus);
		rest.part = (struct zn_gpu_part){ 0 };
	}
	take_from(f, &rest);
}

/* Without those who have reservations, but of which nobody knows the time, until they are over. */
static void drop_ahead(struct world *w, const struct zn_pick_gap *gap, double at)
{
	for (uint32_t k = 0; k < gap->n; k++) {
		const struct zn_room_ahead *a = &room.ahead[k];
		if (is_void(gap, k) || a->until_s <= at)
			continue;
		for (uint32_t i = 0; i < a->places->n; i++)
			drop_plan(&w->free[a->places->v[i].node], &a->places->v[i].plan);
		for (size_t i = 0; a->wish && i < a->wish->n; i++)
			w->licences[a->wish->v[i].licence] -= (int64_t)a->wish->v[i].count;
	}
}

static double sooner_at(const struct zn_pick_gap *gap, const struct job *j, double at, double best)
{
	if (at >= best)
		return best;
	struct world w = world_at(at);
	drop_ahead(&w, gap, at);
	return fewest(&w, j) ? at : best;
}

/* Beside those who have reservations before it. */
static double earliest(const struct zn_pick_gap *gap, const struct job *one, double now)
{
	double best = HUGE_VAL;

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		best = runs(j) ? sooner_at(gap, one, over_by(j), best) : best;
	for (uint32_t k = 0; k < gap->n; k++)
		best = is_void(gap, k) ? best : sooner_at(gap, one, room.ahead[k].until_s, best);
	return best > now ? best : now;
}

static bool is_in_places(const struct zn_pick_gap *gap, unsigned node)
{
	for (uint32_t k = 0; k < gap->n; k++)
		for (uint32_t i = 0; i < room.ahead[k].places->n; i++)
			if (room.ahead[k].places->v[i].node == node)
				return true;
	return false;
}

/* Of a node of which nothing is set aside, all that is free is so at each level. */
static bool hides_a_node(const struct zn_pick_gap *gap)
{
	struct world w = world_now(), beside = world_at_level(gap, gap->n);

	for (unsigned i = 0; i < n_nodes; i++) {
		const struct zn_free *a = &w.free[i], *b = &beside.free[i];
		if (!is_in_places(gap, i) && (!zn_idset_equal(&a->gpus, &b->gpus) || !zn_idset_equal(&a->cpus, &b->cpus) || a->mem_bytes != b->mem_bytes))
			return true;
	}
	return false;
}

/* Who has GPUs and asks for no CPUs takes what is left of these, and nothing is set aside. */
static bool hides_cpus(const struct zn_pick_gap *gap, const struct job *head)
{
	struct world w = world_now(), beside = world_at_level(gap, 1);
	bool hides = false;

	for (unsigned i = 0; gap->n == 1 && head->ask.gpus && !head->ask.cpus && i < n_nodes; i++)
		hides |= !zn_idset_equal(&w.free[i].cpus, &beside.free[i].cpus);
	return hides;
}

/* The promise is the earliest time by the limits of what runs, and of those before it; refused is only who can never start. */
static bool reserve(void *arg, const struct zn_pick_job *pick, double now, bool must, struct zn_pick_gap *gap)
{
	const struct job *head = (const struct job *)pick;
	uint32_t number = gap->n;
	double at = earliest(gap, head, now);
	struct world w = world_for(gap, head, now);

	hold(!fewest(&w, head), "one who has room is told to wait");
	bool is = zn_room_ops.reserve(arg, pick, now, must, gap);
	hold(is == could_ever(head), is ? "one is waited for that can never start" : "one that could start is passed over");
	hold(!is || room.ahead[number].from_s == at, "a reservation is not at the earliest time");
	hold(!is || gap->at_s[number] == (at == HUGE_VAL && must ? -HUGE_VAL : at), "a reservation is not at its time");
	hold(!is || !hides_a_node(gap), "something is set aside of a node that nobody with a reservation will use");
	hold(!is || !hides_cpus(gap, head), "CPUs are set aside for one who asks for none");
	return is;
}

static void begin(void *arg, double now_s, struct zn_pick_gap *gap) { zn_room_ops.begin(arg, now_s, gap); }

static const struct zn_pick_ops ops = { .begin = begin, .take = take, .reserve = reserve };

/* ---- each look ------------------------------------------------------------------------------------------------ */

/* In order of arrival: nobody before it could ever start. */
static bool is_first(const struct job *one)
{
	for (const struct job *j = jobs; j < one; j++)
		if (waits(j) && could_ever(j))
			return false;
	return true;
}

/* It has its place in that world, of which it is taken. */
static bool has_its_place(struct world *w, const struct zn_room_ahead *a)
{
	const struct zn_places *at = a->places;

	for (uint32_t i = 0; i < at->n; i++) {
		struct zn_free *f = &w->free[at->v[i].node];
		const struct zn_plan *p = &at->v[i].plan;
		if (p->part.milli ? !has_the_part(room.nodes[at->v[i].node].facts, f, p) : !zn_idset_is_within(&p->gpus, &f->gpus))
			return false;
		if ((p->cpus_held && !zn_idset_is_within(&p->cpus, &f->cpus)) || p->mem_bytes > f->mem_bytes)
			return false;
		take_from(f, p);
	}
	for (size_t i = 0; a->wish && i < a->wish->n; i++)
		if ((w->licences[a->wish->v[i].licence] -= (int64_t)a->wish->v[i].count) < 0)
			return false;
	return true;
}

/* When all is over that will be by then, and the early ones that will not be are still there, as are those with reservations
 * who are there then.  Who must be next has no such time if nobody knows it: then it is when all those are over that were
 * there before.
 */
static bool stands(const struct zn_pick_gap *gap, uint32_t number)
{
	double at = room.ahead[number].from_s;
	struct world w = world_at(at);

	for (const struct job *j = jobs; at == HUGE_VAL && j < jobs + JOBS; j++)
		if (runs(j) && j->early > number)
			world_take(&w, j);
	for (uint32_t k = 0; k < gap->n; k++)
		if (!is_void(gap, k) && room.ahead[k].from_s <= at && (k == number || at < room.ahead[k].until_s) && !has_its_place(&w, &room.ahead[k]))
			return false;
	return true;
}

static bool all_stand(const struct zn_pick_gap *gap)
{
	for (uint32_t k = 0; k < gap->n; k++)
		if (!is_void(gap, k) && !stands(gap, k))
			return false;
	return true;
}

/* Whether its time is known, and says who is over by then: nobody but one ends then, and nobody should have ended before. */
static bool has_clear_time(const struct zn_pick_gap *gap, uint32_t number, double now)
{
	double at = room.ahead[number].from_s;
	unsigned ends = 0;

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		ends += runs(j) && over_by(j) == at;
	return fabs(gap->at_s[number]) < HUGE_VAL && at > now && ends <= 1;
}

/* Of what a node has now, what will not be set aside at that time. */
static void cut_to_then(struct zn_free *f, const struct zn_pick_gap *gap, uint32_t number, unsigned node)
{
	double at = room.ahead[number].from_s;
	struct zn_free then = world_at(at).free[node];

	for (uint32_t k = 0; k < gap->n; k++)
		for (uint32_t i = 0; room.ahead[k].from_s <= at && at < room.ahead[k].until_s && i < room.ahead[k].places->n; i++)
			if (room.ahead[k].places->v[i].node == node)
				take_from(&then, &room.ahead[k].places->v[i].plan);
	f->gpus = zn_idset_and(&f->gpus, &then.gpus);
	f->cpus = zn_idset_and(&f->cpus, &then.cpus);
	f->mem_bytes = then.mem_bytes < f->mem_bytes ? then.mem_bytes : f->mem_bytes;
}

static bool are_licences_left(const struct zn_pick_gap *gap, uint32_t number)
{
	double at = room.ahead[number].from_s;
	struct world then = world_at(at);
	bool same = true;

	for (uint32_t k = 0; k < gap->n; k++) {
		const struct zn_wish *wish = room.ahead[k].wish;
		for (size_t i = 0; wish && room.ahead[k].from_s <= at && at < room.ahead[k].until_s && i < wish->n; i++)
			then.licences[wish->v[i].licence] -= (int64_t)wish->v[i].count;
	}
	for (unsigned i = 0; i < LICENCES; i++)
		same &= room.licences.v[i].left[ZN_LICENCES_AHEAD + number] == then.licences[i];
	return same;
}

/* Less is free at a level than what is left by those whose times make it, or more. */
static bool is_otherwise(const struct zn_pick_gap *gap, double now)
{
	struct world w = world_now();

	for (uint32_t level = 0; level < gap->n; level++) {
		if (!has_clear_time(gap, gap->by_time[level], now))
			return false;
		if (!are_licences_left(gap, gap->by_time[level]))
			return true;
		struct world is = world_at_level(gap, level + 1);
		for (unsigned i = 0; i < n_nodes; i++) {
			struct zn_free *f = &w.free[i];
			cut_to_then(f, gap, gap->by_time[level], i);
			if (!zn_idset_equal(&f->gpus, &is.free[i].gpus) || !zn_idset_equal(&f->cpus, &is.free[i].cpus) || f->mem_bytes != is.free[i].mem_bytes)
				return true;
		}
		seen.compared++;
	}
	return false;
}

static bool is_ahead(const struct zn_pick_pass *pass, const struct job *j)
{
	for (uint32_t k = 0; k < pass->ahead.n; k++)
		if (pass->ahead.v[k] == &j->pick)
			return true;
	return false;
}

/* Somebody is left waiting who could have started without delaying those with reservations. */
static bool missed_one(const struct zn_pick_pass *pass, double now)
{
	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!waits(j) || is_ahead(pass, j))
			continue;
		struct world w = world_for(&pass->gap, j, now);
		if (fewest(&w, j))
			return true;
	}
	return false;
}

/* In order of arrival: so many as may have reservations, or all; and nobody without one is before the last who has one. */
static bool are_first(const struct zn_pick_pass *pass)
{
	const struct job *last = (const struct job *)pass->ahead.v[pass->ahead.n - 1];

	for (uint32_t k = 1; k < pass->ahead.n; k++)
		if (pass->ahead.v[k]->seq <= pass->ahead.v[k - 1]->seq)
			return false;
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (waits(j) && could_ever(j) && !is_ahead(pass, j) && (j < last || pass->ahead.n < pass->pick->policy.reservations))
			return false;
	return true;
}

static bool anybody_could(void)
{
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (waits(j) && could_ever(j))
			return true;
	return false;
}

static void keep(struct job *j)
{
	free(j->places);
	j->places = zn_places_copy(room.places);
	if (!j->places)
		abort();
}

static void note(const struct job *j, double now)
{
	seen.started++;
	seen.early += j->early > 0;
	seen.gangs += j->places->n > 1;
	seen.ranges += j->places->n > nodes_least(j);
	seen.spread += j->ask.spread && j->places->n > nodes_least(j);
	seen.bound += j->ask.same_switch && j->places->n > 1;
	seen.kept += j->promise_s > 0;
	for (uint32_t i = 0; i < j->places->n; i++) {
		const struct zn_place *at = &j->places->v[i];
		seen.sum = seen.sum * 31 + j->pick.seq * 1009 + at->node * 97 + at->plan.gpus.w[0] * 7 + at->plan.cpus.w[0] + (uint64_t)now;
	}
}

/* The first in line has no room now, and all promises stand. */
static void look_at_head(const struct zn_pick_pass *pass, double now, bool arrival)
{
	struct job *head = (struct job *)pass->first;
	struct world w = world_now();

	hold(!fewest(&w, head), "the first in line has room, and waits");
	hold(!arrival || is_first(head), "another than the first is waited for");
	hold(!arrival || are_first(pass), "others than the first few have reservations");
	hold(!missed_one(pass, now), "one could have started, and waits");
	hold(all_stand(&pass->gap), "a reservation does not stand");
	hold(!is_otherwise(&pass->gap, now), "more or less is set aside than those with reservations need");
	for (uint32_t k = 1; k < pass->gap.n; k++)
		seen.others += pass->gap.at_s[k] < HUGE_VAL;
	seen.sooner += pass->gap.n > 1 && pass->gap.by_time[0] > 0;
	if (pass->gap.at_s[0] == HUGE_VAL || pass->gap.at_s[0] <= now)
		return;
	seen.promises++;
	if (!head->promise_s || pass->gap.at_s[0] < head->promise_s)
		head->promise_s = pass->gap.at_s[0];
}

static void look(struct zn_pick *p, double now, bool arrival)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		j->early = 0;
	zn_pick_begin(&pass, p, now);
	for (struct world w = world_now(); (pick = zn_pick_next(&pass)); w = world_now()) {
		struct job *j = (struct job *)pick;
		keep(j);
		j->early = pass.gap.n;
		const char *wrong = not_right(&w, j);
		hold(!wrong, wrong);
		hold(!arrival || j->early || is_first(j), "one started before its turn, and no reservation was made");
		hold(!arrival || !j->promise_s || now <= j->promise_s, "later than it was promised");
		j->end_s = now + j->run_s;
		hold(!j->early || all_stand(&pass.gap), "an early start delays a reservation");
		note(j, now);
	}
	if (pass.filling)
		look_at_head(&pass, now, arrival);
	else
		hold(!anybody_could(), "one could start, and nobody is waited for");
}

/* ---- jobs and nodes that come and go --------------------------------------------------------------------------- */

static void draw_nodes(struct zn_pick_ask *a)
{
	unsigned kind = draw(10);

	a->nodes_min = kind < 5 || n_nodes == 1 ? 0 : kind < 8 ? 2 + draw(n_nodes - 1) : 1 + draw(2);
	a->nodes_max = a->nodes_min + (kind < 8 || !a->nodes_min ? 0 : 1 + draw(3));
}

/* Of so many nodes, mostly what comes out even. */
static uint32_t draw_even(const struct zn_pick_ask *a, unsigned each)
{
	unsigned n = a->nodes_max > a->nodes_min ? 2 + draw(3) : a->nodes_min ? a->nodes_min : 1;

	return draw(each + 1) * n + (a->nodes_max > a->nodes_min && !draw(8));
}

static void draw_part(struct zn_pick_ask *a)
{
	unsigned which = 1 + draw(3);

	a->gpus = 1;
	a->part = (struct zn_gpu_part){ .user = 1 + draw(2), .milli = which & 1 ? 1 + draw(draw(2) ? 300 : 999) : 0,
	                                .mem_bytes = which & 2 ? (uint64_t)(1 + draw(80)) << 30 : 0 };
	zn_room_fill_in(&room, &a->part);
}

static void draw_wish(struct job *j)
{
	char text[64] = "";

	for (unsigned i = 0; i < LICENCES; i++) {
		j->licences[i] = draw(8) ? 0 : 1 + draw(licences[i].total);
		if (j->licences[i])
			sprintf(text + strlen(text), "%s%s:%u", *text ? "," : "", licences[i].name, j->licences[i]);
	}
	zn_licences_wish(&room.licences, *text ? text : NULL, &j->ask.wish);
}

static void draw_job(struct job *j, unsigned seq, double at)
{
	*j = (struct job){ .run_s = 1 + draw(500), .places = j->places };
	draw_nodes(&j->ask);
	j->ask.gpus = draw_even(&j->ask, draw(4) ? 2 : 4);
	j->ask.cpus = draw(3) ? 0 : draw_even(&j->ask, 4);
	j->ask.tasks = j->ask.nodes_max > j->ask.nodes_min ? 12 : (j->ask.nodes_min ? j->ask.nodes_min : 1) * (1 + draw(2));
	j->ask.mem_bytes = draw(3) ? 0 : ((uint64_t)draw(60) << 30) + draw(3);
	j->ask.nvlink_required = j->ask.gpus > 1 && !draw(8);
	j->ask.spread = !draw(4);
	j->ask.same_switch = !draw(4);
	j->ask.near = draw(5) ? NULL : "eth0";
	if (!j->ask.nodes_min && !draw(4))
		draw_part(&j->ask);
	draw_wish(j);
	j->pick = (struct zn_pick_job){ .seq = seq, .submit_s = at, .estimate_s = j->run_s * (1 + draw(3)),
	                                .size = (float)zn_room_size(&room, &j->ask) };
	j->pick.limit_s = draw(6) ? j->pick.estimate_s : HUGE_VAL;
}

static void draw_jobs(void)
{
	unsigned gap = 500 / n_nodes;
	double at = 0;

	for (unsigned i = 0; i < JOBS; i++) {
		draw_job(&jobs[i], i, at);
		at += draw(3) ? draw(gap) : 0;
	}
}

/* Of which nothing is known, in the beginning, or closed. */
static void draw_room(void)
{
	n_nodes = 1 + draw(NODES);
	room = (struct zn_room){ .places_of = places_of, .wish_of = wish_of };
	if (zn_room_open(&room, n_nodes, ZN_PICK_RESERVATIONS) < 0)
		abort();
	for (unsigned i = 0; i < LICENCES; i++)
		zn_licences_set(&room.licences, licences[i].name, licences[i].total);
	for (unsigned i = 0; i < n_nodes; i++) {
		room.nodes[i].domain = domains[draw(sizeof(domains) / sizeof(*domains))];
		if (draw(6))
			zn_room_set_facts(&room, i, facts[draw(MACHINES)]);
		room.nodes[i].is_closed = !draw(6);
	}
}

/* Nothing is promised for nodes that close, nor against who waits for one that opens. */
static void forget_promises(void)
{
	for (struct job *j = jobs; j < jobs + JOBS; j++)
		j->promise_s = 0;
}

/* One node becomes known, or closes, or opens, or strangers come or go there. */
static void move_a_node(void)
{
	struct zn_room_node *n = &room.nodes[draw(n_nodes)];

	if (!n->facts)
		zn_room_set_facts(&room, (uint32_t)(n - room.nodes), facts[draw(MACHINES)]);
	else if (draw(3))
		n->is_closed = !n->is_closed;
	else if (zn_idset_is_empty(&n->held) && n->facts->n_gpus)
		zn_idset_add(&n->held, draw((unsigned)n->facts->n_gpus));
	else
		n->held = (struct zn_idset){ 0 };
	seen.moved++;
	forget_promises();
}

static void open_all(void)
{
	for (unsigned i = 0; i < n_nodes; i++) {
		if (!room.nodes[i].facts)
			zn_room_set_facts(&room, i, facts[draw(MACHINES)]);
		room.nodes[i].is_closed = false;
		room.nodes[i].held = (struct zn_idset){ 0 };
	}
	forget_promises();
}

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

static void end_all(struct zn_pick *p, double now)
{
	for (struct job *j; (j = next_end()) && j->end_s <= now;) {
		j->ended = true;
		zn_room_give(&room, j->places, j->ask.wish);
		zn_pick_gone(p, &j->pick, now);
	}
}

/* After the last end all that was given is back. */
static void hold_all_is_back(void)
{
	for (unsigned i = 0; i < n_nodes; i++) {
		struct zn_free idle = zn_plan_idle(room.nodes[i].facts);
		hold(!memcmp(&idle, &room.nodes[i].free, sizeof(idle)), "something of a node was not given back");
	}
	for (unsigned i = 0; i < LICENCES; i++)
		hold(room.licences.v[i].left[ZN_LICENCES_NOW] == licences[i].total, "a licence was not given back");
}

/* patience: of what it is in earnest. */
static struct seen run(enum zn_pick_order order, unsigned seed, double patience, unsigned reservations)
{
	struct zn_pick p;
	unsigned come = 0;

	seen = (struct seen){ 0 };
	srand(seed);
	draw_room();
	zn_pick_init(&p, (struct zn_pick_policy){ .order = order, .backfill = true, .reservations = reservations }, fmax(1, zn_room_total(&room)) * patience, &ops, &room);
	room.running = &p.running;
	draw_jobs();
	for (struct job *end; (end = next_end()) || come < JOBS;) {
		double now = come < JOBS ? jobs[come].pick.submit_s : end->end_s;
		now = end && end->end_s < now ? end->end_s : now;
		end_all(&p, now);
		for (; come < JOBS && jobs[come].pick.submit_s <= now; come++)
			zn_pick_wait(&p, &jobs[come].pick, &jobs[come].ask);
		if (come == JOBS)
			open_all();
		else if (!draw(20))
			move_a_node();
		emptied = world_at(HUGE_VAL);
		look(&p, now, order == ZN_PICK_ARRIVAL);
	}
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		hold(j->ended || !could_ever(j), "one that could start never does");
	hold_all_is_back();
	zn_pick_done(&p);
	zn_room_close(&room);
	return seen;
}

static void add(struct seen *to, const struct seen *s)
{
	to->wrong = to->wrong ? to->wrong : s->wrong;
	to->started += s->started;
	to->early += s->early;
	to->gangs += s->gangs;
	to->ranges += s->ranges;
	to->spread += s->spread;
	to->bound += s->bound;
	to->promises += s->promises;
	to->others += s->others;
	to->sooner += s->sooner;
	to->compared += s->compared;
	to->kept += s->kept;
	to->moved += s->moved;
}

/* All rounds, in that order; each of them again gives the same. */
static struct seen all_rounds(enum zn_pick_order order, double patience, unsigned reservations, bool *ret_repeats)
{
	struct seen all = { 0 };

	for (unsigned seed = 1; seed <= tap_rounds(reservations > 1 ? ROUNDS_OF_MANY : ROUNDS); seed++) {
		struct seen s = run(order, seed, patience, reservations);
		if (s.wrong)
			printf("# round %u: %s\n", seed, s.wrong);
		if (seed % 4 == 0)
			*ret_repeats &= run(order, seed, patience, reservations).sum == s.sum;
		add(&all, &s);
	}
	return all;
}

static void test_reservations(unsigned reservations)
{
	bool repeats = true;
	struct seen s = all_rounds(ZN_PICK_ARRIVAL, 1, reservations, &repeats);

	tap_ok(!s.wrong, "with %u reservations: in order of arrival all is as it must be%s%s", reservations, s.wrong ? ": " : "", s.wrong ? s.wrong : "");
	tap_ok(s.gangs > 150 && s.ranges > 10, "of %u that started %u went on several nodes, %u of these on more than the fewest they ask for",
	       s.started, s.gangs, s.ranges);
	tap_ok(s.spread > 3 && s.bound > 1, "%u of them to be spread, and %u at one switch", s.spread, s.bound);
	tap_ok(s.early > 500 && s.promises > 1000 && s.kept > 100 && s.moved > 70,
	       "%u started early, %u times one was waited for, %u started as it was promised; %u times a node changed", s.early, s.promises, s.kept, s.moved);
	tap_ok(s.compared > 500 && (reservations == 1 || (s.others > 500 && s.sooner > 100)),
	       "%u others had reservations, %u times the first was not the soonest; %u levels were as they should be", s.others, s.sooner, s.compared);
	s = all_rounds(ZN_PICK_SLOWDOWN, 1, reservations, &repeats);
	tap_ok(!s.wrong, "in the default order, too%s%s", s.wrong ? ": " : "", s.wrong ? s.wrong : "");
	s = all_rounds(ZN_PICK_SLOWDOWN, 1e-2, reservations, &repeats);
	tap_ok(!s.wrong, "also where they are soon overtaken by so much that they must be next%s%s", s.wrong ? ": " : "", s.wrong ? s.wrong : "");
	tap_ok(repeats, "the same jobs start at the same times in the same places again");
}

int main(void)
{
	for (unsigned i = 0; i < MACHINES; i++)
		facts[i] = machine_new(machines[i]);
	test_reservations(1);
	test_reservations(2);
	test_reservations(4);
	for (unsigned i = 0; i < MACHINES; i++)
		machine_free(facts[i]);
	return tap_done();
}
