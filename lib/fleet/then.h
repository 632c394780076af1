/* then: the fleet as it will be when some of its tasks have ended, and where a gang goes then.  The fleet itself is not
 * changed.
 */
#ifndef ZN_FLEET_THEN_H
#define ZN_FLEET_THEN_H

#include "fleet/fleet.h"

struct zn__room;

/* Tasks that are there then, and need not have their places yet. */
struct zn_fleet_held { const struct zn_fleet_task *task; const struct zn_fleet_spot *spots; uint32_t n; /* in the order of their nodes */ };
/* What they have on that node; NULL: nothing. */
const struct zn_fleet_spot *zn_fleet_held_on(const struct zn_fleet_held *h, uint32_t node);

struct zn_fleet_then {
	struct zn_fleet *fleet;
	struct zn_fleet_gang gang;
	struct zn__room *room;         /* for its tasks, then */
	struct zn_fleet_node *nodes;   /* that are freer then than now */
	size_t n, cap;
	uint32_t *at;                  /* of each node of the fleet: where it is in nodes, if its number is there */
	uint32_t *number;              /* of each of nodes */
	struct zn_fleet_held *held;    /* n_held of them, with room for cap_held */
	size_t n_held, cap_held;
};

/* The fleet has all its nodes by then.  -ENOMEM. */
int zn_fleet_then_init(struct zn_fleet_then *t, struct zn_fleet *f);
void zn_fleet_then_done(struct zn_fleet_then *t);

/* Nothing has ended yet, and nobody else is there.  -ENOMEM. */
int zn_fleet_then_begin(struct zn_fleet_then *t, const struct zn_fleet_gang *gang);
bool zn_fleet_then_has_room(const struct zn_fleet_then *t);
/* A task of this kind ends there.  -ENOMEM. */
int zn_fleet_then_give(struct zn_fleet_then *t, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
/* Those are there, in places that need not be free yet, or are not any more: what they have nobody else has.  -ENOMEM. */
int zn_fleet_then_hold(struct zn_fleet_then *t, const struct zn_fleet_held *held);
void zn_fleet_then_let_go(struct zn_fleet_then *t, const struct zn_fleet_held *held);
/* Where it goes: there is room.  ret has room for gang.n; GPUs that are not free now come first.  Returns how many are used. */
uint32_t zn_fleet_then_choose(const struct zn_fleet_then *t, struct zn_fleet_spot *ret);
struct zn_fleet_node zn_fleet_then_node(const struct zn_fleet_then *t, uint32_t node);

#endif
