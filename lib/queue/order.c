#include "queue/order.h"

#include <math.h>

#include "job/number.h"

struct zn_pick_policy zn_order_policy(uint64_t reservations)
{
	return (struct zn_pick_policy){ .order = ZN_PICK_SLOWDOWN, .backfill = true, .reservations = (uint32_t)reservations };
}

void zn_order_set(const struct zn_order *o, const struct zn_room *room, struct zn_pick_job *ret)
{
	ret->seq = zn_handle_arrival(o->id);
	ret->submit_s = fmax(o->submit_s, o->begin_s);
	ret->estimate_s = o->limit_s > 0 ? o->limit_s : ZN_ORDER_ESTIMATE_S;
	ret->limit_s = o->limit_s > 0 ? o->limit_s : HUGE_VAL;
	ret->size = (float)zn_room_size(room, &o->ask);
}
