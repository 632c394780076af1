/* latency: how long an event takes from its entry into a ring until the other CPU has handled it.  Events come one by one,
 * some time apart that looks like chance; handling one is to add up the 64 bytes that it points to.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "mem/spsc.h"

enum { EVENTS = 100000, APART_NS = 5000, LINES = 1024 };

struct event {
	_Alignas(64) uint64_t words[8];
};

struct run {
	const struct zn_bench_ask *ask;
	struct zn_spsc ring;
	struct event events[LINES];
	uint64_t *entered_ns;          /* of each */
	double *took_us;
	uint64_t sum;
};

static void produce(void *arg)
{
	struct run *r = arg;
	uint32_t chance = 1;
	uint64_t next_ns = zn_boot_ns();

	for (uint64_t i = 0; i < EVENTS; i++) {
		while (zn_boot_ns() < next_ns)
			zn__pause();
		chance = chance * 1664525u + 1013904223u;
		next_ns += (chance >> 8) % (2 * APART_NS);
		r->events[i % LINES].words[i % 8] = i;
		r->entered_ns[i] = zn_boot_ns();
		zn_spsc_send(&r->ring, &i, 1);
	}
	zn_spsc_close(&r->ring);
}

static void consume(void *arg)
{
	struct run *r = arg;
	uint64_t i;

	while (zn_spsc_receive(&r->ring, &i, 1)) {
		for (int k = 0; k < 8; k++)
			r->sum += r->events[i % LINES].words[k];
		r->took_us[i] = (double)(zn_boot_ns() - r->entered_ns[i]) / 1e3;
	}
}

static int measure(struct run *r)
{
	int rc = zn_spsc_init(&r->ring, LINES / 2, r->ask->wait);

	if (rc < 0)
		return rc;
	rc = zn_bench_on_two(r->ask, produce, consume, r);
	zn_spsc_done(&r->ring);
	return rc;
}

int zn_bench_latency(const struct zn_bench_ask *ask, struct zn_err *err)
{
	static const char *const names[] = { "spinning", "yielding", "sleeping" };
	struct zn_bench_result result = { .bench = "latency", .name = names[ask->wait], .unit = "us" };
	struct run *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	int rc = 0;

	(void)err;
	if (!r)
		return -ENOMEM;
	*r = (struct run){ .ask = ask, .entered_ns = calloc(EVENTS, 8), .took_us = calloc(EVENTS, sizeof(double)) };
	rc = r->entered_ns && r->took_us ? measure(r) : -ENOMEM;
	if (rc == 0)
		rc = zn_bench_hand_over(ask, &result, r->took_us, NULL, EVENTS);
	free(r->entered_ns);
	free(r->took_us);
	free(r);
	return rc;
}
