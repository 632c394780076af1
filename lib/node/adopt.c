/* adopt: a process that somebody started by himself becomes a job. */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "node/agent.h"
#include "proc/herd.h"

enum { DYING_MS = 100 };

/* One whose program can't be seen even by root has none: the kernel's own. */
static bool has_program(pid_t pid)
{
	char path[40], to[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return readlink(path, to, sizeof(to)) >= 0 || errno != ENOENT;
}

/* A private agent of root may take over everybody's; any other only what is wholly its user's, or the job's. */
static int check_owner(const struct zn_msg_start *m, pid_t pid, struct zn_err *err)
{
	uid_t uid, want = m->uid.has ? (uid_t)m->uid.v : geteuid();
	gid_t gid;
	int rc = zn_proc_user(pid, &uid, &gid);

	if (rc == -ESRCH)
		return zn_err_set(err, rc, "process %d is gone", (int)pid);
	if (rc == 0 && uid != want && !m->uid.has && want == 0)
		return 0;
	if (rc < 0 || uid != want)
		return zn_err_set(err, -EPERM, "process %d is not wholly of user %u", (int)pid, (unsigned)want);
	return 0;
}

static int check_overlap(const struct agent *a, pid_t pid, struct zn_err *err)
{
	if (zn__look_is_below(getpid(), pid))
		return zn_err_set(err, -EINVAL, "process %d is above the agent itself", (int)pid);
	if (zn__look_is_below(pid, getpid()))
		return zn_err_set(err, -EBUSY, "process %d is part of a job already", (int)pid);
	for (const struct job *j = a->jobs; j; j = j->hh.next)
		if (j->adopted.pid && !j->exited &&
		    (zn__look_is_below(pid, j->adopted.pid) || zn__look_is_below(j->adopted.pid, pid)))
			return zn_err_set(err, -EBUSY, "process %d is part of job %llu already, or has a part of it below it",
			                  (int)pid, (unsigned long long)j->key.job);
	return 0;
}

int zn__adopt_check(const struct agent *a, const struct zn_msg_start *m, struct zn_err *err)
{
	struct zn_proc_id id = { .pid = (pid_t)m->adopt_pid.v, .start = m->adopt_ticks.v };

	if (m->adopt_pid.v <= 1 || m->adopt_pid.v > INT32_MAX || m->tasks != 1 || m->command || m->script)
		return zn_err_set(err, -EINVAL, "this is no process that can be adopted");
	if (!zn_proc_is_alive(&id))
		return zn_err_set(err, -ESRCH, "process %d is gone", (int)id.pid);
	if (!has_program(id.pid))
		return zn_err_set(err, -EINVAL, "process %d is the kernel's", (int)id.pid);
	int rc = check_owner(m, id.pid, err);
	return rc < 0 ? rc : check_overlap(a, id.pid, err);
}

/* Once its root has ended nobody finds the others again: so it is seen here that they go. */
void zn__adopt_end(const struct job *j, bool *gone)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	struct zn_herd h;

	if (!j->adopted.pid || zn_herd_open(&j->adopted, NULL, &h) < 0)
		return;
	zn_herd_kill(&h);
	for (int i = 0; i < DYING_MS && !zn_herd_is_empty(&h); i++)
		nanosleep(&moment, NULL);
	if (!zn_herd_is_empty(&h))
		*gone = false;
	zn_herd_close(&h);
}
