/* Columns as ArrowSchema.  All of a schema is in one arena, which goes with the last struct of it that is released: children
 * may be moved out and outlive their parent.
 */
#include "data/arrow_c.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct held {
	struct zn_arena arena;
	atomic_uint refs;
};

static void release_schema(struct ArrowSchema *s)
{
	struct held *h = s->private_data;

	for (int64_t i = 0; i < s->n_children; i++)
		if (s->children[i]->release)
			s->children[i]->release(s->children[i]);
	s->release = NULL;
	if (atomic_fetch_sub(&h->refs, 1) == 1) {
		zn_arena_done(&h->arena);
		free(h);
	}
}

/* false: memory ran out. */
static bool set(struct held *h, struct ArrowSchema *s, const char *format, const char *name, int64_t flags)
{
	struct zn_buf text = { 0 };

	zn__utf8_text(name, &text);
	const char *utf8 = zn_buf_text(&text);
	*s = (struct ArrowSchema){ .format = zn_arena_strdup(&h->arena, format), .name = utf8 ? zn_arena_strdup(&h->arena, utf8) : NULL,
	                           .flags = flags, .release = release_schema, .private_data = h };
	zn_buf_done(&text);
	atomic_fetch_add(&h->refs, 1);
	return s->format && s->name;
}

static bool add_children(struct held *h, struct ArrowSchema *s, uint32_t n)
{
	struct ArrowSchema *all = zn_arena_array(&h->arena, n, sizeof(*all));

	s->children = zn_arena_array(&h->arena, n, sizeof(*s->children));
	for (uint32_t i = 0; all && s->children && i < n; i++)
		s->children[i] = &all[i];
	s->n_children = all && s->children ? n : 0;
	return s->n_children;
}

static void add_counted(struct zn_buf *b, const char *text, size_t n)
{
	int32_t count = (int32_t)n;

	zn_buf_add(b, &count, sizeof(count));
	zn_buf_add(b, text, n);
}

/* As the interface has it: how many, then each text behind its length. */
static const char *metadata_of(struct held *h, const struct zn_shape *s)
{
	const int32_t pairs = 2;
	struct zn_buf b = { 0 }, shape = { 0 };

	zn__shape_text(s, &shape);
	zn_buf_add(&b, &pairs, sizeof(pairs));
	add_counted(&b, "dtype", 5);
	add_counted(&b, zn_dtype_name(s->dtype), strlen(zn_dtype_name(s->dtype)));
	add_counted(&b, "shape", 5);
	add_counted(&b, shape.data, shape.len);
	const char *kept = b.failed || shape.failed ? NULL : zn_arena_memdup(&h->arena, b.data, b.len);
	zn_buf_done(&b);
	zn_buf_done(&shape);
	return kept;
}

static bool set_column(struct held *h, struct ArrowSchema *s, const struct zn__column *col)
{
	static const char *const numbers[] = {
		[ZN_DTYPE_U8] = "C", [ZN_DTYPE_I8] = "c", [ZN_DTYPE_U16] = "S", [ZN_DTYPE_I16] = "s", [ZN_DTYPE_I32] = "i",
		[ZN_DTYPE_I64] = "l", [ZN_DTYPE_F16] = "e", [ZN_DTYPE_F32] = "f", [ZN_DTYPE_F64] = "g",
	};
	char format[16] = "Z";

	if (col->kind == ZN__COLUMN_NUMBER)
		return set(h, s, numbers[col->shape.dtype], col->name, ARROW_FLAG_NULLABLE);
	if (col->kind == ZN__COLUMN_BLOCK)
		snprintf(format, sizeof(format), "w:%zu", col->width);
	if (!set(h, s, format, col->name, ARROW_FLAG_NULLABLE))
		return false;
	if (col->kind == ZN__COLUMN_BLOCK)
		s->metadata = metadata_of(h, &col->shape);
	return col->kind != ZN__COLUMN_BLOCK || s->metadata;
}

static bool set_meta(struct held *h, struct ArrowSchema *s, const char *name)
{
	return set(h, s, "+s", name, 0) && add_children(h, s, 2) &&
	       set(h, s->children[0], "l", "epoch", 0) && set(h, s->children[1], "l", "seq", 0);
}

static bool set_all(struct held *h, struct ArrowSchema *s, const struct zn__columns *c)
{
	bool good = set(h, s, "+s", "", 0) && add_children(h, s, c->n + 2) && set(h, s->children[0], "u", "__key__", 0);

	for (uint32_t i = 0; good && i < c->n; i++)
		good = set_column(h, s->children[i + 1], &c->columns[i]);
	return good && set_meta(h, s->children[c->n + 1], zn__columns_meta(c));
}

int zn__arrow_c_schema(const struct zn__columns *c, struct ArrowSchema *ret, struct zn_err *err)
{
	struct held *h = calloc(1, sizeof(*h));
	struct ArrowSchema s = { 0 };

	if (h && set_all(h, &s, c)) {
		*ret = s;
		return 0;
	}
	if (h)
		zn_arena_done(&h->arena);
	free(h);
	return zn_err_set(err, -ENOMEM, "out of memory");
}
