/* The tables and their numbers are Schema.fbs and Message.fbs of the Arrow project. */
#include "data/arrow_message.h"

#include <string.h>

#include "data/flat.h"

enum { VERSION_V5 = 4, HEADER_SCHEMA = 1, HEADER_BATCH = 3 };

enum { TYPE_INT = 2, TYPE_FLOAT = 3, TYPE_UTF8 = 5, TYPE_STRUCT = 13, TYPE_FIXED_BINARY = 15, TYPE_LARGE_BINARY = 19 };

/* Where a message's metadata begin: behind the marker and the length. */
#define AHEAD 8

/* Field: name, nullable, type's number, type, no dictionary, children, metadata.  A reference must lead somewhere, so that a
 * field without metadata has none to them.
 */
static const char field_layout[] = "411404", field_layout_metadata[] = "4114044";
enum { FIELD_NAME, FIELD_NULLABLE, FIELD_TYPE_TYPE, FIELD_TYPE, FIELD_CHILDREN = 5, FIELD_METADATA };

static size_t reference(size_t vector, size_t i)
{
	return vector + 4 + 4 * i;
}

/* Message: version, header's number, header, bytes of the body.  Returns its place. */
static size_t begin(struct zn_buf *b, uint8_t header, int64_t body_bytes)
{
	b->len = 0;
	zn_buf_add(b, "\xff\xff\xff\xff\0\0\0\0" "\0\0\0", AHEAD + 4);
	size_t message = zn__flat_table(b, "2148");
	zn__flat_refer_at(b, AHEAD, message);
	zn__flat_set(b, message, 0, VERSION_V5, 2);
	zn__flat_set(b, message, 1, header, 1);
	zn__flat_set(b, message, 3, (uint64_t)body_bytes, 8);
	return message;
}

static void end(struct zn_buf *b)
{
	zn__flat_pad(b, ZN__ARROW_ALIGN);
	zn__flat_put(b, 4, b->len - AHEAD, 4);
}

static size_t add_field(struct zn_buf *b, const char *name, bool nullable, uint8_t type)
{
	size_t field = zn__flat_table(b, type == TYPE_FIXED_BINARY ? field_layout_metadata : field_layout);
	struct zn_buf text = { 0 };

	zn__utf8_text(name, &text);
	zn__flat_refer(b, field, FIELD_NAME, zn__flat_string(b, text.data, text.len));
	b->failed |= text.failed;
	zn_buf_done(&text);
	zn__flat_set(b, field, FIELD_NULLABLE, nullable, 1);
	zn__flat_set(b, field, FIELD_TYPE_TYPE, type, 1);
	return field;
}

static void set_type(struct zn_buf *b, size_t field, size_t type)
{
	zn__flat_refer(b, field, FIELD_TYPE, type);
}

static void no_children(struct zn_buf *b, size_t field)
{
	zn__flat_refer(b, field, FIELD_CHILDREN, zn__flat_vector(b, 0, 4));
}

static void add_pair(struct zn_buf *b, size_t at, const char *key, const char *value, size_t n)
{
	size_t pair = zn__flat_table(b, "44");

	zn__flat_refer_at(b, at, pair);
	zn__flat_refer(b, pair, 0, zn__flat_string(b, key, strlen(key)));
	zn__flat_refer(b, pair, 1, zn__flat_string(b, value, n));
}

static void add_metadata(struct zn_buf *b, size_t field, const struct zn_shape *s)
{
	struct zn_buf shape = { 0 };
	size_t pairs = zn__flat_vector(b, 2, 4);

	zn__flat_refer(b, field, FIELD_METADATA, pairs);
	add_pair(b, reference(pairs, 0), "dtype", zn_dtype_name(s->dtype), strlen(zn_dtype_name(s->dtype)));
	zn__shape_text(s, &shape);
	add_pair(b, reference(pairs, 1), "shape", shape.data, shape.len);
	b->failed |= shape.failed;
	zn_buf_done(&shape);
}

/* A type without settings. */
static size_t add_plain(struct zn_buf *b, const char *name, bool nullable, uint8_t type)
{
	size_t field = add_field(b, name, nullable, type);

	set_type(b, field, zn__flat_table(b, ""));
	return field;
}

static size_t add_int(struct zn_buf *b, const char *name, bool nullable, unsigned bits, bool is_signed)
{
	size_t field = add_field(b, name, nullable, TYPE_INT);
	size_t type = zn__flat_table(b, "41");

	set_type(b, field, type);
	zn__flat_set(b, type, 0, bits, 4);
	zn__flat_set(b, type, 1, is_signed, 1);
	return field;
}

static size_t add_float(struct zn_buf *b, const char *name, size_t bytes)
{
	size_t field = add_field(b, name, true, TYPE_FLOAT);
	size_t type = zn__flat_table(b, "2");

	set_type(b, field, type);
	zn__flat_set(b, type, 0, bytes == 2 ? 0 : bytes == 4 ? 1 : 2, 2); /* half, single, double */
	return field;
}

static size_t add_number(struct zn_buf *b, const char *name, enum zn_dtype t)
{
	if (t == ZN_DTYPE_F16 || t == ZN_DTYPE_F32 || t == ZN_DTYPE_F64)
		return add_float(b, name, zn_dtype_bytes(t));
	return add_int(b, name, true, 8 * (unsigned)zn_dtype_bytes(t), t != ZN_DTYPE_U8 && t != ZN_DTYPE_U16);
}

static size_t add_block(struct zn_buf *b, const struct zn__column *col)
{
	size_t field = add_field(b, col->name, true, TYPE_FIXED_BINARY);
	size_t type = zn__flat_table(b, "4");

	set_type(b, field, type);
	zn__flat_set(b, type, 0, col->width, 4);
	add_metadata(b, field, &col->shape);
	return field;
}

static size_t add_column(struct zn_buf *b, const struct zn__column *col)
{
	switch (col->kind) {
	case ZN__COLUMN_NUMBER: return add_number(b, col->name, col->shape.dtype);
	case ZN__COLUMN_BLOCK: return add_block(b, col);
	default: return add_plain(b, col->name, true, TYPE_LARGE_BINARY);
	}
}

/* Readers follow the reference to the children even where there are none. */
static void put_field(struct zn_buf *b, size_t fields, size_t i, size_t field)
{
	zn__flat_refer_at(b, reference(fields, i), field);
	no_children(b, field);
}

static void add_meta(struct zn_buf *b, size_t at, const char *name)
{
	size_t field = add_plain(b, name, false, TYPE_STRUCT);

	zn__flat_refer_at(b, at, field);
	size_t children = zn__flat_vector(b, 2, 4);
	zn__flat_refer(b, field, FIELD_CHILDREN, children);
	put_field(b, children, 0, add_int(b, "epoch", false, 64, true));
	put_field(b, children, 1, add_int(b, "seq", false, 64, true));
}

void zn__arrow_schema(const struct zn__columns *c, struct zn_buf *b)
{
	size_t message = begin(b, HEADER_SCHEMA, 0);
	size_t schema = zn__flat_table(b, "24"); /* byte order, fields */

	zn__flat_refer(b, message, 2, schema);
	zn__flat_set(b, schema, 0, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, 2);
	size_t fields = zn__flat_vector(b, c->n + (size_t)2, 4);
	zn__flat_refer(b, schema, 1, fields);
	put_field(b, fields, 0, add_plain(b, "__key__", false, TYPE_UTF8));
	for (uint32_t i = 0; i < c->n; i++)
		put_field(b, fields, i + (size_t)1, add_column(b, &c->columns[i]));
	add_meta(b, reference(fields, c->n + (size_t)1), zn__columns_meta(c));
	end(b);
}

/* A vector of structs of two 64-bit numbers: what FieldNode and Buffer are. */
static void put_both(struct zn_buf *b, size_t vector, size_t i, int64_t first, int64_t second)
{
	zn__flat_put(b, vector + 4 + 16 * i, (uint64_t)first, 8);
	zn__flat_put(b, vector + 4 + 16 * i + 8, (uint64_t)second, 8);
}

void zn__arrow_batch(const struct zn__columns *c, int64_t rows, struct zn_buf *b)
{
	size_t message = begin(b, HEADER_BATCH, c->body_bytes);
	size_t batch = zn__flat_table(b, "844"); /* length, nodes, buffers */

	zn__flat_refer(b, message, 2, batch);
	zn__flat_set(b, batch, 0, (uint64_t)rows, 8);
	size_t nodes = zn__flat_vector(b, c->n_nodes, 16);
	zn__flat_refer(b, batch, 1, nodes);
	for (size_t i = 0; i < c->n_nodes; i++)
		put_both(b, nodes, i, c->nodes[i].length, c->nodes[i].nulls);
	size_t spans = zn__flat_vector(b, c->n_spans, 16);
	zn__flat_refer(b, batch, 2, spans);
	for (size_t i = 0; i < c->n_spans; i++)
		put_both(b, spans, i, c->spans[i].offset, c->spans[i].bytes);
	end(b);
}

void zn__arrow_end(struct zn_buf *b)
{
	b->len = 0;
	zn_buf_add(b, "\xff\xff\xff\xff\0\0\0", 8);
}
