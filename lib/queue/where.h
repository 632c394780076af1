/* where: the node on which an ask has room in a picture, or what rejects it. */
#ifndef ZN_QUEUE_WHERE_H
#define ZN_QUEUE_WHERE_H

#include "pick/room.h"
#include "queue/picture.h"

struct zn__where {
	int rc;                        /* 0: there; -EAGAIN: not now; -EINVAL: nowhere, ever */
	const struct zn_places *places; /* in the room, until it is asked again */
	struct zn_list reasons;        /* struct zn_explained_reason, in the picture's arena: of one node the planner's, of several
	                                * how many nodes each rules out */
	const char *answer;            /* of a gang, one sentence; NULL: the first reason is it */
	const char *smallest;          /* the smallest change with which it would be there; NULL: none is known */
};

extern const struct zn_kind zn__reason_kind;

/* After zn_picture_room.  -ENOMEM. */
int zn__where(struct zn_picture *p, const struct zn_pick_ask *ask, struct zn__where *ret);

#endif
