/* Nodes that will be closed, against counts of the test's own: nobody starts where he would not be over in time, the first in
 * line starts wherever he would, no early start delays what he was promised, and everybody starts in the end.
 */
#include <math.h>
#include <stdlib.h>

#include "machine.h"
#include "pick/room.h"
#include "room_help.h"
#include "tap.h"

enum { JOBS = 120, NODES = 3, ROUNDS = 200 };

struct job {
	struct zn_pick_job pick;
	struct zn_pick_ask ask;
	struct zn_places *places;
	double run_s, end_s, promise_s; /* end_s 0: it does not run; promise_s 0: nothing was promised */
	bool started;
};

static struct job jobs[JOBS];
static struct zn_facts *facts[NODES];
static struct zn_room room;
static double closes_s[NODES], opens_s[NODES];

static const struct zn_places *places_of(const struct zn_pick_job *pick) { return ((const struct job *)pick)->places; }
static const struct zn_wish *wish_of(const struct zn_pick_job *pick) { (void)pick; return NULL; }

static void make_jobs(unsigned seed)
{
	double at = 0;

	srand(seed);
	for (unsigned i = 0; i < JOBS; i++) {
		at += rand() % 3 ? rand() % 50 : 0;
		free(jobs[i].places);
		jobs[i] = (struct job){ .run_s = 1 + rand() % 400, .ask = { .gpus = 1 + (uint32_t)rand() % 4, .tasks = 1 } };
		jobs[i].pick = (struct zn_pick_job){ .seq = i + 1, .submit_s = at, .estimate_s = jobs[i].run_s,
		                                     .limit_s = rand() % 8 ? jobs[i].run_s : HUGE_VAL, .size = (float)jobs[i].ask.gpus };
	}
}

static void open_room(void)
{
	room = (struct zn_room){ .places_of = places_of, .wish_of = wish_of };
	if (zn_room_open(&room, NODES, 1) < 0)
		abort();
	for (uint32_t i = 0; i < NODES; i++) {
		zn_room_set_facts(&room, i, facts[i]);
		closes_s[i] = rand() % 4 ? 200 + rand() % 1500 : 0;
		opens_s[i] = closes_s[i] + 1 + rand() % 1000;
		if (i && rand() % 2) { /* with another one */
			closes_s[i] = closes_s[i - 1];
			opens_s[i] = opens_s[i - 1];
		}
		room.nodes[i].closes_s = closes_s[i];
		room.nodes[i].opens_s = opens_s[i];
	}
}

static bool is_in_time(uint32_t node, double from_s, double limit_s)
{
	return !closes_s[node] || from_s >= opens_s[node] || from_s + limit_s <= closes_s[node];
}

/* By counting: GPUs are alike here, and nothing else is asked. */
static bool has_room(const struct job *j, double now_s)
{
	for (uint32_t i = 0; i < NODES; i++) {
		uint32_t used = 0;
		for (const struct job *other = jobs; other < jobs + JOBS; other++)
			used += other->end_s && other->places->v[0].node == i ? other->ask.gpus : 0;
		if (used + j->ask.gpus <= facts[i]->n_gpus && is_in_time(i, now_s, j->pick.limit_s))
			return true;
	}
	return false;
}

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->end_s && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

static double next_opening(double now_s)
{
	double next_s = HUGE_VAL;

	for (uint32_t i = 0; i < NODES; i++)
		next_s = closes_s[i] && opens_s[i] > now_s && opens_s[i] < next_s ? opens_s[i] : next_s;
	return next_s;
}

struct seen { const char *wrong; unsigned kept_out, promises; };

static void look(struct zn_pick *p, double now_s, struct seen *seen)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	zn_pick_begin(&pass, p, now_s);
	while ((pick = zn_pick_next(&pass))) {
		struct job *j = (struct job *)pick;
		keep(&j->places, &room);
		j->end_s = now_s + j->run_s;
		j->started = true;
		if (!is_in_time(j->places->v[0].node, now_s, pick->limit_s))
			seen->wrong = "one starts that is not over when its node is closed";
		if (j->promise_s && now_s > j->promise_s)
			seen->wrong = "one starts later than it was promised";
	}
	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		if (j->started || !j->pick.shape)
			continue;
		if (has_room(j, now_s))
			seen->wrong = "the first in line has room and does not start";
		for (uint32_t i = 0; i < NODES; i++)
			seen->kept_out += !is_in_time(i, now_s, j->pick.limit_s);
		if (pass.first == &j->pick && pass.gap.at_s[pass.gap.closings] < HUGE_VAL) {
			double at_s = pass.gap.at_s[pass.gap.closings];
			j->promise_s = !j->promise_s || at_s < j->promise_s ? at_s : j->promise_s;
			seen->promises++;
		}
		return; /* the first in the order of arrival */
	}
}

static struct seen run(unsigned seed)
{
	struct seen seen = { 0 };
	struct zn_pick p;
	unsigned come = 0;
	double now_s = 0;

	make_jobs(seed);
	open_room();
	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	for (;;) {
		struct job *end = next_end();
		double next_s = fmin(end ? end->end_s : HUGE_VAL, fmin(come < JOBS ? jobs[come].pick.submit_s : HUGE_VAL, next_opening(now_s)));
		if (next_s == HUGE_VAL)
			break;
		now_s = next_s;
		for (; (end = next_end()) && end->end_s <= now_s; end->end_s = 0) {
			zn_room_give(&room, end->places, NULL);
			zn_pick_gone(&p, &end->pick, now_s);
		}
		for (; come < JOBS && jobs[come].pick.submit_s <= now_s; come++)
			zn_pick_wait(&p, &jobs[come].pick, &jobs[come].ask);
		look(&p, now_s, &seen);
	}
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (!j->started)
			seen.wrong = "somebody never starts";
	zn_pick_done(&p);
	zn_room_close(&room);
	return seen;
}

int main(void)
{
	const char *wrong = NULL;
	unsigned kept_out = 0, promises = 0;

	for (uint32_t i = 0; i < NODES; i++)
		facts[i] = machine_new(i ? "numa:1 core:64 gpu:4 mem:64" : "numa:2 core:64 gpu:4 mem:64");
	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS); seed++) {
		struct seen s = run(seed);
		wrong = wrong ? wrong : s.wrong;
		kept_out += s.kept_out;
		promises += s.promises;
	}
	tap_ok(!wrong && kept_out > 1000 && promises > 1000, "%u times the first in line was kept from a node that is to be closed; %u reservations%s%s",
	       kept_out, promises, wrong ? ": " : "", wrong ? wrong : "");
	for (struct job *j = jobs; j < jobs + JOBS; j++)
		free(j->places);
	for (uint32_t i = 0; i < NODES; i++)
		machine_free(facts[i]);
	return tap_done();
}
