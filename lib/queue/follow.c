#include "queue/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "job/number.h"
#include "job/spans.h"
#include "job/spec.h"
#include "job/state.h"
#include "queue/client.h"
#include "queue/view.h"

enum { MANY = 16 };

struct awaited {
	uint64_t arrival;              /* job/number.h */
	bool seen, started, ended;     /* seen: in this generation of the view */
};

struct waiting {
	const struct zn_follow *f;
	struct awaited *jobs;          /* each once */
	size_t n, unseen, left;
};

static bool has_ended(const struct zn_job_record *job)
{
	enum zn_job_state state;

	return job->state && zn_job_state_parse(job->state, &state) == 0 && zn_job_is_finished(state);
}

static bool has_run(const struct zn_job_record *job)
{
	return job->start_s.has || job->exit_code.has || job->signal;
}

static int by_arrival(const void *a, const void *b)
{
	const struct awaited *x = a, *y = b;

	return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static int await(struct waiting *w, const uint64_t *ids, size_t n)
{
	w->jobs = calloc(n + 1, sizeof(*w->jobs));
	if (!w->jobs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		w->jobs[i].arrival = zn_handle_arrival(ids[i]);
	qsort(w->jobs, n, sizeof(*w->jobs), by_arrival);
	for (size_t i = 0; i < n; i++)
		if (!w->n || w->jobs[w->n - 1].arrival != w->jobs[i].arrival)
			w->jobs[w->n++] = w->jobs[i];
	w->left = w->unseen = w->n;
	return 0;
}

static void see_none(struct waiting *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->jobs[i].seen = false;
	w->unseen = w->n;
}

static void take_job(struct waiting *w, struct awaited *j, const struct zn_job_record *job)
{
	if (!j->started && has_run(job)) {
		j->started = true;
		if (w->f->started)
			w->f->started(w->f->arg, job);
	}
	if (j->ended || !has_ended(job))
		return;
	j->ended = true;
	w->left--;
	if (w->f->done)
		w->f->done(w->f->arg, job);
}

static void see(struct waiting *w, struct awaited *j)
{
	w->unseen -= !j->seen;
	j->seen = true;
}

static struct awaited *find(const struct waiting *w, uint64_t arrival)
{
	struct awaited key = { .arrival = arrival };

	return bsearch(&key, w->jobs, w->n, sizeof(*w->jobs), by_arrival);
}

static int take_own(struct waiting *w, struct awaited *j, struct zn_bytes job, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_job_record record;
	int rc = zn_raw_decode(&zn_job_kind, job, &a, &record, err);

	see(w, j);
	if (rc == 0)
		take_job(w, j, &record);
	zn_arena_done(&a);
	return rc;
}

/* The first that is awaited of the elements of an array. */
static size_t first_element(const struct waiting *w, uint64_t number)
{
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (w->jobs[mid].arrival < zn_handle_arrival(zn_handle(number, 0)))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* It waits with the others; or, with the record of an array that was cancelled, it never begins. */
static int take_element(struct waiting *w, struct awaited *j, struct zn_bytes array, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_job_record record;
	int rc = array.p ? zn_raw_decode(&zn_job_kind, array, &a, &record, err) : 0;

	see(w, j);
	if (rc == 0 && array.p) {
		zn_record_of_element(&record, zn_handle_index(zn_handle_of_arrival(j->arrival)));
		take_job(w, j, &record);
	}
	zn_arena_done(&a);
	return rc;
}


static int take_array(struct waiting *w, uint64_t number, struct zn_bytes job, struct zn_err *err)
{
	struct zn_bytes text = zn_raw_text(zn_raw_get(job, "array")), never = zn_raw_text(zn_raw_get(job, "array_never"));
	struct zn_arena a = { 0 };
	struct zn_spans rest = { 0 };
	uint32_t at_once;
	size_t i = first_element(w, number);
	bool is_over = never.p != NULL;

	text = is_over ? never : text;
	const char *list = text.p ? zn_arena_printf(&a, "%.*s", (int)text.n, (const char *)text.p) : NULL;
	int rc = !text.p ? 0 : list ? zn_spans_parse(list, &rest, &at_once, err) : -ENOMEM;

	for (; rc == 0 && i < w->n && w->jobs[i].arrival < zn_handle_arrival(number); i++)
		if (zn_spans_has(&rest, zn_handle_index(zn_handle_of_arrival(w->jobs[i].arrival))))
			rc = take_element(w, &w->jobs[i], is_over ? job : (struct zn_bytes){ 0 }, err);
	zn_spans_done(&rest);
	zn_arena_done(&a);
	return rc;
}

static int take_event(struct waiting *w, struct zn_bytes event, struct zn_err *err)
{
	struct zn_bytes job = zn_raw_get(event, "job");
	uint64_t handle = 0;

	zn_raw_handle(job, &handle);
	struct awaited *j = find(w, zn_handle_arrival(handle));
	int rc = j ? take_own(w, j, job, err) : 0;
	return rc == 0 && zn_raw_get(job, "elements").p ? take_array(w, handle, job, err) : rc;
}

static int take_past(void *arg, struct zn_bytes event)
{
	int rc = take_event(arg, event, NULL);

	return rc < 0 ? rc : ((struct waiting *)arg)->left == 0;
}

/* All that the view has now.  A job that is not in it has ended (or never was): the history knows. */
static int drain(struct zn_view_reader *r, const char *spool, struct waiting *w, struct zn_err *err)
{
	struct zn_bytes record;
	char number[ZN_NUMBER_TEXT];
	int rc;

	while ((rc = zn_view_next(r, &record, err)) > 0 && w->left) {
		if (rc == 2)
			see_none(w);
		else if (zn_raw_is_text(zn_raw_get(record, "kind"), "event"))
			rc = take_event(w, record, err);
		if (rc < 0)
			break;
	}
	if (rc >= 0 && w->left && w->unseen)
		rc = zn_history_each(spool, 0, true, take_past, w, err);
	for (size_t i = 0; rc >= 0 && w->left && w->unseen && i < w->n; i++)
		if (!w->jobs[i].seen)
			return zn_err_set(err, -ENOENT, "there is no job %s", zn_handle_text(zn_handle_of_arrival(w->jobs[i].arrival), number));
	return rc < 0 ? rc : 0;
}

static int pause_ms(const struct zn_follow *f, double timeout_s, uint64_t end_ns)
{
	int ms = f->tick ? f->tick_ms : -1;

	if (timeout_s < 0)
		return ms;
	uint64_t now = zn_boot_ns();
	uint64_t left = now < end_ns ? (end_ns - now) / 1000000u + 1 : 0;
	if (left > 3600000)
		left = 3600000;
	return ms < 0 || (uint64_t)ms > left ? (int)left : ms;
}

/* Where many are awaited news comes in bunches: each is not worth a look of its own. */
static void rest(const struct waiting *w)
{
	static const struct timespec moment = { .tv_nsec = 10000000 };

	if (w->left > MANY && !w->f->tick)
		nanosleep(&moment, NULL);
}

/* Until there is news.  If zn-schedd can't be had again somebody else may start it: the view will show. */
static int sleep_until_news(struct zn_view_reader *r, struct zn_client **client, int timeout_ms)
{
	int rc = zn_view_wait(r, *client ? zn_client_fd(*client) : -1, timeout_ms);

	if (rc == 2 && zn_client_reopen(*client, NULL) < 0)
		*client = NULL;
	return rc < 0 ? rc : 0;
}

int zn_follow_jobs(const char *spool, const uint64_t *ids, size_t n, double timeout_s, const struct zn_follow *f,
                   struct zn_err *err)
{
	struct waiting w = { .f = f };
	uint64_t end_ns = zn_boot_ns() + (uint64_t)((timeout_s < 0 ? 0 : timeout_s) * 1e9);
	struct zn_view_reader *r = NULL;
	struct zn_client *client = f->client;
	int rc = zn_view_open(spool, &r, err);

	if (rc < 0)
		return rc;
	rc = await(&w, ids, n);
	while (rc == 0) {
		rc = drain(r, spool, &w, err);
		if (f->tick && rc >= 0)
			rc = f->tick(f->arg, err);
		if (rc < 0 || !w.left)
			break;
		if (timeout_s >= 0 && zn_boot_ns() >= end_ns)
			rc = zn_err_set(err, -ETIMEDOUT, "%zu of %zu jobs have not ended yet", w.left, w.n);
		else
			rc = sleep_until_news(r, &client, pause_ms(f, timeout_s, end_ns));
		rest(&w);
	}
	free(w.jobs);
	zn_view_close(r);
	return rc;
}

static int cant_read(const struct zn_tail *t, struct zn_err *err)
{
	return zn_err_set(err, -errno, "can't read '%s': %s", t->path, strerror(errno));
}

int zn_tail_copy(struct zn_tail *t, struct zn_err *err)
{
	char block[65536];
	ssize_t n;

	if (t->from < 0)
		t->from = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (t->from < 0)
		return errno == ENOENT ? 0 : cant_read(t, err);
	while ((n = read(t->from, block, sizeof(block))) > 0) {
		int rc = zn_write_all(t->to, block, (size_t)n);
		if (rc < 0)
			return zn_err_set(err, rc, "can't write to standard %s: %s", t->to == 2 ? "error" : "output",
			                  strerror(-rc));
	}
	return n < 0 && errno != EINTR && errno != EAGAIN ? cant_read(t, err) : 0;
}

void zn_tail_done(struct zn_tail *t)
{
	if (t->from >= 0)
		close(t->from);
	t->from = -1;
}

int zn_job_exit_status(const struct zn_job_record *job, int fallback)
{
	if (job->signal)
		return 128 + (zn_signal_parse(job->signal) > 0 ? zn_signal_parse(job->signal) : 0);
	return job->exit_code.has ? (int)job->exit_code.v : fallback;
}
