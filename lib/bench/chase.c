/* chase: how long a load takes that can't begin before the one in front of it is done.  Each line of a working set holds the
 * address of the next one, in one cycle through all of them in no order that a prefetcher could guess.  The pages are huge
 * ones if there are any; the peer is the same in small ones, which shows what the address translation costs.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/units.h"
#include "bench/bench.h"
#include "bench/chase.h"
#include "mem/block.h"

enum { STEPS = 1 << 18, SMALLEST = 16 << 10 };
static const uint64_t at_least = 256 << 20, at_most = 1 << 30; /* that the largest set has */

struct set {
	struct zn_block block;
	struct zn__line *at;
};

/* The one odd number that m, an odd one, makes 1, of 64 bits: Newton's way, which has twice as many right each time. */
static uint64_t inverse(uint64_t m)
{
	uint64_t v = m;

	for (int i = 0; i < 5; i++)
		v *= 2 - m * v;
	return v;
}

/* A linear congruential generator visits all numbers below a power of two (Hull and Dobell), but its low bits are far from
 * chance.  So its number is stirred, one to one, before it is a place; with the way back each line finds its own number, and
 * the lines are written in their order, at the speed of memory.
 */
void zn__lines_tie(struct zn__line *lines, unsigned bits)
{
	const uint64_t a = UINT64_C(0x5851f42d4c957f2d), c = UINT64_C(0x14057b7ef767814f), stir = UINT64_C(0x9e3779b97f4a7c15);
	const uint64_t mask = (UINT64_C(1) << bits) - 1, back = inverse(stir);
	const unsigned half = (bits + 1) / 2;

	for (uint64_t i = 0; i <= mask; i++) {
		uint64_t number = ((i ^ i >> half) * back) & mask;
		uint64_t next = ((a * number + c) * stir) & mask;
		lines[i].next = &lines[next ^ next >> half];
	}
}

static int open_set(struct set *s, size_t bytes, enum zn_pages pages, struct zn_err *err)
{
	struct zn_block_ask ask = { .bytes = bytes, .pages = pages, .touch = 1 };
	int rc = zn_block_get(&ask, &s->block, err);

	if (rc < 0)
		return rc;
	s->at = s->block.p;
	zn__lines_tie(s->at, (unsigned)__builtin_ctzll(bytes / sizeof(*s->at)));
	return 0;
}

/* Goes on where it stopped, so that a large set is seen a different part of each time. */
static int follow(void *arg, double *ret_ns, struct zn_err *err)
{
	struct set *s = arg;
	struct zn__line *at = s->at;
	uint64_t begin_ns = zn_boot_ns();

	(void)err;
	for (int i = 0; i < STEPS; i++)
		at = at->next;
	__asm__ volatile("" : "+r"(at));
	*ret_ns = (double)(zn_boot_ns() - begin_ns) / STEPS;
	s->at = at;
	return 0;
}

struct follower {
	struct set *ours, *peer;
	const struct zn_bench_ask *ask;
	struct zn_bench_result *result;
	struct zn_err *err;
	int rc;
};

/* On a CPU of its own: one that moves to another meets empty caches. */
static void run_follower(void *arg)
{
	struct follower *f = arg;
	double warm;

	follow(f->ours, &warm, f->err);
	if (f->peer->at)
		follow(f->peer, &warm, f->err);
	f->rc = zn_bench_by_turns(f->ask, f->result, (struct zn_bench_way){ follow, f->ours }, (struct zn_bench_way){ follow, f->peer }, f->err);
}

static int one_size(const struct zn_bench_ask *ask, size_t bytes, struct zn_err *err)
{
	char size[ZN_UNIT_TEXT];
	struct set ours = { .at = NULL }, peer = { .at = NULL };
	struct zn_bench_result result = { .bench = "chase", .name = zn_format_bytes(bytes, size), .unit = "ns" };
	struct follower f = { &ours, &peer, ask, &result, err, 0 };
	int rc = open_set(&ours, bytes, ZN_PAGES_2M, err);

	if (rc == 0 && ask->against)
		rc = open_set(&peer, bytes, ZN_PAGES_SMALL, err);
	if (rc == 0) {
		result.note = zn_pages_name(ours.block.got);
		rc = zn_bench_on_each(&(struct zn_bench_side){ ask->cpus[0], run_follower, &f }, 1);
	}
	zn_block_put(&ours.block);
	zn_block_put(&peer.block);
	return rc < 0 ? rc : f.rc;
}

/* As asked or four times what the caches hold, as far as there is memory for it twice over. */
static uint64_t largest(uint64_t asked, uint64_t cache, uint64_t memory)
{
	uint64_t bytes = asked ? asked : 4 * cache < at_least ? at_least : 4 * cache > at_most ? at_most : 4 * cache;

	return bytes < memory / 4 ? bytes : memory / 4;
}

int zn_bench_chase(const struct zn_bench_ask *ask, struct zn_err *err)
{
	struct zn_idset cpu = { { 0 } };
	int rc = 0;

	zn_idset_add(&cpu, ask->cpus[0]);
	uint64_t most = largest(ask->size_bytes, zn_bench_cache_bytes(&cpu), zn_bench_memory_bytes());
	for (uint64_t bytes = SMALLEST; rc == 0 && bytes <= most; bytes *= 2)
		rc = one_size(ask, bytes, err);
	return rc;
}
