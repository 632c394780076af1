/* spread: how many tasks of a gang fit on each node, and where they go.  Private to fleet. */
#ifndef ZN_FLEET_SPREAD_H
#define ZN_FLEET_SPREAD_H

#include <uthash.h>

#include "fleet/domains.h"

enum { ZN__SPREAD_MAX = 1024 };        /* tasks on one node that are counted */

/* What is free, in tasks. */
struct zn__room {
	uint16_t *on;                  /* of each node */
	uint32_t *in[ZN_FLEET_LEVELS + 1]; /* of each domain */
	uint64_t all;
	uint16_t most;                 /* no node ever had more */
	uint32_t nodes[ZN__SPREAD_MAX + 1]; /* that have so many */
};

struct zn__spread_key { struct zn_fleet_task task; uint32_t per_node, pad; };

struct zn__spread {
	struct zn__spread_key key;
	struct zn__room room;
	uint64_t seen;                 /* the changes that are in it */
	uint64_t asked;                /* when it was asked for last */
	UT_hash_handle hh;
};

int zn__room_make(struct zn__room *r, const struct zn_fleet *f);  /* -ENOMEM */
void zn__room_done(struct zn__room *r);
void zn__room_copy(struct zn__room *to, const struct zn__room *from, const struct zn_fleet *f);
void zn__room_set(struct zn__room *r, const struct zn_fleet *f, uint32_t node, uint16_t tasks);

/* How many fit on the node, not more than the gang wants there. */
uint16_t zn__spread_on(const struct zn_fleet_node *node, const struct zn_fleet_gang *gang);
/* Of a gang, right now.  NULL: out of memory. */
struct zn__spread *zn__spread_get(struct zn_fleet *f, const struct zn_fleet_gang *gang);
void zn__spreads_done(struct zn_fleet *f);

/* Whether that is enough for a gang. */
bool zn__room_has(const struct zn__room *room, const struct zn_fleet *f, const struct zn_fleet_gang *gang);
/* Where it goes by what room has, which is enough: nodes and tasks of ret, but no GPUs; returns how many. */
uint32_t zn__spread_out(const struct zn_fleet *f, const struct zn__room *room, const struct zn_fleet_gang *gang, struct zn_fleet_spot *ret);

#endif
