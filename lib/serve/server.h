/* server: zn-schedd's own rooms share this.  One loop (libevent), one queue in memory, one journal.
 *
 * Every change goes the same way (change.c): memory, journal, view.  Whatever the world may see of it -- a
 * reply, a start, the view -- waits until the journal is durable that far (later.c), so nothing that was
 * acknowledged or begun can be lost.
 */
#ifndef ZN_SERVE_SERVER_H
#define ZN_SERVE_SERVER_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "meter/meter.h"
#include "node/proto.h"
#include "plan/plan.h"
#include "queue/client.h"
#include "queue/conf.h"
#include "queue/jobs.h"
#include "queue/journal.h"
#include "queue/memo.h"
#include "queue/nodes.h"
#include "queue/view.h"
#include "serve/serve.h"

struct zn_conn;                        /* one client */
TAILQ_HEAD(zn_conns, zn_conn);

/* A node and its agent; what is free on it is in the room, under the same number. */
struct zn_node {
	struct zn_server *server;
	uint32_t number;
	const char *domain;            /* as it is listed; NULL: it is not */
	struct zn_strmap labels;       /* the same, and its name */
	const char *address;           /* at which the tasks of a gang find its first one */
	const char *name, *mock;       /* mock: the GPUs that it is to show; NULL: its own */
	char *home;                    /* where its agent listens */
	bool rebooted;                 /* whatever ran there ran before its machine was started, until settled */
	struct bufferevent *bev;       /* NULL: not connected */
	pid_t launcher;                /* who waits until its agent listens; 0: nobody */
	struct event *retry;
	struct event *on_lost;         /* it is down, and until then its jobs wait for it; NULL: for ever */
	unsigned retries;
	bool is_draining;              /* as the view was told: it is drained, not only planned to be */
	bool has_drained;              /* as the view was told: it is drained, and nothing runs on it */
	uint32_t version;              /* of its hello */
	bool greeted, settled;         /* hello came; the log was replayed and jobs compared */
	struct zn_msg_running *running;/* of hello, until settled; then those that must end before anything starts there */
	size_t n_running;
	struct zn_facts *facts;        /* NULL until the agent said */
	const char *unread;            /* why it can't say; NULL: it can */
	struct zn_node_held held_by[64]; /* GPUs that strangers use */
	size_t n_held;
	double report_s;
	bool watching, has_retired;
	bool is_silent;                /* it was asked, and does not answer */
	double asked_s;                /* since then it has said nothing, by the boot clock; 0: it was not asked */
	/* reports to acknowledge, once the journal is durable up to after; the second one gathers those that come
	 * while the first one waits, so that a steady stream is acknowledged too */
	struct { uint64_t seq, after; } acks[2];
};

/* What is left of the certain disk space when nothing more is accepted, started, taken from agent and clients:
 * the rest is for what must still be remembered of the step before.
 */
enum { ZN_ROOM_SUBMIT = 1 << 20, ZN_ROOM_START = 1 << 19, ZN_ROOM_END = 1 << 14 };

enum { ZN_HOOKS = 8 };                 /* finish commands at once */

/* What waits for durability. */
struct zn_later {
	uint64_t seq;
	struct zn_conn *conn;          /* a reply for it, or NULL: start job */
	uint64_t job;
	uint32_t attempt;
	struct zn_buf bytes;
	TAILQ_ENTRY(zn_later) link;
};
TAILQ_HEAD(zn_laters, zn_later);

/* Why a job that had a place waits again. */
enum zn_again { ZN_AGAIN_ASKED, ZN_AGAIN_PREEMPTED, ZN_AGAIN_LOST, ZN_AGAIN_PUT_OFF, ZN_AGAINS };

/* What happened since it started, as metrics.c tells it.  Of an array each element is a job. */
struct zn_counts {
	uint64_t submitted, refused;
	uint64_t placed;
	uint64_t ended[ZN_JOB_STATES];
	uint64_t again[ZN_AGAINS];
	uint64_t sent_back, frozen;    /* for somebody more urgent */
	struct zn_hist wait_s, decision_s;
};

struct zn_scrapes;                     /* metrics_http.c */

struct zn_server {
	char spool[4096];
	bool is_private;
	struct zn_conf conf;
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *on_durable, *on_signal[3], *on_times, *on_deferred, *on_after, *on_owed, *on_silence, *on_idle, *on_view, *on_snapshot, *on_drop;
	struct zn_jobs jobs;
	struct zn_journal *journal;
	struct zn_view *view;
	bool view_is_behind;           /* the disk did not take all of it */
	struct zn_arena arena;         /* of the request at hand */
	struct zn_nodes named;         /* as they were listed; none: it is this machine alone */
	struct zn_arena listed;
	struct zn_node *nodes;
	uint32_t n_nodes;
	bool settled;                  /* a node has: what the last zn-schedd left is known */
	uint64_t settled_ns;           /* when, by the boot clock */
	bool gathered;                 /* the others that were there had their time to settle, too: jobs start */
	struct zn_conns conns;
	size_t n_conns, conns_max;
	struct zn_laters laters;
	struct event *parting;         /* on the end of a client that is seen off before a job is started; NULL: none is */
	uint64_t seq;                  /* of the last record */
	uint64_t durable;
	double times_first;            /* when on_times is due; 0: not armed */
	double again_in_s;             /* after the pass, when on_deferred is due; HUGE_VAL: not armed */
	bool boot_is_new;              /* than the one noted in the spool */
	bool want_pick, snapshotting, stopping;
	bool farewell;                 /* the agents go too, once they have nothing left to say */
	uint64_t snapshot_bytes;       /* journal size after the last one */
	pid_t hook_pids[ZN_HOOKS];            /* running */
	int hooks;
	STAILQ_HEAD(, zn_hook_wait) hook_waits;
	STAILQ_HEAD(, zn_awaited) ended;      /* jobs that ended, and those who waited for it are not told yet */
	const char *last_name;         /* of last_uid, as of last_name_s */
	uid_t last_uid;
	double last_name_s;
	struct zn_counts counts;
	double start_s;
	struct zn_scrapes *scrapes;    /* NULL: nobody may ask for metrics */
	struct event *on_textfile;     /* NULL: they go into no file */
	struct zn_buf textfile;        /* what is in it */
	int drop_watch, lock;
	char drop_said[400];           /* why the last dropped file was left for later */
	int status;
};

const char *zn_uid_name(struct zn_server *s, uid_t uid); /* the number if it has none; NULL: out of memory */
void zn_boot_settled(struct zn_server *s);
void zn_server_stop(struct zn_server *s);
/* What happened can't be remembered: ends at once, showing and acknowledging nothing more.  The next zn-schedd
 * takes up from the journal, and the agent says again what was not acknowledged.
 */
void zn_server_fail(struct zn_server *s, int rc);
/* server.c: called at the end of every callback: places jobs, hands the turn's records to the disk. */
/* Arms the timer after which an unused zn-schedd goes away, if nothing is to do. */
void zn_idle_arm(struct zn_server *s);
void zn_turn_end(struct zn_server *s);
void zn_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* nodes.c: those of a file, or as the spool remembers them, or this machine alone */
int zn_nodes_open(struct zn_server *s, const char *file, struct zn_err *err);
void zn_nodes_close(struct zn_server *s);

/* change.c: the job was changed in memory; remember and show it.  event names what happened. */
int zn_change_save(struct zn_server *s, struct zn_job *job, const char *event);
/* Moves, then saves; an illegal move is logged and refused. */
int zn_change_state(struct zn_server *s, struct zn_job *job, enum zn_job_state to, const char *event,
                    const char *reason);
void zn_change_view(struct zn_server *s, const struct zn_job *job, const char *event, double time_s);
void zn_change_history(struct zn_server *s, const struct zn_job *job, const char *event, double time_s);
int zn_view_rebuild(struct zn_server *s);
void zn_node_publish(struct zn_node *n);
const char *zn_node_state(const struct zn_node *n);      /* "up" and the like, as it was published */
bool zn_node_is_empty(const struct zn_node *n);          /* no job has a place there */

/* later.c */
int zn_later_reply(struct zn_server *s, struct zn_conn *conn, const struct zn_reply *reply);
int zn_later_start(struct zn_server *s, const struct zn_job *job);
void zn_later_run(struct zn_server *s);
void zn_later_drop_all(struct zn_server *s);
void zn_later_forget(struct zn_server *s, struct zn_conn *conn);

/* submit.c.  for_us: a job of our own making, which no quota keeps out. */
int zn_submit_take(struct zn_server *s, const struct zn_spec *spec, uid_t uid, gid_t gid, uint64_t requeue_of, bool for_us,
                   uint64_t *ret_id, struct zn_err *err);
void zn_submit_promote(struct zn_server *s, struct zn_job *job); /* PENDING -> QUEUED if nothing holds it */

/* times.c.  What changed of a job may make its time come sooner; all are looked at; a time has come. */
void zn_times_note(struct zn_server *s, const struct zn_job *job);
void zn_times_arm(struct zn_server *s);
void zn_times_come(struct zn_server *s);
/* The job as it was asked, with its environment, in s->arena. */
int zn_submit_body(struct zn_server *s, const struct zn_job *job, struct zn_memo_submit *ret, struct zn_err *err);

/* every.c */
/* Sets when the first of a series begins.  -EBADMSG: never. */
int zn_every_begin(struct zn_spec *spec, struct zn_err *err);
/* job, one of a series, is no more waiting for its time: the next one is there, once. */
void zn_every_next(struct zn_server *s, const struct zn_job *job);
/* Those whose next one was not made. */
void zn_every_recover(struct zn_server *s);

/* owed.c: jobs that are made for the sake of another, by end.c and every.c */
/* One could not be made: why.  What may pass is tried again in a while. */
void zn_owed_note(struct zn_server *s, int rc);
/* After a start of zn-schedd, and in that while: all that were not made. */
void zn_owed_make(struct zn_server *s);

/* after.c */
/* Whether a job that waits for these could ever start.  -EBADMSG. */
int zn_after_may(struct zn_server *s, const struct zn_list *after, struct zn_err *err);
void zn_after_note(struct zn_server *s, uint64_t job);   /* it has ended */
void zn_after_recover(struct zn_server *s);
void zn_after_run(struct zn_server *s);                  /* those who waited for what was noted start, wait on, or never will */
void zn_after_drop_all(struct zn_server *s);

/* quota.c */
int zn_quota_accepts(struct zn_server *s, const struct zn_spec *spec, uid_t uid, struct zn_err *err); /* -EAGAIN, -EBADMSG */
void zn_quota_weigh(struct zn_server *s, double now_s);  /* the fair shares, before jobs are picked */
void zn_quota_publish(struct zn_server *s);

/* licences.c */
int zn_licence_set(struct zn_server *s);                 /* as they are configured, before the first job comes.  -ENOMEM */
int zn_licence_accepts(struct zn_server *s, const struct zn_spec *spec, struct zn_err *err); /* -EBADMSG */
void zn_licence_publish(struct zn_server *s);

/* booking.c: as drain.c */
int zn_booking_make(struct zn_server *s, const struct zn_request *r, uid_t uid, struct zn_err *err); /* -EBADMSG, -EEXIST, -ENOENT, -EAGAIN, too */
int zn_booking_end(struct zn_server *s, const char *name);
void zn_bookings_come(struct zn_server *s);              /* at the start of a pass: those whose time has come end */
void zn_booking_publish(struct zn_server *s);
int zn_booking_accepts(struct zn_server *s, const struct zn_spec *spec, uid_t uid, struct zn_err *err); /* -EBADMSG */
/* Why a job can't start in what it asks for, now or when it may begin; NULL: it can, or asks for none. */
const char *zn_booking_keeps(struct zn_server *s, const struct zn_job *job);
/* Of one that asks for one: when it may start, HUGE_VAL: never as it is; and until when. */
double zn_booking_begins_s(struct zn_server *s, const struct zn_job *job);
double zn_booking_latest_s(struct zn_server *s, const struct zn_job *job);
void zn_booking_look(struct zn_server *s, struct zn_job *job); /* it waits: in line or not, as it may now */

/* drain.c: by, an operator, wants it; -ENOMEM, or what the journal said, after which the server ends */
/* For how many different times to come drains and reservations would be planned, with this one: of that node; NULL: a reservation. */
uint32_t zn_planned_times(const struct zn_server *s, const struct zn_node *but, double from_s, double until_s);
#define ZN_PLANNED_ENOUGH "drains and reservations are planned for %d other times already"
int zn_drain_begin(struct zn_node *n, const char *by, const char *reason, double from_s, double until_s);
int zn_drain_end(struct zn_node *n);
bool zn_drain_holds(struct zn_node *n);                  /* now; ends it when its time has come */
const char *zn_drain_text(struct zn_node *n, struct zn_arena *a);

/* array.c */
/* Why an element that waits by itself may not get in line yet; NULL: it may. */
const char *zn_array_keeps(struct zn_server *s, struct zn_job *element); /* and notes it */
void zn_array_wake(struct zn_server *s, struct zn_job *array);       /* those that were kept may get in line */
/* What waits of it is over; it ends with what runs. */
void zn_array_stop(struct zn_server *s, struct zn_job *array, const char *reason);
void zn_array_recover(struct zn_server *s, struct zn_job *array);    /* what a zn-schedd that died had begun */
void zn_array_note(struct zn_server *s, struct zn_job *array);       /* an element has ended: perhaps all of it */

/* adopt.c */
/* Whether it can be adopted now at the wish of user by, and whose process it is. */
int zn_adopt_check(struct zn_server *s, const struct zn_spec *spec, uid_t by, uid_t *ret_uid, gid_t *ret_gid,
                   struct zn_err *err);
/* Into its place, past the queue. */
int zn_adopt_place(struct zn_server *s, struct zn_job *job, const struct zn_spec *spec);
/* One that zn-schedd had not come to place before it died. */
void zn_adopt_fail(struct zn_server *s, struct zn_job *job);

/* place.c */
int zn_place_job(struct zn_server *s, struct zn_job *job, const struct zn_places *places);
void zn_place_soon(struct zn_server *s);                 /* a pass over the queue at the end of this turn */
void zn_place_again(struct zn_server *s, double wait_s); /* in a pass: and another one after so long at the latest */
bool zn_place_has_room(struct zn_server *s);              /* on a full disk what is left is for the ends of jobs */
void zn_place_pass(struct zn_server *s);
void zn_place_give(struct zn_server *s, struct zn_job *job);         /* its place is free */

/* preempt.c: for zn_pick.preempt */
bool zn_preempt(void *server, const struct zn_pick_job *head, double now_s);
void zn_preempt_thaw(struct zn_server *s); /* at the start of a pass: who is frozen and may go on */

/* The reason of parts that end because another one did; it is nobody's own. */
#define ZN_GANG_PARTNER "ended with another part of its gang"
/* gang.c: of a job with one place, too, where not said otherwise */
struct zn_place *zn_place_on(const struct zn_job *job, const struct zn_node *n); /* NULL: it has none there */
/* One more of its places is; true: all are. */
bool zn_gang_started(struct zn_server *s, struct zn_place *place, const struct zn_job *job);
/* Of several: nothing of it runs at that place any more, and why; *m becomes what is to be said of the job's end.  True: it was
 * the last.
 */
bool zn_gang_over(struct zn_server *s, struct zn_job *job, struct zn_place *place, struct zn_msg_report *m);
bool zn_gang_is_ending(struct zn_server *s, const struct zn_job *job); /* a part of it failed */
bool zn_gang_is_heard(const struct zn_server *s, const struct zn_job *job); /* all that have not ended can be told something */
/* Tells all that have not ended; -ENOTCONN: one could not be told. */
int zn_gang_steer(struct zn_server *s, const struct zn_job *job, const struct zn_msg_steer *m);
uint32_t zn_gang_port(const struct zn_job *job);

/* agent.c */
void zn_agent_connect(struct zn_node *n);                /* at once, or once it could be started */
void zn_agent_reap(struct zn_server *s, bool wait);      /* those who started some may have ended */
void zn_agent_await(struct zn_server *s);                /* the same at the beginning: whoever asks first finds them up, if that takes no second */
int zn_agent_start(struct zn_server *s, const struct zn_job *job, uint32_t place);
int zn_agent_steer(struct zn_node *n, const struct zn_msg_steer *m);
void zn_agent_disconnect(struct zn_node *n);
/* Another connection, and then the end of this one: so the agent takes none of the starts that it has not read yet. */
void zn_agent_renew(struct zn_node *n);
void zn_agent_ack(struct zn_server *s);

/* silence.c */
void zn_silence_heard(struct zn_node *n);                /* its agent said something */
void zn_silence_arm(struct zn_server *s);                /* if any is to be asked whether it is there */
void zn_silence_look(struct zn_server *s);               /* it is time to ask */

/* lost.c */
int zn_lost_open(struct zn_node *n);                     /* -ENOMEM */
void zn_lost_note(struct zn_node *n);                    /* it is down, or up again */
void zn_lost_end(struct zn_node *n);                     /* it is back: what it still runs of what was lost is ended */
void zn_lost_ended(struct zn_node *n, const struct zn_msg_report *m); /* perhaps such a one has */

/* report.c: what the agent said happened. */
void zn_report_take(struct zn_node *n, const struct zn_msg_report *m);
void zn_report_settle(struct zn_node *n);
/* What was there of it can't start, is over or was lost. */
void zn_report_end(struct zn_server *s, struct zn_job *job, struct zn_place *place, struct zn_msg_report *m);
/* A placed job was cancelled or requeued: agents that its start was not sent to never hear of it. */
void zn_job_unstarted(struct zn_server *s, struct zn_job *job);
void zn_job_lost(struct zn_server *s, struct zn_job *job, const char *reason);
/* Back to the queue, to be tried again after a while: what is in the way (a lease, a full disk, too many processes)
 * is mostly there a moment later, too.
 */
void zn_job_put_off(struct zn_server *s, struct zn_job *job, const char *reason);
void zn_job_finish(struct zn_server *s, struct zn_job *job, enum zn_job_state to, const char *reason);

/* conn.c */
void zn_conn_accept(struct zn_server *s, int fd);
void zn_conn_owe(struct zn_conn *c);                     /* one zn_conn_write will follow */
void zn_conn_write(struct zn_conn *c, const void *p, size_t n);
void zn_conn_close(struct zn_conn *c);
void zn_conn_doom(struct zn_conn *c);                    /* closes it once this callback is over */
uid_t zn_conn_uid(const struct zn_conn *c);
gid_t zn_conn_gid(const struct zn_conn *c);
pid_t zn_conn_pid(const struct zn_conn *c);
uint64_t zn_conn_answers(const struct zn_conn *c);       /* it got so many so far */

/* request.c */
bool zn_is_operator(struct zn_server *s, uid_t uid);
void zn_request_take(struct zn_server *s, struct zn_conn *c, const struct zn_request *r);

/* drop.c */
int zn_drop_start(struct zn_server *s, struct zn_err *err);
/* end.c: once for each job that has ended */
void zn_end_submit(struct zn_server *s, const struct zn_job *job);
/* Appends "ZENITH_JOB_ID=..." and the like, what is run after a job's end is told of it; they live in a.  v has room
 * for ZN_END_VARIABLES behind its *n.  -ENOMEM.
 */
enum { ZN_END_VARIABLES = 7 };
int zn_end_variables(const struct zn_job *job, struct zn_arena *a, const char **v, size_t *n);
/* hook.c */
void zn_hook_finish(struct zn_server *s, const struct zn_job *job);
void zn_hook_reap(struct zn_server *s);
void zn_hook_drop_all(struct zn_server *s);
/* metrics.c */
void zn_counts_init(struct zn_counts *c);
void zn_metrics_put(struct zn_server *s, struct zn_buf *to); /* all of them, as text */
/* metrics_http.c: who may scrape them, at "ADDRESS:PORT".  -EINVAL: it is none, or open to others and that was not said; or why
 * nobody can listen there.
 */
int zn_scrapes_open(struct zn_server *s, const char *listen, bool anywhere, struct zn_err *err);
void zn_scrapes_close(struct zn_server *s);
/* metrics_file.c: the file for node_exporter.  Close removes it, unless the next zn-schedd is to find it. */
int zn_textfile_open(struct zn_server *s, const char *path, struct zn_err *err); /* -EINVAL: not there */
void zn_textfile_note(struct zn_server *s);              /* something may have changed */
void zn_textfile_close(struct zn_server *s);

/* snapshot.c */
void zn_snapshot_if_due(struct zn_server *s);

#endif
