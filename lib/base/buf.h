/* buf: bytes that grow.  Zero-initialised storage is an empty buffer.  A failed growth is remembered
 * (failed), later appends do nothing, and the caller asks once at the end.
 */
#ifndef ZN_BASE_BUF_H
#define ZN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct zn_buf {
	char *data;
	size_t len, cap;
	bool failed;
};

/* Makes room for n more bytes; NULL (and failed) when memory ran out, else where they go. */
char *zn_buf_room(struct zn_buf *b, size_t n);
void zn_buf_add(struct zn_buf *b, const void *p, size_t n);
void zn_buf_addstr(struct zn_buf *b, const char *text);
void zn_buf_addch(struct zn_buf *b, char c);
void zn_buf_printf(struct zn_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void zn_buf_eat(struct zn_buf *b, size_t n);
void zn_buf_done(struct zn_buf *b);
/* The text so far, NUL-terminated; NULL if anything failed.  Borrowed until the next append. */
const char *zn_buf_text(struct zn_buf *b);

#endif
