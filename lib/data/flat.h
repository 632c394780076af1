/* flat: FlatBuffers, as far as Arrow's metadata needs them, written from the front to the back.
 *
 * A table is written with its numbers at nought, then what it refers to behind it, and each reference is set once what
 * it leads to has a place.  Positions are offsets into the buffer, which starts at a multiple of 8; nothing is checked on the
 * way, for the buffer remembers that memory ran out.
 */
#ifndef ZN_DATA_FLAT_H
#define ZN_DATA_FLAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A table with a field for each letter of layout: its bytes, '1', '2', '4' or '8', or '0' for one that is left out.
 * Returns where it is.
 */
size_t zn__flat_table(struct zn_buf *b, const char *layout);
/* Where field i of that table is. */
size_t zn__flat_slot(const struct zn_buf *b, size_t table, unsigned i);
/* The low bytes of v, little-endian, at a place that is there already. */
void zn__flat_put(struct zn_buf *b, size_t at, uint64_t v, unsigned bytes);
void zn__flat_set(struct zn_buf *b, size_t table, unsigned i, uint64_t v, unsigned bytes);
/* Makes field i of table, or the reference at a place, lead to target. */
void zn__flat_refer(struct zn_buf *b, size_t table, unsigned i, size_t target);
void zn__flat_refer_at(struct zn_buf *b, size_t at, size_t target);
size_t zn__flat_string(struct zn_buf *b, const char *text, size_t n);
/* A vector of n elements of so many bytes each, at nought; 4-byte ones are references as a rule.  Its elements begin 4
 * bytes behind what is returned.
 */
size_t zn__flat_vector(struct zn_buf *b, size_t n, size_t bytes);
/* Nought up to a multiple of align. */
void zn__flat_pad(struct zn_buf *b, size_t align);

#endif
