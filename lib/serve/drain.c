/* drain: a node that gets no new jobs, until somebody ends that or its time has come.  What runs on it goes on. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "serve/server.h"

/* Remembered; memory has it already. */
static int save(struct zn_server *s)
{
	const struct zn_drain *d = &s->jobs.drain;
	struct zn_memo_drain m = { .node = s->node.name, .by = d->by, .reason = d->reason, .until_s = d->until_s };
	struct zn_buf b = { 0 };
	int rc = zn_encode(&zn_memo_drain_kind, &m, &b);
	int64_t seq = rc < 0 ? rc : zn_journal_append(s->journal, b.data, b.len, NULL);

	zn_buf_done(&b);
	if (seq < 0) {
		zn_server_fail(s, (int)seq);
		return (int)seq;
	}
	s->seq = (uint64_t)seq;
	zn_node_publish(s);
	zn_place_soon(s);
	return 0;
}

int zn_drain_begin(struct zn_server *s, const char *by, const char *reason, double until_s)
{
	int rc = zn_jobs_drain(&s->jobs, by, reason, until_s);

	return rc < 0 ? rc : save(s);
}

int zn_drain_end(struct zn_server *s)
{
	zn_jobs_drain(&s->jobs, NULL, NULL, 0);
	return save(s);
}

bool zn_drain_holds(struct zn_server *s)
{
	const struct zn_drain *d = &s->jobs.drain;
	double left_s = d->until_s - zn_now_s();

	if (!d->by)
		return false;
	if (d->until_s > 0 && left_s <= 0) {
		zn_log("node '%s' is drained no more: its time has come", s->node.name);
		return zn_drain_end(s) < 0;
	}
	if (d->until_s > 0) { /* at most a minute: the clock may be set meanwhile */
		double wait_s = left_s < 60 ? left_s : 60;
		event_add(s->on_deferred, &(struct timeval){ .tv_sec = (time_t)wait_s,
		                                             .tv_usec = (suseconds_t)((wait_s - (double)(time_t)wait_s) * 1e6) + 1 });
	}
	if (s->node.has_drained != !zn_row_size(&s->jobs.pick.running))
		zn_node_publish(s);
	return true;
}

const char *zn_drain_text(struct zn_server *s, struct zn_arena *a)
{
	const struct zn_drain *d = &s->jobs.drain;
	char until[ZN_UNIT_TEXT];

	return zn_arena_printf(a, "it is drained by %s%s%s%s%s", d->by, d->until_s > 0 ? " until " : "",
	                       d->until_s > 0 ? zn_format_time(d->until_s, until) : "", d->reason ? ": " : "",
	                       d->reason ? d->reason : "");
}
