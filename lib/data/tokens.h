/* tokens: records of a fixed number of tokens out of one long stream, as a language model is trained on: record i is the tokens
 * from i * stride on, stride + 1 of them, so that each is a text and, one further, what follows it.  Neighbours share one
 * token; what is left at the end and makes no whole record is in none.
 */
#ifndef ZN_DATA_TOKENS_H
#define ZN_DATA_TOKENS_H

#include <stddef.h>

#include "data/batch.h"

struct zn_tokens {
	uint64_t offset_bytes;         /* of the first token in its file */
	enum zn_dtype dtype;
	uint32_t stride;               /* tokens */
	uint64_t records;
};

/* tokens in the stream; stride at least 1.  -EINVAL, -EOVERFLOW with a sentence.  A stream too short has 0 records. */
int zn_tokens_init(struct zn_tokens *t, uint64_t offset_bytes, uint64_t tokens, enum zn_dtype dtype, uint32_t stride,
                   struct zn_err *err);
/* The shape of each record. */
struct zn_shape zn_tokens_shape(const struct zn_tokens *t);
/* Where record i begins, below t->records; it is zn_shape_bytes(zn_tokens_shape) long. */
uint64_t zn_tokens_offset(const struct zn_tokens *t, uint64_t i);

#endif
