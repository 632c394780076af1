/* adopt: a job of a process that runs already: the submission that asks for it, and whether it became one. */
#ifndef ZN_ADOPT_ADOPT_H
#define ZN_ADOPT_ADOPT_H

#include <sys/types.h>

#include "job/spec.h"
#include "queue/client.h"

/* What is asked beside the process itself. */
struct zn_adopt_wish {
	const char *name;              /* NULL: what the process is called */
	const char *gpus;              /* as zn_pin_parse_gpus; NULL: what the driver says, else its environment */
	struct zn_of64 limit_s;
	struct zn_ou64 mem_bytes;
};

/* Waits, for 10 seconds at most, for the agent that a zn-schedd just started may not have yet.  All of *ret lives in
 * a.  -ENOENT: there is no such process; -EAGAIN: the agent does not answer.
 */
int zn_adopt_compose(const char *spool, pid_t pid, const struct zn_adopt_wish *wish, struct zn_arena *a,
                     struct zn_spec *ret, struct zn_err *err);

/* Sleeps until the job that was submitted for pid holds it; -ECANCELED and a sentence: it ended before that. */
int zn_adopt_await(const char *spool, struct zn_client *c, uint64_t id, pid_t pid, struct zn_err *err);

#endif
