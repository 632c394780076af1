/* zn-topo: what this machine is. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/file.h"
#include "cli/cli.h"
#include "plan/facts.h"

static struct {
	struct zn_topo_opts from;
	const char *kinds;
	bool matrix, audit;
} args;

static const struct zn_opt opts[] = {
	{ 'm', "matrix", ZN_OPT_FLAG, NULL, &args.matrix, NULL, "show the links of GPUs and NICs" },
	{ 'a', "audit", ZN_OPT_FLAG, NULL, &args.audit, NULL,
	  "say of each process that holds a GPU whether it runs next to it, and how to mend it" },
	{ 'k', "kind", ZN_OPT_STR, "KINDS", &args.kinds, "machine|numa|cpu|gpu|nic|nvme|link|node",
	  "only records of these kinds, comma-separated" },
	{ 'f', "from", ZN_OPT_STR, "FILE", &args.from.from, "file",
	  "read an hwloc XML file or a directory with a copy of /sys instead of this machine" },
	{ 0, "mock", ZN_OPT_STR, "N[:MODEL]", &args.from.mock, NULL,
	  "make up N GPUs over this machine's CPUs and memory" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-topo",
	.brief = "what this machine is: CPUs, memory, GPUs, NICs, drives and how they are linked",
	.synopsis = "[-m | -k KINDS] [-f FILE | --mock N[:MODEL]] [-o FORMAT]\n--audit [--mock N[:MODEL]] [-o FORMAT]",
	.opts = opts,
};

/* What the scheduler says of a node, as far as the machine itself knows it. */
struct node {
	const char *node_id, *hostname;
	uint32_t cpus, gpus;
	uint64_t mem_bytes;
};

static const struct zn_field node_fields[] = {
	ZN_FIELD(struct node, node_id, STR, "NODE", "name of the node, here its host name"),
	ZN_FIELD(struct node, hostname, STR, "HOST", "name of the machine"),
	ZN_FIELD(struct node, cpus, U32, "CPUS", "hardware threads that this process may use"),
	ZN_FIELD(struct node, gpus, U32, "GPUS", "accelerators"),
	ZN_FIELD(struct node, mem_bytes, BYTES, "MEM", "memory of all NUMA nodes"),
	{ 0 },
};

static const struct zn_kind node_kind = {
	"node", "the machine as a scheduler counts it", node_fields, sizeof(struct node), NULL,
};

static const struct zn_kind *const kinds[] = {
	&zn_machine_kind, &zn_numa_kind, &zn_cpu_kind,  &zn_gpu_kind, &zn_nic_kind,
	&zn_nvme_kind,    &zn_link_kind, &node_kind,     &zn_verdict_kind, NULL,
};

/* name is a word of the comma-separated list. */
static bool is_listed(const char *list, const char *name, size_t len)
{
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == len && !strncmp(at, name, len))
			return true;
	return false;
}

static bool is_wanted(const struct zn_kind *kind)
{
	if (!args.kinds)
		return args.matrix ? kind == &zn_link_kind : true;
	return is_listed(args.kinds, kind->name, strlen(kind->name));
}

static void check_kinds(void)
{
	static const char all[] = "machine,numa,cpu,gpu,nic,nvme,link,node";

	for (const char *at = args.kinds; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!strcspn(at, ",") || !is_listed(all, at, strcspn(at, ",")))
			zn_cli_usage("unknown kind '%.*s'; there are %s", (int)strcspn(at, ","), at, all);
}

static int put_all(struct zn_writer *w, const struct zn_kind *kind, const void *v, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && is_wanted(kind) && i < n; i++)
		rc = zn_writer_put(w, kind, (const char *)v + i * kind->size);
	return rc;
}

static int put_records(const struct zn_facts *f, struct zn_writer *w)
{
	struct zn_idset allowed = zn_facts_allowed_cpus(f);
	const struct node node = {
		.node_id = f->machine.hostname,
		.hostname = f->machine.hostname,
		.cpus = zn_idset_count(&allowed),
		.gpus = f->machine.gpus,
		.mem_bytes = f->machine.mem_bytes,
	};
	const struct { const struct zn_kind *kind; const void *v; size_t n; } parts[] = {
		{ &zn_machine_kind, &f->machine, 1 },     { &zn_numa_kind, f->numas, f->n_numas },
		{ &zn_cpu_kind, f->cpus, f->n_cpus },     { &zn_gpu_kind, f->gpus, f->n_gpus },
		{ &zn_nic_kind, f->nics, f->n_nics },     { &zn_nvme_kind, f->nvmes, f->n_nvmes },
		{ &zn_link_kind, f->links, f->n_links },  { &node_kind, &node, 1 },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(parts) / sizeof(*parts); i++)
		rc = put_all(w, parts[i].kind, parts[i].v, parts[i].n);
	return rc;
}

static int show(const struct zn_facts *f)
{
	struct zn_buf text = { 0 };

	if (args.matrix)
		zn_facts_matrix(f, &text);
	else
		zn_facts_tree(f, &text);
	int rc = text.failed ? -ENOMEM : zn_write_all(STDOUT_FILENO, text.data, text.len);
	zn_buf_done(&text);
	return rc;
}

static void check_usage(void)
{
	if (args.from.from && args.from.mock)
		zn_cli_usage("--from and --mock exclude each other");
	if (args.matrix && args.kinds)
		zn_cli_usage("--matrix and --kind exclude each other");
	if (args.audit && args.from.from)
		zn_cli_usage("--audit looks at the processes of this machine: --from has no place here");
	if (args.audit && (args.matrix || args.kinds))
		zn_cli_usage("--audit gives verdict records alone: --matrix and --kind have no place here");
	check_kinds();
}

/* The exit code: whether all is well. */
static int audit(const struct zn_facts *f, struct zn_writer *w)
{
	struct zn_arena a = { 0 };
	struct zn_audit found;
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK;
	int rc = zn_audit_read(f, &a, &found, &err);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	const struct zn_verdict *v = found.verdicts.v;
	for (size_t i = 0; i < found.verdicts.n; i++) {
		zn_writer_put(w, &zn_verdict_kind, &v[i]); /* zn_cli_end says what failed */
		code = v[i].ok ? code : ZN_EXIT_NO;
	}
	if (!found.verdicts.n && zn_cli_format() == ZN_FORMAT_TABLE)
		zn_cli_warn("no process that can be seen holds a GPU");
	if (found.hidden && zn_cli_format() == ZN_FORMAT_TABLE)
		zn_cli_warn("%u process%s could not be looked into%s", found.hidden, found.hidden == 1 ? "" : "es",
		            geteuid() ? "; root sees more" : "");
	zn_arena_done(&a);
	return code;
}

int main(int argc, char **argv)
{
	struct zn_facts *f;
	struct zn_err err = { 0 };

	int at = zn_cli_parse(&cmd, argc, argv);
	if (at < argc)
		zn_cli_usage("unexpected operand '%s'", argv[at]);
	check_usage();
	bool text = zn_cli_format() == ZN_FORMAT_TABLE && !args.kinds && !args.audit && !zn_cli_output.fields;
	struct zn_writer *w = text ? NULL : zn_cli_writer(kinds, false);

	int rc = zn_facts_read(args.from.from || args.from.mock ? &args.from : NULL, &f, &err);
	if (rc < 0)
		return zn_cli_end(w, zn_cli_fail(zn_cli_code(rc), "%s", *err.text ? err.text : strerror(-rc)));
	if (f->note)
		zn_cli_warn("%s", f->note);
	if (args.audit) {
		int code = audit(f, w);
		zn_facts_free(f);
		return zn_cli_end(w, code);
	}
	rc = text ? show(f) : put_records(f, w);
	zn_facts_free(f);
	int code = rc < 0 ? (int)zn_cli_fail(zn_cli_code(rc), "can't write to standard output: %s", strerror(-rc)) : 0;
	return zn_cli_end(w, code);
}
