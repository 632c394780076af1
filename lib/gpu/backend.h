/* backend: one vendor's driver, in a file of its own. */
#ifndef ZN_GPU_BACKEND_H
#define ZN_GPU_BACKEND_H

#include "gpu/gpu.h"

struct zn__gpu_backend {
	const char *name;
	/* Adds its devices to g, in PCI order.  A driver that is not there or refuses is no failure (it may
	 * leave a note); -ENOMEM is the only one.
	 */
	int (*read)(struct zn_gpus *g);
	void (*keep)(void); /* as zn_gpus_keep; nothing where there is no driver */
};

extern const struct zn__gpu_backend zn__nvml;

#endif
