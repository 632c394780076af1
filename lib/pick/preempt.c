#include "pick/preempt.h"

#include <math.h>
#include <stdlib.h>

static const double first_safe_s = 60;

int64_t zn_victim_priority(const struct zn_pick_job *job, int64_t priority)
{
	return job->is_over ? INT64_MIN : priority;
}

bool zn_victim_weigh(struct zn_victim *v, int64_t priority, double now_s, double *safe_until_s)
{
	double ran_s = fmax(0, now_s - v->job->start_s), safe_s = v->times ? ldexp(first_safe_s, (int)v->times - 1) : 0;

	v->lost_s = ran_s * (v->gpu_milli ? v->gpu_milli / 1e3 : v->gpus ? v->gpus : 1);
	if (v->goes || v->priority >= priority || zn_line_was_last(v->job))
		return false;
	double until_s = v->job->start_s + safe_s;
	if (fmax(now_s, v->job->start_s) >= until_s) /* not by ran_s, which may be rounded: at that time it may */
		return true;
	if (*safe_until_s == 0 || until_s < *safe_until_s)
		*safe_until_s = until_s;
	return false;
}

/* Who goes already comes first, then who costs least. */
static int by_cost(const void *a, const void *b)
{
	const struct zn_victim *x = a, *y = b;

	if (x->goes != y->goes)
		return y->goes - x->goes;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->times != y->times)
		return x->times < y->times ? -1 : 1;
	if (x->lost_s != y->lost_s)
		return x->lost_s < y->lost_s ? -1 : 1;
	return (x->job->seq < y->job->seq) - (x->job->seq > y->job->seq);
}

struct choice {
	const struct zn_then_ops *then;
	void *arg;
	struct zn_victim *v;
	size_t going, n;               /* v[0..going) go already */
	bool *out;                     /* of each: it is to be preempted */
};

/* Without those who go. */
static void begin(struct choice *c)
{
	c->then->begin(c->arg);
	for (size_t i = 0; i < c->going; i++)
		c->then->give(c->arg, c->v[i].job);
}

static bool is_room(struct choice *c)
{
	begin(c);
	for (size_t i = c->going; i < c->n; i++)
		if (c->out[i])
			c->then->give(c->arg, c->v[i].job);
	return c->then->has_room(c->arg);
}

/* Among those of the lowest priorities with which it will do: how many these are; 0: with none it will. */
static size_t find_enough(struct choice *c)
{
	begin(c);
	for (size_t to = c->going; to < c->n;) {
		int64_t priority = c->v[to].priority;
		for (; to < c->n && c->v[to].priority == priority; to++)
			c->then->give(c->arg, c->v[to].job);
		if (c->then->has_room(c->arg))
			return to;
	}
	return 0;
}

/* One that will do alone. */
static bool find_one(struct choice *c, size_t to)
{
	for (size_t i = c->going; i < to; i++) {
		c->out[i] = true;
		if (is_room(c))
			return true;
		c->out[i] = false;
	}
	return false;
}

/* The first few, without those who are not needed: who costs most stays if it can. */
static void find_few(struct choice *c, size_t to)
{
	size_t few = c->going;

	begin(c);
	for (; few < to && !c->then->has_room(c->arg); few++) {
		c->then->give(c->arg, c->v[few].job);
		c->out[few] = true;
	}
	while (few-- > c->going) {
		c->out[few] = false;
		c->out[few] = !is_room(c);
	}
}

static size_t to_front(struct choice *c)
{
	size_t n = 0;

	for (size_t i = c->going; i < c->n; i++) {
		if (!c->out[i])
			continue;
		struct zn_victim one = c->v[i];
		c->v[i] = c->v[n];
		c->v[n++] = one;
	}
	return n;
}

/* All of them have too little of what can be counted. */
static bool is_hopeless(uint64_t lacks_gpus, const struct zn_victim *v, size_t n)
{
	uint64_t gpus = 0;

	for (size_t i = 0; i < n; i++)
		gpus += v[i].gpus;
	return gpus < lacks_gpus;
}

size_t zn_victims_choose(const struct zn_then_ops *then, void *arg, uint64_t lacks_gpus, struct zn_victim *v, size_t n, bool *ret_enough)
{
	struct choice c = { .then = then, .arg = arg, .v = v, .n = n };
	size_t found = 0;

	*ret_enough = false;
	if (!n || is_hopeless(lacks_gpus, v, n))
		return 0;
	c.out = calloc(n, sizeof(*c.out));
	if (!c.out)
		return 0; /* nobody, then */
	qsort(v, n, sizeof(*v), by_cost);
	while (c.going < n && v[c.going].goes)
		c.going++;
	bool fits = is_room(&c);
	size_t to = fits ? 0 : find_enough(&c);
	*ret_enough = fits && c.going;
	if (to && !find_one(&c, to))
		find_few(&c, to);
	if (to)
		found = to_front(&c);
	free(c.out);
	return found;
}

/* ---- in a room --------------------------------------------------------------------------------------------- */

struct room_then { struct zn_room *room; const struct zn_pick_ask *ask; double over_s; };

static void room_begin(void *arg)
{
	struct room_then *t = arg;

	zn_room_future(t->room, t->ask->priority, t->over_s);
}

static void room_give(void *arg, const struct zn_pick_job *job)
{
	zn_room_future_give(((struct room_then *)arg)->room, job);
}

static bool room_has_room(void *arg)
{
	struct room_then *t = arg;

	return zn_room_future_fits(t->room, t->ask);
}

static const struct zn_then_ops room_then_ops = { .begin = room_begin, .give = room_give, .has_room = room_has_room };

size_t zn_room_preempt(struct zn_room *r, const struct zn_pick_job *head, double now_s, struct zn_victim *v, size_t n, bool *ret_enough)
{
	const struct zn_pick_ask *ask = &head->shape->ask;
	uint64_t free = 0;

	for (uint32_t i = 0; i < r->n; i++)
		free += zn_idset_count(&r->nodes[i].free.gpus);
	uint64_t lacks = ask->part.milli || ask->gpus < free ? 0 : ask->gpus - free;
	struct room_then then = { r, ask, now_s + head->limit_s };
	return zn_victims_choose(&room_then_ops, &then, lacks, v, n, ret_enough);
}
