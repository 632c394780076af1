/* check: is this MessagePack that we accept?  msgpack-c's unpacker builds what a length claims, so every
 * byte from outside passes here first.  The scan needs no memory but one counter per open list or map:
 * what each still owes.  A value is whole when nobody owes anything.
 */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/ascii.h"
#include "base/text.h"
#include "rec/wire.h"

/* Bytes of number or length behind each first byte 0xc0 .. 0xdf; 0xff: not accepted. */
static const unsigned char tails[32] = {
	0, 0xff, 0, 0, 1, 2, 4, 0xff, 0xff, 0xff, 4, 8, 1, 2, 4, 8,
	1, 2, 4, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 4, 2, 4, 2, 4,
};

/* n is 0, 1, 2, 4 or 8. */
static uint64_t big_endian(const unsigned char *p, size_t n)
{
	uint16_t v2;
	uint32_t v4;
	uint64_t v8;

	switch (n) {
	case 1:
		return *p;
	case 2:
		return be16toh(*(const uint16_t *)memcpy(&v2, p, 2));
	case 4:
		return be32toh(*(const uint32_t *)memcpy(&v4, p, 4));
	case 8:
		return be64toh(*(const uint64_t *)memcpy(&v8, p, 8));
	}
	return 0;
}

static void set_unsigned(msgpack_object *o, uint64_t v)
{
	o->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
	o->via.u64 = v;
}

static void set_signed(msgpack_object *o, int64_t v)
{
	o->type = v < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
	o->via.i64 = v;
}

static void set_sized(msgpack_object *o, msgpack_object_type type, uint64_t size)
{
	o->type = type;
	if (type == MSGPACK_OBJECT_STR)
		o->via.str = (msgpack_object_str){ .size = (uint32_t)size };
	else if (type == MSGPACK_OBJECT_BIN)
		o->via.bin = (msgpack_object_bin){ .size = (uint32_t)size };
	else if (type == MSGPACK_OBJECT_ARRAY)
		o->via.array = (msgpack_object_array){ .size = (uint32_t)size };
	else
		o->via.map = (msgpack_object_map){ .size = (uint32_t)size };
}

static void set_float(msgpack_object *o, uint64_t bits, size_t width)
{
	uint32_t narrow = (uint32_t)bits;
	float f;

	if (width == 8) {
		o->type = MSGPACK_OBJECT_FLOAT64;
		memcpy(&o->via.f64, &bits, 8);
	} else {
		o->type = MSGPACK_OBJECT_FLOAT32;
		memcpy(&f, &narrow, 4);
		o->via.f64 = (double)f;
	}
}

/* First bytes that hold their number or size themselves. */
static void set_short(msgpack_object *o, unsigned char b)
{
	if (b < 0x80)
		set_unsigned(o, b);
	else if (b < 0x90)
		set_sized(o, MSGPACK_OBJECT_MAP, b & 15);
	else if (b < 0xa0)
		set_sized(o, MSGPACK_OBJECT_ARRAY, b & 15);
	else if (b < 0xc0)
		set_sized(o, MSGPACK_OBJECT_STR, b & 31);
	else
		set_signed(o, (signed char)b);
}

static void set_long(msgpack_object *o, unsigned char b, uint64_t v, size_t width)
{
	unsigned shift = 64 - 8 * (unsigned)width;

	if (b == 0xc0)
		o->type = MSGPACK_OBJECT_NIL;
	else if (b < 0xc4) {
		o->type = MSGPACK_OBJECT_BOOLEAN;
		o->via.boolean = b == 0xc3;
	} else if (b < 0xc7)
		set_sized(o, MSGPACK_OBJECT_BIN, v);
	else if (b < 0xcc)
		set_float(o, v, width);
	else if (b < 0xd0)
		set_unsigned(o, v);
	else if (b < 0xd4)
		set_signed(o, (int64_t)(v << shift) >> shift);
	else if (b < 0xdc)
		set_sized(o, MSGPACK_OBJECT_STR, v);
	else
		set_sized(o, b < 0xde ? MSGPACK_OBJECT_ARRAY : MSGPACK_OBJECT_MAP, v);
}

ssize_t zn__wire_any_head(const unsigned char *p, size_t n, msgpack_object *ret)
{
	if (!n)
		return 0;
	if (*p < 0xc0 || *p >= 0xe0) {
		set_short(ret, *p);
		return 1;
	}
	size_t tail = tails[*p - 0xc0];
	if (tail == 0xff)
		return -EBADMSG;
	if (n < 1 + tail)
		return 0;
	set_long(ret, *p, big_endian(p + 1, tail), tail);
	return (ssize_t)(1 + tail);
}

const char *zn__text_fault(const char *p, size_t n)
{
	if (zn_is_ascii(p, n))
		return NULL;
	return !zn_is_utf8(p, n) ? "text that is not UTF-8" : n && memchr(p, 0, n) ? "a NUL in a text" : NULL;
}

static int bad(struct zn_err *err, uint64_t at, const char *what)
{
	return zn_err_set(err, -EBADMSG, "%s at byte %llu", what, (unsigned long long)at);
}

static const char *value_fault(const msgpack_object *o, const unsigned char *payload)
{
	switch (o->type) {
	case MSGPACK_OBJECT_STR:
		return zn__text_fault((const char *)payload, o->via.str.size);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return isnan(o->via.f64) ? "a NaN" : isinf(o->via.f64) ? "an infinity" : NULL;
	default:
		return NULL;
	}
}

bool zn__is_reserved(const char *key, size_t n)
{
	static const char suffix[] = "@base64";
	const size_t k = sizeof(suffix) - 1;

	return n >= k && !memcmp(key + n - k, suffix, k);
}

static bool is_key(const struct zn_scan *s)
{
	return s->depth && s->is_map[s->depth - 1] && s->left[s->depth - 1] % 2 == 0;
}

/* What the value may not be where it stands. */
static const char *place_fault(const struct zn_scan *s, bool key, const msgpack_object *o)
{
	if (key && o->type != MSGPACK_OBJECT_STR)
		return "a key that is no text";
	return s->is_reserved && !zn__wire_is_text(o) ? "no binary under a key that ends in '@base64'" : NULL;
}

/* A value is one less that the list or map around it owes; that may be its last. */
static inline void scan_counted(struct zn_scan *s)
{
	while (s->depth && !s->left[s->depth - 1])
		s->depth--;
}

static inline void scan_leaf(struct zn_scan *s)
{
	if (s->depth)
		s->left[s->depth - 1]--;
	scan_counted(s);
}

/* The same, and opens it when it has members of its own. */
static const char *scan_nest(struct zn_scan *s, const msgpack_object *o)
{
	bool is_map = o->type == MSGPACK_OBJECT_MAP;

	if (s->depth)
		s->left[s->depth - 1]--;
	if (is_map || o->type == MSGPACK_OBJECT_ARRAY) {
		uint64_t members = zn__wire_members(o);
		if (s->depth == ZN_DEPTH_MAX)
			return "nesting that is too deep";
		if (members > ZN_ITEMS_MAX - s->items)
			return "more values than a record may have";
		s->items += (uint32_t)members;
		s->left[s->depth] = (uint32_t)members;
		s->is_map[s->depth++] = is_map;
	}
	scan_counted(s);
	return NULL;
}

/* The length of what most records are made of, when nothing is to be said of it: a short text, or one byte that is
 * a number, a boolean or nil.
 */
static inline size_t plain_leaf(const struct zn_scan *s, const unsigned char *p, size_t n, bool key)
{
	size_t len = *p & 31;

	if ((*p & 0xe0) == 0xa0)
		return len < n && zn_is_ascii((const char *)p + 1, len) ? 1 + len : 0;
	if (*p < 0x80 || *p >= 0xe0 || *p == 0xc0 || *p == 0xc2 || *p == 0xc3)
		return !key && !s->is_reserved;
	return 0;
}

ssize_t zn_msgpack_scan(struct zn_scan *s, const void *p, size_t n, uint64_t base, struct zn_err *err)
{
	msgpack_object o;

	while (s->at < n) {
		const unsigned char *at = (const unsigned char *)p + s->at;
		bool key = is_key(s);
		size_t leaf = plain_leaf(s, at, n - s->at, key);
		if (leaf && leaf <= ZN_RECORD_MAX - s->at) {
			s->is_reserved = key && zn__is_reserved((const char *)at + 1, leaf - 1);
			s->at += leaf;
			scan_leaf(s);
			if (!s->depth)
				return (ssize_t)s->at;
			continue;
		}
		ssize_t head = zn__wire_any_head(at, n - s->at, &o);
		if (head < 0)
			return bad(err, base + s->at, *at == 0xc1 ? "0xc1, which is no MessagePack," : "an extension type");
		if (!head)
			return 0;
		const char *fault = place_fault(s, key, &o);
		if (fault)
			return bad(err, base + s->at, fault);
		size_t whole = (size_t)head + zn__wire_payload(&o);
		if (whole > ZN_RECORD_MAX - s->at)
			return bad(err, base + s->at, "a record that is too long");
		if (whole > n - s->at)
			return 0;
		fault = value_fault(&o, at + head);
		s->is_reserved = key && zn__is_reserved((const char *)at + head, o.via.str.size);
		if (!fault)
			fault = scan_nest(s, &o);
		if (fault)
			return bad(err, base + s->at, fault);
		s->at += whole;
		if (!s->depth)
			return (ssize_t)s->at;
	}
	return 0;
}

ssize_t zn_msgpack_check(const void *p, size_t n, uint64_t base, struct zn_err *err)
{
	struct zn_scan s = { 0 };

	return zn_msgpack_scan(&s, p, n, base, err);
}
