#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/val.h"
#include "tap.h"

#define BYTES(s) s, sizeof(s) - 1

static const struct {
	const char *bytes;
	size_t n;
	ssize_t expected;      /* length, 0 more, -EBADMSG */
	const char *sentence;
} cases[] = {
	{ BYTES(""), 0, NULL },
	{ BYTES("\x80"), 1, NULL },
	{ BYTES("\x80\x80"), 1, NULL },
	{ BYTES("\x90"), 1, NULL },
	{ BYTES("\xc0"), 1, NULL },
	{ BYTES("\x00"), 1, NULL },
	{ BYTES("\xff"), 1, NULL },
	{ BYTES("\xa0"), 1, NULL },
	{ BYTES("\xa1x"), 2, NULL },
	{ BYTES("\xd9\x01x"), 3, NULL },
	{ BYTES("\xda\0\x01x"), 4, NULL },
	{ BYTES("\xdb\0\0\0\x01x"), 6, NULL },
	{ BYTES("\xc4\x01\xff"), 3, NULL },
	{ BYTES("\xc5\0\x01\xff"), 4, NULL },
	{ BYTES("\xc6\0\0\0\x01\xff"), 6, NULL },
	{ BYTES("\xca\x3f\x80\0\0"), 5, NULL },
	{ BYTES("\xcb\x3f\xf0\0\0\0\0\0\0"), 9, NULL },
	{ BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), 9, NULL },
	{ BYTES("\xd3\x80\0\0\0\0\0\0\0"), 9, NULL },
	{ BYTES("\x92\x91\x01\x81\xa1k\x02"), 7, NULL },
	{ BYTES("\xdc\0\x02\x01\x02"), 5, NULL },
	{ BYTES("\xdd\0\0\0\x02\x01\x02"), 7, NULL },
	{ BYTES("\xde\0\x01\xa1k\x02"), 6, NULL },
	{ BYTES("\xdf\0\0\0\x01\xa1k\x02"), 8, NULL },
	/* pieces */
	{ BYTES("\xdb\0\0\0"), 0, NULL },
	{ BYTES("\xa2x"), 0, NULL },
	{ BYTES("\x81\xa1k"), 0, NULL },
	{ BYTES("\x92\x01"), 0, NULL },
	{ BYTES("\xcb\x3f"), 0, NULL },
	/* what we never take */
	{ BYTES("\xc1"), -EBADMSG, "0xc1, which is no MessagePack, at byte 100" },
	{ BYTES("\x91\xc1"), -EBADMSG, "0xc1, which is no MessagePack, at byte 101" },
	{ BYTES("\xd4\x01\x02"), -EBADMSG, "an extension type at byte 100" },
	{ BYTES("\xc7\x01\x02\x03"), -EBADMSG, "an extension type at byte 100" },
	{ BYTES("\xc9"), -EBADMSG, "an extension type at byte 100" },
	{ BYTES("\xd8"), -EBADMSG, "an extension type at byte 100" },
	{ BYTES("\x81\x01\x02"), -EBADMSG, "a key that is no text at byte 101" },
	{ BYTES("\x81\xc4\x01k\x02"), -EBADMSG, "a key that is no text at byte 101" },
	{ BYTES("\x81\x91\x01\x02"), -EBADMSG, "a key that is no text at byte 101" },
	{ BYTES("\x82\xa1k\x80\x80\x01"), -EBADMSG, "a key that is no text at byte 104" },
	{ BYTES("\x82\xa8" "a@base64\xa1x\xa7@base64\xc4\x01x"), 23, NULL },
	{ BYTES("\x81\xa8" "a@base64\x01"), -EBADMSG, "no binary under a key that ends in '@base64' at byte 110" },
	{ BYTES("\x81\xa8" "a@base64\x80"), -EBADMSG, "no binary under a key that ends in '@base64' at byte 110" },
	{ BYTES("\x92\xa7@base64\x01"), 10, NULL },
	{ BYTES("\x82\xa1k\xa7@base64\xa1l\x01"), 14, NULL },
	{ BYTES("\xa1\xff"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa2\xc0\x80"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa3\xed\xa0\x80"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa4\xf4\x90\x80\x80"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa2\xc3x"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa9" "abcdefgh\xff"), -EBADMSG, "text that is not UTF-8 at byte 100" },
	{ BYTES("\xa3" "a\0b"), -EBADMSG, "a NUL in a text at byte 100" },
	{ BYTES("\xca\x7f\xc0\0\0"), -EBADMSG, "a NaN at byte 100" },
	{ BYTES("\xcb\xff\xf8\0\0\0\0\0\0"), -EBADMSG, "a NaN at byte 100" },
	{ BYTES("\x91\xca\xff\x80\0\0"), -EBADMSG, "an infinity at byte 101" },
	{ BYTES("\xcb\x7f\xf0\0\0\0\0\0\0"), -EBADMSG, "an infinity at byte 100" },
	/* claims */
	{ BYTES("\xdd\xff\xff\xff\xff"), -EBADMSG, "more values than a record may have at byte 100" },
	{ BYTES("\xdf\xff\xff\xff\xff"), -EBADMSG, "more values than a record may have at byte 100" },
	{ BYTES("\xdf\x80\0\0\0"), -EBADMSG, "more values than a record may have at byte 100" },
	{ BYTES("\xdd\0\x10\0\x01"), -EBADMSG, "more values than a record may have at byte 100" },
	{ BYTES("\xdd\0\x10\0\0"), 0, NULL },
	{ BYTES("\xdf\0\x08\0\x01"), -EBADMSG, "more values than a record may have at byte 100" },
	{ BYTES("\x92\xdd\0\x0f\xff\xfe"), 0, NULL },
	{ BYTES("\x92\xdd\0\x0f\xff\xff"), -EBADMSG, "more values than a record may have at byte 101" },
	{ BYTES("\x92\x91\x01\xdd\0\x0f\xff\xfe"), -EBADMSG, "more values than a record may have at byte 103" },
	{ BYTES("\xdb\xff\xff\xff\xff"), -EBADMSG, "a record that is too long at byte 100" },
	{ BYTES("\xc6\x04\0\0\0"), -EBADMSG, "a record that is too long at byte 100" },
	{ BYTES("\xc6\x03\xff\xff\xfb"), 0, NULL },
};

static void check_table(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct zn_err err = { "" };
		ssize_t rc = zn_msgpack_check(cases[i].bytes, cases[i].n, 100, &err);
		bool good = rc == cases[i].expected && !strcmp(err.text, cases[i].sentence ? cases[i].sentence : "");
		tap_ok(good, "case %zu: %zd %s", i, rc, err.text);
	}
}

static void check_depth(void)
{
	char deep[10000];
	struct zn_err err;

	memset(deep, 0x91, sizeof(deep));
	deep[ZN_DEPTH_MAX] = 1;
	tap_ok(zn_msgpack_check(deep, sizeof(deep), 0, NULL) == ZN_DEPTH_MAX + 1, "%d lists are taken", ZN_DEPTH_MAX);
	deep[ZN_DEPTH_MAX] = (char)0x90;
	tap_ok(zn_msgpack_check(deep, sizeof(deep), 0, &err) == -EBADMSG &&
	       !strcmp(err.text, "nesting that is too deep at byte 64"), "one more is not, even empty");
	memset(deep, 0x91, sizeof(deep));
	tap_ok(zn_msgpack_check(deep, sizeof(deep), 0, NULL) == -EBADMSG, "nor are ten thousand");
}

/* Cut at every byte, and given byte by byte, the answer is "more" until the last. */
static void check_pieces(void)
{
	static const char whole[] = "\x83\xa4kind\xa3job\xa1l\x93\xcb\x3f\xf0\0\0\0\0\0\0\xc4\x02\0\xff\x81\xa1k\xc0"
	                            "\xd9\x02id\xcd\x12\x34";
	size_t n = sizeof(whole) - 1;
	struct zn_scan s = { 0 };
	bool good = true;

	for (size_t i = 0; i < n; i++)
		good &= zn_msgpack_check(whole, i, 0, NULL) == 0 && zn_msgpack_scan(&s, whole, i, 0, NULL) == 0;
	tap_ok(good, "every beginning of a record asks for more");
	tap_ok(zn_msgpack_check(whole, n, 0, NULL) == (ssize_t)n, "the whole is whole");
	tap_ok(zn_msgpack_scan(&s, whole, n, 0, NULL) == (ssize_t)n, "also to a scan that saw it coming");
}

static void check_unpack(void)
{
	static const struct { const char *bytes; size_t n; const char *sentence; } bad[] = {
		{ BYTES("\x82\xa1k\x01\xa1k\x02"), "duplicate key 'k' at byte 15" },
		{ BYTES("\x91\x82\xa0\x01\xa0\x02"), "duplicate key '' at byte" },
		{ BYTES("\x82\xa1k\x01\xa1"), "a value that is cut off at byte" },
		{ BYTES("\x92\x01"), "a list that is cut off at byte" },
		{ BYTES("\xdd\xff\xff\xff\xff\x01"), "a list that is cut off at byte" },
		{ BYTES("\xdf\xff\xff\xff\xff\x01"), "a map that is cut off at byte" },
		{ BYTES("\xc1"), "a value that is cut off or no MessagePack at byte" },
		{ BYTES(""), "a value that is cut off or no MessagePack at byte" },
	};
	struct zn_arena a = { 0 };
	msgpack_object v = { .type = MSGPACK_OBJECT_EXT };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct zn_err err = { "" };
		int rc = zn_val_unpack(bad[i].bytes, bad[i].n, 10, &a, &v, &err);
		tap_ok(rc == -EBADMSG && !strncmp(err.text, bad[i].sentence, strlen(bad[i].sentence)) &&
		       v.type == MSGPACK_OBJECT_EXT, "unpack %zu: %s", i, err.text);
	}
	zn_arena_done(&a);
}

static void check_many_keys(void)
{
	struct zn_arena a = { 0 };
	struct zn_buf b = { 0 };
	struct zn_err err;
	msgpack_object v;

	zn_buf_add(&b, "\xde\x03\xe8", 3);
	for (int i = 0; i < 1000; i++)
		zn_buf_printf(&b, "\xa4%04d%c", i, 1);
	tap_ok(zn_val_unpack(b.data, b.len, 0, &a, &v, NULL) == 0 && v.via.map.size == 1000, "a thousand keys");
	const msgpack_object *got = zn_val_get(&v, "0999");
	tap_ok(got && got->via.u64 == 1, "the last is found");
	memcpy(b.data + b.len - 5, "0500", 4);
	tap_ok(zn_val_unpack(b.data, b.len, 0, &a, &v, &err) == -EBADMSG &&
	       strstr(err.text, "duplicate key '0500'"), "a twin among a thousand: %s", err.text);
	zn_arena_done(&a);
	zn_buf_done(&b);
}

int main(void)
{
	check_table();
	check_depth();
	check_pieces();
	check_unpack();
	check_many_keys();
	return tap_done();
}
