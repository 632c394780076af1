/* A room against what must hold of it, with its own books: nothing twice, no backfill that delays the first in line,
 * everybody starts, the same again.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pick/room.h"
#include "tap.h"

enum { JOBS = 300, ROUNDS = 40 };

struct job {
	struct zn_pick_job pick;
	struct zn_pick_ask ask;
	struct zn_plan plan;
	unsigned user;
	double run_s, end_s, promise_s;   /* end_s 0: it has not started; promise_s 0: nothing was promised */
	bool ended;
};

static struct job jobs[JOBS];
static struct zn_facts *facts;

static const struct zn_plan *plan_of(const struct zn_pick_job *pick)
{
	return &((const struct job *)pick)->plan;
}

static void make_jobs(unsigned seed, const struct zn_room *room)
{
	double at = 0;

	srand(seed);
	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &jobs[i];
		bool limited = rand() % 6;
		*j = (struct job){ .run_s = 1 + rand() % 500 };
		at += rand() % 3 ? rand() % 60 : 0;
		j->ask = (struct zn_pick_ask){
			.gpus = (uint32_t)(rand() % 5 ? rand() % 5 : rand() % (int)(facts->n_gpus + 1)), .tasks = 1,
			.cpus = (uint32_t)(rand() % 3 ? 0 : 1 + rand() % (int)facts->n_cpus),
			.mem_bytes = rand() % 3 ? 0 : (uint64_t)(rand() % 60) << 30,
		};
		j->pick = (struct zn_pick_job){
			.seq = i, .submit_s = at, .estimate_s = j->run_s * (1 + rand() % 3),
			.size = (float)zn_room_size(room, &j->ask),
		};
		j->pick.limit_s = limited ? j->pick.estimate_s : HUGE_VAL;
	}
}

/* ---- the books ----------------------------------------------------------------------------------------- */

/* Whether what runs now has anything twice, or more than there is. */
static bool is_over(const struct zn_free *idle)
{
	struct zn_idset gpus = { 0 }, cpus = { 0 };
	uint64_t mem = 0;

	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!j->end_s || j->ended)
			continue;
		struct zn_idset both_gpus = zn_idset_and(&gpus, &j->plan.gpus), both_cpus = zn_idset_and(&cpus, &j->plan.cpus);
		if (!zn_idset_is_empty(&both_gpus) || zn_idset_count(&j->plan.gpus) != j->ask.gpus)
			return true;
		gpus = zn_idset_or(&gpus, &j->plan.gpus);
		mem += j->plan.mem_bytes;
		if (!j->plan.cpus_held)
			continue;
		if (!zn_idset_is_empty(&both_cpus) || zn_idset_count(&j->plan.cpus) < j->ask.cpus)
			return true;
		cpus = zn_idset_or(&cpus, &j->plan.cpus);
	}
	return mem > idle->mem_bytes;
}

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->end_s && !j->ended && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

/* ---- quotas: users 1 to 4 may have so much, 0 all -------------------------------------------------------------- */

enum { USERS = 5 };
static const struct { uint64_t running, gpus, cpus, mem_bytes; } may[USERS] = {
	[1] = { .running = 2 }, [2] = { .gpus = 3 }, [3] = { .cpus = 8 }, [4] = { .mem_bytes = UINT64_C(60) << 30, .gpus = 6 },
};

static struct zn_ou64 most(uint64_t n) { return (struct zn_ou64){ .has = n > 0, .v = n }; }

static void make_payers(struct zn_payers *p, struct zn_quota v[USERS])
{
	static const char *const names[USERS] = { "none", "ann", "bob", "eve", "kim" };

	for (unsigned u = 1; u < USERS; u++)
		v[u - 1] = (struct zn_quota){ .of = "user", .name = names[u], .running = most(may[u].running), .gpus = most(may[u].gpus),
		                              .cpus = most(may[u].cpus), .mem_bytes = most(may[u].mem_bytes), .window_s = 3600 };
	zn_payers_init(p, (struct zn_quotas){ v, USERS - 1 }, (struct zn_shares){ 0 });
	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		j->user = (unsigned)rand() % USERS;
		if ((may[j->user].gpus && j->ask.gpus > may[j->user].gpus) || (may[j->user].cpus && j->ask.cpus > may[j->user].cpus))
			j->user = 0; /* else it could never start */
		j->ask.payer = (uint32_t)zn_payers_get(p, names[j->user], NULL);
	}
}

/* By the books of the jobs themselves. */
static bool is_over_quota(void)
{
	for (unsigned u = 1; u < USERS; u++) {
		uint64_t running = 0, of_gpus = 0, of_cpus = 0, of_mem = 0;
		for (const struct job *j = jobs; j < jobs + JOBS; j++) {
			if (j->user != u || !j->end_s || j->ended)
				continue;
			running++;
			of_gpus += j->ask.gpus;
			of_cpus += j->ask.cpus ? j->ask.cpus : j->ask.gpus ? 0 : 1;
			of_mem += j->ask.mem_bytes;
		}
		if ((may[u].running && running > may[u].running) || (may[u].gpus && of_gpus > may[u].gpus) ||
		    (may[u].cpus && of_cpus > may[u].cpus) || (may[u].mem_bytes && of_mem > may[u].mem_bytes))
			return true;
	}
	return false;
}

struct seen { bool over, late, over_quota; unsigned started, promises; };

static void look(struct zn_pick *p, struct zn_room *room, const struct zn_free *idle, double now, struct seen *seen)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	zn_pick_begin(&pass, p, now);
	while ((pick = zn_pick_next(&pass))) {
		struct job *j = (struct job *)pick;
		j->plan = room->plan;
		j->end_s = now + j->run_s;
		seen->started++;
		struct zn_use use = zn_room_use(&j->ask);
		if (room->payers)
			zn_payer_add(room->payers, j->ask.payer, &use);
		seen->over_quota |= is_over_quota();
		seen->late |= j->promise_s && now > j->promise_s;
		seen->over |= is_over(idle);
	}
	struct job *head = (struct job *)pass.first;
	if (head && pass.filling && pass.gap.shadow_s < HUGE_VAL && pass.gap.shadow_s > now) {
		seen->promises++;
		if (!head->promise_s || pass.gap.shadow_s < head->promise_s)
			head->promise_s = pass.gap.shadow_s;
	}
}

static struct seen run(enum zn_pick_order order, unsigned seed, bool quotas)
{
	struct zn_payers payers;
	struct zn_quota v[USERS];
	struct zn_room room = { .facts = facts, .plan_of = plan_of };
	struct zn_free idle = room.free = zn_plan_idle(facts);
	struct zn_pick p;
	struct seen seen = { 0 };
	unsigned come = 0, gone = 0;

	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .order = order, .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	make_jobs(seed, &room);
	if (quotas) {
		make_payers(&payers, v);
		room.payers = &payers;
	}
	while (gone < JOBS) {
		struct job *end = next_end();
		double now = come < JOBS ? jobs[come].pick.submit_s : 1e18;
		if (come == JOBS && !end)
			break; /* somebody never starts */
		now = end && end->end_s < now ? end->end_s : now;
		for (; (end = next_end()) && end->end_s <= now; gone++) {
			struct zn_use use = zn_room_use(&end->ask);
			end->ended = true;
			if (quotas)
				zn_payer_take(&payers, end->ask.payer, &use);
			zn_room_give(&room, &end->plan);
			zn_pick_gone(&p, &end->pick, now);
		}
		for (; come < JOBS && jobs[come].pick.submit_s <= now; come++)
			zn_pick_wait(&p, &jobs[come].pick, &jobs[come].ask);
		look(&p, &room, &idle, now, &seen);
	}
	zn_pick_done(&p);
	if (quotas)
		zn_payers_done(&payers);
	return seen;
}

/* ---- who must not wait for ever ---------------------------------------------------------------------------- */

/* One who wants all GPUs, among narrow ones without a limit that never stop coming; the hour in which it starts, 0:
 * never.  With an older one in line that can never start; and taken out of the line and put back again and again.
 */
static unsigned hour_of_the_wide(bool impossible, bool moved)
{
	enum { HOURS = 120, EACH = 2 };
	static struct job narrow[HOURS * EACH];
	struct job wide = { .ask = { .gpus = (uint32_t)facts->n_gpus, .tasks = 1 } }, never = { .ask = { .gpus = 99, .tasks = 1 } };
	struct zn_room room = { .facts = facts, .plan_of = plan_of, .free = zn_plan_idle(facts) };
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	struct zn_pick p;
	unsigned hour = 0;

	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	never.pick = (struct zn_pick_job){ .seq = 0, .estimate_s = 3600, .limit_s = HUGE_VAL, .size = 99 };
	wide.pick = (struct zn_pick_job){ .seq = 1 + (uint64_t)facts->n_gpus, .submit_s = 1, .estimate_s = 1e7, .limit_s = HUGE_VAL,
	                                  .size = (float)facts->n_gpus };
	if (impossible)
		zn_pick_wait(&p, &never.pick, &never.ask);
	for (unsigned i = 0; i < HOURS * EACH && !hour; i++) {
		double now = 3600. / EACH * i;
		narrow[i] = (struct job){ .ask = { .gpus = (uint32_t)facts->n_gpus / EACH, .tasks = 1 } };
		narrow[i].pick = (struct zn_pick_job){ .seq = 1 + (uint64_t)i + (i >= EACH) * (1 + (uint64_t)facts->n_gpus), .submit_s = now,
		                                       .estimate_s = 3600, .limit_s = HUGE_VAL, .size = (float)narrow[i].ask.gpus };
		if (i >= EACH && narrow[i - EACH].pick.runs) {
			zn_room_give(&room, &narrow[i - EACH].plan);
			zn_pick_gone(&p, &narrow[i - EACH].pick, now);
		}
		zn_pick_wait(&p, &narrow[i].pick, &narrow[i].ask);
		if (i == EACH - 1)
			zn_pick_wait(&p, &wide.pick, &wide.ask);
		if (i >= EACH && moved) {
			zn_pick_gone(&p, &wide.pick, now);
			zn_pick_wait(&p, &wide.pick, &wide.ask);
		}
		for (zn_pick_begin(&pass, &p, now); (pick = zn_pick_next(&pass));) {
			((struct job *)pick)->plan = room.plan;
			hour = pick == &wide.pick ? i / EACH : hour;
		}
	}
	zn_pick_done(&p);
	return hour;
}

int main(void)
{
	static double starts[JOBS];
	bool over = false, late = false, all = true, repeats = true, over_quota = false;
	unsigned promises = 0;

	facts = machine_new("numa:2 core:8 pu:2 gpu:4 mem:64");
	for (unsigned seed = 1; seed <= ROUNDS; seed++) {
		struct seen s = run(ZN_PICK_ARRIVAL, seed, false);
		over |= s.over;
		late |= s.late;
		promises += s.promises;
		all &= s.started == JOBS;
		for (unsigned i = 0; i < JOBS; i++)
			starts[i] = jobs[i].pick.start_s;
		run(ZN_PICK_ARRIVAL, seed, false);
		for (unsigned i = 0; i < JOBS; i++)
			repeats &= starts[i] == jobs[i].pick.start_s;
		s = run(ZN_PICK_SLOWDOWN, seed, false);
		over |= s.over;
		all &= s.started == JOBS;
		for (int order = ZN_PICK_SLOWDOWN; order <= ZN_PICK_ARRIVAL; order++) {
			s = run((enum zn_pick_order)order, seed, true);
			over |= s.over;
			over_quota |= s.over_quota;
			all &= s.started == JOBS;
		}
	}
	tap_ok(!over, "no GPU, CPU or byte is given out twice, and each gets what it asks for");
	tap_ok(!late && promises > 1000, "no backfill delays the first in line (%u reservations)", promises);
	tap_ok(!over_quota, "nobody has more than he is allowed at once");
	tap_ok(all, "everybody starts");
	tap_ok(repeats, "the same jobs start at the same times again");
	unsigned alone = hour_of_the_wide(false, false);
	tap_ok(alone >= 48 && alone < 60, "who was overtaken by 48 hours of all there is must be next (he starts in hour %u)", alone);
	tap_ok(hour_of_the_wide(true, false) == alone, "also behind one that can never start");
	tap_ok(hour_of_the_wide(false, true) == alone, "and when he left the line in between");
	machine_free(facts);
	return tap_done();
}
