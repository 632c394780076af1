/* recover: what an agent does before it takes anything in: it makes sure that nothing of the agent before it
 * runs any more, and says of every job that has no exit in the log that it is lost.
 *
 * Every shepherd keeps a lock on the file "hands".  When we have that lock, no shepherd lives; they had noticed
 * that their agent died, ended their jobs and wrote the exits.  One that does not leave is killed, and then
 * what it held is ended by cgroup, or found by its environment, or, where it was adopted, by the log.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/agent.h"

enum {
	NAP_MS = 10,
	PATIENCE = 1000,       /* naps until shepherds are killed: longer than the grace that they give */
	KILLED_PATIENCE = 3000,/* naps until we give up on processes that don't go away */
};

struct recovery {
	struct agent *a;
	bool other_boot;
};

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_MS * 1000000L }, NULL);
}

/* ---- reading the log of the one before ------------------------------------------------------------------ */

static int recall_intent(struct recovery *r, const struct zn_log_start *s)
{
	struct job *j = zn__job_find(r->a, s->job, s->attempt);

	if (!j)
		j = zn__job_add(r->a, s->job, s->attempt);
	if (!j)
		return -ENOMEM;
	j->ref_pid = s->pid;
	j->ticks = s->ticks;
	j->start_s = s->time_s;
	j->adopted = (struct zn_proc_id){ .pid = (pid_t)s->adopt_pid.v, .start = s->adopt_ticks.v };
	j->other_boot = r->other_boot;
	return 0;
}

static int recall(void *ctx, const struct zn_log_entry *e)
{
	struct recovery *r = ctx;
	char boot[ZN_BOOT_ID];

	if (e->begin) {
		zn_boot_id(boot);
		r->other_boot = e->begin->boot_id && strcmp(e->begin->boot_id, boot) != 0;
	} else if (e->ack) {
		zn__report_forget(r->a, e->ack->seq);
	} else if (e->start) {
		return recall_intent(r, e->start);
	} else if (e->report && e->report->what) {
		struct job *j = zn__job_find(r->a, e->report->job, e->report->attempt);
		if (j && strcmp(e->report->what, "exited") == 0)
			zn__job_free(r->a, j);
		return e->seq > r->a->acked ? zn__report_add(r->a, e->seq, e->report) : 0;
	}
	return 0;
}

/* ---- ending what it left ---------------------------------------------------------------------------------- */

static void kill_shepherds(struct agent *a)
{
	char number[ZN_NUMBER_TEXT];

	for (struct job *j = a->jobs; j; j = j->hh.next) {
		struct zn_proc_id id = { .pid = (pid_t)j->ref_pid, .start = j->ticks };
		if (!j->other_boot && zn_proc_signal(&id, SIGKILL) == 0)
			zn__agent_say(a, "job %s: its shepherd did not leave and was killed", zn_handle_text(j->key.job, number));
	}
}

/* New intents and exits come in while shepherds of the dead agent still write. */
static int wait_for_shepherds(struct agent *a, struct recovery *r, struct zn_err *err)
{
	a->hands_fd = openat(a->dirfd, "hands", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->hands_fd < 0)
		return zn_err_set(err, -errno, "'%s/hands': %s", a->opts->home, strerror(errno));
	for (int i = 0; flock(a->hands_fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i >= PATIENCE) {
			zn_log_read(&a->log, recall, r);
			kill_shepherds(a);
		}
		if (i > KILLED_PATIENCE)
			return zn_err_set(err, -EBUSY, "processes of an earlier agent of '%s' do not go away", a->opts->spool);
		nap();
	}
	int rc = zn_log_read(&a->log, recall, r);
	return rc < 0 ? zn_err_set(err, rc, "the agent's log can't be read: %s", strerror(-rc)) : 0;
}

static bool is_above_us(pid_t pid)
{
	struct zn_proc_stat st;

	for (pid_t up = getpid(); up > 0; up = st.ppid) {
		if (up == pid)
			return true;
		if (zn_proc_stat(up, &st) < 0)
			return false;
	}
	return false;
}

/* Processes that carry the job's number and our spool in their environment; returns how many there were. */
static unsigned kill_by_environment(const struct agent *a, const struct job *j)
{
	char job_line[64], index_line[64], node_line[128], spool_line[PATH_MAX + 16];
	bool is_element = zn_handle_is_element(j->key.job);
	DIR *d = opendir("/proc");
	unsigned n = 0;

	snprintf(job_line, sizeof(job_line), "ZENITH_JOB_ID=%llu", (unsigned long long)zn_handle_number(j->key.job));
	snprintf(index_line, sizeof(index_line), "ZENITH_ARRAY_INDEX=%u", zn_handle_index(j->key.job));
	snprintf(spool_line, sizeof(spool_line), "ZENITH_SPOOL=%s", a->opts->spool);
	snprintf(node_line, sizeof(node_line), "ZENITH_NODE=%s", a->opts->node);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct zn_proc_id id;
		pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;
		if (pid <= 1 || zn_proc_id_read(pid, &id) < 0 || is_above_us(pid))
			continue;
		if (zn_proc_has_env(pid, job_line) && zn_proc_has_env(pid, spool_line) &&
		    (!a->opts->is_one_of_many || zn_proc_has_env(pid, node_line)) && (!is_element || zn_proc_has_env(pid, index_line)) && zn_proc_signal(&id, SIGKILL) == 0)
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

static void end_adopted(const struct job *j)
{
	bool gone = false;

	for (int i = 0; !gone && i < KILLED_PATIENCE; i++) {
		if (i)
			nap();
		gone = true;
		zn__adopt_end(j, &gone);
	}
}

static void end_leftovers(struct agent *a)
{
	if (zn_confine_clear(&a->confine) < 0)
		zn__agent_say(a, "processes in '%s' do not go away", a->confine.v2);
	for (struct job *j = a->jobs; j; j = j->hh.next)
		if (!j->other_boot)
			end_adopted(j);
	for (struct job *j = a->jobs; j; j = j->hh.next)
		for (int i = 0; !j->other_boot && i < KILLED_PATIENCE && kill_by_environment(a, j); i++)
			nap();
}

static void remove_run_dirs(struct agent *a)
{
	int fd = openat(a->dirfd, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char script[NAME_MAX + 16];

	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(script, sizeof(script), "%s/script", e->d_name);
		unlinkat(fd, script, 0);
		unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

/* ---- saying so ---------------------------------------------------------------------------------------------- */

static int report_lost(struct agent *a, struct recovery *r, struct zn_err *err)
{
	struct zn_msg_report m = { .what = "exited" };
	unsigned n = 0;
	int rc = 0;

	for (struct job *j = a->jobs; rc == 0 && j; j = j->hh.next, n++) {
		m.job = j->key.job;
		m.attempt = (uint32_t)j->key.attempt;
		m.time_s = zn_now_s();
		m.reason = j->other_boot ? "lost: the machine restarted" : "lost: the agent died";
		rc = zn_log_append(a->dirfd, &zn_msg_report_kind, &m, false);
	}
	if (rc == 0)
		rc = zn_log_read(&a->log, recall, r); /* which takes them off the table again */
	if (rc == 0 && n)
		zn__agent_say(a, "%u jobs of an earlier agent are lost", n);
	return rc < 0 ? zn_err_set(err, rc, "the agent's log can't be written: %s", strerror(-rc)) : 0;
}

int zn__agent_recover(struct agent *a, struct zn_err *err)
{
	struct recovery r = { .a = a };
	int rc = zn_log_open(a->dirfd, &a->log, err);

	if (rc < 0)
		return rc;
	rc = zn_log_read(&a->log, recall, &r);
	if (rc < 0)
		return zn_err_set(err, rc, "the agent's log can't be read: %s", strerror(-rc));
	rc = wait_for_shepherds(a, &r, err);
	if (rc < 0)
		return rc;
	end_leftovers(a);
	remove_run_dirs(a);
	rc = report_lost(a, &r, err);
	if (rc < 0)
		return rc;
	if (a->log.damaged_bytes)
		zn__agent_say(a, "%llu damaged bytes in the log were skipped", (unsigned long long)a->log.damaged_bytes);
	rc = zn__agent_rewrite(a);
	return rc < 0 ? zn_err_set(err, rc, "the agent's log can't be rewritten: %s", strerror(-rc)) : 0;
}
