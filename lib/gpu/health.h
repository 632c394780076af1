/* health: is a device fit for work?  A verdict on what is known of it, touching nothing. */
#ifndef ZN_GPU_HEALTH_H
#define ZN_GPU_HEALTH_H

#include "gpu/state.h"

struct zn_gpu_finding {
	const char *level;            /* "warn", "bad" */
	const char *what, *mend;      /* a sentence; what to do about it */
};

struct zn_gpu_health {
	double time_s;
	uint32_t gpu;
	const char *uuid, *name, *pci;
	const char *level;            /* the worst of its findings; "ok" without any */
	const char *what;             /* all findings, worst first */
	const char *mend;             /* what to do about the first; NULL: nothing */
	struct zn_list findings;      /* struct zn_gpu_finding */
};

extern const struct zn_kind zn_gpu_health_kind;

/* Bad is what spoils or refuses work: a device that its driver lost, or never found; memory errors that were not
 * corrected; memory that nobody holds.  A warning is what slows work down, or calls for a reset.  What is not known is not
 * wrong.  Texts and lists live in a, or as long as st.  -ENOMEM is the only failure.
 */
int zn_gpu_health_make(const struct zn_gpu_state *st, struct zn_arena *a, struct zn_gpu_health *ret);
bool zn_gpu_health_is_bad(const struct zn_gpu_health *h);

#endif
