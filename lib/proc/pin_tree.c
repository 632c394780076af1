/* pin_tree: a running process, or all that descend from it, one after the other. */
#include <errno.h>
#include <stdlib.h>

#include "proc/pin.h"

int zn_proc_pin_process(pid_t pid, const struct zn_idset *cpus, zn_proc_pinned_fn *fn, void *arg, struct zn_err *err)
{
	int rc = zn_proc_pin_threads(pid, cpus, NULL, err);

	return rc < 0 ? rc : fn(arg, pid, err);
}

int zn_proc_pin_tree(pid_t pid, const struct zn_idset *cpus, zn_proc_pinned_fn *fn, void *arg, struct zn_err *err)
{
	pid_t *pids;
	size_t n;
	int rc = zn_proc_pin_threads(pid, cpus, NULL, err); /* what it starts from now on inherits */

	if (rc == 0)
		rc = zn_proc_tree(pid, &pids, &n, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = zn_proc_pin_process(pids[i], cpus, fn, arg, err);
		if (rc == -ESRCH && i)
			rc = 0;
	}
	free(pids);
	return rc;
}
