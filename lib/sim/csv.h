/* csv: lines of fields, of which the first line says what each is.  Private to sim. */
#ifndef ZN_SIM_CSV_H
#define ZN_SIM_CSV_H

#include "sim/lines.h"

enum { ZN__CSV_MAX = 64 };             /* fields in a line */

struct zn__column {
	const char *name;
	double max;            /* of a number */
	bool whole;            /* it has no fraction */
	bool place;            /* only looked at by those who place */
};

/* Cuts the first line up: at[i] is the column named wanted[i], -1: there is none, or it is not looked at.  Returns how many
 * columns there are.
 */
int zn__csv_header(const struct zn_lines *l, char *line, const struct zn__column *wanted, size_t n_wanted, bool place, int *at,
                   struct zn_err *err);
/* Cuts a line of so many columns up: field[i] is what is in column at[i], NULL: there is none. */
int zn__csv_cut(const struct zn_lines *l, char *line, size_t n_columns, const int *at, size_t n_wanted, const char **field,
                struct zn_err *err);
/* A number between 0 and the most; 0 where text is NULL or empty.  -EBADMSG. */
int zn__csv_number(const struct zn_lines *l, const char *text, const struct zn__column *c, double *ret, struct zn_err *err);
/* Whether something stands there. */
static inline bool zn__csv_says(const char *text)
{
	return text && *text;
}

#endif
