#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/field.h"
#include "rec/val.h"
#include "tap.h"

struct limb {
	const char *node;
	struct zn_u32s gpus;
	struct zn_ou64 mem_bytes;
};

struct thing {
	bool flag;
	uint32_t id;
	uint64_t size_bytes;
	int64_t priority;
	double submit_s;
	struct zn_obool maybe;
	struct zn_ou64 count;
	struct zn_oi64 delta;
	struct zn_of64 end_s;
	const char *name;
	struct zn_bytes blob, extra;
	struct zn_strs arguments;
	struct zn_u32s cores;
	struct zn_strmap environment;
	struct limb main;
	struct zn_list limbs;
};

static const struct zn_field limb_fields[] = {
	ZN_FIELD(struct limb, node, STR, "NODE", "which node"),
	ZN_FIELD(struct limb, gpus, U32S, "GPUS", "indices"),
	ZN_FIELD(struct limb, mem_bytes, OBYTES, "MEM", "memory"),
	{ 0 },
};
static const struct zn_kind limb_kind = { .fields = limb_fields, .size = sizeof(struct limb) };

static const struct zn_field thing_fields[] = {
	ZN_FIELD(struct thing, flag, BOOL, "FLAG", ""),
	ZN_FIELD(struct thing, id, U32, "ID", ""),
	ZN_FIELD(struct thing, size_bytes, BYTES, "SIZE", ""),
	ZN_FIELD(struct thing, priority, I64, "PRIO", ""),
	ZN_FIELD(struct thing, submit_s, TIME, "SUBMIT", ""),
	ZN_FIELD(struct thing, maybe, OBOOL, "", ""),
	ZN_FIELD(struct thing, count, OU64, "", ""),
	ZN_FIELD(struct thing, delta, OI64, "", ""),
	ZN_FIELD(struct thing, end_s, OTIME, "", ""),
	ZN_FIELD(struct thing, name, STR, "NAME", ""),
	ZN_FIELD(struct thing, blob, BIN, "", ""),
	ZN_FIELD_AS(struct thing, extra, "more", ANY, "", ""),
	ZN_FIELD(struct thing, arguments, STRS, "", ""),
	ZN_FIELD(struct thing, cores, U32S, "", ""),
	ZN_FIELD(struct thing, environment, MAP, "", ""),
	ZN_FIELD_SUB(struct thing, main, SUB, &limb_kind, "", ""),
	ZN_FIELD_SUB(struct thing, limbs, SUBS, &limb_kind, "", ""),
	{ 0 },
};
static const struct zn_kind thing_kind = { .name = "thing", .fields = thing_fields, .size = sizeof(struct thing) };

static const char *as_json(const struct zn_kind *kind, const void *strukt, struct zn_arena *a)
{
	struct zn_buf b = { 0 }, json = { 0 };
	msgpack_object v;
	const char *ret = "not encoded";

	if (zn_encode(kind, strukt, &b) == 0 && zn_msgpack_check(b.data, b.len, 0, NULL) == (ssize_t)b.len &&
	    zn_val_unpack(b.data, b.len, 0, a, &v, NULL) == 0 && zn_val_to_json(&v, &json) == 0)
		ret = zn_arena_strdup(a, zn_buf_text(&json));
	zn_buf_done(&b);
	zn_buf_done(&json);
	return ret;
}

static int from_json(const char *json, struct zn_arena *a, struct thing *ret, struct zn_err *err)
{
	struct zn_buf b = { 0 };
	msgpack_object v;
	int rc = zn_json_to_msgpack(json, strlen(json), 0, &b, err);

	if (rc == 0)
		rc = zn_val_unpack(b.data, b.len, 0, a, &v, err);
	if (rc == 0)
		rc = zn_decode(&thing_kind, &v, a, ret, err);
	zn_buf_done(&b); /* what was decoded must not need it */
	return rc;
}

static void check_encode(struct zn_arena *a)
{
	struct thing t = { 0 };
	struct limb none = { 0 };
	uint32_t gpus[] = { 0, 3 };
	const char *args[] = { "-x", "h\xc3\xa4", "\xff" };
	struct zn_pair env[] = { { "HOME", "/root" }, { "LATIN", "\xe4" } };
	struct limb limbs[] = { { .node = "n1", .gpus = { gpus, 2 } }, { .mem_bytes = ZN_SOME_U64(5) } };

	tap_ok(!strcmp(as_json(&thing_kind, &t, a),
	               "{\"kind\":\"thing\",\"flag\":false,\"id\":0,\"size_bytes\":0,\"priority\":0,\"submit_s\":0.0}"),
	       "what is unknown is absent, plain numbers are there");
	tap_ok(!strcmp(as_json(&limb_kind, &none, a), "{}"), "a kind without a name writes no kind");
	t.submit_s = NAN;
	t.end_s = ZN_SOME_F64(INFINITY);
	tap_ok(!strstr(as_json(&thing_kind, &t, a), "_s\""), "what is no finite number is absent");
	t = (struct thing){
		.flag = true, .id = UINT32_MAX, .size_bytes = INT64_MAX, .priority = INT64_MIN, .submit_s = 1.5,
		.maybe = ZN_SOME_BOOL(false), .count = ZN_SOME_U64(0), .delta = ZN_SOME_I64(-1), .end_s = ZN_SOME_F64(2),
		.name = "", .blob = { "", 0 }, .extra = { "\x91\x01", 2 }, .arguments = { args, 3 },
		.cores = { gpus, 2 }, .environment = { env, 2 }, .main = limbs[0], .limbs = { limbs, 2 },
	};
	static const char want[] =
		"{\"kind\":\"thing\",\"flag\":true,\"id\":4294967295,\"size_bytes\":9223372036854775807,"
		"\"priority\":-9223372036854775808,\"submit_s\":1.5,\"maybe\":false,\"count\":0,\"delta\":-1,\"end_s\":2.0,"
		"\"name\":\"\",\"blob@base64\":\"\",\"more\":[1],\"arguments\":[\"-x\",\"h\xc3\xa4\",{\"@base64\":\"/w==\"}],"
		"\"cores\":[0,3],\"environment\":{\"HOME\":\"/root\",\"LATIN@base64\":\"5A==\"},"
		"\"main\":{\"node\":\"n1\",\"gpus\":[0,3]},\"limbs\":[{\"node\":\"n1\",\"gpus\":[0,3]},{\"mem_bytes\":5}]}";
	tap_ok(!strcmp(as_json(&thing_kind, &t, a), want), "a struct of everything");
	struct thing again;
	struct zn_err err = { "" };
	tap_ok(from_json(want, a, &again, &err) == 0 && !strcmp(as_json(&thing_kind, &again, a), want),
	       "comes back from JSON as it was: %s", err.text);
	tap_ok(!strcmp(again.arguments.v[2], "\xff") && !strcmp(again.environment.v[1].value, "\xe4"),
	       "bytes that are not UTF-8 are text again");
}

static const struct { const char *json, *sentence; } refused[] = {
	{ "[]", "a record that is not a map" },
	{ "{\"id\":-1}", "field 'id' is negative" },
	{ "{\"id\":1.5}", "field 'id' is not a whole number" },
	{ "{\"id\":\"1\"}", "field 'id' is not a whole number" },
	{ "{\"id\":true}", "field 'id' is not a whole number" },
	{ "{\"id\":4294967296}", "field 'id' is too large" },
	{ "{\"id\":1e20}", "field 'id' is not a whole number" },
	{ "{\"size_bytes\":-5}", "field 'size_bytes' is negative" },
	{ "{\"count\":-5}", "field 'count' is negative" },
	{ "{\"count\":0.5}", "field 'count' is not a whole number" },
	{ "{\"delta\":0.5}", "field 'delta' is not a whole number" },
	{ "{\"priority\":\"high\"}", "field 'priority' is not a whole number" },
	{ "{\"flag\":1}", "field 'flag' is not true or false" },
	{ "{\"maybe\":\"yes\"}", "field 'maybe' is not true or false" },
	{ "{\"submit_s\":\"now\"}", "field 'submit_s' is not a number" },
	{ "{\"end_s\":[]}", "field 'end_s' is not a number" },
	{ "{\"name\":7}", "field 'name' is not text" },
	{ "{\"name@base64\":\"YQBi\"}", "field 'name' holds a NUL" },
	{ "{\"blob\":\"text\"}", "field 'blob' is not a binary" },
	{ "{\"arguments\":\"x\"}", "field 'arguments' is not a list" },
	{ "{\"arguments\":[\"a\",2]}", "field 'arguments.1' is not text" },
	{ "{\"arguments\":[null]}", "field 'arguments.0' is not text" },
	{ "{\"cores\":[0,-1]}", "field 'cores.1' is negative" },
	{ "{\"cores\":{}}", "field 'cores' is not a list" },
	{ "{\"environment\":[]}", "field 'environment' is not a map" },
	{ "{\"environment\":{\"A\":1}}", "field 'environment.A' is not text" },
	{ "{\"main\":3}", "field 'main' is not a map" },
	{ "{\"main\":{\"mem_bytes\":1.5}}", "field 'main.mem_bytes' is not a whole number" },
	{ "{\"limbs\":{}}", "field 'limbs' is not a list" },
	{ "{\"limbs\":[{},7]}", "field 'limbs.1' is not a map" },
	{ "{\"limbs\":[{},{\"gpus\":[1,\"x\"]}]}", "field 'limbs.1.gpus.1' is not a whole number" },
};

static void check_decode(struct zn_arena *a)
{
	struct thing t;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct zn_err err = { "" };
		int rc = from_json(refused[i].json, a, &t, &err);
		tap_ok(rc == -EBADMSG && !strcmp(err.text, refused[i].sentence), "%s: %s", refused[i].json, err.text);
	}
	memset(&t, 0xee, sizeof(t));
	tap_ok(from_json("{}", a, &t, NULL) == 0 && !t.name && !t.id && !t.count.has && !t.limbs.n, "nothing is all absent");
	tap_ok(from_json("{\"name\":null,\"count\":null,\"limbs\":null,\"main\":null}", a, &t, NULL) == 0 && !t.name &&
	       !t.count.has && !t.limbs.n, "null is absent");
	tap_ok(from_json("{\"kind\":7,\"unknown\":[{}],\"id\":3}", a, &t, NULL) == 0 && t.id == 3,
	       "unknown keys are skipped, the kind is not looked at");
	tap_ok(from_json("{\"submit_s\":7,\"end_s\":-7,\"id\":3.0}", a, &t, NULL) == 0 && t.submit_s == 7.0 &&
	       t.end_s.v == -7.0 && t.id == 3, "a whole number is a number, 3.0 is a whole one");
	tap_ok(from_json("{\"limbs\":[{\"node\":\"b\"}],\"id\":9,\"flag\":true}", a, &t, NULL) == 0 && t.flag && t.id == 9 &&
	       t.limbs.n == 1 && !strcmp(((struct limb *)t.limbs.v)->node, "b"), "keys may come in any order");
}

/* What is passed through must fit into a record of ours. */
static void check_any(struct zn_arena *a)
{
	struct zn_err err;
	struct thing t;
	char json[400] = "{\"more\":";

	memset(json + 8, '[', 32);
	memset(json + 40, ']', 32);
	strcpy(json + 72, "}");
	tap_ok(from_json(json, a, &t, &err) == 0 && t.extra.n == 32, "32 lists pass through");
	memset(json + 8, '[', 34);
	memset(json + 42, ']', 34);
	strcpy(json + 76, "}");
	tap_ok(from_json(json, a, &t, &err) == -EBADMSG &&
	       !strcmp(err.text, "field 'more' is nested too deeply or has too many values"), "34 do not: %s", err.text);
	char *many = zn_arena_array(a, 2 * ZN_ANY_ITEMS_MAX + 32, 1);
	strcpy(many, "{\"more\":[0");
	for (char *p = many + 10; p < many + 2 * ZN_ANY_ITEMS_MAX + 10; p += 2)
		memcpy(p, ",0", 2);
	strcat(many, "]}");
	tap_ok(from_json(many, a, &t, &err) == -EBADMSG && !strcmp(err.text, "field 'more' is nested too deeply or has too many values"),
	       "nor do many values");
	struct zn_buf b = { 0 };
	msgpack_object v;
	tap_ok(zn_json_to_msgpack(many, strlen(many), 0, &b, &err) == 0 && zn_val_unpack(b.data, b.len, 0, a, &v, &err) == 0 &&
	       v.via.map.ptr->val.via.array.size == ZN_ANY_ITEMS_MAX + 1, "which are %u", v.via.map.ptr->val.via.array.size);
	zn_buf_done(&b);
}

int main(void)
{
	struct zn_arena a = { 0 };

	check_encode(&a);
	check_any(&a);
	check_decode(&a);
	tap_ok(zn_kind_field(&thing_kind, "more") == &thing_fields[11] && !zn_kind_field(&thing_kind, "extra"),
	       "a row is found by its key");
	zn_arena_done(&a);
	return tap_done();
}
