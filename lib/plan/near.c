#include "plan/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan/cpus.h"
#include "plan/links.h"
#include "plan/plan.h"

/* "0000:18:00.0", "18:00.0", "00000000:18:00.0" */
static bool parse_pci(const char *text, size_t n, unsigned part[4])
{
	char copy[24];
	int end = 0;

	if (n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (sscanf(copy, "%8x:%2x:%2x.%1x%n", &part[0], &part[1], &part[2], &part[3], &end) == 4 && !copy[end])
		return true;
	part[0] = 0;
	end = 0;
	return sscanf(copy, "%2x:%2x.%1x%n", &part[1], &part[2], &part[3], &end) == 3 && !copy[end];
}

bool zn__is_pci(const char *pci, const char *text, size_t n)
{
	unsigned want[4], has[4];

	return pci && parse_pci(text, n, want) && parse_pci(pci, strlen(pci), has) && !memcmp(want, has, sizeof(want));
}

static bool is_nic(const struct zn_nic *nic, const char *name)
{
	return !strcmp(name, "nic") || !strcmp(name, nic->nic) || (nic->netdev && !strcmp(name, nic->netdev)) ||
	       zn__is_pci(nic->pci, name, strlen(name));
}

static bool is_nvme(const struct zn_nvme *nvme, const char *name)
{
	return !strcmp(name, "nvme") || !strcmp(name, nvme->nvme) || zn__is_pci(nvme->pci, name, strlen(name));
}

/* In the order of the wiring. */
static bool is_meant(const struct zn_facts *f, size_t device, const char *name)
{
	return device < f->n_nics ? is_nic(&f->nics[device], name) : is_nvme(&f->nvmes[device - f->n_nics], name);
}

bool zn_facts_has_device(const struct zn_facts *f, const char *name)
{
	for (size_t d = 0; d < f->n_nics + f->n_nvmes; d++)
		if (is_meant(f, d, name))
			return true;
	return false;
}

void zn__near_steps(const struct zn_facts *f, const char *near, uint8_t steps[ZN_IDSET_MAX])
{
	const struct zn__wiring *w = f->wiring;

	memset(steps, near ? ZN__STEPS_SYS : 0, w->n);
	for (size_t d = 0; near && d < w->n_devices; d++) {
		if (!is_meant(f, d, near))
			continue;
		for (unsigned g = 0; g < w->n; g++)
			if (w->steps[g * w->n_devices + d] < steps[g])
				steps[g] = w->steps[g * w->n_devices + d];
	}
}

uint64_t zn__near_weight(unsigned steps)
{
	uint64_t weight = 1;

	while (steps--)
		weight *= ZN__LINKS_MAX + 1;
	return weight;
}

struct zn_idset zn__near_nodes(const struct zn_facts *f, const char *near)
{
	struct zn_idset nodes = { 0 };

	for (size_t d = 0; near && d < f->n_nics + f->n_nvmes; d++) {
		unsigned node = zn__node_of(f, d < f->n_nics ? f->nics[d].numa : f->nvmes[d - f->n_nics].numa);
		if (node != ZN__NOWHERE && is_meant(f, d, near))
			zn_idset_add(&nodes, node);
	}
	return nodes;
}

/* ---- what is near to GPUs ---------------------------------------------------------------------- */

/* A bare function of the bus has no name that a program could use. */
static bool is_usable(const struct zn_nic *nic)
{
	return nic->rdma.has && (!nic->state || !strcmp(nic->state, "up"));
}

static bool has_rdma(const struct zn_facts *f)
{
	for (size_t i = 0; i < f->n_nics; i++)
		if (is_usable(&f->nics[i]) && f->nics[i].rdma.v)
			return true;
	return false;
}

/* The better the lower: the nearer, of equally near ones the faster. */
static int compare(const struct zn_facts *f, const uint8_t *steps, size_t a, size_t b)
{
	double x = f->nics[a].link_gbps.v, y = f->nics[b].link_gbps.v;

	return steps[a] != steps[b] ? steps[a] - steps[b] : (x < y) - (x > y);
}

/* Of the GPU at that position: all that are as good as the best. */
static void mark_nearest(const struct zn_facts *f, unsigned at, bool rdma, bool *marks)
{
	const uint8_t *steps = &f->wiring->steps[at * f->wiring->n_devices];
	size_t best = f->n_nics;

	for (size_t i = 0; i < f->n_nics; i++)
		if (is_usable(&f->nics[i]) && f->nics[i].rdma.v == rdma && (best == f->n_nics || compare(f, steps, i, best) < 0))
			best = i;
	for (size_t i = best; i < f->n_nics; i++)
		marks[i] |= is_usable(&f->nics[i]) && f->nics[i].rdma.v == rdma && !compare(f, steps, i, best);
}

int zn_plan_nics(const struct zn_facts *f, const struct zn_idset *gpus, struct zn_arena *a, const char **ret)
{
	bool *marks = zn_arena_array(a, f->n_nics + 1, sizeof(*marks)), rdma = has_rdma(f);
	struct zn_buf names = { 0 };

	if (!marks)
		return -ENOMEM;
	zn_idset_each(gpu, gpus)
		if (f->wiring->position[gpu])
			mark_nearest(f, f->wiring->position[gpu] - 1u, rdma, marks);
	for (size_t i = 0; i < f->n_nics; i++)
		if (marks[i])
			zn_buf_printf(&names, "%s%s", names.len ? "," : "", f->nics[i].nic);
	const char *text = names.len ? zn_arena_strdup(a, zn_buf_text(&names)) : NULL;
	bool failed = names.failed || (names.len && !text);
	zn_buf_done(&names);
	if (failed)
		return -ENOMEM;
	*ret = text;
	return 0;
}
