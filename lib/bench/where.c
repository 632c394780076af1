/* where: on which CPUs of what machine is measured, and threads there. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
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
	ret[0] = first;
	ret[1] = second < CPUS ? second : first;
	return second < CPUS ? 0 : -ENODEV;
}

int zn_bench_allowed(struct zn_idset *ret)
{
	struct zn_idset may = { { 0 } };
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			zn_idset_add(&may, i);
	*ret = may;
	return 0;
}

/* ---- threads there ---- */

enum { WAIT, GO, LEAVE };

struct thread {
	const struct zn_bench_side *side;
	unsigned *gate, *there;       /* GO once all are there; LEAVE: one of them will not be */
	pthread_t id;
};

static void *run_side(void *arg)
{
	struct thread *t = arg;
	unsigned gate;

	__atomic_fetch_add(t->there, 1, __ATOMIC_RELEASE);
	while ((gate = __atomic_load_n(t->gate, __ATOMIC_ACQUIRE)) == WAIT)
		sched_yield();
	if (gate == GO)
		t->side->run(t->side->arg);
	return NULL;
}

static int start(struct thread *t)
{
	pthread_attr_t attr;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(t->side->cpu, &set);
	pthread_attr_init(&attr);
	int rc = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (rc == 0)
		rc = pthread_create(&t->id, &attr, run_side, t);
	pthread_attr_destroy(&attr);
	return -rc;
}

int zn_bench_on_each(const struct zn_bench_side *sides, size_t n)
{
	struct thread *threads = calloc(n, sizeof(*threads));
	unsigned gate = WAIT, there = 0;
	size_t started = 0;
	int rc = threads ? 0 : -ENOMEM;

	for (; rc == 0 && started < n; started += rc == 0) {
		threads[started] = (struct thread){ .side = &sides[started], .gate = &gate, .there = &there };
		rc = start(&threads[started]);
	}
	while (rc == 0 && __atomic_load_n(&there, __ATOMIC_ACQUIRE) < n)
		sched_yield();
	__atomic_store_n(&gate, rc == 0 ? GO : LEAVE, __ATOMIC_RELEASE);
	while (started-- > 0)
		pthread_join(threads[started].id, NULL);
	free(threads);
	return rc;
}

int zn_bench_on_two(const struct zn_bench_ask *ask, void (*in)(void *arg), void (*out)(void *arg), void *arg)
{
	const struct zn_bench_side sides[] = { { ask->cpus[0], in, arg }, { ask->cpus[1], out, arg } };

	return zn_bench_on_each(sides, 2);
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
