/* picture: the queue as the view shows it at one moment, and what follows from it: where a job would go, and
 * why one does not start.  The same planner as in zn-schedd answers; nobody is asked.
 */
#ifndef ZN_QUEUE_PICTURE_H
#define ZN_QUEUE_PICTURE_H

#include "job/record.h"
#include "job/spec.h"
#include "pick/room.h"
#include "plan/plan.h"
#include "queue/bookings.h"
#include "queue/view.h"

struct zn_picture {
	struct zn_arena arena;
	struct zn_job_record *jobs;    /* by arrival, as of the last record; also those that ended lately */
	size_t n_jobs;
	struct zn_node_record *nodes;
	uint32_t n_nodes;
	struct zn_room room;           /* of them, with the same numbers: zn_picture_room */
	struct zn_facts **facts;
	struct zn_quotas quotas;
	struct zn_share_record *shares;
	size_t n_shares;
	struct zn_licence_record *licences;
	size_t n_licences;
	struct zn_bookings bookings;   /* that have not ended */
	struct zn_licences counted;    /* of them, and of others that jobs have: what is in use: zn_picture_count */
	struct zn_payers payers;       /* what they have now: zn_picture_count */
};

/* Everything the reader has now. */
int zn_picture_read(struct zn_view_reader *r, struct zn_picture *ret, struct zn_err *err);
/* The same of a spool as it is now; one without a view, where nothing was ever submitted, is an empty queue. */
int zn_picture_of_spool(const char *spool, struct zn_picture *ret, struct zn_err *err);
void zn_picture_done(struct zn_picture *p);
const struct zn_job_record *zn_picture_job(const struct zn_picture *p, uint64_t handle);
/* The array with the others of which that element waits, or never begins; NULL: there is none. */
const struct zn_job_record *zn_picture_array(const struct zn_picture *p, uint64_t handle);
/* How many wait: of an array all that do. */
uint32_t zn_picture_waiters(const struct zn_job_record *job);

/* Counts what everybody has, and used lately by the history, against the quotas; before anything below. */
int zn_picture_count(struct zn_picture *p, const char *spool, struct zn_err *err);
/* The longest window in which hours of a quota are counted; 0: there is none. */
double zn_picture_window_s(const struct zn_picture *p);
/* What hours count of a job: its run that is over, and before it those before a requeue, as one.  Returns how many. */
struct zn_gpu_run { struct zn_use use; double start_s, end_s; };
unsigned zn_picture_runs(const struct zn_job_record *r, struct zn_gpu_run v[2]);
/* Whether there is fair share; and its factors, as zn-schedd said them last.  -ENOMEM. */
struct zn_shares zn_picture_shares(const struct zn_picture *p);
int zn_picture_weigh(const struct zn_picture *p, struct zn_payers *payers);
/* How many of the first in line have reservations; 0 is 1. */
uint64_t zn_picture_reservations(const struct zn_picture *p);
struct zn_pick_weights zn_picture_weights(const struct zn_picture *p);
bool zn_picture_has_place(const struct zn_job_record *job);
/* What it has or had; none: it never had a place, or had it where there is no node any more.  NULL: out of memory. */
const struct zn_places *zn_picture_places(const struct zn_picture *p, const struct zn_job_record *job, struct zn_arena *a);

/* How many there are of each.  -ENOMEM. */
int zn_picture_set_licences(const struct zn_picture *p, struct zn_licences *ret);
int zn_picture_count_licences(struct zn_picture *p);
/* Calls each with every licence that is configured or in use. */
void zn_picture_each_licence(const struct zn_picture *p, void (*each)(void *arg, const struct zn_licence_record *r), void *arg);

/* Fills room: the nodes' facts and what is free on them in this picture; closed are those that are not up.  Also fills the nodes'
 * cpus_free, gpus_free, mem_free_bytes and jobs.  Asked again it has nothing to do.  -ENODATA: no agent has said anything yet.
 */
int zn_picture_room(struct zn_picture *p, struct zn_err *err);
/* The facts of one node, which are the picture's from now on, also when this fails; without a job. */
int zn_picture_know(struct zn_picture *p, uint32_t node, struct zn_facts *facts);

/* Why none of the nodes takes anything now; NULL: one does. */
const char *zn_picture_closed(const struct zn_picture *p);

/* Why a job is where it is, as a record for people and programs. */
struct zn_explained {
	uint64_t id;
	struct zn_ou64 index;          /* of an element of an array */
	const char *state, *reason;
	const char *answer;            /* one sentence */
	struct zn_ou64 ahead;          /* waiting jobs that come before it */
	struct zn_job_factors factors;
	struct zn_of64 expected_s;     /* when it starts, by the limits; absent: they don't say */
	struct zn_list reasons;        /* struct zn_explained_reason: what rejected it, and how many */
	const char *smallest;          /* the smallest change with which it would start now */
};
struct zn_explained_reason { const char *text; uint64_t count; };
extern const struct zn_kind zn_explained_kind;

int zn_picture_explain(struct zn_picture *p, const struct zn_job_record *job, struct zn_explained *ret,
                       struct zn_err *err);
/* Of one that waits for room, while it is known what there is: adds what the order has of it, and how many come before it. */
int zn_picture_add_order(struct zn_picture *p, struct zn_job_record *job, struct zn_err *err);

/* Where a job with this ask would go now, on which node: the "plan" record of zn-submit --dry-run. */
struct zn_planned {
	bool now;                      /* it would start at once */
	const char *node;
	struct zn_u32s gpus;
	struct zn_ou64 gpu_milli;
	const char *cpus, *numas;
	uint64_t cpus_held;
	struct zn_ou64 mem_bytes;
	const char *nics;              /* network devices beside its GPUs */
	struct zn_list alloc;          /* struct zn_job_alloc: of a gang, what it would have of each node */
	struct zn_ou64 ahead;          /* waiting jobs that come before it */
	struct zn_of64 expected_s;     /* when it would start, by the limits; absent: they don't say */
	struct zn_list reasons;        /* when not */
	const char *smallest;
};
extern const struct zn_kind zn_planned_kind;
int zn_picture_plan(struct zn_picture *p, const struct zn_pick_ask *ask, struct zn_arena *a, struct zn_planned *ret);
/* Of a job that asks these licences, and for which the planner gave rc and these reasons: adds what there is too little of,
 * before the others unless they are for ever, and takes smallest away, with which it would not start either.  Returns what both
 * say, as zn_plan_make; -ENOMEM.
 */
int zn_picture_lacks(struct zn_picture *p, const char *licences, int rc, struct zn_arena *a, struct zn_list *reasons,
                     const char **smallest);
/* The same of a submission: on the spool's node when it has one, else on this machine as if it were idle.  All of *ret
 * lives in a.  That it does not fit now is no failure.
 */
int zn_dry_run(const char *spool, const struct zn_spec *s, struct zn_arena *a, struct zn_planned *ret,
               struct zn_err *err);

#endif
