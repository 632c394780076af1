/* A batch in Arrow's C data interface, as a consumer takes it: what each column says and holds, and who frees what and when. */
#include <errno.h>
#include <string.h>

#include "batch_help.h"
#include "tap.h"
#include "zenith.h"

static void count(void *arg)
{
	(*(int *)arg)++;
}

static int64_t child_named(const struct ArrowSchema *s, const char *name)
{
	for (int64_t i = 0; i < s->n_children; i++)
		if (!strcmp(s->children[i]->name, name))
			return i;
	return -1;
}

static int32_t i32(const void *p) { int32_t v; memcpy(&v, p, 4); return v; }
static int64_t i64(const void *p) { int64_t v; memcpy(&v, p, 8); return v; }

static bool is_valid(const struct ArrowArray *a, uint32_t row)
{
	const uint8_t *bits = a->buffers[0];

	return !bits || (bits[row / 8] >> row % 8 & 1);
}

/* ---- what is in it ---- */

static bool good_row(const struct ArrowArray *a, const struct column *c, uint32_t col, uint32_t row)
{
	const uint8_t *data = a->buffers[a->n_buffers - 1], *ends = a->buffers[1];
	size_t width = c->shape ? zn_shape_bytes(c->shape) : 0;
	bool has = !c->lacks || row % c->lacks;

	if (is_valid(a, row) != has)
		return false;
	if (c->shape)
		return !has || is_datum(data + row * width, col, row, width);
	int64_t from = i64(ends + row * 8), n = i64(ends + (row + 1) * 8) - from;
	return n == (has ? (int64_t)c->bytes : 0) && is_datum(data + from, col, row, (size_t)n);
}

static bool good_column(const struct ArrowSchema *s, const struct ArrowArray *a, uint32_t col, uint32_t rows)
{
	const struct column *c = &mixed[col];
	int64_t at = child_named(s, c->name), nulls = c->lacks ? (rows + c->lacks - 1) / c->lacks : 0;

	if (at < 0)
		return false;
	const struct ArrowArray *child = a->children[at];
	if (child->length != rows || child->offset || child->null_count != nulls || child->n_buffers != (c->shape ? 2 : 3) ||
	    (nulls != 0) != (child->buffers[0] != NULL))
		return false;
	for (uint32_t r = 0; r < rows; r++)
		if (!good_row(child, c, col, r))
			return false;
	return true;
}

static void test_values(void)
{
	static const uint32_t sizes[] = { 2, 9, 100 };
	struct zn_arena arena = { 0 };
	struct ArrowSchema s;
	struct ArrowArray a;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct zn_batch b = make(&arena, sizes[i], mixed, N_MIXED);
		int n = 0;
		bool good = zn_batch_export_arrow(&b, count, &n, &s, &a, NULL) == 0 &&
		            a.n_children == N_MIXED + 2 && a.length == sizes[i] && a.null_count == 0;
		for (uint32_t col = 0; good && col < N_MIXED; col++)
			if (!good_column(&s, &a, col, sizes[i]))
				good = tap_ok(false, "%s in %u rows", mixed[col].name, sizes[i]);
		const struct ArrowArray *meta = a.children[N_MIXED + 1];
		for (uint32_t r = 0; good && r < sizes[i]; r++)
			good = i64((const char *)meta->children[0]->buffers[1] + r * 8) == 3 &&
			       i64((const char *)meta->children[1]->buffers[1] + r * 8) == 5;
		const int32_t *ends = a.children[0]->buffers[1];
		good = good && i32(ends + 1) == 4 && !memcmp(a.children[0]->buffers[2], "key0key1", 8);
		a.release(&a);
		s.release(&s);
		tap_ok(good && n == 1 && !a.release && !s.release, "%u rows: each value, and the batch is given back once", sizes[i]);
	}
	zn_arena_done(&arena);
}

static void test_no_rows(void)
{
	struct zn_batch none = { 0 };
	struct ArrowSchema s;
	struct ArrowArray a;
	int n = 0;

	bool good = zn_batch_export_arrow(&none, count, &n, &s, &a, NULL) == 0 && a.length == 0 && a.n_children == 2 && s.n_children == 2 &&
	            a.children[0]->buffers[2] && a.children[0]->buffers[1] && i32(a.children[0]->buffers[1]) == 0;
	s.release(&s);
	a.release(&a);
	tap_ok(good && n == 1, "no rows: no null pointers but of validity");
}

static bool is_pair(const char **at, const char *key, const char *val)
{
	const char *const texts[] = { key, val };

	for (int i = 0; i < 2; i++) {
		int32_t n = i32(*at);
		if (n != (int32_t)strlen(texts[i]) || memcmp(*at + 4, texts[i], (size_t)n))
			return false;
		*at += 4 + n;
	}
	return true;
}

static void test_schema(void)
{
	static const struct zn_shape i64s = { .dtype = ZN_DTYPE_I64 }, u16s = { .dtype = ZN_DTYPE_U16 };
	static const struct zn_shape f16s = { .dtype = ZN_DTYPE_F16 }, f64s = { .dtype = ZN_DTYPE_F64 };
	static const struct column cols[] = {
		{ .name = "jpg", .bytes = 4 }, { .name = "cls", .shape = &one_i32 }, { .name = "image", .shape = &image },
		{ .name = "bf", .shape = &one_bf16 }, { .name = "i64", .shape = &i64s }, { .name = "u16", .shape = &u16s },
		{ .name = "f16", .shape = &f16s }, { .name = "f64", .shape = &f64s },
	};
	static const char *const formats[] = { "u", "Z", "i", "w:192", "w:2", "l", "S", "e", "g", "+s" };
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 1, cols, 8);
	struct ArrowSchema s;
	struct ArrowArray a;

	zn_batch_export_arrow(&b, NULL, NULL, &s, &a, NULL);
	a.release(&a);
	bool good = !strcmp(s.format, "+s") && s.n_children == 10 && !s.metadata;
	for (int i = 0; good && i < 10; i++)
		good = !strcmp(s.children[i]->format, formats[i]) && !s.children[i]->dictionary &&
		       s.children[i]->flags == (i && i < 9 ? ARROW_FLAG_NULLABLE : 0);
	tap_ok(good, "formats and flags");
	tap_ok(!strcmp(s.children[9]->children[0]->name, "epoch") && !strcmp(s.children[9]->children[1]->format, "l"),
	       "the struct's members");
	const char *p = s.children[3]->metadata;
	tap_ok(p && i32(p) == 2 && (p += 4) && is_pair(&p, "dtype", "u8") && is_pair(&p, "shape", "[3,8,8]") && !s.children[2]->metadata,
	       "an image says its type and shape, and it alone");
	struct ArrowSchema child = *s.children[3];
	s.children[3]->release = NULL;
	s.release(&s);
	tap_ok(!strcmp(child.name, "image") && child.release, "a child that was moved out outlives its parent");
	child.release(&child);
	zn_arena_done(&arena);
}

/* ---- whose it is ---- */

static void test_no_copy(void)
{
	struct zn_arena arena = { 0 };
	static const struct column cols[] = { { .name = "dense", .shape = &image, .dense = true }, { .name = "loose", .shape = &image },
	                                      { .name = "bin", .bytes = 300, .dense = true } };
	struct zn_batch b = make(&arena, 10, cols, 3);
	struct ArrowSchema s;
	struct ArrowArray a;

	zn_batch_export_arrow(&b, NULL, NULL, &s, &a, NULL);
	tap_ok(a.children[1]->buffers[1] == b.samples[0].data[0].p, "data one behind the other stay where they are");
	tap_ok(a.children[3]->buffers[2] == b.samples[0].data[2].p, "bytes too");
	bool aligned = true;
	for (int i = 0; i < 5; i++)
		for (int64_t j = 0; j < a.children[i]->n_buffers; j++)
			aligned = aligned && (i == 1 || i == 3 || (uintptr_t)a.children[i]->buffers[j] % 64 == 0);
	tap_ok(aligned && a.children[2]->buffers[1] != b.samples[0].data[1].p, "others are copied to multiples of 64 bytes");
	a.release(&a);
	s.release(&s);
	zn_arena_done(&arena);
}

static void test_moved(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 20, mixed, N_MIXED);
	struct ArrowSchema s;
	struct ArrowArray a, jpg, seq;
	int n = 0;

	zn_batch_export_arrow(&b, count, &n, &s, &a, NULL);
	int64_t at = child_named(&s, "jpg");
	jpg = *a.children[at];
	a.children[at]->release = NULL;
	seq = *a.children[N_MIXED + 1]->children[1];
	a.children[N_MIXED + 1]->children[1]->release = NULL;
	a.release(&a);
	tap_ok(n == 0 && good_row(&jpg, &mixed[0], 0, 19) && !is_valid(&jpg, 18), "children that were moved out keep the batch");
	jpg.release(&jpg);
	tap_ok(n == 0 && i64((const char *)seq.buffers[1] + 19 * 8) == 5, "each of them");
	seq.release(&seq);
	tap_ok(n == 1, "and the last one gives it back");
	s.release(&s);
	zn_arena_done(&arena);
}

static void test_refused(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 2, (struct column[]){ { .name = "a", .bytes = 1 }, { .name = "a", .bytes = 1 } }, 2);
	struct ArrowSchema s = { .format = "untouched" };
	struct ArrowArray a = { .length = 77 };
	struct zn_err err = { .text = "" };
	int n = 0;

	tap_ok(zn_batch_export_arrow(&b, count, &n, &s, &a, &err) == -EINVAL && n == 0 && a.length == 77 && !strcmp(s.format, "untouched"),
	       "a batch that is refused is not given back: %s", err.text);
	zn_arena_done(&arena);
}

static void test_device(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3, mixed, N_MIXED);
	struct ArrowDeviceArray d;
	struct ArrowSchema s;
	int n = 0;

	memset(&d, 0xff, sizeof(d));
	int rc = zn_batch_export_arrow_device(&b, count, &n, &s, &d, NULL);
	tap_ok(rc == 0 && d.device_type == ARROW_DEVICE_CPU && d.device_id == -1 && !d.sync_event && !d.reserved[0] && !d.reserved[2] &&
	       good_column(&s, &d.array, 3, 3), "an array on a device, the CPU");
	d.array.release(&d.array);
	s.release(&s);
	tap_ok(n == 1, "and its batch is given back");
	zn_arena_done(&arena);
}

/* ---- a stream of batches ---- */

struct list {
	const struct zn_batch *batches;
	int n, at, fails_at;           /* fails_at: the reading of that one fails, once */
	int out, closed;
};

static int list_next(void *arg, const struct zn_batch **ret, struct zn_err *err)
{
	struct list *l = arg;

	if (l->at == l->fails_at) {
		l->fails_at = -1;
		return zn_err_set(err, -EIO, "the disk is gone");
	}
	if (l->at == l->n)
		return 0;
	*ret = &l->batches[l->at++];
	l->out++;
	return 1;
}

static void list_give_back(void *arg, const struct zn_batch *b)
{
	struct list *l = arg;

	l->out -= b >= l->batches && b < l->batches + l->n;
}

static void list_close(void *arg)
{
	((struct list *)arg)->closed++;
}

static struct ArrowArrayStream open_list(struct list *l)
{
	struct zn_batch_source source = { .next = list_next, .give_back = list_give_back, .close = list_close, .arg = l };
	struct ArrowArrayStream s;

	if (zn_batches_export_arrow(&source, &s, NULL) < 0)
		exit(71);
	return s;
}

static void test_stream(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch none = { 0 }, some = make(&arena, 9, mixed, N_MIXED), batches[] = { none, some, none, some };
	struct list list = { .batches = batches, .n = 4, .fails_at = 3 };
	struct ArrowArrayStream stream = open_list(&list);
	static const int64_t rows[] = { 0, 9, 0 };
	struct ArrowSchema s;
	struct ArrowArray a, last;

	bool good = stream.get_schema(&stream, &s) == 0 && s.n_children == N_MIXED + 2;
	for (int i = 0; good && i < 3; i++) {
		good = stream.get_next(&stream, &a) == 0 && a.length == rows[i] && a.n_children == N_MIXED + 2;
		for (uint32_t col = 0; good && col < N_MIXED; col++)
			good = !rows[i] || good_column(&s, &a, col, 9);
		if (good)
			a.release(&a);
	}
	tap_ok(good && list.out == 0, "each batch in turn, empty ones too, given back when its array is released");
	int rc = stream.get_next(&stream, &a);
	tap_ok(rc == EIO && !strcmp(stream.get_last_error(&stream), "the disk is gone"),
	       "what the source says: %s", stream.get_last_error(&stream));
	rc = stream.get_next(&stream, &last);
	tap_ok(rc == 0 && last.length == 9 && !stream.get_last_error(&stream), "and the next one after it");
	a.release = last.release;
	rc = stream.get_next(&stream, &a);
	tap_ok(rc == 0 && !a.release && stream.get_next(&stream, &a) == 0, "the end, and so it stays");
	stream.release(&stream);
	tap_ok(!stream.release && list.closed == 0 && list.out == 1 && good_column(&s, &last, 0, 9), "an array outlives its stream");
	last.release(&last);
	tap_ok(list.closed == 1 && list.out == 0, "and the source is closed behind it");
	s.release(&s);
	zn_arena_done(&arena);
}

static void test_stream_refused(void)
{
	struct zn_arena arena = { 0 };
	static const struct column twice[] = { { .name = "a", .bytes = 1 }, { .name = "a", .bytes = 1 } };
	static const struct column late[] = { { .name = "late", .bytes = 1 } };
	struct zn_batch batches[] = { make(&arena, 1, twice, 2), make(&arena, 2, mixed, N_MIXED), make(&arena, 1, late, 1) };
	struct list list = { .batches = batches, .n = 3, .fails_at = -1 };
	struct ArrowArrayStream stream = open_list(&list);
	struct ArrowSchema s;
	struct ArrowArray a;

	int rc = stream.get_schema(&stream, &s);
	tap_ok(rc == EINVAL && list.out == 0, "a first batch that is refused: %s", stream.get_last_error(&stream));
	rc = stream.get_next(&stream, &a);
	tap_ok(rc == 0 && a.n_children == N_MIXED + 2, "makes no columns");
	a.release(&a);
	rc = stream.get_next(&stream, &a);
	tap_ok(rc == EINVAL && list.out == 0, "a later one: %s", stream.get_last_error(&stream));
	stream.release(&stream);
	tap_ok(list.closed == 1 && list.out == 0, "each was given back");
	zn_arena_done(&arena);
}

/* Released before anything was asked for, and behind the schema, for which a batch was read. */
static void test_stream_unread(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 2, mixed, N_MIXED);
	struct list unread = { .batches = &b, .n = 1, .fails_at = -1 }, known = unread, nothing = { .fails_at = -1 };
	struct ArrowArrayStream stream = open_list(&unread);
	struct ArrowSchema s;

	stream.release(&stream);
	tap_ok(unread.closed == 1 && unread.at == 0, "a stream that nobody read");
	stream = open_list(&known);
	int rc = stream.get_schema(&stream, &s);
	stream.release(&stream);
	tap_ok(rc == 0 && known.closed == 1 && known.out == 0, "a stream of which the schema was read gives the first batch back");
	s.release(&s);
	stream = open_list(&nothing);
	rc = stream.get_schema(&stream, &s);
	tap_ok(rc == 0 && s.n_children == 2, "a stream of no batches has a schema");
	s.release(&s);
	stream.release(&stream);
	zn_arena_done(&arena);
}

int main(void)
{
	test_values();
	test_no_rows();
	test_schema();
	test_no_copy();
	test_moved();
	test_refused();
	test_device();
	test_stream();
	test_stream_refused();
	test_stream_unread();
	return tap_done();
}
