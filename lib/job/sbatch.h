/* sbatch: the #SBATCH lines of a script that was written for Slurm, in the words of zn-submit.  What means the
 * same is translated, what would change nothing here is named, and what can't be had is refused, because a job
 * that runs without it is another job.  Meanings are those of sbatch(1), Slurm 22.05.
 */
#ifndef ZN_JOB_SBATCH_H
#define ZN_JOB_SBATCH_H

#include "rec/field.h"

struct zn_sbatch {
	struct zn_strs words;   /* options of zn-submit */
	struct zn_strs ignored; /* "--partition", in the order in which they stand */
};

/* mail_to: who gets mail when the lines do not say, NULL where none can be sent.  All of *ret lives in a.  -EBADMSG: a value that sbatch would not take either; -EOPNOTSUPP: what can't be had. */
int zn_sbatch_options(const char *script, const char *mail_to, struct zn_arena *a, struct zn_sbatch *ret, struct zn_err *err);

#endif
