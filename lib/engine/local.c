#include "engine/local.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int zn_local_start_agent(const char *program, const char *spool, struct zn_err *err)
{
	char *const argv[] = { (char *)"zn-noded", (char *)"--detach", (char *)"--spool", (char *)spool, NULL };
	int status = 0;
	pid_t pid;
	int rc = posix_spawnp(&pid, program, NULL, NULL, argv, environ);

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
