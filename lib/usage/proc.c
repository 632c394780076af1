#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "usage/usage.h"

enum { PROC_TEXT = 65536 };

static int read_text(const char *root, const char *file, char text[PROC_TEXT])
{
	char path[4096];
	struct zn_arena a = { 0 };
	char *all;
	size_t n;

	snprintf(path, sizeof(path), "%s/proc/%s", root, file);
	int rc = zn_file_read(AT_FDCWD, path, 8 << 20, &a, &all, &n);
	if (rc == 0)
		snprintf(text, PROC_TEXT, "%s", all);
	zn_arena_done(&a);
	return rc;
}

int zn_cpu_times_read(const char *root, struct zn_cpu_times *ret)
{
	char text[PROC_TEXT];
	uint64_t t[8] = { 0 }; /* user nice system idle iowait irq softirq steal */
	int rc = read_text(root, "stat", text);

	if (rc < 0)
		return rc;
	if (sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
	           &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 4)
		return -EBADMSG;
	*ret = (struct zn_cpu_times){ .busy = t[0] + t[1] + t[2] + t[5] + t[6] + t[7], .idle = t[3] + t[4] };
	return 0;
}

double zn_cpu_busy_pct(const struct zn_cpu_times *a, const struct zn_cpu_times *b)
{
	/* iowait may run backwards (proc(5)): never below nothing */
	double busy = b->busy > a->busy ? (double)(b->busy - a->busy) : 0;
	double idle = b->idle > a->idle ? (double)(b->idle - a->idle) : 0;

	return busy + idle > 0 ? 100 * busy / (busy + idle) : 0;
}

int zn_mem_available_read(const char *root, uint64_t *ret_bytes)
{
	char text[PROC_TEXT];
	uint64_t kib;
	int rc = read_text(root, "meminfo", text);

	if (rc < 0)
		return rc;
	const char *at = strstr(text, "MemAvailable:");
	if (!at || sscanf(at, "MemAvailable: %" SCNu64 " kB", &kib) != 1)
		return -ENODATA;
	*ret_bytes = kib * 1024;
	return 0;
}
