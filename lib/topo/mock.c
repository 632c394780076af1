/* mock: a believable GPU machine over this machine's own CPUs and memory.
 *
 * Its CPUs are split over two NUMA nodes, whole cores to one side, and so is the memory.  GPUs sit in groups below a PCIe switch with their NICs, each switch on a host bridge of its own.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/units.h"
#include "rec/ids.h"
#include "topo/source.h"

enum { MOCK_MAX = 128, MOCK_NUMAS = 2, MOCK_NVMES = 2 };
static const uint64_t NVME_BYTES = 3840755982336; /* what a drive sold as 3.84 TB has */

enum fabric { PCIE_ONLY, NVSWITCH, HYBRID_MESH };

struct zn__mock_model {
	const char *word, *name, *vendor;
	uint32_t vendor_id, device_id;
	uint64_t mem_mib;
	unsigned pcie_gen;
	enum fabric fabric;
	unsigned nvlinks;      /* of each GPU; NVSwitch bonds them to every peer */
	unsigned gpus_a_switch, nics_a_switch;
	double nic_gbps;
};

static const struct zn__mock_model models[] = {
	{ "h100", "NVIDIA H100 80GB HBM3", "NVIDIA", 0x10de, 0x2330, 81559, 5, NVSWITCH, 18, 1, 1, 400 },
	{ "a100", "NVIDIA A100-SXM4-80GB", "NVIDIA", 0x10de, 0x20b2, 81920, 4, NVSWITCH, 12, 2, 2, 400 },
	{ "v100", "Tesla V100-SXM2-32GB", "NVIDIA", 0x10de, 0x1db5, 32768, 3, HYBRID_MESH, 6, 2, 1, 100 },
	{ "l40s", "NVIDIA L40S", "NVIDIA", 0x10de, 0x26b9, 46068, 4, PCIE_ONLY, 0, 2, 2, 400 },
	{ "a10g", "NVIDIA A10G", "NVIDIA", 0x10de, 0x2237, 23028, 4, PCIE_ONLY, 0, 2, 2, 400 },
	{ "t4", "Tesla T4", "NVIDIA", 0x10de, 0x1eb8, 15360, 3, PCIE_ONLY, 0, 2, 2, 400 },
	{ "mi300x", "AMD Instinct MI300X", "AMD", 0x1002, 0x74a1, 196592, 5, PCIE_ONLY, 0, 1, 1, 400 },
};

/* NVLinks of the DGX-1 with V100; fewer GPUs take its upper left corner. */
static const unsigned mesh[8][8] = {
	{ 0, 1, 1, 2, 2, 0, 0, 0 },
	{ 1, 0, 2, 1, 0, 2, 0, 0 },
	{ 1, 2, 0, 2, 0, 0, 1, 0 },
	{ 2, 1, 2, 0, 0, 0, 0, 1 },
	{ 2, 0, 0, 0, 0, 1, 1, 2 },
	{ 0, 2, 0, 0, 1, 0, 2, 1 },
	{ 0, 0, 1, 0, 1, 2, 0, 2 },
	{ 0, 0, 0, 1, 2, 1, 2, 0 },
};
static const double NVLINK_GBPS = 200;

/* ---- "8", "4:h100" ---------------------------------------------------------------------------- */

static int unknown_model(const char *word, struct zn_err *err)
{
	char list[128] = "";

	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", models[i].word);
	return zn_err_set(err, -EINVAL, "unknown mock GPU '%s'; there are %s", word, list);
}

int zn__mock_parse(const char *spec, struct zn__mock *ret, struct zn_err *err)
{
	char number[8];
	size_t digits = strspn(spec, "0123456789");
	uint64_t n = 0;

	if (!digits || (spec[digits] && spec[digits] != ':'))
		return zn_err_set(err, -EINVAL, "mock GPUs '%s' are not N or N:MODEL", spec);
	snprintf(number, sizeof(number), "%.*s", (int)digits, spec);
	if (digits >= sizeof(number) || zn_parse_u64(number, 0, MOCK_MAX, &n, NULL) < 0)
		return zn_err_set(err, -EINVAL, "mock GPUs '%s' are more than %d", spec, MOCK_MAX);
	const char *word = spec[digits] ? spec + digits + 1 : models[0].word;
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		if (strcmp(models[i].word, word))
			continue;
		*ret = (struct zn__mock){ .model = &models[i], .gpus = (unsigned)n };
		return 0;
	}
	return unknown_model(word, err);
}

/* ---- CPUs and memory -------------------------------------------------------------------------- */

/* The CPUs of this machine or container: those that its first process may use.  Who asks must not matter: a
 * job that is pinned sees the machine that its scheduler saw.
 */
static bool read_present(struct zn_idset *ret)
{
	struct zn_arena a = { 0 };
	char *text;
	bool found = zn_file_read(AT_FDCWD, "/proc/1/status", 1 << 16, &a, &text, NULL) == 0 &&
	             zn_idset_parse_field(text, "Cpus_allowed_list", ret) == 0 && !zn_idset_is_empty(ret);

	zn_arena_done(&a);
	return found;
}

static void drop_absent(struct zn_topo *t)
{
	struct zn_idset present = { 0 };
	size_t n = 0;

	if (!read_present(&present))
		return;
	for (size_t i = 0; i < t->n_cpus; i++)
		if (zn_idset_has(&present, t->cpus[i].cpu))
			t->cpus[n++] = t->cpus[i];
	t->n_cpus = n;
}

static int by_core(const void *a, const void *b)
{
	const struct zn_cpu *x = a, *y = b;

	if (x->core != y->core)
		return x->core < y->core ? -1 : 1;
	return x->thread < y->thread ? -1 : x->thread > y->thread;
}

static int by_cpu(const void *a, const void *b)
{
	const struct zn_cpu *x = a, *y = b;
	return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

/* Cores are counted anew: those that lost all their threads are gone. */
static uint32_t renumber_cores(struct zn_topo *t)
{
	uint32_t cores = 0, last = UINT32_MAX;

	for (size_t i = 0; i < t->n_cpus; i++) {
		if (t->cpus[i].core != last)
			cores++;
		last = t->cpus[i].core;
		t->cpus[i].core = cores - 1;
	}
	return cores;
}

/* The first half of the cores, or of the threads of an only core, is node 0. */
static void split_cpus(struct zn_topo *t)
{
	qsort(t->cpus, t->n_cpus, sizeof(*t->cpus), by_core);
	uint32_t cores = renumber_cores(t);
	for (size_t i = 0; i < t->n_cpus; i++) {
		uint32_t at = cores > 1 ? t->cpus[i].core : (uint32_t)i;
		uint32_t half = ((cores > 1 ? cores : (uint32_t)t->n_cpus) + 1) / 2;
		t->cpus[i].numa = ZN_SOME_U64(at < half ? 0 : 1);
		t->cpus[i].socket = at < half ? 0 : 1;
	}
	t->machine.cores = cores;
	qsort(t->cpus, t->n_cpus, sizeof(*t->cpus), by_cpu);
}

/* With one CPU for both nodes each lists it: work placed near any GPU then has somewhere to run. */
static const char *cpus_of(struct zn_topo *t, unsigned numa)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < t->n_cpus; i++)
		if (t->cpus[i].numa.v == numa || t->n_cpus == 1)
			zn_idset_add(&set, t->cpus[i].cpu);
	return zn_ids_text(&set, &t->arena);
}

static void add_half(struct zn_ou64 *sum, struct zn_ou64 more)
{
	if (more.has)
		*sum = ZN_SOME_U64(sum->v + more.v / MOCK_NUMAS);
}

static struct zn_numa half_of_all(const struct zn_topo *t)
{
	struct zn_numa half = { .mem_bytes = t->machine.mem_bytes / MOCK_NUMAS };

	for (size_t i = 0; i < t->n_numas; i++) {
		const struct zn_numa *real = &t->numas[i];
		add_half(&half.free_bytes, real->free_bytes);
		add_half(&half.huge_2m, real->huge_2m);
		add_half(&half.huge_2m_free, real->huge_2m_free);
		add_half(&half.huge_1g, real->huge_1g);
		add_half(&half.huge_1g_free, real->huge_1g_free);
	}
	return half;
}

static int split_machine(struct zn_topo *t)
{
	struct zn_numa *numas = zn_arena_array(&t->arena, MOCK_NUMAS, sizeof(*numas));
	struct zn_numa half = half_of_all(t);

	if (!numas)
		return -ENOMEM;
	drop_absent(t);
	split_cpus(t);
	for (unsigned i = 0; i < MOCK_NUMAS; i++) {
		uint32_t *row = zn_arena_array(&t->arena, MOCK_NUMAS, sizeof(*row));
		if (!row)
			return -ENOMEM;
		row[i] = 10;
		row[!i] = 21;
		numas[i] = half;
		numas[i].numa = i;
		numas[i].cpus = cpus_of(t, i);
		numas[i].distances = (struct zn_u32s){ .v = row, .n = MOCK_NUMAS };
		if (!numas[i].cpus)
			return -ENOMEM;
	}
	t->numas = numas;
	t->n_numas = MOCK_NUMAS;
	t->machine.numas = t->machine.sockets = MOCK_NUMAS;
	t->machine.cpus = (uint32_t)t->n_cpus;
	return 0;
}

/* ---- devices ---------------------------------------------------------------------------------- */

static int add_node(struct zn_topo *t, const char *pci, int parent, unsigned numa)
{
	t->tree->v[t->tree->n] = (struct zn__pci_node){
		.pci = pci,
		.parent = parent,
		.is_host = parent < 0,
		.numa = ZN_SOME_U64(numa),
	};
	return (int)t->tree->n++;
}

/* A device below a port of its own. */
static void plug(struct zn_topo *t, const char *pci, int bridge, unsigned numa)
{
	add_node(t, pci, add_node(t, NULL, bridge, numa), numa);
}

static char *address(struct zn_topo *t, unsigned bus)
{
	return zn_arena_printf(&t->arena, "%04x:%02x:00.0", bus >> 8, bus & 0xff);
}

static int add_gpu(const struct zn__mock *mock, struct zn_topo *t, unsigned bus, int bridge, unsigned numa)
{
	const struct zn__mock_model *m = mock->model;
	struct zn_pci_gpu *gpu = &t->gpus[t->n_gpus];

	*gpu = (struct zn_pci_gpu){
		.pci = address(t, bus),
		.vendor = m->vendor,
		.name = m->name,
		.vendor_id = m->vendor_id,
		.device_id = m->device_id,
		.numa = ZN_SOME_U64(numa),
		.cpus = t->numas[numa].cpus,
		.pcie_gen = ZN_SOME_U64(m->pcie_gen),
		.pcie_width = ZN_SOME_U64(16),
		.uuid = zn_arena_printf(&t->arena, "GPU-mock-%s-%04zu", m->word, t->n_gpus),
		.mem_bytes = ZN_SOME_U64(m->mem_mib << 20),
		.nvlinks = { .v = m->nvlinks, .has = m->nvlinks > 0 },
	};
	if (!gpu->pci || !gpu->uuid)
		return -ENOMEM;
	plug(t, gpu->pci, bridge, numa);
	t->n_gpus++;
	return 0;
}

static int add_nic(const struct zn__mock *mock, struct zn_topo *t, unsigned bus, int bridge, unsigned numa)
{
	struct zn_nic *nic = &t->nics[t->n_nics];

	*nic = (struct zn_nic){
		.nic = zn_arena_printf(&t->arena, "mlx5_%zu", t->n_nics),
		.netdev = zn_arena_printf(&t->arena, "ib%zu", t->n_nics),
		.pci = address(t, bus),
		.numa = ZN_SOME_U64(numa),
		.cpus = t->numas[numa].cpus,
		.layer = "InfiniBand",
		.rdma = ZN_SOME_BOOL(true),
		.state = "up",
		.link_gbps = ZN_SOME_F64(mock->model->nic_gbps),
		.address = zn_arena_printf(&t->arena, "a088:c203:0000:%04zx", t->n_nics),
	};
	if (!nic->nic || !nic->netdev || !nic->pci || !nic->address)
		return -ENOMEM;
	plug(t, nic->pci, bridge, numa);
	t->n_nics++;
	return 0;
}

static int add_nvme(struct zn_topo *t, unsigned numa)
{
	struct zn_nvme *nvme = &t->nvmes[t->n_nvmes];

	*nvme = (struct zn_nvme){
		.nvme = zn_arena_printf(&t->arena, "nvme%zun1", t->n_nvmes),
		.pci = address(t, 0x70 + 0x80 * numa),
		.model = "Mock NVMe 3.84TB",
		.numa = ZN_SOME_U64(numa),
		.cpus = t->numas[numa].cpus,
		.size_bytes = ZN_SOME_U64(NVME_BYTES),
	};
	if (!nvme->nvme || !nvme->pci)
		return -ENOMEM;
	plug(t, nvme->pci, add_node(t, NULL, -1, numa), numa);
	t->n_nvmes++;
	return 0;
}

/* One switch: host bridge, root port, the switch, and what hangs below it from this bus on. */
static int add_group(const struct zn__mock *mock, struct zn_topo *t, unsigned gpus, unsigned bus, unsigned numa)
{
	int upstream = add_node(t, NULL, add_node(t, NULL, add_node(t, NULL, -1, numa), numa), numa);
	unsigned nics = mock->model->nics_a_switch < gpus ? mock->model->nics_a_switch : gpus;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < gpus; i++)
		rc = add_gpu(mock, t, bus + i, upstream, numa);
	for (unsigned i = 0; rc == 0 && i < nics; i++)
		rc = add_nic(mock, t, bus + gpus + i, upstream, numa);
	return rc;
}

static int add_side(const struct zn__mock *mock, struct zn_topo *t, unsigned gpus, unsigned numa)
{
	unsigned bus = 0x18 + (mock->gpus <= 16 ? 0x80 : 0x100000) * numa; /* many: a PCI domain of its own, and more */
	int rc = 0;

	for (unsigned left = gpus; rc == 0 && left; bus += 0x0a) {
		unsigned here = left < mock->model->gpus_a_switch ? left : mock->model->gpus_a_switch;
		rc = add_group(mock, t, here, bus, numa);
		left -= here;
	}
	return rc < 0 ? rc : add_nvme(t, numa);
}

static int make_room(struct zn_topo *t)
{
	size_t nodes = MOCK_MAX * (3 + 2 + 2) + MOCK_NVMES * 3; /* a switch of its own: bridges, GPU, NIC */

	t->tree = zn_arena_new(&t->arena, struct zn_pci_tree);
	t->gpus = zn_arena_array(&t->arena, MOCK_MAX, sizeof(*t->gpus));
	t->nics = zn_arena_array(&t->arena, MOCK_MAX, sizeof(*t->nics));
	t->nvmes = zn_arena_array(&t->arena, MOCK_NVMES, sizeof(*t->nvmes));
	t->nvlinks = zn_arena_array(&t->arena, MOCK_MAX * MOCK_MAX, sizeof(*t->nvlinks));
	if (!t->tree || !t->gpus || !t->nics || !t->nvmes || !t->nvlinks)
		return -ENOMEM;
	t->tree->v = zn_arena_array(&t->arena, nodes, sizeof(*t->tree->v));
	return t->tree->v ? 0 : -ENOMEM;
}

/* ---- NVLinks ---------------------------------------------------------------------------------- */

/* V100s beyond the eight of a mesh hang on NVSwitches, as in the DGX-2. */
static unsigned links_between(const struct zn__mock *mock, size_t a, size_t b)
{
	if (mock->model->fabric == PCIE_ONLY)
		return 0;
	return mock->model->fabric == HYBRID_MESH && mock->gpus <= 8 ? mesh[a][b] : mock->model->nvlinks;
}

/* In the mesh a GPU's links go to peers that may be missing; those to a switch are always up. */
static void count_nvlinks(const struct zn__mock *mock, struct zn_topo *t)
{
	if (mock->model->fabric != HYBRID_MESH || mock->gpus > 8)
		return;
	for (size_t a = 0; a < t->n_gpus; a++) {
		t->gpus[a].nvlinks = ZN_SOME_U64(0);
		for (size_t b = 0; b < t->n_gpus; b++)
			t->gpus[a].nvlinks.v += mesh[a][b];
	}
}

static void add_nvlinks(const struct zn__mock *mock, struct zn_topo *t)
{
	for (size_t a = 0; a < t->n_gpus; a++) {
		for (size_t b = a + 1; b < t->n_gpus; b++) {
			unsigned links = links_between(mock, a, b);
			if (links)
				t->nvlinks[t->n_nvlinks++] = (struct zn_pci_nvlink){
					.a = t->gpus[a].pci,
					.b = t->gpus[b].pci,
					.links = links,
					.link_gbps = links * NVLINK_GBPS,
				};
		}
	}
}

int zn__topo_mock(const struct zn__mock *mock, struct zn_topo *t)
{
	int rc = split_machine(t);

	if (rc == 0)
		rc = make_room(t);
	if (rc == 0)
		rc = add_side(mock, t, (mock->gpus + 1) / 2, 0);
	if (rc == 0)
		rc = add_side(mock, t, mock->gpus / 2, 1);
	if (rc < 0)
		return rc;
	add_nvlinks(mock, t);
	count_nvlinks(mock, t);
	t->machine.mock = true;
	t->machine.product = mock->gpus ? zn_arena_printf(&t->arena, "mock %ux %s", mock->gpus, mock->model->name)
	                                : "mock without GPUs";
	return t->machine.product ? 0 : -ENOMEM;
}
