/* cpus: CPUs and NUMA nodes without hwloc, for callers that are over in a millisecond. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "topo/topo.h"

enum {
	LINE = 4096,
	AFFINITY_BYTES = 4096, /* the kernel refuses a mask shorter than its own: 32,768 CPUs are enough */
};

static int read_list(struct zn_idset *ret, const char *fmt, unsigned id)
{
	char path[96], line[LINE];

	snprintf(path, sizeof(path), fmt, id);
	int rc = zn_file_line(AT_FDCWD, path, line, sizeof(line));
	return rc < 0 ? rc : zn_idset_parse(line, ret, NULL);
}

static struct zn_idset read_affinity(void)
{
	union {
		cpu_set_t set;
		unsigned char bytes[AFFINITY_BYTES];
	} mask;
	struct zn_idset ret = { 0 };

	memset(&mask, 0, sizeof(mask));
	if (sched_getaffinity(0, sizeof(mask), &mask.set) < 0)
		return ret;
	for (unsigned id = 0; id < ZN_IDSET_MAX; id++)
		if (CPU_ISSET_S(id, sizeof(mask), &mask.set))
			zn_idset_add(&ret, id);
	return ret;
}

/* Numbers of siblings may be far apart. */
static void fill_core(struct zn_topo *t, const struct zn_idset *siblings, uint32_t core)
{
	uint32_t thread = 0;

	for (size_t i = 0; i < t->n_cpus; i++)
		if (zn_idset_has(siblings, t->cpus[i].cpu)) {
			t->cpus[i].core = core;
			t->cpus[i].thread = thread++;
		}
}

static void fill_cores(struct zn_topo *t, const struct zn_idset *only)
{
	struct zn_idset done = { 0 }, siblings;

	for (size_t i = 0; i < t->n_cpus; i++) {
		unsigned cpu = t->cpus[i].cpu;
		if (zn_idset_has(&done, cpu))
			continue;
		siblings = (struct zn_idset){ 0 };
		if (!only || zn_idset_has(only, cpu))
			read_list(&siblings, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
		zn_idset_add(&siblings, cpu);
		siblings = zn_idset_minus(&siblings, &done);
		done = zn_idset_or(&done, &siblings);
		fill_core(t, &siblings, t->machine.cores++);
	}
}

static int fill_cpus(struct zn_topo *t, const struct zn_idset *online, const struct zn_idset *only)
{
	struct zn_idset allowed = read_affinity();

	t->cpus = zn_arena_array(&t->arena, zn_idset_count(online) + 1, sizeof(*t->cpus));
	if (!t->cpus)
		return -ENOMEM;
	zn_idset_each(id, online)
		t->cpus[t->n_cpus++] = (struct zn_cpu){
			.cpu = (uint32_t)id,
			.allowed = zn_idset_has(&allowed, (unsigned)id),
		};
	t->machine.cpus = (uint32_t)t->n_cpus;
	fill_cores(t, only);
	return 0;
}

static int add_numa(struct zn_topo *t, unsigned id)
{
	struct zn_numa *numa = &t->numas[t->n_numas];
	struct zn_idset cpus;
	char path[96], line[LINE];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", id);
	if (zn_file_line(AT_FDCWD, path, line, sizeof(line)) < 0 || zn_idset_parse(line, &cpus, NULL) < 0)
		return 0;
	for (size_t i = 0; i < t->n_cpus; i++)
		if (zn_idset_has(&cpus, t->cpus[i].cpu))
			t->cpus[i].numa = ZN_SOME_U64(id);
	numa->numa = id;
	numa->cpus = zn_arena_strdup(&t->arena, line);
	t->n_numas++;
	return numa->cpus ? 0 : -ENOMEM;
}

/* A kernel without NUMA has no such directory: then nothing is said about nodes. */
static int fill_numas(struct zn_topo *t)
{
	struct zn_idset online = { 0 };
	int rc = 0;

	if (read_list(&online, "/sys/devices/system/node/online", 0) < 0)
		return 0;
	t->numas = zn_arena_array(&t->arena, zn_idset_count(&online) + 1, sizeof(*t->numas));
	if (!t->numas)
		return -ENOMEM;
	zn_idset_each(id, &online) {
		if (rc == 0)
			rc = add_numa(t, (unsigned)id);
	}
	t->machine.numas = (uint32_t)t->n_numas;
	return rc;
}

int zn_topo_read_cpus(const struct zn_idset *only, struct zn_topo **ret, struct zn_err *err)
{
	struct zn_idset online;
	struct zn_topo *t;

	int rc = read_list(&online, "/sys/devices/system/cpu/online", 0);
	if (rc < 0)
		return zn_err_set(err, rc, "can't read '/sys/devices/system/cpu/online': %s", strerror(-rc));
	t = calloc(1, sizeof(*t));
	if (!t)
		return zn_err_set(err, -ENOMEM, "out of memory");
	rc = fill_cpus(t, &online, only);
	if (rc == 0)
		rc = fill_numas(t);
	if (rc < 0) {
		zn_topo_free(t);
		return zn_err_set(err, rc, "out of memory");
	}
	*ret = t;
	return 0;
}
