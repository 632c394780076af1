/* spsc: making a ring, and waiting for the other side of it. */
#include "mem/spsc.h"

#include <errno.h>
#include <stdlib.h>

int zn_spsc_init(struct zn_spsc *r, size_t capacity, enum zn_wait wait)
{
	if (capacity < 2 || (capacity & (capacity - 1)) || capacity > SIZE_MAX / 16)
		return -EINVAL;
	uint64_t *slots = aligned_alloc(ZN_LINE, capacity * 8 < ZN_LINE ? ZN_LINE : capacity * 8);
	if (!slots)
		return -ENOMEM;
	*r = (struct zn_spsc){ .slots = slots, .capacity = capacity, .wait = wait };
	return 0;
}

void zn_spsc_done(struct zn_spsc *r)
{
	free(r->slots);
	r->slots = NULL;
}

static bool is_closed(struct zn_spsc *r)
{
	return zn__load(&r->closed, ACQUIRE);
}

static bool is_full(struct zn_spsc *r)
{
	r->in.other = zn__load(&r->out.at, ACQUIRE);
	return zn__own(&r->in.at) - r->in.other == r->capacity;
}

static bool is_empty(struct zn_spsc *r)
{
	r->out.other = zn__load(&r->in.at, ACQUIRE);
	return r->out.other == zn__own(&r->out.at);
}

static void wait_for_room(struct zn_spsc *r, unsigned turn)
{
	if (!zn__wait_turn(r->wait, turn))
		return;
	zn__bed_take(&r->in_bed);
	if (is_full(r) && !is_closed(r))
		zn__bed_sleep(&r->in_bed);
}

static void wait_for_items(struct zn_spsc *r, unsigned turn)
{
	if (!zn__wait_turn(r->wait, turn))
		return;
	zn__bed_take(&r->out_bed);
	if (is_empty(r) && !is_closed(r))
		zn__bed_sleep(&r->out_bed);
}

size_t zn_spsc_send(struct zn_spsc *r, const uint64_t *v, size_t n)
{
	size_t sent = 0;

	for (unsigned turn = 0; sent < n && !is_closed(r); turn++) {
		size_t k = zn_spsc_push(r, v + sent, n - sent);
		sent += k;
		if (!k) {
			wait_for_room(r, turn);
			continue;
		}
		turn = 0;
		if (r->wait == ZN_WAIT_SLEEP)
			zn__bed_wake(&r->out_bed);
	}
	return sent;
}

size_t zn_spsc_receive(struct zn_spsc *r, uint64_t *to, size_t max)
{
	size_t n = 0;

	for (unsigned turn = 0; max && !(n = zn_spsc_pop(r, to, max)); turn++) {
		if (is_closed(r)) { /* what was sent before that is there by now */
			n = zn_spsc_pop(r, to, max);
			break;
		}
		wait_for_items(r, turn);
	}
	if (n && r->wait == ZN_WAIT_SLEEP)
		zn__bed_wake(&r->in_bed);
	return n;
}

void zn_spsc_close(struct zn_spsc *r)
{
	zn__store(&r->closed, 1, RELEASE);
	zn__bed_wake(&r->in_bed);
	zn__bed_wake(&r->out_bed);
}
