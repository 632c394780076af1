#include "data/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/random.h"

enum { ROUNDS = 6 };

static uint64_t hash(uint64_t a, uint64_t b)
{
	uint64_t state = a ^ b * UINT64_C(0xd6e8feb86659fd93);

	return zn_random(&state);
}

/* ---- a permutation ---------------------------------------------------------------------------------------- */

struct zn_mix zn_mix_make(uint64_t n, uint64_t key)
{
	unsigned bits = n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 0;

	return (struct zn_mix){ n, key, bits / 2, bits - bits / 2 };
}

/* Of all numbers of so many bits: each half in turn gets what the other one hashes to. */
static uint64_t feistel(const struct zn_mix *m, uint64_t v)
{
	uint64_t low_mask = (UINT64_C(1) << m->low_bits) - 1, high_mask = (UINT64_C(1) << m->high_bits) - 1;
	uint64_t low = v & low_mask, high = v >> m->low_bits;

	for (unsigned round = 0; round < ROUNDS; round += 2) {
		high ^= hash(low, m->key + round) & high_mask;
		low ^= hash(high, m->key + round + 1) & low_mask;
	}
	return high << m->low_bits | low;
}

uint64_t zn_mix_at(const struct zn_mix *m, uint64_t i)
{
	do /* at most half of the numbers are too large, so two steps are usual at the worst */
		i = feistel(m, i);
	while (i >= m->n);
	return i;
}

/* ---- an epoch --------------------------------------------------------------------------------------------- */

static uint64_t window_of(const struct zn_epoch *e)
{
	return e->ask.window < e->total ? e->ask.window : e->total;
}

uint64_t zn__order_key(const struct zn_order_ask *ask, uint64_t epoch, uint64_t what)
{
	return hash(hash(ask->seed, epoch), what);
}

static uint64_t key_of(const struct zn_epoch *e, uint64_t what)
{
	return zn__order_key(&e->ask, e->number, what);
}

int zn_epoch_init(struct zn_epoch *e, const struct zn_order_ask *ask, uint64_t number, uint64_t first, const uint64_t *counts, uint32_t n_shards)
{
	*e = (struct zn_epoch){ .ask = *ask, .number = number, .first = first, .n_shards = n_shards,
	                        .begins = calloc((size_t)n_shards + 1, sizeof(*e->begins)), .shards = calloc((size_t)n_shards + 1, sizeof(*e->shards)) };
	if (!e->begins || !e->shards) {
		zn_epoch_done(e);
		return -ENOMEM;
	}
	struct zn_mix mix = zn_mix_make(n_shards, key_of(e, UINT64_MAX));
	for (uint32_t i = 0; i < n_shards; i++) {
		e->shards[i] = ask->window > 1 ? (uint32_t)zn_mix_at(&mix, i) : i;
		e->begins[i] = e->total;
		e->total += counts[e->shards[i]];
	}
	e->begins[n_shards] = e->total;
	return 0;
}

void zn_epoch_done(struct zn_epoch *e)
{
	free(e->begins);
	free(e->shards);
	*e = (struct zn_epoch){ .total = 0 };
}

static uint64_t mixed(const struct zn_epoch *e, uint64_t i)
{
	uint64_t window = window_of(e);

	if (window < 2)
		return i;
	uint64_t number = i / window, first = number * window, left = e->total - first;
	struct zn_mix mix = zn_mix_make(left < window ? left : window, key_of(e, number));
	return first + zn_mix_at(&mix, i - first);
}

struct zn_place zn_epoch_at(const struct zn_epoch *e, uint64_t i)
{
	uint32_t low = 0, high = e->n_shards - 1;

	i = mixed(e, i);
	while (low < high) { /* the last that begins at i or before; of those that begin there, which are empty, the last */
		uint32_t middle = low + (high - low + 1) / 2;
		if (e->begins[middle] <= i)
			low = middle;
		else
			high = middle - 1;
	}
	return (struct zn_place){ e->shards[low], i - e->begins[low] };
}

/* ---- dealing ---------------------------------------------------------------------------------------------- */

static uint64_t round_of(const struct zn_epoch *e)
{
	return (uint64_t)e->ask.batch * e->ask.world;
}

/* What is left when batch k comes. */
static uint64_t left_at(const struct zn_epoch *e, uint64_t k)
{
	return e->total - e->first - k * round_of(e);
}

static bool is_whole(const struct zn_epoch *e, uint64_t k)
{
	return left_at(e, k) >= round_of(e) || e->ask.tail == ZN_TAIL_REPEAT;
}

uint64_t zn_epoch_batches(const struct zn_epoch *e)
{
	uint64_t left = e->total - e->first;

	return left / round_of(e) + (e->ask.tail != ZN_TAIL_DROP && left % round_of(e) != 0);
}

uint32_t zn_epoch_size(const struct zn_epoch *e, uint32_t rank, uint64_t k)
{
	uint64_t left = left_at(e, k);

	return is_whole(e, k) ? e->ask.batch : (uint32_t)(left / e->ask.world + (rank < left % e->ask.world));
}

uint64_t zn_epoch_place(const struct zn_epoch *e, uint32_t rank, uint64_t k, uint32_t i)
{
	uint64_t begin = e->first + k * round_of(e), left = left_at(e, k);

	if (is_whole(e, k))
		return (begin + (uint64_t)rank * e->ask.batch + i) % e->total;
	uint64_t each = left / e->ask.world, more = left % e->ask.world;
	return begin + rank * each + (rank < more ? rank : more) + i;
}

uint64_t zn_epoch_after(const struct zn_epoch *e, uint64_t k)
{
	return left_at(e, k) > round_of(e) ? e->first + (k + 1) * round_of(e) : e->total;
}
