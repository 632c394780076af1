#include "job/record.h"

static const struct zn_field alloc_fields[] = {
	ZN_FIELD(struct zn_job_alloc, node, STR, "NODE", "node"),
	ZN_FIELD(struct zn_job_alloc, gpus, U32S, "GPUS", "GPU indices"),
	ZN_FIELD(struct zn_job_alloc, gpu_milli, OU64, "", "thousandths of a GPU"),
	ZN_FIELD(struct zn_job_alloc, cpus, U64, "CPUS", "hardware threads that are its alone; 0: shared"),
	ZN_FIELD(struct zn_job_alloc, cpu_list, STR, "", "where it may run"),
	ZN_FIELD(struct zn_job_alloc, mem_bytes, OBYTES, "MEM", "memory given"),
	{ 0 },
};
const struct zn_kind zn_job_alloc_kind = { NULL, "what a job was given on one node", alloc_fields,
                                           sizeof(struct zn_job_alloc), NULL };

#define J struct zn_job_record
static const struct zn_field job_fields[] = {
	ZN_FIELD_WITH(J, id, U64, "JOB", "index|array", "job number"),
	ZN_FIELD(J, index, OU64, "", "which element of an array"),
	ZN_FIELD(J, key, STR, "", "the submit's key; shown to its owner only"),
	ZN_FIELD(J, name, STR, "NAME", "what people call it"),
	ZN_FIELD(J, user, STR, "USER", "who submitted it"),
	ZN_FIELD(J, account, STR, "", "who pays"),
	ZN_FIELD(J, state, STR, "STATE", "PENDING, QUEUED, SCHEDULED, RUNNING, SUSPENDED, COMPLETED, FAILED, CANCELLED"),
	ZN_FIELD(J, priority, I64, "PRIO", "larger is more urgent"),
	ZN_FIELD(J, gpus, U64, "GPUS", "GPUs asked"),
	ZN_FIELD(J, gpu_share, OF64, "", "part of one GPU asked"),
	ZN_FIELD(J, gpu_mem_bytes, OBYTES, "", "memory of one GPU asked"),
	ZN_FIELD(J, tasks, U64, "TASKS", "processes that start together"),
	ZN_FIELD(J, cpus, OU64, "CPUS", "hardware threads asked"),
	ZN_FIELD(J, mem_bytes, OBYTES, "MEM", "memory asked"),
	ZN_FIELD(J, nodes_min, OU64, "", "of a gang: the fewest nodes that it may have"),
	ZN_FIELD(J, nodes_max, OU64, "", "and the most"),
	ZN_FIELD(J, time_limit_s, ODUR, "LIMIT", "longest running time"),
	ZN_FIELD(J, nvlink, STR, "", "require or prefer"),
	ZN_FIELD(J, pack, OBOOL, "", "it asked for as few nodes and NUMA nodes as can be, else absent"),
	ZN_FIELD(J, spread, OBOOL, "", "as many, else absent"),
	ZN_FIELD(J, same_switch, OBOOL, "", "all of its nodes at one switch, else absent"),
	ZN_FIELD(J, near, STR, "", "the device that it is to be near"),
	ZN_FIELD(J, constraint, STR, "", "which labels its nodes are to have"),
	ZN_FIELD(J, licences, STR, "", "licences asked, by name and count"),
	ZN_FIELD(J, submit_s, TIME, "SUBMITTED", "when it was accepted"),
	ZN_FIELD(J, begin_s, OTIME, "", "not before"),
	ZN_FIELD(J, deadline_s, OTIME, "", "ended by then, or given up"),
	ZN_FIELD(J, every, STR, "", "when it comes again, as a calendar expression"),
	ZN_FIELD(J, array, STR, "", "of an array: its elements that wait, and how many may run at once"),
	ZN_FIELD(J, array_never, STR, "", "of an array that was cancelled: its elements that never begin"),
	ZN_FIELD(J, elements, OU64, "", "of an array: how many it has"),
	ZN_FIELD(J, elements_completed, OU64, "", "of them that ended well"),
	ZN_FIELD(J, elements_failed, OU64, "", "of them that failed"),
	ZN_FIELD(J, elements_cancelled, OU64, "", "of them that were cancelled after they had become jobs of their own"),
	ZN_FIELD(J, after, STR, "", "jobs that it waits for, and how they must end: ok, any or fail"),
	ZN_FIELD(J, start_s, OTIME, "STARTED", "when it last started"),
	ZN_FIELD(J, end_s, OTIME, "ENDED", "when it ended"),
	ZN_FIELD(J, exit_code, OI64, "EXIT", "of the first task that failed; absent when a signal ended it"),
	ZN_FIELD(J, signal, STR, "SIGNAL", "the signal that ended it"),
	ZN_FIELD_SUB(J, alloc, SUBS, &zn_job_alloc_kind, "", "what it was given"),
	ZN_FIELD(J, attempt, OU64, "", "how often it was started"),
	ZN_FIELD(J, requeue_of, OU64, "", "the finished job that this one repeats"),
	ZN_FIELD(J, preemptible, OBOOL, "", "it may be sent back to the queue for a job with a higher priority"),
	ZN_FIELD(J, grace_s, ODUR, "", "of one that may: the time that it asked for between its first signal and SIGKILL"),
	ZN_FIELD(J, preempted, OU64, "", "how often it was"),
	ZN_FIELD(J, over_quota, OBOOL, "", "it started beyond the soft limits of its quota, and makes room for whoever is within his own"),
	ZN_FIELD(J, adopted_pid, OU64, "", "the process that ran before it became this job"),
	ZN_FIELD(J, max_rss_bytes, OBYTES, "PEAK", "peak memory"),
	ZN_FIELD(J, cpu_s, ODUR, "CPU", "CPU time of all its processes"),
	ZN_FIELD(J, gpu_s, ODUR, "GPU", "GPUs held times seconds"),
	ZN_FIELD(J, before_gpu_s, ODUR, "", "GPUs held times seconds in runs before a requeue"),
	ZN_FIELD(J, before_end_s, OTIME, "", "when the last of these ended"),
	ZN_FIELD(J, confinement, STR, "", "how its processes were held together, and what was not possible"),
	ZN_FIELD(J, command, STR, "COMMAND", "program; of your own jobs only"),
	ZN_FIELD(J, arguments, STRS, "", "arguments; of your own jobs only"),
	ZN_FIELD(J, directory, STR, "", "where it runs; of your own jobs only"),
	ZN_FIELD(J, output, STR, "", "standard output; of your own jobs only"),
	ZN_FIELD(J, error, STR, "", "standard error; of your own jobs only"),
	ZN_FIELD(J, reason, STR, "REASON", "why it is in this state"),
	{ 0 },
};
const struct zn_kind zn_job_kind = { "job", "a job and its state", job_fields, sizeof(J),
                                     "id,name,user,state,priority,gpus,cpus,start_s,reason" };

static const struct zn_field submitted_fields[] = {
	ZN_FIELD(struct zn_submitted, id, U64, "JOB", "job number"),
	ZN_FIELD(struct zn_submitted, key, STR, "KEY", "with which a retry gets the same job"),
	{ 0 },
};
const struct zn_kind zn_submitted_kind = { "job", "a job that was accepted", submitted_fields,
                                           sizeof(struct zn_submitted), NULL };

static const struct zn_field event_fields[] = {
	ZN_FIELD(struct zn_event, seq, U64, "SEQ", "grows with each event; resume with --since"),
	ZN_FIELD(struct zn_event, time_s, TIME, "TIME", "when"),
	ZN_FIELD(struct zn_event, event, STR, "EVENT", "what happened"),
	ZN_FIELD_SUB(struct zn_event, job, SUB, &zn_job_kind, "", "the job after it"),
	{ 0 },
};
const struct zn_kind zn_event_kind = { "event", "one change of one job", event_fields, sizeof(struct zn_event),
                                       "seq,time_s,event,job.id,job.name,job.user,job.state,job.reason" };

static const struct zn_field held_fields[] = {
	ZN_FIELD(struct zn_node_held, gpu, U32, "GPU", "index"),
	ZN_FIELD(struct zn_node_held, pid, OU64, "PID", "who holds it"),
	ZN_FIELD(struct zn_node_held, user, STR, "USER", "whose process that is"),
	ZN_FIELD(struct zn_node_held, command, STR, "COMMAND", "what it runs"),
	{ 0 },
};
static const struct zn_kind held_kind = { NULL, "a GPU that somebody outside the queue uses", held_fields,
                                          sizeof(struct zn_node_held), NULL };

#define N struct zn_node_record
static const struct zn_field node_fields[] = {
	ZN_FIELD(N, node_id, STR, "NODE", "name in the queue"),
	ZN_FIELD(N, hostname, STR, "HOST", "name of the host"),
	ZN_FIELD(N, domain, STR, "", "where it is in the network, from the spine on"),
	ZN_FIELD(N, report_s, TIME, "", "when the agent last told its state"),
	ZN_FIELD(N, healthy, BOOL, "HEALTHY", "may get jobs"),
	ZN_FIELD(N, state, STR, "STATE", "up, draining, drained or down"),
	ZN_FIELD(N, cpus, U64, "CPUS", "hardware threads for jobs"),
	ZN_FIELD(N, cpus_free, OU64, "FREE", "of them free"),
	ZN_FIELD(N, gpus, U64, "GPUS", "GPUs for jobs"),
	ZN_FIELD(N, gpus_free, OU64, "FREE", "of them free"),
	ZN_FIELD(N, mem_bytes, BYTES, "MEM", "memory for jobs"),
	ZN_FIELD(N, mem_free_bytes, OBYTES, "FREE", "of it not promised to a job"),
	ZN_FIELD(N, cpu_utilization_pct, OF64, "", "CPU use"),
	ZN_FIELD(N, gpu_utilization_avg_pct, OF64, "", "kernel-active time, mean over the GPUs"),
	ZN_FIELD(N, mem_available_bytes, OBYTES, "", "memory that programs could still get, as the kernel sees it"),
	ZN_FIELD(N, jobs, OU64, "JOBS", "jobs that run on it"),
	ZN_FIELD(N, drain_from_s, OTIME, "", "when it will be drained, if that is planned"),
	ZN_FIELD(N, drain_until_s, OTIME, "", "and until when; absent: until somebody ends it"),
	ZN_FIELD(N, drain_reason, STR, "", "and who planned it, and why"),
	ZN_FIELD(N, labels, MAP, "", "labels"),
	ZN_FIELD(N, reservations, OU64, "", "so many of the first in line have one; absent: 1"),
	ZN_FIELD(N, share_between_users, OBOOL, "", "parts of one GPU may be several users'; else absent"),
	ZN_FIELD_SUB(N, held, SUBS, &held_kind, "", "GPUs that somebody outside the queue uses"),
	ZN_FIELD(N, topology, ANY, "", "the records that zn-topo prints"),
	ZN_FIELD(N, reason, STR, "REASON", "why it is in this state"),
	{ 0 },
};
const struct zn_kind zn_node_kind = { "node", "a machine that runs jobs", node_fields, sizeof(N), NULL };
