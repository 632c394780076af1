/* spec: what is asked, the submission record.  The same message goes through zn-submit --records, the
 * socket, a drop file and the journal; zenith(7) documents its keys as stable.
 */
#ifndef ZN_JOB_SPEC_H
#define ZN_JOB_SPEC_H

#include "job/after.h"
#include "rec/field.h"
#include "zenith.h"

struct zn_spec_resources {
	struct zn_ou64 gpus, gpus_per_node, nodes_min, nodes_max, tasks, tasks_per_node, cpus, mem_bytes, gpu_mem_bytes;
	struct zn_of64 gpu_share, time_limit_s;
	struct zn_bytes licences;      /* {name: count}: job/licences.h */
};

struct zn_spec_locality {
	struct zn_obool pack, spread, same_switch;
	const char *nvlink;
	const char *constraint;        /* labels of its nodes: rec/selector.h */
	const char *near;              /* a NIC or NVMe drive by its name, interface or PCI address; or "nic", "nvme": any */
};

struct zn_spec_policy {
	struct zn_oi64 priority;
	const char *account, *queue, *reservation;
	struct zn_obool preemptible;
	const char *signal;
	struct zn_of64 grace_s;
	struct zn_ou64 requeue;
	struct zn_of64 begin_s, deadline_s;
	const char *every;
	struct zn_list after;          /* of zn_spec_after */
	const char *array;
};

/* A process that runs already, instead of command and script. */
struct zn_spec_adopt {
	struct zn_ou64 pid;
	struct zn_ou64 start_ticks;    /* since boot: with it the pid names one process for ever */
	struct zn_u32s gpus;           /* indices of those that it holds */
	struct zn_strs command;        /* what it runs, for people to read */
};

struct zn_spec {
	const char *job_name, *key;
	struct zn_obool hold;
	const char *command;
	struct zn_strs arguments;
	const char *script;
	struct zn_strmap environment;
	const char *directory, *output, *error;
	const char *terminal;          /* socket at which zn-submit --pty offers one; a job of one task, of this machine */
	struct zn_ou64 umask;
	struct zn_spec_resources resources;
	struct zn_spec_locality locality;
	struct zn_spec_policy policy;
	struct zn_spec_adopt adopt;
	const char *on_end;            /* for a shell, when the job has ended, however */
};

extern const struct zn_kind zn_spec_kind;

/* How many GPUs it asks: 1 for a part of one. */
uint32_t zn_spec_gpus(const struct zn_spec_resources *r);
uint32_t zn_spec_tasks(const struct zn_spec_resources *r);
/* How many nodes it may have; both 0: one. */
void zn_spec_nodes(const struct zn_spec_resources *r, uint16_t *ret_min, uint16_t *ret_max);
/* "2" or "2-4".  -EINVAL. */
int zn_spec_nodes_parse(const char *text, struct zn_spec_resources *ret, struct zn_err *err);
/* Thousandths of one GPU; 0: it asks no such share. */
uint32_t zn_spec_gpu_milli(const struct zn_spec_resources *r);

/* Where the output goes when nobody said. */
#define ZN_SPEC_OUTPUT "zn-%j.out"
#define ZN_SPEC_OUTPUT_OF_ELEMENT "zn-%j.%a.out"

/* What terminal begins with; letters and digits follow. */
#define ZN_SPEC_TERMINAL "zenith-pty-"

/* What one job may ask; anything larger is a mistake, not a wish. */
enum {
	ZN_SPEC_ON_END_MAX = 64 << 10,
	ZN_SPEC_DEVICE_MAX = 63,       /* bytes of the name of a device, as the kernel has them */
	ZN_SPEC_NAME_MAX = 128,        /* bytes of a name, key, account */
	ZN_SPEC_GPUS_MAX = 65536,
	ZN_SPEC_NODES_MAX = 1024,
	ZN_SPEC_TASKS_MAX = 65536,
	ZN_SPEC_CPUS_MAX = 1 << 20,
	ZN_SPEC_BYTES_MAX = 16 << 20,  /* of the whole record */
	ZN_SPEC_ARGUMENTS_MAX = 1 << 18,   /* as many as Linux could ever pass on; with what we write around them */
	ZN_SPEC_ENVIRONMENT_MAX = 1 << 16, /* they stay well below ZN_ITEMS_MAX */
};
#define ZN_SPEC_MEM_MAX (UINT64_C(1) << 56)
#define ZN_SPEC_SECONDS_MAX 3.2e9      /* about a century */

/* Is it complete and within bounds?  -EBADMSG and a sentence; -EOPNOTSUPP for a wish that this version
 * can't grant (arrays, several nodes, ...), which is better said than ignored.
 */
int zn_spec_check(const struct zn_spec *spec, struct zn_err *err);
/* A name that may be printed on one line: no control bytes, valid UTF-8, at most ZN_SPEC_NAME_MAX. */
int zn_spec_check_name(const char *what, const char *name, struct zn_err *err);
/* The number of a signal by name ("USR1", "SIGUSR1") or number; -EINVAL. */
int zn_signal_parse(const char *name);
const char *zn_signal_name(int number); /* "TERM"; NULL if it has none */

/* Keys of what the queue makes itself, with the number of the job for whose sake: what is run at its end, and what comes
 * after it in a series.
 */
#define ZN_KEY_END "end-of-"
#define ZN_KEY_NEXT "after-"
bool zn_key_is_ours(const char *key, const char *form);

const char *zn_spec_output_pattern(const struct zn_spec *spec);
/* %j becomes the job number, %a the index of an element, else nothing, %n the node, %% stays; %r stays for the agent.
 * Relative paths are put behind directory.  NULL: out of memory.
 */
char *zn_spec_output(const char *pattern, const char *directory, uint64_t handle, const char *node,
                     struct zn_arena *a);
/* How many jobs it is: of an array, its elements.  It passed the check. */
uint32_t zn_spec_elements(const struct zn_spec *spec);

/* The file of one rank: %r becomes its number and %% a percent sign.  NULL: out of memory. */
char *zn_spec_output_rank(const char *path, uint32_t rank, struct zn_arena *a);
/* What the job is called: job_name, else the last part of the command, else "job"; lives as long as s. */
const char *zn_spec_name(const struct zn_spec *s);

/* Appends what must be the same in two submissions with one key: everything but environment, key, begin time and deadline,
 * since a retry comes from another moment and often another shell.
 */
int zn_spec_content(const struct zn_spec *spec, struct zn_buf *to);

/* The words on the lines of a script that begin with mark ("#ZN") and a blank, as a shell would split them for
 * plain words, "..." and '...': they stand before the first line that is neither empty nor a comment.  -EBADMSG
 * with the line number.
 */
int zn_script_words(const char *script, const char *mark, struct zn_arena *a, struct zn_strs *ret, struct zn_err *err);

#endif
