/* Devices without a driver: an AMD machine made of files, words for throttling, holders, the job in a cgroup. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/devices.h"
#include "base/file.h"
#include "gpu/nvml.h"
#include "tap.h"

static char root[] = "/tmp/zn-gpu-XXXXXX";

static void put(const char *text, const char *path)
{
	char all[300], dir[300];

	snprintf(all, sizeof(all), "%s/%s", root, path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(all, '/') - all), all);
	if (zn_mkdirs(dir, 0700, NULL) < 0)
		abort();
	int fd = open(all, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || zn_write_all(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

static void clear(const char *below)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s/%s'", root, below);
	if (system(command))
		abort();
}

#define CARD1 "sys/class/drm/card1/device/"
#define CARD2 "sys/class/drm/card2/device/"

static void make_machine(void)
{
	static const char *const files[][2] = {
		{ "0x1002\n", CARD1 "vendor" },          { "0x038000\n", CARD1 "class" },
		{ "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c1:00.0\n", CARD1 "uevent" },
		{ "a1b2c3d4e5f60718\n", CARD1 "unique_id" }, { "AMD Instinct MI300X\n", CARD1 "product_name" },
		{ "87\n", CARD1 "gpu_busy_percent" },    { "12\n", CARD1 "mem_busy_percent" },
		{ "206141652992\n", CARD1 "mem_info_vram_total" }, { "1073741824\n", CARD1 "mem_info_vram_used" },
		{ "412345678\n", CARD1 "hwmon/hwmon3/power1_average" }, { "750000000\n", CARD1 "hwmon/hwmon3/power1_cap" },
		{ "54321\n", CARD1 "hwmon/hwmon3/temp1_input" }, { "100000\n", CARD1 "hwmon/hwmon3/temp1_crit" },
		{ "0: 132Mhz\n1: 1700Mhz *\n2: 2100Mhz\n", CARD1 "pp_dpm_sclk" }, { "0: 900Mhz\n1: 1300Mhz *\n", CARD1 "pp_dpm_mclk" },
		{ "ue: 2\nce: 41\n", CARD1 "ras/umc_err_count" },
		{ "32.0 GT/s PCIe\n", CARD1 "max_link_speed" }, { "16.0 GT/s PCIe\n", CARD1 "current_link_speed" },
		{ "16\n", CARD1 "max_link_width" },      { "8\n", CARD1 "current_link_width" },
		/* an older one, earlier on the bus, that says little */
		{ "0x1002\n", CARD2 "vendor" },          { "0x030000\n", CARD2 "class" },
		{ "PCI_SLOT_NAME=0000:03:00.0\n", CARD2 "uevent" }, { "30000000\n", CARD2 "hwmon/hwmon5/power1_input" },
		{ "nonsense\n", CARD2 "gpu_busy_percent" },
		/* none of ours: Intel's, a plug, a NIC of the same maker */
		{ "0x8086\n", "sys/class/drm/card0/device/vendor" }, { "0x030000\n", "sys/class/drm/card0/device/class" },
		{ "0x1002\n", "sys/class/drm/card1-DP-1/device/vendor" }, { "0x030000\n", "sys/class/drm/card1-DP-1/device/class" },
		{ "0x1002\n", "sys/class/drm/card4/device/vendor" }, { "0x020000\n", "sys/class/drm/card4/device/class" },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		put(files[i][0], files[i][1]);
}

static void check_full(const struct zn_gpu_sample *s)
{
	tap_ok(s->pci && !strcmp(s->pci, "0000:c1:00.0") && s->uuid && !strcmp(s->uuid, "a1b2c3d4e5f60718") &&
	       s->name && !strcmp(s->name, "AMD Instinct MI300X"), "an AMD device says its name and address");
	tap_ok(s->kernel_active_pct.v == 87 && s->mem_active_pct.v == 12, "its activity");
	tap_ok(s->mem_bytes.v == 206141652992 && s->mem_used_bytes.v == 1073741824, "its memory");
	tap_ok(s->power_w.v == 412.3 && s->power_limit_w.v == 750, "its power: microwatts to watts");
	tap_ok(s->temperature_c.v == 54 && s->temperature_slowdown_c.v == 100, "its temperature");
	tap_ok(s->clock_mhz.v == 1700 && s->clock_max_mhz.v == 2100 && s->mem_clock_mhz.v == 1300, "the clock with the star");
	tap_ok(s->ecc_uncorrected.v == 2 && s->ecc_corrected.v == 41, "errors of its memory");
	tap_ok(s->pcie_gen.v == 5 && s->pcie_gen_now.v == 4 && s->pcie_width.v == 16 && s->pcie_width_now.v == 8, "its link");
	tap_ok(!s->sm_pct.has && !s->nvlinks.has && !s->pcie_rx_bytes_s.has && !s->fan_pct.has && !s->mig.has,
	       "what no file says is absent");
}

static void check_poor(const struct zn_gpu_sample *s)
{
	tap_ok(!strcmp(s->pci, "0000:03:00.0") && s->power_w.v == 30, "the first on the bus comes first; the newer name of its power");
	tap_ok(!s->kernel_active_pct.has && !s->mem_bytes.has && !s->temperature_c.has && !s->ecc_uncorrected.has && !s->uuid,
	       "nonsense and missing files are absent, not zero");
}

static void check_amd(void)
{
	struct zn_gpu_meter *m;
	struct zn_arena a = { 0 };
	struct zn_list l = { 0 };
	const struct zn_gpu_sample *v;

	make_machine();
	tap_ok(zn_gpu_meter_open(root, &m, NULL) == 0 && !zn_gpu_meter_note(m), "drivers are looked for below a root");
	tap_ok(zn_gpu_meter_read(m, &a, &l, NULL) == 0 && l.n == 2, "two devices of AMD, not Intel's, not the plug: %zu", l.n);
	v = l.v;
	if (l.n == 2) {
		check_poor(&v[0]);
		check_full(&v[1]);
	}
	clear(CARD1);
	tap_ok(zn_gpu_meter_read(m, &a, &l, NULL) == 0 && l.n == 2, "one goes away");
	v = l.v;
	tap_ok(v[1].lost && v[1].pci && !v[1].kernel_active_pct.has && !v[0].lost && v[0].power_w.has, "it is lost, the other is not");
	zn_gpu_meter_close(m);
	clear("sys");
	tap_ok(zn_gpu_meter_open(root, &m, NULL) == 0 && zn_gpu_meter_read(m, &a, &l, NULL) == 0 && l.n == 0,
	       "a machine without /sys/class/drm has none");
	zn_gpu_meter_close(m);
	zn_arena_done(&a);
}

/* "a,b" */
static const char *joined(const struct zn_strs *s, char *to, size_t size)
{
	*to = '\0';
	for (size_t i = 0; i < s->n; i++)
		snprintf(to + strlen(to), size - strlen(to), "%s%s", i ? "," : "", s->v[i]);
	return to;
}

static void check_throttle(void)
{
	static const struct { uint64_t bits; const char *words; } cases[] = {
		{ 0, "" }, { 1, "gpu_idle" }, { 0x4, "sw_power_cap" }, { 0x60, "sw_thermal_slowdown,hw_thermal_slowdown" },
		{ 0x1ff, "gpu_idle,applications_clocks_setting,sw_power_cap,hw_slowdown,sync_boost,sw_thermal_slowdown,"
		         "hw_thermal_slowdown,hw_power_brake_slowdown,display_clock_setting" },
		{ 0x8000000000000208, "hw_slowdown,0x200,0x8000000000000000" },
	};
	struct zn_arena a = { 0 };
	struct zn_strs got = { 0 };
	char text[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		tap_ok(zn__nvml_throttle(cases[i].bits, &a, &got) == 0 && !strcmp(joined(&got, text, sizeof(text)), cases[i].words),
		       "throttled by 0x%llx: %s", (unsigned long long)cases[i].bits, text);
	zn_arena_done(&a);
}

static void check_holders(void)
{
	struct zn_gpu_holder v[] = {
		{ .pid = 1, .user = "ann", .job = ZN_SOME_U64(12) }, { .pid = 2, .user = "bob" },
		{ .pid = 3, .user = "ann", .job = ZN_SOME_U64(12) }, { .pid = 4, .user = "ann", .job = ZN_SOME_U64(13) },
		{ .pid = 5 }, { .pid = 6 }, { .pid = 7, .user = "bob" },
	};
	struct zn_gpu_state st = { .holders = { v, sizeof(v) / sizeof(*v) } };
	struct zn_arena a = { 0 };
	char text[200] = "";

	tap_ok(zn_gpu_state_name_holders(&st, &a) == 0 &&
	       !strcmp(joined(&st.held_by, text, sizeof(text)), "ann (job 12, 13),bob,pid 5,pid 6"),
	       "each user once, with the jobs, and who is not known by number: %s", text);
	zn_arena_done(&a);
}

static void check_cgroups(void)
{
	static const struct { const char *text; uint64_t job; } cases[] = {
		{ "0::/user.slice/zenith-1000-00c0ffee/12.1\n", 12 },
		{ "9:memory:/zenith-0-deadbeef/7.3/inner\n0::/\n", 7 },
		{ "0::/zenith-0-deadbeef\n", 0 }, { "0::/zenith-0-deadbeef/agent\n", 0 }, { "0::/zenith-0-deadbeef/12\n", 0 },
		{ "0::/zenith-old/zenith-0-deadbeef/5.1\n", 5 }, { "0::/not-zenith-0-deadbeef/5.1\n", 0 },
		{ "0::/system.slice/docker-0123.scope\n", 0 }, { "0::/zenith-1-x/99999999999999999999.1\n", 0 }, { "", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		tap_ok(zn__job_of_cgroup(cases[i].text) == cases[i].job, "job %llu of a cgroup: %zu",
		       (unsigned long long)cases[i].job, i);
}

int main(void)
{
	if (!mkdtemp(root))
		return 1;
	check_amd();
	check_throttle();
	check_holders();
	check_cgroups();
	clear("");
	return tap_done();
}
