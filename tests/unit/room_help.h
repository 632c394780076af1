/* A room of one node for jobs of the test's own, each of which keeps what the room found for it. */
#ifndef ZN_TESTS_ROOM_HELP_H
#define ZN_TESTS_ROOM_HELP_H

#include <stdlib.h>

#include "pick/room.h"

static inline struct zn_room room_of(const struct zn_facts *f, const struct zn_places *(*places_of)(const struct zn_pick_job *),
                                     const struct zn_wish *(*wish_of)(const struct zn_pick_job *))
{
	struct zn_room room = { .places_of = places_of, .wish_of = wish_of };

	if (zn_room_open(&room, 1, ZN_PICK_RESERVATIONS) < 0)
		abort();
	zn_room_set_facts(&room, 0, f);
	return room;
}

/* What was kept there before is freed. */
static inline void keep(struct zn_places **to, const struct zn_room *room)
{
	free(*to);
	*to = zn_places_copy(room->places);
	if (!*to)
		abort();
}

#endif
