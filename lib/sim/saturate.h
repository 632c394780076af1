/* saturate: how full a cluster can be made.  The tasks of a trace come in random order, with copies of random ones until
 * they ask for 130 % of the cluster's GPUs; each is placed if it can be, and none leaves (the protocol of FGD, USENIX ATC
 * 2023, section 6).
 */
#ifndef ZN_SIM_SATURATE_H
#define ZN_SIM_SATURATE_H

#include "fleet/fleet.h"
#include "rec/field.h"
#include "sim/cluster.h"
#include "sim/times.h"
#include "sim/trace.h"

struct zn_saturation {
	const char *policy;
	uint64_t seed;
	double arrived_pct, allocated_pct;    /* of all GPUs */
	uint64_t placed, refused;             /* tasks */
};
extern const struct zn_kind zn_saturation_kind;

struct zn_saturate {
	const struct zn_trace *trace;         /* read as ZN_TRACE_PLACE */
	const struct zn_cluster *cluster;
	enum zn_fleet_policy policy;
	uint64_t seed;
	void *arg;
	void (*tell)(void *arg, const struct zn_saturation *now); /* at each percent arrived; policy is the caller's to fill */
};

/* What it came to in the end. */
struct zn_saturate_sum {
	uint64_t placed, refused;
	double allocated, fragmentation;      /* 0 to 1: of all GPUs; of what is free of them */
	struct zn_sim_times decisions;
};

/* -EBADMSG for what can't be simulated: too many kinds of GPUs, no task with GPUs, or so small ones that more than a hundred million would be needed.
 */
int zn_saturate(const struct zn_saturate *s, struct zn_saturate_sum *ret, struct zn_err *err);

#endif
