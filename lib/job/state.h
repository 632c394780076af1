/* state: the states of a job and the one table of legal moves (design: PENDING waits for something other
 * than resources; QUEUED waits for resources; SCHEDULED is placed and being started).
 */
#ifndef ZN_JOB_STATE_H
#define ZN_JOB_STATE_H

#include <stdbool.h>

enum zn_job_state {
	ZN_JOB_PENDING,
	ZN_JOB_QUEUED,
	ZN_JOB_SCHEDULED,
	ZN_JOB_RUNNING,
	ZN_JOB_SUSPENDED,
	ZN_JOB_COMPLETED,
	ZN_JOB_FAILED,
	ZN_JOB_CANCELLED,
	ZN_JOB_STATES,
};

const char *zn_job_state_name(enum zn_job_state s);              /* "RUNNING" */
/* Any case; -EINVAL if it is none. */
int zn_job_state_parse(const char *name, enum zn_job_state *ret);
bool zn_job_can_become(enum zn_job_state from, enum zn_job_state to);
bool zn_job_is_finished(enum zn_job_state s);                    /* COMPLETED, FAILED, CANCELLED */
bool zn_job_is_waiting(enum zn_job_state s);                     /* PENDING, QUEUED */
bool zn_job_has_alloc(enum zn_job_state s);                      /* SCHEDULED, RUNNING, SUSPENDED */

#endif
