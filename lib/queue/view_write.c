#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/view.h"
#include "rec/reader.h"

enum { STALE_MIN = 2 << 20, PATH_ROOM = 4096, RESERVE = 1 << 20 };

/* Bytes in a buffer that may be written once the journal is durable up to seq. */
struct mark { uint64_t seq; size_t view_end, history_end; };

struct zn_view {
	char dir[PATH_ROOM];
	mode_t file_mode;
	int fd;                        /* the generation; -1 before the first is published */
	off_t reserved, history_reserved; /* disk space is certain up to these offsets of the files */
	uint64_t generation;
	uint64_t base_bytes, bytes;
	struct zn_buf out, past;       /* past: for the history */
	size_t out_done, past_done;    /* bytes at their front that are in the file: the disk took no more */
	struct mark *marks;
	size_t n_marks, cap_marks;
	int history_fd;
	char history_day[16];
	char past_day[16];             /* of what is in past */
	char newest_day[16];           /* of any file: its end is the end of the history */
	bool in_base;
};

static int highest_generation(const char *dir, uint64_t *ret)
{
	DIR *d = opendir(dir);
	uint64_t best = 0;

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		unsigned long long n;
		char tail[8];
		if (sscanf(e->d_name, "%16llx.%7s", &n, tail) == 2 && !strcmp(tail, "zv") && n > best)
			best = n;
	}
	closedir(d);
	*ret = best;
	return 0;
}

static void remove_generations_below(const char *dir, uint64_t keep)
{
	DIR *d = opendir(dir);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		unsigned long long n;
		char tail[8];
		if (sscanf(e->d_name, "%16llx.%7s", &n, tail) == 2 && n != keep)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

/* Space past the end, so that what ends on a full disk can be shown: nothing new is accepted then, but what runs
 * still ends.  Where none can be had we write all the same, for as long as it goes.
 */
static void reserve(int fd, off_t *reserved)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size + RESERVE / 2 <= *reserved)
		return;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, st.st_size + RESERVE) == 0)
		*reserved = st.st_size + RESERVE;
}

/* An empty file with space set aside, which becomes the next day's: a new day may begin on a full disk. */
static void make_spare(const struct zn_view *v)
{
	char path[PATH_ROOM + 32];
	off_t reserved = 0;

	snprintf(path, sizeof(path), "%s/history/spare", v->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, v->file_mode);
	if (fd < 0)
		return;
	fchmod(fd, v->file_mode); /* whatever the umask: it will be the next day's file */
	reserve(fd, &reserved);
	close(fd);
}

static void take_spare(const struct zn_view *v, const char *day_file)
{
	char path[PATH_ROOM + 32];

	snprintf(path, sizeof(path), "%s/history/spare", v->dir);
	if (access(day_file, F_OK) < 0 && errno == ENOENT && rename(path, day_file) == 0)
		make_spare(v);
}

/* The newest day file, and the last whole event in it; a torn tail is cut off. */

static int newest_day(const char *dir, char day[16])
{
	DIR *d = opendir(dir);

	day[0] = '\0';
	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));)
		if (strlen(e->d_name) == 11 && !strcmp(e->d_name + 8, ".zv") && strcmp(e->d_name, day) > 0)
			snprintf(day, 16, "%.8s", e->d_name);
	closedir(d);
	return 0;
}

static int scan_history(const char *path, uint64_t *ret_seq)
{
	struct zn_reader *r = NULL;
	struct zn_rec rec;
	struct zn_err err;
	uint64_t whole = 0;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	int rc = zn_reader_new(fd, &r);
	if (rc < 0)
		goto out;
	while ((rc = zn_reader_next(r, &rec, &err)) == 1) {
		const msgpack_object *seq = zn_val_get(&rec.map, "seq");
		if (seq)
			zn_val_u64(seq, ret_seq);
		whole = rec.offset + rec.n;
	}
	if (rc == -EBADMSG)
		rc = ftruncate(fd, (off_t)whole) < 0 ? -errno : 0;
out:
	zn_reader_free(r);
	close(fd);
	return rc;
}

static int history_last(struct zn_view *v, uint64_t *ret_seq)
{
	char dir[PATH_ROOM + 16], path[PATH_ROOM + 64], *day = v->newest_day;

	*ret_seq = 0;
	snprintf(dir, sizeof(dir), "%s/history", v->dir);
	int rc = newest_day(dir, day);
	if (rc < 0 || !day[0])
		return rc;
	snprintf(path, sizeof(path), "%s/%s.zv", dir, day);
	return scan_history(path, ret_seq);
}

int zn_view_new(const char *dir, bool world_readable, struct zn_view **ret, uint64_t *ret_history_seq,
                struct zn_err *err)
{
	struct zn_view *v = calloc(1, sizeof(*v));
	char history[PATH_ROOM + 16];

	if (!v)
		return -ENOMEM;
	v->fd = v->history_fd = -1;
	v->file_mode = world_readable ? 0644 : 0600;
	snprintf(v->dir, sizeof(v->dir), "%s", dir);
	snprintf(history, sizeof(history), "%s/history", dir);
	int rc = zn_mkdirs(history, world_readable ? 0755 : 0700, err);
	if (rc == 0)
		rc = highest_generation(dir, &v->generation);
	if (rc == 0)
		rc = history_last(v, ret_history_seq);
	if (rc == 0)
		make_spare(v);
	if (rc < 0) {
		zn_view_free(v);
		return zn_err_set(err, rc, "can't use the view in '%s': %s", dir, strerror(-rc));
	}
	*ret = v;
	return 0;
}

static void generation_path(const struct zn_view *v, uint64_t n, const char *tail, char path[PATH_ROOM + 64])
{
	snprintf(path, PATH_ROOM + 64, "%s/%016llx.%s", v->dir, (unsigned long long)n, tail);
}

int zn_view_begin(struct zn_view *v, uint64_t seq)
{
	if (v->out.len || v->past.len)
		return -EBUSY;
	v->in_base = true;
	v->base_bytes = 0;
	(void)seq;
	return 0;
}

int zn_view_publish(struct zn_view *v, struct zn_err *err)
{
	char temp[PATH_ROOM + 64], path[PATH_ROOM + 64];
	uint64_t n = v->generation + 1;

	generation_path(v, n, "tmp", temp);
	generation_path(v, n, "zv", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, v->file_mode);
	int rc = fd < 0 ? -errno : fchmod(fd, v->file_mode) < 0 ? -errno : zn_write_all(fd, v->out.data, v->out.len);
	if (rc == -ENOSPC && v->fd < 0) { /* that of an earlier zn-schedd is behind anyway: have its space */
		remove_generations_below(v->dir, n);
		rc = ftruncate(fd, 0) < 0 ? -errno : zn_write_all(fd, v->out.data, v->out.len);
	}
	if (rc == 0 && v->out.failed)
		rc = -ENOMEM;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	v->in_base = false;
	if (rc < 0) {
		zn_buf_done(&v->out); /* the old generation goes on, and has no use for a base */
		if (fd >= 0)
			close(fd);
		unlink(temp);
		return zn_err_set(err, rc, "can't write the view '%s': %s", path, strerror(-rc));
	}
	if (v->fd >= 0)
		close(v->fd);
	v->fd = fd;
	v->generation = n;
	v->reserved = 0;
	v->base_bytes = v->bytes = v->out.len;
	zn_buf_done(&v->out); /* it was as long as the queue; what follows is short */
	v->n_marks = 0;
	remove_generations_below(v->dir, n);
	return 0;
}

bool zn_view_is_shown(const struct zn_view *v)
{
	return v->fd >= 0;
}

static int mark(struct zn_view *v, uint64_t seq)
{
	if (v->in_base)
		return 0;
	if (v->n_marks && v->marks[v->n_marks - 1].seq == seq) {
		v->marks[v->n_marks - 1].view_end = v->out.len;
		v->marks[v->n_marks - 1].history_end = v->past.len;
		return 0;
	}
	if (v->n_marks == v->cap_marks) {
		size_t cap = v->cap_marks ? v->cap_marks * 2 : 64;
		struct mark *marks = realloc(v->marks, cap * sizeof(*marks));
		if (!marks)
			return -ENOMEM;
		v->marks = marks;
		v->cap_marks = cap;
	}
	v->marks[v->n_marks++] = (struct mark){ seq, v->out.len, v->past.len };
	return 0;
}

int zn_view_put(struct zn_view *v, const struct zn_event *event)
{
	int rc = zn_encode(&zn_event_kind, event, &v->out);

	return rc < 0 ? rc : mark(v, event->seq);
}

int zn_view_put_node(struct zn_view *v, uint64_t seq, const struct zn_node_record *node)
{
	int rc = zn_encode(&zn_node_kind, node, &v->out);

	return rc < 0 ? rc : mark(v, seq);
}

int zn_view_put_quota(struct zn_view *v, uint64_t seq, const struct zn_quota *quota)
{
	int rc = zn_encode(&zn_quota_kind, quota, &v->out);

	return rc < 0 ? rc : mark(v, seq);
}

int zn_view_put_share(struct zn_view *v, uint64_t seq, const struct zn_leaf *leaf)
{
	struct zn_share_record r = { .user = leaf->user, .account = *leaf->account ? leaf->account : NULL, .share = leaf->share,
	                             .used = leaf->used, .factor = leaf->factor };
	int rc = zn_encode(&zn_share_kind, &r, &v->out);

	return rc < 0 ? rc : mark(v, seq);
}

int zn_view_put_licence(struct zn_view *v, uint64_t seq, const struct zn_licence_record *licence)
{
	int rc = zn_encode(&zn_licence_kind, licence, &v->out);

	return rc < 0 ? rc : mark(v, seq);
}

int zn_view_put_booking(struct zn_view *v, uint64_t seq, const struct zn_booking *b)
{
	int rc = zn_encode(&zn_booking_kind, b, &v->out);

	return rc < 0 ? rc : mark(v, seq);
}

static void day_of(double epoch_s, char day[16])
{
	time_t t = (time_t)epoch_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(day, 16, "%Y%m%d", &tm);
}

/* Gives back what was set aside and not needed. */
static void close_history(struct zn_view *v)
{
	struct stat st;

	if (v->history_fd < 0)
		return;
	if (v->history_reserved && fstat(v->history_fd, &st) == 0 && ftruncate(v->history_fd, st.st_size) == 0)
		v->history_reserved = 0;
	close(v->history_fd);
	v->history_fd = -1;
	v->history_reserved = 0;
}

static int history_file(struct zn_view *v)
{
	char path[PATH_ROOM + 64];

	if (v->history_fd >= 0 && !strcmp(v->history_day, v->past_day))
		return 0;
	close_history(v);
	snprintf(path, sizeof(path), "%s/history/%s.zv", v->dir, v->past_day);
	take_spare(v, path);
	v->history_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, v->file_mode);
	if (v->history_fd < 0 || fchmod(v->history_fd, v->file_mode) < 0)
		return -errno;
	strcpy(v->history_day, v->past_day);
	return 0;
}

/* A write that ends early is gone on with, never begun again: what is in the file stays there. */
static int write_on(int fd, const struct zn_buf *b, size_t *done, size_t end, off_t *reserved)
{
	reserve(fd, reserved);
	while (*done < end) {
		ssize_t n = write(fd, b->data + *done, end - *done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*done += (size_t)n;
	}
	return 0;
}

static int write_history(struct zn_view *v, size_t n)
{
	if (!n)
		return 0;
	int rc = history_file(v);
	if (rc == 0)
		rc = write_on(v->history_fd, &v->past, &v->past_done, n, &v->history_reserved);
	if (rc == 0) {
		zn_buf_eat(&v->past, n);
		v->past_done = 0;
	}
	return rc;
}

int zn_view_put_history(struct zn_view *v, const struct zn_event *event)
{
	char day[16];

	day_of(event->job.end_s.v, day);
	if (strcmp(day, v->newest_day) < 0) /* the clock was set back */
		strcpy(day, v->newest_day);
	strcpy(v->newest_day, day);
	if (v->past.len && strcmp(day, v->past_day)) { /* midnight: what waits is still of yesterday */
		int rc = write_history(v, v->past.len);
		for (size_t i = 0; i < v->n_marks; i++)
			v->marks[i].history_end = 0;
		if (rc < 0)
			return rc;
	}
	strcpy(v->past_day, day);
	int rc = zn_encode(&zn_event_kind, event, &v->past);
	return rc < 0 ? rc : mark(v, event->seq);
}

static int flush_history(struct zn_view *v, size_t end)
{
	int rc = write_history(v, end);

	for (size_t i = 0; rc == 0 && i < v->n_marks; i++)
		v->marks[i].history_end -= end < v->marks[i].history_end ? end : v->marks[i].history_end;
	return rc;
}

/* The history first: who sees in the view that a job has ended finds it there. */
int zn_view_flush(struct zn_view *v, uint64_t durable)
{
	size_t n = 0, view_end = 0, history_end = 0;

	for (; n < v->n_marks && v->marks[n].seq <= durable; n++) {
		view_end = v->marks[n].view_end;
		history_end = v->marks[n].history_end;
	}
	if (!n)
		return 0;
	int rc = flush_history(v, history_end);
	if (rc == 0 && v->fd >= 0)
		rc = write_on(v->fd, &v->out, &v->out_done, view_end, &v->reserved);
	if (rc < 0)
		return rc;
	v->bytes += view_end;
	zn_buf_eat(&v->out, view_end);
	v->out_done = 0;
	memmove(v->marks, v->marks + n, (v->n_marks - n) * sizeof(*v->marks));
	v->n_marks -= n;
	for (size_t i = 0; i < v->n_marks; i++)
		v->marks[i].view_end -= view_end;
	return 0;
}

int zn_view_sync_history(struct zn_view *v)
{
	return v->history_fd >= 0 && fdatasync(v->history_fd) < 0 ? -errno : 0;
}

bool zn_view_is_stale(const struct zn_view *v)
{
	return v->bytes > STALE_MIN && v->bytes > 2 * v->base_bytes;
}

void zn_view_forget_history(struct zn_view *v, double before_s)
{
	char dir[PATH_ROOM + 16], day[16];
	DIR *d;

	day_of(before_s, day);
	snprintf(dir, sizeof(dir), "%s/history", v->dir);
	d = opendir(dir);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		if (strlen(e->d_name) == 11 && !strcmp(e->d_name + 8, ".zv") && strncmp(e->d_name, day, 8) < 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

void zn_view_free(struct zn_view *v)
{
	if (!v)
		return;
	if (v->fd >= 0)
		close(v->fd);
	close_history(v);
	zn_buf_done(&v->out);
	zn_buf_done(&v->past);
	free(v->marks);
	free(v);
}
