/* ring: what goes through a ring of 65,536 items between two CPUs.  The consumer looks at each item, so that nothing is
 * measured that brings something else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "mem/spsc.h"
#if __has_include(<ck_ring.h>)
#include <ck_ring.h>
#define HAS_CK 1
#endif

enum { CAPACITY = 65536, BATCH_MAX = 64, ITEMS = 4000000, TURNS = 100000 };

struct run;

/* One way to move n items from one thread to the other. */
struct way {
	int (*open)(struct run *r);
	void (*send)(struct run *r);
	bool (*receive)(struct run *r); /* all came, in order */
	void (*close)(struct run *r);
};

struct run {
	const struct way *way;
	const struct zn_bench_ask *ask;
	size_t n, batch;
	struct zn_spsc there, back;
#ifdef HAS_CK
	struct ck_ring ck_there, ck_back;
	ck_ring_buffer_t *ck[2];
#endif
	uint64_t begin_ns, end_ns;
	bool good;
};

/* ---- ours ---- */

static int open_ours(struct run *r)
{
	int rc = zn_spsc_init(&r->there, CAPACITY, ZN_WAIT_SPIN);

	if (rc == 0 && (rc = zn_spsc_init(&r->back, CAPACITY, ZN_WAIT_SPIN)) < 0)
		zn_spsc_done(&r->there);
	if (rc < 0)
		return rc;
	memset(r->there.slots, 0, CAPACITY * 8); /* not the kernel's work */
	memset(r->back.slots, 0, CAPACITY * 8);
	return 0;
}

static void close_ours(struct run *r)
{
	zn_spsc_done(&r->there);
	zn_spsc_done(&r->back);
}

static void send_ours(struct run *r)
{
	uint64_t v[BATCH_MAX], at = 1;

	while (at <= r->n) {
		for (size_t i = 0; i < r->batch; i++)
			v[i] = at + i;
		for (size_t sent = 0; sent < r->batch;)
			sent += zn_spsc_push(&r->there, v + sent, r->batch - sent);
		at += r->batch;
	}
}

static bool receive_ours(struct run *r)
{
	uint64_t v[BATCH_MAX], want = 1, wrong = 0;

	while (want <= r->n) {
		size_t k = zn_spsc_pop(&r->there, v, r->batch);
		for (size_t i = 0; i < k; i++)
			wrong |= v[i] ^ want++;
	}
	return !wrong;
}

static void ask_ours(struct run *r)
{
	uint64_t v;

	for (uint64_t at = 1; at <= r->n; at++) {
		zn_spsc_push(&r->there, &at, 1);
		while (!zn_spsc_pop(&r->back, &v, 1))
			;
	}
}

static bool answer_ours(struct run *r)
{
	uint64_t v, wrong = 0;

	for (uint64_t want = 1; want <= r->n; want++) {
		while (!zn_spsc_pop(&r->there, &v, 1))
			;
		wrong |= v ^ want;
		zn_spsc_push(&r->back, &v, 1);
	}
	return !wrong;
}

static const struct way ours = { open_ours, send_ours, receive_ours, close_ours };
static const struct way ours_and_back = { open_ours, ask_ours, answer_ours, close_ours };

/* ---- Concurrency Kit's, which goes one item at a time ---- */

#ifdef HAS_CK
static int open_ck(struct run *r)
{
	for (int i = 0; i < 2; i++) {
		r->ck[i] = malloc(CAPACITY * sizeof(**r->ck));
		if (!r->ck[i]) {
			free(r->ck[0]);
			return -ENOMEM;
		}
		memset(r->ck[i], 0, CAPACITY * sizeof(**r->ck));
	}
	ck_ring_init(&r->ck_there, CAPACITY);
	ck_ring_init(&r->ck_back, CAPACITY);
	return 0;
}

static void close_ck(struct run *r)
{
	free(r->ck[0]);
	free(r->ck[1]);
}

static void send_ck(struct run *r)
{
	for (uintptr_t at = 1; at <= r->n; at++)
		while (!ck_ring_enqueue_spsc(&r->ck_there, r->ck[0], (void *)at))
			;
}

static bool receive_ck(struct run *r)
{
	uintptr_t wrong = 0;
	void *v;

	for (uintptr_t want = 1; want <= r->n; want++) {
		while (!ck_ring_dequeue_spsc(&r->ck_there, r->ck[0], &v))
			;
		wrong |= (uintptr_t)v ^ want;
	}
	return !wrong;
}

static void ask_ck(struct run *r)
{
	void *v;

	for (uintptr_t at = 1; at <= r->n; at++) {
		ck_ring_enqueue_spsc(&r->ck_there, r->ck[0], (void *)at);
		while (!ck_ring_dequeue_spsc(&r->ck_back, r->ck[1], &v))
			;
	}
}

static bool answer_ck(struct run *r)
{
	uintptr_t wrong = 0;
	void *v;

	for (uintptr_t want = 1; want <= r->n; want++) {
		while (!ck_ring_dequeue_spsc(&r->ck_there, r->ck[0], &v))
			;
		wrong |= (uintptr_t)v ^ want;
		ck_ring_enqueue_spsc(&r->ck_back, r->ck[1], v);
	}
	return !wrong;
}

static const struct way ck = { open_ck, send_ck, receive_ck, close_ck };
static const struct way ck_and_back = { open_ck, ask_ck, answer_ck, close_ck };
#define CK &ck
#define CK_AND_BACK &ck_and_back
#else
#define CK NULL
#define CK_AND_BACK NULL
#endif

/* ---- rounds ---- */

static void produce(void *arg)
{
	struct run *r = arg;

	r->begin_ns = zn_boot_ns();
	r->way->send(r);
}

static void consume(void *arg)
{
	struct run *r = arg;

	r->good = r->way->receive(r);
	r->end_ns = zn_boot_ns();
}

/* Nanoseconds until all have come. */
static int measure(struct run *r, double *ret_ns, struct zn_err *err)
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
	const struct way *ours, *peer;
	bool is_time;                  /* of one there and back; else items a second */
};

static const struct series all_series[] = {
	{ "one at a time", "items/s", 1, ITEMS, &ours, CK, false },
	{ "16 at a time", "items/s", 16, 2 * ITEMS, &ours, NULL, false },
	{ "64 at a time", "items/s", 64, 4 * ITEMS, &ours, NULL, false },
	{ "there and back", "ns", 1, TURNS, &ours_and_back, CK_AND_BACK, true },
};

static int one_round(const struct zn_bench_ask *ask, const struct series *s, const struct way *way, double *ret, struct zn_err *err)
{
	struct run r = { .way = way, .ask = ask, .n = s->n, .batch = s->batch };
	double ns = 0;
	int rc = measure(&r, &ns, err);

	*ret = s->is_time ? ns / (double)s->n : (double)s->n / ns * 1e9;
	return rc;
}

static int run_series(const struct zn_bench_ask *ask, const struct series *s, double *v, struct zn_err *err)
{
	struct zn_bench_result r = { .bench = "ring", .name = s->name, .unit = s->unit };
	double *peer = ask->against && s->peer ? v + ask->rounds : NULL;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < ask->rounds; i++) {
		rc = one_round(ask, s, s->ours, &v[i], err);
		if (rc == 0 && peer)
			rc = one_round(ask, s, s->peer, &peer[i], err);
	}
	return rc < 0 ? rc : zn_bench_hand_over(ask, &r, v, peer, ask->rounds);
}

int zn_bench_ring(const struct zn_bench_ask *ask, struct zn_err *err)
{
	if (ask->against && !all_series[0].peer)
		return zn_err_set(err, -ENOTSUP, "this zn-bench was built without %s: install libck-dev and build it again", ask->against);
	double *v = calloc(ask->rounds, 2 * sizeof(*v));
	int rc = v ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < sizeof(all_series) / sizeof(*all_series); i++)
		rc = run_series(ask, &all_series[i], v, err);
	free(v);
	return rc;
}
