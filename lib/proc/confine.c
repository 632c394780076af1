/* confine: what this machine offers to hold jobs together, found by trying.
 *
 * In the unified hierarchy (cgroup v2) we want a directory of our own, best one whose parent can hand the
 * memory controller down: first below the cgroup we are in (a unit with Delegate=yes; there we move ourselves
 * into a leaf, because a cgroup with processes of its own hands nothing down), then below the root of the
 * mount.  A hold may have half of the processes that the machine can have: a fork bomb takes no more.  Without controllers it still freezes, kills and counts.  The memory limit then comes from a group
 * of the v1 memory hierarchy, if there is one that we may write.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proc/cgroup.h"
#include "proc/proc.h"

enum { CLEAR_TRIES = 500 }; /* of 10 ms */

int zn__cg_write(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int zn__cg_read(const char *dir, const char *file, char *to, size_t size)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, to, size - 1);
	int rc = n < 0 ? -errno : 0;
	close(fd);
	to[n < 0 ? 0 : n] = '\0';
	return rc;
}

bool zn__cg_value(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			*ret = strtoull(line + len, NULL, 10);
			return true;
		}
	return false;
}

/* Where a hierarchy is mounted: the unified one (controller NULL) or that of a v1 controller.  root is the part
 * of the hierarchy that the mount shows.
 */
static bool find_mount(const char *controller, char *at, char *root)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	bool found = false;

	while (f && !found && getline(&line, &cap, f) > 0) {
		char *rest = strstr(line, " - "), type[32], super[256];
		if (!rest || sscanf(rest, " - %31s %*s %255s", type, super) != 2)
			continue;
		if (sscanf(line, "%*d %*d %*s %4095s %4095s", root, at) != 2)
			continue;
		if (!controller)
			found = strcmp(type, "cgroup2") == 0;
		else if (strcmp(type, "cgroup") == 0)
			for (char *save, *o = strtok_r(super, ",\n", &save); o; o = strtok_r(NULL, ",\n", &save))
				found |= strcmp(o, controller) == 0;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* The cgroup we are in, as /proc/self/cgroup names it. */
static bool own_group(const char *controller, char *to)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t cap = 0;
	bool found = false;

	while (f && !found && getline(&line, &cap, f) > 0) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (!controller)
			found = names[1] == '\0';
		for (char *save, *o = strtok_r(names + 1, ",", &save); controller && o; o = strtok_r(NULL, ",", &save))
			found |= strcmp(o, controller) == 0;
		if (found)
			snprintf(to, PATH_MAX, "%s", path);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' ' || at[len] == '\n'))
			return true;
	return false;
}

/* -ENODEV: dir has no such controller; -EBUSY: it has processes of its own. */
static int hand_down(const char *dir, const char *controller)
{
	char have[256] = "", text[64];

	if (zn__cg_read(dir, "cgroup.controllers", have, sizeof(have)) < 0 || !has_word(have, controller))
		return -ENODEV;
	snprintf(text, sizeof(text), "+%s", controller);
	return zn__cg_write(dir, "cgroup.subtree_control", text);
}

static bool hand_down_twice(const char *parent, const char *dir, const char *controller)
{
	return hand_down(parent, controller) == 0 && hand_down(dir, controller) == 0;
}

/* As many processes and threads as this machine can have at once; 0: not known. */
static uint64_t most_pids(void)
{
	char pids[24], threads[24];

	if (zn__cg_read("/proc/sys/kernel", "pid_max", pids, sizeof(pids)) < 0 ||
	    zn__cg_read("/proc/sys/kernel", "threads-max", threads, sizeof(threads)) < 0)
		return 0;
	uint64_t a = strtoull(pids, NULL, 10), b = strtoull(threads, NULL, 10);
	return a < b ? a : b;
}

/* Makes parent/tag and hands down what can be; leave: move ourselves out of parent where that is needed. */
static bool try_parent(const char *parent, const char *tag, bool leave, struct zn_confine *c)
{
	char dir[PATH_MAX], leaf[PATH_MAX + 8], kill_file[PATH_MAX + 16];

	if ((size_t)snprintf(dir, sizeof(dir), "%s/%s", parent, tag) >= sizeof(dir))
		return false;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return false;
	snprintf(kill_file, sizeof(kill_file), "%s/cgroup.kill", dir);
	if (access(kill_file, W_OK) < 0) { /* before Linux 5.14, or not ours */
		rmdir(dir);
		return false;
	}
	int memory = hand_down(parent, "memory");
	if (memory == -EBUSY && leave) {
		snprintf(leaf, sizeof(leaf), "%s/agent", dir);
		if ((mkdir(leaf, 0755) == 0 || errno == EEXIST) && zn__cg_write(leaf, "cgroup.procs", "0") == 0)
			memory = hand_down(parent, "memory");
	}
	c->v2_memory = memory == 0 && hand_down(dir, "memory") == 0;
	c->v2_cpuset = hand_down_twice(parent, dir, "cpuset");
	c->v2_cpu = !c->v2_cpuset && hand_down_twice(parent, dir, "cpu");
	c->pids_max = hand_down_twice(parent, dir, "pids") ? most_pids() / 2 : 0;
	snprintf(c->v2, sizeof(c->v2), "%s", dir);
	return true;
}

static void find_v2(const char *tag, struct zn_confine *c)
{
	char at[PATH_MAX], root[PATH_MAX], own[PATH_MAX] = "/", parent[2 * PATH_MAX];

	if (!find_mount(NULL, at, root) || !own_group(NULL, own))
		return;
	snprintf(parent, sizeof(parent), "%s%s", at, strcmp(own, "/") == 0 ? "" : own);
	bool done = try_parent(parent, tag, true, c);
	if ((done && c->v2_memory) || strcmp(own, "/") == 0)
		return;
	struct zn_confine top = { 0 };
	if (!try_parent(at, tag, false, &top))
		return;
	if (done && !top.v2_memory) {
		rmdir(top.v2);
		return;
	}
	*c = top;
}

static void find_v1_memory(const char *tag, struct zn_confine *c)
{
	char at[PATH_MAX], root[PATH_MAX], own[PATH_MAX], dir[2 * PATH_MAX + 64];

	if (!find_mount("memory", at, root) || !own_group("memory", own))
		return;
	const char *below = strcmp(root, "/") != 0 && strncmp(own, root, strlen(root)) == 0 ? own + strlen(root) : own;
	int n = snprintf(dir, sizeof(dir), "%s%s/%s", at, strcmp(below, "/") == 0 ? "" : below, tag);
	if (n < 0 || (size_t)n >= sizeof(c->v1_memory) || (mkdir(dir, 0755) < 0 && errno != EEXIST))
		return;
	memcpy(c->v1_memory, dir, (size_t)n + 1);
}

int zn_confine_open(const char *tag, const char *backend, struct zn_confine *ret, struct zn_err *err)
{
	struct zn_confine c = { 0 };

	if (backend && *backend && strcmp(backend, "subreaper") != 0)
		return zn_err_set(err, -EINVAL, "unknown way to confine jobs '%s', there is 'subreaper'", backend);
	if (!backend || !*backend) {
		find_v2(tag, &c);
		if (!c.v2_memory)
			find_v1_memory(tag, &c);
	}
	*ret = c;
	return 0;
}

/* Calls fn for each group directly below dir but the agent's own leaf; returns how many there were. */
static unsigned each_group(const char *dir, void (*fn)(const char *group))
{
	char path[PATH_MAX + NAME_MAX + 2];
	DIR *d = *dir ? opendir(dir) : NULL;
	unsigned n = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' || strcmp(e->d_name, "agent") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fn(path);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

static void end_group(const char *group)
{
	zn__cg_write(group, "cgroup.kill", "1");
	rmdir(group);
}

static void remove_group(const char *group)
{
	rmdir(group);
}

int zn_confine_clear(const struct zn_confine *c)
{
	for (int i = 0; i < CLEAR_TRIES; i++) {
		if (each_group(c->v2, end_group) + each_group(c->v1_memory, remove_group) == 0)
			return 0;
		if (i > 0)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return -EBUSY;
}

int zn_confine_end(const struct zn_confine *c, const char *name)
{
	char path[PATH_MAX + NAME_MAX + 2];

	if (c->v2[0]) {
		snprintf(path, sizeof(path), "%s/%s", c->v2, name);
		zn__cg_write(path, "cgroup.kill", "1");
		if (rmdir(path) < 0 && errno != ENOENT)
			return -EBUSY;
	}
	if (c->v1_memory[0]) {
		snprintf(path, sizeof(path), "%s/%s", c->v1_memory, name);
		if (rmdir(path) < 0 && errno != ENOENT)
			return -EBUSY;
	}
	return 0;
}

void zn_confine_close(const struct zn_confine *c)
{
	if (c->v2[0])
		rmdir(c->v2);
	if (c->v1_memory[0])
		rmdir(c->v1_memory);
}
