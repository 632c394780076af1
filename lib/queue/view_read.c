#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "queue/view.h"

enum { PATH_ROOM = 4096, READ_STEP = 64 << 10 };

struct file {
	int fd;
	struct zn_buf in;
	size_t at;                     /* what of in was given out */
	uint64_t offset;               /* of in.data[0] in the file */
};

struct zn_view_reader {
	char dir[PATH_ROOM];
	uint64_t generation;
	struct file file;
	int watch;
};

static void file_close(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	zn_buf_done(&f->in);
	*f = (struct file){ .fd = -1 };
}

static int newest_generation(const char *dir, uint64_t *ret)
{
	DIR *d = opendir(dir);

	if (!d)
		return -errno;
	*ret = 0;
	for (struct dirent *e; (e = readdir(d));) {
		unsigned long long n;
		char tail[8];
		if (sscanf(e->d_name, "%16llx.%7s", &n, tail) == 2 && !strcmp(tail, "zv") && n > *ret)
			*ret = n;
	}
	closedir(d);
	return *ret ? 0 : -ENOENT;
}

/* Opens the newest generation; it may be replaced between the look and the open, so look again. */
static int open_newest(struct zn_view_reader *r)
{
	char path[PATH_ROOM + 64];

	for (int tries = 0; tries < 100; tries++) {
		uint64_t n = 0;
		int rc = newest_generation(r->dir, &n);
		if (rc < 0)
			return rc;
		snprintf(path, sizeof(path), "%s/%016llx.zv", r->dir, (unsigned long long)n);
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		file_close(&r->file);
		r->file.fd = fd;
		r->generation = n;
		return 0;
	}
	return -EAGAIN;
}

int zn_view_open(const char *spool, struct zn_view_reader **ret, struct zn_err *err)
{
	struct zn_view_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->file.fd = r->watch = -1;
	snprintf(r->dir, sizeof(r->dir), "%s/view", spool);
	int rc = open_newest(r);
	if (rc < 0) {
		free(r);
		return zn_err_set(err, rc, "can't read the queue in '%s': %s", spool,
		                  rc == -ENOENT ? "nothing was submitted yet" : strerror(-rc));
	}
	*ret = r;
	return 0;
}

/* More bytes: 1, 0 at the file's end. */
static int read_more(struct file *f)
{
	zn_buf_eat(&f->in, f->at);
	f->offset += f->at;
	f->at = 0;
	char *room = zn_buf_room(&f->in, READ_STEP);
	if (!room)
		return -ENOMEM;
	ssize_t n = read(f->fd, room, READ_STEP);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	f->in.len += (size_t)n;
	return n > 0;
}

/* The next record out of what was read; 0: not whole yet. */
static int take_record(struct file *f, struct zn_bytes *ret, struct zn_err *err)
{
	size_t left = f->in.len - f->at;

	if (!left)
		return 0; /* and perhaps no buffer either */
	const char *p = f->in.data + f->at;
	ssize_t n = zn_msgpack_check(p, left, f->offset + f->at, err);
	if (n <= 0)
		return (int)n;
	*ret = (struct zn_bytes){ p, (size_t)n };
	f->at += (size_t)n;
	return 1;
}

static bool is_replaced(const struct zn_view_reader *r)
{
	struct stat st;

	return fstat(r->file.fd, &st) == 0 && st.st_nlink == 0;
}

int zn_view_next(struct zn_view_reader *r, struct zn_bytes *ret, struct zn_err *err)
{
	for (;;) {
		int rc = take_record(&r->file, ret, err);
		if (rc)
			return rc;
		bool replaced = is_replaced(r); /* asked before the last read, so that nothing is missed */
		rc = read_more(&r->file);
		if (rc < 0)
			return zn_err_set(err, rc, "can't read the view: %s", strerror(-rc));
		if (rc > 0)
			continue;
		if (!replaced)
			return 0;
		rc = open_newest(r);
		if (rc < 0)
			return zn_err_set(err, rc, "can't read the view: %s", strerror(-rc));
		return 2;
	}
}

static int start_watch(struct zn_view_reader *r)
{
	r->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->watch < 0)
		return -errno;
	if (inotify_add_watch(r->watch, r->dir, IN_MODIFY | IN_MOVED_TO) < 0)
		return -errno;
	return 0;
}

int zn_view_wait(struct zn_view_reader *r, int fd, int timeout_ms)
{
	char drain[4096];

	if (r->watch < 0) { /* something may have come before the watch: let the caller look once more */
		int rc = start_watch(r);
		return rc < 0 ? rc : 1;
	}
	struct pollfd p[2] = { { .fd = r->watch, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int n = poll(p, 2, timeout_ms);
	while (n > 0 && read(r->watch, drain, sizeof(drain)) > 0)
		;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n > 0 && p[1].revents ? 2 : n > 0;
}

void zn_view_close(struct zn_view_reader *r)
{
	if (!r)
		return;
	file_close(&r->file);
	if (r->watch >= 0)
		close(r->watch);
	free(r);
}

/* ---- history ---- */

static int is_day_file(const struct dirent *e)
{
	return strlen(e->d_name) == 11 && !strcmp(e->d_name + 8, ".zv");
}

struct day_walk {
	int (*each)(void *arg, struct zn_bytes event);
	void *arg;
	double since_s;
};

static bool is_end_since(struct zn_bytes event, double since_s)
{
	double end_s;

	return zn_raw_f64(zn_raw_get(zn_raw_get(event, "job"), "end_s"), &end_s) && end_s >= since_s;
}

static int walk_file(struct file *f, const struct day_walk *w)
{
	struct zn_bytes event;
	int rc;

	do {
		while ((rc = take_record(f, &event, NULL)) > 0) {
			int stop = is_end_since(event, w->since_s) ? w->each(w->arg, event) : 0;
			if (stop)
				return stop;
		}
		rc = rc < 0 ? 0 : read_more(f); /* behind damage nothing can be told apart */
	} while (rc > 0);
	return rc;
}

static int walk_day(const char *path, const struct day_walk *w, struct zn_err *err)
{
	struct file f = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) };

	if (f.fd < 0)
		return errno == ENOENT ? 0 : zn_err_set(err, -errno, "can't read '%s': %s", path, strerror(errno));
	int rc = walk_file(&f, w);
	file_close(&f);
	return rc < 0 ? zn_err_set(err, rc, "can't read '%s': %s", path, strerror(-rc)) : rc;
}

int zn_history_each(const char *spool, double since_s, bool backwards,
                    int (*each)(void *arg, struct zn_bytes event), void *arg, struct zn_err *err)
{
	struct day_walk w = { each, arg, since_s };
	struct dirent **days;
	char dir[PATH_ROOM], first[16], path[PATH_ROOM + 300];
	time_t since = (time_t)since_s;
	struct tm tm;
	int rc = 0;

	snprintf(dir, sizeof(dir), "%s/view/history", spool);
	gmtime_r(&since, &tm);
	strftime(first, sizeof(first), "%Y%m%d", &tm);
	int n = scandir(dir, &days, is_day_file, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0 : zn_err_set(err, -errno, "can't read '%s': %s", dir, strerror(errno));
	for (int i = 0; i < n && rc == 0; i++) {
		const char *name = days[backwards ? n - 1 - i : i]->d_name;
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (strncmp(name, first, 8) >= 0)
			rc = walk_day(path, &w, err);
	}
	for (int i = 0; i < n; i++)
		free(days[i]);
	free(days);
	return rc < 0 ? rc : 0;
}
