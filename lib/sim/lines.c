#include "sim/lines.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/number.h"

enum { STEP = 64 << 10, LINE_MAX_BYTES = 1 << 20 };

int zn_lines_open(const char *path, struct zn_lines *ret, struct zn_err *err)
{
	*ret = (struct zn_lines){ .path = path };
	ret->file = gzopen(path, "re");
	if (!ret->file)
		return zn_err_set(err, errno ? -errno : -ENOMEM, "can't open '%s': %s", path, errno ? strerror(errno) : "out of memory");
	gzbuffer(ret->file, 1 << 17);
	return 0;
}

static int read_error(struct zn_lines *l, struct zn_err *err)
{
	int code;
	const char *why = gzerror(l->file, &code);

	return zn_err_set(err, code == Z_ERRNO ? -errno : -EBADMSG, "can't read '%s': %s", l->path,
	                  code == Z_ERRNO ? strerror(errno) : why);
}

int zn_lines_bad(const struct zn_lines *l, struct zn_err *err, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return zn_err_set(err, -EBADMSG, "'%s', line %lu: %s", l->path, l->number, text);
}

/* 1: more is there; 0: that was all. */
static int read_more(struct zn_lines *l, struct zn_err *err)
{
	zn_buf_eat(&l->in, l->at);
	l->at = 0;
	char *room = zn_buf_room(&l->in, STEP + 1); /* and for the end of a last line without a newline */
	if (!room)
		return zn_err_set(err, -ENOMEM, "out of memory");
	int n = gzread(l->file, room, STEP);
	if (n < 0)
		return read_error(l, err);
	l->in.len += (size_t)n;
	return n > 0;
}

int zn_lines_peek(struct zn_lines *l, int *ret, struct zn_err *err)
{
	int rc = read_more(l, err);

	*ret = l->in.len ? (unsigned char)*l->in.data : -1;
	return rc < 0 ? rc : 0;
}

int zn_lines_next(struct zn_lines *l, char **ret, struct zn_err *err)
{
	char *line = NULL, *end = NULL;
	int rc = 1;

	l->number++;
	for (;;) {
		size_t left = l->in.len - l->at;
		line = left ? l->in.data + l->at : NULL;
		end = left ? memchr(line, '\n', left) : NULL;
		if (end || rc <= 0)
			break;
		if (left > LINE_MAX_BYTES)
			return zn_lines_bad(l, err, "a line of more than %d bytes", LINE_MAX_BYTES);
		rc = read_more(l, err);
	}
	if (rc < 0 || !line)
		return rc < 0 ? rc : 0;
	size_t n = end ? (size_t)(end - line) : l->in.len - l->at;
	l->at += n + (end != NULL);
	if (memchr(line, 0, n))
		return zn_lines_bad(l, err, "a NUL byte");
	char *cr = memchr(line, '\r', n);
	*(cr ? cr : line + n) = '\0';
	*ret = line;
	return 1;
}

void zn_lines_close(struct zn_lines *l)
{
	if (l->file)
		gzclose(l->file);
	zn_buf_done(&l->in);
	*l = (struct zn_lines){ 0 };
}

/* Of the eight bytes at p the highest bits of those that are c, the first byte's the lowest. */
static uint64_t find_byte(const char *p, char c)
{
	const uint64_t low = ZN__EACH(0x7f);
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	v = le64toh(v) ^ ZN__EACH((unsigned char)c);
	return ~(((v & low) + low) | v | low);
}

/* Ends the last field at a separator, and begins another one if there may be more. */
static bool end_field(char *at, char **fields, size_t *n, size_t max)
{
	*at = '\0';
	if (*n == max)
		return false;
	fields[(*n)++] = at + 1;
	return true;
}

/* Eight bytes at a time: most fields are shorter. */
size_t zn_line_cut(char *line, char sep, char **fields, size_t max)
{
	char *p = line, *end = line + strlen(line);
	size_t n = 0;

	fields[n++] = line;
	for (; end - p >= 8; p += 8)
		for (uint64_t found = find_byte(p, sep); found; found &= found - 1)
			if (!end_field(p + __builtin_ctzll(found) / 8, fields, &n, max))
				return n;
	for (; p < end; p++)
		if (*p == sep && !end_field(p, fields, &n, max))
			return n;
	return n;
}

bool zn_field_number(const char *text, double *ret)
{
	char *end;

	*ret = zn_strtod(text, &end);
	return end != text && !*end && isfinite(*ret);
}
