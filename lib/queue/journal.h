/* journal: what the queue remembers across kill -9 and power loss.
 *
 * A directory (0700) of append-only, numbered segments (0600) of frames (rec/frame.h): %016llx.zj is named
 * by the first sequence number in it.  A snapshot, %016llx.zs, holds frames that stand for everything up to
 * and including that sequence number; older segments then go.  Opening reads the newest whole snapshot and
 * every segment after it, in order.
 *
 * Appends are buffered; a commit thread writes and fdatasyncs all that is buffered in one go (group commit)
 * and makes the event descriptor readable.  Space is preallocated a segment ahead, so that a full disk is
 * noticed before it hurts: zn_journal_room() says how many bytes are certain.
 * Calls come from one thread; open after the last fork() of a daemon that detaches, because the commit thread
 * does not survive one.
 * After a failed write or fdatasync the journal takes nothing more (-EIO from then on): what the kernel did
 * with the pages is unknown, so the same file is never synced again.
 */
#ifndef ZN_QUEUE_JOURNAL_H
#define ZN_QUEUE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "meter/meter.h"
#include "zenith.h"

struct zn_journal;

/* Where a record's payload lies; stays valid until a snapshot replaces its file. */
struct zn_loc {
	uint64_t file;        /* number in the file's name, top bit set for a snapshot */
	uint64_t offset;      /* of the payload */
	uint32_t len;
};

struct zn_journal_replay {
	void *arg;
	/* Each record in order; out of a snapshot, seq is the tag it was put with.  Numbers rise but may have
	 * gaps.  A negative return stops the opening with that error. */
	int (*record)(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len);
	/* A damaged range was skipped, or cut off the end (may be NULL).  Zeros alone are none.
	 * len 0: a snapshot that lacks its end, but there is no better one. */
	void (*damage)(void *arg, const char *path, uint64_t offset, uint64_t len);
};

struct zn_journal_opts {
	uint64_t segment_bytes;   /* 0: 16 MiB */
	bool read_only;           /* for --check-spool: no lock, no thread, nothing written */
};

/* Makes the directory if need be; cuts a torn tail off the newest segment (a damaged range in the middle is
 * skipped and left).  -EREMOTE on a network filesystem, -EBUSY when another process has it open.
 */
int zn_journal_open(const char *dir, const struct zn_journal_opts *opts, const struct zn_journal_replay *replay,
                    struct zn_journal **ret, struct zn_err *err);
/* Buffers one record; returns its sequence number (> 0) and, if ret_loc, where it will lie; -EIO after a
 * failure, -EMSGSIZE, -ENOSPC when no disk space for it is certain (nothing happened, and it may go better
 * later).  Waits for the disk only when 64 MiB are buffered, or when a segment is filled before the thread has
 * made the next spare.  Around the payload goes a frame (rec/frame.h): it takes len + ZN_FRAME_HEAD bytes.
 */
int64_t zn_journal_append(struct zn_journal *j, const void *payload, size_t len, struct zn_loc *ret_loc);
/* Wakes the commit thread if anything is buffered.  Call once per turn of the loop. */
void zn_journal_kick(struct zn_journal *j);
/* Readable (eventfd) when the durable number has grown or the journal has failed. */
int zn_journal_fd(const struct zn_journal *j);
/* The last sequence number that survives power loss; also empties the eventfd.  -EIO after a failure. */
int64_t zn_journal_durable(struct zn_journal *j);
/* Waits until everything appended is durable. */
int zn_journal_flush(struct zn_journal *j);
/* 0, or -EIO and what went wrong. */
int zn_journal_failure(struct zn_journal *j, struct zn_err *err);
/* The payload at loc, also when it is still in the buffer; NUL-terminated in a.  -EBADMSG when the disk no longer
 * has what was written, -ENOENT when its file is gone.
 */
int zn_journal_get(struct zn_journal *j, struct zn_loc loc, struct zn_arena *a, const char **ret, size_t *ret_len);
/* Bytes that can certainly be appended even if the disk is full now; where the filesystem can't preallocate, the
 * space it claims to have less 32 MiB.  At least a segment while the disk is not full.
 */
uint64_t zn_journal_room(struct zn_journal *j);
uint64_t zn_journal_bytes(const struct zn_journal *j);     /* on disk, snapshot and segments */

/* Off the loop: everything so far is committed and the segment closed; a forked child calls write(), which
 * puts records with zn_snapshot_put in any order it likes, and exits.  Poll with zn_journal_snapshot_poll: 1 done,
 * 0 still running, -ESRCH none was started, else it failed (-ECANCELED: the child was killed), the old files stay
 * and nothing is lost.  When done, moved() is told of each record that was put, in order, with the tag given and
 * its new place, then the old files go.  start is -EALREADY while one runs, -ENOSPC on a full disk.
 * The child has default signals, dies with its parent and keeps no descriptor but 0-2 and the journal's own.
 */
struct zn_snapshot;
struct zn_snapshot_job {
	void *arg;
	int (*write)(void *arg, struct zn_snapshot *s);
	void (*moved)(void *arg, uint64_t tag, struct zn_loc loc);
};
int zn_snapshot_put(struct zn_snapshot *s, uint64_t tag, const void *payload, size_t len);
/* Copies a record that is in the journal. */
int zn_snapshot_copy(struct zn_snapshot *s, uint64_t tag, struct zn_loc from);
int zn_journal_snapshot_start(struct zn_journal *j, const struct zn_snapshot_job *job);
int zn_journal_snapshot_poll(struct zn_journal *j);
int zn_journal_snapshot_pidfd(const struct zn_journal *j);  /* readable when the child is gone; -1 if none */

/* What it did since it was opened. */
struct zn_journal_did {
	uint64_t records, bytes;  /* that are durable: records, and bytes with their frames */
	struct zn_hist sync_s;    /* how long each fdatasync took */
};
void zn_journal_count(struct zn_journal *j, struct zn_journal_did *ret);

void zn_journal_close(struct zn_journal *j);               /* flushes */

#endif
