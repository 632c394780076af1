/* facts_read: topology and drivers joined by PCI address.
 *
 * A GPU is one that the PCI bus shows, a driver knows, or both.  Those of a driver are counted first, in PCI
 * order, so that our index is the one that CUDA counts; a display adapter without a driver comes after them.
 */
#include "plan/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- GPUs -------------------------------------------------------------------------------------- */

static const struct zn_pci_gpu *find_pci(const struct zn_topo *t, const char *pci)
{
	for (size_t i = 0; pci && i < t->n_gpus; i++)
		if (!strcasecmp(t->gpus[i].pci, pci))
			return &t->gpus[i];
	return NULL;
}

static bool has_driver(const struct zn_gpus *drivers, const char *pci)
{
	for (size_t i = 0; drivers && i < drivers->n; i++)
		if (drivers->v[i].pci && !strcasecmp(drivers->v[i].pci, pci))
			return true;
	return false;
}

/* Both know some of the device files. */
static int add_devices(struct zn_arena *a, struct zn_gpu *gpu, const struct zn_strs *more)
{
	size_t n = gpu->devices.n;
	const char **v = zn_arena_array(a, n + more->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n + more->n; i++)
		v[i] = i < n ? gpu->devices.v[i] : more->v[i - n];
	gpu->devices = (struct zn_strs){ .v = v, .n = n + more->n };
	return 0;
}

/* The driver's word counts; the bus adds what it left open. */
static struct zn_gpu join(struct zn_gpu gpu, const struct zn_pci_gpu *bus)
{
	if (!bus)
		return gpu;
	gpu.pci = bus->pci;
	gpu.numa = bus->numa;
	gpu.cpus = bus->cpus;
	gpu.uuid = gpu.uuid ? gpu.uuid : bus->uuid;
	gpu.name = gpu.name ? gpu.name : bus->name;
	const char *vendor = zn_gpu_vendor(bus->vendor_id);
	gpu.vendor = gpu.vendor ? gpu.vendor : vendor ? vendor : bus->vendor;
	gpu.nvlinks = gpu.nvlinks.has ? gpu.nvlinks : bus->nvlinks;
	gpu.mem_bytes = gpu.mem_bytes.has ? gpu.mem_bytes : bus->mem_bytes;
	gpu.pcie_gen = gpu.pcie_gen.has ? gpu.pcie_gen : bus->pcie_gen;
	gpu.pcie_width = gpu.pcie_width.has ? gpu.pcie_width : bus->pcie_width;
	return gpu;
}

/* A machine with one node leaves no choice. */
static void place_on_only_node(const struct zn_facts *f, struct zn_gpu *gpu)
{
	if (f->n_numas != 1 || gpu->numa.has)
		return;
	gpu->numa = ZN_SOME_U64(f->numas[0].numa);
	gpu->cpus = gpu->cpus ? gpu->cpus : f->numas[0].cpus;
}

static int join_gpus(struct zn_facts *f)
{
	size_t known = f->drivers ? f->drivers->n : 0;

	f->gpus = zn_arena_array(&f->arena, known + f->topo->n_gpus + 1, sizeof(*f->gpus));
	if (!f->gpus)
		return -ENOMEM;
	for (size_t i = 0; i < known; i++)
		f->gpus[f->n_gpus++] = join(f->drivers->v[i], find_pci(f->topo, f->drivers->v[i].pci));
	for (size_t i = 0; i < f->topo->n_gpus; i++)
		if (!has_driver(f->drivers, f->topo->gpus[i].pci))
			f->gpus[f->n_gpus++] = join((struct zn_gpu){ 0 }, &f->topo->gpus[i]);
	for (size_t i = 0; i < f->n_gpus; i++) {
		const struct zn_pci_gpu *bus = find_pci(f->topo, f->gpus[i].pci);
		f->gpus[i].gpu = (uint32_t)i;
		place_on_only_node(f, &f->gpus[i]);
		if (bus && add_devices(&f->arena, &f->gpus[i], &bus->devices) < 0)
			return -ENOMEM;
	}
	f->machine.gpus = (uint32_t)f->n_gpus;
	return 0;
}

/* ---- links ------------------------------------------------------------------------------------- */

struct nvlink {
	uint32_t links;
	double gbps;
};

static struct nvlink recorded_nvlink(const struct zn_topo *t, const char *a, const char *b)
{
	for (size_t i = 0; a && b && i < t->n_nvlinks; i++) {
		const struct zn_pci_nvlink *l = &t->nvlinks[i];
		if ((!strcmp(l->a, a) && !strcmp(l->b, b)) || (!strcmp(l->a, b) && !strcmp(l->b, a)))
			return (struct nvlink){ l->links, l->link_gbps };
	}
	return (struct nvlink){ 0 };
}

static struct nvlink less(struct nvlink a, struct nvlink b)
{
	return a.links < b.links ? a : b;
}

/* Straight links, and those that both have to the switches: over these any two GPUs reach each other. */
static struct nvlink driver_nvlink(const struct zn_gpus *g, int a, int b)
{
	struct nvlink straight = { 0 }, switch_a = { 0 }, switch_b = { 0 };

	for (size_t i = 0; g && i < g->n_nvlinks; i++) {
		const struct zn_gpu_nvlink *l = &g->nvlinks[i];
		struct nvlink *to = l->b < 0 ? l->a == a ? &switch_a : l->a == b ? &switch_b : NULL
		                    : (l->a == a && l->b == b) || (l->a == b && l->b == a) ? &straight : NULL;
		if (to) {
			to->links += l->links;
			to->gbps += l->link_gbps;
		}
	}
	struct nvlink switched = less(switch_a, switch_b);
	return (struct nvlink){ straight.links + switched.links, straight.gbps + switched.gbps };
}

/* A device that the bus does not show is placed by its node alone. */
static const char *bus_path(const struct zn_facts *f, const char *pci_a, struct zn_ou64 numa_a, const char *pci_b,
                            struct zn_ou64 numa_b)
{
	const char *path = pci_a && pci_b ? zn_topo_pci_path(f->topo, pci_a, pci_b) : NULL;

	if (path)
		return path;
	bool same = f->n_numas == 1 || (numa_a.has && numa_b.has && numa_a.v == numa_b.v);
	return same ? "NODE" : "SYS";
}

static int link_gpus(struct zn_facts *f, size_t i, size_t j)
{
	const struct zn_gpu *a = &f->gpus[i], *b = &f->gpus[j];
	struct zn_link *link = &f->links[f->n_links++];
	struct nvlink nv = driver_nvlink(f->drivers, (int)i, (int)j);

	if (!nv.links)
		nv = recorded_nvlink(f->topo, a->pci, b->pci);
	link->a = zn_arena_printf(&f->arena, "gpu%zu", i);
	link->b = zn_arena_printf(&f->arena, "gpu%zu", j);
	link->type = nv.links ? zn_arena_printf(&f->arena, "NV%u", nv.links)
	                      : bus_path(f, a->pci, a->numa, b->pci, b->numa);
	if (nv.links && nv.gbps > 0)
		link->link_gbps = ZN_SOME_F64(nv.gbps);
	return link->a && link->b && link->type ? 0 : -ENOMEM;
}

static int link_device(struct zn_facts *f, size_t i, const char *name, const char *pci, struct zn_ou64 numa)
{
	const struct zn_gpu *gpu = &f->gpus[i];
	struct zn_link *link = &f->links[f->n_links++];

	link->a = zn_arena_printf(&f->arena, "gpu%zu", i);
	link->b = name;
	link->type = bus_path(f, gpu->pci, gpu->numa, pci, numa);
	return link->a ? 0 : -ENOMEM;
}

static int link_all(struct zn_facts *f)
{
	int rc = 0;

	f->links = zn_arena_array(&f->arena, f->n_gpus * (f->n_gpus + f->n_nics + f->n_nvmes) + 1, sizeof(*f->links));
	if (!f->links)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_gpus; i++) {
		for (size_t j = i + 1; rc == 0 && j < f->n_gpus; j++)
			rc = link_gpus(f, i, j);
		for (size_t j = 0; rc == 0 && j < f->n_nics; j++)
			rc = link_device(f, i, f->nics[j].nic, f->nics[j].pci, f->nics[j].numa);
		for (size_t j = 0; rc == 0 && j < f->n_nvmes; j++)
			rc = link_device(f, i, f->nvmes[j].nvme, f->nvmes[j].pci, f->nvmes[j].numa);
	}
	return rc;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int join_all(struct zn_facts *f)
{
	const struct zn_topo *t = f->topo;

	f->machine = t->machine;
	f->numas = t->numas;
	f->n_numas = t->n_numas;
	f->cpus = t->cpus;
	f->n_cpus = t->n_cpus;
	f->nics = t->nics;
	f->n_nics = t->n_nics;
	f->nvmes = t->nvmes;
	f->n_nvmes = t->n_nvmes;
	f->note = f->drivers ? f->drivers->note : NULL;
	int rc = join_gpus(f);
	if (rc == 0)
		rc = link_all(f);
	return rc < 0 ? rc : zn_facts_wire(f);
}

static void give_back(struct zn_facts *f)
{
	zn_topo_free(f->topo);
	zn_gpus_free(f->drivers);
}

int zn_facts_make(struct zn_topo *topo, struct zn_gpus *drivers, struct zn_facts **ret, struct zn_err *err)
{
	struct zn_facts *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	if (f) {
		f->topo = topo;
		f->drivers = drivers;
		rc = join_all(f);
	}
	if (rc < 0) {
		if (f)
			zn_arena_done(&f->arena);
		free(f);
		return zn_err_set(err, rc, "out of memory");
	}
	f->give_back = give_back;
	*ret = f;
	return 0;
}

int zn_facts_read(const struct zn_topo_opts *opts, struct zn_facts **ret, struct zn_err *err)
{
	const char *mock = getenv("ZENITH_MOCK_GPUS");
	const struct zn_topo_opts from_env = { .mock = mock && *mock ? mock : NULL };
	struct zn_topo *topo = NULL;
	struct zn_gpus *drivers = NULL;

	if (!opts)
		opts = &from_env;
	int rc = zn_topo_read(opts, &topo, err);
	if (rc == 0 && !opts->mock && !opts->from)
		rc = zn_gpus_read(&drivers, err);
	if (rc == 0)
		rc = zn_facts_make(topo, drivers, ret, err);
	if (rc < 0) {
		zn_gpus_free(drivers);
		zn_topo_free(topo);
	}
	return rc;
}

int zn_facts_read_cpus(const struct zn_idset *only, struct zn_facts **ret, struct zn_err *err)
{
	const char *mock = getenv("ZENITH_MOCK_GPUS");
	struct zn_topo *topo = NULL;

	if (mock && *mock)
		return zn_facts_read(NULL, ret, err);
	int rc = zn_topo_read_cpus(only, &topo, err);
	if (rc == 0)
		rc = zn_facts_make(topo, NULL, ret, err);
	if (rc < 0)
		zn_topo_free(topo);
	return rc;
}

const char *zn_facts_path(const struct zn_facts *f, const char *a, const char *b)
{
	const struct zn_link *link = zn_facts_link(f, a, b);
	const struct zn_nic *x = link || !f->topo ? NULL : zn_facts_nic(f, a);
	const struct zn_nic *y = x ? zn_facts_nic(f, b) : NULL;

	if (link)
		return link->type;
	return y ? bus_path(f, x->pci, x->numa, y->pci, y->numa) : NULL;
}
