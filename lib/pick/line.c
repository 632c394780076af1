#define HASH_NONFATAL_OOM 1
#include "pick/line.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double patience_s = 60;         /* that a job is worth more than nothing when it comes */
static const double overtaken_max_s = 48 * 3600.;
static const double buckets_per_octave = 4;

#define job_of(node, member) ((struct zn_pick_job *)((char *)(node) - offsetof(struct zn_pick_job, member)))

/* ---- shapes and classes -------------------------------------------------------------------------------- */

static unsigned bucket_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	if (l->order != ZN_PICK_SLOWDOWN || job->estimate_s <= 1)
		return 0;
	double at = buckets_per_octave * log2(job->estimate_s);
	return at < ZN_PICK_BUCKETS - 1 ? (unsigned)at : ZN_PICK_BUCKETS - 1;
}

static struct zn_pick_shape *shape_get(struct zn_line *l, const struct zn_pick_ask *ask)
{
	struct zn_pick_ask key;
	struct zn_pick_shape *s;

	memset(&key, 0, sizeof(key)); /* hashed as bytes, padding too */
	key.priority = ask->priority;
	key.mem_bytes = ask->mem_bytes;
	key.gpus = ask->gpus;
	key.cpus = ask->cpus;
	key.tasks = ask->tasks;
	key.gang = ask->gang;
	key.payer = ask->payer;
	key.nvlink_required = ask->nvlink_required;
	HASH_FIND(hh, l->shapes, &key, sizeof(key), s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	memcpy(&s->ask, &key, sizeof(key));
	s->factor = 1;
	HASH_ADD(hh, l->shapes, ask, sizeof(key), s);
	l->n_paid += s->hh.tbl && s->ask.payer;
	if (s->hh.tbl)
		return s;
	free(s);
	return NULL;
}

static void shape_free(struct zn_line *l, struct zn_pick_shape *s)
{
	HASH_DEL(l->shapes, s);
	l->n_paid -= s->ask.payer != 0;
	free(s->classes);
	free(s);
}

/* Where that class is, or should be. */
static size_t class_at(const struct zn_pick_shape *s, unsigned bucket)
{
	size_t at = 0;

	while (at < s->n_classes && s->classes[at].bucket < bucket)
		at++;
	return at;
}

static struct zn_pick_class *class_get(struct zn_pick_shape *s, unsigned bucket)
{
	size_t at = class_at(s, bucket);

	if (at < s->n_classes && s->classes[at].bucket == bucket)
		return &s->classes[at];
	if (s->n_classes == s->cap_classes) {
		size_t cap = s->cap_classes ? 2 * s->cap_classes : 2;
		struct zn_pick_class *v = reallocarray(s->classes, cap, sizeof(*v));
		if (!v)
			return NULL;
		s->classes = v;
		s->cap_classes = cap;
	}
	memmove(s->classes + at + 1, s->classes + at, (s->n_classes - at) * sizeof(*s->classes));
	s->classes[at] = (struct zn_pick_class){ .bucket = bucket };
	s->n_classes++;
	return &s->classes[at];
}

static void class_drop(struct zn_pick_shape *s, struct zn_pick_class *c)
{
	size_t at = (size_t)(c - s->classes);

	s->n_classes--;
	memmove(s->classes + at, s->classes + at + 1, (s->n_classes - at) * sizeof(*s->classes));
}

void zn_line_done(struct zn_line *l)
{
	struct zn_pick_shape *s, *next;

	HASH_ITER(hh, l->shapes, s, next)
		shape_free(l, s);
}

/* ---- coming and going ---------------------------------------------------------------------------------- */

static double key_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	return l->order == ZN_PICK_SHORTEST ? job->estimate_s : 0;
}

static double excused_s(const struct zn_line *l, const struct zn_pick_shape *s)
{
	return s->excused_s + (s->is_out ? l->charged_s - s->out_at_s : 0);
}

static double overtaken_s(const struct zn_line *l, const struct zn_pick_job *job)
{
	return zn_row_count(&l->all, &job->all) - (excused_s(l, job->shape) - job->excused_s);
}

int zn_line_add(struct zn_line *l, struct zn_pick_job *job, const struct zn_pick_ask *ask)
{
	struct zn_pick_shape *s = shape_get(l, ask);
	unsigned bucket = bucket_of(l, job);
	struct zn_pick_class *c = s ? class_get(s, bucket) : NULL;

	if (!c) {
		if (s && !s->n_classes)
			shape_free(l, s);
		return -ENOMEM;
	}
	job->urgency = 1 / ((job->estimate_s > 1 ? job->estimate_s : 1) * sqrt((double)job->size));
	job->all = (struct zn_row_node){ .key = key_of(l, job), .seq = job->seq, .count = job->overtaken_s };
	job->in_class = (struct zn_row_node){ .key = key_of(l, job), .seq = job->seq, .low = job->limit_s };
	job->bucket = bucket;
	job->shape = s;
	job->excused_s = excused_s(l, s);
	zn_row_add(&l->all, &job->all);
	zn_row_add(&c->jobs, &job->in_class);
	return 0;
}

void zn_line_remove(struct zn_line *l, struct zn_pick_job *job)
{
	struct zn_pick_shape *s = job->shape;
	struct zn_pick_class *c = &s->classes[class_at(s, job->bucket)];

	job->overtaken_s = overtaken_s(l, job);
	zn_row_remove(&l->all, &job->all);
	zn_row_remove(&c->jobs, &job->in_class);
	job->shape = NULL;
	if (zn_row_size(&c->jobs))
		return;
	class_drop(s, c);
	if (!s->n_classes)
		shape_free(l, s);
}

void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds)
{
	double part_s = seconds * (double)job->size / l->total;

	if (l->order != ZN_PICK_SLOWDOWN)
		return;
	l->charged_s += part_s;
	zn_row_count_before(&l->all, 0, job->seq, part_s);
}

void zn_line_set_out(const struct zn_line *l, struct zn_pick_shape *s, bool out)
{
	if (s->is_out && !out)
		s->excused_s += l->charged_s - s->out_at_s;
	else if (!s->is_out && out)
		s->out_at_s = l->charged_s;
	s->is_out = out;
}

void zn_line_defer(struct zn_pick_job *job, double until_s)
{
	if (job->shape) {
		job->shape->not_before_s = until_s;
		job->shape->sleeps = true;
	}
}

double zn_line_wake(struct zn_line *l, double now_s)
{
	double first_s = 0;

	for (struct zn_pick_shape *s = l->shapes; s; s = s->hh.next) {
		s->sleeps = s->sleeps && s->not_before_s > now_s;
		if (s->sleeps && (first_s == 0 || s->not_before_s < first_s))
			first_s = s->not_before_s;
	}
	return first_s;
}

/* ---- who is first -------------------------------------------------------------------------------------- */

/* A clock may have been set back. */
static double score(const struct zn_pick_job *job, double now_s)
{
	double wait_s = now_s - job->submit_s;

	return ((wait_s > 0 ? wait_s : 0) + patience_s) * job->urgency * job->shape->factor;
}

bool zn_line_goes_before(const struct zn_line *l, const struct zn_pick_job *a, const struct zn_pick_job *b, double now_s)
{
	if (a->shape->ask.priority != b->shape->ask.priority)
		return a->shape->ask.priority > b->shape->ask.priority;
	if (l->order == ZN_PICK_SLOWDOWN) {
		double x = score(a, now_s), y = score(b, now_s);
		if (x != y)
			return x > y;
	}
	if (l->order == ZN_PICK_SHORTEST && a->estimate_s != b->estimate_s)
		return a->estimate_s < b->estimate_s;
	return a->seq < b->seq;
}

/* best may be NULL. */
static struct zn_pick_job *better(const struct zn_line *l, struct zn_pick_job *best, struct zn_pick_job *job, double now_s)
{
	return best && zn_line_goes_before(l, best, job, now_s) ? best : job;
}

static struct zn_pick_job *older(struct zn_pick_job *best, struct zn_pick_job *job)
{
	return best && best->seq < job->seq ? best : job;
}

struct zn_pick_job *zn_line_first_of(const struct zn_line *l, const struct zn_pick_shape *s, double now_s)
{
	struct zn_pick_job *best = NULL;

	for (size_t i = 0; i < s->n_classes; i++)
		best = better(l, best, job_of(zn_row_first(&s->classes[i].jobs), in_class), now_s);
	return best;
}

/* The oldest was overtaken by all who overtook any other one. */
struct zn_pick_job *zn_line_head(const struct zn_line *l, uint64_t pass, double now_s, bool *ret_must)
{
	struct zn_pick_job *urgent = NULL, *oldest = NULL;

	for (const struct zn_pick_shape *s = l->shapes; s; s = s->hh.next)
		for (size_t i = 0; !s->is_out && s->no_room != pass && i < s->n_classes; i++) {
			struct zn_pick_job *job = job_of(zn_row_first(&s->classes[i].jobs), in_class);
			urgent = better(l, urgent, job, now_s);
			oldest = older(oldest, job);
		}
	*ret_must = oldest && l->order == ZN_PICK_SLOWDOWN && overtaken_s(l, oldest) > overtaken_max_s;
	return *ret_must ? oldest : urgent;
}

/* Of each class, so that only their heads need to be compared. */
static struct zn_row_node *first_that_may(const struct zn_pick_class *c, bool freely, const struct zn_pick_gap *gap, double now_s)
{
	struct zn_row_node *node = freely ? zn_row_first(&c->jobs) : zn_row_first_within(&c->jobs, now_s, gap->shadow_s);

	return node && gap->has_last && node->seq > gap->last_seq ? NULL : node;
}

struct zn_pick_job *zn_line_fitting(const struct zn_line *l, const struct zn_pick_gap *gap, double now_s)
{
	struct zn_pick_job *best = NULL;

	for (const struct zn_pick_shape *s = l->shapes; s; s = s->hh.next) {
		if (s->is_out || s->sleeps || s->no_room == gap->pass || !zn_pick_fits(&s->ask, &gap->now))
			continue;
		bool freely = s->no_room_beside != gap->pass && zn_pick_fits(&s->ask, &gap->beside);
		for (size_t i = 0; i < s->n_classes; i++) {
			struct zn_row_node *node = first_that_may(&s->classes[i], freely, gap, now_s);
			if (node)
				best = better(l, best, job_of(node, in_class), now_s);
		}
	}
	return best;
}
