/* preempt: the first in line has no room, and somebody less urgent who may be sent back to the queue does. */
#include <stdlib.h>

#include "base/clock.h"
#include "serve/server.h"

/* It ends as one that is requeued, and is told who comes. */
static void send_back(struct zn_server *s, struct zn_job *job, uint64_t head, double now_s)
{
	char number[ZN_NUMBER_TEXT];
	char *reason = zn_arena_printf(&s->arena, ZN_PREEMPTED "%s", zn_handle_text(head, number));
	const char *told = zn_arena_printf(&s->arena, "requeued: %s", reason ? reason : "");

	job->requeue = true;
	job->preempted++;
	if (!reason || !told || zn_job_set_text(&job->reason, reason) < 0)
		zn_job_set_text(&job->reason, NULL);
	if (zn_change_save(s, job, "preempting") < 0)
		return;
	zn_agent_steer(s, &(struct zn_msg_steer){ .op = "stop", .job = job->id, .attempt = job->attempt,
	                                          .reason = told ? told : "requeued" });
	zn_jobs_set_going(&s->jobs, job, now_s + (job->grace_s >= 0 ? job->grace_s : s->conf.grace_s));
}

void zn_preempt(struct zn_server *s, const struct zn_pick_job *head)
{
	struct zn_job **v;
	size_t n;
	double now_s = zn_now_s();

	if (zn_jobs_preempt(&s->jobs, head, now_s, &v, &n) < 0)
		zn_log("nobody can be preempted: out of memory");
	for (size_t i = 0; i < n && s->status == 0; i++)
		send_back(s, v[i], zn_handle_of_arrival(head->seq), now_s);
	free(v);
}
