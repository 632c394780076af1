#define HASH_NONFATAL_OOM 1
#include "quota/quota.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define Q struct zn_quota
static const struct zn_field fields[] = {
	ZN_FIELD(Q, of, STR, "WHOSE", "user or account"),
	ZN_FIELD(Q, name, STR, "NAME", "his name; *: each that has none of its own"),
	ZN_FIELD(Q, running_now, OU64, "RUNNING", "jobs with a place now"),
	ZN_FIELD(Q, running, OU64, "OF", "jobs with a place, at most"),
	ZN_FIELD(Q, queued_now, OU64, "QUEUED", "jobs that wait now"),
	ZN_FIELD(Q, queued, OU64, "OF", "jobs that wait, at most"),
	ZN_FIELD(Q, gpus_now, OU64, "GPUS", "GPUs that its jobs have now"),
	ZN_FIELD(Q, gpus, OU64, "OF", "GPUs at once, at most"),
	ZN_FIELD(Q, cpus_now, OU64, "CPUS", "hardware threads that its jobs asked for and have now"),
	ZN_FIELD(Q, cpus, OU64, "OF", "hardware threads at once, at most"),
	ZN_FIELD(Q, mem_now_bytes, OBYTES, "MEM", "memory that its jobs have now"),
	ZN_FIELD(Q, mem_bytes, OBYTES, "OF", "memory at once, at most"),
	ZN_FIELD(Q, gpu_hours_used, OF64, "GPU-HOURS", "GPU hours used in the window that ends now"),
	ZN_FIELD(Q, gpu_hours, OF64, "OF", "GPU hours in the window, at most"),
	ZN_FIELD(Q, window_s, DUR, "WINDOW", "that slides with the time"),
	{ 0 },
};
const struct zn_kind zn_quota_kind = { "quota", "what somebody may use, and uses", fields, sizeof(Q), NULL };

void zn_payers_init(struct zn_payers *p, struct zn_quotas quotas, struct zn_shares shares)
{
	*p = (struct zn_payers){ .quotas = quotas, .leaves.shares = shares };
}

void zn_payers_done(struct zn_payers *p)
{
	struct zn_owner *o, *next;

	HASH_ITER(hh, p->owners, o, next) {
		HASH_DEL(p->owners, o);
		free(o);
	}
	zn_leaves_done(&p->leaves);
	free(p->v);
	*p = (struct zn_payers){ 0 };
}

/* ---- who pays ---------------------------------------------------------------------------------------------- */

/* His own, else that of each; NULL: there is none. */
static const struct zn_quota *quota_of(const struct zn_quotas *q, const char *of, const char *name)
{
	const struct zn_quota *each = NULL;

	for (size_t i = 0; i < q->n; i++) {
		if (strcmp(q->v[i].of, of))
			continue;
		if (!strcmp(q->v[i].name, name))
			return &q->v[i];
		if (!strcmp(q->v[i].name, "*"))
			each = &q->v[i];
	}
	return each;
}

/* *ret is NULL where there is no quota.  -ENOMEM. */
static int owner_get(struct zn_payers *p, const char *of, const char *name, struct zn_owner **ret)
{
	const struct zn_quota *quota = name ? quota_of(&p->quotas, of, name) : NULL;
	char text[256];

	*ret = NULL;
	if (!quota)
		return 0;
	snprintf(text, sizeof(text), "%s %s", of, name);
	HASH_FIND_STR(p->owners, text, *ret);
	if (*ret)
		return 0;
	struct zn_owner *o = calloc(1, sizeof(*o) + strlen(text) + 1);
	if (!o)
		return -ENOMEM;
	strcpy(o->name, text);
	o->quota = quota;
	o->ledger.window_s = quota->window_s;
	HASH_ADD_STR(p->owners, name, o);
	if (!o->hh.tbl) {
		free(o);
		return -ENOMEM;
	}
	*ret = o;
	return 0;
}

/* -ENOMEM. */
static int payer_of(struct zn_payers *p, const char *user, const char *account, struct zn_payer *ret)
{
	int rc = owner_get(p, "user", user, &ret->owner[0]);

	if (rc == 0)
		rc = owner_get(p, "account", account, &ret->owner[1]);
	ret->leaf = rc == 0 && user && p->leaves.shares.half_life_s > 0 ? zn_leaves_get(&p->leaves, user, account) : NULL;
	return rc == 0 && user && p->leaves.shares.half_life_s > 0 && !ret->leaf ? -ENOMEM : rc;
}

static bool is_same(const struct zn_payer *a, const struct zn_payer *b)
{
	return a->owner[0] == b->owner[0] && a->owner[1] == b->owner[1] && a->leaf == b->leaf;
}

int64_t zn_payers_get(struct zn_payers *p, const char *user, const char *account)
{
	struct zn_payer payer;
	int rc = payer_of(p, user, account, &payer);

	if (rc < 0 || (!payer.owner[0] && !payer.owner[1] && !payer.leaf))
		return rc;
	for (size_t i = p->n; i; i--) /* mostly one of the last that were asked for */
		if (is_same(&p->v[i - 1], &payer))
			return (int64_t)i;
	struct zn_payer *v = reallocarray(p->v, p->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	p->v = v;
	p->v[p->n++] = payer;
	return (int64_t)p->n;
}

#define each_owner(o, p, payer) \
	for (int i_ = 0; i_ < 2; i_++) \
		for (struct zn_owner *o = (payer) ? (p)->v[(payer) - 1].owner[i_] : NULL; o; o = NULL)

/* ---- counting ---------------------------------------------------------------------------------------------- */

void zn_payer_add(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	each_owner(o, p, payer) {
		o->use.running += use->running;
		o->use.queued += use->queued;
		o->use.gpus += use->gpus;
		o->use.cpus += use->cpus;
		o->use.mem_bytes += use->mem_bytes;
	}
}

void zn_payer_take(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	each_owner(o, p, payer) {
		o->use.running -= use->running;
		o->use.queued -= use->queued;
		o->use.gpus -= use->gpus;
		o->use.cpus -= use->cpus;
		o->use.mem_bytes -= use->mem_bytes;
	}
}

static void add_gpus(struct zn_payers *p, uint32_t payer, double gpus, double start_s)
{
	each_owner(o, p, payer) {
		o->gpus_on += gpus;
		o->gpus_since += gpus * start_s;
	}
}

static void add_hours(struct zn_payers *p, uint32_t payer, double gpus, double start_s, double end_s)
{
	each_owner(o, p, payer)
		if (gpus > 0)
			zn_ledger_add(&o->ledger, start_s, end_s, gpus);
}

static struct zn_leaf *leaf_of(const struct zn_payers *p, uint32_t payer)
{
	return payer ? p->v[payer - 1].leaf : NULL;
}

void zn_payer_began(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	add_gpus(p, payer, (double)use->gpus, start_s);
	if (leaf) {
		zn_used_began(&leaf->gpu, half_s, (double)use->gpus, start_s);
		zn_used_began(&leaf->cpu, half_s, (double)use->cpus, start_s);
	}
}

void zn_payer_ran(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	add_hours(p, payer, (double)use->gpus, start_s, end_s);
	if (leaf) {
		zn_used_ran(&leaf->gpu, half_s, (double)use->gpus, start_s, end_s);
		zn_used_ran(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payer_ended(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	add_gpus(p, payer, -(double)use->gpus, start_s);
	add_hours(p, payer, (double)use->gpus, start_s, end_s);
	if (leaf) {
		zn_used_ended(&leaf->gpu, half_s, (double)use->gpus, start_s, end_s);
		zn_used_ended(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payers_take_ledgers(struct zn_payers *p, const struct zn_payers *from)
{
	for (struct zn_owner *o = p->owners; o; o = o->hh.next) {
		struct zn_owner *other;
		HASH_FIND_STR(from->owners, o->name, other);
		if (other)
			o->ledger = other->ledger;
	}
}

static int by_name(const struct zn_owner *a, const struct zn_owner *b)
{
	return strcmp(a->name, b->name);
}

static struct zn_quota what_it_has(struct zn_owner *o, double now_s)
{
	struct zn_quota q = *o->quota;

	q.name = strchr(o->name, ' ') + 1;
	q.running_now = ZN_SOME_U64(o->use.running);
	q.queued_now = ZN_SOME_U64(o->use.queued);
	q.gpus_now = ZN_SOME_U64(o->use.gpus);
	q.cpus_now = ZN_SOME_U64(o->use.cpus);
	q.mem_now_bytes = ZN_SOME_U64(o->use.mem_bytes);
	if (q.gpu_hours.has)
		q.gpu_hours_used = ZN_SOME_F64(zn_owner_gpu_s(o, now_s) / 3600);
	return q;
}

int zn_payers_each(struct zn_payers *p, void (*each)(void *arg, const struct zn_quota *q), void *arg)
{
	for (size_t i = 0; i < p->quotas.n; i++) {
		const struct zn_quota *q = &p->quotas.v[i];
		bool user = !strcmp(q->of, "user");
		if (strcmp(q->name, "*") && zn_payers_get(p, user ? q->name : NULL, user ? NULL : q->name) < 0)
			return -ENOMEM;
	}
	HASH_SORT(p->owners, by_name);
	for (struct zn_owner *o = p->owners; o; o = o->hh.next) {
		struct zn_quota q = what_it_has(o, p->now_s);
		each(arg, &q);
	}
	return 0;
}

double zn_owner_gpu_s(struct zn_owner *o, double now_s)
{
	double runs = o->gpus_on * now_s - o->gpus_since;

	return zn_ledger_sum(&o->ledger, now_s) + fmin(fmax(runs, 0), o->gpus_on * o->quota->window_s);
}

/* ---- deciding ---------------------------------------------------------------------------------------------- */

static bool is_over(struct zn_ou64 most, uint64_t have, uint64_t more)
{
	return most.has && more && (more > most.v || have > most.v - more);
}

static const char *says(struct zn_arena *a, const struct zn_owner *o, const char *what, uint64_t have, uint64_t most)
{
	return a ? zn_arena_printf(a, "%s has %llu of %llu %s, and may have no more", o->name, (unsigned long long)have,
	                           (unsigned long long)most, what) : "";
}

static const char *says_mem(struct zn_arena *a, const struct zn_owner *o)
{
	char have[ZN_UNIT_TEXT], most[ZN_UNIT_TEXT];

	return a ? zn_arena_printf(a, "%s has %s of %s of memory, and may have no more", o->name,
	                           zn_format_bytes(o->use.mem_bytes, have), zn_format_bytes(o->quota->mem_bytes.v, most)) : "";
}

static const char *says_hours(struct zn_arena *a, const struct zn_owner *o, double used_s)
{
	char window[ZN_UNIT_TEXT];

	return a ? zn_arena_printf(a, "%s used %.4g of %.4g GPU hours in %s", o->name, used_s / 3600, o->quota->gpu_hours.v,
	                           zn_format_duration(o->quota->window_s, window)) : "";
}

/* NULL: it may. */
static const char *objects(struct zn_owner *o, const struct zn_use *use, double now_s, struct zn_arena *a)
{
	const struct zn_quota *q = o->quota;

	if (is_over(q->running, o->use.running, use->running))
		return says(a, o, "running jobs", o->use.running, q->running.v);
	if (is_over(q->gpus, o->use.gpus, use->gpus))
		return says(a, o, "gpus", o->use.gpus, q->gpus.v);
	if (is_over(q->cpus, o->use.cpus, use->cpus))
		return says(a, o, "cpus", o->use.cpus, q->cpus.v);
	if (is_over(q->mem_bytes, o->use.mem_bytes, use->mem_bytes))
		return says_mem(a, o);
	double used_s = q->gpu_hours.has && use->gpus ? zn_owner_gpu_s(o, now_s) : 0;
	return q->gpu_hours.has && use->gpus && used_s >= q->gpu_hours.v * 3600 ? says_hours(a, o, used_s) : NULL;
}

bool zn_payer_may(struct zn_payers *p, uint32_t payer, const struct zn_use *use, struct zn_arena *a, const char **ret)
{
	each_owner(o, p, payer) {
		const char *text = objects(o, use, p->now_s, a);
		if (!text)
			continue;
		if (ret)
			*ret = text;
		return false;
	}
	return true;
}

double zn_payers_again_s(struct zn_payers *p)
{
	double first_s = 0;

	for (struct zn_owner *o = p->owners; o; o = o->hh.next) {
		if (!o->quota->gpu_hours.has || zn_owner_gpu_s(o, p->now_s) < o->quota->gpu_hours.v * 3600)
			continue;
		double next_s = zn_ledger_next_s(&o->ledger, p->now_s);
		if (first_s == 0 || next_s < first_s)
			first_s = next_s;
	}
	return first_s;
}

static int asks_too_much(const struct zn_owner *o, const char *what, uint64_t asks, struct zn_ou64 most, struct zn_err *err)
{
	if (!most.has || asks <= most.v)
		return 0;
	return zn_err_set(err, -EBADMSG, "it asks %llu %s, and %s may have %llu (quota)", (unsigned long long)asks, what, o->name,
	                  (unsigned long long)most.v);
}

static int accepts(const struct zn_owner *o, const struct zn_use *use, struct zn_err *err)
{
	const struct zn_quota *q = o->quota;
	int rc = asks_too_much(o, "gpus", use->gpus, q->gpus, err);

	if (rc == 0)
		rc = asks_too_much(o, "cpus", use->cpus, q->cpus, err);
	if (rc == 0)
		rc = asks_too_much(o, "bytes of memory", use->mem_bytes, q->mem_bytes, err);
	if (rc == 0)
		rc = asks_too_much(o, "running jobs", 1, q->running, err);
	if (rc == 0 && is_over(q->queued, o->use.queued, 1))
		rc = zn_err_set(err, -EAGAIN, "%s has %llu jobs that wait, and may have %llu (quota)", o->name,
		                (unsigned long long)o->use.queued, (unsigned long long)q->queued.v);
	return rc;
}

int zn_payer_accepts(struct zn_payers *p, uint32_t payer, const struct zn_use *use, struct zn_err *err)
{
	int rc = 0;

	each_owner(o, p, payer)
		rc = rc < 0 ? rc : accepts(o, use, err);
	return rc;
}
