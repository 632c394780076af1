/* byte_ring: a ring of records of any length from one producer to one consumer, also of another process.
 *
 * The memory is a memfd: a page with the two indexes, then the data, which is mapped twice in a row, so that each record
 * lies in one piece wherever it begins.  A record is its length (u32), then its bytes, then up to the next 8.
 * Whoever has the descriptor can write to all of it: what the other side says is checked, and believed only so far as
 * that nothing outside the ring is read or written.
 */
#ifndef ZN_MEM_BYTE_RING_H
#define ZN_MEM_BYTE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/wait.h"
#include "zenith.h"

struct zn__byte_ring_shared;

/* One side's own, also where both are in one process (the other one opens a duplicate of the descriptor). */
struct zn_byte_ring {
	struct zn__byte_ring_shared *shared;
	char *data;
	size_t capacity;
	enum zn_wait wait;
	uint64_t in, out;      /* our own index is this one, not what the memory says */
	size_t taken;          /* of the record that zn_byte_ring_next gave */
	int fd;
};

/* capacity: bytes of data, rounded up to a power of two of pages.  -EINVAL, -ENOMEM, -errno.
 * The descriptor, ret->fd, can be handed to the other side, which opens it; it stays ret's.
 */
int zn_byte_ring_make(struct zn_byte_ring *ret, size_t capacity, enum zn_wait wait, struct zn_err *err);
/* The other side of a ring that another process made: takes fd over, also when it fails.  -EBADMSG: that is no ring. */
int zn_byte_ring_open(struct zn_byte_ring *ret, int fd, struct zn_err *err);
void zn_byte_ring_done(struct zn_byte_ring *b);

/* ---- the producer's ---- */

/* Where n bytes can be written; NULL when there is no room now (and never if n > zn_byte_ring_largest). */
char *zn_byte_ring_room(struct zn_byte_ring *b, size_t n);
/* The same, but waits; NULL: the ring is closed, or will never have so much. */
char *zn_byte_ring_room_wait(struct zn_byte_ring *b, size_t n);
/* The first n bytes of that room are a record. */
void zn_byte_ring_put(struct zn_byte_ring *b, size_t n);
size_t zn_byte_ring_largest(const struct zn_byte_ring *b);

/* ---- the consumer's ---- */

/* The next record, borrowed until zn_byte_ring_drop: 1; 0: there is none now; -EBADMSG: what the other side says makes no
 * sense.  Its bytes may change while they are read when the other side is not to be trusted: copy, then look.
 */
int zn_byte_ring_next(struct zn_byte_ring *b, const char **ret, size_t *ret_n);
/* The same, but waits; 0: the ring is closed and empty. */
int zn_byte_ring_next_wait(struct zn_byte_ring *b, const char **ret, size_t *ret_n);
void zn_byte_ring_drop(struct zn_byte_ring *b);

/* No more will come, or be taken.  A side that dies closes nothing: watch it otherwise (its socket, its pidfd). */
void zn_byte_ring_close(struct zn_byte_ring *b);

#endif
