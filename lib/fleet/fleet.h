/* fleet: many nodes, what is free on each, and on which one a task goes.  Pure: nothing here reads a clock or a file.
 *
 * A task asks one node for whole GPUs, or for a share of one GPU, with CPUs and memory beside them.  Shares are
 * thousandths of a GPU ("milli"), CPUs thousandths of a hardware thread.
 *
 * By default it goes where it breaks up the least of what is free, in the sense of FGD (Weng et al., "Beware of
 * Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023; frag.c).
 * Which tasks are usual is learned from those that came.  Where it is known how the GPUs of nodes are linked, the links that a task
 * itself would get come before that.
 *
 * A gang is several such tasks that start together, on one node or several (gang.c): on one node where that is possible,
 * else in the nearest domain (rack, pod, ...) with room, on as few nodes as possible.
 *
 * Looking for the node costs what changed since the last task of the same shape came, and the logarithm of the nodes:
 * each shape that came twice keeps a tournament over all nodes (tree.h), of the last ZN_FLEET_TREES shapes or more.  For any other
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
	ZN_FLEET_TREES = 256,         /* at least; as many as there is room for in ZN_FLEET_BYTES */
	ZN_FLEET_BYTES = 64 << 20,
	ZN_FLEET_LEVELS = 8,          /* of domains, at most */
	ZN_GPU_MILLI = 1000,          /* a whole GPU */
};
#define ZN_FLEET_UNKNOWN (UINT64_MAX / 2) /* CPUs or memory of a node: always enough */

struct zn_fleet_task {
	uint32_t gpus;                /* 0 to ZN_FLEET_GPUS */
	uint32_t gpu_milli;           /* of each: 1000; of a single one 1 to 1000; 0 without GPUs */
	uint64_t cpu_milli, mem_bytes;
	uint64_t models;              /* the set of GPU models that will do, as bits; 0: any */
};

/* So many of them on one node. */
static inline struct zn_fleet_task zn_fleet_task_times(const struct zn_fleet_task *t, uint32_t n)
{
	return (struct zn_fleet_task){ .gpus = t->gpus * n, .gpu_milli = t->gpu_milli, .cpu_milli = t->cpu_milli * n,
	                               .mem_bytes = t->mem_bytes * n, .models = t->models };
}

enum zn_fleet_policy {
	ZN_FLEET_FRAGMENT,            /* the default: as above */
	ZN_FLEET_BESTFIT,             /* the node with the least left: CPUs and memory in parts of the largest, GPUs of 8 */
	ZN_FLEET_RANDOM,              /* any node that has room */
};

/* How the GPUs of a node are linked, as its owner knows it.  best: n of those that are free, which are enough, that belong together;
 * and what their links are worth, of what those of the best n of all GPUs are: 0 to 1.  Always the same of the same.
 */
struct zn_fleet_links {
	uint64_t (*best)(void *arg, uint64_t free, uint32_t n, double *ret_worth);
	void *arg;
};

struct zn_fleet_node {
	const struct zn_fleet_links *links; /* NULL: any of its GPUs are as good as any others */
	uint32_t gpus, model;         /* model: a number below ZN_FLEET_MODELS */
	uint64_t cpu_milli, mem_bytes; /* free, as are: */
	uint32_t free_milli;          /* of all GPUs */
	uint16_t milli[ZN_FLEET_GPUS]; /* of each */
	uint64_t changed;             /* the number of its last change */
	double frag;                  /* its fragmentation, by the usual tasks of version frag_by; 0: it is not known */
	uint64_t frag_by;
};

/* Tasks that start together or not at all.  Of a share of a GPU there is one alone. */
struct zn_fleet_gang {
	struct zn_fleet_task task;    /* each of them */
	uint32_t n;                   /* how many; at least 1 */
	uint32_t per_node;            /* of them on one node at most; 0: as many as fit */
	uint32_t same_switch;         /* 1: all of them on nodes whose paths are the same; 0: anywhere */
	uint32_t unused;              /* 0: a gang is compared as bytes */
};

/* Where a task is, or so many of a gang on one node. */
struct zn_fleet_spot { uint32_t node, tasks; uint64_t gpus; /* a mask */ };

struct zn__shape;
struct zn__spread;
struct zn__domains;
struct zn__usual;

struct zn_fleet {
	enum zn_fleet_policy policy;
	struct zn_fleet_node *nodes;
	size_t n, cap;                /* cap: a power of two */
	uint64_t cpu_milli_max, mem_bytes_max; /* of the largest node */
	uint32_t gpus_max;
	uint64_t gpu_milli, used_milli;
	uint32_t *log;                /* the nodes that changed, a ring of cap */
	uint64_t changes;
	uint64_t came, next_look;     /* tasks, and with how many of them what is usual is looked at again */
	struct zn__shape *shapes;
	struct zn__usual *usual;      /* what is asked most */
	struct zn__shape *trees_first, *trees_last; /* shapes with a tournament, by their last use */
	size_t trees;
	struct zn__spread *spreads;   /* of gangs: how many of their tasks fit on each node */
	struct zn__spread *tended;    /* the next that zn_fleet_tend looks at; NULL: the first; and the next shape: */
	struct zn__shape *tended_shape;
	uint64_t gangs_asked;
	struct zn__domains *domains;  /* NULL: the nodes are equally far from each other */
	uint64_t random;
};

/* seed: of ZN_FLEET_RANDOM. */
void zn_fleet_init(struct zn_fleet *f, enum zn_fleet_policy policy, uint64_t seed);
void zn_fleet_done(struct zn_fleet *f);
/* One more node, of which nothing is taken; gpus at most ZN_FLEET_GPUS, model below ZN_FLEET_MODELS.  Before the first
 * task comes.  -ENOMEM.
 */
int zn_fleet_add(struct zn_fleet *f, uint32_t gpus, uint32_t model, uint64_t cpu_milli, uint64_t mem_bytes);
/* What is near to what: paths[i] is where node i is, "pod/rack", the widest domain first; "" is nowhere.  The nodes of one domain
 * have numbers that follow each other, and so have those of one path.  After the last node and before the first task comes.  -ENOMEM; -EINVAL: they do not.
 */
int zn_fleet_wire(struct zn_fleet *f, const char *const *paths);
/* That node's GPUs are linked like this: a task gets those that belong together, and GPUs that are free and ill linked are fragments to
 * tasks that ask for several.  Before the first task comes; links is there as long as the fleet is.
 */
void zn_fleet_link(struct zn_fleet *f, uint32_t node, const struct zn_fleet_links *links);
/* task came: from now on such tasks are a little more usual.  -ENOMEM. */
int zn_fleet_saw(struct zn_fleet *f, const struct zn_fleet_task *task);
/* The best place for it now, whether or not it was seen.  -EAGAIN: there is none; -ENOMEM. */
int zn_fleet_choose(struct zn_fleet *f, const struct zn_fleet_task *task, struct zn_fleet_spot *ret);
/* The best places for a gang, in the order of their nodes: ret has room for gang->n, *ret_n are used.  As zn_fleet_choose. */
int zn_fleet_choose_gang(struct zn_fleet *f, const struct zn_fleet_gang *gang, struct zn_fleet_spot *ret, uint32_t *ret_n);
/* Whether there is room for one.  As zn_fleet_choose. */
int zn_fleet_has_room(struct zn_fleet *f, const struct zn_fleet_gang *gang);
void zn_fleet_take(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
void zn_fleet_give(struct zn_fleet *f, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot);
/* Brings what is kept of one gang up to date, of each in turn, and of one task: now and then, so that none is far behind when it is
 * asked for.
 */
void zn_fleet_tend(struct zn_fleet *f);
/* From now on what is free of a node is this: of a fleet that follows another one. */
void zn_fleet_set(struct zn_fleet *f, uint32_t node, const struct zn_fleet_node *free);
/* Of what is free, the part (0 to 1) that the usual tasks with GPUs could not use, on the average (FGD); 0 when nothing is
 * free, or no such task came.  -ENOMEM.
 */
int zn_fleet_fragmentation(struct zn_fleet *f, double *ret);

#endif
