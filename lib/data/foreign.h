/* foreign: what libarchive reads: archives of all kinds, and what is packed by xz, zstd and others. */
#ifndef ZN_DATA_FOREIGN_H
#define ZN_DATA_FOREIGN_H

#include "data/bytes.h"
#include "data/unpack.h"

struct zn__foreign;

/* Whether bytes that begin so are packed by something that libarchive unpacks. */
bool zn__foreign_is_packed(const void *p, size_t n);
/* As an archive, or is_packed: as what is packed.  from: unchanged until it is freed.  -ENOTSUP: built without libarchive; -ENOMEM. */
int zn__foreign_new(const struct zn__bytes *from, bool is_packed, struct zn__foreign **ret);
void zn__foreign_free(struct zn__foreign *f);
/* Of what is packed: the bytes; borrowed until it is freed. */
struct zn__bytes zn__foreign_bytes(struct zn__foreign *f);
/* Of an archive: as zn__unpack_next and zn__unpack_read. */
int zn__foreign_next(struct zn__foreign *f, struct zn__member *ret);
int zn__foreign_read(struct zn__foreign *f, const void **ret, size_t *ret_n, uint64_t *ret_at);
const char *zn__foreign_why(const struct zn__foreign *f);

#endif
