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

int zn_room_open(struct zn_room *r, uint32_t n)
{
	r->nodes = calloc(n, sizeof(*r->nodes));
	r->places = calloc(1, sizeof(*r->places) + n * sizeof(r->places->v[0]));
	r->choices = calloc(n, sizeof(*r->choices));
	r->n = n;
	return r->nodes && r->places && r->choices ? 0 : -ENOMEM;
}

void zn_room_close(struct zn_room *r)
{
	zn_licences_done(&r->licences);
	free(r->nodes);
	free(r->places);
	free(r->choices);
	r->nodes = NULL;
	r->places = NULL;
	r->choices = NULL;
	r->n = 0;
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

void zn_room_claim_cpus(struct zn_room *r, const struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++) {
		struct zn_idset *claimed = &r->nodes[places->v[i].node].claimed;
		*claimed = zn_idset_or(claimed, &places->v[i].plan.cpus);
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

/* Of what a node has: now, beside what is set aside, or then. */
enum of { NOW, BESIDE, THEN };

static struct zn_free now_of(const struct zn_room_node *n)
{
	struct zn_free now = without_held(&n->free, &n->held);

	now.cpus = zn_idset_minus(&now.cpus, &n->claimed);
	return now;
}

static struct zn_free part_of(const struct zn_room_node *n, enum of of)
{
	return of == NOW ? now_of(n) : of == BESIDE ? n->beside : n->then;
}

/* What all nodes have together, but of the GPUs that are given out in parts the one with the most left. */
static struct zn_pick_have have_all(const struct zn_room *r, enum of of)
{
	struct zn_pick_have sum = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		if (!n->facts || n->is_closed)
			continue;
		struct zn_free f = part_of(n, of);
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
static uint32_t find_choices(struct zn_room *r, const struct zn_pick_ask *wanted, enum of of)
{
	struct zn_ask ask = zn_room_ask(wanted);
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct zn_room_node *n = &r->nodes[i];
		struct zn_room_choice *c = &r->choices[found];
		if (!n->facts || n->is_closed || !zn_room_suits(n, wanted))
			continue;
		struct zn_free from = part_of(n, of);
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
static bool find_on(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t n, enum of of)
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

static bool find_places(struct zn_room *r, const struct zn_pick_ask *wanted, enum of of)
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
	return find_places(r, wanted, NOW);
}

/* ---- zn_pick_ops ------------------------------------------------------------------------------------------- */

static void begin(void *arg, struct zn_pick_have *ret)
{
	struct zn_room *r = arg;

	for (uint32_t i = 0; i < r->n; i++)
		r->nodes[i].beside = now_of(&r->nodes[i]);
	zn_licences_copy(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	*ret = have_all(r, BESIDE);
}

/* It may be there still when the first in line starts. */
static void take_beside(struct zn_free *beside, const struct zn_plan *p)
{
	zn_free_take_gpus(beside, p);
	beside->mem_bytes -= p->mem_bytes < beside->mem_bytes ? p->mem_bytes : beside->mem_bytes;
}

static bool take(void *arg, struct zn_pick_job *job, bool beside, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	const struct zn_wish *wish = job->shape->ask.wish;

	if (!zn_licences_fit(&r->licences, wish, beside ? ZN_LICENCES_BESIDE : ZN_LICENCES_NOW) ||
	    !find_places(r, &job->shape->ask, beside ? BESIDE : NOW))
		return false;
	zn_room_take(r, r->places, wish);
	if (beside)
		zn_licences_add(&r->licences, wish, ZN_LICENCES_BESIDE, -1);
	for (uint32_t i = 0; i < r->places->n; i++) {
		struct zn_room_node *n = &r->nodes[r->places->v[i].node];
		struct zn_free now = now_of(n);
		if (beside)
			take_beside(&n->beside, &r->places->v[i].plan);
		n->beside = both(&n->beside, &now);
	}
	zn_licences_cut(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	gap->now = have_all(r, NOW);
	gap->beside = have_all(r, BESIDE);
	return true;
}

void zn_room_future(struct zn_room *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		r->nodes[i].then = now_of(&r->nodes[i]);
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
	struct zn_pick_have left = have_all(r, THEN);

	if (!zn_pick_fits(wanted, &left) || !zn_licences_fit(&r->licences, wanted->wish, ZN_LICENCES_THEN) || !find_places(r, wanted, THEN))
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

static void set_aside(struct zn_room *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct zn_free now = now_of(&r->nodes[i]);
		r->nodes[i].beside = both(&now, &r->nodes[i].then);
	}
	zn_licences_copy(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_NOW);
	zn_licences_cut(&r->licences, ZN_LICENCES_BESIDE, ZN_LICENCES_THEN);
}

static bool reserve(void *arg, const struct zn_pick_job *job, double now_s, struct zn_pick_gap *gap)
{
	struct zn_room *r = arg;
	struct zn_row_node *node = NULL;

	zn_room_future(r);
	for (uint32_t i = 0; !zn_room_future_fits(r, &job->shape->ask); i++) {
		node = zn_row_nth(r->running, i);
		if (!node)
			return false;
		zn_room_future_give(r, zn_pick_job_that_runs(node));
	}
	set_aside(r);
	gap->beside = have_all(r, BESIDE);
	gap->shadow_s = node && node->key > now_s ? node->key : now_s;
	return true;
}

const struct zn_pick_ops zn_room_ops = { .begin = begin, .take = take, .reserve = reserve };
