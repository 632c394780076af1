/* wiring: reads each link's two names and its kind once.  Before any link is read, two GPUs, or a GPU and another device, are
 * as near as their NUMA nodes are.
 *
 * NVLink hides the way over the bus; but two GPUs that reach the same NIC or drive below a host bridge share that.
 */
#include "plan/wiring.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the bandwidth is not known.  20 GB/s is one link of the first NVLink; below it only the order
 * means something.
 */
enum { NV_MBPS = 160000, MBPS_MAX = 1000000000 };
static const struct { const char *type; uint32_t mbps; } paths[] = {
	{ "PIX", 120000 }, { "PXB", 100000 }, { "PHB", 80000 }, { "NODE", 60000 }, { "SYS", 40000 },
};

/* ZN__STEPS_...; of what is no path over the bus the last. */
static unsigned type_steps(const char *type)
{
	unsigned i = 0;

	while (i < ZN__STEPS_SYS && (!type || strcmp(type, paths[i].type)))
		i++;
	return i;
}

static bool is_nvlink(const char *type)
{
	return type && type[0] == 'N' && type[1] == 'V' && isdigit((unsigned char)type[2]);
}

static uint32_t type_mbps(const char *type)
{
	if (is_nvlink(type)) {
		unsigned long links = strtoul(type + 2, NULL, 10);
		return links > 64 ? 64 * NV_MBPS : (links ? (uint32_t)links : 1) * NV_MBPS;
	}
	for (size_t i = 0; type && i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(type, paths[i].type))
			return paths[i].mbps;
	return 0;
}

static uint32_t link_mbps(const struct zn_link *link)
{
	double mbps = link->link_gbps.v * 1000;

	if (!link->link_gbps.has || !(mbps >= 0))
		return type_mbps(link->type);
	return mbps > MBPS_MAX ? MBPS_MAX : (uint32_t)(mbps + 0.5);
}

/* The number in "gpu12"; false for every other name. */
static bool gpu_number(const char *name, unsigned *ret)
{
	unsigned n = 0;

	if (!name || strncmp(name, "gpu", 3) || !isdigit((unsigned char)name[3]))
		return false;
	for (name += 3; isdigit((unsigned char)*name); name++) {
		n = n * 10 + (unsigned)(*name - '0');
		if (n >= ZN_IDSET_MAX)
			return false;
	}
	*ret = n;
	return !*name;
}

static void set_pair(struct zn__wiring *w, unsigned a, unsigned b, uint32_t pair)
{
	w->pairs[(size_t)a * w->n + b] = w->pairs[(size_t)b * w->n + a] = pair;
}

static void guess_pairs(struct zn__wiring *w, const struct zn_facts *f)
{
	for (unsigned a = 0; a < w->n; a++)
		for (unsigned b = 0; b < a; b++) {
			struct zn_ou64 x = f->gpus[a].numa, y = f->gpus[b].numa;
			set_pair(w, a, b, type_mbps(x.has && y.has && x.v == y.v ? "NODE" : "SYS"));
		}
}

static uint8_t *steps_of(struct zn__wiring *w, unsigned gpu, size_t device)
{
	return &w->steps[gpu * w->n_devices + device];
}

static void guess_steps(struct zn__wiring *w, const struct zn_facts *f)
{
	for (unsigned g = 0; g < w->n; g++)
		for (size_t d = 0; d < w->n_devices; d++) {
			struct zn_ou64 x = f->gpus[g].numa, y = d < f->n_nics ? f->nics[d].numa : f->nvmes[d - f->n_nics].numa;
			bool same = f->n_numas == 1 || (x.has && y.has && x.v == y.v);
			*steps_of(w, g, d) = same ? ZN__STEPS_NODE : ZN__STEPS_SYS;
		}
}

/* n_devices: there is none of that name. */
static size_t find_device(const struct zn__wiring *w, const struct zn_facts *f, const char *name)
{
	size_t i = 0;

	while (i < w->n_devices && strcmp(name, i < f->n_nics ? f->nics[i].nic : f->nvmes[i - f->n_nics].nvme))
		i++;
	return i;
}

/* Two GPUs are below one host bridge, and with them all that were below one with either. */
static void join_roots(struct zn__wiring *w, unsigned a, unsigned b)
{
	uint16_t from = w->root[a] > w->root[b] ? w->root[a] : w->root[b], to = w->root[a] < w->root[b] ? w->root[a] : w->root[b];

	for (unsigned i = 0; i < w->n; i++)
		if (w->root[i] == from)
			w->root[i] = to;
}

static void read_pair(struct zn__wiring *w, unsigned a, unsigned b, const struct zn_link *link)
{
	set_pair(w, a, b, link_mbps(link) | (is_nvlink(link->type) ? ZN__PAIR_NVLINK : 0));
	if (type_steps(link->type) <= ZN__STEPS_PHB)
		join_roots(w, a, b);
}

static void read_links(struct zn__wiring *w, const struct zn_facts *f)
{
	unsigned a, b;

	for (size_t i = 0; i < f->n_links; i++) {
		const struct zn_link *link = &f->links[i];
		if (!gpu_number(link->a, &a) || !w->position[a])
			continue;
		if (gpu_number(link->b, &b)) {
			if (a != b && w->position[b])
				read_pair(w, w->position[a] - 1u, w->position[b] - 1u, link);
			continue;
		}
		size_t device = find_device(w, f, link->b);
		if (device < w->n_devices)
			*steps_of(w, w->position[a] - 1u, device) = (uint8_t)type_steps(link->type);
	}
}

static void find_roots(struct zn__wiring *w)
{
	for (size_t d = 0; d < w->n_devices; d++)
		for (unsigned first = w->n, g = 0; g < w->n; g++) {
			if (*steps_of(w, g, d) > ZN__STEPS_PHB)
				continue;
			if (first < w->n)
				join_roots(w, first, g);
			first = first < w->n ? first : g;
		}
}

static bool is_even(const struct zn__wiring *w)
{
	for (unsigned a = 1; a < w->n; a++)
		for (unsigned b = 0; b < a; b++)
			if (w->pairs[(size_t)a * w->n + b] != w->pairs[w->n])
				return false;
	return true;
}

int zn_facts_wire(struct zn_facts *f)
{
	size_t n = f->n_gpus < ZN_IDSET_MAX ? f->n_gpus : ZN_IDSET_MAX;
	struct zn__wiring *w = zn_arena_array(&f->arena, 1, sizeof(*w));
	size_t n_devices = f->n_nics + f->n_nvmes;
	uint32_t *pairs = zn_arena_array(&f->arena, n * n + 1, sizeof(*pairs));
	uint8_t *steps = zn_arena_array(&f->arena, n * n_devices + 1, sizeof(*steps));
	uint16_t *root = zn_arena_array(&f->arena, n + 1, sizeof(*root));

	if (!w || !pairs || !steps || !root)
		return -ENOMEM;
	*w = (struct zn__wiring){ .n = (unsigned)n, .pairs = pairs, .n_devices = n_devices, .steps = steps, .root = root };
	for (unsigned i = 0; i < n; i++)
		root[i] = (uint16_t)i;
	for (unsigned i = 0; i < n; i++)
		if (f->gpus[i].gpu < ZN_IDSET_MAX && !w->position[f->gpus[i].gpu])
			w->position[f->gpus[i].gpu] = (uint16_t)(i + 1);
	guess_pairs(w, f);
	guess_steps(w, f);
	read_links(w, f);
	find_roots(w);
	w->is_even = is_even(w);
	f->wiring = w;
	return 0;
}
