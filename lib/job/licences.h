/* licences: what a job asks of what is counted by name: "matlab:2,vcs" on a command line, {"matlab": 2, "vcs": 1} in a
 * submission record, and "matlab:2,vcs:1", in the order of the names, wherever the queue tells it.
 */
#ifndef ZN_JOB_LICENCES_H
#define ZN_JOB_LICENCES_H

#include "rec/field.h"

enum {
	ZN_LICENCES_MAX = 16,          /* names that one job may ask */
	ZN_LICENCE_COUNT_MAX = 1000000,
};

struct zn_spec_licence { const char *name; uint64_t count; };

/* The text of a command line as the value of a record, in a.  -EINVAL: it is written otherwise; -EBADMSG: as below. */
int zn_spec_licences_parse(const char *text, struct zn_arena *a, struct zn_bytes *ret, struct zn_err *err);
/* The value of a record as a list of zn_spec_licence by name, in a; one that is absent is empty.  -EBADMSG and a sentence for
 * what no job may ask.
 */
int zn_spec_licences_read(struct zn_bytes value, struct zn_arena *a, struct zn_list *ret, struct zn_err *err);
/* As the queue tells it, in a.  NULL: the list is empty, or out of memory. */
const char *zn_spec_licences_text(const struct zn_list *list, struct zn_arena *a);
/* A name, as of a job, without the signs that stand between them. */
int zn_licence_check_name(const char *name, struct zn_err *err);

/* One licence, as it is configured and as the view tells it. */
struct zn_licence_record {
	const char *name;
	uint64_t total;
	struct zn_ou64 used, jobs;     /* how many are in use, and by how many jobs, when somebody asks */
};
extern const struct zn_kind zn_licence_kind;

#endif
