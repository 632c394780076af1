/* where: on which CPUs of what machine is measured. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "bench/bench.h"

enum { CPUS = 1024 };

/* Of the same core: they share what is measured. */
static bool are_siblings(uint32_t a, uint32_t b)
{
	struct zn_arena arena = { 0 };
	char path[2][96], *text[2] = { "", "" };
	const uint32_t cpu[2] = { a, b };
	size_t len;

	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu[i]);
		if (zn_file_read(AT_FDCWD, path[i], 4096, &arena, &text[i], &len) < 0)
			text[i] = i ? "b" : "a"; /* unknown: taken for different ones */
	}
	bool same = !strcmp(text[0], text[1]);
	zn_arena_done(&arena);
	return same;
}

int zn_bench_cpus(uint32_t ret[2])
{
	cpu_set_t set;
	uint32_t first = CPUS, second = CPUS;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (uint32_t i = 0; i < CPUS && i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (first == CPUS) {
			first = i;
		} else if (!are_siblings(first, i)) {
			second = i;
			break;
		} else if (second == CPUS) {
			second = i;
		}
	}
	if (second == CPUS)
		return -ENODEV;
	ret[0] = first;
	ret[1] = second;
	return 0;
}

void zn_bench_pin(uint32_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* the calling thread; where it is refused the figure is what it is */
}

/* The value of the first line of /proc/cpuinfo that begins with key. */
static const char *cpu_model(struct zn_arena *a)
{
	static const char *const keys[] = { "model name", "CPU part", "cpu" };
	char *text = "";
	size_t len;

	if (zn_file_read(AT_FDCWD, "/proc/cpuinfo", 1 << 22, a, &text, &len) < 0)
		return "unknown CPU";
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *at = strstr(text, keys[i]), *value = at ? strchr(at, ':') : NULL;
		if (value) {
			value += 1 + (value[1] == ' ');
			return zn_arena_printf(a, "%.*s", (int)strcspn(value, "\n"), value);
		}
	}
	return "unknown CPU";
}

const char *zn_bench_machine(struct zn_arena *a)
{
	struct utsname u;
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 0 : CPU_COUNT(&set);
	const char *model = cpu_model(a);

	return model && uname(&u) == 0 ? zn_arena_printf(a, "%s, %d CPUs, %s %s", model, n, u.sysname, u.release) : NULL;
}
