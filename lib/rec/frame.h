/* frame: a record with an envelope, for places where bytes can be torn, flipped or mixed with noise: the
 * journal, the agent's log, the pipe to an agent.
 *
 *   offset  0  magic "ZNF1"
 *           4  u32 payload length, at most ZN_RECORD_MAX
 *           8  u64 sequence number
 *          16  u32 nonce: which session or file this frame belongs to
 *          20  u16 protocol version of the writer, u16 zero
 *          24  u32 CRC-32 (zlib) of bytes 0-23 and the payload
 *          28  payload: one MessagePack record
 *
 * All little-endian.  A reader that meets damage searches the next magic whose CRC holds.
 */
#ifndef ZN_REC_FRAME_H
#define ZN_REC_FRAME_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "zenith.h"

enum { ZN_FRAME_HEAD = 28, ZN_FRAME_VERSION = 1 };

struct zn_frame {
	uint64_t seq;
	uint32_t nonce;
	uint16_t version;
	const void *payload; /* borrowed */
	size_t len;
};

/* Appends one frame. */
int zn_frame_put(struct zn_buf *to, uint64_t seq, uint32_t nonce, const void *payload, size_t len);
/* Looks at p[0..n): the length of a whole frame, which *ret then describes; 0 if it could become one with
 * more bytes; -EBADMSG if it can't (bad magic, length, version 0 or CRC).
 */
ssize_t zn_frame_get(const void *p, size_t n, struct zn_frame *ret);
/* Bytes to skip from p until a whole, valid frame begins; n if there is none. */
size_t zn_frame_resync(const void *p, size_t n);

#endif
