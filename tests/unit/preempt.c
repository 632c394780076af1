/* Who is preempted: against all subsets of those who may be; and that nobody is preempted for ever. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pick/preempt.h"
#include "room_help.h"
#include "tap.h"

enum { RUNNING = 9, ROUNDS = 3000 };

struct job { struct zn_pick_job pick; struct zn_places *places; struct zn_pick_ask ask; double run_s, end_s; uint32_t times; bool meek, goes, ended; };

static struct job *job_of(const struct zn_pick_job *pick)
{
	return (struct job *)pick;
}

static const struct zn_places *places_of(const struct zn_pick_job *pick)
{
	return job_of(pick)->places;
}

static const struct zn_wish *wish_of(const struct zn_pick_job *pick)
{
	(void)pick;
	return NULL;
}

static void forget_places(struct job *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].places);
}

static struct zn_pick_ask draw_ask(const struct zn_facts *f, int gpus)
{
	return (struct zn_pick_ask){ .gpus = (uint32_t)(rand() % (gpus + 1)), .tasks = 1, .cpus = (uint32_t)(rand() % 2 ? 0 : 1 + rand() % ((int)f->n_cpus / 4)),
	                             .mem_bytes = rand() % 2 ? 0 : (uint64_t)(rand() % 20) << 30, .nvlink_required = rand() % 6 == 0 };
}

/* Whether there would be room with those in the set. */
static bool would_fit(const struct zn_room *r, const struct zn_pick_ask *wanted, const struct zn_victim *v, size_t n, unsigned set)
{
	struct zn_free then = r->nodes->free;
	struct zn_ask ask = zn_room_ask(wanted);
	struct zn_plan plan;

	for (size_t i = 0; i < n; i++) {
		const struct zn_plan *p = &places_of(v[i].job)->v[0].plan;
		if (!(set & 1u << i))
			continue;
		then.gpus = zn_idset_or(&then.gpus, &p->gpus);
		if (p->cpus_held)
			then.cpus = zn_idset_or(&then.cpus, &p->cpus);
		then.mem_bytes += p->mem_bytes;
	}
	return zn_plan_make(r->nodes->facts, &then, &ask, &plan, NULL) == 0;
}

/* What a choice must be: it does, nobody of it is needless, no set of lower priorities would do, and one alone is taken if one
 * of these priorities would do.
 */
static const char *judge(const struct zn_room *r, const struct zn_pick_ask *ask, const struct zn_victim *v, size_t n, size_t chosen, bool enough)
{
	unsigned going = 0, set = 0;
	int64_t highest = INT64_MIN;
	bool any = false, lower = false, alone = false;

	for (size_t i = 0; i < n; i++)
		going |= v[i].goes ? 1u << i : 0;
	for (size_t i = 0; i < chosen; i++) {
		set |= 1u << i;
		highest = v[i].priority > highest ? v[i].priority : highest;
		if (v[i].goes)
			return "one goes already";
	}
	if (enough != (going && would_fit(r, ask, v, n, going)))
		return "it is wrong about those who go";
	if (would_fit(r, ask, v, n, going))
		return chosen ? "enough go already" : NULL;
	for (unsigned other = 0; other < 1u << n; other++) {
		int64_t most = INT64_MIN;
		if ((other & going) != going || !would_fit(r, ask, v, n, other))
			continue;
		any = true;
		for (size_t i = 0; i < n; i++)
			if (other & ~going & 1u << i && v[i].priority > most)
				most = v[i].priority;
		lower |= most < highest;
		alone |= most <= highest && __builtin_popcount(other & ~going) == 1;
	}
	if (!chosen)
		return any ? "there was a way" : NULL;
	if (!would_fit(r, ask, v, n, going | set))
		return "it does not do";
	if (lower)
		return "lower priorities would have done";
	if (alone && chosen > 1)
		return "one alone would have done";
	for (size_t i = 0; i < chosen; i++)
		if (would_fit(r, ask, v, n, going | (set & ~(1u << i))))
			return "one of them is needless";
	return NULL;
}

static void choices(void)
{
	struct zn_facts *facts = machine_new("numa:2 core:8 gpu:4 mem:64");
	unsigned wrong = 0, some = 0, many = 0;
	const char *what = NULL;

	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS); seed++) {
		struct job jobs[RUNNING];
		struct zn_victim v[RUNNING];
		struct zn_room room = room_of(facts, places_of, wish_of);
		double safe_s = 0;
		bool enough;
		size_t n = 0;
		srand(seed);
		for (unsigned i = 0; i < RUNNING; i++) {
			struct zn_ask ask;
			jobs[i] = (struct job){ .ask = draw_ask(facts, 3), .pick = { .seq = i, .start_s = rand() % 1000 } };
			ask = zn_room_ask(&jobs[i].ask);
			room.places->n = 1;
			room.places->v[0].node = 0;
			if (zn_plan_make(facts, &room.nodes->free, &ask, &room.places->v[0].plan, NULL) < 0)
				continue;
			keep(&jobs[i].places, &room);
			zn_room_take(&room, jobs[i].places, NULL);
			v[n] = (struct zn_victim){ .job = &jobs[i].pick, .priority = -(rand() % 3) - 1, .times = (uint32_t)rand() % 2,
			                           .gpus = jobs[i].ask.gpus, .goes = rand() % 6 == 0 };
			n += v[n].goes || zn_victim_weigh(&v[n], 0, 1000, &safe_s);
		}
		struct zn_pick_ask ask = draw_ask(facts, 8);
		struct zn_pick_shape shape = { .ask = ask };
		size_t chosen = zn_room_preempt(&room, &(struct zn_pick_job){ .shape = &shape }, 1000, v, n, &enough);
		const char *fault = judge(&room, &ask, v, n, chosen, enough);
		what = fault ? fault : what;
		wrong += fault != NULL;
		some += chosen > 0;
		many += chosen > 1;
		zn_room_close(&room);
		forget_places(jobs, RUNNING);
	}
	tap_ok(!wrong && some > 300 && many > 100, "of %d draws %u choices, %u of several, are what all subsets allow%s%s", (int)tap_rounds(ROUNDS), some, many,
	       what ? ": " : "", what ? what : "");
	machine_free(facts);
}

static void safety(void)
{
	struct zn_pick_job pick = { .start_s = 1000 };
	struct { uint32_t times; double now_s; int64_t priority; bool may; } rows[] = {
		{ 0, 1000, 1, true }, { 0, 1000, 0, false }, { 0, 1000, -1, false }, { 1, 1059, 1, false }, { 1, 1060, 1, true }, { 2, 1119, 1, false },
		{ 2, 1120, 1, true }, { 11, 1000 + 61439, 1, false }, { 11, 1000 + 61440, 1, true }, { 4000, 1e12, 1, false }, { 1, 500, 1, false },
	};
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_victim v = { .job = &pick, .times = rows[i].times };
		double safe_s = 0;
		wrong += zn_victim_weigh(&v, rows[i].priority, rows[i].now_s, &safe_s) != rows[i].may;
		wrong += (safe_s > 0) != (!rows[i].may && rows[i].priority > 0);
	}
	tap_ok(!wrong, "one that was preempted n times is safe for 2^(n-1) minutes");
	struct zn_victim both[] = { { .job = &pick, .times = 3 }, { .job = &pick, .times = 1 } };
	double safe_s = 0;
	zn_victim_weigh(&both[0], 1, 1000, &safe_s);
	zn_victim_weigh(&both[1], 1, 1000, &safe_s);
	tap_ok(safe_s == 1060, "the first of them to be safe no more is known");
	for (int i = 0; i < 1000; i++) { /* in many of these times plus a minute there is no minute after them, rounded */
		pick.start_s = i * 0.1;
		safe_s = 0;
		zn_victim_weigh(&both[1], 1, pick.start_s, &safe_s);
		wrong += !zn_victim_weigh(&both[1], 1, safe_s, &safe_s);
	}
	tap_ok(!wrong, "when it is safe no more it may be preempted");
	pick.overtaken_s = 49 * 3600.;
	tap_ok(!zn_victim_weigh(&(struct zn_victim){ .job = &pick }, 1, 1e6, &safe_s), "one that was kept back for two days is not preempted");
}

/* ---- a stream that never lets go ------------------------------------------------------------------------------- */

enum { MEEK = 6, URGENT = 4000 };

static struct job meek[MEEK], urgent[URGENT];

static void begin(struct zn_room *room, struct job *j, double now_s)
{
	keep(&j->places, room);
	j->end_s = now_s + j->run_s;
}

static void end(struct zn_room *room, struct zn_pick *pick, struct job *j, double now_s)
{
	zn_room_give(room, j->places, NULL);
	zn_pick_gone(pick, &j->pick, now_s);
	j->end_s = 0;
}

static void pass(struct zn_room *room, struct zn_pick *pick, double now_s)
{
	struct zn_victim v[MEEK + URGENT];
	struct zn_pick_pass p;
	struct zn_pick_job *next;
	double safe_s = 0;
	bool enough;
	size_t n = 0;

	zn_pick_begin(&p, pick, now_s);
	while ((next = zn_pick_next(&p)))
		begin(room, job_of(next), now_s);
	for (int i = 0; p.first && i < MEEK; i++) {
		v[n] = (struct zn_victim){ .job = &meek[i].pick, .priority = meek[i].ask.priority, .times = meek[i].times, .gpus = meek[i].ask.gpus };
		n += meek[i].end_s > 0 && zn_victim_weigh(&v[n], p.first->shape->ask.priority, now_s, &safe_s);
	}
	n = p.first ? zn_room_preempt(room, p.first, now_s, v, n, &enough) : 0;
	for (size_t i = 0; i < n; i++) { /* all that it did is lost */
		struct job *j = job_of(v[i].job);
		end(room, pick, j, now_s);
		j->times++;
		zn_pick_wait(pick, &j->pick, &j->ask);
	}
	if (n)
		pass(room, pick, now_s);
}

/* Urgent jobs of a minute, as many as the machine has room for and more; below them some that take hours and save nothing. */
static void stream(void)
{
	static const struct zn_pick_policy policy = { .order = ZN_PICK_SLOWDOWN, .backfill = true };
	struct zn_facts *facts = machine_new("numa:2 core:8 gpu:4 mem:64");
	struct zn_pick pick;
	struct zn_room room = room_of(facts, places_of, wish_of);
	unsigned ended = 0;
	uint32_t most = 0;

	room.running = &pick.running;
	zn_pick_init(&pick, policy, zn_room_total(&room), &zn_room_ops, &room);
	for (int i = 0; i < MEEK; i++) {
		meek[i] = (struct job){ .run_s = 3600. * (1 + i), .ask = { .gpus = 2, .tasks = 1, .priority = -1 } };
		meek[i].pick = (struct zn_pick_job){ .seq = (uint64_t)i, .estimate_s = meek[i].run_s, .limit_s = meek[i].run_s, .size = 2 };
		zn_pick_wait(&pick, &meek[i].pick, &meek[i].ask);
	}
	unsigned come = 0;
	for (double now_s = 0; now_s < 40 * 86400. && ended < MEEK; now_s += 15) {
		for (int i = 0; i < MEEK; i++)
			if (meek[i].end_s && meek[i].end_s <= now_s) {
				end(&room, &pick, &meek[i], now_s);
				ended++;
				most = meek[i].times > most ? meek[i].times : most;
			}
		for (unsigned i = 0; i < URGENT; i++)
			if (urgent[i].end_s && urgent[i].end_s <= now_s)
				end(&room, &pick, &urgent[i], now_s);
		struct job *j = &urgent[come % URGENT];
		bool rest = (long)now_s % 7200 > 5400; /* half an hour of two there is none */
		if (!rest && !j->end_s && !j->pick.shape) {
			*j = (struct job){ .places = j->places, .run_s = 60, .ask = { .gpus = 2, .tasks = 1 } };
			j->pick = (struct zn_pick_job){ .seq = 1000 + come, .submit_s = now_s, .estimate_s = 60, .limit_s = 60, .size = 2 };
			zn_pick_wait(&pick, &j->pick, &j->ask);
			come++;
		}
		pass(&room, &pick, now_s);
	}
	tap_ok(ended == MEEK && most >= 2 && most <= 10, "under a stream of urgent ones all that must begin anew end, preempted %u times at most", most);
	zn_pick_done(&pick);
	zn_room_close(&room);
	forget_places(meek, MEEK);
	forget_places(urgent, URGENT);
	machine_free(facts);
}

int main(void)
{
	choices();
	safety();
	stream();
	return tap_done();
}
