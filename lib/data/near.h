/* near: the NUMA node that a file's device hangs from, so that who reads it can run there. */
#ifndef ZN_DATA_NEAR_H
#define ZN_DATA_NEAR_H

#include <sys/types.h>

#include "base/idset.h"
#include "data/source.h"

/* The node of a block device, found below sys ("/sys"): a partition's is its disk's, that of a mapped or striped one that of the
 * first it is made of.  -1: the system does not say.
 */
int zn_device_node(const char *sys, dev_t device);
/* The node from which most bytes of the sources come; -1: not known, or there is but one. */
int zn_sources_node(const char *sys, const struct zn_sources *s);
/* The CPUs of a node.  -ENOENT: there is no such node. */
int zn_node_cpus(const char *sys, int node, struct zn_idset *ret);

#endif
