#define HASH_NONFATAL_OOM 1
#include "base/hash.h"
#include "pick/line.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const double overtaken_max_s = 48 * 3600.;
static const double buckets_per_octave = 4;

/* ---- kinds and shapes ---------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct zn_pick_ask) % sizeof(uint64_t) == 0, "it is hashed word by word");

/* Padding is hashed, too. */
static void copy_ask(struct zn_pick_ask *to, const struct zn_pick_ask *from)
{
	memset(to, 0, sizeof(*to));
	to->priority = from->priority;
	to->mem_bytes = from->mem_bytes;
	to->gpus = from->gpus;
	to->cpus = from->cpus;
	to->tasks = from->tasks;
	to->gang = from->gang;
	to->nodes_min = from->nodes_min;
	to->nodes_max = from->nodes_max;
	to->payer = from->payer;
	to->nvlink_required = from->nvlink_required;
	to->may_exceed = from->may_exceed;
	to->spread = from->spread;
	to->same_switch = from->same_switch;
	to->near = from->near;
	to->constraint = from->constraint;
	to->booking = from->booking;
	to->part.user = from->part.user;
	to->part.mem_bytes = from->part.mem_bytes;
	to->part.milli = from->part.milli;
	to->wish = from->wish;
}

static struct zn_pick_kind *kind_get(struct zn_line *l, const struct zn_pick_ask *ask)
{
	struct zn_pick_ask key;
	struct zn_pick_kind *k;

	copy_ask(&key, ask);
	key.priority = 0;
	key.payer = 0;
	key.may_exceed = false;
	HASH_FIND(hh, l->kinds_by_ask, &key, sizeof(key), k);
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	memcpy(&k->ask, &key, sizeof(key));
	HASH_ADD(hh, l->kinds_by_ask, ask, sizeof(key), k);
	if (k->hh.tbl)
		return k;
	free(k);
	return NULL;
}

static void kind_drop(struct zn_line *l, struct zn_pick_kind *k)
{
	if (k->n_shapes)
		return;
	HASH_DEL(l->kinds_by_ask, k);
	free(k->heads);
	free(k);
}

static int payers_room(struct zn_line *l, uint32_t payer)
{
	if (payer < l->n_payers)
		return 0;
	uint32_t n = payer + 1 > 2 * l->n_payers ? payer + 1 : 2 * l->n_payers;
	struct zn_pick_payer *v = reallocarray(l->payers, n, sizeof(*v));
	if (v)
		l->payers = v;
	double *factors = v ? reallocarray(l->factors, n, sizeof(*factors)) : NULL;
	if (factors)
		l->factors = factors;
	uint32_t *to_ask = factors ? reallocarray(l->to_ask, n, sizeof(*to_ask)) : NULL;
	if (!to_ask)
		return -ENOMEM;
	l->to_ask = to_ask;
	for (; l->n_payers < n; l->n_payers++) {
		l->payers[l->n_payers] = (struct zn_pick_payer){ 0 };
		l->factors[l->n_payers] = 1;
	}
	return 0;
}

void zn_line_count_out(struct zn_line *l, const struct zn_pick_shape *s, bool was, bool is)
{
	if (!s->ask.may_exceed || was == is)
		return;
	l->n_may_exceed += is ? 1 : (size_t)-1;
	l->payers[s->ask.payer].n_may_exceed += is ? 1 : (uint32_t)-1;
}

void zn_line_ask(struct zn_line *l, uint32_t payer)
{
	if (!payer || l->payers[payer].is_asked)
		return;
	l->payers[payer].is_asked = true;
	l->to_ask[l->n_to_ask++] = payer;
}

/* For that payer, and one shape more of his. */
static int payer_room(struct zn_line *l, uint32_t payer)
{
	if (payers_room(l, payer) < 0)
		return -ENOMEM;
	struct zn_pick_payer *p = &l->payers[payer];
	if (p->n < p->cap)
		return 0;
	uint32_t cap = p->cap ? 2 * p->cap : 4;
	struct zn_pick_paid *v = reallocarray(p->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	p->v = v;
	p->cap = cap;
	return 0;
}

/* The first of it comes. */
static void kind_link(struct zn_line *l, struct zn_pick_kind *k)
{
	k->growth = l->growth;
	k->has_rest = false;
	k->low_s = HUGE_VAL;
	DL_APPEND2(l->kinds, k, prev, next_kind);
}

/* There is room.  Nothing of it waited, and what happened when something did counts no more. */
static void shape_link(struct zn_line *l, struct zn_pick_shape *s)
{
	struct zn_pick_payer *p = &l->payers[s->ask.payer];
	struct zn_pick_kind *k = s->kind;

	s->is_out = false;
	s->excused_s = 0;
	s->at = p->n++;
	p->v[s->at] = (struct zn_pick_paid){ .shape = s, .use = zn_pick_use(&s->ask) };
	if (!k->shapes)
		kind_link(l, k);
	s->before_in_kind = NULL;
	s->after_in_kind = k->shapes;
	if (s->after_in_kind)
		s->after_in_kind->before_in_kind = s;
	k->shapes = s;
}

struct zn_pick_paid *zn_line_paid(const struct zn_line *l, const struct zn_pick_shape *s)
{
	return &l->payers[s->ask.payer].v[s->at];
}

static void shape_unlink(struct zn_line *l, struct zn_pick_shape *s)
{
	struct zn_pick_payer *p = &l->payers[s->ask.payer];

	l->n_sleeping -= s->sleeps;
	zn_line_count_out(l, s, p->v[s->at].is_out, false);
	s->sleeps = false;
	p->v[s->at] = p->v[--p->n];
	p->v[s->at].shape->at = s->at;
	*(s->before_in_kind ? &s->before_in_kind->after_in_kind : &s->kind->shapes) = s->after_in_kind;
	if (s->after_in_kind)
		s->after_in_kind->before_in_kind = s->before_in_kind;
	if (!s->kind->shapes)
		DL_DELETE2(l->kinds, s->kind, prev, next_kind);
}

static struct zn_pick_shape *shape_make(struct zn_line *l, const struct zn_pick_ask *key)
{
	struct zn_pick_kind *k = kind_get(l, key);
	struct zn_pick_shape *s = k ? calloc(1, sizeof(*s)) : NULL;

	if (s) {
		memcpy(&s->ask, key, sizeof(*key));
		HASH_ADD(hh, l->shapes_by_ask, ask, sizeof(*key), s);
	}
	if (!s || !s->hh.tbl) {
		free(s);
		if (k)
			kind_drop(l, k);
		return NULL;
	}
	s->kind = k;
	k->n_shapes++;
	return s;
}

/* One of which something is about to wait. */
static struct zn_pick_shape *shape_get(struct zn_line *l, const struct zn_pick_ask *ask)
{
	struct zn_pick_ask key;
	struct zn_pick_shape *s;

	copy_ask(&key, ask);
	HASH_FIND(hh, l->shapes_by_ask, &key, sizeof(key), s);
	if (s && s->n_classes)
		return s;
	if (payer_room(l, key.payer) < 0)
		return NULL;
	if (s)
		l->idle[s->at] = NULL;
	else if (!(s = shape_make(l, &key)))
		return NULL;
	shape_link(l, s);
	return s;
}

static void shape_free(struct zn_line *l, struct zn_pick_shape *s)
{
	HASH_DEL(l->shapes_by_ask, s);
	s->kind->n_shapes--;
	kind_drop(l, s->kind);
	for (size_t i = 0; i < s->cap_classes; i++)
		free(s->classes[i]);
	free(s->classes);
	free(s);
}

/* Nothing of it waits any more.  Where jobs come one by one the next is often like one of the last few: all memory for it is
 * there then.
 */
static void shape_rest(struct zn_line *l, struct zn_pick_shape *s)
{
	uint32_t at = l->idle_next++ % ZN_PICK_IDLE;

	shape_unlink(l, s);
	if (l->idle[at])
		shape_free(l, l->idle[at]);
	l->idle[at] = s;
	s->at = at;
}

/* ---- the heads ----------------------------------------------------------------------------------------- */

static int heads_room(struct zn_pick_kind *k)
{
	if (k->n_classes < k->cap_heads)
		return 0;
	uint32_t cap = k->cap_heads ? 2 * k->cap_heads : 8;
	struct zn_line_head *v = reallocarray(k->heads, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	k->heads = v;
	k->cap_heads = cap;
	return 0;
}

struct zn_line_head zn_line_head_of(const struct zn_pick_job *job)
{
	return (struct zn_line_head){ .priority = job->shape->ask.priority, .submit_s = job->submit_s, .urgency = job->urgency,
	                              .low_s = job->class->jobs.root->lowest, .seq = job->seq, .payer = job->shape->ask.payer, .class = job->class };
}

/* There is room. */
static void head_put(struct zn_line *l, struct zn_pick_class *c)
{
	struct zn_pick_kind *k = c->shape->kind;
	bool same = c->at != ZN_PICK_NO_HEAD && k->heads[c->at].seq == c->head.seq;

	if (c->at == ZN_PICK_NO_HEAD)
		c->at = k->n_heads++;
	k->heads[c->at] = c->head;
	k->low_s = c->head.low_s < k->low_s ? c->head.low_s : k->low_s;
	if (l->oldest && c->head.seq < l->oldest->seq)
		l->oldest = c->first;
	if (!same && !c->in_top)
		zn_line_top_note(l, k, &c->head);
}

static void head_drop(struct zn_line *l, struct zn_pick_class *c)
{
	struct zn_pick_kind *k = c->shape->kind;

	if (l->oldest && l->oldest->class == c)
		l->oldest = NULL;
	if (c->at == ZN_PICK_NO_HEAD)
		return;
	k->heads[c->at] = k->heads[--k->n_heads];
	k->heads[c->at].class->at = c->at;
	c->at = ZN_PICK_NO_HEAD;
	if (c->in_top)
		zn_line_top_forget(k, c);
}

/* ---- classes ------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	if (l->order != ZN_PICK_SLOWDOWN || job->estimate_s <= 1)
		return 0;
	double at = buckets_per_octave * log2(job->estimate_s);
	return at < ZN_PICK_BUCKETS - 1 ? (unsigned)at : ZN_PICK_BUCKETS - 1;
}

/* Where that class is, or should be. */
static size_t class_at(const struct zn_pick_shape *s, unsigned bucket)
{
	size_t at = 0;

	while (at < s->n_classes && s->classes[at]->bucket < bucket)
		at++;
	return at;
}

static int classes_room(struct zn_pick_shape *s)
{
	if (s->n_classes < s->cap_classes)
		return 0;
	size_t cap = s->cap_classes ? 2 * s->cap_classes : 2;
	struct zn_pick_class **v = reallocarray(s->classes, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v + s->cap_classes, 0, (cap - s->cap_classes) * sizeof(*v));
	s->classes = v;
	s->cap_classes = cap;
	return 0;
}

static struct zn_pick_class *class_get(struct zn_pick_shape *s, unsigned bucket)
{
	size_t at = class_at(s, bucket);

	if (at < s->n_classes && s->classes[at]->bucket == bucket)
		return s->classes[at];
	if (classes_room(s) < 0 || heads_room(s->kind) < 0)
		return NULL;
	struct zn_pick_class *c = s->classes[s->n_classes];
	if (!c && !(c = malloc(sizeof(*c))))
		return NULL;
	*c = (struct zn_pick_class){ .shape = s, .bucket = bucket, .at = ZN_PICK_NO_HEAD };
	memmove(s->classes + at + 1, s->classes + at, (s->n_classes - at) * sizeof(*s->classes));
	s->classes[at] = c;
	s->n_classes++;
	s->kind->n_classes++;
	return c;
}

static void class_drop(struct zn_line *l, struct zn_pick_class *c)
{
	struct zn_pick_shape *s = c->shape;
	size_t at = class_at(s, c->bucket);

	head_drop(l, c);
	s->n_classes--;
	s->kind->n_classes--;
	memmove(s->classes + at, s->classes + at + 1, (s->n_classes - at) * sizeof(*s->classes));
	s->classes[s->n_classes] = c;
}

void zn_line_done(struct zn_line *l)
{
	struct zn_pick_shape *s, *next;

	HASH_ITER(hh, l->shapes_by_ask, s, next)
		shape_free(l, s);
	for (uint32_t i = 0; i < l->n_payers; i++)
		free(l->payers[i].v);
	free(l->payers);
	free(l->to_ask);
	free(l->factors);
}

/* ---- coming and going ---------------------------------------------------------------------------------- */

static double key_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	return l->order == ZN_PICK_SHORTEST ? job->estimate_s : 0;
}

double zn_weigh_job(const struct zn_pick_weights *w, double estimate_s, double size)
{
	double estimate = estimate_s > 1 ? estimate_s : 1;

	return 1 / ((w->estimate.has ? pow(estimate, w->estimate.v) : estimate) * (w->size.has ? pow(size, w->size.v) : sqrt(size)));
}

double zn_weigh_share(const struct zn_pick_weights *w, double fair_share)
{
	return w->fair_share.has ? pow(fair_share, w->fair_share.v) : fair_share;
}

static double urgency_of(const struct zn_line *l, const struct zn_pick_job *job)
{
	return l->order == ZN_PICK_SLOWDOWN ? zn_weigh_job(&l->weights, job->estimate_s, (double)job->size) : -key_of(l, job);
}

static double excused_s(const struct zn_line *l, const struct zn_pick_shape *s)
{
	return s->excused_s + (s->is_out ? l->charged_s - s->out_at_s : 0);
}

static double overtaken_s(const struct zn_line *l, const struct zn_pick_job *job)
{
	return zn_row_count(&l->all, &job->all) - (excused_s(l, job->shape) - job->excused_s);
}

static void find_first(const struct zn_line *l, struct zn_pick_class *c)
{
	struct zn_pick_job *first = zn_pick_job_of(zn_row_first(&c->jobs), in_class);

	if (first != c->first)
		zn_line_paid(l, c->shape)->first = NULL;
	c->first = first;
	c->head = zn_line_head_of(first);
}

int zn_line_add(struct zn_line *l, struct zn_pick_job *job, const struct zn_pick_ask *ask)
{
	struct zn_pick_shape *s = shape_get(l, ask);
	struct zn_pick_class *c = s ? class_get(s, bucket_of(l, job)) : NULL;

	if (!c) {
		if (s && !s->n_classes)
			shape_rest(l, s);
		return -ENOMEM;
	}
	job->urgency = urgency_of(l, job);
	zn_row_node_init(&job->all, key_of(l, job), job->seq);
	job->all.count = job->overtaken_s;
	zn_row_node_init(&job->in_class, key_of(l, job), job->seq);
	job->in_class.low = job->limit_s;
	job->class = c;
	job->shape = s;
	job->excused_s = excused_s(l, s);
	zn_row_add(&l->all, &job->all);
	zn_row_add(&c->jobs, &job->in_class);
	find_first(l, c);
	zn_line_ask(l, ask->payer);
	if (!s->is_out)
		head_put(l, c);
	return 0;
}

struct zn_pick_kind *zn_line_remove(struct zn_line *l, struct zn_pick_job *job)
{
	struct zn_pick_shape *s = job->shape;
	struct zn_pick_class *c = job->class;
	struct zn_pick_kind *k = s->kind;

	job->overtaken_s = overtaken_s(l, job);
	zn_row_remove(&l->all, &job->all);
	zn_row_remove(&c->jobs, &job->in_class);
	zn_line_ask(l, s->ask.payer);
	job->shape = NULL;
	job->class = NULL;
	if (l->oldest == job)
		l->oldest = NULL;
	if (zn_row_size(&c->jobs)) {
		find_first(l, c);
		if (!s->is_out)
			head_put(l, c);
		return k;
	}
	bool last = k->n_classes == 1;
	zn_line_paid(l, s)->first = NULL;
	class_drop(l, c);
	if (!s->n_classes)
		shape_rest(l, s);
	return last ? NULL : k;
}

void zn_line_charge(struct zn_line *l, const struct zn_pick_job *job, double seconds)
{
	double part_s = seconds * (double)job->size / l->total;

	if (l->order != ZN_PICK_SLOWDOWN)
		return;
	l->charged_s += part_s;
	zn_row_count_before(&l->all, 0, job->seq, part_s);
}

void zn_line_set_out(struct zn_line *l, struct zn_pick_shape *s, bool out)
{
	if (s->is_out == out)
		return;
	if (out)
		s->out_at_s = l->charged_s;
	else
		s->excused_s += l->charged_s - s->out_at_s;
	s->is_out = out;
	for (size_t i = 0; i < s->n_classes; i++)
		if (out)
			head_drop(l, s->classes[i]);
		else
			head_put(l, s->classes[i]);
}

void zn_line_defer(struct zn_line *l, struct zn_pick_job *job, double until_s)
{
	if (!job->shape)
		return;
	l->n_sleeping += !job->shape->sleeps;
	job->shape->not_before_s = until_s;
	job->shape->sleeps = true;
}

double zn_line_wake(struct zn_line *l, double now_s)
{
	double first_s = 0;

	for (struct zn_pick_shape *s = l->n_sleeping ? l->shapes_by_ask : NULL; s; s = s->hh.next) {
		if (s->sleeps && s->not_before_s <= now_s) {
			s->sleeps = false;
			l->n_sleeping--;
		}
		if (s->sleeps && (first_s == 0 || s->not_before_s < first_s))
			first_s = s->not_before_s;
	}
	return first_s;
}

/* ---- who is first -------------------------------------------------------------------------------------- */

void zn_line_set_factors(struct zn_line *l, bool anew, uint32_t n, double (*factor)(const void *arg, uint32_t payer), const void *arg)
{
	static const double least = 0x1p-900, enough = 1e6; /* a score with it is still no denormal number */
	double most = 1;

	for (l->n_factors = anew ? 0 : l->n_factors; l->n_factors < n && l->n_factors + 1 < l->n_payers; l->n_factors++) {
		double *f = &l->factors[l->n_factors + 1], was = *f;
		*f = fmax(factor(arg, l->n_factors + 1), least);
		most = fmax(most, *f / was);
	}
	l->growth *= most;
	if (l->growth > enough)
		zn_line_top_renew(l);
}

bool zn_line_goes_before(const struct zn_line *l, const struct zn_pick_job *a, const struct zn_pick_job *b, double now_s)
{
	struct zn_line_head x = zn_line_head_of(a), y = zn_line_head_of(b);

	return zn_line_head_before(&x, zn_line_score(l, &x, now_s), &y, zn_line_score(l, &y, now_s));
}

void zn_line_find_first(const struct zn_line *l, struct zn_pick_paid *paid, double now_s)
{
	const struct zn_pick_shape *s = paid->shape;

	if (paid->first && now_s >= paid->first_s && now_s < paid->first_s + ZN_LINE_SLOWLY_S)
		return;
	const struct zn_line_head *best = &s->classes[0]->head;
	double score = zn_line_score(l, best, now_s);
	for (size_t i = 1; i < s->n_classes; i++) {
		const struct zn_line_head *one = &s->classes[i]->head;
		double its = zn_line_score(l, one, now_s);
		if (!zn_line_head_before(one, its, best, score))
			continue;
		best = one;
		score = its;
	}
	paid->first = best->class->first;
	paid->first_s = now_s;
	paid->first_head = *best;
}

/* In that pass none of it found room, or could ever have it. */
static bool is_passed_over(const struct zn_pick_kind *k, uint64_t pass)
{
	return k->no_room == pass || k->never == pass;
}

struct zn_pick_job *zn_line_first(const struct zn_line *l, uint64_t pass, double now_s)
{
	struct zn_line_ranked best = { 0 };

	for (struct zn_pick_kind *k = l->kinds; k; k = k->next_kind) {
		if (is_passed_over(k, pass) || !k->n_heads)
			continue;
		struct zn_line_ranked one = zn_line_top(l, k, now_s);
		if (!best.head || zn_line_ranked_before(&one, &best))
			best = one;
	}
	return best.head ? best.head->class->first : NULL;
}

static struct zn_pick_job *find_oldest(const struct zn_line *l, uint64_t pass)
{
	const struct zn_line_head *best = NULL;

	for (const struct zn_pick_kind *k = l->kinds; k; k = k->next_kind)
		for (uint32_t i = 0; !is_passed_over(k, pass) && i < k->n_heads; i++)
			best = !best || k->heads[i].seq < best->seq ? &k->heads[i] : best;
	return best ? best->class->first : NULL;
}

struct zn_pick_job *zn_line_oldest(struct zn_line *l, uint64_t pass)
{
	if (!l->oldest)
		l->oldest = find_oldest(l, UINT64_MAX); /* no pass has that number */
	return l->oldest && is_passed_over(l->oldest->shape->kind, pass) ? find_oldest(l, pass) : l->oldest;
}

bool zn_line_was_last(const struct zn_pick_job *job)
{
	return job->overtaken_s > overtaken_max_s;
}

bool zn_line_must(const struct zn_line *l, const struct zn_pick_job *job)
{
	return l->order == ZN_PICK_SLOWDOWN && overtaken_s(l, job) > overtaken_max_s;
}

/* ---- who is behind the first ------------------------------------------------------------------------------ */

/* The first of a class that is not ahead: those who are were its first, one after the other. */
static struct zn_pick_job *first_behind(const struct zn_pick_class *c, const struct zn_line_ahead *ahead, const struct zn_pick_gap *gap)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ahead->n; i++)
		n += ahead->v[i]->class == c;
	struct zn_row_node *node = n ? zn_row_nth(&c->jobs, n) : &c->first->in_class;
	return node && !(gap->has_last && node->seq > gap->last_seq) ? zn_pick_job_of(node, in_class) : NULL;
}

struct best { struct zn_pick_job *job; struct zn_line_head head; double score; };

/* Who is looked for: the first in the order, or the oldest. */
struct behind { const struct zn_line *line; const struct zn_line_ahead *ahead; const struct zn_pick_gap *gap; double now_s; bool oldest; };

static bool look_at(const struct behind *b, const struct zn_pick_class *c, struct best *best)
{
	struct zn_pick_job *job = first_behind(c, b->ahead, b->gap);

	if (!job)
		return false;
	struct best one = { .job = job, .head = zn_line_head_of(job) };
	one.score = zn_line_score(b->line, &one.head, b->now_s);
	if (!best->job || (b->oldest ? job->seq < best->job->seq : zn_line_head_before(&one.head, one.score, &best->head, best->score)))
		*best = one;
	return true;
}

static bool is_ahead(const struct zn_line_ahead *ahead, const struct zn_pick_kind *k)
{
	for (uint32_t i = 0; i < ahead->n; i++)
		if (ahead->v[i]->shape->kind == k)
			return true;
	return false;
}

/* Of a kind of which nobody is ahead, the first class says who is first. */
static void look_at_kind(const struct behind *b, struct zn_pick_kind *k, struct best *best)
{
	if (!k->n_heads || k->never == b->gap->pass)
		return;
	if (!b->oldest && !is_ahead(b->ahead, k) && look_at(b, zn_line_top(b->line, k, b->now_s).head->class, best))
		return;
	for (uint32_t i = 0; i < k->n_heads; i++)
		look_at(b, k->heads[i].class, best);
}

static struct zn_pick_job *find_behind(const struct behind *b)
{
	struct best best = { 0 };

	for (struct zn_pick_kind *k = b->line->kinds; k; k = k->next_kind)
		look_at_kind(b, k, &best);
	return best.job;
}

struct zn_pick_job *zn_line_behind(struct zn_line *l, const struct zn_line_ahead *ahead, const struct zn_pick_gap *gap, double now_s,
                                   bool *ret_must)
{
	struct behind b = { .line = l, .ahead = ahead, .gap = gap, .now_s = now_s };
	struct zn_pick_job *oldest = l->order == ZN_PICK_SLOWDOWN ? zn_line_oldest(l, UINT64_MAX) : NULL;

	if (oldest && zn_line_must(l, oldest)) { /* else nobody must be next */
		b.oldest = true;
		oldest = find_behind(&b);
		b.oldest = false;
	}
	*ret_must = oldest && zn_line_must(l, oldest);
	return *ret_must ? oldest : find_behind(&b);
}
