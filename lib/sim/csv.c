#include <errno.h>
#include <string.h>

#include "sim/csv.h"

int zn__csv_header(const struct zn_lines *l, char *line, const char *const *wanted, size_t n_wanted, int *at, struct zn_err *err)
{
	char *fields[ZN__CSV_MAX];
	size_t n = zn_line_cut(line, ',', fields, ZN__CSV_MAX);

	for (size_t w = 0; w < n_wanted; w++) {
		at[w] = -1;
		for (size_t i = 0; i < n; i++) {
			if (strcmp(fields[i], wanted[w]))
				continue;
			if (at[w] >= 0)
				return zn_lines_bad(l, err, "column '%s' is there twice", wanted[w]);
			at[w] = (int)i;
		}
	}
	return (int)n;
}

int zn__csv_number(const struct zn_lines *l, const char *text, const char *what, double max, double *ret, struct zn_err *err)
{
	*ret = 0;
	if (!text || !*text)
		return 0;
	if (!zn_field_number(text, ret))
		return zn_lines_bad(l, err, "%s '%s' is no number", what, text);
	if (*ret < 0 || *ret > max)
		return zn_lines_bad(l, err, "%s %s is not between 0 and %.0f", what, text, max);
	return 0;
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
