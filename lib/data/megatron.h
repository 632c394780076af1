/* megatron: where the sequences of tokens of a Megatron data set lie.
 *
 * NAME.bin is token numbers, one after another; NAME.idx says where each sequence begins and how long it is.  Nothing
 * the index says is believed: each answer lies within NAME.bin.
 */
#ifndef ZN_DATA_MEGATRON_H
#define ZN_DATA_MEGATRON_H

#include <stddef.h>

#include "data/batch.h"

struct zn_megatron {
	enum zn_dtype dtype;           /* whole numbers of 1 to 8 bytes */
	uint64_t sequences, documents;
	uint64_t bin_bytes;
	/* borrowed from the index */
	const unsigned char *lengths, *pointers, *document_index;
};

struct zn_sequence {
	uint64_t offset_bytes;         /* in NAME.bin */
	uint64_t tokens;               /* may be 0 */
};

/* Reads the header of an index (version 1), which lies whole in memory and stays there.  -EBADMSG or -ENOTSUP with a sentence. */
int zn_megatron_open(struct zn_megatron *m, const void *idx, size_t idx_bytes, uint64_t bin_bytes, struct zn_err *err);
/* i below m->sequences.  -EBADMSG: it would not lie within NAME.bin. */
int zn_megatron_sequence(const struct zn_megatron *m, uint64_t i, struct zn_sequence *ret, struct zn_err *err);
/* The sequences of a document, i below m->documents: from *ret_first on, *ret_n of them. */
int zn_megatron_document(const struct zn_megatron *m, uint64_t i, uint64_t *ret_first, uint64_t *ret_n, struct zn_err *err);
/* Whether the sequences lie one behind another from the beginning of NAME.bin, in order; then that is one stream of
 * *ret_tokens tokens.  Reads the whole index.
 */
int zn_megatron_stream(const struct zn_megatron *m, uint64_t *ret_tokens, struct zn_err *err);

#endif
