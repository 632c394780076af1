/* wait: how one side of a ring waits for the other.
 *
 * Spinning answers soonest and takes a whole CPU; yielding lets others have it; sleeping costs the other side a fence at
 * each turn, and a system call when somebody sleeps.  All begin with a few turns of looking, since what is waited for
 * is mostly there by then.
 */
#ifndef ZN_MEM_WAIT_H
#define ZN_MEM_WAIT_H

#include "mem/order.h"

enum zn_wait { ZN_WAIT_SPIN, ZN_WAIT_YIELD, ZN_WAIT_SLEEP };

/* Who is about to sleep says so, looks once more and sleeps; who changes something looks here afterwards: with a fence
 * in both, one sees the other.  It may stay taken though nobody sleeps any more: that costs one wake too many.
 */
struct zn__bed {
	uint32_t taken;
};

static inline void zn__bed_take(struct zn__bed *b)
{
	zn__store(&b->taken, 1, RELAXED);
	zn__fence();
}

static inline void zn__bed_sleep(struct zn__bed *b)
{
	zn__futex_wait(&b->taken, 1);
}

static inline void zn__bed_wake(struct zn__bed *b)
{
	zn__fence();
	if (!zn__load(&b->taken, RELAXED))
		return;
	zn__store(&b->taken, 0, RELAXED);
	zn__futex_wake(&b->taken);
}

/* One turn of waiting; true: it is time to go to bed. */
static inline bool zn__wait_turn(enum zn_wait wait, unsigned turn)
{
	if (turn < ZN__LOOKS || wait == ZN_WAIT_SPIN)
		zn__pause();
	else if (wait == ZN_WAIT_YIELD)
		zn__yield();
	return turn >= ZN__LOOKS && wait == ZN_WAIT_SLEEP;
}

#endif
