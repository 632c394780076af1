/* "a-{000..127}.{tar,tgz}", as a shell has it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"

enum { NAMES_MAX = 10000000, LENGTH_MAX = 4096 };

struct expansion {
	int (*add)(void *arg, const char *name);
	void *arg;
	struct zn_err *err;
	uint64_t n;
	char name[LENGTH_MAX];
};

static int expand(struct expansion *e, size_t at, const char *rest);

static int with(struct expansion *e, size_t at, const char *part, size_t n, const char *rest)
{
	if (at + n >= LENGTH_MAX)
		return zn_err_set(e->err, -EINVAL, "a name is longer than %d bytes", LENGTH_MAX);
	memcpy(e->name + at, part, n);
	return expand(e, at + n, rest);
}

/* FIRST..LAST of n bytes; as wide as the wider one when one of them begins with a 0. */
static bool is_range(const char *p, size_t n, uint64_t *first, uint64_t *last, int *width)
{
	char text[64], *end, *dots;

	if (n >= sizeof(text) || p[0] < '0' || p[0] > '9')
		return false;
	memcpy(text, p, n);
	text[n] = 0;
	dots = strstr(text, "..");
	if (!dots || dots[2] < '0' || dots[2] > '9')
		return false;
	errno = 0;
	*first = strtoull(text, &end, 10);
	if (end != dots)
		return false;
	*last = strtoull(dots + 2, &end, 10);
	size_t a = (size_t)(dots - text), b = strlen(dots + 2);
	bool padded = (text[0] == '0' && a > 1) || (dots[2] == '0' && b > 1);
	*width = padded ? (int)(a > b ? a : b) : 0;
	return !*end && !errno;
}

static int each_number(struct expansion *e, size_t at, uint64_t first, uint64_t last, int width, const char *rest)
{
	char text[64];
	int rc = 0;

	for (uint64_t i = first; rc >= 0; i += first <= last ? 1 : UINT64_MAX) {
		int n = snprintf(text, sizeof(text), "%0*" PRIu64, width, i);
		rc = with(e, at, text, (size_t)n, rest);
		if (i == last)
			break;
	}
	return rc;
}

static int each_word(struct expansion *e, size_t at, const char *p, size_t n, const char *rest)
{
	int rc = 0;

	for (const char *end = p + n; rc >= 0;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		rc = with(e, at, p, (size_t)((comma ? comma : end) - p), rest);
		if (!comma)
			break;
		p = comma + 1;
	}
	return rc;
}

static int expand(struct expansion *e, size_t at, const char *rest)
{
	const char *open = strchr(rest, '{'), *close = open ? strchr(open, '}') : NULL;
	uint64_t first, last;
	int width;

	if (!open) {
		if (at + strlen(rest) >= LENGTH_MAX || ++e->n > NAMES_MAX)
			return zn_err_set(e->err, -EINVAL, "the braces stand for too many names, or too long ones");
		strcpy(e->name + at, rest);
		return e->add(e->arg, e->name);
	}
	size_t before = (size_t)(open - rest), n = close ? (size_t)(close - open - 1) : 0;
	if (!close || memchr(open + 1, '{', n))
		return zn_err_set(e->err, -EINVAL, close ? "braces within braces are not understood" : "a brace is not closed");
	if (at + before >= LENGTH_MAX)
		return zn_err_set(e->err, -EINVAL, "a name is longer than %d bytes", LENGTH_MAX);
	memcpy(e->name + at, rest, before);
	if (is_range(open + 1, n, &first, &last, &width))
		return each_number(e, at + before, first, last, width, close + 1);
	if (!memchr(open + 1, ',', n))
		return zn_err_set(e->err, -EINVAL, "'{%.*s}' is neither a range such as {000..127} nor a list such as {a,b}", (int)n, open + 1);
	return each_word(e, at + before, open + 1, n, close + 1);
}

int zn_braces_expand(const char *pattern, int (*add)(void *arg, const char *name), void *arg, struct zn_err *err)
{
	struct expansion *e = malloc(sizeof(*e));

	if (!e)
		return zn_err_set(err, -ENOMEM, "out of memory");
	*e = (struct expansion){ .add = add, .arg = arg, .err = err };
	int rc = expand(e, 0, pattern);
	free(e);
	return rc;
}
