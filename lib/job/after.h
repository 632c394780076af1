/* after: the jobs that a job waits for, and how they must have ended. */
#ifndef ZN_JOB_AFTER_H
#define ZN_JOB_AFTER_H

#include "job/state.h"
#include "rec/field.h"
#include "zenith.h"

enum {
	ZN_AFTER_MAX = 1024,           /* jobs that one may wait for */
	ZN_AFTER_SHOWN = 16,           /* of these its record names so many */
};

struct zn_spec_after { uint64_t job; const char *on; /* "ok", "any" or "fail"; NULL: ok */ };
extern const struct zn_kind zn_spec_after_kind;

/* "12:ok,13:any,14" as a list of zn_spec_after, in a.  -EINVAL. */
int zn_after_parse(const char *text, struct zn_arena *a, struct zn_list *ret, struct zn_err *err);
/* -EBADMSG and a sentence for what no job could mean. */
int zn_after_check(const struct zn_list *after, struct zn_err *err);

/* ---- in memory ---- */

enum zn_after_on { ZN_AFTER_OK, ZN_AFTER_ANY, ZN_AFTER_FAIL };
struct zn_after_one { uint64_t job; enum zn_after_on on; };
struct zn_after { size_t n; struct zn_after_one v[]; };

/* Of a list that passed the check; NULL: it is empty, or there is no memory.  The caller frees it. */
struct zn_after *zn_after_new(const struct zn_list *list);
/* Whether a job that ended so is what was waited for: CANCELLED has failed. */
bool zn_after_is_met(enum zn_after_on on, enum zn_job_state ended);
/* "12:ok,13:any,+1000"; "waits for job 12 to end well, and for 1 more"; "job 12 failed, and this one was to start only after its
 * success".  In a; NULL: out of memory.
 */
const char *zn_after_text(const struct zn_after *after, struct zn_arena *a);
const char *zn_after_waits(const struct zn_after *after, struct zn_arena *a);
const char *zn_after_missed(const struct zn_after_one *one, enum zn_job_state ended, struct zn_arena *a);

#endif
