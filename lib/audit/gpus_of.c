/* gpus_of: which GPUs one process holds, with all that descends from it. */
#include <stdlib.h>

#include "audit/audit.h"
#include "plan/plan.h"
#include "proc/proc.h"

static void add_used(const struct zn_facts *f, pid_t pid, struct zn_idset *used)
{
	for (size_t i = 0; i < f->n_gpus; i++) {
		const struct zn_gpu_user *users = f->gpus[i].users.v;
		for (size_t k = 0; k < f->gpus[i].users.n; k++)
			if (users[k].pid == (uint32_t)pid)
				zn_idset_add(used, f->gpus[i].gpu);
	}
}

static void add_given(const struct zn_facts *f, pid_t pid, struct zn_idset *given)
{
	struct zn_idset here = { 0 };
	char text[4096];

	if (zn_proc_env_read(pid, "CUDA_VISIBLE_DEVICES", text, sizeof(text)) == 0 && *text &&
	    zn_pin_parse_gpus(f, text, &here, NULL) == 0)
		*given = zn_idset_or(given, &here);
}

void zn_audit_gpus_of(const struct zn_facts *f, pid_t pid, struct zn_idset *ret)
{
	struct zn_pids tree = { .v = malloc(sizeof(*tree.v)) };
	struct zn_idset used = { 0 }, given = { 0 };

	if (tree.v)
		tree.v[tree.n++] = pid;
	for (size_t i = 0; i < tree.n; i++) { /* which grows meanwhile */
		add_used(f, tree.v[i], &used);
		add_given(f, tree.v[i], &given);
		zn__tree_children(tree.v[i], &tree);
	}
	free(tree.v);
	*ret = zn_idset_is_empty(&used) ? given : used;
}
