/* wiring: reads each link's two names and its kind once.  Before any link is read, two GPUs are as near as their NUMA
 * nodes are.
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

static void read_links(struct zn__wiring *w, const struct zn_facts *f)
{
	unsigned a, b;

	for (size_t i = 0; i < f->n_links; i++) {
		const struct zn_link *link = &f->links[i];
		if (gpu_number(link->a, &a) && gpu_number(link->b, &b) && a != b && w->position[a] && w->position[b])
			set_pair(w, w->position[a] - 1u, w->position[b] - 1u,
			         link_mbps(link) | (is_nvlink(link->type) ? ZN__PAIR_NVLINK : 0));
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
	uint32_t *pairs = zn_arena_array(&f->arena, n * n + 1, sizeof(*pairs));

	if (!w || !pairs)
		return -ENOMEM;
	w->n = (unsigned)n;
	w->pairs = pairs;
	for (unsigned i = 0; i < n; i++)
		if (f->gpus[i].gpu < ZN_IDSET_MAX && !w->position[f->gpus[i].gpu])
			w->position[f->gpus[i].gpu] = (uint16_t)(i + 1);
	guess_pairs(w, f);
	read_links(w, f);
	w->is_even = is_even(w);
	f->wiring = w;
	return 0;
}
