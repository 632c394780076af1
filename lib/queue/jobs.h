/* jobs: the queue in memory.  What zn-schedd knows of every job, found by number and by key; those that wait are in
 * line, and those that have a place are in the room (pick).
 */
#ifndef ZN_QUEUE_JOBS_H
#define ZN_QUEUE_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "job/number.h"
#include "job/record.h"
#include "job/spans.h"
#include "job/spec.h"
#include "job/state.h"
#include "pick/preempt.h"
#include "pick/room.h"
#include "queue/bookings.h"
#include "queue/journal.h"

enum { ZN_DIGEST = 16 };

/* An environment, stored once for all jobs of a user that share it. */
struct zn_env {
	unsigned char id[ZN_DIGEST];   /* SHA-256 of uid and content, cut */
	struct zn_loc loc;
	uint32_t refs;
	UT_hash_handle hh;
};

/* An array: one job for all of its elements that wait, as long as nobody asks for one of them.  Who starts, or is held or
 * cancelled by himself, is an element from then on: a job of its own, with what the array had.
 *
 * Its own state is what those that wait are in, and QUEUED (or PENDING) as long as any element has not ended; then it ends.
 */
struct zn_array {
	struct zn_spans rest;          /* that wait */
	struct zn_spans never;         /* that waited when it was cancelled: they never begin */
	uint32_t n;                    /* at first */
	uint32_t at_once;              /* so many may run; 0: all */
	uint32_t busy, placed;         /* elements in line or with a place; of them, with a place */
	uint32_t open;                 /* elements that have not ended */
	uint32_t elements;             /* that are known, ended or not */
	uint32_t completed, failed, cancelled;
	uint64_t *kept;                /* elements that might not get in line when they were to, in that order; some may be gone */
	size_t from_kept, n_kept, cap_kept;
	struct zn_job *spare;          /* the next element's memory: a start must not fail for it */
};

/* Of a job on several nodes one of which is done with it: the end that it will have, as zn-schedd reads it. */
struct zn_gang { size_t len; unsigned char end[]; };

/* What the runs of a job leave.  It comes with its first place: most of those that wait never had one. */
struct zn_run {
	double start_s;
	uint64_t max_rss_bytes;
	double cpu_s, gpu_s;
	const char *confinement;       /* interned */
	double counted_s;              /* its GPUs are counted since then; 0: they are not */
	uint64_t preempted_for;        /* it goes for that one; 0: for nobody */
	double before_gpu_s, before_end_s; /* GPU time of runs before this one, and when the last of them ended */
	double left_s;                 /* of its limit, while it is suspended */
	struct zn_gang *gang;          /* malloc'ed; NULL: it is none, or nothing of it is over */
};

struct zn_job {
	uint64_t id;                   /* a handle: job/number.h */
	enum zn_job_state state;
	uint32_t attempt;              /* starts so far */
	uid_t uid;
	gid_t gid;
	const char *user, *account, *every, *near, *constraint, *booking; /* interned; all but user may be NULL: none */
	char *name, *reason;           /* malloc'ed or NULL */
	struct zn_array *array;        /* NULL: it is none */
	struct zn_job *whole;          /* of an element: its array */
	struct zn_after *after;        /* while it is PENDING: the jobs that it waits for; malloc'ed or NULL */
	char *key;                     /* "UID:KEY", as it is hashed; NULL: none */
	unsigned char digest[ZN_DIGEST];
	int64_t priority;
	const struct zn_wish *wish;    /* of licences, of the room's; NULL: none */
	bool hold;
	bool is_changed;               /* the journal has more of it than its submission */
	bool is_kept;                  /* an element that is among its array's kept */
	bool nvlink_required, spread, same_switch;
	bool pack;                     /* it said what happens anyway */
	bool preemptible;              /* it may be sent back to the queue for somebody more urgent */
	bool on_end;                   /* something is to be run then */
	bool is_end;                   /* it is run at the end of another one */
	bool has_exit_code;
	bool cancel, requeue;          /* the running attempt ends because of this, when the agent has said so */
	uint32_t preempted;            /* so often it was */
	uint32_t gpus, tasks;
	uint16_t nodes_min, nodes_max; /* of a gang; max 0: it has one node */
	uint32_t gpu_share_milli;      /* of one GPU, as it was asked; 0: it was not */
	uint32_t payer;                /* who is counted for it; 0: nobody */
	uint32_t requeues_left;
	uint32_t adopted_pid;          /* 0: it is started by us */
	uint32_t refusals;             /* starts in a row that the agent put off */
	struct zn_gpu_part part;       /* milli 0: it has whole GPUs; by memory alone, not before it is in line */
	struct zn_ou64 cpus;
	uint64_t mem_bytes;
	double limit_s, grace_s;       /* 0: no limit */
	double submit_s, begin_s, deadline_s, end_s;
	uint64_t requeue_of;
	int32_t exit_code;
	uint32_t signal;
	struct zn_run *run;            /* malloc'ed; NULL: it never had a place */
	struct zn_places *places;      /* malloc'ed: while it has one, and to its end's record */
	struct zn_loc body;            /* its submit record in the journal; an element has that of its array */
	struct zn_env *env;
	struct zn_pick_job pick;       /* in line while it is QUEUED, and running while it has a place */
	uint64_t view_seq;             /* of its last event */
	UT_hash_handle hh, hh_key;
};

/* A node of the room, as the journal knows it. */
struct zn_jobs_node {
	char *name;                    /* malloc'ed */
	struct zn_drain {
		char *by, *reason;     /* malloc'ed; by NULL: it is not drained; reason NULL: none was given */
		double from_s;         /* 0: it was at once */
		double until_s;        /* 0: until somebody ends it */
	} drain;                       /* it gets no new jobs */
};

struct zn_jobs {
	struct zn_job *by_id, *by_key;
	struct zn_env *envs;
	struct zn_awaited *awaited;    /* by number */
	struct zn_pick pick;           /* how many have reservations is said before the nodes are */
	struct zn_room room;
	struct zn_bookings bookings;   /* the room knows them */
	struct zn_jobs_node *nodes;    /* as many as the room has, with the same numbers */
	bool share_between_users;      /* parts of one GPU may be several users'; said before the first job comes */
	struct zn_payers payers;
	struct zn_word *words;         /* interned texts */
	uint64_t next_id;
	struct zn_env *moved;          /* where zn_memo_moved is: environments come in order */
	uint64_t n_moved;
	uint64_t count[ZN_JOB_STATES];
	uint64_t waiting[ZN_JOB_QUEUED + 1]; /* PENDING and QUEUED, of an array each that waits */
	uint64_t n_preemptible;        /* jobs that have a place, and are */
	double safe_until_s;           /* when one of them that is safe may be preempted for who is first in line; 0: none is */
};

void zn_jobs_init(struct zn_jobs *q);
/* The nodes that there are, before the first job comes.  -ENOMEM. */
int zn_jobs_set_nodes(struct zn_jobs *q, const char *const *names, uint32_t n);
/* The number of a node; -ENOENT.  Of one node alone the name may have changed since: it is any. */
int64_t zn_jobs_node(const struct zn_jobs *q, const char *name);
void zn_jobs_done(struct zn_jobs *q);

struct zn_job *zn_jobs_get(struct zn_jobs *q, uint64_t id);
struct zn_job *zn_jobs_get_key(struct zn_jobs *q, uid_t uid, const char *key);
/* Takes an initialised job into the hashes (and its group, if QUEUED).  -EEXIST, -ENOMEM. */
int zn_jobs_add(struct zn_jobs *q, struct zn_job *job);
/* Forgets a finished job. */
void zn_jobs_drop(struct zn_jobs *q, struct zn_job *job);
void zn_job_free(struct zn_job *job);
void zn_job_forget_places(struct zn_job *job);        /* it has none, or others are about to come */
/* Before the first job comes.  Both live as long as q. */
void zn_jobs_set_quotas(struct zn_jobs *q, struct zn_quotas quotas, struct zn_shares shares);
/* Before the first job comes: there are so many of one licence.  -ENOMEM. */
int zn_jobs_set_licence(struct zn_jobs *q, const char *name, uint64_t total);
/* Its runs before this one, of a job that was just read. */
void zn_jobs_count_before(struct zn_jobs *q, const struct zn_job *job);
/* What it counts for against a quota. */
struct zn_use zn_job_use(const struct zn_job *job);
/* The one way a state changes; keeps counts and groups right.  -EPERM if the move is not legal. */
int zn_jobs_move(struct zn_jobs *q, struct zn_job *job, enum zn_job_state to);
/* After priority or limit changed.  -ENOMEM: it is in line no more. */
int zn_jobs_reorder(struct zn_jobs *q, struct zn_job *job);
/* Keys are per user: "UID:KEY", malloc'ed; NULL: out of memory. */
char *zn_job_user_key(uid_t uid, const char *key);
/* Of one that is about to get a place: its run can be written from now on.  -ENOMEM. */
int zn_job_add_run(struct zn_job *job);
/* What its runs left: all 0 of one that never had a place. */
static inline const struct zn_run *zn_job_run(const struct zn_job *job)
{
	static const struct zn_run none;

	return job->run ? job->run : &none;
}
int zn_job_set_text(char **to, const char *text);  /* a copy, or NULL */
/* How many wait. */
static inline uint32_t zn_job_waiters(const struct zn_job *job)
{
	return job->array ? job->array->rest.count : 1;
}
const char *zn_jobs_intern(struct zn_jobs *q, const char *text);

/* Makes an element of one that waits, in the state that array is in; or, at the reading of the journal, of one that the
 * journal knows.  -ENOMEM.
 */
int zn_jobs_split(struct zn_jobs *q, struct zn_job *array, uint32_t index, struct zn_job **ret);
/* The elements of array, one after the other, from last NULL on; NULL: there is no other one. */
struct zn_job *zn_jobs_next_element(const struct zn_job *array, const struct zn_job *last);
/* None of those that wait will start: from now on they are the never. */
void zn_jobs_give_up_rest(struct zn_jobs *q, struct zn_job *array);
/* As many of it have a place, or are in line for one, as may. */
static inline bool zn_array_is_full(const struct zn_array *a)
{
	return a->at_once && a->busy >= a->at_once;
}
/* element can't get in line yet; or the first that could not, as it was told; NULL: there is no other one.  -ENOMEM. */
int zn_array_keep(struct zn_job *element);
struct zn_job *zn_array_next_kept(struct zn_jobs *q, struct zn_job *array);
/* What everybody is told: of an array of which nothing waits as a whole, what its elements do. */
enum zn_job_state zn_job_shown_state(const struct zn_job *job);

/* by NULL: it is drained no more.  -ENOMEM. */
int zn_jobs_drain(struct zn_jobs *q, uint32_t node, const char *by, const char *reason, double from_s, double until_s);
/* That is booked, or no more.  -ENOMEM. */
int zn_jobs_book(struct zn_jobs *q, const struct zn_booking *b);
/* What a node has is this now; facts live until they are replaced.  Those that wait are in line from now on, and what
 * jobs have is taken.  -ENOMEM: not all of them are.
 */
int zn_jobs_set_facts(struct zn_jobs *q, uint32_t node, const struct zn_facts *facts);
/* job has its place from now on, or has it no more. */
void zn_jobs_take(struct zn_jobs *q, struct zn_job *job);
void zn_jobs_give(struct zn_jobs *q, struct zn_job *job);
/* The next that starts in a pass, and what it is given. */
struct zn_job *zn_jobs_next(struct zn_pick_pass *pass);

/* In a pass, of that head for which there is no room: sends back whom it takes, or freezes them, if they have nothing but CPUs that
 * it needs, and says whether anybody makes room for it; sets safe_until_s, when more may.
 */
struct zn_preempt_ops { void (*send_back)(void *arg, struct zn_job *job), (*freeze)(void *arg, struct zn_job *job); };
bool zn_jobs_preempt(struct zn_jobs *q, const struct zn_pick_job *head, double now_s, const struct zn_preempt_ops *ops, void *arg);
/* It makes room for preempted_for: it has all but its CPUs, and goes on when that one is done and they are free again. */
static inline bool zn_job_is_frozen(const struct zn_job *job)
{
	return job->state == ZN_JOB_SUSPENDED && zn_job_run(job)->preempted_for && !job->requeue;
}
/* At the start of a pass: calls thaw for each that goes on, which has its CPUs again; what others who are frozen had, and those for whom they
 * are did not take, is claimed: else somebody could take it and keep it for longer.
 */
void zn_jobs_thaw(struct zn_jobs *q, void (*thaw)(void *arg, struct zn_job *job), void *arg);

/* At the start of a pass, at now_s by whatever clock: everybody may try again, but for those that were deferred past
 * it.  Returns when the first of these may; 0: there is none.
 */
double zn_jobs_unblock(struct zn_jobs *q, double now_s);
/* The agent put a start of job, which is QUEUED again, off: its shape waits, longer each time. */
void zn_jobs_defer(struct zn_jobs *q, struct zn_job *job, double now_s);

/* Inside the room: the state, and what is counted by it; at_s is when. */
void zn__jobs_set_state(struct zn_jobs *q, struct zn_job *job, enum zn_job_state to, double at_s);
/* So many more, or less, wait in that state, if one waits in it. */
static inline void zn__jobs_count_waiters(struct zn_jobs *q, enum zn_job_state state, int64_t n)
{
	if (zn_job_is_waiting(state))
		q->waiting[state] += (uint64_t)n;
}
/* An element is in another state, or it is no more. */
void zn__array_note(struct zn_jobs *q, struct zn_job *element, enum zn_job_state from, enum zn_job_state to);
int zn__array_new(const char *text, struct zn_array **ret, struct zn_err *err); /* -EBADMSG, -ENOMEM */
void zn__array_free(struct zn_array *array);
int zn__array_prepare(struct zn_job *array);               /* -ENOMEM: none of it can start */
/* Of an array that was picked, the element that starts; whether others wait on. */
struct zn_pick_job *zn__array_part(void *jobs, struct zn_pick_job *picked, bool *ret_more);
/* The line of an empty queue; into the line, if it is QUEUED, and out of it. */
void zn__line_init(struct zn_jobs *q);
int zn__line_push(struct zn_jobs *q, struct zn_job *job);
struct zn_job *zn__line_job(struct zn_pick_job *pick);
void zn__line_remove(struct zn_jobs *q, struct zn_job *job);
void zn__line_clock(struct zn_jobs *q, struct zn_job *job); /* its limit stands still while it is suspended */

/* The public record; what it points to lives in q, job and a. */
/* What a job has, or would have, of a node; facts NULL: they are not known. */
int zn_plan_record(const struct zn_plan *plan, const char *node, const struct zn_facts *facts, struct zn_arena *a, struct zn_job_alloc *ret);
int zn_job_public(const struct zn_jobs *q, const struct zn_job *job, struct zn_arena *a, struct zn_job_record *ret);
/* Into the record of an array: how many of its elements ended, which is said of one that has ended, and to who asks. */
void zn_job_count_elements(const struct zn_job *job, struct zn_job_record *r);
/* The reason without the path or command in it, which is its submitter's alone; in a where that is another text. */
const char *zn_job_reason_for_all(const char *reason, struct zn_arena *a);

#endif
