/* A pool against a queue that is walked through, as EASY is usually written down; and what must hold of any order. */
#include <stdlib.h>
#include <string.h>

#include "pick/pool.h"
#include "tap.h"

enum { JOBS = 400, GPUS = 32, ROUNDS = 60 };

struct job {
	struct zn_pick_job pick;
	double run_s, end_s;              /* end_s 0: it has not started */
	bool ended;
};

static struct job jobs[JOBS];

static unsigned gpus_of(const struct zn_pick_job *job)
{
	return (unsigned)job->size;
}

static void make_jobs(unsigned seed)
{
	double at = 0;

	srand(seed);
	for (unsigned i = 0; i < JOBS; i++) {
		double run = rand() % 3 ? 1 + rand() % 40 : 1 + rand() % 900;
		at += rand() % 4 ? rand() % 20 : 0;
		jobs[i] = (struct job){ .run_s = run, .pick = {
			.seq = i, .submit_s = at, .estimate_s = run * (1 + rand() % 3), .size = (float)(1 + (rand() % 5 ? rand() % 8 : rand() % GPUS)),
		} };
		jobs[i].pick.limit_s = jobs[i].pick.estimate_s;
	}
}

/* ---- the other way to do it ----------------------------------------------------------------------------- */

static double starts[JOBS];           /* what it says */

struct simple {
	double now, end[JOBS], est_end[JOBS];
	bool runs[JOBS];
	unsigned queue[JOBS], n, free;
};

static void simple_start(struct simple *s, unsigned i)
{
	starts[i] = s->now;
	s->end[i] = s->now + jobs[i].run_s;
	s->est_end[i] = s->now + jobs[i].pick.estimate_s;
	s->runs[i] = true;
	s->free -= gpus_of(&jobs[i].pick);
}

static void drop_started(struct simple *s)
{
	unsigned m = 0;

	for (unsigned i = 0; i < s->n; i++)
		if (!s->runs[s->queue[i]])
			s->queue[m++] = s->queue[i];
	s->n = m;
}

/* When enough is free for who, and what is left over then. */
static double shadow(const struct simple *s, unsigned who, unsigned *extra)
{
	bool passed[JOBS] = { false };
	unsigned free = s->free;

	for (;;) {
		int next = -1;
		for (int i = 0; i < JOBS; i++)
			if (s->runs[i] && !passed[i] && (next < 0 || s->est_end[i] < s->est_end[next]))
				next = i;
		passed[next] = true;
		free += gpus_of(&jobs[next].pick);
		if (free >= gpus_of(&jobs[who].pick)) {
			*extra = free - gpus_of(&jobs[who].pick);
			return s->est_end[next] > s->now ? s->est_end[next] : s->now;
		}
	}
}

static void simple_pass(struct simple *s, unsigned depth)
{
	unsigned extra;

	while (s->n && gpus_of(&jobs[s->queue[0]].pick) <= s->free) {
		simple_start(s, s->queue[0]);
		drop_started(s);
	}
	if (!s->n)
		return;
	double at = shadow(s, s->queue[0], &extra);
	for (unsigned x = 1; x < s->n && (!depth || x <= depth); x++) {
		const struct zn_pick_job *j = &jobs[s->queue[x]].pick;
		bool in_time = s->now + j->estimate_s <= at;
		if (gpus_of(j) > s->free || !(in_time || gpus_of(j) <= extra))
			continue;
		extra -= in_time ? 0 : gpus_of(j);
		simple_start(s, s->queue[x]);
	}
	drop_started(s);
}

static void simple_run(unsigned depth)
{
	struct simple s = { .free = GPUS };
	unsigned come = 0, gone = 0;

	while (gone < JOBS) {
		s.now = come < JOBS ? jobs[come].pick.submit_s : 1e18;
		for (unsigned i = 0; i < JOBS; i++)
			if (s.runs[i] && s.end[i] < s.now)
				s.now = s.end[i];
		for (unsigned i = 0; i < JOBS; i++)
			if (s.runs[i] && s.end[i] <= s.now) {
				s.runs[i] = false;
				s.free += gpus_of(&jobs[i].pick);
				gone++;
			}
		while (come < JOBS && jobs[come].pick.submit_s <= s.now)
			s.queue[s.n++] = come++;
		simple_pass(&s, depth);
	}
}

/* ---- the pool -------------------------------------------------------------------------------------------- */

struct seen { bool over, early, again, late; };

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->end_s && !j->ended && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

/* By the estimates, when who can start if nothing else does. */
static double promised(const struct zn_pool *p, const struct zn_pick_job *who, double now)
{
	uint64_t sum;
	const struct zn_row_node *last;

	if (gpus_of(who) <= p->free)
		return now;
	last = zn_row_reach(&p->pick.running, gpus_of(who) - p->free, &sum);
	return last->key > now ? last->key : now;
}

static void pass(struct zn_pool *p, double now, struct seen *seen)
{
	struct zn_pick_pass look;
	struct zn_pick_job *pick, *head = NULL;
	double promise = 0;

	zn_pick_begin(&look, &p->pick, now);
	for (;;) {
		struct zn_pick_job *oldest = zn_line_oldest(&p->pick.line, UINT64_MAX);
		struct zn_pick_job *first = oldest && zn_line_must(&p->pick.line, oldest) ? oldest : zn_line_first(&p->pick.line, UINT64_MAX, now);
		if (!head && first && gpus_of(first) > p->free) {
			head = first;
			promise = promised(p, head, now);
		}
		if (!(pick = zn_pick_next(&look)))
			return;
		struct job *j = (struct job *)pick;
		seen->again |= j->end_s > 0;
		seen->early |= pick->submit_s > now;
		j->end_s = now + j->run_s;
		seen->over |= p->free > GPUS;
		seen->late |= head && promised(p, head, now) > promise;
	}
}

static struct seen pool_run(struct zn_pick_policy policy)
{
	struct zn_pool p;
	struct seen seen = { 0 };
	unsigned come = 0, gone = 0;

	zn_pool_init(&p, policy, GPUS);
	while (gone < JOBS) {
		struct job *end = next_end();
		double now = come < JOBS ? jobs[come].pick.submit_s : 1e18;
		now = end && end->end_s < now ? end->end_s : now;
		for (; (end = next_end()) && end->end_s <= now; gone++) {
			end->ended = true;
			zn_pool_end(&p, &end->pick, now);
		}
		while (come < JOBS && jobs[come].pick.submit_s <= now)
			zn_pool_wait(&p, &jobs[come++].pick, 0, 0, false);
		pass(&p, now, &seen);
	}
	seen.over |= p.free != GPUS;
	zn_pick_done(&p.pick);
	return seen;
}

/* One who wants all of four GPUs, among narrow ones that never stop coming: the hour in which he starts; 0: never. */
static unsigned hour_of_the_wide(void)
{
	enum { HOURS = 100, EACH = 4 };
	static struct zn_pick_job narrow[HOURS * EACH];
	struct zn_pick_job wide = { .seq = 2, .submit_s = 900, .estimate_s = 1e7, .limit_s = 1e7, .size = 4 };
	struct zn_pick_pass look;
	struct zn_pick_job *pick;
	struct zn_pool p;
	unsigned hour = 0;

	zn_pool_init(&p, (struct zn_pick_policy){ .backfill = true }, 4);
	for (unsigned i = 0; i < HOURS * EACH; i++) { /* one each quarter of an hour, for an hour */
		double now = 900. * i;
		narrow[i] = (struct zn_pick_job){ .seq = i < 2 ? i : i + 1, .submit_s = now, .estimate_s = 3600, .limit_s = 3600, .size = 1 };
		if (i >= EACH && narrow[i - EACH].start_s == now - 3600 && !hour)
			zn_pool_end(&p, &narrow[i - EACH], now);
		zn_pool_wait(&p, &narrow[i], 0, 0, false);
		if (i == 1)
			zn_pool_wait(&p, &wide, 0, 0, false);
		zn_pick_begin(&look, &p.pick, now);
		while ((pick = zn_pick_next(&look)))
			hour = pick == &wide ? i / EACH : hour;
		if (hour)
			break;
	}
	zn_pick_done(&p.pick);
	return hour;
}

static bool is_clean(struct seen s)
{
	return !s.over && !s.early && !s.again && !s.late;
}

static bool as_simple(void)
{
	for (unsigned i = 0; i < JOBS; i++)
		if (jobs[i].pick.start_s != starts[i])
			return false;
	return true;
}

int main(void)
{
	static const enum zn_pick_order orders[] = { ZN_PICK_SLOWDOWN, ZN_PICK_ARRIVAL, ZN_PICK_SHORTEST };
	bool same = true, same_deep = true, clean = true, repeats = true;

	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		make_jobs(seed);
		simple_run(0);
		pool_run((struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true });
		same &= as_simple();
		make_jobs(seed);
		simple_run(5);
		pool_run((struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true, .depth = 5 });
		same_deep &= as_simple();
		for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
			make_jobs(seed);
			clean &= is_clean(pool_run((struct zn_pick_policy){ .order = orders[i], .backfill = true }));
		}
		for (unsigned i = 0; i < JOBS; i++)
			starts[i] = jobs[i].pick.start_s;
		make_jobs(seed);
		pool_run((struct zn_pick_policy){ .order = ZN_PICK_SHORTEST, .backfill = true });
		repeats &= as_simple();
	}
	tap_ok(same, "in order of arrival each job starts when EASY, written down simply, starts it");
	tap_ok(same_deep, "also when it looks only at five behind the first");
	tap_ok(clean, "in each order: no GPU twice, nobody before he came or twice, and no backfill delays the reservation");
	tap_ok(repeats, "the same jobs start at the same times again");
	unsigned hour = hour_of_the_wide();
	tap_ok(hour >= 48 && hour < 60, "who was overtaken by 48 hours of all GPUs is next (he starts in hour %u)", hour);
	return tap_done();
}
