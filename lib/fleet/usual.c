/* usual: the tasks that are asked most, by what came: the commonest until they are 95 % of all, and of these those with
 * GPUs.  Rarer ones only blur the picture.  Memory is not looked at: GPU nodes run out of CPUs first.  Every look costs all
 * that was remembered of nodes, so the next one comes when there are twice as many tasks.
 */
#include <errno.h>
#include <string.h>

#include "fleet/frag.h"
#include "fleet/shape.h"

static const double enough = 0.95;

static int by_kind(const void *a, const void *b)
{
	const struct zn__usual_task *x = a, *y = b;

	if (x->gpus != y->gpus)
		return x->gpus < y->gpus ? -1 : 1;
	if (x->milli != y->milli)
		return x->milli < y->milli ? -1 : 1;
	if (x->cpu_milli != y->cpu_milli)
		return x->cpu_milli < y->cpu_milli ? -1 : 1;
	return x->models < y->models ? -1 : x->models > y->models;
}

static int by_weight(const void *a, const void *b)
{
	const struct zn__usual_task *x = a, *y = b;

	return x->weight != y->weight ? (x->weight > y->weight ? -1 : 1) : by_kind(a, b);
}

static size_t merge(struct zn__usual_task *v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), by_kind);
	for (size_t i = 0; i < n; i++)
		if (kept && !by_kind(&v[kept - 1], &v[i]))
			v[kept - 1].weight += v[i].weight;
		else
			v[kept++] = v[i];
	return kept;
}

static void keep_most(struct zn__usual *u, struct zn__usual_task *v, size_t n, double total)
{
	double sum = 0;

	qsort(v, n, sizeof(*v), by_weight);
	u->n = 0;
	for (size_t i = 0; i < n && sum < enough * total && u->n < ZN__USUAL_MAX; i++) {
		sum += v[i].weight;
		if (v[i].gpus)
			u->v[u->n++] = v[i];
	}
	for (size_t i = 0; i < u->n; i++)
		u->v[i].weight /= sum;
}

int zn__usual_look(struct zn_fleet *f)
{
	size_t n = 0;
	double total = 0;
	struct zn__usual_task *v = calloc(HASH_COUNT(f->shapes) + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (const struct zn__shape *s = f->shapes; s; s = s->hh.next) {
		if (!s->count)
			continue;
		v[n++] = (struct zn__usual_task){ .gpus = s->task.gpus, .milli = s->task.gpu_milli,
			.cpu_milli = s->task.cpu_milli, .models = s->task.models, .weight = (double)s->count };
		total += (double)s->count;
	}
	keep_most(f->usual, v, merge(v, n), total);
	f->usual->version++;
	free(v);
	return 0;
}

int zn__usual_saw(struct zn_fleet *f, struct zn__shape *shape)
{
	shape->count++;
	f->came++;
	if (f->came < f->next_look)
		return 0;
	f->next_look = 2 * f->came;
	return zn__usual_look(f);
}
