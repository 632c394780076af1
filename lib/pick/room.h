/* room: what one node has to give out, with its links and NUMA nodes: the planner says which GPUs, CPUs and memory a job
 * gets.  Licences are counted beside it.  What is set aside for the first in line is what the planner would give it when the jobs in its way are over.
 */
#ifndef ZN_PICK_ROOM_H
#define ZN_PICK_ROOM_H

#include "pick/pick.h"
#include "plan/plan.h"

struct zn_room {
	const struct zn_facts *facts;  /* NULL: nothing is known yet, and there is no room */
	struct zn_free free;           /* what no job has */
	struct zn_licences licences;   /* and of these what none has */
	struct zn_idset held;          /* GPUs that strangers use */
	const struct zn_row *running;
	const struct zn_plan *(*plan_of)(const struct zn_pick_job *job); /* what a job that runs was given */
	const struct zn_wish *(*wish_of)(const struct zn_pick_job *job); /* and its licences */
	struct zn_plan plan;           /* what the job that started last was given */
	struct zn_free beside;         /* in a pass: what is free and not set aside */
	struct zn_free then;           /* what would be free */
};

extern const struct zn_pick_ops zn_room_ops; /* arg: a zn_room */

/* What the planner is asked. */
struct zn_ask zn_room_ask(const struct zn_pick_ask *a);

/* Without zn_pick, for a plan that was made elsewhere. */
void zn_room_take(struct zn_room *r, const struct zn_plan *plan, const struct zn_wish *wish);
void zn_room_give(struct zn_room *r, const struct zn_plan *plan, const struct zn_wish *wish);

/* What would be: as it is now, when that job is over as well, and so on; whether there would be room for it, which takes
 * that.
 */
void zn_room_future(struct zn_room *r);
void zn_room_future_give(struct zn_room *r, const struct zn_pick_job *job);
bool zn_room_future_fits(struct zn_room *r, const struct zn_pick_ask *wanted);

/* GPUs where there are any, else CPUs; 0: nothing is known yet. */
double zn_room_total(const struct zn_room *r);
/* The largest part of anything there is that ask takes, times the total.  1 while nothing is known. */
double zn_room_size(const struct zn_room *r, const struct zn_pick_ask *ask);

#endif
