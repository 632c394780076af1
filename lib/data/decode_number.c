/* decode_number: numbers in decimal, and bytes that are numbers already. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "data/decode_kinds.h"

enum { NUMBER_MAX = 64 };                      /* characters of a number, the white space around it not counted */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without its white space, in text, where it ends in a NUL. */
static int take_number(const void *p, size_t n, char text[NUMBER_MAX + 1], const char **ret_why)
{
	const char *s = p;

	for (; n > 0 && is_space(*s); s++)
		n--;
	while (n > 0 && is_space(s[n - 1]))
		n--;
	if (n == 0 || n > NUMBER_MAX || memchr(s, '\0', n)) {
		*ret_why = n == 0 ? "there is no number in it" : "it is not one number";
		return -EBADMSG;
	}
	memcpy(text, s, n);
	text[n] = '\0';
	return 0;
}

static int decode_int(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                      const char **ret_why)
{
	bool is_short = d->shape.dtype == ZN_DTYPE_I32;
	char text[NUMBER_MAX + 1], *end;
	int rc = take_number(p, n, text, ret_why);

	(void)hand, (void)random;
	if (rc < 0)
		return rc;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (*end) {
		*ret_why = "it is not a whole number";
		return -EBADMSG;
	}
	if (errno || (is_short && (v < INT32_MIN || v > INT32_MAX))) {
		*ret_why = is_short ? "the number is too large for an i32" : "the number is too large for an i64";
		return -EBADMSG;
	}
	if (is_short)
		*(int32_t *)out = (int32_t)v;
	else
		*(int64_t *)out = v;
	return 0;
}

static int decode_float(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                        const char **ret_why)
{
	char text[NUMBER_MAX + 1], *end;
	int rc = take_number(p, n, text, ret_why);

	(void)hand, (void)random;
	if (rc < 0)
		return rc;
	double v = zn_strtod(text, &end);
	if (*end) {
		*ret_why = "it is not a number";
		return -EBADMSG;
	}
	if (d->shape.dtype == ZN_DTYPE_F32)
		*(float *)out = (float)v;
	else
		*(double *)out = v;
	return 0;
}

static int decode_raw(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                      const char **ret_why)
{
	(void)hand, (void)random;
	if (n != d->bytes) {
		*ret_why = n < d->bytes ? "it is shorter than its shape" : "it is longer than its shape";
		return -EBADMSG;
	}
	memcpy(out, p, n);
	return 0;
}

static const struct zn_decoder_ops int_ops = { .decode = decode_int };
static const struct zn_decoder_ops float_ops = { .decode = decode_float };
static const struct zn_decoder_ops raw_ops = { .decode = decode_raw };

static int make(const struct zn_decoder_ops *ops, const struct zn_shape *s, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return zn_err_set(err, -ENOMEM, "out of memory");
	d->ops = ops;
	zn__decoder_fix(d, s);
	*ret = d;
	return 0;
}

int zn__decode_int_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_shape s = { .dtype = ZN_DTYPE_I64 };

	if (opts && (zn_dtype_parse(opts, &s.dtype) < 0 || (s.dtype != ZN_DTYPE_I32 && s.dtype != ZN_DTYPE_I64)))
		return zn_err_set(err, -EINVAL, "'%s': a whole number becomes i32 or i64, not '%s'", field, opts);
	return make(&int_ops, &s, ret, err);
}

int zn__decode_float_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_shape s = { .dtype = ZN_DTYPE_F32 };

	if (opts && (zn_dtype_parse(opts, &s.dtype) < 0 || (s.dtype != ZN_DTYPE_F32 && s.dtype != ZN_DTYPE_F64)))
		return zn_err_set(err, -EINVAL, "'%s': a number becomes f32 or f64, not '%s'", field, opts);
	return make(&float_ops, &s, ret, err);
}

int zn__decode_raw_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_shape s;
	int rc;

	if (!opts)
		return zn_err_set(err, -EINVAL, "'%s': raw needs a type and a shape, as in raw:u16,1025", field);
	rc = zn__shape_parse(field, opts, &s, err);
	return rc < 0 ? rc : make(&raw_ops, &s, ret, err);
}
