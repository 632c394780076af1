/* lines: a text file line by line, gzipped or not, of which each line has a number for the sentence that refuses it. */
#ifndef ZN_SIM_LINES_H
#define ZN_SIM_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

#include "base/buf.h"
#include "zenith.h"

struct zn_lines {
	const char *path;
	gzFile file;
	struct zn_buf in;
	size_t at;                    /* what of in was given out */
	unsigned long number;         /* of the line that was read last, from 1 */
};

int zn_lines_open(const char *path, struct zn_lines *ret, struct zn_err *err);
/* The first byte of the file, -1 when it is empty; before anything else is read. */
int zn_lines_peek(struct zn_lines *l, int *ret, struct zn_err *err);
/* 1 and the next line, without its end, which the caller may cut up; 0 at the end. */
int zn_lines_next(struct zn_lines *l, char **ret, struct zn_err *err);
void zn_lines_close(struct zn_lines *l);
/* "'PATH', line N: sentence"; -EBADMSG. */
int zn_lines_bad(const struct zn_lines *l, struct zn_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));


/* Cuts a line at its commas (no quotes: no field has one); returns how many fields there are, at most max. */
size_t zn_line_cut(char *line, char sep, char **fields, size_t max);
/* A finite number that is the whole text; false else. */
bool zn_field_number(const char *text, double *ret);

#endif
