/* fleet: many nodes, what is free on each, and on which one a task goes.  Pure: nothing here reads a clock or a file.
 *
 * A task asks one node for whole GPUs, or for a share of one GPU, with CPUs and memory beside them.  Shares are
 * thousandths of a GPU ("milli"), CPUs thousandths of a hardware thread.
 *
 * By default it goes where it breaks up the least of what is free, in the sense of FGD (Weng et al., "Beware of
 * Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023; frag.c).
 * Which tasks are usual is learned from those that came.
 *
 * Looking for the node costs what changed since the last task of the same shape came, and the logarithm of the nodes:
 * each shape that came twice keeps a tournament over all nodes (tree.h), of the last ZN_FLEET_TREES shapes.  For any other
 * task all nodes are looked at.
 */
#ifndef ZN_FLEET_FLEET_H
#define ZN_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ZN_FLEET_GPUS = 64,           /* on one node, at most */
	ZN_FLEET_MODELS = 64,         /* kinds of GPUs in one fleet, at most */
	ZN_FLEET_TREES = 256,
	ZN_GPU_MILLI = 1000,          /* a whole GPU */
};
#define ZN_FLEET_UNKNOWN (UINT64_MAX / 2) /* CPUs or memory of a node: always enough */

struct zn_fleet_task {
	uint32_t gpus;                /* 0 to ZN_FLEET_GPUS */
	uint32_t gpu_milli;           /* of each: 1000; of a single one 1 to 1000; 0 without GPUs */
	uint64_t cpu_milli, mem_bytes;
	uint64_t models;              /* the set of GPU models that will do, as bits; 0: any */
};

enum zn_fleet_policy {
	ZN_FLEET_FRAGMENT,            /* the default: as above */
	ZN_FLEET_BESTFIT,             /* the node with the least left: CPUs and memory in parts of the largest, GPUs of 8 */
	ZN_FLEET_RANDOM,              /* any node that has room */
};

struct zn_fleet_node {
	uint32_t gpus, model;         /* model: a number below ZN_FLEET_MODELS */
	uint64_t cpu_milli, mem_bytes; /* free, as are: */
	uint32_t free_milli;          /* of all GPUs */
	uint16_t milli[ZN_FLEET_GPUS]; /* of each */
	uint64_t changed;             /* the number of its last change */
	double frag;                  /* its fragmentation, by the usual tasks of version frag_by; 0: it is not known */
	uint64_t frag_by;
};

/* Where a task is. */
struct zn_fleet_spot { uint32_t node; uint64_t gpus; /* a mask */ };

struct zn__shape;
struct zn__usual;

struct zn_fleet {
	enum zn_fleet_policy policy;
	struct zn_fleet_node *nodes;
	size_t n, cap;
	uint64_t cpu_milli_max, mem_bytes_max; /* of the largest node */
	uint64_t gpu_milli, used_milli;
	uint32_t *log;                /* the nodes that changed, a ring of cap */
	uint64_t changes;
	uint64_t came, next_look;     /* tasks, and with how many of them what is usual is looked at again */
	struct zn__shape *shapes;
	struct zn__usual *usual;      /* what is asked most */
	struct zn__shape *trees_first, *trees_last; /* shapes with a tournament, by their last use */
	size_t trees;
	uint64_t random;
};

/* seed: of ZN_FLEET_RANDOM. */
void zn_fleet_init(struct zn_fleet *f, enum zn_fleet_policy policy, uint64_t seed);
void zn_fleet_done(struct zn_fleet *f);
/* One more node, of which nothing is taken; gpus at most ZN_FLEET_GPUS, model below ZN_FLEET_MODELS.  Before the first
 * task comes.  -ENOMEM.
 */
int zn_fleet_add(struct zn_fleet *f, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes);
/* task came: from now on such tasks are a little more usual.  -ENOMEM. */
int zn_fleet_saw(struct zn_fleet *f, const struct zn_fleet_task *task);
/* The best place for it now, whether or not it was seen.  -EAGAIN: there is none; -ENOMEM. */
int zn_fleet_choose(struct zn_fleet *f, const struct zn_fleet_task *task, struct zn_fleet_spot *ret);
void zn_fleet_take(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
void zn_fleet_give(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
/* Of what is free, the part (0 to 1) that the usual tasks with GPUs could not use, on the average (FGD); 0 when nothing is
 * free, or no such task came.  -ENOMEM.
 */
int zn_fleet_fragmentation(struct zn_fleet *f, double *ret);

#endif
