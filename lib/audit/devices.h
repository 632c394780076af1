/* devices: every GPU of this machine, what it does now, and whose processes use it.
 *
 * A driver tells process numbers as the host counts them.  In a container these may be somebody else's here: there a
 * process is named only where it can be seen to have a GPU open.
 */
#ifndef ZN_AUDIT_DEVICES_H
#define ZN_AUDIT_DEVICES_H

#include <sys/types.h>

#include "gpu/state.h"
#include "plan/facts.h"

struct zn_devices;

/* Reads the machine once and opens the drivers.  opts as for zn_facts_read; of a mock machine nothing is measured. */
int zn_devices_open(const struct zn_topo_opts *opts, struct zn_devices **ret, struct zn_err *err);
/* Why a driver that is there could not be used in full, or NULL; lives as long as d. */
const char *zn_devices_note(const struct zn_devices *d);
/* Whether the first look lacks figures (activity, traffic) that the second will have. */
bool zn_devices_want_two(const struct zn_devices *d);
/* One struct zn_gpu_state for each device, by index; all of *ret lives in a, or as long as d.  -ENOMEM. */
int zn_devices_read(struct zn_devices *d, struct zn_arena *a, struct zn_list *ret, struct zn_err *err);
void zn_devices_close(struct zn_devices *d);

/* The job of Zenith that a process belongs to; 0: none, or that may not be seen. */
uint64_t zn_audit_job_of(pid_t pid);

/* The job in the text of /proc/PID/cgroup; 0: none.  Pure. */
uint64_t zn__job_of_cgroup(const char *path);
/* Whether we see the processes as the host numbers them. */
bool zn__pids_are_hosts(void);
/* Whether it has the file of some GPU open; false where that may not be seen. */
bool zn__pid_holds_gpu(pid_t pid);

#endif
