/* Who holds a GPU, and whether it runs next to it, row by row. */
#include "audit/audit.h"
#include "machine.h"
#include "plan/verdict.h"
#include "proc/pin.h"
#include "tap.h"

/* ---- verdicts ----------------------------------------------------------------------------------- */

#define TWO "numa:2 core:4 gpu:2" /* node 0: cpus 0-3, gpus 0-1; node 1: cpus 4-7, gpus 2-3 */
#define GIB(n) ((uint64_t)(n) << 30)

static const struct row {
	const char *machine, *gpus;
	struct { const char *cpus, *numas; uint64_t on0, on1; } p[3]; /* the holder, its children */
	const char *cpuset;
	bool other, ok;
	const char *verdict, *mend;
} rows[] = {
	{ TWO, "0", { { "0-3", "0-1", GIB(1), 0 } }, "", false, true, "runs next to gpu 0 on numa node 0", NULL },
	{ TWO, "0-1", { { "2", "0-1", 0, 0 } }, "", false, true, "runs next to gpu 0-1 on numa node 0", NULL },
	{ TWO, "1-2", { { "0-7", "0-1", GIB(1), GIB(1) } }, "", false, true, "runs next to gpu 1-2 on numa node 0-1", NULL },
	/* CPUs */
	{ TWO, "0", { { "4-7", "0-1", 0, 0 } }, "", false, false, "runs on cpus 4-7, away from gpu 0 on numa node 0",
	  "zn-pin --gpu 0 --pid 100 --tree" },
	{ TWO, "2", { { "0-7", "0-1", 0, 0 } }, "", true, false, "may run on cpus 0-7, also away from gpu 2 on numa node 1",
	  "sudo zn-pin --gpu 2 --pid 100 --tree" },
	{ TWO, "2", { { "4-7", "0-1", 0, 0 }, { "4-7", "0-1", 0, 0 }, { "0", "0-1", 0, 0 } }, "", false, false,
	  "its child 102 (cmd102) runs on cpus 0, away from gpu 2 on numa node 1", "zn-pin --gpu 2 --pid 100 --tree" },
	{ TWO, "2", { { "0-7", "0-1", 0, 0 }, { "0-3", "0-1", 0, 0 }, { "0", "0-1", 0, 0 } }, "", false, false,
	  "its child 101 (cmd101) runs on cpus 0-3, away from gpu 2 on numa node 1, and so do 2 more of its 3 processes",
	  "zn-pin --gpu 2 --pid 100 --tree" },
	{ TWO, "0", { { "4-5", "0-1", 0, 0 } }, "4-5", false, false,
	  "runs on cpus 4-5, away from gpu 0 on numa node 0; its cgroup allows only cpus 4-5", NULL },
	{ TWO, "0", { { "4-5", "0-1", 0, 0 } }, "3-5", false, false, "runs on cpus 4-5, away from gpu 0 on numa node 0",
	  "zn-pin --gpu 0 --pid 100 --tree" },
	/* memory */
	{ TWO, "0", { { "0-3", "0-1", GIB(3), GIB(1) } }, "", false, false, "1.0G of its 4.0G of memory lie away from gpu 0",
	  "zn-pin --gpu 0 --mem bind --pid 100 --tree" },
	{ TWO, "0", { { "0-3", "0-1", GIB(10), GIB(1) } }, "", false, true, "runs next to gpu 0 on numa node 0", NULL },
	{ TWO, "0", { { "0-3", "0-1", 0, 63 << 20 } }, "", false, true, "runs next to gpu 0 on numa node 0", NULL },
	{ TWO, "0", { { "0-3", "0-1", GIB(1), 0 }, { "0-3", "0-1", 0, GIB(1) } }, "", false, false,
	  "1.0G of its 2.0G of memory lie away from gpu 0", "zn-pin --gpu 0 --mem bind --pid 100 --tree" },
	{ TWO, "0", { { "0-3", "1", 0, GIB(1) } }, "", false, false,
	  "may use memory of numa node 1 only, none of it next to gpu 0", NULL },
	{ TWO, "0", { { "4", "0-1", 0, GIB(1) } }, "", false, false,
	  "runs on cpus 4, away from gpu 0 on numa node 0; 1.0G of its 1.0G of memory lie away from gpu 0",
	  "zn-pin --gpu 0 --mem bind --pid 100 --tree" },
	/* no choice, and nothing known */
	{ "numa:1 core:4 gpu:2", "0", { { "1", "0", GIB(1), 0 } }, "", false, true, "runs next to gpu 0 on numa node 0", NULL },
	{ TWO, "9", { { "1", "0", 0, 0 } }, "", false, true, "the NUMA node of gpu 9 is not known", NULL },
};

static size_t fill(const struct row *r, struct zn_seen v[3], struct zn_arena *a)
{
	size_t n = 0;

	for (; n < 3 && r->p[n].cpus; n++) {
		v[n] = (struct zn_seen){ .pid = 100 + (uint32_t)n, .command = zn_arena_printf(a, "cmd%zu", 100 + n),
		                         .cpus = ids(r->p[n].cpus), .numas = ids(r->p[n].numas) };
		v[n].node_bytes[0] = r->p[n].on0;
		v[n].node_bytes[1] = r->p[n].on1;
		v[n].has_pages = r->p[n].on0 || r->p[n].on1;
	}
	return n;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void test_verdicts(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		struct zn_facts *f = machine_new(r->machine);
		struct zn_arena a = { 0 };
		struct zn_seen v[3];
		struct zn_verdict got = { 0 };
		struct zn_holder h = { .v = v, .n = fill(r, v, &a), .gpus = ids(r->gpus), .cpuset = ids(r->cpuset),
		                       .needs_root = r->other };
		int rc = zn_verdict_make(f, &h, &a, &got);
		if (!tap_ok(rc == 0 && got.ok == r->ok && is_same(got.verdict, r->verdict) && is_same(got.mend, r->mend),
		            "verdict %zu: %s", i, r->verdict))
			printf("# rc %d ok %d '%s' '%s'\n", rc, got.ok, got.verdict, got.mend ? got.mend : "");
		zn_arena_done(&a);
		machine_free(f);
	}
}

static void test_mock_memory(void)
{
	struct zn_facts *f = machine_new(TWO);
	struct zn_arena a = { 0 };
	struct zn_seen v = { .pid = 1, .cpus = ids("4"), .numas = ids("0"), .has_pages = true, .node_bytes = { GIB(1) } };
	struct zn_holder h = { .v = &v, .n = 1, .gpus = ids("2") };
	struct zn_verdict got = { 0 };

	f->machine.mock = true;
	tap_ok(zn_verdict_make(f, &h, &a, &got) == 0 && got.ok && got.memory.n == 1 && !got.far_bytes.has,
	       "memory of a mock is shown and not judged");
	zn_arena_done(&a);
	machine_free(f);
}

/* ---- holders ------------------------------------------------------------------------------------ */

static const struct tree {
	const char *what;
	struct { int pid, ppid, job; const char *given, *used; int owner; } p[6]; /* owner: its pid, 0: none */
} trees[] = {
	{ "a job's first process holds, its children count with it",
	  { { 10, 1, 0, "", "", 0 }, { 11, 10, 7, "0", "", 11 }, { 12, 11, 7, "0", "", 11 }, { 13, 12, 7, "0", "", 11 } } },
	{ "a job that was given no GPU holds none", { { 11, 1, 7, "", "", 0 } } },
	{ "two ranks with GPUs of their own are two holders",
	  { { 11, 1, 7, "0", "", 11 }, { 12, 1, 7, "1", "", 12 }, { 13, 12, 7, "1", "", 12 } } },
	{ "a launcher that deals its GPUs out holds them, and so does who got one",
	  { { 11, 1, 7, "0-1", "", 11 }, { 12, 11, 7, "0", "", 12 }, { 13, 11, 7, "1", "", 13 } } },
	{ "the driver's word counts more than the environment's",
	  { { 11, 1, 7, "0", "", 0 }, { 12, 11, 7, "0", "0", 12 }, { 13, 12, 7, "0", "", 12 }, { 14, 11, 7, "0", "", 0 } } },
	{ "a process outside the queue holds what it uses", { { 20, 1, 0, "", "3", 20 }, { 21, 20, 0, "", "", 20 } } },
	{ "a job inside a job", { { 11, 1, 7, "0", "", 11 }, { 12, 11, 8, "1", "", 12 } } },
	{ "parents in a circle end the walk", { { 11, 12, 0, "", "", 0 }, { 12, 11, 0, "", "", 0 } } },
};

static void test_holders(void)
{
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		const struct tree *t = &trees[i];
		struct zn_audit_process v[6];
		size_t n = 0;
		bool ok = true;
		for (; n < 6 && t->p[n].pid; n++)
			v[n] = (struct zn_audit_process){ .pid = t->p[n].pid, .ppid = t->p[n].ppid, .job = (uint64_t)t->p[n].job,
			                                  .given = ids(t->p[n].given), .used = ids(t->p[n].used) };
		zn_audit_find_holders(v, n);
		for (size_t k = 0; k < n; k++)
			ok &= (v[k].owner < 0 ? 0 : v[v[k].owner].pid) == t->p[k].owner;
		if (!tap_ok(ok, "%s", t->what))
			for (size_t k = 0; k < n; k++)
				printf("# %d given %s counts with %ld\n", (int)v[k].pid, list_of(&v[k].given), v[k].owner);
	}
}

/* ---- pages ---------------------------------------------------------------------------------------- */

static const struct { const char *line; uint64_t on0, on1; } lines[] = {
	{ "7f3a5c000000 default anon=3 dirty=3 N0=1 N1=2 kernelpagesize_kB=4\n", 4096, 8192 },
	{ "7f3a5c000000 bind:1 heap anon=1 N1=1 kernelpagesize_kB=2048\n", 0, 2 << 20 },
	{ "7f3a5c000000 default file=/usr/lib/libc.so.6 mapped=9 N0=9 kernelpagesize_kB=4\n", 0, 0 },
	{ "7f3a5c000000 default file=/dev/shm/N1=7 anon=1 N0=2 kernelpagesize_kB=4\n", 8192, 0 },
	{ "7f3a5c000000 default file=/memfd:ring\\040(deleted) dirty=2 N1=2 kernelpagesize_kB=4\n", 0, 8192 },
	{ "7f3a5c000000 default\n", 0, 0 }, { "", 0, 0 }, { " N", 0, 0 }, { " N99999999999999999999=1", 0, 0 }, { " N64=1", 0, 0 },
};

static void test_pages(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		uint64_t bytes[ZN_PROC_NUMAS] = { 0 };
		zn_proc_pages_add(lines[i].line, bytes);
		tap_ok(bytes[0] == lines[i].on0 && bytes[1] == lines[i].on1, "pages of line %zu", i);
	}
}

int main(void)
{
	test_verdicts();
	test_mock_memory();
	test_holders();
	test_pages();
	return tap_done();
}
