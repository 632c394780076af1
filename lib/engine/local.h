/* local: the engine of one machine.  Its agent listens on a Unix socket in the spool. */
#ifndef ZN_ENGINE_LOCAL_H
#define ZN_ENGINE_LOCAL_H

#include "zenith.h"

/* A node that shows GPUs which are not there, so it gives them out by leases of its own. */
struct zn_local_mock { const char *gpus, *leases; };

/* Starts "PROGRAM --detach --spool SPOOL MORE..." and waits until it says that it listens (exit 0).  -EBUSY when
 * another agent holds the spool, -ECONNREFUSED when it did not start.  more: ended by NULL, at most
 * ZN_LOCAL_MORE_MAX words; may be NULL, as mock may.
 */
enum { ZN_LOCAL_MORE_MAX = 4 };
int zn_local_start_agent(const char *program, const char *spool, const char *const *more, const struct zn_local_mock *mock,
                         struct zn_err *err);
/* The same without waiting: returns the pid of who does, and what his status says once he ended. */
int zn_local_launch_agent(const char *program, const char *spool, const char *const *more, const struct zn_local_mock *mock,
                          struct zn_err *err);
int zn_local_agent_launched(int status, struct zn_err *err);

#endif
