/* nvml: NVIDIA's management library, opened at run time.
 *
 * One call that fails leaves its field absent; a symbol that an old library lacks does the same and
 * is noted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "gpu/nvml.h"

#define LIBRARY "libnvidia-ml.so.1"
static const unsigned MEMORY_V2 = 2u << 24 | sizeof(struct nvml_memory_v2);

static const struct nvml_symbol symbols[] = {
	{ offsetof(struct nvml, init), { "nvmlInit_v2", "nvmlInit" }, NVML_MUST },
	{ offsetof(struct nvml, count), { "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount" }, NVML_MUST },
	{ offsetof(struct nvml, device), { "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex" }, NVML_MUST },
	{ offsetof(struct nvml, pci),
	  { "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo" }, NVML_MUST },
	{ offsetof(struct nvml, shutdown), { "nvmlShutdown" }, NVML_WANTED },
	{ offsetof(struct nvml, error), { "nvmlErrorString" }, NVML_WANTED },
	{ offsetof(struct nvml, driver), { "nvmlSystemGetDriverVersion" }, NVML_WANTED },
	{ offsetof(struct nvml, uuid), { "nvmlDeviceGetUUID" }, NVML_WANTED },
	{ offsetof(struct nvml, name), { "nvmlDeviceGetName" }, NVML_WANTED },
	{ offsetof(struct nvml, memory), { "nvmlDeviceGetMemoryInfo" }, NVML_WANTED },
	{ offsetof(struct nvml, memory_v2), { "nvmlDeviceGetMemoryInfo_v2" }, NVML_BETTER },
	{ offsetof(struct nvml, minor), { "nvmlDeviceGetMinorNumber" }, NVML_WANTED },
	{ offsetof(struct nvml, pcie_gen), { "nvmlDeviceGetMaxPcieLinkGeneration" }, NVML_WANTED },
	{ offsetof(struct nvml, pcie_width), { "nvmlDeviceGetMaxPcieLinkWidth" }, NVML_WANTED },
	{ offsetof(struct nvml, link_state), { "nvmlDeviceGetNvLinkState" }, NVML_WANTED },
	{ offsetof(struct nvml, link_version), { "nvmlDeviceGetNvLinkVersion" }, NVML_WANTED },
	{ offsetof(struct nvml, link_remote_type), { "nvmlDeviceGetNvLinkRemoteDeviceType" }, NVML_WANTED },
	{ offsetof(struct nvml, link_remote_pci),
	  { "nvmlDeviceGetNvLinkRemotePciInfo_v2", "nvmlDeviceGetNvLinkRemotePciInfo" }, NVML_WANTED },
	{ offsetof(struct nvml, compute),
	  { "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2" }, NVML_WANTED },
	{ offsetof(struct nvml, graphics),
	  { "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2" }, NVML_WANTED },
};

/* The first thing that went wrong is the one to tell. */
static void note(struct zn_gpus *g, const char *text)
{
	if (!g->note && text)
		g->note = text;
}

const char *zn__nvml_error(const struct nvml *nvml, int rc)
{
	const char *text = nvml->error ? nvml->error(rc) : NULL;
	return text ? text : "unknown error";
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* A missing library is a machine without the driver: no note. */
static void *open_library(struct zn_gpus *g)
{
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		const char *why = dlerror();
		if (why && !strstr(why, "No such file"))
			note(g, zn_arena_printf(&g->arena, "can't open the NVIDIA library: %s", why));
	}
	return lib;
}

static void *find_symbol(void *lib, const struct nvml_symbol *s)
{
	void *found = NULL;

	for (size_t i = 0; !found && i < sizeof(s->names) / sizeof(*s->names) && s->names[i]; i++)
		found = dlsym(lib, s->names[i]);
	return found;
}

bool zn__nvml_symbols(void *lib, const struct nvml_symbol *v, size_t n, void *to, struct zn_gpus *g)
{
	for (size_t i = 0; i < n; i++) {
		void *found = find_symbol(lib, &v[i]);
		memcpy((char *)to + v[i].at, &found, sizeof(found));
		if (!found && v[i].need != NVML_BETTER)
			note(g, zn_arena_printf(&g->arena, LIBRARY " lacks %s", v[i].names[0]));
		if (!found && v[i].need == NVML_MUST)
			return false;
	}
	return true;
}

void *zn__nvml_open(struct nvml *nvml, struct zn_gpus *g)
{
	void *lib = open_library(g);

	if (lib && !zn__nvml_symbols(lib, symbols, sizeof(symbols) / sizeof(*symbols), nvml, g)) {
		dlclose(lib);
		lib = NULL;
	}
	return lib;
}

/* ---- devices ----------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct nvml_pci *x = &((const struct nvml_card *)a)->pci, *y = &((const struct nvml_card *)b)->pci;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	if (x->bus != y->bus)
		return x->bus < y->bus ? -1 : 1;
	return x->device < y->device ? -1 : x->device > y->device;
}

size_t zn__nvml_find(const struct nvml *nvml, struct zn_gpus *g, struct nvml_card *devs)
{
	unsigned count = 0;
	size_t n = 0;

	int rc = nvml->count(&count);
	if (rc != NVML_SUCCESS)
		note(g, zn_arena_printf(&g->arena, "NVML can't count the GPUs: %s", zn__nvml_error(nvml, rc)));
	for (unsigned i = 0; i < count && n < NVML_DEVICES_MAX; i++) {
		struct nvml_card *d = &devs[n];
		rc = nvml->device(i, &d->handle);
		if (rc == NVML_SUCCESS)
			rc = nvml->pci(d->handle, &d->pci);
		if (rc == NVML_SUCCESS)
			n++;
		else
			note(g, zn_arena_printf(&g->arena, "NVML's GPU %u does not answer: %s", i,
			                        zn__nvml_error(nvml, rc)));
	}
	qsort(devs, n, sizeof(*devs), by_address);
	return n;
}

const char *zn__nvml_text(struct zn_arena *a, int (*ask)(nvml_dev, char *, unsigned), nvml_dev dev)
{
	char text[97] = "";

	if (!ask || ask(dev, text, sizeof(text) - 1) != NVML_SUCCESS || !*text)
		return NULL;
	return zn_arena_strdup(a, text);
}

char *zn__nvml_address(struct zn_arena *a, const struct nvml_pci *pci)
{
	return zn_arena_printf(a, "%04x:%02x:%02x.0", pci->domain, pci->bus, pci->device);
}

struct zn_ou64 zn__nvml_number(int (*ask)(nvml_dev, unsigned *), nvml_dev dev)
{
	unsigned v = 0;

	return ask && ask(dev, &v) == NVML_SUCCESS && v ? ZN_SOME_U64(v) : (struct zn_ou64){ 0 };
}

/* ---- who uses it ------------------------------------------------------------------------------- */

static char *command_of(struct zn_arena *a, unsigned pid)
{
	char path[40], line[160];

	/* arguments are apart by NUL: only the first line of bytes that fits is wanted */
	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
	if (f)
		fclose(f);
	while (n && !line[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	if (n && zn_is_utf8(line, n))
		return zn_arena_memdup(a, line, n);
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	return zn_file_line(AT_FDCWD, path, line, sizeof(line)) == 0 && *line ? zn_arena_strdup(a, line) : NULL;
}

static char *user_of(struct zn_arena *a, unsigned pid)
{
	char path[40], room[4096];
	struct passwd pw, *found = NULL;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (stat(path, &st) < 0)
		return NULL;
	if (getpwuid_r(st.st_uid, &pw, room, sizeof(room), &found) == 0 && found)
		return zn_arena_strdup(a, pw.pw_name);
	return zn_arena_printf(a, "%u", st.st_uid);
}

static struct zn_gpu_user *find_user(const struct zn_list *users, unsigned pid)
{
	struct zn_gpu_user *v = users->v;

	for (size_t i = 0; i < users->n; i++)
		if (v[i].pid == pid)
			return &v[i];
	return NULL;
}

/* MPS's own process holds a GPU for its clients, which are listed themselves; it stays when they are gone, in nobody's way. */
static bool is_mps_server(unsigned pid)
{
	char path[40], name[32];

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	return zn_file_line(AT_FDCWD, path, name, sizeof(name)) == 0 && !strcmp(name, "nvidia-cuda-mps"); /* cut by the kernel */
}

/* All bits set is NVML's word for a size that it may not tell. */
static void add_user(struct zn_arena *a, struct zn_list *users, const struct nvml_process *p)
{
	struct zn_gpu_user *user = find_user(users, p->pid);

	if (!user && is_mps_server(p->pid))
		return;
	if (!user) {
		user = (struct zn_gpu_user *)users->v + users->n++;
		*user = (struct zn_gpu_user){
			.pid = p->pid,
			.user = user_of(a, p->pid),
			.command = command_of(a, p->pid),
		};
	}
	if (p->used != ~0ULL && (!user->mem_bytes.has || p->used > user->mem_bytes.v))
		user->mem_bytes = ZN_SOME_U64(p->used);
}

/* Asked again with more room while processes come; the caller frees *ret.  False: the driver did not tell. */
static bool list_processes(processes_fn *ask, nvml_dev dev, struct nvml_process **ret, unsigned *ret_n)
{
	unsigned room = 64;

	*ret = NULL;
	*ret_n = 0;
	for (int tries = 0; ask && tries < 4; tries++) {
		unsigned n = room;
		struct nvml_process *v = calloc(room, sizeof(*v));
		int rc = v ? ask(dev, &n, v) : -1;
		if (rc == NVML_SUCCESS && n <= room) {
			*ret = v;
			*ret_n = n;
			return true;
		}
		free(v);
		if (rc != NVML_INSUFFICIENT_SIZE || n > 1 << 20)
			break;
		room = n + 64;
	}
	return false;
}

/* A process that draws and computes is in both lists. */
int zn__nvml_users(const struct nvml *nvml, struct zn_arena *a, nvml_dev dev, struct zn_list *users)
{
	struct nvml_process *compute, *graphics;
	unsigned n_compute, n_graphics;
	bool known = list_processes(nvml->compute, dev, &compute, &n_compute);
	bool drawing_known = list_processes(nvml->graphics, dev, &graphics, &n_graphics);
	int rc = 0;

	if (n_compute + n_graphics) {
		users->v = zn_arena_array(a, n_compute + n_graphics, sizeof(struct zn_gpu_user));
		rc = users->v ? 0 : -ENOMEM;
	}
	for (unsigned i = 0; rc == 0 && i < n_compute; i++)
		add_user(a, users, &compute[i]);
	for (unsigned i = 0; rc == 0 && i < n_graphics; i++)
		add_user(a, users, &graphics[i]);
	free(compute);
	free(graphics);
	return rc < 0 ? rc : known && drawing_known;
}

/* ---- NVLinks ----------------------------------------------------------------------------------- */

/* Gigabits a second of one link in one direction; 0 for a version that is newer than this table. */
static double gbps_of(const struct nvml *nvml, nvml_dev dev, unsigned link)
{
	static const double by_version[] = { 0, 160, 200, 200, 200, 400 };
	unsigned version = 0;

	if (!nvml->link_version || nvml->link_version(dev, link, &version) != NVML_SUCCESS)
		return 0;
	return version < sizeof(by_version) / sizeof(*by_version) ? by_version[version] : 0;
}

/* The index of the GPU at the other end, -1 for a switch, -2 for anything else. */
static int remote_of(const struct nvml *nvml, const struct nvml_card *devs, size_t n, nvml_dev dev, unsigned link)
{
	unsigned type = NVML_REMOTE_GPU;
	struct nvml_pci pci = { 0 };
	bool typed = nvml->link_remote_type && nvml->link_remote_type(dev, link, &type) == NVML_SUCCESS;

	if (typed && type != NVML_REMOTE_GPU)
		return type == NVML_REMOTE_SWITCH ? -1 : -2;
	if (!nvml->link_remote_pci || nvml->link_remote_pci(dev, link, &pci) != NVML_SUCCESS)
		return -2;
	for (size_t i = 0; i < n; i++)
		if (!by_address(&(struct nvml_card){ .pci = pci }, &devs[i]))
			return (int)i;
	return typed ? -2 : -1;
}

static void add_link(struct zn_gpus *g, size_t first, int a, int b, double gbps)
{
	size_t i = first;

	while (i < g->n_nvlinks && g->nvlinks[i].b != b)
		i++;
	if (i == g->n_nvlinks)
		g->nvlinks[g->n_nvlinks++] = (struct zn_gpu_nvlink){ .a = a, .b = b };
	g->nvlinks[i].links++;
	g->nvlinks[i].link_gbps += gbps;
}

/* A link between two GPUs is seen from both: the lower one tells it. */
static void read_links(const struct nvml *nvml, struct zn_gpus *g, const struct nvml_card *devs, size_t n, size_t at)
{
	nvml_dev dev = devs[at].handle;
	size_t first = g->n_nvlinks;
	unsigned up = 0, active;

	if (!nvml->link_state || nvml->link_state(dev, 0, &active) != NVML_SUCCESS)
		return;
	for (unsigned link = 0; link < NVML_LINKS_MAX; link++) {
		active = 0;
		if (nvml->link_state(dev, link, &active) != NVML_SUCCESS || !active)
			continue;
		up++;
		int b = remote_of(nvml, devs, n, dev, link);
		if (b == -1 || b > (int)at)
			add_link(g, first, (int)at, b, gbps_of(nvml, dev, link));
	}
	g->v[at].nvlinks = ZN_SOME_U64(up);
}

/* ---- all of it --------------------------------------------------------------------------------- */

/* The second version tells what is used apart from what the driver keeps for itself. */
int zn__nvml_memory(const struct nvml *nvml, nvml_dev dev, struct zn_ou64 *total, struct zn_ou64 *used)
{
	struct nvml_memory_v2 v2 = { .version = MEMORY_V2 };
	struct nvml_memory v1 = { 0 };
	int rc = -1;

	if (nvml->memory_v2 && (rc = nvml->memory_v2(dev, &v2)) == NVML_SUCCESS)
		v1 = (struct nvml_memory){ .total = v2.total, .used = v2.used };
	else if (nvml->memory)
		rc = nvml->memory(dev, &v1);
	if (rc == NVML_SUCCESS) {
		*total = ZN_SOME_U64(v1.total);
		*used = ZN_SOME_U64(v1.used);
	}
	return rc;
}

/* Those of MIG instances, and the two that all GPUs share, are not among them. */
static int read_device_file(const struct nvml *nvml, struct zn_arena *a, nvml_dev dev, struct zn_gpu *gpu)
{
	unsigned minor;

	if (!nvml->minor || nvml->minor(dev, &minor) != NVML_SUCCESS)
		return 0;
	const char **v = zn_arena_array(a, 1, sizeof(*v));
	if (!v || !(v[0] = zn_arena_printf(a, "/dev/nvidia%u", minor)))
		return -ENOMEM;
	gpu->devices = (struct zn_strs){ .v = v, .n = 1 };
	return 0;
}

static int read_device(const struct nvml *nvml, struct zn_gpus *g, const struct nvml_card *d, struct zn_gpu *gpu)
{
	*gpu = (struct zn_gpu){
		.gpu = (uint32_t)(gpu - g->v),
		.uuid = zn__nvml_text(&g->arena, nvml->uuid, d->handle),
		.name = zn__nvml_text(&g->arena, nvml->name, d->handle),
		.vendor = "NVIDIA",
		.pci = zn__nvml_address(&g->arena, &d->pci),
		.pcie_gen = zn__nvml_number(nvml->pcie_gen, d->handle),
		.pcie_width = zn__nvml_number(nvml->pcie_width, d->handle),
		.driver = g->driver,
	};
	zn__nvml_memory(nvml, d->handle, &gpu->mem_bytes, &gpu->mem_used_bytes);
	int rc = gpu->pci ? read_device_file(nvml, &g->arena, d->handle, gpu) : -ENOMEM;
	if (rc == 0)
		rc = zn__nvml_users(nvml, &g->arena, d->handle, &gpu->users);
	return rc < 0 ? rc : 0;
}

static int read_devices(const struct nvml *nvml, struct zn_gpus *g)
{
	struct nvml_card *devs = zn_arena_array(&g->arena, NVML_DEVICES_MAX, sizeof(*devs));
	char version[81] = "";
	int rc = 0;

	if (!devs)
		return -ENOMEM;
	bool known = nvml->driver && nvml->driver(version, sizeof(version) - 1) == NVML_SUCCESS && *version;
	g->driver = known ? zn_arena_printf(&g->arena, "nvml %s", version) : "nvml";
	size_t n = zn__nvml_find(nvml, g, devs);
	g->v = zn_arena_array(&g->arena, n + 1, sizeof(*g->v));
	g->nvlinks = zn_arena_array(&g->arena, n * NVML_LINKS_MAX + 1, sizeof(*g->nvlinks));
	if (!g->v || !g->nvlinks || !g->driver)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = read_device(nvml, g, &devs[i], &g->v[i]);
		if (rc == 0)
			read_links(nvml, g, devs, n, i);
	}
	g->n = n;
	return rc;
}

static int nvml_read(struct zn_gpus *g)
{
	struct nvml nvml;
	void *lib = zn__nvml_open(&nvml, g);

	if (!lib)
		return 0;
	int rc = 0, init = nvml.init();
	if (init == NVML_SUCCESS) {
		rc = read_devices(&nvml, g);
		if (nvml.shutdown)
			nvml.shutdown();
	} else {
		g->note = zn_arena_printf(&g->arena, "NVML does not start: %s", zn__nvml_error(&nvml, init));
	}
	dlclose(lib);
	return rc;
}

/* The library counts how often it was begun. */
static void nvml_keep(void)
{
	struct zn_gpus g = { 0 };
	struct nvml nvml;

	if (zn__nvml_open(&nvml, &g))
		nvml.init();
	zn_arena_done(&g.arena);
}

const struct zn__gpu_backend zn__nvml = {
	.name = "nvml", .vendor = "NVIDIA", .read = nvml_read, .keep = nvml_keep,
	.open = zn__nvml_meter_open, .measure = zn__nvml_meter_measure, .close = zn__nvml_meter_close,
};
