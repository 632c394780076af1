#include "queue/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/conf.h"
#include "rec/val.h"

extern char **environ;

/* Starts zn-topo; *ret_fd is what it writes. */
static int start(pid_t *ret_pid, int *ret_fd)
{
	char path[PATH_MAX];
	char *const argv[] = { (char *)"zn-topo", (char *)"--output", (char *)"msgpack", NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc == 0) {
		zn_program_beside("zn-topo", path, sizeof(path));
		rc = posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
		if (rc == 0)
			rc = posix_spawnp(ret_pid, path, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(fds[1]);
	if (rc)
		close(fds[0]);
	else
		*ret_fd = fds[0];
	return -rc;
}

/* Records one after another as the list that zn_facts_decode takes. */
static int unpack_all(const char *p, size_t n, struct zn_arena *a, msgpack_object *ret, struct zn_err *err)
{
	enum { HEAD = 5 };
	unsigned char *list = zn_arena_alloc(a, HEAD + n);
	uint32_t count = 0;

	if (!list)
		return -ENOMEM;
	for (size_t at = 0; at < n; count++) {
		ssize_t one = zn_msgpack_check(p + at, n - at, at, err);
		if (one <= 0)
			return -EBADMSG;
		at += (size_t)one;
	}
	const unsigned char head[HEAD] = { 0xdd, (unsigned char)(count >> 24), (unsigned char)(count >> 16),
	                                   (unsigned char)(count >> 8), (unsigned char)count };
	memcpy(list, head, HEAD);
	memcpy(list + HEAD, p, n);
	return zn_val_unpack(list, HEAD + n, 0, a, ret, err);
}

int zn_machine_ask(struct zn_facts **ret, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	msgpack_object list;
	char *text;
	size_t n;
	int fd, status = 0;
	pid_t pid;

	int rc = start(&pid, &fd);
	if (rc < 0)
		return zn_err_set(err, rc, "can't start zn-topo: %s", strerror(-rc));
	rc = zn_fd_read(fd, ZN_RECORD_MAX, &a, &text, &n);
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0 && status)
		rc = -EIO;
	if (rc == 0)
		rc = unpack_all(text, n, &a, &list, err);
	if (rc == 0)
		rc = zn_facts_decode(&list, ret, err);
	zn_arena_done(&a);
	return rc < 0 ? zn_err_set(err, rc, "can't make out what zn-topo says of this machine") : 0;
}
