/* future: a queue in virtual time: who waits and runs is put in, and the picking of zn-schedd says who starts.  What is asked of
 * it is in forecast.c (from now on) and blame.c (from then on).
 */
#ifndef ZN_QUEUE_FUTURE_H
#define ZN_QUEUE_FUTURE_H

#include "job/spans.h"
#include "pick/gate.h"
#include "pick/preempt.h"
#include "queue/order.h"
#include "queue/picture.h"

/* A job, or an array: those of its elements that wait. */
struct zn__one {
	struct zn_pick_job pick;
	struct zn_order order;
	const struct zn_places *places; /* of one that runs: in the future's arena */
	struct zn__one *whole;         /* of an element: its array */
	struct zn_spans rest;          /* of an array: who waits, and how many have begun */
	uint32_t begun;
	struct zn_gate gate;           /* of an array: how many may at once, and do; elements that are jobs of their own are held back */
	struct zn_gated gated;         /* of such an element */
	const struct zn_job_record *record; /* of what runs: whether it may be preempted */
	uint32_t preempted;
	bool goes;                     /* it makes room, and waits again then */
	double run_s;                  /* for blame.c: what it takes, and when it ends */
	double end_s;
};

struct zn__future {
	const struct zn_picture *picture;
	struct zn__one *v;
	size_t n;
	struct zn_room room;
	struct zn_payers payers;
	struct zn_pick pick;
	struct zn__one *wanted;
	uint32_t wanted_at;            /* of an array: so many of it start before the one that is meant */
	struct zn_arena elements;      /* that began since, and the places of all */
	struct zn_word *words;         /* devices that jobs are to be near, constraints, and what is booked */
	bool failed;                   /* for want of memory */
};

/* With memory for n of them, in the picture's room.  -ENOMEM.  The caller ends it, also then. */
int zn__future_init(struct zn__future *f, const struct zn_picture *p, size_t n);
void zn__future_done(struct zn__future *f);
/* Who pays for it, its wish and device, and how large its part of a GPU is, in this future.  -ENOMEM. */
int zn__future_know(struct zn__future *f, struct zn_order *o);
/* One that is known. */
struct zn__one *zn__future_add(struct zn__future *f, const struct zn_order *o);
int zn__future_wait(struct zn__future *f, struct zn__one *one);         /* -ENOMEM */
/* An element that is a job of its own, and has whole: as soon as so many of its array may run.  -ENOMEM. */
int zn__future_wait_element(struct zn__future *f, struct zn__one *one);
/* one, the last that was added, is an array: its elements are just before it; wanted is the element that is meant, if any. */
int zn__future_wait_array(struct zn__future *f, const struct zn_job_record *r, struct zn__one *array, uint64_t wanted);
/* It runs since then, where the record says; what it takes of the room is the caller's. */
void zn__future_runs(struct zn__future *f, struct zn__one *one, const struct zn_job_record *r, double start_s, double now_s);
/* Who starts at now_s; true: the wanted one does, and the pass is not over. */
bool zn__future_pass(struct zn__future *f, double now_s, struct zn_pick_pass *pass);
/* One that runs ends.  -ENOMEM. */
int zn__future_end(struct zn__future *f, struct zn__one *one, double now_s);

#endif
