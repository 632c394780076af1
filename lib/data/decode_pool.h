/* decode_pool: threads that decode.
 *
 * A list of work lies in the caller's memory and is decoded by whichever threads have time; each result has its place in it,
 * so that the order is the caller's.  A field of a whole batch is one tensor where out of the i-th is base + i * bytes.
 * Lists are taken one after another, and nothing is allocated for them: what is under way is bounded by who gives them.
 */
#ifndef ZN_DATA_DECODE_POOL_H
#define ZN_DATA_DECODE_POOL_H

#include "data/decode.h"

struct zn_decode_pool;

struct zn_decode_work {
	uint32_t decoder;              /* which of the pool's */
	int rc;                        /* of zn_decoder_run; -ECANCELED: the pool ended before */
	const void *p;
	size_t n;
	uint64_t random;
	void *out;
	const char *why;               /* with rc below 0, a constant text */
};

struct zn_decode_list {
	struct zn_decode_work *work;
	size_t n;
	/* the pool's */
	struct zn_decode_list *next;
	size_t taken, done;
};

/* decoders are borrowed for as long as the pool lives; one whose shape must be learnt has learnt it before its first work.
 * threads at least 1.
 */
int zn_decode_pool_new(struct zn_decoder *const *decoders, uint32_t n_decoders, uint32_t threads, struct zn_decode_pool **ret,
                       struct zn_err *err);
/* Gives a list, which stays where it is until it was waited for, and returns at once. */
void zn_decode_pool_put(struct zn_decode_pool *p, struct zn_decode_list *l);
/* Until all of it is done.  Any thread may, once for each list. */
void zn_decode_pool_wait(struct zn_decode_pool *p, struct zn_decode_list *l);
/* What has not begun is not done any more: who waits gets it as cancelled.  Nobody may call anything but wait from now on. */
void zn_decode_pool_stop(struct zn_decode_pool *p);
/* Stops it.  All who waited have come back; NULL is nothing. */
void zn_decode_pool_free(struct zn_decode_pool *p);

/* Moves n datums of bytes each together, without those that are lost, in order.  The number that is left. */
size_t zn_decode_close_up(void *base, size_t bytes, const bool *lost, size_t n);

#endif
