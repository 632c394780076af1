/* line: the jobs that wait for GPUs of one pool, in the order in which they should start.
 *
 * The default order depends on the time: the job that has waited longest for what it asks comes first, by
 *
 *     (wait + 60 s) / (estimate * sqrt(gpus))
 *
 * that is a slowdown, weighted for width.  Nothing is sorted for it: jobs of one width and nearly one estimate are a
 * class, in which the first to arrive is the first; only the heads of the classes are compared.
 *
 * The order alone would let a wide or long job wait for ever.  So each waiting job counts the GPU-seconds of the jobs
 * that arrived after it and started before it, charged at their start by their estimates; what they did not use is
 * given back at their end.  Once the oldest has been overtaken by 48 hours of the whole pool it is the first, whatever
 * the order says.
 */
#ifndef ZN_PICK_LINE_H
#define ZN_PICK_LINE_H

#include "pick/row.h"

enum zn_pick_order {
	ZN_PICK_SLOWDOWN,             /* the default: as above */
	ZN_PICK_ARRIVAL,
	ZN_PICK_SHORTEST,             /* by estimate */
};

/* The caller sets what is before class; a job is in one pool at a time. */
struct zn_pick_job {
	uint64_t seq;                 /* arrival; unique */
	double submit_s, estimate_s;
	uint32_t gpus;                /* 1 or more */
	struct zn_pick_class *class;
	struct zn_row_node all, in_class, running;
	double urgency;               /* 1 / (estimate * sqrt(gpus)) */
	double start_s;
};

enum { ZN_PICK_BUCKETS = 128 };

struct zn_pick_class {
	struct zn_row jobs;           /* by arrival */
};

struct zn_pick_width {            /* those that ask for so many GPUs */
	uint32_t gpus, n;
	uint64_t filled[ZN_PICK_BUCKETS / 64];
	struct zn_pick_class classes[ZN_PICK_BUCKETS];
};

struct zn_line {
	enum zn_pick_order order;
	double pool_gpus;
	struct zn_row all;            /* by arrival, or by what ZN_PICK_SHORTEST says */
	struct zn_pick_width **widths;/* ascending */
	size_t n_widths, cap_widths;
};

/* What may start early: it fits, and is over in time, or takes only what the first in line leaves. */
struct zn_gap {
	uint32_t free, extra;
	double shadow_s;              /* when the first in line starts */
	bool has_last;
	uint64_t last_seq;            /* nobody behind this one is looked at */
};

void zn_line_done(struct zn_line *l);
int zn_line_add(struct zn_line *l, struct zn_pick_job *job); /* -ENOMEM: it is not in the line */
void zn_line_remove(struct zn_line *l, struct zn_pick_job *job);
/* Overtaken: job, which was in the line, starts; or it has ended and used less by seconds. */
void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds);

struct zn_pick_job *zn_line_head(const struct zn_line *l, double now_s);
/* The first in the order that fits into the gap now. */
struct zn_pick_job *zn_line_fitting(const struct zn_line *l, const struct zn_gap *gap, double now_s);
/* What the narrowest asks; UINT32_MAX: nobody waits. */
uint32_t zn_line_narrowest(const struct zn_line *l);

#endif
