/* log: what the agent must not forget: SPOOL/node/events, frames of records, only ever appended to.
 *
 *   begin   an agent took over: its boot id, and the sequence number of the file's first byte
 *   intent  written by a shepherd before it starts anything: job, attempt, who the shepherd is
 *   report  what the scheduler is to hear (zn_msg_report without a sequence number)
 *   ack     the scheduler has everything up to here
 *
 * The sequence number of an entry is begin's base plus the offset at which its frame ends, so that agent and
 * shepherds can append without asking each other; after a rewrite the base is past all numbers before, and an
 * entry that was kept carries its old number in itself.  Writers hold flock(2) on the file while they write, so
 * that nobody writes into a file that a rewrite has just replaced.
 */
#ifndef ZN_NODE_LOG_H
#define ZN_NODE_LOG_H

#include "base/clock.h"
#include "node/proto.h"
#include "proc/proc.h"

struct zn_log_begin {
	uint64_t base;
	const char *boot_id;
	uint32_t pid;
};

struct zn_log_start {
	uint64_t job;
	uint32_t attempt;
	uint32_t pid;                /* the shepherd */
	uint64_t ticks;              /* and when it started, which makes the pid unique */
	double time_s;
	const char *hold;            /* name of its cgroup */
	struct zn_ou64 adopt_pid, adopt_ticks; /* of a job that was taken over while it ran */
};

extern const struct zn_kind zn_log_begin_kind, zn_log_start_kind;

struct zn_log {
	int dirfd;                   /* SPOOL/node; borrowed */
	int fd;
	uint64_t base, at;           /* at: offset up to which entries were read */
	uint64_t reserved;           /* disk space is allocated up to this offset */
	uint64_t damaged_bytes;      /* skipped so far */
};

/* One entry that was read; the one of start and report that it is is set. */
struct zn_log_entry {
	uint64_t seq;
	const struct zn_log_begin *begin;
	const struct zn_log_start *start;
	const struct zn_msg_report *report;
	const struct zn_msg_ack *ack;
};

typedef int zn_log_fn(void *ctx, const struct zn_log_entry *e);

/* Opens or makes the file.  Nothing is read yet. */
int zn_log_open(int dirfd, struct zn_log *ret, struct zn_err *err);
/* Hands out every entry that was not read yet, in order; damage is skipped to the next good frame.  A negative
 * answer of fn ends it.
 */
int zn_log_read(struct zn_log *log, zn_log_fn *fn, void *ctx);
/* Appends one entry, by path: for agent and shepherd alike.  sync: it is on the disk when this returns. */
int zn_log_append(int dirfd, const struct zn_kind *kind, const void *entry, bool sync);
/* The same for entries that are frames already (zn_msg_put), with one write. */
int zn_log_append_frames(int dirfd, const struct zn_buf *frames, bool sync);
/* The directory was removed: what is logged now is read by nobody. */
bool zn_log_is_gone(int dirfd);
int zn_log_sync(struct zn_log *log);
/* Keeps disk space allocated past the end, so that the exits of what runs can be recorded on a full disk.
 * -ENOSPC: there is none to be had.
 */
int zn_log_reserve(struct zn_log *log);
/* Replaces the file by one that has begin and the entries in keep (encoded frames).  All entries must have been
 * read; -EAGAIN when one was appended meanwhile.
 */
int zn_log_rewrite(struct zn_log *log, const struct zn_buf *keep);
uint64_t zn_log_size(const struct zn_log *log);
void zn_log_close(struct zn_log *log);

#endif
