/* record: what the queue tells the world: job, event and node records (design part 8, "Names that are
 * settled").
 */
#ifndef ZN_JOB_RECORD_H
#define ZN_JOB_RECORD_H

#include "rec/field.h"

struct zn_job_alloc {
	const char *node;
	struct zn_u32s gpus;           /* indices */
	struct zn_ou64 gpu_milli;      /* thousandths of a GPU, when less than one was given */
	uint64_t cpus;                 /* how many hardware threads are its alone; 0: shared */
	const char *cpu_list;
	struct zn_ou64 mem_bytes;
	const char *nics;              /* network devices beside its GPUs, comma-separated */
};
extern const struct zn_kind zn_job_alloc_kind;

/* What the order has of a job that waits for room, and what it makes of it. */
struct zn_job_factors {
	struct zn_of64 waited_s, estimate_s, size, urgency;
	struct zn_of64 fair_share;     /* what its urgency is multiplied by for what its user used lately; absent: 1 */
};

/* What the reason of a job begins with that makes room, or made room, for another one. */
#define ZN_PREEMPTED "preempted for job "

struct zn_job_record {
	uint64_t id;
	struct zn_ou64 index;
	const char *key, *name, *user, *account, *state, *reason;
	int64_t priority;
	uint64_t gpus, tasks;          /* asked */
	struct zn_of64 gpu_share;      /* of one GPU, */
	struct zn_ou64 gpu_mem_bytes;  /* or so much of its memory, or both */
	struct zn_ou64 cpus, mem_bytes;
	struct zn_ou64 nodes_min, nodes_max; /* of a gang, of which each node has an equal part */
	struct zn_of64 time_limit_s;
	const char *nvlink;
	const char *constraint;        /* labels of its nodes: rec/selector.h */
	const char *reservation;
	struct zn_obool pack, spread, same_switch; /* true, or absent */
	const char *near;              /* a device */
	const char *licences;          /* "matlab:2,vcs:1" */
	double submit_s;
	struct zn_of64 begin_s, deadline_s, start_s, end_s;
	const char *every;             /* of a job that comes again: when, as a calendar expression */
	const char *array;             /* of an array: its elements that wait, and how many may run at once: "5-99%8" */
	const char *array_never;       /* of one that was cancelled: its elements that never begin */
	struct zn_ou64 at_once;        /* of an element: so many of its array may run at once; absent: all */
	struct zn_ou64 elements;       /* of an array: how many it has */
	struct zn_ou64 elements_completed, elements_failed, elements_cancelled; /* of one that has ended, or to who asks */
	const char *after;             /* the jobs that it still waits for: "12:ok,13:any" */
	struct zn_oi64 exit_code;
	const char *signal;
	struct zn_list alloc;          /* struct zn_job_alloc */
	struct zn_ou64 attempt;        /* from 1; absent before the first start */
	struct zn_ou64 requeue_of;     /* the finished job that this one repeats */
	struct zn_obool preemptible;   /* it may be sent back to the queue for one with a higher priority */
	struct zn_of64 grace_s;        /* of one that is: between its first signal and SIGKILL, if it said */
	struct zn_ou64 preempted;      /* so often it was */
	struct zn_obool over_quota;    /* it started beyond its owner's soft limits */
	struct zn_ou64 adopted_pid;    /* the process that ran before it became this job */
	struct zn_ou64 max_rss_bytes;
	struct zn_of64 cpu_s, gpu_s;
	struct zn_of64 before_gpu_s, before_end_s; /* of runs before a requeue: GPU time, and when the last ended */
	const char *confinement;
	/* only for those who may see them (zn-queue show of an own job) */
	const char *command, *directory, *output, *error;
	struct zn_strs arguments;
	/* only in zn-queue show of one that waits for room */
	struct zn_ou64 ahead;          /* waiting jobs that come before it */
	struct zn_job_factors factors;
};

/* One change of one job.  In the view the job's whole record stands in job. */
struct zn_event {
	uint64_t seq;
	double time_s;
	const char *event;             /* submitted, queued, held, scheduled, started, suspended, resumed,
	                                * requeued, preempting, preempted, modified, partly over, completed, failed, cancelled */
	struct zn_job_record job;
};

/* What zn-submit -o prints. */
struct zn_submitted { uint64_t id; const char *key; };
extern const struct zn_kind zn_submitted_kind;

struct zn_node_held { uint32_t gpu; struct zn_ou64 pid; const char *user, *command; };

struct zn_node_record {
	const char *node_id, *hostname, *domain; /* domain: where it is in the network, if that was said */
	double report_s;
	bool healthy;
	const char *reason, *state;    /* up, draining, drained, down */
	uint64_t cpus, gpus, mem_bytes;
	struct zn_of64 cpu_utilization_pct, gpu_utilization_avg_pct;
	struct zn_ou64 jobs, cpus_free, gpus_free, mem_free_bytes, mem_available_bytes;
	struct zn_of64 drain_from_s, drain_until_s; /* of a drain that is planned */
	const char *drain_reason;
	struct zn_strmap labels;
	struct zn_obool share_between_users; /* true, or absent */
	struct zn_ou64 reservations;   /* of the queue; absent: 1 */
	struct zn_of64 order_estimate, order_size, order_fair_share; /* the same: its weights; absent: 1, 0.5 and 1 */
	struct zn_list held;           /* struct zn_node_held: GPUs that somebody outside the queue uses */
	struct zn_bytes topology;      /* an array of the records that zn-topo prints */
};

extern const struct zn_kind zn_job_kind, zn_event_kind, zn_node_kind;

#endif
