#include "node/proto.h"

#include <errno.h>

#include "rec/frame.h"
#include "rec/val.h"

static const struct zn_field start_fields[] = {
	ZN_FIELD(struct zn_msg_start, job, U64, "JOB", "the job's number"),
	ZN_FIELD(struct zn_msg_start, attempt, U32, "ATTEMPT", "1 for its first start, one more for each requeue"),
	ZN_FIELD(struct zn_msg_start, uid, OU64, "", "whose it is; absent: the agent's own user"),
	ZN_FIELD(struct zn_msg_start, gid, OU64, "", "its group"),
	ZN_FIELD(struct zn_msg_start, user, STR, "USER", "the user's name"),
	ZN_FIELD(struct zn_msg_start, name, STR, "NAME", "the job's name"),
	ZN_FIELD(struct zn_msg_start, command, STR, "COMMAND", "what is run; absent with a script"),
	ZN_FIELD(struct zn_msg_start, arguments, STRS, "", "its arguments"),
	ZN_FIELD(struct zn_msg_start, script, STR, "", "the script's text"),
	ZN_FIELD(struct zn_msg_start, environment, MAP, "", "environment, complete but for what a task adds"),
	ZN_FIELD(struct zn_msg_start, directory, STR, "", "where it runs"),
	ZN_FIELD(struct zn_msg_start, output, STR, "", "standard output; %r is the rank"),
	ZN_FIELD(struct zn_msg_start, error, STR, "", "standard error; absent: where output goes"),
	ZN_FIELD(struct zn_msg_start, terminal, STR, "", "socket at which its client offers one, instead of output"),
	ZN_FIELD(struct zn_msg_start, umask, OU64, "", "file mode creation mask"),
	ZN_FIELD(struct zn_msg_start, tasks, U32, "TASKS", "how many processes are started"),
	ZN_FIELD(struct zn_msg_start, world, U32, "", "of a gang: how many on all of its nodes"),
	ZN_FIELD(struct zn_msg_start, first_rank, U32, "", "and the rank of the first one here"),
	ZN_FIELD(struct zn_msg_start, node_rank, U32, "", "and which of its nodes this is"),
	ZN_FIELD(struct zn_msg_start, nodes, STR, "", "and all of its nodes"),
	ZN_FIELD(struct zn_msg_start, master_addr, STR, "", "and where its first rank is"),
	ZN_FIELD(struct zn_msg_start, master_port, U32, "", "and the port that is kept free there"),
	ZN_FIELD(struct zn_msg_start, gpus, U32S, "GPUS", "indices of its GPUs"),
	ZN_FIELD(struct zn_msg_start, gpu_milli, U32, "", "thousandths of its GPU; absent: its GPUs are whole"),
	ZN_FIELD(struct zn_msg_start, gpu_mem_bytes, U64, "", "memory of that GPU"),
	ZN_FIELD(struct zn_msg_start, cpus, STR, "CPUS", "where it may run, a cpu list"),
	ZN_FIELD(struct zn_msg_start, numas, STR, "NUMA", "whose memory it should use"),
	ZN_FIELD(struct zn_msg_start, cpus_held, U32, "", "how many of the CPUs are its alone"),
	ZN_FIELD(struct zn_msg_start, mem_bytes, BYTES, "MEM", "memory limit, 0 for none"),
	ZN_FIELD(struct zn_msg_start, limit_s, ODUR, "LIMIT", "running time allowed"),
	ZN_FIELD(struct zn_msg_start, signal, OU64, "", "first signal when it must end, absent: SIGTERM"),
	ZN_FIELD(struct zn_msg_start, grace_s, DUR, "", "time from the first signal to SIGKILL"),
	ZN_FIELD(struct zn_msg_start, adopt_pid, OU64, "", "the process that is taken over instead of a command"),
	ZN_FIELD(struct zn_msg_start, adopt_ticks, OU64, "", "when that started, clock ticks since boot"),
	{ 0 }
};

const struct zn_kind zn_msg_start_kind = {
	.name = "start", .brief = "run this job", .fields = start_fields, .size = sizeof(struct zn_msg_start),
};

static const struct zn_field steer_fields[] = {
	ZN_FIELD(struct zn_msg_steer, op, STR, "OP", "stop, signal, suspend, resume, limit; state, watch, unwatch, exit"),
	ZN_FIELD(struct zn_msg_steer, job, U64, "JOB", "which job, 0 for the agent itself"),
	ZN_FIELD(struct zn_msg_steer, attempt, U32, "ATTEMPT", "which start of it"),
	ZN_FIELD(struct zn_msg_steer, reason, STR, "REASON", "what the exit is to say"),
	ZN_FIELD(struct zn_msg_steer, signal, OU64, "SIGNAL", "which signal"),
	ZN_FIELD(struct zn_msg_steer, grace_s, ODUR, "", "time until SIGKILL"),
	ZN_FIELD(struct zn_msg_steer, limit_s, ODUR, "", "the new limit of its running time"),
	{ 0 }
};

const struct zn_kind zn_msg_steer_kind = {
	.name = "steer", .brief = "do this to a job", .fields = steer_fields, .size = sizeof(struct zn_msg_steer),
};

static const struct zn_field pong_fields[] = {
	ZN_FIELD(struct zn_msg_pong, time_s, TIME, "TIME", "when it answered"),
	{ 0 },
};
const struct zn_kind zn_msg_pong_kind = {
	.name = "pong", .brief = "the agent is there", .fields = pong_fields, .size = sizeof(struct zn_msg_pong),
};

static const struct zn_field ack_fields[] = {
	ZN_FIELD(struct zn_msg_ack, seq, U64, "SEQ", "everything up to here is durable"),
	{ 0 }
};

const struct zn_kind zn_msg_ack_kind = {
	.name = "ack", .brief = "reports that may be forgotten", .fields = ack_fields,
	.size = sizeof(struct zn_msg_ack),
};

static const struct zn_field running_fields[] = {
	ZN_FIELD(struct zn_msg_running, job, U64, "JOB", "the job's number"),
	ZN_FIELD(struct zn_msg_running, attempt, U32, "ATTEMPT", "which start of it"),
	ZN_FIELD(struct zn_msg_running, start_s, TIME, "START", "when it started"),
	ZN_FIELD(struct zn_msg_running, suspended, BOOL, "SUSPENDED", "whether it is suspended"),
	{ 0 }
};

const struct zn_kind zn_msg_running_kind = {
	.brief = "a job that runs", .fields = running_fields, .size = sizeof(struct zn_msg_running),
};

static const struct zn_field hello_fields[] = {
	ZN_FIELD(struct zn_msg_hello, version, U32, "VERSION", "of this protocol"),
	ZN_FIELD(struct zn_msg_hello, node, STR, "NODE", "the node's name"),
	ZN_FIELD(struct zn_msg_hello, hostname, STR, "HOST", "the machine's name"),
	ZN_FIELD(struct zn_msg_hello, boot_id, STR, "", "the kernel's boot id"),
	ZN_FIELD(struct zn_msg_hello, pid, U32, "PID", "of the speaker"),
	ZN_FIELD_SUB(struct zn_msg_hello, jobs, SUBS, &zn_msg_running_kind, "JOBS", "what runs now"),
	{ 0 }
};

const struct zn_kind zn_msg_hello_kind = {
	.name = "hello", .brief = "who speaks", .fields = hello_fields, .size = sizeof(struct zn_msg_hello),
};

static const struct zn_field report_fields[] = {
	ZN_FIELD(struct zn_msg_report, what, STR, "WHAT", "started, exited or refused"),
	ZN_FIELD(struct zn_msg_report, seq, U64, "SEQ", "place in the agent's log"),
	ZN_FIELD(struct zn_msg_report, job, U64, "JOB", "the job's number"),
	ZN_FIELD(struct zn_msg_report, attempt, U32, "ATTEMPT", "which start of it"),
	ZN_FIELD(struct zn_msg_report, time_s, TIME, "TIME", "when it happened"),
	ZN_FIELD(struct zn_msg_report, pid, OU64, "PID", "of the process that leads the job"),
	ZN_FIELD(struct zn_msg_report, exit_code, OI64, "EXIT", "of the first task that failed"),
	ZN_FIELD(struct zn_msg_report, signal, OU64, "SIGNAL", "that ended it"),
	ZN_FIELD(struct zn_msg_report, reason, STR, "REASON", "why it ended or was refused"),
	ZN_FIELD(struct zn_msg_report, again, OBOOL, "AGAIN", "refused for now; a later start may do"),
	ZN_FIELD(struct zn_msg_report, max_rss_bytes, OBYTES, "PEAK", "peak memory"),
	ZN_FIELD(struct zn_msg_report, cpu_s, ODUR, "CPU", "CPU time of all processes"),
	ZN_FIELD(struct zn_msg_report, gpu_s, ODUR, "GPU", "GPUs times running time"),
	ZN_FIELD(struct zn_msg_report, confinement, STR, "HELD", "how it was held, and what was not possible"),
	{ 0 }
};

const struct zn_kind zn_msg_report_kind = {
	.name = "report", .brief = "what happened to a job", .fields = report_fields,
	.size = sizeof(struct zn_msg_report),
};

static const struct zn_field gpu_held_fields[] = {
	ZN_FIELD(struct zn_msg_gpu_held, gpu, U32, "GPU", "index"),
	ZN_FIELD(struct zn_msg_gpu_held, pid, U32, "PID", "of the holder"),
	ZN_FIELD(struct zn_msg_gpu_held, user, STR, "USER", "whose process it is"),
	ZN_FIELD(struct zn_msg_gpu_held, command, STR, "COMMAND", "what it runs"),
	{ 0 }
};

const struct zn_kind zn_msg_gpu_held_kind = {
	.brief = "a GPU in a stranger's hands", .fields = gpu_held_fields, .size = sizeof(struct zn_msg_gpu_held),
};

static const struct zn_field state_fields[] = {
	ZN_FIELD_SUB(struct zn_msg_state, held, SUBS, &zn_msg_gpu_held_kind, "HELD", "GPUs held by strangers"),
	ZN_FIELD(struct zn_msg_state, topology, ANY, "", "the machine's facts"),
	ZN_FIELD(struct zn_msg_state, unread, STR, "", "why the machine can't be read; absent: it was"),
	{ 0 }
};

const struct zn_kind zn_msg_state_kind = {
	.name = "state", .brief = "the node now", .fields = state_fields, .size = sizeof(struct zn_msg_state),
};

int zn_msg_put(struct zn_buf *to, uint64_t seq, uint32_t nonce, const struct zn_kind *kind, const void *msg)
{
	struct zn_buf body = { 0 };
	int rc = zn_encode(kind, msg, &body);

	if (rc >= 0)
		rc = body.failed ? -ENOMEM : zn_frame_put(to, seq, nonce, body.data, body.len);
	zn_buf_done(&body);
	return rc < 0 ? rc : 0;
}

int zn_msg_unpack(const struct zn_frame *f, struct zn_arena *a, msgpack_object *ret, struct zn_err *err)
{
	ssize_t n = zn_msgpack_check(f->payload, f->len, 0, err);

	if (n < 0)
		return (int)n;
	if ((size_t)n != f->len || !f->len)
		return zn_err_set(err, -EBADMSG, "a message is cut or has something behind it");
	int rc = zn_val_unpack(f->payload, f->len, 0, a, ret, err);
	if (rc < 0)
		return rc;
	return ret->type == MSGPACK_OBJECT_MAP ? 0 : zn_err_set(err, -EBADMSG, "a message is no map");
}
