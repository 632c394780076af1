/* kinds: a heap of those of which somebody may start early in a pass.  Private to pick. */
#ifndef ZN_PICK_KINDS_H
#define ZN_PICK_KINDS_H

#include "pick/pick.h"

/* Room for n.  -ENOMEM. */
int zn__kinds_room(struct zn_kinds *h, uint32_t n);
void zn__kinds_push(struct zn_kinds *h, struct zn_pick_kind *k); /* which has a next */
struct zn_pick_kind *zn__kinds_pop(struct zn_kinds *h);          /* NULL: there is none */

#endif
