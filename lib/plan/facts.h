/* facts: one machine as the planner sees it: topology and accelerators joined.  The planner itself never
 * reads: it is given this value, from this machine, from a file or out of a node record.
 */
#ifndef ZN_PLAN_FACTS_H
#define ZN_PLAN_FACTS_H

#include "gpu/gpu.h"
#include "topo/topo.h"

struct zn_facts {
	struct zn_arena arena;
	struct zn_machine machine;
	struct zn_numa *numas; size_t n_numas;
	struct zn_cpu *cpus; size_t n_cpus;
	struct zn_gpu *gpus; size_t n_gpus;
	struct zn_nic *nics; size_t n_nics;
	struct zn_nvme *nvmes; size_t n_nvmes;
	struct zn_link *links; size_t n_links;  /* every pair of GPUs, and of a GPU with a NIC or drive, a before b */
	struct zn__wiring *wiring;   /* the links once more, for the planner */
	const char *note;            /* why a GPU driver that is there could not be used in full, or NULL; no
	                              * record holds it */
	struct zn_topo *topo;        /* what was read, and is borrowed from above; NULL for decoded facts */
	struct zn_gpus *drivers;
	void (*give_back)(struct zn_facts *f); /* of these two; whoever only decodes facts links no hwloc */
};

/* opts NULL: this machine, or the mock that ZENITH_MOCK_GPUS names. */
int zn_facts_read(const struct zn_topo_opts *opts, struct zn_facts **ret, struct zn_err *err);
/* Joins what was read; drivers may be NULL.  On success both belong to the facts. */
int zn_facts_make(struct zn_topo *topo, struct zn_gpus *drivers, struct zn_facts **ret, struct zn_err *err);
/* This machine's CPUs and NUMA nodes alone, as zn_topo_read_cpus; the mock, if there is one, is read whole. */
int zn_facts_read_cpus(const struct zn_idset *only, struct zn_facts **ret, struct zn_err *err);
void zn_facts_free(struct zn_facts *f);
/* After links were changed by hand.  -ENOMEM. */
int zn_facts_wire(struct zn_facts *f);

/* All facts as an array of records (machine, numa, cpu, gpu, nic, nvme, link), the "topology" of a node
 * record, and back.
 */
int zn_facts_encode(const struct zn_facts *f, struct zn_buf *to);
int zn_facts_decode(const msgpack_object *list, struct zn_facts **ret, struct zn_err *err);
/* The kinds above, ending with NULL, for writers. */
extern const struct zn_kind *const zn_facts_kinds[];

struct zn_idset zn_facts_allowed_cpus(const struct zn_facts *f);
struct zn_idset zn_facts_numa_cpus(const struct zn_facts *f, uint32_t numa);
/* NULL if there is none. */
const struct zn_gpu *zn_facts_gpu(const struct zn_facts *f, uint32_t gpu);
const struct zn_nic *zn_facts_nic(const struct zn_facts *f, const char *name);
const struct zn_link *zn_facts_link(const struct zn_facts *f, const char *a, const char *b); /* either order */
/* Whether there is a device of that name to be near to: a NIC (its RDMA name or interface) or an NVMe drive, either by its PCI
 * address, too; or any of them, "nic" or "nvme".
 */
bool zn_facts_has_device(const struct zn_facts *f, const char *name);
/* The type of a link, also of two NICs, for which there is no record; NULL if it is not known (two NICs of
 * decoded facts, or no such device).
 */
const char *zn_facts_path(const struct zn_facts *f, const char *a, const char *b);

/* Text for people, in lines: the machine as a tree, and the links as a matrix with a legend. */
void zn_facts_tree(const struct zn_facts *f, struct zn_buf *to);
void zn_facts_matrix(const struct zn_facts *f, struct zn_buf *to);

#endif
