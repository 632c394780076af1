/* Soft limits, against books of the test's own: nobody is beyond a limit, nobody starts beyond a soft one who may not, and
 * whoever is within his own starts as if those who are beyond theirs were not there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pick/pool.h"
#include "pick/preempt.h"
#include "tap.h"

enum { JOBS = 400, ROUNDS = 150, GPUS = 12, OWNERS = 4 };

struct job {
	struct zn_pick_job pick;
	unsigned owner;
	bool meek;                     /* it may be sent back */
	double submit_s, run_s, end_s; /* end_s 0: it does not run */
	bool ended;
	unsigned times;
};

static struct job jobs[JOBS];
static struct zn_pool pool;
static struct zn_payers payers;
static struct zn_victim victims[JOBS];
static size_t n_chosen;
static unsigned sent_back;

/* Nobody, who may have all; some with both; some with one of them. */
static const struct { const char *name; unsigned soft, hard; bool has_soft, has_hard; } may[OWNERS] = {
	{ "nobody", 0, 0, false, false }, { "ann", 4, 9, true, true }, { "bob", 3, 0, true, false }, { "eve", 0, 5, true, true },
};

static struct zn_use use_of(const struct job *j)
{
	return (struct zn_use){ .running = 1, .gpus = (uint64_t)j->pick.size, .over = j->pick.is_over };
}

static void make_payers(struct zn_quota v[OWNERS])
{
	for (unsigned i = 0; i < OWNERS; i++)
		v[i] = (struct zn_quota){ .of = "user", .name = may[i].name, .window_s = 3600,
			.soft.gpus = { .has = may[i].has_soft, .v = may[i].soft }, .hard.gpus = { .has = may[i].has_hard, .v = may[i].hard } };
	zn_payers_init(&payers, (struct zn_quotas){ v, OWNERS }, (struct zn_shares){ 0 });
}

/* narrow: of one GPU each. */
static void make_jobs(unsigned seed, bool narrow)
{
	double at = 0;

	srand(seed);
	for (unsigned i = 0; i < JOBS; i++) {
		unsigned owner = (unsigned)rand() % OWNERS, width = narrow ? 1 : 1 + (unsigned)rand() % 4;
		bool meek = rand() % 3 > 0;
		if (!meek && may[owner].has_soft && width > may[owner].soft)
			meek = true; /* else it could never start */
		at += rand() % 3 ? rand() % 40 : 0;
		jobs[i] = (struct job){ .owner = owner, .meek = meek, .submit_s = at, .run_s = 1 + rand() % 300 };
		jobs[i].pick = (struct zn_pick_job){ .seq = i + 1, .submit_s = at, .estimate_s = jobs[i].run_s, .limit_s = jobs[i].run_s,
		                                     .size = (float)width };
	}
}

/* ---- the books --------------------------------------------------------------------------------------------- */

struct had { unsigned all, within; };

static struct had had_by(unsigned owner)
{
	struct had h = { 0 };

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->owner == owner && j->end_s) {
			h.all += (unsigned)j->pick.size;
			h.within += j->pick.is_over ? 0 : (unsigned)j->pick.size;
		}
	return h;
}

static const char *fault_of(const struct job *j)
{
	struct had h = had_by(j->owner);

	if (may[j->owner].has_hard && h.all > may[j->owner].hard)
		return "beyond a hard limit";
	if (may[j->owner].has_soft && h.within > may[j->owner].soft)
		return "beyond a soft limit without being called so";
	if (j->pick.is_over && !j->meek)
		return "beyond a soft limit who can't be sent back";
	if (j->pick.is_over && !may[j->owner].has_soft)
		return "beyond a limit that there is not";
	return NULL;
}

/* ---- the run ------------------------------------------------------------------------------------------------ */

static bool preempt(void *arg, const struct zn_pick_job *head, double now_s)
{
	double safe_until_s = 0;
	size_t n = 0;

	(void)arg;
	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		if (!j->end_s || !j->meek || j->pick.start_s == now_s)
			continue;
		victims[n] = (struct zn_victim){ .job = &j->pick, .priority = zn_victim_priority(&j->pick, 0), .gpus = (uint32_t)j->pick.size };
		n += zn_victim_weigh(&victims[n], 0, now_s, &safe_until_s);
	}
	n_chosen = zn_pool_preempt(&pool, head, victims, n);
	return n_chosen > 0;
}

static void wait_for_gpus(struct job *j)
{
	int64_t payer = zn_payers_get(&payers, may[j->owner].name, NULL);

	zn_pool_wait(&pool, &j->pick, 0, (uint32_t)payer, j->meek);
}

static void stop(struct job *j, double now_s)
{
	struct zn_use use = use_of(j);

	j->end_s = 0;
	zn_payer_take(&payers, (uint32_t)zn_payers_get(&payers, may[j->owner].name, NULL), &use);
	zn_pool_end(&pool, &j->pick, now_s);
}

static const char *look(double now_s)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	const char *fault = NULL;

	do {
		n_chosen = 0;
		zn_pick_begin(&pass, &pool.pick, now_s);
		while ((pick = zn_pick_next(&pass))) {
			struct job *j = (struct job *)pick;
			struct zn_use use = use_of(j);
			j->end_s = now_s + j->run_s;
			zn_payer_add(&payers, (uint32_t)zn_payers_get(&payers, may[j->owner].name, NULL), &use);
			fault = fault ? fault : fault_of(j);
		}
		for (size_t i = 0; i < n_chosen; i++) {
			struct job *j = (struct job *)victims[i].job;
			fault = j->pick.is_over ? fault : "one who is within his own was sent back";
			stop(j, now_s);
			j->times++;
			sent_back++;
			wait_for_gpus(j);
		}
	} while (n_chosen);
	return fault;
}

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->end_s && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

/* Those whom skip says are left out.  Returns what is wrong. */
static const char *run(bool (*skip)(const struct job *), unsigned *ret_over)
{
	struct zn_quota v[OWNERS];
	const char *fault = NULL;
	unsigned come = 0;

	zn_pool_init(&pool, (struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true }, GPUS);
	make_payers(v);
	pool.pick.payers = &payers;
	pool.pick.preempt = preempt;
	pool.pick.preempt_at_once = true;
	for (struct job *end; come < JOBS || next_end();) {
		double now = come < JOBS ? jobs[come].submit_s : HUGE_VAL;
		end = next_end();
		now = end && end->end_s < now ? end->end_s : now;
		for (; (end = next_end()) && end->end_s <= now; end->ended = true)
			stop(end, now);
		for (; come < JOBS && jobs[come].submit_s <= now; come++)
			if (!skip || !skip(&jobs[come]))
				wait_for_gpus(&jobs[come]);
		const char *why = look(now);
		fault = fault ? fault : why;
		for (struct job *j = jobs; j < jobs + JOBS; j++)
			*ret_over += j->end_s && j->pick.is_over && j->pick.start_s == now;
	}
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (!j->ended && (!skip || !skip(j)))
			fault = "somebody never starts";
	zn_pick_done(&pool.pick);
	zn_payers_done(&payers);
	return fault;
}

/* All that eve has is beyond her soft limit of 0. */
static bool is_eves(const struct job *j)
{
	return j->owner == OWNERS - 1;
}

/* The others may not exceed, so that they are all within their own. */
static bool starts_as_if_alone(unsigned seed, unsigned *ret_over)
{
	static double starts[JOBS];
	bool same = true;

	for (int with = 1; with >= 0; with--) {
		make_jobs(seed, true);
		for (struct job *j = jobs; j < jobs + JOBS; j++)
			j->meek = is_eves(j);
		const char *fault = run(with ? NULL : is_eves, ret_over);
		same &= !fault;
		for (unsigned i = 0; i < JOBS; i++) {
			if (with)
				starts[i] = jobs[i].pick.start_s;
			same &= is_eves(&jobs[i]) || starts[i] == jobs[i].pick.start_s;
		}
	}
	return same;
}

int main(void)
{
	const char *fault = NULL;
	unsigned over = 0, eves = 0;
	bool same = true;

	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS); seed++) {
		make_jobs(seed, false);
		const char *why = run(NULL, &over);
		fault = fault ? fault : why;
	}
	tap_ok(!fault && over > 1000 && sent_back > 1000, "%u starts beyond soft limits, %u sent back: as the books say%s%s", over, sent_back,
	       fault ? ": " : "", fault ? fault : "");
	for (unsigned seed = 1; seed <= tap_rounds(ROUNDS); seed++)
		same &= starts_as_if_alone(seed, &eves);
	tap_ok(same && eves > 1000, "whoever is within his own starts when he would if the %u beyond theirs were not there", eves);
	return tap_done();
}
