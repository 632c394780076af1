/* alloc: what it takes to get a block from a pool that has one, and to give it back.  To get memory is one thing, to have its
 * pages another, and who gets it from the kernel pays for them at the first touch: so both are measured, the block alone and
 * with a write to each 4 KiB of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/units.h"
#include "bench/bench.h"
#include "mem/mempool.h"

enum { PAGE = 4096, TOUCH_MIN = 64 << 10, TOUCH_MAX = 32 << 20, LONG_ENOUGH_NS = 3000000 };

struct run {
	size_t bytes;
	bool touch;
	struct zn_mempool *pool;
};

static void touch(const struct run *r, void *p)
{
	for (size_t at = 0; r->touch && at < r->bytes; at += PAGE)
		((volatile char *)p)[at] = 1;
}

/* ---- one after another, so many ---- */

static int pool_some(const struct run *r, size_t n)
{
	struct zn_block b;
	int rc = 0;

	while (rc == 0 && n--) {
		rc = zn_mempool_get(r->pool, r->bytes, &b, NULL);
		if (rc == 0) {
			touch(r, b.p);
			zn_mempool_put(r->pool, &b);
		}
	}
	return rc;
}

static int malloc_some(const struct run *r, size_t n)
{
	while (n--) {
		void *p = malloc(r->bytes);
		if (!p)
			return -ENOMEM;
		__asm__ volatile("" : "+r"(p)); /* or there would be none */
		touch(r, p);
		free(p);
	}
	return 0;
}

static int mmap_some(const struct run *r, size_t n)
{
	while (n--) {
		void *p = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return -errno;
		touch(r, p);
		if (munmap(p, r->bytes) < 0)
			return -errno;
	}
	return 0;
}

/* ---- how long one takes ---- */

/* Twice as many each time, until they take long enough for the clock not to matter. */
static int measure(int (*some)(const struct run *r, size_t n), const struct run *r, double *ret_ns)
{
	for (size_t n = 1;; n *= 2) {
		uint64_t begin_ns = zn_boot_ns();
		int rc = some(r, n);
		uint64_t took_ns = zn_boot_ns() - begin_ns;
		if (rc < 0)
			return rc;
		if (took_ns >= LONG_ENOUGH_NS) {
			*ret_ns = (double)took_ns / (double)n;
			return 0;
		}
	}
}

static int measure_pool(void *arg, double *ret, struct zn_err *err)
{
	(void)err;
	return measure(pool_some, arg, ret);
}

static int measure_malloc(void *arg, double *ret, struct zn_err *err)
{
	(void)err;
	return measure(malloc_some, arg, ret);
}

static int measure_mmap(void *arg, double *ret, struct zn_err *err)
{
	(void)err;
	return measure(mmap_some, arg, ret);
}

/* ---- the figures ---- */

/* Warm is a pool that has a block of that size, whose pages are there. */
static int warm(struct run *r, char pages[static ZN_BLOCK_TEXT], struct zn_err *err)
{
	struct zn_block b;
	int rc = zn_mempool_get(r->pool, r->bytes, &b, err);

	if (rc < 0)
		return rc;
	memset(b.p, 1, r->bytes);
	zn_block_text(&b, pages);
	zn_mempool_put(r->pool, &b);
	return 0;
}

static int one_figure(const struct zn_bench_ask *ask, struct run *r, const char *pages, struct zn_err *err)
{
	bool is_malloc = ask->against && !strcmp(ask->against, "malloc");
	char size[ZN_UNIT_TEXT], name[64];
	struct zn_bench_result result = { .bench = "alloc", .name = name, .unit = "ns", .note = pages };

	snprintf(name, sizeof(name), "%s%s", zn_format_bytes(r->bytes, size), r->touch ? ", each page written to" : "");
	return zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure_pool, r },
	                         (struct zn_bench_way){ is_malloc ? measure_malloc : measure_mmap, r }, err);
}

static int one_size(const struct zn_bench_ask *ask, size_t bytes, struct zn_err *err)
{
	struct zn_block_ask like = { .bytes = bytes };
	struct zn_mempool pool;
	struct run r = { .bytes = bytes, .pool = &pool };
	char pages[ZN_BLOCK_TEXT];

	zn_mempool_init(&pool, &like, UINT64_MAX);
	int rc = warm(&r, pages, err);
	if (rc == 0)
		rc = one_figure(ask, &r, pages, err);
	r.touch = true;
	if (rc == 0 && bytes >= TOUCH_MIN && bytes <= TOUCH_MAX) /* beyond it all grows alike */
		rc = one_figure(ask, &r, pages, err);
	zn_mempool_done(&pool);
	return rc;
}

int zn_bench_alloc(const struct zn_bench_ask *ask, struct zn_err *err)
{
	static const size_t sizes[] = { 256, 4 << 10, 64 << 10, 2 << 20, 32 << 20, 256 << 20, 1 << 30 };
	uint64_t most = zn_bench_memory_bytes() / 4; /* ours is kept while the peer has its */
	int rc = 0;

	if (ask->size_bytes && ask->size_bytes < most)
		most = ask->size_bytes;
	for (size_t i = 0; rc == 0 && i < sizeof(sizes) / sizeof(*sizes); i++)
		if (sizes[i] <= most)
			rc = one_size(ask, sizes[i], err);
	return rc;
}
