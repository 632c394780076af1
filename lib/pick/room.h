/* room: what nodes have to give out, each with its links and NUMA nodes: the planner says which GPUs, CPUs and memory a job
 * gets of a node.  Licences are counted beside them.  What is set aside for who has a reservation is what it would be given when the
 * jobs in its way are over.
 *
 * Of the nodes that have room a job gets the one with the best links for it, then the one with the least left; a gang as few
 * as can be, or to be spread as many as may be, all at once or none, in the smallest domain of the network where there are so many,
 * and of several such in the one where there are the fewest.  Who wants one switch gets nodes that have the very same domain.
 *
 * A wish for what a node is like inside weighs among nodes as it does among GPUs: spread before the links, near a device behind them.
 */
#ifndef ZN_PICK_ROOM_H
#define ZN_PICK_ROOM_H

#include "pick/pick.h"
#include "plan/plan.h"

/* What a job has of a node. */
struct zn_place {
	uint32_t node;                 /* its number in the room */
	bool told, started, over;      /* zn-schedd's: its agent was asked to start it; it runs there; nothing of it runs there any more */
	struct zn_plan plan;
};

/* All that it has: one alone but for a gang, whose ranks are in this order. */
struct zn_places { uint32_t n; struct zn_place v[]; };

/* What is some jobs' alone from one time until another: of those whose ask names it.  Others start nothing there that is not over
 * when it begins; those start nothing elsewhere, nor what is not over when it ends.  Later ones are closings to all (gap.h).
 */
struct zn_room_booked {
	const char *name;
	double from_s, until_s;
	uint32_t node;
	bool is_whole;                 /* all that the node has */
	struct zn_idset gpus;          /* else these */
};

struct zn_room_node {
	const char *domain;            /* where it is in the network, from the spine on: "row1/leaf2"; NULL or "": below the spine */
	const struct zn_strmap *labels; /* NULL: none */
	const struct zn_facts *facts;  /* NULL: nothing is known yet, and there is no room */
	struct zn_free free;           /* what no job has */
	struct zn_idset held;          /* GPUs that strangers use */
	struct zn_idset claimed;       /* CPUs that frozen jobs are about to have again: nobody else gets them who is not more urgent */
	int64_t claimed_by;            /* than the most urgent of these is */
	bool is_closed;                /* nothing starts there, and who waits does not count on it */
	double closes_s, opens_s;      /* it will be, from then on until then; closes_s 0: it won't; opens_s HUGE_VAL: nobody knows */
	const struct zn_room_booked *booked; /* of it, n_booked of the room's */
	uint32_t n_booked;
	struct zn_free then;           /* what would be free */
};

/* A reservation of a pass. */
struct zn_room_ahead {
	double from_s, until_s;        /* when who has it runs; HUGE_VAL: nobody knows */
	struct zn_places *places;      /* and where: with room for every node */
	const struct zn_wish *wish;
	struct zn_free *left;          /* of each node what is free then, beside it */
	bool holds;                    /* its place is taken in what would be free */
};

struct zn_room {
	struct zn_room_node *nodes;
	uint32_t n;
	struct zn_licences licences;   /* what no job has of them */
	const struct zn_row *running;
	const struct zn_places *(*places_of)(const struct zn_pick_job *job); /* what a job that runs was given */
	const struct zn_wish *(*wish_of)(const struct zn_pick_job *job); /* and its licences */
	struct zn_places *places;      /* what the job that started last was given; with room for every node */
	struct zn_room_choice *choices; /* in the search of a place */
	struct zn_room_ahead *ahead;   /* by the numbers of the gap */
	uint32_t n_ahead;              /* as many as there may be */
	double now_s;                  /* of the pass */
	double then_s, over_s;         /* of the last look at what would be: when it would run */
	struct zn_room_booked *booked; /* by nodes */
	size_t n_booked;
};

extern const struct zn_pick_ops zn_room_ops; /* arg: a zn_room */

/* n nodes of which nothing is known, for so many reservations in a pass; the rest is the caller's.  -ENOMEM. */
int zn_room_open(struct zn_room *r, uint32_t n, uint32_t reservations);
/* Its licences, too. */
void zn_room_close(struct zn_room *r);
/* A node with these facts, which live as long as it, and without a job.  NULL: nothing is known. */
void zn_room_set_facts(struct zn_room *r, uint32_t node, const struct zn_facts *facts);

/* Instead of all that was booked; equal names may be several texts, which live as long.  No two have the same part of a node at the
 * same time.  -ENOMEM.
 */
int zn_room_book(struct zn_room *r, const struct zn_room_booked *v, size_t n);
/* Some time. */
bool zn_room_is_booked_for(const struct zn_room_node *n, const char *name);
/* One that is not the ask's, now; NULL: there is none. */
const struct zn_room_booked *zn_room_booked_now(const struct zn_room *r, const struct zn_room_node *n, const struct zn_pick_ask *wanted);
/* Of what a node has free, what is left for it now; false: nothing. */
bool zn_room_leaves_now(const struct zn_room *r, const struct zn_room_node *n, const struct zn_pick_ask *wanted, struct zn_free *f);
/* When the next one begins or ends; HUGE_VAL: there is none. */
double zn_room_next_booked(const struct zn_room *r, double at_s);

/* What of the labels that are asked it has not, and its length; NULL: it has all. */
const char *zn_room_lacks_label(const struct zn_room_node *n, const struct zn_pick_ask *wanted, size_t *ret_len);
static inline bool zn_room_suits(const struct zn_room_node *n, const struct zn_pick_ask *wanted)
{
	size_t len;

	return (!wanted->constraint || !zn_room_lacks_label(n, wanted, &len)) && (!wanted->booking || zn_room_is_booked_for(n, wanted->booking));
}
/* Of what no job has, what it may have. */
struct zn_free zn_room_free_for(const struct zn_room_node *n, const struct zn_pick_ask *wanted);
/* What the planner is asked. */
struct zn_ask zn_room_ask(const struct zn_pick_ask *a);

/* What a node has free at a level. */
struct zn_free zn_room_at_level(const struct zn_room *r, uint32_t node, uint32_t level, const struct zn_pick_gap *gap);

/* Whether there is room for it at a level; where, into places. */
bool zn_room_fits(struct zn_room *r, const struct zn_pick_ask *wanted, uint32_t level, const struct zn_pick_gap *gap);
/* Where there is room for it now, but for licences, into places. */
bool zn_room_find(struct zn_room *r, const struct zn_pick_ask *wanted);
/* malloc'ed; NULL: out of memory. */
struct zn_places *zn_places_copy(const struct zn_places *p);
/* What each of n nodes has to have of what a gang asks; false: it can't be split into so many. */
bool zn_room_split(const struct zn_pick_ask *wanted, uint32_t n, struct zn_pick_ask *ret);

/* Without zn_pick, for a place that was found elsewhere. */
void zn_room_take(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish);
void zn_room_give(struct zn_room *r, const struct zn_places *places, const struct zn_wish *wish);

/* A job keeps its places, but nothing of their CPUs; has them again if all are free; or nobody else who is not more urgent gets any
 * of them any more until the caller empties claimed.
 */
void zn_room_lend_cpus(struct zn_room *r, struct zn_places *places);
bool zn_room_take_back_cpus(struct zn_room *r, struct zn_places *places);
void zn_room_claim_cpus(struct zn_room *r, const struct zn_places *places, int64_t priority);

/* What would be, for somebody of that priority who is over by over_s, on nodes that do not close before that and of what is not
 * booked for others (0: on all, and now): as it is now, when that job is over as well, and so on; whether there would be room
 * for it, which takes that.
 */
void zn_room_future(struct zn_room *r, int64_t priority, double over_s);
void zn_room_future_give(struct zn_room *r, const struct zn_pick_job *job);
void zn_room_future_lend_cpus(struct zn_room *r, const struct zn_pick_job *job); /* its CPUs alone */
bool zn_room_future_fits(struct zn_room *r, const struct zn_pick_ask *wanted);

/* Something is known of a node. */
bool zn_room_is_known(const struct zn_room *r);
uint32_t zn_room_gpus(const struct zn_room *r); /* of all nodes */
/* GPUs where there are any, else CPUs; 0: nothing is known yet. */
double zn_room_total(const struct zn_room *r);
/* The largest part of anything there is that ask takes, times the total.  1 while nothing is known. */
double zn_room_size(const struct zn_room *r, const struct zn_pick_ask *ask);
/* A part that is asked by memory alone becomes as large as the smallest GPU of any node that has so much says. */
void zn_room_fill_in(const struct zn_room *r, struct zn_gpu_part *part);

#endif
