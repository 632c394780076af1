/* regex: POSIX extended regular expressions of people we do not know.  regcomp(3) copies what is repeated: "x+"
 * twice, "x{1,9}" nine times, and what is inside of that again for each level, so that 30 characters can ask for
 * gigabytes, and for time by the square of that.
 */
#ifndef ZN_REC_REGEX_H
#define ZN_REC_REGEX_H

#include <regex.h>

#include "zenith.h"

/* How many characters, classes and groups are left when every repetition is written out, and one around another
 * counts as two; -1 for more than
 * ZN_REGEX_DEPTH groups inside each other.  Pure.
 */
double zn_regex_cost(const char *text);

enum { ZN_REGEX_DEPTH = 64, ZN_REGEX_COST = 1 << 12 };

/* -EINVAL with what is wrong with it. */
int zn_regex_compile(const char *text, regex_t *ret, struct zn_err *err);

#endif
