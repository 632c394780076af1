/* memory: what there is of memory, caches and nodes to measure with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/units.h"
#include "bench/bench.h"

enum { LINE = 256, LIST = 8192 };

/* ---- nodes ---- */

static int read_list(const char *path, struct zn_idset *ret)
{
	char text[LIST];
	int rc = zn_file_line(AT_FDCWD, path, text, sizeof(text));

	return rc < 0 ? rc : zn_idset_parse(text, ret, NULL);
}

size_t zn_bench_nodes(struct zn_bench_node *ret)
{
	struct zn_idset allowed = { { 0 } }, nodes = { { 0 } };
	size_t n = 0;

	if (zn_bench_allowed(&allowed) < 0 || read_list("/sys/devices/system/node/has_memory", &nodes) < 0)
		nodes = (struct zn_idset){ { 0 } };
	zn_idset_each(id, &nodes) {
		char path[96];
		struct zn_idset cpus;
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", id);
		if (n < ZN_BENCH_NODES && read_list(path, &cpus) == 0)
			ret[n++] = (struct zn_bench_node){ .id = (uint32_t)id, .cpus = zn_idset_and(&cpus, &allowed) };
	}
	if (!n) /* a kernel without nodes */
		ret[n++] = (struct zn_bench_node){ .id = 0, .cpus = allowed };
	return n;
}

/* ---- caches ---- */

static int read_cache(unsigned cpu, unsigned index, const char *what, char *text, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/cache/index%u/%s", cpu, index, what);
	return zn_file_line(AT_FDCWD, path, text, size);
}

/* Of the cache of the highest level that this CPU has; it counts for the first of those who share it. */
static uint64_t last_cache_of(unsigned cpu, const struct zn_idset *cpus)
{
	char size[32], list[LIST];
	struct zn_idset sharers;
	uint64_t bytes = 0;
	unsigned last = 0;

	while (read_cache(cpu, last + 1, "size", size, sizeof(size)) == 0)
		last++;
	if (read_cache(cpu, last, "size", size, sizeof(size)) < 0 || zn_parse_bytes(size, &bytes, NULL) < 0 ||
	    read_cache(cpu, last, "shared_cpu_list", list, sizeof(list)) < 0 || zn_idset_parse(list, &sharers, NULL) < 0)
		return 0;
	sharers = zn_idset_and(&sharers, cpus);
	return zn_idset_next(&sharers, 0) == (int)cpu ? bytes : 0;
}

uint64_t zn_bench_cache_bytes(const struct zn_idset *cpus)
{
	enum { GUESS = 32 << 20 };
	uint64_t all = 0;

	zn_idset_each(cpu, cpus)
		all += last_cache_of((unsigned)cpu, cpus);
	long l3 = all ? 0 : sysconf(_SC_LEVEL3_CACHE_SIZE);
	return all ? all : l3 > 0 ? (uint64_t)l3 : GUESS;
}

/* ---- memory ---- */

static uint64_t available_bytes(void)
{
	struct zn_arena a = { 0 };
	char *text = "", *at;
	size_t len;
	uint64_t kib = 0;

	if (zn_file_read(AT_FDCWD, "/proc/meminfo", 1 << 16, &a, &text, &len) == 0 && (at = strstr(text, "MemAvailable:")))
		kib = strtoull(at + strlen("MemAvailable:"), NULL, 10);
	zn_arena_done(&a);
	return kib ? kib * 1024 : (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t zn_bench_memory_bytes(void)
{
	/* As a container sees its own, in either version of cgroups. */
	static const char *const limits[] = { "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes" };
	uint64_t least = available_bytes(), limit;
	char text[LINE];

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (zn_file_line(AT_FDCWD, limits[i], text, sizeof(text)) == 0 && zn_parse_u64(text, 0, UINT64_MAX, &limit, NULL) == 0 &&
		    limit < least)
			least = limit;
	return least;
}
