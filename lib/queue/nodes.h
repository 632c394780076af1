/* nodes: the nodes that one zn-schedd serves, a line for each: NAME key=value ...
 *
 *   address=HOST     at which the tasks of a gang on other nodes find its first one; 127.0.0.1
 *   domain=A/B       where it is in the network, from the spine on: gangs go below one leaf if they can
 *   label.NAME=VALUE a label, which jobs may ask for (rec/selector.h)
 *   mock=N[:MODEL]   it shows so many GPUs that are not there, as ZENITH_MOCK_GPUS does
 *
 * '#' begins a comment.
 */
#ifndef ZN_QUEUE_NODES_H
#define ZN_QUEUE_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "rec/field.h"
#include "zenith.h"

enum { ZN_NODES_MAX = 1024, ZN_NODE_NAME_MAX = 63, ZN_NODE_LABELS_MAX = 64 };

struct zn_nodes {
	struct zn_nodes_one {
		const char *name, *address, *domain, *mock; /* mock NULL: it shows what it has */
		struct zn_strmap labels;
	} *v;
	uint32_t n;
};

/* All of *ret lives in a.  -EBADMSG with file and line. */
int zn_nodes_read(const char *path, struct zn_arena *a, struct zn_nodes *ret, struct zn_err *err);
/* The first label of each: node, its name.  -ENOMEM. */
int zn_nodes_name_label(struct zn_nodes_one *one, struct zn_arena *a);
/* Letters, digits, '-', '_' and '.', not at its beginning: it is also a directory's. */
bool zn_node_name_is_good(const char *name);

#endif
