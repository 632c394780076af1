/* wiring: what the links of a machine come to, by number and not by name.  Private to plan.
 *
 * A link's worth is its bandwidth in megabits a second and direction.  Where the facts do not say it, the kind of path
 * stands in, so that NVn > PIX > PXB > PHB > NODE > SYS.
 */
#ifndef ZN_PLAN_WIRING_H
#define ZN_PLAN_WIRING_H

#include "plan/facts.h"

enum { ZN__PAIR_MBPS = 0x7fffffff };
#define ZN__PAIR_NVLINK (UINT32_C(1) << 31)

/* From a GPU to another device: how far, by the kind of path. */
enum { ZN__STEPS_PIX, ZN__STEPS_PXB, ZN__STEPS_PHB, ZN__STEPS_NODE, ZN__STEPS_SYS };

struct zn__wiring {
	unsigned n;                       /* GPUs, in the order of the facts */
	bool is_even;                     /* every pair is linked like every other */
	uint16_t position[ZN_IDSET_MAX];  /* 1 + the place in facts of a GPU's number, 0: there is none */
	uint32_t *pairs;                  /* n rows of n: megabits a second, and whether it is NVLink */
	size_t n_devices;                 /* NICs, then NVMe drives */
	uint8_t *steps;                   /* n rows of n_devices */
	uint16_t *root;                   /* of each GPU the first that is below the same host bridge, as far as the links say */
};

static inline uint32_t zn__pair_mbps(uint32_t pair)
{
	return pair & ZN__PAIR_MBPS;
}

#endif
