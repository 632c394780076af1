#include "job/state.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const names[ZN_JOB_STATES] = {
	[ZN_JOB_PENDING] = "PENDING",     [ZN_JOB_QUEUED] = "QUEUED",
	[ZN_JOB_SCHEDULED] = "SCHEDULED", [ZN_JOB_RUNNING] = "RUNNING",
	[ZN_JOB_SUSPENDED] = "SUSPENDED", [ZN_JOB_COMPLETED] = "COMPLETED",
	[ZN_JOB_FAILED] = "FAILED",       [ZN_JOB_CANCELLED] = "CANCELLED",
};

#define TO(state) (1u << ZN_JOB_##state)

/* Each row: from this state, these may follow. */
static const unsigned legal[ZN_JOB_STATES] = {
	[ZN_JOB_PENDING] = TO(QUEUED) | TO(CANCELLED) | TO(FAILED),
	[ZN_JOB_QUEUED] = TO(PENDING) | TO(SCHEDULED) | TO(SUSPENDED) | TO(CANCELLED),
	[ZN_JOB_SCHEDULED] = TO(RUNNING) | TO(QUEUED) | TO(FAILED) | TO(CANCELLED),
	[ZN_JOB_RUNNING] = TO(SUSPENDED) | TO(QUEUED) | TO(PENDING) | TO(COMPLETED) | TO(FAILED) | TO(CANCELLED),
	[ZN_JOB_SUSPENDED] = TO(RUNNING) | TO(QUEUED) | TO(COMPLETED) | TO(FAILED) | TO(CANCELLED),
};

const char *zn_job_state_name(enum zn_job_state s)
{
	return s < ZN_JOB_STATES ? names[s] : "UNKNOWN";
}

int zn_job_state_parse(const char *name, enum zn_job_state *ret)
{
	for (int i = 0; i < ZN_JOB_STATES; i++)
		if (!strcasecmp(name, names[i])) {
			*ret = (enum zn_job_state)i;
			return 0;
		}
	return -EINVAL;
}

bool zn_job_can_become(enum zn_job_state from, enum zn_job_state to)
{
	return from < ZN_JOB_STATES && to < ZN_JOB_STATES && legal[from] >> to & 1;
}

bool zn_job_is_finished(enum zn_job_state s)
{
	return s == ZN_JOB_COMPLETED || s == ZN_JOB_FAILED || s == ZN_JOB_CANCELLED;
}

bool zn_job_is_waiting(enum zn_job_state s)
{
	return s == ZN_JOB_PENDING || s == ZN_JOB_QUEUED;
}

bool zn_job_has_alloc(enum zn_job_state s)
{
	return s == ZN_JOB_SCHEDULED || s == ZN_JOB_RUNNING || s == ZN_JOB_SUSPENDED;
}
