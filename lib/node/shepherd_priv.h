/* shepherd_priv: what the files of the shepherd share.
 *
 * A job's life is in shepherd.c; how it begins in shepherd_start.c; how it is ended, and when it is over, in
 * shepherd_end.c; how this process comes to be a shepherd, and from one job to the next, in shepherd_idle.c.
 */
#ifndef ZN_NODE_SHEPHERD_PRIV_H
#define ZN_NODE_SHEPHERD_PRIV_H

#include <limits.h>

#include "node/shepherd.h"
#include "proc/herd.h"

#define NS 1000000000ull

enum phase { RUNNING, ENDING, KILLING };

struct task {
	pid_t pid;        /* 0: gone */
	bool would_die;   /* of what it was sent: should it end well, it came first */
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
	bool freezes_later;           /* or thaws: it could not just now */
	uint64_t kill_ns, killing_since, nap_ns;
	bool gave_up, told_started;
	pid_t first_pid;

	bool failed, has_code;        /* of the first task that failed */
	int code, signal;
	char reason[320];
	bool may_be_late;             /* it, since no task was seen to end by it */
};

/* False: the agent does not hear it. */
bool zn__shepherd_tell(const struct shepherd *s, enum zn_shepherd_what what, const char *text);
/* Why the job ends; the first one said stays. */
void zn__shepherd_set_reason(struct shepherd *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* From its record in the log to its exit there.  True when nothing is left of it in this process or below it. */
bool zn__shepherd_run_job(struct shepherd *s);

/* Starts the tasks, or adopts what runs already.  Where that fails, s says so and is_over will. */
void zn__shepherd_start(struct shepherd *s);
void zn__shepherd_remove_script(struct shepherd *s);

bool zn__shepherd_is_adopted(const struct shepherd *s);
void zn__shepherd_signal(struct shepherd *s, int sig);
void zn__shepherd_freeze(struct shepherd *s, bool freeze);
/* First sig for everything, then, after grace_s, SIGKILL.  Asked again it can only be sooner. */
void zn__shepherd_end(struct shepherd *s, int sig, double grace_s);
/* The same, and why: but not of a job whose tasks end well all the same, as they came first. */
void zn__shepherd_end_because(struct shepherd *s, const char *why, int sig, double grace_s);
/* Its grace, but short: for what the tasks left behind, and when the agent died. */
double zn__shepherd_short_grace_s(const struct shepherd *s);
/* SIGKILL for everything, to be repeated at s->kill_ns; gives up on what may not be ended. */
void zn__shepherd_kill(struct shepherd *s);
/* Takes note of what has ended, and ends what the tasks left behind.  True when nothing is left. */
bool zn__shepherd_is_over(struct shepherd *s);

#endif
