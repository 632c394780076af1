/* columns: a batch turned by a quarter, from samples of fields to fields of samples, as Arrow lays them out.
 *
 * The columns are __key__, the fields, and a struct of the batch's epoch and seq.  Laid out, a batch is nodes (a column's
 * length and nulls), buffers (where in the body each lies) and vectors (where the body's bytes are in memory).  Data are
 * borrowed from the batch; only what is small (ZN__SMALL) is copied, since an entry in a list of vectors costs more than that.
 * All memory is kept for the next batch.
 */
#ifndef ZN_DATA_COLUMNS_H
#define ZN_DATA_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "data/batch.h"
#include "zenith.h"

#define ZN__SMALL 128          /* bytes of one datum that are copied rather than pointed at */
#define ZN__ARROW_ALIGN 64     /* of buffers, as Arrow recommends */

enum zn__column_kind {
	ZN__COLUMN_BYTES,      /* LargeBinary: any number of bytes, and a batch may have more than 2 GiB of them */
	ZN__COLUMN_NUMBER,     /* a single number of a type that Arrow knows */
	ZN__COLUMN_BLOCK,      /* FixedSizeBinary: a shape, or bf16, which Arrow does not know */
};

struct zn__column {
	char *name;            /* as it is in the batches; owned */
	enum zn__column_kind kind;
	struct zn_shape shape; /* not of BYTES */
	size_t width;          /* bytes of one datum; not of BYTES */

	/* in the batch at hand */
	const char *seen;      /* the pointer that means this name, or NULL */
	const struct zn_shape *seen_shape; /* one that is the column's, or NULL */
	uint32_t n;            /* samples that have it */
	size_t small_bytes;    /* of data of BYTES that are copied */
};

struct zn__node {
	int64_t length, nulls;
};

struct zn__span {
	int64_t offset, bytes; /* in the body, without what fills it up to ZN__ARROW_ALIGN */
	size_t first, n;       /* its vectors; the last one may be of that filling */
};

/* Zero-initialised storage has no columns yet. */
struct zn__columns {
	struct zn__column *columns;
	uint32_t n;
	bool drop_others;      /* fields that have no column are left out */
	const char *meta;      /* name of the struct; NULL: "meta".  Borrowed */

	/* of the batch that was laid out last */
	const struct zn_datum **cells; /* by column, then row; NULL: the sample lacks it */
	struct zn__node *nodes;/* __key__, the columns, the struct, its two members */
	struct zn__span *spans;/* in the order of the nodes: validity; offsets or what is counted; data */
	struct iovec *vectors; /* the first one is kept free for what goes ahead of the body */
	size_t n_nodes, n_spans, n_vectors;
	int64_t body_bytes;    /* with the filling */
	uint64_t copied_bytes; /* of data */

	size_t cells_room, vectors_room, key_ends_room;
	struct { uint8_t *p; size_t used, room, run; } scratch; /* run: from where on no vector points to it yet */
	struct zn_buf keys;
	int32_t *key_ends;
	bool failed;           /* memory ran out on the way */
};

/* shape may be NULL: bytes.  -EINVAL: a name twice, or a shape that can't be; -ENOMEM. */
int zn__columns_add(struct zn__columns *c, const char *name, const struct zn_shape *shape, struct zn_err *err);
/* A column for each field of the batch, in the order in which they are met. */
int zn__columns_learn(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err);
/* -EINVAL: a field that has no column, twice in one sample, or of another type; -EFBIG: 2 GiB of keys; -ENOMEM. */
int zn__columns_lay(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err);
/* Where a span is in one piece of the batch's memory; NULL: it is not. */
const void *zn__columns_in_place(const struct zn__columns *c, size_t span);
/* Puts a span together, with what fills it up, and returns how many bytes that was. */
size_t zn__columns_copy(const struct zn__columns *c, size_t span, void *to);
/* The first half of it: which datum goes to which cell. */
int zn__columns_place(struct zn__columns *c, const struct zn_batch *b, struct zn_err *err);
const char *zn__columns_meta(const struct zn__columns *c);
void zn__columns_done(struct zn__columns *c);

/* "3,224,224" between brackets, as JSON has it. */
void zn__shape_text(const struct zn_shape *s, struct zn_buf *to);
/* Text as Arrow wants it, UTF-8; what is not comes out as \xNN. */
void zn__utf8_text(const char *text, struct zn_buf *to);

#endif
