/* where: on which CPUs of what machine is measured, and two threads there. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

/* ---- two threads there ---- */

enum { WAIT, GO, LEAVE };

struct side {
	void (*run)(void *arg);
	void *arg;
	unsigned *gate, *there;       /* GO once both are there; LEAVE: one of them will not be */
};

static void *run_side(void *arg)
{
	struct side *s = arg;
	unsigned gate;

	__atomic_fetch_add(s->there, 1, __ATOMIC_RELEASE);
	while ((gate = __atomic_load_n(s->gate, __ATOMIC_ACQUIRE)) == WAIT)
		sched_yield();
	if (gate == GO)
		s->run(s->arg);
	return NULL;
}

static int start_on(uint32_t cpu, struct side *s, pthread_t *ret)
{
	pthread_attr_t attr;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(&attr);
	int rc = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (rc == 0)
		rc = pthread_create(ret, &attr, run_side, s);
	pthread_attr_destroy(&attr);
	return -rc;
}

int zn_bench_on_two(const struct zn_bench_ask *ask, void (*in)(void *arg), void (*out)(void *arg), void *arg)
{
	unsigned gate = WAIT, there = 0;
	struct side sides[2] = { { in, arg, &gate, &there }, { out, arg, &gate, &there } };
	pthread_t threads[2];
	int rc = 0, n = 0;

	while (n < 2 && (rc = start_on(ask->cpus[n], &sides[n], &threads[n])) == 0)
		n++;
	while (rc == 0 && __atomic_load_n(&there, __ATOMIC_ACQUIRE) < 2)
		sched_yield();
	__atomic_store_n(&gate, rc == 0 ? GO : LEAVE, __ATOMIC_RELEASE);
	while (n-- > 0)
		pthread_join(threads[n], NULL);
	return rc;
}

/* ---- what it is ---- */

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
