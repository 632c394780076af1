/* shepherd: one process per running job.  It is forked from the agent, starts the tasks, holds them together,
 * enforces the time limit, ends everything that the job started, and writes the exit into the log by itself.
 * Then it waits for another job.  When the agent's end of its socket closes, it ends the job and leaves: nobody
 * is left to steer it.
 */
#ifndef ZN_NODE_SHEPHERD_H
#define ZN_NODE_SHEPHERD_H

#include <sys/resource.h>

#include "node/proto.h"
#include "plan/facts.h"
#include "proc/proc.h"

/* What every shepherd of an agent has in common; borrowed from the agent's memory by the fork. */
struct zn_shepherd_home {
	const char *spool, *node, *home;  /* home: where the agent has its things */
	int dirfd;                        /* of home */
	int hands_fd;                     /* its lock says that a shepherd lives */
	const struct zn_confine *confine;
	const struct zn_facts *facts;     /* NULL: could not be read */
	struct rlimit nofile;             /* what tasks get */
};

/* Agent to shepherd, one packet each.  op is a zn_msg_steer op. */
struct zn_shepherd_cmd {
	char op[12];
	uint32_t signal;                  /* 0: none named */
	bool has_grace, has_limit;
	double grace_s, limit_s;
	char reason[160];
};

/* Shepherd to agent. */
enum zn_shepherd_what { ZN_SHEPHERD_LOGGED, ZN_SHEPHERD_IDLE, ZN_SHEPHERD_REFUSED };
struct zn_shepherd_event {
	enum zn_shepherd_what what;       /* LOGGED: there is something new in the log; IDLE: the exit, and it is free */
	char text[256];                   /* REFUSED: why nothing was started and nothing is in the log */
};

/* Users and groups below are the system's own. */
enum { ZN_UID_MIN = 1000 };

/* The name of the job's hold and of its directory below SPOOL/node/run. */
enum { ZN_JOB_NAME = 40 };
char *zn_job_name(uint64_t job, uint32_t attempt, char to[ZN_JOB_NAME]);

/* Agent to a shepherd that is idle: a zero byte and an encoded zn_msg_start, in one packet of at most so many bytes,
 * with at most so many leases beside it.
 */
enum { ZN_SHEPHERD_PACKET_MAX = 64 << 10, ZN_SHEPHERD_LEASES_MAX = 128 };

/* Runs a whole job, and then others, in this process, which ends.  leases: descriptors to keep until the processes
 * are gone.  sock: a SOCK_SEQPACKET whose other end the agent has.  Every other descriptor is closed.
 */
_Noreturn void zn_shepherd_run(const struct zn_shepherd_home *home, const struct zn_msg_start *start,
                               int sock, const int *leases, size_t n_leases);

#endif
