#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"

static int read_to_end(int fd, size_t max, struct zn_buf *b)
{
	for (;;) {
		char *room = zn_buf_room(b, 4096);
		if (!room)
			return -ENOMEM;
		ssize_t n = read(fd, room, b->cap - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		b->len += (size_t)n;
		if (b->len > max)
			return -EFBIG;
	}
}

int zn_fd_read(int fd, size_t max, struct zn_arena *a, char **ret, size_t *ret_len)
{
	struct zn_buf b = { 0 };
	int rc = read_to_end(fd, max, &b);

	if (rc == 0) {
		char *copy = zn_arena_memdup(a, b.data, b.len);
		if (copy) {
			*ret = copy;
			if (ret_len)
				*ret_len = b.len;
		} else {
			rc = -ENOMEM;
		}
	}
	zn_buf_done(&b);
	return rc;
}

int zn_file_read(int dirfd, const char *path, size_t max, struct zn_arena *a, char **ret, size_t *ret_len)
{
	struct stat st;
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? zn_fd_read(fd, max, a, ret, ret_len)
	         : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	close(fd);
	return rc;
}

int zn_file_line(int dirfd, const char *path, char *line, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, line, size - 1);
	int rc = n < 0 ? -errno : 0;
	close(fd);
	if (rc == 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
	}
	return rc;
}

int zn_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t k = write(fd, at, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

int zn_dir_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash)
		return zn_dir_sync(".");
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + (slash == path), path);
	return zn_dir_sync(dir);
}

int zn_file_replace(const char *path, const void *p, size_t n, mode_t mode, struct zn_err *err)
{
	char temp[PATH_MAX];

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= (int)sizeof(temp))
		return zn_err_set(err, -ENAMETOOLONG, "path '%s' is too long", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return zn_err_set(err, -errno, "can't write '%s': %s", temp, strerror(errno));
	int rc = zn_write_all(fd, p, n);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = sync_parent(path);
	if (rc < 0) {
		unlink(temp);
		return zn_err_set(err, rc, "can't write '%s': %s", path, strerror(-rc));
	}
	return 0;
}

int zn_mkdirs(const char *path, mode_t mode, struct zn_err *err)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return zn_err_set(err, -ENAMETOOLONG, "path '%s' is too long", path);
	for (char *p = part + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char was = *p;
		*p = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return zn_err_set(err, -errno, "can't make directory '%s': %s", part, strerror(errno));
		*p = was;
		if (!was)
			break;
	}
	struct stat st;
	if (stat(path, &st) < 0)
		return zn_err_set(err, -errno, "can't make directory '%s': %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return zn_err_set(err, -ENOTDIR, "'%s' is no directory", path);
	return 0;
}

int zn_logfile_turn(const char *path, off_t max, int fd)
{
	char old[PATH_MAX];
	struct stat st;
	bool known = (fd < 0 ? stat(path, &st) : fstat(fd, &st)) == 0;

	if (fd >= 0 && known && st.st_size < max)
		return fd;
	if (known && st.st_size >= max && snprintf(old, sizeof(old), "%s.1", path) < (int)sizeof(old))
		rename(path, old);
	int new = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (new < 0)
		return fd < 0 ? -errno : fd;
	if (fd < 0)
		return new;
	dup3(new, fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
	close(new);
	return fd;
}

/* Magic numbers of statfs(2) and of the kernel's sources; several are not in <linux/magic.h>. */
int zn_is_network_fs(const char *path)
{
	static const unsigned long magics[] = {
		0x6969,     /* NFS */
		0x517b,     /* SMB */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x0bd00bd0, /* Lustre */
		0x00c36400, /* Ceph */
		0x01021997, /* 9p */
		0x47504653, /* GPFS */
		0x5346414f, /* AFS */
		0x73757245, /* Coda */
	};
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++)
		if (((unsigned long)fs.f_type & 0xffffffff) == magics[i])
			return 1;
	return 0;
}

/* The memory devices 3 and 7 (Linux, admin-guide/devices.txt). */
bool zn_file_is_sink(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && (minor(st->st_rdev) == 3 || minor(st->st_rdev) == 7);
}
