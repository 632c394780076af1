/* silence: an agent that is connected and says nothing.  While jobs have places on its node, or wait for some, it is asked now
 * and then whether it is there; when it has not answered for a while the node is down: nothing new goes there, and what has a place
 * there stays as it is, as it may well run, until it is lost (lost.c).  With the first word it is up again.
 */
#include "base/clock.h"
#include "serve/server.h"

static double boot_s(void)
{
	return (double)zn_boot_ns() / 1e9;
}

/* As often as it may be missed three times. */
static double interval_s(const struct zn_server *s)
{
	return s->conf.silence_s / 3;
}

static bool is_wanted(const struct zn_node *n)
{
	return n->server->conf.silence_s > 0 && n->settled && n->version >= ZN_NODE_PINGS && (n->server->jobs.count[ZN_JOB_QUEUED] || !zn_node_is_empty(n));
}

static void fall_silent(struct zn_node *n)
{
	zn_log("the agent of node '%s' does not answer: it gets no jobs until it does", n->name);
	n->is_silent = true;
	zn_lost_note(n);
	zn_node_publish(n);
	zn_place_soon(n->server);
}

void zn_silence_heard(struct zn_node *n)
{
	n->asked_s = 0;
	if (!n->is_silent)
		return;
	zn_log("the agent of node '%s' answers again", n->name);
	n->is_silent = false;
	zn_lost_note(n);
	zn_node_publish(n);
	zn_place_soon(n->server);
}

static void ask(struct zn_node *n)
{
	if (n->asked_s && !n->is_silent && boot_s() - n->asked_s >= n->server->conf.silence_s)
		fall_silent(n);
	if (zn_agent_steer(n, &(struct zn_msg_steer){ .op = "ping" }) == 0 && !n->asked_s)
		n->asked_s = boot_s();
}

void zn_silence_look(struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (is_wanted(&s->nodes[i]))
			ask(&s->nodes[i]);
	zn_silence_arm(s);
}

void zn_silence_arm(struct zn_server *s)
{
	bool wanted = false;

	if (evtimer_pending(s->on_silence, NULL) || s->stopping)
		return;
	for (uint32_t i = 0; i < s->n_nodes; i++)
		wanted |= is_wanted(&s->nodes[i]);
	uint64_t us = (uint64_t)(interval_s(s) * 1e6) + 1;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };
	if (wanted)
		evtimer_add(s->on_silence, &tv);
}
