/* node: the agent of one machine, which the scheduler talks to over a socket in its home (see proto.h): SPOOL/node,
 * or SPOOL/nodes/NAME of one of several. */
#ifndef ZN_NODE_NODE_H
#define ZN_NODE_NODE_H

#include <stdbool.h>

#include "zenith.h"

struct zn_agent_opts {
	const char *spool;              /* absolute; must exist */
	const char *home;               /* where it has its things: made if need be */
	const char *node;               /* the node's name */
	bool is_one_of_many;            /* others of this machine may serve the spool, too */
	const char *confine;            /* as zn_confine_open's backend */
	bool system_accounts;           /* may run jobs of root and of system accounts */
	bool has_scheduler;             /* the agent is root, its scheduler is somebody else: who may talk to it, and */
	unsigned scheduler_uid;         /* whose starts must name a user to become */
	void (*say)(const char *text);  /* one line for the agent's own log */
	void (*ready)(void);            /* called once when it listens */
};

/* Runs the agent until it is told to leave.  First it ends what an earlier agent left behind.  -EBUSY: another
 * agent has this spool.
 */
int zn_agent_run(const struct zn_agent_opts *opts, struct zn_err *err);

/* A connection to the agent with that home; -ECONNREFUSED when there is none.  Close-on-exec. */
int zn_node_connect(const char *home, struct zn_err *err);
/* Carries bytes between in and out and the agent's socket until either side ends. */
int zn_node_relay(int sock, int in, int out, struct zn_err *err);

#endif
