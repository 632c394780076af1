/* ring_rte: the ring of DPDK, for one producer and one consumer.  All that moves items is inline in its headers; only what
 * makes a ring is in its library, which would bring the whole of DPDK along: so the ring is made here, as rte_ring_init does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ring.h"
#if __has_include(<rte_ring_elem.h>)
#include <rte_config.h>

#include <rte_ring_elem.h>

struct rte {
	struct rte_ring ring;
	_Alignas(64) uint64_t slots[ZN__RING_CAPACITY];
};
_Static_assert(offsetof(struct rte, slots) == sizeof(struct rte_ring), "they are looked for behind the ring");

static void close_rte(struct zn__ring_run *r)
{
	free(r->theirs[0]);
	free(r->theirs[1]);
}

static int open_rte(struct zn__ring_run *r)
{
	for (int i = 0; i < 2; i++) {
		struct rte *rte = r->theirs[i] = aligned_alloc(_Alignof(struct rte), sizeof(*rte));
		if (!rte) {
			close_rte(r);
			return -ENOMEM;
		}
		memset(rte, 0, sizeof(*rte));
		rte->ring.size = ZN__RING_CAPACITY;
		rte->ring.mask = ZN__RING_CAPACITY - 1;
		rte->ring.capacity = ZN__RING_CAPACITY - 1;
		rte->ring.flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
		rte->ring.prod.sync_type = rte->ring.cons.sync_type = RTE_RING_SYNC_ST;
	}
	return 0;
}

/* All n of them, however often it takes. */
static void push(struct rte *rte, const uint64_t *v, size_t n)
{
	for (size_t sent = 0, k; sent < n; sent += k)
		if (!(k = rte_ring_sp_enqueue_burst_elem(&rte->ring, v + sent, sizeof(*v), (unsigned)(n - sent), NULL)))
			zn__pause();
}

static size_t pop(struct rte *rte, uint64_t *v, size_t n)
{
	return rte_ring_sc_dequeue_burst_elem(&rte->ring, v, sizeof(*v), (unsigned)n, NULL);
}

static void send_rte(struct zn__ring_run *r)
{
	uint64_t v[ZN__RING_BATCH_MAX];

	for (uint64_t at = 1; at <= r->n; at += r->batch) {
		for (size_t i = 0; i < r->batch; i++)
			v[i] = at + i;
		push(r->theirs[0], v, r->batch);
	}
}

static bool receive_rte(struct zn__ring_run *r)
{
	uint64_t v[ZN__RING_BATCH_MAX], want = 1, wrong = 0;

	while (want <= r->n) {
		size_t k = pop(r->theirs[0], v, r->batch);
		if (!k)
			zn__pause();
		for (size_t i = 0; i < k; i++)
			wrong |= v[i] ^ want++;
	}
	return !wrong;
}

static void ask_rte(struct zn__ring_run *r)
{
	uint64_t v;

	for (uint64_t at = 1; at <= r->n; at++) {
		push(r->theirs[0], &at, 1);
		while (!pop(r->theirs[1], &v, 1))
			zn__pause();
	}
}

static bool answer_rte(struct zn__ring_run *r)
{
	uint64_t v, wrong = 0;

	for (uint64_t want = 1; want <= r->n; want++) {
		while (!pop(r->theirs[0], &v, 1))
			zn__pause();
		wrong |= v ^ want;
		push(r->theirs[1], &v, 1);
	}
	return !wrong;
}

static const struct zn__ring_way rte = { open_rte, send_rte, receive_rte, close_rte };
static const struct zn__ring_way rte_and_back = { open_rte, ask_rte, answer_rte, close_rte };
#define WAYS { &rte, &rte, &rte_and_back }
#else
#define WAYS { NULL, NULL, NULL }
#endif

const struct zn__ring_peer zn__ring_rte = { "rte_ring", "libdpdk-dev", WAYS };
