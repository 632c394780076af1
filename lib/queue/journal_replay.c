/* journal_replay: reading what the disk has, damaged or not.
 *
 * The newest whole snapshot comes first, then every later segment.  A snapshot begins with a frame that is no
 * record and ends with another, whose nonce is the complement of the file's: with that it is whole.
 *
 * A file is read through a window.  Where no good frame of this file begins, the next place that looks like one
 * (magic and this file's nonce) is sought and checked, until one holds: what lies between is the damaged range.
 * Whatever follows the last good frame is the tail.
 *
 * Beside a living writer a read may meet a later page of what is written just now and not yet an earlier one.  So
 * first it is sought how far there is more than zeros: all before that is written.  What is behind it counts as zeros.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/journal_priv.h"
#include "rec/val.h"

enum { CHUNK = 1 << 20 };

/* ---- which files there are --------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* 'j' for a segment, 's' for a snapshot, 'x' for something unfinished, 0 for what is not ours. */
static char parse_name(const char *name, uint64_t *ret)
{
	char *end;

	if (strncmp(name, "spare-", 6) == 0)
		return 'x';
	if (strspn(name, "0123456789abcdef") != 16 || name[16] != '.')
		return 0;
	*ret = strtoull(name, &end, 16);
	if (strcmp(end, ".tmp") == 0)
		return 'x';
	if (*ret & ZN_LOC_SNAPSHOT)
		return 0;
	return strcmp(end, ".zj") == 0 ? 'j' : strcmp(end, ".zs") == 0 ? 's' : 0;
}

static size_t count_entries(DIR *d)
{
	size_t n = 0;

	while (readdir(d))
		n++;
	rewinddir(d);
	return n;
}

int zn__list(int dirfd, struct zn__listing *ret)
{
	*ret = (struct zn__listing){ 0 };
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		int rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	size_t max = count_entries(d);
	ret->segments = zn_arena_array(&ret->arena, max, sizeof(uint64_t));
	ret->snapshots = zn_arena_array(&ret->arena, max, sizeof(uint64_t));
	ret->leftovers = zn_arena_array(&ret->arena, max, ZN__NAME);
	int rc = ret->segments && ret->snapshots && ret->leftovers ? 0 : -ENOMEM;
	/* The commit thread may add files meanwhile; those are no concern of who lists. */
	for (struct dirent *e; rc == 0 && max-- && (e = readdir(d));) {
		uint64_t number = 0;
		char kind = parse_name(e->d_name, &number);
		if (kind == 'j')
			ret->segments[ret->n_segments++] = number;
		else if (kind == 's')
			ret->snapshots[ret->n_snapshots++] = number;
		else if (kind == 'x' && strlen(e->d_name) < ZN__NAME)
			strcpy(ret->leftovers[ret->n_leftovers++], e->d_name);
	}
	closedir(d);
	if (rc == 0) {
		qsort(ret->segments, ret->n_segments, sizeof(uint64_t), by_number);
		qsort(ret->snapshots, ret->n_snapshots, sizeof(uint64_t), by_number);
	}
	return rc;
}

/* ---- a window on a file ------------------------------------------------------------------------ */

struct window {
	int fd;
	struct zn_buf b;
	uint64_t base;            /* of b in the file */
	uint64_t written;         /* from there on are zeros */
	bool at_end;
};

static size_t without_zeros(const char *p, size_t n)
{
	while (n && !p[n - 1])
		n--;
	return n;
}

static int find_written(int fd, uint64_t *ret)
{
	static const off_t step = 64 << 10;
	char block[64 << 10];
	struct stat st;
	size_t used = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	off_t at = st.st_size;
	while (at > 0 && !used) {
		off_t from = (at - 1) / step * step;
		ssize_t n = pread(fd, block, (size_t)(at - from), from);
		if (n < 0 && errno != EINTR)
			return -errno;
		at = n < 0 ? at : from;
		used = without_zeros(block, n < 0 ? 0 : (size_t)n);
	}
	*ret = (uint64_t)at + used;
	return 0;
}

static int read_more(struct window *w)
{
	char *to = zn_buf_room(&w->b, CHUNK);

	if (!to)
		return -ENOMEM;
	ssize_t n = pread(w->fd, to, CHUNK, (off_t)(w->base + w->b.len));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	uint64_t from = w->base + w->b.len, known = w->written > from ? w->written - from : 0;
	if ((uint64_t)n > known)
		memset(to + known, 0, (size_t)n - known);
	w->b.len += (size_t)n;
	w->at_end = n == 0;
	return 0;
}

/* What zn_frame_get says about offset at of the window, with as much of the file as it takes. */
static ssize_t frame_at(struct window *w, size_t at, struct zn_frame *ret)
{
	for (;;) {
		ssize_t n = at < w->b.len ? zn_frame_get(w->b.data + at, w->b.len - at, ret) : 0;
		if (n != 0 || w->at_end)
			return n;
		int rc = read_more(w);
		if (rc < 0)
			return rc;
	}
}

/* The next offset >= from where the magic stands, or the end of the file. */
static int seek_magic(struct window *w, size_t from, size_t *ret)
{
	for (;;) {
		char *p = from < w->b.len ? memmem(w->b.data + from, w->b.len - from, "ZNF1", 4) : NULL;
		if (p || w->at_end) {
			*ret = p ? (size_t)(p - w->b.data) : w->b.len;
			return 0;
		}
		if (w->b.len >= from + 4)
			from = w->b.len - 3;
		int rc = read_more(w);
		if (rc < 0)
			return rc;
	}
}

static uint32_t word_at(const struct window *w, size_t at)
{
	uint32_t v;

	memcpy(&v, w->b.data + at, 4);
	return le32toh(v);
}

/* The nonce of this file, from the places that only the journal itself can have written: its first frame,
 * the second where the first one's length says, or the bytes where the first one has it.  0 if the
 * beginning is unreadable: then the first good frame decides.
 */
static int file_nonce(struct window *w, uint32_t *ret)
{
	struct zn_frame f;
	ssize_t n = frame_at(w, 0, &f);

	if (n > 0) {
		*ret = f.nonce;
		return 0;
	}
	if (n < 0 && n != -EBADMSG)
		return (int)n;
	*ret = 0;
	if (w->b.len < ZN_FRAME_HEAD || memcmp(w->b.data, "ZNF1", 4) != 0)
		return 0;
	uint32_t len = word_at(w, 4);
	n = len <= ZN_RECORD_MAX ? frame_at(w, (size_t)ZN_FRAME_HEAD + len, &f) : -EBADMSG;
	if (n < 0 && n != -EBADMSG)
		return (int)n;
	*ret = n > 0 ? f.nonce : word_at(w, 16);
	return 0;
}

/* ---- one file ---------------------------------------------------------------------------------- */

struct scan {
	const struct zn_journal *j;
	const struct zn_journal_replay *replay;
	struct zn_err *err;
	uint64_t file, last_seq;  /* last_seq: of a segment's frames, which must rise */
	uint32_t nonce;
	struct window w;
	size_t at;                /* in the window */
	bool damaged;             /* at lies in a damaged range */
	uint64_t damaged_from, good_end;
	uint64_t written_end;     /* behind it are zeros */
};

static void path_of(const struct scan *s, char *to, size_t size)
{
	char name[ZN__NAME];

	zn__file_name(s->file, name);
	snprintf(to, size, "%s/%s", s->j->dir, name);
}

static void report_damage(struct scan *s, uint64_t from, uint64_t len)
{
	char path[4096];

	path_of(s, path, sizeof(path));
	if (s->replay->damage)
		s->replay->damage(s->replay->arg, path, from, len);
}

static int deliver(struct scan *s, const struct zn_frame *f, uint64_t offset)
{
	struct zn_loc loc = { .file = s->file, .offset = offset + ZN_FRAME_HEAD, .len = (uint32_t)f->len };
	int rc = s->replay->record(s->replay->arg, f->seq, loc, f->payload, f->len);

	if (rc < 0 && s->err && !s->err->text[0]) {
		char path[4096];
		path_of(s, path, sizeof(path));
		zn_err_set(s->err, rc, "record %llu at byte %llu of '%s' was refused: %s",
		           (unsigned long long)f->seq, (unsigned long long)offset, path, strerror(-rc));
	}
	return rc < 0 ? rc : 0;
}

/* Could the bytes at s->at begin a frame of this file?  Asked before the checksum, so that a record full of
 * imitations can't make the search slow. */
static bool is_candidate(const struct scan *s)
{
	return !s->damaged || !s->nonce || s->w.b.len - s->at < ZN_FRAME_HEAD ||
	       word_at(&s->w, s->at + 16) == s->nonce || word_at(&s->w, s->at + 16) == ~s->nonce;
}

static bool belongs(struct scan *s, const struct zn_frame *f)
{
	bool snapshot = s->file & ZN_LOC_SNAPSHOT;

	if (!s->nonce)
		s->nonce = f->nonce;
	if (snapshot && f->nonce == ~s->nonce)
		return true;
	return f->nonce == s->nonce && (snapshot || f->seq > s->last_seq);
}

static int take(struct scan *s, const struct zn_frame *f, size_t n)
{
	uint64_t offset = s->w.base + s->at;

	if (s->damaged)
		report_damage(s, s->damaged_from, offset - s->damaged_from);
	s->damaged = false;
	s->at += n;
	s->good_end = offset + n;
	if (f->nonce == ~s->nonce)
		return 0;
	s->last_seq = f->seq;
	int rc = s->file & ZN_LOC_SNAPSHOT && offset == 0 ? 0 : deliver(s, f, offset);
	if (rc == 0 && s->at >= CHUNK) {
		zn_buf_eat(&s->w.b, s->at);
		s->w.base += s->at;
		s->at = 0;
	}
	return rc;
}

/* One frame, or one step through damage; 1 at the end of the file. */
static int step(struct scan *s)
{
	struct zn_frame f;
	ssize_t n = is_candidate(s) ? frame_at(&s->w, s->at, &f) : -EBADMSG;

	if (n > 0 && belongs(s, &f))
		return take(s, &f, (size_t)n);
	if (n < 0 && n != -EBADMSG)
		return (int)n;
	if (s->w.at_end && s->at >= s->w.b.len)
		return 1;
	if (!s->damaged) {
		s->damaged = true;
		s->damaged_from = s->w.base + s->at;
	}
	int rc = seek_magic(&s->w, s->at + 1, &s->at);
	/* The nonce is looked at next: see that it is in the window. */
	while (rc == 0 && !s->w.at_end && s->w.b.len - s->at < ZN_FRAME_HEAD)
		rc = read_more(&s->w);
	return rc;
}

/* Half a frame: its head, and of the rest no more than it says. */
static bool is_cut_short(const struct scan *s, size_t from, size_t n)
{
	if (memcmp(s->w.b.data + from, "ZNF1", n < 4 ? n : 4) != 0)
		return false;
	return n < ZN_FRAME_HEAD ||
	       (word_at(&s->w, from + 16) == s->nonce && n <= (size_t)ZN_FRAME_HEAD + word_at(&s->w, from + 4));
}

/* What follows the last good frame and is not cleared space.  A reader beside a living writer may meet half a
 * frame: no damage.
 */
static void judge_tail(struct scan *s, bool newest)
{
	size_t from = s->good_end > s->w.base ? (size_t)(s->good_end - s->w.base) : 0;
	size_t len = without_zeros(s->w.b.data + from, s->w.b.len - from);

	s->written_end = s->good_end + len;
	if (len && !(newest && s->j->read_only && is_cut_short(s, from, len)))
		report_damage(s, s->good_end, len);
}

static int scan_file(struct scan *s, bool newest, uint64_t *ret_bytes)
{
	char name[ZN__NAME];
	int rc;

	zn__file_name(s->file, name);
	s->w.written = UINT64_MAX;
	s->w.fd = openat(s->j->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = s->w.fd < 0 ? -errno : 0;
	if (rc == 0 && newest && s->j->read_only)
		rc = find_written(s->w.fd, &s->w.written);
	if (rc == 0)
		rc = file_nonce(&s->w, &s->nonce);
	while (rc == 0)
		rc = step(s);
	if (rc > 0)
		judge_tail(s, newest);
	*ret_bytes += s->w.base + s->w.b.len;
	if (s->w.fd >= 0)
		close(s->w.fd);
	zn_buf_done(&s->w.b);
	if (rc < 0 && s->err && !s->err->text[0])
		zn_err_set(s->err, rc, "can't read '%s/%s': %s", s->j->dir, name, strerror(-rc));
	return rc < 0 ? rc : 0;
}

/* ---- the journal ------------------------------------------------------------------------------- */

/* Is the last thing in this file the closing frame of a snapshot? */
static bool ends_whole(struct window *w, uint64_t size)
{
	enum { CLOSING = ZN_FRAME_HEAD + 1 };
	char end[CLOSING];
	struct zn_frame f;
	uint32_t nonce;

	return size > CLOSING && pread(w->fd, end, CLOSING, (off_t)size - CLOSING) == CLOSING &&
	       zn_frame_get(end, CLOSING, &f) == CLOSING && file_nonce(w, &nonce) == 0 && f.nonce == ~nonce;
}

static bool is_whole(const struct zn_journal *j, uint64_t number)
{
	char name[ZN__NAME];
	struct window w = { .written = UINT64_MAX };
	struct stat st;

	zn__file_name(number | ZN_LOC_SNAPSHOT, name);
	w.fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (w.fd < 0)
		return false;
	bool whole = fstat(w.fd, &st) == 0 && ends_whole(&w, (uint64_t)st.st_size);
	close(w.fd);
	zn_buf_done(&w.b);
	return whole;
}

/* The newest whole snapshot, or, when none is whole, the newest: a damaged one is better than nothing. */
static uint64_t choose_snapshot(const struct zn_journal *j, const struct zn__listing *list, bool *ret_whole)
{
	for (size_t i = list->n_snapshots; i-- > 0;) {
		if (is_whole(j, list->snapshots[i])) {
			*ret_whole = true;
			return list->snapshots[i];
		}
	}
	*ret_whole = false;
	return list->n_snapshots ? list->snapshots[list->n_snapshots - 1] : 0;
}

static void report_skipped(const struct scan *proto, uint64_t number)
{
	struct scan s = *proto;
	char name[ZN__NAME];
	struct stat st;

	s.file = number | ZN_LOC_SNAPSHOT;
	zn__file_name(s.file, name);
	if (fstatat(s.j->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		report_damage(&s, 0, (uint64_t)st.st_size);
}

static int read_snapshot(const struct scan *proto, uint64_t number, bool whole, uint64_t *bytes)
{
	struct scan s = *proto;

	s.file = number | ZN_LOC_SNAPSHOT;
	int rc = scan_file(&s, false, bytes);
	if (rc == 0 && !whole)
		report_damage(&s, s.good_end, 0);
	return rc;
}

/* Numbers that stood in what is cut off are not used again: a frame there may have been acknowledged. */
static uint64_t numbers_in(uint64_t bytes)
{
	return bytes ? bytes / ZN_FRAME_HEAD + 1 : 0;
}

static int read_segment(struct scan *s, bool newest, struct zn__tail *tail)
{
	uint64_t before = tail->bytes;

	s->last_seq = s->file - 1;
	int rc = scan_file(s, newest, &tail->bytes);
	if (rc < 0)
		return rc;
	uint64_t next = s->last_seq + 1;
	if (newest) {
		next += numbers_in(s->written_end - s->good_end);
		tail->bytes = before + s->good_end;
		tail->file = s->file;
		tail->end = s->good_end;
		tail->nonce = s->good_end ? s->nonce : 0;
	}
	if (next > tail->next_seq)
		tail->next_seq = next;
	return 0;
}

static int read_segments(const struct scan *proto, const struct zn__listing *list, uint64_t base,
                         struct zn__tail *tail)
{
	for (size_t i = 0; i < list->n_segments; i++) {
		struct scan s = *proto;
		s.file = list->segments[i];
		int rc = s.file <= base ? 0 : read_segment(&s, i + 1 == list->n_segments, tail);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int zn__journal_replay(struct zn_journal *j, const struct zn_journal_replay *replay, struct zn__tail *ret,
                       struct zn_err *err)
{
	struct scan proto = { .j = j, .replay = replay, .err = err };
	struct zn__tail tail = { .next_seq = 1 };
	struct zn__listing list;
	bool whole = false;
	int rc = zn__list(j->dirfd, &list);

	if (err)
		err->text[0] = '\0';
	uint64_t base = rc == 0 ? choose_snapshot(j, &list, &whole) : 0;
	if (rc == 0 && list.n_snapshots) {
		for (size_t i = list.n_snapshots; i-- > 0 && list.snapshots[i] > base;)
			report_skipped(&proto, list.snapshots[i]);
		tail.next_seq = list.snapshots[list.n_snapshots - 1] + 1;
		rc = read_snapshot(&proto, base, whole, &tail.bytes);
	}
	if (rc == 0)
		rc = read_segments(&proto, &list, base, &tail);
	if (rc == 0 && whole && !j->read_only)
		zn__drop_covered(j->dirfd, base);
	zn_arena_done(&list.arena);
	if (rc < 0)
		return err && err->text[0] ? rc : zn_err_set(err, rc, "can't read journal '%s': %s", j->dir,
		                                             strerror(-rc));
	*ret = tail;
	return 0;
}
