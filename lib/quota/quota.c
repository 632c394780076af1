#define HASH_NONFATAL_OOM 1
#include "quota/quota.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/text.h"
#include "base/units.h"

enum { OWNER_TEXT = 256 };     /* "account " and a name of a job, which is shorter */

#define Q struct zn_quota
static const struct zn_field fields[] = {
	ZN_FIELD(Q, of, STR, "WHOSE", "user or account"),
	ZN_FIELD(Q, name, STR, "NAME", "his name; *: each that has none of its own"),
	ZN_FIELD(Q, users, STR, "USERS", "who may use the account; absent: everybody"),
	ZN_FIELD(Q, running_now, OU64, "RUNNING", "jobs with a place now"),
	ZN_FIELD(Q, running, OU64, "OF", "jobs with a place, at most"),
	ZN_FIELD(Q, queued_now, OU64, "QUEUED", "jobs that wait now"),
	ZN_FIELD(Q, queued, OU64, "OF", "jobs that wait, at most"),
	ZN_FIELD(Q, gpus_now, OU64, "GPUS", "GPUs that its jobs have now, rounded up"),
	ZN_FIELD(Q, gpus, OU64, "OF", "GPUs at once, at most"),
	ZN_FIELD(Q, gpu_milli_now, OU64, "", "the same in thousandths; absent where they are all whole"),
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
	char text[OWNER_TEXT];

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
	if (quota->gpu_hours.has)
		LL_PREPEND2(p->timed, o, next_timed);
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

#define each_owner(o, p, payer) \
	for (int i_ = 0; i_ < 2; i_++) \
		for (struct zn_owner *o = (payer) ? (p)->v[(payer) - 1].owner[i_] : NULL; o; o = NULL)

/* ---- counting ---------------------------------------------------------------------------------------------- */

static void note_changed(struct zn_payers *p, struct zn_owner *o)
{
	o->changed++;
	if (o->in_changed)
		return;
	o->in_changed = true;
	LL_PREPEND2(p->changed, o, next_changed);
}

void zn_payer_add(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	each_owner(o, p, payer) {
		note_changed(p, o);
		o->use.running += use->running;
		o->use.queued += use->queued;
		o->use.gpus += use->gpus;
		o->use.gpu_milli += use->gpu_milli;
		o->use.cpus += use->cpus;
		o->use.mem_bytes += use->mem_bytes;
	}
}

void zn_payer_take(struct zn_payers *p, uint32_t payer, const struct zn_use *use)
{
	each_owner(o, p, payer) {
		note_changed(p, o);
		o->use.running -= use->running;
		o->use.queued -= use->queued;
		o->use.gpus -= use->gpus;
		o->use.gpu_milli -= use->gpu_milli;
		o->use.cpus -= use->cpus;
		o->use.mem_bytes -= use->mem_bytes;
	}
}

/* What runs is in the ledger up to now. */
static void count_up_to(struct zn_owner *o, double now_s)
{
	if (o->gpus_on > 0 && now_s > o->counted_s)
		zn_ledger_add(&o->ledger, o->counted_s, now_s, o->gpus_on);
	o->counted_s = now_s;
}

static void hours_changed(struct zn_owner *o, double at_s)
{
	o->hours_until_s = 0;
	o->on_s = at_s;
}

/* From a start that may be past. */
static void begin_gpus(struct zn_payers *p, uint32_t payer, double gpus, double start_s)
{
	each_owner(o, p, payer) {
		count_up_to(o, fmax(start_s, o->counted_s));
		zn_ledger_add(&o->ledger, start_s, o->counted_s, gpus);
		o->gpus_on += gpus;
		hours_changed(o, start_s);
	}
}

/* At an end that may be past. */
static void end_gpus(struct zn_payers *p, uint32_t payer, double gpus, double end_s)
{
	each_owner(o, p, payer) {
		count_up_to(o, fmax(end_s, o->counted_s));
		zn_ledger_add(&o->ledger, end_s, o->counted_s, -gpus);
		o->gpus_on = fmax(0, o->gpus_on - gpus);
		hours_changed(o, end_s);
	}
}

static void add_hours(struct zn_payers *p, uint32_t payer, double gpus, double start_s, double end_s)
{
	each_owner(o, p, payer) {
		zn_ledger_add(&o->ledger, start_s, end_s, gpus);
		o->hours_until_s = 0;
	}
}

static struct zn_leaf *leaf_of(const struct zn_payers *p, uint32_t payer)
{
	return payer ? p->v[payer - 1].leaf : NULL;
}

void zn_payer_began(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	begin_gpus(p, payer, zn_use_gpus(use), start_s);
	if (leaf) {
		zn_used_began(&leaf->gpu, half_s, zn_use_gpus(use), start_s);
		zn_used_began(&leaf->cpu, half_s, (double)use->cpus, start_s);
	}
}

void zn_payer_ran(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	add_hours(p, payer, zn_use_gpus(use), start_s, end_s);
	if (leaf) {
		zn_used_ran(&leaf->gpu, half_s, zn_use_gpus(use), start_s, end_s);
		zn_used_ran(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payer_ended(struct zn_payers *p, uint32_t payer, const struct zn_use *use, double start_s, double end_s)
{
	struct zn_leaf *leaf = leaf_of(p, payer);
	double half_s = p->leaves.shares.half_life_s;

	end_gpus(p, payer, zn_use_gpus(use), end_s);
	if (leaf) {
		zn_used_ended(&leaf->gpu, half_s, zn_use_gpus(use), start_s, end_s);
		zn_used_ended(&leaf->cpu, half_s, (double)use->cpus, start_s, end_s);
	}
}

void zn_payers_take_ledgers(struct zn_payers *p, const struct zn_payers *from)
{
	for (struct zn_owner *o = p->owners; o; o = o->hh.next) {
		struct zn_owner *other;
		HASH_FIND_STR(from->owners, o->name, other);
		if (other) {
			o->ledger = other->ledger;
			o->counted_s = other->counted_s;
			o->hours_until_s = 0;
		}
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
	q.gpus_now = ZN_SOME_U64(o->use.gpus + (o->use.gpu_milli + 999) / 1000);
	if (o->use.gpu_milli)
		q.gpu_milli_now = ZN_SOME_U64(zn_use_all_milli(&o->use));
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
	count_up_to(o, now_s);
	return fmax(0, zn_ledger_sum(&o->ledger, now_s));
}

/* ---- deciding ---------------------------------------------------------------------------------------------- */

static const char *says(struct zn_arena *a, const struct zn_owner *o, const char *what, uint64_t asks, uint64_t have, uint64_t most)
{
	if (asks > most)
		return zn_arena_printf(a, "needs %llu %s; %s may have %llu: it can never start", (unsigned long long)asks, what, o->name,
		                       (unsigned long long)most);
	return zn_arena_printf(a, "needs %llu %s; %s has %llu of the %llu that the quota allows", (unsigned long long)asks, what, o->name,
	                       (unsigned long long)have, (unsigned long long)most);
}

static const char *says_gpus(struct zn_arena *a, const struct zn_owner *o, const struct zn_use *use)
{
	double asks = zn_use_gpus(use);

	if (zn_use_all_milli(use) > zn_use_all_milli(&(struct zn_use){ .gpus = o->quota->gpus.v }))
		return zn_arena_printf(a, "needs %.10g gpus; %s may have %llu: it can never start", asks, o->name,
		                       (unsigned long long)o->quota->gpus.v);
	return zn_arena_printf(a, "needs %.10g gpus; %s has %.10g of the %llu that the quota allows", asks, o->name, zn_use_gpus(&o->use),
	                       (unsigned long long)o->quota->gpus.v);
}

static const char *says_mem(struct zn_arena *a, const struct zn_owner *o, uint64_t asks)
{
	char text[3][ZN_UNIT_TEXT];
	const char *most = zn_format_bytes(o->quota->mem_bytes.v, text[0]), *need = zn_format_bytes(asks, text[1]);

	if (asks > o->quota->mem_bytes.v)
		return zn_arena_printf(a, "needs %s of memory; %s may have %s: it can never start", need, o->name, most);
	return zn_arena_printf(a, "needs %s of memory; %s has %s of the %s that the quota allows", need, o->name,
	                       zn_format_bytes(o->use.mem_bytes, text[2]), most);
}

static const char *says_hours(struct zn_arena *a, const struct zn_owner *o, double used_s)
{
	char window[ZN_UNIT_TEXT];

	return zn_arena_printf(a, "%s used %.4g of the %.4g GPU hours that the quota allows in %s", o->name, used_s / 3600,
	                       o->quota->gpu_hours.v, zn_format_duration(o->quota->window_s, window));
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void zn_owner_wants(struct zn_owner *o, const struct zn_use *use)
{
	o->most.running = max(o->most.running, use->running);
	o->most.gpus = max(o->most.gpus, use->gpus);
	o->most.gpu_milli = max(o->most.gpu_milli, use->gpu_milli);
	o->most.cpus = max(o->most.cpus, use->cpus);
	o->most.mem_bytes = max(o->most.mem_bytes, use->mem_bytes);
}

static uint64_t left(struct zn_ou64 most, uint64_t have)
{
	return !most.has ? UINT64_MAX : most.v > have ? most.v - have : 0;
}

/* In whole ones and thousandths. */
static void gpus_left(struct zn_ou64 most, const struct zn_use *have, struct zn_use *ret)
{
	uint64_t all = zn_use_all_milli(&(struct zn_use){ .gpus = most.v }), had = zn_use_all_milli(have), more = all > had ? all - had : 0;

	*ret = (struct zn_use){ .gpus = most.has ? more / 1000 : UINT64_MAX, .gpu_milli = most.has ? more % 1000 : 0 };
}

static struct zn_use left_of(const struct zn_owner *o, const struct zn_use *have)
{
	const struct zn_quota *q = o->quota;

	struct zn_use ret;

	gpus_left(q->gpus, have, &ret);
	ret.running = left(q->running, have->running);
	ret.cpus = left(q->cpus, have->cpus);
	ret.mem_bytes = left(q->mem_bytes, have->mem_bytes);
	return ret;
}

void zn_owner_find_left(struct zn_owner *o, double now_s)
{
	static const struct zn_use nothing;

	o->left = left_of(o, &o->use);
	o->ever = left_of(o, &nothing);
	o->left_hours = zn_owner_has_hours(o, now_s);
	o->ever_hours = !o->quota->gpu_hours.has || o->quota->gpu_hours.v > 0;
}

bool zn_owner_is_tight(const struct zn_owner *o)
{
	struct zn_use now = left_of(o, &o->use);

	return zn_left_lacks(&now, true, &o->most) != ZN_SCARCE_NOTHING;
}

bool zn_owner_has_hours(struct zn_owner *o, double now_s)
{
	double most_s = o->quota->gpu_hours.v * 3600;

	if (!o->quota->gpu_hours.has)
		return true;
	if (now_s >= o->hours_s && now_s < o->hours_until_s)
		return o->has_hours;
	double used_s = zn_owner_gpu_s(o, now_s);
	o->has_hours = used_s < most_s;
	o->hours_s = now_s;
	o->hours_until_s = !o->has_hours ? zn_ledger_next_s(&o->ledger, now_s)
	                   : o->gpus_on > 0 ? now_s + (most_s - used_s) / o->gpus_on : HUGE_VAL; /* what slides out only makes it more */
	return o->has_hours;
}

/* What runs is too much by itself, and all else has slid out: before an end nothing gets better. */
static bool waits_for_an_end(const struct zn_owner *o, double now_s)
{
	const struct zn_quota *q = o->quota;

	return o->gpus_on * q->window_s >= q->gpu_hours.v * 3600 && now_s - o->on_s >= q->window_s;
}

static enum zn_scarce lacks(struct zn_owner *o, const struct zn_use *use, double now_s)
{
	struct zn_use now = left_of(o, &o->use);

	return zn_left_lacks(&now, zn_owner_has_hours(o, now_s), use);
}

bool zn_use_needs(const struct zn_use *use, enum zn_scarce what)
{
	return what == ZN_SCARCE_CPUS ? use->cpus : what == ZN_SCARCE_MEM ? use->mem_bytes
	       : what == ZN_SCARCE_GPUS || what == ZN_SCARCE_HOURS ? zn_use_all_milli(use) : use->running;
}

static const char *says_what(struct zn_arena *a, struct zn_owner *o, const struct zn_use *use, enum zn_scarce what, double now_s)
{
	const struct zn_quota *q = o->quota;

	switch (what) {
	case ZN_SCARCE_RUNNING:
		return says(a, o, use->running == 1 ? "running job" : "running jobs", use->running, o->use.running, q->running.v);
	case ZN_SCARCE_GPUS:
		return says_gpus(a, o, use);
	case ZN_SCARCE_CPUS:
		return says(a, o, "cpus", use->cpus, o->use.cpus, q->cpus.v);
	case ZN_SCARCE_MEM:
		return says_mem(a, o, use->mem_bytes);
	default:
		return says_hours(a, o, zn_owner_gpu_s(o, now_s));
	}
}

bool zn_payer_may(struct zn_payers *p, uint32_t payer, const struct zn_use *use, struct zn_arena *a, const char **ret)
{
	each_owner(o, p, payer) {
		enum zn_scarce what = lacks(o, use, p->now_s);
		if (!what)
			continue;
		*ret = says_what(a, o, use, what, p->now_s);
		return false;
	}
	return true;
}

double zn_payers_again_s(struct zn_payers *p)
{
	double first_s = 0;

	for (struct zn_owner *o = p->timed; o; o = o->next_timed) {
		if (zn_owner_has_hours(o, p->now_s) || waits_for_an_end(o, p->now_s))
			continue;
		double next_s = zn_ledger_next_s(&o->ledger, p->now_s);
		if (first_s == 0 || next_s < first_s)
			first_s = next_s;
	}
	return first_s;
}

static int asks_too_much(const char *name, const char *what, uint64_t asks, struct zn_ou64 most, struct zn_err *err)
{
	if (!most.has || asks <= most.v)
		return 0;
	return zn_err_set(err, -EBADMSG, "it asks %llu %s, and %s may have %llu (quota)", (unsigned long long)asks, what, name,
	                  (unsigned long long)most.v);
}

static int asks_too_many_gpus(const char *name, const struct zn_use *use, struct zn_ou64 most, struct zn_err *err)
{
	if (!most.has || zn_use_all_milli(use) <= zn_use_all_milli(&(struct zn_use){ .gpus = most.v }))
		return 0;
	return zn_err_set(err, -EBADMSG, "it asks %.10g gpus, and %s may have %llu (quota)", zn_use_gpus(use), name,
	                  (unsigned long long)most.v);
}

/* have: jobs of it that wait; name: "user ann". */
static int accepts(const struct zn_quota *q, const char *name, uint64_t have, const struct zn_use *use, struct zn_err *err)
{
	uint64_t jobs = use->queued ? use->queued : 1;
	int rc = asks_too_many_gpus(name, use, q->gpus, err);

	if (rc == 0)
		rc = asks_too_much(name, "cpus", use->cpus, q->cpus, err);
	if (rc == 0)
		rc = asks_too_much(name, "bytes of memory", use->mem_bytes, q->mem_bytes, err);
	if (rc == 0)
		rc = asks_too_much(name, "running jobs", 1, q->running, err);
	if (rc == 0)
		rc = asks_too_much(name, "waiting jobs", jobs, q->queued, err);
	if (rc == 0 && q->gpu_hours.has && q->gpu_hours.v == 0)
		rc = asks_too_many_gpus(name, use, ZN_SOME_U64(0), err);
	if (rc == 0 && left(q->queued, have) < jobs)
		rc = zn_err_set(err, -EAGAIN, "%s has %llu jobs that wait, and may have %llu (quota)", name, (unsigned long long)have,
		                (unsigned long long)q->queued.v);
	return rc;
}

/* Nobody is entered into the books for having asked. */
static int one_accepts(struct zn_payers *p, const char *of, const char *name, const struct zn_use *use, struct zn_err *err)
{
	const struct zn_quota *quota = name ? quota_of(&p->quotas, of, name) : NULL;
	struct zn_owner *o;
	char text[OWNER_TEXT];

	if (!quota)
		return 0;
	snprintf(text, sizeof(text), "%s %s", of, name);
	HASH_FIND_STR(p->owners, text, o);
	return accepts(quota, text, o ? o->use.queued : 0, use, err);
}

static int may_use(const struct zn_payers *p, const char *user, const char *account, struct zn_err *err)
{
	const struct zn_quota *quota = account ? quota_of(&p->quotas, "account", account) : NULL;

	if (!quota || !quota->users || zn_text_lists(quota->users, user))
		return 0;
	return zn_err_set(err, -EPERM, "account '%s' is not for user %s", account, user);
}

int zn_payers_accept(struct zn_payers *p, const char *user, const char *account, const struct zn_use *use, struct zn_err *err)
{
	int rc = may_use(p, user, account, err);

	if (rc == 0)
		rc = one_accepts(p, "user", user, use, err);
	return rc < 0 ? rc : one_accepts(p, "account", account, use, err);
}
