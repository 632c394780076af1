#include "rec/regex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* sum: of what came before the last piece; last: of that; and whether there are repetitions in either. */
struct level {
	double sum, last;
	bool any_repeats, last_repeats;
};

static void begin_piece(struct level *l, double cost, bool repeats)
{
	l->sum += l->last;
	l->any_repeats |= l->last_repeats;
	l->last = cost;
	l->last_repeats = repeats;
}

/* Around another repetition it costs twice the time, also where it copies nothing. */
static void repeat(struct level *l, double copies)
{
	l->last *= copies * (l->last_repeats ? 2 : 1);
	l->last_repeats = true;
}

/* Behind a bracket expression; p is its '['. */
static const char *skip_class(const char *p)
{
	p += 1 + (p[1] == '^');
	p += *p == ']';
	for (; *p && *p != ']'; p++)
		if (*p == '[' && p[1] && strchr(":.=", p[1])) {
			const char close[] = { p[1], ']', '\0' };
			const char *end = strstr(p + 2, close);
			p = end ? end + 1 : p;
		}
	return *p ? p + 1 : p;
}

/* "{3}", "{3,}", "{,7}", "{3,7}": as many copies as may be needed, and its last character; 0 for a brace that is
 * none of these.
 */
static double copies(const char *p, const char **ret_end)
{
	size_t low = strspn(p + 1, "0123456789"), comma = p[1 + low] == ',';
	size_t high = comma ? strspn(p + 2 + low, "0123456789") : 0;

	if (p[1 + low + comma + high] != '}' || !(low || high))
		return 0;
	*ret_end = p + 1 + low + comma + high;
	double least = strtod(p + 1, NULL), most = high ? strtod(p + 2 + low, NULL) : least + (comma ? 1 : 0);
	return most > 1 ? most : 1;
}

double zn_regex_cost(const char *text)
{
	struct level stack[ZN_REGEX_DEPTH + 1] = { 0 }, *l = stack;
	double n;

	for (const char *p = text; *p; p++) {
		if (*p == '(') {
			if (l == stack + ZN_REGEX_DEPTH)
				return -1;
			*++l = (struct level){ 0 };
		} else if (*p == ')' && l > stack) {
			const struct level inside = *l--;
			begin_piece(l, inside.sum + inside.last + 1, inside.any_repeats || inside.last_repeats);
		} else if (*p == '+') {
			repeat(l, 2);
		} else if (*p == '{' && (n = copies(p, &p)) > 0) {
			repeat(l, n);
		} else if (*p == '*' || *p == '?') {
			repeat(l, 1);
		} else if (*p == '[') {
			begin_piece(l, 1, false);
			p = skip_class(p) - 1;
		} else {
			begin_piece(l, 1, false);
			p += *p == '\\' && p[1];
		}
	}
	double cost = 0;
	for (; l >= stack; l--)
		cost += l->sum + l->last;
	return cost;
}

int zn_regex_compile(const char *text, regex_t *ret, struct zn_err *err)
{
	double cost = zn_regex_cost(text);
	char why[100];

	if (cost < 0 || cost > ZN_REGEX_COST)
		return zn_err_set(err, -EINVAL, "its repetitions inside each other make it too large");
	int rc = regcomp(ret, text, REG_EXTENDED | REG_NOSUB);
	if (!rc)
		return 0;
	regerror(rc, ret, why, sizeof(why));
	return zn_err_set(err, rc == REG_ESPACE ? -ENOMEM : -EINVAL, "%s", why);
}
