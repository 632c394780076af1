#include "engine/local.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int zn_local_start_agent(const char *program, const char *spool, const char *const *more, struct zn_err *err)
{
	const char *argv[4 + ZN_LOCAL_MORE_MAX + 1] = { "zn-noded", "--detach", "--spool", spool };
	int status = 0;
	pid_t pid;

	for (int i = 0; more && more[i] && i < ZN_LOCAL_MORE_MAX; i++)
		argv[4 + i] = more[i];
	int rc = posix_spawnp(&pid, program, NULL, NULL, (char *const *)argv, environ);

	if (rc)
		return zn_err_set(err, -rc, "can't start '%s': %s", program, strerror(rc));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 75)
		return -EBUSY;
	return zn_err_set(err, -ECONNREFUSED, "zn-noded did not start (status %d)",
	                  WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}
