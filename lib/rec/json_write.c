/* json_write: values to JSON.  jansson would print 3.0 and 64-bit numbers in its own way. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rec/wire.h"

static void put_u64(struct zn_buf *to, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	zn_buf_add(to, digits + at, sizeof(digits) - at);
}

/* 15 digits always survive, 17 always suffice; a subnormal has fewer than 15 to begin with.  The locale's
 * decimal sign is none of JSON's business.
 */
static void put_f64(struct zn_buf *to, double v)
{
	char text[40];
	int digits = fabs(v) < 0x1p-1022 ? 1 : 15;

	if (fabs(v) < 1e15 && v == trunc(v) && v != 0) {
		zn_buf_add(to, "-", v < 0);
		put_u64(to, (uint64_t)fabs(v));
		zn_buf_add(to, ".0", 2);
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*g", digits, v);
	while (digits++ < 17 && strtod(text, NULL) != v);
	size_t sign = strcspn(text, ".,");
	if (text[sign] == ',')
		text[sign] = '.';
	zn_buf_addstr(to, text);
	if (!strpbrk(text, ".e"))
		zn_buf_add(to, ".0", 2);
}

static void put_escape(struct zn_buf *to, unsigned code)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	char text[8];

	for (const char *p = named; *p; p += 2)
		if ((unsigned char)*p == code) {
			zn_buf_addch(to, '\\');
			zn_buf_addch(to, p[1]);
			return;
		}
	snprintf(text, sizeof(text), "\\u%04x", code & 0xffff);
	zn_buf_addstr(to, text);
}

/* Control characters are escaped, those above 0x7f too: JSON is often looked at in a terminal. */
static void put_quoted(struct zn_buf *to, const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		bool c1 = s[i] == 0xc2 && i + 1 < n && s[i + 1] < 0xa0;
		if (s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] != 0x7f && !c1)
			continue;
		zn_buf_add(to, text + from, i - from);
		put_escape(to, c1 ? s[++i] : s[i]);
		from = i + 1;
	}
	zn_buf_add(to, text + from, n - from);
}

static void put_base64(struct zn_buf *to, const char *p, size_t n)
{
	zn_buf_addch(to, '"');
	zn_base64_encode(p, n, to);
	zn_buf_addch(to, '"');
}

static int put_value(const msgpack_object *v, int depth, struct zn_buf *to);

/* The bytes of a value that JSON can't say as text under this key: binaries, text that is not UTF-8, and
 * text whose key would make it look like a binary.
 */
static bool needs_base64(const msgpack_object_str *key, const msgpack_object *v)
{
	if (v->type == MSGPACK_OBJECT_BIN)
		return true;
	return v->type == MSGPACK_OBJECT_STR &&
	       ((key && zn__is_reserved(key->ptr, key->size)) || zn__text_fault(v->via.str.ptr, v->via.str.size));
}

static int put_map(const msgpack_object_map *map, int depth, struct zn_buf *to)
{
	int rc = 0;

	zn_buf_addch(to, '{');
	for (uint32_t i = 0; i < map->size && rc == 0; i++) {
		const msgpack_object_str *key = &map->ptr[i].key.via.str;
		const msgpack_object *v = &map->ptr[i].val;
		bool binary = needs_base64(key, v);
		zn_buf_addstr(to, i ? ",\"" : "\"");
		put_quoted(to, key->ptr, key->size);
		zn_buf_addstr(to, binary ? "@base64\":" : "\":");
		if (binary)
			put_base64(to, v->via.bin.ptr, v->via.bin.size);
		else
			rc = put_value(v, depth, to);
	}
	zn_buf_addch(to, '}');
	return rc;
}

static int put_list(const msgpack_object_array *list, int depth, struct zn_buf *to)
{
	int rc = 0;

	zn_buf_addch(to, '[');
	for (uint32_t i = 0; i < list->size && rc == 0; i++) {
		if (i)
			zn_buf_addch(to, ',');
		rc = put_value(&list->ptr[i], depth, to);
	}
	zn_buf_addch(to, ']');
	return rc;
}

static void put_bytes(const msgpack_object_bin *b, struct zn_buf *to)
{
	zn_buf_addstr(to, "{\"@base64\":");
	put_base64(to, b->ptr, b->size);
	zn_buf_addch(to, '}');
}

static void put_scalar(const msgpack_object *v, struct zn_buf *to)
{
	switch (v->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		zn_buf_addstr(to, v->via.boolean ? "true" : "false");
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		put_u64(to, v->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		zn_buf_addch(to, '-');
		put_u64(to, -(uint64_t)v->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		put_f64(to, v->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		zn_buf_addch(to, '"');
		put_quoted(to, v->via.str.ptr, v->via.str.size);
		zn_buf_addch(to, '"');
		break;
	default:
		zn_buf_addstr(to, "null");
	}
}

static int put_value(const msgpack_object *v, int depth, struct zn_buf *to)
{
	if (depth > ZN_DEPTH_MAX)
		return -ELOOP;
	if (v->type == MSGPACK_OBJECT_MAP)
		return put_map(&v->via.map, depth + 1, to);
	if (v->type == MSGPACK_OBJECT_ARRAY)
		return put_list(&v->via.array, depth + 1, to);
	if (needs_base64(NULL, v))
		put_bytes(&v->via.bin, to);
	else
		put_scalar(v, to);
	return 0;
}

int zn_val_to_json(const msgpack_object *v, struct zn_buf *to)
{
	size_t was = to->len;
	int rc = put_value(v, 0, to);

	if (rc < 0)
		to->len = was;
	return rc < 0 ? rc : to->failed ? -ENOMEM : 0;
}
