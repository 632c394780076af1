/* A pool against a queue that is walked through, as EASY is usually written down, with a turn for each of the first few; and
 * what must hold of any order.
 */
#include <stdlib.h>
#include <string.h>

#include "pick/pool.h"
#include "tap.h"

enum { JOBS = 400, GPUS = 32, ROUNDS = 60 };

struct job {
	struct zn_pick_job pick;
	double run_s, end_s;              /* end_s 0: it has not started */
	double promise_s;                 /* the earliest time that was reserved for it; 0: none was */
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

/* Who waits for its turn: when that is, when it is over then, and what is left over when it begins. */
struct turn { unsigned who, extra; double at, over; };

struct simple {
	double now, end[JOBS], est_end[JOBS];
	bool runs[JOBS];
	unsigned queue[JOBS], n, free;
	struct turn turns[JOBS];
	unsigned n_turns;
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

/* When that job is over: it runs, or has its turn; 0: neither. */
static double over_by(const struct simple *s, unsigned i)
{
	for (unsigned k = 0; k < s->n_turns; k++)
		if (s->turns[k].who == i)
			return s->turns[k].over;
	return s->runs[i] ? s->est_end[i] : 0;
}

/* When enough is free for who, and what is left over then, if those whose turns come before his are there already. */
static struct turn turn_of(const struct simple *s, unsigned who)
{
	bool passed[JOBS] = { false };
	int free = (int)s->free;

	for (unsigned k = 0; k < s->n_turns; k++)
		free -= (int)gpus_of(&jobs[s->turns[k].who].pick);
	for (;;) {
		int next = -1;
		for (int i = 0; i < JOBS; i++)
			if (over_by(s, (unsigned)i) && !passed[i] && (next < 0 || over_by(s, (unsigned)i) < over_by(s, (unsigned)next)))
				next = i;
		passed[next] = true;
		free += (int)gpus_of(&jobs[next].pick);
		if (free < (int)gpus_of(&jobs[who].pick))
			continue;
		double at = over_by(s, (unsigned)next) > s->now ? over_by(s, (unsigned)next) : s->now;
		return (struct turn){ .who = who, .extra = (unsigned)free - gpus_of(&jobs[who].pick), .at = at, .over = at + jobs[who].pick.estimate_s };
	}
}

/* It is over before each turn, or takes what is left over then. */
static bool simple_may(const struct simple *s, const struct zn_pick_job *j)
{
	bool may = gpus_of(j) <= s->free;

	for (unsigned k = 0; k < s->n_turns; k++)
		may &= s->now + j->estimate_s <= s->turns[k].at || gpus_of(j) <= s->turns[k].extra;
	return may;
}

static void simple_pass(struct simple *s, unsigned depth, unsigned turns)
{
	unsigned first = 0;

	s->n_turns = 0;
	for (unsigned x = 0; x < s->n && (!depth || !s->n_turns || x <= first + depth); x++) {
		const struct zn_pick_job *j = &jobs[s->queue[x]].pick;
		if (simple_may(s, j)) {
			for (unsigned k = 0; k < s->n_turns; k++)
				s->turns[k].extra -= s->now + j->estimate_s <= s->turns[k].at ? 0 : gpus_of(j);
			simple_start(s, s->queue[x]);
		} else if (s->n_turns < turns) {
			first = s->n_turns ? first : x;
			struct turn turn = turn_of(s, s->queue[x]);
			s->turns[s->n_turns++] = turn;
		}
	}
	drop_started(s);
}

static void simple_run(unsigned depth, unsigned turns)
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
		simple_pass(&s, depth, turns);
	}
}

/* ---- the pool -------------------------------------------------------------------------------------------- */

struct seen { bool over, early, again, late, delayed, out_of_order; unsigned promises; };

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

/* Whether each reservation of the pass stands: by the limits of what runs and of the others, it has its GPUs at its time. */
static bool all_stand(const struct zn_pick_pass *look)
{
	for (unsigned i = 0; i < look->gap.n; i++) {
		double at = look->gap.at_s[i];
		unsigned used = 0;
		for (const struct job *j = jobs; j < jobs + JOBS; j++)
			used += j->end_s && !j->ended && j->pick.start_s + j->pick.limit_s > at ? gpus_of(&j->pick) : 0;
		for (unsigned k = 0; k < look->gap.n; k++)
			if (look->gap.at_s[k] <= at && at < look->gap.at_s[k] + look->ahead.v[k]->limit_s)
				used += gpus_of(look->ahead.v[k]);
		if (used > GPUS)
			return false;
	}
	return true;
}

static bool is_ahead(const struct zn_pick_pass *look, const struct zn_pick_job *job)
{
	for (unsigned i = 0; i < look->ahead.n; i++)
		if (look->ahead.v[i] == job)
			return true;
	return false;
}

/* Of a class who came first is the next, whatever a score says. */
static bool is_next_of_class(const struct zn_pick_pass *look, const struct zn_pick_job *job)
{
	for (const struct job *j = jobs; &j->pick != job; j++)
		if (j->pick.class == job->class && !is_ahead(look, &j->pick))
			return false;
	return true;
}

static bool goes_before(const struct zn_pick_pass *look, const struct zn_pick_job *a, const struct zn_pick_job *b)
{
	return a->class == b->class || zn_line_goes_before(&look->pick->line, a, b, look->now_s);
}

/* Whether those with reservations are the first of all who wait, one after the other, and as many as there can be. */
static bool are_first(const struct zn_pick_pass *look)
{
	const struct zn_pick_job *last = look->ahead.n ? look->ahead.v[look->ahead.n - 1] : NULL;
	unsigned waiting = 0;
	bool first = true;

	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!j->pick.shape)
			continue;
		waiting++;
		if (zn_line_must(&look->pick->line, &j->pick))
			return true; /* he is first, whatever the order says */
		if (last && !is_ahead(look, &j->pick) && is_next_of_class(look, &j->pick))
			first &= goes_before(look, last, &j->pick);
	}
	for (unsigned i = 1; i < look->ahead.n; i++)
		first &= goes_before(look, look->ahead.v[i - 1], look->ahead.v[i]);
	return first && look->ahead.n == (waiting < look->pick->policy.reservations ? waiting : look->pick->policy.reservations);
}

/* In order of arrival nobody who comes later is before it, and it starts no later than it was ever promised. */
static void keep_promises(const struct zn_pick_pass *look, struct seen *seen)
{
	for (unsigned i = 0; i < look->gap.n; i++) {
		struct job *j = (struct job *)look->ahead.v[i];
		seen->promises++;
		if (!j->promise_s || look->gap.at_s[i] < j->promise_s)
			j->promise_s = look->gap.at_s[i];
	}
}

static void pass(struct zn_pool *p, double now, struct seen *seen)
{
	struct zn_pick_pass look;
	struct zn_pick_job *pick, *head = NULL;
	double promise = 0;
	bool filled = false;              /* whoever started then may have been the first of a class */

	zn_pick_begin(&look, &p->pick, now);
	for (;;) {
		struct zn_pick_job *oldest = zn_line_oldest(&p->pick.line, UINT64_MAX);
		struct zn_pick_job *first = oldest && zn_line_must(&p->pick.line, oldest) ? oldest : zn_line_first(&p->pick.line, UINT64_MAX, now);
		if (!head && first && gpus_of(first) > p->free) {
			head = first;
			promise = promised(p, head, now);
		}
		if (!(pick = zn_pick_next(&look)))
			break;
		struct job *j = (struct job *)pick;
		filled |= look.filling;
		seen->again |= j->end_s > 0;
		seen->early |= pick->submit_s > now;
		j->end_s = now + j->run_s;
		seen->over |= p->free > GPUS;
		seen->late |= head && promised(p, head, now) > promise;
		seen->late |= p->pick.policy.order == ZN_PICK_ARRIVAL && j->promise_s && now > j->promise_s;
		seen->delayed |= !all_stand(&look);
	}
	seen->delayed |= !all_stand(&look);
	seen->out_of_order |= !filled && !are_first(&look);
	keep_promises(&look, seen);
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
	return !s.over && !s.early && !s.again && !s.late && !s.delayed && !s.out_of_order;
}

static bool as_simple(void)
{
	for (unsigned i = 0; i < JOBS; i++)
		if (jobs[i].pick.start_s != starts[i])
			return false;
	return true;
}

static bool is_as_simple(unsigned seed, unsigned depth, unsigned reservations)
{
	make_jobs(seed);
	simple_run(depth, reservations);
	pool_run((struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true, .depth = depth, .reservations = reservations });
	return as_simple();
}

static void test_reservations(unsigned reservations)
{
	static const enum zn_pick_order orders[] = { ZN_PICK_SLOWDOWN, ZN_PICK_ARRIVAL, ZN_PICK_SHORTEST };
	bool same = true, same_deep = true, clean = true, repeats = true;
	unsigned promises = 0;

	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS / reservations + 2); seed++) {
		same &= is_as_simple(seed, 0, reservations);
		same_deep &= is_as_simple(seed, 5, reservations);
		for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
			make_jobs(seed);
			struct seen s = pool_run((struct zn_pick_policy){ .order = orders[i], .backfill = true, .reservations = reservations });
			clean &= is_clean(s);
			promises += s.promises;
		}
		for (unsigned i = 0; i < JOBS; i++)
			starts[i] = jobs[i].pick.start_s;
		make_jobs(seed);
		pool_run((struct zn_pick_policy){ .order = ZN_PICK_SHORTEST, .backfill = true, .reservations = reservations });
		repeats &= as_simple();
	}
	tap_ok(same, "with %u reservations: in order of arrival each job starts when EASY, written down simply, starts it", reservations);
	tap_ok(same_deep, "also when it looks only at five behind the first");
	tap_ok(clean && promises > 10000, "in each order: no GPU twice, nobody before he came or twice, the first few have reservations, and no backfill delays one (%u)", promises);
	tap_ok(repeats, "the same jobs start at the same times again");
}

int main(void)
{
	static const unsigned reservations[] = { 1, 2, 4, ZN_PICK_RESERVATIONS };

	for (size_t i = 0; i < sizeof(reservations) / sizeof(*reservations); i++)
		test_reservations(reservations[i]);
	unsigned hour = hour_of_the_wide();
	tap_ok(hour >= 48 && hour < 60, "who was overtaken by 48 hours of all GPUs is next (he starts in hour %u)", hour);
	return tap_done();
}
