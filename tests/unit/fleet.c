/* A fleet against brute force: a second set of books, and each node looked at anew by the formulas of fleet/frag.h as they
 * are written there.  Shares nothing with the fleet but what it is asked.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/fleet.h"
#include "tap.h"

enum { NODES = 70, KINDS_MAX = 300, USUAL_MAX = 64, STEPS = 4000, GPUS = 16, RUNNING_MAX = 4000 };

struct book { unsigned gpus, model, milli[GPUS]; uint64_t cpu, mem; bool is_linked; };
struct running { struct zn_fleet_task task; struct zn_fleet_spot spot; };

static struct book books[NODES], idle[NODES];
static struct zn_fleet_task kinds[KINDS_MAX];
static unsigned came[KINDS_MAX], n_kinds;
static struct running running[RUNNING_MAX];
static size_t n_running;

static unsigned draw(unsigned below) { return (unsigned)rand() % below; }

/* ---- how GPUs are linked ------------------------------------------------------------------------------------ */

/* GPUs 0 and 1, 2 and 3, and so on are pairs: the last pairs that are free as a whole, then the last whose partner is not free, then
 * the last of the others.  The more are without their partner, the less the links are worth.
 */
static uint64_t best_pairs(void *arg, uint64_t free, uint32_t n, double *ret_worth)
{
	uint64_t got = 0;
	unsigned have = 0, alone = 0;

	(void)arg;
	for (int i = 62; i >= 0; i -= 2)
		if (n - have >= 2 && (free >> i & 3) == 3) {
			got |= UINT64_C(3) << i;
			have += 2;
		}
	for (int i = 127; i >= 0; i--) {
		uint64_t bit = UINT64_C(1) << i % 64, partner = UINT64_C(1) << (i % 64 ^ 1);
		if (have < n && free & bit && !(got & bit) && (i < 64 || !(free & partner))) {
			got |= bit;
			have++;
			alone++;
		}
	}
	*ret_worth = n > 1 && alone > n % 2 ? 1.0 / (1 + alone) : 1;
	return got;
}
static const struct zn_fleet_links pairs = { .best = best_pairs };

static uint64_t all_whole(const struct book *b)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < b->gpus; i++)
		mask |= (uint64_t)(b->milli[i] == 1000) << i;
	return mask;
}

/* Of the links of the best n, which are free. */
static double worth_of(const struct book *b, unsigned n)
{
	double worth = 1;

	if (b->is_linked && n > 1)
		best_pairs(NULL, all_whole(b), n, &worth);
	return worth;
}

/* ---- what is usual ------------------------------------------------------------------------------------------ */

static struct usual { struct zn_fleet_task task; double weight; } usual[KINDS_MAX];
static unsigned n_usual;

static bool is_alike(const struct zn_fleet_task *a, const struct zn_fleet_task *b)
{
	return a->gpus == b->gpus && a->gpu_milli == b->gpu_milli && a->cpu_milli == b->cpu_milli && a->models == b->models;
}

static bool goes_before(const struct usual *a, const struct usual *b)
{
	const struct zn_fleet_task *x = &a->task, *y = &b->task;

	if (a->weight != b->weight)
		return a->weight > b->weight;
	if (x->gpus != y->gpus)
		return x->gpus < y->gpus;
	if (x->gpu_milli != y->gpu_milli)
		return x->gpu_milli < y->gpu_milli;
	return x->cpu_milli != y->cpu_milli ? x->cpu_milli < y->cpu_milli : x->models < y->models;
}

static void learn(void)
{
	double total = 0, kept = 0;
	unsigned n = 0;

	n_usual = 0;
	for (unsigned k = 0; k < n_kinds; k++) {
		unsigned i = 0;
		total += came[k];
		while (i < n && !is_alike(&usual[i].task, &kinds[k]))
			i++;
		if (i == n)
			usual[n++] = (struct usual){ .task = kinds[k] };
		usual[i].weight += came[k];
	}
	for (unsigned i = 0; i < n; i++) /* the commonest first */
		for (unsigned j = i + 1; j < n; j++)
			if (goes_before(&usual[j], &usual[i])) {
				struct usual t = usual[i];
				usual[i] = usual[j];
				usual[j] = t;
			}
	for (unsigned i = 0, gpus = 0; i < n && kept < 0.95 * total && gpus < USUAL_MAX; i++) {
		kept += usual[i].weight;
		gpus += usual[i].task.gpus > 0;
		usual[n_usual++] = usual[i];
	}
	for (unsigned i = 0; i < n_usual; i++)
		usual[i].weight /= kept;
}

/* ---- how good a node is ----------------------------------------------------------------------------------- */

static unsigned room_for(const struct book *b, unsigned milli)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->gpus; i++)
		n += b->milli[i] >= milli;
	return n;
}

static bool has_room(const struct book *b, const struct zn_fleet_task *t)
{
	return b->cpu >= t->cpu_milli && b->mem >= t->mem_bytes && (!t->models || t->models >> b->model & 1) &&
	       room_for(b, t->gpu_milli) >= t->gpus;
}

static double free_of(const struct book *b)
{
	double sum = 0;

	for (unsigned i = 0; i < b->gpus; i++)
		sum += b->milli[i];
	return sum;
}

static double broken(const struct book *b)
{
	double sum = 0, all = free_of(b);

	for (unsigned u = 0; u < n_usual; u++) {
		const struct zn_fleet_task *t = &usual[u].task;
		double lost = 0, copies = 0;
		if (!t->gpus)
			continue;
		for (unsigned i = 0; i < b->gpus; i++)
			if (b->milli[i] < t->gpu_milli)
				lost += b->milli[i];
			else
				copies += b->milli[i] / t->gpu_milli;
		copies = floor(copies / t->gpus);
		if (t->cpu_milli && (double)(b->cpu / t->cpu_milli) < copies)
			copies = (double)(b->cpu / t->cpu_milli);
		bool fits = b->cpu >= t->cpu_milli && (!t->models || t->models >> b->model & 1) && room_for(b, t->gpu_milli) >= t->gpus;
		if (fits)
			lost += (1 - worth_of(b, t->gpus)) * 1000 * room_for(b, 1000);
		sum += usual[u].weight * (fits ? 0.9 * lost + 0.1 * (all - copies * t->gpus * t->gpu_milli) : all);
	}
	return sum;
}

static struct book after(struct book b, const struct zn_fleet_task *t, uint64_t gpus)
{
	for (unsigned i = 0; i < b.gpus; i++)
		if (gpus >> i & 1)
			b.milli[i] -= t->gpu_milli;
	b.cpu -= t->cpu_milli;
	b.mem -= t->mem_bytes;
	return b;
}

static uint64_t first_whole(const struct book *b, unsigned n)
{
	uint64_t mask = 0;
	double worth;

	if (b->is_linked && n)
		return best_pairs(NULL, all_whole(b), n, &worth);
	for (unsigned i = 0; n && i < b->gpus; i++)
		if (b->milli[i] == 1000) {
			mask |= UINT64_C(1) << i;
			n--;
		}
	return mask;
}

/* The GPUs of that node that are best, and how good it is with them: the more the better. */
static double good(const struct book *b, const struct zn_fleet_task *t, enum zn_fleet_policy policy, uint64_t *gpus)
{
	double best = HUGE_VAL, best_milli = 0;

	*gpus = first_whole(b, t->gpus);
	if (t->gpus == 1 && t->gpu_milli < 1000) {
		for (unsigned i = 0; i < b->gpus; i++) {
			uint64_t bit = b->milli[i] == 1000 ? first_whole(b, 1) : UINT64_C(1) << i;
			struct book then = after(*b, t, bit);
			double grows = policy == ZN_FLEET_FRAGMENT ? broken(&then) - broken(b) : 0;
			if (b->milli[i] < t->gpu_milli || (best < HUGE_VAL && !(grows < best - 1e-9 ||
			    (grows <= best + 1e-9 && b->milli[i] < best_milli))))
				continue;
			best = grows;
			best_milli = b->milli[i];
			*gpus = bit;
		}
	}
	struct book then = after(*b, t, *gpus);
	if (policy == ZN_FLEET_FRAGMENT)
		return floor(100 / (1 + exp((broken(&then) - broken(b)) / 1000)) + 1e-9) - 101 * round(100 * (1 - worth_of(b, t->gpus)));
	uint64_t cpu_max = 0, mem_max = 0;
	for (unsigned i = 0; i < NODES; i++) {
		cpu_max = idle[i].cpu > cpu_max ? idle[i].cpu : cpu_max;
		mem_max = idle[i].mem > mem_max ? idle[i].mem : mem_max;
	}
	return -(free_of(&then) / 8000 + (double)then.cpu / (double)cpu_max + (double)then.mem / (double)mem_max);
}

static int brute(const struct zn_fleet_task *t, enum zn_fleet_policy policy, struct zn_fleet_spot *ret)
{
	double best = -HUGE_VAL;

	for (unsigned i = 0; i < NODES; i++) {
		uint64_t gpus;
		if (!has_room(&books[i], t))
			continue;
		double w = good(&books[i], t, policy, &gpus);
		if (w > best) {
			best = w;
			*ret = (struct zn_fleet_spot){ .node = i, .gpus = gpus };
		}
	}
	return best > -HUGE_VAL ? 0 : -EAGAIN;
}

/* ---- a day of it -------------------------------------------------------------------------------------------- */

static void make_nodes(struct zn_fleet *f)
{
	static const unsigned sizes[] = { 0, 1, 2, 4, 8, 8, 8, GPUS };

	for (unsigned i = 0; i < NODES; i++) {
		struct book *b = &books[i];
		*b = (struct book){ .gpus = sizes[draw(8)], .model = draw(3), .cpu = 1000 * (uint64_t)(4 + 4 * draw(24)),
		                    .mem = 1 + draw(64) };
		for (unsigned g = 0; g < b->gpus; g++)
			b->milli[g] = 1000;
		if (zn_fleet_add(f, b->gpus, b->model, b->cpu, b->mem) < 0)
			abort();
		b->is_linked = draw(2);
		if (b->is_linked)
			zn_fleet_link(f, i, &pairs);
	}
	memcpy(idle, books, sizeof(idle));
}

static void make_kinds(void)
{
	for (unsigned k = 0; k < n_kinds; k++) {
		struct zn_fleet_task *t = &kinds[k];
		*t = (struct zn_fleet_task){ .gpus = draw(4) ? 1 : 1u << draw(5), .gpu_milli = 1000, .cpu_milli = 500 * draw(16),
		                             .mem_bytes = draw(4), .models = draw(5) ? 0 : 1 + draw(7) };
		if (t->gpus == 1 && draw(2))
			t->gpu_milli = 1 + draw(1000);
		if (!draw(6))
			t->gpus = t->gpu_milli = 0;
		came[k] = 0;
	}
}

static void end_one(struct zn_fleet *f)
{
	size_t at = draw((unsigned)n_running);
	struct running r = running[at];

	zn_fleet_give(f, &r.task, &r.spot);
	running[at] = running[--n_running];
	struct book *b = &books[r.spot.node];
	for (unsigned i = 0; i < b->gpus; i++)
		if (r.spot.gpus >> i & 1)
			b->milli[i] += r.task.gpu_milli;
	b->cpu += r.task.cpu_milli;
	b->mem += r.task.mem_bytes;
}

/* Whether fleet and brute force agree on it. */
static bool place_one(struct zn_fleet *f, const struct zn_fleet_task *t, enum zn_fleet_policy policy)
{
	struct zn_fleet_spot spot, want;
	int rc = zn_fleet_choose(f, t, &spot);

	if (rc != brute(t, policy, &want))
		return false;
	if (rc < 0)
		return true;
	if (spot.node != want.node || spot.gpus != want.gpus)
		return false;
	zn_fleet_take(f, t, &spot);
	books[spot.node] = after(books[spot.node], t, spot.gpus);
	running[n_running++] = (struct running){ *t, spot };
	return true;
}

static void test_day(enum zn_fleet_policy policy, unsigned seed, unsigned of_kinds)
{
	struct zn_fleet f;
	unsigned arrivals = 0, next = 1, wrong = 0;

	srand(seed);
	n_running = n_usual = 0;
	n_kinds = of_kinds;
	zn_fleet_init(&f, policy, 1);
	make_nodes(&f);
	make_kinds();
	for (unsigned step = 0; step < STEPS && !wrong; step++) {
		unsigned k = draw(3) ? draw(n_kinds) : draw(5), burst = draw(50) ? 1 : draw(60);
		while (burst-- && n_running && draw(5) < 2 + step / 2000)
			end_one(&f);
		came[k]++;
		if (++arrivals >= next) {
			next = 2 * arrivals;
			learn();
		}
		wrong += zn_fleet_saw(&f, &kinds[k]) < 0 || !place_one(&f, &kinds[k], policy);
	}
	tap_ok(!wrong && n_running > 20, "policy %d, %u kinds of tasks, seed %u: %d go where looking at every node sends them", policy,
	       n_kinds, seed, STEPS);
	while (n_running)
		end_one(&f);
	bool same = !f.used_milli;
	for (unsigned i = 0; i < NODES; i++)
		same &= f.nodes[i].cpu_milli == idle[i].cpu && f.nodes[i].mem_bytes == idle[i].mem &&
		        f.nodes[i].free_milli == idle[i].gpus * 1000;
	tap_ok(same, "and all is free again when they are over");
	zn_fleet_done(&f);
}

static void test_random(void)
{
	struct zn_fleet f;
	struct zn_fleet_task t = { .gpus = 1, .gpu_milli = 600 };
	struct zn_fleet_spot spot;
	uint64_t seen = 0, gpus = 0;
	unsigned n = 0;

	zn_fleet_init(&f, ZN_FLEET_RANDOM, 7);
	for (unsigned i = 0; i < 32; i++)
		if (zn_fleet_add(&f, 2, 0, 1000, 1) < 0)
			abort();
	while (zn_fleet_choose(&f, &t, &spot) == 0) {
		zn_fleet_take(&f, &t, &spot);
		n++;
		seen |= n <= 16 ? UINT64_C(1) << spot.node : 0;
		gpus |= n <= 16 ? spot.gpus : 0;
	}
	tap_ok(n == 64, "at random each GPU gets one task of more than half of it");
	tap_ok(seen & 0xffff && seen >> 16 && gpus == 3, "in no order");
	zn_fleet_done(&f);
}

static void test_edges(void)
{
	struct zn_fleet f;
	struct zn_fleet_task gpu = { .gpus = 1, .gpu_milli = 600, .cpu_milli = 1 }, cpu = { .cpu_milli = 1 }, large = { .cpu_milli = 1 << 30 };
	struct zn_fleet_spot spot;
	double frag;

	zn_fleet_init(&f, ZN_FLEET_FRAGMENT, 1);
	tap_ok(zn_fleet_saw(&f, &gpu) == 0 && zn_fleet_choose(&f, &gpu, &spot) == -EAGAIN && zn_fleet_fragmentation(&f, &frag) == 0 &&
	       frag == 0, "a fleet without nodes has no room");
	if (zn_fleet_add(&f, 2, 0, ZN_FLEET_UNKNOWN, ZN_FLEET_UNKNOWN) < 0)
		abort();
	tap_ok(zn_fleet_choose(&f, &gpu, &spot) == 0 && spot.gpus == 1, "a task that was never seen is placed");
	for (int i = 0; i < 2; i++) {
		if (zn_fleet_saw(&f, &gpu) < 0 || zn_fleet_choose(&f, &gpu, &spot) < 0)
			abort();
		zn_fleet_take(&f, &gpu, &spot);
	}
	tap_ok(spot.gpus == 2 && zn_fleet_choose(&f, &gpu, &spot) == -EAGAIN, "the one node gives both of its GPUs, and no third");
	tap_ok(zn_fleet_choose(&f, &large, &spot) == 0, "CPUs that are not known are always enough");
	for (int i = 0; i < 50; i++)
		if (zn_fleet_saw(&f, &cpu) < 0)
			abort();
	tap_ok(zn_fleet_fragmentation(&f, &frag) == 0 && frag == 0, "tasks without GPUs alone are usual: nothing is of no use to any with");
	for (int i = 0; i < 50; i++)
		if (zn_fleet_saw(&f, &gpu) < 0)
			abort();
	tap_ok(zn_fleet_fragmentation(&f, &frag) == 0 && frag == 1, "what is free is of no use to the usual task");
	zn_fleet_done(&f);
}

static void test_links(void)
{
	struct zn_fleet f;
	struct zn_fleet_task one = { .gpus = 1, .gpu_milli = 1000 }, two = { .gpus = 2, .gpu_milli = 1000 };
	struct zn_fleet_spot spot, first = { .tasks = 1, .gpus = 1 }, third = { .tasks = 1, .gpus = 4 };
	double frag;

	zn_fleet_init(&f, ZN_FLEET_FRAGMENT, 1);
	for (int i = 0; i < 2; i++)
		if (zn_fleet_add(&f, 4, 0, ZN_FLEET_UNKNOWN, ZN_FLEET_UNKNOWN) < 0)
			abort();
	zn_fleet_link(&f, 0, &pairs);
	zn_fleet_take(&f, &one, &first);
	zn_fleet_take(&f, &one, &third);
	zn_fleet_take(&f, &two, &(struct zn_fleet_spot){ .node = 1, .tasks = 1, .gpus = 3 });
	tap_ok(zn_fleet_saw(&f, &two) == 0 && zn_fleet_choose(&f, &two, &spot) == 0 && spot.node == 1 && spot.gpus == 12,
	       "two that are no pair are worse than two of which nothing is known");
	int rc = zn_fleet_fragmentation(&f, &frag);
	tap_ok(rc == 0 && fabs(frag - 2. / 3 / 2) < 1e-9, "of those that are free, half are worth a third of a pair, and two thirds of them are fragments: %f", frag);
	zn_fleet_give(&f, &one, &third);
	tap_ok(zn_fleet_choose(&f, &one, &spot) == 0 && spot.node == 0 && spot.gpus == 2, "one goes where it breaks up no pair");
	zn_fleet_take(&f, &two, &(struct zn_fleet_spot){ .node = 1, .tasks = 1, .gpus = 12 });
	tap_ok(zn_fleet_choose(&f, &two, &spot) == 0 && spot.node == 0 && spot.gpus == 12, "and two on the pair, not on the first two that are free");
	zn_fleet_done(&f);
}

int main(void)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		test_day(ZN_FLEET_FRAGMENT, seed, seed < 5 ? 40 : 300);
	for (unsigned seed = 7; seed <= 9; seed++)
		test_day(ZN_FLEET_BESTFIT, seed, seed < 9 ? 40 : 300);
	test_random();
	test_edges();
	test_links();
	return tap_done();
}
