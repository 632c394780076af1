/* Quotas: the ledger against a sum over all that was used, who is counted, and what is said. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quota/quota.h"
#include "tap.h"

/* ---- the ledger -------------------------------------------------------------------------------------------- */

struct span { double from, to, gpus; };

/* All that was used after from_s. */
static double used_after(const struct span *v, unsigned n, double from_s)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += v[i].gpus * fmax(0, v[i].to - fmax(v[i].from, from_s));
	return sum;
}

static void test_ledger(void)
{
	enum { SPANS = 400 };
	static struct span v[SPANS];
	bool within = true, ends_empty;

	for (unsigned seed = 1; seed <= 20; seed++) {
		struct zn_ledger l = { .window_s = seed % 2 ? 6400 : 1000 };
		double now = 1.7e9, part = l.window_s / 64;
		srand(seed);
		for (unsigned i = 0; i < SPANS; i++) {
			now += rand() % 100 / 3. + (rand() % 50 ? 0 : 3 * l.window_s);
			v[i] = (struct span){ now - rand() % 3000 / 2., now, 1 + rand() % 8 };
			zn_ledger_add(&l, v[i].from, v[i].to, v[i].gpus);
			double sum = zn_ledger_sum(&l, now);
			within &= sum <= used_after(v, i + 1, now - l.window_s) + 1e-3 &&
			          sum >= used_after(v, i + 1, now - l.window_s + part) - 1e-3;
		}
		ends_empty = zn_ledger_sum(&l, now + l.window_s + part) == 0;
		within &= ends_empty;
	}
	tap_ok(within, "the window holds what was used in it, to a 64th of it, and nothing when it has passed");
	struct zn_ledger l = { .window_s = 640 };
	zn_ledger_add(&l, 100, 50, 8);
	zn_ledger_add(&l, 1000, 1010, 1);
	zn_ledger_add(&l, 100, 200, 1);
	tap_ok(zn_ledger_sum(&l, 1010) == 10, "a time that runs backwards is none, and what comes late and is old counts no more");
	struct zn_ledger ahead = { .window_s = 640 };
	zn_ledger_add(&ahead, 1e9, 1e9 + 10, 1);
	zn_ledger_sum(&ahead, 1e9 + 20);
	tap_ok(zn_ledger_sum(&ahead, 2000) == 10 && (zn_ledger_add(&ahead, 2000, 2010, 2), zn_ledger_sum(&ahead, 2010)) == 30 &&
	       zn_ledger_sum(&ahead, 2700) == 0, "a clock that was far ahead and is set back: what was used stays, for a window");
	tap_ok(zn_ledger_next_s(&l, 1010) == 1020 && zn_ledger_next_s(&l, 1019.9) == 1020, "when the next part passes is known");
}

/* ---- who is counted ---------------------------------------------------------------------------------------- */

static struct zn_quota quotas[] = {
	{ .of = "user", .name = "*", .hard.gpus = { 2, true }, .queued = { 3, true }, .window_s = 3600 },
	{ .of = "user", .name = "ann", .hard.running = { 1, true }, .hard.gpu_hours = { 2, true }, .window_s = 6400 },
	{ .of = "account", .name = "vision", .hard.gpus = { 4, true }, .hard.mem_bytes = { 1 << 30, true }, .window_s = 3600 },
};

static const char *refusal(struct zn_payers *p, int64_t payer, struct zn_use use)
{
	static struct zn_arena a;
	const char *text = NULL;

	zn_payer_may(p, (uint32_t)payer, &use, ZN_QUOTA_HARD, &a, &text);
	return text ? text : "";
}

static void test_payers(void)
{
	struct zn_payers p;
	struct zn_err err = { 0 };

	zn_payers_init(&p, (struct zn_quotas){ quotas, 3 }, (struct zn_shares){ 0 });
	int64_t bob = zn_payers_get(&p, "bob", NULL), eve = zn_payers_get(&p, "eve", "vision"), bob2 = zn_payers_get(&p, "bob", "vision");
	tap_ok(bob > 0 && eve > 0 && bob2 > 0 && bob != eve && bob2 != bob && bob == zn_payers_get(&p, "bob", "other"),
	       "each has a number, the same again; an account without a quota counts for nothing");
	struct zn_use two = { .running = 1, .gpus = 2 }, one = { .running = 1, .gpus = 1 };
	zn_payer_add(&p, (uint32_t)bob, &two);
	tap_ok(!strcmp(refusal(&p, bob2, one), "needs 1 gpu; user bob has 2 of the 2 that the quota allows"), "what a user has counts, whoever pays");
	tap_ok(!*refusal(&p, eve, two), "and not for another user");
	zn_payer_add(&p, (uint32_t)eve, &two);
	zn_payer_take(&p, (uint32_t)bob, &two);
	zn_payer_add(&p, (uint32_t)bob2, &two);
	zn_payer_take(&p, (uint32_t)eve, &(struct zn_use){ .gpus = 1 });
	tap_ok(!strcmp(refusal(&p, eve, two), "needs 2 gpus; user eve has 1 of the 2 that the quota allows") &&
	       !*refusal(&p, eve, one), "an account counts over its users");
	zn_payer_take(&p, (uint32_t)eve, &one);
	tap_ok(!*refusal(&p, zn_payers_get(&p, "kim", "vision"), two) &&
	       !strcmp(refusal(&p, zn_payers_get(&p, "kim", "vision"), (struct zn_use){ .gpus = 1, .mem_bytes = 2 << 29 }), "") &&
	       *refusal(&p, zn_payers_get(&p, "kim", "vision"), (struct zn_use){ .mem_bytes = (1 << 30) + 1 }), "memory to the byte");
	tap_ok(zn_payers_accept(&p, "bob", NULL, &(struct zn_use){ .gpus = 3 }, ZN_QUOTA_SOFT, &err) == -EBADMSG &&
	       !strcmp(err.text, "it asks 3 gpus, and user bob may have 2 (quota)") &&
	       !strcmp(refusal(&p, bob, (struct zn_use){ .gpus = 3 }), "needs 3 gpus; user bob may have 2: it can never start"),
	       "what could never start is not accepted, and what was is told so");
	zn_payer_take(&p, (uint32_t)bob, &one);
	zn_payer_add(&p, (uint32_t)bob, &(struct zn_use){ .gpu_milli = 600 });
	tap_ok(!*refusal(&p, bob, (struct zn_use){ .gpu_milli = 400 }) &&
	       !strcmp(refusal(&p, bob, (struct zn_use){ .gpu_milli = 401 }), "needs 0.401 gpus; user bob has 1.6 of the 2 that the quota allows"),
	       "parts of GPUs count to the thousandth");
	zn_payer_take(&p, (uint32_t)bob, &(struct zn_use){ .gpu_milli = 600 });
	zn_payer_add(&p, (uint32_t)bob, &one);
	zn_payer_add(&p, (uint32_t)bob, &(struct zn_use){ .queued = 3 });
	size_t n = HASH_COUNT(p.owners);
	tap_ok(zn_payers_accept(&p, "bob", NULL, &one, ZN_QUOTA_SOFT, &err) == -EAGAIN && zn_payers_accept(&p, "eve", "vision", &one, ZN_QUOTA_SOFT, &err) == 0 &&
	       zn_payers_accept(&p, "zoe", NULL, &one, ZN_QUOTA_SOFT, &err) == 0, "nor is one more than may wait");
	tap_ok(n == HASH_COUNT(p.owners), "nobody is entered into the books for having asked");
	zn_payers_done(&p);
}

static void test_hours(void)
{
	struct zn_payers p;
	struct zn_use one = { .running = 1, .gpus = 1 }, none = { .running = 1, .cpus = 1 };

	zn_payers_init(&p, (struct zn_quotas){ quotas, 3 }, (struct zn_shares){ 0 });
	int64_t ann = zn_payers_get(&p, "ann", NULL);
	zn_payer_began(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 2 }, 1000);
	p.now_s = 1000 + 3599;
	tap_ok(!*refusal(&p, ann, one), "two GPUs for less than an hour are less than two GPU hours");
	p.now_s = 1000 + 3600;
	tap_ok(!strcmp(refusal(&p, ann, one), "user ann used 2 of the 2 GPU hours that the quota allows in 1h46m"), "what runs counts while it runs");
	tap_ok(!*refusal(&p, ann, none), "a job without GPUs uses none");
	zn_payer_ended(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 2 }, 1000, 4600);
	tap_ok(*refusal(&p, ann, one) && zn_payers_again_s(&p) == 4700, "and when it has ended, until the window has passed on");
	p.now_s = 1000 + 6400 + 300;
	tap_ok(!*refusal(&p, ann, one) && zn_payers_again_s(&p) == 0, "which it has");
	zn_payer_began(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 1 }, 0);
	struct zn_owner *o = p.v[ann - 1].owner[0];
	tap_ok(fabs(zn_owner_gpu_s(o, p.now_s) - (6600 + 6400)) <= 300, "what runs longer than the window counts for all of it");
	zn_payer_began(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 3 }, p.now_s);
	zn_payer_ended(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 1 }, 0, p.now_s + 100);
	tap_ok(fabs(zn_owner_gpu_s(o, p.now_s + 100) - (6400 + 6400 + 300)) <= 300, "whatever begins beside it");
	zn_payer_ended(&p, (uint32_t)ann, &(struct zn_use){ .gpus = 3 }, p.now_s, p.now_s + 50);
	tap_ok(fabs(zn_owner_gpu_s(o, p.now_s + 100) - (6400 + 6400 + 150)) <= 300, "an end that is told late takes back what was counted after it");
	zn_payers_done(&p);
}

static unsigned told;
static void count(void *arg, const struct zn_quota *q)
{
	static const char *const order[] = { "vision", "ann", "zoe" };

	*(bool *)arg &= told < 3 && !strcmp(q->name, order[told]) && q->running_now.has;
	told++;
}

static void test_each(void)
{
	struct zn_payers p;
	bool good = true;

	zn_payers_init(&p, (struct zn_quotas){ quotas, 3 }, (struct zn_shares){ 0 });
	zn_payers_get(&p, "zoe", NULL);
	tap_ok(zn_payers_each(&p, count, &good) == 0 && good && told == 3, "whoever is named, and who else came, is told of once");
	zn_payers_done(&p);
	zn_payers_init(&p, (struct zn_quotas){ 0 }, (struct zn_shares){ 0 });
	tap_ok(zn_payers_get(&p, "zoe", "vision") == 0 && zn_payer_may(&p, 0, &(struct zn_use){ .gpus = 99 }, ZN_QUOTA_SOFT, NULL, NULL),
	       "without quotas nobody is counted, and everybody may");
	zn_payers_done(&p);
}

int main(void)
{
	test_ledger();
	test_payers();
	test_hours();
	test_each();
	return tap_done();
}
