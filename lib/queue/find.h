/* find: one job, wherever it is by now. */
#ifndef ZN_QUEUE_FIND_H
#define ZN_QUEUE_FIND_H

#include "queue/client.h"
#include "queue/picture.h"

/* From the picture, else from the history; what it points to lives in the picture or in a.  An element that waits with the
 * others is shown as its array.  -ENOENT.
 */
int zn_job_find(const char *spool, const struct zn_picture *p, uint64_t handle, struct zn_arena *a,
                struct zn_job_record *ret, struct zn_err *err);

enum { ZN_ANSWER_MS = 30000 }; /* in which zn-schedd answers, or is said not to */

/* One request, one reply, over *c, which is opened when it is NULL; *reply lives until the next. */
int zn_client_ask(const char *spool, struct zn_client **c, const struct zn_request *r, struct zn_reply *reply,
                  struct zn_err *err);

/* "12", "12.3", or "key:K", for which the daemon is asked over *c.  -EINVAL: neither; -ENOENT: no such key. */
int zn_job_id_parse(const char *spool, struct zn_client **c, const char *text, uint64_t *ret_handle, struct zn_err *err);

/* Adds what only its owner may see, from the daemon; without one, or for somebody else's job, adds nothing.
 * reply must live as long as the job.
 */
void zn_job_add_private(const char *spool, struct zn_client **c, struct zn_job_record *job, struct zn_reply *reply);

#endif
