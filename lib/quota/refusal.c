/* refusal: whether a job may start, or be submitted, and why not, in a sentence. */
#include "quota/quota_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "base/units.h"

/* One limit that is too low: whose, how he is called who would have to be within it, and what counts for it. */
struct limit { const struct zn_owner *owner; const struct zn_limits *most; const char *quota, *never; struct zn_use have; };

static struct limit limit_of(const struct zn_owner *o, enum zn_quota_level level)
{
	if (level == ZN_QUOTA_HARD)
		return (struct limit){ o, &o->quota->hard, "the quota allows", "may have", o->use };
	return (struct limit){ o, &o->quota->soft, "the quota allows a job that is not preemptible", "may have, for one that is not preemptible,",
	                       zn__use_minus(&o->use, &o->over) };
}

static const char *says(struct zn_arena *a, const struct limit *l, const char *what, uint64_t asks, uint64_t have, uint64_t most)
{
	if (asks > most)
		return zn_arena_printf(a, "needs %llu %s; %s %s %llu: it can never start", (unsigned long long)asks, what, l->owner->name,
		                       l->never, (unsigned long long)most);
	return zn_arena_printf(a, "needs %llu %s; %s has %llu of the %llu that %s", (unsigned long long)asks, what, l->owner->name,
	                       (unsigned long long)have, (unsigned long long)most, l->quota);
}

static const char *says_gpus(struct zn_arena *a, const struct limit *l, const struct zn_use *use)
{
	unsigned long long most = l->most->gpus.v;
	double asks = zn_use_gpus(use);
	const char *s = asks == 1 ? "" : "s";

	if (zn_use_all_milli(use) > zn_use_all_milli(&(struct zn_use){ .gpus = most }))
		return zn_arena_printf(a, "needs %.10g gpu%s; %s %s %llu: it can never start", asks, s, l->owner->name, l->never, most);
	return zn_arena_printf(a, "needs %.10g gpu%s; %s has %.10g of the %llu that %s", asks, s, l->owner->name, zn_use_gpus(&l->have), most,
	                       l->quota);
}

static const char *says_mem(struct zn_arena *a, const struct limit *l, uint64_t asks)
{
	char text[3][ZN_UNIT_TEXT];
	const char *most = zn_format_bytes(l->most->mem_bytes.v, text[0]), *need = zn_format_bytes(asks, text[1]);

	if (asks > l->most->mem_bytes.v)
		return zn_arena_printf(a, "needs %s of memory; %s %s %s: it can never start", need, l->owner->name, l->never, most);
	return zn_arena_printf(a, "needs %s of memory; %s has %s of the %s that %s", need, l->owner->name,
	                       zn_format_bytes(l->have.mem_bytes, text[2]), most, l->quota);
}

static const char *says_hours(struct zn_arena *a, const struct limit *l, double used_s)
{
	char window[ZN_UNIT_TEXT];

	return zn_arena_printf(a, "%s used %.4g of the %.4g GPU hours that %s in %s", l->owner->name, used_s / 3600, l->most->gpu_hours.v,
	                       l->quota, zn_format_duration(l->owner->quota->window_s, window));
}

static const char *says_what(struct zn_arena *a, struct zn_owner *o, enum zn_quota_level level, const struct zn_use *use,
                             enum zn_scarce what, double now_s)
{
	struct limit l = limit_of(o, level);

	switch (what) {
	case ZN_SCARCE_RUNNING:
		return says(a, &l, use->running == 1 ? "running job" : "running jobs", use->running, l.have.running, l.most->running.v);
	case ZN_SCARCE_GPUS:
		return says_gpus(a, &l, use);
	case ZN_SCARCE_CPUS:
		return says(a, &l, use->cpus == 1 ? "cpu" : "cpus", use->cpus, l.have.cpus, l.most->cpus.v);
	case ZN_SCARCE_MEM:
		return says_mem(a, &l, use->mem_bytes);
	default:
		return says_hours(a, &l, zn_owner_gpu_s(o, now_s));
	}
}

bool zn_payer_may(struct zn_payers *p, uint32_t payer, const struct zn_use *use, enum zn_quota_level up_to, struct zn_arena *a,
                  const char **ret)
{
	zn__each_owner(o, p, payer) {
		enum zn_quota_level level = ZN_QUOTA_HARD;
		enum zn_scarce what = zn__owner_lacks(o, level, use, p->now_s);
		if (!what && up_to == ZN_QUOTA_SOFT) {
			level = ZN_QUOTA_SOFT;
			what = zn__owner_lacks(o, level, use, p->now_s);
		}
		if (!what)
			continue;
		*ret = says_what(a, o, level, use, what, p->now_s);
		return false;
	}
	return true;
}

static int asks_too_much(const char *name, const char *what, uint64_t asks, struct zn_ou64 most, const char *quota, struct zn_err *err)
{
	if (!most.has || asks <= most.v)
		return 0;
	return zn_err_set(err, -EBADMSG, "it asks %llu %s, and %s may have %llu (%s)", (unsigned long long)asks, what, name,
	                  (unsigned long long)most.v, quota);
}

static int asks_too_many_gpus(const char *name, const struct zn_use *use, struct zn_ou64 most, const char *quota, struct zn_err *err)
{
	if (!most.has || zn_use_all_milli(use) <= zn_use_all_milli(&(struct zn_use){ .gpus = most.v }))
		return 0;
	return zn_err_set(err, -EBADMSG, "it asks %.10g gpu%s, and %s may have %llu (%s)", zn_use_gpus(use), zn_use_gpus(use) == 1 ? "" : "s", name,
	                  (unsigned long long)most.v, quota);
}

/* Whether it could ever start; quota: what the limits are called. */
static int could_have(const struct zn_limits *l, const char *name, const char *quota, const struct zn_use *use, struct zn_err *err)
{
	int rc = asks_too_many_gpus(name, use, l->gpus, quota, err);

	if (rc == 0)
		rc = asks_too_much(name, "cpus", use->cpus, l->cpus, quota, err);
	if (rc == 0)
		rc = asks_too_much(name, "bytes of memory", use->mem_bytes, l->mem_bytes, quota, err);
	if (rc == 0)
		rc = asks_too_much(name, "running jobs", 1, l->running, quota, err);
	if (rc == 0 && l->gpu_hours.has && l->gpu_hours.v == 0)
		rc = asks_too_many_gpus(name, use, ZN_SOME_U64(0), quota, err);
	return rc;
}

/* have: jobs of it that wait; name: "user ann". */
static int accepts(const struct zn_quota *q, const char *name, uint64_t have, const struct zn_use *use, enum zn_quota_level up_to,
                   struct zn_err *err)
{
	uint64_t jobs = use->queued ? use->queued : 1;
	int rc = could_have(&q->hard, name, "quota", use, err);

	if (rc == 0 && up_to == ZN_QUOTA_SOFT)
		rc = could_have(&q->soft, name, "quota; more for preemptible jobs alone", use, err);
	if (rc == 0)
		rc = asks_too_much(name, "waiting jobs", jobs, q->queued, "quota", err);
	if (rc == 0 && q->queued.has && q->queued.v - (have < q->queued.v ? have : q->queued.v) < jobs)
		rc = zn_err_set(err, -EAGAIN, "%s has %llu jobs that wait, and may have %llu (quota)", name, (unsigned long long)have,
		                (unsigned long long)q->queued.v);
	return rc;
}

/* Nobody is entered into the books for having asked. */
static int one_accepts(struct zn_payers *p, const char *of, const char *name, const struct zn_use *use,
                       enum zn_quota_level up_to, struct zn_err *err)
{
	const struct zn_quota *quota = name ? zn__quota_of(&p->quotas, of, name) : NULL;
	struct zn_owner *o;
	char text[ZN__OWNER_TEXT];

	if (!quota)
		return 0;
	snprintf(text, sizeof(text), "%s %s", of, name);
	HASH_FIND_STR(p->owners, text, o);
	return accepts(quota, text, o ? o->use.queued : 0, use, up_to, err);
}

static int may_use(const struct zn_payers *p, const char *user, const char *account, struct zn_err *err)
{
	const struct zn_quota *quota = account ? zn__quota_of(&p->quotas, "account", account) : NULL;

	if (!quota || !quota->users || zn_text_lists(quota->users, user))
		return 0;
	return zn_err_set(err, -EPERM, "account '%s' is not for user %s", account, user);
}

int zn_payers_accept(struct zn_payers *p, const char *user, const char *account, const struct zn_use *use, enum zn_quota_level up_to,
                     struct zn_err *err)
{
	int rc = may_use(p, user, account, err);

	if (rc == 0)
		rc = one_accepts(p, "user", user, use, up_to, err);
	return rc < 0 ? rc : one_accepts(p, "account", account, use, up_to, err);
}
