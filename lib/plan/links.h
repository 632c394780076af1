/* links: which GPUs of a machine belong together, by what their links are worth (wiring.h).  Private to plan. */
#ifndef ZN_PLAN_LINKS_H
#define ZN_PLAN_LINKS_H

#include "plan/facts.h"

enum {
	ZN__LINKS_MAX = 64,    /* GPUs beyond are not considered: a subset is one 64-bit mask */
	ZN__LINKS_EXACT = 16,  /* up to here every subset is looked at */
};

struct zn__links {
	unsigned n;
	bool spread, near;                         /* such wishes count: zn__links_wish */
	bool even;                                 /* every pair is linked like every other: mbps and nvlinked may be empty */
	bool all_nvlinked;                         /* and that by NVLink */
	uint32_t gpu[ZN__LINKS_MAX];               /* ascending numbers; masks below count in this order */
	struct zn_ou64 numa[ZN__LINKS_MAX];
	uint32_t mbps[ZN__LINKS_MAX][ZN__LINKS_MAX];
	uint64_t nvlinked[ZN__LINKS_MAX];          /* mask of those that NVLink reaches */
	uint64_t numa_mates[ZN__LINKS_MAX], root_mates[ZN__LINKS_MAX]; /* to be spread: masks of those on its node, below its root */
	uint8_t steps[ZN__LINKS_MAX];              /* to be near: ZN__STEPS_... to the device */
};

/* The GPUs of f that are in gpus. */
void zn__links_make(struct zn__links *l, const struct zn_facts *f, const struct zn_idset *gpus);
/* What else is minded when some of them are chosen: that they are far from each other; that they are near that device (may be
 * NULL).
 */
void zn__links_wish(struct zn__links *l, const struct zn_facts *f, bool spread, const char *near);
/* How crowded all of them are: the less the better. */
uint64_t zn__links_crowd(const struct zn__links *l);
/* The best n of them; false when there are not so many, or (nvlink) no n that are all linked by NVLink. */
bool zn__links_choose(const struct zn__links *l, unsigned n, bool nvlink, struct zn_idset *ret);
/* Positions of all of them as a chain: the lowest, then always the one best linked to the last. */
void zn__links_chain(const struct zn__links *l, unsigned order[ZN__LINKS_MAX]);

#endif
