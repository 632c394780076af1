#include "gpu/gpu.h"

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
