/* proto: what zn-schedd and zn-noded say to each other.  Frames (rec/frame.h) of records, both ways.
 *
 * The agent keeps a log of what happened (started, exited, refused), each with a sequence number; it sends an
 * entry again on every connection until it is acknowledged.  A start is named by (job, attempt): a start that
 * the agent already knows is answered from the log, never run again.
 */
#ifndef ZN_NODE_PROTO_H
#define ZN_NODE_PROTO_H

#include "rec/field.h"

/* ---- scheduler -> agent ---- */

struct zn_msg_start {
	uint64_t job;
	uint32_t attempt;
	struct zn_ou64 uid, gid;       /* absent: as the agent itself */
	const char *user, *name;
	const char *command;           /* absent with script */
	struct zn_strs arguments;
	const char *script;            /* text, run from a private file */
	struct zn_strmap environment;  /* complete, but for what the agent adds per task */
	const char *directory;
	const char *output, *error;    /* absolute, %r not yet replaced; error absent: same as output */
	const char *terminal;          /* socket at which its client offers one, instead of output; absent: none */
	struct zn_ou64 umask;
	uint32_t tasks;                /* here */
	uint32_t world, first_rank, node_rank; /* of a gang: its tasks on all nodes, the rank of the first one here, and which of its
	                                * nodes this is; world 0: it is here alone */
	const char *nodes;             /* of a gang: all of its nodes, "n1,n2" */
	const char *master_addr;       /* where its first rank is; absent: here */
	uint32_t master_port;          /* kept free there, or the start is refused; 0: any that is free here */
	struct zn_u32s gpus;           /* indices */
	uint32_t gpu_milli;            /* thousandths of the one GPU; 0: it has its GPUs whole */
	uint64_t gpu_mem_bytes;        /* and so much of its memory; 0: that is not said */
	const char *cpus, *numas;      /* lists; "" or absent: not pinned */
	uint32_t cpus_held;
	uint64_t mem_bytes;            /* 0: no limit */
	struct zn_of64 limit_s;        /* running time, seconds */
	struct zn_ou64 signal;         /* first signal when it must end; absent: SIGTERM */
	double grace_s;                /* from it to SIGKILL */
	struct zn_ou64 adopt_pid;      /* instead of command and script: this process, which runs already, */
	struct zn_ou64 adopt_ticks;    /* if it started then (clock ticks since boot) */
};

/* ops on a job: "stop" (signal, grace, kill; reason goes into the exit), "signal", "suspend", "resume",
 *   "limit" (limit_s of running time from its start; absent: none).  A job that is unknown or gone is no
 *   error: its report is on the way or was acknowledged.
 * ops on the agent (job 0): "state" (send the state once, freshly looked up), "watch" (look every 2 s who
 *   holds GPUs and send the state when that changed, until this connection ends or "unwatch"), "retire" (leave
 *   as soon as nothing runs and nobody is connected; a new hello takes it back), "ping" (it answers: a pong).
 */
struct zn_msg_steer {
	const char *op;
	uint64_t job;                  /* 0: the agent itself */
	uint32_t attempt;
	const char *reason;            /* stop: "cancelled", "requeued", ... */
	struct zn_ou64 signal;         /* signal: which; stop: first signal, absent: the start's */
	struct zn_of64 grace_s, limit_s;
};

struct zn_msg_pong { double time_s; };    /* to the op "ping" */

struct zn_msg_ack { uint64_t seq; };      /* everything up to seq is durable here: forget it */

/* ---- agent -> scheduler ---- */

struct zn_msg_hello {                     /* first message, both ways */
	uint32_t version;
	const char *node, *hostname, *boot_id;
	uint32_t pid;
	struct zn_list jobs;           /* struct zn_msg_running: what runs now */
};

struct zn_msg_running { uint64_t job; uint32_t attempt; double start_s; bool suspended; };

/* The log's entries.  what: "started", "exited", "refused". */
struct zn_msg_report {
	const char *what;
	uint64_t seq;
	uint64_t job;
	uint32_t attempt;
	double time_s;
	struct zn_ou64 pid;
	struct zn_oi64 exit_code;      /* of the first task that failed; absent when a signal ended it */
	struct zn_ou64 signal;
	const char *reason;            /* "time limit", "cancelled", "lost: ...", "output ...: ...", absent: none */
	struct zn_obool again;         /* refused: try later (a GPU is held by a stranger) */
	struct zn_ou64 max_rss_bytes;  /* peak memory: of the cgroup, else the largest single process */
	struct zn_of64 cpu_s, gpu_s;   /* CPU seconds of all processes; GPUs times running seconds */
	const char *confinement;       /* how it was held: "cgroup v2", "subreaper", and what was not possible */
};

struct zn_msg_gpu_held {                  /* a GPU that somebody outside this spool holds */
	uint32_t gpu;
	uint32_t pid;
	const char *user, *command;
};

struct zn_msg_state {                     /* when it changes, and once after hello */
	struct zn_list held;           /* struct zn_msg_gpu_held */
	struct zn_bytes topology;      /* as zn_facts_encode writes it; absent when not changed */
	const char *unread;            /* why the machine can't be read; absent: it was */
};

enum {
	ZN_NODE_VERSION = 4,           /* of hello; a larger one from the peer is no error, 0 is */
	ZN_NODE_ELEMENTS = 2,          /* from this one on job is a handle: job/number.h */
	ZN_NODE_PARTS = 3,             /* from this one on GPUs are given out in parts */
	ZN_NODE_PINGS = 4,             /* it answers a ping */
	ZN_NODE_GANGS = 4,             /* and jobs may have other nodes, too */
	ZN_NODE_HELLO_S = 10,          /* a connection that says no hello for so long is dropped */
};

extern const struct zn_kind zn_msg_start_kind, zn_msg_steer_kind, zn_msg_ack_kind, zn_msg_pong_kind, zn_msg_hello_kind,
	zn_msg_running_kind, zn_msg_report_kind, zn_msg_state_kind, zn_msg_gpu_held_kind;

struct zn_frame;

/* Takes a frame's payload apart: *ret is a map that borrows from the frame and a.  -EBADMSG. */
int zn_msg_unpack(const struct zn_frame *f, struct zn_arena *a, msgpack_object *ret, struct zn_err *err);
/* Appends one message as one frame. */
int zn_msg_put(struct zn_buf *to, uint64_t seq, uint32_t nonce, const struct zn_kind *kind, const void *msg);

#endif
