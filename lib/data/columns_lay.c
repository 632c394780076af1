/* A batch laid out: each buffer is a span of vectors, filled up to 64 bytes.
 *
 * What is copied goes one piece behind the other into scratch memory, whose size is counted ahead, for vectors point into it.
 */
#include "data/columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char zeros[16384]; /* what a large datum that is missing is made of; never written to */

static size_t whole(size_t n)
{
	return (n + ZN__ARROW_ALIGN - 1) / ZN__ARROW_ALIGN * ZN__ARROW_ALIGN;
}

/* Room for n elements in an array that is kept; what was in it is not. */
static bool has_room(void *array, size_t *room, size_t n, size_t size)
{
	void **p = array;

	if (n <= *room)
		return true;
	free(*p);
	n += n / 4;
	*p = reallocarray(NULL, n, size);
	*room = *p ? n : 0;
	return *p != NULL;
}

static void add_vector(struct zn__columns *c, const void *p, size_t n)
{
	if (c->n_vectors == c->vectors_room) {
		size_t room = 2 * c->vectors_room + 64;
		struct iovec *vectors = reallocarray(c->vectors, room, sizeof(*vectors));
		if (!vectors) {
			c->failed = true;
			return;
		}
		c->vectors = vectors;
		c->vectors_room = room;
	}
	c->vectors[c->n_vectors++] = (struct iovec){ .iov_base = (void *)p, .iov_len = n };
}

/* Bytes behind those before them in memory make one vector with them. */
static void point_at(struct zn__columns *c, const void *p, size_t n)
{
	struct zn__span *s = &c->spans[c->n_spans - 1];
	struct iovec *last = c->n_vectors > s->first ? &c->vectors[c->n_vectors - 1] : NULL;

	if (last && (const char *)last->iov_base + last->iov_len == p)
		last->iov_len += n;
	else
		add_vector(c, p, n);
	c->body_bytes += (int64_t)n;
}

/* What was written to scratch since, as one vector. */
static void end_run(struct zn__columns *c)
{
	if (c->scratch.used > c->scratch.run)
		point_at(c, c->scratch.p + c->scratch.run, c->scratch.used - c->scratch.run);
	c->scratch.run = c->scratch.used;
}

/* n bytes that the caller writes. */
static inline uint8_t *room(struct zn__columns *c, size_t n)
{
	uint8_t *p = c->scratch.p + c->scratch.used;

	c->scratch.used += n;
	return p;
}

static inline void add(struct zn__columns *c, const void *p, size_t n)
{
	if (!n)
		return;
	if (n <= ZN__SMALL) {
		memcpy(room(c, n), p, n);
		return;
	}
	end_run(c);
	point_at(c, p, n);
}

static inline void add_datum(struct zn__columns *c, const void *p, size_t n)
{
	add(c, p, n);
	c->copied_bytes += n <= ZN__SMALL ? n : 0;
}

static void add_zeros(struct zn__columns *c, size_t n)
{
	for (; n > sizeof(zeros); n -= sizeof(zeros))
		add(c, zeros, sizeof(zeros));
	add(c, zeros, n);
}

static void span_begin(struct zn__columns *c)
{
	c->spans[c->n_spans++] = (struct zn__span){ .offset = c->body_bytes, .first = c->n_vectors };
}

static void span_end(struct zn__columns *c)
{
	struct zn__span *s = &c->spans[c->n_spans - 1];

	s->bytes = c->body_bytes - s->offset + (int64_t)(c->scratch.used - c->scratch.run);
	add_zeros(c, whole((size_t)s->bytes) - (size_t)s->bytes);
	end_run(c);
	s->n = c->n_vectors - s->first;
}


static void put_i64(uint8_t *to, size_t i, int64_t v)
{
	memcpy(to + i * sizeof(v), &v, sizeof(v)); /* scratch is as aligned as what was put there before */
}

/* A bit for each row, none at all where there is no null. */
static void lay_validity(struct zn__columns *c, const struct zn_datum **cells, uint32_t rows)
{
	uint8_t *bits = memset(room(c, (rows + (size_t)7) / 8), 0, (rows + (size_t)7) / 8);

	for (uint32_t i = 0; i < rows; i++)
		bits[i / 8] |= (uint8_t)(!!cells[i] << i % 8);
}

static void lay_node(struct zn__columns *c, uint32_t rows, uint32_t nulls, const struct zn_datum **cells)
{
	c->nodes[c->n_nodes++] = (struct zn__node){ .length = rows, .nulls = nulls };
	span_begin(c);
	if (nulls)
		lay_validity(c, cells, rows);
	span_end(c);
}

static bool add_keys(struct zn__columns *c, const struct zn_batch *b, int32_t *ends)
{
	c->keys.len = 0;
	ends[0] = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		zn__utf8_text(b->samples[i].key, &c->keys);
		if (c->keys.len > INT32_MAX)
			return false;
		ends[i + 1] = (int32_t)c->keys.len;
	}
	return true;
}

/* The text of all keys, and where each ends. */
static int make_keys(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err)
{
	if (!has_room(&c->key_ends, &c->key_ends_room, b->n + (size_t)1, sizeof(*c->key_ends)))
		return zn_err_set(err, -ENOMEM, "out of memory");
	if (!add_keys(c, b, c->key_ends))
		return zn_err_set(err, -EFBIG, "the keys of a batch take more than the 2 GiB that Arrow allows");
	if (!c->keys.failed)
		return 0;
	zn_buf_done(&c->keys);
	return zn_err_set(err, -ENOMEM, "out of memory");
}

static void lay_keys(struct zn__columns *c, uint32_t rows)
{
	lay_node(c, rows, 0, NULL);
	span_begin(c);
	add(c, c->key_ends, (rows + (size_t)1) * sizeof(*c->key_ends));
	span_end(c);
	span_begin(c);
	add(c, c->keys.data, c->keys.len);
	span_end(c);
}

static void lay_bytes(struct zn__columns *c, const struct zn_datum **cells, uint32_t rows)
{
	int64_t end = 0;

	span_begin(c);
	uint8_t *offsets = room(c, ((size_t)rows + 1) * sizeof(end));
	put_i64(offsets, 0, end);
	for (uint32_t i = 0; i < rows; i++)
		put_i64(offsets, i + 1, end += cells[i] ? (int64_t)cells[i]->n : 0);
	span_end(c);
	span_begin(c);
	for (uint32_t i = 0; i < rows; i++)
		if (cells[i])
			add_datum(c, cells[i]->p, cells[i]->n);
	span_end(c);
}

static void lay_fixed(struct zn__columns *c, const struct zn_datum **cells, uint32_t rows, size_t width)
{
	span_begin(c);
	for (uint32_t i = 0; i < rows; i++)
		if (cells[i])
			add_datum(c, cells[i]->p, width);
		else
			add_zeros(c, width);
	span_end(c);
}

static void lay_repeated(struct zn__columns *c, uint64_t v, uint32_t rows)
{
	lay_node(c, rows, 0, NULL);
	span_begin(c);
	uint8_t *to = rows ? room(c, rows * sizeof(v)) : NULL;
	for (uint32_t i = 0; i < rows; i++)
		put_i64(to, i, (int64_t)v);
	span_end(c);
}

static size_t small_bytes(const struct zn__column *col, uint32_t rows)
{
	if (col->kind == ZN__COLUMN_BYTES)
		return col->small_bytes + (rows + (size_t)1) * sizeof(int64_t);
	/* of a large one that is missing, what its last zeros take */
	return rows * (col->width <= ZN__SMALL ? col->width : ZN__SMALL);
}

/* Scratch that the batch takes at most; filling and validity are counted for each span. */
static size_t scratch_bytes(const struct zn__columns *c, const struct zn_batch *b)
{
	size_t n = (c->n * (size_t)3 + 8) * (ZN__ARROW_ALIGN + (b->n + (size_t)7) / 8);

	n += 2 * ZN__SMALL + b->n * 2 * sizeof(int64_t); /* the keys, and the struct */
	for (uint32_t i = 0; i < c->n; i++)
		n += small_bytes(&c->columns[i], b->n);
	return n;
}

static void lay_column(struct zn__columns *c, uint32_t i, const struct zn_batch *b)
{
	const struct zn_datum **cells = c->cells + (size_t)i * b->n;

	lay_node(c, b->n, b->n - c->columns[i].n, cells);
	if (c->columns[i].kind == ZN__COLUMN_BYTES)
		lay_bytes(c, cells, b->n);
	else
		lay_fixed(c, cells, b->n, c->columns[i].width);
}

/* The columns are known by the first batch, so this happens once. */
static bool has_lists(struct zn__columns *c)
{
	if (!c->nodes)
		c->nodes = reallocarray(NULL, c->n + (size_t)4, sizeof(*c->nodes));
	if (!c->spans)
		c->spans = reallocarray(NULL, c->n * (size_t)3 + 8, sizeof(*c->spans));
	return c->nodes && c->spans;
}

static void lay_all(struct zn__columns *c, const struct zn_batch *b)
{
	c->n_nodes = c->n_spans = c->scratch.used = c->scratch.run = 0;
	c->body_bytes = 0;
	c->copied_bytes = 0;
	c->n_vectors = 0;
	add_vector(c, NULL, 0);
	lay_keys(c, b->n);
	for (uint32_t i = 0; i < c->n; i++)
		lay_column(c, i, b);
	lay_node(c, b->n, 0, NULL);
	lay_repeated(c, b->epoch, b->n);
	lay_repeated(c, b->seq, b->n);
}

int zn__columns_lay(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err)
{
	if (!has_lists(c) || !has_room(&c->cells, &c->cells_room, (size_t)c->n * b->n + 1, sizeof(*c->cells)))
		return zn_err_set(err, -ENOMEM, "out of memory");
	int rc = zn__columns_place(c, b, err);
	if (rc == 0)
		rc = make_keys(c, b, err);
	if (rc < 0)
		return rc;
	if (!has_room(&c->scratch.p, &c->scratch.room, scratch_bytes(c, b), 1))
		return zn_err_set(err, -ENOMEM, "out of memory");
	c->failed = false;
	lay_all(c, b);
	return c->failed ? zn_err_set(err, -ENOMEM, "out of memory") : 0;
}

const void *zn__columns_in_place(const struct zn__columns *c, size_t span)
{
	const struct zn__span *s = &c->spans[span];
	const struct iovec *v = &c->vectors[s->first];
	const uint8_t *p = v->iov_base;
	bool is_key = span < 3, is_scratch = p >= c->scratch.p && p < c->scratch.p + c->scratch.used;

	return s->bytes && !is_key && !is_scratch && v->iov_len >= (size_t)s->bytes ? p : NULL;
}

size_t zn__columns_copy(const struct zn__columns *c, size_t span, void *to)
{
	const struct zn__span *s = &c->spans[span];
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct iovec *v = &c->vectors[s->first + i];
		memcpy((char *)to + n, v->iov_base, v->iov_len);
		n += v->iov_len;
	}
	return n;
}
