#include "rec/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct level { double sum, last; }; /* of what came before the last piece, and of that */

static void begin_piece(struct level *l, double cost)
{
	l->sum += l->last;
	l->last = cost;
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

/* "{3}", "{3,}", "{,7}", "{3,7}": as many copies as may be needed; 1 for a brace that is none of these. */
static double copies(const char *p)
{
	char *end;
	double low = strtod(p + 1, &end), high = low;

	if (!isdigit((unsigned char)p[1]) && p[1] != ',')
		return 1;
	if (*end == ',')
		high = isdigit((unsigned char)end[1]) ? strtod(end + 1, NULL) : low + 1;
	return high > 1 ? high : 1;
}

double zn_regex_cost(const char *text)
{
	struct level stack[ZN_REGEX_DEPTH + 1] = { 0 }, *l = stack;

	for (const char *p = text; *p; p++) {
		if (*p == '(') {
			if (l == stack + ZN_REGEX_DEPTH)
				return -1;
			*++l = (struct level){ 0 };
		} else if (*p == ')' && l > stack) {
			double inside = l->sum + l->last + 1;
			begin_piece(--l, inside);
		} else if (*p == '+') {
			l->last *= 2;
		} else if (*p == '{') {
			l->last *= copies(p);
		} else if (*p == '[') {
			begin_piece(l, 1);
			p = skip_class(p) - 1;
		} else if (!strchr("*?", *p)) {
			begin_piece(l, 1);
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
