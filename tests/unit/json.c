#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "rec/val.h"
#include "tap.h"

static int to_msgpack(const char *json, struct zn_buf *to, struct zn_err *err)
{
	return zn_json_to_msgpack(json, strlen(json), 1000, to, err);
}

/* JSON -> MessagePack -> JSON; NULL when it is refused. */
static const char *around(const char *json, struct zn_arena *a, struct zn_err *err)
{
	struct zn_buf packed = { 0 }, text = { 0 };
	msgpack_object v;
	const char *ret = NULL;

	if (to_msgpack(json, &packed, err) == 0 &&
	    zn_msgpack_check(packed.data, packed.len, 0, err) == (ssize_t)packed.len &&
	    zn_val_unpack(packed.data, packed.len, 0, a, &v, err) == 0 && zn_val_to_json(&v, &text) == 0)
		ret = zn_arena_memdup(a, text.data, text.len);
	zn_buf_done(&packed);
	zn_buf_done(&text);
	return ret;
}

static const struct { const char *in, *out; } kept[] = {
	{ "{}", NULL }, { "[]", NULL }, { "null", NULL }, { "true", NULL }, { "\"\"", NULL },
	{ "{\"b\":1,\"a\":2,\"\":3}", NULL },
	{ "0", NULL }, { "-1", NULL }, { "127", NULL }, { "128", NULL }, { "-128", NULL }, { "-129", NULL },
	{ "65536", NULL }, { "4294967296", NULL },
	{ "9223372036854775807", NULL }, { "-9223372036854775808", NULL },
	{ "0.0", NULL }, { "-0.0", NULL }, { "3.0", NULL }, { "0.1", NULL }, { "0.30000000000000004", NULL },
	{ "1700000000.123456", NULL }, { "100000.0", NULL }, { "1e+300", NULL }, { "5e-324", NULL },
	{ "2.2250738585072014e-308", NULL }, { "1.7976931348623157e+308", NULL }, { "9007199254740993.0", "9007199254740992.0" },
	{ "1E2", "100.0" }, { "3.10", "3.1" }, { "1e15", "1e+15" }, { "123456789012345.0", NULL },
	{ " { \"a\" : [ 1 , 2 ] } ", "{\"a\":[1,2]}" },
	{ "\"\\u00e4\\u65e5\\ud83d\\ude00\"", "\"ä日😀\"" },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"" },
	{ "\"\\u0080\\u009f\\u00a0\"", "\"\\u0080\\u009f\xc2\xa0\"" },
	{ "{\"a@base64\":\"aGk=\"}", NULL }, { "{\"a@base64\":\"\"}", NULL },
	{ "{\"@base64\":\"aGk=\"}", NULL }, { "[{\"@base64\":\"aGk=\"}]", NULL },
	{ "[{\"@base64\":\"aGk=\",\"b\":1}]", NULL },
	{ "{\"a@base64@base64\":\"aGk=\"}", NULL },
	{ "{\"a\":1,\"a@base64@base64\":\"aGk=\"}", NULL },
};

static const struct { const char *in, *sentence; } refused[] = {
	{ "", "bad JSON at byte 1000" },
	{ "{", "bad JSON at byte 1001" },
	{ "{\"a\":1}x", "bad JSON at byte 1008" },
	{ "{\"a\":1,\"a\":2}", "bad JSON at byte" },
	{ "[1,]", "bad JSON at byte 1004" },
	{ "{a:1}", "bad JSON at byte" },
	{ "'a'", "bad JSON at byte" },
	{ "NaN", "bad JSON at byte" }, { "Infinity", "bad JSON at byte" }, { "1e999", "bad JSON at byte" },
	{ "01", "bad JSON at byte" }, { ".5", "bad JSON at byte" }, { "+1", "bad JSON at byte" },
	{ "9223372036854775808", "bad JSON at byte" }, { "-9223372036854775809", "bad JSON at byte" },
	{ "18446744073709551615", "bad JSON at byte" },
	{ "\"\xff\"", "bad JSON at byte" }, { "\"\xc0\x80\"", "bad JSON at byte" }, { "\"\\ud800\"", "bad JSON at byte" },
	{ "\"a\nb\"", "bad JSON at byte" },
	{ "\"a\\u0000\"", "a NUL in a text at byte" }, { "{\"a\\u0000\":1}", "a NUL in a text at byte" },
	{ "{\"a@base64\":\"a\"}", "'a@base64' is not base64 in the record at byte 1000" },
	{ "{\"a@base64\":\"aGl=\"}", "'a@base64' is not base64" },
	{ "[{\"@base64\":\"?\"}]", "'@base64' is not base64" },
	{ "{\"a\":1,\"a@base64\":\"aGk=\"}", "duplicate key 'a' in the record at byte 1000" },
	{ "{\"a@base64\":1}", "'a@base64' is not base64" }, { "[{\"@base64\":1}]", "'@base64' is not base64" },
	{ "{\"a@base64\":{}}", "'a@base64' is not base64" }, { "{\"a@base64\":null}", "'a@base64' is not base64" },
};

static void check_tables(void)
{
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		struct zn_err err = { "" };
		const char *want = kept[i].out ? kept[i].out : kept[i].in, *got = around(kept[i].in, &a, &err);
		tap_ok(got && !strcmp(got, want), "case %zu: %s%s", i, got ? "" : "refused: ", got ? "same" : err.text);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct zn_err err = { "" };
		struct zn_buf b = { 0 };
		zn_buf_addstr(&b, "before");
		int rc = to_msgpack(refused[i].in, &b, &err);
		tap_ok(rc == -EBADMSG && !strncmp(err.text, refused[i].sentence, strlen(refused[i].sentence)),
		       "refused %zu: %s", i, err.text);
		tap_ok(b.len == 6, "and the buffer is as it was");
		zn_buf_done(&b);
	}
	zn_arena_done(&a);
}

static void check_bounds(void)
{
	struct zn_buf json = { 0 }, out = { 0 };
	struct zn_err err;

	for (int i = 0; i < ZN_DEPTH_MAX; i++)
		zn_buf_addch(&json, '[');
	for (int i = 0; i < ZN_DEPTH_MAX; i++)
		zn_buf_addch(&json, ']');
	tap_ok(zn_json_to_msgpack(json.data, json.len, 0, &out, NULL) == 0, "%d lists inside each other", ZN_DEPTH_MAX);
	zn_buf_add(&json, "]", 1);
	memmove(json.data + 1, json.data, json.len - 1);
	tap_ok(zn_json_to_msgpack(json.data, json.len, 0, &out, &err) == -EBADMSG, "one more: %s", err.text);
	json.len = 0;
	for (int i = 0; i < 10000; i++)
		zn_buf_addstr(&json, "{\"a\":");
	tap_ok(zn_json_to_msgpack(json.data, json.len, 0, &out, &err) == -EBADMSG, "ten thousand: %s", err.text);
	json.len = 0;
	zn_buf_addstr(&json, "\"[[[[");
	for (int i = 0; i < 100; i++)
		zn_buf_addstr(&json, "[{\\\"[");
	zn_buf_addch(&json, '"');
	tap_ok(zn_json_to_msgpack(json.data, json.len, 0, &out, NULL) == 0, "brackets in text are text");
	json.len = 0;
	zn_buf_addch(&json, '[');
	for (int i = 0; i < ZN_ITEMS_MAX; i++)
		zn_buf_addstr(&json, "1,");
	tap_ok(zn_json_to_msgpack(json.data, json.len, 0, &out, &err) == -EBADMSG &&
	       strstr(err.text, "more values"), "too many values: %s", err.text);
	zn_buf_done(&json);
	zn_buf_done(&out);
}

static void check_binaries(void)
{
	static const struct { const char *bytes; size_t n; const char *json; } cases[] = {
		{ "\x81\xa1" "a\xc4\x02\0\xff", 7, "{\"a@base64\":\"AP8=\"}" },
		{ "\x91\xc4\x01x", 4, "[{\"@base64\":\"eA==\"}]" },
		{ "\xc4\x01x", 3, "{\"@base64\":\"eA==\"}" },
		{ "\x81\xa8" "a@base64\xa1x", 12, "{\"a@base64@base64\":\"eA==\"}" },
		{ "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "18446744073709551615" },
		{ "\xca\x3f\x80\0\0", 5, "1.0" },
		{ "\xca\x3d\xcc\xcc\xcd", 5, "0.10000000149011612" },
	};
	struct zn_arena a = { 0 };
	struct zn_buf b = { 0 };
	msgpack_object v;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		b.len = 0;
		int rc = zn_val_unpack(cases[i].bytes, cases[i].n, 0, &a, &v, NULL);
		tap_ok(rc == 0 && zn_val_to_json(&v, &b) == 0 && !strcmp(zn_buf_text(&b), cases[i].json),
		       "%s", cases[i].json);
	}
	zn_buf_done(&b);
	zn_arena_done(&a);
}

/* Random bit patterns: what is printed is read back to the bit, and no shorter text would do. */
static void check_doubles(void)
{
	struct zn_arena a = { 0 };
	uint64_t x = 88172645463325252u;
	int wrong = 0;

	for (int i = 0; i < 20000; i++) {
		msgpack_object v = { .type = MSGPACK_OBJECT_FLOAT64 }, again;
		struct zn_buf text = { 0 }, packed = { 0 };
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		memcpy(&v.via.f64, &x, 8);
		if (!(v.via.f64 - v.via.f64 == 0))
			continue;
		bool good = zn_val_to_json(&v, &text) == 0 &&
		            zn_json_to_msgpack(text.data, text.len, 0, &packed, NULL) == 0 &&
		            zn_val_unpack(packed.data, packed.len, 0, &a, &again, NULL) == 0 &&
		            again.type == MSGPACK_OBJECT_FLOAT64 && !memcmp(&again.via.f64, &x, 8);
		wrong += !good;
		zn_buf_done(&text);
		zn_buf_done(&packed);
		zn_arena_reset(&a);
	}
	tap_ok(wrong == 0, "20000 doubles come back to the bit (%d did not)", wrong);
	zn_arena_done(&a);
}

int main(void)
{
	check_tables();
	check_bounds();
	check_binaries();
	check_doubles();
	return tap_done();
}
