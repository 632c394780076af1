/* A field of a batch as a DLPack tensor: what it says, where its data are, who frees it. */
#include <errno.h>
#include <string.h>

#include "batch_help.h"
#include "data/dlpack.h"
#include "tap.h"
#include "zenith.h"

/* What dlpack.h makes of them on machines of 64 bits. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct zn__dl_tensor) == 48, "DLTensor");
_Static_assert(sizeof(void *) != 8 || sizeof(struct DLManagedTensor) == 64, "DLManagedTensor");
_Static_assert(sizeof(void *) != 8 || offsetof(struct DLManagedTensorVersioned, tensor) == 32, "DLManagedTensorVersioned");
_Static_assert(sizeof(void *) != 8 || offsetof(struct zn__dl_tensor, dtype) == 20, "DLDataType");

static void count(void *arg)
{
	(*(int *)arg)++;
}

static bool holds(const struct zn__dl_tensor *t, uint32_t col, uint32_t rows, size_t width)
{
	for (uint32_t r = 0; r < rows; r++)
		if (!is_datum((const uint8_t *)t->data + r * width, col, r, width))
			return false;
	return true;
}

static void test_tensor(void)
{
	static const struct column cols[] = {
		{ .name = "dense", .shape = &image, .dense = true }, { .name = "loose", .shape = &image }, { .name = "cls", .shape = &one_i32 },
		{ .name = "meta", .shape = &image }, { .name = "bf", .shape = &one_bf16 }, { .name = "jpg", .bytes = 900 },
	};
	static const struct {
		const char *field;
		uint32_t col;
		int n_dims;
		int64_t shape[4], strides[4];
		uint8_t code, bits;
		bool copied;
	} rows[] = {
		{ "dense", 0, 4, { 20, 3, 8, 8 }, { 192, 64, 8, 1 }, ZN__DL_UINT, 8, false },
		{ "loose", 1, 4, { 20, 3, 8, 8 }, { 192, 64, 8, 1 }, ZN__DL_UINT, 8, true },
		{ "cls", 2, 1, { 20 }, { 1 }, ZN__DL_INT, 32, true },
		{ "meta", 3, 4, { 20, 3, 8, 8 }, { 192, 64, 8, 1 }, ZN__DL_UINT, 8, true },
		{ "bf", 4, 1, { 20 }, { 1 }, ZN__DL_BFLOAT, 16, true },
	};
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 20, cols, 6);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct DLManagedTensorVersioned *m;
		int n = 0;
		if (zn_batch_export_dlpack(&b, rows[i].field, count, &n, &m, NULL) < 0) {
			tap_ok(false, "%s", rows[i].field);
			continue;
		}
		const struct zn__dl_tensor *t = &m->tensor;
		size_t dims = (size_t)rows[i].n_dims * sizeof(int64_t), width = zn_shape_bytes(cols[rows[i].col].shape);
		bool good = m->version.major == 1 && t->n_dims == rows[i].n_dims && !memcmp(t->shape, rows[i].shape, dims) &&
		            !memcmp(t->strides, rows[i].strides, dims) && t->dtype.code == rows[i].code && t->dtype.bits == rows[i].bits &&
		            t->dtype.lanes == 1 && t->device.type == ZN__DL_CPU && !t->device.id && !t->byte_offset;
		good = good && (t->data != b.samples[0].data[rows[i].col].p) == rows[i].copied &&
		       (m->flags == ZN__DL_IS_COPIED) == rows[i].copied && (!rows[i].copied || (uintptr_t)t->data % 256 == 0) && holds(t, rows[i].col, 20, width) && n == 0;
		m->deleter(m);
		tap_ok(good && n == 1, "%s: %s, and given back once", rows[i].field, rows[i].copied ? "copied" : "where it was");
	}
	zn_arena_done(&arena);
}

static void test_unversioned(void)
{
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 5, &(struct column){ .name = "small", .shape = &small }, 1);
	struct DLManagedTensor *m;
	int n = 0;

	int rc = zn_batch_export_dlpack_unversioned(&b, "small", count, &n, &m, NULL);
	tap_ok(rc == 0 && m->tensor.n_dims == 2 && m->tensor.shape[1] == 3 && m->tensor.dtype.code == ZN__DL_FLOAT &&
	       holds(&m->tensor, 0, 5, 12), "as before 1.0");
	m->deleter(m);
	tap_ok(n == 1, "and given back");
	zn_arena_done(&arena);
}

/* Data one behind the other, but where no number of their type may be. */
static void test_unaligned(void)
{
	static const struct zn_shape wide = { .dtype = ZN_DTYPE_F32, .n_dims = 1, .dims = { 64 } };
	struct zn_arena arena = { 0 };
	uint8_t *p = zn_arena_room(&arena, 2 * 256 + 1);
	struct zn_datum data[2] = { { .field = "x", .p = p + 1, .n = 256, .shape = &wide },
	                            { .field = "x", .p = p + 257, .n = 256, .shape = &wide } };
	struct zn_sample samples[2] = { { .key = "a", .data = &data[0], .n = 1 }, { .key = "b", .data = &data[1], .n = 1 } };
	struct zn_batch b = { .samples = samples, .n = 2 };
	struct DLManagedTensorVersioned *m;

	memset(p, 5, 513);
	int rc = zn_batch_export_dlpack(&b, "x", NULL, NULL, &m, NULL);
	tap_ok(rc == 0 && m->flags == ZN__DL_IS_COPIED && (uintptr_t)m->tensor.data % 4 == 0 &&
	       !memcmp(m->tensor.data, p + 1, 512), "what is not aligned is copied");
	m->deleter(m);
	zn_arena_done(&arena);
}

static void test_refused(void)
{
	static const struct column cols[] = { { .name = "jpg", .bytes = 9 }, { .name = "image", .shape = &image, .lacks = 2 } };
	struct zn_arena arena = { 0 };
	struct zn_batch b = make(&arena, 3, cols, 2), none = { 0 };
	struct zn_batch mix = make(&arena, 2, &(struct column){ .name = "image", .shape = &image }, 1);
	const struct { const char *what, *field; const struct zn_batch *b; int rc; } rows[] = {
		{ "bytes", "jpg", &b, -EINVAL }, { "not in each sample", "image", &b, -ENOENT }, { "in none", "txt", &b, -ENOENT },
		{ "no samples", "image", &none, -ENOENT }, { "two shapes", "image", &mix, -EINVAL },
	};

	((struct zn_datum *)mix.samples[1].data)->shape = &small;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct DLManagedTensorVersioned *m = NULL;
		struct zn_err err = { .text = "" };
		int n = 0;
		int rc = zn_batch_export_dlpack(rows[i].b, rows[i].field, count, &n, &m, &err);
		tap_ok(rc == rows[i].rc && !m && !n, "%s: %s", rows[i].what, err.text);
	}
	zn_arena_done(&arena);
}

int main(void)
{
	test_tensor();
	test_unversioned();
	test_unaligned();
	test_refused();
	return tap_done();
}
