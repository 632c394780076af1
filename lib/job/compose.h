/* compose: what a submitter's program puts into a submission by itself. */
#ifndef ZN_JOB_COMPOSE_H
#define ZN_JOB_COMPOSE_H

#include "job/spec.h"

/* A key nobody else makes: 128 random bits in hexadecimal. */
enum { ZN_KEY = 33 };
int zn_key_make(char key[ZN_KEY], struct zn_err *err);

/* The environment given plus the "K=V" of extra, which win.  Inside a job the variables that describe that job
 * are left out, so that the new one is not taken for a part of it; so is one whose name is not UTF-8, which a
 * record can't hold.
 */
int zn_compose_environment(char *const environ[], const struct zn_strs *extra, struct zn_arena *a,
                           struct zn_strmap *ret, struct zn_err *err);

/* Could this user's job write its output there?  Asked before the submit, so that a mistake shows at once; the
 * agent asks again.  name: what it is called in the sentence.  -ENOENT: the directory is not there; -EACCES: may not; -EBADMSG: a FIFO, a directory, a
 * device or somebody else's file.
 */
int zn_output_check(const char *path, const char *name, struct zn_err *err);

/* Directory (which a relative one is behind here), umask and key, where nobody said; they live in a. */
int zn_spec_fill_in(struct zn_spec *s, struct zn_arena *a, struct zn_err *err);
/* A mistake in a path shows now, not when the job starts at night: directory and output of a filled-in s. */
int zn_spec_check_paths(const struct zn_spec *s, struct zn_arena *a, struct zn_err *err);

#endif
