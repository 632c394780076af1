#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *zn_buf_room(struct zn_buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (b->cap - b->len >= n)
		return b->data + b->len;
	size_t cap = b->cap ? b->cap : 256;
	while (cap - b->len < n && cap <= SIZE_MAX / 2)
		cap *= 2;
	char *data = cap - b->len < n ? NULL : realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return b->data + b->len;
}

void zn_buf_add(struct zn_buf *b, const void *p, size_t n)
{
	char *to = n ? zn_buf_room(b, n) : NULL;

	if (!to)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void zn_buf_addstr(struct zn_buf *b, const char *text)
{
	zn_buf_add(b, text, strlen(text));
}

void zn_buf_addch(struct zn_buf *b, char c)
{
	zn_buf_add(b, &c, 1);
}

void zn_buf_printf(struct zn_buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *to = n < 0 ? NULL : zn_buf_room(b, (size_t)n + 1);
	if (to) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void zn_buf_eat(struct zn_buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	b->len -= n;
	if (b->len)
		memmove(b->data, b->data + n, b->len);
}

void zn_buf_done(struct zn_buf *b)
{
	free(b->data);
	*b = (struct zn_buf){ 0 };
}

const char *zn_buf_text(struct zn_buf *b)
{
	char *end = zn_buf_room(b, 1);

	if (!end)
		return NULL;
	*end = '\0';
	return b->data;
}
