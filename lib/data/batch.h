/* batch: samples in memory, in the order in which one rank gets them, and what was lost on the way.
 *
 * A sample is what lies under one key, as WebDataset has it: the members a/12.jpg and a/12.cls are the fields "jpg" and
 * "cls" of the sample "a/12".  A field is bytes as they were read, or what a decoder made of them: numbers of one
 * type in a shape that is the same in each sample of a batch.
 */
#ifndef ZN_DATA_BATCH_H
#define ZN_DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "zenith.h"

enum zn_dtype { ZN_DTYPE_U8, ZN_DTYPE_I32, ZN_DTYPE_I64, ZN_DTYPE_F16, ZN_DTYPE_BF16, ZN_DTYPE_F32, ZN_DTYPE_F64, ZN_DTYPE_I8, ZN_DTYPE_U16, ZN_DTYPE_I16 };

/* Row-major, in the machine's byte order. */
struct zn_shape {
	enum zn_dtype dtype;
	uint32_t n_dims;               /* 0: a single number */
	uint32_t dims[6];
};

struct zn_datum {
	const char *field;             /* of equal texts in a batch always the same pointer */
	const void *p;
	size_t n;                      /* bytes; with a shape what that says */
	const struct zn_shape *shape;  /* NULL: bytes as they were read */
};

struct zn_sample {
	const char *key;
	const struct zn_datum *data;   /* in the order in which they lie in the shard */
	uint32_t n;
};

struct zn_loss;

/* Everything in it is borrowed from the loader until the batch is given back. */
struct zn_batch {
	uint64_t epoch, seq;           /* from 0; seq within the epoch */
	const struct zn_sample *samples;
	uint32_t n;                    /* fewer than asked at an epoch's end, or by losses; may be 0 */
	uint64_t bytes;                /* of all data */
	uint64_t next;                 /* how many of the epoch's samples all ranks have had when each has had this batch */
	/* Where all data lie, if that was to be shared: memory_fd is a memfd, which begins with memory; NULL: it was not. */
	const char *memory;
	size_t memory_bytes;
	int memory_fd;
	const struct zn_loss *losses;  /* what belongs into it and is not */
	uint32_t n_losses;
};

/* What could not be read.  Each member of the data set that is not in a batch is in one of these. */
struct zn_loss {
	uint64_t epoch;
	const char *shard;             /* the source's name: a path, a URL */
	uint64_t offset_bytes;         /* where in it */
	const char *key;               /* of the sample; NULL: that could not be read either */
	const char *reason;            /* "the header's checksum is wrong" */
};

size_t zn_dtype_bytes(enum zn_dtype t);
const char *zn_dtype_name(enum zn_dtype t); /* "u8", "f32", "bf16" */
int zn_dtype_parse(const char *name, enum zn_dtype *ret);
/* Bytes of one datum of that shape; 0 when that is more than a size_t holds. */
size_t zn_shape_bytes(const struct zn_shape *s);

#endif
