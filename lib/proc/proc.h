/* proc: a running child: how it is started, held together, signalled as a whole, and ended.
 *
 * Words: a *tree* is a process and its descendants, as far as a subreaper keeps them; a *hold* is what keeps
 * the processes of one job together (a cgroup where one can be made, else only the tree); a *task* is the
 * one process that a job is asked to run, once per rank.
 *
 * Needs Linux 5.9 (pidfd, close_range).
 */
#ifndef ZN_PROC_PROC_H
#define ZN_PROC_PROC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/idset.h"
#include "zenith.h"

/* ---- one process ----------------------------------------------------------------------------- */

/* A pid can be used again; with the start time (clock ticks since boot) it names one process for ever. */
struct zn_proc_id {
	pid_t pid;
	uint64_t start;
};

struct zn_proc_stat {
	pid_t ppid;
	char state;   /* as ps shows it: R S D T t Z X; Z is also one whose first thread alone has ended */
	bool is_gone; /* a zombie */
	uint64_t start;
	double cpu_s;
};

int zn_proc_stat(pid_t pid, struct zn_proc_stat *ret);          /* -ESRCH: there is none */
int zn_proc_id_read(pid_t pid, struct zn_proc_id *ret);
bool zn_proc_is_alive(const struct zn_proc_id *id);             /* a zombie is not */
int zn_proc_signal(const struct zn_proc_id *id, int sig);       /* -ESRCH when it is gone */
/* True: it neither catches nor ignores nor blocks sig, whose default is to end it.  False also where that can't be read. */
bool zn_proc_dies_of(pid_t pid, int sig);
/* The value of name in the environment that pid was started with, as far as it fits; -ENOENT: it has none,
 * -EACCES: it may not be read.
 */
int zn_proc_env_read(pid_t pid, const char *name, char *to, size_t size);
/* Whether the environment that pid was started with has the line "NAME=value". */
bool zn_proc_has_env(pid_t pid, const char *line);
/* Whose process it is: its user and group, when all of its (real, effective, saved) are the same ones; else -EPERM.
 * -ESRCH: there is none, or it may not be looked at.
 */
int zn_proc_user(pid_t pid, uid_t *ret_uid, gid_t *ret_gid);
int zn_proc_peak(pid_t pid, uint64_t *ret_bytes);               /* its largest resident size; -ENODATA */
/* The status of one that has ended and was not waited for, as wait(2) has it; -ESRCH, -EACCES. */
int zn_proc_zombie_status(const struct zn_proc_id *id, int *ret_status);
/* What it is called; "" where that can't be seen. */
void zn_proc_name(pid_t pid, char *to, size_t size);
/* Whose process it is and what it is called; "" where that can't be seen. */
void zn_proc_owner(pid_t pid, char *user, size_t user_size, char *command, size_t command_size);

/* ---- a tree ---------------------------------------------------------------------------------- */

/* Trees to leave alone while walking. */
struct zn_pids {
	pid_t *v;
	size_t n;
};

/* What a walk met. */
struct zn_tree_count {
	unsigned reached; /* were sent the signal */
	unsigned denied;  /* may not be signalled by us */
	pid_t denied_pid; /* one of those */
};

/* Sends sig to every descendant of root, not to root itself.  A process that appears during the walk may be
 * missed; zn_tree_kill misses none.
 */
struct zn_tree_count zn_tree_signal(pid_t root, const struct zn_pids *skip, int sig);
/* SIGSTOP until a walk meets nobody who still runs, so that a fork bomb can't outrun us. */
struct zn_tree_count zn_tree_stop(pid_t root, const struct zn_pids *skip);
/* The same, then SIGKILL. */
struct zn_tree_count zn_tree_kill(pid_t root, const struct zn_pids *skip);
/* Appends the children of one process; *ret->v is malloc'ed. */
void zn__tree_children(pid_t pid, struct zn_pids *ret);
/* root has no child besides those to skip. */
bool zn_tree_is_empty(pid_t root, const struct zn_pids *skip);

/* ---- holding a job together ------------------------------------------------------------------ */

/* What this machine offers, found once.  Paths are "" where there is nothing. */
struct zn_confine {
	char v2[PATH_MAX];     /* our own directory in the unified hierarchy */
	bool v2_memory, v2_cpuset;
	bool v2_cpu;           /* only where there is no v2_cpuset: sharing time by groups has its price */
	uint64_t pids_max;     /* processes and threads of one hold; 0: can't be limited */
	char v1_memory[PATH_MAX];
};

/* Makes our directories, named tag, and finds out what works in them; as little as nothing is success.
 * backend: NULL or "" for the best, "subreaper" for no cgroup at all; anything else is -EINVAL.
 */
int zn_confine_open(const char *tag, const char *backend, struct zn_confine *ret, struct zn_err *err);
/* Ends every process in every hold that was made under tag, also by an earlier process, and removes the
 * holds.  -EBUSY when something does not go away.
 */
int zn_confine_clear(const struct zn_confine *c);
/* The same for one hold, without waiting: -EBUSY until it is gone. */
int zn_confine_end(const struct zn_confine *c, const char *name);
void zn_confine_close(const struct zn_confine *c); /* removes our directories if they are empty */

/* A character device by number. */
struct zn_device {
	unsigned major, minor;
};
enum { ZN_DEVICES_MAX = 4096 };

struct zn_hold_ask {
	const char *name;      /* unique among the holds that are open */
	uint64_t mem_bytes;    /* 0: no limit */
	const struct zn_idset *cpus, *numas; /* may be NULL or empty: not pinned */
	const struct zn_device *denied; /* what it must not open, where that can be had (root, cgroup v2) */
	size_t n_denied;       /* at most ZN_DEVICES_MAX */
};

struct zn_hold {
	char v2[PATH_MAX], v1_memory[PATH_MAX];
	int v2_fd;             /* directory, for CLONE_INTO_CGROUP; -1 */
	int join_fd;           /* the v1 group's cgroup.procs, joined by writing "0"; -1 */
	bool frozen;
	bool denies;           /* has a filter for what was to be denied */
};

struct zn_hold_usage {
	bool has_peak, has_cpu;
	uint64_t peak_bytes;
	double cpu_s;
	uint64_t oom_kills;
};

/* Adds to notes how the job is held and, after "; ", each thing that was asked and can't be had. */
void zn_hold_open(const struct zn_confine *c, const struct zn_hold_ask *ask, struct zn_hold *ret,
                  struct zn_buf *notes);
/* How often a process was refused because the hold had as many as it may have. */
uint64_t zn_hold_pids_refused(const struct zn_hold *h);
/* Suspends or resumes every process of the hold; the caller is its subreaper.  -EMFILE and the like: not now. */
int zn_hold_freeze(struct zn_hold *h, bool freeze);
struct zn_tree_count zn_hold_signal(struct zn_hold *h, int sig);
/* SIGKILL for every process of the hold, frozen and daemonised ones too. */
struct zn_tree_count zn_hold_kill(struct zn_hold *h);
void zn_hold_usage(const struct zn_hold *h, struct zn_hold_usage *ret);
/* Removes its groups; -EBUSY while processes are in them. */
int zn_hold_close(struct zn_hold *h);

/* ---- starting a task ------------------------------------------------------------------------- */

struct zn_spawn {
	const char *file;          /* a path, or a name that is searched in envp's PATH */
	char *const *argv, *const *envp;
	const char *directory;     /* NULL: as the caller */
	bool has_tty;
	int tty;                   /* with has_tty: standard input, output and error, and the terminal that controls it */
	const char *output, *error;/* NULL: /dev/null; error NULL: where output goes */
	bool truncate_output, truncate_error; /* empty it first; else append */
	bool change_user;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	const char *login;         /* with change_user: whose limits of a login it gets; NULL: the caller's */
	mode_t umask;
	const struct zn_idset *cpus, *numas; /* of this machine; may be NULL or empty */
	const struct zn_hold *hold;          /* may be NULL */
	const struct rlimit *nofile;         /* may be NULL: as the caller */
};

struct zn_spawned {
	pid_t pid;
	int pin_errno, numa_errno; /* why it is not pinned; 0: it is, or was not asked to be */
};

/* From one thread, whose process changes no signal's action after the first time.
 * Starts it in its own session with default signals, no descriptor but 0 (/dev/null, or the terminal), 1 and 2.
 * On failure nothing runs, the sentence says what could not be had, and *ret_exit is 127 (no such command),
 * 126 (it can't be run) or -1 (it did not come so far).
 */
int zn_spawn(const struct zn_spawn *s, struct zn_spawned *ret, int *ret_exit, struct zn_err *err);

#endif
