/* journal_open: from a directory in any state to a journal that takes records, and back. */
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

enum { SEGMENT_BYTES = 16 << 20, SEGMENT_MIN = 4096 };

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
	s->allocated = s->end = s->cleared = tail->end;
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
