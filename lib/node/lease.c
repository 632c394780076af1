#include "node/lease.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proc/proc.h"

static int open_dir(const char *path, struct zn_err *err)
{
	struct stat st;
	bool made = mkdir(path, 0700) == 0;

	if (!made && errno != EEXIST)
		return zn_err_set(err, -errno, "lease directory '%s': %s", path, strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return zn_err_set(err, errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno,
		                  "lease directory '%s' is no directory of its own: %s", path, strerror(errno));
	if (made && fchmod(fd, 01777) < 0) {
		int e = errno;
		close(fd);
		return zn_err_set(err, -e, "lease directory '%s': %s", path, strerror(e));
	}
	if (fstat(fd, &st) < 0 || ((st.st_mode & 0022) && !(st.st_mode & S_ISVTX))) {
		close(fd);
		return zn_err_set(err, -EPERM, "lease directory '%s' is not sticky: others could remove our leases", path);
	}
	return fd;
}

int zn_lease_dir(struct zn_err *err)
{
	const char *named = getenv("ZENITH_LEASE_DIR");
	struct stat st;

	if (named && *named)
		return open_dir(named, err);
	if (stat("/run/lock/zenith", &st) == 0 || access("/run/lock", W_OK) == 0)
		return open_dir("/run/lock/zenith", err);
	return open_dir("/tmp/zenith-lease", err);
}

/* The file's name: what identifies the device for everybody, whatever order they count in. */
static void lease_name(const struct zn_gpu *gpu, char *to, size_t size)
{
	if (gpu->uuid && *gpu->uuid)
		snprintf(to, size, "%s", gpu->uuid);
	else if (gpu->pci && *gpu->pci)
		snprintf(to, size, "%s", gpu->pci);
	else
		snprintf(to, size, "gpu-%u", gpu->gpu);
	for (char *p = to; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-.:_", *p))
			*p = '_';
	if (to[0] == '.')
		to[0] = '_';
}

/* Without O_CREAT first: the kernel (fs.protected_regular) refuses O_CREAT on a stranger's file in a sticky
 * directory even where it is there.
 */
static int open_file(int dirfd, const char *name)
{
	for (int i = 0; i < 10; i++) {
		int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (fd >= 0 || errno != ENOENT)
			return fd < 0 ? -errno : fd;
		fd = openat(dirfd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd >= 0) {
			fchmod(fd, 0644); /* whatever the umask: everybody must be able to lock it */
			return fd;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -EAGAIN;
}

/* /proc/locks: "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF" */
static void find_holder(int fd, struct zn_lease_holder *h)
{
	FILE *f = fopen("/proc/locks", "re");
	unsigned maj, min;
	unsigned long long ino;
	char line[256];
	struct stat st;
	int pid;

	*h = (struct zn_lease_holder){ 0 };
	while (f && fstat(fd, &st) == 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*[^:]: FLOCK %*s %*s %d %x:%x:%llu", &pid, &maj, &min, &ino) == 4 &&
		    ino == st.st_ino && makedev(maj, min) == st.st_dev && pid > 0) {
			h->pid = pid;
			zn_proc_owner(pid, h->user, sizeof(h->user), h->command, sizeof(h->command));
			break;
		}
	if (f)
		fclose(f);
}

int zn_lease_take(int dirfd, const struct zn_gpu *gpu, struct zn_lease_holder *holder, struct zn_err *err)
{
	char name[128];
	struct stat st;

	lease_name(gpu, name, sizeof(name));
	for (int i = 0; i < 10; i++) {
		int fd = open_file(dirfd, name);
		if (fd < 0)
			return zn_err_set(err, fd, "lease file '%s' of gpu %u: %s", name, gpu->gpu, strerror(-fd));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
			find_holder(fd, holder);
			close(fd);
			zn_lease_explain(gpu->gpu, holder, err);
			return rc;
		}
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
			return fd;
		bool removed = st.st_nlink == 0; /* between our open and our lock: try the one that is there now */
		close(fd);
		if (!removed)
			return zn_err_set(err, -EPERM, "lease file '%s' of gpu %u is no plain file of one name", name, gpu->gpu);
	}
	return zn_err_set(err, -EAGAIN, "lease file '%s' of gpu %u keeps vanishing", name, gpu->gpu);
}

bool zn_lease_is_held(int dirfd, const struct zn_gpu *gpu, struct zn_lease_holder *holder)
{
	char name[128];

	lease_name(gpu, name, sizeof(name));
	int fd = dirfd < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return false;
	find_holder(fd, holder);
	close(fd);
	return holder->pid != 0;
}

void zn_lease_explain(uint32_t gpu, const struct zn_lease_holder *h, struct zn_err *err)
{
	if (h->pid && h->user[0])
		zn_err_set(err, 0, "gpu %u is held by pid %d of %s, outside this queue", gpu, h->pid, h->user);
	else if (h->pid)
		zn_err_set(err, 0, "gpu %u is held by pid %d, outside this queue", gpu, h->pid);
	else
		zn_err_set(err, 0, "gpu %u is held outside this queue", gpu);
}
