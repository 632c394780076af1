/* A laid-out batch as ArrowArray.  What lies in one piece in the batch stays there; the rest is copied to one block.  Structs
 * and block go with the last array that is released, and so does the batch: children may be moved out and outlive their parent.
 */
#include "data/arrow_c.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct held {
	struct zn_arena arena;
	uint8_t *block;
	atomic_uint refs;
	void (*release)(void *arg);
	void *arg;
};

struct maker {
	const struct zn__columns *c;
	struct held *h;
	size_t node, span;             /* the next ones */
	size_t used;                   /* of the block */
	bool failed;
};

static void release_array(struct ArrowArray *a)
{
	struct held *h = a->private_data;

	for (int64_t i = 0; i < a->n_children; i++)
		if (a->children[i]->release)
			a->children[i]->release(a->children[i]);
	a->release = NULL;
	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	if (h->release)
		h->release(h->arg);
	free(h->block);
	zn_arena_done(&h->arena);
	free(h);
}

static size_t whole(int64_t n)
{
	return ((size_t)n + ZN__ARROW_ALIGN - 1) / ZN__ARROW_ALIGN * ZN__ARROW_ALIGN;
}

/* Whether a span is one piece of the batch's memory.  The keys, which are the first spans, and scratch are not. */
static bool is_in_batch(const struct zn__columns *c, size_t span)
{
	const struct zn__span *s = &c->spans[span];
	const struct iovec *v = &c->vectors[s->first];
	const uint8_t *p = v->iov_base;

	return span >= 3 && v->iov_len >= (size_t)s->bytes && (p < c->scratch.p || p >= c->scratch.p + c->scratch.used);
}

static size_t block_bytes(const struct zn__columns *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_spans; i++)
		n += c->spans[i].bytes && !is_in_batch(c, i) ? whole(c->spans[i].bytes) : 0;
	return n;
}

/* With what fills it up, as it would be in a stream. */
static const void *copy(struct maker *m, const struct zn__span *s)
{
	uint8_t *p = m->h->block + m->used;

	for (size_t i = 0; i < s->n; i++) {
		const struct iovec *v = &m->c->vectors[s->first + i];
		memcpy(m->h->block + m->used, v->iov_base, v->iov_len);
		m->used += v->iov_len;
	}
	return p;
}

/* Only validity may be a null pointer. */
static const void *buffer(struct maker *m, bool is_validity)
{
	static const _Alignas(ZN__ARROW_ALIGN) char nothing[ZN__ARROW_ALIGN];
	size_t i = m->span++;
	const struct zn__span *s = &m->c->spans[i];

	if (!s->bytes)
		return is_validity ? NULL : nothing;
	return is_in_batch(m->c, i) ? m->c->vectors[s->first].iov_base : copy(m, s);
}

static void set_array(struct maker *m, struct ArrowArray *a, int64_t rows, int64_t nulls, unsigned n_buffers)
{
	*a = (struct ArrowArray){ .length = rows, .null_count = nulls, .n_buffers = n_buffers, .release = release_array,
	                          .private_data = m->h };
	a->buffers = zn_arena_array(&m->h->arena, n_buffers, sizeof(*a->buffers));
	m->failed |= !a->buffers;
	atomic_fetch_add(&m->h->refs, 1);
}

static void make(struct maker *m, struct ArrowArray *a, unsigned n_buffers)
{
	const struct zn__node *n = &m->c->nodes[m->node++];

	set_array(m, a, n->length, n->nulls, n_buffers);
	for (unsigned i = 0; !m->failed && i < n_buffers; i++)
		a->buffers[i] = buffer(m, i == 0);
}

static bool add_children(struct maker *m, struct ArrowArray *a, uint32_t n)
{
	struct ArrowArray *all = zn_arena_array(&m->h->arena, n, sizeof(*all));

	a->children = zn_arena_array(&m->h->arena, n, sizeof(*a->children));
	m->failed |= !all || !a->children;
	for (uint32_t i = 0; !m->failed && i < n; i++)
		a->children[i] = &all[i];
	a->n_children = n;
	return !m->failed;
}

static void make_all(struct maker *m, struct ArrowArray *a)
{
	uint32_t n = m->c->n;

	set_array(m, a, m->c->nodes[0].length, 0, 1);
	if (!add_children(m, a, n + 2))
		return;
	make(m, a->children[0], 3);
	for (uint32_t i = 0; i < n; i++)
		make(m, a->children[i + 1], m->c->columns[i].kind == ZN__COLUMN_BYTES ? 3 : 2);
	make(m, a->children[n + 1], 1);
	if (!add_children(m, a->children[n + 1], 2))
		return;
	make(m, a->children[n + 1]->children[0], 2);
	make(m, a->children[n + 1]->children[1], 2);
}

static void free_held(struct held *h)
{
	if (!h)
		return;
	zn_arena_done(&h->arena);
	free(h->block);
	free(h);
}

int zn__arrow_c_array(const struct zn__columns *c, void (*release)(void *), void *arg, struct ArrowArray *ret, struct zn_err *err)
{
	struct maker m = { .c = c, .h = calloc(1, sizeof(*m.h)) };
	struct ArrowArray a;

	if (!m.h)
		return zn_err_set(err, -ENOMEM, "out of memory");
	m.h->release = release;
	m.h->arg = arg;
	m.h->block = aligned_alloc(ZN__ARROW_ALIGN, block_bytes(c) + ZN__ARROW_ALIGN);
	m.failed = !m.h->block;
	if (!m.failed)
		make_all(&m, &a);
	if (m.failed) {
		free_held(m.h);
		return zn_err_set(err, -ENOMEM, "out of memory");
	}
	*ret = a;
	return 0;
}

int zn_batch_export_arrow(const struct zn_batch *batch, void (*release)(void *arg), void *release_arg,
			  struct ArrowSchema *ret_schema, struct ArrowArray *ret_array, struct zn_err *err)
{
	struct zn__columns c = { 0 };
	struct ArrowSchema schema;

	int rc = zn__columns_learn(&c, batch, err);
	if (rc == 0)
		rc = zn__columns_lay(&c, batch, err);
	if (rc == 0)
		rc = zn__arrow_c_schema(&c, &schema, err);
	if (rc == 0) {
		rc = zn__arrow_c_array(&c, release, release_arg, ret_array, err);
		if (rc == 0)
			*ret_schema = schema;
		else
			schema.release(&schema);
	}
	zn__columns_done(&c);
	return rc;
}
