#include "pick/room.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/selector.h"

/* How well a node would do: smaller is better, the first difference counts. */
struct fit {
	uint64_t crowd;                /* of a job that is to be spread */
	uint32_t links;                /* what the weakest link between its GPUs is less than the best there is */
	uint64_t far;                  /* of one that is to be near a device */
	bool breaks_gpu;               /* a part of a GPU that was whole */
	uint32_t gpus_left, cpus_left;
};

/* A node that would do. */
struct zn_room_choice { struct fit fit; struct zn_place place; };

struct zn_ask zn_room_ask(const struct zn_pick_ask *a)
{
	return (struct zn_ask){ .gpus = a->gpus, .cpus = { .has = a->cpus > 0, .v = a->cpus }, .mem_bytes = a->mem_bytes,
	                        .tasks = a->tasks, .nvlink_required = a->nvlink_required, .spread = a->spread, .near = a->near,
	                        .part = a->part };
}

static struct zn_places *places_new(uint32_t n)
{
	return calloc(1, sizeof(struct zn_places) + n * sizeof(struct zn_place));
}

static int open_ahead(struct zn_room *r, uint32_t reservations)
{
	r->ahead = calloc(reservations + 1, sizeof(*r->ahead)); /* one more, that of which memory was short is closed as well */
	for (; r->ahead && r->n_ahead < reservations; r->n_ahead++) {
		struct zn_room_ahead *a = &r->ahead[r->n_ahead];
		a->places = places_new(r->n);
		a->left = calloc(r->n + 1, sizeof(*a->left));
		if (!a->places || !a->left)
			return -ENOMEM;
	}
	return r->ahead ? 0 : -ENOMEM;
}

int zn_room_open(struct zn_room *r, uint32_t n, uint32_t reservations)
{
	r->nodes = calloc(n, sizeof(*r->nodes));
	r->places = places_new(n);
	r->choices = calloc(n, sizeof(*r->choices));
	r->n = n;
	return r->nodes && r->places && r->choices ? open_ahead(r, reservations ? reservations + ZN_PICK_CLOSINGS : 0) : -ENOMEM;
}

void zn_room_close(struct zn_room *r)
{
	for (uint32_t i = 0; r->ahead && i <= r->n_ahead; i++) {
		free(r->ahead[i].places);
		free(r->ahead[i].left);
	}
	zn_licences_done(&r->licences);
	free(r->ahead);
	free(r->nodes);
	free(r->places);
	free(r->choices);
	r->nodes = NULL;
	r->places = NULL;
	r->choices = NULL;
	r->ahead = NULL;
	r->n = r->n_ahead = 0;
}

struct zn_places *zn_places_copy(const struct zn_places *p)
{
	size_t size = sizeof(*p) + p->n * sizeof(p->v[0]);
	struct zn_places *copy = malloc(size);

	return copy ? memcpy(copy, p, size) : NULL;
}

void zn_room_set_facts(struct zn_room *r, uint32_t node, const struct zn_facts *facts)
{
	r->nodes[node].facts = facts;
	r->nodes[node].free = facts ? zn_plan_idle(facts) : (struct zn_free){ 0 };
}

/* ---- taking and giving ------------------------------------------------------------------------------------ */

static void take_from(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_take_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
}

static void give_to(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_give_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_or(&f->cpus, &p->cpus);
	f->mem_bytes += p->mem_bytes;
}

void zn_room_take(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < places->n; i++)
		take_from(&r->nodes[places->v[i].node].free, &places->v[i].plan);
	zn_licences_take(&r->licences, wish);
}

void zn_room_give(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < places->n; i++)
		give_to(&r->nodes[places->v[i].node].free, &places->v[i].plan);
	zn_licences_give(&r->licences, wish);
}

/* ---- CPUs alone ------------------------------------------------------------------------------------------- */

/* Which are its alone. */
static const struct zn_idset *own_cpus(const struct zn_plan *p)
{
	static const struct zn_idset none;

	return p->cpus_held ? &p->cpus : &none;
}

void zn_room_lend_cpus(struct zn_room *r, struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset *free = &r->nodes[places->v[i].node].free.cpus;
		*free = zn_idset_or(free, own_cpus(&places->v[i].plan));
		places->v[i].plan.cpus_held = 0;
	}
}

bool zn_room_take_back_cpus(struct zn_room *r, struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset left = zn_idset_minus(&places->v[i].plan.cpus, &r->nodes[places->v[i].node].free.cpus);
		if (!zn_idset_is_empty(&left))
			return false;
	}
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_place *p = &places->v[i];
		struct zn_idset *free = &r->nodes[p->node].free.cpus;
		*free = zn_idset_minus(free, &p->plan.cpus);
		p->plan.cpus_held = zn_idset_count(&p->plan.cpus);
	}
	return true;
}

void zn_room_claim_cpus(struct zn_room *r, const struct zn_places *places, int64_t priority)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_room_node *n = &r->nodes[places->v[i].node];
		if (zn_idset_is_empty(&n->claimed) || priority > n->claimed_by)
			n->claimed_by = priority;
		n->claimed = zn_idset_or(&n->claimed, &places->v[i].plan.cpus);
	}
}

/* ---- how much there is ------------------------------------------------------------------------------------ */

struct sum { double gpus, cpus, mem_bytes; };

static struct sum sum_of(const struct zn_room *r)
{
	struct sum sum = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_facts *f = r->nodes[i].facts;
		sum.gpus += f ? (double)f->n_gpus : 0;
		sum.cpus += f ? (double)f->n_cpus : 0;
		for (size_t k = 0; f && k < f->n_numas; k++)
			sum.mem_bytes += (double)f->numas[k].mem_bytes;
	}
	return sum;
}

bool zn_room_is_known(const struct zn_room *r)
{
	bool is = false;

	for (uint32_t i = 0; i < r->n; i++)
		is |= r->nodes[i].facts != NULL;
	return is;
}

uint32_t zn_room_gpus(const struct zn_room *r)
{
	return (uint32_t)sum_of(r).gpus;
}

double zn_room_total(const struct zn_room *r)
{
	struct sum all = sum_of(r);

	return all.gpus > 0 ? all.gpus : all.cpus;
}

double zn_room_size(const struct zn_room *r, const struct zn_pick_ask *ask)
{
	static const double least = 1e-3;
	struct sum all = sum_of(r);
	double part = least, total = all.gpus > 0 ? all.gpus : all.cpus;

	if (!total)
		return 1;
	if (all.gpus > 0)
		part = fmax(part, (ask->part.milli ? ask->part.milli / 1e3 : (double)ask->gpus) / all.gpus);
	if (all.cpus > 0)
		part = fmax(part, (double)(ask->cpus ? ask->cpus : ask->gpus ? 0 : ask->tasks) / all.cpus);
	if (ask->mem_bytes)
		part = fmax(part, (double)ask->mem_bytes / fmax(1, all.mem_bytes));
	return fmax(part, zn_licences_part(&r->licences, ask->wish)) * total;
}

void zn_room_fill_in(const struct zn_room *r, struct zn_gpu_part *part)
{
	struct zn_gpu_part most = *part;

	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_gpu_part here = *part;
		if (r->nodes[i].facts)
			zn_part_fill_in(&here, r->nodes[i].facts);
		if (here.milli > most.milli)
			most = here;
	}
	*part = most;
}

static struct zn_pick_have have(const struct zn_free *f)
{
	return (struct zn_pick_have){ .gpus = zn_idset_count(&f->gpus), .gpu_milli = zn_free_milli_most(f), .cpus = zn_idset_count(&f->cpus),
	                              .mem_bytes = f->mem_bytes };
}

static struct zn_free without_held(const struct zn_free *f, const struct zn_idset *held)
{
	struct zn_free left = *f;

	zn_free_drop_gpus(&left, held);
	return left;
}

/* What both have. */
static struct zn_free both(const struct zn_free *a, const struct zn_free *b)
{
	struct zn_free ret = *a;

	zn_free_cut_gpus(&ret, b);
	ret.cpus = zn_idset_and(&a->cpus, &b->cpus);
	ret.mem_bytes = a->mem_bytes < b->mem_bytes ? a->mem_bytes : b->mem_bytes;
	return ret;
}

/* ---- which node -------------------------------------------------------------------------------------------- */

/* Of what a node has: then, or at a level. */
struct of { bool then; uint32_t level; const struct zn_pick_gap *gap; };
static const struct of NOW = { 0 }, THEN = { .then = true };

static struct zn_free now_of(const struct zn_room_node *n)
{
	return without_held(&n->free, &n->held);
}

/* Of what a node has, what somebody of that priority may. */
static struct zn_free unclaimed(const struct zn_room_node *n, const struct zn_free *f, int64_t priority)
{
	struct zn_free left = *f;

	if (priority <= n->claimed_by)
		left.cpus = zn_idset_minus(&left.cpus, &n->claimed);
	return left;
}

struct zn_free zn_room_free_for(const struct zn_room_node *n, const struct zn_pick_ask *wanted)
{
	return unclaimed(n, &n->free, wanted->priority);
}

/* Without the place of one who has a reservation, which need not be free yet. */
static void hold_place(struct zn_free *f, const struct zn_plan *p)
{
	zn_free_hold_gpus(f, p);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
}

static struct zn_free then_of(const struct zn_room *r, uint32_t node)
{
	struct zn_free f = r->nodes[node].then;

	for (const struct zn_room_ahead *a = r->ahead; a < r->ahead + r->n_ahead; a++)
		for (uint32_t i = 0; a->holds && i < a->places->n; i++)
			if (a->places->v[i].node == node)
				hold_place(&f, &a->places->v[i].plan);
	return f;
}

struct zn_free zn_room_at_level(const struct zn_room *r, uint32_t node, uint32_t level, const struct zn_pick_gap *gap)
{
	struct zn_free f = now_of(&r->nodes[node]);

	for (uint32_t i = 0; i < level; i++)
		f = both(&f, &r->ahead[gap->by_time[i]].left[node]);
	return f;
}

static struct zn_free part_of(const struct zn_room *r, uint32_t node, const struct of *of)
{
	return of->then ? then_of(r, node) : zn_room_at_level(r, node, of->level, of->gap);
}

static bool has_licences(const struct zn_licences *l, const struct zn_wish *wish, const struct of *of)
{
	bool has = zn_licences_fit(l, wish, of->then ? ZN_LICENCES_THEN : ZN_LICENCES_NOW);

	for (uint32_t i = 0; has && i < of->level; i++)
		has = zn_licences_fit(l, wish, ZN_LICENCES_AHEAD + of->gap->by_time[i]);
	return has;
}

static bool is_open(const struct zn_room *r, const struct zn_room_node *n)
{
	bool is_over = n->closes_s && n->closes_s <= r->now_s && r->now_s < n->opens_s;

	return n->facts && !n->is_closed && !is_over;
}

/* What all nodes have together, but of the GPUs that are given out in parts the one with the most left. */
static struct zn_pick_have have_all(const struct zn_room *r, const struct of *of)
{
	struct zn_pick_have sum = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		if (!is_open(r, n))
			continue;
		struct zn_free f = part_of(r, i, of);
		struct zn_pick_have one = have(&f);
		sum.gpus += one.gpus;
		sum.gpu_milli = one.gpu_milli > sum.gpu_milli ? one.gpu_milli : sum.gpu_milli;
		sum.cpus += one.cpus;
		sum.mem_bytes += one.mem_bytes;
	}
	return sum;
}

static struct fit fit_of(const struct zn_facts *f, const struct zn_free *from, const struct zn_ask *ask, const struct zn_plan *p)
{
	struct zn_idset used = zn_idset_and(&from->gpus, &p->gpus);

	return (struct fit){
		.crowd = ask->spread ? zn_plan_crowd(f, p) : 0,
		.links = UINT32_MAX - zn_plan_weakest_mbps(f, p),
		.far = ask->near ? zn_plan_far(f, p, ask->near) : 0,
		.breaks_gpu = p->part.milli && !zn_idset_is_empty(&used),
		.gpus_left = zn_idset_count(&from->gpus) - zn_idset_count(&used),
		.cpus_left = zn_idset_count(&from->cpus) - p->cpus_held,
	};
}

static bool is_better(const struct fit *a, const struct fit *b)
{
	if (a->crowd != b->crowd)
		return a->crowd < b->crowd;
	if (a->links != b->links)
		return a->links < b->links;
	if (a->far != b->far)
		return a->far < b->far;
	if (a->breaks_gpu != b->breaks_gpu)
		return !a->breaks_gpu;
	if (a->gpus_left != b->gpus_left)
		return a->gpus_left < b->gpus_left;
	return a->cpus_left < b->cpus_left;
}

static int by_fit(const void *a, const void *b)
{
	const struct zn_room_choice *x = a, *y = b;

	if (is_better(&x->fit, &y->fit))
		return -1;
	if (is_better(&y->fit, &x->fit))
		return 1;
	return (x->place.node > y->place.node) - (x->place.node < y->place.node);
}

const char *zn_room_lacks_label(const struct zn_room_node *n, const struct zn_pick_ask *wanted, size_t *ret_len)
{
	static const struct zn_strmap none;

	return zn_selector_lacks(wanted->constraint, n->labels ? n->labels : &none, ret_len);
}

/* All nodes that would do. */
static uint32_t find_choices(struct zn_room *r, const struct zn_pick_ask *wanted, const struct of *of)
{
	struct zn_ask ask = zn_room_ask(wanted);
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		struct zn_room_choice *c = &r->choices[found];
		if (!is_open(r, n) || !zn_room_suits(n, wanted) || (of->then && n->closes_s && n->closes_s < r->over_s))
			continue;
		struct zn_free from = part_of(r, i, of);
		if (!of->then)
			from = unclaimed(n, &from, wanted->priority);
		c->place = (struct zn_place){ .node = i };
		if (zn_plan_make(n->facts, &from, &ask, &c->place.plan, NULL) < 0)
			continue;
		c->fit = r->n > 1 ? fit_of(n->facts, &from, &ask, &c->place.plan) : (struct fit){ 0 };
		found++;
	}
	return found;
}

bool zn_room_split(const struct zn_pick_ask *wanted, uint32_t n, struct zn_pick_ask *ret)
{
	*ret = *wanted;
	if (n < 2)
		return true;
	ret->gpus /= n;
	ret->cpus /= n;
	ret->tasks /= n;
	ret->mem_bytes = (wanted->mem_bytes + n - 1) / n;
	return ret->gpus * n == wanted->gpus && ret->cpus * n == wanted->cpus && ret->tasks * n == wanted->tasks;
}

static const char *domain_of(const struct zn_room *r, const struct zn_place *p)
{
	return r->nodes[p->node].domain ? r->nodes[p->node].domain : "";
}

/* How much of a domain's name its first levels are. */
static size_t first_levels(const char *domain, uint32_t levels)
{
	size_t n = 0;

	while (levels && domain[n])
		if (domain[n++] == '/')
			levels--;
	return n && domain[n - 1] == '/' ? n - 1 : n;
}

static bool is_within(const char *domain, const char *of, size_t n)
{
	return !strncmp(domain, of, n) && (!n || !domain[n] || domain[n] == '/');
}

static uint32_t levels_of(const char *domain)
{
	uint32_t levels = *domain != '\0';

	for (const char *p = domain; *p; p++)
		levels += *p == '/';
	return levels;
}

static uint32_t most_levels(const struct zn_room *r, uint32_t found)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < found; i++) {
		uint32_t levels = levels_of(domain_of(r, &r->choices[i].place));
		most = levels > most ? levels : most;
	}
	return most;
}

/* Nodes that will do: those below that domain, or those that are in it themselves, at one switch. */
struct below { const char *domain; size_t len; bool itself; };

static bool is_below(const struct below *b, const char *domain)
{
	return b->itself ? !strcmp(domain, b->domain) : is_within(domain, b->domain, b->len);
}

static uint32_t count_below(const struct zn_room *r, uint32_t found, const struct below *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < found; i++)
		n += is_below(b, domain_of(r, &r->choices[i].place));
	return n;
}

/* The switch at which there are n of them, of several the one with the fewest; false: there is none. */
static bool find_switch(const struct zn_room *r, uint32_t found, uint32_t n, struct below *ret)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < found; i++) {
		struct below b = { .domain = domain_of(r, &r->choices[i].place), .itself = true };
		uint32_t in = count_below(r, found, &b);
		if (in < n || in >= least)
			continue;
		least = in;
		*ret = b;
	}
	return least < UINT32_MAX;
}

/* The smallest domain where there are n of them. */
static struct below smallest_domain(const struct zn_room *r, uint32_t found, uint32_t n)
{
	for (uint32_t levels = most_levels(r, found); levels > 0; levels--) {
		struct below best = { 0 };
		uint32_t least = UINT32_MAX;
		for (uint32_t i = 0; i < found; i++) {
			const char *domain = domain_of(r, &r->choices[i].place);
			struct below b = { .domain = domain, .len = first_levels(domain, levels) };
			uint32_t in = levels_of(domain) < levels ? 0 : count_below(r, found, &b); /* its own is a larger one */
			if (in < n || in >= least)
				continue;
			least = in;
			best = b;
		}
		if (best.domain)
			return best;
	}
	return (struct below){ .domain = "" };
}

/* Where ranks are neighbours nodes are. */
static void put_in_order(const struct zn_room *r, struct zn_places *p)
{
	for (uint32_t i = 1; i < p->n; i++)
		for (uint32_t k = i; k > 0; k--) {
			struct zn_place *a = &p->v[k - 1], *b = &p->v[k], was = *a;
			int order = strcmp(domain_of(r, a), domain_of(r, b));
			if (order < 0 || (order == 0 && a->node < b->node))
				break;
			*a = *b;
			*b = was;
		}
}

/* On so many nodes. */
static bool find_on(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t n, const struct of *of)
{
	struct zn_pick_ask each;
	struct below below = { .domain = "" };

	if (!zn_room_split(wanted, n, &each))
		return false;
	uint32_t found = find_choices(r, &each, of);
	if (found < n)
		return false;
	if (found > 1)
		qsort(r->choices, found, sizeof(*r->choices), by_fit);
	if (n > 1 && !wanted->same_switch)
		below = smallest_domain(r, found, n);
	else if (n > 1 && !find_switch(r, found, n, &below))
		return false;
	r->places->n = 0;
	for (uint32_t i = 0; r->places->n < n; i++)
		if (is_below(&below, domain_of(r, &r->choices[i].place)))
			r->places->v[r->places->n++] = r->choices[i].place;
	put_in_order(r, r->places);
	return true;
}

static bool find_places(struct zn_room *r, const struct zn_pick_ask *wanted, const struct of *of)
{
	uint32_t least = wanted->nodes_min ? wanted->nodes_min : 1, most = wanted->nodes_max > least ? wanted->nodes_max : least;

	most = most < r->n ? most : r->n;
	for (uint32_t i = least; i <= most; i++)
		if (find_on(r, wanted, wanted->spread ? most - (i - least) : i, of))
			return true;
	return false;
}

bool zn_room_find(struct zn_room *r, const struct zn_pick_ask *wanted)
{
	return find_places(r, wanted, &NOW);
}

/* ---- zn_pick_ops ------------------------------------------------------------------------------------------- */

static void count(const struct zn_room *r, struct zn_pick_gap *gap)
{
	for (uint32_t level = 0; level <= gap->n; level++)
		gap->have[level] = have_all(r, &(struct of){ .level = level, .gap = gap });
}

/* All that a node has, whoever has it. */
static struct zn_plan all_of(const struct zn_facts *f)
{
	struct zn_free idle = zn_plan_idle(f);

	return (struct zn_plan){ .gpus = idle.gpus, .cpus = idle.cpus, .cpus_held = zn_idset_count(&idle.cpus), .mem_bytes = idle.mem_bytes };
}

/* Which number the closing of such a node has, with n of them there; n: it is a new one. */
static uint32_t closing_of(const struct zn_room *r, const struct zn_room_node *node, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && (r->ahead[i].from_s != node->closes_s || r->ahead[i].until_s != node->opens_s))
		i++;
	return i;
}

/* There is nothing left of this one then, and all of the others. */
static void close_node(struct zn_room *r, struct zn_room_ahead *a, uint32_t node)
{
	a->places->v[a->places->n++] = (struct zn_place){ .node = node, .plan = all_of(r->nodes[node].facts) };
	a->left[node] = (struct zn_free){ 0 };
}

static void add_closing(struct zn_room *r, const struct zn_room_node *node, struct zn_pick_gap *gap)
{
	struct zn_room_ahead *a = &r->ahead[gap->n];

	a->from_s = node->closes_s;
	a->until_s = node->opens_s;
	a->places->n = 0;
	a->wish = NULL;
	for (uint32_t i = 0; i < r->n; i++)
		a->left[i] = r->nodes[i].facts ? zn_plan_idle(r->nodes[i].facts) : (struct zn_free){ 0 };
	zn_licences_copy(&r->licences, ZN_LICENCES_AHEAD + gap->n, ZN_LICENCES_NOW);
	zn_gap_add(gap, a->from_s);
}

static void add_closings(struct zn_room *r, double now_s, struct zn_pick_gap *gap)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_room_node *node = &r->nodes[i];
		if (!is_open(r, node) || node->closes_s <= now_s)
			continue;
		uint32_t number = closing_of(r, node, gap->n);
		node->is_closed = number == ZN_PICK_CLOSINGS; /* there are too many different times */
		if (node->is_closed)
			continue;
		if (number == gap->n)
			add_closing(r, node, gap);
		close_node(r, &r->ahead[number], i);
	}
}

static void begin(void *arg, double now_s, struct zn_pick_gap *gap)
{
	((struct zn_room *)arg)->now_s = now_s;
	add_closings(arg, now_s, gap);
	count(arg, gap);
}

/* It may be there still when who has the reservation starts. */
static void take_beside(struct zn_room *r, uint32_t number, const struct zn_wish *wish)
{
	for (uint32_t i = 0; i < r->places->n; i++) {
		const struct zn_place *place = &r->places->v[i];
		take_from(&r->ahead[number].left[place->node], &place->plan);
	}
	zn_licences_add(&r->licences, wish, ZN_LICENCES_AHEAD + number, -1);
}

bool zn_room_fits(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t level, const struct zn_pick_gap *gap)
{
	const struct of of = { .level = level, .gap = gap };

	return has_licences(&r->licences, wanted->wish, &of) && find_places(r, wanted, &of);
}

static bool take(void *arg, struct zn_pick_job *job, uint32_t level, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	const struct zn_wish *wish = job->shape->ask.wish;

	if (!zn_room_fits(r, &job->shape->ask, level, gap))
		return false;
	zn_room_take(r, r->places, wish);
	for (uint32_t i = 0; i < level; i++)
		take_beside(r, gap->by_time[i], wish);
	count(r, gap);
	return true;
}

void zn_room_future(struct zn_room *r, int64_t priority)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_free now = now_of(&r->nodes[i]);
		r->nodes[i].then = unclaimed(&r->nodes[i], &now, priority);
	}
	zn_licences_copy(&r->licences, ZN_LICENCES_THEN, ZN_LICENCES_NOW);
}

void zn_room_future_give(struct zn_room *r, const struct zn_pick_job *job)
{
	const struct zn_places *places = r->places_of(job);

	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_room_node *n = &r->nodes[places->v[i].node];
		give_to(&n->then, &places->v[i].plan);
		n->then = without_held(&n->then, &n->held);
	}
	zn_licences_add(&r->licences, r->wish_of(job), ZN_LICENCES_THEN, 1);
}

void zn_room_future_lend_cpus(struct zn_room *r, const struct zn_pick_job *job)
{
	const struct zn_places *places = r->places_of(job);

	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset *then = &r->nodes[places->v[i].node].then.cpus;
		*then = zn_idset_or(then, own_cpus(&places->v[i].plan));
	}
}

bool zn_room_future_fits(struct zn_room *r, const struct zn_pick_ask *wanted)
{
	struct zn_pick_have left = have_all(r, &THEN);

	if (!zn_pick_fits(wanted, &left) || !has_licences(&r->licences, wanted->wish, &THEN) || !find_places(r, wanted, &THEN))
		return false;
	for (uint32_t i = 0; i < r->places->n; i++) {
		struct zn_place *place = &r->places->v[i];
		if (wanted->gpus && !wanted->cpus) /* it takes what CPUs are left, even none */
			place->plan.cpus_held = 0;
		take_from(&r->nodes[place->node].then, &place->plan);
	}
	zn_licences_add(&r->licences, wanted->wish, ZN_LICENCES_THEN, -1);
	return true;
}

/* ---- reservations -------------------------------------------------------------------------------------------- */

static void set_holds(struct zn_room *r, struct zn_room_ahead *a, bool holds)
{
	if (a->holds != holds)
		zn_licences_add(&r->licences, a->wish, ZN_LICENCES_THEN, holds ? -1 : 1);
	a->holds = holds;
}

/* One without a known end is there for ever. */
static bool is_there(const struct zn_room_ahead *a, double at_s)
{
	return a->from_s <= at_s && (at_s < a->until_s || a->until_s == HUGE_VAL);
}

/* Which of them is over first; NULL: none of them holds anything. */
static struct zn_room_ahead *first_over(struct zn_room *r, uint32_t n)
{
	struct zn_room_ahead *first = NULL;

	for (struct zn_room_ahead *a = r->ahead; a < r->ahead + n; a++)
		if (a->holds && (!first || a->until_s < first->until_s))
			first = a;
	return first;
}

/* Who is over next is over; *ran: so many of what runs were before.  False: nobody is left. */
static bool end_next(struct zn_room *r, uint32_t n, uint32_t *ran, double *at_s)
{
	struct zn_row_node *node = zn_row_nth(r->running, *ran);
	struct zn_room_ahead *a = first_over(r, n);

	if (node && (!a || node->key <= a->until_s)) {
		zn_room_future_give(r, zn_pick_job_that_runs(node));
		*at_s = node->key;
		++*ran;
	} else if (a) {
		set_holds(r, a, false);
		*at_s = a->until_s;
	}
	return node || a;
}

/* Nodes that will be closed are, for who would run from then on. */
static void hold_closings(struct zn_room *r, const struct zn_pick_gap *gap, double from_s, double limit_s)
{
	double until_s = from_s + limit_s;

	for (uint32_t i = 0; i < gap->closings; i++)
		set_holds(r, &r->ahead[i], r->ahead[i].from_s < until_s && from_s < r->ahead[i].until_s);
}

/* When there is room for it beside the n reservations, which are there from now on, and what would be free then.  One of
 * which nobody knows the time, and that others may pass, is not.  False: never.
 */
static bool look_ahead(struct zn_room *r, const struct zn_pick_job *job, double now_s, const struct zn_pick_gap *gap, double *ret_at_s)
{
	const struct zn_pick_ask *wanted = &job->shape->ask;
	uint32_t ran = 0;
	bool fits, more = true;

	zn_room_future(r, wanted->priority);
	for (uint32_t i = gap->closings; i < gap->n; i++)
		set_holds(r, &r->ahead[i], gap->at_s[i] != HUGE_VAL);
	hold_closings(r, gap, now_s, job->limit_s);
	while (!(fits = zn_room_future_fits(r, wanted)) && more) {
		more = end_next(r, gap->n, &ran, ret_at_s);
		hold_closings(r, gap, fmax(*ret_at_s, now_s), job->limit_s);
	}
	return fits;
}

/* The last one's place, and what is left beside it of what would be free when it starts. */
static void set_aside(struct zn_room *r, const struct zn_pick_gap *gap)
{
	struct zn_room_ahead *mine = &r->ahead[gap->n];

	for (uint32_t i = 0; i < gap->n; i++)
		set_holds(r, &r->ahead[i], gap->at_s[i] != HUGE_VAL && is_there(&r->ahead[i], mine->from_s));
	for (uint32_t i = 0; i < r->n; i++)
		mine->left[i] = then_of(r, i);
	zn_licences_copy(&r->licences, ZN_LICENCES_AHEAD + gap->n, ZN_LICENCES_THEN);
	mine->places->n = r->places->n;
	memcpy(mine->places->v, r->places->v, r->places->n * sizeof(r->places->v[0]));
}

/* When those start who start later, and were before it in the line, it is there. */
static void be_there_for_others(struct zn_room *r, const struct zn_pick_gap *gap)
{
	const struct zn_room_ahead *mine = &r->ahead[gap->n];

	for (uint32_t i = 0; i < gap->n; i++) {
		if (!is_there(mine, r->ahead[i].from_s))
			continue;
		for (uint32_t k = 0; k < mine->places->n; k++)
			hold_place(&r->ahead[i].left[mine->places->v[k].node], &mine->places->v[k].plan);
		zn_licences_add(&r->licences, mine->wish, ZN_LICENCES_AHEAD + i, -1);
	}
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	struct zn_room_ahead *mine = &r->ahead[gap->n];
	double at_s = now_s;
	bool found = look_ahead(r, job, now_s, gap, &at_s);

	if (found) {
		at_s = at_s > now_s ? at_s : now_s;
		mine->from_s = at_s;
		mine->until_s = at_s + job->limit_s;
		mine->wish = job->shape->ask.wish;
		set_aside(r, gap);
	}
	for (uint32_t i = 0; i < gap->n; i++)
		r->ahead[i].holds = false;
	if (!found)
		return false;
	if (at_s < HUGE_VAL || must)
		be_there_for_others(r, gap);
	zn_gap_add(gap, at_s == HUGE_VAL && must ? -HUGE_VAL : at_s);
	count(r, gap);
	return true;
}

const struct zn_pick_ops zn_room_ops = { .begin = begin, .take = take, .reserve = reserve };
