/* Whether a GPU is fit for work: one state of a device after the other. */
#include <string.h>

#include "gpu/health.h"
#include "tap.h"

#define N(x) ZN_SOME_U64(x)
#define GIB (1ull << 30)

static const char *const power_cap[] = { "sw_power_cap", "gpu_idle" };
static const char *const hot[] = { "hw_slowdown", "hw_thermal_slowdown" };
static const char *const brake[] = { "hw_slowdown", "hw_power_brake_slowdown" };
static const char *const hw[] = { "hw_slowdown" };
static struct zn_gpu_holder somebody = { .pid = 1 };

#define WORDS(w) { .v = (const char **)(w), .n = sizeof(w) / sizeof(*(w)) }
#define GPU .sees_all = true, INSIDE
#define INSIDE .gpu = { .gpu = 3, .uuid = "GPU-3", .vendor = "NVIDIA", .mem_bytes = { 80 * GIB, true } }, .has_backend = true

static const struct {
	const char *title;
	struct zn_gpu_state st;
	const char *level, *what;
} cases[] = {
	{ "one that says nothing", { GPU, .is_sampled = true }, "ok", "nothing is known to be wrong" },
	{ "one that is made up", { GPU, .is_mock = true }, "ok", "it is made up: nothing is measured" },
	{ "another maker's, without a driver", { .gpu.vendor = "Intel" }, "ok", "nobody can be asked about it" },
	{ "one without a driver", { GPU }, "warn", "no driver answers for it" },
	{ "one whose driver does not start", { GPU, .note = "NVML does not start: X" }, "bad", "its driver can't be used: NVML does not start: X" },
	{ "one that only the bus knows", { GPU, .others_answer = true, .note = "NVML's GPU 1 does not answer: X" }, "bad",
	  "it is on the bus, and its driver does not know it" },
	{ "one that is lost", { GPU, .is_sampled = true, .now.lost = "GPU is lost" }, "bad", "its driver has lost it: GPU is lost" },
	{ "corrected errors", { GPU, .is_sampled = true, .now = { .ecc_corrected = N(1000), .ecc_uncorrected = N(0) } }, "ok",
	  "nothing is known to be wrong" },
	{ "errors", { GPU, .is_sampled = true, .now.ecc_uncorrected = N(2) }, "bad",
	  "2 memory errors could not be corrected since the driver was loaded" },
	{ "a repair that waits", { GPU, .is_sampled = true, .now = { .repair_pending = { true, true }, .repair_failed = { false, true } } },
	  "warn", "a part of its memory is replaced at the next reset" },
	{ "a repair that failed", { GPU, .is_sampled = true, .now.repair_failed = { true, true } }, "bad",
	  "a part of its memory could not be replaced" },
	{ "memory that nobody holds", { GPU, .is_sampled = true, .now = { .mem_used_bytes = N(12 * GIB), .users_known = true } }, "bad",
	  "12.0G of its memory is held by no process" },
	{ "in a container", { INSIDE, .is_sampled = true, .now = { .mem_used_bytes = N(12 * GIB), .users_known = true } },
	  "warn", "12.0G of its memory is held by no process that is seen in this container" },
	{ "memory that somebody holds", { GPU, .is_sampled = true, .now = { .mem_used_bytes = N(12 * GIB), .users_known = true },
	  .holders = { &somebody, 1 } }, "ok", "nothing is known to be wrong" },
	{ "memory, and the driver names no processes", { GPU, .is_sampled = true, .now.mem_used_bytes = N(12 * GIB) }, "ok",
	  "nothing is known to be wrong" },
	{ "memory of MIG instances", { GPU, .is_sampled = true, .now = { .mem_used_bytes = N(12 * GIB), .users_known = true,
	  .mig = { true, true } } }, "ok", "nothing is known to be wrong" },
	{ "what a driver keeps for itself", { GPU, .is_sampled = true, .now = { .mem_used_bytes = N(GIB), .users_known = true } }, "ok",
	  "nothing is known to be wrong" },
	{ "a power cap", { GPU, .is_sampled = true, .now.throttle_reasons = WORDS(power_cap) }, "ok", "nothing is known to be wrong" },
	{ "heat", { GPU, .is_sampled = true, .now = { .throttle_reasons = WORDS(hot), .temperature_c = N(91) } }, "warn",
	  "slowed down by heat, at 91 C" },
	{ "heat, without a thermometer", { GPU, .is_sampled = true, .now.throttle_reasons = WORDS(hot) }, "warn", "slowed down by heat" },
	{ "the temperature alone", { GPU, .is_sampled = true, .now = { .temperature_c = N(95), .temperature_slowdown_c = N(95) } }, "warn",
	  "slowed down by heat, at 95 C" },
	{ "a degree less", { GPU, .is_sampled = true, .now = { .temperature_c = N(94), .temperature_slowdown_c = N(95) } }, "ok",
	  "nothing is known to be wrong" },
	{ "a brake", { GPU, .is_sampled = true, .now.throttle_reasons = WORDS(brake) }, "warn",
	  "slowed down because the machine's power supply asks for it" },
	{ "hardware, and not why", { GPU, .is_sampled = true, .now.throttle_reasons = WORDS(hw) }, "warn", "slowed down by its hardware" },
	{ "half of the lanes", { GPU, .is_sampled = true, .now = { .pcie_width_now = N(8), .pcie_width = N(16) } }, "warn",
	  "its PCIe link runs with 8 of 16 lanes" },
	{ "lanes of which the most is not known", { GPU, .is_sampled = true, .now.pcie_width_now = N(8) }, "ok", "nothing is known to be wrong" },
	{ "a slow link while idle", { GPU, .is_sampled = true, .now = { .pcie_gen_now = N(1), .pcie_gen = N(5),
	  .kernel_active_pct = ZN_SOME_F64(3) } }, "ok", "nothing is known to be wrong" },
	{ "a slow link under load", { GPU, .is_sampled = true, .now = { .pcie_gen_now = N(3), .pcie_gen = N(5),
	  .kernel_active_pct = ZN_SOME_F64(90) } }, "warn", "its PCIe link runs at generation 3 of 5 under load" },
	{ "an NVLink that is down", { GPU, .is_sampled = true, .now = { .nvlinks = N(17), .nvlinks_of = N(18) } }, "warn",
	  "17 of 18 NVLinks are up" },
	{ "no bridge", { GPU, .is_sampled = true, .now = { .nvlinks = N(0), .nvlinks_of = N(12) } }, "ok", "nothing is known to be wrong" },
	{ "several things, the worst first", { GPU, .is_sampled = true, .now = { .repair_pending = { true, true },
	  .mem_used_bytes = N(4 * GIB), .users_known = true, .nvlinks = N(1), .nvlinks_of = N(2) } }, "bad",
	  "4.0G of its memory is held by no process; a part of its memory is replaced at the next reset; 1 of 2 NVLinks are up" },
};

static void check_all(void)
{
	struct zn_arena a = { 0 };
	struct zn_gpu_health h;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc = zn_gpu_health_make(&cases[i].st, &a, &h);
		bool right = rc == 0 && !strcmp(h.level, cases[i].level) && !strcmp(h.what, cases[i].what);
		if (!tap_ok(right, "%s: %s", cases[i].title, cases[i].level))
			printf("# %s: %s\n", h.level, h.what);
		tap_ok((h.findings.n == 0) == !strcmp(h.level, "ok") && (h.mend != NULL) == (h.findings.n > 0) &&
		       zn_gpu_health_is_bad(&h) == !strcmp(cases[i].level, "bad"), "its findings agree with that, and each has a way out");
	}
	zn_arena_done(&a);
}

static void check_turns(void)
{
	struct zn_gpu_state st = { .gpu = { .gpu = 3, .uuid = "GPU-3" } };
	struct zn_gpu_event e;
	bool lost = false;

	tap_ok(!zn_gpu_state_turned(&st, &lost, &e), "a device that was there and is there did not turn");
	st.now.lost = "gone";
	tap_ok(zn_gpu_state_turned(&st, &lost, &e) && !strcmp(e.event, "lost") && !strcmp(e.reason, "gone") && e.gpu == 3, "lost");
	tap_ok(!zn_gpu_state_turned(&st, &lost, &e), "told once");
	st.now.lost = NULL;
	tap_ok(zn_gpu_state_turned(&st, &lost, &e) && !strcmp(e.event, "back") && !e.reason, "back");
}

int main(void)
{
	check_all();
	check_turns();
	return tap_done();
}
