#include "base/idset.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = ZN_IDSET_MAX / 64 };

void zn_idset_add(struct zn_idset *s, unsigned id)
{
	if (id < ZN_IDSET_MAX)
		s->w[id / 64] |= UINT64_C(1) << (id % 64);
}

void zn_idset_remove(struct zn_idset *s, unsigned id)
{
	if (id < ZN_IDSET_MAX)
		s->w[id / 64] &= ~(UINT64_C(1) << (id % 64));
}

bool zn_idset_has(const struct zn_idset *s, unsigned id)
{
	return id < ZN_IDSET_MAX && s->w[id / 64] >> (id % 64) & 1;
}

unsigned zn_idset_count(const struct zn_idset *s)
{
	unsigned n = 0;

	for (int i = 0; i < WORDS; i++)
		n += (unsigned)__builtin_popcountll(s->w[i]);
	return n;
}

bool zn_idset_is_empty(const struct zn_idset *s)
{
	return zn_idset_next(s, 0) < 0;
}

bool zn_idset_equal(const struct zn_idset *a, const struct zn_idset *b)
{
	return memcmp(a->w, b->w, sizeof(a->w)) == 0;
}

bool zn_idset_is_within(const struct zn_idset *part, const struct zn_idset *whole)
{
	struct zn_idset rest = zn_idset_minus(part, whole);

	return zn_idset_is_empty(&rest);
}

struct zn_idset zn_idset_and(const struct zn_idset *a, const struct zn_idset *b)
{
	struct zn_idset r;

	for (int i = 0; i < WORDS; i++)
		r.w[i] = a->w[i] & b->w[i];
	return r;
}

struct zn_idset zn_idset_or(const struct zn_idset *a, const struct zn_idset *b)
{
	struct zn_idset r;

	for (int i = 0; i < WORDS; i++)
		r.w[i] = a->w[i] | b->w[i];
	return r;
}

struct zn_idset zn_idset_minus(const struct zn_idset *a, const struct zn_idset *b)
{
	struct zn_idset r;

	for (int i = 0; i < WORDS; i++)
		r.w[i] = a->w[i] & ~b->w[i];
	return r;
}

struct zn_idset zn_idset_first(const struct zn_idset *s, unsigned n)
{
	struct zn_idset r = { 0 };

	zn_idset_each(id, s) {
		if (!n--)
			break;
		zn_idset_add(&r, (unsigned)id);
	}
	return r;
}

int zn_idset_next(const struct zn_idset *s, unsigned from)
{
	for (unsigned i = from / 64; i < WORDS; i++) {
		uint64_t w = s->w[i];
		if (i == from / 64)
			w &= ~UINT64_C(0) << (from % 64);
		if (w)
			return (int)(i * 64) + __builtin_ctzll(w);
	}
	return -1;
}

/* One decimal number; leaves *p behind it. */
static int parse_id(const char **p, const char *text, unsigned *ret, struct zn_err *err)
{
	unsigned id = 0;

	if (!isdigit((unsigned char)**p))
		return zn_err_set(err, -EINVAL, "'%s' is no list of numbers such as 0-3,8", text);
	for (; isdigit((unsigned char)**p); (*p)++) {
		id = id * 10 + (unsigned)(**p - '0');
		if (id >= ZN_IDSET_MAX)
			return zn_err_set(err, -ERANGE, "list '%s' goes above %d", text, ZN_IDSET_MAX - 1);
	}
	*ret = id;
	return 0;
}

static int parse_range(const char **p, const char *text, struct zn_idset *s, struct zn_err *err)
{
	unsigned lo, hi;
	int rc = parse_id(p, text, &lo, err);

	if (rc < 0)
		return rc;
	hi = lo;
	if (**p == '-') {
		(*p)++;
		rc = parse_id(p, text, &hi, err);
		if (rc < 0)
			return rc;
	}
	if (hi < lo)
		return zn_err_set(err, -EINVAL, "list '%s' runs backwards at %u-%u", text, lo, hi);
	for (; lo <= hi; lo++)
		zn_idset_add(s, lo);
	return 0;
}

/* The kernel's files end with a newline. */
static bool is_end(const char *p)
{
	return !*p || (*p == '\n' && !p[1]);
}

int zn_idset_parse(const char *text, struct zn_idset *ret, struct zn_err *err)
{
	struct zn_idset s = { 0 };
	const char *p = text;

	while (!is_end(p)) {
		int rc = parse_range(&p, text, &s, err);
		if (rc < 0)
			return rc;
		if (*p == ',' && !is_end(p + 1))
			p++;
		else if (!is_end(p))
			return zn_err_set(err, -EINVAL, "'%s' is no list of numbers such as 0-3,8", text);
	}
	*ret = s;
	return 0;
}

int zn_idset_parse_field(const char *text, const char *field, struct zn_idset *ret)
{
	size_t len = strlen(field);
	const char *line = text;

	while (strncmp(line, field, len) || line[len] != ':' || line[len + 1] != '\t') {
		line = strchr(line, '\n');
		if (!line)
			return -ENOENT;
		line++;
	}
	line += len + 2;
	char list[8192];
	size_t n = strcspn(line, "\n");
	if (n >= sizeof(list))
		return -ERANGE;
	memcpy(list, line, n);
	list[n] = '\0';
	return zn_idset_parse(list, ret, NULL);
}

static unsigned hex_value(char c)
{
	return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a' + 10);
}

int zn_idset_parse_mask(const char *mask, struct zn_idset *ret, struct zn_err *err)
{
	struct zn_idset s = { 0 };
	size_t n = strcspn(mask, "\n");
	unsigned bit = 0;

	if (!is_end(mask + n) || !n)
		return zn_err_set(err, -EINVAL, "'%s' is no cpu mask", mask);
	for (size_t i = n; i-- > 0;) {
		bool word_ends = bit && bit % 32 == 0 && i + 1 < n && mask[i + 1] != ',';
		if (mask[i] == ',' && word_ends && i > 0)
			continue;
		if (!isxdigit((unsigned char)mask[i]))
			return zn_err_set(err, -EINVAL, "'%.*s' is no cpu mask", (int)n, mask);
		unsigned v = hex_value(mask[i]);
		for (unsigned k = 0; k < 4; k++) {
			if (!(v >> k & 1))
				continue;
			if (bit + k >= ZN_IDSET_MAX)
				return zn_err_set(err, -ERANGE, "cpu mask goes above %d", ZN_IDSET_MAX - 1);
			zn_idset_add(&s, bit + k);
		}
		bit += 4;
	}
	*ret = s;
	return 0;
}

size_t zn_idset_format(const struct zn_idset *s, char *text, size_t size)
{
	size_t n = 0;

	if (size)
		text[0] = '\0';
	for (int lo = zn_idset_next(s, 0); lo >= 0;) {
		int hi = lo;
		char part[32];
		while (zn_idset_has(s, (unsigned)hi + 1))
			hi++;
		int len = hi == lo ? snprintf(part, sizeof(part), "%s%d", n ? "," : "", lo)
		                   : snprintf(part, sizeof(part), "%s%d-%d", n ? "," : "", lo, hi);
		if (n < size)
			snprintf(text + n, size - n, "%s", part);
		n += (size_t)len;
		lo = zn_idset_next(s, (unsigned)hi + 1);
	}
	return n;
}
