/* Placement held against a table, and the choice of GPUs against a brute force that shares no code. */
#include <errno.h>
#include <glob.h>
#include <time.h>

#include "machine.h"
#include "plan/plan.h"
#include "tap.h"

enum { MAX = 24 };

/* ---- GPU-GPU tables of real machines ---- */

static const char *const dgx1v[] = {
	"X    NV1  NV1  NV2  NV2  SYS  SYS  SYS",
	"NV1  X    NV2  NV1  SYS  NV2  SYS  SYS",
	"NV1  NV2  X    NV2  SYS  SYS  NV1  SYS",
	"NV2  NV1  NV2  X    SYS  SYS  SYS  NV1",
	"NV2  SYS  SYS  SYS  X    NV1  NV1  NV2",
	"SYS  NV2  SYS  SYS  NV1  X    NV2  NV1",
	"SYS  SYS  NV1  SYS  NV1  NV2  X    NV2",
	"SYS  SYS  SYS  NV1  NV2  NV1  NV2  X", NULL };
static const char *const rtx8000x4[] = {
	"X    NODE SYS  NV2",
	"NODE X    NV2  SYS",
	"SYS  NV2  X    NODE",
	"NV2  SYS  NODE X", NULL };
static const char *const nvswitch[] = {
	"X    NV18 NV18 NV18 NV18 NV18 NV18 NV18",
	"NV18 X    NV18 NV18 NV18 NV18 NV18 NV18",
	"NV18 NV18 X    NV18 NV18 NV18 NV18 NV18",
	"NV18 NV18 NV18 X    NV18 NV18 NV18 NV18",
	"NV18 NV18 NV18 NV18 X    NV18 NV18 NV18",
	"NV18 NV18 NV18 NV18 NV18 X    NV18 NV18",
	"NV18 NV18 NV18 NV18 NV18 NV18 X    NV18",
	"NV18 NV18 NV18 NV18 NV18 NV18 NV18 X", NULL };
/* no NVLink: two GPUs to a switch, two switches to a host bridge, two sockets */
static const char *const pcie8[] = {
	"X    PIX  PXB  PXB  SYS  SYS  SYS  SYS",
	"PIX  X    PXB  PXB  SYS  SYS  SYS  SYS",
	"PXB  PXB  X    PIX  SYS  SYS  SYS  SYS",
	"PXB  PXB  PIX  X    SYS  SYS  SYS  SYS",
	"SYS  SYS  SYS  SYS  X    PIX  PHB  PHB",
	"SYS  SYS  SYS  SYS  PIX  X    PHB  PHB",
	"SYS  SYS  SYS  SYS  PHB  PHB  X    NODE",
	"SYS  SYS  SYS  SYS  PHB  PHB  NODE X", NULL };

/* The ways from each GPU to NICs, which are on the nodes that their numbers say. */
static const char *const dgx1v_nics[] = {
	"0: PIX  PIX  NODE NODE SYS  SYS  SYS  SYS",
	"0: NODE NODE PIX  PIX  SYS  SYS  SYS  SYS",
	"1: SYS  SYS  SYS  SYS  PIX  PIX  NODE NODE",
	"1: SYS  SYS  SYS  SYS  NODE NODE PIX  PIX", NULL };
static const char *const nvswitch_nics[] = {
	"0: PIX  NODE NODE NODE SYS  SYS  SYS  SYS",
	"0: NODE NODE PIX  NODE SYS  SYS  SYS  SYS",
	"1: SYS  SYS  SYS  SYS  PXB  PXB  PHB  NODE", NULL };
static const char *const pcie8_nics[] = {
	"0: PIX  PIX  PXB  PXB  SYS  SYS  SYS  SYS",
	"1: SYS  SYS  SYS  SYS  PHB  PHB  PIX  NODE", NULL };

static const struct { const char *name, *machine; const char *const *rows, *const *nics; } tables[] = {
	{ "dgx1v", "numa:2 core:20 pu:2 gpu:4", dgx1v, dgx1v_nics },
	{ "rtx8000x4", "numa:2 core:8 pu:2 gpu:2", rtx8000x4, NULL },
	{ "nvswitch", "numa:2 core:8 pu:2 gpu:4", nvswitch, nvswitch_nics },
	{ "pcie8", "numa:2 core:8 pu:2 gpu:4", pcie8, pcie8_nics },
	{ "4090x8", "numa:8 core:7 pu:2 gpu:1", NULL, NULL },
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static double gbps_of(const char *type)
{
	static const struct { const char *type; double gbps; } known[] = {
		{ "NV1", 200 }, { "NV2", 400 }, { "NV18", 3600 }, { "PIX", 126.5 }, { "PXB", 110.25 },
		{ "PHB", 90 }, { "NODE", 70 }, { "SYS", 40 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(type, known[i].type))
			return known[i].gbps;
	abort();
}

static void add_nic(struct zn_facts *f, const char *row)
{
	char type[8];
	int len;
	const struct zn_nic *nic = machine_nic(f, zn_arena_printf(&f->arena, "mlx5_%zu", f->n_nics), (unsigned)atoi(row));

	row += 2;
	for (unsigned g = 0; g < f->n_gpus; g++, row += len) {
		if (sscanf(row, "%7s%n", type, &len) != 1)
			abort();
		machine_link(f, g, 0, type);
		f->links[f->n_links - 1].b = nic->nic;
	}
}

static struct zn_facts *table_machine(unsigned t)
{
	struct zn_facts *f = machine_new(tables[t].machine);
	char type[8];

	if (tables[t].rows) {
		f->n_links = 0;
		for (unsigned a = 0; a < f->n_gpus; a++) {
			const char *p = tables[t].rows[a];
			for (unsigned b = 0; b < f->n_gpus; b++) {
				int len;
				if (sscanf(p, "%7s%n", type, &len) != 1)
					abort();
				p += len;
				if (b > a)
					machine_link(f, a, b, type);
			}
		}
	}
	for (size_t i = 0; i < f->n_links; i++)
		f->links[i].link_gbps = ZN_SOME_F64(gbps_of(f->links[i].type));
	for (size_t i = 0; tables[t].nics && tables[t].nics[i]; i++)
		add_nic(f, tables[t].nics[i]);
	machine_wire(f);
	return f;
}

/* ---- the brute force ---- */

enum { WAYS = 5 };
static const char *const ways[WAYS] = { "PIX", "PXB", "PHB", "NODE", "SYS" };

struct brute {
	unsigned n, n_nics;
	bool one_root[MAX][MAX];           /* as far as it is known */
	unsigned way[MAX][MACHINE_NICS];   /* to each NIC */
	double w[MAX][MAX];
	bool nv[MAX][MAX];
	uint64_t numa[MAX];
};

static unsigned way_of(const char *type)
{
	unsigned i = 0;

	while (i < WAYS && strcmp(ways[i], type))
		i++;
	return i;
}

/* Below the same one as a NIC, or as a third GPU. */
static void find_roots(struct brute *m)
{
	for (unsigned nic = 0; nic < m->n_nics; nic++)
		for (unsigned a = 0; a < m->n; a++)
			for (unsigned b = 0; b < m->n; b++)
				m->one_root[a][b] |= m->way[a][nic] < 3 && m->way[b][nic] < 3;
	for (unsigned c = 0; c < m->n; c++)
		for (unsigned a = 0; a < m->n; a++)
			for (unsigned b = 0; b < m->n; b++)
				m->one_root[a][b] |= m->one_root[a][c] && m->one_root[c][b];
}

static struct brute brute_of(const struct zn_facts *f)
{
	struct brute m = { .n = (unsigned)f->n_gpus };

	for (unsigned i = 0; i < m.n; i++)
		m.numa[i] = f->gpus[i].numa.has ? f->gpus[i].numa.v : 999;
	m.n_nics = (unsigned)f->n_nics;
	for (size_t i = 0; i < f->n_links; i++) {
		int a = atoi(f->links[i].a + 3), b = atoi(f->links[i].b + 3);
		unsigned way = way_of(f->links[i].type);
		if (strncmp(f->links[i].b, "gpu", 3)) {
			m.way[a][atoi(f->links[i].b + 5)] = way;
			continue;
		}
		m.one_root[a][b] = m.one_root[b][a] = way < 3;
		m.w[a][b] = m.w[b][a] = f->links[i].link_gbps.v;
		m.nv[a][b] = m.nv[b][a] = !strncmp(f->links[i].type, "NV", 2);
	}
	find_roots(&m);
	return m;
}

struct verdict { double worst, sum, rest; int numas, left, numa_pairs, root_pairs, at[WAYS]; };

/* The shortest way to that NIC, "mlx5_1", or to any. */
static unsigned way_to(const struct brute *m, unsigned gpu, const char *near)
{
	unsigned best = WAYS - 1;

	for (unsigned nic = 0; nic < m->n_nics; nic++)
		if ((!strcmp(near, "nic") || atoi(near + 5) == (int)nic) && m->way[gpu][nic] < best)
			best = m->way[gpu][nic];
	return best;
}

static struct verdict judge(const struct brute *m, unsigned subset, unsigned from, const struct zn_ask *wish)
{
	struct verdict v = { .worst = 1e9 };

	for (unsigned a = 0; a < m->n; a++)
		for (unsigned b = a + 1; b < m->n; b++) {
			unsigned pair = 1u << a | 1u << b;
			if ((pair & subset) == pair) {
				v.sum += m->w[a][b];
				v.worst = m->w[a][b] < v.worst ? m->w[a][b] : v.worst;
				v.numa_pairs += wish->spread && m->numa[a] == m->numa[b];
				v.root_pairs += wish->spread && m->one_root[a][b];
			} else if ((pair & from & ~subset) == pair) {
				v.rest += m->w[a][b];
			}
		}
	for (unsigned a = 0; a < m->n; a++) {
		bool taken = false, seen = false;
		for (unsigned b = 0; b < m->n; b++) {
			taken |= m->numa[b] == m->numa[a] && subset >> b & 1;
			seen |= b < a && m->numa[b] == m->numa[a];
		}
		if (wish->near && subset >> a & 1)
			v.at[way_to(m, a, wish->near)]++;
		v.numas += taken && !seen;
		v.left += taken && (from & ~subset) >> a & 1;
	}
	return v;
}

static bool all_nvlinked(const struct brute *m, unsigned subset)
{
	for (unsigned a = 0; a < m->n; a++)
		for (unsigned b = a + 1; b < m->n; b++)
			if (subset >> a & 1 && subset >> b & 1 && !m->nv[a][b])
				return false;
	return true;
}

/* -1 when a's sorted numbers come before b's. */
static int order_of(unsigned a, unsigned b)
{
	for (unsigned i = 0; i < MAX; i++)
		if ((a >> i & 1) != (b >> i & 1))
			return a >> i & 1 ? -1 : 1;
	return 0;
}

static bool is_better(struct verdict a, unsigned set_a, struct verdict b, unsigned set_b)
{
	if (a.numa_pairs != b.numa_pairs)
		return a.numa_pairs < b.numa_pairs;
	if (a.root_pairs != b.root_pairs)
		return a.root_pairs < b.root_pairs;
	if (a.worst != b.worst)
		return a.worst > b.worst;
	for (unsigned way = WAYS; way--;)
		if (a.at[way] != b.at[way])
			return a.at[way] < b.at[way];
	if (a.sum != b.sum)
		return a.sum > b.sum;
	if (a.numas != b.numas)
		return a.numas < b.numas;
	if (a.rest != b.rest)
		return a.rest > b.rest;
	if (a.left != b.left)
		return a.left < b.left;
	return order_of(set_a, set_b) < 0;
}

/* 0 when there is none. */
static unsigned brute_choice(const struct brute *m, unsigned from, unsigned k, const struct zn_ask *wish)
{
	unsigned best = 0;
	struct verdict best_v = { 0 };

	for (unsigned s = 1; s < 1u << m->n; s++) {
		struct verdict v;
		if ((s & ~from) || (unsigned)__builtin_popcount(s) != k || (wish->nvlink_required && !all_nvlinked(m, s)))
			continue;
		v = judge(m, s, from, wish);
		if (!best || is_better(v, s, best_v, best)) {
			best = s;
			best_v = v;
		}
	}
	return best;
}

static unsigned mask_of(const struct zn_idset *s)
{
	return (unsigned)s->w[0];
}

static unsigned wrong_choices(const struct zn_facts *f, const struct zn_ask *wish)
{
	struct brute m = brute_of(f);
	unsigned wrong = 0;

	for (unsigned from = 0; from < 1u << m.n; from++)
		for (unsigned k = 1; k <= m.n; k++) {
			struct zn_free now = zn_plan_idle(f);
			struct zn_ask ask = *wish;
			struct zn_plan p = { 0 };
			unsigned want = brute_choice(&m, from, k, wish), got;
			int rc;
			ask.gpus = k;
			ask.tasks = 1;
			now.gpus.w[0] = from;
			rc = zn_plan_make(f, &now, &ask, &p, NULL);
			got = rc == 0 ? mask_of(&p.gpus) : 0;
			if (got != want && wrong++ < 3)
				printf("# free %#x, %u gpus: got %#x, want %#x\n", from, k, got, want);
			if ((want != 0) != (rc == 0))
				wrong++;
			if (rc == -EINVAL && brute_choice(&m, (1u << m.n) - 1, k, wish))
				wrong++;
		}
	return wrong;
}

static const struct { const char *what; struct zn_ask ask; } wishes[] = {
	{ "without a wish", { 0 } },
	{ "where nvlink is required", { .nvlink_required = true } },
	{ "to be spread", { .spread = true } },
	{ "near a NIC", { .near = "mlx5_1" } },
	{ "near any NIC", { .near = "nic" } },
	{ "spread near a NIC, with nvlink", { .spread = true, .near = "mlx5_0", .nvlink_required = true } },
};

static void test_choices(void)
{
	for (unsigned t = 0; t < TABLES; t++) {
		struct zn_facts *f = table_machine(t);
		for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++)
			if (!wishes[i].ask.near || f->n_nics)
				tap_ok(!wrong_choices(f, &wishes[i].ask), "%s: every free set and size as the brute force %s", tables[t].name, wishes[i].what);
		machine_free(f);
	}
}

static uint32_t random_state = 20261122;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % below;
}

static void test_random_links(void)
{
	unsigned wrong = 0;

	for (unsigned round = 0; round < 24; round++) {
		struct zn_facts *f = machine_new(round % 4 < 2 ? "numa:2 core:4 gpu:4" : "numa:4 core:4 gpu:2");
		for (size_t i = 0; i < f->n_links; i++) {
			f->links[i].type = draw(3) ? "NV1" : draw(6) ? "SYS" : "PHB";
			f->links[i].link_gbps = ZN_SOME_F64(1 + draw(4));
		}
		for (unsigned nic = 0; nic < 3; nic++) {
			char row[64] = "0:";
			for (unsigned g = 0; g < f->n_gpus; g++)
				sprintf(row + strlen(row), " %s", ways[draw(4) ? 3 + draw(2) : draw(3)]);
			add_nic(f, row);
		}
		machine_wire(f);
		wrong += wrong_choices(f, &wishes[round % 6].ask) != 0;
		machine_free(f);
	}
	tap_ok(!wrong, "24 machines with random links, ties included, as the brute force");
}

/* ---- rows: what is free, what is asked, what comes out ---- */

#define ANY "*"

static const struct row {
	const char *machine;
	const char *free_gpus, *free_cpus;  /* ANY: all */
	struct zn_ask ask;
	int rc;
	const char *gpus, *cpus, *numas;
	uint32_t held;
} rows[] = {
	/* types alone, no bandwidth */
	{ "numa:2 core:4 gpu:2", ANY, ANY, { .gpus = 2 }, 0, "0-1", "0-3", "0", 4 },
	{ "numa:2 core:4 gpu:2", "1-3", ANY, { .gpus = 2 }, 0, "2-3", "4-7", "1", 4 },
	{ "numa:2 core:4 gpu:2", "1-3", ANY, { .gpus = 1 }, 0, "1", "0-1", "0", 2 },
	/* the fair slice: cpus of the node / gpus of the node, whole cores, only next to the GPU */
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", "4-7", ANY, { .gpus = 1 }, 0, "4", "8-9,24-25", "1", 4 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, "4-15,16-31", { .gpus = 1 }, 0, "0", "4-5,20-21", "0", 4 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, "7-15,24-31", { .gpus = 1 }, 0, "0", "7", "0", 1 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, "8-15", { .gpus = 1 }, 0, "0", "0-7,16-23", "0", 0 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, "", { .gpus = 1 }, 0, "0", "0-7,16-23", "0", 0 },
	{ "numa:2 core:1 gpu:4 nv:18", ANY, ANY, { .gpus = 1 }, 0, "0", "0", "0", 0 },
	{ "numa:2 core:1 gpu:4 nv:18", ANY, ANY, { .gpus = 8 }, 0, "0-7", "0-1", "0-1", 2 },
	/* as many as asked: next to the GPU first, then the nearest node */
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", "4-7", ANY, { .gpus = 1, .cpus = { 4, true } }, 0, "4",
	  "8-9,24-25", "1", 4 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, ANY, { .gpus = 1, .cpus = { 18, true } }, 0, "0",
	  "0-8,16-24", "0-1", 18 },
	{ "numa:4 core:2 gpu:1", "2", ANY, { .gpus = 1, .cpus = { 4, true } }, 0, "2", "2-5", "1-2", 4 },
	{ "numa:2 core:4 gpu:1", ANY, ANY, { .gpus = 2, .cpus = { 4, true } }, 0, "0-1", "0-1,4-5", "0-1", 4 },
	{ "numa:2 core:4 pu:2 gpu:1", ANY, ANY, { .gpus = 2, .cpus = { 6, true } }, 0, "0-1",
	  "0-1,4,8-9,12", "0-1", 6 },
	{ "numa:2 core:4 gpu:1", ANY, ANY, { .gpus = 1, .cpus = { 0, true } }, 0, "0", "0-3", "0", 0 },
	{ "numa:2 core:4 gpu:1", ANY, "3-7", { .gpus = 1, .cpus = { 0, true } }, 0, "0", "3", "0", 0 },
	/* without GPUs: one for each task, whole cores, the tightest node, rather one without GPUs */
	{ "numa:1 core:4 pu:2", ANY, ANY, { 0 }, 0, "", "0", "0", 1 },
	{ "numa:1 core:4 pu:2", ANY, ANY, { .tasks = 3 }, 0, "", "0-1,4", "0", 3 },
	{ "numa:1 core:4 pu:2", ANY, ANY, { .tasks = 100 }, 0, "", "0-7", "0", 8 },
	{ "numa:1 core:4 pu:2", ANY, "1-7", { .tasks = 2 }, 0, "", "1,5", "0", 2 },
	{ "numa:2 core:4", ANY, "2-7", { .cpus = { 2, true } }, 0, "", "2-3", "0", 2 },
	{ "numa:2 core:4", ANY, "2-7", { .cpus = { 3, true } }, 0, "", "4-6", "1", 3 },
	{ "numa:2 core:4 pu:2", ANY, "0-7,12-15", { .cpus = { 2, true } }, 0, "", "4,12", "1", 2 },
	{ "numa:2 core:4", ANY, "1-7", { .cpus = { 6, true } }, 0, "", "1-2,4-7", "0-1", 6 },
	{ "numa:2 core:4", ANY, ANY, { .cpus = { 0, true } }, 0, "", "0-7", "0-1", 0 },
	/* near a device: its node first; where there is none, never */
	{ "numa:2 core:4 nic:1", ANY, ANY, { .near = "eth0" }, 0, "", "4", "1", 1 },
	{ "numa:2 core:4 nic:1", ANY, ANY, { .near = "nic", .cpus = { 6, true } }, 0, "", "0-1,4-7", "0-1", 6 },
	{ "numa:2 core:4 nic:1", ANY, "0-3", { .near = "0000:c0:00.0" }, 0, "", "0", "0", 1 },
	{ "numa:2 core:4 gpu:2 nic:1", ANY, ANY, { .gpus = 1, .near = "c0:00.0" }, 0, "2", "4-5", "1", 2 },
	{ "numa:2 core:4 gpu:2 nic:1", "0-1,3", ANY, { .gpus = 1, .near = "eth0" }, 0, "3", "4-5", "1", 2 },
	{ "numa:2 core:4 gpu:2 nic:1", "0-1", ANY, { .gpus = 1, .near = "eth0" }, 0, "0", "0-1", "0", 2 },
	{ "numa:2 core:4 gpu:2 nic:1", ANY, ANY, { .near = "eth1" }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:2 core:4 gpu:2 nic:1", ANY, ANY, { .gpus = 1, .near = "nvme" }, -EINVAL, NULL, NULL, NULL, 0 },
	/* spread: equal parts of all nodes, in whole cores where these go round */
	{ "numa:2 core:4", ANY, ANY, { .spread = true, .cpus = { 4, true } }, 0, "", "0-1,4-5", "0-1", 4 },
	{ "numa:2 core:4 pu:2", ANY, ANY, { .spread = true, .cpus = { 2, true } }, 0, "", "0,4", "0-1", 2 },
	{ "numa:2 core:4 pu:2", ANY, ANY, { .spread = true, .cpus = { 6, true } }, 0, "", "0-1,4,8-9,12", "0-1", 6 },
	{ "numa:2 core:4", ANY, "0-4", { .spread = true, .cpus = { 4, true } }, 0, "", "0-2,4", "0-1", 4 },
	{ "numa:2 core:4", ANY, ANY, { .spread = true, .cpus = { 8, true } }, 0, "", "0-7", "0-1", 8 },
	{ "numa:4 core:2 nic:2", ANY, ANY, { .spread = true, .near = "eth0", .tasks = 3 }, 0, "", "2,4,6", "1-3", 3 },
	{ "numa:2 core:4 gpu:4 nv:18", ANY, ANY, { .spread = true, .gpus = 2 }, 0, "0,4", "0,4", "0-1", 2 },
	{ "numa:2 core:4 gpu:4 nv:18", "0,4-7", ANY, { .spread = true, .gpus = 3 }, 0, "0,4-5", "0,4-5", "0-1", 3 },
	/* memory spills to the next node */
	{ "numa:4 core:4 mem:64", ANY, "4-7", { .mem_bytes = 100ull << 30 }, 0, "", "4", "0-1", 1 },
	{ "numa:1 core:4 mem:64", ANY, ANY, { .mem_bytes = 64ull << 30 }, 0, "", "0", "0", 1 },
	/* not now, never */
	{ "numa:1 core:4 gpu:4", "0-1", ANY, { .gpus = 3 }, -EAGAIN, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", "", ANY, { .gpus = 1 }, -EAGAIN, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, ANY, { .gpus = 5 }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, "3", { .cpus = { 2, true } }, -EAGAIN, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, "", { 0 }, -EAGAIN, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, ANY, { .cpus = { 5, true } }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, ANY, { .cpus = { UINT64_MAX, true } }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 mem:64", ANY, ANY, { .mem_bytes = UINT64_MAX }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, ANY, { .gpus = 2, .nvlink_required = true }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:4", ANY, ANY, { .gpus = 1, .nvlink_required = true }, 0, "0", "0", "0", 1 },
	{ "numa:1 core:4 gpu:4 nv:4", "3", ANY, { .gpus = 2, .nvlink_required = true }, -EAGAIN, NULL, NULL, NULL, 0 },
	/* ids that the machine does not have are not free, whatever is claimed */
	{ "numa:1 core:4 gpu:2", "0-9", "0-99", { .gpus = 3 }, -EINVAL, NULL, NULL, NULL, 0 },
	{ "numa:1 core:4 gpu:2", "2-9", "4-99", { .gpus = 1 }, -EAGAIN, NULL, NULL, NULL, 0 },
};

static bool is_list(const struct zn_idset *s, const char *list)
{
	struct zn_idset want = ids(list);

	return zn_idset_equal(s, &want);
}

static struct zn_free free_of_row(const struct zn_facts *f, const char *gpus, const char *cpus)
{
	struct zn_free now = zn_plan_idle(f);

	if (strcmp(gpus, ANY))
		now.gpus = ids(gpus);
	if (strcmp(cpus, ANY))
		now.cpus = ids(cpus);
	return now;
}

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct zn_facts *f = machine_new(r->machine);
		struct zn_free now = free_of_row(f, r->free_gpus, r->free_cpus);
		struct zn_plan p = { .cpus_held = 4711 };
		int rc = zn_plan_make(f, &now, &r->ask, &p, NULL);
		bool ok = rc == r->rc;
		if (rc == 0)
			ok = ok && is_list(&p.gpus, r->gpus) && is_list(&p.cpus, r->cpus) &&
			     is_list(&p.numas, r->numas) && p.cpus_held == r->held &&
			     p.mem_bytes == r->ask.mem_bytes;
		else
			ok = ok && p.cpus_held == 4711;
		if (!tap_ok(ok, "row %zu: %s: %u gpus", i, r->machine, r->ask.gpus))
			printf("# rc %d gpus %s cpus %s numas %s held %u\n", rc, list_of(&p.gpus),
			       list_of(&p.cpus), list_of(&p.numas), p.cpus_held);
		machine_free(f);
	}
}

/* Only CPUs with allowed count. */
static void test_allowed(void)
{
	struct zn_facts *f = machine_new("numa:2 core:4 gpu:2 nv:4");
	struct zn_ask gpu = { .gpus = 1 }, many = { .cpus = { 5, true } };
	struct zn_free now;
	struct zn_plan p;

	for (unsigned i = 0; i < 4; i++)
		f->cpus[i].allowed = i == 2;
	now = zn_plan_idle(f);
	tap_ok(is_list(&now.cpus, "2,4-7"), "an idle machine offers its allowed cpus");
	now.cpus = ids("0-7");
	tap_ok(zn_plan_make(f, &now, &many, &p, NULL) == 0 && is_list(&p.cpus, "2,4-7"),
	       "a cpu that is not allowed is never planned");
	many.cpus.v = 6;
	tap_ok(zn_plan_make(f, &now, &many, &p, NULL) == -EINVAL, "nor counted");
	tap_ok(zn_plan_make(f, &now, &gpu, &p, NULL) == 0 && is_list(&p.cpus, "2"), "nor part of a slice");
	for (size_t i = 0; i < f->n_cpus; i++)
		f->cpus[i].allowed = false;
	tap_ok(zn_plan_make(f, &now, &gpu, &p, NULL) == -EINVAL, "no cpu at all: never");
	machine_free(f);
}

/* Facts as a small or odd kernel gives them. */
static void test_unknown(void)
{
	struct zn_facts *f = machine_new("numa:1 core:8 gpu:4");
	struct zn_ask gpu = { .gpus = 2 }, cpu = { .cpus = { 3, true } };
	struct zn_free now;
	struct zn_plan p;

	for (size_t i = 0; i < f->n_cpus; i++)
		f->cpus[i].numa.has = false;
	for (size_t i = 0; i < f->n_gpus; i++)
		f->gpus[i].numa.has = false;
	f->n_numas = f->n_links = 0;
	machine_wire(f);
	now = zn_plan_idle(f);
	tap_ok(zn_plan_make(f, &now, &gpu, &p, NULL) == 0 && is_list(&p.gpus, "0-1") && is_list(&p.cpus, "0-3") &&
	       is_list(&p.numas, ""), "no numa node known: the machine is one place, memory stays unsaid");
	tap_ok(zn_plan_make(f, &now, &cpu, &p, NULL) == 0 && is_list(&p.cpus, "0-2"), "cpus too");
	machine_free(f);

	f = machine_new("numa:2 core:4 gpu:2");
	for (size_t i = 0; i < f->n_gpus; i++)
		f->gpus[i].numa.has = false;
	for (size_t i = 0; i < f->n_cpus; i++)
		f->cpus[i].core = UINT32_MAX - (uint32_t)i;
	machine_wire(f);
	now = zn_plan_idle(f);
	tap_ok(zn_plan_make(f, &now, &gpu, &p, NULL) == 0 && p.cpus_held == 4,
	       "gpus that hang nowhere get a slice of the machine; huge core numbers do no harm");
	machine_free(f);
}

/* ---- why ---- */

static const struct why_row {
	const char *machine, *free_gpus, *free_cpus;
	uint64_t free_gib;
	struct zn_ask ask;
	const char *reason, *second;
	uint32_t count;
	const char *smallest;
} why_rows[] = {
	{ "numa:2 core:4 gpu:4", "3", ANY, 128, { .gpus = 4 }, "needs 4 gpus; 1 of 8 is free", NULL, 7,
	  "with 1 gpu it would start now" },
	{ "numa:2 core:4 gpu:4", ANY, ANY, 128, { .gpus = 16 }, "needs 16 gpus; the machine has 8", NULL, 8,
	  "with 8 gpus it would start now" },
	{ "numa:2 core:4 gpu:4", "5", ANY, 128, { .gpus = 16 }, "needs 16 gpus; the machine has 8", NULL, 8,
	  "with 1 gpu it would start now" },
	{ "numa:2 core:4 gpu:4", "", ANY, 128, { .gpus = 1 }, "needs 1 gpu; none of 8 is free", NULL, 8, "" },
	{ "numa:1 core:4", "", ANY, 128, { .gpus = 1 }, "needs 1 gpu; the machine has none", NULL, 0, "" },
	{ "numa:1 core:4", "", "0-2", 64, { .cpus = { 4, true } }, "needs 4 cpus; 3 of 4 are free", NULL, 1,
	  "with 3 cpus it would start now" },
	{ "numa:1 core:4", "", "0-2", 64, { .tasks = 9 }, "needs 4 cpus, one per task; 3 of 4 are free", NULL,
	  1, "with 3 cpus it would start now" },
	{ "numa:1 core:4", "", ANY, 64, { .cpus = { 5, true } }, "needs 5 cpus; the machine has 4", NULL, 4,
	  "with 4 cpus it would start now" },
	{ "numa:1 core:4", "", "", 64, { .cpus = { 1, true } }, "needs 1 cpu; none of 4 is free", NULL, 4, "" },
	{ "numa:1 core:4", "", ANY, 12, { .mem_bytes = 40ull << 30 },
	  "needs 40.0G of memory; 12.0G of 64.0G is free", NULL, 1, "with 12G of memory it would start now" },
	{ "numa:1 core:4", "", ANY, 12, { .mem_bytes = 65ull << 30 },
	  "needs 65.0G of memory; the machine has 64.0G", NULL, 1, "with 12G of memory it would start now" },
	{ "numa:1 core:4 gpu:4", "0-1", "0", 9, { .gpus = 3, .cpus = { 2, true }, .mem_bytes = 10ull << 30 },
	  "needs 3 gpus; 2 of 4 are free", "needs 2 cpus; 1 of 4 is free", 2,
	  "with 2 gpus, with 1 cpu and with 9216M of memory it would start now" },
	{ "numa:1 core:4 gpu:4", ANY, ANY, 64, { .gpus = 2, .nvlink_required = true },
	  "needs 2 gpus linked by nvlink; no 2 of the machine's 4 are", NULL, 4,
	  "without requiring nvlink it would start now" },
	{ "numa:1 core:4 gpu:4", ANY, ANY, 64, { .gpus = 1, .near = "mlx5_0" },
	  "needs to be near 'mlx5_0'; the machine has no such device", NULL, 1, "without --near it would start now" },
	{ "numa:1 core:4 gpu:4 nv:4", "1-2", ANY, 64, { .gpus = 3, .nvlink_required = true },
	  "needs 3 gpus; 2 of 4 are free", NULL, 2, "with 2 gpus it would start now" },
};

static void test_why(void)
{
	for (size_t i = 0; i < sizeof(why_rows) / sizeof(why_rows[0]); i++) {
		const struct why_row *r = &why_rows[i];
		struct zn_facts *f = machine_new(r->machine);
		struct zn_free now = free_of_row(f, r->free_gpus, r->free_cpus);
		struct zn_why why = { .n = 3, .smallest = "stale" };
		struct zn_plan p;
		int rc;
		now.mem_bytes = r->free_gib << 30;
		rc = zn_plan_make(f, &now, &r->ask, &p, &why);
		bool ok = rc < 0 && why.n && !strcmp(why.reasons[0].text, r->reason) &&
		          why.reasons[0].count == r->count && !strcmp(why.smallest, r->smallest) &&
		          (!r->second || (why.n > 1 && !strcmp(why.reasons[1].text, r->second)));
		if (!tap_ok(ok, "why: %s", r->reason))
			printf("# rc %d, %zu: '%s' %u, smallest '%s'\n", rc, why.n, why.reasons[0].text,
			       why.reasons[0].count, why.smallest);
		machine_free(f);
	}
}

/* A part of a GPU is of the nearest that has enough left, be it whole. */
static void test_near_part(void)
{
	struct zn_facts *f = machine_new("numa:2 core:4 gpu:2 nic:1");
	struct zn_free now = zn_plan_idle(f);
	struct zn_ask ask = { .gpus = 1, .tasks = 1, .part = { 1, 0, 300 } };
	struct zn_plan p;

	zn_plan_make(f, &now, &ask, &p, NULL);
	zn_free_take_gpus(&now, &p);
	bool far = is_list(&p.gpus, "0");
	ask.near = "eth0";
	for (int i = 0; i < 2; i++) {
		far &= zn_plan_make(f, &now, &ask, &p, NULL) == 0 && is_list(&p.gpus, "2") && zn_plan_far(f, &p, "eth0") > 0;
		zn_free_take_gpus(&now, &p);
	}
	tap_ok(far, "a part is of the nearest gpu, and the next one of the same");
	machine_free(f);
}

/* ---- the network devices beside GPUs ---- */

/* u: an RDMA device that is up, f: a faster one, d: one that is down, e: an interface alone, p: a bare PCI function */
static void set_nics(struct zn_facts *f, const char *kinds)
{
	for (size_t i = 0; i < f->n_nics; i++) {
		struct zn_nic *nic = &f->nics[i];
		nic->rdma = kinds[i] == 'p' ? (struct zn_obool){ 0 } : ZN_SOME_BOOL(kinds[i] != 'e');
		nic->state = kinds[i] == 'p' ? NULL : kinds[i] == 'd' ? "down" : "up";
		nic->link_gbps = ZN_SOME_F64(kinds[i] == 'f' ? 400 : 200);
	}
}

static const char *nics_of(const struct zn_facts *f, const struct zn_idset *gpus, struct zn_arena *a)
{
	const char *nics = "none";

	return zn_plan_nics(f, gpus, a, &nics) < 0 ? "failed" : nics ? nics : "";
}

static void test_nics(void)
{
	static const struct { unsigned table; const char *kinds, *gpus, *want; } served[] = {
		{ 0, "uuuu", "0", "mlx5_0" },
		{ 0, "uuuu", "2,0", "mlx5_0,mlx5_1" },
		{ 0, "uuuu", "", "" },
		{ 0, "duuu", "0", "mlx5_1" },             /* the next one on its node */
		{ 0, "dduu", "0", "mlx5_2,mlx5_3" },      /* those of the other one: alike from here */
		{ 0, "dduf", "0", "mlx5_3" },
		{ 0, "uuuf", "4", "mlx5_2" },             /* near comes before fast */
		{ 0, "euuu", "0", "mlx5_1" },             /* and RDMA before near */
		{ 0, "eddd", "7", "mlx5_0" },
		{ 0, "pddd", "7", "" },
		{ 2, "uuu", "4-7", "mlx5_2" },
		{ 2, "uuu", "1,3", "mlx5_0,mlx5_1" },
		{ 1, "", "0-3", "" },
	};
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++) {
		struct zn_facts *f = table_machine(served[i].table);
		struct zn_idset gpus = ids(served[i].gpus);
		set_nics(f, served[i].kinds);
		const char *got = nics_of(f, &gpus, &a);
		if (!tap_ok(!strcmp(got, served[i].want), "%s, nics %s: gpus %s have %s", tables[served[i].table].name, served[i].kinds,
		            served[i].gpus, served[i].want))
			printf("# got %s\n", got);
		machine_free(f);
	}
	zn_arena_done(&a);
}

static int way_between(const struct zn_facts *f, unsigned gpu, size_t nic)
{
	char name[16];

	snprintf(name, sizeof(name), "gpu%u", gpu);
	return (int)way_of(zn_facts_link(f, name, f->nics[nic].nic)->type);
}

/* It is named when for one of the GPUs nothing that counts is nearer, or as near and faster. */
static bool is_named(const struct zn_facts *f, const char *kinds, const struct zn_idset *gpus, size_t nic)
{
	const char *counts = strpbrk(kinds, "uf") ? "uf" : "e";

	if (!strchr(counts, kinds[nic]))
		return false;
	zn_idset_each(gpu, gpus) {
		bool best = true;
		for (size_t i = 0; i < f->n_nics; i++) {
			int nearer = way_between(f, (unsigned)gpu, nic) - way_between(f, (unsigned)gpu, i);
			best &= !strchr(counts, kinds[i]) || nearer < 0 || (nearer == 0 && !(kinds[i] == 'f' && kinds[nic] == 'u'));
		}
		if (best)
			return true;
	}
	return false;
}

static void test_random_nics(void)
{
	struct zn_arena a = { 0 };
	unsigned wrong = 0;

	for (unsigned i = 0; i < 3000; i++) {
		struct zn_facts *f = table_machine(i % 3 ? i % 3 + 1 : 0);
		struct zn_idset gpus = { .w = { draw(256) } };
		char kinds[MACHINE_NICS + 1] = "", want[64] = "";
		for (size_t k = 0; k < f->n_nics; k++)
			kinds[k] = "ufdep"[draw(5)];
		set_nics(f, kinds);
		for (size_t k = 0; k < f->n_nics; k++)
			if (is_named(f, kinds, &gpus, k))
				sprintf(want + strlen(want), "%s%s", *want ? "," : "", f->nics[k].nic);
		wrong += strcmp(nics_of(f, &gpus, &a), want) != 0;
		machine_free(f);
	}
	tap_ok(!wrong, "3000 times on three machines: those that a look at each pair finds");
	zn_arena_done(&a);
}

static void test_recorded_nics(void)
{
	static const struct { const char *machine, *gpus, *want; } served[] = {
		{ "lassen-p9-4v100", "0", "mlx5_0,mlx5_1" }, { "lassen-p9-4v100", "1,3", "mlx5_0,mlx5_1,mlx5_2,mlx5_3" },
		{ "corona-8numa-4mi-ocl", "0-3", "mlx5_0" }, { "g4dnmetal-8t4", "0", "rdmap197s0" }, { "dgx2-16v100-hwloc", "0-15", "" },
	};
	const char *shared = getenv("ZENITH_SHARED");
	struct zn_arena a = { 0 };

	for (size_t i = 0; shared && i < sizeof(served) / sizeof(*served); i++) {
		char path[512];
		struct zn_topo_opts opts = { .from = path };
		struct zn_facts *f;
		struct zn_idset gpus = ids(served[i].gpus);
		snprintf(path, sizeof(path), "%s/machines/%s.xml", shared, served[i].machine);
		bool read = zn_facts_read(&opts, &f, NULL) == 0;
		tap_ok(read && !strcmp(nics_of(f, &gpus, &a), served[i].want), "%s: gpus %s have '%s'", served[i].machine, served[i].gpus, served[i].want);
		if (read)
			zn_facts_free(f);
	}
	zn_arena_done(&a);
}

static void test_why_nvlink(void)
{
	struct zn_facts *f = table_machine(0);
	struct zn_free now = zn_plan_idle(f);
	struct zn_ask ask = { .gpus = 2, .nvlink_required = true };
	struct zn_plan p;
	struct zn_why why;

	now.gpus = ids("0,5-7");
	tap_ok(zn_plan_make(f, &now, &ask, &p, &why) == 0 && is_list(&p.gpus, "5-6"), "dgx1v: a linked pair");
	now.gpus = ids("0,5");
	tap_ok(zn_plan_make(f, &now, &ask, &p, &why) == -EAGAIN &&
	       !strcmp(why.reasons[0].text, "needs 2 gpus linked by nvlink; no 2 of the 2 free ones are") &&
	       !strcmp(why.smallest, "without requiring nvlink it would start now"),
	       "dgx1v: two free that are not linked");
	ask.gpus = 4;
	now.gpus = ids("0,3,5");
	tap_ok(zn_plan_make(f, &now, &ask, &p, &why) == -EAGAIN &&
	       !strcmp(why.smallest, "with 2 gpus it would start now"), "dgx1v: fewer, but linked");
	ask.gpus = 5;
	tap_ok(zn_plan_make(f, &now, &ask, &p, &why) == -EINVAL, "dgx1v: no five are all linked");
	machine_free(f);
}

/* ---- parts of GPUs ---- */

enum { ANN = 1, BOB };

static const struct part_row {
	const char *machine, *free_gpus, *free_cpus;
	struct { unsigned gpu, user, milli, gib; } given[4]; /* milli 0: no more */
	struct { unsigned user, milli, gib; } asks;
	int rc;
	const char *gpus, *cpus; /* or why, and the smallest change */
	uint32_t held;
} part_rows[] = {
	/* a free one is broken up as for a job with one GPU, and its CPUs are taken in the same part */
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", ANY, ANY, { { 0 } }, { ANN, 500, 0 }, 0, "0", "0,16", 2 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", "3-7", ANY, { { 0 } }, { ANN, 250, 0 }, 0, "3", "0", 1 },
	{ "numa:2 core:8 pu:2 gpu:4 nv:18", "4-7", ANY, { { 0 } }, { ANN, 100, 0 }, 0, "4", "8-15,24-31", 0 },
	/* before that one of the same user, of these the one with the least left that does */
	{ "numa:1 core:4 gpu:4", "3", ANY, { { 0, ANN, 250, 0 }, { 1, ANN, 500, 0 }, { 2, ANN, 600, 0 } }, { ANN, 500, 0 }, 0, "1", "0-3", 0 },
	{ "numa:1 core:4 gpu:4", "3", ANY, { { 0, ANN, 250, 0 }, { 1, ANN, 500, 0 }, { 2, ANN, 600, 0 } }, { ANN, 400, 0 }, 0, "2", "0-3", 0 },
	{ "numa:1 core:4 gpu:4", "3", ANY, { { 0, ANN, 250, 0 }, { 1, ANN, 500, 0 }, { 2, ANN, 600, 0 } }, { ANN, 751, 0 }, 0, "3", "0-3", 0 },
	{ "numa:1 core:4 gpu:4", "3", ANY, { { 0, ANN, 250, 0 }, { 1, BOB, 500, 0 } }, { BOB, 501, 0 }, 0, "3", "0-3", 0 },
	{ "numa:1 core:4 gpu:4", "3", ANY, { { 0, ANN, 250, 0 }, { 1, BOB, 500, 0 } }, { BOB, 100, 0 }, 0, "1", "0-3", 0 },
	/* memory is minded, and where it is all that is asked it says how large the part is */
	{ "numa:1 core:4 gpu:2 vram:80", "1", ANY, { { 0, ANN, 250, 70 } }, { ANN, 250, 11 }, 0, "1", "0-3", 0 },
	{ "numa:1 core:4 gpu:2 vram:80", "1", ANY, { { 0, ANN, 250, 70 } }, { ANN, 250, 10 }, 0, "0", "0-3", 0 },
	{ "numa:1 core:4 gpu:2 vram:80", "1", ANY, { { 0, ANN, 875, 0 } }, { ANN, 0, 10 }, 0, "0", "0-3", 0 },
	{ "numa:1 core:4 gpu:2 vram:80", "1", ANY, { { 0, ANN, 876, 0 } }, { ANN, 0, 10 }, 0, "1", "0-3", 0 },
	{ "numa:1 core:4 gpu:2 vram:80", "1", ANY, { { 0, ANN, 1, 0 } }, { ANN, 0, 80 }, 0, "1", "0-1", 2 },
	/* not now, never */
	{ "numa:1 core:4 gpu:4", "", ANY, { { 1, ANN, 800, 0 }, { 3, ANN, 750, 0 } }, { ANN, 500, 0 }, -EAGAIN,
	  "no gpu has 0.5 left; the most is 0.25 on gpu 3", "with 0.25 of a gpu it would start now", 4 },
	{ "numa:1 core:4 gpu:4", "", ANY, { { 1, ANN, 1000, 0 }, { 3, BOB, 500, 0 } }, { ANN, 500, 0 }, -EAGAIN,
	  "no gpu has 0.5 left; all of them are taken", "", 4 },
	{ "numa:1 core:4 gpu:2 vram:80", "", ANY, { { 0, ANN, 250, 70 }, { 1, ANN, 500, 64 } }, { ANN, 250, 40 }, -EAGAIN,
	  "no gpu with 0.25 left has 40.0G of memory left; the most is 16.0G on gpu 1", "with 16G of a gpu's memory it would start now", 2 },
	{ "numa:1 core:4 gpu:2 vram:80", ANY, ANY, { { 0 } }, { ANN, 0, 81 }, -EINVAL,
	  "needs 81.0G of one gpu's memory; the largest has 80.0G", "with 80G of a gpu's memory it would start now", 2 },
	{ "numa:1 core:4 gpu:2", ANY, ANY, { { 0 } }, { ANN, 500, 1 }, -EINVAL,
	  "needs 1.0G of one gpu's memory; of no gpu here is known how much it has", "", 2 },
	{ "numa:1 core:4", "", ANY, { { 0 } }, { ANN, 500, 0 }, -EINVAL, "needs 0.5 of a gpu; the machine has none", "", 0 },
};

static void test_part_row(const struct part_row *r)
{
	struct zn_facts *f = machine_new(r->machine);
	struct zn_free now = free_of_row(f, r->free_gpus, r->free_cpus);
	struct zn_ask ask = { .gpus = 1, .tasks = 1,
	                      .part = { r->asks.user, (uint64_t)r->asks.gib << 30, r->asks.milli } };
	struct zn_plan p = { .cpus_held = 4711 };
	struct zn_why why = { .n = 0 };

	for (unsigned i = 0; i < 4 && r->given[i].milli; i++) {
		struct zn_plan of = { .part = { r->given[i].user, (uint64_t)r->given[i].gib << 30, r->given[i].milli } };
		zn_idset_add(&of.gpus, r->given[i].gpu);
		zn_free_take_gpus(&now, &of);
	}
	zn_part_fill_in(&ask.part, f);
	int rc = zn_plan_make(f, &now, &ask, &p, &why);
	bool ok = rc == r->rc;
	if (rc == 0)
		ok = ok && is_list(&p.gpus, r->gpus) && is_list(&p.cpus, r->cpus) && p.cpus_held == r->held && p.part.milli == ask.part.milli;
	else
		ok = ok && !strcmp(why.reasons[0].text, r->gpus) && !strcmp(why.smallest, r->cpus) && why.reasons[0].count == r->held;
	if (!tap_ok(ok, "part: %s: %u of user %u: %s", r->machine, r->asks.milli, r->asks.user, r->gpus))
		printf("# rc %d gpus %s cpus %s held %u: '%s', '%s', %u\n", rc, list_of(&p.gpus), list_of(&p.cpus), p.cpus_held,
		       why.reasons[0].text, why.smallest, why.reasons[0].count);
	machine_free(f);
}

/* Of the smallest GPU with enough memory; of whole ones none is left where a part was given. */
static void test_parts(void)
{
	struct zn_facts *f = machine_new("numa:1 core:4 gpu:3 vram:80");
	struct zn_gpu_part part = { .mem_bytes = UINT64_C(10) << 30 }, large = { .mem_bytes = UINT64_C(30) << 30 };
	struct zn_free now = zn_plan_idle(f), other = now;
	struct zn_ask one = { .gpus = 1, .tasks = 1 }, half = { .gpus = 1, .tasks = 1, .part = { ANN, 0, 500 } };
	struct zn_plan p[3];

	for (size_t i = 0; i < sizeof(part_rows) / sizeof(part_rows[0]); i++)
		test_part_row(&part_rows[i]);
	f->gpus[1].mem_bytes.v = UINT64_C(24) << 30;
	f->gpus[2].mem_bytes.has = false;
	f->gpus[2].mem_bytes.v = 0;
	zn_part_fill_in(&part, f);
	zn_part_fill_in(&large, f);
	tap_ok(part.milli == 417 && large.milli == 375, "memory is counted as the part of the smallest GPU that has it, rounded up");
	tap_ok(zn_part_user("ann") == zn_part_user("ann") && zn_part_user("ann") != zn_part_user("bob") && zn_part_user(""),
	       "users have numbers");
	bool ok = zn_plan_make(f, &now, &half, &p[0], NULL) == 0 && is_list(&p[0].gpus, "0");
	zn_free_take_gpus(&now, &p[0]);
	ok = ok && zn_plan_make(f, &now, &one, &p[1], NULL) == 0 && !zn_idset_has(&p[1].gpus, 0);
	tap_ok(ok, "a GPU of which a part was given is nobody's as a whole");
	half.part.user = BOB;
	zn_plan_make(f, &other, &half, &p[2], NULL);
	zn_free_take_gpus(&other, &p[2]);
	zn_free_cut_gpus(&other, &now);
	tap_ok(is_list(&other.gpus, "1-2") && !other.parts[0].milli, "what is one user's here and another's there is nobody's in both");
	now.mixes_users = true;
	tap_ok(zn_plan_make(f, &now, &half, &p[1], NULL) == 0 && is_list(&p[1].gpus, "0"), "where users may be mixed they are");
	zn_free_give_gpus(&now, &p[0]);
	tap_ok(is_list(&now.gpus, "0-2") && !now.parts[0].milli && !now.parts[0].user, "and with the last part it is whole again");
	machine_free(f);
}

/* ---- ranks ---- */

static const struct { const char *machine, *gpus, *cpus; uint32_t held, tasks; const char *want; } ranks[] = {
	{ "numa:2 core:4 gpu:2 nv:4", "0-3", "0-7", 8, 4, "0:0-1 1:2-3 2:4-5 3:6-7" },
	{ "numa:2 core:4 gpu:2", "0-3", "0-7", 8, 2, "0-1:0-3 2-3:4-7" },
	{ "numa:2 core:4 gpu:2", "0-3", "0-7", 8, 3, "0-1:0-3 2:4-5 3:6-7" },
	{ "numa:2 core:4 gpu:2", "0-3", "0-1,4-7", 6, 4, "0:0 1:1 2:4-5 3:6-7" },
	{ "numa:2 core:4 gpu:2", "0-3", "0,4-7", 5, 4, "0:0,4 1:5 2:6 3:7" },
	{ "numa:2 core:2 pu:2 gpu:1", "0-1", "0-7", 8, 2, "0:0-1,4-5 1:2-3,6-7" },
	{ "numa:2 core:2 pu:2", "", "0-7", 8, 4, ":0,4 :1,5 :2,6 :3,7" },
	{ "numa:1 core:4", "", "0-3", 4, 3, ":0-1 :2 :3" },
	{ "numa:1 core:4 gpu:2", "0-1", "0-1", 2, 4, "0:0 1:1 :0-1* :0-1*" },
	{ "numa:1 core:4 gpu:2", "0-1", "0-3", 0, 2, "0:0-3* 1:0-3*" },
	{ "numa:1 core:4 gpu:2", "1", "2-3", 2, 1, "1:2-3" },
	{ "numa:4 core:2 gpu:1", "0,3", "0-7", 8, 2, "0:0-3 3:4-7" },
};

static void test_ranks(void)
{
	for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
		struct zn_facts *f = machine_new(ranks[i].machine);
		struct zn_plan job = { .gpus = ids(ranks[i].gpus), .cpus = ids(ranks[i].cpus),
		                       .cpus_held = ranks[i].held, .mem_bytes = 1000 };
		char got[256] = "";
		for (uint32_t r = 0; r < ranks[i].tasks; r++) {
			struct zn_plan p = zn_plan_rank(f, &job, r, ranks[i].tasks);
			size_t n = strlen(got);
			snprintf(got + n, sizeof(got) - n, "%s%s:%s%s", r ? " " : "", list_of(&p.gpus),
			         list_of(&p.cpus), p.cpus_held ? "" : "*");
		}
		if (!tap_ok(!strcmp(got, ranks[i].want), "ranks of %s: %s", ranks[i].machine, ranks[i].want))
			printf("# got %s\n", got);
		machine_free(f);
	}
}

static void test_rank_links(void)
{
	struct zn_facts *f = table_machine(0);
	struct zn_free idle = zn_plan_idle(f);
	struct zn_ask ask = { .gpus = 8, .tasks = 4 };
	struct zn_plan job, p;
	const char *pairs[] = { "0,3", "1-2", "5-6", "4,7" };
	bool ok = zn_plan_make(f, &idle, &ask, &job, NULL) == 0;

	for (uint32_t r = 0; r < 4 && ok; r++) {
		p = zn_plan_rank(f, &job, r, 4);
		ok = is_list(&p.gpus, pairs[r]) && p.cpus_held == 20 && is_list(&p.numas, r < 2 ? "0" : "1");
	}
	tap_ok(ok, "dgx1v: four ranks get the four double links, each its own cpus on its side");
	machine_free(f);
}

/* ---- every plan of random requests keeps what plan.h says ---- */

static bool is_sound(const struct zn_facts *f, const struct zn_free *now, const struct zn_ask *ask,
                     const struct zn_plan *p)
{
	struct zn_free idle = zn_plan_idle(f);
	struct zn_idset seen_gpus = { 0 }, seen_cpus = { 0 };
	uint32_t tasks = ask->tasks ? ask->tasks : 1;

	if (!zn_idset_is_within(&p->gpus, &now->gpus) || zn_idset_count(&p->gpus) != ask->gpus)
		return false;
	if (zn_idset_is_empty(&p->cpus) || !zn_idset_is_within(&p->cpus, &idle.cpus))
		return false;
	if (p->cpus_held && (!zn_idset_is_within(&p->cpus, &now->cpus) || zn_idset_count(&p->cpus) != p->cpus_held))
		return false;
	if (ask->cpus.has && p->cpus_held != ask->cpus.v)
		return false;
	for (uint32_t r = 0; r < tasks; r++) {
		struct zn_plan share = zn_plan_rank(f, p, r, tasks);
		struct zn_idset both = zn_idset_and(&share.gpus, &seen_gpus);
		if (!zn_idset_is_empty(&both) || !zn_idset_is_within(&share.cpus, &p->cpus))
			return false;
		seen_gpus = zn_idset_or(&seen_gpus, &share.gpus);
		both = zn_idset_and(&share.cpus, &seen_cpus);
		if (share.cpus_held && tasks > 1 && !zn_idset_is_empty(&both))
			return false;
		if (share.cpus_held)
			seen_cpus = zn_idset_or(&seen_cpus, &share.cpus);
		if (p->cpus_held >= tasks && !share.cpus_held)
			return false;
	}
	return zn_idset_equal(&seen_gpus, &p->gpus) && (!p->cpus_held || zn_idset_equal(&seen_cpus, &p->cpus));
}

static void test_random(void)
{
	static const char *const machines[] = {
		"numa:2 core:6 pu:2 gpu:4 nv:18", "numa:4 core:3 pu:2 gpu:1", "numa:1 core:7 gpu:3",
		"numa:2 core:4 pu:4 gpu:2 nic:1", "numa:8 core:2 pu:2 nic:5",
	};
	unsigned bad = 0, made = 0;

	for (unsigned i = 0; i < 4000; i++) {
		struct zn_facts *f = machine_new(machines[i % 5]);
		struct zn_free now = zn_plan_idle(f);
		struct zn_ask ask = { .gpus = draw(5), .tasks = 1 + draw(6), .mem_bytes = (uint64_t)draw(200) << 30 };
		struct zn_why why;
		struct zn_plan p;
		int rc;
		now.gpus.w[0] &= ~(uint64_t)draw(256);
		now.cpus.w[0] &= ~((uint64_t)draw(1 << 24) & draw(1 << 24));
		if (draw(2))
			ask.cpus = ZN_SOME_U64(draw(20));
		ask.spread = !draw(3);
		ask.near = draw(3) ? NULL : "eth0";
		rc = zn_plan_make(f, &now, &ask, &p, &why);
		made += rc == 0;
		bad += rc == 0 ? !is_sound(f, &now, &ask, &p) : !why.n;
		machine_free(f);
	}
	tap_ok(!bad && made > 1000, "4000 random requests: %u plans keep the promises, each refusal has a reason", made);
}

/* On an idle machine a GPU job's own CPUs all lie on nodes of its GPUs. */
static bool is_near(const struct zn_facts *f, const struct zn_plan *p)
{
	struct zn_idset near = { 0 };

	zn_idset_each(gpu, &p->gpus) {
		const struct zn_gpu *g = zn_facts_gpu(f, (uint32_t)gpu);
		struct zn_idset cpus = zn_facts_numa_cpus(f, (uint32_t)g->numa.v);
		near = zn_idset_or(&near, &cpus);
	}
	return zn_idset_is_within(&p->cpus, &near);
}

static void test_recorded(void)
{
	const char *shared = getenv("ZENITH_SHARED");
	char pattern[512];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/machines/*.xml", shared ? shared : "");
	if (!shared || glob(pattern, 0, NULL, &found)) {
		tap_ok(true, "recorded machines # SKIP ZENITH_SHARED has none");
		return;
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct zn_topo_opts opts = { .from = found.gl_pathv[i] };
		struct zn_facts *f;
		struct zn_err err = { "" };
		bool ok = zn_facts_read(&opts, &f, &err) == 0;
		for (uint32_t k = 0; ok && k <= f->n_gpus; k++) {
			struct zn_free idle = zn_plan_idle(f);
			struct zn_ask ask = { .gpus = k, .tasks = k };
			struct zn_plan p;
			ok = zn_plan_make(f, &idle, &ask, &p, NULL) == 0 && is_sound(f, &idle, &ask, &p) &&
			     (!k || is_near(f, &p));
		}
		tap_ok(ok, "%s: a plan for every number of gpus %s", strrchr(found.gl_pathv[i], '/') + 1, err.text);
		if (!*err.text)
			zn_facts_free(f);
	}
	globfree(&found);
}

static void test_many_gpus(void)
{
	struct zn_facts *f = machine_new("numa:2 core:8 gpu:10");
	struct zn_free now = zn_plan_idle(f);
	struct zn_ask ask = { .gpus = 4 };
	struct zn_plan p;

	now.gpus = ids("1-19");
	zn_idset_remove(&now.gpus, 12);
	tap_ok(zn_plan_make(f, &now, &ask, &p, NULL) == 0 && zn_idset_count(&p.gpus) == 4 && is_list(&p.numas, "0"),
	       "above 16 free gpus the choice stays within a node");
	ask.spread = true;
	tap_ok(zn_plan_make(f, &now, &ask, &p, NULL) == 0 && zn_idset_count(&p.gpus) == 4 && is_list(&p.numas, "0-1") &&
	       zn_plan_crowd(f, &p) >> 16 == 8, "unless it is to be spread");
	ask.spread = false;
	ask.gpus = 10;
	now.gpus = ids("0-19");
	tap_ok(zn_plan_make(f, &now, &ask, &p, NULL) == 0 && is_list(&p.gpus, "0-9"), "and fills it");
	machine_free(f);
}

static void say_cost(const char *machine, struct zn_ask ask)
{
	struct zn_facts *f = machine_new(machine);
	struct zn_free idle = zn_plan_idle(f);
	struct zn_plan p;
	struct timespec a, b;
	enum { ROUNDS = 2000 };

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < ROUNDS; i++)
		if (zn_plan_make(f, &idle, &ask, &p, NULL) < 0)
			abort();
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("# %.2f us a plan: %s, %u gpus\n",
	       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / ROUNDS / 1e3, machine, ask.gpus);
	machine_free(f);
}

int main(void)
{
	test_choices();
	test_random_links();
	test_rows();
	test_allowed();
	test_unknown();
	test_why();
	test_why_nvlink();
	test_near_part();
	test_nics();
	test_random_nics();
	test_recorded_nics();
	test_parts();
	test_ranks();
	test_rank_links();
	test_random();
	test_recorded();
	test_many_gpus();
	say_cost("numa:1 core:2", (struct zn_ask){ .tasks = 1 });
	say_cost("numa:8 core:16 pu:2", (struct zn_ask){ .tasks = 1 });
	say_cost("numa:2 core:1 gpu:4 nv:18", (struct zn_ask){ .gpus = 1 });
	say_cost("numa:2 core:64 pu:2 gpu:4", (struct zn_ask){ .gpus = 4 });
	say_cost("numa:2 core:64 pu:2 gpu:8", (struct zn_ask){ .gpus = 8 });
	say_cost("numa:2 core:64 pu:2 gpu:4 nv:18 nic:1", (struct zn_ask){ .gpus = 4, .near = "eth0" });
	say_cost("numa:2 core:64 pu:2 gpu:8 nv:18", (struct zn_ask){ .gpus = 8, .spread = true });
	return tap_done();
}
