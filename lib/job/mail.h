/* mail: a letter about a job's end, as a command for the shell that runs then (on_end of the submission). */
#ifndef ZN_JOB_MAIL_H
#define ZN_JOB_MAIL_H

#include <stdbool.h>

#include "base/arena.h"
#include "zenith.h"

struct zn_mail_program {
	char path[256];
	bool is_sendmail;      /* takes the letter with its head on standard input; else it is mail(1) */
};

/* sendmail or mail, where such programs lie; -ENOENT and a sentence: there is neither. */
int zn_mail_find(struct zn_mail_program *ret, struct zn_err *err);
/* -EBADMSG: not an address that can be written into a head and a command as it is. */
int zn_mail_check(const char *address, struct zn_err *err);
/* The command; only_failure: not for a job that COMPLETED.  NULL: out of memory. */
const char *zn_mail_command(const struct zn_mail_program *p, const char *address, bool only_failure, struct zn_arena *a);
/* What is to run at the end: the letter, and after it then, which may be NULL.  -EBADMSG and -ENOENT as above. */
int zn_mail_on_end(const char *address, bool only_failure, const char *then, struct zn_arena *a, const char **ret,
                   struct zn_err *err);
/* Whom a script's #SBATCH lines mean when they name nobody; NULL: no mail can be sent from here. */
const char *zn_mail_own_address(struct zn_arena *a);

#endif
