#include "data/tokens.h"

#include <errno.h>

int zn_tokens_init(struct zn_tokens *t, uint64_t offset_bytes, uint64_t tokens, enum zn_dtype dtype, uint32_t stride,
                   struct zn_err *err)
{
	uint64_t end;

	if (stride == 0 || stride == UINT32_MAX)
		return zn_err_set(err, -EINVAL, "a record can't have %u tokens", stride);
	if (__builtin_mul_overflow(tokens, zn_dtype_bytes(dtype), &end) || __builtin_add_overflow(end, offset_bytes, &end))
		return zn_err_set(err, -EOVERFLOW, "there are more tokens than a file can hold");
	*t = (struct zn_tokens){ offset_bytes, dtype, stride, tokens ? (tokens - 1) / stride : 0 };
	return 0;
}

struct zn_shape zn_tokens_shape(const struct zn_tokens *t)
{
	return (struct zn_shape){ t->dtype, 1, { t->stride + 1 } };
}

uint64_t zn_tokens_offset(const struct zn_tokens *t, uint64_t i)
{
	return t->offset_bytes + i * t->stride * zn_dtype_bytes(t->dtype);
}
