/* drop: submissions that users left as files while nobody listened: SPOOL/drop/UID/KEY.zr, each directory its
 * user's own, so that the file's owner is who submitted.  Nobody else may enter it but, machine-wide, our group:
 * drop/ is setgid, which makes it so without the user's doing.  A file is opened without following links, must
 * be regular, of that owner and not linked twice; it is read whole before it is looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/units.h"
#include "rec/val.h"
#include "serve/server.h"

/* All of an open file of at most ZN_SPEC_BYTES_MAX bytes, in s->arena. */
static int read_drop(struct zn_server *s, int dirfd, const char *name, uid_t uid, char **ret, size_t *ret_len)
{
	struct stat st;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != uid))
		rc = -EPERM;
	if (rc == 0 && st.st_size > ZN_SPEC_BYTES_MAX)
		rc = -EFBIG;
	char *p = rc == 0 ? zn_arena_alloc(&s->arena, (size_t)st.st_size + 1) : NULL;
	size_t n = 0;
	while (rc == 0 && p && n < (size_t)st.st_size) {
		ssize_t k = read(fd, p + n, (size_t)st.st_size - n);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(fd);
	*ret = p;
	*ret_len = n;
	return rc == 0 && !p ? -ENOMEM : rc;
}

static int take_file(struct zn_server *s, int dirfd, const char *name, uid_t uid, gid_t gid, struct zn_err *err)
{
	msgpack_object map;
	struct zn_spec spec;
	uint64_t id;
	char *p;
	size_t n;

	zn_arena_reset(&s->arena);
	int rc = read_drop(s, dirfd, name, uid, &p, &n);
	if (rc < 0)
		return zn_err_set(err, rc, "%s", strerror(-rc));
	if (zn_msgpack_check(p, n, 0, err) != (ssize_t)n || !n)
		return zn_err_set(err, -EBADMSG, "not one whole record");
	rc = zn_val_unpack(p, n, 0, &s->arena, &map, err);
	if (rc == 0)
		rc = zn_decode(&zn_spec_kind, &map, &s->arena, &spec, err);
	if (rc == 0)
		rc = zn_submit_take(s, &spec, uid, gid, 0, &id, err);
	return rc;
}

/* A bad file is kept under another name, so that its owner can look; a good one goes once it is durable. */
static void take_one(struct zn_server *s, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	struct zn_err err = { 0 };
	char bad[300];
	int rc = take_file(s, dirfd, name, uid, gid, &err);

	if (rc == -EAGAIN)
		return;
	if (rc == 0)
		rc = zn_journal_flush(s->journal);
	if (rc == 0) {
		unlinkat(dirfd, name, 0);
		return;
	}
	zn_log("drop of uid %u, '%s': %s", (unsigned)uid, name, err.text);
	snprintf(bad, sizeof(bad), "%s.refused", name);
	renameat(dirfd, name, dirfd, bad);
}

static bool is_users_own(const struct zn_server *s, const struct stat *st, uint64_t uid)
{
	mode_t others = s->is_private ? 077 : 007;

	return st->st_uid == uid && !(st->st_mode & others) && (s->is_private || st->st_gid == getegid());
}

/* Somebody has taken another's number: out of the way with it, or he could never leave anything. */
static void clear_squatter(int top, const char *name)
{
	char aside[64];

	snprintf(aside, sizeof(aside), "%s.not-his", name);
	if (unlinkat(top, name, AT_REMOVEDIR) < 0 && renameat(top, name, top, aside) < 0)
		zn_log("drop directory '%s' can't be moved out of the way: %s", name, strerror(errno));
}

/* The directory's group is ours where it is not his. */
static gid_t group_of(const struct zn_server *s, uid_t uid, gid_t directory)
{
	struct passwd *pw = s->is_private ? NULL : getpwuid(uid);

	return s->is_private ? directory : pw ? pw->pw_gid : (gid_t)uid;
}

static void take_directory(struct zn_server *s, int top, const char *name)
{
	struct stat st;
	uint64_t uid;
	int fd;

	if (zn_parse_u64(name, 0, UINT32_MAX, &uid, NULL) < 0)
		return;
	fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		zn_log("drop directory of uid %s can't be read: %s", name, strerror(errno));
		if (fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != uid)
			clear_squatter(top, name);
		return;
	}
	DIR *d = fstat(fd, &st) == 0 && is_users_own(s, &st, uid) ? fdopendir(fd) : NULL;
	if (!d) {
		zn_log("drop directory of uid %s is not its own alone: ignored", name);
		if (st.st_uid != uid)
			clear_squatter(top, name);
		close(fd);
		return;
	}
	gid_t gid = group_of(s, (uid_t)uid, st.st_gid);
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		if (n > 3 && !strcmp(e->d_name + n - 3, ".zr"))
			take_one(s, dirfd(d), e->d_name, (uid_t)uid, gid);
	}
	char path[5000];
	snprintf(path, sizeof(path), "%s/drop/%s", s->spool, name);
	inotify_add_watch(s->drop_watch, path, IN_MOVED_TO | IN_ONLYDIR);
	closedir(d);
}

static void take_all(struct zn_server *s)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/drop", s->spool);
	DIR *d = opendir(path);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		take_directory(s, dirfd(d), e->d_name);
	closedir(d);
}

/* Whatever the event says, all directories are looked through: that also mends an overflow. */
static void on_drop(evutil_socket_t fd, short what, void *arg)
{
	char drain[4096];

	(void)what;
	while (read(fd, drain, sizeof(drain)) > 0)
		;
	take_all(arg);
	zn_turn_end(arg);
}

int zn_drop_start(struct zn_server *s)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/drop", s->spool);
	s->drop_watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->drop_watch < 0)
		return -errno;
	inotify_add_watch(s->drop_watch, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
	s->on_drop = event_new(s->base, s->drop_watch, EV_READ | EV_PERSIST, on_drop, s);
	event_add(s->on_drop, NULL);
	take_all(s);
	return 0;
}
