/* tree: the facts of a machine for a person: nodes, and under each what hangs from it. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "plan/facts.h"

/* "3 GPUs", "1 GPU" */
static void add_count(struct zn_buf *to, uint32_t n, const char *one, const char *many)
{
	zn_buf_printf(to, ", %u %s", n, n == 1 ? one : many);
}

static void add_machine(const struct zn_facts *f, struct zn_buf *to)
{
	const struct zn_machine *m = &f->machine;
	struct zn_idset allowed = zn_facts_allowed_cpus(f);
	char bytes[ZN_UNIT_TEXT];

	zn_buf_addstr(to, m->hostname ? m->hostname : "machine");
	const char *words[] = { m->product, m->arch, m->kernel };
	for (size_t i = 0; i < 3; i++)
		if (words[i])
			zn_buf_printf(to, "%s%s", i && (words[0] || i > 1) ? ", " : ": ", words[i]);
	zn_buf_printf(to, "\n%u socket%s", m->sockets, m->sockets == 1 ? "" : "s");
	add_count(to, m->numas, "NUMA node", "NUMA nodes");
	add_count(to, m->cores, "core", "cores");
	add_count(to, m->cpus, "CPU", "CPUs");
	if (zn_idset_count(&allowed) != m->cpus)
		zn_buf_printf(to, " (%u allowed)", zn_idset_count(&allowed));
	zn_buf_printf(to, ", %s", zn_format_bytes(m->mem_bytes, bytes));
	add_count(to, m->gpus, "GPU", "GPUs");
	add_count(to, m->nics, "NIC", "NICs");
	add_count(to, m->nvmes, "NVMe drive", "NVMe drives");
	zn_buf_addch(to, '\n');
}

/* ---- devices ------------------------------------------------------------------------------------ */

/* A name in a column that fits the longest one of the machine. */
static void add_name(struct zn_buf *to, size_t width, const char *name)
{
	zn_buf_printf(to, "\n  %-*s  ", (int)width, name);
}

static void add_users(const struct zn_gpu *gpu, size_t width, struct zn_buf *to)
{
	const struct zn_gpu_user *users = gpu->users.v;
	char bytes[ZN_UNIT_TEXT];

	for (size_t i = 0; i < gpu->users.n; i++) {
		add_name(to, width, "");
		zn_buf_printf(to, "pid %u", users[i].pid);
		if (users[i].user)
			zn_buf_printf(to, " of %s", users[i].user);
		if (users[i].mem_bytes.has)
			zn_buf_printf(to, ", %s", zn_format_bytes(users[i].mem_bytes.v, bytes));
		if (users[i].command)
			zn_buf_printf(to, ": %.60s", users[i].command);
	}
}

/* NICs below the same switch. */
static void add_nearest(const struct zn_facts *f, const char *name, struct zn_buf *to)
{
	const char *before = ", PIX to ";

	for (size_t i = 0; i < f->n_links; i++) {
		const struct zn_link *l = &f->links[i];
		if (strcmp(l->a, name) || strcmp(l->type, "PIX") || !zn_facts_nic(f, l->b))
			continue;
		zn_buf_printf(to, "%s%s", before, l->b);
		before = " and ";
	}
}

static void add_gpu(const struct zn_facts *f, const struct zn_gpu *gpu, size_t width, struct zn_buf *to)
{
	char name[16], bytes[ZN_UNIT_TEXT];

	snprintf(name, sizeof(name), "gpu%u", gpu->gpu);
	add_name(to, width, name);
	zn_buf_addstr(to, gpu->name ? gpu->name : gpu->vendor ? gpu->vendor : "GPU");
	if (gpu->mem_bytes.has)
		zn_buf_printf(to, ", %s", zn_format_bytes(gpu->mem_bytes.v, bytes));
	if (gpu->mem_used_bytes.has)
		zn_buf_printf(to, " (%s used)", zn_format_bytes(gpu->mem_used_bytes.v, bytes));
	if (gpu->pci)
		zn_buf_printf(to, ", %s", gpu->pci);
	if (gpu->pcie_gen.has)
		zn_buf_printf(to, ", PCIe %llu", (unsigned long long)gpu->pcie_gen.v);
	if (gpu->pcie_width.has)
		zn_buf_printf(to, " x%llu", (unsigned long long)gpu->pcie_width.v);
	add_nearest(f, name, to);
	add_users(gpu, width, to);
}

static void add_nic(const struct zn_nic *nic, size_t width, struct zn_buf *to)
{
	add_name(to, width, nic->nic);
	zn_buf_addstr(to, nic->layer ? nic->layer : "network");
	if (nic->rdma.has && nic->rdma.v)
		zn_buf_addstr(to, nic->layer && !strcmp(nic->layer, "Ethernet") ? " (RoCE)" : nic->layer ? "" : " (RDMA)");
	if (nic->link_gbps.has)
		zn_buf_printf(to, " %g Gb/s", nic->link_gbps.v);
	if (nic->state)
		zn_buf_printf(to, ", %s", nic->state);
	if (nic->pci && strcmp(nic->pci, nic->nic))
		zn_buf_printf(to, ", %s", nic->pci);
	if (nic->netdev)
		zn_buf_printf(to, ", %s", nic->netdev);
}

static void add_nvme(const struct zn_nvme *nvme, size_t width, struct zn_buf *to)
{
	char bytes[ZN_UNIT_TEXT];

	add_name(to, width, nvme->nvme);
	zn_buf_addstr(to, nvme->model ? nvme->model : "NVMe drive");
	if (nvme->size_bytes.has)
		zn_buf_printf(to, ", %s", zn_format_bytes(nvme->size_bytes.v, bytes));
	if (nvme->pci)
		zn_buf_printf(to, ", %s", nvme->pci);
}

static size_t name_width(const struct zn_facts *f)
{
	size_t width = strlen("gpu0") + (f->n_gpus > 10);

	for (size_t i = 0; i < f->n_nics; i++)
		width = strlen(f->nics[i].nic) > width ? strlen(f->nics[i].nic) : width;
	for (size_t i = 0; i < f->n_nvmes; i++)
		width = strlen(f->nvmes[i].nvme) > width ? strlen(f->nvmes[i].nvme) : width;
	return width;
}

/* Devices of one node, or those of no known node. */
static void add_devices(const struct zn_facts *f, const struct zn_numa *numa, struct zn_buf *to)
{
	size_t width = name_width(f);

	for (size_t i = 0; i < f->n_gpus; i++)
		if (numa ? f->gpus[i].numa.has && f->gpus[i].numa.v == numa->numa : !f->gpus[i].numa.has)
			add_gpu(f, &f->gpus[i], width, to);
	for (size_t i = 0; i < f->n_nics; i++)
		if (numa ? f->nics[i].numa.has && f->nics[i].numa.v == numa->numa : !f->nics[i].numa.has)
			add_nic(&f->nics[i], width, to);
	for (size_t i = 0; i < f->n_nvmes; i++)
		if (numa ? f->nvmes[i].numa.has && f->nvmes[i].numa.v == numa->numa : !f->nvmes[i].numa.has)
			add_nvme(&f->nvmes[i], width, to);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static void add_numa(const struct zn_facts *f, const struct zn_numa *numa, struct zn_buf *to)
{
	struct zn_idset cpus = zn_facts_numa_cpus(f, numa->numa), allowed = zn_facts_allowed_cpus(f);
	struct zn_idset usable = zn_idset_and(&cpus, &allowed);
	char bytes[ZN_UNIT_TEXT], list[256];

	zn_buf_printf(to, "\nNUMA %u: ", numa->numa);
	if (zn_idset_is_empty(&cpus))
		zn_buf_addstr(to, "no CPUs");
	else
		zn_buf_printf(to, "CPUs %s", numa->cpus);
	if (!zn_idset_equal(&usable, &cpus)) {
		zn_idset_format(&usable, list, sizeof(list));
		zn_buf_printf(to, " (%s allowed)", *list ? list : "none");
	}
	zn_buf_printf(to, ", %s", zn_format_bytes(numa->mem_bytes, bytes));
	if (numa->free_bytes.has)
		zn_buf_printf(to, " (%s free)", zn_format_bytes(numa->free_bytes.v, bytes));
	if (numa->huge_2m.has && numa->huge_2m.v)
		zn_buf_printf(to, ", %llu huge pages of 2M", (unsigned long long)numa->huge_2m.v);
	if (numa->huge_1g.has && numa->huge_1g.v)
		zn_buf_printf(to, ", %llu of 1G", (unsigned long long)numa->huge_1g.v);
	add_devices(f, numa, to);
	zn_buf_addch(to, '\n');
}

static bool is_gpu_link(const struct zn_facts *f, const struct zn_link *link)
{
	return !strncmp(link->b, "gpu", 3) && !zn_facts_nic(f, link->b);
}

/* "links: all pairs NV18", or how many pairs of each type. */
static void add_links(const struct zn_facts *f, struct zn_buf *to)
{
	const char *types[24];
	unsigned counts[24], n = 0, pairs = 0;

	for (size_t i = 0; i < f->n_links; i++) {
		unsigned k = 0;
		if (!is_gpu_link(f, &f->links[i]))
			continue;
		pairs++;
		while (k < n && strcmp(types[k], f->links[i].type))
			k++;
		if (k == n && n < sizeof(counts) / sizeof(*counts)) {
			types[n] = f->links[i].type;
			counts[n++] = 0;
		}
		if (k < n)
			counts[k]++;
	}
	if (pairs)
		zn_buf_addstr(to, "\nlinks:");
	for (unsigned k = 0; k < n; k++)
		if (n == 1)
			zn_buf_printf(to, " all pairs %s", types[k]);
		else
			zn_buf_printf(to, "%s %u pair%s %s", k ? "," : "", counts[k], counts[k] == 1 ? "" : "s", types[k]);
	if (pairs)
		zn_buf_addch(to, '\n');
}

void zn_facts_tree(const struct zn_facts *f, struct zn_buf *to)
{
	struct zn_buf homeless = { 0 };

	add_machine(f, to);
	for (size_t i = 0; i < f->n_numas; i++)
		add_numa(f, &f->numas[i], to);
	add_devices(f, NULL, &homeless);
	if (homeless.len)
		zn_buf_printf(to, "\nof no known NUMA node:%.*s\n", (int)homeless.len, homeless.data);
	zn_buf_done(&homeless);
	add_links(f, to);
}
