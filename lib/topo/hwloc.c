/* hwloc: the machine, its NUMA nodes and CPUs.
 *
 * hwloc looks at the kernel's files of this machine, at a copy of them in a directory, or at its own XML.
 * Which of these, and that no other component may add what it thinks, can only be said by environment
 * variables: they are set while hwloc looks and put back after.  Left out on this machine: libraries of GPU
 * vendors (seconds to load; the gpu room asks them itself) and the x86 component, which moves the process
 * over all CPUs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/units.h"
#include "topo/source.h"

/* ---- opening ---------------------------------------------------------------------------------- */

struct env {
	const char *name;
	const char *value;  /* NULL: not set */
	char *was;
};

static int env_set(struct env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *was = getenv(env[i].name);
		env[i].was = was ? strdup(was) : NULL;
		if (was && !env[i].was)
			return -ENOMEM;
		if ((env[i].value ? setenv(env[i].name, env[i].value, 1) : unsetenv(env[i].name)) < 0)
			return -errno;
	}
	return 0;
}

static void env_restore(struct env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (env[i].was)
			setenv(env[i].name, env[i].was, 1);
		else
			unsetenv(env[i].name);
		free(env[i].was);
	}
}

/* Components that are built in rather than plugins; a name that this hwloc lacks is no error. */
static void leave_out(hwloc_topology_t h)
{
	static const char *const names[] = {
		"x86", "pci", "cuda", "nvml", "rsmi", "levelzero", "opencl", "gl",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		hwloc_topology_set_components(h, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, names[i]);
}

static void set_filters(hwloc_topology_t h, bool with_io)
{
	hwloc_topology_set_cache_types_filter(h, HWLOC_TYPE_FILTER_KEEP_NONE);
	hwloc_topology_set_icache_types_filter(h, HWLOC_TYPE_FILTER_KEEP_NONE);
	hwloc_topology_set_io_types_filter(h, with_io ? HWLOC_TYPE_FILTER_KEEP_IMPORTANT
	                                              : HWLOC_TYPE_FILTER_KEEP_NONE);
	hwloc_topology_set_flags(h, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
}

static int load(const char *xml, bool whole_system, bool with_io, hwloc_topology_t *ret)
{
	hwloc_topology_t h;

	errno = 0;
	if (hwloc_topology_init(&h) < 0)
		return errno ? -errno : -ENOMEM;
	set_filters(h, with_io);
	if (whole_system)
		leave_out(h);
	if ((xml && hwloc_topology_set_xml(h, xml) < 0) || hwloc_topology_load(h) < 0) {
		int rc = errno ? -errno : -EINVAL;
		hwloc_topology_destroy(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static int load_quietly(const char *xml, const char *fsroot, bool with_io, hwloc_topology_t *ret)
{
	struct env env[] = {
		{ .name = "HWLOC_HIDE_ERRORS", .value = "2" },
		{ .name = "HWLOC_PLUGINS_BLACKLIST",
		  .value = xml ? "hwloc_pci hwloc_cuda hwloc_nvml hwloc_rsmi hwloc_levelzero hwloc_opencl hwloc_gl"
		               : "hwloc_pci hwloc_cuda hwloc_nvml hwloc_rsmi hwloc_levelzero hwloc_opencl hwloc_gl "
		                 "hwloc_xml_libxml" },
		{ .name = "HWLOC_FSROOT", .value = fsroot },
		{ .name = "HWLOC_COMPONENTS", .value = fsroot ? "linux,stop" : NULL },
		{ .name = "HWLOC_XMLFILE" },
		{ .name = "HWLOC_SYNTHETIC" },
		{ .name = "HWLOC_THISSYSTEM" },
	};
	size_t n = sizeof(env) / sizeof(*env);

	int rc = env_set(env, n);
	if (rc == 0)
		rc = load(xml, !xml && !fsroot, with_io, ret);
	env_restore(env, n);
	return rc;
}

/* hwloc says no more than "invalid": look at the beginning to say why. */
static int explain_xml(const char *path, struct zn_err *err)
{
	char head[2048];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);

	if (fd >= 0)
		close(fd);
	head[n < 0 ? 0 : n] = '\0';
	const char *topology = strstr(head, "<topology");
	const char *version = topology ? strstr(topology, "version=\"") : NULL;
	int major = 0;
	if (version && sscanf(version, "version=\"%d", &major) == 1 && major > HWLOC_API_VERSION >> 16)
		return zn_err_set(err, -EBADMSG,
		                  "'%s' was written by hwloc %d; this program can read up to hwloc %d", path,
		                  major, HWLOC_API_VERSION >> 16);
	if (!topology)
		return zn_err_set(err, -EBADMSG, "'%s' is no hwloc XML file", path);
	return zn_err_set(err, -EBADMSG, "'%s' is damaged or only a part of an hwloc XML file", path);
}

static int open_xml(const char *path, bool with_io, struct zn__topo_src *ret, struct zn_err *err)
{
	int rc = load_quietly(path, NULL, with_io, &ret->h);

	if (rc < 0)
		return rc == -ENOMEM ? rc : explain_xml(path, err);
	ret->root = -1;
	ret->live = false;
	return 0;
}

static bool has_sysfs(int dirfd, const char *path)
{
	char sys[512];
	struct stat st;

	snprintf(sys, sizeof(sys), "%s/sys/devices/system", path);
	return fstatat(dirfd, sys, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int is_no_dot(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* The dump may lie one directory down, as tar leaves it. */
static char *find_sysfs(const char *path)
{
	struct dirent **list;
	char *found = NULL;

	if (has_sysfs(AT_FDCWD, path))
		return strdup(path);
	int n = scandir(path, &list, is_no_dot, alphasort);
	for (int i = 0; i < n; i++) {
		char *sub = NULL;
		if (!found && asprintf(&sub, "%s/%s", path, list[i]->d_name) >= 0) {
			if (has_sysfs(AT_FDCWD, sub))
				found = sub;
			else
				free(sub);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

static int open_dump(const char *path, bool with_io, struct zn__topo_src *ret, struct zn_err *err)
{
	char *dir = find_sysfs(path);
	int rc;

	if (!dir && access(path, R_OK | X_OK) < 0)
		return zn_err_set(err, -errno, "can't read directory '%s': %s", path, strerror(errno));
	if (!dir)
		return zn_err_set(err, -EBADMSG, "directory '%s' holds no sys/devices/system", path);
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		rc = zn_err_set(err, -errno, "can't open '%s': %s", dir, strerror(errno));
	} else {
		rc = load_quietly(NULL, dir, with_io, &ret->h);
		if (rc < 0) {
			close(root);
			rc = rc == -EINVAL ? -EBADMSG : rc;
			zn_err_set(err, rc, "hwloc finds no machine in '%s'", dir);
		}
	}
	free(dir);
	if (rc < 0)
		return rc;
	ret->root = root;
	ret->live = false;
	return 0;
}

static int open_here(bool with_io, struct zn__topo_src *ret, struct zn_err *err)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return zn_err_set(err, -errno, "can't open '/': %s", strerror(errno));
	int rc = load_quietly(NULL, NULL, with_io, &ret->h);
	if (rc < 0) {
		close(root);
		return zn_err_set(err, rc, "hwloc can't read this machine: %s", strerror(-rc));
	}
	ret->root = root;
	ret->live = true;
	return 0;
}

/* CPUs that no idset holds, or a set without an end, are no machine's. */
static bool is_countable(hwloc_topology_t h)
{
	for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_PU, pu));)
		if (pu->os_index >= ZN_IDSET_MAX)
			return false;
	int last = hwloc_bitmap_last(hwloc_topology_get_complete_cpuset(h));
	return last >= 0 && last < ZN_IDSET_MAX;
}

static int open_from(const char *from, bool with_io, struct zn__topo_src *ret, struct zn_err *err)
{
	struct stat st;

	if (stat(from, &st) < 0)
		return zn_err_set(err, -errno, "can't read machine '%s': %s", from, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return open_dump(from, with_io, ret, err);
	if (!S_ISREG(st.st_mode))
		return zn_err_set(err, -EBADMSG, "machine '%s' is neither a file nor a directory", from);
	if (access(from, R_OK) < 0)
		return zn_err_set(err, -errno, "can't read machine '%s': %s", from, strerror(errno));
	return open_xml(from, with_io, ret, err);
}

int zn__topo_open(const char *from, bool with_io, struct zn__topo_src *ret, struct zn_err *err)
{
	if (!from)
		return open_here(with_io, ret, err);
	int rc = open_from(from, with_io, ret, err);
	if (rc < 0 || is_countable(ret->h))
		return rc;
	zn__topo_close(ret);
	return zn_err_set(err, -EBADMSG, "machine '%s' has CPUs beyond number %d", from, ZN_IDSET_MAX - 1);
}

void zn__topo_close(struct zn__topo_src *src)
{
	hwloc_topology_destroy(src->h);
	if (src->root >= 0)
		close(src->root);
}

/* ---- the machine ------------------------------------------------------------------------------ */

static const char *root_info(const struct zn__topo_src *src, struct zn_arena *a, const char *name)
{
	return zn__obj_info(a, hwloc_get_root_obj(src->h), name);
}

static const char *product(const struct zn__topo_src *src, struct zn_arena *a)
{
	static const char *const names[] = { "DMIProductName", "PlatformModel", "HardwareName" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *text = root_info(src, a, names[i]);
		if (text)
			return text;
	}
	return NULL;
}

static uint32_t count_of(const struct zn__topo_src *src, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(src->h, type);
	return n > 0 ? (uint32_t)n : 0;
}

/* Memory that a hypervisor adds while the machine runs shows in the total before it shows in the nodes. */
static uint64_t physical_bytes(const struct zn__topo_src *src)
{
	struct zn_arena a = { 0 };
	unsigned long long kib = 0;
	char *text;

	if (src->root >= 0 && zn_file_read(src->root, "proc/meminfo", 1 << 16, &a, &text, NULL) == 0 &&
	    sscanf(text, "MemTotal: %llu kB", &kib) != 1)
		kib = 0;
	zn_arena_done(&a);
	return kib << 10;
}

static void read_names(const struct zn__topo_src *src, struct zn_topo *t)
{
	struct zn_machine *m = &t->machine;

	m->hostname = root_info(src, &t->arena, "HostName");
	m->product = product(src, &t->arena);
	m->arch = root_info(src, &t->arena, "Architecture");
	m->kernel = root_info(src, &t->arena, "OSRelease");
	m->sockets = count_of(src, HWLOC_OBJ_PACKAGE);
	if (!m->sockets)
		m->sockets = 1; /* some virtual machines hide the package */
	m->mem_bytes = hwloc_get_root_obj(src->h)->total_memory;
	uint64_t physical = physical_bytes(src);
	if (physical > m->mem_bytes)
		m->mem_bytes = physical;
}

/* ---- NUMA nodes ------------------------------------------------------------------------------- */

static struct zn_ou64 pages_of(hwloc_obj_t node, uint64_t size)
{
	for (unsigned i = 0; i < node->attr->numanode.page_types_len; i++)
		if (node->attr->numanode.page_types[i].size == size)
			return ZN_SOME_U64(node->attr->numanode.page_types[i].count);
	return (struct zn_ou64){ 0 };
}

/* "Node 0 MemFree:  1234 kB", or "MemFree: 1234 kB" where the kernel knows no nodes. */
static struct zn_ou64 free_memory(const struct zn__topo_src *src, unsigned numa, bool only_one)
{
	struct zn_arena a = { 0 };
	struct zn_ou64 free_bytes = { 0 };
	char path[80], *text = NULL;

	if (src->root < 0)
		return free_bytes;
	snprintf(path, sizeof(path), "sys/devices/system/node/node%u/meminfo", numa);
	int rc = zn_file_read(src->root, path, 1 << 16, &a, &text, NULL);
	if (rc < 0 && only_one)
		rc = zn_file_read(src->root, "proc/meminfo", 1 << 16, &a, &text, NULL);
	const char *at = rc == 0 ? strstr(text, "MemFree:") : NULL;
	unsigned long long kib;
	if (at && sscanf(at, "MemFree: %llu kB", &kib) == 1)
		free_bytes = ZN_SOME_U64(kib << 10);
	zn_arena_done(&a);
	return free_bytes;
}

static struct zn_ou64 free_pages(const struct zn__topo_src *src, unsigned numa, unsigned size_kib)
{
	return zn__sys_u64(src, "sys/devices/system/node/node%u/hugepages/hugepages-%ukB/free_hugepages", numa,
	                   size_kib);
}

static void read_numa(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t node, struct zn_numa *ret)
{
	*ret = (struct zn_numa){
		.numa = node->os_index,
		.cpus = zn__cpu_list(&t->arena, node->cpuset),
		.mem_bytes = node->attr->numanode.local_memory,
		.free_bytes = free_memory(src, node->os_index, t->n_numas == 1),
		.huge_2m = pages_of(node, 2 << 20),
		.huge_1g = pages_of(node, 1 << 30),
		.huge_2m_free = free_pages(src, node->os_index, 2048),
		.huge_1g_free = free_pages(src, node->os_index, 1 << 20),
	};
}

static int by_numa(const void *a, const void *b)
{
	const struct zn_numa *x = a, *y = b;
	return x->numa < y->numa ? -1 : x->numa > y->numa;
}

/* The firmware's latency matrix into each node's row; hwloc may order it in another way than we do. */
static int spread_distances(struct zn_topo *t, const struct hwloc_distances_s *d)
{
	for (size_t i = 0; i < t->n_numas; i++) {
		struct zn_numa *from = &t->numas[i];
		uint32_t *row = zn_arena_array(&t->arena, t->n_numas, sizeof(*row));
		if (!row)
			return -ENOMEM;
		for (unsigned x = 0; x < d->nbobjs; x++)
			for (unsigned y = 0; d->objs[x]->os_index == from->numa && y < d->nbobjs; y++)
				for (size_t j = 0; j < t->n_numas; j++)
					if (t->numas[j].numa == d->objs[y]->os_index)
						row[j] = (uint32_t)d->values[x * d->nbobjs + y];
		from->distances = (struct zn_u32s){ .v = row, .n = t->n_numas };
	}
	return 0;
}

static int read_distances(const struct zn__topo_src *src, struct zn_topo *t)
{
	struct hwloc_distances_s *d;
	unsigned n = 1;
	int rc = 0;

	if (hwloc_distances_get_by_name(src->h, "NUMALatency", &n, &d, 0) < 0 || !n) {
		uint32_t *self = t->n_numas == 1 ? zn_arena_alloc(&t->arena, sizeof(*self)) : NULL;
		if (self) {
			*self = 10;
			t->numas[0].distances = (struct zn_u32s){ .v = self, .n = 1 };
		}
		return 0;
	}
	if (d->nbobjs == t->n_numas)
		rc = spread_distances(t, d);
	hwloc_distances_release(src->h, d);
	return rc;
}

static int read_numas(const struct zn__topo_src *src, struct zn_topo *t)
{
	hwloc_obj_t node = NULL;
	size_t i = 0;

	t->n_numas = count_of(src, HWLOC_OBJ_NUMANODE);
	t->numas = zn_arena_array(&t->arena, t->n_numas, sizeof(*t->numas));
	if (!t->numas)
		return -ENOMEM;
	while ((node = hwloc_get_next_obj_by_type(src->h, HWLOC_OBJ_NUMANODE, node)) && i < t->n_numas) {
		read_numa(src, t, node, &t->numas[i]);
		if (!t->numas[i++].cpus)
			return -ENOMEM;
	}
	qsort(t->numas, t->n_numas, sizeof(*t->numas), by_numa);
	t->machine.numas = (uint32_t)t->n_numas;
	return read_distances(src, t);
}

/* ---- CPUs ------------------------------------------------------------------------------------- */

/* On this machine the kernel's answer: the affinity of the process is never more than its cgroup. */
static hwloc_bitmap_t allowed_set(const struct zn__topo_src *src)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();

	if (!set)
		return NULL;
	if (src->live && hwloc_get_cpubind(src->h, set, HWLOC_CPUBIND_THREAD) == 0)
		return set;
	hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(src->h));
	return set;
}

/* Of several nodes with the same CPUs (DDR and HBM) the first. */
static struct zn_ou64 numa_of(const struct zn__topo_src *src, hwloc_obj_t pu)
{
	hwloc_obj_t node = NULL;
	struct zn_ou64 best = { 0 };

	while ((node = hwloc_get_next_obj_by_type(src->h, HWLOC_OBJ_NUMANODE, node)))
		if (hwloc_bitmap_isset(node->cpuset, pu->os_index) && (!best.has || node->os_index < best.v))
			best = ZN_SOME_U64(node->os_index);
	return best;
}

static struct zn_cpu read_cpu(const struct zn__topo_src *src, hwloc_obj_t pu, hwloc_const_bitmap_t allowed)
{
	hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(src->h, HWLOC_OBJ_CORE, pu);
	hwloc_obj_t socket = hwloc_get_ancestor_obj_by_type(src->h, HWLOC_OBJ_PACKAGE, pu);

	return (struct zn_cpu){
		.cpu = pu->os_index,
		.socket = socket ? socket->logical_index : 0,
		.core = core ? core->logical_index : pu->logical_index,
		.thread = core ? pu->sibling_rank : 0,
		.numa = numa_of(src, pu),
		.allowed = hwloc_bitmap_isset(allowed, pu->os_index),
	};
}

static int by_cpu(const void *a, const void *b)
{
	const struct zn_cpu *x = a, *y = b;
	return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

static int read_cpus(const struct zn__topo_src *src, struct zn_topo *t)
{
	hwloc_bitmap_t allowed = allowed_set(src);
	hwloc_obj_t pu = NULL;
	size_t i = 0;

	t->n_cpus = count_of(src, HWLOC_OBJ_PU);
	t->cpus = zn_arena_array(&t->arena, t->n_cpus, sizeof(*t->cpus));
	if (!t->cpus || !allowed) {
		hwloc_bitmap_free(allowed);
		return -ENOMEM;
	}
	while ((pu = hwloc_get_next_obj_by_type(src->h, HWLOC_OBJ_PU, pu)) && i < t->n_cpus)
		t->cpus[i++] = read_cpu(src, pu, allowed);
	hwloc_bitmap_free(allowed);
	qsort(t->cpus, t->n_cpus, sizeof(*t->cpus), by_cpu);
	t->machine.cpus = (uint32_t)t->n_cpus;
	t->machine.cores = count_of(src, HWLOC_OBJ_CORE);
	if (!t->machine.cores)
		t->machine.cores = t->machine.cpus;
	return 0;
}

int zn__topo_read_machine(const struct zn__topo_src *src, struct zn_topo *t)
{
	read_names(src, t);
	int rc = read_numas(src, t);
	return rc < 0 ? rc : read_cpus(src, t);
}
