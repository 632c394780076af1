/* agent: what the files of the agent share.
 *
 * One epoll loop, one timer that is armed only while there is something to wait for, no threads.  The log is
 * the truth: a report is what was read back from it, in its order (zn__agent_catch_up), whoever wrote it.
 */
#ifndef ZN_NODE_AGENT_H
#define ZN_NODE_AGENT_H

#include <sys/epoll.h>
#include <uthash.h>

#include "job/number.h"
#include "node/lease.h"
#include "node/log.h"
#include "node/node.h"
#include "node/shepherd.h"

struct agent;

/* Something with a descriptor; ready is called with the epoll events. */
struct watch {
	int fd;
	void (*ready)(struct agent *a, struct watch *w, uint32_t events);
};

struct job_key {
	uint64_t job;
	uint64_t attempt; /* 64 bits: no padding in a hash key */
};

/* A shepherd. */
struct hand {
	struct watch watch;          /* first: its socket */
	pid_t pid;
	uid_t uid;                   /* whose jobs it runs */
	struct job *job;             /* NULL: it has none, or none any more */
	uint64_t idle_ns;            /* since when it waits for one; 0: it does not */
	unsigned facts_no;           /* what it knows of the machine: of when it was forked */
	struct hand *next;
};

struct job {
	struct job_key key;
	struct hand *hand;           /* NULL: it is gone, or has another job */
	uint32_t ref_pid;            /* of the intent */
	uint64_t ticks;
	double start_s;
	bool suspended, exited, orphaned, other_boot;
	struct zn_proc_id adopted;   /* pid 0: it was started by us */
	uint64_t exit_seq;
	struct zn_idset gpus;
	uint32_t gpu_milli;          /* of the one in gpus; 0: they are whole */
	int *leases;
	size_t n_leases;
	struct zn_buf started;       /* its report, kept to answer a second start */
	UT_hash_handle hh;
};

/* A report that was not acknowledged, encoded, its number inside. */
struct report {
	uint64_t seq;
	struct job_key key;
	struct zn_buf body;
};

struct conn {
	struct watch watch;          /* first */
	struct zn_buf in, out;
	bool has_said_hello, has_nonce, waits_to_write;
	uint32_t nonce;              /* of its frames */
	uint64_t deadline_ns;
	struct conn *next;
};

/* A start that waits until we know who uses the GPUs, or what was asked of its job since. */
struct waiting {
	struct zn_buf body;
	struct waiting *next;
};

struct agent {
	const struct zn_agent_opts *opts;
	struct rlimit nofile;
	int dirfd, epoll, lock_fd, hands_fd, lease_fd;
	int spare_fd;                /* given up to turn a caller away when there is no other */
	struct watch sig, timer, listener;
	bool ending, retiring;
	uint64_t leave_ns;           /* when to leave, if nothing changes; 0: somebody is here, or something runs */

	struct zn_log log;
	struct report *reports;      /* ascending seq */
	size_t n_reports, cap_reports;
	uint64_t acked, ack_logged;
	uint64_t catch_up_ns;        /* when to try again to read it; 0: it was read */

	struct zn_confine confine;
	struct job *jobs;
	struct hand *hands;
	unsigned n_idle;             /* of them */
	uint64_t idle_ns;            /* when to let the first of these go; 0: there is none */
	struct zn_buf packet;        /* room for what is sent to one */
	uint64_t orphans_ns;         /* when to look after orphans again; 0: there are none */

	struct conn *conns, *peer;   /* peer: the one that said hello last */
	uint32_t nonce;
	struct zn_arena msg;

	struct zn_facts *facts;      /* NULL: could not be read */
	struct zn_err unread;        /* why the last look failed; empty: it did not */
	unsigned facts_no;           /* grows with each change of them */
	struct zn_buf topology;      /* as the look wrote it */
	bool topology_sent;
	struct watch look;           /* the looker's socket; fd -1: there is none */
	pid_t look_pid;
	uint64_t look_until_ns;      /* when we give up on its answer; 0: none is awaited */
	uint64_t look_keep_ns;       /* until when it is kept for the next question; 0: it is not */
	uint64_t look_again_ns;      /* when to try again; 0: the facts are there */
	unsigned look_tries;
	bool look_hangs;             /* look_pid was killed and is still there */
	bool look_full, want_full, want_users, tell_state;
	struct zn_buf look_in;
	struct zn_list users;        /* struct zn_gpu, as last seen; in users_arena */
	struct zn_arena users_arena;
	struct waiting *waiting;
	uint64_t watch_ns;           /* when to look next; 0: nobody watches */
	uint32_t held_crc;           /* of the list of strangers that was sent last */

	uint64_t armed_ns;           /* what the timer is set to */
};

/* agent.c */
void zn__agent_say(struct agent *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int zn__agent_watch(struct agent *a, struct watch *w, uint32_t events);
void zn__agent_unwatch(struct agent *a, struct watch *w); /* closes, too */

/* report.c */
int zn__agent_catch_up(struct agent *a);      /* reads what is new in the log and sends it */
void zn__agent_ack(struct agent *a, uint64_t seq);
void zn__agent_log_ack(struct agent *a, bool now);
int zn__agent_log(struct agent *a, const struct zn_msg_report *r, bool sync);
int zn__agent_rewrite(struct agent *a);
bool zn__agent_resend(struct agent *a, const struct job_key *key);
void zn__report_forget(struct agent *a, uint64_t seq); /* everything up to seq */
int zn__report_add(struct agent *a, uint64_t seq, const struct zn_msg_report *r);

/* job.c */
void zn__job_start(struct agent *a, const struct zn_msg_start *m);
void zn__job_steer(struct agent *a, const struct zn_msg_steer *m);
struct job *zn__job_find(struct agent *a, uint64_t job, uint64_t attempt);
struct job *zn__job_add(struct agent *a, uint64_t job, uint64_t attempt);
void zn__job_free(struct agent *a, struct job *j);
void zn__job_release(const struct agent *a, struct job *j); /* its leases: nothing of it runs */
void zn__job_reap(struct agent *a);           /* after SIGCHLD */
void zn__job_orphans(struct agent *a);
void zn__job_stop_all(struct agent *a, const char *reason);
bool zn__job_any_runs(const struct agent *a);

/* adopt.c */
int zn__adopt_check(const struct agent *a, const struct zn_msg_start *m, struct zn_err *err);
void zn__adopt_end(const struct job *j, bool *gone); /* kills what an adopted job is; false in *gone while some is left */

void zn__job_heard(struct agent *a, struct watch *w, uint32_t events); /* its shepherd says something */

/* hand.c */
int zn__hand_begin(struct agent *a, struct job *j, const struct zn_msg_start *m); /* a shepherd for it */
struct hand *zn__hand_of(struct agent *a, pid_t pid);
void zn__hand_rest(struct agent *a, struct hand *h);      /* it has said that it may have another job */
void zn__hand_let_go(struct agent *a, bool all);          /* of those that wait for one, else those that did so for long */
void zn__hand_free(struct agent *a, struct hand *h);

/* peer.c */
void zn__peer_accept(struct agent *a, struct watch *w, uint32_t events);
void zn__peer_send(struct agent *a, const struct zn_kind *kind, const void *msg);
void zn__peer_send_body(struct agent *a, uint64_t seq, const struct zn_buf *body);
void zn__peer_drop(struct agent *a, struct conn *c);
/* Whoever asked is gone, and another waits to be heard, who knows what became of that and asks again for what is still wanted:
 * after a while in which we were stopped it may be given to another node.
 */
bool zn__peer_is_replaced(const struct agent *a);
void zn__peer_expire(struct agent *a, uint64_t now_ns);

/* look.c */
int zn__look_first(struct agent *a);          /* waits for it */
void zn__look_begin(struct agent *a);         /* if one is wanted and none is under way */
void zn__look_answered(struct agent *a, struct zn_bytes answer);
void zn__look_again(struct agent *a);         /* look_again_ns has come */
void zn__look_send_state(struct agent *a, bool always);
void zn__look_forget(struct agent *a);        /* the starts that wait for one */
bool zn__look_is_mock(void);
bool zn__look_needed(const struct agent *a);  /* before GPUs are given out */
/* 1: somebody uses it who belongs to no job, nor to the processes of but */
int zn__look_stranger(struct agent *a, uint32_t gpu, pid_t but, struct zn_lease_holder *ret);
bool zn__look_uses(const struct agent *a, uint32_t gpu, pid_t root); /* it, or one that descends from it */
bool zn__look_is_below(pid_t pid, pid_t root); /* is root, or descends from it */

/* looker.c */
int zn__looker_ask(struct agent *a, bool full);   /* zn__look_answered is called with what it says, nothing or why not */
int zn__looker_ask_and_wait(struct agent *a, struct zn_buf *ret);
void zn__looker_expire(struct agent *a, uint64_t now_ns);
void zn__looker_let_go(struct agent *a);

/* recover.c */
int zn__agent_recover(struct agent *a, struct zn_err *err);

#endif
