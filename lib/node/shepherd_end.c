/* shepherd_end: how a job is ended (a signal, its grace, SIGKILL until nothing is left), and who of it is left. */
#include "node/shepherd_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"

static const double LEFTOVER_GRACE_S = 2;
static const uint64_t GIVE_UP_NS = 5 * NS; /* on processes that we may not end */

bool zn__shepherd_is_adopted(const struct shepherd *s)
{
	return s->herd.pidfd >= 0;
}

void zn__shepherd_signal(struct shepherd *s, int sig)
{
	if (zn__shepherd_is_adopted(s))
		zn_herd_signal(&s->herd, sig);
	else
		zn_hold_signal(&s->hold, sig);
}

void zn__shepherd_freeze(struct shepherd *s, bool freeze)
{
	int rc = zn__shepherd_is_adopted(s) ? zn_herd_freeze(&s->herd, freeze) : zn_hold_freeze(&s->hold, freeze);

	s->freezes_later = rc < 0;
}

void zn__shepherd_end(struct shepherd *s, int sig, double grace_s)
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
	zn__shepherd_signal(s, sig);
	if (s->hold.frozen)
		zn__shepherd_freeze(s, false);
}

/* Looked at after the signal was sent: a handler that was there by then is there still. */
static void note_who_would_die(struct shepherd *s, int sig)
{
	for (uint32_t i = 0; i < s->start->tasks; i++)
		s->tasks[i].would_die = s->tasks[i].pid && zn_proc_dies_of(s->tasks[i].pid, sig);
}

void zn__shepherd_end_because(struct shepherd *s, const char *why, int sig, double grace_s)
{
	if (zn__shepherd_is_over(s))
		return;
	/* without a task, only what they left behind is still being ended */
	bool is_why = s->n_running && !s->reason[0];
	zn__shepherd_end(s, sig, grace_s);
	if (!is_why)
		return;
	zn__shepherd_set_reason(s, "%s", why);
	s->may_be_late = !zn__shepherd_is_adopted(s);
	if (s->may_be_late)
		note_who_would_die(s, sig);
}

void zn__shepherd_kill(struct shepherd *s)
{
	uint64_t now = zn_boot_ns();

	if (s->phase != KILLING) {
		s->phase = KILLING;
		s->killing_since = now;
		s->nap_ns = NS / 100;
	} else if (s->nap_ns < NS) {
		s->nap_ns *= 2; /* something hangs in the kernel: keep its GPU from others, but look less often */
	}
	struct zn_tree_count count = zn__shepherd_is_adopted(s) ? zn_herd_kill(&s->herd) : zn_hold_kill(&s->hold);
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

static void task_ended(struct shepherd *s, pid_t pid, int status)
{
	for (uint32_t i = 0; i < s->start->tasks; i++) {
		if (s->tasks[i].pid != pid)
			continue;
		s->tasks[i].pid = 0;
		s->n_running--;
		s->may_be_late = s->may_be_late && status == 0 && s->tasks[i].would_die;
		if (status == 0 || s->failed)
			return;
		note_failure(s, status);
		if (s->phase == RUNNING && s->n_running)
			zn__shepherd_end(s, SIGTERM, s->start->grace_s);
		return;
	}
}

double zn__shepherd_short_grace_s(const struct shepherd *s)
{
	return s->start->grace_s < LEFTOVER_GRACE_S ? s->start->grace_s : LEFTOVER_GRACE_S;
}

/* What is left when the tasks are gone is ended, too. */
static void end_leftovers(struct shepherd *s)
{
	if (s->n_running == 0 && s->phase != KILLING) {
		double grace = zn__shepherd_short_grace_s(s);
		uint64_t at = zn_boot_ns() + (uint64_t)(grace * NS);
		if (s->phase == RUNNING)
			zn__shepherd_end(s, SIGTERM, grace);
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

bool zn__shepherd_is_over(struct shepherd *s)
{
	return zn__shepherd_is_adopted(s) ? reap_herd(s) : reap(s);
}
