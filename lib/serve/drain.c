/* drain: a node that gets no new jobs, until somebody ends that or its time has come.  What runs on it goes on. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "serve/server.h"

/* Remembered; memory has it already. */
static struct zn_drain *drain_of(const struct zn_node *n)
{
	return &n->server->jobs.nodes[n->number].drain;
}

static int save(struct zn_node *n)
{
	struct zn_server *s = n->server;
	const struct zn_drain *d = drain_of(n);
	struct zn_memo_drain m = { .node = n->name, .by = d->by, .reason = d->reason, .until_s = d->until_s };
	struct zn_buf b = { 0 };
	int rc = zn_encode(&zn_memo_drain_kind, &m, &b);
	int64_t seq = rc < 0 ? rc : zn_journal_append(s->journal, b.data, b.len, NULL);

	zn_buf_done(&b);
	if (seq < 0) {
		zn_server_fail(s, (int)seq);
		return (int)seq;
	}
	s->seq = (uint64_t)seq;
	zn_node_publish(n);
	zn_place_soon(s);
	return 0;
}

int zn_drain_begin(struct zn_node *n, const char *by, const char *reason, double until_s)
{
	int rc = zn_jobs_drain(&n->server->jobs, n->number, by, reason, until_s);

	return rc < 0 ? rc : save(n);
}

int zn_drain_end(struct zn_node *n)
{
	zn_jobs_drain(&n->server->jobs, n->number, NULL, NULL, 0);
	return save(n);
}

bool zn_drain_holds(struct zn_node *n)
{
	struct zn_server *s = n->server;
	const struct zn_drain *d = drain_of(n);
	double left_s = d->until_s - zn_now_s();

	if (!d->by)
		return false;
	if (d->until_s > 0 && left_s <= 0) {
		zn_log("node '%s' is drained no more: its time has come", n->name);
		return zn_drain_end(n) < 0;
	}
	if (d->until_s > 0) /* at most a minute: the clock may be set meanwhile */
		zn_place_again(s, left_s < 60 ? left_s : 60);
	if (n->has_drained != zn_node_is_empty(n))
		zn_node_publish(n);
	return true;
}

const char *zn_drain_text(struct zn_node *n, struct zn_arena *a)
{
	const struct zn_drain *d = drain_of(n);
	char until[ZN_UNIT_TEXT];

	return zn_arena_printf(a, "it is drained by %s%s%s%s%s", d->by, d->until_s > 0 ? " until " : "",
	                       d->until_s > 0 ? zn_format_time(d->until_s, until) : "", d->reason ? ": " : "",
	                       d->reason ? d->reason : "");
}
