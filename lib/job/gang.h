/* gang: a job on several nodes, each of which has an equal part of its tasks, GPUs, CPUs and memory. */
#ifndef ZN_JOB_GANG_H
#define ZN_JOB_GANG_H

#include "job/spec.h"

/* What it asks of nodes makes sense, and can be split evenly over a number that it may have.  -EBADMSG. */
int zn__gang_check(const struct zn_spec *s, struct zn_err *err);

#endif
