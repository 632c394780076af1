/* decode: a map that somebody sent becomes the struct of a field table, or a sentence that names the field. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rec/field.h"
#include "rec/val.h"

const struct zn_field *zn_kind_field(const struct zn_kind *kind, const char *key)
{
	for (const struct zn_field *f = kind->fields; f->type != ZN_T_END; f++)
		if (!strcmp(f->key, key))
			return f;
	return NULL;
}

/* Where we are, for the sentence: "alloc.0.node". */
struct place {
	const struct place *up;
	const char *key;
	size_t index; /* used when key is NULL */
};

struct decoding {
	struct zn_arena *a;
	struct zn_err *err;
};

static size_t write_place(const struct place *p, char *text, size_t size)
{
	size_t n = p->up ? write_place(p->up, text, size) : 0;
	const char *dot = n ? "." : "";

	if (n >= size)
		return n;
	return n + (size_t)(p->key ? snprintf(text + n, size - n, "%s%s", dot, p->key)
	                           : snprintf(text + n, size - n, "%s%zu", dot, p->index));
}

static int wrong(const struct decoding *d, const struct place *at, const char *what)
{
	char path[200];

	write_place(at, path, sizeof(path));
	return zn_err_set(d->err, -EBADMSG, "field '%s' %s", path, what);
}

static int take_u64(const struct decoding *d, const msgpack_object *v, const struct place *p, uint64_t max,
                    uint64_t *ret)
{
	uint64_t n;

	if (!zn_val_u64(v, &n))
		return wrong(d, p, v->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? "is negative"
		                                                              : "is not a whole number");
	if (n > max)
		return wrong(d, p, "is too large");
	*ret = n;
	return 0;
}

static int take_u32(const struct decoding *d, const msgpack_object *v, const struct place *p, uint32_t *ret)
{
	uint64_t n;
	int rc = take_u64(d, v, p, UINT32_MAX, &n);

	if (rc == 0)
		*ret = (uint32_t)n;
	return rc;
}

static int take_i64(const struct decoding *d, const msgpack_object *v, const struct place *p, int64_t *ret)
{
	uint64_t n;

	if (v->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
		*ret = v->via.i64;
		return 0;
	}
	int rc = take_u64(d, v, p, INT64_MAX, &n);
	if (rc == 0)
		*ret = (int64_t)n;
	return rc;
}

static int take_f64(const struct decoding *d, const msgpack_object *v, const struct place *p, double *ret)
{
	double f;

	if (!zn_val_f64(v, &f))
		return wrong(d, p, "is not a number");
	if (!isfinite(f))
		return wrong(d, p, "is not a finite number");
	*ret = f;
	return 0;
}

static int take_bool(const struct decoding *d, const msgpack_object *v, const struct place *p, bool *ret)
{
	if (v->type != MSGPACK_OBJECT_BOOLEAN)
		return wrong(d, p, "is not true or false");
	*ret = v->via.boolean;
	return 0;
}

static int take_text(const struct decoding *d, const msgpack_object *v, const struct place *p, const char **ret)
{
	if (v->type != MSGPACK_OBJECT_STR && v->type != MSGPACK_OBJECT_BIN)
		return wrong(d, p, "is not text");
	if (v->via.str.size && memchr(v->via.str.ptr, 0, v->via.str.size))
		return wrong(d, p, "holds a NUL");
	*ret = zn_arena_memdup(d->a, v->via.str.ptr, v->via.str.size);
	return *ret ? 0 : -ENOMEM;
}

static int take_bin(const struct decoding *d, const msgpack_object *v, const struct place *p, struct zn_bytes *ret)
{
	if (v->type != MSGPACK_OBJECT_BIN)
		return wrong(d, p, "is not a binary");
	ret->p = zn_arena_memdup(d->a, v->via.bin.ptr, v->via.bin.size);
	ret->n = v->via.bin.size;
	return ret->p ? 0 : -ENOMEM;
}

/* Values in v, or more than max when it has more or is nested deeper than depth. */
static uint32_t count_values(const msgpack_object *v, int depth, uint32_t max)
{
	uint32_t n = 1;

	if (depth < 0)
		return max + 1;
	for (uint32_t i = 0; v->type == MSGPACK_OBJECT_ARRAY && i < v->via.array.size && n <= max; i++)
		n += count_values(&v->via.array.ptr[i], depth - 1, max - n);
	for (uint32_t i = 0; v->type == MSGPACK_OBJECT_MAP && i < v->via.map.size && n <= max; i++)
		n += 1 + count_values(&v->via.map.ptr[i].val, depth - 1, max - n);
	return n;
}

static int take_any(const struct decoding *d, const msgpack_object *v, const struct place *p, struct zn_bytes *ret)
{
	struct zn_buf b = { 0 };

	if (count_values(v, ZN_ANY_DEPTH_MAX, ZN_ANY_ITEMS_MAX) > ZN_ANY_ITEMS_MAX)
		return wrong(d, p, "is nested too deeply or has too many values");
	int rc = zn_val_pack(v, &b);
	if (rc == 0) {
		ret->p = zn_arena_memdup(d->a, b.data, b.len);
		ret->n = ret->p ? b.len : 0;
		rc = ret->p ? 0 : -ENOMEM;
	}
	zn_buf_done(&b);
	return rc;
}

static int take_strs(const struct decoding *d, const msgpack_object *v, const struct place *p, struct zn_strs *ret)
{
	if (v->type != MSGPACK_OBJECT_ARRAY)
		return wrong(d, p, "is not a list");
	ret->v = zn_arena_array(d->a, v->via.array.size, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (; ret->n < v->via.array.size; ret->n++) {
		struct place here = { .up = p, .index = ret->n };
		int rc = take_text(d, &v->via.array.ptr[ret->n], &here, &ret->v[ret->n]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_u32s(const struct decoding *d, const msgpack_object *v, const struct place *p, struct zn_u32s *ret)
{
	if (v->type != MSGPACK_OBJECT_ARRAY)
		return wrong(d, p, "is not a list");
	ret->v = zn_arena_array(d->a, v->via.array.size, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (; ret->n < v->via.array.size; ret->n++) {
		struct place here = { .up = p, .index = ret->n };
		int rc = take_u32(d, &v->via.array.ptr[ret->n], &here, &ret->v[ret->n]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_map(const struct decoding *d, const msgpack_object *v, const struct place *p, struct zn_strmap *ret)
{
	if (v->type != MSGPACK_OBJECT_MAP)
		return wrong(d, p, "is not a map");
	ret->v = zn_arena_array(d->a, v->via.map.size, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (; ret->n < v->via.map.size; ret->n++) {
		const msgpack_object_kv *kv = &v->via.map.ptr[ret->n];
		struct zn_pair *pair = &ret->v[ret->n];
		struct place here = { .up = p, .key = "(key)" };
		int rc = take_text(d, &kv->key, &here, &pair->key);
		here.key = pair->key;
		if (rc == 0)
			rc = take_text(d, &kv->val, &here, &pair->value);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_struct(const struct decoding *d, const struct zn_kind *kind, const msgpack_object *map,
                       const struct place *p, void *ret);

static int take_subs(const struct decoding *d, const struct zn_kind *sub, const msgpack_object *v,
                     const struct place *p, struct zn_list *ret)
{
	if (v->type != MSGPACK_OBJECT_ARRAY)
		return wrong(d, p, "is not a list");
	ret->v = zn_arena_array(d->a, v->via.array.size, sub->size);
	if (!ret->v)
		return -ENOMEM;
	for (; ret->n < v->via.array.size; ret->n++) {
		struct place here = { .up = p, .index = ret->n };
		int rc = take_struct(d, sub, &v->via.array.ptr[ret->n], &here, (char *)ret->v + ret->n * sub->size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_optional(const struct decoding *d, enum zn_type type, const msgpack_object *v,
                         const struct place *p, void *at)
{
	int rc;

	switch (type) {
	case ZN_T_OBOOL:
		rc = take_bool(d, v, p, &((struct zn_obool *)at)->v);
		((struct zn_obool *)at)->has = rc == 0;
		return rc;
	case ZN_T_OI64:
		rc = take_i64(d, v, p, &((struct zn_oi64 *)at)->v);
		((struct zn_oi64 *)at)->has = rc == 0;
		return rc;
	case ZN_T_OU64:
	case ZN_T_OBYTES:
		rc = take_u64(d, v, p, UINT64_MAX, &((struct zn_ou64 *)at)->v);
		((struct zn_ou64 *)at)->has = rc == 0;
		return rc;
	default:
		rc = take_f64(d, v, p, &((struct zn_of64 *)at)->v);
		((struct zn_of64 *)at)->has = rc == 0;
		return rc;
	}
}

static int take_field(const struct decoding *d, const struct zn_field *f, const msgpack_object *v,
                      const struct place *p, void *at)
{
	switch (f->type) {
	case ZN_T_BOOL: return take_bool(d, v, p, at);
	case ZN_T_U32: return take_u32(d, v, p, at);
	case ZN_T_U64:
	case ZN_T_BYTES: return take_u64(d, v, p, UINT64_MAX, at);
	case ZN_T_I64: return take_i64(d, v, p, at);
	case ZN_T_F64:
	case ZN_T_TIME:
	case ZN_T_DUR: return take_f64(d, v, p, at);
	case ZN_T_OBOOL:
	case ZN_T_OU64:
	case ZN_T_OI64:
	case ZN_T_OF64:
	case ZN_T_OBYTES:
	case ZN_T_OTIME:
	case ZN_T_ODUR: return take_optional(d, f->type, v, p, at);
	case ZN_T_STR: return take_text(d, v, p, at);
	case ZN_T_BIN: return take_bin(d, v, p, at);
	case ZN_T_STRS: return take_strs(d, v, p, at);
	case ZN_T_U32S: return take_u32s(d, v, p, at);
	case ZN_T_MAP: return take_map(d, v, p, at);
	case ZN_T_SUB: return take_struct(d, f->sub, v, p, at);
	case ZN_T_SUBS: return take_subs(d, f->sub, v, p, at);
	case ZN_T_ANY: return take_any(d, v, p, at);
	case ZN_T_END: break;
	}
	return 0;
}

/* The value under key; *next is where the search begins, since records come in the table's order. */
static const msgpack_object *find(const msgpack_object_map *map, const char *key, uint32_t *next)
{
	size_t n = strlen(key);

	for (uint32_t tried = 0; tried < map->size; tried++) {
		uint32_t i = (*next + tried) % map->size;
		const msgpack_object_str *k = &map->ptr[i].key.via.str;
		if (map->ptr[i].key.type == MSGPACK_OBJECT_STR && k->size == n && !memcmp(k->ptr, key, n)) {
			*next = i + 1;
			return &map->ptr[i].val;
		}
	}
	return NULL;
}

static int take_struct(const struct decoding *d, const struct zn_kind *kind, const msgpack_object *map,
                       const struct place *p, void *ret)
{
	uint32_t next = 0;

	if (map->type != MSGPACK_OBJECT_MAP)
		return p ? wrong(d, p, "is not a map") : zn_err_set(d->err, -EBADMSG, "a record that is not a map");
	for (const struct zn_field *f = kind->fields; f->type != ZN_T_END; f++) {
		const msgpack_object *v = find(&map->via.map, f->key, &next);
		struct place here = { .up = p, .key = f->key };
		if (!v || v->type == MSGPACK_OBJECT_NIL)
			continue;
		int rc = take_field(d, f, v, &here, (char *)ret + f->at);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int zn_decode(const struct zn_kind *kind, const msgpack_object *map, struct zn_arena *a, void *ret,
              struct zn_err *err)
{
	struct decoding d = { .a = a, .err = err };

	memset(ret, 0, kind->size);
	return take_struct(&d, kind, map, NULL, ret);
}
