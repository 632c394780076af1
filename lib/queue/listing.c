#include "queue/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "job/number.h"
#include "job/state.h"
#include "queue/latest.h"

static bool is_listed(const struct zn_strs *list, struct zn_bytes record, const char *key)
{
	struct zn_bytes text = list->n ? zn_raw_text(zn_raw_get(record, key)) : (struct zn_bytes){ 0 };

	for (size_t i = 0; i < list->n; i++)
		if (text.p && strlen(list->v[i]) == text.n && !strncasecmp(list->v[i], text.p, text.n))
			return true;
	return !list->n;
}

static bool is_wanted(const struct zn_listing *l, struct zn_bytes job)
{
	return is_listed(&l->users, job, "user") && is_listed(&l->states, job, "state") &&
	       is_listed(&l->names, job, "name");
}

static bool has_ended(struct zn_bytes job)
{
	struct zn_bytes state = zn_raw_get(job, "state");

	for (enum zn_job_state s = 0; s < ZN_JOB_STATES; s++)
		if (zn_raw_is_text(state, zn_job_state_name(s)))
			return zn_job_is_finished(s);
	return false;
}

int zn_listing_check(const struct zn_listing *l, struct zn_err *err)
{
	enum zn_job_state state;

	for (size_t i = 0; i < l->states.n; i++)
		if (zn_job_state_parse(l->states.v[i], &state) < 0)
			return zn_err_set(err, -EINVAL, "there is no state '%s'", l->states.v[i]);
	return 0;
}

/* ---- jobs --------------------------------------------------------------------------------------- */

struct walk {
	const struct zn_listing *l;
	struct zn_latest latest;
	bool *ended;                  /* of the latest: the history has them */
};

static int put_ended(void *arg, struct zn_bytes event)
{
	struct walk *w = arg;
	struct zn_bytes job = zn_raw_get(event, "job");
	uint64_t handle = 0;

	zn_raw_handle(job, &handle);
	ssize_t at = zn_latest_find(&w->latest, handle);
	if (at >= 0) /* a view that is behind, as on a full disk, still has it */
		w->ended[at] = true;
	if (is_wanted(w->l, job))
		w->l->put(w->l->arg, job);
	return 0;
}

static int read_latest(const char *spool, struct zn_latest *l, struct zn_err *err)
{
	struct zn_view_reader *r = NULL;
	int rc = zn_view_open(spool, &r, err);

	if (rc == 0)
		rc = zn_latest_read(r, l, err);
	zn_view_close(r);
	return rc == -ENOENT ? 0 : rc; /* nothing was ever submitted: an empty queue, not an error */
}

int zn_listing_jobs(const struct zn_listing *l, const char *spool, bool with_ended, struct zn_err *err)
{
	struct walk w = { .l = l };
	int rc = read_latest(spool, &w.latest, err);

	if (rc < 0)
		return rc;
	w.ended = calloc(w.latest.n_jobs + 1, sizeof(*w.ended));
	if (!w.ended)
		rc = -ENOMEM;
	if (rc == 0 && with_ended)
		rc = zn_history_each(spool, 0, false, put_ended, &w, err);
	for (size_t i = 0; rc >= 0 && i < w.latest.n_jobs; i++) {
		struct zn_bytes job = w.latest.jobs[i].record;
		bool ended = w.ended[i] || has_ended(job);
		/* with those that have ended the history said it already */
		if (!w.latest.jobs[i].hidden && is_wanted(l, job) && (!ended || (!with_ended && l->states.n)))
			l->put(l->arg, job);
	}
	free(w.ended);
	zn_latest_done(&w.latest);
	return rc < 0 ? rc : 0;
}

int zn_listing_ended(const struct zn_listing *l, const char *spool, double since_s, struct zn_err *err)
{
	struct walk w = { .l = l };

	return zn_history_each(spool, since_s, false, put_ended, &w, err);
}

/* ---- events ------------------------------------------------------------------------------------- */

static void put_event(const struct zn_listing *l, struct zn_bytes event, uint64_t *last)
{
	uint64_t seq = 0;

	if (!zn_raw_is_text(zn_raw_get(event, "kind"), "event") || zn_raw_is_text(zn_raw_get(event, "event"), "is") ||
	    !zn_raw_u64(zn_raw_get(event, "seq"), &seq) || seq <= *last)
		return;
	*last = seq;
	if (is_wanted(l, zn_raw_get(event, "job")))
		l->put(l->arg, event);
}

int zn_listing_events(const struct zn_listing *l, struct zn_view_reader *r, uint64_t after, bool follow,
                      struct zn_err *err)
{
	struct zn_bytes record;

	for (;;) {
		int rc = zn_view_next(r, &record, err);
		if (rc == 1)
			put_event(l, record, &after);
		if (rc < 0 || (rc == 0 && !follow))
			return rc;
		if (rc == 0 && (rc = zn_view_wait(r, -1, -1)) < 0)
			return rc;
	}
}
