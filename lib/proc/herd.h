/* herd: a process that somebody else started, and what descends from it, held from now on like a job's own.
 *
 * We are not its parent: the kernel tells us neither of its children nor, before Linux 6.15, its exit code, and its
 * orphans come to somebody else.  So the members are looked for: whoever descends from a member is one.  Where the
 * hold has a cgroup of version 2, all members move into it and none is missed any more; elsewhere one that leaves its
 * parent between two looks is.
 */
#ifndef ZN_PROC_HERD_H
#define ZN_PROC_HERD_H

#include "proc/proc.h"

struct zn_herd_member;

struct zn_herd {
	struct zn_proc_id root;
	uid_t uid;             /* of root: only processes that are wholly this user's are members */
	int pidfd;             /* of root: readable when it has ended */
	struct zn_hold *hold;  /* where members move to; NULL: nowhere */
	struct zn_herd_member *v;
	size_t n, cap;
	unsigned left_out;     /* members that could not move */
	double cpu_s;          /* of members, since each was found */
	double cpu_gone_s;
	uint64_t peak_bytes;   /* of the largest */
};

/* -ESRCH: root is gone.  hold, borrowed, may be NULL. */
int zn_herd_open(const struct zn_proc_id *root, struct zn_hold *hold, struct zn_herd *ret);
/* Finds new members, moves them, measures all, forgets those that ended.  True when it found somebody. */
bool zn_herd_look(struct zn_herd *h);
/* As zn_hold_signal, zn_hold_freeze and zn_hold_kill, for the herd; each looks first. */
struct zn_tree_count zn_herd_signal(struct zn_herd *h, int sig);
int zn_herd_freeze(struct zn_herd *h, bool freeze);
struct zn_tree_count zn_herd_kill(struct zn_herd *h);
bool zn_herd_is_empty(struct zn_herd *h);
/* The root has ended.  With its status as wait(2) has it: 1; -ENODATA: this kernel does not tell. 0: it runs. */
int zn_herd_root_ended(const struct zn_herd *h, int *ret_status);
void zn_herd_close(struct zn_herd *h);

#endif
