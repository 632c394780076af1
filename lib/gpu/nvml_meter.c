/* nvml_meter: what NVIDIA's devices do now.
 *
 * Every call may be missing, and may fail, on its own: its field is then absent.  Activity of SMs, tensor cores and
 * memory comes from GPM (Hopper and newer), which counts between two samples that we keep; so does traffic, where GPM
 * has it.  Elsewhere PCIe traffic is what the driver measures while it is asked (20 ms for each direction), and NVLink
 * traffic the difference of two counters.
 */
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "gpu/nvml.h"

enum { CLOCK_SM = 1, CLOCK_MEM = 2, SENSOR_GPU = 0, THRESHOLD_SLOWDOWN = 1 };
enum { ECC_CORRECTED = 0, ECC_UNCORRECTED = 1, ECC_VOLATILE = 0 };
enum { PCIE_TX = 0, PCIE_RX = 1 };
enum { FIELD_NVLINK_TX = 138, FIELD_NVLINK_RX = 139, SCOPE_ALL_LINKS = -1 }; /* KiB since the driver was loaded */
enum { VALUE_UNSIGNED_LONG_LONG = 3, VALUE_UNSIGNED_LONG = 2 };
enum { GPM_SM = 2, GPM_TENSOR = 5, GPM_DRAM = 10, GPM_PCIE_TX = 20, GPM_PCIE_RX = 21, GPM_NVLINK_RX = 60, GPM_NVLINK_TX = 61 };
enum { GPM_VERSION = 1, GPM_METRICS_MAX = 333 };
enum { KB = 1000, KIB = 1 << 10, MIB = 1 << 20 };

struct utilization {
	unsigned gpu, memory;
};
_Static_assert(sizeof(struct utilization) == 8, "nvmlUtilization_t");

struct field_value {
	unsigned field, scope;
	long long timestamp, latency_us;
	unsigned type;
	int rc;
	union {
		double d;
		unsigned long long u64;
	} value;
};
_Static_assert(sizeof(struct field_value) == 40, "nvmlFieldValue_t");

typedef struct gpm_sample_buffer *gpm_sample; /* the library's own */

struct gpm_support {
	unsigned version, is_supported;
};

struct gpm_metric {
	unsigned id;
	int rc;
	double value;
	struct {
		char *short_name, *long_name, *unit;
	} info;
};
_Static_assert(sizeof(struct gpm_metric) == 40, "nvmlGpmMetric_t");

struct gpm_get {
	unsigned version, n;
	gpm_sample from, to;
	struct gpm_metric v[GPM_METRICS_MAX];
};
_Static_assert(sizeof(struct gpm_get) == 13344, "nvmlGpmMetricsGet_t");

struct figures {
	int (*utilization)(nvml_dev, struct utilization *);
	int (*power)(nvml_dev, unsigned *);          /* milliwatts */
	int (*power_limit)(nvml_dev, unsigned *);
	int (*temperature)(nvml_dev, int, unsigned *);
	int (*threshold)(nvml_dev, int, unsigned *);
	int (*fan)(nvml_dev, unsigned *);
	int (*clock)(nvml_dev, int, unsigned *);
	int (*clock_max)(nvml_dev, int, unsigned *);
	int (*throttle)(nvml_dev, unsigned long long *);
	int (*ecc_mode)(nvml_dev, unsigned *, unsigned *);
	int (*ecc_errors)(nvml_dev, int, int, unsigned long long *);
	int (*remapped)(nvml_dev, unsigned *, unsigned *, unsigned *, unsigned *);
	int (*retired_pending)(nvml_dev, unsigned *);
	int (*pcie_gen)(nvml_dev, unsigned *);
	int (*pcie_width)(nvml_dev, unsigned *);
	int (*pcie_traffic)(nvml_dev, int, unsigned *); /* KB a second */
	int (*fields)(nvml_dev, int, struct field_value *);
	int (*mig_mode)(nvml_dev, unsigned *, unsigned *);
	int (*mig_max)(nvml_dev, unsigned *);
	int (*mig_device)(nvml_dev, unsigned, nvml_dev *);
	int (*gpm_support)(nvml_dev, struct gpm_support *);
	int (*gpm_alloc)(gpm_sample *);
	int (*gpm_free)(gpm_sample);
	int (*gpm_sample)(nvml_dev, gpm_sample);
	int (*gpm_get)(struct gpm_get *);
};

#define ROW(member, ...) { offsetof(struct figures, member), { __VA_ARGS__ }, NVML_BETTER }
static const struct nvml_symbol symbols[] = {
	ROW(utilization, "nvmlDeviceGetUtilizationRates"),
	ROW(power, "nvmlDeviceGetPowerUsage"),
	ROW(power_limit, "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"),
	ROW(temperature, "nvmlDeviceGetTemperature"),
	ROW(threshold, "nvmlDeviceGetTemperatureThreshold"),
	ROW(fan, "nvmlDeviceGetFanSpeed"),
	ROW(clock, "nvmlDeviceGetClockInfo"),
	ROW(clock_max, "nvmlDeviceGetMaxClockInfo"),
	ROW(throttle, "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
	ROW(ecc_mode, "nvmlDeviceGetEccMode"),
	ROW(ecc_errors, "nvmlDeviceGetTotalEccErrors"),
	ROW(remapped, "nvmlDeviceGetRemappedRows"),
	ROW(retired_pending, "nvmlDeviceGetRetiredPagesPendingStatus"),
	ROW(pcie_gen, "nvmlDeviceGetCurrPcieLinkGeneration"),
	ROW(pcie_width, "nvmlDeviceGetCurrPcieLinkWidth"),
	ROW(pcie_traffic, "nvmlDeviceGetPcieThroughput"),
	ROW(fields, "nvmlDeviceGetFieldValues"),
	ROW(mig_mode, "nvmlDeviceGetMigMode"),
	ROW(mig_max, "nvmlDeviceGetMaxMigDeviceCount"),
	ROW(mig_device, "nvmlDeviceGetMigDeviceHandleByIndex"),
	ROW(gpm_support, "nvmlGpmQueryDeviceSupport"),
	ROW(gpm_alloc, "nvmlGpmSampleAlloc"),
	ROW(gpm_free, "nvmlGpmSampleFree"),
	ROW(gpm_sample, "nvmlGpmSampleGet"),
	ROW(gpm_get, "nvmlGpmMetricsGet"),
};

struct counters { /* of NVLink, in bytes */
	uint64_t at_ns;               /* 0: not read */
	uint64_t rx, tx;
};

struct card {
	nvml_dev dev;
	const char *uuid, *name, *pci;
	struct zn_ou64 pcie_gen, pcie_width, slowdown_c, clock_max_mhz;
	gpm_sample from, to;          /* the last sample, and room for the next; NULL: no GPM */
	bool has_from;
	struct counters last;
	bool answered;                /* some call of an earlier sample did */
	/* of the sample in hand */
	unsigned good;                /* calls that succeeded */
	int bad, gone;                /* the last failure; the one that says that the device is gone; 0: none */
};

struct state {
	void *lib;
	struct nvml nvml;
	struct figures f;
	struct card *cards;
	const char *driver;
};

/* ---- opening ----------------------------------------------------------------------------------- */

static bool has_gpm(const struct figures *f, nvml_dev dev)
{
	struct gpm_support s = { .version = GPM_VERSION };

	return f->gpm_support && f->gpm_alloc && f->gpm_free && f->gpm_sample && f->gpm_get &&
	       f->gpm_support(dev, &s) == NVML_SUCCESS && s.is_supported;
}

static void open_gpm(const struct figures *f, struct card *c)
{
	if (!has_gpm(f, c->dev))
		return;
	if (f->gpm_alloc(&c->from) != NVML_SUCCESS)
		c->from = NULL;
	if (!c->from || f->gpm_alloc(&c->to) != NVML_SUCCESS)
		c->to = NULL;
}

/* What does not change, or not by itself. */
static int open_card(const struct state *s, struct zn_arena *a, const struct nvml_card *from, struct card *c)
{
	unsigned v;

	*c = (struct card){
		.dev = from->handle,
		.uuid = zn__nvml_text(a, s->nvml.uuid, from->handle),
		.name = zn__nvml_text(a, s->nvml.name, from->handle),
		.pci = zn__nvml_address(a, &from->pci),
		.pcie_gen = zn__nvml_number(s->nvml.pcie_gen, from->handle),
		.pcie_width = zn__nvml_number(s->nvml.pcie_width, from->handle),
	};
	if (s->f.threshold && s->f.threshold(c->dev, THRESHOLD_SLOWDOWN, &v) == NVML_SUCCESS && v)
		c->slowdown_c = ZN_SOME_U64(v);
	if (s->f.clock_max && s->f.clock_max(c->dev, CLOCK_SM, &v) == NVML_SUCCESS && v)
		c->clock_max_mhz = ZN_SOME_U64(v);
	open_gpm(&s->f, c);
	return c->pci ? 0 : -ENOMEM;
}

static bool counts_nvlinks(const struct state *s, const struct card *c)
{
	unsigned active;

	return s->f.fields && s->nvml.link_state && s->nvml.link_state(c->dev, 0, &active) == NVML_SUCCESS;
}

static int open_cards(struct zn__gpu_probe *p, struct state *s, struct zn_gpus *g)
{
	struct nvml_card *found = zn_arena_array(&p->arena, NVML_DEVICES_MAX, sizeof(*found));
	int rc = found ? 0 : -ENOMEM;
	char version[81] = "";
	size_t n = found ? zn__nvml_find(&s->nvml, g, found) : 0;
	bool known = s->nvml.driver && s->nvml.driver(version, sizeof(version) - 1) == NVML_SUCCESS && *version;

	s->driver = known ? zn_arena_printf(&p->arena, "nvml %s", version) : "nvml";
	s->cards = zn_arena_array(&p->arena, n + 1, sizeof(*s->cards));
	if (!s->cards || !s->driver)
		return -ENOMEM;
	for (; rc == 0 && p->n < n; p->n++) {
		struct card *c = &s->cards[p->n];
		rc = open_card(s, &p->arena, &found[p->n], c);
		p->wants_two |= c->to || counts_nvlinks(s, c);
	}
	return rc;
}

/* The note outlives the struct that it was left in. */
static int keep_note(struct zn__gpu_probe *p, const struct zn_gpus *g)
{
	if (g->note && !(p->note = zn_arena_strdup(&p->arena, g->note)))
		return -ENOMEM;
	return 0;
}

int zn__nvml_meter_open(struct zn__gpu_probe *p)
{
	struct zn_gpus g = { 0 };
	struct state *s = zn_arena_new(&p->arena, struct state);
	int rc = s ? 0 : -ENOMEM;

	if (rc == 0 && !*p->root)
		s->lib = zn__nvml_open(&s->nvml, &g);
	if (rc == 0 && s->lib) {
		zn__nvml_symbols(s->lib, symbols, sizeof(symbols) / sizeof(*symbols), &s->f, &g);
		int init = s->nvml.init();
		if (init == NVML_SUCCESS) {
			p->state = s;
			rc = open_cards(p, s, &g);
		} else {
			g.note = zn_arena_printf(&g.arena, "NVML does not start: %s", zn__nvml_error(&s->nvml, init));
			dlclose(s->lib);
		}
	}
	if (rc == 0)
		rc = keep_note(p, &g);
	zn_arena_done(&g.arena);
	return rc;
}

void zn__nvml_meter_close(struct zn__gpu_probe *p)
{
	struct state *s = p->state;

	for (size_t i = 0; i < p->n; i++) {
		if (s->cards[i].from)
			s->f.gpm_free(s->cards[i].from);
		if (s->cards[i].to)
			s->f.gpm_free(s->cards[i].to);
	}
	if (s->nvml.shutdown)
		s->nvml.shutdown();
	dlclose(s->lib);
}

/* ---- one call ----------------------------------------------------------------------------------- */

static bool good(struct card *c, int rc)
{
	if (rc == NVML_SUCCESS)
		c->good++;
	else
		c->bad = rc;
	if (rc == NVML_GPU_IS_LOST || rc == NVML_RESET_REQUIRED)
		c->gone = rc;
	return rc == NVML_SUCCESS;
}

static struct zn_ou64 ask(struct card *c, int (*call)(nvml_dev, unsigned *))
{
	unsigned v = 0;

	return call && good(c, call(c->dev, &v)) ? ZN_SOME_U64(v) : (struct zn_ou64){ 0 };
}

static struct zn_ou64 ask_of(struct card *c, int (*call)(nvml_dev, int, unsigned *), int which)
{
	unsigned v = 0;

	return call && good(c, call(c->dev, which, &v)) ? ZN_SOME_U64(v) : (struct zn_ou64){ 0 };
}

static double to_tenths(double v)
{
	return round(v * 10) / 10;
}

static struct zn_of64 watts(struct zn_ou64 mw)
{
	return (struct zn_of64){ .v = to_tenths((double)mw.v / 1000), .has = mw.has };
}

/* ---- groups of figures ---------------------------------------------------------------------------- */

static void read_activity(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	struct utilization u;

	if (!s->f.utilization || !good(c, s->f.utilization(c->dev, &u)))
		return;
	to->kernel_active_pct = ZN_SOME_F64(u.gpu);
	to->mem_active_pct = ZN_SOME_F64(u.memory);
}

int zn__nvml_throttle(uint64_t bits, struct zn_arena *a, struct zn_strs *ret)
{
	static const char *const words[] = {
		"gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal_slowdown",
		"hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clock_setting",
	};
	const char **v = zn_arena_array(a, 64, sizeof(*v));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(bits >> bit & 1))
			continue;
		v[n] = bit < sizeof(words) / sizeof(*words) ? words[bit] : zn_arena_printf(a, "0x%llx", 1ULL << bit);
		if (!v[n++])
			return -ENOMEM;
	}
	*ret = (struct zn_strs){ .v = v, .n = n };
	return 0;
}

static int read_clocks(const struct state *s, struct card *c, struct zn_arena *a, struct zn_gpu_sample *to)
{
	unsigned long long bits = 0;

	to->clock_mhz = ask_of(c, s->f.clock, CLOCK_SM);
	to->mem_clock_mhz = ask_of(c, s->f.clock, CLOCK_MEM);
	to->clock_max_mhz = c->clock_max_mhz;
	if (!s->f.throttle || !good(c, s->f.throttle(c->dev, &bits)) || !bits)
		return 0;
	return zn__nvml_throttle(bits, a, &to->throttle_reasons);
}

static struct zn_ou64 ecc_errors(const struct state *s, struct card *c, int which)
{
	unsigned long long v = 0;

	return good(c, s->f.ecc_errors(c->dev, which, ECC_VOLATILE, &v)) ? ZN_SOME_U64(v) : (struct zn_ou64){ 0 };
}

/* Rows are remapped since Ampere; before, pages were retired. */
static void read_ecc(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	unsigned now = 0, next, corrected, uncorrected, pending = 0, failed = 0;

	if (s->f.ecc_mode && good(c, s->f.ecc_mode(c->dev, &now, &next)))
		to->ecc = ZN_SOME_BOOL(now != 0);
	if (to->ecc.v && s->f.ecc_errors) {
		to->ecc_corrected = ecc_errors(s, c, ECC_CORRECTED);
		to->ecc_uncorrected = ecc_errors(s, c, ECC_UNCORRECTED);
	}
	if (s->f.remapped && good(c, s->f.remapped(c->dev, &corrected, &uncorrected, &pending, &failed))) {
		to->repair_pending = ZN_SOME_BOOL(pending != 0);
		to->repair_failed = ZN_SOME_BOOL(failed != 0);
	} else if (s->f.retired_pending && good(c, s->f.retired_pending(c->dev, &pending))) {
		to->repair_pending = ZN_SOME_BOOL(pending != 0);
	}
}

static void read_nvlinks(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	unsigned up = 0, of = 0, active;

	for (unsigned link = 0; s->nvml.link_state && link < NVML_LINKS_MAX; link++) {
		active = 0;
		if (s->nvml.link_state(c->dev, link, &active) != NVML_SUCCESS)
			break;
		of++;
		up += active != 0;
	}
	if (!of)
		return;
	to->nvlinks = ZN_SOME_U64(up);
	to->nvlinks_of = ZN_SOME_U64(of);
}

static bool is_counter(const struct field_value *v)
{
	return v->rc == NVML_SUCCESS && (v->type == VALUE_UNSIGNED_LONG_LONG || v->type == VALUE_UNSIGNED_LONG);
}

static struct zn_ou64 rate(uint64_t from, uint64_t to, uint64_t ns)
{
	return to >= from && ns ? ZN_SOME_U64((uint64_t)((double)(to - from) * 1e9 / (double)ns)) : (struct zn_ou64){ 0 };
}

/* A counter that ran backwards was set to nothing meanwhile. */
static void read_nvlink_traffic(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	struct field_value v[] = { { .field = FIELD_NVLINK_RX, .scope = (unsigned)SCOPE_ALL_LINKS },
		                   { .field = FIELD_NVLINK_TX, .scope = (unsigned)SCOPE_ALL_LINKS } };
	struct counters now = { .at_ns = zn_boot_ns() };

	if (!to->nvlinks.has || !s->f.fields || !good(c, s->f.fields(c->dev, 2, v)) || !is_counter(&v[0]) || !is_counter(&v[1]))
		return;
	now.rx = v[0].value.u64 * KIB;
	now.tx = v[1].value.u64 * KIB;
	if (c->last.at_ns) {
		to->nvlink_rx_bytes_s = rate(c->last.rx, now.rx, now.at_ns - c->last.at_ns);
		to->nvlink_tx_bytes_s = rate(c->last.tx, now.tx, now.at_ns - c->last.at_ns);
	}
	c->last = now;
}

static void read_pcie(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	struct zn_ou64 rx, tx;

	to->pcie_gen = c->pcie_gen;
	to->pcie_width = c->pcie_width;
	to->pcie_gen_now = ask(c, s->f.pcie_gen);
	to->pcie_width_now = ask(c, s->f.pcie_width);
	if (c->to) /* GPM tells without waiting */
		return;
	rx = ask_of(c, s->f.pcie_traffic, PCIE_RX);
	tx = ask_of(c, s->f.pcie_traffic, PCIE_TX);
	to->pcie_rx_bytes_s = (struct zn_ou64){ .v = rx.v * KB, .has = rx.has };
	to->pcie_tx_bytes_s = (struct zn_ou64){ .v = tx.v * KB, .has = tx.has };
}

/* ---- GPM ------------------------------------------------------------------------------------------ */

static const struct metric {
	unsigned id;
	size_t at;
	enum { PERCENT, PCIE_RATE, NVLINK_RATE } unit; /* rates: MiB a second */
} metrics[] = {
	{ GPM_SM, offsetof(struct zn_gpu_sample, sm_pct), PERCENT },
	{ GPM_TENSOR, offsetof(struct zn_gpu_sample, tensor_pct), PERCENT },
	{ GPM_DRAM, offsetof(struct zn_gpu_sample, dram_pct), PERCENT },
	{ GPM_PCIE_RX, offsetof(struct zn_gpu_sample, pcie_rx_bytes_s), PCIE_RATE },
	{ GPM_PCIE_TX, offsetof(struct zn_gpu_sample, pcie_tx_bytes_s), PCIE_RATE },
	{ GPM_NVLINK_RX, offsetof(struct zn_gpu_sample, nvlink_rx_bytes_s), NVLINK_RATE },
	{ GPM_NVLINK_TX, offsetof(struct zn_gpu_sample, nvlink_tx_bytes_s), NVLINK_RATE },
};
enum { METRICS = sizeof(metrics) / sizeof(*metrics) };

static void put_metric(const struct metric *m, double value, struct zn_gpu_sample *to)
{
	void *field = (char *)to + m->at;

	if (!isfinite(value) || value < 0 || (m->unit == NVLINK_RATE && !to->nvlinks.has))
		return;
	if (m->unit == PERCENT)
		*(struct zn_of64 *)field = ZN_SOME_F64(to_tenths(value));
	else
		*(struct zn_ou64 *)field = ZN_SOME_U64((uint64_t)(value * MIB));
}

static void read_gpm(const struct state *s, struct card *c, struct zn_gpu_sample *to)
{
	struct gpm_get get = { .version = GPM_VERSION, .n = METRICS, .from = c->from, .to = c->to };

	if (!c->to)
		return;
	if (!good(c, s->f.gpm_sample(c->dev, c->to))) {
		c->has_from = false;
		return;
	}
	for (size_t i = 0; i < METRICS; i++)
		get.v[i].id = metrics[i].id;
	bool told = c->has_from && good(c, s->f.gpm_get(&get));
	for (size_t i = 0; told && i < METRICS; i++)
		if (get.v[i].rc == NVML_SUCCESS)
			put_metric(&metrics[i], get.v[i].value, to);
	c->from = get.to;
	c->to = get.from;
	c->has_from = true;
}

/* ---- MIG ------------------------------------------------------------------------------------------- */

static void read_part(const struct state *s, struct zn_arena *a, nvml_dev dev, struct zn_gpu_part *part)
{
	part->uuid = zn__nvml_text(a, s->nvml.uuid, dev);
	part->name = zn__nvml_text(a, s->nvml.name, dev);
	zn__nvml_memory(&s->nvml, dev, &part->mem_bytes, &part->mem_used_bytes);
}

static int read_parts(const struct state *s, struct card *c, struct zn_arena *a, struct zn_list *to)
{
	struct zn_ou64 max = ask(c, s->f.mig_max);
	struct zn_gpu_part *v = max.v && max.v <= NVML_DEVICES_MAX ? zn_arena_array(a, max.v, sizeof(*v)) : NULL;
	nvml_dev dev;

	if (!max.v || max.v > NVML_DEVICES_MAX || !s->f.mig_device)
		return 0;
	if (!v)
		return -ENOMEM;
	to->v = v;
	for (unsigned i = 0; i < max.v; i++)
		if (s->f.mig_device(c->dev, i, &dev) == NVML_SUCCESS) {
			v[to->n].part = i;
			read_part(s, a, dev, &v[to->n++]);
		}
	return 0;
}

static int read_mig(const struct state *s, struct card *c, struct zn_arena *a, struct zn_gpu_sample *to)
{
	unsigned now = 0, next;

	if (!s->f.mig_mode || s->f.mig_mode(c->dev, &now, &next) != NVML_SUCCESS)
		return 0;
	to->mig = ZN_SOME_BOOL(now != 0);
	return now ? read_parts(s, c, a, &to->parts) : 0;
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static struct zn_gpu_sample identity(const struct state *s, const struct card *c, double time_s)
{
	return (struct zn_gpu_sample){ .time_s = time_s, .uuid = c->uuid, .name = c->name, .pci = c->pci, .vendor = "NVIDIA",
		                       .driver = s->driver };
}

/* A device that answered, and does not answer anything any more, is as lost as one of which the driver says so. */
static const char *why_lost(const struct state *s, struct card *c)
{
	int rc = c->gone ? c->gone : !c->good && c->answered ? c->bad : 0;

	return rc ? zn__nvml_error(&s->nvml, rc) : NULL;
}

static int measure_card(const struct state *s, struct card *c, struct zn_arena *a, struct zn_gpu_sample *to)
{
	c->good = 0;
	c->bad = c->gone = 0;
	*to = identity(s, c, to->time_s);
	read_activity(s, c, to);
	good(c, zn__nvml_memory(&s->nvml, c->dev, &to->mem_bytes, &to->mem_used_bytes));
	to->power_w = watts(ask(c, s->f.power));
	to->power_limit_w = watts(ask(c, s->f.power_limit));
	to->temperature_c = ask_of(c, s->f.temperature, SENSOR_GPU);
	to->temperature_slowdown_c = c->slowdown_c;
	to->fan_pct = ask(c, s->f.fan);
	int rc = read_clocks(s, c, a, to);
	read_ecc(s, c, to);
	read_nvlinks(s, c, to);
	read_nvlink_traffic(s, c, to);
	read_pcie(s, c, to);
	read_gpm(s, c, to);
	if (rc == 0)
		rc = read_mig(s, c, a, to);
	if (rc == 0)
		rc = zn__nvml_users(&s->nvml, a, c->dev, &to->users);
	to->users_known = rc > 0;
	const char *lost = why_lost(s, c);
	c->answered |= c->good > 0;
	if (lost) {
		*to = identity(s, c, to->time_s);
		to->lost = lost;
	}
	return rc < 0 ? rc : 0;
}

int zn__nvml_meter_measure(struct zn__gpu_probe *p, struct zn_arena *a, struct zn_gpu_sample *v)
{
	struct state *s = p->state;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n; i++)
		rc = measure_card(s, &s->cards[i], a, &v[i]);
	return rc;
}
