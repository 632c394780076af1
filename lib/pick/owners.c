/* owners: who may have more.  What an owner may not have now is out, and so is what comes behind it and needs what it lacks.
 * Up to the soft limits at first; when nobody else starts, what may exceed those up to the hard ones (zn_pick_exceed).
 *
 * That is asked again of those alone whose jobs came, started or ended, or whose hours came or went, since it was asked last,
 * or after a minute, as the order changes with the time; and of who shares an owner with them who keeps somebody back.
 */
#include "pick/pick.h"

#include <utlist.h>

#define each_shape(s, p, payer) \
	for (struct zn_pick_paid *s = (p)->line.payers[payer].v; s < (p)->line.payers[payer].v + (p)->line.payers[payer].n; s++)
#define each_owner(o, p, payer) \
	for (int i_ = 0; i_ < 2; i_++) \
		for (struct zn_owner *o = (p)->payers->v[(payer) - 1].owner[i_]; o; o = NULL)

/* ---- the payers of an owner of whom something waits -------------------------------------------------------------- */

static void link_payer(struct zn_pick *p, uint32_t payer)
{
	struct zn_pick_payer *v = p->line.payers;

	each_owner(o, p, payer) {
		v[payer].before[i_] = 0;
		v[payer].after[i_] = o->waiting;
		if (o->waiting)
			v[o->waiting].before[i_] = payer;
		o->waiting = payer;
	}
	v[payer].is_linked = true;
}

static void unlink_payer(struct zn_pick *p, uint32_t payer)
{
	struct zn_pick_payer *v = p->line.payers;

	each_owner(o, p, payer) {
		uint32_t before = v[payer].before[i_], after = v[payer].after[i_];
		*(before ? &v[before].after[i_] : &o->waiting) = after;
		if (after)
			v[after].before[i_] = before;
		v[payer].seen[i_] = o->seen;
	}
	v[payer].is_linked = false;
}

/* ---- who is asked ------------------------------------------------------------------------------------------------ */

static struct zn_owner_seen look_at(struct zn_owner *o, double now_s)
{
	struct zn_owner_seen seen = { .changed = o->changed, .tight = zn_owner_is_tight(o) };

	for (unsigned i = 0; i < ZN_QUOTA_LEVELS; i++)
		seen.hours[i] = zn_owner_has_hours(o, (enum zn_quota_level)i, now_s);
	return seen;
}

/* Whether what he has changed, where that was or is too much for any more jobs of his, or his hours came or went. */
static bool is_other(const struct zn_owner_seen *was, const struct zn_owner_seen *is)
{
	bool hours = was->hours[ZN_QUOTA_SOFT] != is->hours[ZN_QUOTA_SOFT] || was->hours[ZN_QUOTA_HARD] != is->hours[ZN_QUOTA_HARD];

	return hours || (was->changed != is->changed && (was->tight || is->tight));
}

static bool keeps_back(const struct zn_owner *o)
{
	return o->first[ZN_QUOTA_SOFT].shape || o->first[ZN_QUOTA_HARD].shape;
}

/* All who share him are. */
static void ask_all_of(struct zn_pick *p, struct zn_owner *o, double now_s)
{
	if (o->stale)
		return;
	o->stale = true;
	if (keeps_back(o))
		DL_DELETE(p->payers->keep_back, o);
	o->first[ZN_QUOTA_SOFT].shape = o->first[ZN_QUOTA_HARD].shape = NULL;
	o->asked_s = now_s;
	for (uint32_t i = o->waiting; i; i = p->line.payers[i].after[o->which])
		zn_line_ask(&p->line, i);
}

static void look_again(struct zn_pick *p, struct zn_owner *o, double now_s)
{
	if (!o->waiting)
		return;
	struct zn_owner_seen was = o->seen;
	o->seen = look_at(o, now_s);
	if (is_other(&was, &o->seen))
		ask_all_of(p, o, now_s);
}

/* Of a payer of whom a job came or left. */
static void look_at_owners(struct zn_pick *p, uint32_t payer, double now_s)
{
	struct zn_pick_payer *known = &p->line.payers[payer];
	bool came = !known->is_linked;

	if (came)
		link_payer(p, payer);
	each_owner(o, p, payer) {
		o->seen = look_at(o, now_s);
		if (came && is_other(&known->seen[i_], &o->seen))
			ask_all_of(p, o, now_s);
	}
}

/* Of his owners: the most that one job of theirs asks. */
static void note_wants(struct zn_pick *p, uint32_t payer)
{
	each_owner(o, p, payer)
		each_shape(s, p, payer)
			zn_owner_wants(o, &s->use);
}

/* It is a minute, or the clock was set back. */
static bool is_due(const struct zn_owner *o, double now_s)
{
	return now_s < o->asked_s || now_s - o->asked_s > ZN_LINE_SLOWLY_S;
}

/* Beside those of whom a job came or left. */
static void find_stale(struct zn_pick *p, double now_s)
{
	struct zn_payers *payers = p->payers;
	struct zn_line *l = &p->line;
	uint32_t n = l->n_to_ask;

	for (uint32_t i = 0; i < n; i++)
		note_wants(p, l->to_ask[i]);
	for (struct zn_owner *o; (o = payers->changed);) {
		payers->changed = o->next_changed;
		o->in_changed = false;
		look_again(p, o, now_s);
	}
	for (struct zn_owner *o = payers->timed; o; o = o->next_timed)
		look_again(p, o, now_s);
	while (payers->keep_back && is_due(payers->keep_back, now_s))
		ask_all_of(p, payers->keep_back, now_s);
	for (uint32_t i = 0; i < n; i++)
		look_at_owners(p, l->to_ask[i], now_s);
}

/* ---- what they may not have -------------------------------------------------------------------------------------- */

static double score(struct zn_pick *p, struct zn_pick_paid *s, double now_s)
{
	zn_line_find_first(&p->line, s, now_s);
	return zn_line_score(&p->line, &s->first_head, now_s);
}

static const struct zn_line_head *head_of_first(const struct zn_pick *p, const struct zn_owner_first *first)
{
	return &zn_line_paid(&p->line, first->shape)->first_head;
}

/* The first of what an owner may not have now is kept. */
static void note_blocked(struct zn_pick *p, struct zn_owner *o, struct zn_pick_paid *s, enum zn_scarce what, double now_s)
{
	struct zn_owner_first *first = &o->first[zn_pick_up_to(p, s->shape)];
	double mine = score(p, s, now_s);

	ask_all_of(p, o, now_s);
	if (first->shape && !zn_line_head_before(&s->first_head, mine, head_of_first(p, first), first->score))
		return;
	if (!keeps_back(o))
		DL_APPEND(p->payers->keep_back, o);
	*first = (struct zn_owner_first){ s->shape, what, mine };
}

/* What a payer may not have now.  Who shares an owner with him that keeps somebody back is asked with him. */
static void find_blocked(struct zn_pick *p, uint32_t payer, double now_s)
{
	each_owner(o, p, payer) {
		if (keeps_back(o))
			ask_all_of(p, o, now_s);
		zn_owner_find_left(o, now_s);
		o->exceeds = p->exceeds;
	}
	each_shape(s, p, payer) {
		s->is_blocked = false;
		each_owner(o, p, payer) {
			const struct zn_owner_may *may = &o->may[zn_pick_up_to(p, s->shape)];
			enum zn_scarce what = s->is_blocked ? ZN_SCARCE_NOTHING : zn_left_lacks(&may->left, may->left_hours, &s->use);
			if (what && !zn_left_lacks(&may->ever, may->ever_hours, &s->use))
				note_blocked(p, o, s, what, now_s);
			s->is_blocked |= what != ZN_SCARCE_NOTHING;
		}
	}
}

/* Whether it comes after such a shape of the same owner and needs what that lacks: else small jobs would take what a large
 * one waits for, for ever.
 */
static bool is_behind(struct zn_pick *p, uint32_t payer, struct zn_pick_paid *s, double now_s)
{
	each_owner(o, p, payer) {
		const struct zn_owner_first *first = &o->first[zn_pick_up_to(p, s->shape)];
		if (!first->shape || !zn_use_needs(&s->use, first->lacks))
			continue;
		double mine = score(p, s, now_s);
		if (zn_line_head_before(head_of_first(p, first), first->score, &s->first_head, mine))
			return true;
	}
	return false;
}

/* True: one is not out any more. */
static bool put_out(struct zn_pick *p, uint32_t payer, double now_s)
{
	bool came = false;

	each_shape(s, p, payer) {
		bool out = s->is_blocked || is_behind(p, payer, s, now_s);
		if (out != s->is_out)
			zn_line_set_out(&p->line, s->shape, out);
		zn_line_count_out(&p->line, s->shape, s->is_out, out);
		came |= s->is_out && !out;
		s->is_out = out;
	}
	return came;
}

static void done_with(struct zn_pick *p, uint32_t payer)
{
	struct zn_pick_payer *known = &p->line.payers[payer];

	known->is_asked = false;
	each_owner(o, p, payer)
		o->stale = false;
	if (!known->n)
		unlink_payer(p, payer);
}

/* The caller has counted what started before. */
bool zn_pick_ask_payers(struct zn_pick *p, double now_s)
{
	struct zn_line *l = &p->line;
	bool came = false;

	if (!p->payers || !p->payers->owners)
		return false;
	find_stale(p, now_s);
	for (uint32_t i = 0; i < l->n_to_ask; i++) /* more come */
		find_blocked(p, l->to_ask[i], now_s);
	for (uint32_t i = 0; i < l->n_to_ask; i++)
		came |= put_out(p, l->to_ask[i], now_s);
	while (l->n_to_ask)
		done_with(p, l->to_ask[--l->n_to_ask]);
	return came;
}

/* Something of his that is out may exceed: to all others it is the same. */
static bool could_exceed(const struct zn_pick *p, const struct zn_owner *o)
{
	uint32_t i = o->waiting;

	while (i && !p->line.payers[i].n_may_exceed)
		i = p->line.payers[i].after[o->which];
	return i;
}

void zn_pick_exceed(struct zn_pick *p, bool on, double now_s)
{
	if (p->exceeds == on)
		return;
	p->exceeds = on;
	for (struct zn_owner *o = p->payers->soft; o; o = o->next_soft)
		if (on ? could_exceed(p, o) : o->waiting && o->exceeds)
			ask_all_of(p, o, now_s);
}
