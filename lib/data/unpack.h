/* unpack: the members of an archive that is read from its beginning, one after the other.  tar is taken apart by untar.h, also
 * what libarchive has unpacked from xz, zstd and others; zip, cpio, 7z and others by libarchive.  gzip is read by input.h.
 * Archives of tar that follow each other are read as one.
 *
 * Offsets are those in what is unpacked: in the .tar of a .tar.gz.
 */
#ifndef ZN_DATA_UNPACK_H
#define ZN_DATA_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zenith.h"

struct zn__unpack;

enum zn__unpacked {
	ZN__UNPACKED_END,
	ZN__UNPACKED_ONE,              /* a member, or a piece of it */
	ZN__UNPACKED_DAMAGE,           /* that could not be read; what follows may be; once for all that is damaged up to a header */
	ZN__UNPACKED_LOST,             /* nor can anything that follows */
};

struct zn__member {
	const char *name;              /* borrowed until anything is read; NULL: it makes no sense */
	size_t name_len;
	bool is_file;                  /* else it has no bytes: a directory, a link */
	uint64_t offset, size;         /* size 0: it may not be known yet; offset also of DAMAGE and LOST */
};

/* name "-": standard input.  -ENOTSUP: it takes libarchive, and this was built without it; -EINTR: a signal's handler ran while it
 * was waited for; -ENOMEM, -errno.
 */
int zn__unpack_open(const char *name, struct zn__unpack **ret, struct zn_err *err);
void zn__unpack_free(struct zn__unpack *u);
/* enum zn__unpacked; -EINTR, -ENOMEM. */
int zn__unpack_next(struct zn__unpack *u, struct zn__member *ret);
/* A piece of that member, at ret_at in it: what is skipped is zero.  As zn__unpack_next. */
int zn__unpack_read(struct zn__unpack *u, const void **ret, size_t *ret_n, uint64_t *ret_at);
const char *zn__unpack_why(const struct zn__unpack *u);   /* of DAMAGE and LOST; borrowed */
uint64_t zn__unpack_read_bytes(const struct zn__unpack *u);
uint64_t zn__unpack_wait_ns(const struct zn__unpack *u);  /* for whoever writes, or the device */

#endif
