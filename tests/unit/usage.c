/* How busy the machine is: what /proc says, and the arithmetic between two looks. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tap.h"
#include "usage/usage.h"

static void arithmetic(void)
{
	static const struct { struct zn_cpu_times a, b; double pct; const char *what; } rows[] = {
		{ { 100, 100 }, { 150, 150 }, 50, "as much busy as idle" },
		{ { 0, 0 }, { 0, 10 }, 0, "idle" },
		{ { 5, 7 }, { 10, 7 }, 100, "busy" },
		{ { 5, 7 }, { 5, 7 }, 0, "no time passed" },
		{ { 5, 9 }, { 10, 7 }, 100, "an idle counter that ran backwards" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		tap_ok(zn_cpu_busy_pct(&rows[i].a, &rows[i].b) == rows[i].pct, "%s is %.0f %%", rows[i].what, rows[i].pct);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void recorded(void)
{
	char root[] = "/tmp/zn-usage.XXXXXX", path[64], command[80];
	struct zn_cpu_times t;
	uint64_t bytes;

	if (!mkdtemp(root))
		return;
	snprintf(path, sizeof(path), "%s/proc", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/proc/stat", root);
	put(path, "cpu  10 1 20 300 40 2 3 4 0 0\ncpu0 1 1 1 1\n");
	tap_ok(zn_cpu_times_read(root, &t) == 0 && t.busy == 40 && t.idle == 340, "a recorded /proc/stat adds up");
	put(path, "intr 1\n");
	tap_ok(zn_cpu_times_read(root, &t) < 0, "a /proc/stat without a cpu line is refused");
	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	put(path, "MemTotal: 100 kB\nMemAvailable:   64 kB\n");
	tap_ok(zn_mem_available_read(root, &bytes) == 0 && bytes == 65536, "MemAvailable is read in bytes");
	put(path, "MemTotal: 100 kB\n");
	tap_ok(zn_mem_available_read(root, &bytes) < 0, "an old kernel without MemAvailable is an error, not a zero");
	tap_ok(zn_mem_available_read("", &bytes) == 0 && bytes > 0, "this machine has memory");
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	tap_ok(system(command) == 0, "cleaned up");
}

int main(void)
{
	arithmetic();
	recorded();
	return tap_done();
}
