/* pages: /proc/PID/numa_maps, a line for each mapping:
 *
 *   7f3a5c000000 default anon=512 dirty=512 N0=128 N1=384 kernelpagesize_kB=4
 *   7f3a60000000 bind:1 file=/usr/lib/libc.so.6 mapped=300 mapmax=40 N0=300 kernelpagesize_kB=4
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/pin.h"

/* Shared memory shows as a file too. */
static bool is_of_a_file(const char *line)
{
	static const char *const ours[] = { "/dev/shm/", "/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage", "/dev/hugepages/" };
	const char *file = strstr(line, " file=");

	for (size_t i = 0; file && i < sizeof(ours) / sizeof(*ours); i++)
		if (!strncmp(file + strlen(" file="), ours[i], strlen(ours[i])))
			return false;
	return file;
}

void zn_proc_pages_add(const char *line, uint64_t bytes[ZN_PROC_NUMAS])
{
	const char *size = strstr(line, " kernelpagesize_kB=");
	uint64_t page = size ? strtoull(size + strlen(" kernelpagesize_kB="), NULL, 10) << 10 : 4096;

	if (is_of_a_file(line))
		return;
	for (const char *at = line; (at = strstr(at, " N"));) {
		char *end;
		unsigned long node = strtoul(at + 2, &end, 10);
		if (end > at + 2 && *end == '=' && node < ZN_PROC_NUMAS)
			bytes[node] += strtoull(end + 1, &end, 10) * page;
		at = end;
	}
}

int zn_proc_pages_read(pid_t pid, uint64_t ret[ZN_PROC_NUMAS])
{
	char path[40], *line = NULL;
	size_t cap = 0;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	memset(ret, 0, ZN_PROC_NUMAS * sizeof(*ret));
	while (getline(&line, &cap, f) > 0)
		zn_proc_pages_add(line, ret);
	int rc = ferror(f) ? -EACCES : 0;
	free(line);
	fclose(f);
	return rc;
}
