/* drain: a node that gets no new jobs, until somebody ends that or its time has come.  What runs on it goes on.  One that is
 * planned for later is a time by which what starts there must be over.
 */
#include <errno.h>
#include <math.h>
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
	struct zn_memo_drain m = { .node = n->name, .by = d->by, .reason = d->reason, .from_s = d->from_s, .until_s = d->until_s };
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

int zn_drain_begin(struct zn_node *n, const char *by, const char *reason, double from_s, double until_s)
{
	int rc = zn_jobs_drain(&n->server->jobs, n->number, by, reason, from_s, until_s);

	return rc < 0 ? rc : save(n);
}

int zn_drain_end(struct zn_node *n)
{
	zn_jobs_drain(&n->server->jobs, n->number, NULL, NULL, 0, 0);
	return save(n);
}

/* At most a minute: the clock may be set meanwhile. */
static void look_again(struct zn_server *s, double left_s)
{
	zn_place_again(s, left_s < 60 ? left_s : 60);
}

/* It is planned, and not to be yet. */
static bool is_later(struct zn_node *n, double now_s)
{
	const struct zn_drain *d = drain_of(n);
	struct zn_room_node *room = &n->server->jobs.room.nodes[n->number];
	bool later = d->by && d->from_s > now_s;

	room->closes_s = later ? d->from_s : 0;
	room->opens_s = d->until_s > 0 ? d->until_s : HUGE_VAL;
	if (later)
		look_again(n->server, d->from_s - now_s);
	return later;
}

bool zn_drain_holds(struct zn_node *n)
{
	struct zn_server *s = n->server;
	const struct zn_drain *d = drain_of(n);
	double now_s = zn_now_s(), left_s = d->until_s - now_s;

	if (is_later(n, now_s) || !d->by)
		return false;
	if (d->until_s > 0 && left_s <= 0) {
		zn_log("node '%s' is drained no more: its time has come", n->name);
		return zn_drain_end(n) < 0;
	}
	if (d->until_s > 0)
		look_again(s, left_s);
	if (!n->is_draining || n->has_drained != zn_node_is_empty(n))
		zn_node_publish(n);
	return true;
}

/* Pairs of times, each once; one more than may be. */
struct planned { double (*v)[2]; uint32_t n; };

static void note(struct planned *p, double from_s, double until_s)
{
	uint32_t i = 0;

	while (i < p->n && (p->v[i][0] != from_s || p->v[i][1] != until_s))
		i++;
	p->v[i][0] = from_s;
	p->v[i][1] = until_s;
	p->n += i == p->n;
}

uint32_t zn_planned_times(const struct zn_server *s, const struct zn_node *but, double from_s, double until_s)
{
	double v[ZN_PICK_CLOSINGS + 1][2], now_s = zn_now_s();
	struct planned p = { .v = v };

	note(&p, from_s, until_s);
	for (uint32_t i = 0; i < s->n_nodes && p.n <= ZN_PICK_CLOSINGS; i++) {
		const struct zn_drain *d = &s->jobs.nodes[i].drain;
		if (&s->nodes[i] != but && d->by && d->from_s > now_s)
			note(&p, d->from_s, d->until_s);
	}
	for (size_t i = 0; i < s->jobs.bookings.n && p.n <= ZN_PICK_CLOSINGS; i++) {
		const struct zn_booking *b = zn_bookings_get(&s->jobs.bookings, i);
		if (b->from_s > now_s)
			note(&p, b->from_s, b->until_s);
	}
	return p.n;
}

const char *zn_drain_text(struct zn_node *n, struct zn_arena *a)
{
	const struct zn_drain *d = drain_of(n);
	char from[ZN_UNIT_TEXT], until[ZN_UNIT_TEXT];
	bool later = d->from_s > zn_now_s();

	return zn_arena_printf(a, "it %s drained by %s%s%s%s%s%s%s", later ? "will be" : "is", d->by, later ? " from " : "",
	                       later ? zn_format_time(d->from_s, from) : "", d->until_s > 0 ? " until " : "",
	                       d->until_s > 0 ? zn_format_time(d->until_s, until) : "", d->reason ? ": " : "",
	                       d->reason ? d->reason : "");
}
