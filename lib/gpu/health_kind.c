#include "gpu/health.h"

static const struct zn_field finding_fields[] = {
	ZN_FIELD(struct zn_gpu_finding, level, STR, "LEVEL", "warn or bad"),
	ZN_FIELD(struct zn_gpu_finding, what, STR, "WHAT", "one sentence"),
	ZN_FIELD(struct zn_gpu_finding, mend, STR, "MEND", "what to do about it"),
	{ 0 },
};

static const struct zn_kind finding_kind = {
	NULL, "something that is wrong", finding_fields, sizeof(struct zn_gpu_finding), NULL,
};

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_gpu_health, time_s, TIME, "TIME", "when"),
	ZN_FIELD(struct zn_gpu_health, gpu, U32, "GPU", "index in PCI order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts"),
	ZN_FIELD(struct zn_gpu_health, uuid, STR, "UUID", "the driver's lasting name of the device"),
	ZN_FIELD(struct zn_gpu_health, name, STR, "NAME", "product"),
	ZN_FIELD(struct zn_gpu_health, pci, STR, "PCI", "PCI address"),
	ZN_FIELD(struct zn_gpu_health, level, STR, "LEVEL", "ok, warn or bad: the worst of its findings"),
	ZN_FIELD(struct zn_gpu_health, what, STR, "WHAT", "all findings, the worst first"),
	ZN_FIELD(struct zn_gpu_health, mend, STR, "MEND", "what to do about the first"),
	ZN_FIELD_SUB(struct zn_gpu_health, findings, SUBS, &finding_kind, "FINDINGS", "what is wrong, one by one"),
	{ 0 },
};

const struct zn_kind zn_gpu_health_kind = {
	"health", "whether a GPU is fit for work", fields, sizeof(struct zn_gpu_health), "gpu,level,mend,what",
};
