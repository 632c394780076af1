#include "rec/val.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/wire.h"

struct cursor {
	const unsigned char *p;
	size_t n, at;
	uint64_t base;
	struct zn_arena *arena;
	struct zn_err *err;
};

static int bad(const struct cursor *c, const char *what)
{
	return zn_err_set(c->err, -EBADMSG, "%s at byte %llu", what, (unsigned long long)(c->base + c->at));
}

static int by_key(const void *a, const void *b)
{
	const msgpack_object_str *x = &(*(const msgpack_object_kv *const *)a)->key.via.str;
	const msgpack_object_str *y = &(*(const msgpack_object_kv *const *)b)->key.via.str;

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return x->size ? memcmp(x->ptr, y->ptr, x->size) : 0;
}

static const msgpack_object_kv *twin_before(const msgpack_object_map *m, uint32_t i)
{
	const msgpack_object_kv *a = &m->ptr[i];

	for (uint32_t k = 0; k < i; k++) {
		const msgpack_object_kv *b = &m->ptr[k];
		if (by_key(&a, &b) == 0)
			return a;
	}
	return NULL;
}

/* One of 64 for each key: keys that are alike have the same one. */
static unsigned hash_of(const msgpack_object_str *key)
{
	return key->size ? (key->size + 7u * (unsigned char)key->ptr[0] + 3u * (unsigned char)key->ptr[key->size - 1]) & 63 : 0;
}

static const msgpack_object_kv *twin_of_few(const msgpack_object_map *m)
{
	const msgpack_object_kv *twin = NULL;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < m->size && !twin; i++) {
		uint64_t one = UINT64_C(1) << hash_of(&m->ptr[i].key.via.str);
		if (seen & one)
			twin = twin_before(m, i);
		seen |= one;
	}
	return twin;
}

/* Sets *ret to a pair whose key came before, or NULL.  Sorting keeps a hostile map of a million keys at
 * n log n.
 */
static int find_twin(const msgpack_object_map *m, const msgpack_object_kv **ret)
{
	if (m->size <= 24) {
		*ret = twin_of_few(m);
		return 0;
	}
	const msgpack_object_kv **v = malloc(m->size * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->size; i++)
		v[i] = &m->ptr[i];
	qsort(v, m->size, sizeof(*v), by_key);
	*ret = NULL;
	for (uint32_t i = 1; i < m->size && !*ret; i++)
		if (by_key(&v[i - 1], &v[i]) == 0)
			*ret = v[i];
	free(v);
	return 0;
}

static int unpack_value(struct cursor *c, int depth, msgpack_object *ret);

/* What most records are made of: a text of less than 32 bytes, or a number below 128.  False: it is something else. */
static inline bool unpack_short(struct cursor *c, msgpack_object *ret)
{
	size_t left = c->n - c->at;
	const unsigned char *p = c->p + c->at;

	if (left && *p < 0x80) {
		ret->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
		ret->via.u64 = *p;
		c->at++;
		return true;
	}
	if (!left || (*p & 0xe0) != 0xa0 || (*p & 31u) >= left)
		return false;
	ret->type = MSGPACK_OBJECT_STR;
	ret->via.str = (msgpack_object_str){ .size = *p & 31u, .ptr = (const char *)p + 1 };
	c->at += 1 + (*p & 31u);
	return true;
}

static int unpack_list(struct cursor *c, int depth, msgpack_object_array *list)
{
	if (list->size > c->n - c->at)
		return bad(c, "a list that is cut off");
	list->ptr = zn_arena_array(c->arena, list->size, sizeof(*list->ptr));
	if (!list->ptr)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->size; i++) {
		int rc = unpack_value(c, depth, &list->ptr[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int unpack_map(struct cursor *c, int depth, msgpack_object_map *map)
{
	const msgpack_object_kv *twin;
	struct cursor begin = *c;

	if (map->size > (c->n - c->at) / 2)
		return bad(c, "a map that is cut off");
	map->ptr = zn_arena_room(c->arena, map->size * sizeof(*map->ptr));
	if (!map->ptr)
		return -ENOMEM;
	for (uint32_t i = 0; i < map->size; i++) {
		msgpack_object_kv *kv = &map->ptr[i];
		int rc = unpack_short(c, &kv->key) ? 0 : unpack_value(c, depth, &kv->key);
		if (rc == 0 && kv->key.type != MSGPACK_OBJECT_STR)
			return bad(c, "a key that is no text");
		if (rc == 0)
			rc = unpack_short(c, &kv->val) ? 0 : unpack_value(c, depth, &kv->val);
		if (rc < 0)
			return rc;
	}
	int rc = find_twin(map, &twin);
	if (rc < 0 || !twin)
		return rc;
	const msgpack_object_str *key = &twin->key.via.str;
	begin.at = key->size ? (size_t)((const unsigned char *)key->ptr - c->p) : begin.at;
	return zn_err_set(c->err, -EBADMSG, "duplicate key '%.*s' at byte %llu", (int)key->size, key->ptr,
	                  (unsigned long long)(c->base + begin.at));
}

static int unpack_bytes(struct cursor *c, uint32_t size, const char **ret)
{
	if (size > c->n - c->at)
		return bad(c, "a value that is cut off");
	*ret = (const char *)c->p + c->at;
	c->at += size;
	return 0;
}

static int unpack_value(struct cursor *c, int depth, msgpack_object *ret)
{
	ssize_t head = zn__wire_head(c->p + c->at, c->n - c->at, ret);

	if (head <= 0)
		return bad(c, "a value that is cut off or no MessagePack");
	if (depth > ZN_DEPTH_MAX)
		return bad(c, "nesting that is too deep");
	c->at += (size_t)head;
	switch (ret->type) {
	case MSGPACK_OBJECT_STR:
		return unpack_bytes(c, ret->via.str.size, &ret->via.str.ptr);
	case MSGPACK_OBJECT_BIN:
		return unpack_bytes(c, ret->via.bin.size, &ret->via.bin.ptr);
	case MSGPACK_OBJECT_ARRAY:
		return unpack_list(c, depth + 1, &ret->via.array);
	case MSGPACK_OBJECT_MAP:
		return unpack_map(c, depth + 1, &ret->via.map);
	default:
		return 0;
	}
}

int zn_val_unpack(const void *p, size_t n, uint64_t base, struct zn_arena *a, msgpack_object *ret,
                  struct zn_err *err)
{
	struct cursor c = { .p = p, .n = n, .base = base, .arena = a, .err = err };
	msgpack_object v;
	int rc = unpack_value(&c, 0, &v);

	if (rc == 0)
		*ret = v;
	return rc;
}

static int buf_write(void *to, const char *p, size_t n)
{
	zn_buf_add(to, p, n);
	return 0;
}

int zn_val_pack(const msgpack_object *v, struct zn_buf *to)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, to, buf_write);
	msgpack_pack_object(&pk, *v);
	return to->failed ? -ENOMEM : 0;
}

static inline bool is_key(const msgpack_object *key, const char *text, size_t n)
{
	return key->type == MSGPACK_OBJECT_STR && key->via.str.size == n &&
	       (!n || (key->via.str.ptr[0] == text[0] && !memcmp(key->via.str.ptr, text, n)));
}

static const msgpack_object *get_n(const msgpack_object *map, const char *key, size_t n)
{
	if (!map || map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->via.map.size; i++)
		if (is_key(&map->via.map.ptr[i].key, key, n))
			return &map->via.map.ptr[i].val;
	return NULL;
}

const msgpack_object *zn_val_get(const msgpack_object *map, const char *key)
{
	return get_n(map, key, strlen(key));
}

/* One value from each element that has it, as a new list. */
static const msgpack_object *path_each(const msgpack_object_array *list, const char *path, struct zn_arena *a)
{
	msgpack_object *ret = zn_arena_new(a, msgpack_object);
	msgpack_object *v = zn_arena_array(a, list->size, sizeof(*v));
	uint32_t n = 0;

	for (uint32_t i = 0; v && i < list->size; i++) {
		const msgpack_object *one = zn_val_path(&list->ptr[i], path, a);
		if (one)
			v[n++] = *one;
	}
	if (!ret || !n)
		return NULL;
	*ret = (msgpack_object){ .type = MSGPACK_OBJECT_ARRAY, .via.array = { .size = n, .ptr = v } };
	return ret;
}

static const msgpack_object *path_list(const msgpack_object_array *list, const char *path, struct zn_arena *a)
{
	size_t digits = strspn(path, "0123456789");

	if (!digits || digits > 9 || (path[digits] && path[digits] != '.'))
		return path_each(list, path, a);
	unsigned long i = strtoul(path, NULL, 10);
	if (i >= list->size)
		return NULL;
	return path[digits] ? zn_val_path(&list->ptr[i], path + digits + 1, a) : &list->ptr[i];
}

const msgpack_object *zn_val_path(const msgpack_object *v, const char *path, struct zn_arena *a)
{
	if (v->type == MSGPACK_OBJECT_ARRAY)
		return path_list(&v->via.array, path, a);
	const msgpack_object *found = zn_val_get(v, path);
	for (const char *dot = strchr(path, '.'); dot && !found; dot = strchr(dot + 1, '.')) {
		const msgpack_object *inner = get_n(v, path, (size_t)(dot - path));
		found = inner ? zn_val_path(inner, dot + 1, a) : NULL;
	}
	return found;
}

bool zn_val_is_text(const msgpack_object *v, const char *text)
{
	return v && is_key(v, text, strlen(text));
}

const char *zn_val_text(const msgpack_object *v, struct zn_arena *a)
{
	if (!v || v->type != MSGPACK_OBJECT_STR)
		return NULL;
	if (v->via.str.size && memchr(v->via.str.ptr, 0, v->via.str.size))
		return NULL;
	return zn_arena_memdup(a, v->via.str.ptr, v->via.str.size);
}

bool zn_val_u64(const msgpack_object *v, uint64_t *ret)
{
	double f;

	if (v && v->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
		*ret = v->via.u64;
		return true;
	}
	if (!v || (v->type != MSGPACK_OBJECT_FLOAT32 && v->type != MSGPACK_OBJECT_FLOAT64))
		return false;
	f = v->via.f64;
	if (!(f >= 0 && f <= 0x1p53) || f != floor(f))
		return false;
	*ret = (uint64_t)f;
	return true;
}

bool zn_val_number(const msgpack_object *v, long double *ret)
{
	if (!v)
		return false;
	switch (v->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		*ret = (long double)v->via.u64;
		return true;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		*ret = (long double)v->via.i64;
		return true;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		*ret = (long double)v->via.f64;
		return true;
	default:
		return false;
	}
}

bool zn_val_f64(const msgpack_object *v, double *ret)
{
	long double n;
	bool ok = zn_val_number(v, &n);

	if (ok)
		*ret = (double)n;
	return ok;
}
