/* block: see the header. */
#include "mem/block.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26 /* and MFD_HUGE_SHIFT */
#endif

static const struct {
	const char *name;
	unsigned shift;           /* of a page; 0: the system's */
	int flags;
} kinds[] = {
	[ZN_PAGES_BY_SIZE] = { "by size", 0, 0 },
	[ZN_PAGES_HEAP] = { "heap", 0, 0 },
	[ZN_PAGES_SMALL] = { "small pages", 0, 0 },
	[ZN_PAGES_THP] = { "transparent huge pages", 21, 0 },
	[ZN_PAGES_2M] = { "2M hugetlb", 21, MAP_HUGETLB | 21 << MAP_HUGE_SHIFT },
	[ZN_PAGES_1G] = { "1G hugetlb", 30, MAP_HUGETLB | 30 << MAP_HUGE_SHIFT },
};

enum { WORDS = ZN_IDSET_MAX / 64, LOOK_AT = 512 };

const char *zn_pages_name(enum zn_pages p)
{
	return kinds[p].name;
}

static size_t page_of(enum zn_pages p)
{
	return kinds[p].shift ? (size_t)1 << kinds[p].shift : (size_t)sysconf(_SC_PAGESIZE);
}

/* What it takes of such pages; 0: more than there can be. */
static size_t rounded(size_t bytes, enum zn_pages p)
{
	size_t page = page_of(p);

	return bytes <= SIZE_MAX / 2 ? (bytes + page - 1) & ~(page - 1) : 0;
}

const char *zn_block_text(const struct zn_block *b, char ret[static ZN_BLOCK_TEXT])
{
	int n = snprintf(ret, ZN_BLOCK_TEXT, "%s", zn_pages_name(b->got));

	if (b->policy_rc)
		n += snprintf(ret + n, ZN_BLOCK_TEXT - (size_t)n, "; memory policy: %.40s", strerror(-b->policy_rc));
	if (b->lock_rc)
		snprintf(ret + n, ZN_BLOCK_TEXT - (size_t)n, "; not locked: %.40s", strerror(-b->lock_rc));
	return ret;
}

/* ---- where: policy ---- */

static int set_policy(const struct zn_block_ask *ask, void *p, size_t bytes)
{
	static const int modes[] = { [ZN_BLOCK_BIND] = MPOL_BIND, [ZN_BLOCK_PREFER] = MPOL_PREFERRED_MANY, [ZN_BLOCK_INTERLEAVE] = MPOL_INTERLEAVE };
	unsigned long mask[WORDS * 64 / (8 * sizeof(long)) + 1] = { 0 };

	if (ask->policy == ZN_BLOCK_ANYWHERE)
		return 0;
	zn_idset_each(node, &ask->nodes)
		mask[(size_t)node / (8 * sizeof(long))] |= 1UL << ((size_t)node % (8 * sizeof(long)));
	const unsigned long bits = 1024; /* as many nodes as there can be; the kernel counts one off */
	if (syscall(SYS_mbind, p, bytes, modes[ask->policy], mask, bits + 1, 0) == 0)
		return 0;
	if (ask->policy == ZN_BLOCK_PREFER && errno == EINVAL && /* before 5.15 only one can be preferred */
	    syscall(SYS_mbind, p, bytes, MPOL_PREFERRED, mask, bits + 1, 0) == 0)
		return 0;
	return -errno;
}

/* ---- now: touching ---- */

struct part {
	char *p;
	size_t bytes, page;
	int rc;
};

static void *touch_part(void *arg)
{
	struct part *t = arg;

	if (!t->bytes || madvise(t->p, t->bytes, MADV_POPULATE_WRITE) == 0)
		return NULL;
	t->rc = -errno;
	if (t->rc == -EINVAL) /* an older kernel */
		for (size_t at = 0; at < t->bytes; at += t->page)
			((volatile char *)t->p)[at] = 0;
	return NULL;
}

/* -EINVAL: the kernel can't say whether a reserved page is there for each, and nothing was tried. */
static int touch(void *p, size_t bytes, enum zn_pages pages, unsigned threads)
{
	enum { MOST = 64 };
	struct part parts[MOST];
	pthread_t ids[MOST];
	bool runs[MOST] = { false };
	size_t page = page_of(pages), n = bytes / page;
	int rc = 0;

	threads = threads < 1 ? 1 : threads > MOST ? MOST : threads;
	if (kinds[pages].flags && madvise(p, page, MADV_POPULATE_WRITE) < 0)
		return -errno;
	for (unsigned i = 0; i < threads; i++) {
		size_t from = n * i / threads * page, to = n * (i + 1) / threads * page;
		parts[i] = (struct part){ .p = (char *)p + from, .bytes = to - from, .page = page };
		runs[i] = i > 0 && pthread_create(&ids[i], NULL, touch_part, &parts[i]) == 0;
	}
	for (unsigned i = 0; i < threads; i++) {
		if (runs[i])
			pthread_join(ids[i], NULL);
		else
			touch_part(&parts[i]);
		if (parts[i].rc < 0 && parts[i].rc != -EINVAL)
			rc = parts[i].rc;
	}
	return rc;
}

/* ---- getting ---- */

/* So much of the address space, its beginning a multiple of align. */
static void *map_aligned(size_t bytes, size_t align)
{
	char *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	size_t before = (size_t)(-(uintptr_t)p & (align - 1));
	if (before)
		munmap(p, before);
	munmap(p + before + bytes, align - before);
	return p + before;
}

static void *map(size_t bytes, enum zn_pages pages)
{
	if (!kinds[pages].flags)
		return map_aligned(bytes, page_of(pages));
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | kinds[pages].flags, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* A memfd, all of it mapped. */
static void *map_shared(size_t bytes, enum zn_pages pages, int *ret_fd)
{
	unsigned huge = kinds[pages].flags ? MFD_HUGETLB | kinds[pages].shift << MAP_HUGE_SHIFT : 0;
	int fd = memfd_create("zenith", MFD_CLOEXEC | huge);
	void *p = fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	*ret_fd = fd;
	return p;
}

static void unmap(const struct zn_block *b)
{
	munmap(b->p, b->bytes);
	if (b->is_shared)
		close(b->fd);
}

/* A policy first, since it says where the pages go that are made then. */
static int settle(const struct zn_block_ask *ask, struct zn_block *b)
{
	b->policy_rc = set_policy(ask, b->p, b->bytes);
	if (b->got == ZN_PAGES_THP && madvise(b->p, b->bytes, MADV_HUGEPAGE) < 0) /* a kernel without them */
		b->got = ZN_PAGES_SMALL;
	if (kinds[b->got].flags || ask->touch) {
		int rc = touch(b->p, b->bytes, b->got, ask->touch);
		if (rc < 0)
			return rc;
	}
	if (ask->lock && mlock(b->p, b->bytes) < 0)
		b->lock_rc = -errno;
	return 0;
}

static int try_pages(const struct zn_block_ask *ask, enum zn_pages pages, struct zn_block *ret)
{
	struct zn_block b = { .bytes = rounded(ask->bytes, pages), .got = pages, .is_shared = ask->shared, .fd = -1 };

	b.p = !b.bytes ? NULL : ask->shared ? map_shared(b.bytes, pages, &b.fd) : map(b.bytes, pages);
	if (!b.p)
		return -ENOMEM;
	int rc = settle(ask, &b);
	if (rc < 0)
		unmap(&b);
	else
		*ret = b;
	return rc;
}

/* What the C library gave lies just before the block: its own aligned_alloc is several times as slow as malloc. */
int zn__block_of_heap(size_t bytes, struct zn_block *ret)
{
	struct zn_block b = { .got = ZN_PAGES_HEAP, .bytes = (bytes + 63) & ~(size_t)63, .fd = -1 };
	char *got = b.bytes >= bytes && b.bytes < SIZE_MAX - 64 ? malloc(b.bytes + 64) : NULL;

	if (!got)
		return -ENOMEM;
	b.p = got + 64 - ((uintptr_t)got & 63);
	((void **)b.p)[-1] = got;
	*ret = b;
	return 0;
}

static void to_heap(void *p)
{
	if (p)
		free(((void **)p)[-1]);
}

static enum zn_pages by_size(const struct zn_block_ask *ask)
{
	if (ask->pages != ZN_PAGES_BY_SIZE)
		return ask->pages;
	if (ask->bytes > (size_t)1 << 30)
		return ZN_PAGES_1G;
	if (ask->bytes >= (size_t)2 << 20)
		return ZN_PAGES_2M;
	return ask->policy || ask->lock || ask->shared ? ZN_PAGES_SMALL : ZN_PAGES_HEAP;
}

int zn_block_get(const struct zn_block_ask *ask, struct zn_block *ret, struct zn_err *err)
{
	enum zn_pages pages = by_size(ask);
	int rc = -ENOMEM;

	if (!ask->bytes)
		return zn_err_set(err, -EINVAL, "a block of 0 bytes is none");
	if (ask->policy != ZN_BLOCK_ANYWHERE && (pages == ZN_PAGES_HEAP || zn_idset_is_empty(&ask->nodes)))
		return zn_err_set(err, -EINVAL, "a memory policy needs nodes, and pages of its own");
	if (ask->shared && pages == ZN_PAGES_HEAP)
		return zn_err_set(err, -EINVAL, "what is shared needs pages of its own");
	if (pages == ZN_PAGES_HEAP)
		rc = zn__block_of_heap(ask->bytes, ret);
	for (; rc < 0 && pages > ZN_PAGES_HEAP; pages--)
		rc = try_pages(ask, pages, ret);
	return rc < 0 ? zn_err_set(err, -ENOMEM, "there is no memory for a block of %zu bytes", ask->bytes) : 0;
}

void zn_block_put(struct zn_block *b)
{
	if (b->got == ZN_PAGES_HEAP)
		to_heap(b->p);
	else if (b->p)
		unmap(b);
	*b = (struct zn_block){ 0 };
}

int zn_block_where(const struct zn_block *b, uint64_t *ret, size_t max)
{
	size_t page = b->got == ZN_PAGES_THP ? (size_t)sysconf(_SC_PAGESIZE) : page_of(b->got), n = b->bytes / page;
	void *pages[LOOK_AT];
	int at[LOOK_AT];

	memset(ret, 0, max * sizeof(*ret));
	for (size_t i = 0; i < n; i += LOOK_AT) {
		size_t k = n - i < LOOK_AT ? n - i : LOOK_AT;
		for (size_t j = 0; j < k; j++)
			pages[j] = (char *)b->p + (i + j) * page;
		if (syscall(SYS_move_pages, 0, k, pages, NULL, at, 0) < 0)
			return -errno;
		for (size_t j = 0; j < k; j++)
			if (at[j] >= 0 && (size_t)at[j] < max)
				ret[at[j]] += page;
	}
	return 0;
}
