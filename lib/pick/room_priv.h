/* What the files of the room share. */
#ifndef ZN_PICK_ROOM_PRIV_H
#define ZN_PICK_ROOM_PRIV_H

#include "pick/room.h"

/* How well a node would do: smaller is better, the first difference counts. */
struct zn__room_fit {
	uint64_t crowd;                /* of a job that is to be spread */
	uint32_t links;                /* what the weakest link between its GPUs is less than the best there is */
	uint64_t far;                  /* of one that is to be near a device */
	bool breaks_gpu;               /* a part of a GPU that was whole */
	uint32_t gpus_left, cpus_left;
};

/* A node that would do. */
struct zn_room_choice { struct zn__room_fit fit; struct zn_place place; };

/* Of what a node has: what is free at a level, or what would be. */
struct zn__room_of { bool then; uint32_t level; const struct zn_pick_gap *gap; };
extern const struct zn__room_of zn__room_now, zn__room_later;

void zn__free_take(struct zn_free *f, const struct zn_plan *p);
void zn__free_give(struct zn_free *f, const struct zn_plan *p);
/* Without the place of one who has a reservation, which need not be free yet. */
void zn__free_hold(struct zn_free *f, const struct zn_plan *p);
/* Which are its alone. */
const struct zn_idset *zn__own_cpus(const struct zn_plan *p);

bool zn__room_is_open(const struct zn_room *r, const struct zn_room_node *n);
struct zn_free zn__room_part(const struct zn_room *r, uint32_t node, const struct zn__room_of *of);
/* What would be free there, but for what reservations hold. */
struct zn_free zn__room_then(const struct zn_room *r, uint32_t node);
/* Of what a node has, what somebody of that priority may. */
struct zn_free zn__room_unclaimed(const struct zn_room_node *n, const struct zn_free *f, int64_t priority);
/* As zn_room_leaves_now, for who would run from then until then. */
bool zn__room_leaves(const struct zn_room_node *n, const struct zn_pick_ask *wanted, double from_s, double over_s, struct zn_free *f);
/* What all nodes have together, but of the GPUs that are given out in parts the one with the most left. */
struct zn_pick_have zn__room_have(const struct zn_room *r, const struct zn__room_of *of);
bool zn__room_has_licences(const struct zn_licences *l, const struct zn_wish *wish, const struct zn__room_of *of);
/* Into places, but for licences. */
bool zn__room_find(struct zn_room *r, const struct zn_pick_ask *wanted, const struct zn__room_of *of);

#endif
