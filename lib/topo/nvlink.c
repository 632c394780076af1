/* nvlink: links between GPUs that a recording holds, as hwloc's matrix "NVLinkBandwidth" in MB/s.
 *
 * Its columns are GPUs and NVSwitches.  hwloc folds the ports of the switches and closes the matrix over
 * them, so that what is left is GPU to GPU.
 */
#include <errno.h>
#include <string.h>

#include "topo/source.h"

/* A link of the first generation carries 20,000 MB/s, every later one 25,000 (four lanes of 50 Gb/s or two
 * of 100): hwloc records a multiple of one of them.
 */
static double per_link(const struct hwloc_distances_s *d)
{
	for (unsigned i = 0; i < d->nbobjs * d->nbobjs; i++)
		if (d->values[i] % 25000)
			return 20000;
	return 25000;
}

static hwloc_obj_t pci_of(hwloc_obj_t obj)
{
	while (obj && obj->type != HWLOC_OBJ_PCI_DEVICE)
		obj = obj->parent;
	return obj;
}

static bool is_known_gpu(const struct zn_topo *t, const char *pci)
{
	for (size_t i = 0; i < t->n_gpus; i++)
		if (!strcmp(t->gpus[i].pci, pci))
			return true;
	return false;
}

static int add(struct zn_topo *t, const struct hwloc_distances_s *d, unsigned x, unsigned y, double unit)
{
	hwloc_obj_t a = pci_of(d->objs[x]), b = pci_of(d->objs[y]);
	double mbps = (double)d->values[x * d->nbobjs + y];

	if (!a || !b || a == b || mbps < unit || mbps > UINT32_MAX)
		return 0;
	struct zn_pci_nvlink link = {
		.a = zn__pci_name(&t->arena, a),
		.b = zn__pci_name(&t->arena, b),
		.links = (uint32_t)(mbps / unit),
		.link_gbps = mbps * 8 / 1000,
	};
	if (!link.a || !link.b)
		return -ENOMEM;
	if (is_known_gpu(t, link.a) && is_known_gpu(t, link.b))
		t->nvlinks[t->n_nvlinks++] = link;
	return 0;
}

/* Without a switch the closure would take away the straight links. */
static void fold_switches(const struct zn__topo_src *src, struct hwloc_distances_s *d)
{
	hwloc_distances_transform(src->h, d, HWLOC_DISTANCES_TRANSFORM_REMOVE_NULL, NULL, 0);
	if (!hwloc_distances_transform(src->h, d, HWLOC_DISTANCES_TRANSFORM_MERGE_SWITCH_PORTS, NULL, 0))
		hwloc_distances_transform(src->h, d, HWLOC_DISTANCES_TRANSFORM_TRANSITIVE_CLOSURE, NULL, 0);
}

int zn__topo_read_nvlinks(const struct zn__topo_src *src, struct zn_topo *t)
{
	struct hwloc_distances_s *d;
	unsigned n = 1;
	int rc = 0;

	if (hwloc_distances_get_by_name(src->h, "NVLinkBandwidth", &n, &d, 0) < 0 || !n)
		return 0;
	double unit = per_link(d);
	fold_switches(src, d);
	t->nvlinks = zn_arena_array(&t->arena, (size_t)d->nbobjs * d->nbobjs + 1, sizeof(*t->nvlinks));
	if (!t->nvlinks)
		rc = -ENOMEM;
	for (unsigned x = 0; rc == 0 && x < d->nbobjs; x++)
		for (unsigned y = x + 1; rc == 0 && y < d->nbobjs; y++)
			rc = add(t, d, x, y, unit);
	hwloc_distances_release(src->h, d);
	return rc;
}
