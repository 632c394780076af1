/* local: the engine of one machine.  Its agent listens on a Unix socket in the spool. */
#ifndef ZN_ENGINE_LOCAL_H
#define ZN_ENGINE_LOCAL_H

#include "zenith.h"

/* Starts "PROGRAM --detach --spool SPOOL MORE..." and waits until it says that it listens (exit 0).  -EBUSY when
 * another agent holds the spool, -ECONNREFUSED when it did not start.  more: ended by NULL, at most
 * ZN_LOCAL_MORE_MAX words; may be NULL.
 */
enum { ZN_LOCAL_MORE_MAX = 4 };
int zn_local_start_agent(const char *program, const char *spool, const char *const *more, struct zn_err *err);

#endif
