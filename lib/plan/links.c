/* Choosing GPUs.  A subset is a mask; of all masks with n bits (Gosper's hack steps through them) the best is
 * the one
 *   1. to be spread: with the fewest pairs on one NUMA node, then the fewest below one PCIe root,
 *   2. with the highest bottleneck, the worst link between any two of the subset,
 *   3. to be near a device: of which the farthest GPUs are the fewest, then the next nearer ones, and so on,
 *   4. with the highest sum of its links,
 *   5. on the fewest NUMA nodes, since CPUs and memory should be near all of it,
 *   6. with the highest sum of links between the free GPUs that it leaves,
 *   7. that leaves the fewest free GPUs on the NUMA nodes it touches, so that whole nodes stay whole,
 *   8. and then the lowest numbers: of two subsets the one that has the first GPU in which they differ.
 * The fewest pairs are as many nodes as can be, and on each as few as can be; whoever asks for that has to pay with links, or it
 * would never be had.  A device comes after the bottleneck, by which GPUs that work together go, and before all that nobody asked for.
 *
 * Where every pair is linked alike, as behind an NVSwitch, and nothing is wished, only 5, 7 and 8 count: then sets of NUMA nodes
 * are looked at instead of sets of GPUs.
 *
 * Above ZN__LINKS_EXACT free GPUs there are too many subsets.  Then one subset is grown from each GPU, always by the GPU with
 * which it is best by 1 to 4, and the best of those wins: a good subset, not provably the best one.
 */
#include "plan/links.h"

#include "plan/near.h"
#include "plan/plan.h"

static uint32_t worth(const struct zn__links *l, unsigned a, unsigned b)
{
	return l->even ? 1 : l->mbps[a][b];
}

static void fill_pairs(struct zn__links *l, const struct zn__wiring *w, const uint16_t at[ZN__LINKS_MAX])
{
	for (unsigned a = 0; a < l->n; a++) {
		const uint32_t *row = &w->pairs[(size_t)at[a] * w->n];
		for (unsigned b = 0; b < l->n; b++) {
			l->mbps[a][b] = zn__pair_mbps(row[at[b]]);
			l->nvlinked[a] |= (uint64_t)(row[at[b]] >> 31) << b;
		}
	}
}

static bool is_even(const struct zn__links *l)
{
	for (unsigned a = 1; a < l->n; a++)
		for (unsigned b = 0; b < a; b++)
			if (l->mbps[a][b] != l->mbps[1][0] ||
			    (l->nvlinked[a] >> b & 1) != (l->nvlinked[1] & 1))
				return false;
	return true;
}

void zn__links_make(struct zn__links *l, const struct zn_facts *f, const struct zn_idset *gpus)
{
	const struct zn__wiring *w = f->wiring;
	uint16_t at[ZN__LINKS_MAX];

	l->n = 0;
	l->spread = l->near = false;
	zn_idset_each(id, gpus) {
		if (l->n == ZN__LINKS_MAX)
			break;
		if (!w->position[id])
			continue;
		at[l->n] = (uint16_t)(w->position[id] - 1);
		l->gpu[l->n] = (uint32_t)id;
		l->numa[l->n] = f->gpus[at[l->n]].numa;
		l->nvlinked[l->n++] = 0;
	}
	l->even = w->is_even;
	if (!l->even) {
		fill_pairs(l, w, at);
		l->even = is_even(l);
	}
	l->all_nvlinked = l->even && l->n > 1 && w->pairs[(size_t)at[0] * w->n + at[1]] >> 31;
}

uint32_t zn_plan_weakest_mbps(const struct zn_facts *f, const struct zn_plan *p)
{
	const struct zn__wiring *w = f->wiring;
	uint32_t weakest = UINT32_MAX;

	zn_idset_each(a, &p->gpus)
		zn_idset_each(b, &p->gpus) {
			if (a >= b || !w->position[a] || !w->position[b])
				continue;
			uint32_t mbps = zn__pair_mbps(w->pairs[(size_t)(w->position[a] - 1) * w->n + w->position[b] - 1]);
			weakest = mbps < weakest ? mbps : weakest;
		}
	return weakest;
}

static bool is_on_one_numa(const struct zn__links *l, unsigned a, unsigned b)
{
	return l->numa[a].has == l->numa[b].has && (!l->numa[a].has || l->numa[a].v == l->numa[b].v);
}

static void find_mates(struct zn__links *l, const struct zn__wiring *w, const uint16_t at[ZN__LINKS_MAX])
{
	for (unsigned a = 0; a < l->n; a++) {
		l->numa_mates[a] = l->root_mates[a] = 0;
		for (unsigned b = 0; b < l->n; b++) {
			l->numa_mates[a] |= (uint64_t)is_on_one_numa(l, a, b) << b;
			l->root_mates[a] |= (uint64_t)(w->root[at[a]] == w->root[at[b]]) << b;
		}
	}
}

void zn__links_wish(struct zn__links *l, const struct zn_facts *f, bool spread, const char *near)
{
	const struct zn__wiring *w = f->wiring;
	uint16_t at[ZN__LINKS_MAX];
	uint8_t steps[ZN_IDSET_MAX];

	if (!spread && !near)
		return;
	l->spread = spread;
	l->near = near != NULL;
	for (unsigned i = 0; i < l->n; i++)
		at[i] = (uint16_t)(w->position[l->gpu[i]] - 1);
	if (w->is_even) /* else that is done */
		fill_pairs(l, w, at);
	if (spread)
		find_mates(l, w, at);
	zn__near_steps(f, near, steps);
	for (unsigned i = 0; i < l->n; i++)
		l->steps[i] = steps[at[i]];
}

struct choice {
	uint64_t mask;
	uint64_t crowd, far;
	uint32_t worst;
	uint64_t sum, rest;
	unsigned numas, left;
};

static uint64_t all_of(const struct zn__links *l)
{
	return l->n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << l->n) - 1;
}

/* Pairs on one node, and for those that have equally many pairs below one root. */
static uint64_t crowd_of(const struct zn__links *l, uint64_t mask)
{
	uint64_t numa = 0, root = 0;

	for (uint64_t m = l->spread ? mask : 0; m; m &= m - 1) {
		numa += (uint64_t)__builtin_popcountll(l->numa_mates[__builtin_ctzll(m)] & mask);
		root += (uint64_t)__builtin_popcountll(l->root_mates[__builtin_ctzll(m)] & mask);
	}
	return numa << 16 | root;
}

uint64_t zn__links_crowd(const struct zn__links *l)
{
	return crowd_of(l, all_of(l));
}

static uint64_t far_of(const struct zn__links *l, uint64_t mask)
{
	uint64_t far = 0;

	for (uint64_t m = l->near ? mask : 0; m; m &= m - 1)
		far += zn__near_weight(l->steps[__builtin_ctzll(m)]);
	return far;
}

/* Gives up at a link below least: then only *worst means something. */
static uint64_t sum_of(const struct zn__links *l, uint64_t mask, uint32_t least, uint32_t *worst)
{
	uint64_t sum = 0;

	*worst = UINT32_MAX;
	for (uint64_t m = mask; m; m &= m - 1)
		for (uint64_t rest = m & (m - 1); rest; rest &= rest - 1) {
			uint32_t mbps = l->mbps[__builtin_ctzll(m)][__builtin_ctzll(rest)];
			sum += mbps;
			if (mbps < *worst)
				*worst = mbps;
			if (mbps < least)
				return sum;
		}
	return sum;
}

static bool is_nvlinked(const struct zn__links *l, uint64_t mask)
{
	for (uint64_t m = mask; m; m &= m - 1)
		if (mask & ~(m & -m) & ~l->nvlinked[__builtin_ctzll(m)])
			return false;
	return true;
}

/* The GPUs of each NUMA node as masks, in the order of their lowest GPU; those whose node is unknown are one. */
static unsigned numa_groups(const struct zn__links *l, uint64_t groups[ZN__LINKS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++) {
		unsigned g = 0;
		while (g < n && !is_on_one_numa(l, (unsigned)__builtin_ctzll(groups[g]), i))
			g++;
		if (g == n)
			groups[n++] = 0;
		groups[g] |= UINT64_C(1) << i;
	}
	return n;
}

static void count_numas(const struct zn__links *l, struct choice *c)
{
	uint64_t groups[ZN__LINKS_MAX];
	unsigned n = numa_groups(l, groups);

	for (unsigned g = 0; g < n; g++)
		if (groups[g] & c->mask) {
			c->numas++;
			c->left += (unsigned)__builtin_popcountll(groups[g] & ~c->mask);
		}
}

/* By the rules 1 to 4: below 0, a is better; above 0, b is. */
static int compare(const struct choice *a, const struct choice *b)
{
	if (a->crowd != b->crowd)
		return a->crowd < b->crowd ? -1 : 1;
	if (a->worst != b->worst)
		return a->worst > b->worst ? -1 : 1;
	if (a->far != b->far)
		return a->far < b->far ? -1 : 1;
	return (a->sum < b->sum) - (a->sum > b->sum);
}

/* Of two that are equal by these. */
static bool is_better_placed(const struct choice *a, const struct choice *b)
{
	uint64_t differ = a->mask ^ b->mask;

	if (a->numas != b->numas)
		return a->numas < b->numas;
	if (a->rest != b->rest)
		return a->rest > b->rest;
	if (a->left != b->left)
		return a->left < b->left;
	return a->mask & differ & -differ;
}

/* Lets mask replace *best if it is better. */
static void try_mask(const struct zn__links *l, uint64_t mask, struct choice *best)
{
	struct choice c = { .mask = mask, .crowd = crowd_of(l, mask), .far = far_of(l, mask) };
	uint32_t worst;

	if (best->mask && c.crowd > best->crowd)
		return;
	c.sum = sum_of(l, mask, best->mask && c.crowd == best->crowd ? best->worst : 0, &c.worst);
	int order = best->mask ? compare(&c, best) : -1;
	if (order > 0)
		return;
	c.rest = sum_of(l, all_of(l) & ~mask, 0, &worst);
	count_numas(l, &c);
	if (order < 0 || is_better_placed(&c, best))
		*best = c;
}

/* The n lowest bits of mask. */
static uint64_t lowest(uint64_t mask, unsigned n)
{
	uint64_t ret = 0;

	for (; n && mask; n--, mask &= mask - 1)
		ret |= mask & -mask;
	return ret;
}

/* All pairs alike: which NUMA nodes to take from is the question.  A machine with more nodes than can be tried
 * in all combinations gets the lowest numbers.
 */
static uint64_t choose_even(const struct zn__links *l, unsigned n)
{
	uint64_t groups[ZN__LINKS_MAX];
	unsigned n_groups = numa_groups(l, groups);
	struct choice best = { 0 };

	if (n_groups > ZN__LINKS_EXACT)
		return lowest(all_of(l), n);
	for (uint32_t set = 1; set < UINT32_C(1) << n_groups; set++) {
		uint64_t from = 0;
		for (unsigned g = 0; g < n_groups; g++)
			from |= set >> g & 1 ? groups[g] : 0;
		if ((unsigned)__builtin_popcountll(from) < n)
			continue;
		struct choice c = { .mask = lowest(from, n) };
		count_numas(l, &c);
		if (!best.mask || is_better_placed(&c, &best))
			best = c;
	}
	return best.mask;
}

static uint64_t next_mask(uint64_t m)
{
	uint64_t low = m & -m, up = m + low;

	return (((up ^ m) >> 2) / low) | up;
}

static uint64_t choose_exact(const struct zn__links *l, unsigned n, bool nvlink)
{
	struct choice best = { 0 };

	for (uint64_t m = (UINT64_C(1) << n) - 1; m <= all_of(l); m = next_mask(m))
		if (!nvlink || is_nvlinked(l, m))
			try_mask(l, m, &best);
	return best.mask;
}

/* The GPU that joins mask best, as a bit; 0 when none may. */
static uint64_t best_addition(const struct zn__links *l, uint64_t mask, bool nvlink)
{
	struct choice best = { 0 };

	for (unsigned i = 0; i < l->n; i++) {
		uint64_t bit = UINT64_C(1) << i;
		struct choice c = { .mask = bit, .crowd = crowd_of(l, mask | bit), .far = far_of(l, bit), .worst = UINT32_MAX };
		if (mask & bit || (nvlink && mask & ~l->nvlinked[i]))
			continue;
		for (uint64_t m = mask; m; m &= m - 1) {
			uint32_t mbps = l->mbps[i][__builtin_ctzll(m)];
			c.sum += mbps;
			c.worst = mbps < c.worst ? mbps : c.worst;
		}
		if (!best.mask || compare(&c, &best) < 0)
			best = c;
	}
	return best.mask;
}

static uint64_t choose_grown(const struct zn__links *l, unsigned n, bool nvlink)
{
	struct choice best = { 0 };

	for (unsigned i = 0; i < l->n; i++) {
		uint64_t mask = UINT64_C(1) << i, more = 1;
		for (unsigned have = 1; have < n && more; have++)
			mask |= more = best_addition(l, mask, nvlink);
		if (more)
			try_mask(l, mask, &best);
	}
	return best.mask;
}

bool zn__links_choose(const struct zn__links *l, unsigned n, bool nvlink, struct zn_idset *ret)
{
	struct zn_idset set = { 0 };
	uint64_t mask;

	if (n > l->n)
		return false;
	if (!n)
		mask = 0;
	else if (l->even && !l->spread && !l->near)
		mask = !nvlink || n == 1 || l->all_nvlinked ? choose_even(l, n) : 0;
	else if (l->n <= ZN__LINKS_EXACT)
		mask = choose_exact(l, n, nvlink);
	else
		mask = choose_grown(l, n, nvlink);
	if (n && !mask)
		return false;
	for (; mask; mask &= mask - 1)
		zn_idset_add(&set, l->gpu[__builtin_ctzll(mask)]);
	*ret = set;
	return true;
}

static bool is_same_numa(const struct zn__links *l, unsigned a, unsigned b)
{
	return l->numa[a].has && l->numa[b].has && l->numa[a].v == l->numa[b].v;
}

void zn__links_chain(const struct zn__links *l, unsigned order[ZN__LINKS_MAX])
{
	uint64_t left = all_of(l);

	for (unsigned n = 0; n < l->n; n++) {
		unsigned best = (unsigned)__builtin_ctzll(left), last = n ? order[n - 1] : best;
		for (uint64_t m = left & (left - 1); n && m; m &= m - 1) {
			unsigned i = (unsigned)__builtin_ctzll(m);
			if (worth(l, last, i) != worth(l, last, best)
			        ? worth(l, last, i) > worth(l, last, best)
			        : is_same_numa(l, last, i) && !is_same_numa(l, last, best))
				best = i;
		}
		order[n] = best;
		left &= ~(UINT64_C(1) << best);
	}
}
