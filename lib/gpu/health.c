#include "gpu/health.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"

/* Less is what drivers take for themselves, in the case that they count it as used. */
static const uint64_t HELD_BYTES = 1ull << 30;
enum { HELD_PART = 50, FINDINGS_MAX = 16, BUSY_PCT = 50 };

static const char BAD[] = "bad", WARN[] = "warn", OK[] = "ok";
static const char RESET[] = "reset it when nothing runs on it", REPLACE[] = "have it replaced";

struct judging {
	const struct zn_gpu_state *st;
	struct zn_arena *a;
	struct zn_gpu_finding *v;
	size_t n;
	bool failed;
};

/* what NULL: memory ran out while it was written. */
static void find(struct judging *j, const char *level, const char *what, const char *mend)
{
	j->failed |= !what;
	if (j->n < FINDINGS_MAX)
		j->v[j->n++] = (struct zn_gpu_finding){ .level = level, .what = what, .mend = mend };
}

/* ---- what can be wrong ---------------------------------------------------------------------------- */

static void judge_presence(struct judging *j)
{
	const struct zn_gpu_state *st = j->st;
	static const char restart[] = "take the machine out of use and restart it; the kernel's log says more";

	if (st->now.lost)
		find(j, BAD, zn_arena_printf(j->a, "its driver has lost it: %s", st->now.lost), restart);
	else if (st->is_sampled || st->is_mock)
		return;
	else if (st->others_answer)
		find(j, BAD, "it is on the bus, and its driver does not know it", restart);
	else if (st->note)
		find(j, BAD, zn_arena_printf(j->a, "its driver can't be used: %s", st->note),
		     "load the driver again, or restart the machine");
	else if (st->has_backend)
		find(j, WARN, "no driver answers for it", "install its driver");
}

static void judge_memory_errors(struct judging *j)
{
	const struct zn_gpu_sample *now = &j->st->now;

	if (now->ecc_uncorrected.v)
		find(j, BAD, zn_arena_printf(j->a, "%llu memory errors could not be corrected since the driver was loaded",
		                             (unsigned long long)now->ecc_uncorrected.v), RESET);
	if (now->repair_failed.v)
		find(j, BAD, "a part of its memory could not be replaced", REPLACE);
	if (now->repair_pending.v)
		find(j, WARN, "a part of its memory is replaced at the next reset", RESET);
}

/* Of MIG instances we may not see the processes. */
static void judge_held_memory(struct judging *j)
{
	const struct zn_gpu_state *st = j->st;
	uint64_t used = st->now.mem_used_bytes.v, least = st->gpu.mem_bytes.v / HELD_PART;
	char text[ZN_UNIT_TEXT];

	if (!st->now.users_known || st->holders.n || st->now.mig.v || used < HELD_BYTES || used < least)
		return;
	find(j, st->sees_all ? BAD : WARN,
	     zn_arena_printf(j->a, "%s of its memory is held by no process%s", zn_format_bytes(used, text),
	                     st->sees_all ? "" : " that is seen in this container"),
	     st->sees_all ? RESET : "look from outside of the container");
}

static bool is_throttled(const struct judging *j, const char *reason)
{
	const struct zn_strs *s = &j->st->now.throttle_reasons;

	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], reason))
			return true;
	return false;
}

/* A power cap is how a device under load works. */
static void judge_slowdown(struct judging *j)
{
	const struct zn_gpu_sample *now = &j->st->now;
	bool too_hot = now->temperature_c.has && now->temperature_slowdown_c.has &&
	               now->temperature_c.v >= now->temperature_slowdown_c.v;
	bool hot = is_throttled(j, "hw_thermal_slowdown") || is_throttled(j, "sw_thermal_slowdown") || too_hot;
	bool brake = is_throttled(j, "hw_power_brake_slowdown");

	if (hot && now->temperature_c.has)
		find(j, WARN, zn_arena_printf(j->a, "slowed down by heat, at %llu C", (unsigned long long)now->temperature_c.v),
		     "look after fans and air");
	else if (hot)
		find(j, WARN, "slowed down by heat", "look after fans and air");
	if (brake)
		find(j, WARN, "slowed down because the machine's power supply asks for it", "look after the power supplies");
	if (!hot && !brake && is_throttled(j, "hw_slowdown"))
		find(j, WARN, "slowed down by its hardware", "look after cooling and power");
}

/* format has room for both. */
static void find_less(struct judging *j, const char *format, struct zn_ou64 now, struct zn_ou64 of, const char *mend)
{
	find(j, WARN, zn_arena_printf(j->a, format, (unsigned long long)now.v, (unsigned long long)of.v), mend);
}

/* The generation falls while a device idles; the width does not. */
static void judge_links(struct judging *j)
{
	const struct zn_gpu_sample *now = &j->st->now;
	static const char seat[] = "seat it again";

	if (now->pcie_width_now.v && now->pcie_width_now.v < now->pcie_width.v)
		find_less(j, "its PCIe link runs with %llu of %llu lanes", now->pcie_width_now, now->pcie_width, seat);
	if (now->pcie_gen_now.v && now->pcie_gen_now.v < now->pcie_gen.v && now->kernel_active_pct.v >= BUSY_PCT)
		find_less(j, "its PCIe link runs at generation %llu of %llu under load", now->pcie_gen_now, now->pcie_gen, seat);
	if (now->nvlinks.v && now->nvlinks.v < now->nvlinks_of.v)
		find_less(j, "%llu of %llu NVLinks are up", now->nvlinks, now->nvlinks_of,
		          "look after bridges and switches, unless it is built like this");
}

/* ---- the record --------------------------------------------------------------------------------- */

static const char *say(const struct judging *j)
{
	struct zn_buf text = { 0 };

	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].what)
			zn_buf_printf(&text, "%s%s", text.len ? "; " : "", j->v[i].what);
	if (!j->n && j->st->is_mock)
		zn_buf_addstr(&text, "it is made up: nothing is measured");
	else if (!j->n)
		zn_buf_addstr(&text, j->st->is_sampled ? "nothing is known to be wrong" : "nobody can be asked about it");
	const char *whole = zn_buf_text(&text);
	const char *copy = whole ? zn_arena_strdup(j->a, whole) : NULL;
	zn_buf_done(&text);
	return copy;
}

/* Stable: the order of the checks is that of weight. */
static void put_bad_first(struct judging *j)
{
	struct zn_gpu_finding sorted[FINDINGS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].level == BAD)
			sorted[n++] = j->v[i];
	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].level != BAD)
			sorted[n++] = j->v[i];
	memcpy(j->v, sorted, n * sizeof(*sorted));
}

int zn_gpu_health_make(const struct zn_gpu_state *st, struct zn_arena *a, struct zn_gpu_health *ret)
{
	static void (*const checks[])(struct judging *) = {
		judge_presence, judge_memory_errors, judge_held_memory, judge_slowdown, judge_links,
	};
	struct judging j = { .st = st, .a = a, .v = zn_arena_array(a, FINDINGS_MAX, sizeof(*j.v)) };

	if (!j.v)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
		checks[i](&j);
	put_bad_first(&j);
	struct zn_gpu_health h = {
		.time_s = st->now.time_s, .gpu = st->gpu.gpu, .uuid = st->gpu.uuid, .name = st->gpu.name, .pci = st->gpu.pci,
		.level = j.n ? j.v[0].level : OK, .mend = j.n ? j.v[0].mend : NULL, .what = say(&j), .findings = { j.v, j.n },
	};
	if (j.failed || !h.what)
		return -ENOMEM;
	*ret = h;
	return 0;
}

bool zn_gpu_health_is_bad(const struct zn_gpu_health *h)
{
	return !strcmp(h->level, BAD);
}
