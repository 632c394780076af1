/* bench: the figures we claim, measured here.
 *
 * A bench is a name and a function that measures and hands over results.  Whatever is compared is measured by turns
 * in the same run, round by round, since a machine is seldom the same a minute later; what stands for a pair of series
 * is the median of the ratios of their rounds.
 */
#ifndef ZN_BENCH_BENCH_H
#define ZN_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/wait.h"
#include "rec/field.h"
#include "zenith.h"

struct zn_bench_result {
	const char *bench, *name, *unit;
	double value;                  /* the median: what one would quote */
	uint64_t n;                    /* measurements that the next five are of */
	double median, p99, min, max;
	double spread;                 /* (max - min) / median */
	struct zn_of64 p999;           /* where there are enough of them */
	const char *against;           /* a peer, measured by turns */
	struct zn_of64 peer_median;
	struct zn_of64 ratio;          /* ours to the peer's, the median of each round's: above 1 the larger is ours */
	const char *machine;
};
extern const struct zn_kind zn_bench_kind;

struct zn_bench_ask {
	uint32_t rounds;               /* at least 1 */
	uint32_t cpus[2];              /* where the two sides run */
	enum zn_wait wait;
	const char *against;           /* NULL: nobody */
	const char *machine;
	/* Called for each result; below 0 ends the bench with that. */
	int (*result)(void *arg, const struct zn_bench_result *r);
	void *arg;
};

struct zn_bench {
	const char *name, *brief;
	const char *peers;             /* "ck_ring", comma-separated; NULL: it has none */
	int (*run)(const struct zn_bench_ask *ask, struct zn_err *err);
};
extern const struct zn_bench zn_benches[]; /* ends with { 0 } */
const struct zn_bench *zn_bench_find(const char *name);

/* ---- for benches ---- */

/* Sorts v; fills n to p999 and value in. */
void zn_bench_sum_up(double *v, size_t n, struct zn_bench_result *to);
/* Ours and the peer's by turns; peer NULL: there is none.  Both arrays are sorted. */
int zn_bench_hand_over(const struct zn_bench_ask *ask, struct zn_bench_result *r, double *ours, double *peer, size_t n);

/* ---- the machine ---- */

/* Two that this process may use, of different cores if it can; -ENODEV: there is but one. */
int zn_bench_cpus(uint32_t ret[2]);
/* "AMD EPYC 7543, 64 CPUs, Linux 6.1.0" in a. */
const char *zn_bench_machine(struct zn_arena *a);
/* Runs in on the first of the two CPUs and out on the other, from the same moment on, and waits for both.  -errno: neither has run. */
int zn_bench_on_two(const struct zn_bench_ask *ask, void (*in)(void *arg), void (*out)(void *arg), void *arg);

extern int zn_bench_ring(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_latency(const struct zn_bench_ask *ask, struct zn_err *err);

#endif
