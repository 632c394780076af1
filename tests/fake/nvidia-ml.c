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
	const char *list = env("FAKE_NVML_FAIL", "");
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
	return rc == 999 ? "Unknown Error" : "Success";
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
	*n = count();
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
	(void)d;
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
	(void)d;
	if (to->version != (2u << 24 | sizeof(*to)))
		return 25; /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH */
	to->total = 80ULL << 30;
	to->reserved = 600ULL << 20;
	to->used = 424ULL << 20;
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
	*to = (unsigned)has_link(kind, d, link);
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
#endif
