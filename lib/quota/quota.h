/* quota: what a user or an account may use, at once and over time, and whether one more job is within that.  Pure: the
 * caller says what happens, and what time it is.
 *
 * What is over a soft limit is had on sufferance: jobs that may be sent back to the queue start beyond it when nobody who is
 * within his own can use what they ask, and go when somebody can.  They count for the hard limit alone.
 */
#ifndef ZN_QUOTA_QUOTA_H
#define ZN_QUOTA_QUOTA_H

#include <uthash.h>

#include "base/arena.h"
#include "quota/ledger.h"
#include "quota/share.h"
#include "rec/field.h"

/* What is absent has no limit. */
struct zn_limits { struct zn_ou64 running, gpus, cpus, mem_bytes; struct zn_of64 gpu_hours; /* in the window */ };

/* As it is configured, and as the view tells it. */
struct zn_quota {
	const char *of;                /* "user" or "account" */
	const char *name;              /* "*": each that has none of its own */
	const char *users;             /* of an account: who may use it, separated by commas; NULL: everybody */
	struct zn_ou64 queued;
	struct zn_limits hard, soft;
	double window_s;
	/* what they have, when somebody asks: zn_payers_each */
	struct zn_ou64 running_now, queued_now, gpus_now, gpu_milli_now, cpus_now, mem_now_bytes;
	struct zn_ou64 running_over;   /* of running_now: jobs that are over the soft limits */
	struct zn_of64 gpu_hours_used;
};
struct zn_quotas { struct zn_quota *v; size_t n; };
extern const struct zn_kind zn_quota_kind;

/* What a job takes, or what all together have; of GPUs whole ones, and thousandths of others. */
struct zn_use {
	uint64_t running, queued, gpus, gpu_milli, cpus, mem_bytes;
	bool over;                     /* of a job that started beyond its soft limits */
};

/* Up to which limits: the soft ones, or the hard ones where there are no soft ones; or the hard ones. */
enum zn_quota_level { ZN_QUOTA_SOFT, ZN_QUOTA_HARD, ZN_QUOTA_LEVELS };

/* All of its GPUs, in thousandths; as many as there can be, when that is too many to count. */
static inline uint64_t zn_use_all_milli(const struct zn_use *use)
{
	return use->gpus < UINT64_MAX / 2000 ? use->gpus * 1000 + use->gpu_milli : UINT64_MAX;
}
static inline double zn_use_gpus(const struct zn_use *use)
{
	return (double)use->gpus + (double)use->gpu_milli / 1000;
}

/* What somebody has not enough of. */
enum zn_scarce { ZN_SCARCE_NOTHING, ZN_SCARCE_RUNNING, ZN_SCARCE_GPUS, ZN_SCARCE_CPUS, ZN_SCARCE_MEM, ZN_SCARCE_HOURS };
bool zn_use_needs(const struct zn_use *use, enum zn_scarce what);

/* How it stood with an owner when somebody looked. */
struct zn_owner_seen {
	uint64_t changed;
	bool hours[ZN_QUOTA_LEVELS];   /* he had some */
	bool tight;                    /* zn_owner_is_tight */
};

/* What more an owner may have now, and could have if he had nothing. */
struct zn_owner_may { struct zn_use left, ever; bool left_hours, ever_hours; };

/* Whether he has hours left, as of at_s, and until until_s. */
struct zn_owner_hours { bool has; double at_s, until_s; };

/* For whoever orders jobs: the shape of the first of an owner's that he may not start now, and what that lacks; NULL: none. */
struct zn_owner_first { void *shape; enum zn_scarce lacks; double score; };

/* A user or an account of whom is counted. */
struct zn_owner {
	const struct zn_quota *quota;
	struct zn_use use, over;       /* over: of it, what jobs have that started beyond the soft limits */
	double gpus_on, on_s;          /* of jobs that run; when that changed last */
	struct zn_owner_hours hours[ZN_QUOTA_LEVELS];
	struct zn_ledger ledger;       /* all that was used up to counted_s */
	double counted_s;
	uint64_t changed;              /* how often use was */
	bool in_changed;
	struct zn_owner *next_changed, *next_timed, *next_soft; /* in the lists of zn_payers */
	struct zn_use most;            /* that one job asks: zn_owner_wants */
	/* for whoever orders jobs (pick/owners.c): */
	int which;                     /* of the owners of a payer: 0, a user; 1, an account */
	uint32_t waiting;              /* the first of his payers of whom something waits; 0: there is none */
	struct zn_owner_seen seen;     /* by those */
	bool stale;
	bool exceeds;                  /* when they were asked last, some could start beyond the soft limits: zn_pick_exceed */
	double asked_s;                /* when first was found */
	struct zn_owner_may may[ZN_QUOTA_LEVELS];
	struct zn_owner_first first[ZN_QUOTA_LEVELS]; /* of those who may start up to there */
	struct zn_owner *prev, *next;  /* among those who keep somebody back */
	UT_hash_handle hh;
	char name[];                   /* "user ann" */
};

/* Who is counted for a job: its user, its account, or both; and its user in its account, where there is fair share. */
struct zn_payer { struct zn_owner *owner[2]; struct zn_leaf *leaf; };

struct zn_payers {
	struct zn_quotas quotas;
	struct zn_leaves leaves;
	struct zn_owner *owners;       /* by name */
	struct zn_owner *changed;      /* those whose use was, since whoever orders jobs looked */
	struct zn_owner *timed;        /* those with hours */
	struct zn_owner *soft;         /* those with soft limits */
	struct zn_owner *keep_back;    /* those with a first, in the order of asked_s */
	struct zn_payer *v;            /* from 1 on */
	size_t n;
	double now_s;                  /* of zn_payer_may */
};

/* quotas and shares live as long. */
void zn_payers_init(struct zn_payers *p, struct zn_quotas quotas, struct zn_shares shares);
void zn_payers_done(struct zn_payers *p);
/* Its number, from 1; 0: nobody is counted; -ENOMEM.  Either may be NULL. */
int64_t zn_payers_get(struct zn_payers *p, const char *user, const char *account);

void zn_payer_add(struct zn_payers *p, uint32_t payer, const struct zn_use *use);
void zn_payer_take(struct zn_payers *p, uint32_t payer, const struct zn_use *use);
/* A job with so many GPUs and CPUs began to run; ended; ran, all at once. */
void zn_payer_began(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s);
void zn_payer_ended(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s);
void zn_payer_ran(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s);

/* What was used up to now, from the books of another. */
void zn_payers_take_ledgers(struct zn_payers *p, const struct zn_payers *from);
/* GPU seconds in the window that ends now. */
double zn_owner_gpu_s(struct zn_owner *o, double now_s);
/* Calls each with everybody whom a quota names, and who else is counted: what they may have, and have; by name.  -ENOMEM. */
int zn_payers_each(struct zn_payers *p, void (*each)(void *arg, const struct zn_quota *q), void *arg);
/* Whether any limit of his is soft: else what may exceed those is nothing special. */
bool zn_payer_has_soft(const struct zn_payers *p, uint32_t payer);
/* Whether use may be added now: what it has of running, gpus, cpus and mem_bytes.  For a no, *ret is one sentence without a
 * full stop, in a.
 */
bool zn_payer_may(struct zn_payers *p, uint32_t payer, const struct zn_use *use, enum zn_quota_level up_to, struct zn_arena *a,
                  const char **ret);
/* One of his jobs asks so much. */
void zn_owner_wants(struct zn_owner *o, const struct zn_use *use);
/* Whether what he has leaves too little, up to the soft limits, for one that asks the most of everything; but for hours. */
bool zn_owner_is_tight(const struct zn_owner *o);
/* Sets may. */
void zn_owner_find_left(struct zn_owner *o, double now_s);
/* What of it is too much for what is left. */
static inline enum zn_scarce zn_left_lacks(const struct zn_use *left, bool hours, const struct zn_use *use)
{
	return use->running > left->running ? ZN_SCARCE_RUNNING : zn_use_all_milli(use) > zn_use_all_milli(left) ? ZN_SCARCE_GPUS : use->cpus > left->cpus ? ZN_SCARCE_CPUS
	       : use->mem_bytes > left->mem_bytes ? ZN_SCARCE_MEM : zn_use_all_milli(use) && !hours ? ZN_SCARCE_HOURS : ZN_SCARCE_NOTHING;
}
/* Whether he has not used up his hours. */
bool zn_owner_has_hours(struct zn_owner *o, enum zn_quota_level up_to, double now_s);
/* When, after now_s, somebody who used up his hours may have some again; 0: nobody did. */
double zn_payers_again_s(struct zn_payers *p);
/* What the urgency of his jobs is multiplied by, as of zn_leaves_weigh. */
static inline double zn_payer_factor(const struct zn_payers *p, uint32_t payer)
{
	return payer && p->v[payer - 1].leaf ? p->v[payer - 1].leaf->factor : 1;
}
/* Whether such a job, or use->queued of them, may be submitted.  account may be NULL.  -EAGAIN: too many wait; -EBADMSG: it asks more than is allowed
 * at all; -EPERM: the account is not for him.
 */
int zn_payers_accept(struct zn_payers *p, const char *user, const char *account, const struct zn_use *use, enum zn_quota_level up_to,
                     struct zn_err *err);

#endif
