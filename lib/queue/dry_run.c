/* dry_run: where a submission would go, and when, if it were one. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/account.h"
#include "base/clock.h"
#include "base/units.h"
#include "job/booking.h"
#include "job/calendar.h"
#include "job/number.h"
#include "queue/forecast.h"
#include "queue/machine.h"

static struct zn_order order_of(const struct zn_spec *s, double now_s)
{
	const struct zn_spec_resources *r = &s->resources;
	struct zn_calendar c;
	double begin_s = s->policy.begin_s.v, next_s;
	uint16_t nodes_min, nodes_max;

	zn_spec_nodes(r, &nodes_min, &nodes_max);
	if (s->policy.every && zn_calendar_parse(s->policy.every, &c, NULL) == 0 && zn_calendar_next(&c, fmax(now_s, begin_s), &next_s))
		begin_s = next_s;
	return (struct zn_order){
		.submit_s = now_s, .begin_s = begin_s, .limit_s = r->time_limit_s.v, .account = s->policy.account,
		.ask = { .priority = s->policy.priority.v, .gpus = zn_spec_gpus(r), .cpus = (uint32_t)r->cpus.v,
		         .mem_bytes = r->mem_bytes.v, .tasks = zn_spec_tasks(r), .nodes_min = nodes_min, .nodes_max = nodes_max,
		         .nvlink_required = s->locality.nvlink && !strcmp(s->locality.nvlink, "require"), .may_exceed = s->policy.preemptible.v,
		         .spread = s->locality.spread.v, .same_switch = s->locality.same_switch.v, .near = s->locality.near,
		         .constraint = s->locality.constraint, .booking = s->policy.reservation },
	};
}

/* What keeps it from starting now although there is room; NULL: nothing does. */
static const char *in_the_way(struct zn_picture *p, const struct zn_spec *s, const struct zn_order *o, const struct zn_forecast *f,
                              struct zn_arena *a)
{
	const char *quota = zn_forecast_over_quota(p, o);
	char number[ZN_NUMBER_TEXT];

	const char *closed = zn_picture_closed(p);
	if (closed)
		return zn_arena_strdup(a, closed);
	if (s->hold.v)
		return "it would be held";
	if (s->policy.after.n)
		return "it would wait for other jobs to end";
	if (quota)
		return zn_arena_strdup(a, quota);
	if (o->begin_s > o->submit_s)
		return "it would wait for its begin time";
	if (f->kept_by)
		return zn_arena_printf(a, "it would come after job %s of the same user or account, which waits for the quota",
		                       zn_handle_text(f->kept_by, number));
	if (f->closes_s.has)
		return zn_arena_printf(a, "it %s", zn_forecast_closing(f, a));
	return f->behind ? zn_arena_printf(a, "it would delay job %s, which comes before it", zn_handle_text(f->behind, number)) : NULL;
}

static void add_reason(struct zn_planned *planned, const char *text, struct zn_arena *a)
{
	struct zn_explained_reason *r = zn_arena_new(a, struct zn_explained_reason);

	planned->now = false;
	if (!r || planned->reasons.n)
		return;
	*r = (struct zn_explained_reason){ .text = text, .count = 1 };
	planned->reasons = (struct zn_list){ r, 1 };
}

/* By the time limits of the others it would start too late. */
static bool misses_deadline(const struct zn_spec *s, const struct zn_order *o, const struct zn_forecast *f)
{
	return s->policy.deadline_s.has && f->start_s.has && f->start_s.v + o->limit_s > s->policy.deadline_s.v;
}

/* Among those who wait and run. */
static int foretell(struct zn_picture *p, const struct zn_spec *s, struct zn_order *o, struct zn_arena *a, struct zn_planned *ret)
{
	struct zn_forecast f = { 0 };

	o->id = p->n_jobs ? p->jobs[p->n_jobs - 1].id + 1 : 1;
	int rc = zn_forecast(p, o, fmax(o->submit_s, o->begin_s), &f);
	if (rc < 0)
		return rc;
	ret->ahead = ZN_SOME_U64(f.ahead);
	if (!s->hold.v && !s->policy.after.n && !zn_picture_closed(p))
		ret->expected_s = f.start_s;
	const char *why = in_the_way(p, s, o, &f, a);
	if (misses_deadline(s, o, &f)) {
		why = "by the time limits of the others it would start too late for its deadline";
		ret->reasons.n = 0;
		ret->smallest = NULL;
	}
	if (why)
		add_reason(ret, why, a);
	return 0;
}

/* In a reservation it does not begin before that; false: never there. */
static bool heed_booking(const struct zn_picture *p, const struct zn_spec *s, struct zn_order *o, struct zn_arena *a, struct zn_planned *ret)
{
	const struct zn_booking_ask ask = { s->policy.reservation, o->user, o->account, o->limit_s };
	const struct zn_booking *b = ask.name ? zn_bookings_find(&p->bookings, ask.name) : NULL;

	if (!ask.name)
		return true;
	const char *never = zn_booking_never(b, &ask, fmax(o->submit_s, o->begin_s), a);
	const char *why = never ? never : zn_booking_not_now(b, &ask, o->submit_s, a);
	if (why) {
		ret->reasons.n = 0;
		ret->smallest = NULL;
		add_reason(ret, why, a);
	}
	if (!never)
		o->begin_s = fmax(o->begin_s, b->from_s);
	return !never;
}

/* The user whose it would be, and how large the part of a GPU. */
static void fill_in(const struct zn_spec_resources *r, const struct zn_room *room, struct zn_order *o)
{
	static struct zn_account me;

	o->user = zn_account_read(geteuid(), &me) == 0 ? me.name : NULL;
	if (!r->gpu_share.has && !r->gpu_mem_bytes.has)
		return;
	o->ask.part = (struct zn_gpu_part){ .user = zn_part_user(o->user ? o->user : ""), .mem_bytes = r->gpu_mem_bytes.v,
	                                    .milli = zn_spec_gpu_milli(r) };
	zn_room_fill_in(room, &o->ask.part);
}

/* Without a queue nobody knows what licences there are. */
static int read_licences(bool is_queue, const struct zn_spec *s, struct zn_arena *a, const char **ret, struct zn_err *err)
{
	struct zn_list list = { 0 };
	int rc = is_queue ? zn_spec_licences_read(s->resources.licences, a, &list, err) : 0;

	*ret = rc == 0 ? zn_spec_licences_text(&list, a) : NULL;
	return rc == 0 && list.n && !*ret ? -ENOMEM : rc;
}

/* Where no queue has a node that said what it is: this machine, as if it were idle. */
static int use_this_machine(struct zn_picture *p, struct zn_err *err)
{
	struct zn_facts *facts;
	char host[256] = "";
	int rc = zn_machine_ask(&facts, err);

	if (rc < 0)
		return rc;
	gethostname(host, sizeof(host) - 1);
	if (!p->n_nodes) {
		p->nodes = zn_arena_new(&p->arena, struct zn_node_record);
		p->n_nodes = p->nodes ? 1 : 0;
		if (p->nodes)
			*p->nodes = (struct zn_node_record){ .node_id = zn_arena_strdup(&p->arena, host), .state = "up" };
	}
	if (!p->nodes) {
		zn_facts_free(facts);
		return -ENOMEM;
	}
	rc = zn_picture_know(p, 0, facts);
	if (rc == 0)
		p->room.nodes[0].is_closed = false;
	return rc;
}

static int plan(struct zn_picture *p, const struct zn_spec *s, struct zn_arena *a, struct zn_planned *ret, struct zn_err *err)
{
	struct zn_order o = order_of(s, zn_now_s());
	bool is_queue = p->n_nodes > 0;
	int rc = is_queue ? zn_picture_room(p, err) : -ENODATA;

	if (rc < 0)
		rc = use_this_machine(p, err);
	if (rc < 0)
		return rc;
	fill_in(&s->resources, &p->room, &o);
	rc = read_licences(is_queue, s, a, &o.licences, err);
	if (rc == 0)
		rc = zn_picture_plan(p, &o.ask, a, ret);
	if (rc != -ENOMEM)
		rc = zn_picture_lacks(p, o.licences, rc, a, &ret->reasons, &ret->smallest);
	ret->now = rc == 0;
	if (rc != -ENOMEM && heed_booking(p, s, &o, a, ret) && rc != -EINVAL) /* else it never starts */
		rc = foretell(p, s, &o, a, ret);
	return rc == -ENOMEM ? rc : 0;
}

int zn_dry_run(const char *spool, const struct zn_spec *s, struct zn_arena *a, struct zn_planned *ret, struct zn_err *err)
{
	struct zn_picture picture = { 0 };

	zn_picture_of_spool(spool, &picture, NULL);
	int rc = zn_picture_count(&picture, spool, err);
	if (rc == 0)
		rc = plan(&picture, s, a, ret, err);
	zn_picture_done(&picture);
	return rc;
}
