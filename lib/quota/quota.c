#define HASH_NONFATAL_OOM 1
#include "quota/quota_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>


#define Q struct zn_quota
static const struct zn_field fields[] = {
	ZN_FIELD(Q, of, STR, "WHOSE", "user or account"),
	ZN_FIELD(Q, name, STR, "NAME", "his name; *: each that has none of its own"),
	ZN_FIELD(Q, users, STR, "USERS", "who may use the account; absent: everybody"),
	ZN_FIELD(Q, running_now, OU64, "RUNNING", "jobs with a place now"),
	ZN_FIELD_AS(Q, hard.running, "running", OU64, "OF", "jobs with a place, at most"),
	ZN_FIELD(Q, queued_now, OU64, "QUEUED", "jobs that wait now"),
	ZN_FIELD(Q, queued, OU64, "OF", "jobs that wait, at most"),
	ZN_FIELD(Q, gpus_now, OU64, "GPUS", "GPUs that its jobs have now, rounded up"),
	ZN_FIELD_AS(Q, hard.gpus, "gpus", OU64, "OF", "GPUs at once, at most"),
	ZN_FIELD(Q, gpu_milli_now, OU64, "", "the same in thousandths; absent where they are all whole"),
	ZN_FIELD(Q, cpus_now, OU64, "CPUS", "hardware threads that its jobs asked for and have now"),
	ZN_FIELD_AS(Q, hard.cpus, "cpus", OU64, "OF", "hardware threads at once, at most"),
	ZN_FIELD(Q, mem_now_bytes, OBYTES, "MEM", "memory that its jobs have now"),
	ZN_FIELD_AS(Q, hard.mem_bytes, "mem_bytes", OBYTES, "OF", "memory at once, at most"),
	ZN_FIELD(Q, gpu_hours_used, OF64, "GPU-HOURS", "GPU hours used in the window that ends now"),
	ZN_FIELD_AS(Q, hard.gpu_hours, "gpu_hours", OF64, "OF", "GPU hours in the window, at most"),
	ZN_FIELD(Q, running_over, OU64, "", "of the jobs with a place now, those that started beyond the soft limits; absent: none did"),
	ZN_FIELD_AS(Q, soft.running, "soft_running", OU64, "", "jobs with a place before one is over the quota"),
	ZN_FIELD_AS(Q, soft.gpus, "soft_gpus", OU64, "", "GPUs at once before a job is over the quota"),
	ZN_FIELD_AS(Q, soft.cpus, "soft_cpus", OU64, "", "hardware threads at once before a job is over the quota"),
	ZN_FIELD_AS(Q, soft.mem_bytes, "soft_mem_bytes", OBYTES, "", "memory at once before a job is over the quota"),
	ZN_FIELD_AS(Q, soft.gpu_hours, "soft_gpu_hours", OF64, "", "GPU hours in the window before a job is over the quota"),
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

const struct zn_quota *zn__quota_of(const struct zn_quotas *q, const char *of, const char *name)
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

bool zn__quota_has_soft(const struct zn_quota *q)
{
	const struct zn_limits *l = &q->soft;

	return l->running.has || l->gpus.has || l->cpus.has || l->mem_bytes.has || l->gpu_hours.has;
}

/* *ret is NULL where there is no quota.  -ENOMEM. */
static int owner_get(struct zn_payers *p, const char *of, const char *name, struct zn_owner **ret)
{
	const struct zn_quota *quota = name ? zn__quota_of(&p->quotas, of, name) : NULL;
	char text[ZN__OWNER_TEXT];

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
	o->which = strcmp(of, "user") != 0;
	o->ledger.window_s = quota->window_s;
	HASH_ADD_STR(p->owners, name, o);
	if (!o->hh.tbl) {
		free(o);
		return -ENOMEM;
	}
	if (quota->hard.gpu_hours.has || quota->soft.gpu_hours.has)
		LL_PREPEND2(p->timed, o, next_timed);
	if (zn__quota_has_soft(quota))
		LL_PREPEND2(p->soft, o, next_soft);
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

	if (!p->quotas.n && p->leaves.shares.half_life_s <= 0) /* nobody is counted, and this is asked for each job */
		return 0;
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

/* ---- telling --------------------------------------------------------------------------------------------------- */

static int by_name(const struct zn_owner *a, const struct zn_owner *b)
{
	return strcmp(a->name, b->name);
}

static struct zn_quota what_it_has(struct zn_owner *o, double now_s)
{
	struct zn_quota q = *o->quota;

	q.name = strchr(o->name, ' ') + 1;
	q.running_now = ZN_SOME_U64(o->use.running);
	if (o->over.running)
		q.running_over = ZN_SOME_U64(o->over.running);
	q.queued_now = ZN_SOME_U64(o->use.queued);
	q.gpus_now = ZN_SOME_U64(o->use.gpus + (o->use.gpu_milli + 999) / 1000);
	if (o->use.gpu_milli)
		q.gpu_milli_now = ZN_SOME_U64(zn_use_all_milli(&o->use));
	q.cpus_now = ZN_SOME_U64(o->use.cpus);
	q.mem_now_bytes = ZN_SOME_U64(o->use.mem_bytes);
	if (q.hard.gpu_hours.has || q.soft.gpu_hours.has)
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
