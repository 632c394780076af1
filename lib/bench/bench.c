/* bench: which there are, and how measurements become a result. */
#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct zn_bench zn_benches[] = {
	{ "ring", "items a second through a ring between two CPUs, one, 16 and 64 at a time, and there and back", "ck_ring,rte_ring", true, false, zn_bench_ring },
	{ "latency", "from an event's entry into a ring until the other CPU has handled it", NULL, true, false, zn_bench_latency },
	{ "alloc", "a block from a warm pool and back, alone and with a write to each of its pages", "malloc,mmap", false, true, zn_bench_alloc },
	{ "mem", "bytes a second that CPUs move: copy, triad and read, by how many work at it and, with several nodes, where the memory is", NULL,
	  false, true, zn_bench_mem },
	{ "chase", "how long one load takes whose address the one before it brings, by how much memory it goes to", "small-pages", false, true,
	  zn_bench_chase },
	{ "pipe", "bytes a second through a pipe between two CPUs, by write, writev and vmsplice, and the CPU time of both", NULL, true, false,
	  zn_bench_pipe },
	{ "record", "records of 20 fields a second, packed, unpacked and decoded", "msgpack-c", false, false, zn_bench_record },
	{ "io", "reads of a file past the page cache, up to 32 under way, and through it", "fio", false, true, zn_bench_io },
	{ "load", "samples of tar shards that are in the page cache, read in batches and looked at byte by byte", "libarchive", false, false, zn_bench_load },
	{ "spool", "records that the queue's journal makes safe, 1, 16 and 128 at a time, and reads back", "files,fdatasync", false, false, zn_bench_spool },
	{ 0 },
};

const struct zn_bench *zn_bench_find(const char *name)
{
	for (const struct zn_bench *b = zn_benches; b->name; b++)
		if (!strcmp(b->name, name))
			return b;
	return NULL;
}

#define R struct zn_bench_result
static const struct zn_field fields[] = {
	ZN_FIELD(R, bench, STR, "BENCH", "which one"),
	ZN_FIELD(R, name, STR, "WHAT", "what of it"),
	ZN_FIELD(R, value, F64, "VALUE", "the figure: the median"),
	ZN_FIELD(R, unit, STR, "UNIT", "of all that is measured"),
	ZN_FIELD(R, n, U64, "N", "measurements"),
	ZN_FIELD(R, median, F64, "", "of them"),
	ZN_FIELD(R, p99, F64, "P99", "99 of 100 are not above it"),
	ZN_FIELD(R, p999, OF64, "", "999 of 1,000 are not above it"),
	ZN_FIELD(R, min, F64, "MIN", "the smallest"),
	ZN_FIELD(R, max, F64, "MAX", "the largest"),
	ZN_FIELD(R, spread, F64, "", "largest less smallest, by the median"),
	ZN_FIELD(R, against, STR, "AGAINST", "a peer that was measured by turns, or a file of results"),
	ZN_FIELD(R, peer_median, OF64, "THEIRS", "its median"),
	ZN_FIELD(R, ratio, OF64, "RATIO", "ours to theirs"),
	ZN_FIELD(R, note, STR, "", "what one must know to believe it"),
	ZN_FIELD(R, machine, STR, "", "where it was"),
	{ 0 },
};
const struct zn_kind zn_bench_kind = { "bench", "a figure, measured", fields, sizeof(R), NULL };

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double at_part(const double *v, size_t n, double part)
{
	size_t i = (size_t)(part * (double)n);

	return v[i < n ? i : n - 1];
}

void zn_bench_sum_up(double *v, size_t n, R *to)
{
	qsort(v, n, sizeof(*v), by_size);
	to->n = n;
	to->value = to->median = at_part(v, n, 0.5);
	to->p99 = at_part(v, n, 0.99);
	if (n >= 10000)
		to->p999 = ZN_SOME_F64(at_part(v, n, 0.999));
	to->min = v[0];
	to->max = v[n - 1];
	to->spread = to->median > 0 ? (to->max - to->min) / to->median : 0;
}

static int median_ratio(const double *ours, const double *peer, size_t n, struct zn_of64 *ret)
{
	double *v = malloc(n * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		v[i] = ours[i] / peer[i];
	qsort(v, n, sizeof(*v), by_size);
	*ret = ZN_SOME_F64(at_part(v, n, 0.5));
	free(v);
	return 0;
}

int zn_bench_hand_over(const struct zn_bench_ask *ask, R *r, double *ours, double *peer, size_t n)
{
	R theirs = { 0 };
	int rc = peer ? median_ratio(ours, peer, n, &r->ratio) : 0;

	if (rc < 0)
		return rc;
	r->machine = ask->machine;
	if (peer) {
		r->against = ask->against;
		zn_bench_sum_up(peer, n, &theirs);
		r->peer_median = ZN_SOME_F64(theirs.median);
	}
	zn_bench_sum_up(ours, n, r);
	return ask->result(ask->arg, r);
}

static int measure_rounds(const struct zn_bench_ask *ask, struct zn_bench_way ours, struct zn_bench_way peer, double *v, double *theirs,
                          struct zn_err *err)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < ask->rounds; i++) {
		rc = ours.measure(ours.arg, &v[i], err);
		if (rc == 0 && theirs)
			rc = peer.measure(peer.arg, &theirs[i], err);
	}
	return rc;
}

int zn_bench_by_turns(const struct zn_bench_ask *ask, R *r, struct zn_bench_way ours, struct zn_bench_way peer, struct zn_err *err)
{
	double *v = calloc(ask->rounds, 2 * sizeof(*v)), *theirs = v && ask->against && peer.measure ? v + ask->rounds : NULL;
	int rc = v ? measure_rounds(ask, ours, peer, v, theirs, err) : -ENOMEM;

	if (rc == 0)
		rc = zn_bench_hand_over(ask, r, v, theirs, ask->rounds);
	free(v);
	return rc;
}
