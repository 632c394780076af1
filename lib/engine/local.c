#include "engine/local.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "base/arena.h"

extern char **environ;

static bool is_set_by(const char *line, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(line, name, n) && line[n] == '=';
}

/* Ours, and what makes it a mock. */
static char **environment_of(const struct zn_local_mock *mock, struct zn_arena *a)
{
	size_t n = 0, from = 0;

	while (environ[from])
		from++;
	char **v = zn_arena_array(a, from + 3, sizeof(*v));
	for (size_t i = 0; v && i < from; i++)
		if (!is_set_by(environ[i], "ZENITH_MOCK_GPUS") && !is_set_by(environ[i], "ZENITH_LEASE_DIR"))
			v[n++] = environ[i];
	if (!v)
		return NULL;
	v[n++] = zn_arena_printf(a, "ZENITH_MOCK_GPUS=%s", mock->gpus);
	v[n++] = zn_arena_printf(a, "ZENITH_LEASE_DIR=%s", mock->leases);
	v[n] = NULL;
	return v[n - 1] && v[n - 2] ? v : NULL;
}

int zn_local_launch_agent(const char *program, const char *spool, const char *const *more, const struct zn_local_mock *mock,
                          struct zn_err *err)
{
	struct zn_arena a = { 0 };
	const char *argv[4 + ZN_LOCAL_MORE_MAX + 1] = { "zn-noded", "--detach", "--spool", spool };
	pid_t pid;

	for (int i = 0; more && more[i] && i < ZN_LOCAL_MORE_MAX; i++)
		argv[4 + i] = more[i];
	char **environment = mock ? environment_of(mock, &a) : environ;
	int rc = environment ? posix_spawnp(&pid, program, NULL, NULL, (char *const *)argv, environment) : ENOMEM;
	zn_arena_done(&a);

	return rc ? zn_err_set(err, -rc, "can't start '%s': %s", program, strerror(rc)) : pid;
}

int zn_local_agent_launched(int status, struct zn_err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 75)
		return -EBUSY;
	return zn_err_set(err, -ECONNREFUSED, "zn-noded did not start (status %d)",
	                  WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int zn_local_start_agent(const char *program, const char *spool, const char *const *more, const struct zn_local_mock *mock,
                         struct zn_err *err)
{
	int status = 0, pid = zn_local_launch_agent(program, spool, more, mock, err);

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? pid : zn_local_agent_launched(status, err);
}
