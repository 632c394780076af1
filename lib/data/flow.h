/* flow: batches of sources of which at least one can only be read from its beginning, for one rank; as a loader otherwise.
 *
 * Samples come as they arrive, source after source; members that follow each other and have the same key are one, and the same
 * field once more begins another.  With a window the sources come in a random order, and each N samples are held in memory
 * and mixed: by the same permutations as a loader's, so the order is that of the same samples in shards.  A damaged place
 * costs what can't be told to be whole: a sample beside it with fewer members than most have.
 *
 * Each rank reads everything and takes samples in turn, one by one, so they differ by one at most, and have as many batches.
 * Going on in the middle reads and drops what lies before.
 */
#ifndef ZN_DATA_FLOW_H
#define ZN_DATA_FLOW_H

#include "data/loader.h"

struct zn_flow;

struct zn_flow_stats {
	uint64_t read_bytes;           /* as they are packed */
	uint64_t wait_ns;              /* for whoever writes them, or a device */
	uint64_t unpack_ns;            /* all else: unpacked, gathered */
};

/* Of ask threads, depth, direct and no_uring say nothing here.  memory_bytes: of all samples that are held or out; a larger one is
 * lost.  The sources need not be open, and stay the caller's, unchanged until the flow is freed.
 * -EINVAL: a window of everything, the tail repeated, or more epochs than a source can be read; -ENOTSUP: a source lies at a URL;
 * -ENOMEM.
 */
int zn_flow_new(const struct zn_sources *sources, const struct zn_loader_ask *ask, struct zn_flow **ret, struct zn_err *err);
void zn_flow_free(struct zn_flow *f);
/* The next batch: 1; 0: there is no other one; -EINTR: a signal's handler ran while it waited, and it can't go on; -E2BIG: a batch,
 * or a window, needs more memory; -ENOTSUP: a source takes libarchive, and this was built without it; -errno.  What has no samples (NULL) is no batch: only losses that came behind the last one.
 */
int zn_flow_next(struct zn_flow *f, const struct zn_batch **ret, struct zn_err *err);
/* It is not looked at any more. */
void zn_flow_put(struct zn_flow *f, const struct zn_batch *batch);
struct zn_flow_stats zn_flow_count(const struct zn_flow *f);

#endif
