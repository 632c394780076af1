#include "job/spans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "job/number.h"

static int bad(const char *text, const char *why, struct zn_err *err)
{
	return zn_err_set(err, -EBADMSG, "array '%.60s': %s", text, why);
}

static int add(struct zn_spans *s, uint32_t *cap, uint32_t first, uint32_t last)
{
	if (s->n == *cap) {
		uint32_t more = *cap ? 2 * *cap : 4;
		struct zn_span *v = reallocarray(s->v, more, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->v = v;
		*cap = more;
	}
	s->v[s->n++] = (struct zn_span){ first, last };
	s->count += last - first + 1;
	return 0;
}

static bool take_number(const char **at, uint32_t *ret)
{
	char digits[16];
	size_t n = strspn(*at, "0123456789");
	uint64_t v;

	if (!n || n >= sizeof(digits))
		return false;
	memcpy(digits, *at, n);
	digits[n] = '\0';
	if (zn_parse_u64(digits, 0, ZN_INDEX_MAX, &v, NULL) < 0)
		return false;
	*at += n;
	*ret = (uint32_t)v;
	return true;
}

/* "5", "0-9" or "0-99:10", up to a comma or the end. */
static int take_part(const char *text, const char **at, struct zn_spans *s, uint32_t *cap, struct zn_err *err)
{
	uint32_t first, last, step = 1;

	if (!take_number(at, &first))
		return bad(text, "indices are numbers from 0 to 16777214, as in 0-9,20,30-50:10", err);
	last = first;
	if (**at == '-' && (++*at, !take_number(at, &last)))
		return bad(text, "a range ends with a number, as in 0-9", err);
	if (**at == ':' && (++*at, !take_number(at, &step) || !step))
		return bad(text, "a step is a number from 1 on, as in 0-99:10", err);
	if (last < first)
		return bad(text, "a range runs backwards", err);
	if ((last - first) / step >= ZN_ARRAY_MAX - s->count)
		return bad(text, "it has more than 100000 elements", err);
	if (step == 1)
		return add(s, cap, first, last);
	int rc = 0;
	for (uint32_t i = first; rc == 0; i += step) {
		rc = add(s, cap, i, i);
		if (last - i < step)
			break;
	}
	return rc;
}

static int by_first(const void *a, const void *b)
{
	const struct zn_span *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Rising; what touches is one. */
static int settle(const char *text, struct zn_spans *s, struct zn_err *err)
{
	uint32_t n = 0;

	qsort(s->v, s->n, sizeof(*s->v), by_first);
	for (uint32_t i = 0; i < s->n; i++) {
		if (n && s->v[i].first <= s->v[n - 1].last)
			return bad(text, "an index is named twice", err);
		if (n && s->v[i].first == s->v[n - 1].last + 1)
			s->v[n - 1].last = s->v[i].last;
		else
			s->v[n++] = s->v[i];
	}
	s->n = n;
	return 0;
}

static int parse(const char *text, struct zn_spans *s, uint32_t *ret_at_once, struct zn_err *err)
{
	const char *at = text;
	uint32_t cap = 0;
	int rc = take_part(text, &at, s, &cap, err);

	while (rc == 0 && *at == ',') {
		at++;
		rc = take_part(text, &at, s, &cap, err);
	}
	*ret_at_once = 0;
	if (rc == 0 && *at == '%' && (at++, !take_number(&at, ret_at_once) || !*ret_at_once))
		return bad(text, "behind % stands how many may run at once, from 1 on", err);
	if (rc == 0 && *at)
		return bad(text, "it is a list like 0-9,20,30-50:10, and behind it %N, how many may run at once", err);
	return rc < 0 ? rc : settle(text, s, err);
}

int zn_spans_parse(const char *text, struct zn_spans *ret, uint32_t *ret_at_once, struct zn_err *err)
{
	struct zn_spans s = { 0 };
	int rc = parse(text, &s, ret_at_once, err);

	if (rc < 0)
		zn_spans_done(&s);
	*ret = s;
	return rc;
}

void zn_spans_done(struct zn_spans *s)
{
	free(s->v);
	*s = (struct zn_spans){ 0 };
}

const char *zn_spans_text(const struct zn_spans *s, struct zn_arena *a)
{
	struct zn_buf b = { 0 };

	for (uint32_t i = s->from; i < s->n; i++) {
		const struct zn_span *at = &s->v[i];
		zn_buf_printf(&b, "%s%u", i > s->from ? "," : "", at->first);
		if (at->last > at->first)
			zn_buf_printf(&b, "%c%u", at->last == at->first + 1 ? ',' : '-', at->last);
	}
	const char *text = zn_buf_text(&b);
	text = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&b);
	return text;
}

/* The span that it is in, or NULL. */
static struct zn_span *find(const struct zn_spans *s, uint32_t index)
{
	uint32_t lo = s->from, hi = s->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->v[mid].last < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->v[lo].first <= index ? &s->v[lo] : NULL;
}

bool zn_spans_has(const struct zn_spans *s, uint32_t index)
{
	return find(s, index) != NULL;
}

uint32_t zn_spans_before(const struct zn_spans *s, uint32_t index)
{
	uint32_t n = 0;

	for (uint32_t i = s->from; i < s->n && s->v[i].first < index; i++)
		n += (s->v[i].last < index ? s->v[i].last + 1 : index) - s->v[i].first;
	return n;
}

/* One more, behind v[at]. */
static int split(struct zn_spans *s, uint32_t at, uint32_t index)
{
	struct zn_span *v = reallocarray(s->v, s->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->v = v;
	memmove(v + at + 1, v + at, (s->n - at) * sizeof(*v));
	s->n++;
	v[at].last = index - 1;
	v[at + 1].first = index + 1;
	return 0;
}

int zn_spans_remove(struct zn_spans *s, uint32_t index)
{
	struct zn_span *span = find(s, index);

	if (!span)
		return 0;
	uint32_t at = (uint32_t)(span - s->v);
	if (span->first < index && span->last > index) {
		if (split(s, at, index) < 0)
			return -ENOMEM;
	} else if (span->first < span->last && span->first == index) {
		span->first++;
	} else if (span->first < span->last) {
		span->last--;
	} else if (at == s->from) {
		s->from++;
	} else {
		memmove(span, span + 1, (s->n - at - 1) * sizeof(*span));
		s->n--;
	}
	s->count--;
	return 0;
}
