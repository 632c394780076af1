/* bookings: all that there are, by their names. */
#ifndef ZN_QUEUE_BOOKINGS_H
#define ZN_QUEUE_BOOKINGS_H

#include "job/booking.h"
#include "pick/room.h"

struct zn_booked;                      /* one, and its memory */

/* Zero-initialised storage has none. */
struct zn_bookings { struct zn_booked **v; size_t n; };

void zn_bookings_done(struct zn_bookings *b);
/* NULL: there is none. */
const struct zn_booking *zn_bookings_find(const struct zn_bookings *b, const char *name);
const struct zn_booking *zn_bookings_get(const struct zn_bookings *b, size_t i);
/* Some of them. */
bool zn_bookings_name_node(const struct zn_bookings *b, const char *node);
/* A copy stands for that name from now on; by NULL: there is none any more.  -ENOMEM. */
int zn_bookings_set(struct zn_bookings *b, const struct zn_booking *one);
/* What pick knows of them; node: the number of one, below 0: it is none any more.  -ENOMEM. */
int zn_bookings_lay(const struct zn_bookings *b, struct zn_room *room, int64_t (*node)(const void *arg, const char *name), const void *arg);

#endif
