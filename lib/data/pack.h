/* pack: batches as MessagePack records to a descriptor, without copying what is in them.
 *
 * A batch is { "kind": "batch", "epoch", "seq", "next", "samples": [ { "key", and each field } ] }, in which a field is a
 * binary, or with a shape { "dtype", "shape": [...], "data": binary }.  A loss is { "kind": "loss", "epoch", "shard", "offset_bytes",
 * "key", "reason" }.  The heads are built in memory that is kept, and go out between the bytes of the samples by writev.
 */
#ifndef ZN_DATA_PACK_H
#define ZN_DATA_PACK_H

#include <sys/uio.h>

#include "base/buf.h"
#include "data/batch.h"
#include "rec/field.h"

extern const struct zn_kind zn_loss_kind;

struct zn_pack {
	int fd;
	struct zn_buf heads;           /* what lies between the bytes of samples */
	struct iovec *v;               /* p of those of heads is where in it, until they are written */
	size_t n, cap;
	size_t head_from;              /* of heads: what is in no iovec yet */
	uint64_t written;              /* bytes that went, ever */
};

/* fd stays the caller's. */
void zn_pack_init(struct zn_pack *p, int fd);
void zn_pack_done(struct zn_pack *p);
/* Writes all of it, and waits for whoever reads; -EPIPE, -ENOSPC, ... */
int zn_pack_batch(struct zn_pack *p, const struct zn_batch *batch);
int zn_pack_loss(struct zn_pack *p, const struct zn_loss *loss);

/* Pieces of such records, for others who write them: a key or its binary where it is not UTF-8; a field's name; "dtype" and "shape" with
 * what they are.
 */
void zn_pack_key(msgpack_packer *m, const char *key);
void zn_pack_name(msgpack_packer *m, const char *field);
void zn_pack_shape(msgpack_packer *m, const struct zn_shape *shape);

/* All bytes, in order, through EINTR and short writes; v is used up.  *written grows by what went, also before a failure. */
int zn_write_vector(int fd, struct iovec *v, size_t n, uint64_t *written);

#endif
