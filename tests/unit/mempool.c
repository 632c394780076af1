/* A pool gives back what it was given, of the right size, and keeps no more than it may. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "mem/mempool.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

static void test_again(void)
{
	struct zn_mempool p;
	struct zn_block a, b, c;

	zn_mempool_init(&p, &(struct zn_block_ask){ 0 }, 64 * MIB);
	zn_mempool_get(&p, 3 * MIB, &a, NULL);
	memset(a.p, 1, a.bytes);
	void *was = a.p;
	zn_mempool_put(&p, &a);
	tap_ok(!a.p && zn_mempool_count(&p).kept_bytes == 4 * MIB && zn_mempool_count(&p).out_bytes == 0, "what is put back is kept");
	zn_mempool_get(&p, 3 * MIB, &b, NULL);
	tap_ok(b.p == was && b.bytes == 4 * MIB && zn_mempool_count(&p).reused == 1, "and given to the next who asks for as much");
	zn_mempool_get(&p, 3 * MIB, &c, NULL);
	tap_ok(c.p != was && zn_mempool_count(&p).made == 2, "another one is made");
	zn_mempool_put(&p, &b);
	zn_mempool_get(&p, 2 * MIB + 1, &b, NULL);
	tap_ok(b.p == was, "who asks for less gets it, too, down to half of it");
	zn_mempool_put(&p, &b);
	struct zn_block d, e;
	zn_mempool_get(&p, MIB, &d, NULL);
	zn_mempool_get(&p, 5 * MIB, &e, NULL);
	tap_ok(d.p != was && e.p != was && e.bytes >= 5 * MIB, "who asks for much less or for more does not");
	zn_mempool_put(&p, &c);
	zn_mempool_put(&p, &d);
	zn_mempool_put(&p, &e);
	zn_mempool_drop(&p);
	struct zn_mempool_stats s = zn_mempool_count(&p);
	tap_ok(s.kept_bytes == 0 && s.out_bytes == 0 && s.made == 4 && s.reused == 2, "nothing is kept after a drop");
	zn_mempool_done(&p);
}

static void test_limits(void)
{
	struct zn_mempool p;
	struct zn_block a, b, none = { 0 };
	struct zn_err err = { 0 };

	zn_mempool_init(&p, &(struct zn_block_ask){ 0 }, 4 * MIB);
	zn_mempool_get(&p, 4 * MIB, &a, NULL);
	zn_mempool_get(&p, 4 * MIB, &b, NULL);
	zn_mempool_put(&p, &a);
	zn_mempool_put(&p, &b);
	tap_ok(zn_mempool_count(&p).kept_bytes == 4 * MIB, "no more is kept than may be");
	struct zn_mempool_stats before = zn_mempool_count(&p);
	zn_mempool_get(&p, 1000, &a, NULL);
	memset(a.p, 1, a.bytes);
	tap_ok(a.got == ZN_PAGES_HEAP && (uintptr_t)a.p % 64 == 0 && a.bytes == 1024, "a small one is of the heap, in whole lines");
	zn_mempool_put(&p, &a);
	struct zn_mempool_stats after = zn_mempool_count(&p);
	tap_ok(!a.p && !memcmp(&before, &after, sizeof(after)), "and passes through");
	tap_ok(zn_mempool_get(&p, 0, &none, &err) == -EINVAL && !none.p, "no bytes: %s", err.text);
	tap_ok(zn_mempool_get(&p, SIZE_MAX, &none, &err) == -ENOMEM && !none.p, "more than there is: %s", err.text);
	zn_mempool_done(&p);
}

/* Each size up to two pages of 2 MiB, and those around each power of two. */
static void test_sizes(void)
{
	struct zn_mempool p;
	struct zn_block b;
	size_t bad = 0, n = 0, small = 0;

	zn_mempool_init(&p, &(struct zn_block_ask){ 0 }, 512 * MIB);
	for (size_t at = 1; at <= 300 * MIB; at = at < 5000 ? at + 1 : at + at / 97) {
		for (int twice = 0; twice < 2; twice++, n++) {
			small += at <= ZN_MEMPOOL_SMALL;
			if (zn_mempool_get(&p, at, &b, NULL) < 0 || b.bytes < at)
				bad++;
			else
				((char *)b.p)[at - 1] = ((char *)b.p)[0] = 1;
			zn_mempool_put(&p, &b);
		}
	}
	tap_ok(bad == 0 && zn_mempool_count(&p).reused >= (n - small) / 2, "%zu sizes hold what was asked (%zu do not)", n, bad);
	zn_mempool_done(&p);
}

static void *churn(void *arg)
{
	struct zn_mempool *p = arg;
	uint32_t chance = (uint32_t)(uintptr_t)&chance;
	struct zn_block b[4];
	bool good = true;

	for (int i = 0; i < 2000; i++) {
		for (int k = 0; k < 4; k++) {
			chance = chance * 1664525u + 1013904223u;
			size_t bytes = 256 + (chance >> 8) % 300000;
			good &= zn_mempool_get(p, bytes, &b[k], NULL) == 0;
			memset(b[k].p, k + 1, bytes);
		}
		for (int k = 0; k < 4; k++) {
			good &= ((char *)b[k].p)[0] == k + 1 && ((char *)b[k].p)[255] == k + 1;
			zn_mempool_put(p, &b[k]);
		}
	}
	return good ? p : NULL;
}

static void test_threads(void)
{
	struct zn_mempool p;
	pthread_t t[4];
	bool good = true;

	zn_mempool_init(&p, &(struct zn_block_ask){ 0 }, 1 * MIB);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, churn, &p);
	for (int i = 0; i < 4; i++) {
		void *ret;
		pthread_join(t[i], &ret);
		good &= ret != NULL;
	}
	tap_ok(good && zn_mempool_count(&p).out_bytes == 0, "four threads never share a block");
	zn_mempool_done(&p);
}

int main(void)
{
	test_again();
	test_limits();
	test_sizes();
	test_threads();
	return tap_done();
}
