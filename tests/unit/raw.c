/* raw: what is found in bytes is what building the value would have given. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/raw.h"
#include "tap.h"

#define BYTES(s) { s, sizeof(s) - 1 }

/* {"a": 1, "bc": "text", "l": [1, {"bc": 2}], "m": {"a": {"a": -7}}, "n": nil, "f": 2.5, "": b"\xff"} */
static const struct zn_bytes map = BYTES("\x87\xa1""a\x01\xa2""bc\xa4text\xa1l\x92\x01\x81\xa2""bc\x02"
                                         "\xa1m\x81\xa1""a\x81\xa1""a\xf9\xa1n\xc0\xa1""f\xcb\x40\x04\0\0\0\0\0\0"
                                         "\xa0\xc4\x01\xff");

static const struct { const char *keys[4]; struct zn_bytes want; } cases[] = {
	{ { "a" }, BYTES("\x01") },
	{ { "bc" }, BYTES("\xa4text") },
	{ { "l" }, BYTES("\x92\x01\x81\xa2""bc\x02") },
	{ { "m", "a" }, BYTES("\x81\xa1""a\xf9") },
	{ { "m", "a", "a" }, BYTES("\xf9") },
	{ { "n" }, BYTES("\xc0") },
	{ { "" }, BYTES("\xc4\x01\xff") },
	{ { "b" }, { 0 } },
	{ { "bcd" }, { 0 } },
	{ { "text" }, { 0 } },
	{ { "l", "bc" }, { 0 } },
	{ { "x", "y" }, { 0 } },
};

static void check_get(void)
{
	tap_ok(zn_msgpack_check(map.p, map.n, 0, NULL) == (ssize_t)map.n, "the map is one that readers take");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct zn_bytes v = map;
		const char *const *key = cases[i].keys;
		for (; *key; key++)
			v = zn_raw_get(v, *key);
		tap_ok(v.n == cases[i].want.n && !v.p == !cases[i].want.p && (!v.p || !memcmp(v.p, cases[i].want.p, v.n)),
		       "'%s'", key[-1]);
	}
	for (size_t n = 1; n < map.n; n++) { /* cut off: the sanitizer sees to it that nobody looks behind the end */
		char *piece = memcpy(malloc(n), map.p, n);
		zn_raw_get((struct zn_bytes){ piece, n }, "");
		free(piece);
	}
}

static void check_values(void)
{
	struct zn_bytes big = BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
	uint64_t n = 5;
	double f = 0;

	tap_ok(zn_raw_u64(zn_raw_get(map, "a"), &n) && n == 1 && zn_raw_u64(big, &n) && n == UINT64_MAX, "numbers");
	tap_ok(!zn_raw_u64(zn_raw_get(map, "f"), &n) && !zn_raw_u64(zn_raw_get(map, "bc"), &n) &&
	       !zn_raw_u64(zn_raw_get(map, "x"), &n) && n == UINT64_MAX, "and what is none");
	tap_ok(zn_raw_f64(zn_raw_get(map, "f"), &f) && f == 2.5, "a fraction");
	tap_ok(zn_raw_is_text(zn_raw_get(map, "bc"), "text") && !zn_raw_is_text(zn_raw_get(map, "bc"), "tex") &&
	       !zn_raw_is_text(zn_raw_get(map, "a"), ""), "a text");
	tap_ok(zn_raw_text(zn_raw_get(map, "")).n == 1 && !zn_raw_text(zn_raw_get(map, "l")).p, "bytes are text too");
}

struct pair { uint64_t a; const char *bc; };
static const struct zn_field pair_fields[] = {
	ZN_FIELD(struct pair, a, U64, "A", "number"), ZN_FIELD(struct pair, bc, STR, "BC", "text"), { 0 },
};
static const struct zn_kind pair_kind = { .name = "pair", .fields = pair_fields, .size = sizeof(struct pair) };

static void check_decode(void)
{
	struct zn_bytes twice = BYTES("\x82\xa1""a\x01\xa1""a\x02");
	struct zn_arena a = { 0 };
	struct zn_err err = { "" };
	struct pair p;

	tap_ok(zn_raw_decode(&pair_kind, map, &a, &p, &err) == 0 && p.a == 1 && !strcmp(p.bc, "text"), "decoded %s", err.text);
	tap_ok(zn_raw_decode(&pair_kind, zn_raw_get(map, "l"), &a, &p, &err) == -EBADMSG, "a list is no struct: %s", err.text);
	tap_ok(zn_raw_decode(&pair_kind, twice, &a, &p, &err) == -EBADMSG, "decoding finds twins: %s", err.text);
	zn_arena_done(&a);
}

int main(void)
{
	check_get();
	check_values();
	check_decode();
	return tap_done();
}
