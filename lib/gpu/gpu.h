/* gpu: accelerators as their drivers see them.  A table of backends, one file per vendor; libraries are
 * opened at run time, so that no binary needs one.
 */
#ifndef ZN_GPU_GPU_H
#define ZN_GPU_GPU_H

#include "base/arena.h"
#include "rec/field.h"

struct zn_gpu_user {              /* a process that has the device open */
	uint32_t pid;
	struct zn_ou64 mem_bytes;
	const char *user, *command;
};

struct zn_gpu {
	uint32_t gpu;                 /* index in PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts */
	const char *uuid, *name, *vendor, *pci;
	struct zn_ou64 numa;
	const char *cpus;             /* cpu list next to it */
	struct zn_ou64 mem_bytes, mem_used_bytes;
	struct zn_ou64 pcie_gen, pcie_width, nvlinks;
	const char *driver;
	struct zn_strs devices;       /* device files that open it, and it alone: "/dev/nvidia0" */
	struct zn_list users;         /* struct zn_gpu_user */
};

struct zn_gpu_nvlink {            /* n links between two devices, or to a switch (b < 0) */
	int a, b;
	uint32_t links;
	double link_gbps;             /* all of them, one direction, gigabits a second */
};

extern const struct zn_kind zn_gpu_kind, zn_gpu_user_kind;

struct zn_gpus {
	struct zn_arena arena;
	struct zn_gpu *v; size_t n;   /* PCI order */
	struct zn_gpu_nvlink *nvlinks; size_t n_nvlinks;
	const char *driver;           /* "nvml 550.54", NULL when no driver answered */
	const char *note;             /* why a driver library that is there could not be used, or NULL */
};

/* Asks the drivers that are there; no driver is n == 0 and success. */
int zn_gpus_read(struct zn_gpus **ret, struct zn_err *err);
void zn_gpus_free(struct zn_gpus *g);
/* Keeps the drivers' libraries open from now on, so that every zn_gpus_read is quick; for processes that end soon. */
void zn_gpus_keep(void);
/* Whether there is a backend for devices of this maker, as zn_gpu_vendor names it (NULL: no). */
bool zn_gpu_has_backend(const char *vendor);
/* "NVIDIA" for 0x10de; NULL for who makes no accelerators that we know. */
const char *zn_gpu_vendor(uint32_t pci_vendor);

#endif
