/* booking: nodes, or GPUs of them, that are some users' from one time until another.  People call it a reservation, which in pick
 * is something else.
 */
#ifndef ZN_JOB_BOOKING_H
#define ZN_JOB_BOOKING_H

#include "rec/field.h"

enum { ZN_BOOKING_LIST_MAX = 1024 };   /* users, accounts or nodes of one */

/* As the journal and the view have it. */
struct zn_booking {
	const char *name;
	double from_s, until_s;
	struct zn_strs users, accounts; /* a job is of one of these, and of one of those; empty: any */
	struct zn_strs nodes;
	struct zn_u32s gpus;           /* of each of them; empty: all that it has */
	const char *by;                /* who made it; NULL: there is none of that name any more */
};
extern const struct zn_kind zn_booking_kind;

/* Of one to be made: whether it is complete.  -EBADMSG. */
int zn_booking_check(const struct zn_booking *b, double now_s, struct zn_err *err);
/* A node of which both have the same part at the same time; NULL: there is none. */
const char *zn_booking_collides(const struct zn_booking *a, const struct zn_booking *b);

/* A job that asks for one; limit_s 0: it has none. */
struct zn_booking_ask { const char *name, *user, *account; double limit_s; };
/* Whether it could start in b, which is of that name or NULL, then or later. */
bool zn_booking_may(const struct zn_booking *b, const struct zn_booking_ask *ask, double from_s);
/* Why not; NULL: it could.  In a. */
const char *zn_booking_never(const struct zn_booking *b, const struct zn_booking_ask *ask, double from_s, struct zn_arena *a);
/* Why not then. */
const char *zn_booking_not_now(const struct zn_booking *b, const struct zn_booking_ask *ask, double now_s, struct zn_arena *a);

#endif
