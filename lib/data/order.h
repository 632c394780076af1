/* order: which sample comes where in an epoch, and which rank gets it; a pure function of what was asked.
 *
 * Without shuffling samples come as they lie, shard after shard.  With a window of N the shards come in a random order, and
 * then each N samples that follow each other are mixed; N of all samples is a shuffle of everything.  Nothing is stored for it: the mix is
 * a permutation that can be asked for any place (a Feistel network with cycle walking: Black and Rogaway, "Ciphers with
 * Arbitrary Finite Domains", CT-RSA 2002), so going on in the middle costs nothing, with any number of ranks.
 *
 * Ranks are dealt batches in turn: batch 0 of rank 0, of rank 1, ..., then batch 1.  What is left at an epoch's end and is less than a
 * batch for each is dealt evenly, or left out, or filled up from the epoch's beginning; so each rank has as many batches.
 */
#ifndef ZN_DATA_ORDER_H
#define ZN_DATA_ORDER_H

#include <stdint.h>

/* A permutation of 0 .. n - 1. */
struct zn_mix { uint64_t n, key; unsigned low_bits, high_bits; };

struct zn_mix zn_mix_make(uint64_t n, uint64_t key);
uint64_t zn_mix_at(const struct zn_mix *m, uint64_t i); /* i < n */

enum zn_tail { ZN_TAIL_SHARE, ZN_TAIL_DROP, ZN_TAIL_REPEAT };

struct zn_order_ask {
	uint64_t seed, window;         /* window 0 or 1: as they lie; UINT64_MAX: all */
	uint32_t batch, world;         /* at least 1 */
	enum zn_tail tail;
};

/* The key of one mix of an epoch: what is the number of a window, or UINT64_MAX for the shards. */
uint64_t zn__order_key(const struct zn_order_ask *ask, uint64_t epoch, uint64_t what);

/* One epoch of a data set, or what is left of it from a place on. */
struct zn_epoch {
	struct zn_order_ask ask;
	uint64_t number, total;
	uint64_t first;                /* the place where dealing begins; 0 but after going on in the middle */
	uint64_t *begins;              /* n_shards + 1: in this epoch's order, where the samples of each begin */
	uint32_t *shards;              /* which shard that is */
	uint32_t n_shards;
};

/* counts: samples of each shard; borrowed for the call.  first: at most their sum.  -ENOMEM. */
int zn_epoch_init(struct zn_epoch *e, const struct zn_order_ask *ask, uint64_t number, uint64_t first, const uint64_t *counts, uint32_t n_shards);
void zn_epoch_done(struct zn_epoch *e);

struct zn_place { uint32_t shard; uint64_t sample; };
/* Who is at place i, below total. */
struct zn_place zn_epoch_at(const struct zn_epoch *e, uint64_t i);
/* Batches of each rank, from first on. */
uint64_t zn_epoch_batches(const struct zn_epoch *e);
/* Samples of batch k of those of a rank, and the place of its i-th. */
uint32_t zn_epoch_size(const struct zn_epoch *e, uint32_t rank, uint64_t k);
uint64_t zn_epoch_place(const struct zn_epoch *e, uint32_t rank, uint64_t k, uint32_t i);
/* Where all ranks are once each of them has had batch k: the place to begin at to go on behind it, with any number of ranks. */
uint64_t zn_epoch_after(const struct zn_epoch *e, uint64_t k);

#endif
