#include "data/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/decode_kinds.h"

static const struct {
	const char *name;
	int (*make)(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);
} kinds[] = {
	{ "image", zn__decode_image_new }, { "npy", zn__decode_npy_new }, { "raw", zn__decode_raw_new },
	{ "int", zn__decode_int_new }, { "float", zn__decode_float_new },
};

/* text is cut up: FIELD=KIND:OPTS. */
static int parse(char *text, struct zn_decoder **ret, struct zn_err *err)
{
	char *kind = strchr(text, '='), *opts;

	if (!kind || kind == text)
		return zn_err_set(err, -EINVAL, "'%s' does not say what to decode: FIELD=KIND[:OPTION,...]", text);
	*kind++ = '\0';
	if ((opts = strchr(kind, ':')))
		*opts++ = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, kind))
			return kinds[i].make(text, opts && *opts ? opts : NULL, ret, err);
	return zn_err_set(err, -EINVAL, "'%s' can't become '%s': there are image, npy, raw, int and float", text, kind);
}

int zn_decode_parse(const char *text, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_decoder *d;
	char *copy = strdup(text);
	int rc = copy ? parse(copy, &d, err) : zn_err_set(err, -ENOMEM, "out of memory");

	if (rc == 0) {
		d->field = copy;
		*ret = d;
	} else {
		free(copy);
	}
	return rc;
}

void zn_decoder_free(struct zn_decoder *d)
{
	if (!d)
		return;
	if (d->ops->free)
		d->ops->free(d);
	free(d->field);
	free(d);
}

void zn__decoder_fix(struct zn_decoder *d, const struct zn_shape *s)
{
	d->shape = *s;
	d->bytes = zn_shape_bytes(s);
	d->has_shape = true;
}

int zn_decoder_learn(struct zn_decoder *d, const void *p, size_t n, const char **ret_why)
{
	struct zn_shape s;
	int rc = d->has_shape ? 0 : d->ops->learn(d, p, n, &s, ret_why);

	if (rc == 0 && !d->has_shape)
		zn__decoder_fix(d, &s);
	return rc;
}

int zn_decoder_hand_new(const struct zn_decoder *d, void **ret)
{
	if (d->ops->hand_new)
		return d->ops->hand_new(d, ret);
	*ret = NULL;
	return 0;
}

void zn_decoder_hand_free(const struct zn_decoder *d, void *hand)
{
	if (hand)
		d->ops->hand_free(hand);
}

int zn_decoder_run(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                   const char **ret_why)
{
	return d->ops->decode(d, hand, p, n, random, out, ret_why);
}

static int parse_dim(const char *text, char **ret_end, uint32_t *ret)
{
	unsigned long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoul(text, ret_end, 10);
	if (errno || v == 0 || v > INT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

int zn__dims_parse(const char *text, uint32_t *dims, uint32_t max)
{
	uint32_t n = 0;
	char *end;

	for (;; text = end + 1) {
		if (n == max || parse_dim(text, &end, &dims[n]) < 0)
			return -EINVAL;
		n++;
		if (!*end)
			return (int)n;
		if (*end != 'x')
			return -EINVAL;
	}
}

int zn__shape_parse(const char *field, char *opts, struct zn_shape *ret, struct zn_err *err)
{
	struct zn_shape s = { 0 };
	char *dims = strchr(opts, ',');
	int n = 0;

	if (dims)
		*dims++ = '\0';
	if (zn_dtype_parse(opts, &s.dtype) < 0)
		return zn_err_set(err, -EINVAL, "'%s': '%s' is no type of numbers (u8, i8, i16, u16, i32, i64, f16, bf16, f32, f64)",
		                  field, opts);
	if (dims && (n = zn__dims_parse(dims, s.dims, 6)) < 0)
		return zn_err_set(err, -EINVAL, "'%s': '%s' is no shape of up to 6 sizes, as 3x224x224 is", field, dims);
	s.n_dims = (uint32_t)n;
	if (zn_shape_bytes(&s) == 0 || zn_shape_bytes(&s) > INT32_MAX)
		return zn_err_set(err, -EINVAL, "'%s': a sample of %s is more than 2 GiB", field, dims);
	*ret = s;
	return 0;
}
