/* The class of the path between two devices, the mock machines, and what a mock's name may be. */
#include <string.h>
#include <unistd.h>

#include "plan/facts.h"
#include "tap.h"
#include "topo/source.h"

/* Two host bridges on node 0, one on node 1.  Below the first: a switch with two devices and a second switch
 * with one; a root port with two functions of one device.
 */
static const struct zn__pci_node nodes[] = {
	{ .parent = -1, .is_host = true },                                  /* 0 host bridge, node 0 */
	{ .parent = 0 },                                                    /* 1 root port */
	{ .parent = 1 },                                                    /* 2 switch, upstream */
	{ .parent = 2 },                                                    /* 3 downstream */
	{ .pci = "0000:10:00.0", .parent = 3, .numa = { 0, true } },
	{ .parent = 2 },                                                    /* 5 downstream */
	{ .pci = "0000:11:00.0", .parent = 5, .numa = { 0, true } },
	{ .parent = 2 },                                                    /* 7 downstream */
	{ .parent = 7 },                                                    /* 8 second switch */
	{ .parent = 8 },                                                    /* 9 downstream */
	{ .pci = "0000:12:00.0", .parent = 9, .numa = { 0, true } },
	{ .parent = 0 },                                                    /* 11 root port */
	{ .pci = "0000:13:00.0", .parent = 11, .numa = { 0, true } },
	{ .pci = "0000:13:00.1", .parent = 11, .numa = { 0, true } },
	{ .parent = -1, .is_host = true },                                  /* 14 host bridge, node 0 */
	{ .pci = "0000:20:00.0", .parent = 14, .numa = { 0, true } },
	{ .parent = -1, .is_host = true },                                  /* 16 host bridge, node 1 */
	{ .pci = "0000:30:00.0", .parent = 16, .numa = { 1, true } },
	{ .pci = "0000:40:00.0", .parent = -1 },                            /* of no known node */
	{ .pci = "0000:41:00.0", .parent = -1 },
};

static const struct { const char *a, *b, *path; } paths[] = {
	{ "0000:10:00.0", "0000:11:00.0", "PIX" },  { "0000:13:00.0", "0000:13:00.1", "PIX" },
	{ "0000:10:00.0", "0000:12:00.0", "PXB" },  { "0000:12:00.0", "0000:11:00.0", "PXB" },
	{ "0000:10:00.0", "0000:13:00.0", "PHB" },  { "0000:13:00.1", "0000:12:00.0", "PHB" },
	{ "0000:10:00.0", "0000:20:00.0", "NODE" }, { "0000:10:00.0", "0000:30:00.0", "SYS" },
	{ "0000:40:00.0", "0000:41:00.0", "SYS" },  { "0000:10:00.0", "0000:40:00.0", "SYS" },
	{ "0000:10:00.0", "0000:99:00.0", NULL },   { NULL, "0000:10:00.0", NULL },
};

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void test_paths(void)
{
	struct zn_pci_tree tree = { (struct zn__pci_node *)nodes, sizeof(nodes) / sizeof(*nodes), false };
	struct zn_topo t = { .tree = &tree };

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *there = zn_topo_pci_path(&t, paths[i].a, paths[i].b);
		const char *back = zn_topo_pci_path(&t, paths[i].b, paths[i].a);
		tap_ok(same(there, paths[i].path) && same(back, paths[i].path), "%s to %s is %s both ways",
		       paths[i].a ? paths[i].a : "nothing", paths[i].b, paths[i].path ? paths[i].path : "unknown");
	}
	tree.one_numa = true;
	tap_ok(same(zn_topo_pci_path(&t, "0000:40:00.0", "0000:41:00.0"), "NODE"),
	       "a machine with one node has no path of type SYS");
}

/* ---- mocks -------------------------------------------------------------------------------------- */

static const struct { const char *spec; int rc; unsigned gpus, nics; const char *first; } mocks[] = {
	{ "0", 0, 0, 0, NULL },            { "1", 0, 1, 1, NULL },           { "2", 0, 2, 2, "NV18" },
	{ "8", 0, 8, 8, "NV18" },          { "8:h100", 0, 8, 8, "NV18" },    { "3:a100", 0, 3, 3, "NV12" },
	{ "16:v100", 0, 16, 8, "NV6" },    { "8:v100", 0, 8, 4, "NV1" },     { "4:t4", 0, 4, 4, "PIX" },
	{ "16:mi300x", 0, 16, 16, "NODE" },{ "5:l40s", 0, 5, 5, "PIX" },     { "2:a10g", 0, 2, 2, "SYS" },
	{ "129", -22, 0, 0, NULL },         { "-1", -22, 0, 0, NULL },        { "", -22, 0, 0, NULL },
	{ "8:", -22, 0, 0, NULL },         { "8:H100", -22, 0, 0, NULL },    { "8x", -22, 0, 0, NULL },
	{ " 8", -22, 0, 0, NULL },         { "99999999999999999999", -22, 0, 0, NULL },
};

static unsigned on_node(const struct zn_facts *f, uint64_t numa)
{
	unsigned n = 0;

	for (size_t i = 0; i < f->n_gpus; i++)
		n += f->gpus[i].numa.has && f->gpus[i].numa.v == numa;
	return n;
}

static bool pairs_complete(const struct zn_facts *f)
{
	return f->n_links == f->n_gpus * (f->n_gpus - 1) / 2 + f->n_gpus * (f->n_nics + f->n_nvmes);
}

static bool cpus_whole(const struct zn_facts *f)
{
	struct zn_idset all = zn_facts_allowed_cpus(f), a = zn_facts_numa_cpus(f, 0), b = zn_facts_numa_cpus(f, 1);
	struct zn_idset both = zn_idset_or(&a, &b), twice = zn_idset_and(&a, &b);

	return zn_idset_equal(&all, &both) && (f->n_cpus == 1 || zn_idset_is_empty(&twice)) &&
	       !zn_idset_is_empty(&a) && !zn_idset_is_empty(&b);
}

static void test_mocks(void)
{
	for (size_t i = 0; i < sizeof(mocks) / sizeof(*mocks); i++) {
		struct zn_topo_opts opts = { .mock = mocks[i].spec };
		struct zn_err err = { "" };
		struct zn_facts *f = NULL;
		int rc = zn_facts_read(&opts, &f, &err);

		if (mocks[i].rc) {
			tap_ok(rc == mocks[i].rc && !f && *err.text, "mock '%s' is refused: %s", mocks[i].spec,
			       err.text);
			continue;
		}
		if (!tap_ok(rc == 0, "mock '%s' is read", mocks[i].spec))
			continue;
		const struct zn_link *link = zn_facts_link(f, "gpu0", "gpu1");
		tap_ok(f->n_gpus == mocks[i].gpus && f->n_nics == mocks[i].nics && f->n_numas == 2 &&
		       on_node(f, 0) == (mocks[i].gpus + 1) / 2 && on_node(f, 1) == mocks[i].gpus / 2,
		       "mock '%s' has its GPUs and NICs on two nodes", mocks[i].spec);
		tap_ok(same(link ? link->type : NULL, mocks[i].first), "mock '%s' links its first two by %s",
		       mocks[i].spec, mocks[i].first ? mocks[i].first : "nothing");
		tap_ok((!f->n_gpus || pairs_complete(f)) && cpus_whole(f),
		       "mock '%s' has every link once and every CPU on a node", mocks[i].spec);
		zn_facts_free(f);
	}
}

/* The hybrid cube mesh of the DGX-1, as its owners print it; NICs: one for each pair of GPUs. */
static const char *const dgx1[8][12] = {
	{ "X", "NV1", "NV1", "NV2", "NV2", "SYS", "SYS", "SYS", "PIX", "NODE", "SYS", "SYS" },
	{ "NV1", "X", "NV2", "NV1", "SYS", "NV2", "SYS", "SYS", "PIX", "NODE", "SYS", "SYS" },
	{ "NV1", "NV2", "X", "NV2", "SYS", "SYS", "NV1", "SYS", "NODE", "PIX", "SYS", "SYS" },
	{ "NV2", "NV1", "NV2", "X", "SYS", "SYS", "SYS", "NV1", "NODE", "PIX", "SYS", "SYS" },
	{ "NV2", "SYS", "SYS", "SYS", "X", "NV1", "NV1", "NV2", "SYS", "SYS", "PIX", "NODE" },
	{ "SYS", "NV2", "SYS", "SYS", "NV1", "X", "NV2", "NV1", "SYS", "SYS", "PIX", "NODE" },
	{ "SYS", "SYS", "NV1", "SYS", "NV1", "NV2", "X", "NV2", "SYS", "SYS", "NODE", "PIX" },
	{ "SYS", "SYS", "SYS", "NV1", "NV2", "NV1", "NV2", "X", "SYS", "SYS", "NODE", "PIX" },
};

static void test_dgx1(void)
{
	struct zn_topo_opts opts = { .mock = "8:v100" };
	struct zn_facts *f = NULL;

	if (!tap_ok(zn_facts_read(&opts, &f, NULL) == 0, "a mock DGX-1 is read"))
		return;
	for (unsigned i = 0; i < 8; i++) {
		bool good = zn_facts_gpu(f, i)->nvlinks.v == 6 && zn_facts_gpu(f, i)->numa.v == i / 4;
		for (unsigned j = 0; j < 12; j++) {
			char a[16], b[16];
			snprintf(a, sizeof(a), "gpu%u", i);
			snprintf(b, sizeof(b), j < 8 ? "gpu%u" : "mlx5_%u", j < 8 ? j : j - 8);
			good &= i == j || same(zn_facts_path(f, a, b), dgx1[i][j]);
		}
		tap_ok(good, "the row of gpu%u is that of a DGX-1", i);
	}
	tap_ok(same(zn_facts_path(f, "mlx5_0", "mlx5_1"), "NODE") && same(zn_facts_path(f, "mlx5_0", "mlx5_2"), "SYS"),
	       "two NICs have a path too");
	tap_ok(!zn_facts_path(f, "gpu0", "gpu9") && !zn_facts_gpu(f, 9) && !zn_facts_nic(f, "eth9"),
	       "what is not there is not found");
	zn_facts_free(f);
}

int main(void)
{
	test_paths();
	test_mocks();
	test_dgx1();
	return tap_done();
}
