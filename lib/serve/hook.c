/* hook: the configured command that runs when a job has ended.  The job's record comes as JSON on its standard
 * input; ZENITH_JOB_* say the same in the environment.  A few at a time, and never in the way of the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "rec/val.h"
#include "serve/server.h"

struct zn_hook_wait {
	uint64_t job;
	STAILQ_ENTRY(zn_hook_wait) link;
};

static int record_json(struct zn_server *s, const struct zn_job *job, struct zn_buf *json)
{
	struct zn_arena a = { 0 };
	struct zn_job_record r;
	struct zn_buf b = { 0 };
	msgpack_object map;
	int rc = zn_job_public(&s->jobs, job, &a, &r);

	if (rc == 0)
		rc = zn_encode(&zn_job_kind, &r, &b);
	if (rc == 0)
		rc = zn_val_unpack(b.data, b.len, 0, &a, &map, NULL);
	if (rc == 0)
		rc = zn_val_to_json(&map, json);
	zn_buf_addch(json, '\n');
	zn_buf_done(&b);
	zn_arena_done(&a);
	return rc;
}

/* A descriptor from which the record can be read. */
static int record_fd(struct zn_server *s, const struct zn_job *job)
{
	struct zn_buf json = { 0 };
	int fd = memfd_create("job", MFD_CLOEXEC);
	int rc = fd < 0 ? -errno : record_json(s, job, &json);

	if (rc == 0)
		rc = zn_write_all(fd, json.data, json.len);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	zn_buf_done(&json);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static char **environment(const struct zn_job *job, struct zn_arena *a)
{
	extern char **environ;
	size_t n = 0;

	while (environ[n])
		n++;
	const char **v = zn_arena_array(a, n + ZN_END_VARIABLES + 1, sizeof(*v));
	if (!v)
		return NULL;
	memcpy(v, environ, n * sizeof(*v));
	if (zn_end_variables(job, a, v, &n) < 0)
		return NULL;
	v[n] = NULL;
	return (char **)v;
}

static int run(struct zn_server *s, const struct zn_job *job)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)s->conf.on_finish, NULL };
	struct zn_arena a = { 0 };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	pid_t pid;
	int fd = record_fd(s, job);

	if (fd < 0)
		return fd;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, fd, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	char **env = environment(job, &a);
	int rc = env ? -posix_spawn(&pid, "/bin/sh", &files, &attr, argv, env) : -ENOMEM;
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	zn_arena_done(&a);
	close(fd);
	if (rc == 0)
		s->hook_pids[s->hooks++] = pid;
	return rc;
}

void zn_hook_finish(struct zn_server *s, const struct zn_job *job)
{
	char number[ZN_NUMBER_TEXT];

	if (!s->conf.on_finish)
		return;
	if (s->hooks < ZN_HOOKS) {
		int rc = run(s, job);
		if (rc < 0)
			zn_log("on_finish of job %s: %s", zn_handle_text(job->id, number), strerror(-rc));
		return;
	}
	struct zn_hook_wait *w = calloc(1, sizeof(*w));
	if (!w)
		return;
	w->job = job->id;
	STAILQ_INSERT_TAIL(&s->hook_waits, w, link);
}

void zn_hook_reap(struct zn_server *s)
{
	struct zn_hook_wait *w;
	int status;

	for (int i = 0; i < s->hooks;) {
		if (waitpid(s->hook_pids[i], &status, WNOHANG) <= 0) {
			i++;
			continue;
		}
		s->hook_pids[i] = s->hook_pids[--s->hooks];
		if (WIFSIGNALED(status))
			zn_log("on_finish was ended by signal %d", WTERMSIG(status));
		else if (WEXITSTATUS(status))
			zn_log("on_finish ended with exit code %d", WEXITSTATUS(status));
	}
	while (s->hooks < ZN_HOOKS && (w = STAILQ_FIRST(&s->hook_waits))) {
		struct zn_job *job = zn_jobs_get(&s->jobs, w->job);
		STAILQ_REMOVE_HEAD(&s->hook_waits, link);
		free(w);
		if (job)
			zn_hook_finish(s, job);
	}
}

void zn_hook_drop_all(struct zn_server *s)
{
	struct zn_hook_wait *w;
	char number[ZN_NUMBER_TEXT];

	while ((w = STAILQ_FIRST(&s->hook_waits))) {
		zn_log("on_finish of job %s: not run, zn-schedd ends", zn_handle_text(w->job, number));
		STAILQ_REMOVE_HEAD(&s->hook_waits, link);
		free(w);
	}
}
