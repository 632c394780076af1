/* compare: a result beside the one of the same name in a file of earlier ones. */
#ifndef ZN_BENCH_COMPARE_H
#define ZN_BENCH_COMPARE_H

#include "base/arena.h"
#include "bench/bench.h"

struct zn_bench_before {
	struct zn_bench_result *v;
	size_t n;
	struct zn_arena arena;
};

/* Records of zn-bench; those of other kinds are passed over.  On failure there is nothing to free. */
int zn_bench_before_read(const char *path, struct zn_bench_before *ret, struct zn_err *err);
/* The last of that name, if there is one, is what r is compared with. */
void zn_bench_before_compare(const struct zn_bench_before *b, const char *path, struct zn_bench_result *r);

#endif
