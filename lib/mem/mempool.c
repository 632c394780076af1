/* mempool: see the header.  A block that is kept holds its own description, and the next one of its size, in its first bytes. */
#include "mem/mempool.h"

#include <errno.h>

struct zn__mempool_kept {
	struct zn__mempool_kept *next;
	struct zn_block block;
};

enum {
	SHIFT_MIN = 6,            /* the smallest size: 64 bytes */
	DOUBLE = 8,               /* classes further sizes are twice as large: with pages of 2 MiB 3 MiB make 4 */
};

_Static_assert(sizeof(struct zn__mempool_kept) <= 256, "it fits into the smallest block that is kept");
enum { KEPT_MIN = 256 };

/* The class of the smallest size that holds so many, and that size; sizes are 8 to a power of two. */
static unsigned class_of(size_t bytes, size_t *ret_size)
{
	if (bytes <= (size_t)1 << SHIFT_MIN) {
		*ret_size = (size_t)1 << SHIFT_MIN;
		return 0;
	}
	unsigned shift = 63u - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
	size_t base = (size_t)1 << shift, step = base / 8, eighths = (bytes - base + step - 1) / step;
	*ret_size = base + eighths * step;
	return (shift - SHIFT_MIN) * 8 + (unsigned)eighths;
}

void zn_mempool_init(struct zn_mempool *p, const struct zn_block_ask *like, uint64_t keep_bytes)
{
	*p = (struct zn_mempool){ .like = *like, .keep_bytes = keep_bytes };
	pthread_mutex_init(&p->lock, NULL);
}

/* The smallest of those of the classes from first to last. */
static bool take_kept(struct zn_mempool *p, unsigned first, unsigned last, struct zn_block *ret)
{
	struct zn__mempool_kept *k = NULL;
	unsigned class = first;

	pthread_mutex_lock(&p->lock);
	for (; class <= last && class < ZN_MEMPOOL_CLASSES && !(k = p->kept[class]); class++)
		;
	if (k) {
		p->kept[class] = k->next;
		*ret = k->block;
		p->stats.kept_bytes -= ret->bytes;
		p->stats.out_bytes += ret->bytes;
		p->stats.reused++;
	}
	pthread_mutex_unlock(&p->lock);
	return k != NULL;
}

static int make(struct zn_mempool *p, size_t bytes, struct zn_block *ret, struct zn_err *err)
{
	struct zn_block_ask ask = p->like;

	ask.bytes = bytes;
	int rc = zn_block_get(&ask, ret, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&p->lock);
	p->stats.out_bytes += ret->bytes;
	p->stats.made++;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* Of those of the heap, small ones; a pool has those of one kind, so what is put is known by its size alone. */
static bool passes_through(const struct zn_mempool *p, size_t bytes)
{
	return bytes <= ZN_MEMPOOL_SMALL && p->like.pages <= ZN_PAGES_HEAP && !p->like.policy && !p->like.lock && !p->like.shared;
}

int zn_mempool_get(struct zn_mempool *p, size_t bytes, struct zn_block *ret, struct zn_err *err)
{
	size_t size = 0;

	if (bytes && passes_through(p, bytes) && zn__block_of_heap(bytes, ret) == 0)
		return 0;
	unsigned class = bytes ? class_of(bytes, &size) : 0;

	if (class >= ZN_MEMPOOL_CLASSES)
		return zn_err_set(err, -ENOMEM, "there is no memory for a block of %zu bytes", bytes);
	if (bytes && take_kept(p, class, class + DOUBLE, ret))
		return 0;
	return make(p, size, ret, err);
}

/* By what it can hold, which whole pages make more than was asked for. */
static unsigned class_below(size_t bytes)
{
	size_t size;
	unsigned class = class_of(bytes, &size);

	return size > bytes ? class - 1 : class;
}

void zn_mempool_put(struct zn_mempool *p, struct zn_block *b)
{
	bool keeps;

	if (b->got == ZN_PAGES_HEAP && b->bytes <= ZN_MEMPOOL_SMALL)
		return zn_block_put(b);
	pthread_mutex_lock(&p->lock);
	p->stats.out_bytes -= b->bytes;
	keeps = b->bytes >= KEPT_MIN && p->stats.kept_bytes + b->bytes <= p->keep_bytes;
	if (keeps) {
		struct zn__mempool_kept *k = b->p;
		unsigned class = class_below(b->bytes);
		k->block = *b;
		k->next = p->kept[class];
		p->kept[class] = k;
		p->stats.kept_bytes += b->bytes;
	}
	pthread_mutex_unlock(&p->lock);
	if (!keeps)
		zn_block_put(b);
	*b = (struct zn_block){ 0 };
}

struct zn_mempool_stats zn_mempool_count(struct zn_mempool *p)
{
	pthread_mutex_lock(&p->lock);
	struct zn_mempool_stats s = p->stats;
	pthread_mutex_unlock(&p->lock);
	return s;
}

void zn_mempool_drop(struct zn_mempool *p)
{
	struct zn_block b;

	for (unsigned i = 0; i < ZN_MEMPOOL_CLASSES; i++)
		while (take_kept(p, i, i, &b)) {
			pthread_mutex_lock(&p->lock);
			p->stats.out_bytes -= b.bytes;
			p->stats.reused--;
			pthread_mutex_unlock(&p->lock);
			zn_block_put(&b);
		}
}

void zn_mempool_done(struct zn_mempool *p)
{
	zn_mempool_drop(p);
	pthread_mutex_destroy(&p->lock);
}
