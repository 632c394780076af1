/* job: what the agent knows about each running job, and what it does when told. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/agent.h"
#include "node/task.h"
#include "plan/plan.h"

#define NS 1000000000ull

static const double GRACE_MAX_S = 86400;
enum { TASKS_MAX = 65536, LAST_WORDS = 4 };

struct job *zn__job_find(struct agent *a, uint64_t job, uint64_t attempt)
{
	struct job_key key = { .job = job, .attempt = attempt };
	struct job *j;

	HASH_FIND(hh, a->jobs, &key, sizeof(key), j);
	return j;
}

struct job *zn__job_add(struct agent *a, uint64_t job, uint64_t attempt)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->key = (struct job_key){ .job = job, .attempt = attempt };
	HASH_ADD(hh, a->jobs, key, sizeof(j->key), j);
	return j;
}

static void drop_leases(struct job *j)
{
	for (size_t i = 0; i < j->n_leases; i++)
		close(j->leases[i]);
	free(j->leases);
	j->leases = NULL;
	j->n_leases = 0;
	j->gpus = (struct zn_idset){ 0 };
}

/* A part of a GPU goes on the same lease as the other parts of it. */
static bool shares_lease(const struct agent *a, const struct job *j)
{
	for (const struct job *other = j->gpu_milli ? a->jobs : NULL; other; other = other->hh.next)
		if (other != j && !other->exited && zn_idset_equal(&other->gpus, &j->gpus))
			return true;
	return false;
}

void zn__job_release(const struct agent *a, struct job *j)
{
	for (size_t i = 0; i < j->n_leases && !shares_lease(a, j); i++)
		flock(j->leases[i], LOCK_UN); /* a child that was just forked has them, too, until it comes to close them */
	drop_leases(j);
}

void zn__job_free(struct agent *a, struct job *j)
{
	HASH_DEL(a->jobs, j);
	if (j->hand)
		j->hand->job = NULL;
	drop_leases(j);
	zn_buf_done(&j->started);
	free(j);
}

bool zn__job_any_runs(const struct agent *a)
{
	for (const struct job *j = a->jobs; j; j = j->hh.next)
		if (!j->exited)
			return true;
	return false;
}

/* ---- starting ----------------------------------------------------------------------------------------- */

static void refuse(struct agent *a, const struct zn_msg_start *m, bool again, const char *reason)
{
	struct zn_msg_report r = { .what = "refused", .job = m->job, .attempt = m->attempt, .time_s = zn_now_s(),
	                           .reason = reason, .again = ZN_SOME_BOOL(again) };

	/* a full disk: said to who asked; whoever asks after him will ask again */
	if (zn__agent_log(a, &r, false) < 0)
		zn__peer_send(a, &zn_msg_report_kind, &r);
}

/* Only the machine-wide agent, root, may become others, and never those whom the machine belongs to. */
static int may_run_as(const struct agent *a, const struct zn_msg_start *m, struct zn_err *err)
{
	if (a->opts->has_scheduler && !m->uid.has)
		return zn_err_set(err, -EPERM, "a start for the whole machine that names no user");
	if (!m->uid.has || (m->uid.v == geteuid() && !a->opts->has_scheduler))
		return 0;
	if (geteuid() != 0)
		return zn_err_set(err, -EPERM, "the agent runs as user %u and can't become user %llu", (unsigned)geteuid(),
		                  (unsigned long long)m->uid.v);
	if (m->uid.v >= UINT32_MAX || (m->gid.has && m->gid.v >= UINT32_MAX))
		return zn_err_set(err, -EINVAL, "there is no user %llu", (unsigned long long)m->uid.v);
	if (m->uid.v < ZN_UID_MIN && !a->opts->system_accounts)
		return zn_err_set(err, -EPERM, "user %llu is a system account", (unsigned long long)m->uid.v);
	return 0;
}

static int check_start(const struct agent *a, const struct zn_msg_start *m, struct zn_err *err)
{
	if (!m->job)
		return zn_err_set(err, -EINVAL, "a start without a job number");
	if (!m->command && !m->script && !m->adopt_pid.has)
		return zn_err_set(err, -EINVAL, "neither command nor script");
	if (m->tasks > TASKS_MAX)
		return zn_err_set(err, -EINVAL, "%u tasks are more than %d", m->tasks, TASKS_MAX);
	if (m->gpu_milli && (m->gpu_milli > ZN_PART_WHOLE || m->gpus.n != 1))
		return zn_err_set(err, -EINVAL, "%u thousandths of %zu gpus", m->gpu_milli, m->gpus.n);
	if (m->world && (m->tasks > m->world || m->first_rank > m->world - m->tasks))
		return zn_err_set(err, -EINVAL, "ranks from %u on, %u tasks, of %u", m->first_rank, m->tasks, m->world);
	if (m->limit_s.has && !(m->limit_s.v > 0))
		return zn_err_set(err, -EINVAL, "a time limit that is over before the start");
	int rc = may_run_as(a, m, err);
	return rc == 0 && m->adopt_pid.has ? zn__adopt_check(a, m, err) : rc;
}

/* Who has so much of it that a job that asks milli of it, 0 for all, can't have that beside him; else in *ret_beside one
 * who has a part of it, if there is one.
 */
static const struct job *holder_of(const struct agent *a, uint32_t gpu, uint32_t milli, const struct job **ret_beside)
{
	uint32_t sum = milli;

	*ret_beside = NULL;
	for (const struct job *j = a->jobs; j; j = j->hh.next) {
		if (j->exited || !zn_idset_has(&j->gpus, gpu))
			continue;
		sum += j->gpu_milli;
		if (!milli || !j->gpu_milli || sum > ZN_PART_WHOLE)
			return j;
		*ret_beside = j;
	}
	return NULL;
}

/* A directory that could not be used, or was removed since, may have been put right. */
static int open_leases(struct agent *a, struct zn_err *err)
{
	struct stat st;

	if (a->lease_fd >= 0 && fstat(a->lease_fd, &st) == 0 && st.st_nlink > 0)
		return 0;
	if (a->lease_fd >= 0)
		close(a->lease_fd);
	a->lease_fd = zn_lease_dir(err);
	return a->lease_fd < 0 ? -EAGAIN : 0;
}

/* Takes one lease more; -EINVAL: there is no such GPU, else it may work later. */
static int lease_gpu(struct agent *a, struct job *j, uint32_t gpu, struct zn_err *err)
{
	const struct zn_gpu *g = a->facts ? zn_facts_gpu(a->facts, gpu) : NULL;
	const struct job *beside, *other = holder_of(a, gpu, j->gpu_milli, &beside);
	struct zn_lease_holder h;
	char number[ZN_NUMBER_TEXT];

	if (!a->facts)
		return zn_err_set(err, -EAGAIN, "this machine can't be read, so no GPU can be given out");
	if (!g)
		return zn_err_set(err, -EINVAL, "there is no gpu %u here", gpu);
	if (other)
		return zn_err_set(err, -EAGAIN, "gpu %u is held by job %s", gpu, zn_handle_text(other->key.job, number));
	if (zn__look_stranger(a, gpu, j->adopted.pid, &h)) {
		zn_lease_explain(gpu, &h, err);
		return -EAGAIN;
	}
	/* else whoever adopts a process that sleeps would get a GPU before those who wait for one */
	if (j->adopted.pid && a->opts->has_scheduler && zn__look_needed(a) && !zn__look_uses(a, gpu, j->adopted.pid))
		return zn_err_set(err, -EINVAL, "process %d does not use gpu %u", (int)j->adopted.pid, gpu);
	/* the same lease once more: it ends with the last who has it */
	int fd = beside ? fcntl(beside->leases[0], F_DUPFD_CLOEXEC, 0) : zn_lease_take(a->lease_fd, g, &h, err);
	if (fd < 0 && beside)
		return zn_err_set(err, -EAGAIN, "gpu %u can't be shared just now: %s", gpu, strerror(errno));
	if (fd < 0)
		return -EAGAIN;
	j->leases[j->n_leases++] = fd;
	return 0;
}

static int lease_gpus(struct agent *a, struct job *j, const struct zn_msg_start *m, struct zn_err *err)
{
	struct zn_idset taken = { 0 };

	if (!m->gpus.n)
		return 0;
	j->gpu_milli = m->gpu_milli;
	if (open_leases(a, err) < 0)
		return -EAGAIN;
	j->leases = calloc(m->gpus.n, sizeof(*j->leases));
	if (!j->leases)
		return zn_err_set(err, -EAGAIN, "out of memory");
	for (size_t i = 0; i < m->gpus.n; i++) {
		if (zn_idset_has(&taken, m->gpus.v[i]))
			return zn_err_set(err, -EINVAL, "gpu %u is named twice", m->gpus.v[i]);
		int rc = lease_gpu(a, j, m->gpus.v[i], err);
		if (rc < 0)
			return rc;
		zn_idset_add(&taken, m->gpus.v[i]);
	}
	j->gpus = taken;
	return 0;
}

/* Its exit is in the log, else it said so too early and is of no use. */
static void take_idle(struct agent *a, struct hand *h)
{
	zn__agent_catch_up(a);
	if (!h->job || h->job->exited)
		zn__hand_rest(a, h);
	else
		zn__agent_unwatch(a, &h->watch);
}

void zn__job_heard(struct agent *a, struct watch *w, uint32_t events)
{
	struct hand *h = (struct hand *)w;
	struct zn_shepherd_event e;
	ssize_t n = recv(w->fd, &e, sizeof(e), MSG_DONTWAIT);

	(void)events;
	if (n == (ssize_t)sizeof(e) && e.what == ZN_SHEPHERD_LOGGED) {
		zn__agent_catch_up(a);
	} else if (n == (ssize_t)sizeof(e) && e.what == ZN_SHEPHERD_IDLE) {
		take_idle(a, h);
	} else if (n == (ssize_t)sizeof(e) && h->job) {
		struct zn_msg_start m = { .job = h->job->key.job, .attempt = (uint32_t)h->job->key.attempt };
		zn__job_release(a, h->job);
		zn__job_free(a, h->job);
		refuse(a, &m, true, e.text);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		zn__agent_unwatch(a, w); /* SIGCHLD tells the rest */
	}
}

static int begin(struct agent *a, struct job *j, const struct zn_msg_start *m, struct zn_err *err)
{
	int rc = lease_gpus(a, j, m, err);

	if (rc < 0)
		return rc;
	if (m->master_port && !m->node_rank && !zn_task_port_is_free(m->master_port))
		return zn_err_set(err, -EAGAIN, "port %u is in use", m->master_port);
	rc = zn_log_reserve(&a->log);
	if (rc < 0)
		return zn_err_set(err, -EAGAIN, "the agent's log can't grow: %s", strerror(-rc));
	rc = zn__hand_begin(a, j, m);
	return rc < 0 ? zn_err_set(err, -EAGAIN, "no process can be started: %s", strerror(-rc)) : 0;
}

void zn__job_start(struct agent *a, const struct zn_msg_start *asked)
{
	struct job_key key = { .job = asked->job, .attempt = asked->attempt };
	struct zn_msg_start m = *asked;
	struct zn_err err = { 0 };

	if (zn__peer_is_replaced(a) || zn__agent_resend(a, &key))
		return;
	m.tasks = m.tasks ? m.tasks : 1;
	m.grace_s = m.grace_s > 0 ? m.grace_s < GRACE_MAX_S ? m.grace_s : GRACE_MAX_S : 0;
	if (check_start(a, &m, &err) < 0) {
		refuse(a, &m, false, err.text);
		return;
	}
	if (a->ending) {
		refuse(a, &m, true, "the agent is leaving");
		return;
	}
	struct job *j = zn__job_add(a, m.job, m.attempt);
	if (j && m.adopt_pid.has)
		j->adopted = (struct zn_proc_id){ .pid = (pid_t)m.adopt_pid.v, .start = m.adopt_ticks.v };
	int rc = j ? begin(a, j, &m, &err) : zn_err_set(&err, -EAGAIN, "out of memory");
	if (rc == 0 && m.adopt_pid.has && m.gpus.n) /* a stranger until now */
		zn__look_send_state(a, false);
	if (rc == 0)
		return;
	if (j) {
		zn__job_release(a, j);
		zn__job_free(a, j);
	}
	if (m.gpus.n) /* who holds them, so that the scheduler does not ask for the same ones again */
		zn__look_send_state(a, false);
	refuse(a, &m, rc == -EAGAIN, err.text);
}

/* ---- steering ------------------------------------------------------------------------------------------ */

static void tell(struct job *j, const struct zn_shepherd_cmd *c)
{
	ssize_t n;

	if (!j->hand || j->hand->watch.fd < 0)
		return;
	do
		n = send(j->hand->watch.fd, c, sizeof(*c), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
}

static void steer_agent(struct agent *a, const char *op)
{
	if (strcmp(op, "state") == 0) {
		a->want_full = a->tell_state = true;
		zn__look_begin(a);
	} else if (strcmp(op, "watch") == 0) {
		a->watch_ns = a->watch_ns ? a->watch_ns : zn_boot_ns();
	} else if (strcmp(op, "unwatch") == 0) {
		a->watch_ns = 0;
	} else if (strcmp(op, "retire") == 0) {
		a->retiring = true;
	} else if (strcmp(op, "ping") == 0) {
		zn__peer_send(a, &zn_msg_pong_kind, &(struct zn_msg_pong){ .time_s = zn_now_s() });
	}
}

void zn__job_steer(struct agent *a, const struct zn_msg_steer *m)
{
	struct zn_shepherd_cmd c = { .has_grace = m->grace_s.has, .has_limit = m->limit_s.has && m->limit_s.v > 0,
	                             .grace_s = m->grace_s.v, .limit_s = m->limit_s.v };
	struct job *j = zn__job_find(a, m->job, m->attempt);

	if (!m->op)
		return;
	if (!m->job) {
		steer_agent(a, m->op);
		return;
	}
	if (!j || j->exited)
		return;
	if (m->signal.has && m->signal.v > 0 && m->signal.v < NSIG)
		c.signal = (uint32_t)m->signal.v;
	if (strcmp(m->op, "signal") == 0 && !c.signal)
		return;
	c.grace_s = c.grace_s > 0 ? c.grace_s < GRACE_MAX_S ? c.grace_s : GRACE_MAX_S : 0;
	snprintf(c.op, sizeof(c.op), "%s", m->op);
	snprintf(c.reason, sizeof(c.reason), "%s", m->reason ? m->reason : "");
	if (strcmp(m->op, "suspend") == 0 || strcmp(m->op, "resume") == 0)
		j->suspended = m->op[0] == 's';
	tell(j, &c);
}

void zn__job_stop_all(struct agent *a, const char *reason)
{
	struct zn_shepherd_cmd c = { .op = "stop" };

	snprintf(c.reason, sizeof(c.reason), "%s", reason);
	for (struct job *j = a->jobs; j; j = j->hh.next)
		tell(j, &c);
}

/* ---- shepherds that end --------------------------------------------------------------------------------- */

/* It writes into the log that it has the job before anything of it runs: what is not there has not begun. */
static void not_begun(struct agent *a, struct job *j)
{
	struct zn_msg_start m = { .job = j->key.job, .attempt = (uint32_t)j->key.attempt };

	zn__job_release(a, j);
	zn__job_free(a, j);
	refuse(a, &m, true, "its shepherd was killed before it began");
}

/* What it said last may still lie in its socket or in the log. */
static void hand_ended(struct agent *a, struct hand *h, int status)
{
	struct job *j = h->job;
	struct job_key key = j ? j->key : (struct job_key){ 0 };
	pid_t pid = h->pid;
	char number[ZN_NUMBER_TEXT];

	for (int i = 0; i < LAST_WORDS && (h = zn__hand_of(a, pid)) && h->watch.fd >= 0; i++)
		zn__job_heard(a, &h->watch, EPOLLIN);
	if ((h = zn__hand_of(a, pid)))
		zn__hand_free(a, h);
	j = j ? zn__job_find(a, key.job, key.attempt) : NULL;
	int rc = j && !j->exited ? zn__agent_catch_up(a) : 0;
	if (!j || j->exited)
		return;
	zn__agent_say(a, "job %s: its shepherd was killed (status %x)", zn_handle_text(key.job, number), (unsigned)status);
	if (!j->ref_pid && rc == 0) {
		not_begun(a, j);
		return;
	}
	j->orphaned = true;
	a->orphans_ns = zn_boot_ns();
}

void zn__job_reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		struct hand *h = zn__hand_of(a, pid);
		if (WIFSTOPPED(status)) {
			/* by its own job, which would outrun its limit and every cancel */
			if (h)
				kill(pid, SIGCONT);
			continue;
		}
		if (pid == a->look_pid) {
			a->look_pid = 0;
			a->look_hangs = false;
		}
		if (h)
			hand_ended(a, h, status);
	}
}

/* Everything below us that is no shepherd of a living job. */
static bool end_orphans(struct agent *a)
{
	struct zn_pids skip = { 0 };
	size_t n = 1;

	for (struct hand *h = a->hands; h; h = h->next)
		n++;
	skip.v = calloc(n, sizeof(*skip.v));
	if (!skip.v)
		return false;
	for (struct hand *h = a->hands; h; h = h->next)
		skip.v[skip.n++] = h->pid;
	if (a->look_pid)
		skip.v[skip.n++] = a->look_pid;
	zn_tree_kill(getpid(), &skip);
	bool empty = zn_tree_is_empty(getpid(), &skip);
	free(skip.v);
	return empty;
}

/* An end that can't be logged is worth waiting for, unless the spool is gone: then nobody will ever read it. */
static void keep_trying(struct agent *a, struct job *j)
{
	if (zn_log_is_gone(a->dirfd)) {
		if (!a->ending)
			zn__agent_say(a, "the spool was removed");
		a->ending = j->exited = true;
		zn__job_release(a, j);
		zn__job_stop_all(a, "lost: the spool was removed");
	} else {
		a->orphans_ns = zn_boot_ns() + NS;
	}
}

void zn__job_orphans(struct agent *a)
{
	char name[ZN_JOB_NAME];
	bool gone = end_orphans(a);

	for (struct job *j = a->jobs; j; j = j->hh.next)
		if (j->orphaned && !j->exited &&
		    zn_confine_end(&a->confine, zn_job_name(j->key.job, (uint32_t)j->key.attempt, name)) < 0)
			gone = false;
	for (struct job *j = a->jobs; j; j = j->hh.next)
		if (j->orphaned && !j->exited)
			zn__adopt_end(j, &gone);
	a->orphans_ns = gone ? 0 : zn_boot_ns() + NS / 50;
	for (struct job *j = a->jobs; gone && j; j = j->hh.next) {
		if (!j->orphaned || j->exited)
			continue;
		struct zn_msg_report r = { .what = "exited", .job = j->key.job, .attempt = (uint32_t)j->key.attempt,
		                           .time_s = zn_now_s(), .reason = "lost: its shepherd was killed" };
		if (zn__agent_log(a, &r, !a->peer) < 0)
			keep_trying(a, j);
	}
}
