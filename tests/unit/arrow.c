/* Streams taken apart by a reader of FlatBuffers that shares no code with the writer: alignment, offsets, nulls; what was refused;
 * and what it costs, in writes and in bytes copied.  Another reader's word on the same streams is in tests/arrow.bats.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch_help.h"
#include "data/arrow.h"
#include "data/columns.h"
#include "tap.h"

static const struct zn_shape transposed = { .dtype = ZN_DTYPE_U8, .n_dims = 3, .dims = { 8, 8, 3 } };
static const struct zn_shape as_i8 = { .dtype = ZN_DTYPE_I8, .n_dims = 3, .dims = { 3, 8, 8 } };

/* ---- a stream in a file without a name ---- */

static int open_stream(const struct zn_arrow_opts *opts, struct zn_arrow **a)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	if (fd < 0 || zn_arrow_new(fd, opts, a, NULL) < 0)
		exit(71);
	return fd;
}

struct stream {
	uint8_t *p;
	size_t n, at;
};

static struct stream take(int fd, struct zn_arrow *a)
{
	struct stream s = { .n = (size_t)lseek(fd, 0, SEEK_END) };

	s.p = aligned_alloc(64, (s.n + 64) / 64 * 64);
	if (pread(fd, s.p, s.n, 0) != (ssize_t)s.n)
		exit(71);
	close(fd);
	zn_arrow_free(a);
	return s;
}

static struct stream stream_of(const struct zn_batch *batches, size_t n)
{
	struct zn_arrow *a;
	int fd = open_stream(NULL, &a);

	for (size_t i = 0; i < n; i++)
		if (zn_arrow_write(a, &batches[i], NULL) < 0)
			exit(71);
	zn_arrow_end(a, NULL);
	return take(fd, a);
}

/* ---- a reader ---- */

static uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static int32_t i32(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return v; }
static int64_t i64(const uint8_t *p) { int64_t v; memcpy(&v, p, 8); return v; }

/* What was wrong with any of it. */
static char trouble[128];

static void blame(const char *what)
{
	if (!trouble[0])
		snprintf(trouble, sizeof(trouble), "%s", what);
}

/* Field i of a table, of so many bytes; NULL: it has none. */
static const uint8_t *slot(const uint8_t *table, unsigned i, size_t bytes)
{
	const uint8_t *vtable = table - i32(table);
	unsigned off = 4 + 2 * i < u16(vtable) ? u16(vtable + 4 + 2 * i) : 0;

	if ((uintptr_t)vtable % 2 || (uintptr_t)table % 4)
		blame("a table or its vtable is not aligned");
	if (off && (off < 4 || off + bytes > u16(vtable + 2)))
		blame("a field lies outside its table");
	if (off && (uintptr_t)(table + off) % bytes)
		blame("a field is not aligned");
	return off ? table + off : NULL;
}

static const uint8_t *follow(const uint8_t *reference)
{
	if (reference && i32(reference) < 4)
		blame("a reference leads nowhere");
	return reference ? reference + i32(reference) : NULL;
}

static const uint8_t *child(const uint8_t *table, unsigned i)
{
	return follow(slot(table, i, 4));
}

static bool is_string(const uint8_t *s, const char *text)
{
	return s && i32(s) == (int32_t)strlen(text) && !memcmp(s + 4, text, strlen(text) + 1);
}

struct message {
	const uint8_t *table, *body;
	size_t body_bytes;
	int kind;                      /* 1 schema, 3 record batch; 0: the end */
};

/* false: behind the end. */
static bool next(struct stream *s, struct message *m)
{
	const uint8_t *p = s->p + s->at;

	if (s->at >= s->n)
		return false;
	if (s->at % 64 || i32(p) != -1)
		blame("a message does not begin with its marker at a multiple of 64");
	size_t bytes = (size_t)i32(p + 4);
	*m = (struct message){ 0 };
	s->at += 8 + bytes;
	if (!bytes)
		return true;
	m->table = follow(p + 8);
	m->kind = *slot(m->table, 1, 1);
	m->body = p + 8 + bytes;
	m->body_bytes = (size_t)i64(slot(m->table, 3, 8));
	s->at += m->body_bytes;
	if (s->at % 64 || s->at > s->n)
		blame("a message is cut off, or not a multiple of 64");
	if (u16(slot(m->table, 0, 2)) != 4)
		blame("not version V5");
	return true;
}

static const uint8_t *vector_at(const uint8_t *vector, unsigned i, size_t bytes)
{
	if (!vector || i >= (uint32_t)i32(vector) || (uintptr_t)(vector + 4) % (bytes > 8 ? 8 : bytes)) {
		blame("a vector is too short, or not aligned");
		return NULL;
	}
	return vector + 4 + i * bytes;
}

static int64_t node(const struct message *m, unsigned i, unsigned which)
{
	const uint8_t *at = vector_at(child(child(m->table, 2), 1), i, 16);

	return at ? i64(at + 8 * which) : -1;
}

static const uint8_t *buffer(const struct message *m, unsigned i, size_t *ret_bytes)
{
	const uint8_t *at = vector_at(child(child(m->table, 2), 2), i, 16);
	int64_t offset = at ? i64(at) : 0;

	*ret_bytes = at ? (size_t)i64(at + 8) : 0;
	if (offset % 64 || offset < 0 || (size_t)offset + *ret_bytes > m->body_bytes)
		blame("a buffer is not aligned, or lies outside the body");
	return m->body + offset;
}

/* Each buffer behind the one before, what fills it up nought. */
static void check_body(const struct message *m)
{
	const uint8_t *end = m->body, *all = child(child(m->table, 2), 2);

	for (int i = 0; i < i32(all); i++) {
		size_t n;
		const uint8_t *p = buffer(m, (unsigned)i, &n);
		if (p < end)
			blame("buffers overlap");
		for (; end < p; end++)
			if (*end)
				blame("buffers are filled up with rubbish");
		end = p + n;
	}
}

static void done(const char *what)
{
	tap_ok(!trouble[0], "%s%s%s", what, trouble[0] ? ": " : "", trouble);
	trouble[0] = '\0';
}

/* ---- tests ---- */

static bool valid(const uint8_t *bits, size_t n, uint32_t row)
{
	return !n || (bits[row / 8] >> row % 8 & 1);
}

static void check_fixed(const struct message *m, const struct column *c, uint32_t col, unsigned buf, uint32_t rows)
{
	size_t n_valid, n, width = zn_shape_bytes(c->shape);
	const uint8_t *bits = buffer(m, buf, &n_valid), *p = buffer(m, buf + 1, &n);

	if (n != rows * width || (n_valid != 0) != (c->lacks && rows))
		blame("a column of fixed width has the wrong number of bytes");
	for (uint32_t r = 0; r < rows; r++)
		if (valid(bits, n_valid, r) != (!c->lacks || r % c->lacks) ||
		    (valid(bits, n_valid, r) && !is_datum(p + r * width, col, r, width)))
			blame(c->name);
}

static void check_bytes(const struct message *m, const struct column *c, uint32_t col, unsigned buf, uint32_t rows)
{
	size_t n_valid, n_ends, n;
	const uint8_t *bits = buffer(m, buf, &n_valid), *ends = buffer(m, buf + 1, &n_ends), *p = buffer(m, buf + 2, &n);

	if (n_ends != (rows + 1) * 8 || i64(ends) != 0 || i64(ends + rows * 8) != (int64_t)n)
		blame("offsets do not span the data");
	for (uint32_t r = 0; r < rows; r++) {
		bool has = !c->lacks || r % c->lacks;
		int64_t bytes = i64(ends + (r + 1) * 8) - i64(ends + r * 8);
		if (valid(bits, n_valid, r) != has || bytes != (has ? (int64_t)c->bytes : 0) ||
		    !is_datum(p + i64(ends + r * 8), col, r, (size_t)bytes))
			blame(c->name);
	}
}

static void check_meta(const struct message *m, unsigned at_node, unsigned buf, uint32_t rows)
{
	for (unsigned i = 0; i < 2; i++) {
		size_t n;
		const uint8_t *p = buffer(m, buf + 2 + 2 * i, &n);
		if (n != rows * 8 || node(m, at_node + 1 + i, 0) != rows)
			blame("the struct's member has the wrong length");
		for (uint32_t r = 0; r < rows; r++)
			if (i64(p + r * 8) != (i ? 5 : 3))
				blame("epoch or seq");
	}
}

static void check_mixed(const struct message *m, uint32_t rows)
{
	unsigned buf = 3, i;

	check_body(m);
	for (i = 0; i < N_MIXED; i++) {
		uint32_t lacks = mixed[i].lacks ? (rows + mixed[i].lacks - 1) / mixed[i].lacks : 0;
		if (node(m, i + 1, 0) != rows || node(m, i + 1, 1) != lacks)
			blame("a column's length or count of nulls");
		(mixed[i].shape ? check_fixed : check_bytes)(m, &mixed[i], i, buf, rows);
		buf += mixed[i].shape ? 2 : 3;
	}
	check_meta(m, i + 1, buf, rows);
}

static void test_structure(void)
{
	static const uint32_t rows[] = { 1000, 0, 1, 7, 8, 9, 64 };
	struct zn_arena arena = { 0 };
	struct zn_arrow_field fields[N_MIXED];
	struct zn_arrow *a;
	struct message m;

	for (uint32_t i = 0; i < N_MIXED; i++)
		fields[i] = (struct zn_arrow_field){ mixed[i].name, mixed[i].shape };
	int fd = open_stream(&(struct zn_arrow_opts){ .fields = fields, .n_fields = N_MIXED }, &a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_batch b = make(&arena, rows[i], mixed, N_MIXED);
		zn_arrow_write(a, &b, NULL);
	}
	zn_arrow_end(a, NULL);
	struct stream s = take(fd, a);
	tap_ok(next(&s, &m) && m.kind == 1 && m.body_bytes == 0, "the schema comes first");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!next(&s, &m) || m.kind != 3 || i64(slot(child(m.table, 2), 0, 8)) != rows[i])
			blame("not the record batch that was written");
		check_mixed(&m, rows[i]);
		char what[64];
		snprintf(what, sizeof(what), "a batch of %u rows of %u columns", rows[i], N_MIXED);
		done(what);
	}
	tap_ok(next(&s, &m) && m.kind == 0 && s.at == s.n, "the end of the stream is its end");
	free(s.p);
	zn_arena_done(&arena);
}

static void check_field(const uint8_t *fields, unsigned i, const char *name, int type, bool nullable)
{
	const uint8_t *field = follow(vector_at(fields, i, 4));

	if (!is_string(child(field, 0), name) || *slot(field, 2, 1) != type || *slot(field, 1, 1) != nullable ||
	    !child(field, 3) || !child(field, 5))
		blame(name);
}

static void test_schema(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 1, (struct column[]){ { .name = "jpg", .bytes = 4 }, { .name = "cls", .shape = &one_i32 },
	                                                       { .name = "image", .shape = &image }, { .name = "bf", .shape = &one_bf16 } }, 4);
	struct stream s = stream_of(&b, 1);
	struct message m;

	next(&s, &m);
	const uint8_t *schema = child(m.table, 2), *fields = child(schema, 1);
	tap_ok(i32(fields) == 6 && u16(slot(schema, 0, 2)) == 0, "a schema of little-endian columns");
	check_field(fields, 0, "__key__", 5, false);
	check_field(fields, 1, "jpg", 19, true);
	check_field(fields, 2, "cls", 2, true);
	check_field(fields, 3, "image", 15, true);
	check_field(fields, 4, "bf", 15, true);
	check_field(fields, 5, "meta", 13, false);
	done("keys, LargeBinary, Int, FixedSizeBinary and the struct");
	const uint8_t *cls = follow(vector_at(fields, 2, 4)), *img = follow(vector_at(fields, 3, 4)), *meta = follow(vector_at(fields, 5, 4));
	tap_ok(i32(slot(child(cls, 3), 0, 4)) == 32 && *slot(child(cls, 3), 1, 1) == 1, "a label is a signed Int of 32 bits");
	const uint8_t *pairs = child(img, 6), *dtype = follow(vector_at(pairs, 0, 4)), *shape = follow(vector_at(pairs, 1, 4));
	tap_ok(i32(slot(child(img, 3), 0, 4)) == 192 && is_string(child(dtype, 0), "dtype") && is_string(child(dtype, 1), "u8") &&
	       is_string(child(shape, 0), "shape") && is_string(child(shape, 1), "[3,8,8]"), "an image says its type and shape");
	tap_ok(!slot(cls, 6, 4), "a label has no metadata");
	check_field(child(meta, 5), 0, "epoch", 2, false);
	check_field(child(meta, 5), 1, "seq", 2, false);
	done("the struct has epoch and seq");
	free(s.p);
	zn_arena_done(&arena);
}

/* A batch that can't be written leaves no trace in the stream. */
static void test_refused(void)
{
	static const struct { const char *what; uint32_t n; struct column cols[2]; const char *sentence; } rows[] = {
		{ "a field that came later", 2, { { .name = "jpg", .bytes = 9 }, { .name = "late", .bytes = 1 } },
		  "the field 'late' of 'key0' has no column: the stream began without it" },
		{ "another shape", 1, { { .name = "image", .shape = &transposed } },
		  "the field 'image' of 'key0' is u8[8,8,3], and its column is u8[3,8,8]" },
		{ "another type", 1, { { .name = "image", .shape = &as_i8 } },
		  "the field 'image' of 'key0' is i8[3,8,8], and its column is u8[3,8,8]" },
		{ "bytes for numbers", 1, { { .name = "image", .bytes = 192 } },
		  "the field 'image' of 'key0' is bytes, and its column is u8[3,8,8]" },
		{ "numbers for bytes", 1, { { .name = "jpg", .shape = &one_i32 } },
		  "the field 'jpg' of 'key0' is i32[], and its column is bytes" },
		{ "a field twice", 2, { { .name = "jpg", .bytes = 9 }, { .name = "jpg", .bytes = 9 } },
		  "the sample 'key0' has the field 'jpg' twice" },
	};
	struct zn_arena arena = { 0 };
	struct zn_batch good = make(&arena, 4, (struct column[]){ { .name = "jpg", .bytes = 300 }, { .name = "image", .shape = &image } }, 2);
	struct stream want = stream_of((struct zn_batch[]){ good, good }, 2);
	struct zn_arrow *a;
	int fd = open_stream(NULL, &a);

	zn_arrow_write(a, &good, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_err err = { .text = "" };
		struct zn_batch bad = make(&arena, 1, rows[i].cols, rows[i].n);
		tap_ok(zn_arrow_write(a, &bad, &err) == -EINVAL && !strcmp(err.text, rows[i].sentence), "%s: %s", rows[i].what, err.text);
	}
	struct zn_err err = { .text = "" };
	struct zn_batch cut = make(&arena, 1, (struct column[]){ { .name = "image", .shape = &image } }, 1);
	((struct zn_datum *)cut.samples[0].data)->n--;
	tap_ok(zn_arrow_write(a, &cut, &err) == -EINVAL, "fewer bytes than the shape takes: %s", err.text);
	zn_arrow_write(a, &good, NULL);
	zn_arrow_end(a, NULL);
	tap_ok(zn_arrow_end(a, &err) == -EINVAL && zn_arrow_write(a, &good, &err) == -EINVAL, "nothing comes behind the end: %s", err.text);
	struct stream s = take(fd, a);
	tap_ok(s.n == want.n && !memcmp(s.p, want.p, s.n), "what was refused left no trace in the stream");
	free(s.p);
	free(want.p);
	zn_arena_done(&arena);
}

static void test_refused_fields(void)
{
	static const struct zn_shape huge = { .dtype = ZN_DTYPE_U8, .n_dims = 1, .dims = { 1u << 31 } }, deep = { .n_dims = 7 };
	static const struct zn_shape vast = { .dtype = ZN_DTYPE_F64, .n_dims = 3, .dims = { 1u << 31, 1u << 31, 1u << 31 } };
	static const struct zn_arrow_field rows[][2] = {
		{ { .name = "__key__" } }, { { .name = "meta" } }, { { .name = "a" }, { .name = "a" } },
		{ { .name = "a", .shape = &huge } }, { { .name = "a", .shape = &vast } }, { { .name = "a", .shape = &deep } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_err err = { .text = "" };
		struct zn_arrow *a = NULL;
		struct zn_arrow_opts opts = { .fields = rows[i], .n_fields = rows[i][1].name ? 2 : 1 };
		tap_ok(zn_arrow_new(1, &opts, &a, &err) == -EINVAL && !a, "refused: %s", err.text);
	}
}

/* The first batch is refused, the next one makes the columns. */
static void test_first_refused(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch bad = make(&arena, 1, (struct column[]){ { .name = "x", .bytes = 1 }, { .name = "x", .bytes = 1 } }, 2);
	struct zn_batch good = make(&arena, 1, (struct column[]){ { .name = "y", .bytes = 1 } }, 1);
	struct stream want = stream_of(&good, 1);
	struct zn_arrow *a;
	int fd = open_stream(NULL, &a);

	bool refused = zn_arrow_write(a, &bad, NULL) == -EINVAL;
	zn_arrow_write(a, &good, NULL);
	zn_arrow_end(a, NULL);
	struct stream s = take(fd, a);
	tap_ok(refused && s.n == want.n && !memcmp(s.p, want.p, s.n), "a first batch that is refused makes no columns");
	free(s.p);
	free(want.p);
	zn_arena_done(&arena);
}

static void test_empty(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch none = { 0 }, some = make(&arena, 2, mixed + 1, 1);
	struct stream s = stream_of((struct zn_batch[]){ none, none, some }, 3);
	int64_t rows[] = { -1, 0, 0, 2 };
	struct message m;

	for (int i = 0; i < 4; i++)
		if (!next(&s, &m) || m.kind != (i ? 3 : 1) || (i && i64(slot(child(m.table, 2), 0, 8)) != rows[i]))
			blame("a message");
	done("empty batches wait for the first that has fields, in their order");
	free(s.p);
	s = stream_of(NULL, 0);
	tap_ok(next(&s, &m) && m.kind == 1 && next(&s, &m) && m.kind == 0 && s.at == s.n, "without a batch there is a schema and the end");
	free(s.p);
	zn_arena_done(&arena);
}

static void test_options(void)
{
	static const struct zn_arrow_field wants[] = { { .name = "txt" } };
	struct zn_arrow_opts opts = { .fields = wants, .n_fields = 1, .drop_others = true, .meta = "batch" };
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3, mixed, N_MIXED);
	struct zn_arrow *a;
	struct message m;

	int fd = open_stream(&opts, &a);
	int rc = zn_arrow_write(a, &b, NULL);
	zn_arrow_end(a, NULL);
	struct stream s = take(fd, a);
	next(&s, &m);
	const uint8_t *fields = child(child(m.table, 2), 1);
	tap_ok(rc == 0 && i32(fields) == 3, "fields that were not asked for are left out when that was said");
	check_field(fields, 1, "txt", 19, true);
	check_field(fields, 2, "batch", 13, false);
	next(&s, &m);
	check_bytes(&m, &mixed[1], 1, 3, 3);
	done("and what was asked for is whole");
	free(s.p);
	zn_arena_done(&arena);
}

static void test_keys(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3, mixed + 1, 1);
	struct zn_sample *samples = (struct zn_sample *)b.samples;
	struct message m;
	size_t n_ends, n;

	samples[1].key = "\xff" "b\xc3\xa9";
	samples[2].key = "\xc3\xa9";
	struct stream s = stream_of(&b, 1);
	next(&s, &m);
	next(&s, &m);
	const uint8_t *ends = buffer(&m, 1, &n_ends), *p = buffer(&m, 2, &n);
	tap_ok(n_ends == 16 && i32(ends + 4) == 4 && n == 4 + 7 + 2 && !memcmp(p, "key0\\xffb\xc3\xa9\xc3\xa9", n),
	       "a key that is not UTF-8 is escaped, another is not: %.*s", (int)n, (const char *)p);
	free(s.p);
	zn_arena_done(&arena);
}

/* A member "a." has a field without a name. */
static void test_no_name(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 1, &(struct column){ .name = "", .bytes = 3 }, 1);
	struct stream s = stream_of(&b, 1);
	struct message m;

	next(&s, &m);
	check_field(child(child(m.table, 2), 1), 1, "", 19, true);
	done("a field without a name");
	free(s.p);
	zn_arena_done(&arena);
}

/* ---- what it costs ---- */

static unsigned long long writes_of(const struct zn_arrow *a)
{
	return zn_arrow_stats_get(a)->writes;
}

static size_t vectors_of(const struct zn__columns *c, size_t span)
{
	return c->spans[span].n;
}

static void test_vectors(void)
{
	struct zn_arena arena = { 0 };
	struct zn__columns c = { 0 };
	struct zn_batch b = make(&arena, 100, (struct column[]){ { .name = "a", .shape = &image, .dense = true }, { .name = "b", .shape = &image },
	                                                         { .name = "c", .bytes = 5 }, { .name = "d", .bytes = 999 } }, 4);

	zn__columns_learn(&c, &b, NULL);
	int rc = zn__columns_lay(&c, &b, NULL);
	tap_ok(rc == 0 && c.copied_bytes == 500,
	       "of small data each byte is copied, of large ones none: %llu", (unsigned long long)c.copied_bytes);
	/* spans: 3 of the keys, then validity and data of a and b, validity, offsets and data of c and d */
	tap_ok(vectors_of(&c, 4) == 1 && c.vectors[c.spans[4].first].iov_base == b.samples[0].data[0].p &&
	       c.vectors[c.spans[4].first].iov_len == 19200,
	       "data one behind the other are one vector, where they are");
	bool each = vectors_of(&c, 6) == 100;
	for (size_t i = 0; each && i < 100; i++)
		each = c.vectors[c.spans[6].first + i].iov_base == b.samples[i].data[1].p &&
		       c.vectors[c.spans[6].first + i].iov_len == 192;
	tap_ok(each, "data that are not are one vector each");
	tap_ok(vectors_of(&c, 9) == 1 && vectors_of(&c, 12) == 101, "small ones are one vector, together with what fills them up");
	const void *cells = c.cells, *vectors = c.vectors, *scratch = c.scratch.p;
	const void *keys = c.keys.data, *ends = c.key_ends;
	for (int i = 0; i < 5; i++)
		zn__columns_lay(&c, &b, NULL);
	tap_ok(cells == c.cells && vectors == c.vectors && scratch == c.scratch.p &&
	       keys == c.keys.data && ends == c.key_ends,
	       "the memory of one batch does for the next");
	tap_ok(c.scratch.used <= c.scratch.room, "scratch was counted right");
	zn__columns_done(&c);
	zn_arena_done(&arena);
}

static void test_writes(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch few = make(&arena, 50, mixed, N_MIXED);
	struct zn_batch many = make(&arena, 5000, &(struct column){ .name = "image", .shape = &image }, 1);
	struct zn_arrow *a;

	int fd = open_stream(NULL, &a);
	zn_arrow_write(a, &few, NULL);
	zn_arrow_write(a, &few, NULL);
	zn_arrow_end(a, NULL);
	tap_ok(writes_of(a) == 4 && zn_arrow_stats_get(a)->batches == 2 && zn_arrow_stats_get(a)->rows == 100,
	       "a message is one write: %llu",
	       writes_of(a));
	tap_ok(zn_arrow_stats_get(a)->bytes == (uint64_t)lseek(fd, 0, SEEK_END), "and each byte of it is counted");
	free(take(fd, a).p);
	fd = open_stream(NULL, &a);
	zn_arrow_write(a, &many, NULL);
	tap_ok(writes_of(a) == 1 + (5000 + 10 + 1023) / 1024, "5,000 vectors take as many writes as there are thousands: %llu",
	       writes_of(a));
	tap_ok(zn_arrow_stats_get(a)->copied_bytes == 0, "and no copy");
	free(take(fd, a).p);
	zn_arena_done(&arena);
}

/* Offsets behind 2 GiB, of memory that is there only by name. */
static void test_large(void)
{
	size_t each = (size_t)1536 << 20;
	uint8_t *p = mmap(NULL, each, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct zn_datum data[2][1] = { { { .field = "bin", .p = p, .n = each } }, { { .field = "bin", .p = p, .n = each } } };
	struct zn_sample samples[2] = { { .key = "a", .data = data[0], .n = 1 }, { .key = "b", .data = data[1], .n = 1 } };
	struct zn_batch b = { .samples = samples, .n = 2 };
	struct zn__columns c = { 0 };
	struct zn_arrow *a;

	if (p == MAP_FAILED) {
		tap_ok(true, "no 1.5 GiB of addresses # SKIP");
		return;
	}
	zn__columns_learn(&c, &b, NULL);
	int rc = zn__columns_lay(&c, &b, NULL);
	const uint8_t *ends = c.vectors[c.spans[4].first].iov_base;
	tap_ok(rc == 0 && i64(ends + 8) == (int64_t)each && i64(ends + 16) == 2 * (int64_t)each && c.spans[5].bytes == 2 * (int64_t)each &&
	       c.body_bytes > INT32_MAX && c.spans[6].offset == c.spans[5].offset + 2 * (int64_t)each, "a column of 3 GiB has its offsets");
	zn__columns_done(&c);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	zn_arrow_new(fd, NULL, &a, NULL);
	rc = zn_arrow_write(a, &b, NULL);
	tap_ok(rc == 0 && zn_arrow_stats_get(a)->bytes > 2 * each && writes_of(a) > 2,
	       "and is written in more calls than one, for the kernel takes 2 GiB at a time: %llu", writes_of(a));
	zn_arrow_free(a);
	close(fd);
	munmap(p, each);
}

/* ---- pipes that take little at a time ---- */

static void reader(int from, int to)
{
	char some[777];
	ssize_t n;

	while ((n = read(from, some, sizeof(some))) > 0)
		if (write(to, some, (size_t)n) != n)
			_exit(1);
	_exit(n < 0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* The stream of a batch through a pipe of one page, to compare with the one that went to a file. */
static void pass(const struct zn_batch *b, int flags, const struct stream *want, const char *how)
{
	int p[2], out = memfd_create("out", MFD_CLOEXEC), status;
	struct zn_arrow *a;

	if (pipe2(p, O_CLOEXEC) < 0 || fcntl(p[1], F_SETPIPE_SZ, 4096) < 0 || (flags && fcntl(p[1], F_SETFL, flags) < 0))
		exit(71);
	pid_t pid = fork();
	if (pid == 0) {
		close(p[1]);
		reader(p[0], out);
	}
	close(p[0]);
	zn_arrow_new(p[1], NULL, &a, NULL);
	int rc = zn_arrow_write(a, b, NULL) < 0 || zn_arrow_end(a, NULL) < 0;
	close(p[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	unsigned long long writes = writes_of(a);
	struct stream s = take(out, a);
	tap_ok(rc == 0 && status == 0 && writes > 3 && s.n == want->n && !memcmp(s.p, want->p, s.n),
	       "%s, %llu writes", how, writes);
	free(s.p);
}

static void test_pipes(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3000, mixed, N_MIXED);
	struct stream want = stream_of(&b, 1);
	struct itimerval often = { .it_interval = { .tv_usec = 200 }, .it_value = { .tv_usec = 200 } }, never = { 0 };

	pass(&b, O_NONBLOCK, &want, "a pipe that does not block");
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	pass(&b, 0, &want, "short writes and signals");
	setitimer(ITIMER_REAL, &never, NULL);
	free(want.p);
	zn_arena_done(&arena);
}

static void test_broken(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3, mixed, N_MIXED);
	struct zn_arrow *a;
	struct zn_err err = { .text = "" };
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(p, O_CLOEXEC) < 0)
		exit(71);
	close(p[0]);
	zn_arrow_new(p[1], NULL, &a, NULL);
	tap_ok(zn_arrow_write(a, &b, &err) == -EPIPE, "a pipe that nobody reads: %s", err.text);
	tap_ok(zn_arrow_write(a, &b, &err) == -EPIPE && zn_arrow_end(a, &err) == -EPIPE, "and so it stays: %s", err.text);
	zn_arrow_free(a);
	close(p[1]);
	zn_arena_done(&arena);
}

int main(void)
{
	test_structure();
	test_schema();
	test_refused();
	test_refused_fields();
	test_first_refused();
	test_empty();
	test_options();
	test_keys();
	test_no_name();
	test_vectors();
	test_writes();
	test_large();
	test_pipes();
	test_broken();
	return tap_done();
}
