/* memo: the queue's journal records, and the queue out of them again.
 *
 *   env           an environment, once for all jobs of a user that share it
 *   submit        a job as it was asked; its place in the journal is the job's body
 *   change        everything of a job that can change, after each change (so the last one stands)
 *   drain         a node gets no new jobs, or gets them again
 *   reservation   what is some users' for a while, or no more: job/booking.h
 *   meta          the next job number, in snapshots
 */
#ifndef ZN_QUEUE_MEMO_H
#define ZN_QUEUE_MEMO_H

#include "queue/jobs.h"

struct zn_memo_env { struct zn_bytes id; uint64_t uid; struct zn_strmap environment; };

struct zn_memo_submit {
	uint64_t id, uid, gid;
	const char *user;
	double submit_s;
	struct zn_bytes digest, env;
	uint64_t requeue_of;
	struct zn_spec spec;           /* without its environment */
};

struct zn_memo_change {
	uint64_t id;
	const char *event;             /* the word of the event record */
	double time_s;
	const char *state, *name, *reason, *confinement;
	uint32_t attempt;
	bool hold, cancel, requeue, over_quota;
	int64_t priority;
	double time_limit_s, begin_s, start_s, end_s;
	struct zn_oi64 exit_code;
	uint32_t signal, requeues_left, preempted;
	uint64_t preempted_for;
	uint64_t max_rss_bytes;
	double cpu_s, gpu_s, before_gpu_s, before_end_s;
	uint32_t gpu_milli;            /* of one GPU; 0: they are whole */
	struct zn_list others;         /* struct zn_memo_place: of a gang, the places behind the first */
	struct zn_u32s over;           /* which of all nothing runs on any more */
	struct zn_bytes gang_ends_as;  /* and what will be said of the end: struct zn_gang */
	const char *node;              /* the first place, absent without one */
	struct zn_u32s gpus;
	const char *cpus, *numas;
	uint32_t cpus_held;
	uint64_t mem_bytes;
};

struct zn_memo_place {
	const char *node;
	struct zn_u32s gpus;
	const char *cpus, *numas;
	uint32_t cpus_held;
	uint64_t mem_bytes;
};

struct zn_memo_drain { const char *node, *by, *reason; double from_s, until_s; }; /* by NULL: it is over */

struct zn_memo_meta { uint64_t next_id; };

extern const struct zn_kind zn_memo_env_kind, zn_memo_submit_kind, zn_memo_change_kind, zn_memo_drain_kind, zn_memo_meta_kind;

/* A new job in memory from its submit record; the caller adds it. */
int zn_memo_job(struct zn_jobs *q, const struct zn_memo_submit *m, struct zn_loc body, struct zn_job **ret);
/* The change record of a job as it stands. */
int zn_memo_encode_change(const struct zn_jobs *q, const struct zn_job *job, const char *event, double time_s, struct zn_buf *to);

/* One journal record into the queue; a job on a node that is none of its has no place.  *ret_event is the word of a change ("submitted" for a submit), NULL
 * otherwise; *ret_job the job it was about.  Records of unknown kinds are skipped (a later version's).
 * -EBADMSG for a record that contradicts the queue, which the caller reports and skips.
 */
int zn_memo_replay(struct zn_jobs *q, struct zn_loc loc, const void *payload, size_t len, struct zn_arena *a,
                   const char **ret_event, struct zn_job **ret_job, double *ret_time_s, struct zn_err *err);

/* The whole queue into a snapshot.  Tags: job numbers for submit records, ZN_TAG_ENV + n for the n-th
 * environment of q->envs, 0 for the rest; so nothing may be dropped from q until the snapshot is done.
 */
#define ZN_TAG_ENV (UINT64_C(1) << 63)
int zn_memo_snapshot(struct zn_jobs *q, struct zn_snapshot *s);
/* A record went to another place. */
void zn_memo_moved(struct zn_jobs *q, uint64_t tag, struct zn_loc loc);

#endif
