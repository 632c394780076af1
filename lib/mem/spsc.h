/* spsc: a bounded ring of 8-byte items from one producer to one consumer, without locks.
 *
 * Two indexes that only rise; an item lies at its index modulo the capacity.  Each side publishes its index with
 * release and reads the other's with acquire, so what was written before is seen.  Each keeps what it last saw of
 * the other's index and looks again only when that does not suffice: so the two lines seldom change owner.
 */
#ifndef ZN_MEM_SPSC_H
#define ZN_MEM_SPSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/wait.h"

struct zn__spsc_side {
	size_t at;            /* its index, written by this side alone */
	size_t other;         /* what it last saw of the other's */
};

struct zn_spsc {
	_Alignas(ZN_LINE) struct zn__spsc_side in;
	_Alignas(ZN_LINE) struct zn__spsc_side out;
	_Alignas(ZN_LINE) uint64_t *slots;
	size_t capacity;
	enum zn_wait wait;
	uint32_t closed;      /* by either side */
	_Alignas(ZN_LINE) struct zn__bed in_bed; /* written by who sleeps, read by the other */
	_Alignas(ZN_LINE) struct zn__bed out_bed;
};

/* capacity: items, a power of two, at least 2; -EINVAL, -ENOMEM.  The memory lies where the caller's policy puts it. */
int zn_spsc_init(struct zn_spsc *r, size_t capacity, enum zn_wait wait);
void zn_spsc_done(struct zn_spsc *r);

/* ---- at once: how many went, 0 to n ---- */

static inline size_t zn__spsc_room(struct zn_spsc *r, size_t at, size_t want)
{
	size_t room = r->capacity - (at - r->in.other);

	if (room >= want)
		return want;
	r->in.other = zn__load(&r->out.at, ACQUIRE);
	room = r->capacity - (at - r->in.other);
	return room < want ? room : want;
}

static inline size_t zn__spsc_there(struct zn_spsc *r, size_t at, size_t want)
{
	size_t there = r->out.other - at;

	if (there >= want)
		return want;
	r->out.other = zn__load(&r->in.at, ACQUIRE);
	there = r->out.other - at;
	return there < want ? there : want;
}

/* The producer's. */
static inline size_t zn_spsc_push(struct zn_spsc *r, const uint64_t *v, size_t n)
{
	size_t at = zn__own(&r->in.at), mask = r->capacity - 1;

	n = zn__spsc_room(r, at, n);
	for (size_t i = 0; i < n; i++)
		zn__write(&r->slots[(at + i) & mask], v[i]);
	if (n)
		zn__store(&r->in.at, at + n, RELEASE);
	return n;
}

/* The consumer's. */
static inline size_t zn_spsc_pop(struct zn_spsc *r, uint64_t *to, size_t max)
{
	size_t at = zn__own(&r->out.at), mask = r->capacity - 1;
	size_t n = zn__spsc_there(r, at, max);

	for (size_t i = 0; i < n; i++)
		to[i] = zn__read(&r->slots[(at + i) & mask]);
	if (n)
		zn__store(&r->out.at, at + n, RELEASE);
	return n;
}

/* The consumer's: how many it could pop now. */
static inline size_t zn_spsc_ready(struct zn_spsc *r)
{
	return zn__load(&r->in.at, ACQUIRE) - zn__own(&r->out.at);
}

/* ---- waiting, as the ring was told to ---- */

/* All of them: n; fewer when the ring was closed meanwhile. */
size_t zn_spsc_send(struct zn_spsc *r, const uint64_t *v, size_t n);
/* At least one; 0: the ring is closed and empty. */
size_t zn_spsc_receive(struct zn_spsc *r, uint64_t *to, size_t max);
/* No more will come, or be taken; wakes the other side.  Either may call it, also while it waits in another thread. */
void zn_spsc_close(struct zn_spsc *r);

#endif
