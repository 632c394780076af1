/* journal_commit: the thread that makes appended frames durable.
 *
 * It takes everything that is buffered, writes it segment by segment, syncs once, publishes the last sequence
 * number and wakes the loop; what came in meanwhile is the next round.  Frames go into a new segment only when
 * the one before is synced and the new one's name is durable.  The first error is the last thing it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/journal_priv.h"

enum { AHEAD_BYTES = 256 << 10 };

static int write_all_at(int fd, const char *p, size_t n, uint64_t offset)
{
	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)offset);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
		offset += (size_t)k;
	}
	return 0;
}

/* Also gives back what was preallocated and cleared beyond its end. */
static int close_segment(struct zn__segment *s)
{
	if (ftruncate(s->fd, (off_t)s->end) < 0 || fsync(s->fd) < 0)
		return -errno;
	zn__segment_free(s);
	return 0;
}

static int name_segment(struct zn_journal *j, struct zn__segment *s)
{
	char from[ZN__NAME], to[ZN__NAME];

	zn__spare_name(s->spare, from);
	zn__file_name(s->file, to);
	int rc = renameat2(j->dirfd, from, j->dirfd, to, RENAME_NOREPLACE);
	if (rc < 0 && errno == EINVAL) /* not every filesystem can; the number is new anyway */
		rc = renameat(j->dirfd, from, j->dirfd, to);
	if (rc < 0 || fsync(j->dirfd) < 0)
		return -errno;
	s->spare = 0;
	return 0;
}

static int switch_segment(struct zn_journal *j, struct zn__segment *to)
{
	int rc = j->writing ? close_segment(j->writing) : 0;

	if (rc < 0)
		return rc;
	j->writing = to;
	return name_segment(j, to);
}

static int write_batch(struct zn__segment *s, const struct zn__batch *b)
{
	int rc = write_all_at(s->fd, b->data.data, b->data.len, b->offset);

	s->end = b->offset + b->data.len;
	return rc;
}

/* A sync of records that overwrite zeros need not write how long the file is: it takes two thirds of the time, and
 * less where the filesystem has a journal.  That zeros can't be written costs nothing but that.
 */
static void clear_ahead(const struct zn_journal *j, struct zn__segment *s)
{
	static const char zeros[AHEAD_BYTES];
	uint64_t room = j->segment_bytes > s->end ? j->segment_bytes - s->end : 0;

	if (s->end <= s->cleared)
		return;
	ssize_t n = pwrite(s->fd, zeros, room < AHEAD_BYTES ? room : AHEAD_BYTES, (off_t)s->end);
	s->cleared = s->end + (n > 0 ? (uint64_t)n : 0);
}

static int write_batches(struct zn_journal *j, const struct zn__batch *b)
{
	for (; b; b = b->next) {
		int rc = b->segment == j->writing ? 0 : switch_segment(j, b->segment);
		if (rc == 0)
			rc = write_batch(j->writing, b);
		if (rc < 0)
			return rc;
	}
	clear_ahead(j, j->writing);
	uint64_t from_ns = zn_boot_ns();
	int rc = fdatasync(j->writing->fd) < 0 ? -errno : 0;
	j->sync_ns = zn_boot_ns() - from_ns;
	return rc;
}

static void announce(struct zn_journal *j)
{
	uint64_t one = 1;

	/* It can only fail when 2^64-2 announcements wait, and then the loop is awake anyway. */
	ssize_t n = write(j->eventfd, &one, sizeof(one));
	(void)n;
}

static void fail(struct zn_journal *j, int rc)
{
	char name[ZN__NAME] = "";

	if (j->writing)
		zn__file_name(j->writing->file, name);
	j->failed = true;
	zn_err_set(&j->failure, rc, "can't commit to '%s/%s': %s", j->dir, name, strerror(-rc));
}

void zn__batches_free(struct zn__batches *q)
{
	while (q->head) {
		struct zn__batch *b = q->head;
		q->head = b->next;
		zn_buf_done(&b->data);
		free(b);
	}
	*q = (struct zn__batches){ 0 };
}

/* The lock is held. */
static void note_done(struct zn_journal *j, uint64_t last)
{
	j->did.records += last - j->durable;
	j->did.bytes += j->busy.bytes;
	zn_hist_add(&j->did.sync_s, (double)j->sync_ns / 1e9);
	j->durable = last;
}

/* The lock is held, and let go meanwhile. */
static void commit(struct zn_journal *j)
{
	j->busy = j->waiting;
	j->waiting = (struct zn__batches){ 0 };
	j->kicked = false;
	uint64_t last = j->busy.tail->last_seq;
	pthread_mutex_unlock(&j->lock);
	int rc = write_batches(j, j->busy.head);
	struct zn__batches written = { 0 };
	pthread_mutex_lock(&j->lock);
	if (rc < 0) {
		fail(j, rc);
	} else {
		note_done(j, last);
		written = j->busy;
		j->busy = (struct zn__batches){ 0 };
	}
	pthread_cond_broadcast(&j->done);
	announce(j);
	/* Giving back megabytes takes long enough to be felt by an append. */
	pthread_mutex_unlock(&j->lock);
	zn__batches_free(&written);
	pthread_mutex_lock(&j->lock);
}

void zn__drop_covered(int dirfd, uint64_t number)
{
	struct zn__listing list;
	char name[ZN__NAME];

	/* What can't be removed now is removed at the next snapshot or opening. */
	if (zn__list(dirfd, &list) == 0) {
		for (size_t i = 0; i < list.n_segments && list.segments[i] <= number; i++) {
			zn__file_name(list.segments[i], name);
			unlinkat(dirfd, name, 0);
		}
		for (size_t i = 0; i < list.n_snapshots && list.snapshots[i] < number; i++) {
			zn__file_name(list.snapshots[i] | ZN_LOC_SNAPSHOT, name);
			unlinkat(dirfd, name, 0);
		}
	}
	zn_arena_done(&list.arena);
}

/* The lock is held, and let go meanwhile. */
static void drop(struct zn_journal *j)
{
	uint64_t number = j->drop;

	j->drop = 0;
	pthread_mutex_unlock(&j->lock);
	zn__drop_covered(j->dirfd, number);
	pthread_mutex_lock(&j->lock);
}

static void *commit_loop(void *arg)
{
	struct zn_journal *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!j->stop) {
		if (j->failed || !(j->kicked || j->drop)) {
			pthread_cond_wait(&j->work, &j->lock);
			continue;
		}
		if (j->kicked && j->waiting.head)
			commit(j);
		j->kicked &= j->waiting.head != NULL;
		if (!j->failed && zn__spare_is_due(j))
			zn__spare_make(j);
		if (j->drop && !j->failed)
			drop(j);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

int zn__commit_start(struct zn_journal *j, struct zn_err *err)
{
	static const double bounds_s[] = { .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10 };
	static const struct zn_hist none = ZN_HIST(bounds_s);
	sigset_t all, was;

	j->did.sync_s = none;
	/* Signals are the loop's; and SIGXFSZ, blocked, turns into an error of write(). */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	int rc = pthread_create(&j->thread, NULL, commit_loop, j);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (rc)
		return zn_err_set(err, -rc, "can't start the commit thread: %s", strerror(rc));
	j->started = true;
	return 0;
}

void zn_journal_count(struct zn_journal *j, struct zn_journal_did *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->did;
	pthread_mutex_unlock(&j->lock);
}

void zn__commit_stop(struct zn_journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->thread, NULL);
	j->started = false;
}
