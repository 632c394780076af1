/* picture_count: what everybody has against the quotas, out of the view and the history, as zn-schedd counts it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/forecast.h"
#include "rec/raw.h"

unsigned zn_picture_runs(const struct zn_job_record *r, struct zn_gpu_run v[2])
{
	struct zn_order o = zn_forecast_order(r);
	struct zn_use all = zn_pick_use(&o.ask), use = { .gpus = all.gpus, .gpu_milli = all.gpu_milli };
	unsigned n = 0;

	if (r->gpus && r->before_gpu_s.has && r->before_end_s.has)
		v[n++] = (struct zn_gpu_run){ use, r->before_end_s.v - r->before_gpu_s.v / zn_use_gpus(&use), r->before_end_s.v };
	if (r->gpus && r->start_s.has && r->end_s.has)
		v[n++] = (struct zn_gpu_run){ use, r->start_s.v, r->end_s.v };
	return n;
}

static void count_runs(struct zn_payers *p, uint32_t payer, const struct zn_job_record *r)
{
	struct zn_gpu_run v[2];
	unsigned n = zn_picture_runs(r, v);

	for (unsigned i = 0; i < n; i++)
		zn_payer_ran(p, payer, &v[i].use, v[i].start_s, v[i].end_s);
}

static int count_job(struct zn_picture *p, const struct zn_job_record *r)
{
	int64_t payer = zn_payers_get(&p->payers, r->user, r->account);
	struct zn_order o = zn_forecast_order(r);
	struct zn_use use = zn_pick_use(&o.ask), waits = { .queued = zn_picture_waiters(r) };

	if (payer <= 0)
		return (int)payer;
	if (!r->end_s.has) /* else the history tells */
		count_runs(&p->payers, (uint32_t)payer, r);
	if (!strcmp(r->state, "PENDING") || !strcmp(r->state, "QUEUED"))
		zn_payer_add(&p->payers, (uint32_t)payer, &waits);
	if (!zn_picture_has_place(r))
		return 0;
	use.over = r->over_quota.v;
	zn_payer_add(&p->payers, (uint32_t)payer, &use);
	if (r->start_s.has)
		zn_payer_began(&p->payers, (uint32_t)payer, &use, r->start_s.v);
	return 0;
}

struct past { struct zn_picture *p; struct zn_err *err; };

/* Of those that ended: their GPU time. */
static int count_ended(void *arg, struct zn_bytes event)
{
	struct past *past = arg;
	struct zn_arena a = { 0 };
	struct zn_job_record r;
	int rc = zn_raw_decode(&zn_job_kind, zn_raw_get(event, "job"), &a, &r, past->err);
	int64_t payer = rc == 0 && r.gpus ? zn_payers_get(&past->p->payers, r.user, r.account) : 0;

	if (payer > 0)
		count_runs(&past->p->payers, (uint32_t)payer, &r);
	zn_arena_done(&a);
	return payer < 0 ? (int)payer : rc;
}

double zn_picture_window_s(const struct zn_picture *p)
{
	const struct zn_quotas *q = &p->quotas;
	double longest_s = 0;

	for (size_t i = 0; i < q->n; i++)
		if (q->v[i].hard.gpu_hours.has || q->v[i].soft.gpu_hours.has)
			longest_s = fmax(longest_s, q->v[i].window_s);
	return longest_s;
}

struct zn_shares zn_picture_shares(const struct zn_picture *p)
{
	return (struct zn_shares){ .half_life_s = p->n_shares ? 1e9 : 0 };
}

int zn_picture_weigh(const struct zn_picture *p, struct zn_payers *payers)
{
	for (size_t i = 0; i < p->n_shares; i++) {
		const struct zn_share_record *r = &p->shares[i];
		struct zn_leaf *leaf = r->user ? zn_leaves_get(&payers->leaves, r->user, r->account) : NULL;
		if (!leaf)
			return -ENOMEM;
		leaf->factor = r->factor;
	}
	return 0;
}

int zn_picture_count(struct zn_picture *p, const char *spool, struct zn_err *err)
{
	double window_s = zn_picture_window_s(p), now_s = zn_now_s();
	struct past past = { p, err };
	int rc = 0;

	zn_payers_init(&p->payers, p->quotas, zn_picture_shares(p));
	p->payers.now_s = now_s;
	if (zn_picture_weigh(p, &p->payers) < 0 || zn_picture_count_licences(p) < 0)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && p->quotas.n && i < p->n_jobs; i++)
		rc = count_job(p, &p->jobs[i]);
	if (rc == 0 && window_s > 0)
		rc = zn_history_each(spool, now_s - window_s, false, count_ended, &past, err);
	return rc < 0 ? rc : 0;
}
