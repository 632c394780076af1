#include "sim/lines.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 4096, LINE_MAX_BYTES = 1 << 20 };

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

int zn_lines_next(struct zn_lines *l, char **ret, struct zn_err *err)
{
	int code;

	l->line.len = 0;
	l->number++;
	do {
		char *room = zn_buf_room(&l->line, STEP);
		if (!room)
			return zn_err_set(err, -ENOMEM, "out of memory");
		if (!gzgets(l->file, room, STEP))
			break;
		l->line.len += strlen(room);
		if (l->line.len > LINE_MAX_BYTES)
			return zn_lines_bad(l, err, "a line of more than %d bytes", LINE_MAX_BYTES);
	} while (l->line.data[l->line.len - 1] != '\n');
	gzerror(l->file, &code);
	if (code != Z_OK && code != Z_STREAM_END)
		return read_error(l, err);
	if (!l->line.len)
		return 0;
	char *text = l->line.data;
	text[strcspn(text, "\r\n")] = '\0';
	*ret = text;
	return 1;
}

void zn_lines_close(struct zn_lines *l)
{
	if (l->file)
		gzclose(l->file);
	zn_buf_done(&l->line);
	*l = (struct zn_lines){ 0 };
}

size_t zn_line_cut(char *line, char sep, char **fields, size_t max)
{
	size_t n = 0;

	while (line && n < max) {
		fields[n++] = line;
		line = strchr(line, sep);
		if (line)
			*line++ = '\0';
	}
	return n;
}

bool zn_field_number(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end != text && !*end && isfinite(*ret);
}
