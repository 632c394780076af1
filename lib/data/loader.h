/* loader: batches of what lies in the sources, in the order that was asked, for one rank.
 *
 * What is in the page cache is read when its batch is next, in one piece of memory that stays small; what is not is asked of the
 * device some batches ahead, past the page cache where that pays.  Memory is bounded by what was asked: where it is full, reading
 * waits for batches to be given back.
 */
#ifndef ZN_DATA_LOADER_H
#define ZN_DATA_LOADER_H

#include <stdbool.h>

#include "base/idset.h"
#include "data/batch.h"
#include "data/order.h"
#include "data/source.h"

struct zn_loader;
struct zn_decoder;

enum zn_direct {
	ZN_DIRECT_AUTO,                /* what is not in the page cache, unless all of it fits there and is wanted again */
	ZN_DIRECT_ALWAYS,
	ZN_DIRECT_NEVER,
};

struct zn_loader_ask {
	struct zn_order_ask order;
	uint32_t rank;
	uint64_t epochs;               /* 0: without an end */
	uint64_t epoch, first;         /* where to begin: first samples of that epoch are passed over */
	uint64_t memory_bytes;         /* of all batches that are read or out, at least one */
	unsigned threads;              /* 0: the caller's own; else so many read, each every so many batches */
	unsigned depth;                /* requests to a device at once, of each thread */
	enum zn_direct direct;
	struct zn_idset nodes;         /* NUMA nodes where batches lie if there is room; empty: anywhere */
	bool no_uring;
	bool shared;                   /* batches lie in memory that others can map */
	/* What fields become, one at most for each; the caller's until the loader is freed.  Those that must learn their shape do so from the
	 * first batch.  A sample that can't be decoded is lost.
	 */
	struct zn_decoder *const *decoders;
	uint32_t n_decoders;
	const char *const *fields;     /* those only, in this order, and a sample that lacks one is lost; NULL: all */
	uint32_t n_fields;
};

struct zn_loader_stats {
	uint64_t batches, samples, bytes, losses;
	uint64_t warm_bytes, cold_bytes, direct_bytes; /* read: from the page cache, not from it; of these with O_DIRECT */
	uint64_t url_bytes;            /* fetched */
	uint64_t device_ns;            /* all threads together: waited for a device, or a server */
	uint64_t copy_ns;              /* copied from the page cache */
	uint64_t parse_ns;             /* took apart */
	uint64_t decode_ns;            /* decoded */
	uint64_t full_ns;              /* waited for somebody to take a batch */
	uint64_t empty_ns;             /* the caller waited for a batch */
	uint64_t requests, asked;      /* of devices and servers: asked for and not taken yet when a batch was, added up; how often */
	uint64_t ready, taken;         /* of threads: batches that were ready when one was taken, added up; how often */
	const char *engine;            /* "io_uring", "threads": of cold reads; NULL: there were none */
};

/* The sources are open, and stay the caller's, unchanged until the loader is freed.  -EINVAL, -ENOMEM, ... */
int zn_loader_new(const struct zn_sources *sources, const struct zn_loader_ask *ask, struct zn_loader **ret, struct zn_err *err);
void zn_loader_free(struct zn_loader *l);
/* The next batch: 1; 0: there is no other one; -errno.  Always from the same thread. */
int zn_loader_next(struct zn_loader *l, const struct zn_batch **ret, struct zn_err *err);
/* It is not looked at any more. */
void zn_loader_put(struct zn_loader *l, const struct zn_batch *batch);
uint64_t zn_loader_total(const struct zn_loader *l); /* samples of an epoch, all ranks together */
/* So far; exact when nothing is under way.  From the thread that gets batches. */
struct zn_loader_stats zn_loader_count(struct zn_loader *l);

#endif
