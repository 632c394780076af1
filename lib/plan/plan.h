/* plan: where a job of one node should run, decided from facts and from what is free, touching nothing.
 *
 * A part of a GPU goes where the least is left that still does, else on a free one.  GPUs: of all free subsets of the asked size the one with the best bottleneck link, then the largest sum of
 * link bandwidth, then the fewest NUMA nodes, then the one that leaves the best-linked remainder, then the one
 * that leaves the fewest free GPUs on its NUMA nodes, then the lowest numbers; exact, by enumeration.  CPUs and memory: next to those GPUs (same NUMA node, whole cores first, then by distance).
 *
 * Spread comes before all of that, near a device just behind the bottleneck (links.c); without GPUs both say where the CPUs are.
 */
#ifndef ZN_PLAN_PLAN_H
#define ZN_PLAN_PLAN_H

#include "base/idset.h"
#include "plan/facts.h"

/* A part of one GPU, as it is asked or given; or what all jobs together have of one that is given out in parts. */
struct zn_gpu_part {
	uint64_t user;         /* whose: zn_part_user */
	uint64_t mem_bytes;    /* of its memory; 0: not asked */
	uint32_t milli;        /* thousandths of it; 0: no part, a job's GPUs are whole */
};

enum { ZN_PART_WHOLE = 1000, ZN_PART_GPUS = 64 }; /* only of GPUs with numbers below that parts are given out */

/* What is asked.  All of it is for the whole job. */
struct zn_ask {
	uint32_t gpus;
	struct zn_gpu_part part; /* of the one GPU that is asked then */
	struct zn_ou64 cpus;   /* hardware threads for this job alone; absent: for a job with GPUs the fair slice
	                        * of CPUs next to them (cpus of their node / gpus of it; of a part of one its part), less if less is free,
	                        * even none (then shared); without GPUs one per task, at most what the machine has */
	uint64_t mem_bytes;    /* 0: not asked */
	uint32_t tasks;        /* 1 or more */
	bool nvlink_required;
	bool spread;           /* over as many NUMA nodes and PCIe roots as can be, and evenly */
	const char *near;      /* a device, as zn_facts_has_device knows them; NULL: none */
};

/* What is free on the node now. */
struct zn_free {
	struct zn_idset cpus, gpus;
	struct zn_gpu_part parts[ZN_PART_GPUS]; /* of a GPU that is not in gpus: what was given of it; milli 0: all */
	bool mixes_users;      /* the parts of one GPU may be of several */
	uint64_t mem_bytes;
};

struct zn_plan {
	struct zn_idset gpus;
	struct zn_gpu_part part; /* of the one in gpus */
	struct zn_idset cpus;  /* where it may run */
	struct zn_idset numas; /* whose memory it should use */
	uint32_t cpus_held;    /* of cpus, how many are its alone; 0: cpus are shared */
	uint64_t mem_bytes;
};

/* Why not, most specific first: each a sentence without a full stop, and how many devices or nodes it
 * rejected; smallest: the smallest change to the ask with which the job would start now, "" if none.
 */
struct zn_why_reason { char text[160]; uint32_t count; };
struct zn_why {
	struct zn_why_reason reasons[8];
	size_t n;
	char smallest[160];
};

/* 0 and *ret; -EAGAIN when nothing fits now, -EINVAL when this machine never could; why (may be NULL) is
 * filled on failure.
 */
int zn_plan_make(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                 struct zn_plan *ret, struct zn_why *why);
/* The weakest link between any two of its GPUs, in Mbit/s; UINT32_MAX: it has not two. */
uint32_t zn_plan_weakest_mbps(const struct zn_facts *f, const struct zn_plan *p);
/* How crowded its GPUs are on NUMA nodes and PCIe roots, or its CPUs on nodes; how far they are from a device: for the
 * comparison of plans of one ask, the less the better.
 */
uint64_t zn_plan_crowd(const struct zn_facts *f, const struct zn_plan *p);
uint64_t zn_plan_far(const struct zn_facts *f, const struct zn_plan *p, const char *near);
/* What is free on an idle machine. */
struct zn_free zn_plan_idle(const struct zn_facts *f);
/* The share of rank (0..tasks-1) in a job's plan: GPUs and CPUs dealt out in link and NUMA order, each GPU
 * to one rank; a rank without a CPU of its own shares the job's.
 */
struct zn_plan zn_plan_rank(const struct zn_facts *f, const struct zn_plan *job, uint32_t rank, uint32_t tasks);

/* The network devices that these GPUs are best served by, "mlx5_0,mlx5_1" in a: RDMA devices that are up, where there are any, else
 * interfaces; of each GPU the nearest, of equally near ones the fastest, and all that are equal in both.  NULL: there is
 * none.  -ENOMEM.
 */
int zn_plan_nics(const struct zn_facts *f, const struct zn_idset *gpus, struct zn_arena *a, const char **ret);

/* ---- parts of GPUs (part.c) ---- */

/* A user's number: the same name has the same one everywhere.  Never 0. */
uint64_t zn_part_user(const char *name);
/* What is asked by memory alone is such a part of the smallest GPU that has so much, rounded up. */
void zn_part_fill_in(struct zn_gpu_part *part, const struct zn_facts *f);
/* The GPUs of a plan are taken from what is free, or given back; none of gpus is free, nor any part of them. */
void zn_free_take_gpus(struct zn_free *free, const struct zn_plan *p);
void zn_free_give_gpus(struct zn_free *free, const struct zn_plan *p);
void zn_free_drop_gpus(struct zn_free *free, const struct zn_idset *gpus);
/* As zn_free_take_gpus, of what need not be free: of a GPU that has too little of it nothing is free then. */
void zn_free_hold_gpus(struct zn_free *free, const struct zn_plan *p);
/* Of what is free: of each GPU only as much as is free in other, too. */
void zn_free_cut_gpus(struct zn_free *free, const struct zn_free *other);
/* The largest part of one GPU that anybody might have. */
uint32_t zn_free_milli_most(const struct zn_free *free);

/* ---- pinning one process (zn-pin) ---- */

enum zn_mem_policy { ZN_MEM_DEFAULT, ZN_MEM_BIND, ZN_MEM_PREFER, ZN_MEM_INTERLEAVE };
const char *zn_mem_policy_name(enum zn_mem_policy mem); /* "bind" */

/* Adds the GPUs that text names to *gpus: numbers ("0,2-3"), UUIDs or PCI addresses, comma-separated.
 * -EINVAL for what is none of these, -ENODEV for what the machine does not have.
 */
int zn_pin_parse_gpus(const struct zn_facts *f, const char *text, struct zn_idset *gpus, struct zn_err *err);

struct zn_pin_ask {
	struct zn_idset gpus, numas, cpus; /* any may be empty, not all */
	struct zn_strs nics;
	struct zn_ou64 cores;              /* at most so many physical cores */
	enum zn_mem_policy mem;
};

struct zn_pin {
	struct zn_idset cpus, numas, gpus;
	uint32_t cores;                    /* physical cores that cpus touches */
	enum zn_mem_policy mem;
	char degraded[256];                /* "" or one sentence: what was asked, what is possible */
};

/* GPUs and NICs name places that add up; numas and cpus then narrow them, and so does what the cgroup
 * allows.  Memory comes from numas, else from the nodes of the devices, else from those of the CPUs.
 * -ENODEV: no such device, node or CPU; -ENOSPC: nothing of it is allowed.
 */
int zn_pin_make(const struct zn_facts *f, const struct zn_pin_ask *ask, const struct zn_idset *allowed_cpus,
                const struct zn_idset *allowed_numas, struct zn_pin *ret, struct zn_err *err);
/* n disjoint pins of the same ask (zn-pin --spread): each gets whole cores, as even as they go, and its GPUs;
 * with fewer cores than pins, hardware threads (degraded says so).  -ENOSPC: there are fewer CPUs than pins.
 */
int zn_pin_spread(const struct zn_facts *f, const struct zn_pin *whole, uint32_t n, struct zn_pin *ret,
                  struct zn_err *err);

#endif
