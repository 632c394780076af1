#include "node/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/units.h"
#include "node/log.h"
#include "node/task.h"
#include "proc/herd.h"
#include "proc/terminal.h"
#include "rec/val.h"

#define NS 1000000000ull

static const double LEFTOVER_GRACE_S = 2; /* for what the tasks left behind, and when the agent died */
static const uint64_t GIVE_UP_NS = 5 * NS; /* on processes that we may not end */

enum {
	MOMENT_MS = 2,
	HERD_MS = 1000,       /* between looks after an adopted job */
	HERD_ENDING_MS = 20,  /* and while it is ended, since nobody tells us when the last one is gone */
};

enum phase { RUNNING, ENDING, KILLING };

struct task {
	pid_t pid; /* 0: gone */
};

struct shepherd {
	const struct zn_shepherd_home *home;
	const struct zn_msg_start *start;
	const int *leases;
	size_t n_leases;
	int sock, sigfd, timerfd, port_fd;
	int term_fd;                  /* closes when the client of an interactive job is gone; -1: none */
	bool agent_lives;

	struct zn_arena arena;
	struct zn_hold hold;
	struct zn_herd herd;          /* of an adopted job; pidfd -1: it is none */
	bool exit_unknown;
	struct zn_buf notes;
	struct task *tasks;
	uint32_t n_running;
	double cpu_s;                 /* of what was reaped, and the largest of it */
	uint64_t max_rss_bytes;
	char run_dir[64], script[PATH_MAX], port[8];

	enum phase phase;
	double limit_s;               /* 0: none */
	double start_s;
	uint64_t start_ns, suspended_ns, suspended_since; /* the last: 0 when not suspended */
	uint64_t kill_ns, killing_since, nap_ns;
	bool gave_up, told_started;
	pid_t first_pid;

	bool failed, has_code;        /* of the first task that failed */
	int code, signal;
	char reason[320];
};

char *zn_job_name(uint64_t job, uint32_t attempt, char to[ZN_JOB_NAME])
{
	snprintf(to, ZN_JOB_NAME, "%llu.%u", (unsigned long long)job, attempt);
	return to;
}

/* False: the agent does not hear it. */
static bool tell(const struct shepherd *s, enum zn_shepherd_what what, const char *text)
{
	struct zn_shepherd_event e = { .what = what };
	ssize_t n;

	snprintf(e.text, sizeof(e.text), "%s", text);
	do
		n = send(s->sock, &e, sizeof(e), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(e);
}

/* ---- before the tasks --------------------------------------------------------------------------- */

static int cmp_int(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* Above all the agent's ends of other shepherds' sockets: whoever holds one hides the agent's death. */
static void close_others(struct shepherd *s)
{
	int *keep = zn_arena_array(&s->arena, s->n_leases + 3, sizeof(*keep)), next = 3;
	size_t n = 0;

	if (!keep)
		_exit(1);
	keep[n++] = s->sock;
	keep[n++] = s->home->dirfd;
	keep[n++] = s->home->hands_fd;
	for (size_t i = 0; i < s->n_leases; i++)
		keep[n++] = s->leases[i];
	qsort(keep, n, sizeof(*keep), cmp_int);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > next)
			syscall(SYS_close_range, next, keep[i] - 1, 0);
		if (keep[i] >= next)
			next = keep[i] + 1;
	}
	syscall(SYS_close_range, next, ~0U, 0);
}

static void become_shepherd(struct shepherd *s)
{
	sigset_t set;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close_others(s);
	sigfillset(&set); /* nothing but SIGKILL ends a shepherd before its job */
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->timerfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
}

static void bear_name(const struct shepherd *s)
{
	char name[16];

	snprintf(name, sizeof(name), "zn-job-%llu", (unsigned long long)s->start->job);
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
	tell(s, ZN_SHEPHERD_REFUSED, text);
	_exit(1);
}

static void set_reason(struct shepherd *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set_reason(struct shepherd *s, const char *fmt, ...)
{
	va_list ap;

	if (s->reason[0])
		return; /* the first one is why */
	va_start(ap, fmt);
	vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
	va_end(ap);
}

/* A private copy.  The directory stays ours also where the job's user is another one: what he could put there
 * would be in the way of a later script, or lead us astray.
 */
static int write_script(struct shepherd *s)
{
	const char *text = s->start->script, shebang[] = "#!/bin/sh\n";
	char file[80];
	bool other = s->start->uid.has && s->start->uid.v != geteuid();

	if (mkdirat(s->home->dirfd, "run", 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mkdirat(s->home->dirfd, s->run_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(file, sizeof(file), "%s/script", s->run_dir);
	int fd = openat(s->home->dirfd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0700);
	if (fd < 0)
		return -errno;
	int rc = strncmp(text, "#!", 2) == 0 ? 0 : zn_write_all(fd, shebang, sizeof(shebang) - 1);
	if (rc >= 0)
		rc = zn_write_all(fd, text, strlen(text));
	if (rc >= 0 && fchmod(fd, 0700) < 0)
		rc = -errno;
	if (rc >= 0 && other && (fchown(fd, (uid_t)s->start->uid.v, (gid_t)-1) < 0 ||
	                         fchmodat(s->home->dirfd, s->run_dir, 0711, 0) < 0 ||
	                         fchmodat(s->home->dirfd, "run", 0711, 0) < 0 || fchmod(s->home->dirfd, 0711) < 0))
		rc = -errno;
	close(fd);
	snprintf(s->script, sizeof(s->script), "%s/node/%s", s->home->spool, file);
	return rc < 0 ? rc : 0;
}

static void remove_script(struct shepherd *s)
{
	char file[80];

	snprintf(file, sizeof(file), "%s/script", s->run_dir);
	unlinkat(s->home->dirfd, file, 0);
	unlinkat(s->home->dirfd, s->run_dir, AT_REMOVEDIR);
}

/* Those of the account, with its primary one: -ENOMEM. */
static int account_groups(struct shepherd *s, const struct passwd *pw, struct zn_task_job *j)
{
	int n = 64;
	gid_t *groups = zn_arena_array(&s->arena, (size_t)n, sizeof(*groups));

	if (groups && getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0) {
		groups = zn_arena_array(&s->arena, (size_t)n, sizeof(*groups));
		if (groups && getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
			n = 0;
	}
	j->groups = groups;
	j->n_groups = groups ? (size_t)n : 0;
	j->login = zn_arena_strdup(&s->arena, pw->pw_name);
	return groups && j->login ? 0 : -ENOMEM;
}

static bool has_group(const struct zn_task_job *j, gid_t gid)
{
	for (size_t i = 0; i < j->n_groups; i++)
		if (j->groups[i] == gid)
			return true;
	return false;
}

/* The scheduler, who reads what strangers write, is believed who somebody is, not what he may: a group must be
 * one that the system gives this user.
 */
static bool find_groups(struct shepherd *s, struct zn_task_job *j)
{
	uid_t uid = (uid_t)s->start->uid.v;

	j->change_user = s->start->uid.has && uid != geteuid();
	if (!j->change_user)
		return true;
	struct passwd *pw = getpwuid(uid);
	j->gid = s->start->gid.has ? (gid_t)s->start->gid.v : pw ? pw->pw_gid : 0;
	if (pw && account_groups(s, pw, j) < 0)
		set_reason(s, "out of memory");
	else if (pw && !has_group(j, j->gid))
		set_reason(s, "user '%s' is not in group %u", pw->pw_name, (unsigned)j->gid);
	else if (!pw && j->gid < ZN_UID_MIN)
		set_reason(s, "user %u has no account here, and group %u is a system group", (unsigned)uid,
		           (unsigned)j->gid);
	else
		return true;
	return false;
}

static bool has_gpu(const struct zn_msg_start *m, uint32_t gpu)
{
	for (size_t i = 0; i < m->gpus.n; i++)
		if (m->gpus.v[i] == gpu)
			return true;
	return false;
}

static size_t count_device_files(const struct zn_facts *f)
{
	size_t n = 0;

	for (size_t i = 0; f && i < f->n_gpus; i++)
		n += f->gpus[i].devices.n;
	return n;
}

/* The device files of all GPUs that are not the job's, as far as they are there. */
static void deny_others_gpus(struct shepherd *s, struct zn_hold_ask *ask)
{
	const struct zn_facts *f = s->home->facts;
	size_t max = count_device_files(f);
	struct zn_device *v = max ? zn_arena_array(&s->arena, max, sizeof(*v)) : NULL;
	struct stat st;

	ask->denied = v;
	for (size_t i = 0; v && i < f->n_gpus; i++) {
		const struct zn_strs *files = &f->gpus[i].devices;
		for (size_t k = 0; !has_gpu(s->start, f->gpus[i].gpu) && k < files->n; k++)
			if (stat(files->v[k], &st) == 0 && S_ISCHR(st.st_mode))
				v[ask->n_denied++] = (struct zn_device){ major(st.st_rdev), minor(st.st_rdev) };
	}
}

static bool take_terminal(struct shepherd *s, struct zn_task_job *j)
{
	uid_t uid = s->start->uid.has ? (uid_t)s->start->uid.v : geteuid();
	struct zn_err err = { 0 };

	if (!s->start->terminal)
		return true;
	j->has_tty = zn_terminal_take(s->start->terminal, uid, &s->term_fd, &j->tty, &err) == 0;
	if (!j->has_tty)
		set_reason(s, "%s", err.text);
	return j->has_tty;
}

static bool prepare(struct shepherd *s, struct zn_task_job *j)
{
	struct zn_hold_ask ask = { .mem_bytes = s->start->mem_bytes, .cpus = &j->cpus, .numas = &j->numas };
	char name[ZN_JOB_NAME];
	int rc;

	ask.name = zn_job_name(s->start->job, s->start->attempt, name);
	*j = (struct zn_task_job){ .home = s->home, .start = s->start, .hold = &s->hold };
	struct zn_buf pins = { 0 };
	zn_task_pins(j, &pins);
	deny_others_gpus(s, &ask);
	zn_hold_open(s->home->confine, &ask, &s->hold, &s->notes);
	zn_buf_add(&s->notes, pins.data, pins.len);
	zn_buf_done(&pins);
	if (!find_groups(s, j))
		return false;
	if (zn_task_all_gpus(j, &s->arena) < 0) {
		set_reason(s, "out of memory");
		return false;
	}
	if (s->start->script && (rc = write_script(s)) < 0) {
		set_reason(s, "the script can't be written: %s", strerror(-rc));
		return false;
	}
	if (!take_terminal(s, j))
		return false;
	j->script = s->start->script ? s->script : NULL;
	if (s->start->tasks > 1 && (rc = zn_task_port(s->port, sizeof(s->port), &s->port_fd)) < 0)
		zn_buf_printf(&s->notes, "; no MASTER_PORT: %s", strerror(-rc));
	j->master_port = s->port[0] ? s->port : NULL;
	return true;
}

/* ---- ending ------------------------------------------------------------------------------------- */

static bool is_adopted(const struct shepherd *s)
{
	return s->herd.pidfd >= 0;
}

static void signal_job(struct shepherd *s, int sig)
{
	if (is_adopted(s))
		zn_herd_signal(&s->herd, sig);
	else
		zn_hold_signal(&s->hold, sig);
}

static void freeze_job(struct shepherd *s, bool freeze)
{
	if (is_adopted(s))
		zn_herd_freeze(&s->herd, freeze);
	else
		zn_hold_freeze(&s->hold, freeze);
}

/* First sig for everything, then, after grace_s, SIGKILL.  Asked again it can only be sooner. */
static void end_job(struct shepherd *s, int sig, double grace_s)
{
	uint64_t at = zn_boot_ns() + (uint64_t)(grace_s * NS);

	if (s->phase == KILLING)
		return;
	if (s->phase == RUNNING || at < s->kill_ns)
		s->kill_ns = at;
	s->phase = ENDING;
	if (s->suspended_since) {
		s->suspended_ns += zn_boot_ns() - s->suspended_since;
		s->suspended_since = 0;
	}
	signal_job(s, sig);
	if (s->hold.frozen)
		freeze_job(s, false);
}

static void kill_job(struct shepherd *s)
{
	uint64_t now = zn_boot_ns();

	if (s->phase != KILLING) {
		s->phase = KILLING;
		s->killing_since = now;
		s->nap_ns = NS / 100;
	} else if (s->nap_ns < NS) {
		s->nap_ns *= 2; /* something hangs in the kernel: keep its GPU from others, but look less often */
	}
	struct zn_tree_count count = is_adopted(s) ? zn_herd_kill(&s->herd) : zn_hold_kill(&s->hold);
	s->kill_ns = zn_boot_ns() + s->nap_ns;
	if (count.denied && !count.reached && now - s->killing_since > GIVE_UP_NS) {
		zn_buf_printf(&s->notes, "; pid %d is not ours to end", (int)count.denied_pid);
		s->gave_up = true;
	}
}

static void note_failure(struct shepherd *s, int status)
{
	s->failed = true;
	s->has_code = WIFEXITED(status);
	s->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	s->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- starting ----------------------------------------------------------------------------------- */

static void note_pins(struct shepherd *s, const struct zn_spawned *sp)
{
	if (sp->pin_errno)
		zn_buf_printf(&s->notes, "; not pinned: %s", strerror(sp->pin_errno));
	if (sp->numa_errno)
		zn_buf_printf(&s->notes, "; no memory policy: %s", strerror(sp->numa_errno));
}

static bool start_rank(struct shepherd *s, const struct zn_task_job *j, uint32_t rank)
{
	struct zn_arena a = { 0 };
	struct zn_spawn ask;
	struct zn_spawned got;
	struct zn_err err = { .text = "out of memory" };
	int exit_code = -1, rc = zn_task_make(j, rank, &a, &ask);

	if (rc == 0)
		rc = zn_spawn(&ask, &got, &exit_code, &err);
	if (rc == 0) {
		s->tasks[rank].pid = got.pid;
		s->n_running++;
		if (rank == 0) {
			s->first_pid = got.pid;
			note_pins(s, &got);
		}
	} else {
		set_reason(s, "%s", err.text);
		s->failed = true;
		s->has_code = exit_code >= 0;
		s->code = exit_code;
	}
	zn_arena_done(&a);
	return rc == 0;
}

/* A gang starts as a whole: one that can't takes the others down. */
static void start_tasks(struct shepherd *s)
{
	struct zn_task_job j;
	uint32_t n = s->start->tasks;

	s->tasks = zn_arena_array(&s->arena, n, sizeof(*s->tasks));
	if (!s->tasks) {
		set_reason(s, "out of memory");
		s->failed = true;
		return;
	}
	if (!prepare(s, &j)) {
		s->failed = true;
		return;
	}
	for (uint32_t rank = 0; rank < n && !s->failed; rank++)
		if (!start_rank(s, &j, rank) && s->n_running)
			end_job(s, SIGTERM, s->start->grace_s);
	if (j.has_tty)
		close(j.tty); /* the tasks' alone, so that the client sees when they have closed it */
	if (s->start->gpus.n || s->hold.denies)
		zn_buf_printf(&s->notes, ", GPUs by %s", s->hold.denies ? "device filter" : "environment");
}

/* Instead of starting something: what runs already is held from now on.  Its CPUs stay as they are. */
static void adopt(struct shepherd *s)
{
	struct zn_proc_id id = { .pid = (pid_t)s->start->adopt_pid.v, .start = s->start->adopt_ticks.v };
	struct zn_hold_ask ask = { .mem_bytes = s->start->mem_bytes };
	char name[ZN_JOB_NAME];

	ask.name = zn_job_name(s->start->job, s->start->attempt, name);
	zn_buf_addstr(&s->notes, "adopted, ");
	zn_hold_open(s->home->confine, &ask, &s->hold, &s->notes);
	if (zn_herd_open(&id, &s->hold, &s->herd) < 0) {
		set_reason(s, "process %d is gone", (int)id.pid);
		s->failed = true;
		return;
	}
	s->first_pid = id.pid;
	s->n_running = 1;
	if (s->herd.left_out)
		zn_buf_printf(&s->notes, "; %u of its processes can't be moved into a cgroup", s->herd.left_out);
	if (s->herd.left_out || !s->hold.v2[0])
		zn_buf_addstr(&s->notes, "; what leaves its parent may be missed");
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
		tell(s, ZN_SHEPHERD_LOGGED, "");
	zn_buf_done(&b);
}

/* ---- while they run ----------------------------------------------------------------------------- */

static void task_ended(struct shepherd *s, pid_t pid, int status)
{
	for (uint32_t i = 0; i < s->start->tasks; i++) {
		if (s->tasks[i].pid != pid)
			continue;
		s->tasks[i].pid = 0;
		s->n_running--;
		if (status == 0 || s->failed)
			return;
		note_failure(s, status);
		if (s->phase == RUNNING && s->n_running)
			end_job(s, SIGTERM, s->start->grace_s);
		return;
	}
}

/* What is left when the tasks are gone is ended, too. */
static void end_leftovers(struct shepherd *s)
{
	if (s->n_running == 0 && s->phase != KILLING) {
		double grace = s->start->grace_s < LEFTOVER_GRACE_S ? s->start->grace_s : LEFTOVER_GRACE_S;
		uint64_t at = zn_boot_ns() + (uint64_t)(grace * NS);
		if (s->phase == RUNNING)
			end_job(s, SIGTERM, grace);
		else if (at < s->kill_ns)
			s->kill_ns = at;
	}
}

/* A process brings what its own children used, if it waited for them; the others come to us. */
static void add_usage(struct shepherd *s, const struct rusage *used)
{
	uint64_t rss = (uint64_t)used->ru_maxrss * 1024;

	s->cpu_s += (double)used->ru_utime.tv_sec + (double)used->ru_stime.tv_sec +
	            (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) * 1e-6;
	s->max_rss_bytes = rss > s->max_rss_bytes ? rss : s->max_rss_bytes;
}

/* True when nothing is left: we adopt every orphan, so having no child means that no descendant lives. */
static bool reap(struct shepherd *s)
{
	struct rusage used;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
		add_usage(s, &used);
		task_ended(s, pid, status);
	}
	if (pid < 0 && errno == ECHILD)
		return true;
	end_leftovers(s);
	return false;
}

/* The same of a job that was adopted. */
static bool reap_herd(struct shepherd *s)
{
	int status = 0, ended = s->n_running ? zn_herd_root_ended(&s->herd, &status) : 0;

	if (ended) {
		s->n_running = 0;
		s->exit_unknown = ended < 0;
		if (status)
			note_failure(s, status);
	}
	if (zn_herd_is_empty(&s->herd) && !s->n_running)
		return true;
	end_leftovers(s);
	return false;
}

static bool is_over(struct shepherd *s)
{
	return is_adopted(s) ? reap_herd(s) : reap(s);
}

static void suspend(struct shepherd *s)
{
	if (s->phase != RUNNING || s->suspended_since)
		return;
	s->suspended_since = zn_boot_ns();
	freeze_job(s, true);
}

static void resume(struct shepherd *s)
{
	if (s->phase != RUNNING || !s->suspended_since)
		return;
	s->suspended_ns += zn_boot_ns() - s->suspended_since;
	s->suspended_since = 0;
	freeze_job(s, false);
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
		if (s->n_running)
			set_reason(s, "%s", c->reason);
		end_job(s, c->signal ? (int)c->signal : first_signal(s),
		        c->has_grace ? c->grace_s : s->start->grace_s);
	} else if (strcmp(c->op, "signal") == 0) {
		signal_job(s, (int)c->signal);
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
	if (s->n_running) /* else only what they left behind is still being ended */
		set_reason(s, "lost: the agent died");
	end_job(s, SIGTERM, s->start->grace_s < LEFTOVER_GRACE_S ? s->start->grace_s : LEFTOVER_GRACE_S);
}

/* Nobody looks at it any more; a shell that was hung up has ended already. */
static void look_at_terminal(struct shepherd *s, short revents)
{
	if (!revents)
		return;
	close(s->term_fd);
	s->term_fd = -1;
	if (s->n_running)
		set_reason(s, "its terminal is gone");
	end_job(s, SIGHUP, s->start->grace_s);
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
		set_reason(s, "time limit");
		end_job(s, first_signal(s), s->start->grace_s);
	} else {
		kill_job(s);
	}
}

static void read_signals(struct shepherd *s)
{
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo == SIGTERM) {
			set_reason(s, "its shepherd was told to end");
			end_job(s, SIGTERM, s->start->grace_s);
		}
}

/* How long to sleep at most when nothing happens. */
static int patience_ms(const struct shepherd *s, bool told)
{
	if (!told)
		return MOMENT_MS;
	if (!is_adopted(s))
		return -1;
	return s->phase == RUNNING ? HERD_MS : HERD_ENDING_MS;
}

static void tend(struct shepherd *s)
{
	struct pollfd p[5] = { { .fd = s->sigfd, .events = POLLIN }, { .fd = s->timerfd, .events = POLLIN },
	                       { .fd = s->sock, .events = POLLIN }, { .fd = s->herd.pidfd, .events = POLLIN },
	                       { .fd = s->term_fd, .events = POLLIN } };
	uint64_t from_ns = zn_boot_ns();
	bool told = false;

	/* exits are looked at before the agent's death: one that came first is not lost */
	while (!is_over(s) && !s->gave_up) {
		if (p[2].revents)
			read_commands(s);
		look_at_terminal(s, p[4].revents);
		look_at_clock(s);
		arm(s);
		p[2].fd = s->agent_lives ? s->sock : -1;
		p[3].fd = s->n_running ? s->herd.pidfd : -1;
		p[4].fd = s->term_fd;
		p[4].revents = 0;
		if (poll(p, 5, patience_ms(s, told)) < 0 && errno != EINTR)
			_exit(1);
		if (!told && zn_boot_ns() - from_ns >= MOMENT_MS * NS / 1000) {
			tell_started(s); /* should the disk be full, its end will tell again */
			told = true;
		}
		read_signals(s);
	}
}

/* ---- after them --------------------------------------------------------------------------------- */

static void measure(struct shepherd *s, struct zn_msg_report *r)
{
	struct zn_hold_usage u;
	char limit[ZN_UNIT_TEXT];
	double ran = (double)(zn_boot_ns() - s->start_ns - s->suspended_ns) / NS;

	zn_hold_usage(&s->hold, &u);
	r->cpu_s = ZN_SOME_F64(u.has_cpu && !s->herd.left_out ? u.cpu_s : is_adopted(s) ? s->herd.cpu_s : s->cpu_s);
	r->max_rss_bytes = ZN_SOME_U64(u.has_peak ? u.peak_bytes : s->max_rss_bytes);
	if (s->herd.peak_bytes && (!u.has_peak || s->herd.peak_bytes > u.peak_bytes)) /* the group knows not what it had before */
		r->max_rss_bytes = ZN_SOME_U64(s->herd.peak_bytes);
	r->gpu_s = ZN_SOME_F64((double)s->start->gpus.n * ran);
	if (s->failed && zn_hold_pids_refused(&s->hold))
		set_reason(s, "out of processes: limit %llu", (unsigned long long)s->home->confine->pids_max);
	if (u.oom_kills) /* whoever it hit: version 2 would have ended the whole job */
		set_reason(s, "out of memory: limit %s", zn_format_bytes(s->start->mem_bytes, limit));
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

/* ---- one job after the other -------------------------------------------------------------------- */

static void take_up(struct shepherd *s, const struct zn_msg_start *start, const int *leases, size_t n_leases)
{
	char name[ZN_JOB_NAME];

	*s = (struct shepherd){ .home = s->home, .sock = s->sock, .sigfd = s->sigfd, .timerfd = s->timerfd,
	                        .start = start, .leases = leases, .n_leases = n_leases, .agent_lives = true,
	                        .port_fd = -1, .term_fd = -1, .start_s = zn_now_s(), .start_ns = zn_boot_ns(),
	                        .limit_s = start->limit_s.has ? start->limit_s.v : 0,
	                        .hold = { .v2_fd = -1, .join_fd = -1 }, .herd.pidfd = -1 };
	snprintf(s->run_dir, sizeof(s->run_dir), "run/%s", zn_job_name(start->job, start->attempt, name));
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* True when nothing is left of the job in this process or below it. */
static bool run_job(struct shepherd *s)
{
	struct zn_msg_report report = { 0 };

	bear_name(s);
	record_start(s);
	if (s->start->adopt_pid.has)
		adopt(s);
	else
		start_tasks(s);
	tend(s);
	measure(s, &report);
	bool clean = zn_hold_close(&s->hold) == 0 && !s->gave_up && !s->start->adopt_pid.has;
	if (!s->agent_lives)
		zn_confine_close(s->home->confine); /* the last of us removes it */
	if (s->start->script)
		remove_script(s);
	for (size_t i = 0; i < s->n_leases; i++)
		close(s->leases[i]);
	record_exit(s, &report);
	close_if_open(s->port_fd);
	close_if_open(s->term_fd);
	zn_arena_done(&s->arena);
	zn_buf_done(&s->notes);
	return clean && s->agent_lives;
}

/* A packet from the agent and the leases in it; 0 when it is gone. */
static size_t receive(int sock, char *to, size_t size, int *leases, size_t *ret_n)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int) * ZN_SHEPHERD_LEASES_MAX)]; } control;
	struct iovec iov = { .iov_base = to, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	*ret_n = 0;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(leases, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return n > 0 ? (size_t)n : 0;
}

/* Something arrived on the socket; false: this process is to leave. */
static bool wait_for_work(const struct shepherd *s)
{
	struct pollfd p[2] = { { .fd = s->sigfd, .events = POLLIN }, { .fd = s->sock, .events = POLLIN } };
	struct signalfd_siginfo si;

	while (poll(p, 2, -1) < 0 || !p[1].revents)
		if (p[0].revents && read(s->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si) && si.ssi_signo == SIGTERM)
			return false;
	return true;
}

/* What the agent said of the last job when that had ended already is not about the next one. */
static bool next_start(const struct shepherd *s, struct zn_arena *a, struct zn_msg_start *ret, int *leases, size_t *ret_n)
{
	static char packet[ZN_SHEPHERD_PACKET_MAX];
	msgpack_object map;
	size_t n;

	zn_arena_reset(a);
	prctl(PR_SET_NAME, "zn-idle");
	do
		n = wait_for_work(s) ? receive(s->sock, packet, sizeof(packet), leases, ret_n) : 0;
	while (n && packet[0]);
	return n > 1 && zn_val_unpack(packet + 1, n - 1, 0, a, &map, NULL) == 0 &&
	       zn_decode(&zn_msg_start_kind, &map, a, ret, NULL) == 0;
}

_Noreturn void zn_shepherd_run(const struct zn_shepherd_home *home, const struct zn_msg_start *start, int sock,
                               const int *leases, size_t n_leases)
{
	struct shepherd s = { .home = home, .sock = sock };
	struct zn_arena arena = { 0 };
	struct zn_msg_start next;
	int got[ZN_SHEPHERD_LEASES_MAX];

	take_up(&s, start, leases, n_leases);
	become_shepherd(&s);
	while (run_job(&s)) {
		/* an agent that did not hear it would wait for this job's end, and we for the next job */
		if (!tell(&s, ZN_SHEPHERD_IDLE, "") || !next_start(&s, &arena, &next, got, &n_leases))
			_exit(0);
		take_up(&s, &next, got, n_leases);
	}
	tell(&s, ZN_SHEPHERD_LOGGED, "");
	_exit(0);
}
