/* ring: ways to move items from one thread to another, ours and those of peers. */
#ifndef ZN_BENCH_RING_H
#define ZN_BENCH_RING_H

#include "bench/bench.h"
#include "mem/spsc.h"

enum { ZN__RING_CAPACITY = 65536, ZN__RING_BATCH_MAX = 64 };

struct zn__ring_run;

/* One way to move the numbers from 1 to n from one thread to the other. */
struct zn__ring_way {
	int (*open)(struct zn__ring_run *r);
	void (*send)(struct zn__ring_run *r);
	bool (*receive)(struct zn__ring_run *r); /* all came, in order */
	void (*close)(struct zn__ring_run *r);
};

struct zn__ring_run {
	const struct zn__ring_way *way;
	const struct zn_bench_ask *ask;
	size_t n, batch;               /* so many at a time */
	struct zn_spsc there, back;
	void *theirs[2];               /* a peer's rings: there and back */
	uint64_t begin_ns, end_ns;
	bool good;
};

enum zn__ring_how { ZN__RING_ONE, ZN__RING_BATCH, ZN__RING_BACK, ZN__RING_HOWS };

struct zn__ring_peer {
	const char *name, *package;
	const struct zn__ring_way *ways[ZN__RING_HOWS]; /* NULL: it has none, or was not there when this was built */
};
extern const struct zn__ring_peer zn__ring_ck, zn__ring_rte;

#endif
