/* nvme: the drives that can be read at the speed of the bus, and the node each hangs from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topo/source.h"

/* hwloc says KiB; the kernel counts sectors of 512 bytes whatever the drive's own are. */
static struct zn_ou64 size_of(const struct zn__topo_src *src, hwloc_obj_t os)
{
	struct zn_ou64 sectors = zn__sys_u64(src, "sys/class/block/%s/size", os->name);
	const char *kib = hwloc_obj_get_info_by_name(os, "Size");

	if (sectors.has && sectors.v <= UINT64_MAX >> 9)
		return ZN_SOME_U64(sectors.v << 9);
	return kib ? ZN_SOME_U64(strtoull(kib, NULL, 10) << 10) : (struct zn_ou64){ 0 };
}

static int add(const struct zn__topo_src *src, struct zn_topo *t, hwloc_obj_t dev, hwloc_obj_t os)
{
	struct zn__near near = zn__pci_near(src, &t->arena, dev);
	struct zn_nvme *nvme = &t->nvmes[t->n_nvmes++];

	*nvme = (struct zn_nvme){
		.nvme = zn__text(&t->arena, os->name),
		.pci = zn__pci_name(&t->arena, dev),
		.model = zn__sys_text(src, &t->arena, "sys/class/block/%s/device/model", os->name),
		.numa = near.numa,
		.cpus = near.cpus,
		.size_bytes = size_of(src, os),
	};
	if (!nvme->model)
		nvme->model = zn__obj_info(&t->arena, os, "Model");
	return nvme->nvme && nvme->pci ? 0 : -ENOMEM;
}

int zn__topo_read_nvmes(const struct zn__topo_src *src, struct zn_topo *t)
{
	int osdevs = hwloc_get_nbobjs_by_type(src->h, HWLOC_OBJ_OS_DEVICE);
	hwloc_obj_t *devs = zn__pci_devices(src, &t->arena), os;
	int rc = 0;

	t->nvmes = zn_arena_array(&t->arena, (size_t)(osdevs > 0 ? osdevs : 0) + 1, sizeof(*t->nvmes));
	if (!devs || !t->nvmes)
		return -ENOMEM;
	for (; *devs; devs++)
		for (os = NULL; rc == 0 && (os = zn__next_osdev(*devs, HWLOC_OBJ_OSDEV_BLOCK, os));)
			if (!strncmp(os->name, "nvme", 4))
				rc = add(src, t, *devs, os);
	return rc;
}
