/* input: the bytes of what can only be read from its beginning: a file, a FIFO or standard input, unpacked where it is gzip.
 *
 * gzip is taken apart here and not by libarchive, which does not look at its checksums: a flipped bit would be data.
 */
#ifndef ZN_DATA_INPUT_H
#define ZN_DATA_INPUT_H

#include <stdbool.h>
#include <sys/types.h>
#include <zlib.h>

#include "zenith.h"

struct zn__input {
	int fd;
	bool can_seek;                 /* it is a file, and not gzip */
	bool is_gzip, in_member;       /* in_member: its end is still to come, with the checksum */
	unsigned char *raw, *out;
	size_t raw_at, raw_n;          /* of raw: what was read, and not taken yet */
	z_stream z;
	int rc;                        /* it is over: 0 at its end; 1: it is not */
	char why[128];                 /* of a failure */
	uint64_t read_bytes, wait_ns;  /* from fd; for it */
};

/* name "-": standard input, which stays open.  Waits for a FIFO's writer.  -EINTR by a signal's handler; -ENOMEM, -errno. */
int zn__input_open(struct zn__input *in, const char *name);
void zn__input_done(struct zn__input *in);
/* The next bytes, borrowed until the next call: how many; 0: it is over; -EINTR; -EBADMSG: damaged gzip; -errno.  why says it. */
ssize_t zn__input_next(struct zn__input *in, const void **ret);
/* As lseek; of one that can. */
off_t zn__input_seek(struct zn__input *in, off_t to, int whence);
/* What is left of gzip is read for its checksum: 0, or as zn__input_next. */
int zn__input_check(struct zn__input *in);

#endif
