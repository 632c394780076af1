/* operand: what somebody means by the first word of a submission: a script, which is read, or a command. */
#ifndef ZN_JOB_OPERAND_H
#define ZN_JOB_OPERAND_H

#include "job/spec.h"

/* Sets script or command of s.  A script is "-", standard input, or a file that begins with "#!" or may not be run.
 * env and directory (NULL: here) are the job's: with another PATH or directory only the job can tell where a command
 * is.  The script lives in a.  -EINVAL: a directory; -ENOENT: neither a script nor a command; -EBADMSG: a script that
 * is no text; -errno: one that can't be read.
 */
int zn_operand_take(const char *word, const struct zn_strs *env, const char *directory, struct zn_arena *a,
                    struct zn_spec *s, struct zn_err *err);

#endif
