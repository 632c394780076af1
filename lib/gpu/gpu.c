#include "gpu/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/backend.h"

const struct zn__gpu_backend *const zn__gpu_backends[] = { &zn__nvml, &zn__amdgpu, NULL };

int zn_gpus_read(struct zn_gpus **ret, struct zn_err *err)
{
	struct zn_gpus *g = calloc(1, sizeof(*g));
	int rc = g ? 0 : -ENOMEM;

	for (const struct zn__gpu_backend *const *b = zn__gpu_backends; rc == 0 && *b; b++)
		rc = (*b)->read ? (*b)->read(g) : 0;
	if (rc < 0) {
		zn_gpus_free(g);
		return zn_err_set(err, rc, "out of memory while reading the GPUs");
	}
	*ret = g;
	return 0;
}

void zn_gpus_keep(void)
{
	for (const struct zn__gpu_backend *const *b = zn__gpu_backends; *b; b++)
		if ((*b)->keep)
			(*b)->keep();
}

void zn_gpus_free(struct zn_gpus *g)
{
	if (!g)
		return;
	zn_arena_done(&g->arena);
	free(g);
}

bool zn_gpu_has_backend(const char *vendor)
{
	for (const struct zn__gpu_backend *const *b = zn__gpu_backends; vendor && *b; b++)
		if (!strcmp((*b)->vendor, vendor))
			return true;
	return false;
}

const char *zn_gpu_vendor(uint32_t pci_vendor)
{
	static const struct {
		uint32_t id;
		const char *name;
	} vendors[] = { { 0x10de, "NVIDIA" }, { 0x1002, "AMD" }, { 0x8086, "Intel" } };

	for (size_t i = 0; i < sizeof(vendors) / sizeof(*vendors); i++)
		if (vendors[i].id == pci_vendor)
			return vendors[i].name;
	return NULL;
}
