/* server: recovery, the loop, and the end. */
#include "serve/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/service.h"
#include "base/units.h"
#include "queue/spool.h"
#include "rec/frame.h"

static const char *log_path; /* of what standard error is */

void zn_log(const char *fmt, ...)
{
	char when[ZN_UNIT_TEXT];
	va_list ap;

	flockfile(stderr);
	if (log_path)
		zn_logfile_turn(log_path, ZN_LOG_MAX, STDERR_FILENO);
	if (!zn_service_is_journal(STDERR_FILENO))
		fprintf(stderr, "%s zn-schedd: ", zn_format_time(zn_now_s(), when));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

/* ---- recovery ---- */

struct recovery {
	struct zn_server *s;
	uint64_t history_seq;          /* what the history has already */
	uint64_t records, damaged;
};

static int on_record(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	struct recovery *r = arg;
	struct zn_server *s = r->s;
	struct zn_err err = { 0 };
	struct zn_job *job;
	const char *event;
	double time_s;

	zn_arena_reset(&s->arena);
	int rc = zn_memo_replay(&s->jobs, loc, payload, len, &s->arena, &event, &job, &time_s, &err);
	r->records++;
	bool snapshot = loc.file >> 63;
	if (snapshot) /* whose records carry tags for numbers */
		s->snapshot_bytes += len + ZN_FRAME_HEAD;
	if (snapshot)
		seq = loc.file & ~(UINT64_C(1) << 63);
	if (seq > s->seq)
		s->seq = seq;
	if (rc == -EBADMSG) {
		zn_log("journal: record %llu makes no sense and is left out: %s", (unsigned long long)seq, err.text);
		return 0;
	}
	if (rc < 0)
		return rc;
	if (!job || !event)
		return 0;
	job->view_seq = seq;
	if (!zn_job_is_finished(job->state))
		return 0;
	/* a snapshot is begun when the history on disk has all that is in it */
	if (snapshot ? !r->history_seq : seq > r->history_seq)
		zn_change_history(s, job, event, time_s);
	zn_job_forget_places(job);
	return 0;
}

static void on_damage(void *arg, const char *path, uint64_t offset, uint64_t len)
{
	struct recovery *r = arg;

	r->damaged++;
	zn_log("journal: '%s' is damaged: %llu bytes at offset %llu are lost; everything else is kept", path,
	       (unsigned long long)len, (unsigned long long)offset);
}

static void promote_all(struct zn_server *s)
{
	struct zn_job *job, *next;

	HASH_ITER(hh, s->jobs.by_id, job, next)
		if (job->state == ZN_JOB_PENDING)
			zn_submit_promote(s, job);
}

/* Another boot than the last time: whatever ran then runs no more. */
static void check_reboot(struct zn_server *s)
{
	char path[5000], last[ZN_BOOT_ID] = "", now[ZN_BOOT_ID];

	snprintf(path, sizeof(path), "%s/boot_id", s->spool);
	zn_boot_id(now);
	bool rebooted = zn_file_line(AT_FDCWD, path, last, sizeof(last)) == 0 && strcmp(last, now);
	for (uint32_t i = 0; i < s->n_nodes; i++)
		s->nodes[i].rebooted = rebooted;
	s->boot_is_new = strcmp(last, now);
}

/* Only once what the last boot left is settled, so that a crash before that asks the question again. */
void zn_boot_settled(struct zn_server *s)
{
	char path[5000], now[ZN_BOOT_ID];
	struct zn_err err = { "" };

	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].rebooted)
			return;
	if (!s->boot_is_new)
		return;
	snprintf(path, sizeof(path), "%s/boot_id", s->spool);
	zn_boot_id(now);
	if (zn_file_replace(path, now, strlen(now), 0600, &err) < 0)
		zn_log("%s", err.text);
	else
		s->boot_is_new = false;
}

static int recover(struct zn_server *s, struct zn_err *err)
{
	char path[5000];
	struct recovery r = { .s = s };
	struct zn_journal_replay replay = { .arg = &r, .record = on_record, .damage = on_damage };
	struct zn_journal_opts opts = { 0 };

	snprintf(path, sizeof(path), "%s/view", s->spool);
	int rc = zn_view_new(path, !s->is_private, &s->view, &r.history_seq, err);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/journal", s->spool);
	rc = zn_journal_open(path, &opts, &replay, &s->journal, err);
	if (rc < 0)
		return rc;
	s->durable = s->seq;
	check_reboot(s);
	promote_all(s);
	zn_after_recover(s);
	if (r.records)
		zn_log("recovered %llu records: %llu jobs waiting, %llu placed", (unsigned long long)r.records,
		       (unsigned long long)(s->jobs.count[ZN_JOB_PENDING] + s->jobs.count[ZN_JOB_QUEUED]),
		       (unsigned long long)(s->jobs.count[ZN_JOB_SCHEDULED] + s->jobs.count[ZN_JOB_RUNNING] +
		                            s->jobs.count[ZN_JOB_SUSPENDED]));
	rc = zn_view_rebuild(s);
	if (rc == -ENOSPC) { /* what runs can still end, and be cancelled */
		zn_log("the disk of the spool is full: the queue can't be shown yet");
		return 0;
	}
	return rc < 0 ? zn_err_set(err, rc, "can't write the view: %s", strerror(-rc)) : 0;
}

/* ---- the loop ---- */

void zn_server_fail(struct zn_server *s, int rc)
{
	s->status = rc;
	s->stopping = true;
	event_base_loopbreak(s->base);
}

void zn_server_stop(struct zn_server *s)
{
	struct timeval soon = { .tv_usec = 50000 }; /* the reply to who asked still leaves */

	s->stopping = true;
	/* with jobs the agent stays until these have ended: they go on without us */
	s->farewell = s->is_private;
	if (s->listener) { /* whoever comes now finds nobody and starts the next one */
		char path[4200];
		snprintf(path, sizeof(path), "%s/sock", s->spool);
		unlink(path);
		evconnlistener_free(s->listener);
		s->listener = NULL;
	}
	event_base_loopexit(s->base, &soon);
}

/* Readers wait for the view: when the disk is full it is tried again, with news or without. */
static void show(struct zn_server *s)
{
	static const struct timeval retry = { .tv_sec = 1 };
	int rc = zn_view_is_shown(s->view) ? zn_view_flush(s->view, s->durable) : -ENOSPC;

	if (rc < 0 && !s->view_is_behind)
		zn_log("can't write the view: %s", strerror(-rc));
	s->view_is_behind = rc < 0;
	if (rc < 0 && s->on_view && !evtimer_pending(s->on_view, NULL))
		evtimer_add(s->on_view, &retry);
}

static void on_view(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)fd;
	(void)what;
	if (!zn_view_is_shown(s->view))
		zn_view_rebuild(s);
	show(s);
}

static void on_durable(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;
	int64_t durable = zn_journal_durable(s->journal);

	(void)fd;
	(void)what;
	if (durable < 0) {
		zn_log("the journal can't be written: nothing more is accepted");
		zn_server_fail(s, -EIO);
		return;
	}
	s->durable = (uint64_t)durable;
	show(s);
	zn_later_run(s);
	zn_agent_ack(s);
	if (zn_view_is_stale(s->view))
		zn_view_rebuild(s);
	zn_snapshot_if_due(s);
	zn_turn_end(s);
}

void zn_turn_end(struct zn_server *s)
{
	do {
		zn_after_run(s);
		if (s->want_pick)
			zn_place_pass(s);
		if (s->status < 0)
			return;
		if (s->seq <= s->durable) { /* nothing to wait for */
			show(s);
			zn_later_run(s);
			zn_agent_ack(s);
		}
	} while (s->want_pick);
	if (s->seq > s->durable)
		zn_journal_kick(s->journal);
	zn_silence_arm(s);
	zn_idle_arm(s);
	zn_textfile_note(s);
}

static bool is_idle(const struct zn_server *s)
{
	for (int state = ZN_JOB_PENDING; state <= ZN_JOB_SUSPENDED; state++)
		if (s->jobs.count[state])
			return false;
	return !s->n_conns && !s->hooks && !s->snapshotting && !evtimer_pending(s->on_owed, NULL);
}

void zn_idle_arm(struct zn_server *s)
{
	if (!s->on_idle)
		return;
	if (!is_idle(s)) {
		event_del(s->on_idle);
	} else if (!event_pending(s->on_idle, EV_TIMEOUT, NULL)) {
		struct timeval tv = { .tv_sec = (time_t)s->conf.idle_exit_s, .tv_usec = 1 };
		event_add(s->on_idle, &tv);
	}
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)fd;
	(void)what;
	if (!is_idle(s))
		return;
	zn_log("nothing to do: going away");
	zn_server_stop(s);
}

static void on_times(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)fd;
	(void)what;
	zn_times_come(s);
	zn_turn_end(s);
}

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zn_place_soon(arg);
	zn_turn_end(arg);
}

/* Whatever waits for a turn. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zn_turn_end(arg);
}

static void on_silence(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	zn_silence_look(arg);
	zn_turn_end(arg);
}

static void on_owed(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)fd;
	(void)what;
	if (s->settled) /* else when it is */
		zn_owed_make(s);
	zn_turn_end(s);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)what;
	if (number == SIGCHLD) {
		zn_hook_reap(s);
		zn_agent_reap(s, false);
	} else {
		zn_server_stop(s);
	}
	zn_turn_end(s);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct zn_node *n = arg;

	(void)fd;
	(void)what;
	zn_agent_connect(n);
	zn_turn_end(n->server);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
	(void)l;
	(void)from;
	(void)len;
	zn_conn_accept(arg, fd);
}

static int cant_watch(struct zn_err *err)
{
	return zn_err_set(err, -ENOSPC, "the kernel watches no more descriptors for this user");
}

static int listen_on(struct zn_server *s, struct zn_err *err)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/sock", s->spool);
	int fd = zn_spool_listen(path, !s->is_private, err);
	if (fd < 0)
		return fd;
	s->listener = evconnlistener_new(s->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 1024, fd);
	if (!s->listener) {
		close(fd);
		return -ENOMEM;
	}
	return evconnlistener_enable(s->listener) < 0 ? cant_watch(err) : 0;
}

static int make_events(struct zn_server *s, const struct zn_serve_opts *opts, struct zn_err *err)
{
	static const int signals[3] = { SIGTERM, SIGINT, SIGCHLD };

	s->on_durable = event_new(s->base, zn_journal_fd(s->journal), EV_READ | EV_PERSIST, on_durable, s);
	s->on_deferred = event_new(s->base, -1, 0, on_deferred, s);
	s->on_after = event_new(s->base, -1, 0, on_turn, s);
	s->on_owed = evtimer_new(s->base, on_owed, s);
	s->on_silence = evtimer_new(s->base, on_silence, s);
	s->on_view = evtimer_new(s->base, on_view, s);
	if (opts->on_demand && s->conf.idle_exit_s > 0)
		s->on_idle = event_new(s->base, -1, 0, on_idle, s);
	if (!s->on_durable || !s->on_deferred || !s->on_after || !s->on_owed || !s->on_silence || !s->on_view)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (!(s->nodes[i].retry = event_new(s->base, -1, 0, on_retry, &s->nodes[i])) || zn_lost_open(&s->nodes[i]) < 0)
			return -ENOMEM;
	if (event_add(s->on_durable, NULL) < 0)
		return cant_watch(err);
	for (int i = 0; i < 3; i++) {
		s->on_signal[i] = evsignal_new(s->base, signals[i], on_signal, s);
		if (!s->on_signal[i])
			return -ENOMEM;
		if (event_add(s->on_signal[i], NULL) < 0)
			return cant_watch(err);
	}
	return 0;
}

/* What is said on the command line must be had; what everybody's configuration says another zn-schedd may have already, and
 * jobs run without it.
 */
static int open_metrics(struct zn_server *s, const struct zn_serve_opts *opts, struct zn_err *err)
{
	bool anywhere = opts->metrics_anywhere || s->conf.metrics_anywhere;
	const char *listen = opts->metrics ? opts->metrics : s->conf.metrics_listen;
	int rc = s->conf.metrics_textfile ? zn_textfile_open(s, s->conf.metrics_textfile, err) : 0;

	if (rc == 0 && listen)
		rc = zn_scrapes_open(s, listen, anywhere, err);
	if (rc == 0 || rc == -EINVAL || rc == -ENOMEM || opts->metrics)
		return rc;
	zn_log("%s", err->text);
	return 0;
}

static int start(struct zn_server *s, const struct zn_serve_opts *opts, struct zn_err *err)
{
	int rc = zn_conf_read(opts->config, &s->conf, err);

	if (rc < 0)
		return rc;
	zn_jobs_set_quotas(&s->jobs, s->conf.quotas, s->conf.shares);
	s->jobs.pick.preempt = zn_preempt;
	s->jobs.pick.preempt_arg = s;
	s->jobs.pick.line.weights = s->conf.weights;
	s->jobs.pick.policy.reservations = (uint32_t)s->conf.reservations;
	s->jobs.share_between_users = s->conf.share_between_users;
	rc = zn_licence_set(s);
	if (rc < 0)
		return rc;
	s->is_private = !opts->for_all;
	snprintf(s->spool, sizeof(s->spool), "%s", opts->spool);
	const struct zn_spool_owner us = { .uid = geteuid(), .gid = getegid() };
	rc = zn_spool_make(s->spool, opts->for_all ? &us : NULL, err);
	if (rc == 0)
		rc = s->lock = zn_spool_lock(s->spool, err);
	rc = rc < 0 ? rc : zn_nodes_open(s, opts->nodes, err);
	if (rc == 0)
		s->base = event_base_new();
	if (rc == 0 && !s->base)
		rc = -ENOMEM;
	if (rc == 0 && !(s->on_times = event_new(s->base, -1, 0, on_times, s)))
		rc = -ENOMEM;
	if (rc == 0)
		rc = recover(s, err);
	if (rc == 0)
		rc = make_events(s, opts, err);
	if (rc == 0)
		rc = zn_drop_start(s, err);
	if (rc == 0)
		rc = open_metrics(s, opts, err);
	if (rc == 0)
		rc = listen_on(s, err);
	return rc;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

/* All is durable: what waited for that leaves now. */
static void last_words(struct zn_server *s)
{
	s->durable = s->seq;
	zn_view_flush(s->view, s->durable);
	if (!s->base)
		return;
	zn_later_run(s);
	if (s->farewell) /* an agent that just begins is to hear it, too */
		zn_agent_reap(s, true);
	zn_agent_ack(s);
	for (int i = 0; i < 3; i++)
		event_base_loop(s->base, EVLOOP_NONBLOCK);
}

static void finish(struct zn_server *s)
{
	struct zn_conn *c;

	if (s->listener)
		evconnlistener_free(s->listener);
	s->listener = NULL;
	zn_scrapes_close(s);
	zn_textfile_close(s);
	if (s->journal && s->status == 0 && zn_journal_flush(s->journal) == 0)
		last_words(s);
	for (uint32_t i = 0; i < s->n_nodes; i++)
		zn_agent_disconnect(&s->nodes[i]);
	zn_later_drop_all(s);
	zn_hook_drop_all(s);
	zn_after_drop_all(s);
	struct event *const events[] = { s->on_durable, s->on_times, s->on_deferred, s->on_after, s->on_owed, s->on_silence, s->on_view, s->on_snapshot, s->on_drop,
	                                 s->on_signal[0], s->on_signal[1], s->on_signal[2] };
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		free_event(events[i]);
	if (s->drop_watch >= 0)
		close(s->drop_watch);
	if (s->journal)
		zn_journal_close(s->journal);
	if (s->lock >= 0)
		close(s->lock);
	zn_view_free(s->view);
	while ((c = TAILQ_FIRST(&s->conns))) /* last: their end says that the spool is free */
		zn_conn_close(c);
	free_event(s->on_idle);
	zn_jobs_done(&s->jobs);
	zn_nodes_close(s);
	zn_conf_done(&s->conf);
	zn_arena_done(&s->arena);
	if (s->base)
		event_base_free(s->base);
}

static void say_ready(int fd)
{
	struct zn_err err = { .text = "" };

	if (fd < 0) {
		if (zn_service_ready(&err) < 0)
			zn_log("%s", err.text);
		return;
	}
	if (write(fd, "", 1) < 0)
		zn_log("nobody waits for us any more");
	close(fd);
}

/* As many as our descriptors allow, less what we need ourselves.  The limit itself stays: jobs inherit it. */
static size_t conns_max(void)
{
	enum { MOST = 4096, OWN = 64 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > MOST + OWN)
		return MOST;
	return limit.rlim_cur > 2 * OWN ? (size_t)limit.rlim_cur - OWN : OWN;
}

int zn_serve(const struct zn_serve_opts *opts, struct zn_err *err)
{
	struct zn_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->drop_watch = s->lock = -1;
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->laters);
	STAILQ_INIT(&s->hook_waits);
	STAILQ_INIT(&s->ended);
	zn_jobs_init(&s->jobs);
	zn_counts_init(&s->counts);
	s->start_s = zn_now_s();
	signal(SIGPIPE, SIG_IGN);
	s->conns_max = conns_max();
	log_path = opts->log;
	int rc = start(s, opts, err);
	if (rc == 0) {
		say_ready(opts->ready_fd);
		for (uint32_t i = 0; i < s->n_nodes; i++) {
			zn_lost_note(&s->nodes[i]);
			zn_agent_connect(&s->nodes[i]);
		}
		zn_agent_await(s);
		zn_times_arm(s);
		zn_turn_end(s);
		event_base_dispatch(s->base);
		rc = s->status;
		if (rc < 0)
			zn_err_set(err, rc, "the journal in '%s' can't be written any more", s->spool);
	}
	finish(s);
	free(s);
	return rc;
}
