/* block: large memory, in huge pages where they are to be had, on the NUMA nodes that are asked for.
 *
 * Less than 2 MiB is the C library's business.  From there to 1 GiB come pages of 2 MiB: reserved ones (hugetlb) if there are
 * any, else such as the kernel makes (transparent ones), else plain ones; above it pages of 1 GiB first.  What was got
 * is said, and so is what was asked and can't be had: a policy that the kernel refuses costs the policy, not the
 * memory.  Reserved pages are all made at once, so that one that is missing on its node is found here and not by a
 * SIGBUS later.
 */
#ifndef ZN_MEM_BLOCK_H
#define ZN_MEM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idset.h"
#include "zenith.h"

enum zn_pages {
	ZN_PAGES_BY_SIZE,     /* asked: as above */
	ZN_PAGES_HEAP,        /* the C library's */
	ZN_PAGES_SMALL,
	ZN_PAGES_THP,         /* transparent huge pages, as far as the kernel makes them */
	ZN_PAGES_2M,
	ZN_PAGES_1G,
};

enum zn_block_policy { ZN_BLOCK_ANYWHERE, ZN_BLOCK_BIND, ZN_BLOCK_PREFER, ZN_BLOCK_INTERLEAVE };

struct zn_block_ask {
	size_t bytes;
	enum zn_pages pages;  /* those or, where there are none, the next smaller ones */
	enum zn_block_policy policy;
	struct zn_idset nodes;/* for a policy; not of HEAP */
	bool lock;            /* never swapped out */
	bool shared;          /* a memfd, which another process can map */
	unsigned touch;       /* so many threads write to each page now; 0: who uses it first will */
};

enum { ZN_BLOCK_TEXT = 160 };

struct zn_block {
	void *p;              /* aligned to its pages, to 64 bytes at least; all zero unless HEAP */
	size_t bytes;         /* as asked, or more */
	enum zn_pages got;    /* not BY_SIZE */
	bool is_shared;
	int fd;               /* of one that is shared: its own; it begins with the block */
	int policy_rc, lock_rc; /* 0, or -errno: why what was asked is not so */
};

/* -EINVAL: 0 bytes, a policy without nodes, a heap that is shared; -ENOMEM. */
int zn_block_get(const struct zn_block_ask *ask, struct zn_block *ret, struct zn_err *err);
/* One of the heap, and no more said. */
int zn__block_of_heap(size_t bytes, struct zn_block *ret);
void zn_block_put(struct zn_block *b);
/* Bytes of it on each node, as far as its pages were written to; ret has room for max nodes.  -errno where the kernel does not
 * say.  Looks at each page.
 */
int zn_block_where(const struct zn_block *b, uint64_t *ret, size_t max);
const char *zn_pages_name(enum zn_pages p); /* "2M hugetlb", "transparent huge pages", ... */
/* "2M hugetlb; memory policy: Operation not permitted": its pages, and what was asked and is not so.  Returns ret. */
const char *zn_block_text(const struct zn_block *b, char ret[static ZN_BLOCK_TEXT]);

#endif
