#include "data/near.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"

enum { NODES_MAX = 1024, DEEP = 8 };

static int node_at(const char *dir)
{
	char path[PATH_MAX + 16], line[32];

	snprintf(path, sizeof(path), "%s/numa_node", dir);
	return zn_file_line(AT_FDCWD, path, line, sizeof(line)) < 0 ? -1 : atoi(line);
}

/* The first of those that a mapped or striped device is made of. */
static bool first_slave(const char *dir, char to[PATH_MAX])
{
	char slaves[PATH_MAX + 16];
	bool found = false;

	snprintf(slaves, sizeof(slaves), "%s/slaves", dir);
	DIR *d = opendir(slaves);
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		char path[2 * PATH_MAX];
		snprintf(path, sizeof(path), "%s/%s", slaves, e->d_name);
		found = e->d_name[0] != '.' && realpath(path, to);
	}
	if (d)
		closedir(d);
	return found;
}

/* What hangs from something with a node has that; up to the root of sys. */
static int node_above(const char *sys, char dir[PATH_MAX])
{
	size_t root = strlen(sys);

	while (strlen(dir) > root) {
		int node = node_at(dir);
		if (node >= 0)
			return node;
		char *slash = strrchr(dir, '/');
		if (!slash)
			break;
		*slash = 0;
	}
	return -1;
}

int zn_device_node(const char *sys, dev_t device)
{
	char link[PATH_MAX], dir[PATH_MAX], next[PATH_MAX], root[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/block/%u:%u", sys, major(device), minor(device));
	if (!realpath(sys, root) || !realpath(link, dir))
		return -1;
	for (int i = 0; i < DEEP && first_slave(dir, next); i++)
		strcpy(dir, next);
	return node_above(root, dir);
}

int zn_sources_node(const char *sys, const struct zn_sources *s)
{
	uint64_t *bytes = calloc(NODES_MAX, sizeof(*bytes));
	dev_t last = 0;
	int node = -1, best = -1;

	for (uint32_t i = 0; bytes && i < s->n; i++) {
		struct stat st;
		if (stat(s->v[i].name, &st) < 0)
			continue;
		if (st.st_dev != last) /* most lie on one */
			node = zn_device_node(sys, last = st.st_dev);
		if (node < 0 || node >= NODES_MAX)
			continue;
		bytes[node] += s->v[i].size + 1;
		best = best < 0 || bytes[node] > bytes[best] ? node : best;
	}
	free(bytes);
	return best;
}

int zn_node_cpus(const char *sys, int node, struct zn_idset *ret)
{
	char path[PATH_MAX], line[4096];

	snprintf(path, sizeof(path), "%s/devices/system/node/node%d/cpulist", sys, node);
	int rc = zn_file_line(AT_FDCWD, path, line, sizeof(line));
	return rc < 0 ? rc : zn_idset_parse(line, ret, NULL);
}
