/* A room against what must hold of it, with its own books: nothing twice, no GPU in parts that come to more than all of it, no backfill that delays the first in line,
 * everybody starts, the same again.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pick/room.h"
#include "room_help.h"
#include "tap.h"

enum { JOBS = 300, ROUNDS = 40, LICENCES = 3 };

struct job {
	struct zn_pick_job pick;
	struct zn_pick_ask ask;
	struct zn_places *places;
	unsigned user;
	unsigned licences[LICENCES];      /* asked of each */
	double run_s, end_s, promise_s;   /* end_s 0: it has not started; promise_s 0: nothing was promised */
	bool ended;
};

static struct job jobs[JOBS];
static struct zn_facts *facts;

static const struct zn_places *places_of(const struct zn_pick_job *pick)
{
	return ((const struct job *)pick)->places;
}

static const struct zn_wish *wish_of(const struct zn_pick_job *pick)
{
	return ((const struct job *)pick)->ask.wish;
}

static void forget_places(struct job *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].places);
}

static const struct { const char *name; unsigned total; } licences[LICENCES] = { { "matlab", 4 }, { "one", 1 }, { "vcs", 9 } };

static struct zn_room new_room(void)
{
	struct zn_room room = room_of(facts, places_of, wish_of);

	for (unsigned i = 0; i < LICENCES; i++)
		zn_licences_set(&room.licences, licences[i].name, licences[i].total);
	return room;
}

/* Half of them ask none. */
static void draw_wish(struct job *j, struct zn_room *room)
{
	char text[64] = "";

	for (unsigned i = 0; i < LICENCES; i++) {
		j->licences[i] = rand() % 6 ? 0 : 1 + (unsigned)rand() % licences[i].total;
		if (j->licences[i])
			sprintf(text + strlen(text), "%s%s:%u", *text ? "," : "", licences[i].name, j->licences[i]);
	}
	zn_licences_wish(&room->licences, *text ? text : NULL, &j->ask.wish);
}

/* A part of one GPU: so many thousandths, so much memory, or both. */
static void draw_part(struct job *j)
{
	unsigned which = 1 + (unsigned)rand() % 3;

	j->ask.gpus = 1;
	j->ask.part = (struct zn_gpu_part){ .user = 1 + (unsigned)rand() % 2,
		.milli = which & 1 ? 1 + (uint32_t)rand() % (rand() % 2 ? 300 : 999) : 0,
		.mem_bytes = which & 2 ? (uint64_t)(1 + rand() % 80) << 30 : 0 };
	zn_part_fill_in(&j->ask.part, facts);
}

static void make_jobs(unsigned seed, struct zn_room *room)
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
		if (rand() % 3 == 0)
			draw_part(j);
		draw_wish(j, room);
		j->pick = (struct zn_pick_job){
			.seq = i, .submit_s = at, .estimate_s = j->run_s * (1 + rand() % 3),
			.size = (float)zn_room_size(room, &j->ask),
		};
		j->pick.limit_s = limited ? j->pick.estimate_s : HUGE_VAL;
	}
}

/* ---- the books ----------------------------------------------------------------------------------------- */

static bool is_over_licences(void)
{
	unsigned has[LICENCES] = { 0 };
	bool over = false;

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		for (unsigned i = 0; i < LICENCES && j->end_s && !j->ended; i++)
			over |= (has[i] += j->licences[i]) > licences[i].total;
	return over;
}

/* Whether the parts of any GPU come to more than all of it, are of two users, or are given out beside the whole. */
static bool is_over_parts(const struct zn_idset *whole)
{
	struct zn_gpu_part of[16] = { 0 };

	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!j->end_s || j->ended || !j->ask.part.milli)
			continue;
		const struct zn_gpu_part *part = &j->places->v[0].plan.part;
		int gpu = zn_idset_next(&j->places->v[0].plan.gpus, 0);
		if (zn_idset_count(&j->places->v[0].plan.gpus) != 1 || zn_idset_has(whole, (unsigned)gpu) || part->milli != j->ask.part.milli ||
		    part->mem_bytes != j->ask.part.mem_bytes || (of[gpu].user && of[gpu].user != j->ask.part.user))
			return true;
		of[gpu].user = j->ask.part.user;
		of[gpu].milli += part->milli;
		of[gpu].mem_bytes += part->mem_bytes;
		if (of[gpu].milli > 1000 || of[gpu].mem_bytes > UINT64_C(80) << 30)
			return true;
	}
	return false;
}

/* Whether what runs now has anything twice, or more than there is. */
static bool is_over(const struct zn_free *idle)
{
	struct zn_idset gpus = { 0 }, cpus = { 0 };
	uint64_t mem = 0;

	for (const struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!j->end_s || j->ended)
			continue;
		struct zn_idset both_gpus = zn_idset_and(&gpus, &j->places->v[0].plan.gpus), both_cpus = zn_idset_and(&cpus, &j->places->v[0].plan.cpus);
		if (!j->ask.part.milli && (!zn_idset_is_empty(&both_gpus) || zn_idset_count(&j->places->v[0].plan.gpus) != j->ask.gpus))
			return true;
		if (!j->ask.part.milli)
			gpus = zn_idset_or(&gpus, &j->places->v[0].plan.gpus);
		mem += j->places->v[0].plan.mem_bytes;
		if (!j->places->v[0].plan.cpus_held)
			continue;
		if (!zn_idset_is_empty(&both_cpus) || zn_idset_count(&j->places->v[0].plan.cpus) < j->ask.cpus)
			return true;
		cpus = zn_idset_or(&cpus, &j->places->v[0].plan.cpus);
	}
	return mem > idle->mem_bytes || is_over_parts(&gpus);
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
		v[u - 1] = (struct zn_quota){ .of = "user", .name = names[u], .hard.running = most(may[u].running), .hard.gpus = most(may[u].gpus),
		                              .hard.cpus = most(may[u].cpus), .hard.mem_bytes = most(may[u].mem_bytes), .window_s = 3600 };
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
			of_gpus += j->ask.part.milli ? j->ask.part.milli : 1000 * j->ask.gpus;
			of_cpus += j->ask.cpus ? j->ask.cpus : j->ask.gpus ? 0 : 1;
			of_mem += j->ask.mem_bytes;
		}
		if ((may[u].running && running > may[u].running) || (may[u].gpus && of_gpus > 1000 * may[u].gpus) ||
		    (may[u].cpus && of_cpus > may[u].cpus) || (may[u].mem_bytes && of_mem > may[u].mem_bytes))
			return true;
	}
	return false;
}

struct seen { bool over, late, over_quota, over_licences; unsigned started, promises; };

static void look(struct zn_pick *p, struct zn_room *room, const struct zn_free *idle, double now, struct seen *seen)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;

	zn_pick_begin(&pass, p, now);
	while ((pick = zn_pick_next(&pass))) {
		struct job *j = (struct job *)pick;
		keep(&j->places, room);
		j->end_s = now + j->run_s;
		seen->started++;
		struct zn_use use = zn_pick_use(&j->ask);
		if (p->payers)
			zn_payer_add(p->payers, j->ask.payer, &use);
		seen->over_quota |= is_over_quota();
		seen->late |= j->promise_s && now > j->promise_s;
		seen->over |= is_over(idle);
		seen->over_licences |= is_over_licences();
	}
	struct job *head = (struct job *)pass.first;
	if (head && pass.filling && pass.gap.at_s[0] < HUGE_VAL && pass.gap.at_s[0] > now) {
		seen->promises++;
		if (!head->promise_s || pass.gap.at_s[0] < head->promise_s)
			head->promise_s = pass.gap.at_s[0];
	}
}

static struct seen run(enum zn_pick_order order, unsigned seed, bool quotas, unsigned reservations)
{
	struct zn_payers payers;
	struct zn_quota v[USERS];
	struct zn_room room = new_room();
	struct zn_free idle = room.nodes->free;
	struct zn_pick p;
	struct seen seen = { 0 };
	unsigned come = 0, gone = 0;

	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .order = order, .backfill = true, .reservations = reservations }, zn_room_total(&room), &zn_room_ops, &room);
	make_jobs(seed, &room);
	if (quotas) {
		make_payers(&payers, v);
		p.payers = &payers;
	}
	while (gone < JOBS) {
		struct job *end = next_end();
		double now = come < JOBS ? jobs[come].pick.submit_s : 1e18;
		if (come == JOBS && !end)
			break; /* somebody never starts */
		now = end && end->end_s < now ? end->end_s : now;
		for (; (end = next_end()) && end->end_s <= now; gone++) {
			struct zn_use use = zn_pick_use(&end->ask);
			end->ended = true;
			if (quotas)
				zn_payer_take(&payers, end->ask.payer, &use);
			zn_room_give(&room, end->places, end->ask.wish);
			zn_pick_gone(&p, &end->pick, now);
		}
		for (; come < JOBS && jobs[come].pick.submit_s <= now; come++)
			zn_pick_wait(&p, &jobs[come].pick, &jobs[come].ask);
		look(&p, &room, &idle, now, &seen);
	}
	zn_pick_done(&p);
	zn_room_close(&room);
	forget_places(jobs, JOBS);
	if (quotas)
		zn_payers_done(&payers);
	return seen;
}

/* ---- who must not wait for ever ---------------------------------------------------------------------------- */

/* All GPUs, or so many licences of four, which is as much: a part of that. */
static struct zn_pick_ask part_of_all(struct zn_room *room, unsigned parts, bool licence)
{
	struct zn_pick_ask ask = { .gpus = licence ? 0 : (uint32_t)facts->n_gpus / parts, .tasks = 1 };
	char text[] = "matlab:4";

	text[7] = (char)('0' + 4 / parts);
	zn_licences_wish(&room->licences, licence ? text : NULL, &ask.wish);
	return ask;
}

/* One who wants all GPUs, or all of a licence, among narrow ones without a limit that never stop coming; the hour in which it
 * starts, 0: never.  With an older one in line that can never start; and taken out of the line and put back again and again.
 */
static unsigned hour_of_the_wide(bool impossible, bool moved, bool licence)
{
	enum { HOURS = 120, EACH = 2 };
	static struct job narrow[HOURS * EACH];
	struct zn_room room = new_room();
	struct job wide = { .ask = part_of_all(&room, 1, licence) }, never = { .ask = { .gpus = 99, .tasks = 1 } };
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	struct zn_pick p;
	unsigned hour = 0;

	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	never.pick = (struct zn_pick_job){ .seq = 0, .estimate_s = 3600, .limit_s = HUGE_VAL, .size = 99 };
	wide.pick = (struct zn_pick_job){ .seq = 1 + (uint64_t)facts->n_gpus, .submit_s = 1, .estimate_s = 1e7, .limit_s = HUGE_VAL,
	                                  .size = (float)zn_room_size(&room, &wide.ask) };
	if (impossible)
		zn_pick_wait(&p, &never.pick, &never.ask);
	for (unsigned i = 0; i < HOURS * EACH && !hour; i++) {
		double now = 3600. / EACH * i;
		narrow[i] = (struct job){ .ask = part_of_all(&room, EACH, licence) };
		narrow[i].pick = (struct zn_pick_job){ .seq = 1 + (uint64_t)i + (i >= EACH) * (1 + (uint64_t)facts->n_gpus), .submit_s = now,
		                                       .estimate_s = 3600, .limit_s = HUGE_VAL,
		                                       .size = (float)zn_room_size(&room, &narrow[i].ask) };
		if (i >= EACH && narrow[i - EACH].pick.runs) {
			zn_room_give(&room, narrow[i - EACH].places, narrow[i - EACH].ask.wish);
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
			keep(&((struct job *)pick)->places, &room);
			hour = pick == &wide.pick ? i / EACH : hour;
		}
	}
	zn_pick_done(&p);
	zn_room_close(&room);
	forget_places(narrow, HOURS * EACH);
	forget_places(&wide, 1);
	return hour;
}

/* ---- quotas and the order ---------------------------------------------------------------------------------- */

enum { OWN = 40 };

/* ann may have 2 of 4 GPUs and runs one job of 1; then comes one of 2, and a new one of 1 whenever one ends.  When the large
 * one starts, in ends of small ones; and, of bob's, which GPUs may not stay unused, how many start before it.
 */
static unsigned small_before_the_large(unsigned *ret_of_bob)
{
	static struct job own[OWN], of_bob[OWN];
	struct zn_quota v[] = { { .of = "user", .name = "ann", .hard.gpus = { 2, true }, .window_s = 1 } };
	struct zn_room room = room_of(facts, places_of, wish_of);
	struct zn_payers payers;
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	struct zn_pick p;
	unsigned ends = 0, now = 0;

	zn_payers_init(&payers, (struct zn_quotas){ v, 1 }, (struct zn_shares){ 0 });
	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	p.payers = &payers;
	*ret_of_bob = 0;
	for (unsigned i = 0; i < OWN; i++, now += 10) {
		own[i] = (struct job){ .ask = { .gpus = i == 1 ? 2 : 1, .tasks = 1, .priority = i == 1,
		                                .payer = (uint32_t)zn_payers_get(&payers, "ann", NULL) } };
		of_bob[i] = (struct job){ .ask = { .gpus = 1, .tasks = 1 } };
		struct job *come[] = { &own[i], &of_bob[i] };
		for (unsigned k = 0; k < 2; k++) {
			come[k]->pick = (struct zn_pick_job){ .seq = 1 + 2 * i + k, .submit_s = now, .estimate_s = 15, .limit_s = 15,
			                                      .size = (float)come[k]->ask.gpus };
			zn_pick_wait(&p, &come[k]->pick, &come[k]->ask);
		}
		for (zn_pick_begin(&pass, &p, now); (pick = zn_pick_next(&pass));) {
			struct job *j = (struct job *)pick;
			struct zn_use use = zn_pick_use(&j->ask);
			keep(&j->places, &room);
			j->end_s = now + 15;
			zn_payer_add(&payers, j->ask.payer, &use);
			*ret_of_bob += !j->ask.payer && !own[1].end_s;
			if (j == &own[1])
				break;
		}
		if (own[1].end_s)
			break;
		for (unsigned k = 0; k <= i; k++)
			for (unsigned o = 0; o < 2; o++) {
				struct job *j = o ? &of_bob[k] : &own[k];
				struct zn_use use = zn_pick_use(&j->ask);
				if (!j->end_s || j->ended || j->end_s > now + 10)
					continue;
				j->ended = true;
				ends += !o;
				zn_payer_take(&payers, j->ask.payer, &use);
				zn_room_give(&room, j->places, NULL);
				zn_pick_gone(&p, &j->pick, j->end_s);
			}
	}
	zn_pick_done(&p);
	zn_payers_done(&payers);
	zn_room_close(&room);
	forget_places(own, OWN);
	forget_places(of_bob, OWN);
	return own[1].end_s ? ends : OWN;
}

/* bob is out for 60 hours in which others use all; then he may again.  Whether he comes before one of a higher priority. */
static bool is_first_for_having_been_out(void)
{
	struct zn_quota v[] = { { .of = "user", .name = "bob", .hard.running = { 1, true }, .window_s = 1 } };
	struct job late = { .ask = { .gpus = 1, .tasks = 1 } }, urgent = { .ask = { .gpus = 1, .tasks = 1, .priority = 9 } };
	static struct job others[60];
	struct zn_room room = room_of(facts, places_of, wish_of);
	struct zn_payers payers;
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	struct zn_pick p;

	zn_payers_init(&payers, (struct zn_quotas){ v, 1 }, (struct zn_shares){ 0 });
	late.ask.payer = (uint32_t)zn_payers_get(&payers, "bob", NULL);
	zn_payer_add(&payers, late.ask.payer, &(struct zn_use){ .running = 1 });
	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .backfill = true }, zn_room_total(&room), &zn_room_ops, &room);
	p.payers = &payers;
	late.pick = (struct zn_pick_job){ .seq = 1, .estimate_s = 3600, .limit_s = 3600, .size = 1 };
	zn_pick_wait(&p, &late.pick, &late.ask);
	for (unsigned i = 0; i < 60; i++) {
		others[i] = (struct job){ .ask = { .gpus = (uint32_t)facts->n_gpus, .tasks = 1 } };
		others[i].pick = (struct zn_pick_job){ .seq = 2 + i, .submit_s = 3600. * i, .estimate_s = 3600, .limit_s = 3600,
		                                       .size = (float)facts->n_gpus };
		zn_pick_wait(&p, &others[i].pick, &others[i].ask);
		for (zn_pick_begin(&pass, &p, 3600. * i); (pick = zn_pick_next(&pass));)
			keep(&((struct job *)pick)->places, &room);
		zn_room_give(&room, others[i].places, NULL);
		zn_pick_gone(&p, &others[i].pick, 3600. * (i + 1));
	}
	zn_payer_take(&payers, late.ask.payer, &(struct zn_use){ .running = 1 });
	urgent.pick = (struct zn_pick_job){ .seq = 99, .submit_s = 3600 * 60, .estimate_s = 3600, .limit_s = 3600, .size = 1 };
	zn_pick_wait(&p, &urgent.pick, &urgent.ask);
	zn_pick_begin(&pass, &p, 3600 * 60);
	bool first = zn_pick_next(&pass) == &late.pick;
	zn_pick_done(&p);
	zn_payers_done(&payers);
	zn_room_close(&room);
	forget_places(others, 60);
	forget_places(&late, 1);
	return first;
}

/* ---- parts beside a part that is set aside ------------------------------------------------------------------ */

/* Of one GPU half is taken for 100 s; the first in line wants 0.6 of it.  Then 0.4 of it may be anybody's for ever, and what
 * is over in time may have the last 0.1 now.
 */
static bool leaves_what_is_set_aside(void)
{
	static const struct { uint32_t milli; double limit_s; bool starts; } asks[] = {
		{ 500, 100, true }, { 600, 1000, false }, { 400, 1000, true }, { 100, 1000, false }, { 101, 50, false }, { 100, 50, true },
	};
	enum { N = sizeof(asks) / sizeof(*asks) };
	struct zn_facts *one = machine_new("numa:1 core:4 gpu:1");
	struct zn_room room = room_of(one, places_of, wish_of);
	struct job parts[N];
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	struct zn_pick p;
	bool ok = true;

	room.running = &p.running;
	zn_pick_init(&p, (struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true }, 1, &zn_room_ops, &room);
	for (unsigned i = 0; i < N; i++) {
		parts[i] = (struct job){ .ask = { .gpus = 1, .tasks = 1, .part = { .user = 1, .milli = asks[i].milli } } };
		parts[i].pick = (struct zn_pick_job){ .seq = i, .estimate_s = asks[i].limit_s, .limit_s = asks[i].limit_s, .size = 1 };
		zn_pick_wait(&p, &parts[i].pick, &parts[i].ask);
	}
	for (zn_pick_begin(&pass, &p, 0); (pick = zn_pick_next(&pass));)
		keep(&((struct job *)pick)->places, &room);
	for (unsigned i = 0; i < N; i++)
		ok &= parts[i].pick.runs == asks[i].starts;
	ok &= pass.gap.at_s[0] == 100 && room.nodes->free.parts[0].milli == 1000;
	zn_pick_done(&p);
	zn_room_close(&room);
	forget_places(parts, N);
	machine_free(one);
	return ok;
}

int main(void)
{
	static const unsigned reservations[] = { 1, 2, 4 };
	static double starts[JOBS];
	bool over = false, late = false, all = true, repeats = true, over_quota = false, over_licences = false;
	unsigned promises = 0;

	facts = machine_new("numa:2 core:8 pu:2 gpu:4 mem:64 vram:80");
	for (unsigned i = 0; i < tap_rounds(ROUNDS) * 3; i++) {
		unsigned n = reservations[i % 3], seed = i / 3 + 1;
		struct seen s = run(ZN_PICK_ARRIVAL, seed, false, n);
		over |= s.over;
		over_licences |= s.over_licences;
		late |= s.late;
		promises += s.promises;
		all &= s.started == JOBS;
		for (unsigned k = 0; k < JOBS; k++)
			starts[k] = jobs[k].pick.start_s;
		run(ZN_PICK_ARRIVAL, seed, false, n);
		for (unsigned k = 0; k < JOBS; k++)
			repeats &= starts[k] == jobs[k].pick.start_s;
		s = run(ZN_PICK_SLOWDOWN, seed, false, n);
		over |= s.over;
		all &= s.started == JOBS;
		for (int order = ZN_PICK_SLOWDOWN; order <= ZN_PICK_ARRIVAL; order++) {
			s = run((enum zn_pick_order)order, seed, true, n);
			over |= s.over;
			over_quota |= s.over_quota;
			over_licences |= s.over_licences;
			all &= s.started == JOBS;
		}
	}
	tap_ok(!over, "no GPU, part of one, CPU or byte is given out twice, and each gets what it asks for");
	tap_ok(!late && promises > 1000, "no backfill delays the first in line (%u reservations)", promises);
	tap_ok(!over_licences, "no more licences are given out than there are");
	tap_ok(!over_quota, "nobody has more than he is allowed at once");
	tap_ok(all, "everybody starts");
	tap_ok(repeats, "the same jobs start at the same times again");
	unsigned alone = hour_of_the_wide(false, false, false);
	tap_ok(alone >= 48 && alone < 60, "who was overtaken by 48 hours of all there is must be next (he starts in hour %u)", alone);
	tap_ok(hour_of_the_wide(false, false, true) == alone, "and so must who wants all of a licence");
	tap_ok(hour_of_the_wide(true, false, false) == alone, "also behind one that can never start");
	tap_ok(hour_of_the_wide(false, true, false) == alone, "and when he left the line in between");
	unsigned of_bob, ends = small_before_the_large(&of_bob);
	tap_ok(ends <= 2, "small jobs of one owner do not keep his large one out for ever (%u ended before it)", ends);
	tap_ok(of_bob >= 2, "which keeps nobody else back (%u of another started)", of_bob);
	tap_ok(!is_first_for_having_been_out(), "who waited for his own quota is not first of all for that");
	tap_ok(leaves_what_is_set_aside(), "beside a part of a GPU that is set aside just the rest of it is given out");
	machine_free(facts);
	return tap_done();
}
