/* reader: a stream of records from a descriptor: MessagePack maps one after another, or JSON Lines.
 * The first byte tells which ('{', or white space before it, is JSON; a MessagePack map otherwise).
 */
#ifndef ZN_REC_READER_H
#define ZN_REC_READER_H

#include "base/arena.h"
#include "rec/val.h"

struct zn_reader;

struct zn_rec {
	msgpack_object map;          /* always a map */
	const void *p;               /* its MessagePack bytes */
	size_t n;
	uint64_t offset;             /* where it began in the stream, bytes */
	uint64_t line;               /* 1-based line for JSON Lines, else 0 */
};

/* fd stays the caller's. */
int zn_reader_new(int fd, struct zn_reader **ret);
/* 1 and a record, which lives until the next call; 0 at a clean end; -EBADMSG for anything that is no
 * record (the sentence has the byte offset; the reader is dead after it); -errno when read fails.
 * Memory is bounded by ZN_RECORD_MAX.
 */
int zn_reader_next(struct zn_reader *r, struct zn_rec *ret, struct zn_err *err);
/* 1 if a record can be had without reading from the descriptor. */
int zn_reader_has_buffered(const struct zn_reader *r);
void zn_reader_free(struct zn_reader *r);

#endif
