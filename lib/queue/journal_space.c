/* journal_space: disk space that is certain.
 *
 * The segment appended to is preallocated to its full size, and so is one spare: with both, at least a segment's
 * worth of records can be appended after the disk has filled up.  An append for which no space is certain is
 * refused with -ENOSPC and nothing happens; so the disk being full never makes a write fail.
 *
 * Where the filesystem can't preallocate, the free space it claims stands in, less a margin for what others
 * write meanwhile: good, but not certain.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/journal_priv.h"

#define MARGIN_BYTES (32ULL << 20)
#define RETRY_NS 1000000000ULL

void zn__spare_name(unsigned id, char to[ZN__NAME])
{
	snprintf(to, ZN__NAME, "spare-%u", id);
}

int zn__nonce(uint32_t *ret)
{
	uint32_t nonce = 0;

	while (!nonce)
		if (getrandom(&nonce, sizeof(nonce), 0) < 0 && errno != EINTR)
			return -errno;
	*ret = nonce;
	return 0;
}

void zn__segment_free(struct zn__segment *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* A full XFS refuses to preallocate even what the file has already. */
static bool has_blocks(int fd, uint64_t bytes)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= bytes;
}

static int preallocate(int fd, uint64_t bytes)
{
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0) {
		if (errno == EINTR)
			continue;
		int rc = errno == EDQUOT ? -ENOSPC : -errno;
		return rc == -ENOSPC && has_blocks(fd, bytes) ? 0 : rc;
	}
	return 0;
}

int zn__segment_extend(struct zn_journal *j, struct zn__segment *s, uint64_t bytes)
{
	if (bytes <= s->allocated)
		return 0;
	int rc = j->no_prealloc ? 0 : preallocate(s->fd, bytes);
	if (rc == -EOPNOTSUPP) {
		j->no_prealloc = true;
		rc = 0;
	}
	if (rc == 0)
		s->allocated = bytes;
	return rc;
}

static int open_spare(struct zn_journal *j, struct zn__segment *s)
{
	char name[ZN__NAME];
	struct stat st;

	zn__spare_name(s->spare, name);
	s->fd = openat(j->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return -errno;
	if (st.st_size && ftruncate(s->fd, 0) < 0)
		return -errno;
	int rc = zn__nonce(&s->nonce);
	if (rc == 0)
		rc = preallocate(s->fd, j->segment_bytes);
	if (rc == 0)
		s->allocated = j->segment_bytes;
	else if (rc < 0 && rc != -EOPNOTSUPP)
		unlinkat(j->dirfd, name, 0);
	return rc;
}

static int new_spare(struct zn_journal *j, unsigned id, struct zn__segment **ret)
{
	struct zn__segment *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->spare = id;
	int rc = open_spare(j, s);
	if (rc < 0 && rc != -EOPNOTSUPP) {
		zn__segment_free(s);
		return rc;
	}
	*ret = s;
	return rc;
}

int zn__spare_make(struct zn_journal *j)
{
	struct zn__segment *s = NULL;

	while (j->spare_making)
		pthread_cond_wait(&j->done, &j->lock);
	if (j->spare)
		return 0;
	j->spare_making = true;
	unsigned id = ++j->spare_id;
	pthread_mutex_unlock(&j->lock);
	int rc = new_spare(j, id, &s);
	pthread_mutex_lock(&j->lock);
	if (rc == -EOPNOTSUPP) {
		j->no_prealloc = true;
		rc = 0;
	}
	j->spare = s;
	j->spare_making = false;
	j->spare_full = rc < 0;
	j->spare_tried_ns = zn_boot_ns();
	pthread_cond_broadcast(&j->done);
	return rc;
}

/* A full disk may have been emptied meanwhile, but is not asked at every turn. */
bool zn__spare_is_due(const struct zn_journal *j)
{
	return !j->spare && (!j->spare_full || zn_boot_ns() - j->spare_tried_ns > RETRY_NS);
}

int zn__spare_take(struct zn_journal *j, struct zn__segment **ret)
{
	int rc = zn__spare_make(j);

	if (rc < 0)
		return rc;
	*ret = j->spare;
	j->spare = NULL;
	return 0;
}

/* The lock is held. */
static uint64_t claimed_room(struct zn_journal *j)
{
	struct statvfs fs;

	if (fstatvfs(j->dirfd, &fs) < 0)
		return 0;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	uint64_t spoken_for = MARGIN_BYTES + j->waiting.bytes + j->busy.bytes;
	return free_bytes > spoken_for ? free_bytes - spoken_for : 0;
}

uint64_t zn_journal_room(struct zn_journal *j)
{
	uint64_t room = 0;

	if (j->read_only)
		return 0;
	pthread_mutex_lock(&j->lock);
	if (!j->failed && zn__spare_is_due(j))
		zn__spare_make(j);
	if (j->failed)
		room = 0;
	else if (j->no_prealloc)
		room = claimed_room(j);
	else
		room = (j->active && j->active->allocated > j->offset ? j->active->allocated - j->offset : 0) +
		       (j->spare ? j->spare->allocated : 0);
	pthread_mutex_unlock(&j->lock);
	return room;
}
