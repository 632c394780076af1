#include "pick/pick.h"

#include <math.h>

void zn_pick_init(struct zn_pick *p, struct zn_pick_policy policy, double total, const struct zn_pick_ops *ops, void *arg)
{
	*p = (struct zn_pick){ .policy = policy, .line = { .order = policy.order, .total = total }, .ops = ops, .arg = arg };
}

void zn_pick_done(struct zn_pick *p)
{
	zn_line_done(&p->line);
}

int zn_pick_wait(struct zn_pick *p, struct zn_pick_job *job, const struct zn_pick_ask *ask)
{
	return zn_line_add(&p->line, job, ask);
}

void zn_pick_runs(struct zn_pick *p, struct zn_pick_job *job, double start_s, uint64_t weight)
{
	job->runs = true;
	job->start_s = start_s;
	job->running = (struct zn_row_node){ .key = start_s + job->limit_s, .seq = job->seq, .weight = weight };
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

static struct zn_pick_job *start(struct zn_pick_pass *pass, struct zn_pick_job *job)
{
	struct zn_pick *p = pass->pick;
	uint64_t weight = job->shape->ask.gpus;

	zn_line_remove(&p->line, job);
	zn_line_charge(&p->line, job, job->estimate_s);
	zn_pick_runs(p, job, pass->now_s, weight);
	job->charged = true;
	return job;
}

/* Sets what the first in line needs aside.  False: it could never start. */
static bool reserve(struct zn_pick_pass *pass, const struct zn_pick_job *head, bool must)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_gap *gap = &pass->gap;
	struct zn_row_node *cut = p->policy.depth ? zn_row_nth(&p->line.all, p->policy.depth) : NULL;

	if (!p->ops->reserve(p->arg, head, pass->now_s, gap))
		return false;
	if (must && gap->shadow_s == HUGE_VAL)
		gap->shadow_s = -HUGE_VAL;
	gap->has_last = cut != NULL;
	gap->last_seq = cut ? cut->seq : 0;
	pass->filling = true;
	return true;
}

static struct zn_pick_job *fill(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_gap *gap = &pass->gap;
	struct zn_pick_job *job;

	while ((job = zn_line_fitting(&p->line, gap, pass->now_s))) {
		bool beside = pass->now_s + job->limit_s > gap->shadow_s;
		if (p->ops->take(p->arg, job, beside, gap))
			return start(pass, job);
		*(beside ? &job->shape->no_room_beside : &job->shape->no_room) = gap->pass;
	}
	return NULL;
}

void zn_pick_begin(struct zn_pick_pass *pass, struct zn_pick *p, double now_s)
{
	*pass = (struct zn_pick_pass){ .pick = p, .now_s = now_s, .gap.pass = ++p->passes };
	p->ops->begin(p->arg, &pass->gap.now);
	pass->gap.beside = pass->gap.now;
}

/* ---- who may have more ------------------------------------------------------------------------------------- */

#define each_paid(s, p) \
	for (struct zn_pick_shape *s = (p)->line.shapes; s; s = s->hh.next) \
		if (s->ask.payer)

/* Out is what its payer may not have now.  Of each owner the first such job is kept. */
static void find_out(struct zn_pick *p, double now_s)
{
	for (struct zn_owner *o = p->payers->owners; o; o = o->hh.next)
		o->first = NULL;
	each_paid(s, p) {
		struct zn_use use = zn_pick_use(&s->ask);
		enum zn_scarce what;
		bool for_now;
		struct zn_owner *o = zn_payer_blocks(p->payers, s->ask.payer, &use, &what, &for_now);
		zn_line_set_out(&p->line, s, o != NULL);
		s->factor = zn_payer_factor(p->payers, s->ask.payer);
		if (!o || !for_now)
			continue;
		struct zn_pick_job *job = zn_line_first_of(&p->line, s, now_s);
		if (!o->first || zn_line_goes_before(&p->line, job, o->first, now_s)) {
			o->first = job;
			o->first_lacks = what;
		}
	}
}

/* So is what comes after such a job of the same owner and needs what it lacks: or small ones would take what a large one
 * waits for, for ever.
 */
static void keep_behind(struct zn_pick *p, double now_s)
{
	each_paid(s, p) {
		struct zn_use use = zn_pick_use(&s->ask);
		for (int i = 0; !s->is_out && i < 2; i++) {
			const struct zn_owner *o = p->payers->v[s->ask.payer - 1].owner[i];
			if (o && o->first && zn_use_needs(&use, o->first_lacks) &&
			    zn_line_goes_before(&p->line, o->first, zn_line_first_of(&p->line, s, now_s), now_s))
				zn_line_set_out(&p->line, s, true);
		}
	}
}

/* The caller has counted what started before. */
static void ask_payers(struct zn_pick *p, double now_s)
{
	if (!p->line.n_paid || !p->payers)
		return;
	find_out(p, now_s);
	if (p->payers->owners)
		keep_behind(p, now_s);
}

struct zn_pick_job *zn_pick_next(struct zn_pick_pass *pass)
{
	struct zn_pick *p = pass->pick;
	struct zn_pick_job *head;
	bool must;

	ask_payers(p, pass->now_s);
	while (!pass->filling && (head = zn_line_head(&p->line, pass->gap.pass, pass->now_s, &must))) {
		if (!head->shape->sleeps && zn_pick_fits(&head->shape->ask, &pass->gap.now) &&
		    p->ops->take(p->arg, head, false, &pass->gap))
			return start(pass, head);
		if (!p->policy.backfill)
			return NULL;
		head->shape->no_room = pass->gap.pass;
		if (reserve(pass, head, must))
			pass->first = head;
	}
	return pass->filling ? fill(pass) : NULL;
}
