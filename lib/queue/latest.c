#include "queue/latest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "job/number.h"
#include "job/spans.h"
#include "job/state.h"

/* The record's bytes are only lent. */
static int keep(struct zn_latest *l, struct zn_bytes record, struct zn_bytes *ret)
{
	const void *p = zn_arena_memdup(&l->arena, record.p, record.n);

	if (!p)
		return -ENOMEM;
	*ret = (struct zn_bytes){ p, record.n };
	return 0;
}

static int make_room(struct zn_latest *l)
{
	if (l->n_jobs < l->room)
		return 0;
	size_t room = l->room ? l->room * 2 : 64;
	struct zn_latest_job *jobs = reallocarray(l->jobs, room, sizeof(*jobs));
	if (!jobs)
		return -ENOMEM;
	l->jobs = jobs;
	l->room = room;
	return 0;
}

static ssize_t find(const struct zn_latest *l, uint64_t arrival)
{
	size_t lo = 0, hi = l->n_jobs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->jobs[mid].arrival < arrival)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n_jobs && l->jobs[lo].arrival == arrival ? (ssize_t)lo : -1;
}

/* Nearly always a number is the largest so far, or known: then they stay sorted as they come. */
static int put_job(struct zn_latest *l, const struct zn_latest_job *job)
{
	bool is_new = !l->n_jobs || job->arrival > l->jobs[l->n_jobs - 1].arrival;
	ssize_t at = is_new || l->is_mixed ? -1 : find(l, job->arrival);

	if (at >= 0) {
		l->jobs[at] = *job;
		return 0;
	}
	int rc = make_room(l);
	if (rc < 0)
		return rc;
	l->is_mixed |= !is_new;
	l->jobs[l->n_jobs++] = *job;
	return 0;
}

static int take_job(struct zn_latest *l, struct zn_bytes record, struct zn_err *err)
{
	struct zn_latest_job job = { .order = l->n_records++ };
	uint64_t handle;

	if (!zn_raw_handle(record, &handle))
		return zn_err_set(err, -EBADMSG, "an event of no job in the view");
	job.arrival = zn_handle_arrival(handle);
	int rc = keep(l, record, &job.record);
	return rc < 0 ? rc : put_job(l, &job);
}

/* One more of those that come once in a generation. */
static int append(struct zn_latest *l, struct zn_bytes record, struct zn_bytes **to, size_t *n)
{
	struct zn_bytes *v = reallocarray(*to, *n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	*to = v;
	return keep(l, record, &v[(*n)++]);
}

static bool is_same(struct zn_bytes a, struct zn_bytes b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

/* Place of the one with the same texts at these keys; behind all others when it is the first.  -ENOMEM. */
static ssize_t place_of(struct zn_bytes record, const char *const keys[2], struct zn_bytes **v, size_t *n)
{
	size_t at = 0;

	while (at < *n && (!is_same(zn_raw_get((*v)[at], keys[0]), zn_raw_get(record, keys[0])) ||
	                   !is_same(zn_raw_get((*v)[at], keys[1]), zn_raw_get(record, keys[1]))))
		at++;
	if (at < *n)
		return (ssize_t)at;
	struct zn_bytes *grown = reallocarray(*v, at + 1, sizeof(**v));
	if (!grown)
		return -ENOMEM;
	*v = grown;
	(*v)[(*n)++] = (struct zn_bytes){ 0 };
	return (ssize_t)at;
}

static int take_share(struct zn_latest *l, struct zn_bytes record)
{
	ssize_t at = place_of(record, (const char *const[]){ "user", "account" }, &l->shares, &l->n_shares);

	return at < 0 ? (int)at : keep(l, record, &l->shares[at]);
}

static int take_node(struct zn_latest *l, struct zn_bytes record)
{
	ssize_t at = place_of(record, (const char *const[]){ "node_id", "node_id" }, &l->nodes, &l->n_nodes);

	return at < 0 ? (int)at : keep(l, record, &l->nodes[at]);
}

static int take_booking(struct zn_latest *l, struct zn_bytes record)
{
	ssize_t at = place_of(record, (const char *const[]){ "name", "name" }, &l->bookings, &l->n_bookings);

	return at < 0 ? (int)at : keep(l, record, &l->bookings[at]);
}

static int take(struct zn_latest *l, struct zn_bytes record, struct zn_err *err)
{
	struct zn_bytes kind = zn_raw_get(record, "kind");

	if (zn_raw_is_text(kind, "event"))
		return take_job(l, zn_raw_get(record, "job"), err);
	if (zn_raw_is_text(kind, "share"))
		return take_share(l, record);
	if (zn_raw_is_text(kind, "quota"))
		return append(l, record, &l->quotas, &l->n_quotas);
	if (zn_raw_is_text(kind, "licence"))
		return append(l, record, &l->licences, &l->n_licences);
	if (zn_raw_is_text(kind, zn_booking_kind.name))
		return take_booking(l, record);
	return zn_raw_is_text(kind, "node") ? take_node(l, record) : 0;
}

static int by_arrival(const void *a, const void *b)
{
	const struct zn_latest_job *x = a, *y = b;

	return x->arrival != y->arrival ? (x->arrival > y->arrival) - (x->arrival < y->arrival)
	                                : (x->order > y->order) - (x->order < y->order);
}

/* By number, and the last record of each. */
static void settle(struct zn_latest *l)
{
	size_t n = 0;

	if (l->is_mixed)
		qsort(l->jobs, l->n_jobs, sizeof(*l->jobs), by_arrival);
	for (size_t i = 0; i < l->n_jobs; i++)
		if (i + 1 == l->n_jobs || l->jobs[i].arrival != l->jobs[i + 1].arrival)
			l->jobs[n++] = l->jobs[i];
	l->n_jobs = n;
}

/* ---- arrays ---- */

/* What its elements do that have begun, or wait by themselves. */
static enum zn_job_state state_of(const struct zn_latest *l, size_t from, size_t to)
{
	enum zn_job_state all = ZN_JOB_PENDING;

	for (size_t i = from; i < to; i++) {
		struct zn_bytes state = zn_raw_get(l->jobs[i].record, "state");
		if (zn_raw_is_text(state, "QUEUED"))
			all = ZN_JOB_QUEUED;
		else if (zn_raw_is_text(state, "RUNNING") || zn_raw_is_text(state, "SCHEDULED") || zn_raw_is_text(state, "SUSPENDED"))
			return ZN_JOB_RUNNING;
	}
	return all;
}

/* That job is at jobs[at], its elements are before it. */
static size_t first_element(const struct zn_latest *l, size_t at)
{
	uint64_t number = l->jobs[at].arrival >> ZN_INDEX_BITS;

	while (at > 0 && l->jobs[at - 1].arrival >> ZN_INDEX_BITS == number)
		at--;
	return at;
}

/* What waits of it now, in its record. */
static int renew(struct zn_latest *l, size_t at, size_t from, const struct zn_spans *rest, uint32_t at_once, struct zn_err *err)
{
	struct zn_latest_job *job = &l->jobs[at];
	struct zn_job_record record;
	struct zn_buf b = { 0 };
	int rc = zn_raw_decode(&zn_job_kind, job->record, &l->arena, &record, err);

	if (rc < 0)
		return rc;
	record.array = rest->count ? zn_spans_text(rest, &l->arena) : NULL;
	if (record.array && at_once)
		record.array = zn_arena_printf(&l->arena, "%s%%%u", record.array, at_once);
	job->hidden = !rest->count;
	if (job->hidden) {
		record.state = zn_job_state_name(state_of(l, from, at));
		record.reason = NULL;
	}
	rc = rest->count && !record.array ? -ENOMEM : zn_encode(&zn_job_kind, &record, &b);
	if (rc == 0)
		rc = keep(l, (struct zn_bytes){ b.data, b.len }, &job->record);
	zn_buf_done(&b);
	return rc;
}

static int look_at_array(struct zn_latest *l, size_t at, struct zn_bytes text, struct zn_err *err)
{
	struct zn_spans rest;
	uint32_t at_once;
	const char *list = zn_arena_printf(&l->arena, "%.*s", (int)text.n, (const char *)text.p);
	int rc = list ? zn_spans_parse(list, &rest, &at_once, err) : -ENOMEM;

	if (rc < 0)
		return rc;
	size_t from = first_element(l, at);
	for (size_t i = from; rc == 0 && i < at; i++) /* those wait with the others no more */
		rc = zn_spans_remove(&rest, zn_handle_index(zn_handle_of_arrival(l->jobs[i].arrival)));
	if (rc == 0)
		rc = renew(l, at, from, &rest, at_once, err);
	zn_spans_done(&rest);
	return rc;
}

/* An array's record says what waited when it was written. */
static int take_out_elements(struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->n_jobs; i++) {
		struct zn_latest_job *job = &l->jobs[i];
		struct zn_bytes waits = zn_raw_text(zn_raw_get(job->record, "array"));
		if (waits.p)
			rc = look_at_array(l, i, waits, err);
		else if (zn_raw_get(job->record, "elements").p)
			job->hidden = !zn_raw_get(job->record, "end_s").p;
	}
	return rc;
}

int zn_latest_read(struct zn_view_reader *r, struct zn_latest *ret, struct zn_err *err)
{
	struct zn_latest l = { 0 };
	struct zn_bytes record;
	int rc, taken = 0;

	while (taken == 0 && (rc = zn_view_next(r, &record, err)) > 0) {
		if (rc == 2)
			l.n_jobs = l.n_nodes = l.n_quotas = l.n_shares = l.n_licences = l.n_bookings = 0;
		else
			taken = take(&l, record, err);
	}
	if (taken < 0 || rc < 0) {
		zn_latest_done(&l);
		return taken < 0 ? taken : rc;
	}
	settle(&l);
	rc = take_out_elements(&l, err);
	if (rc < 0)
		zn_latest_done(&l);
	*ret = l;
	return rc;
}

ssize_t zn_latest_find(const struct zn_latest *l, uint64_t handle)
{
	return find(l, zn_handle_arrival(handle));
}

void zn_latest_done(struct zn_latest *l)
{
	free(l->jobs);
	free(l->nodes);
	free(l->quotas);
	free(l->shares);
	free(l->licences);
	free(l->bookings);
	zn_arena_done(&l->arena);
	*l = (struct zn_latest){ 0 };
}
