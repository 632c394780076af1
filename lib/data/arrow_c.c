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

static size_t block_bytes(const struct zn__columns *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_spans; i++)
		n += zn__columns_in_place(c, i) ? 0 : whole(c->spans[i].bytes);
	return n;
}

static const void *copy(struct maker *m, size_t span)
{
	uint8_t *p = m->h->block + m->used;

	m->used += zn__columns_copy(m->c, span, p);
	return p;
}

/* Only validity may be a null pointer. */
static const void *buffer(struct maker *m, bool is_validity)
{
	static const _Alignas(ZN__ARROW_ALIGN) char nothing[ZN__ARROW_ALIGN];
	size_t i = m->span++;
	const void *p = zn__columns_in_place(m->c, i);

	if (!m->c->spans[i].bytes)
		return is_validity ? NULL : nothing;
	return p ? p : copy(m, i);
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

int zn_batch_export_arrow_device(const struct zn_batch *batch, void (*release)(void *arg), void *release_arg,
				 struct ArrowSchema *ret_schema, struct ArrowDeviceArray *ret_array, struct zn_err *err)
{
	struct ArrowDeviceArray a = { .device_id = -1, .device_type = ARROW_DEVICE_CPU };
	int rc = zn_batch_export_arrow(batch, release, release_arg, ret_schema, &a.array, err);

	if (rc == 0)
		*ret_array = a;
	return rc;
}
