/* Fair share: decayed use against a sum over small steps, and the factors against the formula of quota/share.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quota/quota.h"
#include "tap.h"

static bool is_near(double a, double b)
{
	return fabs(a - b) <= 1e-3 * fmax(1, fabs(b));
}

/* ---- decayed use ------------------------------------------------------------------------------------------- */

struct span { double from, to, units; };

/* In steps of a second, each decayed from its middle. */
static double by_steps(const struct span *v, unsigned n, double half, double now)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		for (double t = v[i].from; t < fmin(v[i].to, now); t += 1)
			sum += v[i].units * exp2(-(now - t - 0.5) / half);
	return sum;
}

static void test_decay(void)
{
	enum { JOBS = 60 };
	static struct span v[JOBS];
	bool right = true, again = true;

	for (unsigned seed = 1; seed <= 20; seed++) {
		struct zn_used live = { 0 }, later = { 0 };
		double half = seed % 2 ? 500 : 5000, t0 = 1e6;
		srand(seed);
		for (unsigned i = 0; i < JOBS; i++)
			v[i] = (struct span){ t0 + rand() % 3000, 0, 1 + rand() % 8 };
		for (unsigned i = 0; i < JOBS; i++)
			v[i].to = v[i].from + 1 + rand() % 2000;
		for (double now = t0; now < t0 + 6000; now++) { /* as it happens */
			for (unsigned i = 0; i < JOBS; i++) {
				if (v[i].from == now)
					zn_used_began(&live, half, v[i].units, v[i].from);
				if (v[i].to == now)
					zn_used_ended(&live, half, v[i].units, v[i].from, v[i].to);
			}
			if (rand() % 400 == 0)
				right &= is_near(zn_used_now(&live, half, now), by_steps(v, JOBS, half, now));
		}
		for (unsigned i = 0; i < JOBS; i++) /* as a journal tells it */
			zn_used_ran(&later, half, v[i].units, v[i].from, v[i].to);
		again &= is_near(zn_used_now(&later, half, t0 + 6000), zn_used_now(&live, half, t0 + 6000));
	}
	tap_ok(right, "what runs and what ran counts by how long ago each second was");
	tap_ok(again, "in whatever order it is told");
	struct zn_used u = { 0 };
	zn_used_began(&u, 100, 2, 1000);
	double there = zn_used_now(&u, 100, 1100);
	tap_ok(zn_used_now(&u, 100, 900) == there, "a clock that is set back takes nothing away");
	zn_used_ended(&u, 100, 2, 1000, 950);
	tap_ok(u.on == 0 && zn_used_now(&u, 100, 1e9) < 1e-9, "what ended before it began was nothing, and all is forgotten in the end");
}

/* ---- factors ----------------------------------------------------------------------------------------------- */

static double factor(struct zn_payers *p, const char *user, const char *account)
{
	return zn_payer_factor(p, (uint32_t)zn_payers_get(p, user, account));
}

static void use(struct zn_payers *p, const char *user, const char *account, uint64_t gpus, uint64_t cpus)
{
	zn_payer_ran(p, (uint32_t)zn_payers_get(p, user, account), &(struct zn_use){ .gpus = gpus, .cpus = cpus }, 1000, 1100);
}

static void test_factors(void)
{
	struct zn_share given[] = { { "user", "ann", 3 }, { "account", "vision", 2 } };
	struct zn_payers p;

	zn_payers_init(&p, (struct zn_quotas){ 0 }, (struct zn_shares){ given, 2, 1e6 });
	tap_ok(factor(&p, "ann", NULL) == 1, "who used nothing has all of his urgency");
	use(&p, "ann", NULL, 1, 0);
	zn_leaves_weigh(&p.leaves, 1100);
	tap_ok(is_near(factor(&p, "ann", NULL), 0.5), "who is alone has half of it, as has everybody who used what is his");
	use(&p, "bob", NULL, 1, 9);                /* ann has 3 of 4 shares, bob 1 */
	zn_leaves_weigh(&p.leaves, 1102);
	tap_ok(is_near(factor(&p, "ann", NULL), exp2(-0.5 / 0.75)) && is_near(factor(&p, "bob", NULL), exp2(-0.5 / 0.25)),
	       "the same use weighs less on larger shares");
	use(&p, "ann", "vision", 2, 0);            /* vision 2 of 3, the others 1; ann alone in vision */
	use(&p, "eve", "vision", 0, 1);
	zn_leaves_weigh(&p.leaves, 1104);
	tap_ok(is_near(factor(&p, "ann", "vision"), exp2(-0.5 / (2 / 3. * 3 / 4))) && factor(&p, "eve", "vision") == 1 &&
	       is_near(factor(&p, "bob", NULL), exp2(-0.25 / (1 / 3. * 1 / 4))), "accounts have shares of all, users of their account");
	p.leaves.by_cpus = true;
	zn_leaves_weigh(&p.leaves, 1104.5);
	tap_ok(is_near(factor(&p, "ann", "vision"), exp2(-0.5 / (2 / 3. * 3 / 4))), "they are not weighed anew within a second");
	zn_leaves_weigh(&p.leaves, 1106);
	tap_ok(factor(&p, "ann", "vision") == 1 && is_near(factor(&p, "bob", NULL), exp2(-0.9 / (1 / 12.))),
	       "without GPUs in the machine CPUs are what is used");
	zn_payers_done(&p);
	zn_payers_init(&p, (struct zn_quotas){ 0 }, (struct zn_shares){ 0 });
	tap_ok(zn_payers_get(&p, "ann", NULL) == 0 && factor(&p, "ann", NULL) == 1, "without fair share nobody is counted");
	zn_payers_done(&p);
}

int main(void)
{
	test_decay();
	test_factors();
	return tap_done();
}
