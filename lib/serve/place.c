/* place: a pass over the queue: who is picked is placed. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "serve/server.h"

void zn_place_soon(struct zn_server *s)
{
	s->want_pick = true;
}

void zn_place_again(struct zn_server *s, double wait_s)
{
	uint64_t us = (uint64_t)(wait_s * 1e6) + 1;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };

	if (wait_s >= s->again_in_s)
		return;
	s->again_in_s = wait_s;
	event_add(s->on_deferred, &tv);
}

void zn_place_give(struct zn_server *s, struct zn_job *job)
{
	zn_jobs_give(&s->jobs, job);
	zn_place_soon(s);
}

/* What waited is how long it was not started: a later run of it had one before. */
static void count_place(struct zn_server *s, const struct zn_job *job)
{
	s->counts.placed++;
	if (job->attempt == 1)
		zn_hist_add(&s->counts.wait_s, fmax(0, zn_now_s() - fmax(job->submit_s, job->begin_s)));
}

/* On record, and to be started once that is durable. */
static int schedule(struct zn_server *s, struct zn_job *job)
{
	int rc = zn_change_state(s, job, ZN_JOB_SCHEDULED, "scheduled", NULL);

	if (rc == 0)
		count_place(s, job);
	if (rc == 0 && zn_later_start(s, job) < 0)
		zn_server_fail(s, -ENOMEM); /* the next one finds it scheduled, and starts it */
	return rc;
}

static int note_places(struct zn_job *job, const struct zn_places *from)
{
	struct zn_places *places = zn_places_copy(from);

	if (!places || zn_job_add_run(job) < 0) {
		free(places);
		return -ENOMEM;
	}
	zn_job_forget_places(job);
	job->places = places;
	job->attempt++;
	job->run->start_s = job->end_s = 0;
	return 0;
}

int zn_place_job(struct zn_server *s, struct zn_job *job, const struct zn_places *places)
{
	int rc = note_places(job, places);

	if (rc == 0)
		rc = schedule(s, job);
	if (rc == 0)
		zn_jobs_take(&s->jobs, job);
	return rc;
}

/* One that was picked has what it needs in the room already. */
static int place_picked(struct zn_server *s, struct zn_job *job)
{
	int rc = note_places(job, s->jobs.room.places);

	if (rc == 0)
		rc = schedule(s, job);
	if (rc == 0)
		return 0;
	zn_room_give(&s->jobs.room, s->jobs.room.places, job->wish);
	zn_pick_gone(&s->jobs.pick, &job->pick, zn_now_s());
	return zn_jobs_reorder(&s->jobs, job) < 0 ? -ENOMEM : rc;
}

/* Somebody outside holds GPUs that waiting jobs could use: have the agent look when that ends. */
static void watch_strangers(struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		struct zn_node *n = &s->nodes[i];
		bool want = !zn_idset_is_empty(&s->jobs.room.nodes[i].held) && s->jobs.count[ZN_JOB_QUEUED] > 0;
		struct zn_msg_steer m = { .op = want ? "watch" : "unwatch" };
		if (want != n->watching && zn_agent_steer(n, &m) == 0)
			n->watching = want;
	}
}

/* Another pass when the first of the shapes whose start was put off may be tried again, when who used up his hours may have
 * some, or when somebody is safe no more who is in the way.
 */
static void wait_for_more(struct zn_server *s, double deferred_s)
{
	double again_s = zn_payers_again_s(&s->jobs.payers), wait_s = again_s > 0 ? again_s - s->jobs.payers.now_s : HUGE_VAL;

	if (s->jobs.safe_until_s > 0)
		wait_s = fmin(wait_s, fmax(0, s->jobs.safe_until_s - s->jobs.payers.now_s));
	if (deferred_s > 0)
		wait_s = fmin(wait_s, fmax(0, deferred_s - (double)zn_boot_ns() / 1e9));
	if (wait_s < HUGE_VAL)
		zn_place_again(s, wait_s);
}

bool zn_place_has_room(struct zn_server *s)
{
	return zn_journal_room(s->journal) >= ZN_ROOM_START;
}

/* Look again in a while. */
static bool has_room(struct zn_server *s)
{
	if (zn_place_has_room(s))
		return true;
	zn_log("the disk of the spool is full: nothing more is started");
	zn_place_again(s, 5);
	return false;
}

/* Whether anything can start anywhere. */
static bool open_nodes(struct zn_server *s)
{
	bool any = false;

	for (uint32_t i = 0; i < s->n_nodes; i++) {
		struct zn_node *n = &s->nodes[i];
		bool is_open = n->settled && n->facts && !n->is_silent && !n->n_running && !zn_drain_holds(n);
		s->jobs.room.nodes[i].is_closed = !is_open;
		any |= is_open;
	}
	return any;
}

static bool is_coming(const struct zn_node *n)
{
	return !n->settled && (n->bev || n->launcher);
}

static bool any_is_coming(const struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (is_coming(&s->nodes[i]))
			return true;
	return false;
}

/* Whoever comes first after a start is not where a gang fits best: the others, who are about to say what they have, are waited
 * for, but for no more than a second.
 */
static bool is_gathered(struct zn_server *s)
{
	double wait_s = 1 - (double)(zn_boot_ns() - s->settled_ns) / 1e9;

	s->gathered = s->gathered || wait_s <= 0 || !any_is_coming(s);
	if (!s->gathered)
		zn_place_again(s, wait_s);
	return s->gathered;
}

void zn_place_pass(struct zn_server *s)
{
	struct zn_pick_pass pass;
	struct zn_job *job;

	s->want_pick = false;
	s->again_in_s = HUGE_VAL;
	event_del(s->on_deferred);
	if (s->stopping)
		return;
	zn_bookings_come(s);
	if (s->times_first && s->times_first <= zn_now_s()) /* who may start no more does not */
		zn_times_come(s);
	bool any = open_nodes(s);
	zn_preempt_thaw(s); /* on a node that is drained, too: it ends there */
	if (!any || !is_gathered(s))
		return;
	if (!s->jobs.count[ZN_JOB_QUEUED] || !has_room(s)) {
		watch_strangers(s);
		return;
	}
	uint64_t from_ns = zn_boot_ns();
	s->jobs.payers.now_s = zn_now_s();
	zn_quota_weigh(s, s->jobs.payers.now_s);
	s->jobs.safe_until_s = 0;
	double deferred_s = zn_jobs_unblock(&s->jobs, (double)zn_boot_ns() / 1e9);
	zn_pick_begin(&pass, &s->jobs.pick, s->jobs.payers.now_s);
	while ((job = zn_jobs_next(&pass)) && place_picked(s, job) == 0)
		;
	zn_hist_add(&s->counts.decision_s, (double)(zn_boot_ns() - from_ns) / 1e9);
	wait_for_more(s, deferred_s);
	watch_strangers(s);
}
