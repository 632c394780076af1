/* line_top: which class of a kind comes first, without looking at all of them each time.
 *
 * A score is (wait + 60 s) times what does not change, and the factor of the payer.  So what was the score of a job at a time
 * is at most 1 + t / 60 s times as much t later, times what its factor grew by.  The first few classes as of a time are
 * kept, and the best score of all others then: as long as the first of the few is above what that can have become, it is the
 * first of all.
 */
#include <math.h>

#include "pick/line.h"

/* The first of those that are kept. */
static struct zn_line_ranked first_of_top(const struct zn_line *l, const struct zn_pick_kind *k, double now_s)
{
	struct zn_line_ranked best = { 0 };

	for (uint32_t i = 0; i < k->n_top; i++) {
		struct zn_line_ranked one = { &k->heads[k->top[i]->at], 0 };
		one.score = zn_line_score(l, one.head, now_s);
		if (!best.head || zn_line_ranked_before(&one, &best))
			best = one;
	}
	return best;
}

/* What the best of the others can be by now; where nothing grows, what it was. */
static double rest_now(const struct zn_line *l, const struct zn_pick_kind *k, double now_s)
{
	static const double rounding = 1 + 1e-9;

	if (l->order != ZN_PICK_SLOWDOWN)
		return k->rest_score;
	return k->rest_score * (1 + fmax(0, now_s - k->at_s) / ZN_LINE_PATIENCE_S) * (l->growth / k->growth) * rounding;
}

static bool is_first_of_all(const struct zn_line *l, const struct zn_pick_kind *k, const struct zn_line_ranked *best, double now_s)
{
	if (!k->has_rest)
		return best->head != NULL;
	if (!best->head || now_s < k->at_s)
		return false;
	if (best->head->priority != k->rest_priority)
		return best->head->priority > k->rest_priority;
	return best->score > rest_now(l, k, now_s);
}

static void note_rest(struct zn_pick_kind *k, int64_t priority, double score)
{
	if (k->has_rest && (priority < k->rest_priority || (priority == k->rest_priority && score <= k->rest_score)))
		return;
	k->has_rest = true;
	k->rest_priority = priority;
	k->rest_score = score;
}

/* Puts one among the first few, which are in order; *n: how many there are. */
static void rank(struct zn_line_ranked *v, uint32_t *n, struct zn_line_ranked one)
{
	uint32_t at = *n < ZN_PICK_TOP ? (*n)++ : ZN_PICK_TOP;

	for (; at && zn_line_ranked_before(&one, &v[at - 1]); at--)
		if (at < ZN_PICK_TOP)
			v[at] = v[at - 1];
	if (at < ZN_PICK_TOP)
		v[at] = one;
}

static void look_at_all(const struct zn_line *l, struct zn_pick_kind *k, double now_s)
{
	struct zn_line_ranked v[ZN_PICK_TOP];
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->n_top; i++)
		k->top[i]->in_top = false;
	k->n_top = 0;
	k->has_rest = false;
	k->at_s = now_s;
	k->growth = l->growth;
	for (uint32_t i = 0; i < k->n_heads; i++) {
		struct zn_line_ranked one = { &k->heads[i], zn_line_score(l, &k->heads[i], now_s) };
		if (n == ZN_PICK_TOP && !zn_line_ranked_before(&one, &v[n - 1])) {
			note_rest(k, one.head->priority, one.score);
			continue;
		}
		if (n == ZN_PICK_TOP)
			note_rest(k, v[n - 1].head->priority, v[n - 1].score);
		rank(v, &n, one);
	}
	for (uint32_t i = 0; i < n; i++) {
		k->top[i] = v[i].head->class;
		k->top[i]->in_top = true;
	}
	k->n_top = n;
}

struct zn_line_ranked zn__line_top_of_many(const struct zn_line *l, struct zn_pick_kind *k, double now_s)
{
	struct zn_line_ranked best = first_of_top(l, k, now_s);
	if (!is_first_of_all(l, k, &best, now_s)) {
		look_at_all(l, k, now_s);
		best = first_of_top(l, k, now_s);
	}
	return best;
}

/* Its score as of at_s; if it came later, what makes the bound right when it came. */
void zn_line_top_note(const struct zn_line *l, struct zn_pick_kind *k, const struct zn_line_head *h)
{
	note_rest(k, h->priority, zn_line_score(l, h, k->at_s));
}

void zn_line_top_forget(struct zn_pick_kind *k, struct zn_pick_class *c)
{
	uint32_t at = 0;

	while (k->top[at] != c)
		at++;
	k->top[at] = k->top[--k->n_top];
	c->in_top = false;
}

void zn_line_top_renew(struct zn_line *l)
{
	l->growth = 1;
	for (struct zn_pick_kind *k = l->kinds; k; k = k->next_kind) {
		k->growth = 1;
		k->has_rest = true;
		k->rest_priority = INT64_MAX; /* better than anybody can be */
		k->rest_score = HUGE_VAL;
	}
}
