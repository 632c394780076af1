/* times: how long decisions took, counted and not kept: 4 buckets for each doubling of the nanoseconds. */
#ifndef ZN_SIM_TIMES_H
#define ZN_SIM_TIMES_H

#include <stdint.h>

enum { ZN_SIM_TIMES = 256 };
struct zn_sim_times { uint64_t count[ZN_SIM_TIMES], n, max_ns; };

uint64_t zn_sim_clock_ns(void);
void zn_sim_times_note(struct zn_sim_times *t, uint64_t ns);
/* A duration that the share p (0..1) of the decisions did not exceed, to a fifth. */
double zn_sim_times_us(const struct zn_sim_times *t, double p);

#endif
