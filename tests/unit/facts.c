/* Joining what the bus and a driver say, and facts as records and back. */
#include <string.h>

#include "plan/facts.h"
#include "rec/val.h"
#include "tap.h"

static struct zn_facts *read_mock(const char *spec)
{
	struct zn_topo_opts opts = { .mock = spec };
	struct zn_facts *f = NULL;

	return zn_facts_read(&opts, &f, NULL) == 0 ? f : NULL;
}

/* ---- joining ------------------------------------------------------------------------------------ */

/* A driver that knows the mock's second GPU, one that is not on the bus, and NVLinks of both kinds. */
static struct zn_gpus *make_drivers(const struct zn_topo *t)
{
	static struct zn_gpu_nvlink links[] = {
		{ .a = 0, .b = -1, .links = 4, .link_gbps = 800 },
		{ .a = 1, .b = -1, .links = 6, .link_gbps = 1200 },
		{ .a = 0, .b = 1, .links = 1, .link_gbps = 200 },
	};
	struct zn_gpus *g = calloc(1, sizeof(*g));

	g->v = zn_arena_array(&g->arena, 2, sizeof(*g->v));
	g->n = 2;
	g->v[0] = (struct zn_gpu){ .pci = t->gpus[1].pci, .uuid = "GPU-real", .mem_bytes = ZN_SOME_U64(1) };
	g->v[1] = (struct zn_gpu){ .gpu = 1, .pci = "0000:ee:00.0", .name = "off the bus" };
	g->nvlinks = links;
	g->n_nvlinks = 3;
	return g;
}

static const char *link_type(const struct zn_facts *f, const char *a, const char *b)
{
	const struct zn_link *link = zn_facts_link(f, a, b);
	return link ? link->type : "none";
}

static void test_join(void)
{
	struct zn_topo_opts opts = { .mock = "4:t4" };
	struct zn_topo *t = NULL;
	struct zn_facts *f = NULL;

	if (!tap_ok(zn_topo_read(&opts, &t, NULL) == 0 && zn_facts_make(t, make_drivers(t), &f, NULL) == 0,
	            "a bus of four and a driver of two GPUs are joined"))
		return;
	const struct zn_gpu *both = zn_facts_gpu(f, 0), *off = zn_facts_gpu(f, 1), *bus = zn_facts_gpu(f, 2);
	tap_ok(f->n_gpus == 5 && f->machine.gpus == 5, "one that both know counts once");
	tap_ok(!strcmp(both->uuid, "GPU-real") && both->mem_bytes.v == 1, "the driver's word goes first");
	tap_ok(!strcmp(both->name, "Tesla T4") && both->numa.has && both->numa.v == 0 && both->pcie_gen.v == 3,
	       "the bus adds what the driver left open");
	tap_ok(!strcmp(off->name, "off the bus") && !off->numa.has && !off->cpus,
	       "what is not on the bus has no node");
	tap_ok(bus && !strcmp(bus->pci, t->gpus[0].pci) && bus->gpu == 2, "what has no driver is counted last");
	tap_ok(!strcmp(link_type(f, "gpu0", "gpu1"), "NV5") && zn_facts_link(f, "gpu1", "gpu0")->link_gbps.v == 1000,
	       "links to switches count as far as both have them, straight ones on top");
	tap_ok(!strcmp(link_type(f, "gpu0", "gpu2"), "PIX"), "without NVLinks it is the path on the bus");
	tap_ok(!strcmp(link_type(f, "gpu1", "gpu2"), "SYS"), "off the bus on a machine with two nodes is SYS");
	zn_facts_free(f);
}

/* ---- records and back --------------------------------------------------------------------------- */

static bool same_again(const struct zn_facts *f)
{
	struct zn_buf once = { 0 }, twice = { 0 };
	struct zn_arena a = { 0 };
	struct zn_facts *back = NULL;
	msgpack_object list;

	bool good = zn_facts_encode(f, &once) == 0 &&
	            zn_val_unpack(once.data, once.len, 0, &a, &list, NULL) == 0 &&
	            zn_facts_decode(&list, &back, NULL) == 0 && zn_facts_encode(back, &twice) == 0 &&
	            once.len == twice.len && !memcmp(once.data, twice.data, once.len);
	zn_facts_free(back);
	zn_buf_done(&once);
	zn_buf_done(&twice);
	zn_arena_done(&a);
	return good;
}

static void test_round_trip(void)
{
	static const char *const specs[] = { "0", "1", "8", "16:v100", "5:l40s" };

	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		struct zn_facts *f = read_mock(specs[i]);
		tap_ok(f && same_again(f), "facts of mock '%s' come back from their records", specs[i]);
		zn_facts_free(f);
	}
}

/* A node record may come from anybody. */
static const struct { const char *json; int rc; const char *why; } lists[] = {
	{ "[]", 0, "" },
	{ "[{\"kind\":\"gpu\",\"gpu\":0},{\"kind\":\"later\",\"x\":1},{\"no\":\"kind\"}]", 0, "" },
	{ "[{\"kind\":\"numa\",\"numa\":0,\"cpus\":\"nonsense\"}]", 0, "" },
	{ "{}", -74, "facts are not a list of records" },
	{ "[7]", -74, "a fact is not a map" },
	{ "[{\"kind\":\"nic\",\"pci\":\"x\"}]", -74, "a nic record has no 'nic'" },
	{ "[{\"kind\":\"link\",\"a\":\"gpu0\",\"b\":null,\"type\":\"SYS\"}]", -74, "a link record has no 'b'" },
	{ "[{\"kind\":\"gpu\",\"gpu\":-1}]", -74, NULL },
	{ "[{\"kind\":\"cpu\",\"cpu\":\"0\"}]", -74, NULL },
};

static void test_foreign(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct zn_buf buf = { 0 };
		struct zn_arena a = { 0 };
		struct zn_err err = { "" };
		struct zn_facts *f = NULL;
		msgpack_object list;

		bool read = zn_json_to_msgpack(lists[i].json, strlen(lists[i].json), 0, &buf, NULL) == 0 &&
		            zn_val_unpack(buf.data, buf.len, 0, &a, &list, NULL) == 0;
		int rc = read ? zn_facts_decode(&list, &f, &err) : 1;
		tap_ok(rc == lists[i].rc && (!lists[i].why || !strcmp(err.text, lists[i].why)) && (rc == 0) == !!f,
		       "%s: %s", lists[i].json, *err.text ? err.text : "taken");
		if (f) {
			struct zn_idset none = zn_facts_numa_cpus(f, 0);
			tap_ok(zn_idset_is_empty(&none) && !zn_facts_link(f, "gpu0", "gpu1"),
			       "nothing is made up for it");
		}
		zn_facts_free(f);
		zn_buf_done(&buf);
		zn_arena_done(&a);
	}
}

int main(void)
{
	test_join();
	test_round_trip();
	test_foreign();
	return tap_done();
}
