/* amdgpu: AMD's devices, as their kernel driver shows them in /sys; no library is needed.
 *
 * A file that is not there, or can't be read, leaves its field absent.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/units.h"
#include "gpu/backend.h"

enum { LINE = 128, CARDS_MAX = 256 };

struct card {
	int dir, hwmon;               /* /sys/class/drm/cardN/device, and the sensors below it; -1: none */
	const char *uuid, *name, *pci;
};

struct cards {
	struct card v[CARDS_MAX];
};

/* ---- small files -------------------------------------------------------------------------------- */

static struct zn_ou64 number(int dir, const char *file)
{
	char line[LINE];
	uint64_t v;

	if (dir < 0 || zn_file_line(dir, file, line, sizeof(line)) < 0 || zn_parse_u64(line, 0, UINT64_MAX, &v, NULL) < 0)
		return (struct zn_ou64){ 0 };
	return ZN_SOME_U64(v);
}

static struct zn_of64 scaled(int dir, const char *file, double unit)
{
	struct zn_ou64 v = number(dir, file);

	return (struct zn_of64){ .v = round((double)v.v / unit * 10) / 10, .has = v.has };
}

static const char *text(struct zn_arena *a, int dir, const char *file)
{
	char line[LINE];

	return zn_file_line(dir, file, line, sizeof(line)) == 0 && *line ? zn_arena_strdup(a, line) : NULL;
}

static unsigned hex(int dir, const char *file)
{
	char line[LINE];

	return zn_file_line(dir, file, line, sizeof(line)) == 0 ? (unsigned)strtoul(line, NULL, 16) : 0;
}

/* What follows key in one of the file's lines: "PCI_SLOT_NAME=", "ue: ". */
static bool value_of(int dir, const char *file, const char *key, char value[LINE])
{
	struct zn_arena a = { 0 };
	char *rest, *line;
	size_t n;
	bool found = false;

	if (zn_file_read(dir, file, 1 << 16, &a, &rest, &n) == 0)
		while (!found && (line = strsep(&rest, "\n"))) {
			found = !strncmp(line, key, strlen(key));
			if (found)
				snprintf(value, LINE, "%s", line + strlen(key));
		}
	zn_arena_done(&a);
	return found;
}

static struct zn_ou64 count_of(int dir, const char *file, const char *key)
{
	char value[LINE];
	uint64_t v;

	return value_of(dir, file, key, value) && zn_parse_u64(value, 0, UINT64_MAX, &v, NULL) == 0 ? ZN_SOME_U64(v)
	                                                                                            : (struct zn_ou64){ 0 };
}

/* ---- finding ------------------------------------------------------------------------------------- */

static bool is_card(const char *name)
{
	size_t digits = strspn(name + (strncmp(name, "card", 4) ? 0 : 4), "0123456789");

	return !strncmp(name, "card", 4) && digits && !name[4 + digits]; /* "card0-DP-1" is a plug */
}

/* A display or processing accelerator of AMD. */
static bool is_ours(int dir)
{
	unsigned class = hex(dir, "class") >> 8;

	return hex(dir, "vendor") == 0x1002 && (class == 0x0300 || class == 0x0302 || class == 0x0380 || class == 0x1200);
}

static int open_hwmon(int dir)
{
	int list = openat(dir, "hwmon", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	DIR *d = list < 0 ? NULL : fdopendir(list);
	struct dirent *e;

	if (list >= 0 && !d)
		close(list);
	while (d && fd < 0 && (e = readdir(d)))
		if (!strncmp(e->d_name, "hwmon", 5))
			fd = openat(list, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d)
		closedir(d);
	return fd;
}

static int open_card(struct zn_arena *a, int dir, struct card *c)
{
	char pci[LINE];

	*c = (struct card){ .dir = dir, .hwmon = open_hwmon(dir), .uuid = text(a, dir, "unique_id"),
		            .name = text(a, dir, "product_name") };
	if (value_of(dir, "uevent", "PCI_SLOT_NAME=", pci) && !(c->pci = zn_arena_strdup(a, pci)))
		return -ENOMEM;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct card *x = a, *y = b;

	return strcmp(x->pci ? x->pci : "", y->pci ? y->pci : "");
}

static int find_cards(struct zn__gpu_probe *p, DIR *drm)
{
	struct cards *cards = zn_arena_new(&p->arena, struct cards);
	struct dirent *e;
	int rc = cards ? 0 : -ENOMEM;

	while (rc == 0 && p->n < CARDS_MAX && (e = readdir(drm))) {
		char path[sizeof(e->d_name) + 8];
		snprintf(path, sizeof(path), "%s/device", e->d_name);
		int dir = is_card(e->d_name) ? openat(dirfd(drm), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (dir >= 0 && is_ours(dir))
			rc = open_card(&p->arena, dir, &cards->v[p->n++]);
		else if (dir >= 0)
			close(dir);
	}
	p->state = cards;
	if (cards)
		qsort(cards->v, p->n, sizeof(*cards->v), by_address);
	return rc;
}

static int amdgpu_open(struct zn__gpu_probe *p)
{
	char *path = zn_arena_printf(&p->arena, "%s/sys/class/drm", p->root);
	DIR *drm = path ? opendir(path) : NULL;
	int rc = path ? 0 : -ENOMEM;

	if (drm) {
		rc = find_cards(p, drm);
		closedir(drm);
	}
	return rc;
}

static void amdgpu_close(struct zn__gpu_probe *p)
{
	const struct cards *cards = p->state;

	for (size_t i = 0; i < p->n; i++) {
		close(cards->v[i].dir);
		if (cards->v[i].hwmon >= 0)
			close(cards->v[i].hwmon);
	}
}

/* ---- measuring ------------------------------------------------------------------------------------ */

/* The line with a star is what it runs at: "1: 1700Mhz *". */
static struct zn_ou64 clock_of(int dir, const char *file, bool most)
{
	struct zn_arena a = { 0 };
	struct zn_ou64 now = { 0 }, top = { 0 };
	char *all;
	size_t n;

	if (zn_file_read(dir, file, 1 << 16, &a, &all, &n) == 0)
		for (char *rest = all, *line; (line = strsep(&rest, "\n"));) {
			unsigned index, mhz;
			if (sscanf(line, "%u: %uMhz", &index, &mhz) != 2)
				continue;
			if (strchr(line, '*'))
				now = ZN_SOME_U64(mhz);
			if (!top.has || mhz > top.v)
				top = ZN_SOME_U64(mhz);
		}
	zn_arena_done(&a);
	return most ? top : now;
}

/* "16.0 GT/s PCIe": the generation by its speed. */
static struct zn_ou64 generation(int dir, const char *file)
{
	static const double speeds[] = { 2.5, 5, 8, 16, 32, 64 };
	char line[LINE];

	if (zn_file_line(dir, file, line, sizeof(line)) < 0)
		return (struct zn_ou64){ 0 };
	double speed = strtod(line, NULL);
	for (size_t i = 0; i < sizeof(speeds) / sizeof(*speeds); i++)
		if (fabs(speed - speeds[i]) < 0.1)
			return ZN_SOME_U64(i + 1);
	return (struct zn_ou64){ 0 };
}

static struct zn_ou64 celsius(int hwmon, const char *file)
{
	struct zn_ou64 v = number(hwmon, file);

	return (struct zn_ou64){ .v = v.v / 1000, .has = v.has };
}

static struct zn_of64 percent(int dir, const char *file)
{
	struct zn_ou64 v = number(dir, file);

	return (struct zn_of64){ .v = (double)v.v, .has = v.has && v.v <= 100 };
}

/* Newer devices have only one of the two. */
static struct zn_of64 power(int hwmon)
{
	struct zn_of64 v = scaled(hwmon, "power1_average", 1e6);

	return v.has ? v : scaled(hwmon, "power1_input", 1e6);
}

static void measure_card(const struct card *c, struct zn_gpu_sample *to)
{
	*to = (struct zn_gpu_sample){
		.time_s = to->time_s, .uuid = c->uuid, .name = c->name, .pci = c->pci, .vendor = "AMD", .driver = "amdgpu",
		.kernel_active_pct = percent(c->dir, "gpu_busy_percent"),
		.mem_active_pct = percent(c->dir, "mem_busy_percent"),
		.mem_bytes = number(c->dir, "mem_info_vram_total"),
		.mem_used_bytes = number(c->dir, "mem_info_vram_used"),
		.power_w = power(c->hwmon),
		.power_limit_w = scaled(c->hwmon, "power1_cap", 1e6),
		.temperature_c = celsius(c->hwmon, "temp1_input"),
		.temperature_slowdown_c = celsius(c->hwmon, "temp1_crit"),
		.clock_mhz = clock_of(c->dir, "pp_dpm_sclk", false),
		.clock_max_mhz = clock_of(c->dir, "pp_dpm_sclk", true),
		.mem_clock_mhz = clock_of(c->dir, "pp_dpm_mclk", false),
		.ecc_corrected = count_of(c->dir, "ras/umc_err_count", "ce: "),
		.ecc_uncorrected = count_of(c->dir, "ras/umc_err_count", "ue: "),
		.pcie_gen_now = generation(c->dir, "current_link_speed"),
		.pcie_width_now = number(c->dir, "current_link_width"),
		.pcie_gen = generation(c->dir, "max_link_speed"),
		.pcie_width = number(c->dir, "max_link_width"),
	};
}

/* Of a device that was taken away the directory that we hold is empty. */
static bool is_gone(const struct card *c)
{
	return faccessat(c->dir, "vendor", F_OK, 0) < 0;
}

static int amdgpu_measure(struct zn__gpu_probe *p, struct zn_arena *a, struct zn_gpu_sample *v)
{
	const struct cards *cards = p->state;

	(void)a;
	for (size_t i = 0; i < p->n; i++) {
		measure_card(&cards->v[i], &v[i]);
		if (is_gone(&cards->v[i]))
			v[i].lost = "the kernel has no such device any more";
	}
	return 0;
}

const struct zn__gpu_backend zn__amdgpu = {
	.name = "amdgpu", .vendor = "AMD", .open = amdgpu_open, .measure = amdgpu_measure, .close = amdgpu_close,
};
