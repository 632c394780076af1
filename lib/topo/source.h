/* source: where the facts of one machine are read from, shared by the files of this room. */
#ifndef ZN_TOPO_SOURCE_H
#define ZN_TOPO_SOURCE_H

#include <hwloc.h>

#include "topo/topo.h"

struct zn__topo_src {
	hwloc_topology_t h;
	int root;          /* the directory that holds sys/ and proc/; -1: there is only hwloc's XML */
	bool live;         /* this machine */
};

/* from as in zn_topo_opts; with_io false leaves out all devices. */
int zn__topo_open(const char *from, bool with_io, struct zn__topo_src *ret, struct zn_err *err);
void zn__topo_close(struct zn__topo_src *src);

/* Each fills its part of t; -ENOMEM is their only failure. */
int zn__topo_read_machine(const struct zn__topo_src *src, struct zn_topo *t);
int zn__topo_read_pci(const struct zn__topo_src *src, struct zn_topo *t);  /* tree and GPUs */
int zn__topo_read_nics(const struct zn__topo_src *src, struct zn_topo *t);
int zn__topo_read_nvmes(const struct zn__topo_src *src, struct zn_topo *t);
int zn__topo_read_nvlinks(const struct zn__topo_src *src, struct zn_topo *t);

struct zn__mock {
	const struct zn__mock_model *model;
	unsigned gpus;
};
int zn__mock_parse(const char *spec, struct zn__mock *ret, struct zn_err *err);
/* Makes the machine that t has read into the mock. */
int zn__topo_mock(const struct zn__mock *mock, struct zn_topo *t);

/* ---- what several of them ask ---- */

/* A copy in which control bytes are question marks. */
char *zn__text(struct zn_arena *a, const char *text);
/* The first line of root/<path>, without trailing blanks; NULL if it is not there or empty. */
const char *zn__sys_text(const struct zn__topo_src *src, struct zn_arena *a, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A whole number in root/<path>; absent when it is none, or negative. */
struct zn_ou64 zn__sys_u64(const struct zn__topo_src *src, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

char *zn__cpu_list(struct zn_arena *a, hwloc_const_bitmap_t set);
char *zn__pci_name(struct zn_arena *a, hwloc_obj_t dev);
/* The value of an object's info, copied; NULL if it has none. */
const char *zn__obj_info(struct zn_arena *a, hwloc_obj_t obj, const char *name);

/* Where a PCI device hangs.  A name or a cpu list may be absent. */
struct zn__near {
	struct zn_ou64 numa;
	const char *cpus;
};
struct zn__near zn__pci_near(const struct zn__topo_src *src, struct zn_arena *a, hwloc_obj_t dev);

/* All PCI functions that are no bridges, by address; the array, ended by NULL, is in a; NULL if memory ran
 * out.
 */
hwloc_obj_t *zn__pci_devices(const struct zn__topo_src *src, struct zn_arena *a);
/* The next child of a PCI function that is an OS device of this type, after prev (NULL: the first). */
hwloc_obj_t zn__next_osdev(hwloc_obj_t dev, hwloc_obj_osdev_type_t type, hwloc_obj_t prev);

/* ---- the tree of bridges ---- */

struct zn__pci_node {
	const char *pci;   /* NULL for a bridge */
	int parent;        /* index of the bridge above; -1 for a host bridge or what has none */
	bool is_host;
	struct zn_ou64 numa;
};

struct zn_pci_tree {
	struct zn__pci_node *v;
	size_t n;
	bool one_numa;     /* the machine has one node: everything is on it */
};

#endif
