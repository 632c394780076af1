/* ring: what goes through a ring of 65,536 items between two CPUs.  The consumer looks at each item, so that nothing is
 * measured that brings something else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/ring.h"

enum { ITEMS = 4000000, TURNS = 100000 };

/* ---- ours ---- */

static int open_ours(struct zn__ring_run *r)
{
	int rc = zn_spsc_init(&r->there, ZN__RING_CAPACITY, ZN_WAIT_SPIN);

	if (rc == 0 && (rc = zn_spsc_init(&r->back, ZN__RING_CAPACITY, ZN_WAIT_SPIN)) < 0)
		zn_spsc_done(&r->there);
	if (rc < 0)
		return rc;
	memset(r->there.slots, 0, ZN__RING_CAPACITY * 8); /* not the kernel's work */
	memset(r->back.slots, 0, ZN__RING_CAPACITY * 8);
	return 0;
}

static void close_ours(struct zn__ring_run *r)
{
	zn_spsc_done(&r->there);
	zn_spsc_done(&r->back);
}

static void send_ours(struct zn__ring_run *r)
{
	uint64_t v[ZN__RING_BATCH_MAX], at = 1;

	while (at <= r->n) {
		for (size_t i = 0; i < r->batch; i++)
			v[i] = at + i;
		for (size_t sent = 0, k; sent < r->batch; sent += k)
			if (!(k = zn_spsc_push(&r->there, v + sent, r->batch - sent)))
				zn__pause();
		at += r->batch;
	}
}

static bool receive_ours(struct zn__ring_run *r)
{
	uint64_t v[ZN__RING_BATCH_MAX], want = 1, wrong = 0;

	while (want <= r->n) {
		size_t k = zn_spsc_pop(&r->there, v, r->batch);
		if (!k)
			zn__pause();
		for (size_t i = 0; i < k; i++)
			wrong |= v[i] ^ want++;
	}
	return !wrong;
}

static void ask_ours(struct zn__ring_run *r)
{
	uint64_t v;

	for (uint64_t at = 1; at <= r->n; at++) {
		zn_spsc_push(&r->there, &at, 1);
		while (!zn_spsc_pop(&r->back, &v, 1))
			zn__pause();
	}
}

static bool answer_ours(struct zn__ring_run *r)
{
	uint64_t v, wrong = 0;

	for (uint64_t want = 1; want <= r->n; want++) {
		while (!zn_spsc_pop(&r->there, &v, 1))
			zn__pause();
		wrong |= v ^ want;
		zn_spsc_push(&r->back, &v, 1);
	}
	return !wrong;
}

static const struct zn__ring_way ours = { open_ours, send_ours, receive_ours, close_ours };
static const struct zn__ring_way ours_and_back = { open_ours, ask_ours, answer_ours, close_ours };

/* ---- rounds ---- */

static void produce(void *arg)
{
	struct zn__ring_run *r = arg;

	r->begin_ns = zn_boot_ns();
	r->way->send(r);
}

static void consume(void *arg)
{
	struct zn__ring_run *r = arg;

	r->good = r->way->receive(r);
	r->end_ns = zn_boot_ns();
}

/* Nanoseconds until all have come. */
static int measure(struct zn__ring_run *r, double *ret_ns, struct zn_err *err)
{
	int rc = r->way->open(r);

	if (rc < 0)
		return rc;
	rc = zn_bench_on_two(r->ask, produce, consume, r);
	r->way->close(r);
	if (rc == 0 && !r->good)
		rc = zn_err_set(err, -EBADMSG, "what came out of the ring is not what went in");
	*ret_ns = (double)(r->end_ns - r->begin_ns);
	return rc;
}

struct series {
	const char *name, *unit;
	size_t batch, n;
	enum zn__ring_how how;
	const struct zn__ring_way *ours;
};

static const struct series all_series[] = {
	{ "one at a time", "items/s", 1, ITEMS, ZN__RING_ONE, &ours },
	{ "16 at a time", "items/s", 16, 2 * ITEMS, ZN__RING_BATCH, &ours },
	{ "64 at a time", "items/s", 64, 4 * ITEMS, ZN__RING_BATCH, &ours },
	{ "there and back", "ns", 1, TURNS, ZN__RING_BACK, &ours_and_back },
};

/* One measurement of a series: nanoseconds for one there and back, else items a second. */
struct one {
	const struct zn_bench_ask *ask;
	const struct series *series;
	const struct zn__ring_way *way;
};

static int measure_one(void *arg, double *ret, struct zn_err *err)
{
	const struct one *o = arg;
	const struct series *s = o->series;
	struct zn__ring_run r = { .way = o->way, .ask = o->ask, .n = s->n, .batch = s->batch };
	double ns = 0;
	int rc = measure(&r, &ns, err);

	*ret = s->how == ZN__RING_BACK ? ns / (double)s->n : (double)s->n / ns * 1e9;
	return rc;
}

static int run_series(const struct zn_bench_ask *ask, const struct series *s, const struct zn__ring_way *peer, struct zn_err *err)
{
	struct zn_bench_result r = { .bench = "ring", .name = s->name, .unit = s->unit };
	struct one ours_one = { ask, s, s->ours }, peer_one = { ask, s, peer };

	return zn_bench_by_turns(ask, &r, (struct zn_bench_way){ measure_one, &ours_one },
	                         (struct zn_bench_way){ peer ? measure_one : NULL, &peer_one }, err);
}

static const struct zn__ring_peer *peer_of(const struct zn_bench_ask *ask)
{
	static const struct zn__ring_peer nobody = { .name = "nobody" };
	static const struct zn__ring_peer *const peers[] = { &zn__ring_ck, &zn__ring_rte };

	for (size_t i = 0; ask->against && i < sizeof(peers) / sizeof(*peers); i++)
		if (!strcmp(peers[i]->name, ask->against))
			return peers[i];
	return &nobody;
}

int zn_bench_ring(const struct zn_bench_ask *ask, struct zn_err *err)
{
	const struct zn__ring_peer *peer = peer_of(ask);
	int rc = 0;

	if (ask->against && !peer->ways[ZN__RING_ONE])
		return zn_err_set(err, -ENOTSUP, "this zn-bench was built without %s: install %s and build it again", peer->name, peer->package);
	for (size_t i = 0; rc == 0 && i < sizeof(all_series) / sizeof(*all_series); i++)
		rc = run_series(ask, &all_series[i], peer->ways[all_series[i].how], err);
	return rc;
}
