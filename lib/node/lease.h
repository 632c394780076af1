/* lease: one GPU, one holder on the whole machine, also between the schedulers of users who do not know each
 * other.  A lease is a flock(2) on a file named after the GPU in a directory that everybody may write to; it
 * lasts as long as somebody has the descriptor.
 */
#ifndef ZN_NODE_LEASE_H
#define ZN_NODE_LEASE_H

#include "gpu/gpu.h"
#include "zenith.h"

/* Who is in the way. */
struct zn_lease_holder {
	int pid;             /* 0: can't be seen */
	char user[64], command[64];
};

/* Opens the directory that ZENITH_LEASE_DIR names, else /run/lock/zenith, else /tmp/zenith-lease, making it if
 * need be; returns a descriptor.  -EPERM for one that is a symlink or lets others remove our files.
 */
int zn_lease_dir(struct zn_err *err);
/* Takes the lease of one GPU; returns the descriptor that keeps it.  -EBUSY and *holder: somebody has it. */
int zn_lease_take(int dirfd, const struct zn_gpu *gpu, struct zn_lease_holder *holder, struct zn_err *err);
/* Whether somebody has it, without touching it; only seen where the holder is. */
bool zn_lease_is_held(int dirfd, const struct zn_gpu *gpu, struct zn_lease_holder *holder);
/* "gpu 3 is held by pid 4711 of ann, outside this queue" */
void zn_lease_explain(uint32_t gpu, const struct zn_lease_holder *holder, struct zn_err *err);

#endif
