/* tar: the headers of a tar archive: ustar, pax, GNU's long names and large numbers, and what was before them.
 *
 * A pure function of bytes.  A member is its headers (those that only describe it come first), then its bytes, then up to
 * the next 512.  Formats: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar, "Basic Tar Format".
 */
#ifndef ZN_DATA_TAR_H
#define ZN_DATA_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ZN_TAR_BLOCK = 512,
	ZN_TAR_HEADS_MAX = 1 << 20,    /* bytes of all headers of one member; more is damage, ... */
	ZN_TAR_DESCRIPTIONS_MAX = 64,  /* ... and so are more that only describe it */
};

enum zn_tar_kind {
	ZN_TAR_FILE,
	ZN_TAR_OTHER,                  /* a directory, a link, a device: nothing to read */
	ZN_TAR_SPARSE,                 /* holes are left out in a way of GNU's: its bytes are not its contents */
	ZN_TAR_END,                    /* the block of zeros behind the last */
};

struct zn_tar_head {
	enum zn_tar_kind kind;
	const char *name;              /* no NUL in it, else any bytes; borrowed from the archive or text */
	size_t name_len;
	uint64_t size;                 /* bytes that follow the headers */
	char text[256];
};

/* What the headers at p say.  Returns their length; 0: they go on behind n, *ret_need bytes are looked at next time;
 * -EBADMSG: no header, *ret_why says why (a constant).
 */
ssize_t zn_tar_head(const void *p, size_t n, struct zn_tar_head *ret, size_t *ret_need, const char **ret_why);
/* Bytes of p before the first block that is a header, or of the archive's end; n rounded down to blocks if none is.  For
 * what follows damage, so it is asked more than of a header in its place: "ustar" must be written in it.
 */
size_t zn_tar_resync(const void *p, size_t n);
/* Where the next header is, behind size bytes; saturates. */
static inline uint64_t zn_tar_padded(uint64_t size)
{
	return size > UINT64_MAX - ZN_TAR_BLOCK ? UINT64_MAX : (size + ZN_TAR_BLOCK - 1) / ZN_TAR_BLOCK * ZN_TAR_BLOCK;
}

#endif
