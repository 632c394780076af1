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

#include "base/idset.h"
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
	const char *note;              /* what one must know to believe it: the pages that were got, what it was done with; or NULL */
	const char *machine;
};
extern const struct zn_kind zn_bench_kind;

struct zn_bench_ask {
	uint32_t rounds;               /* at least 1 */
	uint32_t cpus[2];              /* where the two sides run; the same for a bench that does not need two, where there is but one */
	enum zn_wait wait;
	const char *against;           /* NULL: nobody */
	uint64_t size_bytes;           /* the most of one thing that a bench with a size takes; 0: what it likes */
	const char *file;              /* that io reads, shards that load does, or a directory where they make one; NULL: the one we are in */
	const char *machine;
	/* Called for each result; below 0 ends the bench with that. */
	int (*result)(void *arg, const struct zn_bench_result *r);
	void *arg;
};

struct zn_bench {
	const char *name, *brief;
	const char *peers;             /* "ck_ring", comma-separated; NULL: it has none */
	bool needs_two, has_size;      /* CPUs; size_bytes means something to it */
	int (*run)(const struct zn_bench_ask *ask, struct zn_err *err);
};
extern const struct zn_bench zn_benches[]; /* ends with { 0 } */
const struct zn_bench *zn_bench_find(const char *name);

/* ---- for benches ---- */

/* Sorts v; fills n to p999 and value in. */
void zn_bench_sum_up(double *v, size_t n, struct zn_bench_result *to);
/* Ours and the peer's by turns; peer NULL: there is none.  Both arrays are sorted. */
int zn_bench_hand_over(const struct zn_bench_ask *ask, struct zn_bench_result *r, double *ours, double *peer, size_t n);

/* One measurement of a figure, each time it is called. */
struct zn_bench_way {
	int (*measure)(void *arg, double *ret, struct zn_err *err);
	void *arg;
};
/* All rounds of ours and of the peer (measure NULL: it has no such thing; and nobody is measured who was not asked for),
 * and hands over r with what is in it.
 */
int zn_bench_by_turns(const struct zn_bench_ask *ask, struct zn_bench_result *r, struct zn_bench_way ours, struct zn_bench_way peer,
                      struct zn_err *err);

/* ---- the machine ---- */

/* Two that this process may use, of different cores if it can; -ENODEV: there is but one, which is given twice. */
int zn_bench_cpus(uint32_t ret[2]);
/* All that it may use. */
int zn_bench_allowed(struct zn_idset *ret);
/* "AMD EPYC 7543, 64 CPUs, Linux 6.1.0" in a. */
const char *zn_bench_machine(struct zn_arena *a);
struct zn_bench_side {
	uint32_t cpu;
	void (*run)(void *arg);
	void *arg;
};
/* Runs each on its CPU, from the same moment on, and waits for all.  -errno: none has run. */
int zn_bench_on_each(const struct zn_bench_side *sides, size_t n);
/* Runs in on the first of the two CPUs and out on the other, from the same moment on, and waits for both.  -errno: neither has run. */
int zn_bench_on_two(const struct zn_bench_ask *ask, void (*in)(void *arg), void (*out)(void *arg), void *arg);

/* ---- its memory ---- */

struct zn_bench_node {
	uint32_t id;
	struct zn_idset cpus;          /* those that this process may use; none of a node that has only memory */
};
enum { ZN_BENCH_NODES = 64 };
/* Nodes that have memory; how many, at least 1, at most ZN_BENCH_NODES. */
size_t zn_bench_nodes(struct zn_bench_node *ret);
/* The last caches of these CPUs, all together; a guess where the kernel does not say. */
uint64_t zn_bench_cache_bytes(const struct zn_idset *cpus);
/* What can be had without swapping, and within the limit of a container. */
uint64_t zn_bench_memory_bytes(void);

extern int zn_bench_ring(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_latency(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_alloc(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_mem(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_chase(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_pipe(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_record(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_load(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_spool(const struct zn_bench_ask *ask, struct zn_err *err);
extern int zn_bench_io(const struct zn_bench_ask *ask, struct zn_err *err);

#endif
