/* spool_socket: Unix sockets at paths that may be longer than the 108 bytes of their address: the directory is
 * opened, and the address goes through /proc/self/fd.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "queue/spool.h"

/* Opens the socket's directory; ret_addr is the socket's address through it, ret_name its name in it. */
static int address(const char *path, struct sockaddr_un *ret_addr, const char **ret_name, struct zn_err *err)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (!slash || (size_t)(slash - path) >= sizeof(dir))
		return zn_err_set(err, -EINVAL, "socket path '%s' is relative or too long", path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + (slash == path), path);
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return zn_err_set(err, -errno, "can't reach '%s': %s", path, strerror(errno));
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(ret_addr->sun_path, sizeof(ret_addr->sun_path), "/proc/self/fd/%d/%s", fd, slash + 1);
	if (n >= (int)sizeof(ret_addr->sun_path)) {
		close(fd);
		return zn_err_set(err, -ENAMETOOLONG, "socket name '%s' is too long", slash + 1);
	}
	*ret_name = slash + 1;
	return fd;
}

int zn_spool_connect(const char *path, struct zn_err *err)
{
	struct sockaddr_un addr;
	const char *name;
	int dir = address(path, &addr, &name, err);

	if (dir < 0)
		return dir;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	close(dir);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return zn_err_set(err, rc, "nobody listens at '%s'", path);
	return zn_err_set(err, rc, "can't connect to '%s': %s", path, strerror(-rc));
}

/* Two things of one name: only a socket is ever in the way rightly. */
static int clear_way(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static int bind_and_listen(int fd, int dir, const char *name, const struct sockaddr_un *addr, bool everyone)
{
	/* The file's mode is the descriptor's at the time of bind(): never open to others for a moment, without
	 * touching the umask of a process with threads. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	if (everyone && fchmodat(dir, name, 0666, 0) < 0)
		return -errno;
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

int zn_spool_listen(const char *path, bool everyone, struct zn_err *err)
{
	struct sockaddr_un addr;
	const char *name;
	int dir = address(path, &addr, &name, err);

	if (dir < 0)
		return dir;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = fd < 0 ? -errno : clear_way(dir, name);
	if (rc == 0)
		rc = bind_and_listen(fd, dir, name, &addr, everyone);
	close(dir);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return zn_err_set(err, rc, "can't listen at '%s': %s", path, strerror(-rc));
}
