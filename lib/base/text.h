/* text: questions about bytes that claim to be text. */
#ifndef ZN_BASE_TEXT_H
#define ZN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

bool zn_is_utf8(const char *p, size_t n); /* well-formed: no overlong forms, no surrogates */
/* Columns a terminal needs for n bytes of UTF-8, by wcwidth's rules as far as the locale knows them. */
size_t zn_text_width(const char *p, size_t n);
/* The longest beginning of p that needs at most width columns, in bytes. */
size_t zn_text_fit(const char *p, size_t n, size_t width);
/* Bytes of the first character of p (1 for a byte that is none), and whether a terminal may see it: not so
 * control characters, those that turn the direction of writing and bytes that are not UTF-8.
 */
size_t zn_text_step(const char *p, size_t n, bool *ret_safe);
/* Text that may be shown in a terminal: every byte of what is not safe comes out as \xNN. */
void zn_text_escape(const char *p, size_t n, struct zn_buf *to);
/* Whether word is one of list's, which commas and blanks part. */
bool zn_text_lists(const char *list, const char *word);
/* RFC 4648 with padding. */
void zn_base64_encode(const void *p, size_t n, struct zn_buf *to);
bool zn_base64_decode(const char *text, size_t n, struct zn_buf *to); /* false: not base64, nothing added */

#endif
