#include "rec/raw.h"

#include <string.h>

#include "rec/wire.h"

/* The length of the value at p without its members, and how many these are; 0 where it is none. */
static inline size_t skip_one(const unsigned char *p, size_t n, uint64_t *members)
{
	msgpack_object o;

	*members = 0;
	if ((*p & 0xe0) == 0xa0)
		return 1 + (*p & 31u);
	if (*p < 0x80 || *p >= 0xe0)
		return 1;
	ssize_t head = zn__wire_any_head(p, n, &o);
	if (head <= 0)
		return 0;
	*members = zn__wire_members(&o);
	return (size_t)head + zn__wire_payload(&o);
}

/* The whole value at the front of rest, which begins behind it then. */
static struct zn_bytes take(struct zn_bytes *rest)
{
	const unsigned char *p = rest->p;
	uint64_t members;
	size_t at = 0;

	for (uint64_t owed = 1; owed && at < rest->n; owed += members - 1) {
		size_t one = skip_one(p + at, rest->n - at, &members);
		if (!one)
			break;
		at += one;
	}
	at = at < rest->n ? at : rest->n;
	*rest = (struct zn_bytes){ p + at, rest->n - at };
	return (struct zn_bytes){ p, at };
}

/* Takes a key, and says whether it is this one. */
static inline bool take_key(struct zn_bytes *rest, const char *key, size_t len)
{
	const unsigned char *p = rest->p;
	size_t n = *p & 31;

	if ((*p & 0xe0) != 0xa0 || n >= rest->n)
		return zn_raw_is_text(take(rest), key);
	*rest = (struct zn_bytes){ p + 1 + n, rest->n - 1 - n };
	return n == len && !memcmp(p + 1, key, n);
}

struct zn_bytes zn_raw_get(struct zn_bytes map, const char *key)
{
	msgpack_object o;
	ssize_t head = map.p ? zn__wire_head(map.p, map.n, &o) : 0;
	size_t len = strlen(key);

	if (head <= 0 || o.type != MSGPACK_OBJECT_MAP)
		return (struct zn_bytes){ 0 };
	struct zn_bytes rest = { (const char *)map.p + head, map.n - (size_t)head };
	for (uint32_t left = o.via.map.size; left && rest.n; left--) {
		bool found = take_key(&rest, key, len);
		if (found && left == 1)
			return rest; /* its last value ends where it ends */
		struct zn_bytes v = take(&rest);
		if (found)
			return v;
	}
	return (struct zn_bytes){ 0 };
}

static bool scalar(struct zn_bytes v, msgpack_object *ret)
{
	return v.p && zn__wire_head(v.p, v.n, ret) > 0;
}

bool zn_raw_u64(struct zn_bytes v, uint64_t *ret)
{
	msgpack_object o;

	return scalar(v, &o) && zn_val_u64(&o, ret);
}

bool zn_raw_f64(struct zn_bytes v, double *ret)
{
	msgpack_object o;

	return scalar(v, &o) && zn_val_f64(&o, ret);
}

struct zn_bytes zn_raw_text(struct zn_bytes v)
{
	msgpack_object o;

	if (!scalar(v, &o) || !zn__wire_is_text(&o) || zn__wire_payload(&o) > v.n)
		return (struct zn_bytes){ 0 };
	return (struct zn_bytes){ (const char *)v.p + v.n - zn__wire_payload(&o), zn__wire_payload(&o) };
}

bool zn_raw_is_text(struct zn_bytes v, const char *text)
{
	struct zn_bytes t = zn_raw_text(v);

	return t.p && t.n == strlen(text) && !memcmp(t.p, text, t.n);
}

int zn_raw_decode(const struct zn_kind *kind, struct zn_bytes map, struct zn_arena *a, void *ret, struct zn_err *err)
{
	struct zn_arena values = { 0 };
	msgpack_object v;
	int rc = zn_val_unpack(map.p, map.n, 0, &values, &v, err);

	if (rc == 0)
		rc = zn_decode(kind, &v, a, ret, err);
	zn_arena_done(&values);
	return rc;
}
