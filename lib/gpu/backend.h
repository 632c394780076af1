/* backend: one vendor's driver, in a file of its own. */
#ifndef ZN_GPU_BACKEND_H
#define ZN_GPU_BACKEND_H

#include "gpu/gpu.h"
#include "gpu/meter.h"

/* What a backend measures with; the arena ends with it. */
struct zn__gpu_probe {
	struct zn_arena arena;
	const char *root;             /* "" for this machine, else a directory in place of /; borrowed */
	void *state;                  /* the backend's own; NULL where its driver is not there */
	size_t n;                     /* devices */
	bool wants_two;               /* some figure is what lies between two samples */
	const char *note;             /* why a driver that is there can't be asked, or NULL */
};

struct zn__gpu_backend {
	const char *name, *vendor;
	/* Adds its devices to g, in PCI order.  A driver that is not there or refuses is no failure (it may
	 * leave a note); -ENOMEM is the only one.  NULL: the bus says as much.
	 */
	int (*read)(struct zn_gpus *g);
	void (*keep)(void); /* as zn_gpus_keep; nothing where there is no driver; may be NULL */
	/* Opens the driver, if it is there, and finds the devices; -ENOMEM. */
	int (*open)(struct zn__gpu_probe *p);
	/* Fills n samples, zeroed; texts and lists live in a.  -ENOMEM. */
	int (*measure)(struct zn__gpu_probe *p, struct zn_arena *a, struct zn_gpu_sample *v);
	void (*close)(struct zn__gpu_probe *p); /* of one whose state is not NULL */
};

extern const struct zn__gpu_backend zn__nvml, zn__amdgpu;
extern const struct zn__gpu_backend *const zn__gpu_backends[]; /* ends with NULL */

int zn__nvml_meter_open(struct zn__gpu_probe *p);
int zn__nvml_meter_measure(struct zn__gpu_probe *p, struct zn_arena *a, struct zn_gpu_sample *v);
void zn__nvml_meter_close(struct zn__gpu_probe *p);

#endif
