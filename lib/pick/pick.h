/* pick: who starts now.  Pure: the time is the caller's, the jobs are his memory, and what there is to give out is behind
 * zn_pick_ops: a pool of equal GPUs (pool.h), or nodes with their links (room.h).
 *
 * The first in line starts when there is room for it, and so on; then, with backfill, it has a reservation: the time at
 * which by the limits of what runs there will be room for it.  Others start early when they are over by then or take
 * only what it leaves (EASY: Lifka, JSSPP 1995; Mu'alem and Feitelson, TPDS 2001).
 *
 * As many as the policy says have reservations, one after the other in the order of the line; who has room beside those
 * before it needs none, and starts.  For those behind it who has one is there from now on until it is over by its limit, so
 * that all of them can be kept at once.  Who starts early leaves each of them alone, or is over by then (gap.h).
 *
 * Where what is in its way has no limit, nobody knows that time: the others pass, until the first in line was overtaken
 * by so much that nothing may delay it any more (line.h).  Then only what it leaves is given out.
 *
 * At the end those start whose payers are beyond their soft limits (quota.h), if they may: as if nobody else waited, but
 * beside what is set aside.  They make nobody go.
 */
#ifndef ZN_PICK_PICK_H
#define ZN_PICK_PICK_H

#include "pick/line.h"

struct zn_pick_policy {
	enum zn_pick_order order;
	bool backfill;
	uint32_t depth;               /* look at so many behind the first in line; 0: at all.  Not with ZN_PICK_SHORTEST */
	uint32_t reservations;        /* up to ZN_PICK_RESERVATIONS; 0 is 1 */
};

struct zn_pick_ops {
	/* What is free, and what will be closed. */
	void (*begin)(void *arg, double now_s, struct zn_pick_gap *gap);
	/* Gives job what it asks for, of what is free at a level, and says what there is left at each.  False: there is no room
	 * there, for nobody of its shape.
	 */
	bool (*take)(void *arg, struct zn_pick_job *job, uint32_t level, struct zn_pick_gap *gap);
	/* Adds a reservation of job, for which there is no room now beside those of gap or which sleeps; must: if nobody knows
	 * its time, none is in time.  False: it could never start.
	 */
	bool (*reserve)(void *arg, const struct zn_pick_job *job, double now_s, bool must, struct zn_pick_gap *gap);
	/* Whether take would do, if that is found out faster than by doing it; NULL: it is not. */
	bool (*fits)(void *arg, const struct zn_pick_job *job, uint32_t level);
};

/* Kinds of which somebody may start early, as a heap: the first in the order on top. */
struct zn_kinds { struct zn_pick_kind **v; uint32_t n, cap; };

struct zn_pick {
	struct zn_pick_policy policy;
	struct zn_line line;
	struct zn_row running;        /* by when they are over at the latest */
	uint64_t passes;
	struct zn_kinds kinds;        /* in a pass */
	const struct zn_pick_ops *ops;
	void *arg;
	struct zn_payers *payers;     /* who is counted by the caller; NULL: everybody may have everything */
	double weighed_s;             /* when those were, as the line knows them */
	bool exceeds;                 /* those who may exceed their soft limits do: zn_pick_exceed */
	/* Of a job that is many, and has one reservation for the next of them: the one that starts, in no line, with what the caller sets of a job; more: the others wait on,
	 * else none of it is in line any more.  NULL: there are none.
	 */
	struct zn_pick_job *(*part)(void *arg, struct zn_pick_job *job, bool *ret_more);
	void *part_arg;
	/* Of head, for which there is no room: whether others make room for it, which run on with limits that say when; then only
	 * what it leaves is given out.  NULL: nobody ever does.
	 */
	bool (*preempt)(void *arg, const struct zn_pick_job *head, double now_s);
	void *preempt_arg;
	bool preempt_at_once;         /* they are gone once the pass is over, which it is at once: the caller begins another one, */
	struct zn_pick_job *promised; /* in which the first is who they went for */
};

/* One look at the queue, at one time, from beginning to end; nobody comes or goes meanwhile but by it. */
struct zn_pick_pass {
	struct zn_pick *pick;
	double now_s;
	bool filling;                 /* first has its reservation */
	bool over;                    /* nobody else starts, whatever is free */
	bool reserved;                /* and all others that get one have theirs */
	struct zn_line_ahead ahead;   /* those who do */
	struct zn_pick_kind *again;   /* of the one that started last, if there are others */
	bool ready;                   /* each kind knows who of it may start early */
	const struct zn_pick_job *first;
	struct zn_pick_gap gap;
};

/* total: the size of all there is. */
void zn_pick_init(struct zn_pick *p, struct zn_pick_policy policy, double total, const struct zn_pick_ops *ops, void *arg);
void zn_pick_done(struct zn_pick *p);
/* job waits from now on; one that asks more than there is keeps nobody back.  -ENOMEM. */
int zn_pick_wait(struct zn_pick *p, struct zn_pick_job *job, const struct zn_pick_ask *ask);
/* job, which is in no line, runs since start_s. */
void zn_pick_runs(struct zn_pick *p, struct zn_pick_job *job, double start_s, uint64_t weight);
/* Of one that runs. */
void zn_pick_set_limit(struct zn_pick *p, struct zn_pick_job *job, double estimate_s, double limit_s);
/* It runs no more, or waits no more. */
void zn_pick_gone(struct zn_pick *p, struct zn_pick_job *job, double now_s);

/* The job of a node in running. */
static inline struct zn_pick_job *zn_pick_job_that_runs(struct zn_row_node *node)
{
	return zn_pick_job_of(node, running);
}

/* Takes the factors of the payers, who are there; each pass begins with it. */
void zn_pick_weigh(struct zn_pick *p);
void zn_pick_begin(struct zn_pick_pass *pass, struct zn_pick *p, double now_s);
/* Of each owner who has all that he is allowed, puts out what he may not have (owners.c).  True: something is not out any
 * more, as one that kept it back is now kept back by an owner of his own.
 */
bool zn_pick_ask_payers(struct zn_pick *p, double now_s);

/* Up to which limits a shape may start just now. */
static inline enum zn_quota_level zn_pick_up_to(const struct zn_pick *p, const struct zn_pick_shape *s)
{
	return p->exceeds && s->ask.may_exceed ? ZN_QUOTA_HARD : ZN_QUOTA_SOFT;
}

/* From now on, for the rest of a pass. */
void zn_pick_exceed(struct zn_pick *p, bool on, double now_s);

/* The next that starts, and has what it asked for from now on; NULL: no other one does. */
struct zn_pick_job *zn_pick_next(struct zn_pick_pass *pass);

#endif
