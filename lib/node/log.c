#include "node/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "rec/frame.h"
#include "rec/val.h"

static const char name[] = "events", name_new[] = "events.new";

enum {
	RESERVE = 256 << 10,      /* an exit takes about 250 bytes */
	RESERVE_LOW = 64 << 10,
	READ_MAX = 64 << 20,
};

static const struct zn_field begin_fields[] = {
	ZN_FIELD(struct zn_log_begin, base, U64, "BASE", "sequence number of the file's first byte"),
	ZN_FIELD(struct zn_log_begin, boot_id, STR, "BOOT", "the kernel's boot id"),
	ZN_FIELD(struct zn_log_begin, pid, U32, "PID", "the agent"),
	{ 0 }
};

const struct zn_kind zn_log_begin_kind = {
	.name = "begin", .brief = "an agent took over", .fields = begin_fields, .size = sizeof(struct zn_log_begin),
};

static const struct zn_field start_fields[] = {
	ZN_FIELD(struct zn_log_start, job, U64, "JOB", "the job's number"),
	ZN_FIELD(struct zn_log_start, attempt, U32, "ATTEMPT", "which start of it"),
	ZN_FIELD(struct zn_log_start, pid, U32, "PID", "the shepherd"),
	ZN_FIELD(struct zn_log_start, ticks, U64, "", "when the shepherd started, clock ticks since boot"),
	ZN_FIELD(struct zn_log_start, time_s, TIME, "TIME", "when"),
	ZN_FIELD(struct zn_log_start, hold, STR, "HOLD", "name of its cgroup"),
	ZN_FIELD(struct zn_log_start, adopt_pid, OU64, "", "the process that was taken over"),
	ZN_FIELD(struct zn_log_start, adopt_ticks, OU64, "", "when that started"),
	{ 0 }
};

const struct zn_kind zn_log_start_kind = {
	.name = "intent", .brief = "a shepherd is about to start a job", .fields = start_fields,
	.size = sizeof(struct zn_log_start),
};

int zn_log_open(int dirfd, struct zn_log *ret, struct zn_err *err)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return zn_err_set(err, -errno, "the agent's log '%s': %s", name, strerror(errno));
	*ret = (struct zn_log){ .dirfd = dirfd, .fd = fd };
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Decodes the payload into whichever of the kinds it is and hands it out. */
static int hand_out(struct zn_log *log, uint64_t seq, const struct zn_frame *f, struct zn_arena *a, zn_log_fn *fn,
                    void *ctx)
{
	struct zn_log_begin begin;
	struct zn_log_start start;
	struct zn_msg_report report;
	struct zn_msg_ack ack;
	struct zn_log_entry e = { .seq = seq };
	msgpack_object map;

	if (zn_msg_unpack(f, a, &map, NULL) < 0)
		return 0;
	const msgpack_object *kind = zn_val_get(&map, "kind");
	if (zn_val_is_text(kind, zn_log_begin_kind.name) && zn_decode(&zn_log_begin_kind, &map, a, &begin, NULL) == 0) {
		e.begin = &begin;
		log->base = begin.base;
	} else if (zn_val_is_text(kind, zn_log_start_kind.name) &&
	           zn_decode(&zn_log_start_kind, &map, a, &start, NULL) == 0) {
		e.start = &start;
	} else if (zn_val_is_text(kind, zn_msg_report_kind.name) &&
	           zn_decode(&zn_msg_report_kind, &map, a, &report, NULL) == 0) {
		e.report = &report;
		e.seq = report.seq ? report.seq : seq;
	} else if (zn_val_is_text(kind, zn_msg_ack_kind.name) && zn_decode(&zn_msg_ack_kind, &map, a, &ack, NULL) == 0) {
		e.ack = &ack;
	}
	return fn(ctx, &e);
}

/* Reads what is there behind log->at.  A frame cut at the end is left for the next time: its writer may still
 * be writing.
 */
static int read_tail(struct zn_log *log, struct zn_buf *to)
{
	struct stat st;

	if (fstat(log->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size <= log->at)
		return 0;
	uint64_t want = (uint64_t)st.st_size - log->at;
	if (want > READ_MAX)
		want = READ_MAX;
	char *p = zn_buf_room(to, want);
	if (!p)
		return -ENOMEM;
	ssize_t n;
	do
		n = pread(log->fd, p, want, (off_t)log->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	to->len += (size_t)n;
	return 0;
}

int zn_log_read(struct zn_log *log, zn_log_fn *fn, void *ctx)
{
	struct zn_arena a = { 0 };
	struct zn_buf tail = { 0 };
	struct zn_frame f;
	size_t at = 0;
	int rc = read_tail(log, &tail);

	while (rc >= 0 && at < tail.len) {
		ssize_t n = zn_frame_get(tail.data + at, tail.len - at, &f);
		if (n <= 0) {
			size_t skip = zn_frame_resync(tail.data + at, tail.len - at);
			if (skip == tail.len - at)
				break;
			log->damaged_bytes += skip;
			at += skip;
			continue;
		}
		rc = hand_out(log, log->base + log->at + at + (size_t)n, &f, &a, fn, ctx);
		at += rc < 0 ? 0 : (size_t)n; /* what was not taken is there the next time */
		zn_arena_reset(&a);
	}
	log->at += at;
	zn_arena_done(&a);
	zn_buf_done(&tail);
	return rc < 0 ? rc : 0;
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* The file that bears the name now, locked. */
static int open_locked(int dirfd)
{
	struct stat mine, named;

	for (;;) {
		int fd = openat(dirfd, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR) {
				int rc = -errno;
				close(fd);
				return rc;
			}
		if (fstat(fd, &mine) == 0 && fstatat(dirfd, name, &named, 0) == 0 && mine.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
}

/* All or nothing: half a frame would only be skipped, but it costs space that a later exit may need. */
static int write_whole(int fd, const struct zn_buf *b)
{
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n = write(fd, b->data, b->len);

	if (n == (ssize_t)b->len)
		return 0;
	int rc = n < 0 ? -errno : -ENOSPC;
	if (n > 0 && end >= 0 && ftruncate(fd, end) < 0)
		rc = -errno;
	return rc;
}

int zn_log_append_frames(int dirfd, const struct zn_buf *frames, bool sync)
{
	int fd = open_locked(dirfd);

	if (fd < 0)
		return fd;
	int rc = write_whole(fd, frames);
	if (rc == 0 && sync && fdatasync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int zn_log_append(int dirfd, const struct zn_kind *kind, const void *entry, bool sync)
{
	struct zn_buf b = { 0 };
	int rc = zn_msg_put(&b, 0, 0, kind, entry);

	if (rc == 0)
		rc = zn_log_append_frames(dirfd, &b, sync);
	zn_buf_done(&b);
	return rc;
}

bool zn_log_is_gone(int dirfd)
{
	struct stat st;

	return fstat(dirfd, &st) == 0 && st.st_nlink == 0;
}

int zn_log_sync(struct zn_log *log)
{
	return fdatasync(log->fd) < 0 ? -errno : 0;
}

uint64_t zn_log_size(const struct zn_log *log)
{
	struct stat st;

	return fstat(log->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

int zn_log_reserve(struct zn_log *log)
{
	if (log->reserved >= log->at + RESERVE_LOW)
		return 0;
	if (fallocate(log->fd, FALLOC_FL_KEEP_SIZE, (off_t)log->at, RESERVE) < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	log->reserved = log->at + RESERVE;
	return 0;
}

/* Bytes behind the last entry that are no entry (a torn write) may go. */
static bool has_unread(const struct zn_log *log)
{
	struct zn_buf tail = { 0 };
	struct zn_log peek = *log;
	bool unread = read_tail(&peek, &tail) < 0 || zn_frame_resync(tail.data ? tail.data : "", tail.len) < tail.len;

	zn_buf_done(&tail);
	return unread;
}

static int write_new(struct zn_log *log, const struct zn_buf *keep, uint64_t base)
{
	char boot[ZN_BOOT_ID];
	struct zn_log_begin begin = { .base = base, .boot_id = boot, .pid = (uint32_t)getpid() };
	struct zn_buf b = { 0 };

	zn_boot_id(boot);
	int fd = openat(log->dirfd, name_new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int rc = zn_msg_put(&b, 0, 0, &zn_log_begin_kind, &begin);
	zn_buf_add(&b, keep->data, keep->len);
	if (rc == 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(b.len + RESERVE)) < 0 && errno != EOPNOTSUPP)
		rc = -errno;
	if (rc == 0)
		rc = b.failed ? -ENOMEM : zn_write_all(fd, b.data, b.len);
	if (rc >= 0 && fsync(fd) < 0)
		rc = -errno;
	if (rc >= 0 && renameat(log->dirfd, name_new, log->dirfd, name) < 0)
		rc = -errno;
	if (rc >= 0 && fsync(log->dirfd) < 0)
		rc = -errno;
	if (rc >= 0) {
		log->at = b.len;
		log->reserved = b.len + RESERVE;
	} else { /* on a full disk the space is needed for ends */
		unlinkat(log->dirfd, name_new, 0);
		close(fd);
	}
	zn_buf_done(&b);
	return rc < 0 ? rc : fd;
}

int zn_log_rewrite(struct zn_log *log, const struct zn_buf *keep)
{
	int old = open_locked(log->dirfd);

	if (old < 0)
		return old;
	/* numbers of a file that was lost or never was must not be given out again: the clock is past them */
	uint64_t base = log->base ? log->base + zn_log_size(log) : (uint64_t)(zn_now_s() * 1e6);
	int fd = has_unread(log) ? -EAGAIN : write_new(log, keep, base);
	close(old);
	if (fd < 0)
		return fd;
	close(log->fd);
	log->fd = fd;
	log->base = base;
	return 0;
}

void zn_log_close(struct zn_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}
