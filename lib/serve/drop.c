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
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

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
		if (k < 0 && errno != EINTR)
			rc = -errno;
		if (k == 0)
			break;
		n += k > 0 ? (size_t)k : 0;
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
	char *p = NULL;
	size_t n = 0;

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
		rc = zn_submit_take(s, &spec, uid, gid, 0, false, &id, err);
	return rc;
}

/* What makes a file bad for ever; all else is in the way of this one now, and may be gone later. */
static bool is_bad(int rc)
{
	static const int bad[] = { -EBADMSG, -EINVAL, -EPERM, -EEXIST, -EFBIG, -ELOOP, -ENXIO, -EACCES, -EOPNOTSUPP };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (rc == bad[i])
			return true;
	return false;
}

/* The same again and again is said once. */
static void complain(struct zn_server *s, uid_t uid, const char *name, int rc, const struct zn_err *err)
{
	const char *text = err->text[0] ? err->text : strerror(-rc);

	if (rc == -EAGAIN && !strcmp(s->drop_said, text))
		return;
	zn_log("drop of uid %u, '%s': %s", (unsigned)uid, name, text);
	snprintf(s->drop_said, sizeof(s->drop_said), "%s", rc == -EAGAIN ? text : "");
}

/* A bad file is kept under another name, so that its owner can look; a good one goes once it is durable.  Below 0: it
 * is for later; -EAGAIN: and so are all of this user.
 */
static int take_one(struct zn_server *s, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	struct zn_err err = { 0 };
	char bad[300];
	int rc = take_file(s, dirfd, name, uid, gid, &err);

	if (rc == 0)
		rc = zn_journal_flush(s->journal);
	if (rc == 0) {
		unlinkat(dirfd, name, 0);
		return 0;
	}
	complain(s, uid, name, rc, &err);
	if (!is_bad(rc))
		return rc;
	snprintf(bad, sizeof(bad), "%s.refused", name);
	renameat(dirfd, name, dirfd, bad);
	return 0;
}

static bool is_users_own(const struct zn_server *s, const struct stat *st, uint64_t uid)
{
	mode_t others = s->is_private ? 077 : 007;

	return st->st_uid == uid && !(st->st_mode & others) && (s->is_private || st->st_gid == getegid());
}

/* Somebody has taken another's number: out of the way with it, or he could never leave anything.  Where to is not to be
 * foreseen, or that would be taken as well.
 */
static void clear_squatter(int top, const char *name)
{
	char aside[64];
	uint32_t bits;
	int rc = unlinkat(top, name, AT_REMOVEDIR);

	for (int i = 0; rc < 0 && i < 10; i++) {
		if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
			break;
		snprintf(aside, sizeof(aside), "%s.not-his-%08x", name, bits);
		rc = renameat2(top, name, top, aside, RENAME_NOREPLACE);
	}
	if (rc < 0)
		zn_log("drop directory '%s' can't be moved out of the way: %s", name, strerror(errno));
}

/* The directory's group is ours where it is not his. */
static gid_t group_of(const struct zn_server *s, uid_t uid, gid_t directory)
{
	struct passwd *pw = s->is_private ? NULL : getpwuid(uid);

	return s->is_private ? directory : pw ? pw->pw_gid : (gid_t)uid;
}

/* Without going into anything that is mounted there: a file system of the user's own (FUSE) may never answer. */
static int open_directory(int top, const char *name)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV };
	int fd = (int)syscall(SYS_openat2, top, name, &how, sizeof(how));

	if (fd < 0 && errno == ENOSYS)
		fd = openat(top, name, (int)how.flags);
	return fd < 0 ? -errno : fd;
}

/* False: something is left for later, or what comes later would not be noticed. */
static bool take_directory(struct zn_server *s, int top, const char *name)
{
	struct stat st;
	uint64_t uid;
	bool all = true;
	char path[64];

	if (zn_parse_u64(name, 0, UINT32_MAX, &uid, NULL) < 0)
		return true;
	int fd = open_directory(top, name);
	if (fd == -EXDEV) {
		zn_log("drop directory of uid %s has something mounted on it: ignored", name);
		return true;
	}
	if (fd < 0) {
		if (fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != uid)
			clear_squatter(top, name);
		return is_bad(fd) || fd == -ENOTDIR || fd == -ENOENT;
	}
	if (fstat(fd, &st) < 0) {
		close(fd);
		return false;
	}
	if (!is_users_own(s, &st, uid)) {
		zn_log("drop directory of uid %s is not its own alone: ignored", name);
		if (st.st_uid != uid)
			clear_squatter(top, name);
		close(fd);
		return true;
	}
	gid_t gid = group_of(s, (uid_t)uid, st.st_gid);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(s->drop_watch, path, IN_MOVED_TO | IN_ONLYDIR) < 0)
		all = false;
	DIR *d = fdopendir(fd);
	if (!d)
		close(fd);
	int rc = 0;
	for (struct dirent *e; d && rc != -EAGAIN && (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		rc = n > 3 && !strcmp(e->d_name + n - 3, ".zr") ? take_one(s, fd, e->d_name, (uid_t)uid, gid) : 0;
		all &= rc == 0;
	}
	if (d)
		closedir(d);
	return d && all;
}

static bool take_all(struct zn_server *s)
{
	char path[5000];
	bool all = true;

	snprintf(path, sizeof(path), "%s/drop", s->spool);
	DIR *d = opendir(path);
	if (!d)
		return false;
	if (inotify_add_watch(s->drop_watch, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		all = false;
	for (struct dirent *e; (e = readdir(d));)
		if (!take_directory(s, dirfd(d), e->d_name))
			all = false;
	closedir(d);
	return all;
}

/* Without a watch, and while something waits, it is looked at from time to time. */
static void take_and_arm(struct zn_server *s)
{
	static const struct timeval again = { .tv_sec = 5 };

	if (take_all(s))
		event_remove_timer(s->on_drop);
	else
		event_add(s->on_drop, &again);
}

/* Whatever the event says, all directories are looked through: that also mends an overflow. */
static void on_drop(evutil_socket_t fd, short what, void *arg)
{
	char drain[4096];

	(void)what;
	while (fd >= 0 && read(fd, drain, sizeof(drain)) > 0)
		;
	take_and_arm(arg);
	zn_turn_end(arg);
}

int zn_drop_start(struct zn_server *s, struct zn_err *err)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/drop", s->spool);
	s->drop_watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->drop_watch < 0)
		zn_log("no watch on '%s' can be had (%s): it is looked at every 5 s", path, strerror(errno));
	s->on_drop = event_new(s->base, s->drop_watch, s->drop_watch < 0 ? EV_PERSIST : EV_READ | EV_PERSIST, on_drop, s);
	if (!s->on_drop)
		return zn_err_set(err, -ENOMEM, "out of memory");
	if (s->drop_watch >= 0 && event_add(s->on_drop, NULL) < 0)
		return zn_err_set(err, -ENOSPC, "'%s' can't be watched", path);
	take_and_arm(s);
	return 0;
}
