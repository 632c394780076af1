/* hall: what many nodes have to give out, counted: GPUs, CPUs, memory, models.  Jobs are gangs, and go where the fleet sends
 * them (fleet/fleet.h).  What is set aside for who has a reservation is what it would get when the jobs in its way are
 * over, GPU by GPU; there is a fleet for each level, of what is free there (gap.h).
 */
#ifndef ZN_PICK_HALL_H
#define ZN_PICK_HALL_H

#include "fleet/fleet.h"
#include "fleet/then.h"
#include "pick/pick.h"

struct zn_victim;

/* Where a job runs; spots are in the order of their nodes, which is that of the ranks. */
struct zn_hall_place { struct zn_fleet_spot *spots; uint32_t n; };

/* Looking ahead to when one has room costs a step for each task that ends until then.  So many of them are spent in a pass on
 * the average: what it finds holds on until that much was saved, unless another one is in its place in the line, or in a place
 * before it, or its time comes.
 */
enum { ZN_HALL_STEPS = 1000 };

struct zn_hall_gang { struct zn_fleet_gang gang; uint32_t number; UT_hash_handle hh; };

/* What is set aside of a node for a reservation. */
struct zn_hall_aside {
	bool is;
	uint64_t gpus;                 /* of which no more than milli_beside may be used beside it: 0 but for a share */
	uint32_t milli_beside;
	uint64_t cpu_milli_beside, mem_bytes_beside;
};

/* A reservation. */
struct zn_hall_ahead {
	uint64_t seq;                  /* of who has it */
	uint32_t gang;
	double from_s, until_s;        /* when it runs */
	struct zn_hall_aside *aside;   /* of each node */
	struct zn_fleet_spot *set;     /* the nodes of which something is set aside: n_set */
	uint32_t n_set;
	bool holds;                    /* while a later one looks ahead */
};

struct zn_hall {
	struct zn_pick pick;
	struct zn_fleet now, *beside;  /* beside: of each level above 0, n_ahead of them */
	struct zn_fleet_then then;
	struct zn_hall_gang *by_gang;
	struct zn_hall_gang **gangs;   /* by their numbers, from 1 on */
	size_t n_gangs, cap_gangs;
	uint64_t cpu_milli;            /* of all nodes that say it */
	const struct zn_hall_place *(*place_of)(const struct zn_pick_job *job); /* of one that runs */
	struct zn_fleet_spot *spots;   /* of the job that started last: n_spots of room for cap_spots */
	uint32_t n_spots, cap_spots;
	struct zn_hall_ahead *ahead;   /* by the numbers of the gap; of those n_ahead may be: */
	uint32_t n_ahead, n_set;       /* n_set stand, and whoever started since has left them alone, or is over by then */
	uint32_t levels[ZN_PICK_RESERVATIONS], n_levels; /* which of them is set aside from level 1 on, from 2 on, and so on */
	bool in_order;                 /* by their times, too */
	uint64_t steps_each, steps_saved, steps_last; /* in a pass, ZN_HALL_STEPS; since it was looked ahead; how many that took */
	int rc;                        /* -ENOMEM once memory was short: what is picked since then is not to be trusted */
};

/* No node is there yet, and no job; for so many reservations in a pass, 0 is 1.  -ENOMEM. */
int zn_hall_init(struct zn_hall *h, enum zn_fleet_policy policy, uint32_t reservations);
void zn_hall_done(struct zn_hall *h);
/* As zn_fleet_add and zn_fleet_wire. */
int zn_hall_add(struct zn_hall *h, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes);
int zn_hall_wire(struct zn_hall *h, const char *const *paths);
/* As zn_fleet_link. */
void zn_hall_link(struct zn_hall *h, uint32_t node, const struct zn_fleet_links *links);
/* All nodes are there.  -ENOMEM. */
int zn_hall_open(struct zn_hall *h, struct zn_pick_policy policy, const struct zn_hall_place *(*place_of)(const struct zn_pick_job *));

/* The number of such gangs, from 1 on.  -ENOMEM. */
int64_t zn_hall_gang(struct zn_hall *h, const struct zn_fleet_gang *gang);
const struct zn_fleet_gang *zn_hall_gang_of(const struct zn_hall *h, const struct zn_pick_job *job);
/* Whether it could start if nobody else were there; before the first job starts.  -EAGAIN: it could not; -ENOMEM. */
int zn_hall_could(struct zn_hall *h, const struct zn_fleet_gang *gang);
/* What it asks for, as the line knows it: all tasks together. */
struct zn_pick_ask zn_hall_ask(const struct zn_fleet_gang *gang);
/* What such a job takes of all there is: GPUs of all GPUs or CPUs of all CPUs, whichever is more, in GPUs. */
double zn_hall_size(const struct zn_hall *h, const struct zn_fleet_gang *gang);

/* job, of that gang, waits from now on.  -ENOMEM. */
int zn_hall_wait(struct zn_hall *h, struct zn_pick_job *job, uint32_t gang, int64_t priority, uint32_t payer, bool may_exceed);
void zn_hall_end(struct zn_hall *h, struct zn_pick_job *job, double now_s); /* it ran */
/* As zn_victims_choose, for head; sets rc. */
size_t zn_hall_preempt(struct zn_hall *h, const struct zn_pick_job *head, struct zn_victim *v, size_t n);

#endif
