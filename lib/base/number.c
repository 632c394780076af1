/* Digits, and at most one point among them, are a whole number divided by a power of ten.  Where a double holds both exactly
 * the quotient is rounded once, and so is what strtod says (Clinger, PLDI 1990).  All else is strtod's.
 */
#include "base/number.h"

#include <float.h>
#include <langinfo.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 19 };              /* that a uint64_t always holds */
static const double power[DIGITS_MAX + 1] = { 1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
	                                      1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19 };

/* The digits at p behind those of *v; returns what follows them. */
static const char *take_digits(const char *p, uint64_t *v)
{
	for (unsigned digit; (digit = (unsigned char)*p - (unsigned)'0') <= 9; p++)
		*v = 10 * *v + digit;
	return p;
}

static bool is_point(char c)
{
	return c == '.' && !strcmp(nl_langinfo(RADIXCHAR), ".");
}

/* The end of text, where it is such a number; NULL: it is none, has too many digits, or the machine rounds twice. */
static const char *take_plain(const char *text, double *ret)
{
	uint64_t v = 0;
	const char *end = take_digits(text, &v);
	size_t whole = (size_t)(end - text), fraction = 0;

	if (is_point(*end)) {
		const char *point = end;
		end = take_digits(point + 1, &v);
		fraction = (size_t)(end - point) - 1;
	}
	if (*end || !(whole + fraction) || whole + fraction > DIGITS_MAX || v > UINT64_C(1) << 53 || FLT_EVAL_METHOD)
		return NULL;
	*ret = (double)v / power[fraction];
	return end;
}

double zn_strtod(const char *text, char **ret_end)
{
	double v;
	const char *end = take_plain(text, &v);

	if (!end)
		return strtod(text, ret_end);
	if (ret_end)
		*ret_end = (char *)end;
	return v;
}
