#include "gpu/gpu.h"

#include <errno.h>
#include <stdlib.h>

#include "gpu/backend.h"

static const struct zn_field user_fields[] = {
	ZN_FIELD(struct zn_gpu_user, pid, U32, "PID", "process"),
	ZN_FIELD(struct zn_gpu_user, mem_bytes, OBYTES, "MEM", "GPU memory that it holds"),
	ZN_FIELD(struct zn_gpu_user, user, STR, "USER", "whose it is"),
	ZN_FIELD(struct zn_gpu_user, command, STR, "COMMAND", "what it runs"),
	{ 0 },
};

const struct zn_kind zn_gpu_user_kind = {
	NULL, "a process that uses the GPU", user_fields, sizeof(struct zn_gpu_user), NULL,
};

static const struct zn_field gpu_fields[] = {
	ZN_FIELD(struct zn_gpu, gpu, U32, "GPU", "index in PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts"),
	ZN_FIELD(struct zn_gpu, uuid, STR, "UUID", "the driver's lasting name of the device"),
	ZN_FIELD(struct zn_gpu, name, STR, "NAME", "product"),
	ZN_FIELD(struct zn_gpu, vendor, STR, "VENDOR", "who made it"),
	ZN_FIELD(struct zn_gpu, pci, STR, "PCI", "PCI address"),
	ZN_FIELD(struct zn_gpu, numa, OU64, "NUMA", "NUMA node it hangs from"),
	ZN_FIELD(struct zn_gpu, cpus, STR, "CPUS", "list of the CPUs next to it"),
	ZN_FIELD(struct zn_gpu, mem_bytes, OBYTES, "MEM", "memory"),
	ZN_FIELD(struct zn_gpu, mem_used_bytes, OBYTES, "USED", "memory in use; an old driver counts its own share too"),
	ZN_FIELD(struct zn_gpu, pcie_gen, OU64, "PCIE", "PCIe generation that it can do at most"),
	ZN_FIELD(struct zn_gpu, pcie_width, OU64, "LANES", "PCIe lanes that it can use at most"),
	ZN_FIELD(struct zn_gpu, nvlinks, OU64, "NVLINKS", "NVLinks that are up"),
	ZN_FIELD(struct zn_gpu, driver, STR, "DRIVER", "which driver answered, and its version"),
	ZN_FIELD(struct zn_gpu, devices, STRS, "DEVICES", "device files that open it and nothing else"),
	ZN_FIELD_SUB(struct zn_gpu, users, SUBS, &zn_gpu_user_kind, "USERS", "processes that use it"),
	{ 0 },
};

const struct zn_kind zn_gpu_kind = {
	"gpu", "an accelerator", gpu_fields, sizeof(struct zn_gpu),
	"gpu,name,mem_bytes,mem_used_bytes,pci,numa,cpus,pcie_gen,pcie_width,nvlinks,uuid",
};

static const struct zn__gpu_backend *const backends[] = {
	&zn__nvml,
};

int zn_gpus_read(struct zn_gpus **ret, struct zn_err *err)
{
	struct zn_gpus *g = calloc(1, sizeof(*g));
	int rc = g ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < sizeof(backends) / sizeof(*backends); i++)
		rc = backends[i]->read(g);
	if (rc < 0) {
		zn_gpus_free(g);
		return zn_err_set(err, rc, "out of memory while reading the GPUs");
	}
	*ret = g;
	return 0;
}

void zn_gpus_free(struct zn_gpus *g)
{
	if (!g)
		return;
	zn_arena_done(&g->arena);
	free(g);
}

const char *zn_gpu_vendor(uint32_t pci_vendor)
{
	static const struct {
		uint32_t id;
		const char *name;
	} vendors[] = { { 0x10de, "NVIDIA" }, { 0x1002, "AMD" }, { 0x8086, "Intel" } };

	for (size_t i = 0; i < sizeof(vendors) / sizeof(*vendors); i++)
		if (vendors[i].id == pci_vendor)
			return vendors[i].name;
	return NULL;
}
