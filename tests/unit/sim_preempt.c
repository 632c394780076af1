/* Preemption in virtual time against what must hold of it, read off the runs that came of it, with books of their own: nothing
 * twice, all end, nobody goes who may not, nobody in vain or more than must, nobody stays who should go, the same again.
 * Shares nothing with lib/pick and lib/sim but what they are asked.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/run.h"
#include "tap.h"

enum { GPUS = 64, NODES = 12, EACH = 8, MOST = 20000 };
static const double two_days_s = 48 * 3600.;

static struct zn_sim_job jobs[MOST];
static struct zn_fleet_gang gangs[MOST];
static unsigned n_jobs;
static bool flat;
static unsigned reservations;
static struct zn_hall hall;

static unsigned draw(unsigned below) { return (unsigned)rand() % below; }

/* ---- what ran when: every run of every job, lost or not ------------------------------------------------------- */

struct ran {
	unsigned job, number;             /* its first is 0 */
	double start_s, end_s;
	bool lost;
	const struct zn_hall_place *place;
};

static struct ran *rans, **by_start, **by_end;
static size_t n_rans;

static int compare(double a, double b, const struct ran *x, const struct ran *y)
{
	return a != b ? (a > b) - (a < b) : (x > y) - (x < y);
}

static int starts_before(const void *a, const void *b)
{
	const struct ran *x = *(struct ran *const *)a, *y = *(struct ran *const *)b;

	return compare(x->start_s, y->start_s, x, y);
}

static int ends_before(const void *a, const void *b)
{
	const struct ran *x = *(struct ran *const *)a, *y = *(struct ran *const *)b;

	return compare(x->end_s, y->end_s, x, y);
}

static void gather_rans(void)
{
	size_t at = 0;

	n_rans = n_jobs;
	for (unsigned i = 0; i < n_jobs; i++)
		n_rans += jobs[i].preempted;
	rans = calloc(n_rans, sizeof(*rans));
	by_start = calloc(n_rans, sizeof(*by_start));
	by_end = calloc(n_rans, sizeof(*by_end));
	for (unsigned i = 0; i < n_jobs; i++) {
		unsigned number = jobs[i].preempted;
		rans[at++] = (struct ran){ i, number, jobs[i].start_s, jobs[i].end_s, false, &jobs[i].place };
		for (const struct zn_sim_lost *l = jobs[i].lost; l && at < n_rans; l = l->before)
			rans[at++] = (struct ran){ i, --number, l->start_s, l->end_s, true, &l->place };
	}
	for (size_t i = 0; i < n_rans; i++)
		by_start[i] = by_end[i] = &rans[i];
	qsort(by_start, n_rans, sizeof(*by_start), starts_before);
	qsort(by_end, n_rans, sizeof(*by_end), ends_before);
}

static double safe_until(const struct ran *r)
{
	return r->start_s + (r->number ? 60 * pow(2, r->number - 1.) : 0);
}

static int64_t priority_of(const struct ran *r) { return jobs[r->job].priority; }

/* ---- the books ------------------------------------------------------------------------------------------------ */

struct books { int free, milli[NODES][EACH]; int64_t cpu[NODES]; };

static struct books all_free(void)
{
	struct books b = { .free = GPUS };

	for (unsigned i = 0; i < NODES; i++) {
		b.cpu[i] = 64000;
		for (unsigned g = 0; g < EACH; g++)
			b.milli[i][g] = 1000;
	}
	return b;
}

/* Whether nothing is below nothing. */
static bool book(struct books *b, const struct ran *r, int sign)
{
	const struct zn_fleet_task *t = &gangs[r->job].task;
	bool ok = true;

	if (flat)
		b->free += sign * (int)jobs[r->job].size;
	for (unsigned i = 0; !flat && i < r->place->n; i++) {
		const struct zn_fleet_spot *s = &r->place->spots[i];
		b->cpu[s->node] += sign * (int64_t)(t->cpu_milli * s->tasks);
		ok &= b->cpu[s->node] >= 0;
		for (unsigned g = 0; g < EACH; g++) {
			b->milli[s->node][g] += s->gpus >> g & 1 ? sign * (int)t->gpu_milli : 0;
			ok &= b->milli[s->node][g] >= 0;
		}
	}
	return ok && b->free >= 0;
}

static bool is_whole(const struct ran *r)
{
	unsigned tasks = 0, gpus = 0;

	for (unsigned i = 0; i < r->place->n; i++) {
		tasks += r->place->spots[i].tasks;
		gpus += (unsigned)__builtin_popcountll(r->place->spots[i].gpus);
	}
	return flat || (tasks == gangs[r->job].n && gpus == tasks * gangs[r->job].task.gpus);
}

static unsigned tasks_on(const struct books *b, unsigned node, const struct zn_fleet_gang *g)
{
	unsigned most = g->per_node ? g->per_node : g->n, free = 0, n = 0;

	for (unsigned i = 0; i < EACH; i++)
		free += b->milli[node][i] >= (int)g->task.gpu_milli;
	while (n < most && free >= (n + 1) * g->task.gpus && b->cpu[node] >= (int64_t)((n + 1) * g->task.cpu_milli))
		n++;
	return n;
}

static bool fits(const struct books *b, unsigned job)
{
	unsigned n = 0;

	if (flat)
		return b->free >= (int)jobs[job].size;
	for (unsigned i = 0; i < NODES; i++)
		n += tasks_on(b, i, &gangs[job]);
	return n >= gangs[job].n;
}

/* ---- who runs and waits at a time ------------------------------------------------------------------------------ */

struct now {
	struct books books;
	const struct ran *running[NODES * EACH * 10];
	unsigned n_running;
	unsigned waiting[MOST], n_waiting;
	double s;
};

static void add_waiting(struct now *now, unsigned job) { now->waiting[now->n_waiting++] = job; }

static bool drop_waiting(struct now *now, unsigned job)
{
	for (unsigned i = 0; i < now->n_waiting; i++)
		if (now->waiting[i] == job) {
			now->waiting[i] = now->waiting[--now->n_waiting];
			return true;
		}
	return false;
}

static void drop_running(struct now *now, const struct ran *r)
{
	unsigned i = 0;

	while (now->running[i] != r)
		i++;
	now->running[i] = now->running[--now->n_running];
	book(&now->books, r, 1);
}

/* Who may be preempted at that time for a job of that priority, which comes later than all starts: but only of priorities up
 * to most.
 */
static bool may_go(const struct ran *r, int64_t priority, int64_t most, double at_s)
{
	return jobs[r->job].preemptible && priority_of(r) < priority && priority_of(r) <= most && safe_until(r) <= at_s && r->start_s < at_s;
}

static bool would_fit(const struct now *now, unsigned job, int64_t most, double at_s)
{
	struct books b = now->books;

	for (unsigned i = 0; i < now->n_running; i++)
		if (may_go(now->running[i], jobs[job].priority, most, at_s))
			book(&b, now->running[i], 1);
	return fits(&b, job);
}

static bool one_would_do(const struct now *now, unsigned job, int64_t most, double at_s)
{
	for (unsigned i = 0; i < now->n_running; i++) {
		struct books b = now->books;
		if (!may_go(now->running[i], jobs[job].priority, most, at_s))
			continue;
		book(&b, now->running[i], 1);
		if (fits(&b, job))
			return true;
	}
	return false;
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

struct seen { const char *wrong; unsigned preempted, alone, several, blocked; double work_s; };

static void note(struct seen *seen, const char *wrong) { seen->wrong = seen->wrong ? seen->wrong : wrong; }

/* Of the jobs that wait the one with the highest priority, if there is one alone: it is the first in line. */
static int first_in_line(const struct now *now)
{
	int best = -1;
	bool alone = false;

	for (unsigned i = 0; i < now->n_waiting; i++) {
		int64_t p = jobs[now->waiting[i]].priority;
		if (best >= 0 && p < jobs[best].priority)
			continue;
		alone = best < 0 || p > jobs[best].priority;
		best = (int)now->waiting[i];
	}
	return alone ? best : -1;
}

/* Until then nothing happened. */
static void judge_peace(const struct now *now, double until_s, struct seen *seen)
{
	int first = first_in_line(now);

	if (first < 0 || seen->work_s > two_days_s)
		return;
	seen->blocked++;
	if (would_fit(now, (unsigned)first, INT64_MAX, nextafter(until_s, 0)))
		note(seen, "somebody stayed who should have gone");
}

/* v go, for the one head that started of those who may have sent them.  now: none of both happened yet. */
static void judge_choice(const struct now *now, const struct ran *const *v, unsigned n, unsigned head, struct seen *seen)
{
	struct books b = now->books;
	int64_t most = INT64_MIN;

	for (unsigned i = 0; i < n; i++) {
		most = priority_of(v[i]) > most ? priority_of(v[i]) : most;
		book(&b, v[i], 1);
	}
	if (!fits(&b, head))
		note(seen, "they do not make room");
	for (unsigned i = 0; i < n; i++) {
		book(&b, v[i], -1);
		if (fits(&b, head))
			note(seen, "one of them went in vain");
		book(&b, v[i], 1);
	}
	if (would_fit(now, head, most - 1, now->s))
		note(seen, "lower priorities would have done");
	if (n > 1 && one_would_do(now, head, most, now->s))
		note(seen, "one alone would have done");
	seen->alone += n == 1;
	seen->several += n > 1;
}

/* started: all that start now. */
static void judge_victims(const struct now *now, const struct ran *const *v, unsigned n, struct ran *const *started, size_t n_started, struct seen *seen)
{
	unsigned heads = 0, head = 0;

	for (size_t k = 0; k < n_started; k++) {
		bool for_one = false;
		for (unsigned i = 0; i < n; i++)
			for_one |= priority_of(started[k]) > priority_of(v[i]);
		heads += for_one;
		head = for_one ? started[k]->job : head;
	}
	for (unsigned i = 0; i < n; i++) {
		bool helps = false;
		for (size_t k = 0; k < n_started; k++)
			helps |= priority_of(started[k]) > priority_of(v[i]);
		if (!helps)
			note(seen, "one went, and nobody of a higher priority started");
		if (!jobs[v[i]->job].preemptible)
			note(seen, "one went who is not preemptible");
		if (safe_until(v[i]) > now->s || v[i]->end_s <= v[i]->start_s)
			note(seen, "one went who was safe");
	}
	seen->preempted += n;
	if (n && heads == 1 && seen->work_s <= two_days_s)
		judge_choice(now, v, n, head, seen);
}

static void judge_runs(struct seen *seen)
{
	for (size_t i = 0; i < n_rans; i++) {
		const struct ran *r = &rans[i];
		const struct zn_sim_job *j = &jobs[r->job];
		if (r->start_s < j->submit_s || (r->lost ? r->end_s - r->start_s >= j->duration_s : r->end_s != r->start_s + j->duration_s))
			note(seen, "a run is too short or too long");
		if (!is_whole(r))
			note(seen, "a gang is not whole");
		seen->work_s += (r->lost ? r->end_s - r->start_s : j->estimate_s) * (double)j->size / (flat ? GPUS : NODES * EACH);
	}
}

/* From one time to the next: what ends, who is preempted, what comes, what starts. */
static void judge(struct seen *seen)
{
	struct now *now = calloc(1, sizeof(*now));
	const struct ran **v = calloc(n_rans, sizeof(*v));
	size_t s = 0, e = 0;
	unsigned come = 0;

	now->books = all_free();
	judge_runs(seen);
	while (!seen->wrong && e < n_rans) {
		double next_s = by_end[e]->end_s;
		next_s = s < n_rans ? fmin(next_s, by_start[s]->start_s) : next_s;
		next_s = come < n_jobs ? fmin(next_s, jobs[come].submit_s) : next_s;
		judge_peace(now, next_s, seen);
		now->s = next_s;
		unsigned n = 0;
		for (; e < n_rans && by_end[e]->end_s <= next_s; e++)
			if (by_end[e]->lost)
				v[n++] = by_end[e];
			else
				drop_running(now, by_end[e]);
		for (; come < n_jobs && jobs[come].submit_s <= next_s; come++)
			add_waiting(now, come);
		size_t from = s;
		while (s < n_rans && by_start[s]->start_s <= next_s)
			s++;
		judge_victims(now, v, n, by_start + from, s - from, seen);
		for (unsigned i = 0; i < n; i++) {
			drop_running(now, v[i]);
			add_waiting(now, v[i]->job);
		}
		for (; from < s; from++) {
			now->running[now->n_running++] = by_start[from];
			if (!drop_waiting(now, by_start[from]->job))
				note(seen, "one starts that does not wait");
			if (!book(&now->books, by_start[from], -1))
				note(seen, "something is given out twice");
		}
	}
	if (now->n_running || now->n_waiting)
		note(seen, "somebody is left");
	free(now);
	free(v);
}

/* ---- streams ------------------------------------------------------------------------------------------------------- */

static struct zn_fleet_gang draw_gang(void)
{
	struct zn_fleet_gang g = { .n = 1, .task = { .gpus = 1 + draw(draw(4) ? 3 : EACH), .gpu_milli = 1000, .cpu_milli = 1000 * draw(10) } };

	if (draw(6) == 0)
		g.task = (struct zn_fleet_task){ .gpus = 1, .gpu_milli = 100 + draw(900), .cpu_milli = 1000 };
	else if (draw(8) == 0)
		g = (struct zn_fleet_gang){ .n = 2 + draw(20), .task = { .gpus = 1, .gpu_milli = 1000, .cpu_milli = 500 } };
	else if (draw(12) == 0)
		g = (struct zn_fleet_gang){ .n = 2 + draw(4), .per_node = 1, .task = { .gpus = 1 + draw(EACH), .gpu_milli = 1000 } };
	return g;
}

static void set_size(struct zn_sim_job *j, unsigned i)
{
	if (flat) {
		j->gpus = draw(5) ? 1 + draw(6) : 1 + draw(draw(4) ? 30 : GPUS);
		j->size = (float)j->gpus;
		return;
	}
	gangs[i] = draw_gang();
	int64_t number = zn_hall_gang(&hall, &gangs[i]);
	if (number < 0 || zn_hall_could(&hall, &gangs[i]) < 0)
		abort();
	j->gang = (uint32_t)number;
	j->gpus = (double)gangs[i].n * gangs[i].task.gpus * gangs[i].task.gpu_milli / 1000;
	j->size = (float)zn_hall_size(&hall, &gangs[i]);
}

/* Of all kinds, some more than there is room for; tick: the unit of the times. */
static void draw_mixed(unsigned n, double tick_s)
{
	double at = 0;

	for (unsigned i = 0; i < n; i++) {
		struct zn_sim_job *j = &jobs[n_jobs++];
		at += draw(5) ? draw(flat ? 14 : 5) : draw(200) == 0 ? 1000 : 0;
		*j = (struct zn_sim_job){ .submit_s = at * tick_s };
		j->duration_s = tick_s * (1 + (draw(12) ? draw(60) : draw(450)));
		j->priority = draw(4);
		j->preemptible = draw(3);
		set_size(j, i);
		j->estimate_s = j->duration_s * (1 + draw(2));
	}
}

/* Urgent ones of a minute without an end, sometimes more than there is room for; below them some that take up to two days. */
static void draw_urgent(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct zn_sim_job *j = &jobs[n_jobs++];
		bool meek = i % 400 < 3;
		*j = (struct zn_sim_job){ .submit_s = 15. * i + (i % 1000 < 700 ? 0 : draw(15)) };
		j->duration_s = meek ? 600. * (1 + draw(200)) : 60;
		j->priority = meek ? draw(2) : 2 + draw(3);
		j->preemptible = meek || draw(2);
		set_size(j, i);
		j->estimate_s = j->duration_s;
	}
}

static void open_hall(void)
{
	static const char *const racks[] = { "a/x", "a/y", "b/x" };
	const char *paths[NODES];

	if (zn_hall_init(&hall, ZN_FLEET_FRAGMENT, reservations) < 0)
		abort();
	for (unsigned i = 0; i < NODES; i++) {
		paths[i] = racks[i / 4];
		if (zn_hall_add(&hall, EACH, 0, 64000, ZN_FLEET_UNKNOWN) < 0)
			abort();
	}
	if (zn_hall_wire(&hall, paths) < 0 ||
	    zn_hall_open(&hall, (struct zn_pick_policy){ .order = ZN_PICK_SLOWDOWN, .backfill = true, .reservations = reservations }, zn_sim_place_of) < 0)
		abort();
}

static uint64_t sum_of_runs(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n_rans; i++) {
		sum = sum * 31 + (uint64_t)(rans[i].start_s * 1024) * 7 + rans[i].number;
		for (unsigned k = 0; !flat && k < rans[i].place->n; k++)
			sum = sum * 31 + rans[i].place->spots[k].node + rans[i].place->spots[k].gpus;
	}
	return sum;
}

static struct seen run(unsigned seed, unsigned n, double tick_s, bool judged, uint64_t *ret_sum)
{
	struct zn_pool pool;
	struct zn_arena arena = { 0 };
	struct zn_sim_sum sum = { 0 };
	struct zn_err err = { 0 };
	struct seen seen = { 0 };

	srand(seed);
	n_jobs = 0;
	zn_pool_init(&pool, (struct zn_pick_policy){ .order = ZN_PICK_SLOWDOWN, .backfill = true, .reservations = reservations }, GPUS);
	open_hall();
	if (tick_s > 0)
		draw_mixed(n, tick_s);
	else
		draw_urgent(n);
	struct zn_sim_world world = { .pool = flat ? &pool : NULL, .hall = flat ? NULL : &hall };
	if (zn_sim_run(jobs, n_jobs, world, NULL, &arena, &sum, NULL, &err) < 0) {
		fprintf(stderr, "# %s\n", err.text);
		note(&seen, "it failed");
	} else {
		gather_rans();
		*ret_sum = sum_of_runs();
		if (judged)
			judge(&seen);
		if (judged && seen.preempted != sum.preemptions)
			note(&seen, "the sum is wrong");
		free(rans);
		free(by_start);
		free(by_end);
	}
	zn_arena_done(&arena);
	zn_pick_done(&pool.pick);
	zn_hall_done(&hall);
	return seen;
}

static void test(const char *name, unsigned seed, unsigned n, double tick_s)
{
	uint64_t sum = 0, again = 0;
	struct seen s = run(seed, n, tick_s, true, &sum);

	run(seed, n, tick_s, false, &again);
	if (sum != again)
		note(&s, "another time otherwise");
	tap_ok(!s.wrong, "%u jobs %s, %u reservations: %s", n, name, reservations, s.wrong ? s.wrong : "nothing wrong");
	tap_ok(s.preempted > n / 100 && (tick_s == 0 || (s.alone > n / 200 && s.several > n / 500 && s.blocked > n / 20)),
	       "%u were preempted, %u times one and %u times several for one alone; the first in line waited %u times (%.0f h)", s.preempted, s.alone, s.several,
	       s.blocked, s.work_s / 3600);
}

int main(void)
{
	for (unsigned seed = 1; seed <= 3; seed++) {
		reservations = seed == 2 ? 4 : 1;
		flat = true;
		test("in a pool", seed, MOST, 1);
		test("in a pool, at any times", seed, MOST, 0.1 + 1. / 3);
		test("in a pool, urgent ones without an end", seed, MOST, 0);
		flat = false;
		test("on nodes", seed, MOST / 2, 1);
		test("on nodes, urgent ones without an end", seed, MOST / 2, 0);
	}
	return tap_done();
}
