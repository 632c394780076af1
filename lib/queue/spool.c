/* spool: finding it, making it, and seeing that it is whose it should be. */
#include "queue/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/account.h"
#include "base/file.h"

/* ---- which --------------------------------------------------------------------------------------- */

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int home_dir(struct zn_arena *a, const char **ret, struct zn_err *err)
{
	const char *home = env("HOME");
	struct zn_account *me = zn_arena_new(a, struct zn_account);

	if (home && *home == '/') {
		*ret = home;
		return 0;
	}
	if (!me)
		return zn_err_set(err, -ENOMEM, "out of memory");
	int rc = zn_account_read(geteuid(), me);
	if (rc < 0 || *me->home != '/')
		return zn_err_set(err, rc < 0 ? rc : -ENOENT, "no spool: HOME is unset and user %u has no home directory; "
		                  "set ZENITH_SPOOL", (unsigned)geteuid());
	*ret = me->home;
	return 0;
}

static int own_spool(struct zn_arena *a, char **ret, struct zn_err *err)
{
	const char *state = env("XDG_STATE_HOME"), *home = NULL;
	char host[256];

	if (gethostname(host, sizeof(host)) < 0 || !*host || strchr(host, '/') || *host == '.')
		return zn_err_set(err, -EINVAL, "no spool: this machine has no usable host name; set ZENITH_SPOOL");
	host[sizeof(host) - 1] = '\0';
	if (state && *state != '/') /* the XDG rules: a relative one is to be ignored */
		state = NULL;
	int rc = state ? 0 : home_dir(a, &home, err);
	if (rc < 0)
		return rc;
	*ret = state ? zn_arena_printf(a, "%s/zenith/%s", state, host)
	             : zn_arena_printf(a, "%s/.local/state/zenith/%s", home, host);
	return *ret ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
}

static int given_spool(struct zn_arena *a, const char *given, char **ret, struct zn_err *err)
{
	char cwd[PATH_MAX];

	if (*given == '/')
		*ret = zn_arena_strdup(a, given);
	else if (!getcwd(cwd, sizeof(cwd)))
		return zn_err_set(err, -errno, "no spool: ZENITH_SPOOL '%s' is relative, and to what can't be said: %s",
		                  given, strerror(errno));
	else
		*ret = zn_arena_printf(a, "%s/%s", cwd, given);
	return *ret ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
}

int zn_spool_path(struct zn_arena *a, const char **ret, struct zn_err *err)
{
	const char *given = env("ZENITH_SPOOL");
	char *path = NULL;
	struct stat st;
	int rc;

	if (given)
		rc = given_spool(a, given, &path, err);
	else if (stat(ZN_SPOOL_SYSTEM, &st) == 0 && S_ISDIR(st.st_mode))
		rc = (path = zn_arena_strdup(a, ZN_SPOOL_SYSTEM)) ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
	else
		rc = own_spool(a, &path, err);
	if (rc < 0)
		return rc;
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	/* Room for the longest name below it. */
	if (strlen(path) > PATH_MAX - 128)
		return zn_err_set(err, -ENAMETOOLONG, "spool path '%s' is too long", path);
	*ret = path;
	return 0;
}

char *zn_spool_file(struct zn_arena *a, const char *path, const char *name)
{
	return zn_arena_printf(a, "%s/%s", path, name);
}

bool zn_spool_is_system(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & S_IXOTH);
}

/* ---- checking -------------------------------------------------------------------------------------- */

/* The descriptor of component name of dir, following a link only when it is root's or our own. */
static int enter(int dir, const char *name, const char *path, struct zn_err *err)
{
	struct stat st;
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc == -ENOENT ? rc : zn_err_set(err, rc, "can't enter '%s' of spool '%s': %s", name, path,
		                                       strerror(-rc));
	}
	if (!S_ISLNK(st.st_mode))
		return fd;
	close(fd);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return zn_err_set(err, -EPERM, "'%s' in spool path '%s' is a symbolic link of another user (uid %u)",
		                  name, path, (unsigned)st.st_uid);
	fd = openat(dir, name, O_PATH | O_CLOEXEC);
	return fd < 0 ? zn_err_set(err, -errno, "'%s' in spool path '%s' leads nowhere: %s", name, path,
	                           strerror(errno)) : fd;
}

/* As far as the path exists, no link of a stranger's is in it and no network filesystem at its end. */
static int check_way(const char *path, struct zn_err *err)
{
	char *parts = strdup(path), *save = NULL, here[64];
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (!parts || fd < 0) {
		rc = zn_err_set(err, -ENOMEM, "can't look at spool '%s'", path);
		goto out;
	}
	for (char *name = strtok_r(parts, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = enter(fd, name, path, err);
		if (next < 0) {
			rc = next == -ENOENT ? 0 : next;
			break;
		}
		close(fd);
		fd = next;
	}
	snprintf(here, sizeof(here), "/proc/self/fd/%d", fd);
	if (rc == 0 && zn_is_network_fs(here))
		rc = zn_err_set(err, -EREMOTE, "spool '%s' lies on a network filesystem, whose locks and syncs can't be "
		                "relied on: set ZENITH_SPOOL to a local directory", path);
out:
	if (fd >= 0)
		close(fd);
	free(parts);
	return rc;
}

static bool is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int n = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (readdir(d))
		n++;
	closedir(d);
	return n <= 2;
}

/* ---- making ---------------------------------------------------------------------------------------- */

struct part {
	const char *name;
	mode_t private_mode, system_mode;
	bool agent;               /* machine-wide: root's, who is the agent; the others are the scheduler's */
};

static const struct part top = { "", 0700, 0755, false };
static const struct part parts[] = {
	{ "journal", 0700, 0700, false },
	{ "view", 0755, 0755, false },
	{ "view/history", 0755, 0755, false },
	/* who makes a directory in it is who can remove it, and the scheduler's group has it with him */
	{ "drop", 0700, 03773, false },
	{ "node", 0700, 0711, true },
};

static bool is_ours(uid_t uid, const struct part *p, const struct zn_spool_owner *owner)
{
	if (owner)
		return uid == (p->agent ? 0 : owner->uid) || (geteuid() == 0 && uid == 0);
	return uid == geteuid();
}

/* Gives the directory that fd is the mode and owner of p, or says why it must not. */
static int settle(int fd, const struct part *p, const char *path, bool made, const struct zn_spool_owner *owner,
                  struct zn_err *err)
{
	mode_t mode = owner ? p->system_mode : p->private_mode;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return zn_err_set(err, -errno, "can't look at '%s': %s", path, strerror(errno));
	if (!is_ours(st.st_uid, p, owner))
		return zn_err_set(err, -EPERM, "'%s' belongs to somebody else (uid %u)", path, (unsigned)st.st_uid);
	bool too_open = st.st_mode & ~mode & 07777;
	if (too_open && !made && !is_empty(fd))
		return zn_err_set(err, -EPERM, "'%s' is open to others (mode %04o) and not empty: if it is meant, "
		                  "chmod %04o it", path, (unsigned)st.st_mode & 07777, (unsigned)mode);
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return zn_err_set(err, -errno, "can't protect '%s': %s", path, strerror(errno));
	if (!owner || geteuid() != 0)
		return 0;
	if (fchown(fd, p->agent ? 0 : owner->uid, p->agent ? 0 : owner->gid) < 0 || fchmod(fd, mode) < 0)
		return zn_err_set(err, -errno, "can't give '%s' away: %s", path, strerror(errno));
	return 0;
}

static int make_part(const char *spool, const struct part *p, const struct zn_spool_owner *owner, struct zn_err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), *p->name ? "%s/%s" : "%s%s", spool, p->name) >= (int)sizeof(path))
		return zn_err_set(err, -ENAMETOOLONG, "spool path '%s' is too long", spool);
	if (p->agent && owner && geteuid() != 0)
		return 0; /* the agent makes its own, and holds it against us */
	bool made = mkdir(path, 0700) == 0;
	if (!made && errno != EEXIST)
		return zn_err_set(err, -errno, "can't make '%s': %s", path, strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return zn_err_set(err, -errno, errno == ELOOP || errno == ENOTDIR ? "'%s' is no directory"
		                  : "can't open '%s': %s", path, strerror(errno));
	int rc = settle(fd, p, path, made, owner, err);
	close(fd);
	return rc;
}

/* What was made must outlive a power cut before anything in it is acknowledged. */
static int sync_way(const char *path, struct zn_err *err)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (;;) {
		int rc = zn_dir_sync(part);
		/* Above what we made there may be directories that are not ours to open. */
		if (rc == -EACCES || rc == -EPERM)
			return 0;
		if (rc < 0)
			return zn_err_set(err, rc, "can't sync '%s': %s", part, strerror(-rc));
		char *slash = strrchr(part, '/');
		if (!slash || slash == part)
			return 0;
		*slash = '\0';
	}
}

int zn_spool_make(const char *path, const struct zn_spool_owner *owner, struct zn_err *err)
{
	char up[PATH_MAX];
	struct stat st;

	size_t len = strlen(path);
	if (*path != '/' || path[len - 1] == '/' || len >= sizeof(up) - 128)
		return zn_err_set(err, -EINVAL, "'%s' can't be a spool: it is relative, too long or ends in a slash", path);
	int rc = check_way(path, err);
	if (rc < 0)
		return rc;
	bool fresh = lstat(path, &st) < 0;
	snprintf(up, sizeof(up), "%s", path);
	char *slash = strrchr(up, '/');
	if (slash > up) {
		*slash = '\0';
		rc = zn_mkdirs(up, 0700, err);
	}
	if (rc == 0)
		rc = make_part(path, &top, owner, err);
	for (size_t i = 0; rc == 0 && i < sizeof(parts) / sizeof(*parts); i++)
		rc = make_part(path, &parts[i], owner, err);
	return rc == 0 && fresh ? sync_way(path, err) : rc;
}

int zn_spool_lock(const char *path, struct zn_err *err)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s/lock", path) >= (int)sizeof(file))
		return zn_err_set(err, -ENAMETOOLONG, "spool path '%s' is too long", path);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return zn_err_set(err, -errno, "can't open '%s': %s", file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return rc == -EBUSY ? zn_err_set(err, rc, "spool '%s' has a running zn-schedd", path)
	                    : zn_err_set(err, rc, "can't lock '%s': %s", file, strerror(-rc));
}
