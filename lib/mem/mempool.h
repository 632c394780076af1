/* mempool: blocks of one purpose (the same pages, policy and nodes) that are kept for the next who asks for that size.  Getting one
 * from the kernel takes as long as making its pages; getting one that was kept is a list's head.  Small ones of the heap pass
 * through: the C library keeps those itself, sooner, and they are not counted.  Any thread may call.
 */
#ifndef ZN_MEM_MEMPOOL_H
#define ZN_MEM_MEMPOOL_H

#include <pthread.h>

#include "mem/block.h"

enum {
	ZN_MEMPOOL_CLASSES = 8 * 44,   /* 8 sizes between one power of two and the next, from 64 bytes to a pebibyte */
	ZN_MEMPOOL_SMALL = 96 << 10,   /* well below what glibc maps, and gives back to the kernel, by itself (mallopt(3)) */
};

struct zn_mempool_stats {
	uint64_t out_bytes, kept_bytes;
	uint64_t made, reused;         /* blocks: from the kernel, and from what was kept */
};

struct zn_mempool {
	pthread_mutex_t lock;
	struct zn_block_ask like;      /* but for bytes */
	uint64_t keep_bytes;
	struct zn__mempool_kept *kept[ZN_MEMPOOL_CLASSES];
	struct zn_mempool_stats stats;
};

/* keep_bytes: what is kept at most of what was put back. */
void zn_mempool_init(struct zn_mempool *p, const struct zn_block_ask *like, uint64_t keep_bytes);
/* As zn_block_get, of an eighth more at most, or of up to twice the size where one is kept; that has what its last user left in it. */
int zn_mempool_get(struct zn_mempool *p, size_t bytes, struct zn_block *ret, struct zn_err *err);
void zn_mempool_put(struct zn_mempool *p, struct zn_block *b);
struct zn_mempool_stats zn_mempool_count(struct zn_mempool *p);
/* What is kept goes back to the kernel; what is out stays its user's, who may still put it. */
void zn_mempool_drop(struct zn_mempool *p);
void zn_mempool_done(struct zn_mempool *p);

#endif
