#include "sim/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pick/preempt.h"

enum { PROGRESS_EACH = 4096 };
static const double short_job_s = 10; /* below it a slowdown says nothing (Feitelson and Rudolph, JSSPP 1998) */

/* ---- who waits or runs --------------------------------------------------------------------------------- */

/* What picking knows of a job: of those alone that wait or run, which are few, so that it fits into a cache. */
struct zn_sim_turn {
	struct zn_pick_job pick;
	struct zn_sim_job *job;
	struct zn_sim_turn *next;     /* that is over, too */
};

struct turns { struct zn_arena arena; struct zn_sim_turn *over; };

static struct zn_sim_turn *turn_of(const struct zn_pick_job *pick)
{
	return (struct zn_sim_turn *)((char *)pick - offsetof(struct zn_sim_turn, pick));
}

/* NULL: out of memory. */
static struct zn_sim_turn *turn_begin(struct turns *all, struct zn_sim_job *job, uint64_t seq)
{
	struct zn_sim_turn *t = all->over ? all->over : zn_arena_room(&all->arena, sizeof(*t));

	if (!t)
		return NULL;
	if (all->over)
		all->over = t->next;
	*t = (struct zn_sim_turn){ .job = job, .pick = { .seq = seq, .submit_s = job->submit_s, .estimate_s = job->estimate_s,
	                                                 .limit_s = job->estimate_s, .size = job->size } };
	return job->turn = t;
}

static void turn_end(struct turns *all, struct zn_sim_job *job)
{
	job->turn->next = all->over;
	all->over = job->turn;
	job->turn = NULL;
}

/* ---- what ends next ------------------------------------------------------------------------------------ */

struct ends { struct zn_sim_job **heap; size_t n; };

static bool ends_before(const struct zn_sim_job *a, const struct zn_sim_job *b)
{
	return a->end_s != b->end_s ? a->end_s < b->end_s : a < b;
}

static void ends_push(struct ends *e, struct zn_sim_job *job)
{
	size_t at = e->n++;

	for (; at && ends_before(job, e->heap[(at - 1) / 2]); at = (at - 1) / 2)
		e->heap[at] = e->heap[(at - 1) / 2];
	e->heap[at] = job;
}

static struct zn_sim_job *ends_pop(struct ends *e)
{
	struct zn_sim_job *first = e->heap[0], *last = e->heap[--e->n];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < e->n; at = child) {
		child += child + 1 < e->n && ends_before(e->heap[child + 1], e->heap[child]);
		if (!ends_before(e->heap[child], last))
			break;
		e->heap[at] = e->heap[child];
	}
	e->heap[at] = last;
	return first;
}

/* Without those who run no more. */
static void ends_clean(struct ends *e)
{
	size_t n = e->n;

	e->n = 0;
	for (size_t i = 0; i < n; i++)
		if (e->heap[i]->turn->pick.runs)
			ends_push(e, e->heap[i]);
}

/* ---- where they run ------------------------------------------------------------------------------------ */

const struct zn_hall_place *zn_sim_place_of(const struct zn_pick_job *pick)
{
	return &turn_of(pick)->job->place;
}

static struct zn_pick *pick_of(const struct zn_sim_world *w)
{
	return w->hall ? &w->hall->pick : &w->pool->pick;
}

static double gpus_of(const struct zn_sim_world *w)
{
	return w->hall ? (double)w->hall->now.gpu_milli / ZN_GPU_MILLI : w->pool->gpus;
}

static int wait(const struct zn_sim_world *w, struct zn_sim_job *job)
{
	if (w->hall)
		return zn_hall_wait(w->hall, &job->turn->pick, job->gang, job->priority, job->payer, job->preemptible);
	return zn_pool_wait(w->pool, &job->turn->pick, job->priority, job->payer, job->preemptible);
}

static void end(const struct zn_sim_world *w, struct zn_sim_job *job, double now_s)
{
	if (w->hall)
		zn_hall_end(w->hall, &job->turn->pick, now_s);
	else
		zn_pool_end(w->pool, &job->turn->pick, now_s);
}

static int keep_place(const struct zn_sim_world *w, struct zn_arena *arena, struct zn_sim_job *job)
{
	const struct zn_hall *h = w->hall;

	if (!h)
		return 0;
	job->place = (struct zn_hall_place){ .spots = zn_arena_array(arena, h->n_spots, sizeof(*h->spots)), .n = h->n_spots };
	if (!job->place.spots)
		return -ENOMEM;
	memcpy(job->place.spots, h->spots, h->n_spots * sizeof(*h->spots));
	return 0;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

struct run {
	struct zn_sim_job *jobs;
	size_t n, submitted, done;
	struct zn_sim_world world;
	struct zn_pick *pick;
	struct zn_arena *arena;
	struct turns turns;
	struct ends ends;
	double now_s;
	struct zn_victim *victims;    /* room for all that are preemptible; NULL: none is */
	size_t n_chosen;              /* of them, that are to go */
	double safe_until_s;          /* when one who is safe may be preempted for the first in line; 0: none is */
};

static double sooner(const struct run *r, double a_s, double b_s)
{
	return b_s > r->now_s && b_s < a_s ? b_s : a_s;
}

/* When the next job comes or ends, somebody who used up his hours has some again, or somebody is safe no more. */
static double next_time(const struct run *r)
{
	double at = r->submitted < r->n ? r->jobs[r->submitted].submit_s : HUGE_VAL;
	double again_s = r->pick->payers ? zn_payers_again_s(r->pick->payers) : 0;

	if (r->ends.n && r->ends.heap[0]->end_s < at)
		at = r->ends.heap[0]->end_s;
	return sooner(r, sooner(r, at, again_s), r->safe_until_s);
}

/* Somebody waits for nothing but hours of a quota. */
static bool waits(const struct run *r)
{
	return r->pick->line.all.root && r->pick->payers && zn_payers_again_s(r->pick->payers) > r->now_s;
}

static void count_start(struct run *r, struct zn_sim_job *job)
{
	if (!r->pick->payers)
		return;
	job->use.over = job->turn->pick.is_over;
	zn_payer_add(r->pick->payers, job->payer, &job->use);
	zn_payer_began(r->pick->payers, job->payer, &job->use, r->now_s);
}

static void count_end(struct run *r, const struct zn_sim_job *job)
{
	if (!r->pick->payers)
		return;
	zn_payer_take(r->pick->payers, job->payer, &job->use);
	zn_payer_ended(r->pick->payers, job->payer, &job->use, job->start_s, r->now_s);
}

static int enter(struct run *r, struct zn_sim_job *job)
{
	return turn_begin(&r->turns, job, (uint64_t)(job - r->jobs)) ? wait(&r->world, job) : -ENOMEM;
}

/* Unless as many of its array wait or run as may. */
static int submit(struct run *r, struct zn_sim_job *job)
{
	return !job->array || zn_gate_enter(job->array, &job->gated) ? enter(r, job) : 0;
}

/* One of it has ended: the first that was held back comes. */
static int let_next(struct run *r, struct zn_gate *array)
{
	struct zn_gated *next = zn_gate_leave(array);

	return next ? enter(r, (struct zn_sim_job *)((char *)next - offsetof(struct zn_sim_job, gated))) : 0;
}

static int take_events(struct run *r)
{
	int rc = 0;

	while (rc == 0 && r->ends.n && r->ends.heap[0]->end_s <= r->now_s) {
		struct zn_sim_job *job = ends_pop(&r->ends);
		count_end(r, job);
		end(&r->world, job, r->now_s);
		turn_end(&r->turns, job);
		r->done++;
		rc = job->array ? let_next(r, job->array) : 0;
	}
	while (rc == 0 && r->submitted < r->n && r->jobs[r->submitted].submit_s <= r->now_s)
		rc = submit(r, &r->jobs[r->submitted++]);
	return rc;
}

static int decide(struct run *r, struct zn_sim_times *times)
{
	uint64_t from = zn_sim_clock_ns();
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	int rc = 0;

	if (r->pick->payers) {
		r->pick->payers->now_s = r->now_s;
		zn_leaves_weigh(&r->pick->payers->leaves, r->now_s);
	}
	r->safe_until_s = 0;
	zn_pick_begin(&pass, r->pick, r->now_s);
	while (rc == 0 && (pick = zn_pick_next(&pass))) {
		struct zn_sim_job *job = turn_of(pick)->job;
		rc = keep_place(&r->world, r->arena, job);
		job->start_s = r->now_s;
		job->end_s = r->now_s + job->duration_s;
		ends_push(&r->ends, job);
		count_start(r, job);
	}
	zn_sim_times_note(times, zn_sim_clock_ns() - from);
	return rc < 0 ? rc : r->world.hall ? r->world.hall->rc : 0;
}

/* ---- preemption ---------------------------------------------------------------------------------------- */

static struct zn_victim victim_of(struct zn_sim_job *job)
{
	return (struct zn_victim){ .job = &job->turn->pick, .priority = zn_victim_priority(&job->turn->pick, job->priority), .times = job->preempted, .gpus = (uint32_t)ceil(job->gpus),
	                           .gpu_milli = job->gpus < 1 ? (uint32_t)lround(job->gpus * ZN_GPU_MILLI) : 0 };
}

/* For zn_pick.preempt. */
static bool preempt(void *arg, const struct zn_pick_job *head, double now_s)
{
	struct run *r = arg;
	size_t n = 0;

	for (size_t i = 0; i < r->ends.n; i++) {
		struct zn_sim_job *job = r->ends.heap[i];
		if (!job->preemptible || job->start_s == now_s) /* nobody goes before he began; the next look is at the next event */
			continue;
		r->victims[n] = victim_of(job);
		n += zn_victim_weigh(&r->victims[n], head->shape->ask.priority, now_s, &r->safe_until_s);
	}
	r->n_chosen = r->world.hall ? zn_hall_preempt(r->world.hall, head, r->victims, n) : zn_pool_preempt(r->world.pool, head, r->victims, n);
	return r->n_chosen;
}

static int allow_preempting(struct run *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->jobs[i].preemptible;
	if (!n)
		return 0;
	r->victims = calloc(n, sizeof(*r->victims));
	r->pick->preempt = preempt;
	r->pick->preempt_arg = r;
	r->pick->preempt_at_once = true;
	return r->victims ? 0 : -ENOMEM;
}

/* What it did is lost. */
static int stop(struct run *r, struct zn_sim_job *job)
{
	struct zn_sim_lost *lost = zn_arena_new(r->arena, struct zn_sim_lost);

	if (!lost)
		return -ENOMEM;
	*lost = (struct zn_sim_lost){ .start_s = job->start_s, .end_s = r->now_s, .place = job->place, .before = job->lost };
	job->lost = lost;
	job->preempted++;
	count_end(r, job);
	end(&r->world, job, r->now_s);
	return 0;
}

/* Those who were chosen wait again.  Returns how many they are. */
static int send_back(struct run *r)
{
	size_t n = r->n_chosen;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = stop(r, turn_of(r->victims[i].job)->job);
	if (n)
		ends_clean(&r->ends);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = wait(&r->world, turn_of(r->victims[i].job)->job);
	r->n_chosen = 0;
	return rc < 0 ? rc : (int)n;
}

static int look(struct run *r, struct zn_sim_times *times)
{
	int rc;

	do {
		rc = decide(r, times);
		rc = rc < 0 ? rc : send_back(r);
	} while (rc > 0);
	return rc;
}

/* ---- what comes of it ---------------------------------------------------------------------------------- */

static void add_up_lost(const struct zn_sim_job *job, struct zn_sim_sum *sum)
{
	sum->preemptions += job->preempted;
	for (const struct zn_sim_lost *l = job->lost; l; l = l->before)
		sum->lost_gpu_s += (l->end_s - l->start_s) * job->gpus;
}

static void add_up(const struct run *r, struct zn_sim_sum *sum)
{
	double wait_s = 0, run_s = 0, bsld = 0, gpu_s = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct zn_sim_job *job = &r->jobs[i];
		double waited = job->start_s - job->submit_s, d = job->duration_s;
		double slowdown = (waited + d) / (d > short_job_s ? d : short_job_s);
		wait_s += waited;
		run_s += d;
		bsld += slowdown > 1 ? slowdown : 1;
		gpu_s += d * job->gpus;
		add_up_lost(job, sum);
	}
	sum->wait_s += wait_s;
	sum->jct_s += wait_s + run_s;
	sum->bsld += bsld;
	sum->gpu_s += gpu_s;
	sum->capacity_gpu_s += gpus_of(&r->world) * (r->now_s - r->jobs[0].submit_s);
	if (!sum->jobs || r->jobs[0].submit_s < sum->first_s)
		sum->first_s = r->jobs[0].submit_s;
	if (!sum->jobs || r->now_s > sum->last_s)
		sum->last_s = r->now_s;
	sum->jobs += r->n;
}

int zn_sim_run(struct zn_sim_job *jobs, size_t n, struct zn_sim_world world, struct zn_payers *payers, struct zn_arena *arena,
               struct zn_sim_sum *sum, void (*progress)(size_t done), struct zn_err *err)
{
	struct run r = { .jobs = jobs, .n = n, .world = world, .pick = pick_of(&world), .arena = arena,
	                 .ends.heap = calloc(n + 1, sizeof(struct zn_sim_job *)) };
	size_t told = 0;
	int rc = r.ends.heap ? allow_preempting(&r) : -ENOMEM;

	r.pick->payers = payers && payers->n ? payers : NULL;
	while (rc == 0 && (r.submitted < n || r.ends.n || waits(&r))) {
		r.now_s = next_time(&r);
		rc = take_events(&r);
		if (rc == 0)
			rc = look(&r, &sum->decisions);
		if (progress && r.done - told >= PROGRESS_EACH)
			progress(told = r.done);
	}
	if (rc == 0 && n && r.done == n)
		add_up(&r, sum);
	free(r.ends.heap);
	free(r.victims);
	zn_arena_done(&r.turns.arena);
	if (rc == 0 && r.done < n)
		return zn_err_set(err, -EDEADLK, "%zu jobs wait for ever, which should not be: please report the trace", n - r.done);
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
}
