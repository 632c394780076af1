/* decode_npy: numpy's .npy: a magic number, the version, the length of a header that is a Python dictionary, and the numbers.
 * Python is not read here: the three keys that numpy writes, in any order, are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/decode_kinds.h"

struct text { const char *p, *end; };

static const struct { const char *descr; enum zn_dtype dtype; } descrs[] = {
	{ "|u1", ZN_DTYPE_U8 }, { "|i1", ZN_DTYPE_I8 }, { "|b1", ZN_DTYPE_U8 }, { "<u2", ZN_DTYPE_U16 }, { "<i2", ZN_DTYPE_I16 },
	{ "<i4", ZN_DTYPE_I32 }, { "<i8", ZN_DTYPE_I64 }, { "<f2", ZN_DTYPE_F16 }, { "<f4", ZN_DTYPE_F32 }, { "<f8", ZN_DTYPE_F64 },
};

static int refuse(int rc, const char *why, const char **ret_why)
{
	*ret_why = why;
	return rc;
}

static int damaged(const char **ret_why)
{
	return refuse(-EBADMSG, "the .npy header is damaged", ret_why);
}

static void skip_space(struct text *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\n'))
		t->p++;
}

static bool take(struct text *t, char c)
{
	skip_space(t);
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static bool take_word(struct text *t, const char *word)
{
	size_t n = strlen(word);

	skip_space(t);
	if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n))
		return false;
	t->p += n;
	return true;
}

/* '...', without the quotes. */
static bool take_quoted(struct text *t, char *to, size_t size)
{
	const char *from, *close;

	if (!take(t, '\''))
		return false;
	from = t->p;
	close = memchr(from, '\'', (size_t)(t->end - from));
	if (!close || (size_t)(close - from) >= size)
		return false;
	memcpy(to, from, (size_t)(close - from));
	to[close - from] = '\0';
	t->p = close + 1;
	return true;
}

static bool take_dim(struct text *t, uint32_t *ret)
{
	uint64_t v = 0;
	const char *from;

	skip_space(t);
	for (from = t->p; t->p < t->end && *t->p >= '0' && *t->p <= '9' && v <= INT32_MAX; t->p++)
		v = v * 10 + (uint64_t)(*t->p - '0');
	*ret = (uint32_t)v;
	return t->p > from && v <= INT32_MAX;
}

/* (), (3,) or (3, 4) */
static int take_shape(struct text *t, struct zn_shape *s, const char **ret_why)
{
	if (!take(t, '('))
		return damaged(ret_why);
	for (s->n_dims = 0; !take(t, ')'); s->n_dims++) {
		if (s->n_dims > 0 && !take(t, ','))
			return damaged(ret_why);
		if (s->n_dims > 0 && take(t, ')'))
			break;
		if (s->n_dims == sizeof(s->dims) / sizeof(*s->dims))
			return refuse(-ENOTSUP, "the .npy has more than 6 dimensions", ret_why);
		if (!take_dim(t, &s->dims[s->n_dims]))
			return damaged(ret_why);
		if (!s->dims[s->n_dims])
			return refuse(-ENOTSUP, "the .npy is empty", ret_why);
	}
	return 0;
}

static int take_descr(struct text *t, struct zn_shape *s, const char **ret_why)
{
	char descr[8];

	if (!take_quoted(t, descr, sizeof(descr)))
		return refuse(-ENOTSUP, "the .npy is not of plain numbers", ret_why);
	for (size_t i = 0; i < sizeof(descrs) / sizeof(*descrs); i++)
		if (!strcmp(descrs[i].descr, descr)) {
			s->dtype = descrs[i].dtype;
			return 0;
		}
	return refuse(-ENOTSUP, *descr == '>' ? "the .npy is big-endian" : "the .npy's type of numbers is none of ours", ret_why);
}

static int take_order(struct text *t, const char **ret_why)
{
	if (take_word(t, "False"))
		return 0;
	return take_word(t, "True") ? refuse(-ENOTSUP, "the .npy is in Fortran's order", ret_why) : damaged(ret_why);
}

static int take_entry(struct text *t, unsigned *seen, struct zn_shape *s, const char **ret_why)
{
	char key[16];

	if (!take_quoted(t, key, sizeof(key)) || !take(t, ':'))
		return damaged(ret_why);
	if (!strcmp(key, "descr") && !(*seen & 1))
		return *seen |= 1, take_descr(t, s, ret_why);
	if (!strcmp(key, "fortran_order") && !(*seen & 2))
		return *seen |= 2, take_order(t, ret_why);
	if (!strcmp(key, "shape") && !(*seen & 4))
		return *seen |= 4, take_shape(t, s, ret_why);
	return damaged(ret_why);
}

static int read_dictionary(struct text t, struct zn_shape *s, const char **ret_why)
{
	unsigned seen = 0;
	int rc = 0;

	if (!take(&t, '{'))
		return damaged(ret_why);
	while (!take(&t, '}')) {
		if (seen && !take(&t, ','))
			return damaged(ret_why);
		if (seen && take(&t, '}'))
			break;
		if ((rc = take_entry(&t, &seen, s, ret_why)) < 0)
			return rc;
	}
	return seen == 7 ? 0 : damaged(ret_why);
}

static int find_header(const unsigned char *p, size_t n, struct text *ret, const char **ret_why)
{
	size_t at, len;

	if (n < 10 || memcmp(p, "\x93NUMPY", 6))
		return refuse(-EBADMSG, "it is no .npy", ret_why);
	if (p[6] < 1 || p[6] > 3 || p[7] != 0)
		return refuse(-ENOTSUP, "the .npy is of another version than 1 to 3", ret_why);
	at = p[6] == 1 ? 10 : 12;
	len = p[8] | (size_t)p[9] << 8;
	if (p[6] > 1 && n >= at)
		len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
	if (n < at || n - at < len)
		return refuse(-EBADMSG, "the .npy ends in its header", ret_why);
	*ret = (struct text){ (const char *)p + at, (const char *)p + at + len };
	return 0;
}

/* Where the numbers begin, and what they are; there are as many as that says. */
static int read_npy(const void *p, size_t n, struct zn_shape *ret, const unsigned char **ret_numbers, const char **ret_why)
{
	struct zn_shape s = { 0 };
	struct text header;
	size_t bytes, left;
	int rc = find_header(p, n, &header, ret_why);

	if (rc == 0)
		rc = read_dictionary(header, &s, ret_why);
	if (rc < 0)
		return rc;
	left = n - (size_t)(header.end - (const char *)p);
	bytes = zn_shape_bytes(&s);
	if (bytes == 0 || bytes > left)
		return refuse(-EBADMSG, "the .npy has fewer numbers than its shape says", ret_why);
	if (bytes < left)
		return refuse(-EBADMSG, "the .npy has more in it than its shape says", ret_why);
	*ret = s;
	*ret_numbers = (const unsigned char *)header.end;
	return 0;
}

static bool is_same_shape(const struct zn_shape *a, const struct zn_shape *b)
{
	return a->dtype == b->dtype && a->n_dims == b->n_dims && !memcmp(a->dims, b->dims, a->n_dims * sizeof(*a->dims));
}

static int learn(const struct zn_decoder *d, const void *p, size_t n, struct zn_shape *ret, const char **ret_why)
{
	const unsigned char *numbers;

	(void)d;
	return read_npy(p, n, ret, &numbers, ret_why);
}

static int decode(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                  const char **ret_why)
{
	const unsigned char *numbers;
	struct zn_shape s;
	int rc = read_npy(p, n, &s, &numbers, ret_why);

	(void)hand, (void)random;
	if (rc < 0)
		return rc;
	if (s.dtype != d->shape.dtype)
		return refuse(-EBADMSG, "the .npy's numbers are of another type than the others", ret_why);
	if (!is_same_shape(&s, &d->shape))
		return refuse(-EBADMSG, "the .npy is of another shape than the others", ret_why);
	memcpy(out, numbers, d->bytes);
	return 0;
}

static const struct zn_decoder_ops ops = { .learn = learn, .decode = decode };

int zn__decode_npy_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err)
{
	struct zn_shape s;
	struct zn_decoder *d;
	int rc = opts ? zn__shape_parse(field, opts, &s, err) : 0;

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (!d)
		return zn_err_set(err, -ENOMEM, "out of memory");
	d->ops = &ops;
	if (opts)
		zn__decoder_fix(d, &s);
	*ret = d;
	return 0;
}
