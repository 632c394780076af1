#include "pick/pick.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "pick/kinds.h"

void zn_pick_init(struct zn_pick *p, struct zn_pick_policy policy, double total, const struct zn_pick_ops *ops, void *arg)
{
	*p = (struct zn_pick){ .policy = policy, .line = { .order = policy.order, .total = total, .growth = 1 }, .ops = ops, .arg = arg };
	if (!policy.reservations)
		p->policy.reservations = 1;
}

void zn_pick_done(struct zn_pick *p)
{
	zn_line_done(&p->line);
	free(p->kinds.v);
}

int zn_pick_wait(struct zn_pick *p, struct zn_pick_job *job, const struct zn_pick_ask *ask)
{
	struct zn_pick_ask wanted = *ask;

	if (zn__kinds_room(&p->kinds, HASH_COUNT(p->line.kinds_by_ask) + 1) < 0)
		return -ENOMEM;
	wanted.may_exceed = ask->may_exceed && p->payers && zn_payer_has_soft(p->payers, ask->payer); /* else it is a shape for nothing */
	return zn_line_add(&p->line, job, &wanted);
}

void zn_pick_runs(struct zn_pick *p, struct zn_pick_job *job, double start_s, uint64_t weight)
{
	job->runs = true;
	job->start_s = start_s;
	zn_row_node_init(&job->running, start_s + job->limit_s, job->seq);
	job->running.weight = weight;
	zn_row_add(&p->running, &job->running);
}

void zn_pick_gone(struct zn_pick *p, struct zn_pick_job *job, double now_s)
{
	if (job->shape)
		zn_line_remove(&p->line, job);
	if (!job->runs)
		return;
	double unused_s = job->start_s + job->estimate_s - now_s;
	zn_row_remove(&p->running, &job->running);
	if (job->charged && unused_s > 0)
		zn_line_charge(&p->line, job, -unused_s);
	job->runs = job->charged = false;
}

void zn_pick_set_limit(struct zn_pick *p, struct zn_pick_job *job, double estimate_s, double limit_s)
{
	zn_row_remove(&p->running, &job->running);
	if (job->charged)
		zn_line_charge(&p->line, job, estimate_s - job->estimate_s);
	job->estimate_s = estimate_s;
	job->limit_s = limit_s;
	job->running.key = job->start_s + limit_s;
	zn_row_add(&p->running, &job->running);
}

/* ---- a pass ------------------------------------------------------------------------------------------------ */

static double factor(const void *arg, uint32_t payer)
{
	const struct zn_pick *p = arg;

	return zn_weigh_share(&p->line.weights, zn_payer_factor(p->payers, payer));
}

void zn_pick_weigh(struct zn_pick *p)
{
	zn_line_set_factors(&p->line, p->weighed_s != p->payers->leaves.weighed_s, (uint32_t)p->payers->n, factor, p);
	p->weighed_s = p->payers->leaves.weighed_s;
}

void zn_pick_begin(struct zn_pick_pass *pass, struct zn_pick *p, double now_s)
{
	pass->pick = p;
	pass->now_s = now_s;
	pass->filling = pass->over = pass->reserved = pass->ready = false;
	pass->again = NULL;
	pass->first = NULL;
	pass->ahead.n = 0;
	zn_gap_init(&pass->gap, ++p->passes);
	p->ops->begin(p->arg, now_s, &pass->gap);
	pass->gap.closings = pass->gap.n;
	if (!p->payers)
		return;
	zn_pick_exceed(p, false, now_s);
	zn_pick_weigh(p);
}

static struct zn_pick_job *start(struct zn_pick_pass *pass, struct zn_pick_job *job)
{
	struct zn_pick *p = pass->pick;
	uint64_t weight = job->shape->ask.gpus;
	bool more = false, may_exceed = job->shape->ask.may_exceed;
	struct zn_pick_job *one = job->many ? p->part(p->part_arg, job, &more) : job;

	pass->again = more ? job->shape->kind : zn_line_remove(&p->line, job);
	zn_line_charge(&p->line, one, one->estimate_s);
	zn_pick_runs(p, one, pass->now_s, weight);
	one->charged = true;
	one->is_over = p->exceeds && may_exceed;
	return one;
}

/* ---- the first in line ------------------------------------------------------------------------------------- */

static struct zn_pick_job *find_head(struct zn_pick_pass *pass, bool *ret_must)
{
	struct zn_pick_job *promised = pass->pick->promised;
	struct zn_line *l = &pass->pick->line;

	*ret_must = false;
	pass->pick->promised = NULL;
	if (promised && !promised->shape->is_out)
		return promised;
	struct zn_pick_job *oldest = l->order == ZN_PICK_SLOWDOWN ? zn_line_oldest(l, pass->gap.pass) : NULL;

	*ret_must = oldest && zn_line_must(l, oldest);
	return *ret_must ? oldest : zn_line_first(l, pass->gap.pass, pass->now_s);
}

/* Adds a reservation.  False: it could never start. */
static bool reserve(struct zn_pick_pass *pass, const struct zn_pick_job *job, bool must)
{
	struct zn_pick *p = pass->pick;

	if (!p->ops->reserve(p->arg, job, pass->now_s, must, &pass->gap))
		return false;
	pass->ahead.v[pass->ahead.n++] = job;
	return true;
}

static bool reserve_first(struct zn_pick_pass *pass, const struct zn_pick_job *head, bool must)
{
	struct zn_pick *p = pass->pick;
	struct zn_row_node *cut = p->policy.depth ? zn_row_nth(&p->line.all, p->policy.depth) : NULL;

	zn_gap_cut(&pass->gap, pass->gap.closings);
	pass->ahead.n = 0;
	if (!reserve(pass, head, must))
		return false;
	pass->gap.has_last = cut != NULL;
	pass->gap.last_seq = cut ? cut->seq : 0;
	pass->filling = true;
	return true;
}

/* ---- those behind it -------------------------------------------------------------------------------------- */

/* Gives it what it asks for, if there is room beside the reservations. */
static bool take_beside(struct zn_pick_pass *pass, struct zn_pick_job *job)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_kind *k = job->shape->kind;
	uint32_t level = zn_gap_level(&pass->gap, pass->now_s + job->limit_s);

	if (job->shape->sleeps || k->no_room == pass->gap.pass || !zn_pick_fits(&k->ask, &pass->gap.have[level]))
		return false;
	if (p->ops->take(p->arg, job, level, &pass->gap))
		return true;
	if (level == 0)
		k->no_room = pass->gap.pass;
	return false;
}

/* One after the other starts, or has a reservation, until so many have one.  Returns who starts. */
static struct zn_pick_job *start_or_reserve(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_job *job;
	bool must;

	while (pass->ahead.n < p->policy.reservations && (job = zn_line_behind(&p->line, &pass->ahead, &pass->gap, pass->now_s, &must))) {
		if (take_beside(pass, job))
			return start(pass, job);
		if (!reserve(pass, job, must))
			job->shape->kind->never = pass->gap.pass;
	}
	pass->reserved = true;
	return NULL;
}

/* ---- who may start early ----------------------------------------------------------------------------------- */

/* What of a class may, for which there is room up to a level: its first, if that is the highest, or the first that is in time. */
static struct zn_pick_job *next_in(const struct zn_pick_pass *pass, const struct zn_pick_class *c, uint32_t level)
{
	const struct zn_pick_gap *gap = &pass->gap;
	struct zn_row_node *node;

	if (c->shape->sleeps)
		return NULL;
	node = level == gap->n ? &c->first->in_class : zn_row_first_within(&c->jobs, pass->now_s, zn_gap_until(gap, level));
	if (!node || (gap->has_last && node->seq > gap->last_seq))
		return NULL;
	return zn_pick_job_of(node, in_class);
}

static void offer(const struct zn_pick_pass *pass, struct zn_pick_kind *k, struct zn_pick_job *job)
{
	struct zn_line_head h = zn_line_head_of(job);
	double score = zn_line_score(&pass->pick->line, &h, pass->now_s);

	if (k->next && !zn_line_head_before(&h, score, &k->next_head, k->next_score))
		return;
	k->next = job;
	k->next_head = h;
	k->next_score = score;
}

static bool is_over_in_time(const struct zn_pick_pass *pass, double low_s, uint32_t level)
{
	return level == pass->gap.n || pass->now_s + low_s <= zn_gap_until(&pass->gap, level);
}

/* All classes of a kind; those without a job that is in time are passed over. */
static void look_at_classes(const struct zn_pick_pass *pass, struct zn_pick_kind *k, uint32_t level)
{
	double low_s = HUGE_VAL;

	if (!is_over_in_time(pass, k->low_s, level))
		return;
	for (uint32_t i = 0; i < k->n_heads; i++) {
		const struct zn_line_head *h = &k->heads[i];
		low_s = h->low_s < low_s ? h->low_s : low_s;
		struct zn_pick_job *job = is_over_in_time(pass, h->low_s, level) ? next_in(pass, h->class, level) : NULL;
		if (job)
			offer(pass, k, job);
	}
	k->low_s = low_s;
}

/* No room was found for it above that level. */
static void cap(const struct zn_pick_pass *pass, struct zn_pick_kind *k, uint32_t level)
{
	k->cap = k->capped == pass->gap.pass && k->cap < level ? k->cap : level;
	k->capped = pass->gap.pass;
}

/* Whether there may be room for it at a level. */
static bool may_fit(const struct zn_pick_pass *pass, const struct zn_pick_kind *k, uint32_t level)
{
	return (k->capped != pass->gap.pass || level <= k->cap) && zn_pick_fits(&k->ask, &pass->gap.have[level]);
}

/* Whether it has room now, and up to which level; asked once in a pass, where that is faster than trying. */
static void look_for_room(const struct zn_pick_pass *pass, struct zn_pick_kind *k)
{
	const struct zn_pick *p = pass->pick;
	const struct zn_pick_gap *gap = &pass->gap;
	const struct zn_pick_job *one = k->shapes->classes[0]->first;
	uint32_t level = 0;

	if (!p->ops->fits || k->no_room == gap->pass || !zn_pick_fits(&k->ask, &gap->have[0]))
		return;
	if (!p->ops->fits(p->arg, one, 0)) {
		k->no_room = gap->pass;
		return;
	}
	while (level < gap->n && zn_pick_fits(&k->ask, &gap->have[level + 1]) && p->ops->fits(p->arg, one, level + 1))
		level++;
	cap(pass, k, level);
}

/* Finds out who of a kind is the next, if anybody. */
static void find_next(const struct zn_pick_pass *pass, struct zn_pick_kind *k)
{
	struct zn_pick *p = pass->pick;
	const struct zn_pick_gap *gap = &pass->gap;
	uint32_t level = gap->n;

	k->next = NULL;
	if (k->no_room == gap->pass || !zn_pick_fits(&k->ask, &gap->have[0]))
		return;
	while (level && !may_fit(pass, k, level))
		level--;
	struct zn_pick_job *first = level == gap->n && k->n_heads ? next_in(pass, zn_line_top(&p->line, k, pass->now_s).head->class, level) : NULL;
	if (first)
		offer(pass, k, first);
	else
		look_at_classes(pass, k, level);
	if (k->next)
		zn__kinds_push(&p->kinds, k);
}

static void find_all_next(struct zn_pick_pass *pass)
{
	pass->pick->kinds.n = 0;
	for (struct zn_pick_kind *k = pass->pick->line.kinds; k; k = k->next_kind) {
		if (!k->n_heads) /* all of it is out */
			continue;
		look_for_room(pass, k);
		find_next(pass, k);
	}
	pass->ready = true;
}

static struct zn_pick_job *fill(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_gap *gap = &pass->gap;
	struct zn_pick_kind *k;

	if (!pass->ready)
		find_all_next(pass);
	else if (pass->again)
		find_next(pass, pass->again);
	pass->again = NULL;
	while ((k = zn__kinds_pop(&p->kinds))) {
		struct zn_pick_job *job = k->next;
		uint32_t level = zn_gap_level(gap, pass->now_s + job->limit_s);
		if (!job->shape->is_out && may_fit(pass, k, level)) { /* now that others have started */
			if (p->ops->take(p->arg, job, level, gap))
				return start(pass, job);
			if (level)
				cap(pass, k, level - 1);
			else
				k->no_room = gap->pass;
		}
		find_next(pass, k);
	}
	return NULL;
}

/* Others make room for head: what that leaves may be used. */
static bool make_room(struct zn_pick_pass *pass, struct zn_pick_job *head)
{
	struct zn_pick *p = pass->pick;

	if (p->exceeds || !p->preempt || !p->preempt(p->preempt_arg, head, pass->now_s))
		return false;
	p->promised = p->preempt_at_once ? head : NULL;
	return true;
}

static struct zn_pick_job *next(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_job *head, *job;
	bool must;

	if (zn_pick_ask_payers(p, pass->now_s))
		pass->ready = false;
	while (!pass->filling && (head = find_head(pass, &must))) {
		uint32_t level = zn_gap_level(&pass->gap, pass->now_s + head->limit_s);
		if (!head->shape->sleeps && zn_pick_fits(&head->shape->ask, &pass->gap.have[level]) &&
		    p->ops->take(p->arg, head, level, &pass->gap))
			return start(pass, head);
		pass->over = !p->policy.backfill;
		if (pass->over)
			return NULL;
		if (level == 0)
			head->shape->kind->no_room = pass->gap.pass;
		if (!reserve_first(pass, head, must)) {
			head->shape->kind->never = pass->gap.pass;
			continue;
		}
		pass->first = head;
		if (!make_room(pass, head))
			continue;
		pass->over = p->preempt_at_once;
		if (pass->over)
			return NULL;
		if (reserve_first(pass, head, must))
			zn_gap_move_last(&pass->gap, -HUGE_VAL); /* they may be gone sooner than they must */
	}
	pass->filling |= pass->gap.closings > 0; /* who could never start may have kept back who is shorter */
	if (!pass->filling)
		return NULL;
	job = pass->reserved ? NULL : start_or_reserve(pass);
	return job ? job : fill(pass);
}

struct zn_pick_job *zn_pick_next(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_job *job = next(pass);

	if (job || pass->over || p->exceeds || !p->line.n_may_exceed)
		return job;
	zn_pick_exceed(p, true, pass->now_s);
	return next(pass);
}
