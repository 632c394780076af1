/* ring_ck: the ring of Concurrency Kit, which goes one item at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ring.h"
#if __has_include(<ck_ring.h>)
#include <ck_ring.h>

struct ck {
	_Alignas(64) struct ck_ring ring;
	_Alignas(64) ck_ring_buffer_t slots[ZN__RING_CAPACITY];
};

static void close_ck(struct zn__ring_run *r)
{
	free(r->theirs[0]);
	free(r->theirs[1]);
}

static int open_ck(struct zn__ring_run *r)
{
	for (int i = 0; i < 2; i++) {
		struct ck *ck = r->theirs[i] = aligned_alloc(64, sizeof(*ck));
		if (!ck) {
			close_ck(r);
			return -ENOMEM;
		}
		memset(ck, 0, sizeof(*ck));
		ck_ring_init(&ck->ring, ZN__RING_CAPACITY);
	}
	return 0;
}

static void push(struct ck *ck, uintptr_t v)
{
	while (!ck_ring_enqueue_spsc(&ck->ring, ck->slots, (void *)v))
		zn__pause();
}

static uintptr_t pop(struct ck *ck)
{
	void *v;

	while (!ck_ring_dequeue_spsc(&ck->ring, ck->slots, &v))
		zn__pause();
	return (uintptr_t)v;
}

static void send_ck(struct zn__ring_run *r)
{
	for (uintptr_t at = 1; at <= r->n; at++)
		push(r->theirs[0], at);
}

static bool receive_ck(struct zn__ring_run *r)
{
	uintptr_t wrong = 0;

	for (uintptr_t want = 1; want <= r->n; want++)
		wrong |= pop(r->theirs[0]) ^ want;
	return !wrong;
}

static void ask_ck(struct zn__ring_run *r)
{
	for (uintptr_t at = 1; at <= r->n; at++) {
		push(r->theirs[0], at);
		pop(r->theirs[1]);
	}
}

static bool answer_ck(struct zn__ring_run *r)
{
	uintptr_t wrong = 0;

	for (uintptr_t want = 1; want <= r->n; want++) {
		uintptr_t v = pop(r->theirs[0]);
		wrong |= v ^ want;
		push(r->theirs[1], v);
	}
	return !wrong;
}

static const struct zn__ring_way ck = { open_ck, send_ck, receive_ck, close_ck };
static const struct zn__ring_way ck_and_back = { open_ck, ask_ck, answer_ck, close_ck };
#define WAYS { &ck, NULL, &ck_and_back }
#else
#define WAYS { NULL, NULL, NULL }
#endif

const struct zn__ring_peer zn__ring_ck = { "ck_ring", "libck-dev", WAYS };
