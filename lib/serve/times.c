/* times: when a job may begin, or could not be over in its reservation any more; and when it is given up: one that has not
 * started when it could not end by its deadline any more is cancelled.
 */
#include <math.h>

#include "base/clock.h"
#include "base/units.h"
#include "serve/server.h"

static bool waits(const struct zn_job *job)
{
	return zn_job_is_waiting(zn_job_shown_state(job));
}

/* The latest moment to start; HUGE_VAL: there is none. */
static double latest_s(const struct zn_job *job)
{
	return job->deadline_s > 0 && waits(job) ? job->deadline_s - job->limit_s : HUGE_VAL;
}

static double begins_s(struct zn_server *s, const struct zn_job *job)
{
	if (job->state != ZN_JOB_PENDING || job->hold || job->after || job->is_kept)
		return HUGE_VAL;
	return job->booking ? zn_booking_begins_s(s, job) : job->begin_s > 0 ? job->begin_s : HUGE_VAL;
}

/* When it is in line no more. */
static double leaves_s(struct zn_server *s, const struct zn_job *job)
{
	return job->state == ZN_JOB_QUEUED && job->booking ? zn_booking_latest_s(s, job) : HUGE_VAL;
}

static double next_s(struct zn_server *s, const struct zn_job *job)
{
	return fmin(fmin(begins_s(s, job), leaves_s(s, job)), latest_s(job));
}

/* One timer, for the first of all. */
static void arm(struct zn_server *s, double first_s)
{
	static const double longest_s = 60; /* look again: the clock may be set meanwhile */
	double wait_s = fmin(longest_s, fmax(0, first_s - zn_now_s()));
	struct timeval tv = { .tv_sec = (time_t)wait_s, .tv_usec = (suseconds_t)((wait_s - floor(wait_s)) * 1e6) };

	s->times_first = first_s < HUGE_VAL ? first_s : 0;
	if (first_s < HUGE_VAL)
		event_add(s->on_times, &tv);
	else
		event_del(s->on_times);
}

void zn_times_note(struct zn_server *s, const struct zn_job *job)
{
	double first_s = next_s(s, job);

	if (first_s < HUGE_VAL && (!s->times_first || first_s < s->times_first))
		arm(s, first_s);
}

void zn_times_arm(struct zn_server *s)
{
	double first_s = HUGE_VAL;

	for (const struct zn_job *job = s->jobs.by_id; job; job = job->hh.next)
		first_s = fmin(first_s, next_s(s, job));
	arm(s, first_s);
}

static void give_up(struct zn_server *s, struct zn_job *job)
{
	char when[ZN_UNIT_TEXT];

	zn_job_finish(s, job, ZN_JOB_CANCELLED,
	              zn_arena_printf(&s->arena, "it could not end by its deadline, %s, any more", zn_format_time(job->deadline_s, when)));
}

static void look(struct zn_server *s, struct zn_job *job, double now_s)
{
	if (latest_s(job) < now_s) {
		give_up(s, job);
	} else if (leaves_s(s, job) < now_s) {
		zn_booking_look(s, job);
	} else if (begins_s(s, job) <= now_s) {
		zn_submit_promote(s, job);
		if (job->state == ZN_JOB_QUEUED)
			zn_change_save(s, job, "queued");
	}
}

void zn_times_come(struct zn_server *s)
{
	static const double again_s = 5; /* when the disk is full */
	struct zn_job *job, *next;
	double now_s = zn_now_s();
	bool full = false;

	s->times_first = 0;
	HASH_ITER(hh, s->jobs.by_id, job, next) {
		bool due = next_s(s, job) <= now_s;
		full |= due && !zn_place_has_room(s);
		if (due && !full)
			look(s, job, now_s);
	}
	if (full)
		arm(s, now_s + again_s);
	else
		zn_times_arm(s);
}
