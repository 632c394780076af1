#include "fleet/then.h"

#include <errno.h>
#include <stdlib.h>

#include "fleet/node.h"
#include "fleet/spread.h"

int zn_fleet_then_init(struct zn_fleet_then *t, struct zn_fleet *f)
{
	*t = (struct zn_fleet_then){ .fleet = f, .room = calloc(1, sizeof(*t->room)), .at = calloc(f->n + 1, sizeof(*t->at)) };
	return t->room && t->at && zn__room_make(t->room, f) == 0 ? 0 : -ENOMEM;
}

void zn_fleet_then_done(struct zn_fleet_then *t)
{
	if (t->room)
		zn__room_done(t->room);
	free(t->room);
	free(t->nodes);
	free(t->at);
	free(t->number);
	free(t->held);
	*t = (struct zn_fleet_then){ 0 };
}

int zn_fleet_then_begin(struct zn_fleet_then *t, const struct zn_fleet_gang *gang)
{
	struct zn__spread *s = zn__spread_get(t->fleet, gang);

	if (!s)
		return -ENOMEM;
	zn__room_copy(t->room, &s->room, t->fleet);
	t->gang = *gang;
	t->n = t->n_held = 0;
	return 0;
}

bool zn_fleet_then_has_room(const struct zn_fleet_then *t)
{
	return zn__room_has(t->room, t->fleet, &t->gang);
}

static bool is_changed(const struct zn_fleet_then *t, uint32_t node)
{
	return t->at[node] < t->n && t->number[t->at[node]] == node;
}

/* Without those who are held. */
static const struct zn_fleet_node *ended(const struct zn_fleet_then *t, uint32_t node)
{
	return is_changed(t, node) ? &t->nodes[t->at[node]] : &t->fleet->nodes[node];
}

const struct zn_fleet_spot *zn_fleet_held_on(const struct zn_fleet_held *h, uint32_t node)
{
	uint32_t from = 0, to = h->n;

	while (from < to) {
		uint32_t at = (from + to) / 2;
		if (h->spots[at].node < node)
			from = at + 1;
		else
			to = at;
	}
	return from < h->n && h->spots[from].node == node ? &h->spots[from] : NULL;
}

struct zn_fleet_node zn_fleet_then_node(const struct zn_fleet_then *t, uint32_t node)
{
	struct zn_fleet_node ret = *ended(t, node);

	for (size_t i = 0; i < t->n_held; i++) {
		const struct zn_fleet_spot *spot = zn_fleet_held_on(&t->held[i], node);
		if (spot)
			zn__node_hold(&ret, t->held[i].task, spot);
	}
	return ret;
}

static void count_on(struct zn_fleet_then *t, uint32_t node)
{
	const struct zn_fleet_node *is = ended(t, node);
	struct zn_fleet_node left;

	if (t->n_held) {
		left = zn_fleet_then_node(t, node);
		is = &left;
	}
	zn__room_set(t->room, t->fleet, node, zn__spread_on(is, &t->gang));
}

static void count_at(struct zn_fleet_then *t, const struct zn_fleet_held *held)
{
	for (uint32_t i = 0; i < held->n; i++)
		count_on(t, held->spots[i].node);
}

int zn_fleet_then_hold(struct zn_fleet_then *t, const struct zn_fleet_held *held)
{
	if (t->n_held == t->cap_held) {
		size_t cap = t->cap_held ? 2 * t->cap_held : 4;
		struct zn_fleet_held *v = reallocarray(t->held, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		t->held = v;
		t->cap_held = cap;
	}
	t->held[t->n_held++] = *held;
	count_at(t, held);
	return 0;
}

void zn_fleet_then_let_go(struct zn_fleet_then *t, const struct zn_fleet_held *held)
{
	size_t at = 0;

	while (t->held[at].spots != held->spots)
		at++;
	t->held[at] = t->held[--t->n_held];
	count_at(t, held);
}

static int grow(struct zn_fleet_then *t)
{
	size_t cap = t->cap ? 2 * t->cap : 64;
	struct zn_fleet_node *nodes = reallocarray(t->nodes, cap, sizeof(*nodes));

	if (nodes)
		t->nodes = nodes;
	uint32_t *number = nodes ? reallocarray(t->number, cap, sizeof(*number)) : NULL;
	if (!number)
		return -ENOMEM;
	t->number = number;
	t->cap = cap;
	return 0;
}

int zn_fleet_then_give(struct zn_fleet_then *t, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot)
{
	uint32_t at = spot->node;

	if (!is_changed(t, at)) {
		if (t->n == t->cap && grow(t) < 0)
			return -ENOMEM;
		t->nodes[t->n] = t->fleet->nodes[at];
		t->number[t->n] = at;
		t->at[at] = (uint32_t)t->n++;
	}
	struct zn_fleet_node *node = &t->nodes[t->at[at]];
	zn__node_move(node, task, spot, true);
	count_on(t, spot->node);
	return 0;
}

static uint64_t mask_of(const struct zn_fleet_node *node, uint32_t milli)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < node->gpus; i++)
		if (node->milli[i] >= milli)
			mask |= UINT64_C(1) << i;
	return mask;
}

/* n of them, of those in first as many as there are. */
static uint64_t pick_bits(uint64_t mask, uint64_t first, uint32_t n)
{
	uint64_t picked = 0;

	for (uint64_t left = mask & first; n && left; n--, left &= left - 1)
		picked |= left & -left;
	for (uint64_t left = mask & ~first; n && left; n--, left &= left - 1)
		picked |= left & -left;
	return picked;
}

uint32_t zn_fleet_then_choose(const struct zn_fleet_then *t, struct zn_fleet_spot *ret)
{
	const struct zn_fleet_task *task = &t->gang.task;
	uint32_t n = zn__spread_out(t->fleet, t->room, &t->gang, ret);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = ret[i].node;
		struct zn_fleet_node left = zn_fleet_then_node(t, at);
		uint64_t then = mask_of(&left, task->gpu_milli), now = mask_of(&t->fleet->nodes[at], task->gpu_milli);
		ret[i].gpus = pick_bits(then, ~now, ret[i].tasks * task->gpus);
	}
	return n;
}
