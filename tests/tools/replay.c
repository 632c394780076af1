/* replay JOURNAL [CONF]: holds every decision that a zn-schedd's journal has on record against what the same functions decide
 * now: what was known up to then is taken from the records, and at each start, each preemption and each end of one, the picking is
 * asked who it would have been.  For one node, on the machine that zn-topo shows.  Prints how many were the same; 1 if one was not.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/conf.h"
#include "queue/machine.h"
#include "queue/memo.h"
#include "rec/raw.h"

enum { GOING_MAX = 256 };

struct replay {
	struct zn_jobs q;
	struct zn_arena arena;
	struct zn_pick_pass pass;
	bool in_pass;                  /* a run of starts and preemptions: the pass goes on */
	struct zn_job *ahead;          /* it was picked already, after the preemptions that come first */
	uint64_t going[GOING_MAX];     /* whom the picking sends back or freezes in this pass, and the record did not yet */
	size_t n_going;
	uint64_t thawed[GOING_MAX];    /* who goes on since this pass began, and in the record not yet */
	size_t n_thawed;
	unsigned starts, preemptions, others;
};

static void differs(struct replay *r, double time_s, const char *what, uint64_t theirs, uint64_t ours)
{
	char a[ZN_NUMBER_TEXT], b[ZN_NUMBER_TEXT];

	printf("%.3f: %s: job %s on record, job %s now\n", time_s, what, theirs ? zn_handle_text(theirs, a) : "none",
	       ours ? zn_handle_text(ours, b) : "none");
	r->others++;
}

static void thaw(void *arg, struct zn_job *job)
{
	struct replay *r = arg;

	if (r->n_thawed < GOING_MAX)
		r->thawed[r->n_thawed++] = job->id;
}

static void begin_pass(struct replay *r, double now_s)
{
	zn_jobs_thaw(&r->q, thaw, r);
	r->q.payers.now_s = now_s;
	zn_leaves_weigh(&r->q.payers.leaves, now_s);
	zn_jobs_unblock(&r->q, HUGE_VAL);
	zn_pick_begin(&r->pass, &r->q.pick, now_s);
	r->in_pass = true;
}

/* The next of the pass, with its place. */
static struct zn_job *pick(struct replay *r)
{
	struct zn_job *job = r->ahead ? r->ahead : zn_jobs_next(&r->pass);
	struct zn_places *places = job && !r->ahead ? zn_places_copy(r->q.room.places) : NULL;

	r->ahead = NULL;
	if (!places)
		return job;
	free(job->places);
	job->places = places;
	return job;
}

static struct zn_job *next(struct replay *r, double now_s)
{
	struct zn_job *job = r->in_pass ? pick(r) : NULL;

	if (job)
		return job;
	begin_pass(r, now_s);
	return pick(r);
}

static void send_back(void *arg, struct zn_job *job)
{
	struct replay *r = arg;

	job->requeue = true;
	job->run->preempted_for = 1; /* the record says for whom */
	if (r->n_going < GOING_MAX)
		r->going[r->n_going++] = job->id;
}

/* Its state is the record's to change. */
static void freeze(void *arg, struct zn_job *job)
{
	struct replay *r = arg;

	if (r->n_going < GOING_MAX)
		r->going[r->n_going++] = job->id;
}

static bool preempt(void *arg, const struct zn_pick_job *head, double now_s)
{
	struct replay *r = arg;

	static const struct zn_preempt_ops ops = { send_back, freeze };

	return zn_jobs_preempt(&r->q, head, now_s, &ops, r);
}

static bool is_same_place(const struct zn_plan *plan, struct zn_bytes record)
{
	struct zn_arena a = { 0 };
	struct zn_memo_change m;
	struct zn_idset gpus = { 0 };
	bool same = zn_raw_decode(&zn_memo_change_kind, record, &a, &m, NULL) == 0;

	for (size_t i = 0; same && i < m.gpus.n; i++)
		zn_idset_add(&gpus, m.gpus.v[i]);
	same = same && zn_idset_equal(&gpus, &plan->gpus) && m.cpus_held == plan->cpus_held && m.mem_bytes == plan->mem_bytes;
	zn_arena_done(&a);
	return same;
}

static void hold_start(struct replay *r, uint64_t id, double time_s, struct zn_bytes record)
{
	struct zn_job *job = next(r, time_s);

	r->starts++;
	if (!job || job->id != id)
		differs(r, time_s, "start", id, job ? job->id : 0);
	else if (!is_same_place(&job->places->v[0].plan, record))
		differs(r, time_s, "start elsewhere", id, id);
}

/* What else the last pass would have started. */
static void end_pass(struct replay *r, double time_s)
{
	struct zn_job *job = r->in_pass ? pick(r) : NULL;

	if (job)
		differs(r, time_s, "start", 0, job->id);
	r->in_pass = false;
}

/* Whether it was among them; it is no more. */
static bool take_out(uint64_t *v, size_t *n, uint64_t id)
{
	size_t i = 0;

	while (i < *n && v[i] != id)
		i++;
	if (i == *n)
		return false;
	v[i] = v[--*n];
	return true;
}

static void hold_preemption(struct replay *r, uint64_t id, double time_s)
{
	r->preemptions++;
	if (!r->n_going) { /* they are decided when the pass comes to the first that has no room */
		if (!r->in_pass)
			begin_pass(r, time_s);
		r->ahead = pick(r);
	}
	if (!take_out(r->going, &r->n_going, id))
		differs(r, time_s, "preemption", id, 0);
}

static void hold_thaw(struct replay *r, uint64_t id, double time_s)
{
	if (!r->n_thawed) {
		end_pass(r, time_s);
		begin_pass(r, time_s);
	}
	if (!take_out(r->thawed, &r->n_thawed, id))
		differs(r, time_s, "end of a preemption", id, 0);
}

static void end_preemptions(struct replay *r, double time_s)
{
	for (; r->n_thawed; r->n_thawed--)
		differs(r, time_s, "end of a preemption", 0, r->thawed[r->n_thawed - 1]);
	for (; r->n_going; r->n_going--)
		differs(r, time_s, "preemption", 0, r->going[r->n_going - 1]);
}

/* One that has a place no more gives it back, as zn-schedd does before it tells the journal. */
static void give_place(struct replay *r, uint64_t id, struct zn_bytes record)
{
	struct zn_job *job = zn_jobs_get(&r->q, id);
	struct zn_bytes text = zn_raw_text(zn_raw_get(record, "state"));
	char name[16];
	enum zn_job_state state;

	snprintf(name, sizeof(name), "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
	if (job && job->pick.runs && zn_job_state_parse(name, &state) == 0 && !zn_job_has_alloc(state))
		zn_jobs_give(&r->q, job);
}

/* Who waits for nothing gets in line, which the journal need not know. */
static void promote(struct replay *r, struct zn_job *job, double time_s)
{
	if (job->state == ZN_JOB_PENDING && !job->hold && !job->after && job->begin_s <= time_s)
		zn_jobs_move(&r->q, job, ZN_JOB_QUEUED);
	if (job->whole) /* it may have room for another one */
		zn__line_push(&r->q, job->whole);
}

static bool is_freezing(struct zn_bytes record)
{
	uint64_t other = 0;

	return zn_raw_is_text(zn_raw_get(record, "event"), "suspended") && zn_raw_u64(zn_raw_get(record, "preempted_for"), &other) && other;
}

static int on_record(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	struct replay *r = arg;
	struct zn_bytes record = { payload, len };
	struct zn_err err = { "" };
	struct zn_job *job;
	const char *event;
	double time_s = 0, replayed_s;
	uint64_t id = 0;

	(void)seq;
	zn_raw_u64(zn_raw_get(record, "id"), &id);
	zn_raw_f64(zn_raw_get(record, "time_s"), &time_s);
	bool scheduled = zn_raw_is_text(zn_raw_get(record, "event"), "scheduled");
	const struct zn_job *was = zn_jobs_get(&r->q, id);
	bool preempting = zn_raw_is_text(zn_raw_get(record, "event"), "preempting") || is_freezing(record);
	bool thawing = was && zn_job_is_frozen(was) && zn_raw_is_text(zn_raw_get(record, "event"), "resumed");
	if (scheduled)
		hold_start(r, id, time_s, record);
	else if (preempting)
		hold_preemption(r, id, time_s);
	else if (thawing)
		hold_thaw(r, id, time_s);
	else
		end_pass(r, time_s);
	if (!preempting && !thawing)
		end_preemptions(r, time_s);
	give_place(r, id, record);
	zn_arena_reset(&r->arena);
	int rc = zn_memo_replay(&r->q, loc, payload, len, &r->arena, &event, &job, &replayed_s, &err);
	if (rc == 0 && job)
		promote(r, job, replayed_s);
	return rc;
}

int main(int argc, char **argv)
{
	struct replay r = { .in_pass = false };
	struct zn_journal_replay replay = { .arg = &r, .record = on_record };
	struct zn_journal_opts opts = { .read_only = true };
	struct zn_journal *journal;
	struct zn_facts *facts;
	struct zn_conf conf = { 0 };
	struct zn_err err = { "" };

	if (argc < 2)
		return 64;
	int rc = zn_conf_read(argc > 2 ? argv[2] : NULL, &conf, &err);
	if (rc == 0)
		rc = zn_machine_ask(&facts, &err);
	if (rc < 0) {
		fprintf(stderr, "replay: %s\n", err.text);
		return 71;
	}
	zn_jobs_init(&r.q);
	if (zn_jobs_set_nodes(&r.q, (const char *const[]){ "" }, 1) < 0)
		return 71;
	r.q.pick.preempt = preempt;
	r.q.pick.preempt_arg = &r;
	zn_jobs_set_quotas(&r.q, conf.quotas, conf.shares);
	r.q.pick.line.weights = conf.weights;
	r.q.pick.policy.reservations = (uint32_t)conf.reservations;
	for (size_t i = 0; i < conf.n_licences; i++)
		zn_jobs_set_licence(&r.q, conf.licences[i].name, conf.licences[i].total);
	zn_jobs_set_facts(&r.q, 0, facts);
	rc = zn_journal_open(argv[1], &opts, &replay, &journal, &err);
	if (rc < 0) {
		fprintf(stderr, "replay: %s\n", err.text);
		return 71;
	}
	zn_jobs_done(&r.q);
	zn_journal_close(journal);
	zn_facts_free(facts);
	zn_conf_done(&conf);
	zn_arena_done(&r.arena);
	printf("%u starts, %u preemptions, %u otherwise\n", r.starts, r.preemptions, r.others);
	return r.others > 0;
}
