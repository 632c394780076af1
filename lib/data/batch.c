#include "data/batch.h"

#include <errno.h>
#include <string.h>

static const struct { const char *name; uint8_t bytes; } dtypes[] = {
	[ZN_DTYPE_U8] = { "u8", 1 }, [ZN_DTYPE_I32] = { "i32", 4 }, [ZN_DTYPE_I64] = { "i64", 8 }, [ZN_DTYPE_F16] = { "f16", 2 },
	[ZN_DTYPE_BF16] = { "bf16", 2 }, [ZN_DTYPE_F32] = { "f32", 4 }, [ZN_DTYPE_F64] = { "f64", 8 }, [ZN_DTYPE_I8] = { "i8", 1 },
	[ZN_DTYPE_U16] = { "u16", 2 }, [ZN_DTYPE_I16] = { "i16", 2 },
};

size_t zn_dtype_bytes(enum zn_dtype t)
{
	return dtypes[t].bytes;
}

const char *zn_dtype_name(enum zn_dtype t)
{
	return dtypes[t].name;
}

int zn_dtype_parse(const char *name, enum zn_dtype *ret)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(*dtypes); i++)
		if (!strcmp(dtypes[i].name, name)) {
			*ret = (enum zn_dtype)i;
			return 0;
		}
	return -EINVAL;
}

size_t zn_shape_bytes(const struct zn_shape *s)
{
	size_t n = zn_dtype_bytes(s->dtype);

	for (uint32_t i = 0; i < s->n_dims; i++)
		if (__builtin_mul_overflow(n, s->dims[i], &n))
			return 0;
	return n;
}
