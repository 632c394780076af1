#ifndef ZN_PROC_DESCRIBE_H
#define ZN_PROC_DESCRIBE_H

#include "proc/proc.h"
#include "rec/field.h"

struct zn_proc_described {
	struct zn_proc_id id;
	struct zn_strs command;
	const char *directory;  /* NULL: it may not be seen, or is gone */
	const char *output;     /* the file that its standard output is; NULL: it is none */
};

/* -ESRCH: there is no such process.  All of *ret lives in a. */
int zn_proc_describe(pid_t pid, struct zn_arena *a, struct zn_proc_described *ret);

#endif
