/* shepherd: the life of one job, from its record in the log to its exit there: what the agent, the clock and the
 * job's terminal say while it runs, and what it used.
 */
#include "node/shepherd_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "job/number.h"
#include "node/log.h"

enum {
	MOMENT_MS = 2,
	RETRY_MS = 1000,      /* after the log took no word of a start, or it could not be frozen */
	HERD_MS = 1000,       /* between looks after an adopted job */
	HERD_ENDING_MS = 20,  /* and while it is ended, since nobody tells us when the last one is gone */
};

char *zn_job_name(uint64_t job, uint32_t attempt, char to[ZN_JOB_NAME])
{
	snprintf(to, ZN_JOB_NAME, "%llu.%u", (unsigned long long)job, attempt);
	return to;
}

bool zn__shepherd_tell(const struct shepherd *s, enum zn_shepherd_what what, const char *text)
{
	struct zn_shepherd_event e = { .what = what };
	ssize_t n;

	snprintf(e.text, sizeof(e.text), "%s", text);
	do
		n = send(s->sock, &e, sizeof(e), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(e);
}

static void bear_name(const struct shepherd *s)
{
	char name[64], number[ZN_NUMBER_TEXT];

	snprintf(name, sizeof(name), "zn-job-%s", zn_handle_text(s->start->job, number));
	prctl(PR_SET_NAME, name);
}

/* On record before anything runs, so that no successor of the agent can overlook it. */
static void record_start(struct shepherd *s)
{
	struct zn_proc_id id = { 0 };
	char name[ZN_JOB_NAME], text[256];

	zn_proc_id_read(getpid(), &id);
	struct zn_log_start e = {
		.job = s->start->job, .attempt = s->start->attempt, .pid = (uint32_t)getpid(), .ticks = id.start,
		.time_s = s->start_s, .hold = zn_job_name(s->start->job, s->start->attempt, name),
		.adopt_pid = s->start->adopt_pid, .adopt_ticks = s->start->adopt_ticks,
	};
	int rc = s->sigfd < 0 || s->timerfd < 0 ? -EMFILE : zn_log_append(s->home->dirfd, &zn_log_start_kind, &e, false);
	if (rc == 0)
		return;
	snprintf(text, sizeof(text), "the agent's log can't be written: %s", strerror(-rc));
	zn__shepherd_tell(s, ZN_SHEPHERD_REFUSED, text);
	_exit(1);
}

void zn__shepherd_set_reason(struct shepherd *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void zn__shepherd_set_reason(struct shepherd *s, const char *fmt, ...)
{
	va_list ap;

	if (s->reason[0])
		return; /* the first one is why */
	va_start(ap, fmt);
	vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
	va_end(ap);
}

/* That it runs is told when it has run for a moment: most of what is over at once is told with its end, in one
 * write and one message.
 */
static int put_started(struct shepherd *s, struct zn_buf *to)
{
	struct zn_msg_report r = { .what = "started", .job = s->start->job, .attempt = s->start->attempt,
	                           .time_s = s->start_s, .confinement = zn_buf_text(&s->notes) };

	if (s->first_pid)
		r.pid = ZN_SOME_U64((uint64_t)s->first_pid);
	return zn_msg_put(to, 0, 0, &zn_msg_report_kind, &r);
}

static void tell_started(struct shepherd *s)
{
	struct zn_buf b = { 0 };

	s->told_started = put_started(s, &b) == 0 && zn_log_append_frames(s->home->dirfd, &b, false) == 0;
	if (s->told_started)
		zn__shepherd_tell(s, ZN_SHEPHERD_LOGGED, "");
	zn_buf_done(&b);
}

static void suspend(struct shepherd *s)
{
	if (s->phase != RUNNING || s->suspended_since)
		return;
	s->suspended_since = zn_boot_ns();
	zn__shepherd_freeze(s, true);
}

static void resume(struct shepherd *s)
{
	if (s->phase != RUNNING || !s->suspended_since)
		return;
	s->suspended_ns += zn_boot_ns() - s->suspended_since;
	s->suspended_since = 0;
	zn__shepherd_freeze(s, false);
}

/* The job's wish, when it is one. */
static int first_signal(const struct shepherd *s)
{
	const struct zn_ou64 *wish = &s->start->signal;

	return wish->has && wish->v > 0 && wish->v < NSIG ? (int)wish->v : SIGTERM;
}

static void obey(struct shepherd *s, const struct zn_shepherd_cmd *c)
{
	if (strcmp(c->op, "stop") == 0) {
		zn__shepherd_end_because(s, c->reason, c->signal ? (int)c->signal : first_signal(s),
		                         c->has_grace ? c->grace_s : s->start->grace_s);
	} else if (strcmp(c->op, "signal") == 0) {
		zn__shepherd_signal(s, (int)c->signal);
	} else if (strcmp(c->op, "suspend") == 0) {
		suspend(s);
	} else if (strcmp(c->op, "resume") == 0) {
		resume(s);
	} else if (strcmp(c->op, "limit") == 0) {
		s->limit_s = c->has_limit ? c->limit_s : 0;
	}
}

static void read_commands(struct shepherd *s)
{
	struct zn_shepherd_cmd c;
	ssize_t n;

	while ((n = recv(s->sock, &c, sizeof(c), MSG_DONTWAIT)) == (ssize_t)sizeof(c))
		obey(s, &c);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	s->agent_lives = false;
	zn__shepherd_end_because(s, "lost: the agent died", SIGTERM, zn__shepherd_short_grace_s(s));
}

/* Nobody looks at it any more; a shell that was hung up has ended already. */
static void look_at_terminal(struct shepherd *s, short revents)
{
	if (!revents)
		return;
	close(s->term_fd);
	s->term_fd = -1;
	zn__shepherd_end_because(s, "its terminal is gone", SIGHUP, s->start->grace_s);
}

/* When we must look again, by the boot clock; 0: when something happens. */
static uint64_t next_look(const struct shepherd *s)
{
	if (s->phase != RUNNING)
		return s->kill_ns;
	if (s->limit_s <= 0 || s->suspended_since || s->limit_s > 1e9)
		return 0;
	return s->start_ns + s->suspended_ns + (uint64_t)(s->limit_s * NS) + 1;
}

static void arm(struct shepherd *s)
{
	uint64_t at = next_look(s);
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at / NS), .tv_nsec = (long)(at % NS) } };

	timerfd_settime(s->timerfd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void look_at_clock(struct shepherd *s)
{
	uint64_t at = next_look(s);

	if (!at || zn_boot_ns() < at)
		return;
	if (s->phase == RUNNING) {
		zn__shepherd_end_because(s, "time limit", first_signal(s), s->start->grace_s);
	} else {
		zn__shepherd_kill(s);
	}
}

static void read_signals(struct shepherd *s)
{
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo == SIGTERM)
			zn__shepherd_end_because(s, "its shepherd was told to end", SIGTERM, s->start->grace_s);
}

/* How long to sleep at most when nothing happens. */
static int patience_ms(const struct shepherd *s, bool tried)
{
	if (!tried)
		return MOMENT_MS;
	if (!zn__shepherd_is_adopted(s))
		return s->told_started && !s->freezes_later ? -1 : RETRY_MS;
	return s->phase == RUNNING ? HERD_MS : HERD_ENDING_MS;
}

static void tend(struct shepherd *s)
{
	struct pollfd p[5] = { { .fd = s->sigfd, .events = POLLIN }, { .fd = s->timerfd, .events = POLLIN },
	                       { .fd = s->sock, .events = POLLIN }, { .fd = s->herd.pidfd, .events = POLLIN },
	                       { .fd = s->term_fd, .events = POLLIN } };
	uint64_t tell_ns = zn_boot_ns() + MOMENT_MS * NS / 1000;
	bool tried = false;

	while (!zn__shepherd_is_over(s) && !s->gave_up) {
		if (p[2].revents)
			read_commands(s);
		look_at_terminal(s, p[4].revents);
		look_at_clock(s);
		if (s->freezes_later)
			zn__shepherd_freeze(s, s->suspended_since != 0);
		arm(s);
		p[2].fd = s->agent_lives ? s->sock : -1;
		p[3].fd = s->n_running ? s->herd.pidfd : -1;
		p[4].fd = s->term_fd;
		p[4].revents = 0;
		if (poll(p, 5, patience_ms(s, tried)) < 0 && errno != EINTR)
			_exit(1);
		if (!s->told_started && zn_boot_ns() >= tell_ns) {
			tell_started(s); /* should the disk be full until then, its end will tell it too */
			tell_ns = zn_boot_ns() + RETRY_MS * NS / 1000;
			tried = true;
		}
		read_signals(s);
	}
}

static void measure(struct shepherd *s, struct zn_msg_report *r)
{
	struct zn_hold_usage u;
	char limit[ZN_UNIT_TEXT];
	double ran = (double)(zn_boot_ns() - s->start_ns - s->suspended_ns) / NS;

	zn_hold_usage(&s->hold, &u);
	r->cpu_s = ZN_SOME_F64(u.has_cpu && !s->herd.left_out ? u.cpu_s : zn__shepherd_is_adopted(s) ? s->herd.cpu_s : s->cpu_s);
	r->max_rss_bytes = ZN_SOME_U64(u.has_peak ? u.peak_bytes : s->max_rss_bytes);
	if (s->herd.peak_bytes && (!u.has_peak || s->herd.peak_bytes > u.peak_bytes)) /* the group knows not what it had before */
		r->max_rss_bytes = ZN_SOME_U64(s->herd.peak_bytes);
	r->gpu_s = ZN_SOME_F64((s->start->gpu_milli ? s->start->gpu_milli / 1e3 : (double)s->start->gpus.n) * ran);
	if (s->failed && zn_hold_pids_refused(&s->hold))
		zn__shepherd_set_reason(s, "out of processes: limit %llu", (unsigned long long)s->home->confine->pids_max);
	if (u.oom_kills) /* whoever it hit: version 2 would have ended the whole job */
		zn__shepherd_set_reason(s, "out of memory: limit %s", zn_format_bytes(s->start->mem_bytes, limit));
}

static void record_exit(struct shepherd *s, struct zn_msg_report *r)
{
	r->what = "exited";
	r->job = s->start->job;
	r->attempt = s->start->attempt;
	r->time_s = zn_now_s();
	if (s->failed && s->has_code)
		r->exit_code = ZN_SOME_I64(s->code);
	else if (s->failed && s->signal)
		r->signal = ZN_SOME_U64((uint64_t)s->signal);
	else if (!s->failed && !s->gave_up && !s->exit_unknown)
		r->exit_code = ZN_SOME_I64(0);
	r->reason = s->reason[0] ? s->reason : NULL;
	r->confinement = zn_buf_text(&s->notes);
	struct zn_buf b = { 0 };
	int rc = s->told_started ? 0 : put_started(s, &b);
	if (rc == 0)
		rc = zn_msg_put(&b, 0, 0, &zn_msg_report_kind, r);
	if (rc < 0)
		_exit(1); /* out of memory: the agent says that the job is lost */
	/* space was reserved when it started; should it be gone all the same, an exit code is worth waiting for */
	while (zn_log_append_frames(s->home->dirfd, &b, !s->agent_lives) < 0 && !zn_log_is_gone(s->home->dirfd))
		sleep(1);
	zn_buf_done(&b);
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

bool zn__shepherd_run_job(struct shepherd *s)
{
	struct zn_msg_report report = { 0 };

	bear_name(s);
	record_start(s);
	zn__shepherd_start(s);
	tend(s);
	if (s->may_be_late && !s->n_running)
		s->reason[0] = '\0';
	measure(s, &report);
	bool clean = zn_hold_close(&s->hold) == 0 && !s->gave_up && !s->start->adopt_pid.has;
	if (!s->agent_lives)
		zn_confine_close(s->home->confine); /* the last of us removes it */
	if (s->start->script)
		zn__shepherd_remove_script(s);
	for (size_t i = 0; i < s->n_leases; i++)
		close(s->leases[i]);
	record_exit(s, &report);
	close_if_open(s->port_fd);
	close_if_open(s->term_fd);
	zn_arena_done(&s->arena);
	zn_buf_done(&s->notes);
	return clean && s->agent_lives;
}
