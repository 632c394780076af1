/* place: a pass over the queue.  In order, every job that fits into what is free now is placed (first fit);
 * one that does not fit lets the others by.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "serve/server.h"

void zn_place_soon(struct zn_server *s)
{
	s->want_pick = true;
}

void zn_place_take(struct zn_server *s, const struct zn_job *job)
{
	struct zn_free *f = &s->node.free;
	const struct zn_plan *p = &job->place->plan;

	f->gpus = zn_idset_minus(&f->gpus, &p->gpus);
	if (p->cpus_held)
		f->cpus = zn_idset_minus(&f->cpus, &p->cpus);
	f->mem_bytes -= p->mem_bytes < f->mem_bytes ? p->mem_bytes : f->mem_bytes;
	s->node.jobs++;
}

void zn_place_give(struct zn_server *s, const struct zn_job *job)
{
	struct zn_free *f = &s->node.free;
	const struct zn_plan *p = &job->place->plan;

	f->gpus = zn_idset_or(&f->gpus, &p->gpus);
	if (p->cpus_held)
		f->cpus = zn_idset_or(&f->cpus, &p->cpus);
	f->mem_bytes += p->mem_bytes;
	s->node.jobs--;
	zn_place_soon(s);
}

int zn_place_job(struct zn_server *s, struct zn_job *job, const struct zn_plan *plan)
{
	struct zn_place *place = calloc(1, sizeof(*place));

	if (!place)
		return -ENOMEM;
	place->plan = *plan;
	free(job->place);
	job->place = place;
	job->attempt++;
	job->told = false;
	job->start_s = job->end_s = 0;
	int rc = zn_change_state(s, job, ZN_JOB_SCHEDULED, "scheduled", NULL);
	if (rc < 0)
		return rc;
	zn_place_take(s, job);
	return zn_later_start(s, job);
}

/* Somebody outside holds GPUs that waiting jobs could use: have the agent look when that ends. */
static void watch_strangers(struct zn_server *s)
{
	bool want = !zn_idset_is_empty(&s->node.held) && s->jobs.count[ZN_JOB_QUEUED] > 0;
	struct zn_msg_steer m = { .op = want ? "watch" : "unwatch" };

	if (want != s->node.watching && zn_agent_steer(s, &m) == 0)
		s->node.watching = want;
}

/* Another pass when the first of the shapes whose start was put off may be tried again. */
static void wait_for_deferred(struct zn_server *s, double at_s)
{
	double wait_us = at_s * 1e6 - (double)zn_boot_ns() / 1e3;
	uint64_t us = wait_us > 0 ? (uint64_t)wait_us + 1 : 0;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };

	if (at_s == 0)
		event_del(s->on_deferred);
	else
		event_add(s->on_deferred, &tv);
}

/* On a full disk what is left is for the ends of jobs; look again in a while. */
static bool has_room(struct zn_server *s)
{
	if (zn_journal_room(s->journal) >= ZN_ROOM_START)
		return true;
	zn_log("the disk of the spool is full: nothing more is started");
	event_add(s->on_deferred, &(struct timeval){ .tv_sec = 5 });
	return false;
}

void zn_place_pass(struct zn_server *s)
{
	struct zn_node *n = &s->node;
	struct zn_job *job;

	s->want_pick = false;
	if (!n->settled || !n->facts || s->stopping)
		return;
	if (!s->jobs.count[ZN_JOB_QUEUED] || !has_room(s)) {
		watch_strangers(s);
		return;
	}
	wait_for_deferred(s, zn_jobs_unblock(&s->jobs, (double)zn_boot_ns() / 1e9));
	while ((job = zn_jobs_next(&s->jobs))) {
		struct zn_free now = n->free;
		struct zn_ask ask = zn_job_ask(job);
		struct zn_plan plan;
		now.gpus = zn_idset_minus(&now.gpus, &n->held);
		int rc = zn_plan_make(n->facts, &now, &ask, &plan, NULL);
		if (rc < 0) {
			job->group->blocked = true;
			continue;
		}
		if (zn_place_job(s, job, &plan) < 0)
			break;
	}
	watch_strangers(s);
}
