/* records: everything in lib/rec that reads bytes from others, and the traces and clusters of zn-sim, under libFuzzer (scripts/fuzz).  The first
 * byte chooses what the rest is taken for.  Beside not crashing, what comes out must be true: an accepted
 * record survives MessagePack -> JSON -> MessagePack, a frame with a flipped bit is never taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rec/expr.h"
#include "rec/frame.h"
#include "rec/reader.h"
#include "rec/wire.h"
#include "rec/writer.h"
#include "sim/nodes.h"
#include "sim/run.h"
#include "sim/saturate.h"
#include "sim/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition) do { if (!(condition)) abort(); } while (0)

static bool is_bytes(const msgpack_object *v)
{
	return v->type == MSGPACK_OBJECT_STR || v->type == MSGPACK_OBJECT_BIN;
}

static bool is_float(const msgpack_object *v)
{
	return v->type == MSGPACK_OBJECT_FLOAT32 || v->type == MSGPACK_OBJECT_FLOAT64;
}

static bool same_bytes(const msgpack_object *a, const msgpack_object *b)
{
	return a->via.str.size == b->via.str.size &&
	       (!a->via.str.size || !memcmp(a->via.str.ptr, b->via.str.ptr, a->via.str.size));
}

static bool is_reserved(const msgpack_object_str *key)
{
	return key->size >= 7 && !memcmp(key->ptr + key->size - 7, "@base64", 7);
}

/* {"": binary}, which in a list reads back as the binary itself. */
static const msgpack_object *bare_binary(const msgpack_object *v)
{
	bool is_it = v->type == MSGPACK_OBJECT_MAP && v->via.map.size == 1 && !v->via.map.ptr->key.via.str.size &&
	             v->via.map.ptr->val.type == MSGPACK_OBJECT_BIN;

	return is_it ? &v->via.map.ptr->val : v;
}

static bool same(const msgpack_object *a, const msgpack_object *b);

static bool same_map(const msgpack_object_map *a, const msgpack_object_map *b)
{
	if (a->size != b->size)
		return false;
	for (uint32_t i = 0; i < a->size; i++) {
		const msgpack_object_kv *x = &a->ptr[i], *y = &b->ptr[i];
		bool became_binary = is_reserved(&x->key.via.str) && is_bytes(&x->val) && is_bytes(&y->val);
		if (!same_bytes(&x->key, &y->key))
			return false;
		if (became_binary ? !same_bytes(&x->val, &y->val) : !same(&x->val, &y->val))
			return false;
	}
	return true;
}

static bool same_list(const msgpack_object_array *a, const msgpack_object_array *b)
{
	if (a->size != b->size)
		return false;
	for (uint32_t i = 0; i < a->size; i++)
		if (!same(bare_binary(&a->ptr[i]), bare_binary(&b->ptr[i])))
			return false;
	return true;
}

static bool same(const msgpack_object *a, const msgpack_object *b)
{
	if (is_float(a) && is_float(b))
		return memcmp(&a->via.f64, &b->via.f64, sizeof(double)) == 0;
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case MSGPACK_OBJECT_NIL:
		return true;
	case MSGPACK_OBJECT_BOOLEAN:
		return a->via.boolean == b->via.boolean;
	case MSGPACK_OBJECT_STR:
	case MSGPACK_OBJECT_BIN:
		return same_bytes(a, b);
	case MSGPACK_OBJECT_ARRAY:
		return same_list(&a->via.array, &b->via.array);
	case MSGPACK_OBJECT_MAP:
		return same_map(&a->via.map, &b->via.map);
	default:
		return a->via.u64 == b->via.u64;
	}
}

static bool has_huge(const msgpack_object *v)
{
	bool huge = v->type == MSGPACK_OBJECT_POSITIVE_INTEGER && v->via.u64 > INT64_MAX;

	for (uint32_t i = 0; v->type == MSGPACK_OBJECT_ARRAY && i < v->via.array.size; i++)
		huge |= has_huge(&v->via.array.ptr[i]);
	for (uint32_t i = 0; v->type == MSGPACK_OBJECT_MAP && i < v->via.map.size; i++)
		huge |= has_huge(&v->via.map.ptr[i].val);
	return huge;
}

static void to_json_and_back(const msgpack_object *v, struct zn_arena *a)
{
	struct zn_buf json = { 0 }, packed = { 0 };
	msgpack_object again;

	must(zn_val_to_json(v, &json) == 0);
	must(!memchr(json.data, '\n', json.len));
	int rc = zn_json_to_msgpack(json.data, json.len, 0, &packed, NULL);
	must(rc == 0 || has_huge(v));
	if (rc == 0) {
		must(zn_msgpack_check(packed.data, packed.len, 0, NULL) == (ssize_t)packed.len);
		must(zn_val_unpack(packed.data, packed.len, 0, a, &again, NULL) == 0);
		must(same(bare_binary(v), bare_binary(&again)) || v->type == MSGPACK_OBJECT_MAP);
		must(v->type != MSGPACK_OBJECT_MAP || same(v, &again));
	}
	zn_buf_done(&json);
	zn_buf_done(&packed);
}

/* Byte by byte the scan must come to the same answer. */
static void scan_in_pieces(const uint8_t *p, size_t n, ssize_t whole)
{
	struct zn_scan s = { 0 };
	ssize_t rc = 0;
	size_t k = 0;

	while (rc == 0 && k < n)
		rc = zn_msgpack_scan(&s, p, ++k, 0, NULL);
	must(rc == whole || (rc < 0 && whole < 0));
	must(rc <= 0 || (size_t)rc == k);
}

static void fuzz_msgpack(const uint8_t *p, size_t n)
{
	struct zn_arena a = { 0 };
	struct zn_buf packed = { 0 };
	struct zn_err err = { "" };
	msgpack_object v, again;
	ssize_t len = zn_msgpack_check(p, n, 0, &err);

	must(len >= 0 || *err.text);
	must(len <= (ssize_t)n);
	scan_in_pieces(p, n, len);
	int rc = zn_val_unpack(p, len > 0 ? (size_t)len : n, 0, &a, &v, NULL);
	must(len != 0 || rc < 0);
	if (len > 0 && rc == 0) {
		must(zn_val_pack(&v, &packed) == 0 && packed.len <= (size_t)len);
		must(zn_msgpack_check(packed.data, packed.len, 0, NULL) == (ssize_t)packed.len);
		must(zn_val_unpack(packed.data, packed.len, 0, &a, &again, NULL) == 0 && same(&v, &again));
		to_json_and_back(&v, &a);
	}
	zn_buf_done(&packed);
	zn_arena_done(&a);
}

static void fuzz_json(const uint8_t *p, size_t n)
{
	struct zn_arena a = { 0 };
	struct zn_buf packed = { 0 };
	struct zn_err err = { "" };
	msgpack_object v;
	int rc = zn_json_to_msgpack((const char *)p, n, 0, &packed, &err);

	must(rc == 0 || (*err.text && !packed.len));
	if (rc == 0) {
		must(zn_msgpack_check(packed.data, packed.len, 0, NULL) == (ssize_t)packed.len);
		must(zn_val_unpack(packed.data, packed.len, 0, &a, &v, NULL) == 0);
		to_json_and_back(&v, &a);
	}
	zn_buf_done(&packed);
	zn_arena_done(&a);
}

static void flip_a_bit(struct zn_buf *b, size_t bit)
{
	struct zn_frame f;
	size_t at = bit % (b->len * 8);

	b->data[at / 8] = (char)(b->data[at / 8] ^ 1 << at % 8);
	must(zn_frame_get(b->data, b->len, &f) <= 0);
	b->data[at / 8] = (char)(b->data[at / 8] ^ 1 << at % 8);
	must(zn_frame_get(b->data, b->len, &f) == (ssize_t)b->len);
}

static void fuzz_frame(const uint8_t *p, size_t n)
{
	struct zn_buf b = { 0 };
	struct zn_frame f;
	ssize_t len = zn_frame_get(p, n, &f);
	size_t skip = zn_frame_resync(p, n);

	must(len <= (ssize_t)n && skip <= n && (len <= 0 || skip == 0));
	must(skip == n || zn_frame_get(p + skip, n - skip, &f) > 0);
	must(zn_frame_put(&b, n, 7, p, n) == 0);
	must(zn_frame_get(b.data, b.len, &f) == (ssize_t)b.len && f.len == n && f.seq == n && f.nonce == 7);
	must(n == 0 || !memcmp(f.payload, p, n));
	flip_a_bit(&b, n ? (size_t)p[0] | (size_t)p[n - 1] << 8 : 0);
	zn_buf_done(&b);
}

static int memory_file(const void *p, size_t n)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, p, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* A whole stream, shown in every format; how, the second byte says. */
static void fuzz_stream(const uint8_t *p, size_t n)
{
	static const char *const fields[] = { NULL, "kind,a,a.b,a.0.b" };
	struct zn_writer_opts o = { .format = n ? p[0] & 3 : 0, .live = n && p[0] & 4, .width = n && p[0] & 8 ? 20 : 0,
	                            .fields = fields[n && p[0] & 16] };
	int in = memory_file(n ? p + 1 : p, n ? n - 1 : 0), out = memory_file("", 0), rc;
	struct zn_reader *r;
	struct zn_writer *w;
	struct zn_rec rec;
	struct zn_err err = { "" };
	uint64_t last = 0;

	must(zn_reader_new(in, &r) == 0 && zn_writer_new(out, &o, &w) == 0);
	while ((rc = zn_reader_next(r, &rec, &err)) > 0) {
		must(rec.offset >= last && rec.map.type == MSGPACK_OBJECT_MAP);
		must(zn_msgpack_check(rec.p, rec.n, 0, NULL) == (ssize_t)rec.n);
		last = rec.offset;
		must(zn_writer_put_val(w, NULL, &rec.map) == 0);
	}
	must(rc >= 0 || (rc == -EBADMSG && *err.text));
	must(zn_writer_end(w) == 0);
	zn_writer_free(w);
	zn_reader_free(r);
	close(in);
	close(out);
}

static void fuzz_expr(const uint8_t *p, size_t n)
{
	/* {"a":1,"b":"x","c":[1,"y",{"d":2.5}],"e":true} */
	static const char record[] = "\x84\xa1" "a\x01\xa1" "b\xa1x\xa1" "c\x93\x01\xa1y\x81\xa1" "d\xcb\x40\x04\0\0\0\0\0\0\xa1" "e\xc3";
	struct zn_arena a = { 0 };
	struct zn_err err = { "" };
	msgpack_object map;
	struct zn_expr *e;
	char *text = zn_arena_memdup(&a, p, n);

	must(zn_val_unpack(record, sizeof(record) - 1, 0, &a, &map, NULL) == 0);
	int rc = zn_expr_parse(text, &e, &err);
	must(rc == 0 || (rc == -EINVAL && *err.text));
	if (rc == 0) {
		rc = zn_expr_match(e, &map, &a);
		must(rc == 0 || rc == 1);
		zn_expr_free(e);
	}
	zn_arena_done(&a);
}

struct inner { uint64_t x; const char *s; struct zn_of64 f; };
struct outer {
	bool b; uint32_t u; uint64_t n; int64_t i; double f; struct zn_obool ob; struct zn_oi64 oi;
	const char *s; struct zn_bytes bin, any; struct zn_strs l; struct zn_u32s v; struct zn_strmap m;
	struct inner sub; struct zn_list subs;
};

static const struct zn_field inner_fields[] = {
	ZN_FIELD(struct inner, x, U64, "", ""), ZN_FIELD(struct inner, s, STR, "", ""),
	ZN_FIELD(struct inner, f, OF64, "", ""), { 0 },
};
static const struct zn_kind inner_kind = { .fields = inner_fields, .size = sizeof(struct inner) };
static const struct zn_field outer_fields[] = {
	ZN_FIELD(struct outer, b, BOOL, "", ""), ZN_FIELD(struct outer, u, U32, "", ""),
	ZN_FIELD(struct outer, n, BYTES, "", ""), ZN_FIELD(struct outer, i, I64, "", ""),
	ZN_FIELD(struct outer, f, F64, "", ""), ZN_FIELD(struct outer, ob, OBOOL, "", ""),
	ZN_FIELD(struct outer, oi, OI64, "", ""), ZN_FIELD(struct outer, s, STR, "", ""),
	ZN_FIELD(struct outer, bin, BIN, "", ""), ZN_FIELD(struct outer, any, ANY, "", ""),
	ZN_FIELD(struct outer, l, STRS, "", ""), ZN_FIELD(struct outer, v, U32S, "", ""),
	ZN_FIELD(struct outer, m, MAP, "", ""), ZN_FIELD_SUB(struct outer, sub, SUB, &inner_kind, "", ""),
	ZN_FIELD_SUB(struct outer, subs, SUBS, &inner_kind, "", ""), { 0 },
};
static const struct zn_kind outer_kind = { .name = "fuzz", .fields = outer_fields, .size = sizeof(struct outer) };

/* What was decoded and encoded once stays as it is. */
static void fuzz_decode(const uint8_t *p, size_t n)
{
	struct zn_arena a = { 0 };
	struct zn_buf one = { 0 }, two = { 0 };
	struct zn_err err = { "" };
	struct outer s;
	msgpack_object v;

	if (zn_msgpack_check(p, n, 0, NULL) == (ssize_t)n && n && zn_val_unpack(p, n, 0, &a, &v, NULL) == 0) {
		int rc = zn_decode(&outer_kind, &v, &a, &s, &err);
		must(rc == 0 || (rc == -EBADMSG && *err.text));
		if (rc == 0) {
			must(zn_encode(&outer_kind, &s, &one) == 0);
			must(zn_msgpack_check(one.data, one.len, 0, NULL) == (ssize_t)one.len);
			must(zn_val_unpack(one.data, one.len, 0, &a, &v, NULL) == 0);
			must(zn_decode(&outer_kind, &v, &a, &s, NULL) == 0);
			must(zn_encode(&outer_kind, &s, &two) == 0);
			must(one.len == two.len && !memcmp(one.data, two.data, one.len));
		}
	}
	zn_buf_done(&one);
	zn_buf_done(&two);
	zn_arena_done(&a);
}

/* A trace that is taken is run: every job that fits starts when it is there, and ends after that. */
static void run_trace(const struct zn_trace *t)
{
	enum { GPUS = 16 };
	struct zn_sim_job *jobs = calloc(t->n + 1, sizeof(*jobs));
	struct zn_sim_sum sum = { 0 };
	size_t n = 0;

	must(jobs);
	for (size_t i = 0; i < t->n; i++)
		if (t->jobs[i].gpus <= GPUS) {
			double run_s = t->jobs[i].duration_s, wall_s = t->jobs[i].walltime_s;
			double most_s = wall_s > run_s ? wall_s : run_s;
			jobs[n] = (struct zn_sim_job){ .gpus = t->jobs[i].gpus, .duration_s = run_s, .end_s = -1,
			                               .submit_s = t->jobs[i].submit_s, .estimate_s = most_s, .size = (float)t->jobs[i].gpus };
			n++;
		}
	struct zn_pool pool;
	zn_pool_init(&pool, (struct zn_pick_policy){ .backfill = true }, GPUS);
	must(zn_sim_run(jobs, n, (struct zn_sim_world){ .pool = &pool }, NULL, NULL, &sum, NULL, NULL) == 0);
	zn_pick_done(&pool.pick);
	for (size_t i = 0; i < n; i++)
		must(jobs[i].start_s >= jobs[i].submit_s && jobs[i].end_s >= jobs[i].start_s);
	must(sum.jobs == n);
	free(jobs);
}

/* A file of these bytes; returns its descriptor. */
static int as_file(const uint8_t *p, size_t n, char path[64])
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void fuzz_trace(const uint8_t *p, size_t n)
{
	struct zn_err err = { "" };
	struct zn_trace t;
	char path[64];
	int fd = as_file(p, n, path);
	int rc = zn_trace_read(path, ZN_TRACE_POOL, &t, &err);
	must(rc == 0 || (rc == -EBADMSG && *err.text));
	if (rc == 0) {
		run_trace(&t);
		zn_trace_done(&t);
	}
	close(fd);
}

static void on_percent(void *arg, const struct zn_saturation *now)
{
	double *last = arg;

	must(now->arrived_pct == *last + 1 && now->allocated_pct >= 0 && now->allocated_pct <= 100);
	*last = now->arrived_pct;
}

/* Filled, unless that takes long. */
static void fill_cluster(const struct zn_cluster *c, const struct zn_trace *t)
{
	double asked = 0, last = 0;
	struct zn_saturate s = { .trace = t, .cluster = c, .seed = 1, .arg = &last, .tell = on_percent };
	struct zn_saturate_sum sum;
	struct zn_err err = { "" };

	for (size_t i = 0; i < t->n; i++)
		asked += t->jobs[i].gpus * t->jobs[i].gpu_milli / 1000.;
	if (c->gpus > 1000 || asked < c->gpus / 100.)
		return;
	for (int policy = ZN_FLEET_FRAGMENT; policy <= ZN_FLEET_RANDOM; policy++, last = 0) {
		s.policy = (enum zn_fleet_policy)policy;
		int rc = zn_saturate(&s, &sum, &err);
		must(rc == 0 ? last == 130 && sum.allocated <= 1 : rc == -EBADMSG && *err.text);
	}
}

/* On its nodes: no job is anywhere before it came, or on a node that is not there. */
static void run_on_nodes(const struct zn_cluster *c, const struct zn_trace *t)
{
	const struct zn_sim_node **nodes = calloc(c->n_nodes + 1, sizeof(struct zn_sim_node *));
	struct zn_sim_job *jobs = calloc(t->n + 1, sizeof(*jobs));
	struct zn_sim_sum sum = { 0 };
	struct zn_sim_models models;
	struct zn_arena places = { 0 };
	struct zn_hall hall;
	struct zn_err err = { "" };
	size_t n = 0;

	must(nodes && jobs);
	int rc = zn_sim_hall(c, NULL, (struct zn_pick_policy){ .backfill = true }, &models, &hall, nodes, &err);
	must(rc == 0 || (rc == -EBADMSG && *err.text));
	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		struct zn_fleet_gang gang;
		double run_s = t->jobs[i].duration_s;
		jobs[n] = (struct zn_sim_job){ .gpus = t->jobs[i].gpus, .duration_s = run_s, .end_s = -1,
		                               .submit_s = t->jobs[i].submit_s, .estimate_s = run_s };
		n += t->jobs[i].gpus < 4096 && zn_sim_ask(&hall, &models, &t->jobs[i], &jobs[n], &gang) == 0;
	}
	must(rc < 0 || zn_sim_run(jobs, n, (struct zn_sim_world){ .hall = &hall }, NULL, &places, &sum, NULL, NULL) == 0);
	for (size_t i = 0; i < n; i++)
		must(jobs[i].start_s >= jobs[i].submit_s && jobs[i].place.n && jobs[i].place.spots[0].node < c->n_nodes);
	must(rc < 0 || hall.now.used_milli == 0);
	zn_hall_done(&hall);
	zn_arena_done(&places);
	free(nodes);
	free(jobs);
}

/* Up to a NUL a cluster, behind it a trace. */
static void fuzz_cluster(const uint8_t *p, size_t n)
{
	const uint8_t *end = memchr(p, 0, n), *rest = end ? end + 1 : p + n;
	struct zn_err err = { "" };
	struct zn_cluster c;
	struct zn_trace t;
	char path[64];
	int fd = as_file(p, end ? (size_t)(end - p) : n, path);
	enum zn_trace_use use = n % 2 ? ZN_TRACE_PLACE : ZN_TRACE_RUN;
	int rc = zn_cluster_read(path, use, &c, &err);

	must(rc == 0 || (rc == -EBADMSG && *err.text));
	close(fd);
	if (rc < 0)
		return;
	fd = as_file(rest, (size_t)(p + n - rest), path);
	rc = zn_trace_read(path, use, &t, &err);
	must(rc == 0 || (rc == -EBADMSG && *err.text));
	if (rc == 0) {
		(use == ZN_TRACE_RUN ? run_on_nodes : fill_cluster)(&c, &t);
		zn_trace_done(&t);
	}
	zn_cluster_done(&c);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const targets[])(const uint8_t *, size_t) = {
		fuzz_msgpack, fuzz_json, fuzz_frame, fuzz_stream, fuzz_expr, fuzz_decode, fuzz_trace,
		fuzz_cluster,
	};

	if (n)
		targets[data[0] % (sizeof(targets) / sizeof(*targets))](data + 1, n - 1);
	return 0;
}
