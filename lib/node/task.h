/* task: from the message that describes a job to what one rank of it is spawned with. */
#ifndef ZN_NODE_TASK_H
#define ZN_NODE_TASK_H

#include "node/shepherd.h"

/* What all ranks of a job share. */
struct zn_task_job {
	const struct zn_shepherd_home *home;
	const struct zn_msg_start *start;
	const char *script;               /* path of the private copy, or NULL */
	const char *master_port;          /* or NULL */
	const char *all_gpus;             /* of the whole job, in the order of ranks; NULL: one task, or none */
	struct zn_idset cpus, numas;      /* of the plan, those that are here and allowed */
	const struct zn_hold *hold;
	bool has_tty;
	int tty;
	gid_t gid;                        /* with change_user */
	const gid_t *groups;
	size_t n_groups;
	const char *login;                /* the account's name, or NULL */
	bool change_user;
};

/* The sets above from the message; notes gets "; not pinned: ..." where the machine has none of them. */
void zn_task_pins(struct zn_task_job *j, struct zn_buf *notes);
/* all_gpus, in a, after the pins.  -ENOMEM is the only failure. */
int zn_task_all_gpus(struct zn_task_job *j, struct zn_arena *a);
/* Fills *ret for rank; everything in it lives in a.  -ENOMEM is the only failure. */
int zn_task_make(const struct zn_task_job *j, uint32_t rank, struct zn_arena *a, struct zn_spawn *ret);
/* A port for MASTER_PORT that no other job of this machine gets while *ret_fd is open. */
int zn_task_port(uint32_t wanted, char *port, size_t size, int *ret_fd);
bool zn_task_port_is_free(uint32_t port); /* at this moment */

#endif
