/* What the columns are, and which datum goes where.  How a batch is then laid out is in columns_lay.c. */
#include "data/columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void zn__shape_text(const struct zn_shape *s, struct zn_buf *to)
{
	zn_buf_addch(to, '[');
	for (uint32_t i = 0; i < s->n_dims; i++)
		zn_buf_printf(to, i ? ",%u" : "%u", s->dims[i]);
	zn_buf_addch(to, ']');
}

void zn__utf8_text(const char *text, struct zn_buf *to)
{
	size_t n = strlen(text);

	if (zn_is_utf8(text, n))
		zn_buf_add(to, text, n);
	else
		zn_text_escape(text, n, to);
}

static bool is_same_shape(const struct zn_shape *a, const struct zn_shape *b)
{
	return a->dtype == b->dtype && a->n_dims == b->n_dims && !memcmp(a->dims, b->dims, a->n_dims * sizeof(*a->dims));
}

static bool has_zero(const struct zn_shape *s)
{
	for (uint32_t i = 0; i < s->n_dims; i++)
		if (!s->dims[i])
			return true;
	return false;
}

static enum zn__column_kind kind_of(const struct zn_shape *s)
{
	if (!s)
		return ZN__COLUMN_BYTES;
	return s->n_dims || s->dtype == ZN_DTYPE_BF16 ? ZN__COLUMN_BLOCK : ZN__COLUMN_NUMBER;
}

/* Arrow counts the bytes of a FixedSizeBinary in 31 bits. */
static int check_shape(const char *name, const struct zn_shape *s, struct zn_err *err)
{
	size_t bytes = s->n_dims <= 6 ? zn_shape_bytes(s) : 0;

	if (s->n_dims > 6)
		return zn_err_set(err, -EINVAL, "the field '%s' has %u dimensions", name, s->n_dims);
	if (bytes > INT32_MAX || (!bytes && !has_zero(s)))
		return zn_err_set(err, -EINVAL, "one '%s' has more than the 2 GiB that Arrow allows", name);
	return 0;
}

static struct zn__column *find(const struct zn__columns *c, const char *name)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (!strcmp(c->columns[i].name, name))
			return &c->columns[i];
	return NULL;
}

const char *zn__columns_meta(const struct zn__columns *c)
{
	return c->meta ? c->meta : "meta";
}

int zn__columns_add(struct zn__columns *c, const char *name, const struct zn_shape *shape, struct zn_err *err)
{
	int rc = shape ? check_shape(name, shape, err) : 0;

	if (rc < 0)
		return rc;
	if (!strcmp(name, "__key__") || !strcmp(name, zn__columns_meta(c)))
		return zn_err_set(err, -EINVAL, "a field can't be called '%s': each stream has a column of that name", name);
	if (find(c, name))
		return zn_err_set(err, -EINVAL, "the field '%s' is named twice", name);
	struct zn__column *columns = reallocarray(c->columns, c->n + 1, sizeof(*columns));
	if (!columns)
		return zn_err_set(err, -ENOMEM, "out of memory");
	c->columns = columns;
	char *copy = strdup(name);
	if (!copy)
		return zn_err_set(err, -ENOMEM, "out of memory");
	columns[c->n++] = (struct zn__column){ .name = copy, .kind = kind_of(shape), .width = shape ? zn_shape_bytes(shape) : 0,
	                                       .shape = shape ? *shape : (struct zn_shape){ 0 } };
	return 0;
}

static void forget_batch(struct zn__columns *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct zn__column *col = &c->columns[i];
		col->seen = NULL;
		col->seen_shape = NULL;
		col->n = 0;
		col->small_bytes = 0;
	}
}

/* Samples have their fields in the same order as a rule, so the one behind the last one is asked first. */
static struct zn__column *column_of(struct zn__columns *c, const char *field, uint32_t guess)
{
	if (guess < c->n && c->columns[guess].seen == field)
		return &c->columns[guess];
	for (uint32_t i = 0; i < c->n; i++)
		if (c->columns[i].seen == field)
			return &c->columns[i];
	struct zn__column *found = find(c, field);
	if (found)
		found->seen = field;
	return found;
}

int zn__columns_learn(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err)
{
	forget_batch(c);
	for (uint32_t row = 0; row < b->n; row++)
		for (uint32_t i = 0; i < b->samples[row].n; i++) {
			const struct zn_datum *d = &b->samples[row].data[i];
			int rc = column_of(c, d->field, i) ? 0 : zn__columns_add(c, d->field, d->shape, err);
			if (rc < 0)
				return rc;
		}
	return 0;
}

static int complain_type(const struct zn__column *col, const struct zn_sample *s, const struct zn_datum *d, struct zn_err *err)
{
	struct zn_buf is = { 0 }, was = { 0 };
	bool has_shape = col->kind != ZN__COLUMN_BYTES;

	if (d->shape)
		zn_buf_addstr(&is, zn_dtype_name(d->shape->dtype)), zn__shape_text(d->shape, &is);
	if (has_shape)
		zn_buf_addstr(&was, zn_dtype_name(col->shape.dtype)), zn__shape_text(&col->shape, &was);
	const char *is_text = d->shape ? zn_buf_text(&is) : "bytes", *was_text = has_shape ? zn_buf_text(&was) : "bytes";
	int rc = zn_err_set(err, -EINVAL, "the field '%s' of '%s' is %s, and its column is %s", d->field, s->key,
	                    is_text ? is_text : "of another shape", was_text ? was_text : "not");
	zn_buf_done(&is);
	zn_buf_done(&was);
	return rc;
}

static bool fits(struct zn__column *col, const struct zn_shape *s)
{
	if (col->kind == ZN__COLUMN_BYTES || !s)
		return col->kind == ZN__COLUMN_BYTES && !s;
	if (s != col->seen_shape && !is_same_shape(&col->shape, s))
		return false;
	col->seen_shape = s;
	return true;
}

static int check_datum(struct zn__column *col, const struct zn_sample *s, const struct zn_datum *d, struct zn_err *err)
{
	if (!fits(col, d->shape))
		return complain_type(col, s, d, err);
	if (d->shape && d->n != col->width)
		return zn_err_set(err, -EINVAL, "the field '%s' of '%s' has %zu bytes, and its shape takes %zu", d->field, s->key,
		                  d->n, col->width);
	return 0;
}

static int place_datum(struct zn__columns *c, const struct zn_batch *b, uint32_t row, uint32_t i, struct zn_err *err)
{
	const struct zn_sample *s = &b->samples[row];
	const struct zn_datum *d = &s->data[i];
	struct zn__column *col = column_of(c, d->field, i);

	if (!col && c->drop_others)
		return 0;
	if (!col)
		return zn_err_set(err, -EINVAL, "the field '%s' of '%s' has no column: the stream began without it", d->field, s->key);
	const struct zn_datum **cell = &c->cells[(size_t)(col - c->columns) * b->n + row];
	if (*cell)
		return zn_err_set(err, -EINVAL, "the sample '%s' has the field '%s' twice", s->key, d->field);
	*cell = d;
	col->n++;
	col->small_bytes += d->n <= ZN__SMALL ? d->n : 0;
	return check_datum(col, s, d, err);
}

int zn__columns_place(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err)
{
	int rc = 0;

	forget_batch(c);
	memset(c->cells, 0, sizeof(*c->cells) * c->n * b->n);
	for (uint32_t row = 0; row < b->n && rc == 0; row++)
		for (uint32_t i = 0; i < b->samples[row].n && rc == 0; i++)
			rc = place_datum(c, b, row, i, err);
	return rc;
}

void zn__columns_done(struct zn__columns *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->columns[i].name);
	free(c->columns);
	free(c->cells);
	free(c->nodes);
	free(c->spans);
	free(c->vectors);
	free(c->scratch.p);
	zn_buf_done(&c->keys);
	free(c->key_ends);
	*c = (struct zn__columns){ 0 };
}
