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
	unsigned long long start;
	char state;
	if (!at || sscanf(at + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
	                  &state, &ppid, &start) != 3)
		return -ESRCH;
	*ret = (struct zn_proc_stat){ .ppid = ppid, .state = state, .start = start };
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

	return zn_proc_stat(id->pid, &st) == 0 && st.start == id->start && st.state != 'Z' && st.state != 'X';
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

bool zn_proc_has_env(pid_t pid, const char *line)
{
	char path[40], *text = NULL;
	size_t len = strlen(line), cap = 0;
	bool found = false;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && (n = getdelim(&text, &cap, '\0', f)) > 0)
		found = (size_t)n == len + 1 && memcmp(text, line, len) == 0;
	free(text);
	fclose(f);
	return found;
}

int zn_proc_env_read(pid_t pid, const char *name, char *to, size_t size)
{
	char path[40], *text = NULL;
	size_t len = strlen(name), cap = 0;
	int rc = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	while (rc < 0 && getdelim(&text, &cap, '\0', f) > 0)
		if (strncmp(text, name, len) == 0 && text[len] == '=') {
			snprintf(to, size, "%s", text + len + 1);
			rc = 0;
		}
	if (ferror(f))
		rc = -EACCES;
	free(text);
	fclose(f);
	return rc;
}

void zn_proc_owner(pid_t pid, char *user, size_t user_size, char *command, size_t command_size)
{
	char path[40], buf[1024];
	struct passwd pw, *found = NULL;
	struct stat st;

	user[0] = command[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (read_small(path, command, command_size) > 0)
		command[strcspn(command, "\n")] = '\0';
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0)
		return;
	if (getpwuid_r(st.st_uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		snprintf(user, user_size, "%s", pw.pw_name);
	else
		snprintf(user, user_size, "%u", (unsigned)st.st_uid);
}
