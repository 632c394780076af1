#include "topo/topo.h"

static const struct zn_field machine_fields[] = {
	ZN_FIELD(struct zn_machine, hostname, STR, "HOST", "name of the machine"),
	ZN_FIELD(struct zn_machine, product, STR, "PRODUCT", "what the firmware calls it"),
	ZN_FIELD(struct zn_machine, arch, STR, "ARCH", "instruction set"),
	ZN_FIELD(struct zn_machine, kernel, STR, "KERNEL", "release of the kernel"),
	ZN_FIELD(struct zn_machine, sockets, U32, "SOCKETS", "processor packages"),
	ZN_FIELD(struct zn_machine, numas, U32, "NUMA", "NUMA nodes"),
	ZN_FIELD(struct zn_machine, cores, U32, "CORES", "physical cores"),
	ZN_FIELD(struct zn_machine, cpus, U32, "CPUS", "hardware threads, those that this process may not use too"),
	ZN_FIELD(struct zn_machine, gpus, U32, "GPUS", "accelerators"),
	ZN_FIELD(struct zn_machine, nics, U32, "NICS", "network devices on the PCI bus"),
	ZN_FIELD(struct zn_machine, nvmes, U32, "NVMES", "NVMe drives"),
	ZN_FIELD(struct zn_machine, mem_bytes, BYTES, "MEM", "memory of the machine"),
	ZN_FIELD(struct zn_machine, mock, BOOL, "MOCK", "made up, asked for by --mock or ZENITH_MOCK_GPUS"),
	{ 0 },
};

static const struct zn_field numa_fields[] = {
	ZN_FIELD(struct zn_numa, numa, U32, "NUMA", "the operating system's number of the node"),
	ZN_FIELD(struct zn_numa, cpus, STR, "CPUS", "list of its CPUs; empty for a node with memory only"),
	ZN_FIELD(struct zn_numa, mem_bytes, BYTES, "MEM", "memory of the node"),
	ZN_FIELD(struct zn_numa, free_bytes, OBYTES, "FREE", "memory that nobody uses now"),
	ZN_FIELD(struct zn_numa, huge_2m, OU64, "HUGE2M", "huge pages of 2 MiB"),
	ZN_FIELD(struct zn_numa, huge_2m_free, OU64, "", "those of 2 MiB that are free"),
	ZN_FIELD(struct zn_numa, huge_1g, OU64, "HUGE1G", "huge pages of 1 GiB"),
	ZN_FIELD(struct zn_numa, huge_1g_free, OU64, "", "those of 1 GiB that are free"),
	ZN_FIELD(struct zn_numa, distances, U32S, "DISTANCES",
	         "to each node in the order of the records, as the firmware says; 10 is itself"),
	{ 0 },
};

static const struct zn_field cpu_fields[] = {
	ZN_FIELD(struct zn_cpu, cpu, U32, "CPU", "the kernel's number of this hardware thread"),
	ZN_FIELD(struct zn_cpu, socket, U32, "SOCKET", "package, counted from 0"),
	ZN_FIELD(struct zn_cpu, core, U32, "CORE", "physical core, counted from 0 over the whole machine"),
	ZN_FIELD(struct zn_cpu, thread, U32, "THREAD", "which thread of its core, counted from 0"),
	ZN_FIELD(struct zn_cpu, numa, OU64, "NUMA", "its NUMA node"),
	ZN_FIELD(struct zn_cpu, allowed, BOOL, "ALLOWED", "this process may use it (affinity and cgroup)"),
	{ 0 },
};

static const struct zn_field nic_fields[] = {
	ZN_FIELD(struct zn_nic, nic, STR, "NIC", "RDMA device, else network interface, else PCI address"),
	ZN_FIELD(struct zn_nic, netdev, STR, "NETDEV", "network interface of an RDMA device"),
	ZN_FIELD(struct zn_nic, pci, STR, "PCI", "PCI address"),
	ZN_FIELD(struct zn_nic, numa, OU64, "NUMA", "NUMA node it hangs from"),
	ZN_FIELD(struct zn_nic, cpus, STR, "CPUS", "list of the CPUs next to it"),
	ZN_FIELD(struct zn_nic, layer, STR, "LAYER", "InfiniBand or Ethernet (with rdma: RoCE)"),
	ZN_FIELD(struct zn_nic, rdma, OBOOL, "RDMA", "it is an RDMA device"),
	ZN_FIELD(struct zn_nic, state, STR, "STATE", "of the link: up, down, init, armed"),
	ZN_FIELD(struct zn_nic, link_gbps, OF64, "GBPS", "speed of the link, gigabits a second"),
	ZN_FIELD(struct zn_nic, address, STR, "ADDRESS", "MAC address or GUID of the port"),
	{ 0 },
};

static const struct zn_field nvme_fields[] = {
	ZN_FIELD(struct zn_nvme, nvme, STR, "NVME", "block device"),
	ZN_FIELD(struct zn_nvme, pci, STR, "PCI", "PCI address"),
	ZN_FIELD(struct zn_nvme, model, STR, "MODEL", "what the drive calls itself"),
	ZN_FIELD(struct zn_nvme, numa, OU64, "NUMA", "NUMA node it hangs from"),
	ZN_FIELD(struct zn_nvme, cpus, STR, "CPUS", "list of the CPUs next to it"),
	ZN_FIELD(struct zn_nvme, size_bytes, OBYTES, "SIZE", "size of the block device"),
	{ 0 },
};

static const struct zn_field link_fields[] = {
	ZN_FIELD(struct zn_link, a, STR, "A", "one device"),
	ZN_FIELD(struct zn_link, b, STR, "B", "the other one"),
	ZN_FIELD(struct zn_link, type, STR, "TYPE", "NV4 (four NVLinks), PIX, PXB, PHB, NODE or SYS"),
	ZN_FIELD(struct zn_link, link_gbps, OF64, "GBPS", "one direction, gigabits a second, where known"),
	{ 0 },
};

const struct zn_kind zn_machine_kind = {
	"machine", "this machine, in one line", machine_fields, sizeof(struct zn_machine),
	"hostname,product,sockets,numas,cores,cpus,mem_bytes,gpus,nics,nvmes",
};
const struct zn_kind zn_numa_kind = {
	"numa", "a NUMA node", numa_fields, sizeof(struct zn_numa), NULL,
};
const struct zn_kind zn_cpu_kind = {
	"cpu", "a hardware thread", cpu_fields, sizeof(struct zn_cpu), NULL,
};
const struct zn_kind zn_nic_kind = {
	"nic", "a network device", nic_fields, sizeof(struct zn_nic),
	"nic,netdev,pci,numa,cpus,layer,state,link_gbps",
};
const struct zn_kind zn_nvme_kind = {
	"nvme", "an NVMe drive", nvme_fields, sizeof(struct zn_nvme), NULL,
};
const struct zn_kind zn_link_kind = {
	"link", "how two devices reach each other", link_fields, sizeof(struct zn_link), NULL,
};
