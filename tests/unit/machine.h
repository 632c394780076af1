/* machine: a whole machine from one line of text, so that a placement case fits on a row.
 *
 *   "numa:2 core:4 pu:2 gpu:4 nv:18 mem:64"
 *
 * two NUMA nodes, each with 4 cores of 2 threads, 4 GPUs and 64 GiB; every two GPUs linked by NV18 (without
 * nv: NODE within a node, SYS across); "vram:80": each GPU has 80 GiB of its own, else that is not known; "nic:1": a NIC
 * eth0 hangs from node 1.  CPUs are numbered as Linux does: first every core's first thread.
 */
#ifndef ZN_TESTS_MACHINE_H
#define ZN_TESTS_MACHINE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/facts.h"

struct machine_text { unsigned numa, core, pu, gpu, nv, mem, vram, nic; };
enum { MACHINE_NICS = 8, MACHINE_NO_NIC = 999 };

static unsigned machine_word(const char *text, const char *word, unsigned or_else)
{
	const char *p = strstr(text, word);

	while (p && p > text && p[-1] != ' ') /* "pu:" is in "gpu:" too */
		p = strstr(p + 1, word);
	return p ? (unsigned)strtoul(p + strlen(word), NULL, 10) : or_else;
}

static void machine_cpus(struct zn_facts *f, const struct machine_text *t)
{
	unsigned cores = t->numa * t->core;

	f->n_cpus = cores * t->pu;
	f->cpus = zn_arena_array(&f->arena, f->n_cpus + 1, sizeof(*f->cpus));
	for (unsigned i = 0; i < f->n_cpus; i++)
		f->cpus[i] = (struct zn_cpu){
			.cpu = i, .core = i % cores, .thread = i / cores, .socket = i % cores / t->core,
			.numa = ZN_SOME_U64(i % cores / t->core), .allowed = true,
		};
}

static void machine_numas(struct zn_facts *f, const struct machine_text *t)
{
	f->n_numas = t->numa;
	f->numas = zn_arena_array(&f->arena, t->numa, sizeof(*f->numas));
	for (unsigned i = 0; i < t->numa; i++) {
		struct zn_idset cpus = { 0 };
		char text[256];
		for (size_t k = 0; k < f->n_cpus; k++)
			if (f->cpus[k].numa.v == i)
				zn_idset_add(&cpus, f->cpus[k].cpu);
		zn_idset_format(&cpus, text, sizeof(text));
		f->numas[i].numa = i;
		f->numas[i].cpus = zn_arena_strdup(&f->arena, text);
		f->numas[i].mem_bytes = (uint64_t)t->mem << 30;
		f->numas[i].distances.n = t->numa;
		f->numas[i].distances.v = zn_arena_array(&f->arena, t->numa, sizeof(uint32_t));
		for (unsigned k = 0; k < t->numa; k++)
			f->numas[i].distances.v[k] = k == i ? 10 : 20 + (k > i ? k - i : i - k);
	}
}

static void machine_gpus(struct zn_facts *f, const struct machine_text *t)
{
	f->n_gpus = t->numa * t->gpu;
	f->gpus = zn_arena_array(&f->arena, f->n_gpus + 1, sizeof(*f->gpus));
	for (unsigned i = 0; i < f->n_gpus; i++)
		f->gpus[i] = (struct zn_gpu){
			.gpu = i, .numa = ZN_SOME_U64(i / t->gpu), .cpus = f->numas[i / t->gpu].cpus,
			.uuid = zn_arena_printf(&f->arena, "GPU-%08x", i),
			.mem_bytes = { .has = t->vram > 0, .v = (uint64_t)t->vram << 30 },
			.pci = zn_arena_printf(&f->arena, "0000:%02x:00.0", 0x10 + i),
		};
}

static void machine_link(struct zn_facts *f, unsigned a, unsigned b, const char *type)
{
	f->links[f->n_links++] = (struct zn_link){
		.a = zn_arena_printf(&f->arena, "gpu%u", a), .b = zn_arena_printf(&f->arena, "gpu%u", b),
		.type = zn_arena_strdup(&f->arena, type),
	};
}

static void machine_links(struct zn_facts *f, const struct machine_text *t)
{
	char nv[16];

	snprintf(nv, sizeof(nv), "NV%u", t->nv);
	f->links = zn_arena_array(&f->arena, f->n_gpus * (f->n_gpus + MACHINE_NICS) + 1, sizeof(*f->links));
	for (unsigned a = 0; a < f->n_gpus; a++)
		for (unsigned b = a + 1; b < f->n_gpus; b++)
			machine_link(f, a, b, t->nv ? nv : a / t->gpu == b / t->gpu ? "NODE" : "SYS");
}

static struct zn_nic *machine_nic(struct zn_facts *f, const char *name, unsigned numa)
{
	struct zn_nic *nic = &f->nics[f->n_nics];

	*nic = (struct zn_nic){ .nic = name, .numa = ZN_SOME_U64(numa), .cpus = f->numas[numa].cpus,
	                        .pci = zn_arena_printf(&f->arena, "0000:c%zx:00.0", f->n_nics) };
	f->n_nics++;
	return nic;
}

/* Once its links and GPUs are as they shall be. */
static void machine_wire(struct zn_facts *f)
{
	if (zn_facts_wire(f) < 0)
		abort();
}

static struct zn_facts *machine_new(const char *text)
{
	struct zn_facts *f = calloc(1, sizeof(*f));
	struct machine_text t = {
		.numa = machine_word(text, "numa:", 1), .core = machine_word(text, "core:", 1),
		.pu = machine_word(text, "pu:", 1), .gpu = machine_word(text, "gpu:", 0),
		.nv = machine_word(text, "nv:", 0), .mem = machine_word(text, "mem:", 64),
		.vram = machine_word(text, "vram:", 0), .nic = machine_word(text, "nic:", MACHINE_NO_NIC),
	};

	if (!f)
		abort();
	machine_cpus(f, &t);
	machine_numas(f, &t);
	machine_gpus(f, &t);
	machine_links(f, &t);
	f->nics = zn_arena_array(&f->arena, MACHINE_NICS, sizeof(*f->nics));
	if (t.nic != MACHINE_NO_NIC)
		machine_nic(f, "eth0", t.nic);
	f->machine = (struct zn_machine){
		.hostname = "test", .arch = "x86_64", .sockets = t.numa, .numas = t.numa,
		.cores = t.numa * t.core, .cpus = (uint32_t)f->n_cpus, .gpus = (uint32_t)f->n_gpus,
		.mem_bytes = (uint64_t)t.numa * t.mem << 30,
	};
	machine_wire(f);
	return f;
}

static void machine_free(struct zn_facts *f)
{
	zn_arena_done(&f->arena);
	free(f);
}

/* Sets of ids from and to text, for rows of a table. */
__attribute__((unused)) static struct zn_idset ids(const char *list)
{
	struct zn_idset s = { 0 };

	if (zn_idset_parse(list, &s, NULL) < 0)
		abort();
	return s;
}

__attribute__((unused)) static const char *list_of(const struct zn_idset *s)
{
	static char text[4][512];
	static unsigned at;
	char *to = text[at++ % 4];

	zn_idset_format(s, to, sizeof(text[0]));
	return to;
}

#endif
