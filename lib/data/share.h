/* share: batches to one process on the same machine without copying them: for each the descriptor of the memory in which it lies, and
 * a record that says what is where.
 *
 * Over a stream socket each message is a head of 8 bytes, the record's length (u32, little-endian) and zero, then the record, in MessagePack.
 * A batch's record is { "kind": "batch", "number", "epoch", "seq", "next", "bytes", "samples": [ { "key", and each field as
 * { "offset", "bytes" } } ] }, with "dtype" and "shape" of one that was decoded; the descriptor (SCM_RIGHTS) comes with its head, and
 * can only be read and mapped.  A loss is the record that it is elsewhere.  Who is done with a batch writes its number (u64,
 * little-endian); from then on its memory holds something else.
 */
#ifndef ZN_DATA_SHARE_H
#define ZN_DATA_SHARE_H

#include <signal.h>
#include <stdbool.h>

#include "data/batch.h"

struct zn_share;

/* Waits for who reads, at a socket of that name, which only this user can connect to, and which is gone once he is there: connected.
 * Changes the umask for a moment, so before there are threads that make files.  -EINTR: *stop is not 0 any more; -ENAMETOOLONG,
 * -EADDRINUSE: there is something of that name.
 */
int zn_share_accept(const char *path, const volatile sig_atomic_t *stop, struct zn_err *err);
/* socket: connected; stays the caller's.  most: batches that the other side has at once.  Each batch that was given is put back
 * once, in the order in which they were given, by put; is_done: by the other side.  -ENOMEM.
 */
int zn_share_new(int socket, uint32_t most, void (*put)(void *arg, const struct zn_batch *batch, bool is_done), void *arg, struct zn_share **ret);
/* Puts back what is out. */
void zn_share_free(struct zn_share *s);
/* Waits while the other side has as many as it may.  Takes batch, whose memory is shared, over, also when it fails.  -EPIPE: the other side
 * is gone; -EBADMSG: it gave back what it had not.
 */
int zn_share_batch(struct zn_share *s, const struct zn_batch *batch);
int zn_share_loss(struct zn_share *s, const struct zn_loss *loss);
/* No more come: waits until all are given back, or the other side is gone. */
int zn_share_end(struct zn_share *s);

#endif
