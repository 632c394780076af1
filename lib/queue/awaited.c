#define HASH_NONFATAL_OOM 1
#include "queue/awaited.h"

#include <errno.h>
#include <stdlib.h>

static struct zn_awaited *find(const struct zn_jobs *q, uint64_t job)
{
	struct zn_awaited *w;

	HASH_FIND(hh, q->awaited, &job, sizeof(job), w);
	return w;
}

static struct zn_awaited *get(struct zn_jobs *q, uint64_t job)
{
	struct zn_awaited *w = find(q, job);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->job = job;
	HASH_ADD(hh, q->awaited, job, sizeof(w->job), w);
	if (w->hh.tbl)
		return w;
	free(w);
	return NULL;
}

static int add_one(struct zn_jobs *q, uint64_t awaited, uint64_t by)
{
	struct zn_awaited *w = get(q, awaited);

	if (!w)
		return -ENOMEM;
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 4;
		uint64_t *v = reallocarray(w->by, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		w->by = v;
		w->cap = cap;
	}
	w->by[w->n++] = by;
	return 0;
}

int zn__awaited_add(struct zn_jobs *q, const struct zn_job *job)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && job->after && i < job->after->n; i++)
		rc = add_one(q, job->after->v[i].job, job->id);
	return rc;
}

void zn_awaited_free(struct zn_awaited *w)
{
	if (w)
		free(w->by);
	free(w);
}

struct zn_awaited *zn_jobs_awaited_take(struct zn_jobs *q, uint64_t job)
{
	struct zn_awaited *w = find(q, job);

	if (w)
		HASH_DEL(q->awaited, w);
	return w;
}

void zn__awaited_done(struct zn_jobs *q)
{
	struct zn_awaited *w, *next;

	HASH_ITER(hh, q->awaited, w, next) {
		HASH_DEL(q->awaited, w);
		zn_awaited_free(w);
	}
}

enum zn_after_fate zn_jobs_after(struct zn_jobs *q, struct zn_job *job, uint64_t only, struct zn_after_one *ret_missed,
                                 enum zn_job_state *ret_ended)
{
	struct zn_after *after = job->after;
	size_t kept = 0;
	bool missed = false;

	for (size_t i = 0; after && i < after->n; i++) {
		const struct zn_after_one one = after->v[i];
		bool look = !only || one.job == only;
		const struct zn_job *other = look ? zn_jobs_get(q, one.job) : NULL;
		bool ended = look && (!other || zn_job_is_finished(other->state));
		if (other && ended && !missed && !zn_after_is_met(one.on, other->state)) {
			missed = true;
			*ret_missed = one;
			*ret_ended = other->state;
		}
		if (!ended)
			after->v[kept++] = one;
	}
	if (missed || !kept) {
		free(job->after);
		job->after = NULL;
	} else {
		after->n = kept;
	}
	return missed ? ZN_AFTER_MISSED : job->after ? ZN_AFTER_WAITS : ZN_AFTER_FREE;
}
