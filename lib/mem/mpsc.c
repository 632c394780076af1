/* mpsc: making a ring of many producers, and waiting in it. */
#include "mem/mpsc.h"

#include <errno.h>
#include <stdlib.h>

int zn_mpsc_init(struct zn_mpsc *r, size_t capacity, enum zn_wait wait)
{
	if (capacity < 2 || (capacity & (capacity - 1)) || capacity > SIZE_MAX / 32)
		return -EINVAL;
	size_t bytes = capacity * sizeof(struct zn__mpsc_slot);
	struct zn__mpsc_slot *slots = aligned_alloc(ZN_LINE, bytes < ZN_LINE ? ZN_LINE : bytes);
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < capacity; i++)
		slots[i] = (struct zn__mpsc_slot){ .turn = i };
	*r = (struct zn_mpsc){ .slots = slots, .capacity = capacity, .wait = wait };
	return 0;
}

void zn_mpsc_done(struct zn_mpsc *r)
{
	free(r->slots);
	r->slots = NULL;
}

static bool is_closed(struct zn_mpsc *r)
{
	return zn__load(&r->closed, ACQUIRE);
}

static bool has_room(struct zn_mpsc *r, size_t n)
{
	size_t last = zn__load(&r->in, RELAXED) + n - 1;

	return (intptr_t)(zn__load(&r->slots[last & (r->capacity - 1)].turn, ACQUIRE) - last) >= 0;
}

static bool is_empty(struct zn_mpsc *r)
{
	return zn__load(&r->slots[r->out & (r->capacity - 1)].turn, ACQUIRE) != r->out + 1;
}

bool zn_mpsc_send(struct zn_mpsc *r, const uint64_t *v, size_t n)
{
	for (unsigned turn = 0; !is_closed(r); turn++) {
		if (zn_mpsc_push(r, v, n) == n) {
			if (r->wait == ZN_WAIT_SLEEP)
				zn__bed_wake(&r->out_bed);
			return true;
		}
		if (!zn__wait_turn(r->wait, turn))
			continue;
		zn__bed_take(&r->in_bed);
		if (!has_room(r, n) && !is_closed(r))
			zn__bed_sleep(&r->in_bed);
	}
	return false;
}

size_t zn_mpsc_receive(struct zn_mpsc *r, uint64_t *to, size_t max)
{
	size_t n = 0;

	for (unsigned turn = 0; max && !(n = zn_mpsc_pop(r, to, max)); turn++) {
		if (is_closed(r)) {
			n = zn_mpsc_pop(r, to, max);
			break;
		}
		if (!zn__wait_turn(r->wait, turn))
			continue;
		zn__bed_take(&r->out_bed);
		if (is_empty(r) && !is_closed(r))
			zn__bed_sleep(&r->out_bed);
	}
	if (n && r->wait == ZN_WAIT_SLEEP)
		zn__bed_wake(&r->in_bed);
	return n;
}

void zn_mpsc_close(struct zn_mpsc *r)
{
	zn__store(&r->closed, 1, RELEASE);
	zn__bed_wake(&r->in_bed);
	zn__bed_wake(&r->out_bed);
}
