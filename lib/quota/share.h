/* share: what everybody has used lately, and how that weighs on the order.
 *
 * Use is GPUs times seconds (CPUs times seconds on a machine without GPUs), and what was used decays: after half_life_s it
 * counts half.  Accounts have shares of all, and the users of an account shares of it; who has no account is in one
 * without a name.  Only those count of whom a job is known.  Of a user in an account, with the part U of all use and the
 * part S of all shares, the factor is
 *
 *     2^(-U / S)
 *
 * which is 1 for who used nothing, 1/2 for who used what is his, and falls with what he used beyond that (the classic form
 * of the Multifactor Priority Plugin of Slurm).  The order's urgency is multiplied by it.
 */
#ifndef ZN_QUOTA_SHARE_H
#define ZN_QUOTA_SHARE_H

#include <uthash.h>

#include "rec/field.h"

/* Decayed use up to at_s. */
struct zn_used {
	double at_s;
	double past;                   /* of jobs that ended: units times seconds */
	double on, begun;              /* of those that run: units; the same, each decayed since its start */
};

/* Shares as they are configured; who is not named has 1. */
struct zn_share { const char *of, *name; /* "user" or "account" */ double shares; };
struct zn_shares { struct zn_share *v; size_t n; double half_life_s; /* 0: there is no fair share */ };

/* A user in an account. */
struct zn_leaf {
	struct zn_used gpu, cpu;
	double user_shares, account_shares;
	const char *user, *account;    /* in key; account "": none */
	double share, used, factor;    /* parts of all, 0 to 1: as of zn_leaves_weigh */
	double said;                   /* the factor that the view was told */
	UT_hash_handle hh;
	char key[];
};

struct zn_leaves {
	struct zn_shares shares;
	struct zn_leaf *all;
	double weighed_s;              /* when */
	unsigned n_shared;             /* leaves that the shares were dealt to */
	bool by_cpus;                  /* there are no GPUs */
};

/* How the view tells it. */
struct zn_share_record { const char *user, *account; double share, used, factor; };
extern const struct zn_kind zn_share_kind;

void zn_leaves_done(struct zn_leaves *l);
/* NULL: out of memory. */
struct zn_leaf *zn_leaves_get(struct zn_leaves *l, const char *user, const char *account);
/* Jobs with so many units began; ended; ran, all at once. */
void zn_used_began(struct zn_used *u, double half_life_s, double units, double start_s);
void zn_used_ended(struct zn_used *u, double half_life_s, double units, double start_s, double end_s);
void zn_used_ran(struct zn_used *u, double half_life_s, double units, double start_s, double end_s);
double zn_used_now(struct zn_used *u, double half_life_s, double now_s);
/* The factors, when they are a second old. */
void zn_leaves_weigh(struct zn_leaves *l, double now_s);

#endif
