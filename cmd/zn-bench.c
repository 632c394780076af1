/* zn-bench: the figures we claim, measured here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/compare.h"
#include "cli/cli.h"

enum { ROUNDS = 10, ROUNDS_MAX = 1000, SIZE_LEAST = 1 << 20 };

static struct {
	struct zn_ou64 rounds, size;
	const char *against, *compare, *wait, *file;
} o;

static const struct zn_opt opts[] = {
	{ 'r', "rounds", ZN_OPT_U64, "N", &o.rounds, NULL, "measure each figure N times (default 10)" },
	{ 0, "against", ZN_OPT_STR, "PEER", &o.against, "ck_ring|rte_ring|malloc|mmap|small-pages|msgpack-c|fio|libarchive|files|fdatasync",
	  "measure this peer by turns with us; list says which there are" },
	{ 0, "compare", ZN_OPT_STR, "FILE", &o.compare, "file", "beside each figure the one of an earlier run, kept with -o msgpack or -o json" },
	{ 0, "wait", ZN_OPT_CHOICE, "HOW", &o.wait, "spin|yield|sleep", "how latency's consumer waits: spin, yield or sleep (default: spin)" },
	{ 0, "file", ZN_OPT_STR, "PATH", &o.file, "file", "what io and load read: a file, shards, or a directory where they and spool make theirs (default: here)" },
	{ 0, "size", ZN_OPT_BYTES, "SIZE", &o.size, NULL, "the largest block of alloc, array of mem, set of chase, file of io" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-bench",
	.brief = "measure what we claim, beside its peers",
	.synopsis = "[options] NAME...\n"
	            "list",
	.opts = opts,
	.complete = "list|all|ring|latency|alloc|mem|chase|pipe|record|io|load|spool",
};

struct listed {
	const char *bench, *brief, *peers;
};

static const struct zn_field listed_fields[] = {
	ZN_FIELD(struct listed, bench, STR, "BENCH", "its name"),
	ZN_FIELD(struct listed, peers, STR, "AGAINST", "who can be measured beside it"),
	ZN_FIELD(struct listed, brief, STR, "WHAT", "what it measures"),
	{ 0 },
};
static const struct zn_kind listed_kind = { "benchmark", "something that can be measured", listed_fields, sizeof(struct listed), NULL };

static const struct zn_kind *const kinds[] = { &zn_bench_kind, &listed_kind, NULL };

static struct zn_arena arena;
static struct zn_bench_before before;

static int list(void)
{
	struct zn_writer *w = zn_cli_writer(kinds, false);
	int rc = 0;

	for (const struct zn_bench *b = zn_benches; rc == 0 && b->name; b++)
		rc = zn_writer_put(w, &listed_kind, &(struct listed){ b->name, b->brief, b->peers });
	return rc < 0 ? zn_cli_fail(zn_cli_code(rc), "can't write a record: %s", strerror(-rc)) : zn_cli_end(w, ZN_EXIT_OK);
}

static int put(void *arg, const struct zn_bench_result *r)
{
	struct zn_bench_result with = *r;

	if (o.compare)
		zn_bench_before_compare(&before, o.compare, &with);
	return zn_writer_put(arg, &zn_bench_kind, &with);
}

static bool has_peer(const struct zn_bench *b, const char *peer)
{
	size_t n = strlen(peer);

	for (const char *at = b->peers; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && !strncmp(at, peer, n))
			return true;
	return false;
}

static const struct zn_bench *find(const char *name)
{
	const struct zn_bench *b = zn_bench_find(name);

	if (!b)
		zn_cli_usage("there is no '%s' to measure: see zn-bench list", name);
	if (o.against && !has_peer(b, o.against))
		zn_cli_usage("%s is not measured against '%s': see zn-bench list", name, o.against);
	return b;
}

/* Options that mean nothing to any of what is measured. */
static void check_extent(bool all, int n, char **names)
{
	bool has_file = all, has_size = all;

	for (int i = 0; !all && i < n; i++) {
		const struct zn_bench *b = find(names[i]);
		has_file |= b->run == zn_bench_io || b->run == zn_bench_load || b->run == zn_bench_spool;
		has_size |= b->has_size;
	}
	if (o.file && !has_file)
		zn_cli_usage("--file is an option of io, load and spool");
	if (o.size.has && !has_size)
		zn_cli_usage("nothing of that has a size: alloc, mem, chase and io have");
	if (o.size.has && o.size.v < SIZE_LEAST)
		zn_cli_usage("option '--size': less than 1M");
}

static void check_usage(int n, char **names)
{
	if (!n)
		zn_cli_usage("what is to be measured? zn-bench list says what there is");
	if (o.rounds.has && (!o.rounds.v || o.rounds.v > ROUNDS_MAX))
		zn_cli_usage("option '--rounds': not from 1 to %d", ROUNDS_MAX);
	if (o.against && o.compare)
		zn_cli_usage("--against and --compare exclude each other");
	if (n == 1 && !strcmp(names[0], "list") && (o.against || o.compare || o.rounds.has || o.wait || o.file || o.size.has))
		zn_cli_usage("list measures nothing: it takes no options but those of output");
	bool all = n == 1 && (!strcmp(names[0], "all") || !strcmp(names[0], "list"));
	check_extent(all, n, names);
	if (all && o.against)
		zn_cli_usage("--against needs the name of what is measured");
}

static enum zn_wait how_to_wait(void)
{
	return !o.wait || !strcmp(o.wait, "spin") ? ZN_WAIT_SPIN : !strcmp(o.wait, "yield") ? ZN_WAIT_YIELD : ZN_WAIT_SLEEP;
}

static int measure(const struct zn_bench *b, struct zn_writer *w)
{
	struct zn_bench_ask ask = {
		.rounds = o.rounds.has ? (uint32_t)o.rounds.v : ROUNDS, .wait = how_to_wait(), .against = o.against,
		.file = o.file, .size_bytes = o.size.has ? o.size.v : 0,
		.machine = zn_cli_must((void *)zn_bench_machine(&arena)), .result = put, .arg = w,
	};
	struct zn_err err = { .text = "" };
	int rc = zn_bench_cpus(ask.cpus);

	if (rc == -ENODEV && b->needs_two)
		return zn_cli_fail(ZN_EXIT_OS, "%s needs two CPUs, and this process may use one", b->name);
	if (rc == 0 || rc == -ENODEV)
		rc = b->run(&ask, &err);
	return rc < 0 ? zn_cli_fail(zn_cli_code(rc), "%s: %s", b->name, err.text[0] ? err.text : strerror(-rc)) : ZN_EXIT_OK;
}

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv), code = ZN_EXIT_OK;
	struct zn_err err = { .text = "" };

	check_usage(argc - at, argv + at);
	if (!strcmp(argv[at], "list"))
		return list();
	int rc = o.compare ? zn_bench_before_read(o.compare, &before, &err) : 0;
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	struct zn_writer *w = zn_cli_writer(kinds, false);
	bool all = !strcmp(argv[at], "all");
	for (const struct zn_bench *b = zn_benches; all && b->name; b++) {
		int failed = measure(b, w); /* the next one may have what it takes */
		code = code == ZN_EXIT_OK ? failed : code;
	}
	for (int i = at; !all && code == ZN_EXIT_OK && i < argc; i++)
		code = measure(find(argv[i]), w);
	return zn_cli_end(w, code);
}
