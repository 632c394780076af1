/* id: single processes, read from /proc. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/pidfd.h"
#include "proc/proc.h"

static ssize_t read_small(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, to, size - 1);
	int saved = errno;
	close(fd);
	if (n < 0)
		return -saved;
	to[n] = '\0';
	return n;
}

int zn_proc_stat(pid_t pid, struct zn_proc_stat *ret)
{
	char path[40], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_small(path, text, sizeof(text)) < 0)
		return -ESRCH;
	/* the name in brackets may hold anything, brackets too */
	const char *at = strrchr(text, ')');
	int ppid;
	unsigned long long start, user, system;
	long threads;
	char state;
	if (!at || sscanf(at + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d %llu",
	                  &state, &ppid, &user, &system, &threads, &start) != 6)
		return -ESRCH;
	*ret = (struct zn_proc_stat){ .ppid = ppid, .state = state, .start = start,
	                              .is_gone = threads <= 1 && (state == 'Z' || state == 'X'),
	                              .cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK) };
	return 0;
}

/* The text behind "KEY:" in /proc/PID/status. */
static int read_status(pid_t pid, const char *key, char *to, size_t size)
{
	char path[40], text[4096];
	size_t len = strlen(key);

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (read_small(path, text, sizeof(text)) < 0)
		return -ESRCH;
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, len) == 0 && line[len] == ':') {
			snprintf(to, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
			return 0;
		}
	return -ENODATA;
}

/* One of its ids, where all four are the same. */
static int read_id(pid_t pid, const char *key, unsigned *ret)
{
	char text[128];
	unsigned v[4];
	int rc = read_status(pid, key, text, sizeof(text));

	if (rc < 0 || sscanf(text, "%u %u %u %u", &v[0], &v[1], &v[2], &v[3]) != 4)
		return -ESRCH;
	if (v[1] != v[0] || v[2] != v[0] || v[3] != v[0])
		return -EPERM;
	*ret = v[0];
	return 0;
}

int zn_proc_user(pid_t pid, uid_t *ret_uid, gid_t *ret_gid)
{
	unsigned uid, gid;
	int rc = read_id(pid, "Uid", &uid);

	if (rc == 0)
		rc = read_id(pid, "Gid", &gid);
	if (rc < 0)
		return rc;
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

int zn_proc_peak(pid_t pid, uint64_t *ret_bytes)
{
	char text[64];
	int rc = read_status(pid, "VmHWM", text, sizeof(text));

	if (rc < 0)
		return -ENODATA;
	*ret_bytes = strtoull(text, NULL, 10) * 1024;
	return 0;
}

static bool ends_by_default(int sig)
{
	switch (sig) {
	case SIGCHLD: case SIGCONT: case SIGURG: case SIGWINCH: /* signal(7) */
	case SIGSTOP: case SIGTSTP: case SIGTTIN: case SIGTTOU:
		return false;
	}
	return sig > 0 && sig <= 64;
}

static bool status_has_signal(pid_t pid, const char *set, int sig)
{
	char text[64];

	return read_status(pid, set, text, sizeof(text)) < 0 || (strtoull(text, NULL, 16) >> (sig - 1) & 1);
}

bool zn_proc_dies_of(pid_t pid, int sig)
{
	return ends_by_default(sig) && !status_has_signal(pid, "SigIgn", sig) && !status_has_signal(pid, "SigCgt", sig) &&
	       !status_has_signal(pid, "SigBlk", sig); /* who blocks it may take it by sigwait */
}

/* The last field of its stat, which is 0 for those who may not trace the process. */
int zn_proc_zombie_status(const struct zn_proc_id *id, int *ret_status)
{
	char path[40], text[1024];
	struct zn_proc_stat st;
	uid_t uid;
	gid_t gid;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)id->pid);
	if (zn_proc_user(id->pid, &uid, &gid) < 0 || uid != geteuid())
		return -EACCES;
	if (read_small(path, text, sizeof(text)) < 0 || zn_proc_stat(id->pid, &st) < 0 || st.start != id->start ||
	    !st.is_gone)
		return -ESRCH;
	const char *last = strrchr(text, ' ');
	if (!last)
		return -ESRCH;
	*ret_status = atoi(last + 1);
	return 0;
}

int zn_proc_id_read(pid_t pid, struct zn_proc_id *ret)
{
	struct zn_proc_stat st;
	int rc = zn_proc_stat(pid, &st);

	if (rc == 0)
		*ret = (struct zn_proc_id){ .pid = pid, .start = st.start };
	return rc;
}

bool zn_proc_is_alive(const struct zn_proc_id *id)
{
	struct zn_proc_stat st;

	return zn_proc_stat(id->pid, &st) == 0 && st.start == id->start && !st.is_gone;
}

int zn__pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int zn__pidfd_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int zn_proc_signal(const struct zn_proc_id *id, int sig)
{
	int fd = zn__pidfd_open(id->pid);

	if (fd < 0)
		return fd;
	/* looked at after the descriptor is held: it can't become another process now */
	int rc = zn_proc_is_alive(id) ? zn__pidfd_signal(fd, sig) : -ESRCH;
	close(fd);
	return rc;
}

/* The first line of the environment that begins with start and goes on with next ('\0': is start), to be freed. */
static int find_env(pid_t pid, const char *start, char next, char **ret)
{
	char path[40], *text = NULL;
	size_t len = strlen(start), cap = 0;
	int rc = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	while (rc < 0 && getdelim(&text, &cap, '\0', f) > 0)
		if (strncmp(text, start, len) == 0 && text[len] == next)
			rc = 0;
	if (ferror(f))
		rc = -EACCES;
	fclose(f);
	if (rc == 0)
		*ret = text;
	else
		free(text);
	return rc;
}

bool zn_proc_has_env(pid_t pid, const char *line)
{
	char *text = NULL;
	bool found = find_env(pid, line, '\0', &text) == 0;

	free(text);
	return found;
}

int zn_proc_env_read(pid_t pid, const char *name, char *to, size_t size)
{
	char *text;
	int rc = find_env(pid, name, '=', &text);

	if (rc < 0)
		return rc;
	snprintf(to, size, "%s", text + strlen(name) + 1);
	free(text);
	return 0;
}

void zn_proc_name(pid_t pid, char *to, size_t size)
{
	char path[40];

	to[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (read_small(path, to, size) > 0)
		to[strcspn(to, "\n")] = '\0';
}

void zn_proc_owner(pid_t pid, char *user, size_t user_size, char *command, size_t command_size)
{
	char path[40], buf[1024];
	struct passwd pw, *found = NULL;
	struct stat st;

	user[0] = '\0';
	zn_proc_name(pid, command, command_size);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0)
		return;
	if (getpwuid_r(st.st_uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		snprintf(user, user_size, "%s", pw.pw_name);
	else
		snprintf(user, user_size, "%u", (unsigned)st.st_uid);
}
