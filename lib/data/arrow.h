/* arrow: batches as a stream in Arrow's IPC format (https://arrow.apache.org/docs/format/Columnar.html), version V5.
 *
 * One record batch for each batch, a row for each sample, and these columns:
 *  __key__    Utf8; the bytes of a key that is not UTF-8 come out as \xNN;
 *  a field    bytes: LargeBinary, whose offsets hold however much a batch has;
 *             a single number: Int or FloatingPoint, so that labels of "i32" are Int32;
 *             a shape, and bf16, which Arrow has not: FixedSizeBinary, and the field's metadata say what is in it: dtype "u8",
 *             shape "[3,224,224]";
 *             null where the sample lacks it;
 *  meta       Struct{epoch Int64, seq Int64} of the batch.
 * Each message starts at a multiple of 64 bytes in the stream, and so does each buffer.
 */
#ifndef ZN_DATA_ARROW_H
#define ZN_DATA_ARROW_H

#include <stdbool.h>
#include <stdint.h>

#include "data/batch.h"
#include "zenith.h"

struct zn_arrow;

struct zn_arrow_field {
	const char *name;
	const struct zn_shape *shape; /* NULL: bytes */
};

struct zn_arrow_opts {
	/* The fields, in this order; n_fields 0: those of the first batch that has samples.  An empty batch before it is written
	 * with it.
	 */
	const struct zn_arrow_field *fields;
	uint32_t n_fields;
	bool drop_others;      /* fields that the stream began without are left out, not refused */
	const char *meta;      /* what that column is called; NULL: "meta".  Borrowed */
};

struct zn_arrow_stats {
	uint64_t batches, rows, bytes;
	uint64_t writes;       /* calls to writev(2) */
	uint64_t copied_bytes; /* of data: the rest was written from where the batch had it */
};

/* fd is borrowed, and may be one that does not block.  opts may be NULL; of it only meta is used later.
 * -EINVAL: fields that can't be; -ENOMEM.
 */
int zn_arrow_new(int fd, const struct zn_arrow_opts *opts, struct zn_arrow **ret, struct zn_err *err);
/* One batch, written in full when this returns.
 * -EINVAL: a field that the stream began without, of another type or shape, or twice in a sample; -EFBIG: more than 2 GiB
 * of keys; -ENOMEM; then nothing was written, and the stream goes on.  What writev(2) says: the stream is broken, and each
 * later call says so again.
 */
int zn_arrow_write(struct zn_arrow *a, const struct zn_batch *b, struct zn_err *err);
/* The end of the stream, behind the schema if there was no batch.  -EINVAL: it has been written. */
int zn_arrow_end(struct zn_arrow *a, struct zn_err *err);
const struct zn_arrow_stats *zn_arrow_stats_get(const struct zn_arrow *a);
void zn_arrow_free(struct zn_arrow *a);

#endif
