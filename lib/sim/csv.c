#include "sim/csv.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int find(const struct zn_lines *l, char *const *fields, size_t n, const char *name, int *at, struct zn_err *err)
{
	*at = -1;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fields[i], name))
			continue;
		if (*at >= 0)
			return zn_lines_bad(l, err, "column '%s' is there twice", name);
		*at = (int)i;
	}
	return 0;
}

int zn__csv_header(const struct zn_lines *l, char *line, const struct zn__column *wanted, size_t n_wanted, bool place, int *at,
                   struct zn_err *err)
{
	char *fields[ZN__CSV_MAX];
	size_t n = zn_line_cut(line, ',', fields, ZN__CSV_MAX);

	for (size_t w = 0; w < n_wanted; w++) {
		int rc = find(l, fields, place || !wanted[w].place ? n : 0, wanted[w].name, &at[w], err);
		if (rc < 0)
			return rc;
	}
	return (int)n;
}

int zn__csv_cut(const struct zn_lines *l, char *line, size_t n_columns, const int *at, size_t n_wanted, const char **field,
                struct zn_err *err)
{
	char *fields[ZN__CSV_MAX];
	size_t n = zn_line_cut(line, ',', fields, ZN__CSV_MAX);

	if (n != n_columns)
		return zn_lines_bad(l, err, "%zu fields, where the first line has %zu", n, n_columns);
	for (size_t i = 0; i < n_wanted; i++)
		field[i] = at[i] < 0 ? NULL : fields[at[i]];
	return 0;
}

int zn__csv_number(const struct zn_lines *l, const char *text, const struct zn__column *c, double *ret, struct zn_err *err)
{
	*ret = 0;
	if (!zn__csv_says(text))
		return 0;
	if (!zn_field_number(text, ret))
		return zn_lines_bad(l, err, "%s '%s' is no number", c->name, text);
	if (*ret < 0 || *ret > c->max)
		return zn_lines_bad(l, err, "%s %s is not between 0 and %.0f", c->name, text, c->max);
	if (c->whole && *ret != floor(*ret))
		return zn_lines_bad(l, err, "%s %s is no whole number", c->name, text);
	return 0;
}
