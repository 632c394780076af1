/* nvml: NVIDIA's management library as we declare it, so that the build needs nothing of NVIDIA's; the sizes are what
 * the driver expects.  Shared by who reads facts (nvml.c) and who measures (nvml_meter.c).
 */
#ifndef ZN_GPU_NVML_H
#define ZN_GPU_NVML_H

#include "gpu/backend.h"

enum { NVML_SUCCESS = 0, NVML_INSUFFICIENT_SIZE = 7, NVML_GPU_IS_LOST = 15, NVML_RESET_REQUIRED = 16 };
enum { NVML_LINKS_MAX = 18, NVML_DEVICES_MAX = 256 };
enum { NVML_REMOTE_GPU = 0, NVML_REMOTE_SWITCH = 2 };

typedef struct nvml_device *nvml_dev; /* the library's own handle */

struct nvml_pci {
	char bus_id_legacy[16];
	unsigned domain, bus, device, device_id, subsystem_id;
	char bus_id[32];
};
_Static_assert(sizeof(struct nvml_pci) == 68, "nvmlPciInfo_t");

struct nvml_memory {
	unsigned long long total, free, used;
};
_Static_assert(sizeof(struct nvml_memory) == 24, "nvmlMemory_t");

struct nvml_memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};
_Static_assert(sizeof(struct nvml_memory_v2) == 40, "nvmlMemory_v2_t");

struct nvml_process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};
_Static_assert(sizeof(struct nvml_process) == 24, "nvmlProcessInfo_t");

typedef int processes_fn(nvml_dev, unsigned *, struct nvml_process *);

struct nvml {
	int (*init)(void);
	int (*shutdown)(void);
	const char *(*error)(int);
	int (*driver)(char *, unsigned);
	int (*count)(unsigned *);
	int (*device)(unsigned, nvml_dev *);
	int (*pci)(nvml_dev, struct nvml_pci *);
	int (*uuid)(nvml_dev, char *, unsigned);
	int (*name)(nvml_dev, char *, unsigned);
	int (*memory)(nvml_dev, struct nvml_memory *);
	int (*memory_v2)(nvml_dev, struct nvml_memory_v2 *);
	int (*minor)(nvml_dev, unsigned *);
	int (*pcie_gen)(nvml_dev, unsigned *);
	int (*pcie_width)(nvml_dev, unsigned *);
	int (*link_state)(nvml_dev, unsigned, unsigned *);
	int (*link_version)(nvml_dev, unsigned, unsigned *);
	int (*link_remote_type)(nvml_dev, unsigned, unsigned *);
	int (*link_remote_pci)(nvml_dev, unsigned, struct nvml_pci *);
	processes_fn *compute, *graphics;
};

struct nvml_card {
	nvml_dev handle;
	struct nvml_pci pci;
};

enum nvml_need { NVML_MUST, NVML_WANTED, NVML_BETTER }; /* BETTER: another row does for it, or none is needed */

/* Newest name first.  Older ones of the same row have the same arguments. */
struct nvml_symbol {
	size_t at;                     /* where its address goes */
	const char *names[3];
	enum nvml_need need;
};

/* Opens the library and finds what struct nvml holds; NULL where there is none, or it lacks what it must have.  g gets
 * the note.  Nothing is begun yet.
 */
void *zn__nvml_open(struct nvml *nvml, struct zn_gpus *g);
/* Fills a struct of addresses; false when one that must be there is not. */
bool zn__nvml_symbols(void *lib, const struct nvml_symbol *v, size_t n, void *to, struct zn_gpus *g);
const char *zn__nvml_error(const struct nvml *nvml, int rc);
/* Up to NVML_DEVICES_MAX devices that answer, in PCI order. */
size_t zn__nvml_find(const struct nvml *nvml, struct zn_gpus *g, struct nvml_card *devs);
const char *zn__nvml_text(struct zn_arena *a, int (*ask)(nvml_dev, char *, unsigned), nvml_dev dev);
char *zn__nvml_address(struct zn_arena *a, const struct nvml_pci *pci);
struct zn_ou64 zn__nvml_number(int (*ask)(nvml_dev, unsigned *), nvml_dev dev);
/* What NVML returned; the two are set on success alone. */
int zn__nvml_memory(const struct nvml *nvml, nvml_dev dev, struct zn_ou64 *total, struct zn_ou64 *used);
/* struct zn_gpu_user.  1: the driver told all of them; 0: it did not, and there may be more; -ENOMEM. */
int zn__nvml_users(const struct nvml *nvml, struct zn_arena *a, nvml_dev dev, struct zn_list *users);

/* The names that nvidia-smi has for these bits, "sw_power_cap"; one that has none is its number.  Pure. */
int zn__nvml_throttle(uint64_t bits, struct zn_arena *a, struct zn_strs *ret);

#endif
