#include "rec/selector.h"

#include <errno.h>
#include <string.h>

/* One part: value NULL: any. */
struct part { const char *name, *value; size_t name_n, value_n; bool is_not; };

bool zn_label_is_good(const char *name, size_t n)
{
	static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	return n && n <= ZN_LABEL_MAX && strspn(name, fit) >= n;
}

static struct part part_of(const char *text, size_t n)
{
	struct part p = { .name = text, .name_n = n };
	const char *equals = memchr(text, '=', n);

	if (equals) {
		p.value = equals + 1;
		p.value_n = n - (size_t)(p.value - text);
		p.name_n = (size_t)(equals - text);
		p.is_not = p.name_n && equals[-1] == '!';
		p.name_n -= p.is_not;
	} else if (n && *text == '!') {
		p.is_not = true;
		p.name++;
		p.name_n--;
	}
	return p;
}

static bool is_good(const struct part *p)
{
	return zn_label_is_good(p->name, p->name_n) && (!p->value || !p->value_n || zn_label_is_good(p->value, p->value_n));
}

/* Calls up to the first for which that is false; returns that part, NULL: there is none. */
static const char *first_not(const char *text, bool (*holds)(const struct part *p, const void *arg), const void *arg, size_t *ret_len)
{
	for (const char *at = text;; at += *ret_len + 1) {
		*ret_len = strcspn(at, ",");
		struct part p = part_of(at, *ret_len);
		if (!holds(&p, arg))
			return at;
		if (!at[*ret_len])
			return NULL;
	}
}

static bool can_be(const struct part *p, const void *arg)
{
	(void)arg;
	return is_good(p);
}

int zn_selector_check(const char *text, struct zn_err *err)
{
	size_t n = strlen(text);

	if (n > ZN_SELECTOR_MAX)
		return zn_err_set(err, -EBADMSG, "a selector of labels has %zu bytes: at most %d", n, ZN_SELECTOR_MAX);
	const char *bad = first_not(text, can_be, NULL, &n);
	if (!bad)
		return 0;
	return zn_err_set(err, -EBADMSG, "'%.*s' selects no label: label, !label, label=value or label!=value, separated by commas",
	                  (int)(n < 80 ? n : 80), bad);
}

static bool is_text(const char *text, const char *of, size_t n)
{
	return strlen(text) == n && !memcmp(text, of, n);
}

static bool has(const struct part *p, const void *arg)
{
	const struct zn_strmap *labels = arg;

	for (size_t i = 0; i < labels->n; i++)
		if (is_text(labels->v[i].key, p->name, p->name_n))
			return (!p->value || is_text(labels->v[i].value, p->value, p->value_n)) != p->is_not;
	return p->is_not;
}

const char *zn_selector_lacks(const char *text, const struct zn_strmap *labels, size_t *ret_len)
{
	return first_not(text, has, labels, ret_len);
}
