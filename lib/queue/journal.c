/* journal: opening, appending, reading back.  journal_priv.h has the words. */
#include "queue/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/journal_priv.h"
#include "rec/val.h"

enum {
	SEGMENT_BYTES = 16 << 20,
	SEGMENT_MIN = 4096,
	BATCH_BYTES = 1 << 20,    /* a batch larger than this is closed and another begun */
	BUFFER_MAX = 64 << 20,    /* more than this and an append waits for the disk */
};

int zn__file_name(uint64_t file, char to[ZN__NAME])
{
	return snprintf(to, ZN__NAME, "%016llx.%s", (unsigned long long)(file & ~ZN_LOC_SNAPSHOT),
	                file & ZN_LOC_SNAPSHOT ? "zs" : "zj");
}

/* ---- appending ------------------------------------------------------------------------------- */

struct zn__batch *zn__batch_new(struct zn_journal *j)
{
	struct zn__batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->segment = j->active;
	b->file = j->active->file;
	b->offset = j->offset;
	b->last_seq = j->next_seq - 1;
	j->active->queued = true;
	if (j->waiting.tail)
		j->waiting.tail->next = b;
	else
		j->waiting.head = b;
	j->waiting.tail = b;
	return b;
}

int zn__journal_rotate(struct zn_journal *j)
{
	struct zn__segment *s = j->active;

	if (!s || s->queued || !s->spare) {
		int rc = zn__spare_take(j, &s);
		if (rc < 0)
			return rc;
		if (j->active)
			j->active->next = s;
		else
			j->first = s;
	}
	s->file = j->next_seq;
	j->active = s;
	j->offset = 0;
	return 0;
}

static int make_room(struct zn_journal *j, uint64_t need)
{
	bool full = j->offset && j->offset + need > j->segment_bytes;
	int rc = !j->active || full ? zn__journal_rotate(j) : 0;

	return rc < 0 ? rc : zn__segment_extend(j, j->active, j->offset + need);
}

static int wait_for_buffer(struct zn_journal *j)
{
	while (!j->failed && j->waiting.bytes > BUFFER_MAX) {
		j->kicked = true;
		pthread_cond_signal(&j->work);
		pthread_cond_wait(&j->done, &j->lock);
	}
	return j->failed ? -EIO : 0;
}

static int buffer_frame(struct zn_journal *j, const void *payload, size_t len)
{
	struct zn__batch *b = j->waiting.tail;

	if (!b || b->segment != j->active || b->data.len >= BATCH_BYTES)
		b = zn__batch_new(j);
	if (!b)
		return -ENOMEM;
	int rc = zn_frame_put(&b->data, j->next_seq, j->active->nonce, payload, len);
	if (rc < 0) {
		b->data.failed = false; /* what is in it stays good */
		return rc;
	}
	b->last_seq = j->next_seq++;
	j->offset += ZN_FRAME_HEAD + len;
	j->bytes += ZN_FRAME_HEAD + len;
	j->waiting.bytes += ZN_FRAME_HEAD + len;
	return 0;
}

int64_t zn_journal_append(struct zn_journal *j, const void *payload, size_t len, struct zn_loc *ret_loc)
{
	if (j->read_only)
		return -EROFS;
	if (len > ZN_RECORD_MAX)
		return -EMSGSIZE;
	pthread_mutex_lock(&j->lock);
	int rc = wait_for_buffer(j);
	if (rc == 0)
		rc = make_room(j, ZN_FRAME_HEAD + len);
	if (rc == 0)
		rc = buffer_frame(j, payload, len);
	pthread_mutex_unlock(&j->lock);
	if (rc < 0)
		return rc;
	if (ret_loc)
		*ret_loc = (struct zn_loc){ .file = j->active->file, .offset = j->offset - len,
		                            .len = (uint32_t)len };
	return (int64_t)(j->next_seq - 1);
}

void zn_journal_kick(struct zn_journal *j)
{
	pthread_mutex_lock(&j->lock);
	if (j->waiting.head && !j->kicked) {
		j->kicked = true;
		pthread_cond_signal(&j->work);
	}
	pthread_mutex_unlock(&j->lock);
}

int zn_journal_fd(const struct zn_journal *j)
{
	return j->eventfd;
}

int64_t zn_journal_durable(struct zn_journal *j)
{
	uint64_t events;

	/* -EAGAIN when nothing happened: not worth a word. */
	if (j->eventfd >= 0 && read(j->eventfd, &events, sizeof(events)) < 0 && errno != EAGAIN)
		return -errno;
	pthread_mutex_lock(&j->lock);
	int64_t seq = j->failed ? -EIO : (int64_t)j->durable;
	pthread_mutex_unlock(&j->lock);
	return seq;
}

int zn_journal_flush(struct zn_journal *j)
{
	pthread_mutex_lock(&j->lock);
	while (!j->failed && (j->waiting.head || j->busy.head)) {
		j->kicked = true;
		pthread_cond_signal(&j->work);
		pthread_cond_wait(&j->done, &j->lock);
	}
	int rc = j->failed ? -EIO : 0;
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int zn_journal_failure(struct zn_journal *j, struct zn_err *err)
{
	pthread_mutex_lock(&j->lock);
	int rc = j->failed ? zn_err_set(err, -EIO, "%s", j->failure.text) : 0;
	pthread_mutex_unlock(&j->lock);
	return rc;
}

uint64_t zn_journal_bytes(const struct zn_journal *j)
{
	return j->bytes;
}

/* ---- reading back ---------------------------------------------------------------------------- */

static int read_all_at(int fd, char *to, size_t n, uint64_t offset)
{
	while (n) {
		ssize_t k = pread(fd, to, n, (off_t)offset);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EBADMSG;
		to += k;
		n -= (size_t)k;
		offset += (size_t)k;
	}
	return 0;
}

int zn__frame_read(int fd, struct zn_loc loc, char *to)
{
	struct zn_frame f;
	size_t n = (size_t)ZN_FRAME_HEAD + loc.len;
	int rc = loc.offset < ZN_FRAME_HEAD ? -EINVAL : read_all_at(fd, to, n, loc.offset - ZN_FRAME_HEAD);

	if (rc < 0)
		return rc;
	return zn_frame_get(to, n, &f) == (ssize_t)n ? 0 : -EBADMSG;
}

/* The lock is held. */
static bool copy_buffered(const struct zn__batches *q, struct zn_loc loc, char *to)
{
	for (const struct zn__batch *b = q->head; b; b = b->next) {
		if (b->file != loc.file || loc.offset < b->offset)
			continue;
		uint64_t at = loc.offset - b->offset;
		if (at + loc.len > b->data.len)
			continue;
		memcpy(to, b->data.data + at, loc.len);
		return true;
	}
	return false;
}

static int open_for_reading(struct zn_journal *j, uint64_t file)
{
	char name[ZN__NAME];

	if (j->open_fd >= 0 && j->open_file == file)
		return j->open_fd;
	zn__file_name(file, name);
	int fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (j->open_fd >= 0)
		close(j->open_fd);
	j->open_fd = fd;
	j->open_file = file;
	return fd;
}

int zn_journal_get(struct zn_journal *j, struct zn_loc loc, struct zn_arena *a, const char **ret, size_t *ret_len)
{
	if (loc.len > ZN_RECORD_MAX)
		return -EMSGSIZE;
	char *p = zn_arena_alloc(a, (size_t)ZN_FRAME_HEAD + loc.len + 1);
	if (!p)
		return -ENOMEM;
	pthread_mutex_lock(&j->lock);
	bool found = copy_buffered(&j->waiting, loc, p + ZN_FRAME_HEAD) ||
	             copy_buffered(&j->busy, loc, p + ZN_FRAME_HEAD);
	pthread_mutex_unlock(&j->lock);
	if (!found) {
		int fd = open_for_reading(j, loc.file);
		int rc = fd < 0 ? fd : zn__frame_read(fd, loc, p);
		if (rc < 0)
			return rc;
	}
	*ret = p + ZN_FRAME_HEAD;
	if (ret_len)
		*ret_len = loc.len;
	return 0;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int take_lock(struct zn_journal *j, struct zn_err *err)
{
	j->lockfd = openat(j->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lockfd < 0)
		return zn_err_set(err, -errno, "can't open '%s/lock': %s", j->dir, strerror(errno));
	if (flock(j->lockfd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return zn_err_set(err, -EBUSY, "journal '%s' is in use by another process", j->dir);
		return zn_err_set(err, -errno, "can't lock '%s/lock': %s", j->dir, strerror(errno));
	}
	return 0;
}

static int open_dir(struct zn_journal *j, struct zn_err *err)
{
	struct stat st;
	int rc = j->read_only ? 0 : zn_mkdirs(j->dir, 0700, err);

	if (rc < 0)
		return rc;
	j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (j->dirfd < 0 || fstat(j->dirfd, &st) < 0)
		return zn_err_set(err, -errno, "can't open journal '%s': %s", j->dir, strerror(errno));
	if (j->read_only)
		return 0;
	if (zn_is_network_fs(j->dir))
		return zn_err_set(err, -EREMOTE, "journal '%s' lies on a network filesystem, whose locks and "
		                  "syncs can't be relied on: set ZENITH_SPOOL to a local directory", j->dir);
	if (st.st_uid != geteuid())
		return zn_err_set(err, -EPERM, "journal '%s' belongs to somebody else (uid %u)", j->dir,
		                  (unsigned)st.st_uid);
	if ((st.st_mode & 077) && fchmod(j->dirfd, 0700) < 0)
		return zn_err_set(err, -errno, "can't protect journal '%s': %s", j->dir, strerror(errno));
	return take_lock(j, err);
}

/* What a killed process wrote but did not sync is in the page cache, and pages that the disk refused may be
 * there too, looking clean.  So sync, forget the pages, and let the replay read what the disk really has.
 */
static int settle_newest(struct zn_journal *j, struct zn_err *err)
{
	struct zn__listing list;
	char name[ZN__NAME];
	int rc = zn__list(j->dirfd, &list);

	if (rc < 0)
		return zn_err_set(err, rc, "can't list journal '%s': %s", j->dir, strerror(-rc));
	if (list.n_segments) {
		zn__file_name(list.segments[list.n_segments - 1], name);
		int fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || fdatasync(fd) < 0)
			rc = -errno;
		else
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (fd >= 0)
			close(fd);
		if (rc < 0)
			zn_err_set(err, rc, "can't settle '%s/%s': %s", j->dir, name, strerror(-rc));
	}
	zn_arena_done(&list.arena);
	return rc;
}

static int sync_dirs(struct zn_journal *j, struct zn_err *err)
{
	int up = openat(j->dirfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fsync(j->dirfd) < 0 ? -errno : 0;

	/* Where the directory above can't be opened, it was not us who made this one in it just now. */
	if (up >= 0) {
		if (rc == 0 && fsync(up) < 0)
			rc = -errno;
		close(up);
	}
	return rc < 0 ? zn_err_set(err, rc, "can't sync journal '%s': %s", j->dir, strerror(-rc)) : 0;
}

static int resume_segment(struct zn_journal *j, const struct zn__tail *tail, struct zn__segment *s)
{
	char name[ZN__NAME];
	struct stat st;

	zn__file_name(tail->file, name);
	s->fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > tail->end &&
	    (ftruncate(s->fd, (off_t)tail->end) < 0 || fdatasync(s->fd) < 0))
		return -errno;
	s->nonce = tail->nonce;
	s->file = tail->file;
	s->allocated = tail->end;
	j->offset = tail->end;
	/* On a full disk the rest of the segment is not certain, and the next append takes the spare. */
	int rc = tail->end < j->segment_bytes ? zn__segment_extend(j, s, j->segment_bytes) : 0;
	if (rc == -ENOSPC)
		rc = 0;
	return rc < 0 || s->nonce ? rc : zn__nonce(&s->nonce);
}

static int resume(struct zn_journal *j, const struct zn__tail *tail, struct zn_err *err)
{
	if (!tail->file)
		return 0;
	struct zn__segment *s = calloc(1, sizeof(*s));
	if (!s)
		return zn_err_set(err, -ENOMEM, "out of memory");
	s->fd = -1;
	int rc = resume_segment(j, tail, s);
	if (rc < 0) {
		zn__segment_free(s);
		return zn_err_set(err, rc, "can't continue journal '%s': %s", j->dir, strerror(-rc));
	}
	j->active = j->writing = s;
	return 0;
}

/* A spare of the last run is kept, because on a full disk there might be no other; it is called spare-1, the
 * first that zn__spare_make opens.
 */
static int clear_leftovers(struct zn_journal *j)
{
	struct zn__listing list;
	char first[ZN__NAME];
	bool kept = false;
	int rc = zn__list(j->dirfd, &list);

	zn__spare_name(1, first);
	for (size_t i = 0; rc == 0 && i < list.n_leftovers; i++) {
		const char *name = list.leftovers[i];
		bool keep = !kept && strncmp(name, "spare-", 6) == 0;
		if ((keep ? renameat(j->dirfd, name, j->dirfd, first) : unlinkat(j->dirfd, name, 0)) < 0)
			rc = errno == ENOENT ? 0 : -errno;
		kept |= keep;
	}
	zn_arena_done(&list.arena);
	return rc;
}

static int open_writer(struct zn_journal *j, const struct zn__tail *tail, struct zn_err *err)
{
	int rc = resume(j, tail, err);

	if (rc < 0)
		return rc;
	rc = clear_leftovers(j);
	if (rc < 0)
		return zn_err_set(err, rc, "can't tidy journal '%s': %s", j->dir, strerror(-rc));
	j->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->eventfd < 0)
		return zn_err_set(err, -errno, "can't make an event descriptor: %s", strerror(errno));
	pthread_mutex_lock(&j->lock);
	rc = zn__spare_make(j);
	pthread_mutex_unlock(&j->lock);
	if (rc < 0 && rc != -ENOSPC)
		return zn_err_set(err, rc, "can't preallocate in journal '%s': %s", j->dir, strerror(-rc));
	return zn__commit_start(j, err);
}

static int open_journal(struct zn_journal *j, const struct zn_journal_replay *replay, struct zn_err *err)
{
	struct zn__tail tail = { 0 };
	int rc = open_dir(j, err);

	if (rc == 0 && !j->read_only)
		rc = settle_newest(j, err);
	if (rc == 0 && !j->read_only)
		rc = sync_dirs(j, err);
	if (rc == 0)
		rc = zn__journal_replay(j, replay, &tail, err);
	if (rc < 0)
		return rc;
	j->next_seq = tail.next_seq;
	j->bytes = tail.bytes;
	j->durable = tail.next_seq - 1;
	return j->read_only ? 0 : open_writer(j, &tail, err);
}

int zn_journal_open(const char *dir, const struct zn_journal_opts *opts, const struct zn_journal_replay *replay,
                    struct zn_journal **ret, struct zn_err *err)
{
	struct zn_journal *j = calloc(1, sizeof(*j));
	uint64_t bytes = opts && opts->segment_bytes ? opts->segment_bytes : SEGMENT_BYTES;

	if (!j || !(j->dir = strdup(dir))) {
		free(j);
		return zn_err_set(err, -ENOMEM, "out of memory");
	}
	j->dirfd = j->lockfd = j->eventfd = j->open_fd = j->run.pidfd = j->run.index_fd = -1;
	j->segment_bytes = bytes < SEGMENT_MIN ? SEGMENT_MIN : bytes;
	j->read_only = opts && opts->read_only;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, NULL);
	pthread_cond_init(&j->done, NULL);
	int rc = open_journal(j, replay, err);
	if (rc < 0) {
		zn_journal_close(j);
		return rc;
	}
	*ret = j;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void free_segments(struct zn__segment *s)
{
	while (s) {
		struct zn__segment *next = s->next;
		zn__segment_free(s);
		s = next;
	}
}

void zn_journal_close(struct zn_journal *j)
{
	if (!j)
		return;
	if (j->started) {
		zn__snapshot_kill(j);
		zn_journal_flush(j);
		zn__commit_stop(j);
	}
	zn__batches_free(&j->waiting);
	zn__batches_free(&j->busy);
	free_segments(j->writing ? j->writing : j->first);
	zn__segment_free(j->spare);
	close_fd(j->open_fd);
	close_fd(j->eventfd);
	close_fd(j->dirfd);
	close_fd(j->lockfd);
	pthread_cond_destroy(&j->done);
	pthread_cond_destroy(&j->work);
	pthread_mutex_destroy(&j->lock);
	free(j->dir);
	free(j);
}
