/* journal_priv: what the files of the journal share.
 *
 * Words: a *segment* is a file that frames are appended to; a *spare* is a segment to be, created and
 * preallocated ahead as spare-N, which gets its name when its first frame is written; a *batch* is a run
 * of frames of one segment on its way to the disk; a file's *number* is that in its name, with
 * ZN_LOC_SNAPSHOT set for a snapshot.
 *
 * Two threads: the caller's appends to `waiting`; the commit thread takes all of it as `busy`, writes, syncs
 * and publishes `durable`.  Frames stay readable in memory until they are durable.
 *
 * All frames of one file carry the same random nonce.  It is known only to those who may read the journal, so
 * nobody can hide frames inside a submitted script and have them believed when the frame around them is torn;
 * and a frame of another file never passes.
 */
#ifndef ZN_QUEUE_JOURNAL_PRIV_H
#define ZN_QUEUE_JOURNAL_PRIV_H

#include <pthread.h>
#include <sys/types.h>

#include "base/buf.h"
#include "queue/journal.h"
#include "rec/frame.h"

#define ZN_LOC_SNAPSHOT (1ULL << 63)
enum { ZN__NAME = 32 };

struct zn__segment {
	struct zn__segment *next; /* from the one being written to the one being appended to */
	uint64_t file;
	int fd;
	uint32_t nonce;
	uint64_t allocated;       /* bytes of it that can't run out of disk */
	uint64_t end, cleared;    /* the commit thread's: what was written, and where the zeros behind it end */
	bool queued;              /* a batch for it was made: from then on `spare` belongs to the commit thread */
	unsigned spare;           /* it is still called spare-N; 0: it has its own name */
};

struct zn__batch {
	struct zn__batch *next;
	struct zn__segment *segment; /* gone once a later one was begun: file stays */
	uint64_t file, offset;    /* where data goes */
	uint64_t last_seq;
	struct zn_buf data;       /* may be empty: then only the segment's name is made durable */
};

struct zn__batches {
	struct zn__batch *head, *tail;
	uint64_t bytes;
};

struct zn__snapshot_run {
	pid_t pid;                /* 0: none runs */
	int pidfd, index_fd;
	uint64_t number;          /* covers sequence numbers up to and including this */
	uint64_t bytes_before;
	struct zn_snapshot_job job;
};

struct zn_journal {
	char *dir;
	int dirfd, lockfd, eventfd;
	uint64_t segment_bytes;
	bool read_only;

	/* the caller's thread */
	uint64_t next_seq, bytes;
	struct zn__segment *active; /* takes the next frame, at offset; NULL before the first */
	struct zn__segment *first;  /* the first of this run */
	uint64_t offset;
	uint64_t open_file;         /* the file last read from, and its descriptor */
	int open_fd;
	struct zn__snapshot_run run;

	pthread_t thread;
	bool started;
	pthread_mutex_t lock;       /* guards what follows */
	pthread_cond_t work, done;
	struct zn__batches waiting, busy;
	struct zn_journal_did did;
	uint64_t durable, drop;     /* drop: files up to this number are covered by a snapshot and may go */
	bool kicked, stop, failed;
	struct zn_err failure;
	struct zn__segment *spare;
	bool spare_making, spare_full, no_prealloc;
	uint64_t spare_tried_ns;
	unsigned spare_id;

	/* the commit thread */
	struct zn__segment *writing;
	uint64_t sync_ns;           /* of the last fdatasync */
};

/* journal.c */
int zn__file_name(uint64_t file, char to[ZN__NAME]);
/* Reads the frame at loc, head and payload, into to, which holds ZN_FRAME_HEAD + loc.len bytes; -EBADMSG when it
 * is no longer what it was. */
int zn__frame_read(int fd, struct zn_loc loc, char *to);
/* The lock is held.  Starts the next segment, named by next_seq. */
int zn__journal_rotate(struct zn_journal *j);
struct zn__batch *zn__batch_new(struct zn_journal *j);

/* journal_commit.c */
int zn__commit_start(struct zn_journal *j, struct zn_err *err);
void zn__commit_stop(struct zn_journal *j);
void zn__batches_free(struct zn__batches *q);
void zn__drop_covered(int dirfd, uint64_t number);

/* journal_space.c: preallocation.  The lock is held, but let go while a file is made. */
int zn__spare_make(struct zn_journal *j);
bool zn__spare_is_due(const struct zn_journal *j);
int zn__spare_take(struct zn_journal *j, struct zn__segment **ret);
void zn__spare_name(unsigned id, char to[ZN__NAME]);
int zn__segment_extend(struct zn_journal *j, struct zn__segment *s, uint64_t bytes);
void zn__segment_free(struct zn__segment *s);
int zn__nonce(uint32_t *ret);

/* journal_replay.c */
struct zn__tail {
	uint64_t next_seq, bytes;
	uint64_t file, end;       /* the newest segment and where its last good frame ends; 0: no segment */
	uint32_t nonce;
};
int zn__journal_replay(struct zn_journal *j, const struct zn_journal_replay *replay, struct zn__tail *ret,
                       struct zn_err *err);

struct zn__listing {
	uint64_t *segments, *snapshots;   /* numbers, rising, without ZN_LOC_SNAPSHOT */
	size_t n_segments, n_snapshots;
	char (*leftovers)[ZN__NAME];      /* unfinished snapshots and spares */
	size_t n_leftovers;
	struct zn_arena arena;
};
int zn__list(int dirfd, struct zn__listing *ret);

/* journal_snapshot.c */
void zn__snapshot_kill(struct zn_journal *j);

#endif
