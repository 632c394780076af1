/* room_where: which nodes a job gets. */
#include <stdlib.h>
#include <string.h>

#include "pick/room_priv.h"
#include "rec/selector.h"

static struct zn__room_fit fit_of(const struct zn_facts *f, const struct zn_free *from, const struct zn_ask *ask, const struct zn_plan *p)
{
	struct zn_idset used = zn_idset_and(&from->gpus, &p->gpus);

	return (struct zn__room_fit){
		.crowd = ask->spread ? zn_plan_crowd(f, p) : 0,
		.links = UINT32_MAX - zn_plan_weakest_mbps(f, p),
		.far = ask->near ? zn_plan_far(f, p, ask->near) : 0,
		.breaks_gpu = p->part.milli && !zn_idset_is_empty(&used),
		.gpus_left = zn_idset_count(&from->gpus) - zn_idset_count(&used),
		.cpus_left = zn_idset_count(&from->cpus) - p->cpus_held,
	};
}

static bool is_better(const struct zn__room_fit *a, const struct zn__room_fit *b)
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

/* Before who is looked for would be over. */
static bool closes_too_soon(const struct zn_room *r, const struct zn_room_node *n)
{
	return n->closes_s && n->closes_s < r->over_s && r->then_s < n->opens_s;
}

/* All nodes that would do. */
static uint32_t find_choices(struct zn_room *r, const struct zn_pick_ask *wanted, const struct zn__room_of *of)
{
	double from_s = of->then ? r->then_s : r->now_s, over_s = of->then ? r->over_s : r->now_s;
	struct zn_ask ask = zn_room_ask(wanted);
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		struct zn_room_choice *c = &r->choices[found];
		if (!zn__room_is_open(r, n) || !zn_room_suits(n, wanted) || (of->then && closes_too_soon(r, n)))
			continue;
		struct zn_free from = zn__room_part(r, i, of);
		if (!of->then)
			from = zn__room_unclaimed(n, &from, wanted->priority);
		if (!zn__room_leaves(n, wanted, from_s, over_s, &from))
			continue;
		c->place = (struct zn_place){ .node = i };
		if (zn_plan_make(n->facts, &from, &ask, &c->place.plan, NULL) < 0)
			continue;
		c->fit = r->n > 1 ? fit_of(n->facts, &from, &ask, &c->place.plan) : (struct zn__room_fit){ 0 };
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
static bool find_on(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t n, const struct zn__room_of *of)
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

bool zn__room_find(struct zn_room *r, const struct zn_pick_ask *wanted, const struct zn__room_of *of)
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
	return zn__room_find(r, wanted, &zn__room_now);
}
