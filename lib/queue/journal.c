/* journal: appending and reading back.  journal_priv.h has the words. */
#include "queue/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/journal_priv.h"
#include "rec/val.h"

enum {
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
	/* The time of a read would be one more thing to write at the next sync. */
	int fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (j->read_only ? 0 : O_NOATIME));
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
