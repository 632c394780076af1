/* pick: who is next.  Each shape has a heap of its waiting jobs; the next job is the best head. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/jobs.h"

/* Before: more urgent first, then the one that came first. */
static bool goes_before(const struct zn_job *a, const struct zn_job *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

static void heap_put(struct zn_group *g, uint32_t at, struct zn_job *job)
{
	g->heap[at] = job;
	job->heap_at = at;
}

static void heap_up(struct zn_group *g, uint32_t at)
{
	struct zn_job *job = g->heap[at];

	for (; at && goes_before(job, g->heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap_put(g, at, g->heap[(at - 1) / 2]);
	heap_put(g, at, job);
}

static void heap_down(struct zn_group *g, uint32_t at)
{
	struct zn_job *job = g->heap[at];

	for (uint32_t child; (child = 2 * at + 1) < g->n; at = child) {
		if (child + 1 < g->n && goes_before(g->heap[child + 1], g->heap[child]))
			child++;
		if (!goes_before(g->heap[child], job))
			break;
		heap_put(g, at, g->heap[child]);
	}
	heap_put(g, at, job);
}

static struct zn_shape shape_of(const struct zn_job *job)
{
	struct zn_shape s;

	memset(&s, 0, sizeof(s)); /* hashed as bytes, padding too */
	s.gpus = job->gpus;
	s.tasks = job->tasks;
	s.cpus = job->cpus.has ? (uint32_t)job->cpus.v : 0;
	s.nvlink_required = job->nvlink_required;
	s.mem_bytes = job->mem_bytes;
	return s;
}

static struct zn_group *group_get(struct zn_jobs *q, const struct zn_job *job)
{
	struct zn_shape s = shape_of(job);
	struct zn_group *g;

	HASH_FIND(hh, q->groups, &s, sizeof(s), g);
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->shape = s;
	HASH_ADD(hh, q->groups, shape, sizeof(s), g);
	return g;
}

int zn__group_push(struct zn_jobs *q, struct zn_job *job)
{
	struct zn_group *g = group_get(q, job);

	if (!g)
		return -ENOMEM;
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 16;
		struct zn_job **heap = realloc(g->heap, cap * sizeof(*heap));
		if (!heap)
			return -ENOMEM;
		g->heap = heap;
		g->cap = cap;
	}
	job->group = g;
	heap_put(g, g->n++, job);
	heap_up(g, job->heap_at);
	return 0;
}

void zn__group_remove(struct zn_jobs *q, struct zn_job *job)
{
	struct zn_group *g = job->group;

	if (!g)
		return;
	uint32_t at = job->heap_at;
	struct zn_job *last = g->heap[--g->n];
	job->group = NULL;
	if (last != job) {
		heap_put(g, at, last);
		heap_up(g, at);
		heap_down(g, last->heap_at);
	}
	if (!g->n) {
		HASH_DEL(q->groups, g);
		free(g->heap);
		free(g);
	}
}

void zn_jobs_reorder(struct zn_jobs *q, struct zn_job *job)
{
	(void)q;
	if (!job->group)
		return;
	heap_up(job->group, job->heap_at);
	heap_down(job->group, job->heap_at);
}

double zn_jobs_unblock(struct zn_jobs *q, double now_s)
{
	double first_s = 0;

	for (struct zn_group *g = q->groups; g; g = g->hh.next) {
		g->blocked = g->not_before_s > now_s;
		if (!g->blocked)
			g->not_before_s = 0;
		else if (first_s == 0 || g->not_before_s < first_s)
			first_s = g->not_before_s;
	}
	return first_s;
}

void zn_jobs_defer(struct zn_job *job, double now_s)
{
	static const double first_wait_s = 0.5, longest_wait_s = 30;
	double wait_s = first_wait_s;

	for (uint32_t i = 0; i < job->refusals && wait_s < longest_wait_s; i++)
		wait_s *= 2;
	job->refusals++;
	if (job->group)
		job->group->not_before_s = now_s + (wait_s < longest_wait_s ? wait_s : longest_wait_s);
}

struct zn_job *zn_jobs_next(struct zn_jobs *q)
{
	struct zn_job *best = NULL;

	for (struct zn_group *g = q->groups; g; g = g->hh.next)
		if (!g->blocked && (!best || goes_before(g->heap[0], best)))
			best = g->heap[0];
	return best;
}
