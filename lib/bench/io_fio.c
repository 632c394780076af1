/* io_fio: fio does the same reads, and its JSON says how many they were. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/io.h"

enum { OUTPUT_MAX = 1 << 20, ARGS = 16, ARG_MAX_LEN = 96 };

extern char **environ;

/* Its output and its complaints go to the same pipe: the JSON begins with the first brace. */
static int start_fio(char *const *argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, out, 2);
	int rc = posix_spawnp(ret, "fio", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

static int run_fio(char *const *argv, struct zn_arena *a, char **ret, struct zn_err *err)
{
	int fds[2], status;
	size_t len;
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	int rc = start_fio(argv, fds[1], &pid);
	close(fds[1]);
	if (rc == 0)
		rc = zn_fd_read(fds[0], OUTPUT_MAX, a, ret, &len);
	close(fds[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return rc == -ENOENT ? zn_err_set(err, -ENOTSUP, "fio is not installed") : zn_err_set(err, rc, "can't start fio: %s", strerror(-rc));
	if (rc < 0)
		return rc;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return zn_err_set(err, -EIO, "fio failed: %.*s", (int)strcspn(*ret, "\n"), *ret);
	return 0;
}

static int parse(const char *text, double *ret, struct zn_err *err)
{
	const char *begin = strchr(text, '{');
	json_t *all = begin ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	const json_t *job = json_array_get(json_object_get(all, "jobs"), 0);
	double rate = json_number_value(json_object_get(json_object_get(job, "read"), "iops"));

	json_decref(all);
	if (!(rate > 0))
		return zn_err_set(err, -EBADMSG, "fio did not say how many reads it made: %.*s", (int)strcspn(text, "\n"), text);
	*ret = rate;
	return 0;
}

int zn__io_by_fio(const struct zn__io_load *load, double *ret, struct zn_err *err)
{
	char text[ARGS][ARG_MAX_LEN], *argv[ARGS + 1] = { NULL }, *output = "";
	struct zn_arena a = { 0 };
	int n = 0;

#define ARG(...) (snprintf(text[n], sizeof(text[n]), __VA_ARGS__), argv[n] = text[n], n++)
	ARG("fio");
	ARG("--name=zn-bench");
	ARG("--filename=/proc/%d/fd/%d", (int)getpid(), load->fd); /* which may have no other name */
	ARG("--readonly");
	ARG("--ioengine=io_uring");
	ARG("--direct=1");
	ARG("--rw=%s", load->random ? "randread" : "read");
	ARG("--norandommap"); /* nor do we keep one */
	ARG("--bs=%zu", load->block);
	ARG("--iodepth=%u", load->depth);
	ARG("--size=%llu", (unsigned long long)load->bytes);
	ARG("--time_based");
	ARG("--runtime=%dms", ZN__IO_MS);
	ARG("--output-format=json");
#undef ARG
	int rc = run_fio(argv, &a, &output, err);
	if (rc == 0)
		rc = parse(output, ret, err);
	zn_arena_done(&a);
	return rc;
}
