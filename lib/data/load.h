/* load: one batch on its way: what must be read for it, where that goes, and what came of it. */
#ifndef ZN_DATA_LOAD_H
#define ZN_DATA_LOAD_H

#include "data/load_decode.h"
#include "data/loader.h"
#include "data/names.h"
#include "data/reads.h"
#include "mem/mempool.h"

/* A piece of one sample: of a shard, or a whole file. */
struct zn__piece {
	const struct zn_source *source;
	uint32_t file;                 /* of files: which */
	uint64_t offset, bytes;
	uint32_t run;
	const char *p;                 /* where it is once it is read */
};

/* Pieces that follow each other in one file, and are read as one. */
struct zn__run {
	const struct zn_source *source;
	uint32_t file;
	int fd, own_fd;                /* own_fd: closed with it; -1: none */
	uint64_t at, bytes;
	char *p;
	uint32_t first_read, n_reads;  /* 0: it is warm, and read when its batch is next */
	uint64_t good;                 /* of its bytes, from the beginning: could be read */
	int rc;                        /* why no more; of a URL each of its reads says that itself */
};

struct zn__slot {
	struct zn_place place;
	uint32_t first_piece, n_pieces;
	const char *why;               /* it is lost already; NULL: not so */
};

/* What all loads of one thread share. */
struct zn__loading {
	const struct zn_sources *sources;
	const struct zn_loader_ask *ask;
	struct zn_mempool *pool;       /* of all threads */
	struct zn_reads *reads;
	struct zn__hands hands;
	bool direct;                   /* for what is cold */
	struct zn__names names;
	long n_held;                   /* descriptors of files */
	struct zn_loader_stats stats;
};

struct zn__load {
	struct zn_batch batch;
	struct zn_arena arena;
	struct zn_block mem;
	char *tensors;                 /* in it, of what is decoded; NULL: nothing is */
	uint64_t bytes;                /* of memory */
	struct zn__slot *slots;
	uint32_t n_slots;
	struct zn__piece *pieces;
	struct zn__run *runs;
	struct zn_read *reads;
	uint32_t n_pieces, n_runs, n_reads;
	uint64_t cap_pieces, cap_runs, cap_reads;
	struct zn_loss *losses;
	uint32_t n_losses, cap_losses;
	bool is_cold;
	int rc;                        /* nothing came of it; then err says why */
	struct zn_err err;
	struct zn__load *next;
};

/* Counted by one thread, and looked at by another. */
static inline void zn__count(uint64_t *to, uint64_t n)
{
	__atomic_store_n(to, *to + n, __ATOMIC_RELAXED);
}

/* What rank gets as its k-th of an epoch's; has what is cold begin to be read. */
int zn__load_plan(struct zn__loading *g, const struct zn_epoch *e, uint64_t k, struct zn__load **ret, struct zn_err *err);
/* Waits for it, reads what is warm, and takes it apart. */
int zn__load_finish(struct zn__loading *g, struct zn__load *load, struct zn_err *err);
void zn__load_free(struct zn__load *load, struct zn_mempool *pool);
void zn__loading_done(struct zn__loading *g);

/* load_parse.c: the samples of a load whose bytes are there. */
int zn__load_parse(struct zn__loading *g, struct zn__load *load);
int zn__load_lose(struct zn__load *load, const struct zn_source *source, uint64_t offset, const char *key, const char *why);

#endif
