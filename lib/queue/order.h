/* order: what a job of the queue is to the line (pick/line.h). */
#ifndef ZN_QUEUE_ORDER_H
#define ZN_QUEUE_ORDER_H

#include "pick/room.h"

struct zn_order {
	uint64_t id;                   /* a handle: job/number.h */
	double submit_s, begin_s;      /* begin_s 0: none was asked; it waits since the later of both */
	double limit_s;                /* 0: none */
	const char *user, *account;    /* of a forecast, which finds the payer by them */
	const char *licences;          /* and the wish by these; NULL: none */
	struct zn_pick_ask ask;
};

enum { ZN_ORDER_ESTIMATE_S = 86400 }; /* what a job without a limit is taken to run, for its place in the line */

/* Of zn-schedd, and of all who foretell it. */
struct zn_pick_policy zn_order_policy(uint64_t reservations);

/* Fills what the caller of zn_pick_wait and zn_pick_runs has to set. */
void zn_order_set(const struct zn_order *o, const struct zn_room *room, struct zn_pick_job *ret);

#endif
