/* metrics_file: zn-schedd's metrics as a file, for node_exporter's textfile collector, which any user may read.
 *
 * A change is followed by a look a second later, and a look by a new file only where the text is another one: so it is
 * written once a second at most, and while nothing happens nothing wakes up.  It is not synced: who lost it makes it anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "serve/server.h"

/* node_exporter reads what ends in .prom. */
static int check_path(const char *path, struct zn_err *err)
{
	size_t n = strlen(path);

	if (*path != '/' || n < 6 || n > 4000 || strcmp(path + n - 5, ".prom") || path[n - 6] == '/')
		return zn_err_set(err, -EINVAL, "[metrics] textfile = '%s': say a path from / on that ends in .prom", path);
	return 0;
}

/* A new file, whatever somebody put there. */
static int write_aside(const char *path, const struct zn_buf *b)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int rc = fd < 0 ? -errno : zn_write_all(fd, b->data, b->len);

	if (rc == 0 && fchmod(fd, 0644) < 0) /* whatever our umask is */
		rc = -errno;
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

/* A reader finds the old one or the new one, whole. */
static int write_file(const char *path, const struct zn_buf *b, struct zn_err *err)
{
	char aside[4096];

	snprintf(aside, sizeof(aside), "%s.new", path);
	int rc = write_aside(aside, b);
	if (rc == 0 && rename(aside, path) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	unlink(aside);
	return zn_err_set(err, rc, "metrics can't be written to '%s': %s", path, strerror(-rc));
}

static bool is_same(const struct zn_buf *a, const struct zn_buf *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* Where it can't be written, the next change tries again. */
static int refresh(struct zn_server *s, struct zn_err *err)
{
	struct zn_buf now = { 0 };
	int rc = 0;

	zn_metrics_put(s, &now);
	if (now.failed)
		rc = zn_err_set(err, -ENOMEM, "no memory for the metrics");
	else if (!s->textfile.len || !is_same(&now, &s->textfile))
		rc = write_file(s->conf.metrics_textfile, &now, err);
	zn_buf_done(rc < 0 ? &now : &s->textfile);
	if (rc == 0)
		s->textfile = now;
	return rc;
}

static void on_textfile(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;
	struct zn_err err = { "" };
	bool was_written = s->textfile.len;

	(void)fd;
	(void)what;
	if (refresh(s, &err) == 0)
		return;
	if (was_written) /* once, and not each second */
		zn_log("%s", err.text);
	zn_buf_done(&s->textfile);
	s->textfile = (struct zn_buf){ 0 };
}

int zn_textfile_open(struct zn_server *s, const char *path, struct zn_err *err)
{
	int rc = check_path(path, err);

	if (rc < 0)
		return rc;
	s->on_textfile = evtimer_new(s->base, on_textfile, s);
	if (!s->on_textfile)
		return -ENOMEM;
	if (refresh(s, err) < 0)
		zn_log("%s", err->text);
	return 0;
}

void zn_textfile_note(struct zn_server *s)
{
	static const struct timeval soon = { .tv_sec = 1 };

	if (s->on_textfile && !evtimer_pending(s->on_textfile, NULL))
		evtimer_add(s->on_textfile, &soon);
}

void zn_textfile_close(struct zn_server *s)
{
	if (!s->on_textfile)
		return;
	event_free(s->on_textfile);
	s->on_textfile = NULL;
	if (s->textfile.len) /* what nobody keeps right is not shown */
		unlink(s->conf.metrics_textfile);
	zn_buf_done(&s->textfile);
}
