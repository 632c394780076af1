/* mem: how much memory so many CPUs read and write in a second, as McCalpin's STREAM counts it: what the program asks for, so
 * that the lines which a plain store reads before it writes them are on top of it.  Arrays do not fit into the caches, and
 * each thread has a part of its own.  On a machine with nodes, the threads are those of one node and the memory is on one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#define HAS_STREAM 1
#endif

#include "base/clock.h"
#include "base/units.h"
#include "bench/bench.h"
#include "mem/block.h"

enum { ARRAYS = 3, SIDES_MAX = ZN_IDSET_MAX };
static const uint64_t at_least = 64 << 20, for_each_cpu = 256 << 20; /* bytes of an array */

/* ---- what is done with a part of the arrays ---- */

/* A line at a time.  The empty statement keeps the compiler from calling memcpy, which stores as it likes. */
typedef double line __attribute__((vector_size(64)));
enum { IN_LINE = sizeof(line) / sizeof(double) };
#define AS_WRITTEN() __asm__ volatile("")

static void copy(line *restrict a, const line *restrict b, const line *restrict c, size_t n)
{
	(void)c;
	for (size_t i = 0; i < n; i++) {
		a[i] = b[i];
		AS_WRITTEN();
	}
}

static void triad(line *restrict a, const line *restrict b, const line *restrict c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		a[i] = b[i] + 3.0 * c[i];
		AS_WRITTEN();
	}
}

/* Two arrays, as the prefetcher follows two streams better than one.  The sum goes where is_right looks for it. */
static void read_all(line *restrict a, const line *restrict b, const line *restrict c, size_t n)
{
	line sum = { 0 };

	for (size_t i = 0; i < n; i++)
		sum += b[i] + c[i];
	a[0] = sum;
}

#ifdef HAS_STREAM
static void triad_past(line *restrict a, const line *restrict b, const line *restrict c, size_t n)
{
	const double *from = (const double *)b, *more = (const double *)c;
	const __m128d three = _mm_set1_pd(3.0);
	double *to = (double *)a;

	for (size_t i = 0; i < n * IN_LINE; i += 2)
		_mm_stream_pd(to + i, _mm_add_pd(_mm_load_pd(from + i), _mm_mul_pd(three, _mm_load_pd(more + i))));
	_mm_sfence();
}
#endif

static const struct kernel {
	const char *name, *stores;
	unsigned arrays;               /* that it touches */
	double result;                 /* each element of the first is, or a sum of */
	void (*work)(line *restrict a, const line *restrict b, const line *restrict c, size_t n);
} kernels[] = {
	{ "copy", "plain stores", 2, 2.0, copy },
	{ "triad", "plain stores", 3, 11.0, triad },
#ifdef HAS_STREAM
	{ "triad, stores past the caches", "non-temporal stores", 3, 11.0, triad_past },
#endif
	{ "read", NULL, 2, 5.0, read_all },
};

/* ---- by so many threads ---- */

struct run {
	const struct kernel *kernel;
	line *array[ARRAYS];
	size_t n;                      /* lines of each */
	const uint32_t *cpus;
	size_t n_cpus;
};

struct part {
	const struct run *run;
	size_t from, n;
	uint64_t begin_ns, end_ns;
};

/* Array k is full of k + 1. */
static void fill_part(void *arg)
{
	struct part *p = arg;

	for (int k = 0; k < ARRAYS; k++)
		for (size_t i = p->from; i < p->from + p->n; i++)
			p->run->array[k][i] = (line){ 0 } + (k + 1.0);
}

static void work_part(void *arg)
{
	struct part *p = arg;
	line *const *array = p->run->array;

	p->begin_ns = zn_boot_ns();
	p->run->kernel->work(array[0] + p->from, array[1] + p->from, array[2] + p->from, p->n);
	p->end_ns = zn_boot_ns();
}

/* From when the first begins to when the last is done. */
static uint64_t took_ns(const struct part *parts, size_t n)
{
	uint64_t begin_ns = UINT64_MAX, end_ns = 0;

	for (size_t i = 0; i < n; i++) {
		begin_ns = parts[i].begin_ns < begin_ns ? parts[i].begin_ns : begin_ns;
		end_ns = parts[i].end_ns > end_ns ? parts[i].end_ns : end_ns;
	}
	return end_ns - begin_ns;
}

static bool is_right(const struct kernel *k, const struct part *p)
{
	const line *a = p->run->array[0] + p->from;

	if (k->work == read_all)
		return a[0][0] == k->result * (double)p->n;
	for (size_t i = 0; i < p->n; i += p->n / 61 + 1)
		if (a[i][0] != k->result)
			return false;
	return a[p->n - 1][IN_LINE - 1] == k->result;
}

static int on_parts(const struct run *r, void (*do_part)(void *arg), struct part *parts)
{
	struct zn_bench_side *sides = calloc(r->n_cpus, sizeof(*sides));

	if (!sides)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_cpus; i++) {
		size_t from = r->n * i / r->n_cpus, to = r->n * (i + 1) / r->n_cpus;
		parts[i] = (struct part){ .run = r, .from = from, .n = to - from };
		sides[i] = (struct zn_bench_side){ r->cpus[i], do_part, &parts[i] };
	}
	int rc = zn_bench_on_each(sides, r->n_cpus);
	free(sides);
	return rc;
}

static int measure(void *arg, double *ret, struct zn_err *err)
{
	static struct part parts[SIDES_MAX];
	const struct run *r = arg;
	int rc = on_parts(r, work_part, parts);

	for (size_t i = 0; rc == 0 && i < r->n_cpus; i++)
		if (!is_right(r->kernel, &parts[i]))
			rc = zn_err_set(err, -EBADMSG, "%s left something else than it should have", r->kernel->name);
	if (rc == 0)
		*ret = (double)(r->n * sizeof(line) * r->kernel->arrays) / (double)took_ns(parts, r->n_cpus);
	return rc;
}

static int fill(const struct run *r)
{
	static struct part parts[SIDES_MAX];

	return on_parts(r, fill_part, parts);
}

/* ---- where ---- */

struct place {
	const struct zn_bench_node *cpus_of, *memory_of; /* NULL: wherever the kernel has it */
	struct zn_idset cpus;
};

static void describe(char *name, size_t size, const struct place *at, const struct kernel *k, size_t threads)
{
	int n = snprintf(name, size, "%s, %zu thread%s", k->name, threads, threads == 1 ? "" : "s");

	if (at->memory_of && n > 0 && (size_t)n < size)
		snprintf(name + n, size - (size_t)n, " of node %u, memory of node %u", at->cpus_of->id, at->memory_of->id);
}

static int all_kernels(const struct zn_bench_ask *ask, const struct place *at, struct run *r, const char *pages, struct zn_err *err)
{
	char name[128], note[256], size[ZN_UNIT_TEXT];
	int rc = fill(r);

	for (size_t k = 0; rc == 0 && k < sizeof(kernels) / sizeof(*kernels); k++) {
		struct zn_bench_result result = { .bench = "mem", .name = name, .unit = "GB/s", .note = note };
		r->kernel = &kernels[k];
		describe(name, sizeof(name), at, r->kernel, r->n_cpus);
		snprintf(note, sizeof(note), "arrays of %s; %s%s%s", zn_format_bytes(r->n * sizeof(line), size), pages, r->kernel->stores ? "; " : "",
		         r->kernel->stores ? r->kernel->stores : "");
		rc = zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure, r }, (struct zn_bench_way){ NULL, NULL }, err);
	}
	return rc;
}

/* 1, 2, 4, ... and all; of another node's memory all alone, for there are many pairs of nodes. */
static int by_threads(const struct zn_bench_ask *ask, const struct place *at, struct run *r, const char *pages, struct zn_err *err)
{
	size_t all = r->n_cpus;
	int rc = 0;

	for (size_t n = at->cpus_of == at->memory_of ? 1 : all; rc == 0 && n <= all; n = n < all && 2 * n > all ? all : 2 * n) {
		r->n_cpus = n;
		rc = all_kernels(ask, at, r, pages, err);
	}
	return rc;
}

static int get_arrays(const struct place *at, size_t bytes, struct zn_block *block, struct zn_err *err)
{
	struct zn_block_ask ask = { .bytes = ARRAYS * bytes, .pages = ZN_PAGES_2M, .touch = zn_idset_count(&at->cpus) };

	if (at->memory_of) {
		ask.policy = ZN_BLOCK_BIND;
		zn_idset_add(&ask.nodes, at->memory_of->id);
	}
	return zn_block_get(&ask, block, err);
}

static int one_place(const struct zn_bench_ask *ask, const struct place *at, size_t bytes, struct zn_err *err)
{
	static uint32_t cpus[SIDES_MAX];
	struct run r = { .n = bytes / sizeof(line), .cpus = cpus };
	struct zn_block block;
	char pages[ZN_BLOCK_TEXT];
	int rc = get_arrays(at, bytes, &block, err);

	if (rc < 0)
		return rc;
	zn_block_text(&block, pages);
	for (size_t k = 0; k < ARRAYS; k++)
		r.array[k] = (line *)((char *)block.p + k * bytes);
	zn_idset_each(cpu, &at->cpus)
		cpus[r.n_cpus++] = (uint32_t)cpu;
	rc = by_threads(ask, at, &r, pages, err);
	zn_block_put(&block);
	return rc;
}

/* As asked or four times the caches, as STREAM wants it, within bounds that a small machine gets through. */
static size_t array_bytes(uint64_t asked, const struct zn_idset *cpus)
{
	uint64_t bytes = 4 * zn_bench_cache_bytes(cpus), most = for_each_cpu * zn_idset_count(cpus), memory = zn_bench_memory_bytes();

	bytes = asked ? asked : bytes < at_least ? at_least : bytes > most ? most : bytes;
	bytes = bytes < memory / (2 * ARRAYS) ? bytes : memory / (2 * ARRAYS);
	return (size_t)bytes & ~(((size_t)1 << 20) - 1);
}

int zn_bench_mem(const struct zn_bench_ask *ask, struct zn_err *err)
{
	static struct zn_bench_node nodes[ZN_BENCH_NODES];
	size_t n = zn_bench_nodes(nodes);
	int rc = 0;

	if (n == 1) {
		struct place at = { .cpus = { { 0 } } };
		rc = zn_bench_allowed(&at.cpus);
		return rc < 0 ? rc : one_place(ask, &at, array_bytes(ask->size_bytes, &at.cpus), err);
	}
	for (size_t i = 0; rc == 0 && i < n * n; i++) {
		struct place at = { .cpus_of = &nodes[i / n], .memory_of = &nodes[i % n], .cpus = nodes[i / n].cpus };
		if (!zn_idset_is_empty(&at.cpus))
			rc = one_place(ask, &at, array_bytes(ask->size_bytes, &at.cpus), err);
	}
	return rc;
}
