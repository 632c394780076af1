/* lost: a node that has been down for as long as the configuration says has lost its jobs: they go back to the queue, or end, as
 * when their agent had died.  They may run there all the same, so that nothing starts there before its agent is back and what it
 * still runs of them has ended.  Of one machine alone nothing is given up: nowhere else could anything go on.
 *
 * The time is that of libevent's timers, which stands still while the machine sleeps: that is nobody's silence.
 */
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "serve/server.h"

/* ---- its time ------------------------------------------------------------------------------------------------- */

static bool is_down(const struct zn_node *n)
{
	return !n->settled || n->is_silent;
}

static void arm(struct zn_node *n)
{
	uint64_t us = (uint64_t)(n->server->conf.lost_s * 1e6) + 1;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };

	evtimer_add(n->on_lost, &tv);
}

void zn_lost_note(struct zn_node *n)
{
	if (!n->on_lost || n->server->stopping)
		return;
	if (!is_down(n))
		evtimer_del(n->on_lost);
	else if (!evtimer_pending(n->on_lost, NULL))
		arm(n);
}

/* ---- its jobs ------------------------------------------------------------------------------------------------- */

static void give_up(struct zn_node *n, struct zn_job *job, struct zn_place *place)
{
	struct zn_server *s = n->server;
	char time[ZN_UNIT_TEXT];
	struct zn_msg_report m = { .what = "exited", .time_s = zn_now_s() };

	zn_arena_reset(&s->arena);
	m.reason = zn_arena_printf(&s->arena, "lost: node '%s' was down for %s", n->name, zn_format_duration(s->conf.lost_s, time));
	zn_report_end(s, job, place, &m);
}

static uint32_t give_up_all(struct zn_node *n)
{
	struct zn_job *job, *next;
	struct zn_place *place;
	uint32_t count = 0;

	HASH_ITER(hh, n->server->jobs.by_id, job, next)
		if (zn_job_has_alloc(job->state) && (place = zn_place_on(job, n)) && !place->over && n->server->status == 0) {
			give_up(n, job, place);
			count++;
		}
	return count;
}

static void on_lost(evutil_socket_t fd, short what, void *arg)
{
	struct zn_node *n = arg;
	char time[ZN_UNIT_TEXT];

	(void)fd;
	(void)what;
	if (zn_journal_room(n->server->journal) < ZN_ROOM_END) { /* it may be down only because its reports can't be taken */
		arm(n);
		return;
	}
	uint32_t count = give_up_all(n);
	if (count) {
		zn_log("node '%s' was down for %s: %u jobs that had a place there are lost", n->name,
		       zn_format_duration(n->server->conf.lost_s, time), count);
		zn_agent_renew(n); /* what it has not read yet is of no account any more */
	}
	zn_turn_end(n->server);
}

int zn_lost_open(struct zn_node *n)
{
	if (n->server->conf.lost_s <= 0 || !n->server->named.n)
		return 0;
	n->on_lost = evtimer_new(n->server->base, on_lost, n);
	return n->on_lost ? 0 : -ENOMEM;
}

/* ---- its return ------------------------------------------------------------------------------------------------- */

/* What runs there that has no place there any more: its job was lost with this node, or with another one of its gang. */
static bool is_stray(const struct zn_node *n, const struct zn_msg_running *r, const struct zn_job *job)
{
	const struct zn_place *place = job->attempt == r->attempt && zn_job_has_alloc(job->state) ? zn_place_on(job, n) : NULL;

	return !place || place->over;
}

/* Of one that runs again, or will, at once: the two might write to one file. */
static void stop_stray(struct zn_node *n, const struct zn_msg_running *r, const struct zn_job *job)
{
	struct zn_msg_steer m = { .op = "stop", .job = r->job, .attempt = r->attempt, .reason = "lost" };
	char number[ZN_NUMBER_TEXT];

	m.grace_s = (struct zn_of64){ .has = !zn_job_is_finished(job->state) };
	zn_log("node '%s' still runs job %s, attempt %u, which was lost: it is ended", n->name, zn_handle_text(r->job, number), r->attempt);
	zn_agent_steer(n, &m);
}

/* Nothing starts there before they have ended. */
void zn_lost_end(struct zn_node *n)
{
	size_t n_strays = 0;

	for (size_t i = 0; i < n->n_running; i++) {
		const struct zn_msg_running r = n->running[i];
		const struct zn_job *job = zn_jobs_get(&n->server->jobs, r.job);
		if (!n->server->named.n || !job || !is_stray(n, &r, job))
			continue;
		stop_stray(n, &r, job);
		n->running[n_strays++] = r;
	}
	n->n_running = n_strays;
}

void zn_lost_ended(struct zn_node *n, const struct zn_msg_report *m)
{
	size_t at = 0;
	char number[ZN_NUMBER_TEXT];

	while (at < n->n_running && (n->running[at].job != m->job || n->running[at].attempt != m->attempt))
		at++;
	if (at == n->n_running || strcmp(m->what, "exited"))
		return;
	n->running[at] = n->running[--n->n_running];
	if (!n->settled)
		return;
	zn_log("job %s, attempt %u, which was lost, has ended on node '%s'", zn_handle_text(m->job, number), m->attempt, n->name);
	if (n->n_running)
		return;
	zn_node_publish(n);
	zn_place_soon(n->server);
}
