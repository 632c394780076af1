/* owed: jobs that are made for the sake of another, when a series goes on or when one has ended.  One that can't be made just
 * now, for want of a descriptor, memory or room, is made later.
 */
#include <errno.h>

#include "serve/server.h"

static bool may_pass(int rc)
{
	switch (-rc) {
	case EIO: case EINTR: case EMFILE: case ENFILE: case ENOMEM: case ENOSPC: case EAGAIN:
		return true;
	default:
		return false;
	}
}

void zn_owed_note(struct zn_server *s, int rc)
{
	static const struct timeval soon = { .tv_sec = 5 };

	if (may_pass(rc) && !evtimer_pending(s->on_owed, NULL))
		evtimer_add(s->on_owed, &soon);
}

void zn_owed_make(struct zn_server *s)
{
	struct zn_job *job, *next;

	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (zn_job_is_finished(job->state))
			zn_end_submit(s, job);
	zn_every_recover(s);
}
