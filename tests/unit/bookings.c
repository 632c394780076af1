/* What is booked, against counts of the test's own: of what is begun after a booking was made nobody else's runs there in its
 * time, those whose it is run there, and then, alone.  The first in line starts wherever he may, else has the soonest time; if
 * nobody has one, nobody has room.  Nobody starts later than he was promised while nothing more is booked and nobody has a
 * booking, and all who ask for none start in the end.  One node is drained for a while, whoever has it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pick/room.h"
#include "room_help.h"
#include "tap.h"

enum { JOBS = 120, NODES = 3, ROUNDS = 300, BOOKED = 7, GPUS = 4 };

struct job {
	struct zn_pick_job pick;
	struct zn_pick_ask ask;
	struct zn_places *places;
	double run_s, end_s, promise_s; /* end_s 0: it does not run; promise_s 0: nothing was promised */
	bool come, started;
};

struct booked { struct zn_room_booked is; double made_s; };

static struct job jobs[JOBS];
static struct zn_facts *facts[NODES];
static struct zn_room room;
static struct booked booked[BOOKED]; /* the first is the drain */
static unsigned n_booked;

static const struct zn_places *places_of(const struct zn_pick_job *pick) { return ((const struct job *)pick)->places; }
static const struct zn_wish *wish_of(const struct zn_pick_job *pick) { (void)pick; return NULL; }

static const char *const names[BOOKED] = { "(drain)", "course", "demo", "paper", "tests", "visit", "race" };
enum { ASKED = 3 }; /* of these, behind the first, jobs ask for */

static void make_jobs(bool all_others, bool all_one)
{
	double at = 0;

	for (unsigned i = 0; i < JOBS; i++) {
		at += rand() % 3 ? rand() % 50 : 0;
		free(jobs[i].places);
		jobs[i] = (struct job){ .run_s = 1 + rand() % 400, .ask = { .gpus = 1 + (uint32_t)rand() % GPUS, .tasks = 1 } };
		jobs[i].ask.booking = all_one ? names[1] : rand() % 3 || all_others ? NULL : names[1 + rand() % ASKED];
		jobs[i].pick = (struct zn_pick_job){ .seq = i + 1, .submit_s = at, .estimate_s = jobs[i].run_s,
		                                     .limit_s = rand() % 8 || jobs[i].ask.booking ? jobs[i].run_s : HUGE_VAL,
		                                     .size = (float)jobs[i].ask.gpus };
	}
}

/* Whether both have something in common. */
static bool collide(const struct zn_room_booked *a, const struct zn_room_booked *b)
{
	struct zn_idset both = zn_idset_and(&a->gpus, &b->gpus);

	return a->node == b->node && a->from_s < b->until_s && b->from_s < a->until_s && (a->is_whole || b->is_whole || !zn_idset_is_empty(&both));
}

static void make_booked(bool late)
{
	n_booked = 0;
	for (unsigned i = 0; i < BOOKED; i++) {
		struct booked *b = &booked[n_booked];
		*b = (struct booked){ .is = { .name = names[i], .from_s = 1 + rand() % 1500, .node = (uint32_t)rand() % NODES, .is_whole = !i || rand() % 2 } };
		b->is.until_s = b->is.from_s + 1 + rand() % 800;
		b->made_s = i && late && rand() % 2 ? rand() % 1000 : 0;
		if (n_booked > 1 && rand() % 3 == 0) { /* together with another one */
			b->is.from_s = b[-1].is.from_s;
			b->is.until_s = b[-1].is.until_s;
		}
		for (unsigned gpu = 0; !b->is.is_whole && gpu < GPUS; gpu++)
			if (rand() % 2)
				zn_idset_add(&b->is.gpus, gpu);
		bool is_good = true;
		for (unsigned k = 1; k < n_booked; k++)
			is_good &= !collide(&b->is, &booked[k].is);
		n_booked += is_good;
	}
}

/* Those that were made by now. */
static void book(double now_s)
{
	struct zn_room_booked now[BOOKED];
	size_t n = 0;

	for (unsigned i = 1; i < n_booked; i++)
		if (booked[i].made_s <= now_s)
			now[n++] = booked[i].is;
	if (zn_room_book(&room, now, n) < 0)
		abort();
}

static const struct booked *booking_of(const struct job *j, double now_s)
{
	for (const struct booked *b = booked; b < booked + n_booked; b++)
		if (j->ask.booking && b->made_s <= now_s && !strcmp(b->is.name, j->ask.booking))
			return b;
	return NULL;
}

/* The GPUs of a node that it may have from then on, as is known now. */
static struct zn_idset may_have(const struct job *j, uint32_t node, double now_s, double from_s)
{
	const struct booked *mine = booking_of(j, now_s);
	double over_s = from_s + j->pick.limit_s;
	struct zn_idset may = { 0 };

	if (j->ask.booking && (!mine || mine->is.node != node || from_s < mine->is.from_s || over_s > mine->is.until_s))
		return may;
	for (unsigned gpu = 0; gpu < GPUS; gpu++)
		if (!mine || mine->is.is_whole || zn_idset_has(&mine->is.gpus, gpu))
			zn_idset_add(&may, gpu);
	for (const struct booked *b = booked; b < booked + n_booked; b++) {
		bool drains = b == booked && b->is.from_s <= now_s && now_s < b->is.until_s; /* nobody counts on it */
		if (b == mine || b->made_s > now_s || b->is.node != node || (!drains && (over_s <= b->is.from_s || from_s >= b->is.until_s)))
			continue;
		for (unsigned gpu = 0; gpu < GPUS; gpu++)
			if (b->is.is_whole || zn_idset_has(&b->is.gpus, gpu))
				zn_idset_remove(&may, gpu);
	}
	return may;
}

/* By counting: GPUs are alike here, and nothing else is asked. */
static bool has_room(const struct job *j, double now_s, double from_s)
{
	for (uint32_t i = 0; i < NODES; i++) {
		struct zn_idset left = may_have(j, i, now_s, from_s);
		for (const struct job *other = jobs; other < jobs + JOBS; other++)
			if (other->end_s && other->places->v[0].node == i && (from_s == now_s || other->pick.start_s + other->pick.limit_s > from_s))
				left = zn_idset_minus(&left, &other->places->v[0].plan.gpus);
		if (zn_idset_count(&left) >= j->ask.gpus)
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

/* Something is booked from then on, or no more, or is about to be. */
static double next_booked(double now_s)
{
	double next_s = HUGE_VAL;

	for (const struct booked *b = booked; b < booked + n_booked; b++) {
		const double times[] = { b->is.from_s, b->is.until_s, b->made_s };
		for (int i = 0; i < 3; i++)
			next_s = times[i] > now_s ? fmin(next_s, times[i]) : next_s;
	}
	return next_s;
}

/* By the limits; HUGE_VAL: it is not known, or never. */
static double soonest(const struct job *j, double now_s)
{
	double at_s = now_s;

	while (at_s < HUGE_VAL && !has_room(j, now_s, at_s)) {
		double next_s = next_booked(at_s);
		for (const struct job *other = jobs; other < jobs + JOBS; other++)
			if (other->end_s && other->pick.start_s + other->pick.limit_s > at_s)
				next_s = fmin(next_s, other->pick.start_s + other->pick.limit_s);
		at_s = next_s;
	}
	return at_s;
}

static double next_time(double now_s)
{
	double next_s = next_booked(now_s);

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		next_s = j->pick.submit_s > now_s ? fmin(next_s, j->pick.submit_s) : next_s;
	return next_s;
}

struct seen { const char *wrong; unsigned inside, kept_out, promises; };

/* Who has a booking is in line while he would be over when it ends, as zn-schedd has it. */
static void come(struct zn_pick *p, double now_s)
{
	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		const struct booked *b = booking_of(j, now_s);
		bool may = !j->ask.booking || (b && b->is.from_s <= now_s && now_s + j->pick.limit_s <= b->is.until_s);
		if (j->started || j->pick.submit_s > now_s || may == j->come)
			continue;
		j->come = may;
		if (may)
			zn_pick_wait(p, &j->pick, &j->ask);
		else
			zn_pick_gone(p, &j->pick, now_s);
	}
}

/* Who waits, after a pass: the first in the order of arrival, and all if nobody keeps them back. */
static void look_at_line(const struct zn_pick_pass *pass, double now_s, struct seen *seen)
{
	const struct job *first = (const struct job *)pass->first;
	bool is_first = true;

	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (j->started || !j->pick.shape)
			continue;
		if ((is_first || !first) && has_room(j, now_s, now_s))
			seen->wrong = "one has room and does not start";
		seen->kept_out += is_first && room.n_booked > 0;
		is_first = false;
	}
	if (first && first->pick.shape && pass->gap.at_s[pass->gap.closings] != soonest(first, now_s))
		seen->wrong = "the reservation has another time than the soonest";
}

static void look(struct zn_pick *p, double now_s, bool all_others, struct seen *seen)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	zn_pick_begin(&pass, p, now_s);
	while ((pick = zn_pick_next(&pass))) {
		struct job *j = (struct job *)pick;
		keep(&j->places, &room);
		j->end_s = now_s + j->run_s;
		j->started = true;
		struct zn_idset may = may_have(j, j->places->v[0].node, now_s, now_s);
		if (!zn_idset_is_within(&j->places->v[0].plan.gpus, &may))
			seen->wrong = j->ask.booking ? "one starts beside its booking" : "one starts where it is booked for others";
		if (j->promise_s && now_s > j->promise_s)
			seen->wrong = "one starts later than it was promised";
		seen->inside += j->ask.booking != NULL;
	}
	look_at_line(&pass, now_s, seen);
	if (all_others && pass.first && pass.gap.at_s[pass.gap.closings] < HUGE_VAL) {
		struct job *j = (struct job *)pass.first;
		double at_s = pass.gap.at_s[pass.gap.closings];
		j->promise_s = !j->promise_s || at_s < j->promise_s ? at_s : j->promise_s;
		seen->promises++;
	}
}

static struct seen run(unsigned seed)
{
	bool late = seed % 2, all_others = seed % 4 == 0;
	struct seen seen = { 0 };
	struct zn_pick p;
	double now_s = 0;

	srand(seed);
	make_jobs(all_others, seed % 8 == 2);
	make_booked(late);
	room = (struct zn_room){ .running = &p.running, .places_of = places_of, .wish_of = wish_of };
	if (zn_room_open(&room, NODES, 1) < 0)
		abort();
	for (uint32_t i = 0; i < NODES; i++)
		zn_room_set_facts(&room, i, facts[i]);
	room.nodes[booked[0].is.node].closes_s = booked[0].is.from_s;
	room.nodes[booked[0].is.node].opens_s = booked[0].is.until_s;
	zn_pick_init(&p, (struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	for (struct job *end; now_s < HUGE_VAL; now_s = fmin(next_time(now_s), end ? end->end_s : HUGE_VAL)) {
		for (; (end = next_end()) && end->end_s <= now_s; end->end_s = 0) {
			zn_room_give(&room, end->places, NULL);
			zn_pick_gone(&p, &end->pick, now_s);
		}
		book(now_s);
		come(&p, now_s);
		look(&p, now_s, all_others, &seen);
		end = next_end();
	}
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (!j->started && !j->ask.booking)
			seen.wrong = "somebody never starts";
	zn_pick_done(&p);
	zn_room_close(&room);
	return seen;
}

int main(void)
{
	const char *wrong = NULL;
	unsigned inside = 0, kept_out = 0, promises = 0;

	for (uint32_t i = 0; i < NODES; i++)
		facts[i] = machine_new(i ? "numa:1 core:64 gpu:4 mem:64" : "numa:2 core:32 gpu:2 mem:32");
	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS); seed++) {
		struct seen s = run(seed);
		wrong = wrong ? wrong : s.wrong;
		inside += s.inside;
		kept_out += s.kept_out;
		promises += s.promises;
	}
	tap_ok(!wrong && inside > 1000 && kept_out > 1000 && promises > 1000,
	       "%u jobs ran in what was booked for them; %u times others waited beside bookings; %u reservations%s%s", inside, kept_out, promises,
	       wrong ? ": " : "", wrong ? wrong : "");
	for (struct job *j = jobs; j < jobs + JOBS; j++)
		free(j->places);
	for (uint32_t i = 0; i < NODES; i++)
		machine_free(facts[i]);
	return tap_done();
}
