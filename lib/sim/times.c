#include "sim/times.h"

#include <math.h>
#include <time.h>

uint64_t zn_sim_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void zn_sim_times_note(struct zn_sim_times *t, uint64_t ns)
{
	unsigned at = ns < 4 ? (unsigned)ns : 4 * (62 - (unsigned)__builtin_clzll(ns)) + (unsigned)(ns >> (61 - __builtin_clzll(ns)) & 3);

	t->count[at < ZN_SIM_TIMES ? at : ZN_SIM_TIMES - 1]++;
	t->n++;
	if (ns > t->max_ns)
		t->max_ns = ns;
}

/* The longest time that the bucket holds. */
static double bucket_ns(unsigned at)
{
	return at < 4 ? at : ldexp(5 + at % 4, (int)(at / 4) - 1) - 1;
}

double zn_sim_times_us(const struct zn_sim_times *t, double p)
{
	uint64_t seen = 0;

	for (unsigned at = 0; at < ZN_SIM_TIMES; at++) {
		seen += t->count[at];
		if (t->n && (double)seen >= p * (double)t->n)
			return (bucket_ns(at) < (double)t->max_ns ? bucket_ns(at) : (double)t->max_ns) / 1e3;
	}
	return 0;
}
