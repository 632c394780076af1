/* line: the jobs that wait, in the order in which they should start.
 *
 * A higher priority comes first.  Among equal ones the default order depends on the time: the job that has waited
 * longest for what it asks comes first, by
 *
 *     (wait + 60 s) / (estimate * sqrt(size))
 *
 * that is a slowdown, weighted for width; times the fair share of who asks; each of the three to a power that can be
 * configured.  Nothing is sorted for it: jobs of one
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

#include "pick/gap.h"
#include "pick/licences.h"
#include "plan/plan.h"
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
	uint32_t nodes_min, nodes_max; /* in a room: a gang, of which each node gets an equal part; max 0 or 1: one node */
	uint32_t payer;               /* who may not start more than he is allowed; 0: there is no limit */
	bool nvlink_required;
	bool may_exceed;              /* its payer's soft limits, when nobody else starts */
	bool spread, same_switch;     /* in a room: over much of a node, and many nodes; on nodes of one domain */
	const char *near, *constraint, *booking; /* in a room: a device; labels; what is booked; NULL: none; of equal texts always the same pointer */
	struct zn_gpu_part part;      /* in a room: of the one GPU */
	const struct zn_wish *wish;   /* in a room: what licences; NULL: none */
};

/* The caller sets what is before gang, that in a hall, and many. */
struct zn_pick_job {
	uint64_t seq;                 /* arrival; unique */
	double submit_s;
	double estimate_s;            /* how long it may take: the order goes by it */
	double limit_s;               /* when it is over at the latest, after its start; HUGE_VAL: there is no such time */
	float size;                   /* the part of all there is that it takes, times the line's total; above 0 */
	uint32_t gang;                /* in a hall: which it is */
	struct zn_pick_shape *shape;  /* NULL: it is in no line */
	struct zn_pick_class *class;
	double urgency;               /* 1 / (estimate * sqrt(size)); else what the order says of it, the more the earlier */
	double overtaken_s;           /* while it is in no line: what passed it, as parts of all there is times seconds */
	double excused_s;             /* what had passed its shape while that was out, when it came */
	bool runs, charged;           /* charged: to those whom it overtook */
	bool is_over;                 /* it started beyond its payer's soft limits */
	bool many;                    /* it stands for several, which start one by one (zn_pick.part) */
	double start_s;
	union {
		struct { struct zn_row_node all, in_class; };
		struct zn_row_node running;
	};
};

#define ZN_LINE_SLOWLY_S 60.           /* in which the order of what waits changes little */
#define ZN_LINE_PATIENCE_S 60.         /* that a job is worth more than nothing when it comes */
#define zn_pick_job_of(node, member) ((struct zn_pick_job *)((char *)(node) - offsetof(struct zn_pick_job, member)))
enum { ZN_PICK_BUCKETS = 128, ZN_PICK_TOP = 8, ZN_PICK_IDLE = 64 };

/* The first of a class, with all that the order asks of it; and the lowest limit in the class. */
struct zn_line_head {
	int64_t priority;
	double submit_s, urgency, low_s;
	uint64_t seq;
	uint32_t payer;
	struct zn_pick_class *class;
};

/* Jobs of one shape and nearly one estimate. */
struct zn_pick_class {
	struct zn_pick_shape *shape;
	unsigned bucket;
	uint32_t at;                  /* where its first is in the heads of its kind; ZN_PICK_NO_HEAD: the shape is out */
	bool in_top;
	struct zn_pick_job *first;
	struct zn_line_head head;     /* of it, also while that is not among those */
	struct zn_row jobs;           /* by arrival; at least one */
};
#define ZN_PICK_NO_HEAD UINT32_MAX

/* And its score. */
struct zn_line_ranked { const struct zn_line_head *head; double score; };

/* Jobs that ask for the same things, whoever asks: where one of them finds no room, none does.
 *
 * Which of its classes comes first changes slowly: of the first few as of at_s, which are kept, the first is the first of
 * all as long as it comes before the best that any other one can have become (line_top.c).
 */
struct zn_pick_kind {
	struct zn_pick_ask ask;       /* without priority, payer and may_exceed */
	uint32_t n_shapes;            /* at least one, idle ones too */
	struct zn_pick_shape *shapes; /* that are not idle */
	struct zn_line_head *heads;   /* of its classes whose shapes are not out, in no order */
	uint32_t n_heads, cap_heads, n_classes;
	double low_s;                 /* no head's is lower */
	struct zn_pick_class *top[ZN_PICK_TOP]; /* the first few, in no order */
	uint32_t n_top;
	bool has_rest;                /* there are others */
	int64_t rest_priority;        /* the best of them, by this and by their score at at_s */
	double rest_score, at_s, growth;
	uint64_t no_room;             /* the number of the pass in which none was found */
	uint64_t capped;              /* that in which none was found above the level cap */
	uint32_t cap;
	uint64_t never;               /* that in which it was seen that none of it could ever start */
	struct zn_pick_job *next;     /* in a pass: of it, who may start early; NULL: nobody */
	struct zn_line_head next_head;
	double next_score;
	struct zn_pick_kind *prev, *next_kind; /* in the line, unless all of its shapes are idle */
	UT_hash_handle hh;
};

/* Idle: nothing of it waits. */
struct zn_pick_shape {
	struct zn_pick_ask ask;
	struct zn_pick_kind *kind;
	struct zn_pick_class **classes; /* by bucket, none of them empty; behind them empty ones for reuse, or NULL */
	size_t n_classes, cap_classes;
	double not_before_s;          /* 0, or when it may be looked at again, by the clock of zn_line_wake */
	bool sleeps;                  /* it may not */
	bool is_out;                  /* its payer has all that he is allowed: as if none of it waited */
	double excused_s, out_at_s;   /* what passed all while it was out; the line's charged_s when it went out */
	uint32_t at;                  /* where it is among those of its payer, or among the idle */
	struct zn_pick_shape *before_in_kind, *after_in_kind;
	UT_hash_handle hh;
};

/* What is asked of a shape when its payer is asked; close together, for there can be many. */
struct zn_pick_paid {
	struct zn_pick_shape *shape;
	struct zn_use use;
	bool is_blocked, is_out;      /* blocked: it is out by itself, not for what comes before it */
	struct zn_pick_job *first;    /* of the shape, as of first_s; NULL: it is to be looked for */
	struct zn_line_head first_head;
	double first_s;
};

/* Of a payer: what of his waits, and what is known of when it was asked who of his may start (owners.c). */
struct zn_pick_payer {
	struct zn_pick_paid *v;
	uint32_t n, cap;
	uint32_t n_may_exceed;        /* of these, that are out and may exceed */
	bool is_asked;                /* he is among those to ask */
	bool is_linked;               /* in the lists of his owners: */
	uint32_t before[2], after[2]; /* other payers; 0: there is none */
	struct zn_owner_seen seen[2]; /* his owners, when he left those */
};

/* What the default order minds beside the wait, as exponents, from 0; absent: 1, 1/2 and 1, as above. */
struct zn_pick_weights { struct zn_of64 estimate, size, fair_share; };
enum { ZN_PICK_WEIGHT_MAX = 4 };

struct zn_line {
	enum zn_pick_order order;
	struct zn_pick_weights weights; /* set before the first job comes */
	double total;                 /* the size of all there is */
	struct zn_row all;            /* by arrival, or by what ZN_PICK_SHORTEST says */
	struct zn_pick_kind *kinds;   /* of which something waits */
	struct zn_pick_kind *kinds_by_ask;
	struct zn_pick_shape *shapes_by_ask;
	struct zn_pick_shape *idle[ZN_PICK_IDLE]; /* those that became so last, for reuse; NULL: free */
	uint32_t idle_next;           /* who is replaced next */
	struct zn_pick_job *oldest;   /* of those who are not out; NULL: it is to be looked for */
	size_t n_sleeping;            /* shapes */
	size_t n_may_exceed;          /* shapes that are out and may exceed, of all */
	struct zn_pick_payer *payers; /* by their numbers, from 1 on: n_payers */
	uint32_t n_payers;
	uint32_t *to_ask, n_to_ask;   /* payers of whom a job came or left since they were asked; and who else is to be: zn_line_ask */
	uint32_t n_factors;           /* the first so many are what they should be */
	double *factors;              /* of each of them: what the urgency of his jobs is multiplied by, the fair share */
	double growth;                /* what any factor was multiplied by since the beginning, at most */
	double charged_s;             /* all that anybody was ever overtaken by */
};

/* Who has a reservation in a pass, in the order of the line. */
struct zn_line_ahead { const struct zn_pick_job *v[ZN_PICK_RESERVATIONS]; uint32_t n; };

void zn_line_done(struct zn_line *l);
/* What the wait, and a minute, are multiplied by; and what the fair share comes to. */
double zn_weigh_job(const struct zn_pick_weights *w, double estimate_s, double size);
double zn_weigh_share(const struct zn_pick_weights *w, double fair_share);
int zn_line_add(struct zn_line *l, struct zn_pick_job *job, const struct zn_pick_ask *ask); /* -ENOMEM: it is not in it */
/* Returns its kind, unless it was the last of it. */
struct zn_pick_kind *zn_line_remove(struct zn_line *l, struct zn_pick_job *job);
/* Overtaken: job, which was in the line, starts; or it has ended and used less by seconds. */
void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds);
/* Nobody of job's shape is looked at until zn_line_wake comes with until_s or more. */
void zn_line_defer(struct zn_line *l, struct zn_pick_job *job, double until_s);
/* Whether nobody of this shape is there; what passes them meanwhile does not count for them. */
void zn_line_set_out(struct zn_line *l, struct zn_pick_shape *s, bool out);
/* That payer is to be asked; 0 is not. */
void zn_line_ask(struct zn_line *l, uint32_t payer);
/* Keeps n_may_exceed, of all and of its payer. */
void zn_line_count_out(struct zn_line *l, const struct zn_pick_shape *s, bool was, bool is);
/* Of a shape. */
struct zn_pick_paid *zn_line_paid(const struct zn_line *l, const struct zn_pick_shape *s);
/* Sets first and first_head, as they were within the last minute: within a shape the order changes slowly. */
void zn_line_find_first(const struct zn_line *l, struct zn_pick_paid *paid, double now_s);
/* Returns when the first of those that sleep on may be looked at; 0: none does. */
double zn_line_wake(struct zn_line *l, double now_s);

/* What the urgency of the jobs of the first n payers is multiplied by from now on; anew: also of those who had a factor. */
void zn_line_set_factors(struct zn_line *l, bool anew, uint32_t n, double (*factor)(const void *arg, uint32_t payer), const void *arg);
struct zn_line_head zn_line_head_of(const struct zn_pick_job *job); /* as if it were one; it is in the line */
/* Both are in the line. */
bool zn_line_goes_before(const struct zn_line *l, const struct zn_pick_job *a, const struct zn_pick_job *b, double now_s);
struct zn_line_ranked zn__line_top_of_many(const struct zn_line *l, struct zn_pick_kind *k, double now_s); /* zn_line_top, of two or more */
/* A class that is not among the first few has another first, of which more is known than that the other came before it. */
void zn_line_top_note(const struct zn_line *l, struct zn_pick_kind *k, const struct zn_line_head *h);
/* Growth begins anew, and everything is looked at again. */
void zn_line_top_renew(struct zn_line *l);
/* A class has no first any more. */
void zn_line_top_forget(struct zn_pick_kind *k, struct zn_pick_class *c);
/* Of those who are not out, and not known to find no room in this pass; also of those who sleep: the first, and the oldest.
 * NULL: there is none.
 */
struct zn_pick_job *zn_line_first(const struct zn_line *l, uint64_t pass, double now_s);
struct zn_pick_job *zn_line_oldest(struct zn_line *l, uint64_t pass);
/* Who comes next behind those ahead, of those who are not out, could start some time and came before the gap's last; also of
 * those who sleep.  Sets *ret_must: it is the oldest of them, and was overtaken by so much as zn_line_must says.  NULL: there
 * is none.
 */
struct zn_pick_job *zn_line_behind(struct zn_line *l, const struct zn_line_ahead *ahead, const struct zn_pick_gap *gap, double now_s,
                                   bool *ret_must);
/* Whether it was overtaken by so much that nothing may delay it any more.  The oldest was overtaken by all who overtook any
 * other one.
 */
bool zn_line_must(const struct zn_line *l, const struct zn_pick_job *job);
/* Of one that started: whether it was. */
bool zn_line_was_last(const struct zn_pick_job *job);

/* A clock may have been set back. */
static inline double zn_line_waited_s(double submit_s, double now_s)
{
	return now_s > submit_s ? now_s - submit_s : 0;
}

/* How urgent it is after that wait: by zn_weigh_job and zn_weigh_share. */
static inline double zn_line_urgency(double waited_s, double weight, double share)
{
	return (waited_s + ZN_LINE_PATIENCE_S) * weight * share;
}

static inline double zn_line_score(const struct zn_line *l, const struct zn_line_head *h, double now_s)
{
	if (l->order != ZN_PICK_SLOWDOWN)
		return h->urgency;
	return zn_line_urgency(zn_line_waited_s(h->submit_s, now_s), h->urgency, l->factors[h->payer]);
}

/* Of those of a kind who are not out, of whom there are some: the first. */
static inline struct zn_line_ranked zn_line_top(const struct zn_line *l, struct zn_pick_kind *k, double now_s)
{
	if (k->n_heads > 1)
		return zn__line_top_of_many(l, k, now_s);
	return (struct zn_line_ranked){ k->heads, zn_line_score(l, k->heads, now_s) };
}

/* A higher priority comes first, then a higher score, then who came first. */
static inline bool zn_line_head_before(const struct zn_line_head *a, double score_a, const struct zn_line_head *b, double score_b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return score_a != score_b ? score_a > score_b : a->seq < b->seq;
}

static inline bool zn_line_ranked_before(const struct zn_line_ranked *a, const struct zn_line_ranked *b)
{
	return zn_line_head_before(a->head, a->score, b->head, b->score);
}

/* What it counts for against a quota: GPUs, CPUs that it has alone by its own wish, or without GPUs; memory. */
static inline struct zn_use zn_pick_use(const struct zn_pick_ask *a)
{
	return (struct zn_use){ .running = 1, .gpus = a->part.milli ? 0 : a->gpus, .gpu_milli = a->part.milli, .cpus = a->cpus ? a->cpus : a->gpus ? 0 : a->tasks,
	                        .mem_bytes = a->mem_bytes };
}

static inline bool zn_pick_fits(const struct zn_pick_ask *ask, const struct zn_pick_have *have)
{
	return (ask->part.milli ? ask->part.milli <= have->gpu_milli : ask->gpus <= have->gpus) && ask->cpus <= have->cpus && ask->mem_bytes <= have->mem_bytes;
}

#endif
