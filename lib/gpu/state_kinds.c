#include "gpu/state.h"

static const struct zn_field holder_fields[] = {
	ZN_FIELD(struct zn_gpu_holder, pid, U32, "PID", "process"),
	ZN_FIELD(struct zn_gpu_holder, job, OU64, "JOB", "job that it belongs to"),
	ZN_FIELD(struct zn_gpu_holder, mem_bytes, OBYTES, "MEM", "GPU memory that it holds"),
	ZN_FIELD(struct zn_gpu_holder, user, STR, "USER", "whose it is"),
	ZN_FIELD(struct zn_gpu_holder, command, STR, "COMMAND", "what it runs"),
	{ 0 },
};

static const struct zn_kind holder_kind = {
	NULL, "a process that uses the GPU", holder_fields, sizeof(struct zn_gpu_holder), NULL,
};

static const struct zn_field part_fields[] = {
	ZN_FIELD(struct zn_gpu_part, part, U32, "PART", "the driver's number of the MIG instance"),
	ZN_FIELD(struct zn_gpu_part, uuid, STR, "UUID", "its lasting name"),
	ZN_FIELD(struct zn_gpu_part, name, STR, "NAME", "product and size"),
	ZN_FIELD(struct zn_gpu_part, mem_bytes, OBYTES, "MEM", "memory"),
	ZN_FIELD(struct zn_gpu_part, mem_used_bytes, OBYTES, "USED", "memory in use"),
	{ 0 },
};

static const struct zn_kind part_kind = {
	NULL, "a MIG instance", part_fields, sizeof(struct zn_gpu_part), NULL,
};

#define S struct zn_gpu_state
#define NOW(member, type, head, text) ZN_FIELD_AS(S, now.member, #member, type, head, text)

/* What changes. */
#define FIGURES \
	NOW(kernel_active_pct, OF64, "ACTIVE%", "share of the time in which some kernel ran, on however little of the device"), \
	NOW(sm_pct, OF64, "SM%", "activity of its multiprocessors"), \
	NOW(tensor_pct, OF64, "TENSOR%", "activity of its tensor cores"), \
	NOW(dram_pct, OF64, "DRAM%", "memory bandwidth in use"), \
	NOW(mem_active_pct, OF64, "MEM%", "share of the time in which memory was read or written"), \
	NOW(mem_used_bytes, OBYTES, "USED", "memory in use; an old driver counts its own share too"), \
	NOW(power_w, OF64, "WATT", "power that it draws"), \
	NOW(power_limit_w, OF64, "LIMIT", "power that it may draw"), \
	NOW(temperature_c, OU64, "TEMP", "temperature, Celsius"), \
	NOW(temperature_slowdown_c, OU64, "TEMPMAX", "temperature from which on it slows down"), \
	NOW(fan_pct, OU64, "FAN%", "speed of its fan"), \
	NOW(clock_mhz, OU64, "MHZ", "clock of its multiprocessors"), \
	NOW(clock_max_mhz, OU64, "MHZMAX", "the most that this can be"), \
	NOW(mem_clock_mhz, OU64, "MEMMHZ", "clock of its memory"), \
	NOW(throttle_reasons, STRS, "THROTTLED", "why the clock is not higher, in the words of nvidia-smi"), \
	NOW(ecc, OBOOL, "ECC", "memory errors are found and corrected"), \
	NOW(ecc_corrected, OU64, "ECCOK", "memory errors corrected since the driver was loaded"), \
	NOW(ecc_uncorrected, OU64, "ECCBAD", "those that could not be corrected"), \
	NOW(repair_pending, OBOOL, "REPAIR", "a part of the memory is replaced at the next reset"), \
	NOW(repair_failed, OBOOL, "REPAIRFAILED", "a part of the memory could not be replaced"), \
	NOW(pcie_gen_now, OU64, "PCIENOW", "PCIe generation that the link runs with; lower while idle"), \
	NOW(pcie_width_now, OU64, "LANESNOW", "PCIe lanes that the link runs with"), \
	NOW(pcie_rx_bytes_s, OBYTES, "PCIERX", "bytes a second that come over PCIe"), \
	NOW(pcie_tx_bytes_s, OBYTES, "PCIETX", "bytes a second that go over PCIe"), \
	NOW(nvlink_rx_bytes_s, OBYTES, "NVLINKRX", "bytes a second that come over NVLink"), \
	NOW(nvlink_tx_bytes_s, OBYTES, "NVLINKTX", "bytes a second that go over NVLink"), \
	ZN_FIELD(S, held_by, STRS, "HELD BY", "who uses it: each user once, with the jobs"), \
	{ .key = "users", .type = ZN_T_SUBS, .at = offsetof(S, holders), .sub = &holder_kind, .heading = "USERS", \
	  .help = "processes that use it" }

static const struct zn_field now_fields[] = {
	ZN_FIELD_AS(S, gpu.gpu, "gpu", U32, "GPU", "index in PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts"),
	ZN_FIELD_AS(S, gpu.uuid, "uuid", STR, "UUID", "the driver's lasting name of the device"),
	ZN_FIELD_AS(S, gpu.name, "name", STR, "NAME", "product"),
	ZN_FIELD_AS(S, gpu.vendor, "vendor", STR, "VENDOR", "who made it"),
	ZN_FIELD_AS(S, gpu.pci, "pci", STR, "PCI", "PCI address"),
	ZN_FIELD_AS(S, gpu.numa, "numa", OU64, "NUMA", "NUMA node it hangs from"),
	ZN_FIELD_AS(S, gpu.cpus, "cpus", STR, "CPUS", "list of the CPUs next to it"),
	ZN_FIELD_AS(S, gpu.driver, "driver", STR, "DRIVER", "which driver answered, and its version"),
	ZN_FIELD_AS(S, gpu.devices, "devices", STRS, "DEVICES", "device files that open it and nothing else"),
	ZN_FIELD_AS(S, gpu.mem_bytes, "mem_bytes", OBYTES, "MEM", "memory"),
	ZN_FIELD_AS(S, gpu.pcie_gen, "pcie_gen", OU64, "PCIE", "PCIe generation that it can do at most"),
	ZN_FIELD_AS(S, gpu.pcie_width, "pcie_width", OU64, "LANES", "PCIe lanes that it can use at most"),
	ZN_FIELD_AS(S, gpu.nvlinks, "nvlinks", OU64, "NVLINKS", "NVLinks that are up"),
	NOW(nvlinks_of, OU64, "OF", "NVLinks that it has"),
	NOW(mig, OBOOL, "MIG", "divided into MIG instances"),
	{ .key = "parts", .type = ZN_T_SUBS, .at = offsetof(S, now.parts), .sub = &part_kind, .heading = "PARTS",
	  .help = "its MIG instances" },
	NOW(lost, STR, "LOST", "why the driver does not answer for it any more"),
	FIGURES,
	{ 0 },
};

const struct zn_kind zn_gpu_now_kind = {
	"gpu", "an accelerator and what it does now", now_fields, sizeof(S),
	"gpu,name,kernel_active_pct,mem_used_bytes,mem_bytes,power_w,temperature_c,held_by",
};

static const struct zn_field sample_fields[] = {
	NOW(time_s, TIME, "TIME", "when"),
	NOW(gpu, U32, "GPU", "index in PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts"),
	NOW(uuid, STR, "UUID", "the driver's lasting name of the device"),
	FIGURES,
	{ 0 },
};

const struct zn_kind zn_gpu_sample_kind = {
	"sample", "what an accelerator does at one moment", sample_fields, sizeof(S),
	"time_s,gpu,kernel_active_pct,mem_used_bytes,power_w,temperature_c,held_by",
};

static const struct zn_field event_fields[] = {
	ZN_FIELD(struct zn_gpu_event, time_s, TIME, "TIME", "when"),
	ZN_FIELD(struct zn_gpu_event, event, STR, "EVENT", "lost, or back"),
	ZN_FIELD(struct zn_gpu_event, gpu, U32, "GPU", "index in PCI order"),
	ZN_FIELD(struct zn_gpu_event, uuid, STR, "UUID", "the driver's lasting name of the device"),
	ZN_FIELD(struct zn_gpu_event, pci, STR, "PCI", "PCI address"),
	ZN_FIELD(struct zn_gpu_event, reason, STR, "REASON", "what the driver says"),
	{ 0 },
};

const struct zn_kind zn_gpu_event_kind = {
	"gpu_event", "an accelerator was lost, or is back", event_fields, sizeof(struct zn_gpu_event), NULL,
};
