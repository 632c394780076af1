/* room_booked: what of the nodes is some jobs' alone from one time until another. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pick/room_priv.h"

static int by_node(const void *a, const void *b)
{
	const struct zn_room_booked *x = a, *y = b;

	return (x->node > y->node) - (x->node < y->node);
}

int zn_room_book(struct zn_room *r, const struct zn_room_booked *v, size_t n)
{
	struct zn_room_booked *copy = n ? calloc(n, sizeof(*copy)) : NULL;

	if (n && !copy)
		return -ENOMEM;
	if (n) {
		memcpy(copy, v, n * sizeof(*v));
		qsort(copy, n, sizeof(*copy), by_node);
	}
	free(r->booked);
	r->booked = copy;
	r->n_booked = n;
	for (uint32_t i = 0; i < r->n; i++)
		r->nodes[i].n_booked = 0;
	for (size_t i = n; i-- > 0;) {
		struct zn_room_node *node = &r->nodes[copy[i].node];
		node->booked = &copy[i];
		node->n_booked++;
	}
	return 0;
}

bool zn_room_is_booked_for(const struct zn_room_node *n, const char *name)
{
	bool is = false;

	for (uint32_t i = 0; i < n->n_booked; i++)
		is |= !strcmp(n->booked[i].name, name);
	return is;
}

static bool is_for(const struct zn_room_booked *b, const struct zn_pick_ask *wanted)
{
	return wanted->booking && !strcmp(b->name, wanted->booking);
}

/* While somebody runs, or at that moment. */
static bool is_then(const struct zn_room_booked *b, double from_s, double over_s)
{
	return b->from_s <= from_s ? from_s < b->until_s : b->from_s < over_s;
}

const struct zn_room_booked *zn_room_booked_now(const struct zn_room *r, const struct zn_room_node *n, const struct zn_pick_ask *wanted)
{
	for (uint32_t i = 0; i < n->n_booked; i++)
		if (is_then(&n->booked[i], r->now_s, r->now_s) && !is_for(&n->booked[i], wanted))
			return &n->booked[i];
	return NULL;
}

static void keep_gpus(const struct zn_room_node *n, const struct zn_idset *gpus, struct zn_free *f)
{
	struct zn_free all = zn_plan_idle(n->facts);
	struct zn_idset others = zn_idset_minus(&all.gpus, gpus);

	zn_free_drop_gpus(f, &others);
}

bool zn__room_leaves(const struct zn_room_node *n, const struct zn_pick_ask *wanted, double from_s, double over_s, struct zn_free *f)
{
	bool found = !wanted->booking;

	for (uint32_t i = 0; i < n->n_booked; i++) {
		const struct zn_room_booked *b = &n->booked[i];
		if (!is_then(b, from_s, over_s))
			continue;
		bool is_mine = is_for(b, wanted) && b->from_s <= from_s && over_s <= b->until_s;
		found |= is_mine;
		if (is_mine && !b->is_whole)
			keep_gpus(n, &b->gpus, f);
		else if (!is_mine && b->is_whole)
			return false;
		else if (!is_mine)
			zn_free_drop_gpus(f, &b->gpus);
	}
	return found;
}

bool zn_room_leaves_now(const struct zn_room *r, const struct zn_room_node *n, const struct zn_pick_ask *wanted, struct zn_free *f)
{
	return zn__room_leaves(n, wanted, r->now_s, r->now_s, f);
}

double zn_room_next_booked(const struct zn_room *r, double at_s)
{
	double next_s = HUGE_VAL;

	for (size_t i = 0; i < r->n_booked; i++) {
		const struct zn_room_booked *b = &r->booked[i];
		next_s = b->from_s > at_s ? fmin(next_s, b->from_s) : next_s;
		next_s = b->until_s > at_s ? fmin(next_s, b->until_s) : next_s;
	}
	return next_s;
}
