/* spool: the directory where scheduler, agent and clients of one machine or one user meet.
 *
 *   lock       held by the scheduler that owns the spool
 *   sock       the scheduler's socket
 *   journal/   what happened: private
 *   view/      what everybody may know, derived from it
 *   drop/      submissions while no scheduler runs, one directory per user, named by uid; machine-wide each is
 *              open to the scheduler's group, too, and to nobody else
 *   node/      the agent's own: socket and log
 *
 * A *machine-wide* spool has a top that others may enter (0755); a *private* one, 0700, is its owner's alone.
 * A spool belongs to one host, and never lies on a network filesystem.
 */
#ifndef ZN_QUEUE_SPOOL_H
#define ZN_QUEUE_SPOOL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "zenith.h"

#define ZN_SPOOL_SYSTEM "/var/spool/zenith"

/* Which spool: ZENITH_SPOOL, else ZN_SPOOL_SYSTEM if that is a directory, else
 * ${XDG_STATE_HOME:-$HOME/.local/state}/zenith/<hostname>; where HOME is unset, as the user database has it.
 * Always absolute, and in a.  Nothing is made.
 */
int zn_spool_path(struct zn_arena *a, const char **ret, struct zn_err *err);
/* path/name, in a; NULL when memory ran out. */
char *zn_spool_file(struct zn_arena *a, const char *path, const char *name);
/* Is there a machine-wide spool? */
bool zn_spool_is_system(const char *path);

/* Who a machine-wide spool is for; NULL makes a private one. */
struct zn_spool_owner {
	uid_t uid;                /* of the scheduler: all of it is its, but node/, which is root's */
	gid_t gid;
};
/* Makes what is missing and checks the rest: -EPERM when the top belongs to somebody else, lets the wrong people in,
 * or a symbolic link of somebody else's leads there; -EREMOTE on a network filesystem; -ENOTDIR.  An empty
 * directory of the caller's is tightened, one that holds something is not.
 */
int zn_spool_make(const char *path, const struct zn_spool_owner *owner, struct zn_err *err);
/* Becomes the spool's one owner until the descriptor is closed; -EBUSY when there is one. */
int zn_spool_lock(const char *path, struct zn_err *err);

/* Stream sockets at paths of any length.  Both return a close-on-exec descriptor. */
/* -ENOENT or -ECONNREFUSED: nobody listens there. */
int zn_spool_connect(const char *path, struct zn_err *err);
/* Non-blocking.  Replaces a socket that is there: only for who holds the lock.  -EEXIST when something else is.
 * everyone: others than the owner may connect.
 */
int zn_spool_listen(const char *path, bool everyone, struct zn_err *err);

#endif
