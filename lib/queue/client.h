/* client: talking to zn-schedd.  A connection to SPOOL/sock carries MessagePack records both ways: requests,
 * and for each one reply, in order, when what was asked is durable.  Requests may be sent ahead of replies.
 */
#ifndef ZN_QUEUE_CLIENT_H
#define ZN_QUEUE_CLIENT_H

#include "job/booking.h"
#include "job/record.h"
#include "job/spec.h"

/* op: "submit" (job), "cancel", "hold", "release", "suspend", "resume", "requeue", "modify" (id and what
 * changes), "show" (id; the reply's jobs has what only its owner may see), "find" (key), "ping", "stop".
 */
struct zn_request {
	const char *op;
	struct zn_ou64 id;
	const char *key;
	struct zn_spec job;
	struct zn_oi64 priority;
	struct zn_of64 time_limit_s;
	const char *job_name;
	struct zn_ou64 signal;         /* cancel: first signal instead of TERM */
	struct zn_of64 grace_s;
	bool force;                    /* stop: end running jobs too */
	const char *node, *reason;     /* drain, undrain: NULL is the only one; why */
	struct zn_of64 from_s, until_s; /* drain, reserve: absent: at once, and until somebody ends it */
	struct zn_booking reservation; /* reserve: but for its times; unreserve: its name */
};

struct zn_reply {
	bool ok;
	struct zn_ou64 id;
	uint32_t code;                 /* exit code when not ok */
	const char *error;             /* sentence when not ok */
	struct zn_list jobs;           /* show: one struct zn_job_record */
	struct zn_ou64 pid;            /* ping */
	const char *version;
};

extern const struct zn_kind zn_request_kind, zn_reply_kind;

struct zn_client;

/* Connects; starts zn-schedd detached when none answers, may_start is set and neither ZENITH_AUTOSTART=no nor
 * the configuration's autostart = no forbids it.  The program is looked for beside this one, then in PATH.
 * -ECONNREFUSED when none runs and none may be started.
 */
int zn_client_open(const char *spool, bool may_start, struct zn_client **ret, struct zn_err *err);
/* Buffers one request; it is sent by zn_client_flush or zn_client_wait. */
int zn_client_send(struct zn_client *c, const struct zn_request *request, struct zn_err *err);
int zn_client_flush(struct zn_client *c, struct zn_err *err);
/* The next reply; *ret lives until the next call.  -ETIMEDOUT after timeout_ms (-1: never), -ECONNRESET
 * when the daemon went away: what was asked may or may not have happened.
 */
int zn_client_wait(struct zn_client *c, int timeout_ms, struct zn_reply *ret, struct zn_err *err);
/* Takes in a reply if one is there already: 1, else 0. */
int zn_client_poll(struct zn_client *c, struct zn_reply *ret, struct zn_err *err);
/* After -ECONNRESET: connects again (starting zn-schedd if need be) and sends every request again that has no
 * reply yet.  Only for requests that may be repeated: submits with a key.  Pauses, longer each time up to 250
 * ms, when nothing was answered since it was last called.
 */
int zn_client_reopen(struct zn_client *c, struct zn_err *err);
/* The errno that a reply that is not ok stands for. */
int zn_client_errno(const struct zn_reply *reply);
/* Readable, while nothing is unanswered, only when the daemon is gone. */
int zn_client_fd(const struct zn_client *c);
void zn_client_close(struct zn_client *c);

/* The user's own drop directory: made durable in SPOOL/drop/UID/KEY.zr for a daemon that comes later. */
int zn_drop_write(const char *spool, const struct zn_spec *spec, struct zn_err *err);
#endif
