/* preempt: the first in line has no room, and somebody less urgent who may be sent back to the queue does. */
#include "base/clock.h"
#include "serve/server.h"

struct call { struct zn_server *s; uint64_t head; };

/* It ends as one that is requeued, and is told who comes. */
static void send_back(void *arg, struct zn_job *job)
{
	const struct call *call = arg;
	struct zn_server *s = call->s;
	char number[ZN_NUMBER_TEXT];
	char *reason = zn_arena_printf(&s->arena, ZN_PREEMPTED "%s", zn_handle_text(call->head, number));
	const char *told = zn_arena_printf(&s->arena, "requeued: %s", reason ? reason : "");

	if (s->status < 0)
		return;
	job->requeue = true;
	job->preempted_for = call->head;
	job->preempted++;
	if (!reason || !told || zn_job_set_text(&job->reason, reason) < 0)
		zn_job_set_text(&job->reason, NULL);
	if (zn_change_save(s, job, "preempting") < 0)
		return;
	zn_gang_steer(s, job, &(struct zn_msg_steer){ .op = "stop", .reason = told ? told : "requeued" });
}

bool zn_preempt(void *server, const struct zn_pick_job *head, double now_s)
{
	struct zn_server *s = server;
	struct call call = { s, zn_handle_of_arrival(head->seq) };

	return zn_jobs_preempt(&s->jobs, head, now_s, send_back, &call);
}
