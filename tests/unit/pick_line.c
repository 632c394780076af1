/* The first in line against a look at every job: of each shape and bucket of estimates the one that came first, of these the
 * one with the highest priority and then score; while jobs come and go, shapes go out and in, and fair shares change.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pick/line.h"
#include "tap.h"

enum { JOBS = 1000, STEPS = 20000, PAYERS = 12, GANGS = 6 };

struct job { struct zn_pick_job pick; struct zn_pick_ask ask; };
static struct job jobs[JOBS];
static double factors[PAYERS + 1];

static unsigned draw(unsigned below) { return (unsigned)rand() % below; }
static double factor_of(const void *arg, uint32_t payer) { return ((const double *)arg)[payer]; }

static int bucket_of(const struct job *j)
{
	return j->pick.estimate_s <= 1 ? 0 : (int)fmin(floor(4 * log2(j->pick.estimate_s)), ZN_PICK_BUCKETS - 1);
}

static bool one_class(const struct job *a, const struct job *b)
{
	return a->ask.gang == b->ask.gang && a->ask.payer == b->ask.payer && a->ask.priority == b->ask.priority && bucket_of(a) == bucket_of(b);
}

static bool counts(const struct job *j) { return j->pick.shape && !j->pick.shape->is_out; }

static double score_of(const struct job *j, double now_s)
{
	return (fmax(0, now_s - j->pick.submit_s) + 60) / (fmax(1, j->pick.estimate_s) * sqrt((double)j->pick.size)) * factors[j->ask.payer];
}

static bool goes_before(const struct job *a, const struct job *b, double now_s)
{
	if (a->ask.priority != b->ask.priority)
		return a->ask.priority > b->ask.priority;
	double x = score_of(a, now_s), y = score_of(b, now_s);
	return fabs(x - y) > 1e-12 * y ? x > y : a->pick.seq < b->pick.seq;
}

/* They are sorted by arrival. */
static struct job *first(double now_s)
{
	static struct job *heads[JOBS];
	struct job *best = NULL;
	size_t n = 0;

	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		size_t i = 0;
		if (!counts(j))
			continue;
		while (i < n && !one_class(heads[i], j))
			i++;
		if (i == n)
			heads[n++] = j;
	}
	for (size_t i = 0; i < n; i++)
		best = !best || goes_before(heads[i], best, now_s) ? heads[i] : best;
	return best;
}

static struct job *oldest(void)
{
	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (counts(j))
			return j;
	return NULL;
}

static void step(struct zn_line *l, double *now_s)
{
	struct job *j = &jobs[draw(JOBS)];

	*now_s += draw(300) ? draw(3) * 0.1 : draw(900);
	if (!draw(50)) {
		for (uint32_t i = 1; i <= PAYERS; i++)
			factors[i] = fmin(1, factors[i] * (0.5 + draw(1000) / 900.));
		zn_line_set_factors(l, true, PAYERS, factor_of, factors);
	}
	if (j->pick.shape && !draw(8)) {
		zn_line_set_out(l, j->pick.shape, !j->pick.shape->is_out);
	} else if (j->pick.shape && draw(3)) {
		zn_line_remove(l, &j->pick);
	} else if (!j->pick.shape) {
		j->pick.submit_s = draw(4) ? *now_s : *now_s - draw(5000);
		if (zn_line_add(l, &j->pick, &j->ask) < 0)
			abort();
	}
}

static void test_line(unsigned seed, bool busy)
{
	struct zn_line l = { .order = ZN_PICK_SLOWDOWN, .total = 100, .growth = 1 };
	unsigned wrong = 0, n = 0;
	double now_s = 1e6;

	srand(seed);
	for (unsigned i = 0; i < JOBS; i++) {
		uint32_t gang = draw(GANGS);
		jobs[i] = (struct job){ .ask = { .gang = gang, .payer = 1 + draw(PAYERS), .priority = busy ? 0 : draw(3) } };
		jobs[i].pick = (struct zn_pick_job){ .seq = i + 1, .estimate_s = 0.5 + (double)draw(1u << (2 + draw(14))), .size = (float)(1 << gang) };
		jobs[i].pick.limit_s = jobs[i].pick.estimate_s;
	}
	for (uint32_t i = 0; i <= PAYERS; i++)
		factors[i] = 1;
	for (unsigned i = 0; i < STEPS && !wrong; i++) {
		step(&l, &now_s);
		if (draw(4))
			continue;
		struct job *want = first(now_s);
		wrong += zn_line_first(&l, 0xdead, now_s) != (want ? &want->pick : NULL);
		wrong += zn_line_oldest(&l, 0xdead) != (oldest() ? &oldest()->pick : NULL);
		n++;
	}
	tap_ok(!wrong, "seed %u: %u times the first and the oldest are those that a look at all jobs finds", seed, n);
	zn_line_done(&l);
}

int main(void)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		test_line(seed, seed % 2);
	return tap_done();
}
