/* A hall against what must hold of it, with its own books of every GPU: nothing twice, a gang whole or not at all, on one
 * node or in one rack where that was possible, each reservation at the earliest time there is, no start that delays one, none
 * that was missed, everybody starts, the same again.  Shares nothing with the hall but what it is asked.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pick/hall.h"
#include "tap.h"

enum { NODES = 40, GPUS = 8, MODELS = 3, JOBS = 500, ROUNDS = 30, ROUNDS_OF_MANY = 10, TASKS = 64 };

struct book { unsigned gpus, model, milli[GPUS]; uint64_t cpu, mem; };

struct job {
	struct zn_pick_job pick;
	struct zn_fleet_gang gang;
	struct zn_hall_place place;
	struct zn_fleet_spot spots[TASKS];
	unsigned user, account;           /* with quotas */
	int64_t priority;
	uint32_t payer;
	struct zn_use use;
	double run_s, end_s, promise_s;   /* end_s 0: it has not started; promise_s 0: nothing was promised */
	bool ended, early;                /* early: it started beside the reservations of this look */
};

static struct job jobs[JOBS];
static struct book books[NODES];
static char paths[NODES][32];
static bool wired;

static unsigned draw(unsigned below) { return (unsigned)rand() % below; }
static const struct zn_hall_place *place_of(const struct zn_pick_job *pick) { return &((const struct job *)pick)->place; }

/* ---- the books --------------------------------------------------------------------------------------------- */

static void book(struct book *v, const struct job *j, int sign)
{
	for (unsigned i = 0; i < j->place.n; i++) {
		const struct zn_fleet_spot *s = &j->spots[i];
		for (unsigned g = 0; g < GPUS; g++)
			if (s->gpus >> g & 1)
				v[s->node].milli[g] = (unsigned)((int)v[s->node].milli[g] - sign * (int)j->gang.task.gpu_milli);
		v[s->node].cpu -= (uint64_t)sign * j->gang.task.cpu_milli * s->tasks;
		v[s->node].mem -= (uint64_t)sign * j->gang.task.mem_bytes * s->tasks;
	}
}

static unsigned tasks_on(const struct book *b, const struct zn_fleet_gang *g)
{
	const struct zn_fleet_task *t = &g->task;
	unsigned most = g->per_node ? g->per_node : 1000, free = 0;

	if (t->models && !(t->models >> b->model & 1))
		return 0;
	for (unsigned i = 0; i < b->gpus; i++)
		free += b->milli[i] >= t->gpu_milli;
	for (unsigned n = 1; n <= most; n++)
		if (b->cpu < n * t->cpu_milli || b->mem < n * t->mem_bytes || free < n * t->gpus || (t->gpu_milli < 1000 && t->gpus && n > 1))
			return n - 1;
	return most;
}

static unsigned tasks_in(const struct book *v, const struct zn_fleet_gang *g, const char *under)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += strncmp(paths[i], under, strlen(under)) ? 0 : tasks_on(&v[i], g);
	return n;
}

static bool has_room(const struct book *v, const struct zn_fleet_gang *g)
{
	for (unsigned i = 0; wired && g->same_switch && i < NODES; i++)
		if (tasks_in(v, g, paths[i]) >= g->n)
			return true;
	return (!wired || !g->same_switch) && tasks_in(v, g, "") >= g->n;
}

/* How few nodes do under a path: the roomiest first; 0: it has no room. */
static unsigned fewest(const struct book *v, const struct zn_fleet_gang *g, const char *under)
{
	unsigned room[NODES], used = 0, left = g->n;

	for (unsigned i = 0; i < NODES; i++)
		room[i] = strncmp(paths[i], under, strlen(under)) ? 0 : tasks_on(&v[i], g);
	while (left) {
		unsigned best = 0;
		for (unsigned i = 1; i < NODES; i++)
			best = room[i] > room[best] ? i : best;
		if (!room[best])
			return 0;
		used++;
		left -= room[best] < left ? room[best] : left;
		room[best] = 0;
	}
	return used;
}

/* ---- what is wrong with a place ---------------------------------------------------------------------------- */

/* Up to the slash of that number. */
static void prefix(const char *path, unsigned slashes, char ret[32])
{
	const char *at = path;

	while (*at && (*at != '/' || --slashes))
		at++;
	snprintf(ret, 32, "%.*s", (int)(at - path) + (*at == '/'), path);
}

/* Whether a gang that went over several nodes is as near and on as few nodes as it could be; v: before it came. */
static const char *not_near(const struct book *v, const struct job *j)
{
	char under[32];

	for (unsigned i = 0; i < NODES && !j->gang.per_node; i++)
		if (tasks_on(&v[i], &j->gang) >= j->gang.n)
			return "on several nodes, and one would have done";
	for (unsigned slashes = 3; wired && slashes; slashes--) { /* "p0/r1/n": the rack, the pod, all */
		unsigned least = 0;
		bool in_one = true;
		for (unsigned i = 0; slashes > 1 && i < NODES; i++) {
			prefix(paths[i], slashes - 1, under);
			unsigned n = fewest(v, &j->gang, under);
			least = n && (!least || n < least) ? n : least;
		}
		if (slashes > 1 && !least)
			continue;
		prefix(paths[j->spots[0].node], slashes - 1, under);
		for (unsigned i = 0; slashes > 1 && i < j->place.n; i++)
			in_one &= !strncmp(paths[j->spots[i].node], under, strlen(under));
		if (!in_one)
			return "over several domains, and one would have done";
		return j->place.n > (slashes > 1 ? least : fewest(v, &j->gang, "")) ? "on more nodes than it needs" : NULL;
	}
	return j->place.n > fewest(v, &j->gang, "") ? "on more nodes than it needs" : NULL;
}

static const char *not_right(const struct book *v, const struct job *j)
{
	unsigned tasks = 0;

	for (unsigned i = 0; i < j->place.n; i++) {
		const struct zn_fleet_spot *s = &j->spots[i];
		tasks += s->tasks;
		if (i && s->node <= j->spots[i - 1].node)
			return "nodes are not in order";
		if (wired && j->gang.same_switch && strcmp(paths[s->node], paths[j->spots[0].node]))
			return "not at one switch";
		if (!s->tasks || s->tasks > tasks_on(&v[s->node], &j->gang))
			return "more on a node than it has";
		if ((unsigned)__builtin_popcountll(s->gpus) != s->tasks * j->gang.task.gpus)
			return "another number of GPUs than it asks for";
		for (unsigned g = 0; g < GPUS; g++)
			if (s->gpus >> g & 1 && v[s->node].milli[g] < j->gang.task.gpu_milli)
				return "a GPU that has too little";
	}
	return tasks != j->gang.n ? "not all of a gang" : j->place.n > 1 && !j->early ? not_near(v, j) : NULL;
}

/* ---- the reservation --------------------------------------------------------------------------------------- */

static double ends_by_limit(const struct job *j) { return j->pick.start_s + j->pick.limit_s; }
static bool runs(const struct job *j) { return j->end_s && !j->ended; }

/* The books when all that is over by then, by the limits, is over. */
static void books_then(double then_s, bool without_early, struct book *v)
{
	memcpy(v, books, sizeof(books));
	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && (ends_by_limit(j) <= then_s || (without_early && j->early)))
			book(v, j, -1);
}

/* Without what that one will have, some of which others may have now. */
static void drop_ahead(struct book *v, const struct zn_hall_ahead *a, const struct zn_fleet_gang *g)
{
	for (unsigned i = 0; i < a->n_set; i++) {
		struct book *b = &v[a->set[i].node];
		uint64_t cpu = g->task.cpu_milli * a->set[i].tasks, mem = g->task.mem_bytes * a->set[i].tasks;
		for (unsigned k = 0; k < GPUS; k++)
			if (a->set[i].gpus >> k & 1)
				b->milli[k] -= b->milli[k] < g->task.gpu_milli ? b->milli[k] : g->task.gpu_milli;
		b->cpu -= b->cpu < cpu ? b->cpu : cpu;
		b->mem -= b->mem < mem ? b->mem : mem;
	}
}

/* Whether there is room for that one beside those with reservations before it, who are there until they are over. */
static bool has_room_at(const struct zn_hall *h, const struct zn_pick_pass *pass, unsigned number, double at)
{
	struct book v[NODES];

	books_then(at, true, v);
	for (unsigned k = 0; k < number; k++)
		if (at < h->ahead[k].until_s)
			drop_ahead(v, &h->ahead[k], &((const struct job *)pass->ahead.v[k])->gang);
	return has_room(v, &((const struct job *)pass->ahead.v[number])->gang);
}

/* By the limits of those who ran when it was made. */
static double earliest(const struct zn_hall *h, const struct zn_pick_pass *pass, unsigned number, double now)
{
	double best = HUGE_VAL;

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && !j->early && ends_by_limit(j) < best && has_room_at(h, pass, number, ends_by_limit(j)))
			best = ends_by_limit(j);
	for (unsigned k = 0; k < number; k++)
		if (h->ahead[k].until_s < best && has_room_at(h, pass, number, h->ahead[k].until_s))
			best = h->ahead[k].until_s;
	return best > now ? best : now;
}

/* What is set aside is there, of which it is taken. */
static bool has_its_place(struct book *v, const struct zn_hall_ahead *a, const struct zn_fleet_gang *g)
{
	unsigned tasks = 0;

	for (unsigned i = 0; i < a->n_set; i++) {
		const struct zn_fleet_spot *s = &a->set[i];
		struct book *b = &v[s->node];
		tasks += s->tasks;
		if (s->tasks > tasks_on(b, g) || (unsigned)__builtin_popcountll(s->gpus) != s->tasks * g->task.gpus)
			return false;
		for (unsigned k = 0; k < GPUS; k++) {
			if (s->gpus >> k & 1 && b->milli[k] < g->task.gpu_milli)
				return false;
			b->milli[k] -= s->gpus >> k & 1 ? g->task.gpu_milli : 0;
		}
		b->cpu -= g->task.cpu_milli * s->tasks;
		b->mem -= g->task.mem_bytes * s->tasks;
	}
	return tasks == g->n;
}

/* At its time, beside those with reservations who are there then. */
static bool stands(const struct zn_hall *h, const struct zn_pick_pass *pass, unsigned number)
{
	double at = pass->gap.at_s[number];
	struct book v[NODES];

	books_then(at, false, v);
	for (unsigned k = 0; k < pass->gap.n; k++)
		if (pass->gap.at_s[k] <= at && at < pass->gap.at_s[k] + pass->ahead.v[k]->limit_s &&
		    !has_its_place(v, &h->ahead[k], &((const struct job *)pass->ahead.v[k])->gang))
			return false;
	return true;
}

static bool all_stand(const struct zn_hall *h, const struct zn_pick_pass *pass)
{
	for (unsigned k = 0; k < pass->gap.n; k++)
		if (!stands(h, pass, k))
			return false;
	return true;
}

/* What the hall says is free at a level. */
static void books_at_level(const struct zn_hall *h, unsigned level, struct book *v)
{
	const struct zn_fleet *f = level ? &h->beside[level - 1] : &h->now;

	for (unsigned i = 0; i < NODES; i++) {
		v[i] = (struct book){ .gpus = f->nodes[i].gpus, .model = f->nodes[i].model, .cpu = f->nodes[i].cpu_milli, .mem = f->nodes[i].mem_bytes };
		for (unsigned k = 0; k < GPUS; k++)
			v[i].milli[k] = f->nodes[i].milli[k];
	}
}

struct seen { const char *wrong; unsigned started, promises, others, sooner, early, over_nodes, kept; uint64_t sum; };

static void note(struct seen *seen, const char *wrong) { seen->wrong = seen->wrong ? seen->wrong : wrong; }

static bool is_ahead(const struct zn_pick_pass *pass, const struct job *j)
{
	for (unsigned k = 0; k < pass->ahead.n; k++)
		if (pass->ahead.v[k] == &j->pick)
			return true;
	return false;
}

static bool missed_one(const struct zn_hall *h, const struct zn_pick_pass *pass, double now)
{
	static struct book v[ZN_PICK_RESERVATIONS + 1][NODES];

	for (unsigned level = 0; level <= pass->gap.n; level++)
		books_at_level(h, level, v[level]);
	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (j->pick.shape && !j->pick.shape->is_out && !is_ahead(pass, j) && has_room(v[zn_gap_level(&pass->gap, now + j->pick.limit_s)], &j->gang))
			return true;
	return false;
}

/* Whether a node of which nothing is set aside has less to give at a level than at all. */
static bool hides_one(const struct zn_hall *h, const struct zn_pick_pass *pass)
{
	for (unsigned i = 0; i < NODES; i++) {
		const struct zn_fleet_node *now = &h->now.nodes[i], *beside = &h->beside[pass->gap.n - 1].nodes[i];
		bool set = false;
		for (unsigned k = 0; k < pass->gap.n; k++)
			for (unsigned s = 0; s < h->ahead[k].n_set; s++)
				set |= h->ahead[k].set[s].node == i;
		if (!set && (now->free_milli != beside->free_milli || now->cpu_milli != beside->cpu_milli || now->mem_bytes != beside->mem_bytes))
			return true;
	}
	return false;
}

/* ---- quotas: four users, two of them in both accounts ------------------------------------------------------------ */

enum { USERS = 4, ACCOUNTS = 2, OWNERS = USERS + ACCOUNTS };
static const char *const names[OWNERS] = { "ann", "bob", "eve", "kim", "x", "y" };
static struct zn_quota quotas[OWNERS];

static void make_quotas(void)
{
	for (unsigned i = 0; i < OWNERS; i++)
		quotas[i] = (struct zn_quota){ .of = i < USERS ? "user" : "account", .name = names[i], .window_s = 3600,
		                               .hard.gpus = { .has = i != 3, .v = i < USERS ? 40 + 10 * i : 100 },
		                               .hard.running = { .has = i % 2, .v = i < USERS ? 8 : 20 },
		                               .hard.cpus = { .has = i == 2, .v = 150 }, .hard.mem_bytes = { .has = i == 4, .v = 60 } };
}

static bool is_of(const struct job *j, unsigned owner) { return owner < USERS ? j->user == owner : j->account == owner - USERS; }

static enum zn_scarce short_of(const struct zn_quota *q, const struct zn_use *have, const struct zn_use *use)
{
	return q->hard.running.has && have->running + use->running > q->hard.running.v ? ZN_SCARCE_RUNNING
	       : q->hard.gpus.has && use->gpus && have->gpus + use->gpus > q->hard.gpus.v ? ZN_SCARCE_GPUS
	       : q->hard.cpus.has && use->cpus && have->cpus + use->cpus > q->hard.cpus.v ? ZN_SCARCE_CPUS
	       : q->hard.mem_bytes.has && use->mem_bytes && have->mem_bytes + use->mem_bytes > q->hard.mem_bytes.v ? ZN_SCARCE_MEM : ZN_SCARCE_NOTHING;
}

static struct zn_use have_now(unsigned owner)
{
	struct zn_use sum = { 0 };

	for (const struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && is_of(j, owner)) {
			sum.running++;
			sum.gpus += j->use.gpus;
			sum.cpus += j->use.cpus;
			sum.mem_bytes += j->use.mem_bytes;
		}
	return sum;
}

/* In order of arrival. */
static bool goes_before(const struct job *a, const struct job *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a < b;
}

/* Of those in line, in order of arrival: whether exactly those are out who ask more than one of their owners may have now, or
 * come after such a one of the same owner and need what it lacks.
 */
static const char *not_those_out(void)
{
	static const struct zn_use nothing;
	const struct job *first[OWNERS] = { NULL };
	enum zn_scarce lacks[OWNERS];
	struct zn_use have[OWNERS];
	bool blocked[JOBS] = { false };

	for (unsigned o = 0; o < OWNERS; o++) {
		have[o] = have_now(o);
		if (short_of(&quotas[o], &have[o], &nothing))
			return "a quota is exceeded";
	}
	for (unsigned i = 0; i < JOBS; i++)
		for (unsigned o = 0; jobs[i].pick.shape && !blocked[i] && o < OWNERS; o++) {
			enum zn_scarce what = is_of(&jobs[i], o) ? short_of(&quotas[o], &have[o], &jobs[i].use) : ZN_SCARCE_NOTHING;
			blocked[i] = what;
			if (what && (!first[o] || goes_before(&jobs[i], first[o])) && !short_of(&quotas[o], &nothing, &jobs[i].use)) {
				first[o] = &jobs[i];
				lacks[o] = what;
			}
		}
	for (unsigned i = 0; i < JOBS; i++) {
		const struct job *j = &jobs[i];
		bool out = blocked[i], is_first = true;
		if (!j->pick.shape)
			continue;
		for (const struct job *k = jobs; k < j; k++)
			is_first &= k->pick.shape != j->pick.shape;
		for (unsigned o = 0; o < OWNERS; o++)
			out |= is_of(j, o) && first[o] && zn_use_needs(&j->use, lacks[o]) && goes_before(first[o], j);
		if (is_first && out != j->pick.shape->is_out)
			return out ? "one is not out who should be" : "one is out who should not be";
	}
	return NULL;
}

static void look(struct zn_hall *h, double now, bool arrival, struct seen *seen)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	bool early = false;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		j->early = false;
	zn_pick_begin(&pass, &h->pick, now);
	while ((pick = zn_pick_next(&pass))) {
		struct job *j = (struct job *)pick;
		j->place = (struct zn_hall_place){ j->spots, h->n_spots };
		memcpy(j->spots, h->spots, h->n_spots * sizeof(*j->spots));
		j->end_s = now + j->run_s;
		j->early = pass.filling;
		note(seen, not_right(books, j));
		book(books, j, 1);
		if (h->pick.payers)
			zn_payer_add(h->pick.payers, j->payer, &j->use);
		seen->started++;
		seen->early += j->early;
		early |= j->early;
		seen->over_nodes += j->place.n > 1;
		for (unsigned i = 0; i < j->place.n; i++)
			seen->sum = seen->sum * 31 + j->spots[i].node * 1009u + j->spots[i].gpus * 7 + (uint64_t)now;
		if (!all_stand(h, &pass))
			note(seen, "an early start delays a reservation");
		if (arrival && !h->pick.payers && j->promise_s && now > j->promise_s)
			note(seen, "later than it was promised");
	}
	if (h->pick.payers && arrival)
		note(seen, not_those_out());
	const struct job *head = (const struct job *)pass.first;
	if (!pass.filling || !head)
		return;
	seen->promises++;
	seen->others += pass.gap.n - 1;
	seen->sooner += pass.gap.by_time[0] > 0;
	double first_s = earliest(h, &pass, 0, now);
	if (h->steps_each == ZN_HALL_STEPS ? pass.gap.at_s[0] != first_s : pass.gap.at_s[0] < first_s)
		note(seen, "not promised the earliest time");
	seen->kept += pass.gap.at_s[0] > first_s;
	for (unsigned k = 1; k < pass.gap.n && !early && h->steps_each == ZN_HALL_STEPS; k++)
		if (pass.gap.at_s[k] != earliest(h, &pass, k, now))
			note(seen, "another than the first is not promised the earliest time");
	if (!all_stand(h, &pass))
		note(seen, "a reservation does not stand");
	if (missed_one(h, &pass, now))
		note(seen, "one could have started early, and did not");
	if (hides_one(h, &pass))
		note(seen, "a node is held back of which nothing is set aside");
	((struct job *)head)->promise_s = pass.gap.at_s[0];
}

/* ---- a day of it ------------------------------------------------------------------------------------------- */

static void make_nodes(struct zn_hall *h)
{
	static const unsigned sizes[] = { 0, 2, 4, 8, 8, 8, 8, 8 };
	const char *v[NODES];

	for (unsigned i = 0; i < NODES; i++) {
		struct book *b = &books[i];
		*b = (struct book){ .gpus = sizes[draw(8)], .model = draw(MODELS), .cpu = 1000 * (uint64_t)(8 + 8 * draw(12)), .mem = 8 + draw(64) };
		for (unsigned g = 0; g < b->gpus; g++)
			b->milli[g] = 1000;
		snprintf(paths[i], sizeof(paths[i]), "p%u/r%02u/", i / 20, i / 5);
		v[i] = paths[i];
		if (zn_hall_add(h, b->gpus, b->model, b->cpu, b->mem) < 0)
			abort();
	}
	if (wired && zn_hall_wire(h, v) < 0)
		abort();
}

static struct zn_fleet_gang make_gang(void)
{
	struct zn_fleet_gang g = { .n = 1, .task = { .gpus = draw(4) ? 1u << draw(4) : draw(9), .gpu_milli = 1000, .cpu_milli = 500 * draw(16),
	                                             .mem_bytes = draw(6), .models = draw(5) ? 0 : 1 + draw(7) } };

	if (g.task.gpus == 1 && draw(2))
		g.task.gpu_milli = 1 + draw(1000);
	if (!draw(4))
		g.task.cpu_milli = 1000 * draw(60);
	if (!draw(8))
		g.task.gpus = 0;
	if (!g.task.gpus)
		g.task.gpu_milli = 0;
	if (draw(3) || (g.task.gpus && g.task.gpu_milli < 1000))
		return g;
	g.task.gpus = 1 + (draw(4) == 0);
	g.task.gpu_milli = 1000;
	g.task.cpu_milli /= 4;
	g.n = 2 + draw(draw(6) ? 24 : TASKS - 2);
	g.same_switch = !draw(4);
	if (draw(3) == 0) {
		g.n = 2 + draw(6);
		g.task.gpus = 1 + draw(8);
		g.per_node = 1;
	}
	return g;
}

static void make_jobs(struct zn_hall *h)
{
	double at = 0;

	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &jobs[i];
		int64_t number;
		*j = (struct job){ .run_s = 1 + draw(500) };
		do
			j->gang = make_gang();
		while (zn_hall_could(h, &j->gang) < 0);
		number = zn_hall_gang(h, &j->gang);
		if (number < 0 || !has_room(books, &j->gang))
			abort();
		at += draw(3) ? draw(12) : 0;
		j->pick = (struct zn_pick_job){ .seq = i, .submit_s = at, .estimate_s = j->run_s * (1 + draw(3)), .gang = (uint32_t)number,
		                                .size = (float)zn_hall_size(h, &j->gang) };
		j->pick.limit_s = j->pick.estimate_s;
		struct zn_pick_ask ask = zn_hall_ask(&j->gang);
		j->use = zn_pick_use(&ask);
		j->user = draw(USERS);
		j->account = j->user < 2 ? draw(ACCOUNTS) : j->user % 2;
		j->priority = draw(3);
	}
}

static bool could_ever(const struct job *j)
{
	static const struct zn_use nothing;

	for (unsigned o = 0; o < OWNERS; o++)
		if (is_of(j, o) && short_of(&quotas[o], &nothing, &j->use))
			return false;
	return true;
}

static void find_payers(struct zn_payers *p)
{
	for (struct job *j = jobs; j < jobs + JOBS; j++) {
		int64_t payer = could_ever(j) ? zn_payers_get(p, names[j->user], names[USERS + j->account]) : 0;
		if (payer < 0)
			abort();
		j->payer = (uint32_t)payer;
		if (!payer) /* whom no quota lets start belongs to nobody */
			j->user = j->account = OWNERS;
	}
}

static struct job *next_end(void)
{
	struct job *next = NULL;

	for (struct job *j = jobs; j < jobs + JOBS; j++)
		if (runs(j) && (!next || j->end_s < next->end_s))
			next = j;
	return next;
}

/* If it waits.  Returns how many do not come to an end any more. */
static unsigned cancel(struct zn_hall *h, struct job *j, double now, struct seen *seen)
{
	if (!j->pick.shape)
		return 0;
	zn_pick_gone(&h->pick, &j->pick, now);
	j->ended = true;
	seen->started++;
	return 1;
}

static struct seen run(enum zn_pick_order order, unsigned seed, unsigned reservations, bool with_quotas, uint64_t steps_each)
{
	struct zn_payers payers;
	struct zn_hall h;
	struct seen seen = { 0 };
	unsigned come = 0, gone = 0;

	srand(seed);
	wired = seed % 3;
	if (zn_hall_init(&h, seed % 2 ? ZN_FLEET_FRAGMENT : ZN_FLEET_BESTFIT, reservations) < 0)
		abort();
	make_nodes(&h);
	if (zn_hall_open(&h, (struct zn_pick_policy){ .order = order, .backfill = true, .reservations = reservations }, place_of) < 0)
		abort();
	h.steps_each = steps_each;
	make_jobs(&h);
	make_quotas();
	zn_payers_init(&payers, (struct zn_quotas){ quotas, with_quotas ? OWNERS : 0 }, (struct zn_shares){ 0 });
	find_payers(&payers);
	h.pick.payers = with_quotas ? &payers : NULL;
	while (gone < JOBS) {
		struct job *end = next_end();
		double now = come < JOBS ? jobs[come].pick.submit_s : 1e18;
		if (come == JOBS && !end)
			break; /* somebody never starts */
		now = end && end->end_s < now ? end->end_s : now;
		for (; (end = next_end()) && end->end_s <= now; gone++) {
			zn_hall_end(&h, &end->pick, now);
			book(books, end, -1);
			if (with_quotas)
				zn_payer_take(&payers, end->payer, &end->use);
			end->ended = true;
		}
		for (; come < JOBS && jobs[come].pick.submit_s <= now; come++)
			if (zn_hall_wait(&h, &jobs[come].pick, jobs[come].pick.gang, with_quotas ? jobs[come].priority : 0, with_quotas ? jobs[come].payer : 0, false) < 0)
				abort();
		if (with_quotas && !draw(8))
			gone += cancel(&h, &jobs[draw(JOBS)], now, &seen);
		look(&h, now, order == ZN_PICK_ARRIVAL, &seen);
	}
	if (h.now.used_milli || h.rc < 0)
		note(&seen, "something is left");
	zn_hall_done(&h);
	zn_payers_done(&payers);
	return seen;
}

static void test_rounds(enum zn_pick_order order, unsigned reservations, bool with_quotas, uint64_t steps_each, const char *name)
{
	unsigned at = 0, rounds = tap_rounds(reservations > 1 ? ROUNDS_OF_MANY : ROUNDS);
	struct seen all = { 0 };
	const char *wrong = NULL;

	for (unsigned i = 1; i <= rounds && !wrong; i++) {
		struct seen s = run(order, i, reservations, with_quotas, steps_each), again = run(order, i, reservations, with_quotas, steps_each);
		wrong = s.wrong ? s.wrong : s.started != JOBS ? "somebody never started" : s.sum != again.sum ? "another time otherwise" : NULL;
		at = i;
		all.promises += s.promises;
		all.others += s.others;
		all.sooner += s.sooner;
		all.early += s.early;
		all.over_nodes += s.over_nodes;
		all.kept += s.kept;
	}
	tap_ok(!wrong, "%s, %u reservations: %u rounds of %d jobs on %d nodes: %s (round %u)", name, reservations, rounds, JOBS, NODES,
	       wrong ? wrong : "nothing wrong", at);
	tap_ok((steps_each == ZN_HALL_STEPS) == !all.kept, "%u times what was set aside was kept where an earlier time would have been found", all.kept);
	tap_ok(all.promises > 1000 && all.early > 1000 && all.over_nodes > 300, "with %u reservations, %u early starts, %u gangs over several nodes",
	       all.promises, all.early, all.over_nodes);
	tap_ok(reservations == 1 || (all.others > 1000 && all.sooner > 100), "%u of others than the first, %u times one sooner than his", all.others, all.sooner);
}

/* ---- a few by hand ----------------------------------------------------------------------------------------- */

static void test_wiring(void)
{
	static const char *const twice[] = { "a/x", "b/x", "a/y" }, *const fine[] = { "a/x", "a/y", "b/x" };
	struct zn_fleet f;

	zn_fleet_init(&f, ZN_FLEET_FRAGMENT, 1);
	for (unsigned i = 0; i < 3; i++)
		if (zn_fleet_add(&f, 8, 0, ZN_FLEET_UNKNOWN, ZN_FLEET_UNKNOWN) < 0)
			abort();
	tap_ok(zn_fleet_wire(&f, twice) == -EINVAL, "a domain whose nodes do not follow each other is refused");
	tap_ok(zn_fleet_wire(&f, fine) == 0, "and one below another of the same name is another");
	struct zn_fleet_gang g = { .task = { .gpus = 1, .gpu_milli = 1000 }, .n = 12 };
	struct zn_fleet_spot spots[12];
	uint32_t n;
	bool ok = zn_fleet_choose_gang(&f, &g, spots, &n) == 0 && n == 2 && spots[0].node == 0 && spots[1].node == 1 &&
	          spots[0].tasks == 8 && spots[1].tasks == 4 && spots[0].gpus == 0xff && spots[1].gpus == 0xf;
	tap_ok(ok, "12 of them fill a node, and the rest is near");
	g.n = 25;
	tap_ok(zn_fleet_choose_gang(&f, &g, spots, &n) == -EAGAIN, "25 do not go on 24 GPUs");
	zn_fleet_done(&f);
}

int main(void)
{
	static const unsigned reservations[] = { 1, 2, 4 };

	for (size_t i = 0; i < sizeof(reservations) / sizeof(*reservations); i++) {
		test_rounds(ZN_PICK_ARRIVAL, reservations[i], false, ZN_HALL_STEPS, "in order of arrival");
		test_rounds(ZN_PICK_SLOWDOWN, reservations[i], false, ZN_HALL_STEPS, "by slowdown");
		test_rounds(ZN_PICK_ARRIVAL, reservations[i], true, ZN_HALL_STEPS, "in order of arrival with quotas");
		test_rounds(ZN_PICK_SLOWDOWN, reservations[i], true, ZN_HALL_STEPS, "by slowdown with quotas");
		test_rounds(ZN_PICK_ARRIVAL, reservations[i], false, 5, "in order of arrival, seldom looking ahead");
		test_rounds(ZN_PICK_SLOWDOWN, reservations[i], true, 1, "by slowdown with quotas, seldom looking ahead");
	}
	test_wiring();
	return tap_done();
}
