/* The order of samples: each once, the same again, dealt to ranks so that all get as many batches, and gone on with anywhere. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/order.h"
#include "tap.h"

static void mixes(void)
{
	unsigned good = 0, fixed = 0, n_all = 0;

	for (uint64_t n = 1; n <= 300; n++) {
		struct zn_mix m = zn_mix_make(n, n * 77);
		char *seen = calloc(n, 1);
		uint64_t sum = 0;
		for (uint64_t i = 0; i < n; i++) {
			uint64_t at = zn_mix_at(&m, i);
			sum += at < n && !seen[at];
			seen[at < n ? at : 0] = 1;
			fixed += at == i;
		}
		n_all += n;
		good += sum == n;
		free(seen);
	}
	tap_ok(good == 300, "a mix is a permutation, from 1 to 300");
	tap_ok(fixed < 3 * 300, "which moves nearly all: %u of %u stay", fixed, n_all);
	struct zn_mix m = zn_mix_make(1000, 1), other = zn_mix_make(1000, 2);
	unsigned same = 0;
	for (uint64_t i = 0; i < 1000; i++)
		same += zn_mix_at(&m, i) == zn_mix_at(&other, i);
	tap_ok(same < 20, "and depends on its key: %u of 1000 are alike", same);
	double sum = 0;
	for (uint64_t i = 0; i < 1000; i++)
		sum += (double)i * (double)zn_mix_at(&m, i);
	double correlation = (sum / 1000 - 499.5 * 499.5) / (1000. * 1000 / 12);
	tap_ok(correlation < 0.15 && correlation > -0.15, "what is mixed has nothing to do with where it was: %.3f", correlation);
}

/* All that all ranks get of an epoch, from a place on, is what should come, each once. */
static bool is_dealt(const struct zn_epoch *e, uint64_t *ret_batches)
{
	uint64_t n = zn_epoch_batches(e), *times = calloc(e->total + 1, sizeof(*times));
	bool good = true;

	for (uint64_t k = 0; k < n; k++)
		for (uint32_t rank = 0; rank < e->ask.world; rank++)
			for (uint32_t i = 0; i < zn_epoch_size(e, rank, k); i++)
				times[zn_epoch_place(e, rank, k, i)]++;
	for (uint64_t i = 0; i < e->total; i++) {
		bool dropped = e->ask.tail == ZN_TAIL_DROP && i >= e->first + n * e->ask.batch * e->ask.world;
		good &= i < e->first ? e->ask.tail == ZN_TAIL_REPEAT || !times[i] : dropped ? !times[i] : times[i] >= 1;
		good &= e->ask.tail == ZN_TAIL_REPEAT || times[i] <= 1;
	}
	*ret_batches = n;
	free(times);
	return good;
}

static void deals(void)
{
	uint64_t random = 5, good = 0, even = 0, rounds = 500;

	for (uint64_t round = 0; round < rounds; round++) {
		uint64_t counts[4] = { zn_random(&random) % 40, zn_random(&random) % 3, 0, zn_random(&random) % 90 }, total = counts[0] + counts[1] + counts[3];
		struct zn_order_ask ask = { .seed = round, .window = (uint64_t[]){ 0, 7, UINT64_MAX, 1000 }[round % 4], .batch = 1 + (uint32_t)(zn_random(&random) % 9),
		                            .world = 1 + (uint32_t)(zn_random(&random) % 5), .tail = (enum zn_tail)(zn_random(&random) % 3) };
		struct zn_epoch e;
		uint64_t n, most = 0, least = UINT64_MAX;
		if (zn_epoch_init(&e, &ask, round, total ? zn_random(&random) % (total + 1) : 0, counts, 4) < 0)
			break;
		good += is_dealt(&e, &n);
		for (uint32_t rank = 0; n && rank < ask.world; rank++) {
			uint64_t size = zn_epoch_size(&e, rank, n - 1);
			most = size > most ? size : most;
			least = size < least ? size : least;
		}
		even += !n || most - least <= 1;
		zn_epoch_done(&e);
	}
	tap_ok(good == rounds, "each sample goes to one rank, once an epoch, unless it was asked otherwise");
	tap_ok(even == rounds, "the last batches differ by one at most");
}

/* Places are samples, each once; with a window they stay in it. */
static void places(void)
{
	const uint64_t counts[3] = { 100, 0, 50 };
	struct zn_order_ask ask = { .seed = 1, .batch = 4, .world = 2 };
	bool in_order = true, all = true, near = true;
	struct zn_epoch e, other;
	char seen[3][100];

	for (int window = 0; window < 3; window++) {
		ask.window = (uint64_t[]){ 0, 10, UINT64_MAX }[window];
		memset(seen, 0, sizeof(seen));
		if (zn_epoch_init(&e, &ask, 3, 0, counts, 3) < 0)
			return;
		for (uint64_t i = 0; i < e.total; i++) {
			struct zn_place p = zn_epoch_at(&e, i);
			uint64_t flat = p.sample;
			for (uint32_t s = 0; e.shards[s] != p.shard; s++)
				flat += counts[e.shards[s]];
			all &= p.sample < counts[p.shard] && !seen[p.shard][p.sample]++;
			in_order &= window || (p.shard == (i < 100 ? 0 : 2) && p.sample == i % 100);
			near &= window != 1 || flat / 10 == i / 10;
		}
		zn_epoch_done(&e);
	}
	tap_ok(in_order, "without a window samples come as they lie");
	tap_ok(all, "with any each comes once");
	tap_ok(near, "and stays within its window, over the shards' order");
	ask.window = UINT64_MAX;
	unsigned same = 0;
	if (zn_epoch_init(&e, &ask, 0, 0, counts, 3) < 0 || zn_epoch_init(&other, &ask, 1, 0, counts, 3) < 0)
		return;
	for (uint64_t i = 0; i < e.total; i++) {
		struct zn_place a = zn_epoch_at(&e, i), b = zn_epoch_at(&other, i);
		same += a.shard == b.shard && a.sample == b.sample;
	}
	tap_ok(same < 10, "another epoch is another order: %u of 150 are where they were", same);
	zn_epoch_done(&e);
	zn_epoch_done(&other);
}

/* Stopped anywhere and gone on with, also with other ranks: what came before and after is all of it. */
static void goes_on(void)
{
	const uint64_t counts[2] = { 61, 40 };
	struct zn_order_ask ask = { .seed = 9, .window = 20, .batch = 3, .world = 4 };
	bool same = true, rest = true;
	struct zn_epoch e, after;

	if (zn_epoch_init(&e, &ask, 0, 0, counts, 2) < 0)
		return;
	for (uint64_t k = 0; k + 1 < zn_epoch_batches(&e); k++) {
		if (zn_epoch_init(&after, &ask, 0, zn_epoch_after(&e, k), counts, 2) < 0)
			return;
		for (uint32_t rank = 0; rank < 4; rank++)
			for (uint64_t next = k + 1; next < zn_epoch_batches(&e); next++) {
				same &= zn_epoch_size(&e, rank, next) == zn_epoch_size(&after, rank, next - k - 1);
				for (uint32_t i = 0; i < zn_epoch_size(&e, rank, next); i++)
					same &= zn_epoch_place(&e, rank, next, i) == zn_epoch_place(&after, rank, next - k - 1, i);
			}
		zn_epoch_done(&after);
		struct zn_order_ask other = ask;
		uint64_t n;
		other.world = 3;
		if (zn_epoch_init(&after, &other, 0, zn_epoch_after(&e, k), counts, 2) < 0)
			return;
		rest &= is_dealt(&after, &n);
		zn_epoch_done(&after);
	}
	tap_ok(same, "gone on with after any batch each rank gets what it would have got");
	tap_ok(rest, "other ranks share what is left");
	tap_ok(zn_epoch_after(&e, zn_epoch_batches(&e) - 1) == 101, "after the last one nothing is left");
	zn_epoch_done(&e);
}

int main(void)
{
	mixes();
	deals();
	places();
	goes_on();
	return tap_done();
}
