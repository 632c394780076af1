#include "queue/bookings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct zn_booked { struct zn_booking is; struct zn_arena arena; };

static void drop(struct zn_booked *one)
{
	zn_arena_done(&one->arena);
	free(one);
}

void zn_bookings_done(struct zn_bookings *b)
{
	for (size_t i = 0; i < b->n; i++)
		drop(b->v[i]);
	free(b->v);
	*b = (struct zn_bookings){ 0 };
}

const struct zn_booking *zn_bookings_get(const struct zn_bookings *b, size_t i)
{
	return &b->v[i]->is;
}

static size_t place_of(const struct zn_bookings *b, const char *name)
{
	size_t at = 0;

	while (at < b->n && strcmp(b->v[at]->is.name, name))
		at++;
	return at;
}

const struct zn_booking *zn_bookings_find(const struct zn_bookings *b, const char *name)
{
	size_t at = place_of(b, name);

	return at < b->n ? &b->v[at]->is : NULL;
}

bool zn_bookings_name_node(const struct zn_bookings *b, const char *node)
{
	for (size_t i = 0; i < b->n; i++)
		for (size_t k = 0; k < b->v[i]->is.nodes.n; k++)
			if (!strcmp(b->v[i]->is.nodes.v[k], node))
				return true;
	return false;
}

static int copy_names(const struct zn_strs *from, struct zn_arena *a, struct zn_strs *ret)
{
	ret->v = zn_arena_array(a, from->n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (ret->n = 0; ret->n < from->n; ret->n++)
		if (!(ret->v[ret->n] = zn_arena_strdup(a, from->v[ret->n])))
			return -ENOMEM;
	return 0;
}

static struct zn_booked *copy_of(const struct zn_booking *from)
{
	struct zn_booked *one = calloc(1, sizeof(*one));

	if (!one)
		return NULL;
	struct zn_booking *is = &one->is;
	*is = *from;
	is->name = zn_arena_strdup(&one->arena, from->name);
	is->by = zn_arena_strdup(&one->arena, from->by);
	is->gpus.v = (uint32_t *)zn_arena_memdup(&one->arena, from->gpus.v, from->gpus.n * sizeof(*from->gpus.v));
	if (is->name && is->by && is->gpus.v && copy_names(&from->users, &one->arena, &is->users) == 0 &&
	    copy_names(&from->accounts, &one->arena, &is->accounts) == 0 && copy_names(&from->nodes, &one->arena, &is->nodes) == 0)
		return one;
	drop(one);
	return NULL;
}

static void take_away(struct zn_bookings *b, size_t at)
{
	if (at == b->n)
		return;
	drop(b->v[at]);
	memmove(&b->v[at], &b->v[at + 1], (--b->n - at) * sizeof(*b->v));
}

int zn_bookings_set(struct zn_bookings *b, const struct zn_booking *from)
{
	size_t at = place_of(b, from->name);
	struct zn_booked *one, **v;

	if (!from->by) {
		take_away(b, at);
		return 0;
	}
	v = reallocarray(b->v, b->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	b->v = v;
	one = copy_of(from);
	if (!one)
		return -ENOMEM;
	take_away(b, at);
	b->v[b->n++] = one;
	return 0;
}

static struct zn_room_booked part_of(const struct zn_booking *b, uint32_t node)
{
	struct zn_room_booked part = { .name = b->name, .from_s = b->from_s, .until_s = b->until_s, .node = node, .is_whole = !b->gpus.n };

	for (size_t i = 0; i < b->gpus.n; i++)
		zn_idset_add(&part.gpus, b->gpus.v[i]);
	return part;
}

int zn_bookings_lay(const struct zn_bookings *b, struct zn_room *room, int64_t (*node)(const void *arg, const char *name), const void *arg)
{
	struct zn_room_booked *parts;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < b->n; i++)
		n += b->v[i]->is.nodes.n;
	parts = calloc(n + 1, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct zn_booking *one = &b->v[i]->is;
		for (size_t k = 0; k < one->nodes.n; k++) {
			int64_t at = node(arg, one->nodes.v[k]);
			if (at >= 0)
				parts[n++] = part_of(one, (uint32_t)at);
		}
	}
	rc = zn_room_book(room, parts, n);
	free(parts);
	return rc;
}
