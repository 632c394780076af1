/* usage: how busy this machine is, from /proc.  Facts at one moment; what lies between two is arithmetic. */
#ifndef ZN_USAGE_USAGE_H
#define ZN_USAGE_USAGE_H

#include <stdint.h>

#include "zenith.h"

/* Time of all CPUs since boot, in clock ticks (proc(5), /proc/stat). */
struct zn_cpu_times { uint64_t busy, idle; };

/* root: "" for this machine, else a directory in place of /. */
int zn_cpu_times_read(const char *root, struct zn_cpu_times *ret);
/* How much of the time between a and b the CPUs were busy, 0 to 100; 0 when none passed.  Pure. */
double zn_cpu_busy_pct(const struct zn_cpu_times *a, const struct zn_cpu_times *b);
/* MemAvailable: what programs could still get without swapping. */
int zn_mem_available_read(const char *root, uint64_t *ret_bytes);

#endif
