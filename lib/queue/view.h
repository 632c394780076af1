/* view: what anybody may see of the queue, derived from the journal and rebuilt at any time.  Readers never
 * ask the daemon.
 *
 * SPOOL/view/ holds one generation, %016llx.zv: a plain stream of records (zn-fmt reads it).  It opens with
 * a base: node, quota, share, licence and reservation records and, for every job that has not ended, an event "is"; then events follow as they
 * happen, each with the whole job record, so the last one of a job stands.  When too much of it is old, the
 * daemon writes the next generation beside it, renames it into place and removes the old one.  A reader that
 * comes to the end of its file looks for a newer one and goes on there; "is" events at or below the sequence
 * number it knows are no news.
 * SPOOL/view/history/YYYYMMDD.zv holds the event that ended each job, by the day (UTC) it ended.
 * Disk space for a MiB more of both is set aside while there is some, so that ends are shown on a full disk.
 */
#ifndef ZN_QUEUE_VIEW_H
#define ZN_QUEUE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "job/booking.h"
#include "job/licences.h"
#include "job/record.h"
#include "quota/quota.h"
#include "rec/raw.h"

/* ---- writing (the daemon) ---- */

struct zn_view;

/* dir and dir/history are made if need be, with mode for directories.  *ret_history_seq: the sequence number
 * of the last event in the history, 0 if there is none.
 */
int zn_view_new(const char *dir, bool world_readable, struct zn_view **ret, uint64_t *ret_history_seq,
                struct zn_err *err);
/* A new generation: put the base, then publish.  Nothing may be waiting for a flush. */
int zn_view_begin(struct zn_view *v, uint64_t seq);
int zn_view_publish(struct zn_view *v, struct zn_err *err);
/* Readers have a generation of ours. */
bool zn_view_is_shown(const struct zn_view *v);
/* Buffered until flushed. */
int zn_view_put(struct zn_view *v, const struct zn_event *event);
int zn_view_put_node(struct zn_view *v, uint64_t seq, const struct zn_node_record *node);
int zn_view_put_quota(struct zn_view *v, uint64_t seq, const struct zn_quota *quota);
int zn_view_put_share(struct zn_view *v, uint64_t seq, const struct zn_leaf *leaf);
int zn_view_put_licence(struct zn_view *v, uint64_t seq, const struct zn_licence_record *licence);
int zn_view_put_booking(struct zn_view *v, uint64_t seq, const struct zn_booking *b);
int zn_view_put_history(struct zn_view *v, const struct zn_event *event);
/* Writes what belongs to sequence numbers up to durable.  After an error (a full disk) the next call goes on where
 * this one had to stop.
 */
int zn_view_flush(struct zn_view *v, uint64_t durable);
/* The history on disk is as durable as the journal from here on. */
int zn_view_sync_history(struct zn_view *v);
/* More than half of the generation, and at least 2 MiB, is old. */
bool zn_view_is_stale(const struct zn_view *v);
void zn_view_forget_history(struct zn_view *v, double before_s);
void zn_view_free(struct zn_view *v);

/* ---- reading (everybody else) ---- */

struct zn_view_reader;

/* -ENOENT when the spool has no view (yet). */
int zn_view_open(const char *spool, struct zn_view_reader **ret, struct zn_err *err);
/* 1: *ret is a checked record ("node" or "event": see rec/raw.h); it lives until the next call.  2: a new generation begins: a base
 * follows.  0: that is all for now.  <0: error.
 */
int zn_view_next(struct zn_view_reader *r, struct zn_bytes *ret, struct zn_err *err);
/* Sleeps until there may be more, timeout_ms at most (-1: for ever).  1, or 0 on timeout; 2 when fd (-1: none) has
 * something to say.
 */
int zn_view_wait(struct zn_view_reader *r, int fd, int timeout_ms);
void zn_view_close(struct zn_view_reader *r);

/* Calls each() with the final events, as checked records, of jobs that ended at or after since_s, oldest day first,
 * or newest day first if backwards; each returns 1 to stop.
 */
int zn_history_each(const char *spool, double since_s, bool backwards,
                    int (*each)(void *arg, struct zn_bytes event), void *arg, struct zn_err *err);

#endif
