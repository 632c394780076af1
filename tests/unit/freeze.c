/* Who is frozen for whom, and goes on when: a queue on a machine of 8 CPUs and 128 GiB, whose jobs have no limits. */
#include <math.h>
#include <stdlib.h>

#include "machine.h"
#include "queue/jobs.h"
#include "tap.h"

enum { JOBS = 40, STEPS = 400, ROUNDS = 30 };

static struct zn_jobs q;
static struct zn_facts *facts;
static uint64_t head;                      /* for whom somebody makes room */
static bool again;                         /* somebody was frozen: there is room now */
static double now_s;

static void send_back(void *arg, struct zn_job *job)
{
	(void)arg;
	job->requeue = true;
	job->run->preempted_for = head;
	job->preempted++;
}

static void freeze(void *arg, struct zn_job *job)
{
	(void)arg;
	job->run->preempted_for = head;
	job->preempted++;
	zn_jobs_move(&q, job, ZN_JOB_SUSPENDED);
	again = true;
}

static void thaw(void *arg, struct zn_job *job)
{
	(void)arg;
	job->run->preempted_for = 0;
	zn_jobs_move(&q, job, ZN_JOB_RUNNING);
}

static bool preempt(void *arg, const struct zn_pick_job *first, double at_s)
{
	static const struct zn_preempt_ops ops = { send_back, freeze };

	(void)arg;
	head = zn_handle_of_arrival(first->seq);
	return zn_jobs_preempt(&q, first, at_s, &ops, NULL);
}

static void begin(void)
{
	static const char *const names[] = { "box" };

	zn_jobs_init(&q);
	facts = machine_new("numa:2 core:4 pu:1 gpu:0 mem:64");
	if (zn_jobs_set_nodes(&q, names, 1) < 0 || zn_jobs_set_facts(&q, 0, facts) < 0)
		abort();
	q.pick.preempt = preempt;
	now_s = 1e6;
}

static void end(void)
{
	zn_jobs_done(&q);
	machine_free(facts);
}

static struct zn_job *submit(uint32_t cpus, uint64_t mem_gib, int64_t priority, bool preemptible)
{
	struct zn_job *job = calloc(1, sizeof(*job));

	*job = (struct zn_job){ .id = q.next_id, .user = zn_jobs_intern(&q, "ann"), .tasks = 1, .submit_s = now_s, .cpus = ZN_SOME_U64(cpus),
	                        .mem_bytes = mem_gib << 30, .priority = priority, .preemptible = preemptible, .state = ZN_JOB_QUEUED };
	zn_jobs_add(&q, job);
	return job;
}

static void one_pass(void)
{
	struct zn_pick_pass pass;
	struct zn_job *job;

	zn_jobs_thaw(&q, thaw, NULL);
	zn_pick_begin(&pass, &q.pick, now_s);
	while ((job = zn_jobs_next(&pass))) {
		zn_job_forget_places(job);
		job->places = zn_places_copy(q.room.places);
		if (!job->places || zn_job_add_run(job) < 0)
			abort();
		job->run->start_s = now_s;
		zn_jobs_move(&q, job, ZN_JOB_SCHEDULED);
		zn_jobs_move(&q, job, ZN_JOB_RUNNING);
	}
}

static void decide(void)
{
	do {
		again = false;
		one_pass();
	} while (again);
}

/* It is done, or, should it have been sent back, waits again. */
static void over(struct zn_job *job)
{
	bool is_back = job->requeue;

	zn_jobs_give(&q, job);
	zn_job_forget_places(job);
	job->requeue = false;
	job->run->preempted_for = 0;
	zn_jobs_move(&q, job, is_back ? ZN_JOB_QUEUED : ZN_JOB_COMPLETED);
	now_s += 1;
	decide();
}

static void who_is_more_urgent(void)
{
	begin();
	struct zn_job *frozen = submit(8, 0, 0, true);
	decide();
	struct zn_job *urgent = submit(1, 0, 1, false);
	decide();
	struct zn_job *meek = submit(1, 0, -1, false), *same = submit(1, 0, 0, false), *more = submit(2, 0, 1, false);
	decide();
	tap_ok(meek->state == ZN_JOB_QUEUED && same->state == ZN_JOB_QUEUED, "what the urgent one left of a frozen one's CPUs goes to nobody who is not more urgent");
	tap_ok(more->state == ZN_JOB_RUNNING, "but to who is");
	over(urgent);
	tap_ok(zn_job_is_frozen(frozen) && meek->state == ZN_JOB_QUEUED && same->state == ZN_JOB_QUEUED, "for which it waits, too");
	over(more);
	tap_ok(frozen->state == ZN_JOB_RUNNING && same->state == ZN_JOB_QUEUED, "and then has all of them");
	over(frozen);
	tap_ok(same->state == ZN_JOB_RUNNING && meek->state == ZN_JOB_RUNNING, "and those who waited for it start after it");
	end();
}

static void its_memory(void)
{
	begin();
	struct zn_job *frozen = submit(8, 100, 0, true);
	decide();
	struct zn_job *urgent = submit(1, 0, 1, false);
	decide();
	struct zn_job *more = submit(1, 100, 5, false), *other = submit(1, 100, 0, false);
	decide();
	tap_ok(!frozen->requeue && more->state == ZN_JOB_QUEUED, "one that was just frozen is safe for a while");
	now_s += 61;
	decide();
	tap_ok(frozen->requeue && frozen->run->preempted_for == more->id, "then it is sent back for who is more urgent and needs its memory");
	decide();
	tap_ok(frozen->preempted == 2, "once");
	over(frozen);
	tap_ok(more->state == ZN_JOB_RUNNING && frozen->state == ZN_JOB_QUEUED && other->state == ZN_JOB_QUEUED, "who has it then");
	over(urgent);
	over(more);
	tap_ok(frozen->state == ZN_JOB_RUNNING || other->state == ZN_JOB_RUNNING, "and then whoever waited");
	end();
}

/* ---- whatever happens ------------------------------------------------------------------------------------------- */

static uint32_t seed = 4711;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static bool goes_on_too_late(const struct zn_job *job)
{
	const struct zn_job *other = zn_jobs_get(&q, zn_job_run(job)->preempted_for);
	struct zn_idset taken = zn_idset_minus(&job->places->v[0].plan.cpus, &q.room.nodes[0].free.cpus);

	return zn_job_is_frozen(job) && other->state == ZN_JOB_COMPLETED && zn_idset_is_empty(&taken);
}

/* NULL: nothing is. */
static const char *wrong(void)
{
	struct zn_free all = zn_plan_idle(facts);
	const struct zn_free *free = &q.room.nodes[0].free;
	struct zn_idset taken = { 0 };
	uint64_t mem = 0;

	for (struct zn_job *job = q.by_id; job; job = job->hh.next) {
		if (!zn_job_has_alloc(job->state))
			continue;
		const struct zn_plan *p = &job->places->v[0].plan;
		bool lent = job->state == ZN_JOB_SUSPENDED && !p->cpus_held;
		struct zn_idset twice = zn_idset_and(&taken, &p->cpus);
		if (p->cpus_held != (lent ? 0 : job->cpus.v) || (zn_job_is_frozen(job) && !lent))
			return "one has more CPUs than it has, or fewer";
		if (!lent && !zn_idset_is_empty(&twice))
			return "two have the same CPU";
		if (goes_on_too_late(job))
			return "one is frozen for nobody";
		if (!lent)
			taken = zn_idset_or(&taken, &p->cpus);
		mem += p->mem_bytes;
	}
	struct zn_idset left = zn_idset_minus(&all.cpus, &taken);
	return !zn_idset_equal(&left, &free->cpus) ? "the free CPUs are others" : all.mem_bytes - mem != free->mem_bytes ? "the free memory is another" : NULL;
}

static struct zn_job *any(void)
{
	uint32_t n = HASH_CNT(hh, q.by_id);
	struct zn_job *job = q.by_id;

	for (uint32_t i = n ? dice(n) : 0; i; i--)
		job = job->hh.next;
	return job;
}

static void requeue(struct zn_job *job)
{
	if (zn_job_is_frozen(job))
		job->run->preempted_for = 0;
	job->requeue = true;
}

static void suspend_or_resume(struct zn_job *job)
{
	if (job->state == ZN_JOB_RUNNING && !job->requeue)
		zn_jobs_move(&q, job, ZN_JOB_SUSPENDED);
	else if (job->state == ZN_JOB_SUSPENDED && !job->requeue && !zn_job_is_frozen(job))
		zn_jobs_move(&q, job, ZN_JOB_RUNNING);
}

static void hold_or_release(struct zn_job *job)
{
	if (job->state == ZN_JOB_QUEUED || job->state == ZN_JOB_PENDING)
		zn_jobs_move(&q, job, job->state == ZN_JOB_QUEUED ? ZN_JOB_PENDING : ZN_JOB_QUEUED);
}

static void happen(struct zn_job *job)
{
	switch (dice(7)) {
	case 0:
	case 1:
		if (zn_job_has_alloc(job->state))
			over(job);
		break;
	case 2:
		suspend_or_resume(job);
		break;
	case 3:
		hold_or_release(job);
		break;
	case 4:
		job->priority = (int64_t)dice(5);
		zn_jobs_reorder(&q, job);
		break;
	case 5:
		if (zn_job_has_alloc(job->state))
			requeue(job);
		break;
	default:
		zn_jobs_set_facts(&q, 0, facts);
	}
}

static const char *end_all(void)
{
	const char *what = NULL;

	for (struct zn_job *job = q.by_id; job; job = job->hh.next)
		if (job->state == ZN_JOB_PENDING)
			zn_jobs_move(&q, job, ZN_JOB_QUEUED);
	for (int i = 0; i < 20 * JOBS && !what && q.count[ZN_JOB_COMPLETED] < HASH_CNT(hh, q.by_id); i++) {
		struct zn_job *job = q.by_id;
		while (job && (!zn_job_has_alloc(job->state) || zn_job_is_frozen(job)))
			job = job->hh.next;
		if (job)
			over(job);
		else
			decide();
		what = wrong();
	}
	return what ? what : q.count[ZN_JOB_COMPLETED] < HASH_CNT(hh, q.by_id) ? "somebody never ends" : NULL;
}

static void anything(void)
{
	const char *what = NULL;
	unsigned frozen = 0;

	for (int round = 0; round < ROUNDS && !what; round++) {
		begin();
		for (int i = 0; i < STEPS && !what; i++) {
			if (HASH_CNT(hh, q.by_id) < JOBS && !dice(4))
				submit(1 + dice(8), dice(3) ? 0 : dice(100), (int64_t)dice(5), dice(2));
			else if (q.by_id)
				happen(any());
			now_s += dice(100);
			decide();
			what = wrong();
			for (struct zn_job *job = q.by_id; job; job = job->hh.next)
				frozen += zn_job_is_frozen(job);
		}
		what = what ? what : end_all();
		end();
	}
	tap_ok(!what && frozen > ROUNDS, "whatever happens to %d jobs, %d times, the books are right and all end: %s", JOBS, ROUNDS, what ? what : "so");
}

int main(void)
{
	who_is_more_urgent();
	its_memory();
	anything();
	return tap_done();
}
