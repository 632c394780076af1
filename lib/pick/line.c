#include "pick/line.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double patience_s = 60;         /* that a job is worth more than nothing when it comes */
static const double overtaken_max_s = 48 * 3600.;
static const double buckets_per_octave = 4;

#define job_of(node, member) ((struct zn_pick_job *)((char *)(node) - offsetof(struct zn_pick_job, member)))

/* ---- classes ------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	if (l->order != ZN_PICK_SLOWDOWN || job->estimate_s <= 1)
		return 0;
	double at = buckets_per_octave * log2(job->estimate_s);
	return at < ZN_PICK_BUCKETS - 1 ? (unsigned)at : ZN_PICK_BUCKETS - 1;
}

/* Where that width is, or should be. */
static size_t width_at(const struct zn_line *l, uint32_t gpus)
{
	size_t lo = 0, hi = l->n_widths;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->widths[mid]->gpus < gpus)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct zn_pick_width *new_width(struct zn_line *l, size_t at, uint32_t gpus)
{
	if (l->n_widths == l->cap_widths) {
		size_t cap = l->cap_widths ? 2 * l->cap_widths : 16;
		struct zn_pick_width **v = reallocarray(l->widths, cap, sizeof(struct zn_pick_width *));
		if (!v)
			return NULL;
		l->widths = v;
		l->cap_widths = cap;
	}
	struct zn_pick_width *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->gpus = gpus;
	memmove(l->widths + at + 1, l->widths + at, (l->n_widths - at) * sizeof(struct zn_pick_width *));
	l->widths[at] = w;
	l->n_widths++;
	return w;
}

static struct zn_pick_width *width_of(const struct zn_line *l, uint32_t gpus)
{
	size_t at = width_at(l, gpus);

	return at < l->n_widths && l->widths[at]->gpus == gpus ? l->widths[at] : NULL;
}

void zn_line_done(struct zn_line *l)
{
	for (size_t i = 0; i < l->n_widths; i++)
		free(l->widths[i]);
	free(l->widths);
}

/* ---- coming and going ---------------------------------------------------------------------------------- */

static double key_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	return l->order == ZN_PICK_SHORTEST ? job->estimate_s : 0;
}

int zn_line_add(struct zn_line *l, struct zn_pick_job *job)
{
	struct zn_pick_width *w = width_of(l, job->gpus);
	unsigned bucket = bucket_of(l, job);

	if (!w)
		w = new_width(l, width_at(l, job->gpus), job->gpus);
	if (!w)
		return -ENOMEM;
	job->urgency = 1 / ((job->estimate_s > 1 ? job->estimate_s : 1) * sqrt(job->gpus));
	job->all = (struct zn_row_node){ .key = key_of(l, job), .seq = job->seq };
	job->in_class = (struct zn_row_node){ .key = key_of(l, job), .seq = job->seq, .low = job->estimate_s };
	job->class = &w->classes[bucket];
	zn_row_add(&l->all, &job->all);
	zn_row_add(&job->class->jobs, &job->in_class);
	w->filled[bucket / 64] |= UINT64_C(1) << bucket % 64;
	w->n++;
	return 0;
}

void zn_line_remove(struct zn_line *l, struct zn_pick_job *job)
{
	struct zn_pick_width *w = width_of(l, job->gpus);
	size_t bucket = (size_t)(job->class - w->classes);

	zn_row_remove(&l->all, &job->all);
	zn_row_remove(&job->class->jobs, &job->in_class);
	if (!zn_row_size(&job->class->jobs))
		w->filled[bucket / 64] &= ~(UINT64_C(1) << bucket % 64);
	w->n--;
	job->class = NULL;
}

void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds)
{
	if (l->order == ZN_PICK_SLOWDOWN)
		zn_row_count_before(&l->all, 0, job->seq, seconds * job->gpus / l->pool_gpus);
}

/* ---- who is first -------------------------------------------------------------------------------------- */

static double score(const struct zn_pick_job *job, double now_s)
{
	return (now_s - job->submit_s + patience_s) * job->urgency;
}

/* The better of two, of whom best may be NULL. */
static struct zn_pick_job *better(const struct zn_line *l, struct zn_pick_job *best, struct zn_pick_job *job, double now_s)
{
	if (!best)
		return job;
	if (l->order == ZN_PICK_SLOWDOWN) {
		double a = score(best, now_s), b = score(job, now_s);
		if (a != b)
			return a > b ? best : job;
	}
	return best->seq < job->seq ? best : job;
}

static struct zn_pick_job *first_of(const struct zn_pick_class *c)
{
	return job_of(zn_row_first(&c->jobs), in_class);
}

#define each_class(c, w) \
	for (unsigned word_ = 0; word_ < ZN_PICK_BUCKETS / 64; word_++) \
		for (uint64_t bits_ = (w)->filled[word_]; bits_ && ((c) = &(w)->classes[word_ * 64 + (unsigned)__builtin_ctzll(bits_)]); \
		     bits_ &= bits_ - 1)

static struct zn_pick_job *most_urgent(const struct zn_line *l, double now_s)
{
	struct zn_pick_job *best = NULL;
	struct zn_pick_class *c;

	for (size_t i = 0; i < l->n_widths; i++)
		each_class(c, l->widths[i])
			best = better(l, best, first_of(c), now_s);
	return best;
}

struct zn_pick_job *zn_line_head(const struct zn_line *l, double now_s)
{
	struct zn_row_node *first = zn_row_first(&l->all);

	if (!first || l->order != ZN_PICK_SLOWDOWN || zn_row_first_count(&l->all) > overtaken_max_s)
		return first ? job_of(first, all) : NULL;
	return most_urgent(l, now_s);
}

struct zn_pick_job *zn_line_fitting(const struct zn_line *l, const struct zn_gap *gap, double now_s)
{
	struct zn_pick_job *best = NULL;
	struct zn_pick_class *c;

	for (size_t i = 0; i < l->n_widths && l->widths[i]->gpus <= gap->free; i++)
		each_class(c, l->widths[i]) {
			struct zn_row_node *node = l->widths[i]->gpus <= gap->extra ? zn_row_first(&c->jobs)
			                           : zn_row_first_within(&c->jobs, now_s, gap->shadow_s);
			if (node && (!gap->has_last || node->seq <= gap->last_seq))
				best = better(l, best, job_of(node, in_class), now_s);
		}
	return best;
}

uint32_t zn_line_narrowest(const struct zn_line *l)
{
	for (size_t i = 0; i < l->n_widths; i++)
		if (l->widths[i]->n)
			return l->widths[i]->gpus;
	return UINT32_MAX;
}
