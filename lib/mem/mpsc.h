/* mpsc: a bounded ring of 8-byte items from many producers to one consumer, without locks.
 *
 * A producer claims slots by moving the one index of all producers; each slot carries a number that says whose turn it
 * is: its index when it is free, one more when it is filled, its index in the next round when it is free again.  The
 * consumer empties them in order, so that the last of several is free only when all are.  A producer that stops between
 * claiming and filling holds up what comes behind it.
 * (After D. Vyukov's bounded queue, 1024cores.net, with one consumer and several items in one claim.)
 */
#ifndef ZN_MEM_MPSC_H
#define ZN_MEM_MPSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/wait.h"

struct zn__mpsc_slot {
	size_t turn;
	uint64_t item;
};

struct zn_mpsc {
	_Alignas(ZN_LINE) size_t in;
	_Alignas(ZN_LINE) size_t out;  /* the consumer's alone */
	_Alignas(ZN_LINE) struct zn__mpsc_slot *slots;
	size_t capacity;
	enum zn_wait wait;
	uint32_t closed;
	_Alignas(ZN_LINE) struct zn__bed in_bed;
	_Alignas(ZN_LINE) struct zn__bed out_bed;
};

/* capacity: items, a power of two, at least 2; -EINVAL, -ENOMEM. */
int zn_mpsc_init(struct zn_mpsc *r, size_t capacity, enum zn_wait wait);
void zn_mpsc_done(struct zn_mpsc *r);

/* Any producer's: all n, which then stand together, or none (0). */
static inline size_t zn_mpsc_push(struct zn_mpsc *r, const uint64_t *v, size_t n)
{
	size_t at = zn__load(&r->in, RELAXED), mask = r->capacity - 1;

	if (!n || n > r->capacity)
		return 0;
	for (;;) {
		intptr_t ahead = (intptr_t)(zn__load(&r->slots[(at + n - 1) & mask].turn, ACQUIRE) - (at + n - 1));
		if (ahead < 0)
			return 0;
		if (ahead > 0) /* others were faster */
			at = zn__load(&r->in, RELAXED);
		else if (zn__swap(&r->in, &at, at + n, RELAXED))
			break;
	}
	for (size_t i = 0; i < n; i++) {
		struct zn__mpsc_slot *s = &r->slots[(at + i) & mask];
		zn__write(&s->item, v[i]);
		zn__store(&s->turn, at + i + 1, RELEASE);
	}
	return n;
}

/* The consumer's: how many came, 0 to max. */
static inline size_t zn_mpsc_pop(struct zn_mpsc *r, uint64_t *to, size_t max)
{
	size_t n = 0, mask = r->capacity - 1;

	for (; n < max; n++) {
		struct zn__mpsc_slot *s = &r->slots[r->out & mask];
		if (zn__load(&s->turn, ACQUIRE) != r->out + 1)
			break;
		to[n] = zn__read(&s->item);
		zn__store(&s->turn, r->out + r->capacity, RELEASE);
		r->out++;
	}
	return n;
}

/* ---- waiting, as the ring was told to ---- */

/* All n, at most the capacity, and true; false: the ring was closed, and none went. */
bool zn_mpsc_send(struct zn_mpsc *r, const uint64_t *v, size_t n);
/* At least one; 0: the ring is closed and empty. */
size_t zn_mpsc_receive(struct zn_mpsc *r, uint64_t *to, size_t max);
/* No more is taken.  A producer that sends at the same time may see it or not: close when they are done, unless what
 * they still send may be lost.
 */
void zn_mpsc_close(struct zn_mpsc *r);

#endif
