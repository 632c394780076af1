/* report: from the log to the scheduler. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "node/agent.h"
#include "rec/frame.h"

#define NS 1000000000ull

enum { REWRITE_SIZE = 1 << 20, REWRITE_KEEP = 128 << 10, ACK_BYTES = 16 << 10 };

int zn__report_add(struct agent *a, uint64_t seq, const struct zn_msg_report *r)
{
	struct zn_msg_report numbered = *r;

	if (a->n_reports == a->cap_reports) {
		size_t cap = a->cap_reports ? 2 * a->cap_reports : 64;
		struct report *v = realloc(a->reports, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		a->reports = v;
		a->cap_reports = cap;
	}
	struct report *to = &a->reports[a->n_reports];
	*to = (struct report){ .seq = seq, .key = { .job = r->job, .attempt = r->attempt } };
	numbered.seq = seq;
	int rc = zn_encode(&zn_msg_report_kind, &numbered, &to->body);
	if (rc < 0)
		return rc;
	a->n_reports++;
	return 0;
}

static void job_heard(struct agent *a, uint64_t seq, const struct zn_msg_report *r)
{
	struct job *j = zn__job_find(a, r->job, r->attempt);

	if (!j)
		return;
	if (strcmp(r->what, "started") == 0 && !j->started.len) {
		struct zn_buf *body = &a->reports[a->n_reports - 1].body;
		zn_buf_add(&j->started, body->data, body->len);
	} else if (strcmp(r->what, "exited") == 0) {
		j->exited = true;
		j->exit_seq = seq;
		zn__job_release(a, j);
	}
}

static int heard(void *ctx, const struct zn_log_entry *e)
{
	struct agent *a = ctx;

	if (e->start) {
		struct job *j = zn__job_find(a, e->start->job, e->start->attempt);
		if (j) {
			j->ref_pid = e->start->pid;
			j->ticks = e->start->ticks;
			j->start_s = e->start->time_s;
		}
	}
	if (!e->report || !e->report->what || e->seq <= a->acked)
		return 0;
	int rc = zn__report_add(a, e->seq, e->report);
	if (rc < 0)
		return rc;
	job_heard(a, e->seq, e->report);
	/* Connected, the scheduler makes an exit durable before it acknowledges; until then a power loss makes the
	 * job one that was lost at a reboot.  Alone, nobody else will remember it.
	 */
	if (!a->peer && strcmp(e->report->what, "exited") == 0)
		zn_log_sync(&a->log);
	zn__peer_send_body(a, e->seq, &a->reports[a->n_reports - 1].body);
	return 0;
}

int zn__agent_catch_up(struct agent *a)
{
	uint64_t damaged = a->log.damaged_bytes;
	int rc = zn_log_read(&a->log, heard, a);

	if (rc < 0 && !a->catch_up_ns)
		zn__agent_say(a, "the log can't be read, and is tried again each second: %s", strerror(-rc));
	a->catch_up_ns = rc < 0 ? zn_boot_ns() + NS : 0;
	if (a->log.damaged_bytes != damaged)
		zn__agent_say(a, "%llu damaged bytes in the log were skipped",
		              (unsigned long long)(a->log.damaged_bytes - damaged));
	return rc;
}

int zn__agent_log(struct agent *a, const struct zn_msg_report *r, bool sync)
{
	int rc = zn_log_append(a->dirfd, &zn_msg_report_kind, r, sync);
	char number[ZN_NUMBER_TEXT];

	if (rc < 0)
		zn__agent_say(a, "job %s: the log can't be written: %s", zn_handle_text(r->job, number), strerror(-rc));
	zn__agent_catch_up(a);
	return rc;
}

bool zn__agent_resend(struct agent *a, const struct job_key *key)
{
	struct job *j = zn__job_find(a, key->job, key->attempt);
	bool sent = false;

	for (size_t i = 0; i < a->n_reports; i++)
		if (memcmp(&a->reports[i].key, key, sizeof(*key)) == 0) {
			zn__peer_send_body(a, a->reports[i].seq, &a->reports[i].body);
			sent = true;
		}
	if (!sent && j && j->started.len)
		zn__peer_send_body(a, 0, &j->started);
	return sent || j;
}

/* ---- forgetting ----------------------------------------------------------------------------------- */

static int keep_intent(const struct job *j, struct zn_buf *keep)
{
	char name[ZN_JOB_NAME];
	struct zn_log_start s = { .job = j->key.job, .attempt = (uint32_t)j->key.attempt, .pid = j->ref_pid,
	                          .ticks = j->ticks, .time_s = j->start_s };

	s.hold = zn_job_name(s.job, s.attempt, name);
	if (j->adopted.pid) {
		s.adopt_pid = ZN_SOME_U64((uint64_t)j->adopted.pid);
		s.adopt_ticks = ZN_SOME_U64(j->adopted.start);
	}
	return zn_msg_put(keep, 0, 0, &zn_log_start_kind, &s);
}

int zn__agent_rewrite(struct agent *a)
{
	struct zn_buf keep = { 0 };
	struct zn_msg_ack ack = { .seq = a->acked };
	int rc = a->acked ? zn_msg_put(&keep, 0, 0, &zn_msg_ack_kind, &ack) : 0;

	for (struct job *j = a->jobs; rc == 0 && j; j = j->hh.next)
		if (!j->exited && j->ref_pid) /* one that is not written yet will be, into the new file */
			rc = keep_intent(j, &keep);
	for (size_t i = 0; rc == 0 && i < a->n_reports; i++)
		rc = zn_frame_put(&keep, 0, 0, a->reports[i].body.data, a->reports[i].body.len);
	if (rc == 0)
		rc = keep.failed ? -ENOMEM : zn_log_rewrite(&a->log, &keep);
	if (rc == 0)
		a->ack_logged = a->acked;
	zn_buf_done(&keep);
	return rc;
}

static void rewrite_if_large(struct agent *a)
{
	size_t bytes = 0;

	if (zn_log_size(&a->log) < REWRITE_SIZE)
		return;
	for (size_t i = 0; i < a->n_reports; i++)
		bytes += a->reports[i].body.len;
	if (bytes > REWRITE_KEEP)
		return;
	/* an intent that a shepherd has just written must be known before it may be left out */
	zn__agent_catch_up(a);
	int rc = zn__agent_rewrite(a);
	if (rc < 0 && rc != -EAGAIN)
		zn__agent_say(a, "the log can't be rewritten: %s", strerror(-rc));
}

void zn__report_forget(struct agent *a, uint64_t seq)
{
	size_t n = 0;

	a->acked = seq > a->acked ? seq : a->acked;
	while (n < a->n_reports && a->reports[n].seq <= a->acked)
		zn_buf_done(&a->reports[n++].body);
	a->n_reports -= n;
	if (a->n_reports)
		memmove(a->reports, a->reports + n, a->n_reports * sizeof(*a->reports));
}

/* Lost, it only makes a successor tell what the scheduler knows: now and then is enough, and at the end. */
void zn__agent_log_ack(struct agent *a, bool now)
{
	struct zn_msg_ack ack = { .seq = a->acked };

	if (a->acked == a->ack_logged || (!now && a->acked < a->ack_logged + ACK_BYTES))
		return;
	if (zn_log_append(a->dirfd, &zn_msg_ack_kind, &ack, false) == 0)
		a->ack_logged = a->acked;
}

void zn__agent_ack(struct agent *a, uint64_t seq)
{
	if (seq <= a->acked || !a->n_reports)
		return;
	if (seq > a->reports[a->n_reports - 1].seq) /* what was never sent can't be known */
		seq = a->reports[a->n_reports - 1].seq;
	zn__report_forget(a, seq);
	for (struct job *j = a->jobs, *next; j; j = next) {
		next = j->hh.next;
		if (j->exited && j->exit_seq <= seq)
			zn__job_free(a, j);
	}
	zn__agent_log_ack(a, false);
	rewrite_if_large(a);
}
