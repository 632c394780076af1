/* matrix: every link of GPUs and NICs for a person, as nvidia-smi topo -m draws it. */
#include <stdio.h>
#include <string.h>

#include "plan/facts.h"

struct row {
	char name[64];
	const char *cpus;
	struct zn_ou64 numa;
};

static const char *cell(const struct zn_facts *f, const char *a, const char *b)
{
	const char *path = strcmp(a, b) ? zn_facts_path(f, a, b) : "X";
	return path ? path : "?";
}

static size_t make_rows(const struct zn_facts *f, struct zn_arena *a, struct row **ret)
{
	struct row *rows = zn_arena_array(a, f->n_gpus + f->n_nics + 1, sizeof(*rows));
	size_t n = 0;

	for (size_t i = 0; rows && i < f->n_gpus; i++, n++) {
		snprintf(rows[n].name, sizeof(rows[n].name), "gpu%u", f->gpus[i].gpu);
		rows[n].cpus = f->gpus[i].cpus;
		rows[n].numa = f->gpus[i].numa;
	}
	for (size_t i = 0; rows && i < f->n_nics; i++, n++) {
		snprintf(rows[n].name, sizeof(rows[n].name), "%s", f->nics[i].nic);
		rows[n].cpus = f->nics[i].cpus;
		rows[n].numa = f->nics[i].numa;
	}
	*ret = rows;
	return n;
}

static size_t cpus_width(const struct row *rows, size_t n)
{
	size_t width = strlen("CPUS");

	for (size_t i = 0; i < n; i++)
		if (rows[i].cpus && strlen(rows[i].cpus) > width)
			width = strlen(rows[i].cpus);
	return width;
}

static size_t name_width(const struct row *rows, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		width = strlen(rows[i].name) > width ? strlen(rows[i].name) : width;
	return width;
}

/* As wide as its name and the longest link type. */
static int column_width(const struct row *row)
{
	size_t n = strlen(row->name);
	return (int)(n > 4 ? n : 4);
}

static void add_legend(const struct zn_facts *f, struct zn_buf *to)
{
	static const struct { const char *word, *what; } legend[] = {
		{ "X", "itself" },
		{ "NV#", "a bond of # NVLinks" },
		{ "PIX", "at most one PCIe switch" },
		{ "PXB", "several PCIe switches, no host bridge" },
		{ "PHB", "the PCIe host bridge" },
		{ "NODE", "several host bridges of one NUMA node" },
		{ "SYS", "the interconnect of NUMA nodes" },
		{ "?", "the kernel does not say which CPUs or NUMA node are near" },
	};
	bool unknown = false;

	for (size_t i = 0; i < f->n_gpus; i++)
		unknown |= !f->gpus[i].numa.has || !f->gpus[i].cpus;
	for (size_t i = 0; i < f->n_nics; i++)
		unknown |= !f->nics[i].numa.has || !f->nics[i].cpus;
	zn_buf_addch(to, '\n');
	for (size_t i = 0; i < sizeof(legend) / sizeof(*legend); i++)
		if (*legend[i].word != '?' || unknown)
			zn_buf_printf(to, "%-4s  %s\n", legend[i].word, legend[i].what);
}

static void add_row(const struct zn_facts *f, const struct row *rows, size_t n, size_t at, struct zn_buf *to)
{
	char numa[24] = "?";

	if (rows[at].numa.has)
		snprintf(numa, sizeof(numa), "%llu", (unsigned long long)rows[at].numa.v);
	zn_buf_printf(to, "%-*s", (int)name_width(rows, n), rows[at].name);
	for (size_t i = 0; i < n; i++)
		zn_buf_printf(to, "  %-*s", column_width(&rows[i]), cell(f, rows[at].name, rows[i].name));
	zn_buf_printf(to, "  %-*s  %s\n", (int)cpus_width(rows, n), rows[at].cpus ? rows[at].cpus : "?", numa);
}

void zn_facts_matrix(const struct zn_facts *f, struct zn_buf *to)
{
	struct zn_arena a = { 0 };
	struct row *rows;
	size_t n = make_rows(f, &a, &rows);

	if (!rows) {
		to->failed = true;
	} else if (!n) {
		zn_buf_addstr(to, "this machine has no GPU and no NIC, so there are no links to show\n");
	} else {
		zn_buf_printf(to, "%*s", (int)name_width(rows, n), "");
		for (size_t i = 0; i < n; i++)
			zn_buf_printf(to, "  %-*s", column_width(&rows[i]), rows[i].name);
		zn_buf_printf(to, "  %-*s  NUMA\n", (int)cpus_width(rows, n), "CPUS");
		for (size_t i = 0; i < n; i++)
			add_row(f, rows, n, i, to);
		add_legend(f, to);
	}
	zn_arena_done(&a);
}
