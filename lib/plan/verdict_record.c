#include "plan/verdict.h"

static const struct zn_field memory_fields[] = {
	ZN_FIELD(struct zn_verdict_memory, numa, U32, "NUMA", "NUMA node"),
	ZN_FIELD(struct zn_verdict_memory, mem_bytes, BYTES, "MEM", "memory of these processes on it, without files"),
	{ 0 },
};

static const struct zn_kind memory_kind = { NULL, "memory by node", memory_fields, sizeof(struct zn_verdict_memory), NULL };

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_verdict, pid, U32, "PID", "the process that holds the GPUs"),
	ZN_FIELD(struct zn_verdict, user, STR, "USER", "whose it is"),
	ZN_FIELD(struct zn_verdict, command, STR, "COMMAND", "what it runs"),
	ZN_FIELD(struct zn_verdict, job, OU64, "JOB", "job that it belongs to"),
	ZN_FIELD(struct zn_verdict, gpus, U32S, "GPUS", "the GPUs"),
	ZN_FIELD(struct zn_verdict, gpu_numas, U32S, "AT NUMA", "NUMA nodes that these hang from"),
	ZN_FIELD(struct zn_verdict, processes, U32, "PROCESSES", "how many were looked at: it and its descendants"),
	ZN_FIELD(struct zn_verdict, cpus, STR, "CPUS", "list of the CPUs that any of their threads may run on"),
	ZN_FIELD(struct zn_verdict, numas_allowed, U32S, "MEM AT", "NUMA nodes whose memory it may use"),
	ZN_FIELD_SUB(struct zn_verdict, memory, SUBS, &memory_kind, "MEMORY", "where their memory is; absent when that can't be seen"),
	ZN_FIELD(struct zn_verdict, far_bytes, OBYTES, "FAR", "of that, on nodes that none of the GPUs hangs from"),
	ZN_FIELD(struct zn_verdict, ok, BOOL, "OK", "nothing disagrees"),
	ZN_FIELD(struct zn_verdict, verdict, STR, "VERDICT", "one sentence"),
	ZN_FIELD(struct zn_verdict, mend, STR, "MEND", "the command that mends it"),
	{ 0 },
};

const struct zn_kind zn_verdict_kind = {
	"verdict", "whether a process that holds GPUs runs next to them", fields, sizeof(struct zn_verdict),
	"pid,user,job,gpus,gpu_numas,cpus,far_bytes,ok,verdict,mend",
};
