#include "node/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/file.h"

#define NS 1000000000ull

enum { LONELY_S = 3600 };

void zn__agent_say(struct agent *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (a->opts->say)
		a->opts->say(text);
}

int zn__agent_watch(struct agent *a, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, w->fd, &e) < 0 ? -errno : 0;
}

void zn__agent_unwatch(struct agent *a, struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(a->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	close(w->fd);
	w->fd = -1;
}

/* ---- signals and time ----------------------------------------------------------------------------- */

static void on_signal(struct agent *a, struct watch *w, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	while (read(w->fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			continue;
		if (!a->ending)
			zn__agent_say(a, "told to end by signal %u", si.ssi_signo);
		a->ending = true;
		zn__job_stop_all(a, "lost: the agent was told to end");
	}
	zn__job_reap(a);
}

static void on_timer(struct agent *a, struct watch *w, uint32_t events)
{
	uint64_t n, now = zn_boot_ns();

	(void)events;
	if (read(w->fd, &n, sizeof(n)) < 0)
		return;
	a->armed_ns = 0;
	zn__peer_expire(a, now);
	zn__looker_expire(a, now);
	if (a->look_again_ns && now >= a->look_again_ns)
		zn__look_again(a);
	if (a->catch_up_ns && now >= a->catch_up_ns)
		zn__agent_catch_up(a);
	if (a->orphans_ns && now >= a->orphans_ns)
		zn__job_orphans(a);
	if (a->idle_ns && now >= a->idle_ns)
		zn__hand_let_go(a, false);
	if (a->watch_ns && now >= a->watch_ns) {
		a->watch_ns = now + 2 * NS;
		a->want_users = true;
		zn__look_begin(a);
	}
}

static void sooner(uint64_t *at, uint64_t candidate)
{
	if (candidate && (!*at || candidate < *at))
		*at = candidate;
}

/* Nothing to wait for: the timer is off, and an idle agent sleeps until somebody calls. */
static void arm(struct agent *a)
{
	uint64_t at = 0;

	for (const struct conn *c = a->conns; c; c = c->next)
		sooner(&at, c->deadline_ns);
	sooner(&at, a->look_until_ns);
	sooner(&at, a->look_keep_ns);
	sooner(&at, a->look_again_ns);
	sooner(&at, a->orphans_ns);
	sooner(&at, a->catch_up_ns);
	sooner(&at, a->idle_ns);
	sooner(&at, a->watch_ns);
	sooner(&at, a->leave_ns);
	if (at == a->armed_ns)
		return;
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at / NS), .tv_nsec = (long)(at % NS) } };
	timerfd_settime(a->timer.fd, TFD_TIMER_ABSTIME, &t, NULL);
	a->armed_ns = at;
}

/* ---- coming up -------------------------------------------------------------------------------------- */

static int open_home(struct agent *a, struct zn_err *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (stat(a->opts->spool, &st) == 0 && st.st_uid != geteuid() && !a->opts->has_scheduler)
		return zn_err_set(err, -EPERM, "spool '%s' belongs to somebody else", a->opts->spool);
	snprintf(path, sizeof(path), "%s", a->opts->home);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return zn_err_set(err, -errno, "directory '%s': %s", path, strerror(errno));
	a->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->dirfd < 0)
		return zn_err_set(err, -errno, "directory '%s': %s", path, strerror(errno));
	if (fstat(a->dirfd, &st) < 0 || st.st_uid != geteuid())
		return zn_err_set(err, -EPERM, "directory '%s' belongs to somebody else", path);
	if (st.st_mode & 022)
		return zn_err_set(err, -EPERM, "others may write to directory '%s'", path);
	a->lock_fd = openat(a->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->lock_fd < 0)
		return zn_err_set(err, -errno, "'%s/lock': %s", path, strerror(errno));
	/* a shepherd of an agent that was just killed may not have come to close its copy yet */
	for (int i = 0; flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == 20)
			return zn_err_set(err, -EBUSY, "another agent has '%s'", path);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return 0;
}

/* So that the log of another agent never names our cgroups. */
static void make_tag(const struct agent *a, char *tag, size_t size)
{
	const char *of = a->opts->is_one_of_many ? a->opts->home : a->opts->spool;
	uLong crc = crc32(0, (const unsigned char *)of, (unsigned)strlen(of));

	snprintf(tag, size, "zenith-%u-%08lx", (unsigned)geteuid(), crc);
}

/* Every job has a few descriptors here; the tasks get the limit that we were given. */
static void raise_nofile(struct agent *a)
{
	getrlimit(RLIMIT_NOFILE, &a->nofile);
	struct rlimit all = { .rlim_cur = a->nofile.rlim_max, .rlim_max = a->nofile.rlim_max };
	setrlimit(RLIMIT_NOFILE, &all);
}

static int open_signals(struct agent *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	a->sig = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = on_signal };
	a->timer = (struct watch){ .fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK), .ready = on_timer };
	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (a->sig.fd < 0 || a->timer.fd < 0 || a->epoll < 0)
		return -errno;
	int rc = zn__agent_watch(a, &a->sig, EPOLLIN);
	return rc < 0 ? rc : zn__agent_watch(a, &a->timer, EPOLLIN);
}

/* By way of /proc: a socket's path ends at 108 bytes, a spool's does not. */
static int open_listener(struct agent *a, struct zn_err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/sock", a->dirfd);
	a->listener.ready = zn__peer_accept;
	a->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->listener.fd < 0)
		return zn_err_set(err, -errno, "no socket: %s", strerror(errno));
	unlinkat(a->dirfd, "sock", 0);
	mode_t old = umask(0177);
	int rc = bind(a->listener.fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	umask(old);
	/* the scheduler can reach the socket, and nothing else in here */
	if (rc == 0 && a->opts->has_scheduler &&
	    (fchownat(a->dirfd, "sock", a->opts->scheduler_uid, (gid_t)-1, 0) < 0 || fchmod(a->dirfd, 0711) < 0))
		rc = -errno;
	if (rc == 0 && listen(a->listener.fd, 16) < 0)
		rc = -errno;
	if (rc == 0)
		rc = zn__agent_watch(a, &a->listener, EPOLLIN);
	return rc < 0 ? zn_err_set(err, rc, "socket '%s/sock': %s", a->opts->home, strerror(-rc)) : 0;
}

static int come_up(struct agent *a, struct zn_err *err)
{
	char tag[64];
	struct zn_err why = { 0 };
	int rc = open_home(a, err);

	if (rc < 0)
		return rc;
	raise_nofile(a);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans of a shepherd that was killed come to us */
	make_tag(a, tag, sizeof(tag));
	rc = zn_confine_open(tag, a->opts->confine, &a->confine, err);
	if (rc < 0)
		return rc;
	rc = zn__agent_recover(a, err);
	if (rc < 0)
		return rc;
	a->lease_fd = zn_lease_dir(&why);
	if (a->lease_fd < 0)
		zn__agent_say(a, "no GPU can be given out: %s", why.text);
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	rc = open_signals(a);
	if (rc < 0)
		return zn_err_set(err, rc, "no event loop: %s", strerror(-rc));
	if (zn__look_first(a) < 0)
		zn__agent_say(a, "this machine can't be read, so nothing can be placed here yet");
	return open_listener(a, err);
}

static void go_down(struct agent *a)
{
	if (a->listener.fd >= 0)
		unlinkat(a->dirfd, "sock", 0);
	while (a->conns)
		zn__peer_drop(a, a->conns);
	while (a->jobs)
		zn__job_free(a, a->jobs);
	while (a->hands)
		zn__hand_free(a, a->hands);
	zn_buf_done(&a->packet);
	for (size_t i = 0; i < a->n_reports; i++)
		zn_buf_done(&a->reports[i].body);
	free(a->reports);
	if (a->log.fd >= 0)
		zn_log_sync(&a->log);
	zn_log_close(&a->log);
	zn_confine_close(&a->confine);
	zn_facts_free(a->facts);
	zn_buf_done(&a->topology);
	zn_buf_done(&a->look_in);
	zn_arena_done(&a->users_arena);
	zn_arena_done(&a->msg);
	const int fds[] = { a->spare_fd, a->listener.fd, a->sig.fd, a->timer.fd, a->look.fd, a->epoll, a->lease_fd, a->hands_fd,
		            a->lock_fd, a->dirfd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

/* An agent with nothing to do and nobody to do it for goes away, at once when it was asked to; what it has to say
 * lies in its log, for the next one.  That of a whole machine stays.
 */
static bool is_left_alone(struct agent *a)
{
	if (a->opts->has_scheduler || a->conns || zn__job_any_runs(a)) {
		a->leave_ns = 0;
		return false;
	}
	if (!a->leave_ns)
		a->leave_ns = zn_boot_ns() + LONELY_S * NS;
	return a->retiring || zn_boot_ns() >= a->leave_ns;
}

static void loop(struct agent *a)
{
	struct epoll_event event;

	while (!(a->ending && !zn__job_any_runs(a)) && !is_left_alone(a)) {
		arm(a);
		/* one at a time: a handler may free what the next event is about */
		int n = epoll_wait(a->epoll, &event, 1, -1);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			struct watch *w = event.data.ptr;
			w->ready(a, w, event.events);
		}
	}
}

int zn_agent_run(const struct zn_agent_opts *opts, struct zn_err *err)
{
	struct agent a = { .opts = opts, .dirfd = -1, .epoll = -1, .lock_fd = -1, .hands_fd = -1, .lease_fd = -1, .spare_fd = -1,
	                   .sig.fd = -1, .timer.fd = -1, .listener.fd = -1, .look.fd = -1, .log.fd = -1 };
	int rc = come_up(&a, err);

	if (rc == 0) {
		zn__agent_say(&a, "node %s serves %s", opts->node, opts->spool);
		if (opts->ready)
			opts->ready();
		loop(&a);
		zn__agent_log_ack(&a, true);
		zn__agent_say(&a, "left");
	}
	go_down(&a);
	return rc;
}
