/* The messages of Arrow's IPC format: what goes ahead of a body. */
#ifndef ZN_DATA_ARROW_MESSAGE_H
#define ZN_DATA_ARROW_MESSAGE_H

#include "base/buf.h"
#include "data/columns.h"

/* Each replaces what is in b: continuation marker, length and metadata, filled up to a multiple of 64 bytes.  b->failed: memory
 * ran out.
 */
void zn__arrow_schema(const struct zn__columns *c, struct zn_buf *b);
void zn__arrow_batch(const struct zn__columns *c, int64_t rows, struct zn_buf *b); /* as it is laid out */
void zn__arrow_end(struct zn_buf *b); /* 8 bytes: nothing comes behind it */

#endif
