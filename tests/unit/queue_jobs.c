/* Who is next, and what the journal remembers: both against a model that is too simple to be wrong. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "queue/digest.h"
#include "queue/memo.h"
#include "rec/val.h"
#include "tap.h"

enum { JOBS = 400, STEPS = 20000, PASS = 7 };

static uint32_t seed = 12345;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void start(struct zn_jobs *q)
{
	static const char *const names[] = { "box" };

	zn_jobs_init(q);
	if (zn_jobs_set_nodes(q, names, 1) < 0)
		abort();
}

static struct zn_job *new_job(struct zn_jobs *q, uint64_t id)
{
	struct zn_job *job = calloc(1, sizeof(*job));

	job->id = id;
	job->user = zn_jobs_intern(q, "ann");
	job->tasks = 1;
	job->submit_s = 25. * (double)id;
	job->gpus = dice(3);
	job->priority = (int64_t)dice(4);
	job->state = ZN_JOB_QUEUED;
	return job;
}

/* As pick/line.h says it. */
static double score(const struct zn_job *j, double now_s)
{
	double wait_s = now_s > j->submit_s ? now_s - j->submit_s : 0;

	return (wait_s + 60) * (1 / ((j->limit_s > 0 ? j->limit_s : 86400) * sqrt((double)j->pick.size)));
}

static bool goes_before(const struct zn_job *a, const struct zn_job *b, double now_s)
{
	double x = score(a, now_s), y = score(b, now_s);

	return a->priority != b->priority ? a->priority > b->priority : x != y ? x > y : a->id < b->id;
}

/* The best of those that may start, found by looking at all of them. */
static uint64_t model_next(struct zn_job **jobs, size_t n, uint32_t blocked_gpus, double now_s)
{
	struct zn_job *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (jobs[i]->state == ZN_JOB_QUEUED && jobs[i]->gpus != blocked_gpus &&
		    (!best || goes_before(jobs[i], best, now_s)))
			best = jobs[i];
	return best ? best->id : 0;
}

static uint64_t next(const struct zn_jobs *q, double now_s)
{
	struct zn_pick_job *head = zn_line_first(&q->pick.line, PASS, now_s);

	return head ? zn_handle_of_arrival(head->seq) : 0;
}

static void block(struct zn_jobs *q, uint32_t gpus)
{
	for (struct zn_pick_kind *k = q->pick.line.kinds; k; k = k->hh.next)
		k->no_room = k->ask.gpus == gpus ? PASS : 0;
}

static void step(struct zn_jobs *q, struct zn_job *job)
{
	switch (dice(3)) {
	case 0:
		zn_jobs_move(q, job, job->state == ZN_JOB_QUEUED ? ZN_JOB_PENDING : ZN_JOB_QUEUED);
		break;
	case 1:
		job->priority = (int64_t)dice(5) - 2;
		job->limit_s = dice(3) ? 60 << dice(12) : 0;
		zn_jobs_reorder(q, job);
		break;
	default:
		break;
	}
}

static void order(void)
{
	struct zn_jobs q;
	struct zn_job *jobs[JOBS];
	struct zn_facts *facts = machine_new("numa:2 core:4 gpu:2 mem:64");
	int wrong = 0;

	start(&q);
	zn_jobs_set_facts(&q, 0, facts);
	for (size_t i = 0; i < JOBS; i++) {
		jobs[i] = new_job(&q, i + 1);
		zn_jobs_add(&q, jobs[i]);
	}
	for (int i = 0; i < STEPS; i++) {
		uint32_t blocked = dice(4);
		step(&q, jobs[dice(JOBS)]);
		block(&q, blocked);
		double now_s = dice(20000);
		wrong += next(&q, now_s) != model_next(jobs, JOBS, blocked, now_s);
	}
	tap_ok(!wrong, "after each of %d random holds, releases, new priorities and limits the first is the model's", STEPS);
	tap_ok(q.count[ZN_JOB_QUEUED] + q.count[ZN_JOB_PENDING] == JOBS, "the counts of the states add up");
	tap_ok(zn_jobs_move(&q, jobs[0], ZN_JOB_COMPLETED) == -EPERM, "a move that is not legal is refused");
	zn_jobs_done(&q);
	machine_free(facts);
}

static void keys(void)
{
	struct zn_jobs q;
	struct zn_job *job;

	start(&q);
	job = new_job(&q, 7);
	job->uid = 1000;
	job->key = zn_job_user_key(1000, "night");
	zn_jobs_add(&q, job);
	tap_ok(zn_jobs_get_key(&q, 1000, "night") == job, "a key finds its user's job");
	tap_ok(!zn_jobs_get_key(&q, 1001, "night"), "another user's same key does not");
	tap_ok(!zn_jobs_get_key(&q, 1000, "nigh"), "a part of a key does not");
	struct zn_job *twin = new_job(&q, 7);
	tap_ok(zn_jobs_add(&q, twin) == -EEXIST, "a number is given once");
	zn_job_free(twin);
	zn_jobs_drop(&q, job);
	tap_ok(!zn_jobs_get_key(&q, 1000, "night") && !zn_jobs_get(&q, 7), "a job that was dropped is found no more");
	tap_ok(q.next_id == 8, "and its number is not given again");
	zn_jobs_done(&q);
}

/* ---- the journal's records ---- */

static int replay(struct zn_jobs *q, const struct zn_kind *kind, const void *record, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_buf b = { 0 };
	struct zn_job *job;
	const char *event;
	double time_s;
	int rc = zn_encode(kind, record, &b);

	if (rc == 0)
		rc = zn_memo_replay(q, (struct zn_loc){ 1, 2, 3 }, b.data, b.len, &a, &event, &job, &time_s, err);
	zn_buf_done(&b);
	zn_arena_done(&a);
	return rc;
}

static int replay_bytes(struct zn_jobs *q, const struct zn_buf *b, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_job *job;
	const char *event;
	double time_s;
	int rc = zn_memo_replay(q, (struct zn_loc){ 0 }, b->data, b->len, &a, &event, &job, &time_s, err);

	zn_arena_done(&a);
	return rc;
}

static struct zn_memo_submit submission(uint64_t id)
{
	static const unsigned char digest[ZN_DIGEST] = "0123456789abcde";

	return (struct zn_memo_submit){
		.id = id, .uid = 1000, .gid = 100, .user = "ann", .submit_s = 1.5, .digest = { digest, ZN_DIGEST },
		.spec = { .command = "true", .directory = "/", .job_name = "n", .key = "k",
		          .resources = { .gpus = ZN_SOME_U64(2), .cpus = ZN_SOME_U64(3), .mem_bytes = ZN_SOME_U64(4096),
		                         .time_limit_s = ZN_SOME_F64(60) },
		          .policy = { .priority = ZN_SOME_I64(-4), .requeue = ZN_SOME_U64(1), .account = "vision" } },
	};
}

static void change_a_lot(struct zn_jobs *q, struct zn_job *job)
{
	if (zn_job_add_run(job) < 0)
		abort();
	job->attempt = 3;
	job->priority = 9;
	job->limit_s = 7.5;
	job->run->start_s = 100.25;
	job->end_s = 200.5;
	job->has_exit_code = true;
	job->exit_code = -1;
	job->signal = 15;
	job->run->max_rss_bytes = 12345;
	job->run->cpu_s = 1.25;
	job->run->gpu_s = 2.5;
	job->requeues_left = 1;
	job->cancel = true;
	job->run->confinement = zn_jobs_intern(q, "cgroup v2");
	zn_job_set_text(&job->name, "other");
	zn_job_set_text(&job->reason, "because");
	job->places = calloc(1, sizeof(*job->places) + sizeof(job->places->v[0]));
	job->places->n = 1;
	zn_idset_add(&job->places->v[0].plan.gpus, 1);
	zn_idset_add(&job->places->v[0].plan.gpus, 5);
	zn_idset_add(&job->places->v[0].plan.cpus, 70);
	zn_idset_add(&job->places->v[0].plan.numas, 1);
	job->places->v[0].plan.cpus_held = 1;
	job->places->v[0].plan.mem_bytes = 4096;
	zn_jobs_move(q, job, ZN_JOB_QUEUED);
	zn_jobs_move(q, job, ZN_JOB_SCHEDULED);
	zn_jobs_move(q, job, ZN_JOB_RUNNING);
}

static bool same_public(const struct zn_jobs *q, const struct zn_job *x, const struct zn_job *y)
{
	struct zn_arena a = { 0 };
	struct zn_buf bx = { 0 }, by = { 0 };
	struct zn_job_record rx, ry;
	bool same = zn_job_public(q, x, &a, &rx) == 0 && zn_job_public(q, y, &a, &ry) == 0 &&
	            zn_encode(&zn_job_kind, &rx, &bx) == 0 && zn_encode(&zn_job_kind, &ry, &by) == 0 &&
	            bx.len == by.len && !memcmp(bx.data, by.data, bx.len);

	zn_buf_done(&bx);
	zn_buf_done(&by);
	zn_arena_done(&a);
	return same;
}

static void memory(void)
{
	struct zn_jobs q, again;
	struct zn_memo_submit m = submission(5);
	struct zn_buf change = { 0 };
	struct zn_err err = { "" };

	start(&q);
	start(&again);
	tap_ok(replay(&q, &zn_memo_submit_kind, &m, &err) == 0 && replay(&again, &zn_memo_submit_kind, &m, &err) == 0,
	       "a submit record makes a job %s", err.text);
	struct zn_job *job = zn_jobs_get(&q, 5);
	tap_ok(job && job->gpus == 2 && job->cpus.v == 3 && job->priority == -4 && job->requeues_left == 1 &&
	       job->limit_s == 60 && !strcmp(job->account, "vision") && job->body.offset == 2, "with what it asks for");
	tap_ok(zn_jobs_get_key(&q, 1000, "k") == job, "and its key");
	tap_ok(!job->run, "and no memory for runs that it never had");
	tap_ok(replay(&q, &zn_memo_submit_kind, &m, &err) == -EBADMSG, "twice the same number is a contradiction: %s", err.text);
	change_a_lot(&q, job);
	tap_ok(zn_memo_encode_change(&q, job, "started", 3.5, &change) == 0 && replay_bytes(&again, &change, &err) == 0,
	       "a change record holds all that can change %s", err.text);
	struct zn_job *copy = zn_jobs_get(&again, 5);
	tap_ok(same_public(&q, job, copy), "the job out of the journal shows the same record");
	tap_ok(copy->cancel && copy->requeues_left == 1 && zn_idset_has(&copy->places->v[0].plan.numas, 1), "and remembers what is not shown");
	tap_ok(again.count[ZN_JOB_RUNNING] == 1 && again.count[ZN_JOB_PENDING] == 0, "and is counted where it is");
	zn_buf_done(&change);
	zn_jobs_done(&q);
	zn_jobs_done(&again);
}

/* By looking at all of them. */
static uint64_t model_waiting(const struct zn_jobs *q, enum zn_job_state state)
{
	uint64_t n = 0;

	for (const struct zn_job *job = q->by_id; job; job = job->hh.next)
		n += job->state == state ? zn_job_waiters(job) : 0;
	return n;
}

static bool counts_who_waits(const struct zn_jobs *q)
{
	return q->waiting[ZN_JOB_PENDING] == model_waiting(q, ZN_JOB_PENDING) && q->waiting[ZN_JOB_QUEUED] == model_waiting(q, ZN_JOB_QUEUED);
}

static void waiters(void)
{
	static const enum zn_job_state to[] = { ZN_JOB_PENDING, ZN_JOB_QUEUED, ZN_JOB_SCHEDULED, ZN_JOB_RUNNING, ZN_JOB_CANCELLED, ZN_JOB_COMPLETED };
	struct zn_memo_submit m = submission(5);
	struct zn_err err = { "" };
	struct zn_jobs q;
	struct zn_job *job;
	int wrong = 0;

	start(&q);
	m.spec.policy.array = "0-39";
	for (m.id = 1; m.id <= 3; m.id++) {
		m.spec.key = NULL;
		wrong += replay(&q, &zn_memo_submit_kind, &m, &err) != 0 || !counts_who_waits(&q);
	}
	tap_ok(!wrong && q.waiting[ZN_JOB_PENDING] == 120, "of an array each element waits %s", err.text);
	for (int i = 0; i < 2000; i++) {
		struct zn_job *array = zn_jobs_get(&q, 1 + dice(3));
		uint32_t index = dice(40);
		job = zn_jobs_get(&q, zn_handle(array->id, index));
		if (!job && zn_job_is_waiting(array->state))
			zn_jobs_split(&q, array, index, &job);
		zn_jobs_move(&q, job && dice(9) ? job : array, to[dice(dice(9) ? 4 : 6)]);
		wrong += !counts_who_waits(&q);
	}
	wrong += replay(&q, &zn_memo_submit_kind, &m, &err) != 0;
	zn_jobs_give_up_rest(&q, zn_jobs_get(&q, m.id));
	tap_ok(!wrong && counts_who_waits(&q), "who waits is counted through splits, starts, ends and the end of all");
	zn_jobs_done(&q);
	tap_ok(!q.waiting[ZN_JOB_PENDING] && !q.waiting[ZN_JOB_QUEUED], "and nobody when all are forgotten");
}

static void odd_records(void)
{
	struct zn_jobs q;
	struct zn_err err = { "" };
	struct zn_memo_change c = { .id = 99, .event = "started", .state = "RUNNING" };
	struct zn_memo_meta meta = { .next_id = 500 };
	static const char later[] = "\x81\xa4kind\xa6" "quotas";
	struct zn_buf b = { 0 };

	start(&q);
	tap_ok(replay(&q, &zn_memo_change_kind, &c, &err) == -EBADMSG, "a change without its submit: %s", err.text);
	tap_ok(replay(&q, &zn_memo_meta_kind, &meta, &err) == 0 && q.next_id == 500, "numbers go on where they were");
	zn_buf_add(&b, later, sizeof(later) - 1);
	tap_ok(replay_bytes(&q, &b, &err) == 0, "a kind of a later version is passed by");
	b.len--;
	tap_ok(replay_bytes(&q, &b, &err) < 0, "half a record is refused: %s", err.text);
	zn_buf_done(&b);
	zn_jobs_done(&q);
}

static void digests(void)
{
	unsigned char a[ZN_DIGEST], b[ZN_DIGEST];
	struct zn_spec s = submission(1).spec;
	static struct zn_pair pair[] = { { "PWD", "/elsewhere" } };

	zn_spec_digest(&s, a);
	s.key = "other";
	s.policy.begin_s = ZN_SOME_F64(1e9);
	s.environment = (struct zn_strmap){ pair, 1 };
	zn_spec_digest(&s, b);
	tap_ok(!memcmp(a, b, ZN_DIGEST), "key, begin time and environment do not make another content");
	s.resources.gpus = ZN_SOME_U64(3);
	zn_spec_digest(&s, b);
	tap_ok(memcmp(a, b, ZN_DIGEST), "another wish does");
}

static void reasons(void)
{
	static const struct { const char *is, *for_all; } cases[] = {
		{ "time limit", "time limit" },
		{ "command '/home/ann/it's' not found", "command not found" },
		{ "command 'x' can't be run: Permission denied", "command can't be run: Permission denied" },
		{ "directory '/home/ann/a: b': No such file or directory", "directory: No such file or directory" },
		{ "output '/home/ann/out': is a FIFO", "output: is a FIFO" },
		{ "output '/home/ann/it's-cut", "output" },
		{ "output '/home/ann/cut", "output" },
		{ "output '", "output" },
		{ "commander '/x'", "commander '/x'" },
	};
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *is = zn_job_reason_for_all(cases[i].is, &a);
		tap_ok(!strcmp(is, cases[i].for_all), "\"%s\" is for all \"%s\", here \"%s\"", cases[i].is,
		       cases[i].for_all, is);
	}
	tap_ok(!zn_job_reason_for_all(NULL, &a), "no reason stays none");
	zn_arena_done(&a);
}

int main(void)
{
	reasons();
	order();
	keys();
	memory();
	waiters();
	odd_records();
	digests();
	return tap_done();
}
