/* One field of a batch as a tensor: laid out as the only column there is, then taken as it is or copied to one piece. */
#include "data/dlpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/columns.h"
#include "zenith.h"

#define COPY_ALIGN 256         /* what DLPack asks for */
#define DATA_SPAN 4            /* behind the keys' three and the column's validity */

struct held {
	union {
		struct DLManagedTensor plain;
		struct DLManagedTensorVersioned versioned;
	} as;
	int64_t shape[7], strides[7];
	void *copy;
	void (*release)(void *arg);
	void *arg;
};

static void let_go(struct held *h)
{
	if (h->release)
		h->release(h->arg);
	free(h->copy);
	free(h);
}

static void delete_plain(struct DLManagedTensor *t)
{
	let_go(t->manager_ctx);
}

static void delete_versioned(struct DLManagedTensorVersioned *t)
{
	let_go(t->manager_ctx);
}

static const struct zn_datum *find(const struct zn_sample *s, const char *field)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!strcmp(s->data[i].field, field))
			return &s->data[i];
	return NULL;
}

/* The shape that all samples must have, if the first one has it. */
static int get_shape(const struct zn_batch *b, const char *field, const struct zn_shape **ret, struct zn_err *err)
{
	if (!b->n)
		return zn_err_set(err, -ENOENT, "a batch without samples has no '%s'", field);
	for (uint32_t i = 0; i < b->n; i++)
		if (!find(&b->samples[i], field))
			return zn_err_set(err, -ENOENT, "the sample '%s' has no field '%s'", b->samples[i].key, field);
	*ret = find(&b->samples[0], field)->shape;
	return *ret ? 0 : zn_err_set(err, -EINVAL, "the field '%s' is bytes as they were read, and no tensor", field);
}

static uint8_t code_of(enum zn_dtype t)
{
	static const uint8_t codes[] = {
		[ZN_DTYPE_U8] = ZN__DL_UINT, [ZN_DTYPE_U16] = ZN__DL_UINT, [ZN_DTYPE_I8] = ZN__DL_INT, [ZN_DTYPE_I16] = ZN__DL_INT,
		[ZN_DTYPE_I32] = ZN__DL_INT, [ZN_DTYPE_I64] = ZN__DL_INT, [ZN_DTYPE_F16] = ZN__DL_FLOAT, [ZN_DTYPE_F32] = ZN__DL_FLOAT,
		[ZN_DTYPE_F64] = ZN__DL_FLOAT, [ZN_DTYPE_BF16] = ZN__DL_BFLOAT,
	};

	return codes[t];
}

static void set_strides(struct held *h, uint32_t n_dims)
{
	int64_t stride = 1;

	for (uint32_t i = n_dims; i-- > 0; stride *= h->shape[i])
		h->strides[i] = stride;
}

static struct zn__dl_tensor describe(struct held *h, uint32_t rows, const struct zn_shape *s)
{
	h->shape[0] = rows;
	for (uint32_t i = 0; i < s->n_dims; i++)
		h->shape[i + 1] = s->dims[i];
	set_strides(h, s->n_dims + 1);
	return (struct zn__dl_tensor){
		.device = { .type = ZN__DL_CPU }, .n_dims = (int32_t)s->n_dims + 1, .shape = h->shape, .strides = h->strides,
		.dtype = { .code = code_of(s->dtype), .bits = (uint8_t)(8 * zn_dtype_bytes(s->dtype)), .lanes = 1 },
	};
}

/* The data where they are, if numbers of that type may be there; else a copy of them, in h. */
static void *take(struct held *h, const struct zn__columns *c, enum zn_dtype t)
{
	const void *p = zn__columns_in_place(c, DATA_SPAN);

	if (p && (uintptr_t)p % zn_dtype_bytes(t) == 0)
		return (void *)p;
	size_t n = (size_t)c->spans[DATA_SPAN].bytes / COPY_ALIGN * COPY_ALIGN + 2 * COPY_ALIGN; /* with what fills it up */
	h->copy = aligned_alloc(COPY_ALIGN, n);
	if (h->copy)
		zn__columns_copy(c, DATA_SPAN, h->copy);
	return h->copy;
}

static int make(struct zn__columns *c, const struct zn_batch *b, const char *field, struct held *h, struct zn__dl_tensor *ret,
		struct zn_err *err)
{
	const struct zn_shape *s;

	int rc = get_shape(b, field, &s, err);
	if (rc == 0)
		rc = zn__columns_add(c, field, s, err);
	if (rc == 0)
		rc = zn__columns_lay(c, b, err);
	if (rc < 0)
		return rc;
	*ret = describe(h, b->n, s);
	ret->data = take(h, c, s->dtype);
	return ret->data ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
}

static int hold(const struct zn_batch *b, const char *field, void (*release)(void *), void *arg, struct held **ret,
		struct zn__dl_tensor *ret_tensor, struct zn_err *err)
{
	struct zn__columns c = { .drop_others = true, .meta = "__key__" };
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return zn_err_set(err, -ENOMEM, "out of memory");
	int rc = make(&c, b, field, h, ret_tensor, err);
	zn__columns_done(&c);
	if (rc < 0) {
		let_go(h);
		return rc;
	}
	h->release = release;
	h->arg = arg;
	*ret = h;
	return 0;
}

int zn_batch_export_dlpack(const struct zn_batch *batch, const char *field, void (*release)(void *arg), void *release_arg,
			   struct DLManagedTensorVersioned **ret, struct zn_err *err)
{
	struct zn__dl_tensor tensor;
	struct held *h;
	int rc = hold(batch, field, release, release_arg, &h, &tensor, err);

	if (rc < 0)
		return rc;
	h->as.versioned = (struct DLManagedTensorVersioned){ .version = { 1, 0 }, .manager_ctx = h, .deleter = delete_versioned,
	                                                     .flags = h->copy ? ZN__DL_IS_COPIED : 0, .tensor = tensor };
	*ret = &h->as.versioned;
	return 0;
}

int zn_batch_export_dlpack_unversioned(const struct zn_batch *batch, const char *field, void (*release)(void *arg),
				       void *release_arg, struct DLManagedTensor **ret, struct zn_err *err)
{
	struct zn__dl_tensor tensor;
	struct held *h;
	int rc = hold(batch, field, release, release_arg, &h, &tensor, err);

	if (rc < 0)
		return rc;
	h->as.plain = (struct DLManagedTensor){ .tensor = tensor, .manager_ctx = h, .deleter = delete_plain };
	*ret = &h->as.plain;
	return 0;
}
