/* A driver library that tests steer by their environment:
 *
 *   FAKE_NVML_GPUS   how many GPUs there are (default 2)
 *   FAKE_NVML_PCI    their addresses, comma-separated, in the library's own order
 *   FAKE_NVML_MINORS the numbers of their device files, comma-separated; none unless set
 *   FAKE_NVML_FAIL   calls that fail, comma-separated
 *   FAKE_NVML_LATE   a file: while it is not there, no GPU has a UUID
 *   FAKE_NVML_LINKS  "switch": 18 links each to switches; "pair": two from each even GPU to the next
 *   FAKE_NVML_PID    a process that computes and draws on GPU 0, or a file that has its number, if it is there
 *   FAKE_NVML_PROCS  so many processes more on GPU 0
 *   FAKE_NVML_SET    figures other than the usual ones, comma-separated: "power=90000,temperature.1=91" (of GPU 1 alone,
 *                    in the library's own order); "fan=-" is not supported
 *   FAKE_NVML_LOST   a file: while it is there, the GPU with the number in it is lost
 *   FAKE_NVML_LOST_ONCE  the same, taken away when the first MIG mode was asked for
 *   FAKE_NVML_GONE   a file: while it is there, the driver counts one GPU less: the last is gone from it
 *   FAKE_NVML_DEAD   a file: while it is there, no figure is told of any GPU
 *   FAKE_NVML_OPENED a file that gets the number of each process that opens the driver, each time
 *   FAKE_NVML_WAIT   a FIFO: while it is there, nothing is answered until something was written to it
 *
 * With OLD defined it lacks what the first libraries lacked.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct pci {
	char legacy[16];
	unsigned domain, bus, device, device_id, subsystem_id;
	char bus_id[32];
};
struct memory {
	unsigned long long total, free, used;
};
struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};
typedef struct fake {
	unsigned index;
} *dev;

static struct fake fakes[16];

static const char *env(const char *name, const char *or_else)
{
	const char *text = getenv(name);
	return text && *text ? text : or_else;
}

static unsigned count(void)
{
	return (unsigned)strtoul(env("FAKE_NVML_GPUS", "2"), NULL, 10);
}

/* 999 is NVML_ERROR_UNKNOWN. */
static int fails(const char *call)
{
	const char *list = access(env("FAKE_NVML_DEAD", ""), F_OK) ? env("FAKE_NVML_FAIL", "") : call;
	size_t n = strlen(call);

	for (const char *at = strstr(list, call); at; at = strstr(at + 1, call))
		if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
			return 999;
	return 0;
}

static void address(unsigned index, struct pci *to)
{
	const char *at = env("FAKE_NVML_PCI", "0000:22:00.0,0000:18:00.0");

	memset(to, 0, sizeof(*to));
	for (unsigned i = 0; i < index && at; i++)
		at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
	if (!at || sscanf(at, "%x:%x:%x", &to->domain, &to->bus, &to->device) != 3)
		to->bus = 0xe0 + index;
	snprintf(to->bus_id, sizeof(to->bus_id), "%08X:%02X:%02X.0", to->domain, to->bus, to->device);
}

#ifndef OLD
/* The figure of that name; -1: not supported. */
static long long figure(const char *name, dev d, long long usual)
{
	size_t n = strlen(name);

	for (const char *at = getenv("FAKE_NVML_SET"); at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		const char *value = at + n;
		unsigned index = d->index;
		if (strncmp(at, name, n))
			continue;
		if (*value == '.')
			index = (unsigned)strtoul(value + 1, (char **)&value, 10);
		if (*value == '=' && index == d->index)
			return value[1] == '-' ? -1 : strtoll(value + 1, NULL, 0);
	}
	return usual;
}

#endif

/* 15 is NVML_ERROR_GPU_IS_LOST. */
static int is_lost(dev d)
{
	FILE *f = fopen(env("FAKE_NVML_LOST", env("FAKE_NVML_LOST_ONCE", "")), "r");
	unsigned index;
	int lost = f && fscanf(f, "%u", &index) == 1 && index == d->index;

	if (f)
		fclose(f);
	return lost ? 15 : 0;
}

#define FAIL_IF_ASKED() \
	do { \
		if (fails(__func__)) \
			return 999; \
	} while (0)

int nvmlInit_v2(void);
int nvmlInit_v2(void)
{
	FILE *opened = fopen(env("FAKE_NVML_OPENED", "/dev/null"), "a");

	FAIL_IF_ASKED();
	if (opened) {
		fprintf(opened, "%d\n", (int)getpid());
		fclose(opened);
	}
	return 0;
}

int nvmlShutdown(void);
int nvmlShutdown(void)
{
	return 0;
}

const char *nvmlErrorString(int rc);
const char *nvmlErrorString(int rc)
{
	return rc == 999 ? "Unknown Error" : rc == 15 ? "GPU is lost" : "Success";
}

int nvmlSystemGetDriverVersion(char *to, unsigned size);
int nvmlSystemGetDriverVersion(char *to, unsigned size)
{
	FAIL_IF_ASKED();
	snprintf(to, size, "550.54.15");
	return 0;
}

int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetCount_v2(unsigned *n)
{
	int fd = open(env("FAKE_NVML_WAIT", ""), O_RDONLY);
	char byte;

	FAIL_IF_ASKED();
	int rc = fd < 0 || read(fd, &byte, 1) == 1 ? 0 : 999;
	if (fd >= 0)
		close(fd);
	*n = count() - (access(env("FAKE_NVML_GONE", ""), F_OK) == 0);
	return rc;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, dev *to);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, dev *to)
{
	FAIL_IF_ASKED();
	fakes[index].index = index;
	*to = &fakes[index];
	return 0;
}

#ifdef OLD
/* The layout that ends before the second bus id. */
int nvmlDeviceGetPciInfo_v2(dev d, void *to);
int nvmlDeviceGetPciInfo_v2(dev d, void *to)
{
	struct pci pci;
	address(d->index, &pci);
	memcpy(to, &pci, offsetof(struct pci, bus_id));
	return 0;
}
#else
int nvmlDeviceGetPciInfo_v3(dev d, struct pci *to);
int nvmlDeviceGetPciInfo_v3(dev d, struct pci *to)
{
	FAIL_IF_ASKED();
	address(d->index, to);
	return 0;
}
#endif

int nvmlDeviceGetUUID(dev d, char *to, unsigned size);
int nvmlDeviceGetUUID(dev d, char *to, unsigned size)
{
	struct pci pci;

	FAIL_IF_ASKED();
	if (access(env("FAKE_NVML_LATE", "/"), F_OK) < 0)
		return 999;
	address(d->index, &pci);
	snprintf(to, size, "GPU-fake-%02x", pci.bus);
	return 0;
}

int nvmlDeviceGetName(dev d, char *to, unsigned size);
int nvmlDeviceGetName(dev d, char *to, unsigned size)
{
	FAIL_IF_ASKED();
	(void)d;
	snprintf(to, size, "NVIDIA Fake 80GB");
	return 0;
}

int nvmlDeviceGetMemoryInfo(dev d, struct memory *to);
int nvmlDeviceGetMemoryInfo(dev d, struct memory *to)
{
	FAIL_IF_ASKED();
	if (is_lost(d))
		return 15;
	*to = (struct memory){ .total = 80ULL << 30, .free = 79ULL << 30, .used = 1ULL << 30 };
	return 0;
}

int nvmlDeviceGetMinorNumber(dev d, unsigned *to);
int nvmlDeviceGetMinorNumber(dev d, unsigned *to)
{
	const char *at = env("FAKE_NVML_MINORS", "");

	FAIL_IF_ASKED();
	for (unsigned i = 0; i < d->index && at; i++)
		at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
	return at && sscanf(at, "%u", to) == 1 ? 0 : 3; /* NVML_ERROR_NOT_SUPPORTED */
}

#ifndef OLD
int nvmlDeviceGetMaxPcieLinkGeneration(dev d, unsigned *to);
int nvmlDeviceGetMaxPcieLinkGeneration(dev d, unsigned *to)
{
	FAIL_IF_ASKED();
	(void)d;
	*to = 5;
	return 0;
}

struct memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo_v2(dev d, struct memory_v2 *to);
int nvmlDeviceGetMemoryInfo_v2(dev d, struct memory_v2 *to)
{
	FAIL_IF_ASKED();
	if (is_lost(d))
		return 15;
	if (to->version != (2u << 24 | sizeof(*to)))
		return 25; /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH */
	to->total = 80ULL << 30;
	to->reserved = 600ULL << 20;
	to->used = (unsigned long long)figure("used_mib", d, 424) << 20;
	to->free = to->total - to->reserved - to->used;
	return 0;
}

int nvmlDeviceGetMaxPcieLinkWidth(dev d, unsigned *to);
int nvmlDeviceGetMaxPcieLinkWidth(dev d, unsigned *to)
{
	FAIL_IF_ASKED();
	(void)d;
	*to = 16;
	return 0;
}

static int has_link(const char *kind, dev d, unsigned link)
{
	if (!strcmp(kind, "switch"))
		return link < 18;
	return !strcmp(kind, "pair") && link < 2 && (d->index | 1) < count();
}

int nvmlDeviceGetNvLinkState(dev d, unsigned link, unsigned *to);
int nvmlDeviceGetNvLinkState(dev d, unsigned link, unsigned *to)
{
	const char *kind = env("FAKE_NVML_LINKS", "");

	FAIL_IF_ASKED();
	if (!*kind || link >= 18)
		return 3;
	*to = (unsigned)has_link(kind, d, link) && link != (unsigned)figure("link_down", d, 99);
	return 0;
}

int nvmlDeviceGetNvLinkVersion(dev d, unsigned link, unsigned *to);
int nvmlDeviceGetNvLinkVersion(dev d, unsigned link, unsigned *to)
{
	FAIL_IF_ASKED();
	(void)d;
	(void)link;
	*to = 4;
	return 0;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(dev d, unsigned link, unsigned *to);
int nvmlDeviceGetNvLinkRemoteDeviceType(dev d, unsigned link, unsigned *to)
{
	FAIL_IF_ASKED();
	(void)d;
	(void)link;
	*to = !strcmp(env("FAKE_NVML_LINKS", ""), "switch") ? 2 : 0;
	return 0;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(dev d, unsigned link, struct pci *to);
int nvmlDeviceGetNvLinkRemotePciInfo_v2(dev d, unsigned link, struct pci *to)
{
	FAIL_IF_ASKED();
	(void)link;
	address(d->index ^ 1, to);
	return 0;
}

static unsigned holder(void)
{
	const char *who = env("FAKE_NVML_PID", "0");
	FILE *f = *who == '/' ? fopen(who, "r") : NULL;
	unsigned pid = (unsigned)strtoul(who, NULL, 10);

	if (f && fscanf(f, "%u", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static int processes(dev d, unsigned *n, struct process *to)
{
	unsigned pid = holder();
	unsigned more = (unsigned)strtoul(env("FAKE_NVML_PROCS", "0"), NULL, 10);
	unsigned all = d->index || !pid ? 0 : 1 + more, room = *n;

	*n = all;
	if (all > room)
		return 7;
	for (unsigned i = 0; i < all; i++)
		to[i] = (struct process){ .pid = i ? 4000000 + i : pid, .used = i ? ~0ULL : 512ULL << 20 };
	return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(dev d, unsigned *n, struct process *to);
int nvmlDeviceGetComputeRunningProcesses_v3(dev d, unsigned *n, struct process *to)
{
	FAIL_IF_ASKED();
	return processes(d, n, to);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(dev d, unsigned *n, struct process *to);
int nvmlDeviceGetGraphicsRunningProcesses_v3(dev d, unsigned *n, struct process *to)
{
	FAIL_IF_ASKED();
	if (*n > 1)
		return processes(d, n, to);
	return 7;
}

/* ---- figures ------------------------------------------------------------------------------------ */

static int tell(const char *call, dev d, const char *name, long long usual, long long *to)
{
	int rc = fails(call);

	*to = figure(name, d, usual);
	if (!rc)
		rc = is_lost(d);
	return rc ? rc : *to < 0 ? 3 : 0;
}

/* A call that gives one number. */
#define ONE(call, name, usual) \
	int call(dev d, unsigned *to); \
	int call(dev d, unsigned *to) \
	{ \
		long long v; \
		int rc = tell(__func__, d, name, usual, &v); \
		*to = (unsigned)v; \
		return rc; \
	}

ONE(nvmlDeviceGetPowerUsage, "power", 312456)
ONE(nvmlDeviceGetEnforcedPowerLimit, "power_limit", 700000)
ONE(nvmlDeviceGetFanSpeed, "fan", -1)
ONE(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen", 5)
ONE(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width", 16)
ONE(nvmlDeviceGetRetiredPagesPendingStatus, "retired", -1)
ONE(nvmlDeviceGetMaxMigDeviceCount, "mig_max", 7)

struct utilization {
	unsigned gpu, memory;
};

int nvmlDeviceGetUtilizationRates(dev d, struct utilization *to);
int nvmlDeviceGetUtilizationRates(dev d, struct utilization *to)
{
	long long active, memory;
	int rc = tell(__func__, d, "active", 97, &active);

	tell(__func__, d, "mem_active", 41, &memory);
	*to = (struct utilization){ (unsigned)active, (unsigned)memory };
	return rc;
}

/* A call that gives one number for each of two things. */
#define TWO(call, number, first, usual_first, other, usual_other) \
	int call(dev d, int which, unsigned *to); \
	int call(dev d, int which, unsigned *to) \
	{ \
		long long v; \
		int rc = tell(__func__, d, which == (number) ? first : other, which == (number) ? (usual_first) : (usual_other), &v); \
		*to = (unsigned)v; \
		return rc; \
	}

TWO(nvmlDeviceGetClockInfo, 1, "clock", 1980, "mem_clock", 2619)
TWO(nvmlDeviceGetMaxClockInfo, 1, "clock_max", 1980, "mem_clock_max", 2619)
TWO(nvmlDeviceGetTemperatureThreshold, 1, "slowdown", 95, "shutdown", 100)
TWO(nvmlDeviceGetPcieThroughput, 1, "pcie_rx", 3000000, "pcie_tx", 1000000)

int nvmlDeviceGetTemperature(dev d, int sensor, unsigned *to);
int nvmlDeviceGetTemperature(dev d, int sensor, unsigned *to)
{
	long long v;
	int rc = tell(__func__, d, "temperature", 61, &v);

	*to = (unsigned)v;
	return sensor ? 2 : rc;
}

/* The older name of two. */
int nvmlDeviceGetCurrentClocksThrottleReasons(dev d, unsigned long long *to);
int nvmlDeviceGetCurrentClocksThrottleReasons(dev d, unsigned long long *to)
{
	long long v;
	int rc = tell(__func__, d, "throttle", 0, &v);

	*to = (unsigned long long)v;
	return rc;
}

int nvmlDeviceGetEccMode(dev d, unsigned *now, unsigned *next);
int nvmlDeviceGetEccMode(dev d, unsigned *now, unsigned *next)
{
	long long v;
	int rc = tell(__func__, d, "ecc", 1, &v);

	*now = *next = (unsigned)v;
	return rc;
}

int nvmlDeviceGetTotalEccErrors(dev d, int type, int counter, unsigned long long *to);
int nvmlDeviceGetTotalEccErrors(dev d, int type, int counter, unsigned long long *to)
{
	long long v;
	int rc = tell(__func__, d, type ? "uncorrected" : "corrected", type ? 0 : 3, &v);

	*to = (unsigned long long)v;
	return counter ? 2 : rc; /* since the driver was loaded is 0 */
}

int nvmlDeviceGetRemappedRows(dev d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed);
int nvmlDeviceGetRemappedRows(dev d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
	long long p, f;
	int rc = tell(__func__, d, "pending", 0, &p);

	tell(__func__, d, "failed", 0, &f);
	*corrected = *uncorrected = 0;
	*pending = (unsigned)p;
	*failed = (unsigned)f;
	return rc;
}

struct field_value {
	unsigned field, scope;
	long long timestamp, latency;
	unsigned type;
	int rc;
	unsigned long long value;
};

/* Both NVLink counters, in KiB: one grows by a GiB a second, the other by twice that. */
int nvmlDeviceGetFieldValues(dev d, int n, struct field_value *v);
int nvmlDeviceGetFieldValues(dev d, int n, struct field_value *v)
{
	struct timespec now;

	FAIL_IF_ASKED();
	if (is_lost(d))
		return 15;
	clock_gettime(CLOCK_BOOTTIME, &now);
	for (int i = 0; i < n; i++) {
		v[i].rc = (v[i].field == 138 || v[i].field == 139) && v[i].scope == ~0u ? 0 : 3;
		v[i].type = 3; /* unsigned long long */
		v[i].value = (unsigned long long)(((double)now.tv_sec + (double)now.tv_nsec / 1e9) * (1 << 20) * (v[i].field - 137));
	}
	return 0;
}

/* ---- MIG ------------------------------------------------------------------------------------------- */

int nvmlDeviceGetMigMode(dev d, unsigned *now, unsigned *next);
int nvmlDeviceGetMigMode(dev d, unsigned *now, unsigned *next)
{
	long long v;
	int rc = tell(__func__, d, "mig", 0, &v);

	unlink(env("FAKE_NVML_LOST_ONCE", ""));
	*now = *next = v > 0;
	return rc;
}

/* As many as the figure "mig", from the second place on. */
int nvmlDeviceGetMigDeviceHandleByIndex(dev d, unsigned index, dev *to);
int nvmlDeviceGetMigDeviceHandleByIndex(dev d, unsigned index, dev *to)
{
	FAIL_IF_ASKED();
	if (!index || index > (unsigned)figure("mig", d, 0))
		return 6; /* NVML_ERROR_NOT_FOUND */
	fakes[8 + index].index = 8 + index;
	*to = &fakes[8 + index];
	return 0;
}

/* ---- GPM: only where the figure "gpm" is set ---------------------------------------------------------- */

struct gpm_support {
	unsigned version, is_supported;
};
struct gpm_sample {
	struct timespec at;
	dev of;
};
struct gpm_metric {
	unsigned id;
	int rc;
	double value;
	char *names[3];
};
struct gpm_get {
	unsigned version, n;
	struct gpm_sample *from, *to;
	struct gpm_metric v[333];
};

int nvmlGpmQueryDeviceSupport(dev d, struct gpm_support *to);
int nvmlGpmQueryDeviceSupport(dev d, struct gpm_support *to)
{
	FAIL_IF_ASKED();
	if (to->version != 1)
		return 25;
	to->is_supported = figure("gpm", d, 0) > 0;
	return 0;
}

int nvmlGpmSampleAlloc(struct gpm_sample **to);
int nvmlGpmSampleAlloc(struct gpm_sample **to)
{
	FAIL_IF_ASKED();
	*to = calloc(1, sizeof(**to));
	return *to ? 0 : 20;
}

int nvmlGpmSampleFree(struct gpm_sample *s);
int nvmlGpmSampleFree(struct gpm_sample *s)
{
	free(s);
	return 0;
}

int nvmlGpmSampleGet(dev d, struct gpm_sample *to);
int nvmlGpmSampleGet(dev d, struct gpm_sample *to)
{
	FAIL_IF_ASKED();
	clock_gettime(CLOCK_BOOTTIME, &to->at);
	to->of = d;
	return is_lost(d);
}

static double gpm_value(dev d, unsigned id)
{
	static const struct {
		unsigned id;
		const char *name;
		double unit;
		long long usual;
	} known[] = {
		{ 2, "sm", 1000, 83456 }, { 5, "tensor", 1000, 42000 }, { 10, "dram", 1000, 60500 },
		{ 20, "gpm_tx", 1, 100 }, { 21, "gpm_rx", 1, 200 }, { 60, "gpm_nvrx", 1, 3000 }, { 61, "gpm_nvtx", 1, 4000 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].id == id)
			return (double)figure(known[i].name, d, known[i].usual) / known[i].unit;
	return -1;
}

int nvmlGpmMetricsGet(struct gpm_get *g);
int nvmlGpmMetricsGet(struct gpm_get *g)
{
	FAIL_IF_ASKED();
	if (g->version != 1)
		return 25;
	if (!g->from->of || g->from->of != g->to->of)
		return 2; /* NVML_ERROR_INVALID_ARGUMENT */
	for (unsigned i = 0; i < g->n; i++) {
		g->v[i].value = gpm_value(g->to->of, g->v[i].id);
		g->v[i].rc = g->v[i].value < 0 ? 3 : 0;
	}
	return 0;
}
#endif
