/* The view as its readers meet it: growing, rewritten under them, cut short, and gone into history. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/view.h"
#include "tap.h"

static char spool[64], dir[80];

static struct zn_event event(uint64_t seq, uint64_t id, const char *state, double end_s)
{
	struct zn_event e = { .seq = seq, .time_s = 1, .event = "x", .job = { .id = id, .user = "ann", .state = state } };

	if (end_s > 0)
		e.job.end_s = ZN_SOME_F64(end_s);
	return e;
}

static void put(struct zn_view *v, uint64_t seq, uint64_t id, const char *state)
{
	struct zn_event e = event(seq, id, state, 0);

	zn_view_put(v, &e);
}

/* What the reader gives, as text: "1:5 1:6 |" is two events of jobs 5 and 6, then a new generation. */
static const char *drain(struct zn_view_reader *r)
{
	static char text[512];
	struct zn_arena a = { 0 };
	struct zn_event e;
	struct zn_bytes record;
	int rc;

	text[0] = '\0';
	while ((rc = zn_view_next(r, &record, NULL)) > 0) {
		size_t n = strlen(text);
		if (rc == 2)
			snprintf(text + n, sizeof(text) - n, "| ");
		else if (zn_raw_decode(&zn_event_kind, record, &a, &e, NULL) == 0)
			snprintf(text + n, sizeof(text) - n, "%llu:%llu ", (unsigned long long)e.seq,
			         (unsigned long long)e.job.id);
	}
	if (rc < 0)
		strcat(text, "error");
	zn_arena_done(&a);
	return text;
}

static void growing(void)
{
	struct zn_view *v = NULL;
	struct zn_view_reader *r = NULL;
	struct zn_err err = { "" };
	uint64_t last;

	tap_ok(zn_view_open(spool, &r, &err) == -ENOENT, "a spool without a view: %s", err.text);
	tap_ok(zn_view_new(dir, false, &v, &last, &err) == 0 && last == 0, "a view is made %s", err.text);
	zn_view_begin(v, 0);
	put(v, 0, 1, "QUEUED");
	tap_ok(zn_view_publish(v, &err) == 0 && zn_view_open(spool, &r, &err) == 0, "its base is published %s", err.text);
	tap_ok(!strcmp(drain(r), "0:1 "), "a reader sees the base");
	put(v, 1, 2, "QUEUED");
	put(v, 2, 3, "QUEUED");
	tap_ok(!strcmp(drain(r), ""), "what is not durable is not shown");
	zn_view_flush(v, 1);
	tap_ok(!strcmp(drain(r), "1:2 "), "what became durable is, and no more");
	zn_view_flush(v, 2);
	tap_ok(!strcmp(drain(r), "2:3 "), "then the rest");
	tap_ok(zn_view_begin(v, 2) == 0, "a new generation may begin");
	put(v, 2, 3, "QUEUED");
	zn_view_publish(v, &err);
	put(v, 3, 4, "QUEUED");
	zn_view_flush(v, 3);
	tap_ok(!strcmp(drain(r), "| 2:3 3:4 "), "a reader at the end of the old one goes on in the new");
	put(v, 4, 9, "QUEUED");
	tap_ok(zn_view_begin(v, 4) == -EBUSY, "no base while something waits to be durable");
	zn_view_close(r);
	zn_view_free(v);
}

static void watching(void)
{
	struct zn_view *v;
	struct zn_view_reader *r;
	struct zn_err err = { "" };
	uint64_t last;

	zn_view_new(dir, false, &v, &last, &err);
	zn_view_begin(v, 9);
	zn_view_publish(v, &err);
	zn_view_open(spool, &r, &err);
	drain(r);
	tap_ok(zn_view_wait(r, -1, 0) == 1, "the first wait says: look once more");
	tap_ok(zn_view_wait(r, -1, 0) == 0, "then there is nothing");
	put(v, 10, 1, "QUEUED");
	zn_view_flush(v, 10);
	tap_ok(zn_view_wait(r, -1, 5000) == 1 && !strcmp(drain(r), "10:1 "), "a write wakes the reader");
	zn_view_begin(v, 10);
	zn_view_publish(v, &err);
	tap_ok(zn_view_wait(r, -1, 5000) == 1 && !strcmp(drain(r), "| "), "a new generation wakes it too");
	zn_view_close(r);
	zn_view_free(v);
}

/* ---- history ---- */

struct seen { int n; uint64_t ids[16]; };

static int note(void *arg, struct zn_bytes event)
{
	struct seen *s = arg;

	if (s->n < 16 && zn_raw_u64(zn_raw_get(zn_raw_get(event, "job"), "id"), &s->ids[s->n]))
		s->n++;
	return 0;
}

enum { DAY = 86400 };

static void past(void)
{
	struct zn_view *v;
	struct zn_err err = { "" };
	struct seen s = { 0 };
	uint64_t last = 0;
	char path[160];

	zn_view_new(dir, false, &v, &last, &err);
	zn_view_begin(v, 20);
	zn_view_publish(v, &err);
	for (uint64_t i = 0; i < 4; i++) {
		struct zn_event e = event(21 + i, 100 + i, "COMPLETED", 10.0 * DAY + (double)(i / 2) * DAY);
		zn_view_put_history(v, &e);
		zn_view_put(v, &e);
	}
	zn_view_flush(v, 30);
	tap_ok(zn_view_sync_history(v) == 0, "the history can be made durable");
	zn_view_free(v);
	zn_history_each(spool, 0, false, note, &s, &err);
	tap_ok(s.n == 4 && s.ids[0] == 100 && s.ids[3] == 103, "four ends over two days, in order");
	s.n = 0;
	zn_history_each(spool, 10.5 * DAY, true, note, &s, &err);
	tap_ok(s.n == 2 && s.ids[0] == 102, "only those since a time");
	snprintf(path, sizeof(path), "%s/history/19700112.zv", dir);
	struct stat st;
	tap_ok(stat(path, &st) == 0 && truncate(path, st.st_size - 3) == 0, "the newest file loses its last bytes");
	zn_view_new(dir, false, &v, &last, &err);
	tap_ok(last == 23, "opened again, it ends with the last whole event: %llu", (unsigned long long)last);
	struct zn_event e = event(24, 103, "COMPLETED", 11.0 * DAY);
	zn_view_begin(v, 24);
	zn_view_publish(v, &err);
	zn_view_put_history(v, &e);
	zn_view_flush(v, 24);
	s.n = 0;
	zn_history_each(spool, 0, false, note, &s, &err);
	tap_ok(s.n == 4 && s.ids[3] == 103, "and goes on behind it");
	zn_view_forget_history(v, 11.5 * DAY);
	s.n = 0;
	zn_history_each(spool, 0, false, note, &s, &err);
	tap_ok(s.n == 2, "days before a time are forgotten");
	zn_view_free(v);
}

/* A limit on the size of files ends a write in the middle, as a full disk does. */
static void full(void)
{
	struct zn_view *v;
	struct zn_view_reader *r;
	struct zn_err err = { "" };
	struct seen s = { 0 };
	struct rlimit old, small = { 0 };
	uint64_t last;

	zn_view_new(dir, false, &v, &last, &err);
	zn_view_begin(v, 40);
	put(v, 40, 1, "QUEUED");
	zn_view_publish(v, &err);
	zn_view_open(spool, &r, &err);
	drain(r);
	for (uint64_t i = 0; i < 3; i++) {
		struct zn_event e = event(41 + i, 200 + i, "COMPLETED", 20.0 * DAY);
		zn_view_put(v, &e);
		zn_view_put_history(v, &e);
	}
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (small.rlim_max = old.rlim_max, small.rlim_cur = 1; small.rlim_cur < 800; small.rlim_cur += 7) {
		setrlimit(RLIMIT_FSIZE, &small);
		int rc = zn_view_flush(v, 50);
		setrlimit(RLIMIT_FSIZE, &old);
		if (rc == 0)
			break;
	}
	tap_ok(small.rlim_cur > 100 && small.rlim_cur < 800, "a disk that takes %llu bytes takes all, in many pieces",
	       (unsigned long long)small.rlim_cur);
	tap_ok(!strcmp(drain(r), "41:200 42:201 43:202 "), "a reader sees each event once, and whole");
	zn_history_each(spool, 19.0 * DAY, false, note, &s, &err);
	tap_ok(s.n == 3 && s.ids[0] == 200 && s.ids[2] == 202, "so does the history");
	zn_view_begin(v, 50);
	put(v, 50, 300, "QUEUED");
	small.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &small);
	tap_ok(zn_view_publish(v, &err) < 0, "a base that does not fit is not published: %s", err.text);
	setrlimit(RLIMIT_FSIZE, &old);
	put(v, 51, 301, "QUEUED");
	tap_ok(zn_view_flush(v, 51) == 0 && !strcmp(drain(r), "51:301 "), "and the generation before it goes on");
	zn_view_close(r);
	zn_view_free(v);
}

/* Who saw in the view that a job has ended looks for it in the history. */
static void order(void)
{
	char history[100], away[100];
	struct zn_view *v;
	struct zn_view_reader *r;
	struct zn_err err = { "" };
	struct seen s = { 0 };
	struct zn_event e = event(61, 400, "COMPLETED", 30.0 * DAY), f = event(62, 401, "COMPLETED", 30.0 * DAY);
	uint64_t last;

	snprintf(history, sizeof(history), "%s/history", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	zn_view_new(dir, false, &v, &last, &err);
	zn_view_begin(v, 60);
	zn_view_publish(v, &err);
	zn_view_open(spool, &r, &err);
	zn_view_put(v, &e);
	zn_view_put_history(v, &e);
	rename(history, away);
	tap_ok(zn_view_flush(v, 61) < 0 && !strcmp(drain(r), ""), "an end that the history can't take is not shown");
	rename(away, history);
	zn_view_put(v, &f);
	zn_view_put_history(v, &f);
	tap_ok(zn_view_flush(v, 62) == 0 && !strcmp(drain(r), "61:400 62:401 "), "it is once it could");
	zn_history_each(spool, 29.0 * DAY, false, note, &s, &err);
	tap_ok(s.n == 2, "and each is there once");
	zn_view_close(r);
	zn_view_free(v);
}

int main(void)
{
	char command[128];

	strcpy(spool, "/tmp/zn-view.XXXXXX");
	if (!mkdtemp(spool))
		return 71;
	snprintf(dir, sizeof(dir), "%s/view", spool);
	growing();
	watching();
	past();
	full();
	order();
	snprintf(command, sizeof(command), "rm -rf '%s'", spool);
	tap_ok(system(command) == 0, "cleaned up");
	return tap_done();
}
