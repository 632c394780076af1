/* job_of: which job a process belongs to, and whether a number that a driver tells is the process that we see.
 *
 * The cgroup of a job's hold can't be left by its processes and names the job, whatever they do to their environment.
 * Where jobs have no cgroup, or the process lives in another (a container's), it is what ZENITH_JOB_ID says, in its own
 * environment or in that of who started it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/devices.h"
#include "base/file.h"
#include "base/units.h"
#include "proc/proc.h"

enum { ANCESTORS_MAX = 64, CGROUPS_MAX = 64 << 10 };

uint64_t zn__job_of_cgroup(const char *path)
{
	/* ".../zenith-0-1a2b3c4d/12.1": the agent's own directory, then job and attempt */
	for (const char *at = path; (at = strstr(at, "/zenith-")); at++) {
		const char *name = at + 1 + strcspn(at + 1, "/\n");
		char *end;
		if (*name != '/' || !isdigit((unsigned char)name[1]))
			continue;
		errno = 0;
		unsigned long long job = strtoull(name + 1, &end, 10);
		if (!errno && *end == '.' && isdigit((unsigned char)end[1]))
			return job;
	}
	return 0;
}

static uint64_t by_cgroup(pid_t pid)
{
	struct zn_arena a = { 0 };
	char path[40], *text;
	size_t n;
	uint64_t job = 0;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (zn_file_read(AT_FDCWD, path, CGROUPS_MAX, &a, &text, &n) == 0)
		job = zn__job_of_cgroup(text);
	zn_arena_done(&a);
	return job;
}

static uint64_t by_environment(pid_t pid)
{
	char text[24];
	uint64_t job = 0;

	if (zn_proc_env_read(pid, "ZENITH_JOB_ID", text, sizeof(text)) < 0 || zn_parse_u64(text, 1, UINT64_MAX, &job, NULL) < 0)
		return 0;
	return job;
}

uint64_t zn_audit_job_of(pid_t pid)
{
	struct zn_proc_stat st;
	uint64_t job = by_cgroup(pid);

	for (int i = 0; !job && i < ANCESTORS_MAX && pid > 1; i++) {
		job = by_environment(pid);
		if (zn_proc_stat(pid, &st) < 0)
			break;
		pid = st.ppid;
	}
	return job;
}

/* ---- whose numbers these are --------------------------------------------------------------------- */

bool zn__pids_are_hosts(void)
{
	static const char outermost[] = "pid:[4026531836]"; /* PROC_PID_INIT_INO of linux/proc_ns.h */
	char link[64];
	ssize_t n = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);

	if (n < 0)
		return false;
	link[n] = '\0';
	return !strcmp(link, outermost);
}

static bool is_gpu_file(const char *path)
{
	return !strncmp(path, "/dev/nvidia", 11) || !strncmp(path, "/dev/dri/", 9) || !strcmp(path, "/dev/kfd");
}

bool zn__pid_holds_gpu(pid_t pid)
{
	char path[40], to[64];
	bool found = false;
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = '\0';
		found = is_gpu_file(to);
	}
	if (dir)
		closedir(dir);
	return found;
}
