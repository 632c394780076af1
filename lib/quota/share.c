#define HASH_NONFATAL_OOM 1
#include "quota/share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double anew_s = 1;

#define S struct zn_share_record
static const struct zn_field fields[] = {
	ZN_FIELD(S, user, STR, "USER", "who"),
	ZN_FIELD(S, account, STR, "ACCOUNT", "in which account; absent: in none"),
	ZN_FIELD(S, share, F64, "SHARE", "the part of all that is his, 0 to 1"),
	ZN_FIELD(S, used, F64, "USED", "his part of all that was used lately, 0 to 1"),
	ZN_FIELD(S, factor, F64, "FACTOR", "what the urgency of his jobs is multiplied by: 1 if he used nothing, 0.5 if he used what is his"),
	{ 0 },
};
const struct zn_kind zn_share_kind = { "share", "what a user has used of his share", fields, sizeof(S), NULL };

/* ---- decayed use ------------------------------------------------------------------------------------------- */

static double decay(double half_life_s, double s)
{
	return exp2(-fmax(0, s) / half_life_s);
}

/* A clock may have been set back: then nothing decays. */
static void move_to(struct zn_used *u, double half_life_s, double now_s)
{
	double d = u->at_s > 0 ? decay(half_life_s, now_s - u->at_s) : 1;

	if (now_s <= u->at_s)
		return;
	/* what runs was used until now, too: its part since at_s is in the difference of on and begun */
	u->past *= d;
	u->begun *= d;
	u->at_s = now_s;
}

/* The integral of a decaying unit over what lasted for s, seen from its end. */
static double integral(double half_life_s, double s)
{
	return half_life_s / M_LN2 * (1 - decay(half_life_s, s));
}

void zn_used_began(struct zn_used *u, double half_life_s, double units, double start_s)
{
	move_to(u, half_life_s, start_s);
	u->on += units;
	u->begun += units * decay(half_life_s, u->at_s - start_s);
}

void zn_used_ran(struct zn_used *u, double half_life_s, double units, double start_s, double end_s)
{
	if (!(end_s > start_s))
		return;
	move_to(u, half_life_s, end_s);
	u->past += units * integral(half_life_s, end_s - start_s) * decay(half_life_s, u->at_s - end_s);
}

void zn_used_ended(struct zn_used *u, double half_life_s, double units, double start_s, double end_s)
{
	zn_used_ran(u, half_life_s, units, start_s, end_s);
	u->on -= units;
	u->begun -= units * decay(half_life_s, u->at_s - start_s);
	if (u->on <= 0)
		u->on = u->begun = 0;
}

double zn_used_now(struct zn_used *u, double half_life_s, double now_s)
{
	move_to(u, half_life_s, now_s);
	return u->past + half_life_s / M_LN2 * fmax(0, u->on - u->begun);
}

/* ---- users in accounts ------------------------------------------------------------------------------------- */

void zn_leaves_done(struct zn_leaves *l)
{
	struct zn_leaf *leaf, *next;

	HASH_ITER(hh, l->all, leaf, next) {
		HASH_DEL(l->all, leaf);
		free(leaf);
	}
}

static double shares_of(const struct zn_shares *s, const char *of, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].of, of) && !strcmp(s->v[i].name, name))
			return s->v[i].shares;
	return 1;
}

static struct zn_leaf *add(struct zn_leaves *l, const char *key, size_t len, size_t user_len)
{
	struct zn_leaf *leaf = calloc(1, sizeof(*leaf) + len);

	if (!leaf)
		return NULL;
	memcpy(leaf->key, key, len);
	leaf->user = leaf->key;
	leaf->account = leaf->key + user_len + 1;
	leaf->user_shares = shares_of(&l->shares, "user", leaf->user);
	leaf->account_shares = shares_of(&l->shares, "account", leaf->account);
	leaf->factor = 1;
	HASH_ADD_KEYPTR(hh, l->all, leaf->key, len, leaf);
	if (leaf->hh.tbl)
		return leaf;
	free(leaf);
	return NULL;
}

struct zn_leaf *zn_leaves_get(struct zn_leaves *l, const char *user, const char *account)
{
	size_t user_len = strlen(user), account_len = account ? strlen(account) : 0, len = user_len + account_len + 2;
	char key[512];
	struct zn_leaf *leaf;

	if (len > sizeof(key)) /* longer than any name may be */
		return NULL;
	memcpy(key, user, user_len + 1);
	memcpy(key + user_len + 1, account ? account : "", account_len + 1);
	HASH_FIND(hh, l->all, key, len, leaf);
	return leaf ? leaf : add(l, key, len, user_len);
}

/* Of the account that leaf is in: the shares of its users, and whether leaf is the first of them. */
static double shares_within(const struct zn_leaves *l, const struct zn_leaf *leaf, bool *ret_first)
{
	double sum = 0;

	*ret_first = true;
	for (const struct zn_leaf *other = l->all; other; other = other->hh.next) {
		if (strcmp(other->account, leaf->account))
			continue;
		*ret_first &= sum > 0 || other == leaf;
		sum += other->user_shares;
	}
	return sum;
}

static void deal_shares(struct zn_leaves *l)
{
	double accounts = 0;
	bool first;

	for (struct zn_leaf *leaf = l->all; leaf; leaf = leaf->hh.next) {
		leaf->share = leaf->account_shares * leaf->user_shares / fmax(shares_within(l, leaf, &first), 1e-9);
		accounts += first ? leaf->account_shares : 0;
	}
	for (struct zn_leaf *leaf = l->all; leaf; leaf = leaf->hh.next)
		leaf->share /= fmax(accounts, 1e-9);
	l->n_shared = HASH_COUNT(l->all);
}

void zn_leaves_weigh(struct zn_leaves *l, double now_s)
{
	double total = 0;

	if (l->shares.half_life_s <= 0 || (now_s >= l->weighed_s && now_s - l->weighed_s < anew_s))
		return;
	l->weighed_s = now_s;
	if (l->n_shared != HASH_COUNT(l->all))
		deal_shares(l);
	for (struct zn_leaf *leaf = l->all; leaf; leaf = leaf->hh.next)
		total += leaf->used = zn_used_now(l->by_cpus ? &leaf->cpu : &leaf->gpu, l->shares.half_life_s, now_s);
	for (struct zn_leaf *leaf = l->all; leaf; leaf = leaf->hh.next) {
		leaf->used = total > 0 ? leaf->used / total : 0;
		leaf->factor = leaf->used > 0 ? exp2(-leaf->used / fmax(leaf->share, 1e-9)) : 1;
	}
}
