/* pci: the tree of bridges, the path between two devices in it, and which devices are accelerators.
 *
 * A GPU is found by PCI class (03xx display, 1200 processing accelerator), never by its driver.  What only
 * drives a console (the BMC of a server) has a display class too: those are told by their vendors.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "topo/source.h"

/* ---- walking hwloc's devices ------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct hwloc_pcidev_attr_s *x = &(*(const hwloc_obj_t *)a)->attr->pcidev;
	const struct hwloc_pcidev_attr_s *y = &(*(const hwloc_obj_t *)b)->attr->pcidev;
	unsigned long long i = (unsigned long long)x->domain << 24 | x->bus << 16 | x->dev << 8 | x->func;
	unsigned long long j = (unsigned long long)y->domain << 24 | y->bus << 16 | y->dev << 8 | y->func;

	return i < j ? -1 : i > j;
}

hwloc_obj_t *zn__pci_devices(const struct zn__topo_src *src, struct zn_arena *a)
{
	int max = hwloc_get_nbobjs_by_type(src->h, HWLOC_OBJ_PCI_DEVICE);
	hwloc_obj_t *v = zn_arena_array(a, (size_t)(max > 0 ? max : 0) + 1, sizeof(*v)), dev = NULL;
	int n = 0;

	if (!v)
		return NULL;
	while (n < max && (dev = hwloc_get_next_pcidev(src->h, dev)))
		v[n++] = dev;
	qsort(v, (size_t)n, sizeof(*v), by_address);
	return v;
}

hwloc_obj_t zn__next_osdev(hwloc_obj_t dev, hwloc_obj_osdev_type_t type, hwloc_obj_t prev)
{
	for (hwloc_obj_t at = prev ? prev->next_sibling : dev->io_first_child; at; at = at->next_sibling)
		if (at->type == HWLOC_OBJ_OS_DEVICE && at->attr->osdev.type == type && at->name)
			return at;
	return NULL;
}

/* ---- which NUMA node --------------------------------------------------------------------------- */

static hwloc_obj_t node_object(const struct zn__topo_src *src, struct zn_ou64 numa)
{
	return numa.has && numa.v < UINT_MAX ? hwloc_get_numanode_obj_by_os_index(src->h, (unsigned)numa.v)
	                                     : NULL;
}

/* The first node whose CPUs lie among the local ones; but a device that is local to all CPUs of a machine
 * with several nodes is one of which the kernel knows nothing.
 */
static struct zn_ou64 numa_of_cpus(const struct zn__topo_src *src, hwloc_const_bitmap_t local)
{
	bool everywhere = hwloc_bitmap_isequal(local, hwloc_topology_get_topology_cpuset(src->h));
	hwloc_obj_t node = NULL, best = NULL;
	unsigned with_cpus = 0;

	while ((node = hwloc_get_next_obj_by_type(src->h, HWLOC_OBJ_NUMANODE, node))) {
		if (hwloc_bitmap_iszero(node->cpuset) || !hwloc_bitmap_isincluded(node->cpuset, local))
			continue;
		with_cpus += !best || !hwloc_bitmap_isequal(best->cpuset, node->cpuset);
		if (!best || node->os_index < best->os_index)
			best = node;
	}
	if (!best || (everywhere && with_cpus > 1))
		return (struct zn_ou64){ 0 };
	return ZN_SOME_U64(best->os_index);
}

static struct zn_ou64 numa_of_smaller(const struct zn__topo_src *src, hwloc_obj_t around)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(src->h, HWLOC_OBJ_NUMANODE, node)))
		if (hwloc_bitmap_isincluded(around->cpuset, node->cpuset))
			return ZN_SOME_U64(node->os_index);
	return (struct zn_ou64){ 0 };
}

struct zn__near zn__pci_near(const struct zn__topo_src *src, struct zn_arena *a, hwloc_obj_t dev)
{
	hwloc_obj_t around = hwloc_get_non_io_ancestor_obj(src->h, dev);
	struct zn__near near = { 0 };

	char *pci = zn__pci_name(a, dev);
	if (pci)
		near.numa = zn__sys_u64(src, "sys/bus/pci/devices/%s/numa_node", pci);
	hwloc_obj_t node = node_object(src, near.numa);
	if (node) {
		near.cpus = zn__cpu_list(a, node->cpuset);
		return near;
	}
	near.numa = numa_of_cpus(src, around->cpuset);
	if (!near.numa.has && around != hwloc_get_root_obj(src->h))
		near.numa = numa_of_smaller(src, around);
	if (!hwloc_bitmap_iszero(around->cpuset))
		near.cpus = zn__cpu_list(a, around->cpuset);
	return near;
}

/* ---- the tree ---------------------------------------------------------------------------------- */

/* userdata of a bridge or device is its index in the tree, plus 1. */
static int index_of(hwloc_obj_t obj)
{
	return (int)(uintptr_t)obj->userdata - 1;
}

static void number(struct zn_pci_tree *tree, hwloc_obj_t obj)
{
	obj->userdata = (void *)(uintptr_t)++tree->n;
}

static int fill_node(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t obj)
{
	struct zn__pci_node *node = &t->tree->v[index_of(obj)];
	bool bridge = obj->type == HWLOC_OBJ_BRIDGE;

	node->parent = obj->parent->type == HWLOC_OBJ_BRIDGE ? index_of(obj->parent) : -1;
	node->is_host = bridge && obj->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST;
	if (bridge)
		return 0;
	node->pci = zn__pci_name(&t->arena, obj);
	node->numa = zn__pci_near(src, &t->arena, obj).numa;
	return node->pci ? 0 : -ENOMEM;
}

static int read_tree(const struct zn__topo_src *src, struct zn_topo *t)
{
	int bridges = hwloc_get_nbobjs_by_type(src->h, HWLOC_OBJ_BRIDGE);
	int devices = hwloc_get_nbobjs_by_type(src->h, HWLOC_OBJ_PCI_DEVICE);
	hwloc_obj_t obj = NULL;
	int rc = 0;

	t->tree = zn_arena_new(&t->arena, struct zn_pci_tree);
	if (!t->tree)
		return -ENOMEM;
	t->tree->v = zn_arena_array(&t->arena, (size_t)(bridges + devices) + 1, sizeof(*t->tree->v));
	if (!t->tree->v)
		return -ENOMEM;
	t->tree->one_numa = t->n_numas == 1;
	while ((obj = hwloc_get_next_bridge(src->h, obj)))
		number(t->tree, obj);
	while ((obj = hwloc_get_next_pcidev(src->h, obj)))
		number(t->tree, obj);
	while (rc == 0 && (obj = hwloc_get_next_bridge(src->h, obj)))
		rc = fill_node(src, t, obj);
	for (obj = NULL; rc == 0 && (obj = hwloc_get_next_pcidev(src->h, obj));)
		rc = fill_node(src, t, obj);
	return rc;
}

static const struct zn__pci_node *find(const struct zn_pci_tree *tree, const char *pci)
{
	for (size_t i = 0; pci && i < tree->n; i++)
		if (tree->v[i].pci && !strcasecmp(tree->v[i].pci, pci))
			return &tree->v[i];
	return NULL;
}

/* How many bridges lie above node before the one at index stop; -1 if it is not above it. */
static int steps_to(const struct zn_pci_tree *tree, const struct zn__pci_node *node, int stop)
{
	int steps = 0;

	for (int at = node->parent; at >= 0; at = tree->v[at].parent, steps++)
		if (at == stop)
			return steps;
	return -1;
}

const char *zn_topo_pci_path(const struct zn_topo *t, const char *pci_a, const char *pci_b)
{
	const struct zn_pci_tree *tree = t->tree;
	const struct zn__pci_node *a = tree ? find(tree, pci_a) : NULL, *b = a ? find(tree, pci_b) : NULL;

	if (!a || !b)
		return NULL;
	for (int at = a->parent; at >= 0; at = tree->v[at].parent) {
		int from_b = steps_to(tree, b, at);
		if (from_b < 0)
			continue;
		if (tree->v[at].is_host)
			return "PHB";
		/* at most a downstream port each below the switch's upstream port */
		return from_b <= 1 && steps_to(tree, a, at) <= 1 ? "PIX" : "PXB";
	}
	if (a == b)
		return "PIX";
	return tree->one_numa || (a->numa.has && b->numa.has && a->numa.v == b->numa.v) ? "NODE" : "SYS";
}

/* ---- accelerators ------------------------------------------------------------------------------ */

struct ids {
	uint32_t vendor, device;
};

/* Some kernels and dumps lack the vendor file; the modalias has the same number, and so does the first word
 * of the configuration space.
 */
static struct ids read_ids(const struct zn__topo_src *src, const char *pci, hwloc_obj_t dev)
{
	struct ids ids = { dev->attr->pcidev.vendor_id, dev->attr->pcidev.device_id };
	struct zn_arena a = { 0 };
	char *config;
	size_t n;
	char path[80];

	if (ids.vendor || src->root < 0)
		return ids;
	const char *alias = zn__sys_text(src, &a, "sys/bus/pci/devices/%s/modalias", pci);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/config", pci);
	if (!alias || sscanf(alias, "pci:v%8xd%8x", &ids.vendor, &ids.device) != 2) {
		ids = (struct ids){ 0 };
		if (zn_file_read(src->root, path, 4096, &a, &config, &n) == 0 && n >= 4) {
			const unsigned char *c = (const unsigned char *)config;
			ids = (struct ids){ c[0] | (uint32_t)c[1] << 8, c[2] | (uint32_t)c[3] << 8 };
		}
	}
	zn_arena_done(&a);
	return ids;
}

static bool is_console(uint32_t vendor)
{
	static const uint32_t vendors[] = {
		0x102b, /* Matrox */
		0x1a03, /* ASPEED */
		0x19e5, /* HiSilicon; its accelerators are of class 1200 */
		0x18ca, /* XGI */
	};

	for (size_t i = 0; i < sizeof(vendors) / sizeof(*vendors); i++)
		if (vendor == vendors[i])
			return true;
	return false;
}

static bool is_gpu(uint16_t class, uint32_t vendor)
{
	if (class == 0x1200)
		return true;
	return (class == 0x0300 || class == 0x0302 || class == 0x0380) && !is_console(vendor);
}

static struct zn_ou64 pcie_gen(const struct zn__topo_src *src, const char *pci)
{
	static const double rates[] = { 2.5, 5, 8, 16, 32, 64 };
	struct zn_arena a = { 0 };
	struct zn_ou64 gen = { 0 };

	const char *speed = zn__sys_text(src, &a, "sys/bus/pci/devices/%s/max_link_speed", pci);
	double rate = speed ? strtod(speed, NULL) : 0;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++)
		if (rate == rates[i])
			gen = ZN_SOME_U64(i + 1);
	zn_arena_done(&a);
	return gen;
}

/* 0 and 255 are what a device says that is not on a PCIe bus or does not answer. */
static struct zn_ou64 pcie_width(const struct zn__topo_src *src, const char *pci)
{
	struct zn_ou64 width = zn__sys_u64(src, "sys/bus/pci/devices/%s/max_link_width", pci);
	return width.has && width.v && width.v < 255 ? width : (struct zn_ou64){ 0 };
}

/* What CUDA, NVML, OpenCL and the like told hwloc when the recording was made: one GPU each, however many
 * of them know it.
 */
static void read_recorded(struct zn_arena *a, hwloc_obj_t dev, struct zn_pci_gpu *gpu)
{
	static const char *const sizes[] = {
		"CUDAGlobalMemorySize", "OpenCLGlobalMemorySize", "RSMIVRAMSize", "LevelZeroHBMSize",
	};

	for (hwloc_obj_t os = dev->io_first_child; os; os = os->next_sibling) {
		if (os->type != HWLOC_OBJ_OS_DEVICE)
			continue;
		const char *model = zn__obj_info(a, os, "GPUModel");
		const char *uuid = zn__obj_info(a, os, "NVIDIAUUID");
		gpu->name = model ? model : gpu->name;
		gpu->uuid = uuid ? uuid : gpu->uuid;
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes) && !gpu->mem_bytes.has; i++) {
			const char *kib = hwloc_obj_get_info_by_name(os, sizes[i]);
			if (kib)
				gpu->mem_bytes = ZN_SOME_U64(strtoull(kib, NULL, 10) << 10);
		}
	}
}

/* "card0", "renderD128": every driver of the kernel's graphics layer makes them, whoever the vendor is. */
static bool is_drm_file(const char *name)
{
	return strncmp(name, "card", 4) == 0 || strncmp(name, "renderD", 7) == 0;
}

static int read_drm_files(const struct zn__topo_src *src, struct zn_arena *a, const char *pci, struct zn_strs *ret)
{
	enum { FILES_MAX = 4 };
	const char **v = zn_arena_array(a, FILES_MAX, sizeof(*v));
	char path[80];

	*ret = (struct zn_strs){ .v = v };
	if (!v)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/drm", pci);
	DIR *dir = src->live ? opendir(path) : NULL;
	for (struct dirent *e; dir && ret->n < FILES_MAX && (e = readdir(dir));)
		if (is_drm_file(e->d_name) && (v[ret->n] = zn_arena_printf(a, "/dev/dri/%s", e->d_name)))
			ret->n++;
	if (dir)
		closedir(dir);
	return 0;
}

static int read_gpu(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t dev)
{
	char *pci = zn__pci_name(&t->arena, dev);

	if (!pci)
		return -ENOMEM;
	struct ids ids = read_ids(src, pci, dev);
	if (!is_gpu(dev->attr->pcidev.class_id, ids.vendor))
		return 0;
	struct zn__near near = zn__pci_near(src, &t->arena, dev);
	struct zn_pci_gpu *gpu = &t->gpus[t->n_gpus++];
	*gpu = (struct zn_pci_gpu){
		.pci = pci,
		.vendor = zn__obj_info(&t->arena, dev, "PCIVendor"),
		.name = zn__obj_info(&t->arena, dev, "PCIDevice"),
		.vendor_id = ids.vendor,
		.device_id = ids.device,
		.numa = near.numa,
		.cpus = near.cpus,
		.pcie_gen = pcie_gen(src, pci),
		.pcie_width = pcie_width(src, pci),
	};
	read_recorded(&t->arena, dev, gpu);
	return read_drm_files(src, &t->arena, pci, &gpu->devices);
}

int zn__topo_read_pci(const struct zn__topo_src *src, struct zn_topo *t)
{
	int rc = read_tree(src, t);

	if (rc < 0)
		return rc;
	hwloc_obj_t *devs = zn__pci_devices(src, &t->arena);
	t->gpus = zn_arena_array(&t->arena, t->tree->n + 1, sizeof(*t->gpus));
	if (!devs || !t->gpus)
		return -ENOMEM;
	for (; rc == 0 && *devs; devs++)
		rc = read_gpu(src, t, *devs);
	return rc;
}
