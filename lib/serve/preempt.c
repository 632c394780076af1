/* preempt: the first in line has no room, and somebody less urgent who may be sent back to the queue does.  One of whom it needs the
 * CPUs alone is frozen, and loses nothing.
 */
#include "base/clock.h"
#include "serve/server.h"

struct call { struct zn_server *s; uint64_t head; };

static const char *note(const struct call *call, struct zn_job *job)
{
	char number[ZN_NUMBER_TEXT];

	job->run->preempted_for = call->head;
	job->preempted++;
	return zn_arena_printf(&call->s->arena, ZN_PREEMPTED "%s", zn_handle_text(call->head, number));
}

/* Nothing of it is ended: it needs no signal and no grace to save what it did. */
static void freeze(void *arg, struct zn_job *job)
{
	const struct call *call = arg;
	struct zn_server *s = call->s;

	if (s->status < 0)
		return;
	zn_gang_steer(s, job, &(struct zn_msg_steer){ .op = "suspend" });
	if (zn_change_state(s, job, ZN_JOB_SUSPENDED, "suspended", note(call, job)) == 0)
		s->counts.frozen++;
	zn_place_soon(s); /* there is room now */
}

static void thaw(void *arg, struct zn_job *job)
{
	struct zn_server *s = arg;

	job->run->preempted_for = 0;
	zn_gang_steer(s, job, &(struct zn_msg_steer){ .op = "resume" });
	zn_change_state(s, job, ZN_JOB_RUNNING, "resumed", NULL);
}

void zn_preempt_thaw(struct zn_server *s)
{
	zn_jobs_thaw(&s->jobs, thaw, s);
}

/* It ends as one that is requeued, and is told who comes. */
static void send_back(void *arg, struct zn_job *job)
{
	const struct call *call = arg;
	struct zn_server *s = call->s;

	if (s->status < 0)
		return;
	const char *reason = note(call, job), *told = zn_arena_printf(&s->arena, "requeued: %s", reason ? reason : "");
	job->requeue = true;
	if (!reason || !told || zn_job_set_text(&job->reason, reason) < 0)
		zn_job_set_text(&job->reason, NULL);
	if (zn_change_save(s, job, "preempting") < 0)
		return;
	s->counts.sent_back++;
	zn_gang_steer(s, job, &(struct zn_msg_steer){ .op = "stop", .reason = told ? told : "requeued" });
}

bool zn_preempt(void *server, const struct zn_pick_job *head, double now_s)
{
	struct zn_server *s = server;
	struct call call = { s, zn_handle_of_arrival(head->seq) };
	static const struct zn_preempt_ops ops = { send_back, freeze };

	return zn_jobs_preempt(&s->jobs, head, now_s, &ops, &call);
}
