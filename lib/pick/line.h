/* line: the jobs that wait, in the order in which they should start.
 *
 * A higher priority comes first.  Among equal ones the default order depends on the time: the job that has waited
 * longest for what it asks comes first, by
 *
 *     (wait + 60 s) / (estimate * sqrt(size))
 *
 * that is a slowdown, weighted for width; times the fair share of who asks.  Nothing is sorted for it: jobs of one
 * shape (what they ask) and nearly one
 * estimate are a class, in which the first to arrive is the first; only the heads of the classes are compared.
 *
 * The order alone would let a wide or long job, or one of a low priority, wait for ever.  So each waiting job counts
 * the size times the seconds of the jobs that arrived after it and started before it, charged at their start by their
 * estimates; what they did not use is given back at their end.  Once the oldest has been overtaken by 48 hours of all
 * there is it is the first, whatever the order says.
 */
#ifndef ZN_PICK_LINE_H
#define ZN_PICK_LINE_H

#include <uthash.h>

#include "pick/row.h"
#include "quota/quota.h"

enum zn_pick_order {
	ZN_PICK_SLOWDOWN,             /* the default: as above */
	ZN_PICK_ARRIVAL,
	ZN_PICK_SHORTEST,             /* by estimate */
};

/* What jobs of one shape have in common: where one of them finds no room, none does. */
struct zn_pick_ask {
	int64_t priority;
	uint64_t mem_bytes;
	uint32_t gpus, cpus;
	uint32_t tasks;
	uint32_t gang;                /* in a hall: which (hall.h) */
	uint32_t payer;               /* who may not start more than he is allowed; 0: there is no limit */
	bool nvlink_required;
};

/* What there is of what can be counted. */
struct zn_pick_have { uint64_t mem_bytes; uint32_t gpus, cpus; };

/* The caller sets what is before bucket. */
struct zn_pick_job {
	uint64_t seq;                 /* arrival; unique */
	double submit_s;
	double estimate_s;            /* how long it may take: the order goes by it */
	double limit_s;               /* when it is over at the latest, after its start; HUGE_VAL: there is no such time */
	float size;                   /* the part of all there is that it takes, times the line's total; above 0 */
	uint32_t gang;                /* in a hall: which it is */
	unsigned bucket;
	struct zn_pick_shape *shape;  /* NULL: it is in no line */
	double urgency;               /* 1 / (estimate * sqrt(size)) */
	double overtaken_s;           /* while it is in no line: what passed it, as parts of all there is times seconds */
	double excused_s;             /* what had passed its shape while that was out, when it came */
	bool runs, charged;           /* charged: to those whom it overtook */
	double start_s;
	union {
		struct { struct zn_row_node all, in_class; };
		struct zn_row_node running;
	};
};

enum { ZN_PICK_BUCKETS = 128 };

struct zn_pick_class {
	unsigned bucket;
	struct zn_row jobs;           /* by arrival */
};

struct zn_pick_shape {
	struct zn_pick_ask ask;
	struct zn_pick_class *classes;/* by bucket, none of them empty */
	size_t n_classes, cap_classes;
	double not_before_s;          /* 0, or when it may be looked at again, by the clock of zn_line_wake */
	bool sleeps;                  /* it may not */
	double factor;                /* of the urgency of its jobs: the fair share of its payer */
	bool is_out;                  /* its payer has all that he is allowed: as if none of it waited */
	double excused_s, out_at_s;   /* what passed all while it was out; the line's charged_s when it went out */
	uint64_t no_room, no_room_beside; /* numbers of the passes in which none was found */
	UT_hash_handle hh;
};

struct zn_line {
	enum zn_pick_order order;
	double total;                 /* the size of all there is */
	struct zn_row all;            /* by arrival, or by what ZN_PICK_SHORTEST says */
	struct zn_pick_shape *shapes;
	size_t n_paid;                /* shapes with a payer */
	double charged_s;             /* all that anybody was ever overtaken by */
};

/* What may start early: there is room for it and it is over in time, or there is room beside what is set aside for the
 * first in line.
 */
struct zn_pick_gap {
	uint64_t pass;
	struct zn_pick_have now, beside;
	double shadow_s;              /* when the first in line starts; HUGE_VAL: nobody knows; -HUGE_VAL: none is in time */
	bool has_last;
	uint64_t last_seq;            /* nobody behind this one is looked at */
};

void zn_line_done(struct zn_line *l);
int zn_line_add(struct zn_line *l, struct zn_pick_job *job, const struct zn_pick_ask *ask); /* -ENOMEM: it is not in it */
void zn_line_remove(struct zn_line *l, struct zn_pick_job *job);
/* Overtaken: job, which was in the line, starts; or it has ended and used less by seconds. */
void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds);
/* Nobody of job's shape is looked at until zn_line_wake comes with until_s or more. */
void zn_line_defer(struct zn_pick_job *job, double until_s);
/* Whether nobody of this shape is there; what passes them meanwhile does not count for them. */
void zn_line_set_out(const struct zn_line *l, struct zn_pick_shape *s, bool out);
/* The first of a shape. */
struct zn_pick_job *zn_line_first_of(const struct zn_line *l, const struct zn_pick_shape *s, double now_s);
/* Returns when the first of those that sleep on may be looked at; 0: none does. */
double zn_line_wake(struct zn_line *l, double now_s);

/* Both are in the line. */
bool zn_line_goes_before(const struct zn_line *l, const struct zn_pick_job *a, const struct zn_pick_job *b, double now_s);
/* Of those who are not out, and not known to find no room in this pass; also of those who sleep.  NULL: there is none.
 * *ret_must: it was overtaken by so much that nothing may delay it any more.
 */
struct zn_pick_job *zn_line_head(const struct zn_line *l, uint64_t pass, double now_s, bool *ret_must);
/* The first in the order that may start now. */
struct zn_pick_job *zn_line_fitting(const struct zn_line *l, const struct zn_pick_gap *gap, double now_s);

/* What it counts for against a quota: GPUs, CPUs that it has alone by its own wish, or without GPUs; memory. */
static inline struct zn_use zn_pick_use(const struct zn_pick_ask *a)
{
	return (struct zn_use){ .running = 1, .gpus = a->gpus, .cpus = a->cpus ? a->cpus : a->gpus ? 0 : a->tasks,
	                        .mem_bytes = a->mem_bytes };
}

static inline bool zn_pick_fits(const struct zn_pick_ask *ask, const struct zn_pick_have *have)
{
	return ask->gpus <= have->gpus && ask->cpus <= have->cpus && ask->mem_bytes <= have->mem_bytes;
}

#endif
