/* booking: what operators reserve for some users, from one time until another.  A job of theirs is in line while it may start
 * there: until then, and when it could not be over in time any more, it is PENDING, and told why.
 */
#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "serve/server.h"

static void show(struct zn_server *s, const struct zn_booking *b)
{
	int rc = zn_view_put_booking(s->view, s->seq, b);

	if (rc < 0)
		zn_log("view: reservation '%s': %s", b->name, strerror(-rc));
}

void zn_booking_publish(struct zn_server *s)
{
	for (size_t i = 0; i < s->jobs.bookings.n; i++)
		show(s, zn_bookings_get(&s->jobs.bookings, i));
}

/* ---- the jobs ---------------------------------------------------------------------------------------------- */

static struct zn_booking_ask ask_of(const struct zn_job *job)
{
	return (struct zn_booking_ask){ job->booking, job->user, job->account, job->limit_s };
}

/* Not before. */
static double begin_of(const struct zn_job *job)
{
	return fmax(zn_now_s(), job->begin_s);
}

const char *zn_booking_keeps(struct zn_server *s, const struct zn_job *job)
{
	struct zn_booking_ask ask = ask_of(job);

	return job->booking ? zn_booking_not_now(zn_bookings_find(&s->jobs.bookings, job->booking), &ask, begin_of(job), &s->arena) : NULL;
}

/* Nothing of it waits as a whole. */
static bool is_void(const struct zn_job *job)
{
	return job->array && !job->array->rest.count;
}

double zn_booking_begins_s(struct zn_server *s, const struct zn_job *job)
{
	const struct zn_booking *b = zn_bookings_find(&s->jobs.bookings, job->booking);
	struct zn_booking_ask ask = ask_of(job);

	return !is_void(job) && zn_booking_may(b, &ask, begin_of(job)) ? fmax(b->from_s, job->begin_s) : HUGE_VAL;
}

double zn_booking_latest_s(struct zn_server *s, const struct zn_job *job)
{
	const struct zn_booking *b = zn_bookings_find(&s->jobs.bookings, job->booking);

	return is_void(job) ? HUGE_VAL : b && job->limit_s > 0 ? b->until_s - job->limit_s : -HUGE_VAL;
}

void zn_booking_look(struct zn_server *s, struct zn_job *job)
{
	const char *keeps = zn_booking_keeps(s, job);

	if (is_void(job))
		return;
	if (job->state == ZN_JOB_QUEUED && keeps) {
		zn_place_soon(s); /* what was set aside for it is not any more */
		zn_change_state(s, job, ZN_JOB_PENDING, "held", keeps);
	} else if (job->state == ZN_JOB_PENDING && !job->hold) {
		zn_submit_promote(s, job);
		zn_change_save(s, job, job->state == ZN_JOB_QUEUED ? "queued" : "held");
	}
}

int zn_booking_accepts(struct zn_server *s, const struct zn_spec *spec, uid_t uid, struct zn_err *err)
{
	const struct zn_booking_ask ask = { spec->policy.reservation, zn_uid_name(s, uid), spec->policy.account, spec->resources.time_limit_s.v };
	const struct zn_booking *b = ask.name ? zn_bookings_find(&s->jobs.bookings, ask.name) : NULL;
	const char *never = ask.name ? zn_booking_never(b, &ask, fmax(zn_now_s(), spec->policy.begin_s.v), &s->arena) : NULL;

	return never ? zn_err_set(err, -EBADMSG, "%s", never) : 0;
}

/* ---- making and ending ------------------------------------------------------------------------------------- */

/* In memory, journal and view; and its jobs. */
static int change(struct zn_server *s, const struct zn_booking *b)
{
	struct zn_buf buf = { 0 };
	int rc = zn_encode(&zn_booking_kind, b, &buf);
	int64_t seq = rc < 0 ? rc : zn_journal_append(s->journal, buf.data, buf.len, NULL);
	struct zn_job *job, *next;

	zn_buf_done(&buf);
	if (seq > 0)
		s->seq = (uint64_t)seq;
	rc = seq < 0 ? (int)seq : zn_jobs_book(&s->jobs, b);
	if (rc < 0) {
		zn_server_fail(s, rc);
		return rc;
	}
	show(s, b);
	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (job->booking && !strcmp(job->booking, b->name) && zn_job_is_waiting(job->state) && zn_place_has_room(s))
			zn_booking_look(s, job);
	zn_times_arm(s); /* on a full disk the others are looked at later */
	zn_place_soon(s);
	return s->status;
}

static int check_users(const struct zn_booking *b, struct zn_err *err)
{
	for (size_t i = 0; i < b->users.n; i++)
		if (!getpwnam(b->users.v[i]))
			return zn_err_set(err, -EBADMSG, "there is no user '%s' here", b->users.v[i]);
	return 0;
}

static int check_gpus(const struct zn_node *n, const struct zn_u32s *gpus, struct zn_err *err)
{
	struct zn_free all = n->facts ? zn_plan_idle(n->facts) : (struct zn_free){ 0 };

	for (size_t i = 0; i < gpus->n; i++)
		if (n->facts && !zn_idset_has(&all.gpus, gpus->v[i]))
			return zn_err_set(err, -EBADMSG, "node '%s' has no gpu %u", n->name, gpus->v[i]);
	return 0;
}

/* One alone need not be named. */
static int take_nodes(struct zn_server *s, struct zn_booking *b, struct zn_err *err)
{
	if (!b->nodes.n && s->n_nodes > 1)
		return zn_err_set(err, -EBADMSG, "which of the %u nodes are to be reserved?", s->n_nodes);
	if (!b->nodes.n)
		b->nodes = (struct zn_strs){ &s->nodes->name, 1 };
	for (size_t i = 0; i < b->nodes.n; i++) {
		uint32_t at = 0;
		while (at < s->n_nodes && strcmp(s->nodes[at].name, b->nodes.v[i]))
			at++;
		if (at == s->n_nodes)
			return zn_err_set(err, -ENOENT, "there is no node '%s'", b->nodes.v[i]);
		int rc = check_gpus(&s->nodes[at], &b->gpus, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_others(struct zn_server *s, const struct zn_booking *b, struct zn_err *err)
{
	const struct zn_bookings *all = &s->jobs.bookings;
	char from[ZN_UNIT_TEXT], until[ZN_UNIT_TEXT];

	if (zn_bookings_find(all, b->name))
		return zn_err_set(err, -EEXIST, "there is a reservation '%s' already", b->name);
	for (size_t i = 0; i < all->n; i++) {
		const struct zn_booking *other = zn_bookings_get(all, i);
		const char *node = zn_booking_collides(b, other);
		if (node)
			return zn_err_set(err, -EEXIST, "node '%s' is reserved then: '%s' has it from %s until %s", node, other->name,
			                  zn_format_time(other->from_s, from), zn_format_time(other->until_s, until));
	}
	if (b->from_s > zn_now_s() && zn_planned_times(s, NULL, b->from_s, b->until_s) > ZN_PICK_CLOSINGS)
		return zn_err_set(err, -EAGAIN, ZN_PLANNED_ENOUGH, ZN_PICK_CLOSINGS);
	return 0;
}

int zn_booking_make(struct zn_server *s, const struct zn_request *r, uid_t uid, struct zn_err *err)
{
	struct zn_booking b = r->reservation;
	double now_s = zn_now_s();

	b.from_s = r->from_s.has ? r->from_s.v : now_s;
	b.until_s = r->until_s.v;
	b.by = zn_uid_name(s, uid);
	int rc = b.by ? zn_booking_check(&b, now_s, err) : -ENOMEM;
	if (rc == 0)
		rc = check_users(&b, err);
	if (rc == 0)
		rc = take_nodes(s, &b, err);
	if (rc == 0)
		rc = check_others(s, &b, err);
	return rc < 0 ? rc : change(s, &b);
}

int zn_booking_end(struct zn_server *s, const char *name)
{
	return change(s, &(struct zn_booking){ .name = name });
}

void zn_bookings_come(struct zn_server *s)
{
	double now_s = zn_now_s(), next_s;

	for (size_t i = 0; s->status == 0 && i < s->jobs.bookings.n; i++) {
		const struct zn_booking *b = zn_bookings_get(&s->jobs.bookings, i);
		if (b->until_s > now_s)
			continue;
		zn_log("reservation '%s' has ended", b->name);
		zn_booking_end(s, zn_arena_strdup(&s->arena, b->name));
		i--;
	}
	next_s = zn_room_next_booked(&s->jobs.room, now_s);
	if (next_s < HUGE_VAL)
		zn_place_again(s, fmin(60, next_s - now_s)); /* the clock may be set meanwhile */
}
