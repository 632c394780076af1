/* topo: what this machine is, as records.  hwloc discovers; we add what it lacks.  Facts only, no advice.
 *
 * "numa" is always the operating system's NUMA node number.  A device whose node the kernel does not say
 * gets the node of its local CPUs; absent only when those are not known either.
 */
#ifndef ZN_TOPO_TOPO_H
#define ZN_TOPO_TOPO_H

#include "base/arena.h"
#include "base/idset.h"
#include "rec/field.h"

struct zn_machine {
	const char *hostname, *product, *arch, *kernel;
	uint32_t sockets, numas, cores, cpus, gpus, nics, nvmes;
	uint64_t mem_bytes;
	bool mock;
};

struct zn_numa {
	uint32_t numa;
	const char *cpus;            /* cpu list, "" for a node with memory only */
	uint64_t mem_bytes;
	struct zn_ou64 free_bytes;
	struct zn_ou64 huge_2m, huge_2m_free, huge_1g, huge_1g_free; /* pages */
	struct zn_u32s distances;    /* to each node, in the order of the array (10 = itself) */
};

struct zn_cpu {
	uint32_t cpu;                /* the kernel's number of this hardware thread */
	uint32_t socket, core, thread; /* counted from 0; core: over the whole machine; thread: within its core */
	struct zn_ou64 numa;
	bool allowed;                /* this process may use it (affinity and cgroup) */
};

/* A PCI display or processing accelerator by class (0300, 0302, 0380, 1200), console chips left out. */
struct zn_pci_gpu {
	const char *pci;             /* "0000:18:00.0" */
	const char *vendor, *name;   /* absent when only ids are known */
	uint32_t vendor_id, device_id;
	struct zn_ou64 numa;
	const char *cpus;            /* local cpu list */
	struct zn_ou64 pcie_gen, pcie_width; /* what the device can do at most */
	struct zn_strs devices;      /* its files in /dev/dri; none in a recording */
	const char *uuid;            /* these only where a recording (or the mock) has them */
	struct zn_ou64 mem_bytes, nvlinks;
};

/* NVLinks between two GPUs, by PCI address, straight or over switches: from a recording or the mock. */
struct zn_pci_nvlink {
	const char *a, *b;
	uint32_t links;
	double link_gbps;            /* all of them, one direction, gigabits a second */
};

struct zn_nic {
	const char *nic;             /* "mlx5_0" for an RDMA device, else "eth0" */
	const char *netdev;          /* the network interface of an RDMA device */
	const char *pci;
	struct zn_ou64 numa;
	const char *cpus;
	const char *layer;           /* "InfiniBand", "Ethernet" (RoCE when rdma) */
	struct zn_obool rdma;
	const char *state;           /* "up", "down", "init", ... */
	struct zn_of64 link_gbps;    /* gigabits a second */
	const char *address;         /* MAC or port GUID */
};

struct zn_nvme {
	const char *nvme;            /* "nvme0n1" */
	const char *pci, *model;
	struct zn_ou64 numa;
	const char *cpus;
	struct zn_ou64 size_bytes;
};

/* How two devices reach each other, named as nvidia-smi topo -m does. */
struct zn_link {
	const char *a, *b;           /* "gpu0", "mlx5_0" */
	const char *type;            /* NV4 (four NVLinks), PIX, PXB, PHB, NODE, SYS */
	struct zn_of64 link_gbps;    /* one direction, gigabits a second, when known */
};

extern const struct zn_kind zn_machine_kind, zn_numa_kind, zn_cpu_kind, zn_nic_kind, zn_nvme_kind,
	zn_link_kind;

struct zn_topo {
	struct zn_arena arena;
	struct zn_machine machine;
	struct zn_numa *numas; size_t n_numas;
	struct zn_cpu *cpus; size_t n_cpus;
	struct zn_pci_gpu *gpus; size_t n_gpus;       /* in PCI order */
	struct zn_nic *nics; size_t n_nics;
	struct zn_nvme *nvmes; size_t n_nvmes;
	struct zn_pci_nvlink *nvlinks; size_t n_nvlinks;
	/* PCI distance between any two devices above: "PIX", ...; see zn_topo_pci_path. */
	struct zn_pci_tree *tree;
};

struct zn_topo_opts {
	const char *from;   /* hwloc XML file, or a directory with an extracted sysfs dump; NULL: this machine */
	const char *mock;   /* "8", "4:h100": a believable machine of N GPUs over this machine's real CPUs
	                     * and memory, split over two mock NUMA nodes; NULL: none */
};

/* -EINVAL for a mock that is none, -EBADMSG for a file or directory that is no machine; -errno.
 * hwloc is steered by environment variables, which are set and put back here: call it before a second
 * thread starts, or where no other thread asks for the environment.
 */
int zn_topo_read(const struct zn_topo_opts *opts, struct zn_topo **ret, struct zn_err *err);
/* CPUs and NUMA nodes of this machine alone, straight from the kernel's files in a fraction of a
 * millisecond: no devices, sizes or distances.  only (may be NULL): the CPUs whose cores matter; every
 * other one counts as a core of its own.
 */
int zn_topo_read_cpus(const struct zn_idset *only, struct zn_topo **ret, struct zn_err *err);
void zn_topo_free(struct zn_topo *t);
/* The class of the path between two PCI functions ("PIX", "PXB", "PHB", "NODE", "SYS"); NULL when t does
 * not know one of them.
 *
 *   PIX   at most one PCIe switch         NODE  two host bridges of one NUMA node
 *   PXB   several PCIe switches           SYS   two NUMA nodes, or not known to be one
 *   PHB   one host bridge
 */
const char *zn_topo_pci_path(const struct zn_topo *t, const char *pci_a, const char *pci_b);

#endif
