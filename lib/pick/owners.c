/* owners: who may have more.  What an owner may not have now is out, and so is what comes behind it and needs what it lacks.
 *
 * That is asked again of those alone whose jobs came, started or ended, or whose hours came or went, since it was asked last,
 * or after a minute, as the order changes with the time; and of who shares an owner with them who keeps somebody back.
 */
#include "pick/pick.h"

/* The payers of whom something waits, or waited. */
#define each_payer(i, p) \
	for (uint32_t i = 1; i < (p)->line.n_payers && i <= (p)->payers->n; i++) \
		if ((p)->line.payers[i].n || (p)->line.payers[i].is_new)
#define each_shape(s, p, payer) \
	for (struct zn_pick_paid *s = (p)->line.payers[payer].v; s < (p)->line.payers[payer].v + (p)->line.payers[payer].n; s++)
#define each_owner(o, p, payer) \
	for (int i_ = 0; i_ < 2; i_++) \
		for (struct zn_owner *o = (p)->payers->v[(payer) - 1].owner[i_]; o; o = NULL)

/* Whether what an owner has changed, where that was or is too much for any more jobs of his, or his hours came or went.
 * Remembers for this payer how it is now.
 */
static bool is_changed(struct zn_pick_payer *known, int i, const struct zn_owner *o, bool hours)
{
	bool tight = zn_owner_is_tight(o), changed = known->hours[i] != hours;

	changed |= known->changed[i] != o->changed && (tight || known->tight[i]);
	known->changed[i] = o->changed;
	known->tight[i] = tight;
	known->hours[i] = hours;
	return changed;
}

/* Of his owners: the most that one job of theirs asks. */
static void note_wants(struct zn_pick *p, uint32_t payer)
{
	each_owner(o, p, payer)
		each_shape(s, p, payer)
			zn_owner_wants(o, &s->use);
}

/* Whether a job of his came or left; and which of his owners are stale. */
static bool find_stale(struct zn_pick *p, uint32_t payer, double now_s)
{
	struct zn_pick_payer *known = &p->line.payers[payer];

	if (known->is_new)
		note_wants(p, payer);
	each_owner(o, p, payer)
		o->stale |= is_changed(known, i_, o, zn_owner_has_hours(o, now_s)) || (o->first && now_s - o->asked_s > ZN_LINE_SLOWLY_S);
	return known->is_new;
}

static bool is_stale(const struct zn_pick *p, uint32_t payer)
{
	bool stale = p->line.payers[payer].is_new;

	each_owner(o, p, payer)
		stale |= o->stale;
	return stale;
}

/* Who is looked at is looked at with all who share an owner with him that keeps others back. */
static void spread_staleness(struct zn_pick *p)
{
	bool more = true;

	while (more) {
		more = false;
		each_payer(i, p) {
			if (!is_stale(p, i))
				continue;
			each_owner(o, p, i) {
				more |= !o->stale && o->first;
				o->stale |= o->first != NULL;
			}
		}
	}
}

/* Returns how many are stale. */
static size_t forget_first(struct zn_pick *p, double now_s)
{
	size_t n = 0;

	for (struct zn_owner *o = p->payers->owners; o; o = o->hh.next) {
		if (!o->stale)
			continue;
		n++;
		o->first = NULL;
		o->asked_s = now_s;
	}
	return n;
}

static size_t count_stale(const struct zn_pick *p)
{
	size_t n = 0;

	for (const struct zn_owner *o = p->payers->owners; o; o = o->hh.next)
		n += o->stale;
	return n;
}

static double score(struct zn_pick *p, struct zn_pick_paid *s, double now_s)
{
	zn_line_find_first(&p->line, s, now_s);
	return zn_line_score(&p->line, &s->first_head, now_s);
}

static const struct zn_line_head *head_of_first(const struct zn_pick *p, const struct zn_owner *o)
{
	return &zn_line_paid(&p->line, o->first)->first_head;
}

/* The first of what an owner may not have now is kept; if he kept nobody back before, all of his are to be looked at. */
static void note_blocked(struct zn_pick *p, struct zn_owner *o, struct zn_pick_paid *s, enum zn_scarce what, double now_s)
{
	double mine = score(p, s, now_s);

	o->stale = true;
	if (o->first && !zn_line_head_before(&s->first_head, mine, head_of_first(p, o), o->first_score))
		return;
	o->first = s->shape;
	o->first_lacks = what;
	o->first_score = mine;
}

/* What a payer may not have now. */
static void find_blocked(struct zn_pick *p, uint32_t payer, double now_s)
{
	each_owner(o, p, payer)
		zn_owner_find_left(o, now_s);
	each_shape(s, p, payer) {
		s->is_blocked = false;
		each_owner(o, p, payer) {
			enum zn_scarce what = s->is_blocked ? ZN_SCARCE_NOTHING : zn_left_lacks(&o->left, o->left_hours, &s->use);
			if (what && !zn_left_lacks(&o->ever, o->ever_hours, &s->use))
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
		if (!o->first || !zn_use_needs(&s->use, o->first_lacks))
			continue;
		double mine = score(p, s, now_s);
		if (zn_line_head_before(head_of_first(p, o), o->first_score, &s->first_head, mine))
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
		came |= s->is_out && !out;
		s->is_out = out;
	}
	return came;
}

/* The caller has counted what started before. */
bool zn_pick_ask_payers(struct zn_pick *p, double now_s)
{
	bool any = false, came = false;
	size_t stale;

	if (!p->payers || !p->payers->owners)
		return false;
	each_payer(i, p)
		any |= find_stale(p, i, now_s);
	if (!any && !count_stale(p))
		return false;
	do {
		spread_staleness(p);
		stale = forget_first(p, now_s);
		each_payer(i, p)
			if (is_stale(p, i))
				find_blocked(p, i, now_s);
	} while (count_stale(p) > stale);
	each_payer(i, p) {
		if (is_stale(p, i))
			came |= put_out(p, i, now_s);
		p->line.payers[i].is_new = false;
	}
	for (struct zn_owner *o = p->payers->owners; o; o = o->hh.next)
		o->stale = false;
	return came;
}
