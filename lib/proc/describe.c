/* describe: what a process looks like to who adopts it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "proc/describe.h"

enum { COMMAND_MAX = 1 << 20 };

static int read_command(pid_t pid, struct zn_arena *a, struct zn_strs *ret)
{
	char path[40], *text;
	size_t len, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	int rc = zn_file_read(AT_FDCWD, path, COMMAND_MAX, a, &text, &len);
	if (rc < 0)
		return rc;
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		n++;
	const char **v = zn_arena_array(a, n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	*ret = (struct zn_strs){ .v = v };
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		v[ret->n++] = p;
	return 0;
}

/* Where one of its links leads; NULL: nowhere, or it may not be read. */
static const char *read_link(pid_t pid, const char *link, struct zn_arena *a)
{
	char path[64], to[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, link);
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	if (n <= 0)
		return NULL;
	to[n] = '\0';
	return to[0] == '/' ? zn_arena_strdup(a, to) : NULL;
}

/* A file that is still there by the name that it had when it was opened. */
static bool is_file(pid_t pid, const char *path)
{
	char own[64];
	struct stat by_name, by_fd;

	snprintf(own, sizeof(own), "/proc/%d/fd/1", (int)pid);
	return stat(path, &by_name) == 0 && stat(own, &by_fd) == 0 && S_ISREG(by_fd.st_mode) &&
	       by_name.st_ino == by_fd.st_ino && by_name.st_dev == by_fd.st_dev;
}

int zn_proc_describe(pid_t pid, struct zn_arena *a, struct zn_proc_described *ret)
{
	struct zn_proc_described d = { .directory = read_link(pid, "cwd", a), .output = read_link(pid, "fd/1", a) };
	int rc = zn_proc_id_read(pid, &d.id);

	if (rc == 0)
		rc = read_command(pid, a, &d.command);
	if (rc < 0)
		return rc;
	if (d.output && !is_file(pid, d.output))
		d.output = NULL;
	*ret = d;
	return 0;
}
