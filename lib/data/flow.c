#include "data/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "data/arrive.h"
#include "data/gather.h"
#include "data/load_decode.h"

/* A batch, and what its samples lie in. */
struct parcel {
	struct zn_batch batch;
	struct zn_arena arena;
	struct zn_sample *samples;
	struct zn__held **held;
	char *tensors;                 /* of what is decoded */
	struct zn_loss *losses;
	uint32_t n, cap_losses;
};

struct zn_flow {
	struct zn__arrive arrive;
	struct zn_loader_ask ask;
	uint64_t epoch, first;         /* first of its samples are passed over */
	uint64_t arrived, placed;      /* of its samples: into a window, out of it */
	struct zn__held **window;
	uint64_t n, at, cap;           /* of the window: samples; those that left it; room */
	struct zn_mix mix;
	struct parcel *parcel;         /* being filled */
	struct zn__hands hands;
	uint64_t seq;
	uint64_t total_ns;
	bool is_over;
	int rc;                        /* it ended with that; err says why */
	struct zn_err err;
};

/* ---- parcels ---------------------------------------------------------------------------------------------- */

static void free_parcel(struct zn_flow *f, struct parcel *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n; i++)
		zn__held_free(&f->arrive, p->held[i]);
	free(p->held);
	free(p->tensors);
	free(p->losses);
	zn_arena_done(&p->arena);
	free(p);
}

static int need_parcel(struct zn_flow *f)
{
	if (f->parcel)
		return 0;
	struct parcel *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->held = reallocarray(NULL, f->ask.order.batch, sizeof(struct zn__held *));
	p->samples = zn_arena_room(&p->arena, f->ask.order.batch * sizeof(*p->samples));
	if (!p->held || !p->samples) {
		free_parcel(f, p);
		return -ENOMEM;
	}
	f->parcel = p;
	return 0;
}

static int add_loss(struct zn_flow *f, const struct zn_source *source, uint64_t offset, const char *key, const char *why)
{
	int rc = need_parcel(f);
	struct parcel *p = f->parcel;

	if (rc < 0)
		return rc;
	if (p->batch.n_losses == p->cap_losses) {
		uint32_t cap = p->cap_losses ? 2 * p->cap_losses : 8;
		struct zn_loss *v = reallocarray(p->losses, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		p->losses = v;
		p->cap_losses = cap;
	}
	char *copy_of_key = key ? zn_arena_strdup(&p->arena, key) : NULL, *reason = zn_arena_strdup(&p->arena, why);
	if ((key && !copy_of_key) || !reason)
		return -ENOMEM;
	p->losses[p->batch.n_losses++] = (struct zn_loss){ f->epoch, source->name, offset, copy_of_key, reason };
	return 0;
}

/* What is lost and no sample is found by all ranks, and told by one. */
static int lose(void *arg, const struct zn_source *source, uint64_t offset, const char *key, const char *why)
{
	struct zn_flow *f = arg;
	uint64_t number = (uint64_t)(source - f->arrive.sources->v);

	if (number % f->ask.order.world != f->ask.rank || f->arrived < f->first)
		return 0;
	return add_loss(f, source, offset, key, why);
}

static struct zn_datum *data_of(struct zn_flow *f, const struct zn__held *s, uint32_t *ret_n, const char **ret_why)
{
	struct zn_datum all[ZN__FIELDS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->parts[i].is_wanted)
			all[n++] = (struct zn_datum){ .field = s->parts[i].field, .p = s->parts[i].p, .n = s->parts[i].n };
	*ret_why = zn__choose(&f->ask, all, &n);
	struct zn_datum *data = zn_arena_room(&f->parcel->arena, (n ? n : 1) * sizeof(*data));
	if (data)
		memcpy(data, all, n * sizeof(*data));
	*ret_n = n;
	return data;
}

/* Once all shapes are known: memory for all samples of the batch. */
static int need_tensors(struct zn_flow *f)
{
	size_t bytes = zn__tensors_bytes(&f->ask, f->ask.order.batch);
	struct parcel *p = f->parcel;

	if (!p->tensors && bytes <= f->ask.memory_bytes)
		p->tensors = aligned_alloc(64, (bytes + 64) / 64 * 64);
	return p->tensors ? 0 : bytes > f->ask.memory_bytes ? -E2BIG : -ENOMEM;
}

static int decode(struct zn_flow *f, const struct zn_sample *s, struct zn_datum *data, const char **ret_why)
{
	uint64_t random = zn__random_of(f->ask.order.seed, f->epoch, 0, f->placed);
	uint32_t left;

	if (!f->ask.n_decoders)
		return 0;
	*ret_why = zn__learn_shapes(&f->ask, s, &left);
	int rc = *ret_why ? 0 : need_tensors(f);
	if (rc == 0 && !*ret_why)
		*ret_why = zn__decode_sample(&f->ask, &f->hands, data, s->n, f->parcel->tensors, f->parcel->n, f->ask.order.batch, random);
	return rc;
}

/* Takes s over, also when it fails. */
static int add_sample(struct zn_flow *f, struct zn__held *s)
{
	struct zn_sample sample = { .key = s->key };
	struct zn_datum *data = NULL;
	const char *why = s->why;
	int rc = need_parcel(f);

	if (rc == 0 && !why && !(sample.data = data = data_of(f, s, &sample.n, &why)))
		rc = -ENOMEM;
	if (rc == 0 && !why)
		rc = decode(f, &sample, data, &why);
	if (rc == 0 && why)
		rc = add_loss(f, s->source, s->offset, s->key, why);
	if (rc < 0 || why) {
		zn__held_free(&f->arrive, s);
		return rc;
	}
	struct parcel *p = f->parcel;
	for (uint32_t i = 0; i < sample.n; i++)
		p->batch.bytes += sample.data[i].n;
	p->samples[p->n] = sample;
	p->held[p->n++] = s;
	return 0;
}

/* ---- the window ------------------------------------------------------------------------------------------- */

static bool is_mine(const struct zn_flow *f, uint64_t place)
{
	return place >= f->first && (place - f->first) % f->ask.order.world == f->ask.rank;
}

/* Where a sample of a window goes is not known before the window is full; but one that goes before first is for nobody. */
static bool is_kept(const struct zn_flow *f)
{
	uint64_t window = f->ask.order.window;

	return window < 2 ? is_mine(f, f->arrived) : f->arrived / window >= f->first / window;
}

static int too_large(const struct zn_flow *f, struct zn_err *err)
{
	double mib = (double)f->ask.memory_bytes / 1048576;

	if (f->ask.order.window < 2)
		return zn_err_set(err, -E2BIG, "a batch of %u samples takes more than the %.1f MiB that are allowed: take smaller batches, or allow more",
		                  f->ask.order.batch, mib);
	return zn_err_set(err, -E2BIG, "a window of %llu samples, and a batch, take more than the %.1f MiB that are allowed: mix fewer, or allow more",
	                  (unsigned long long)f->ask.order.window, mib);
}

static int arrive(struct zn_flow *f, struct zn__held **ret, struct zn_err *err)
{
	int rc = zn__arrive_next(&f->arrive, is_kept(f), ret, err);

	f->arrived += rc > 0;
	return rc == -E2BIG ? too_large(f, err) : rc;
}

static bool has_room(struct zn_flow *f)
{
	if (f->n < f->cap)
		return true;
	uint64_t cap = f->cap ? 2 * f->cap : 64;
	struct zn__held **v = reallocarray(f->window, cap, sizeof(struct zn__held *));
	if (!v)
		return false;
	f->window = v;
	f->cap = cap;
	return true;
}

/* 1; 0: no sample is left; -errno. */
static int fill_window(struct zn_flow *f, struct zn_err *err)
{
	uint64_t number = f->arrived / f->ask.order.window;
	struct zn__held *s;
	int rc = 1;

	f->n = f->at = 0;
	while (f->n < f->ask.order.window && (rc = arrive(f, &s, err)) > 0) {
		if (!has_room(f)) {
			zn__held_free(&f->arrive, s);
			return -ENOMEM;
		}
		f->window[f->n++] = s;
	}
	f->mix = zn_mix_make(f->n, zn__order_key(&f->ask.order, f->epoch, number));
	return rc < 0 ? rc : f->n > 0;
}

static int next_sample(struct zn_flow *f, struct zn__held **ret, struct zn_err *err)
{
	if (f->ask.order.window < 2)
		return arrive(f, ret, err);
	int rc = f->at < f->n ? 1 : fill_window(f, err);
	if (rc <= 0)
		return rc;
	uint64_t i = zn_mix_at(&f->mix, f->at++);
	*ret = f->window[i];
	f->window[i] = NULL;
	return 1;
}

/* ---- dealing ---------------------------------------------------------------------------------------------- */

static uint64_t left_over(const struct zn_flow *f)
{
	return (f->placed - f->first) % ((uint64_t)f->ask.order.batch * f->ask.order.world);
}

/* Of the samples until each rank has a batch: 1; 0: the epoch has ended before; -errno. */
static int gather(struct zn_flow *f, struct zn_err *err)
{
	struct zn__held *s;
	int rc;

	while ((rc = next_sample(f, &s, err)) > 0) {
		bool mine = is_mine(f, f->placed);
		if (!mine)
			zn__held_free(&f->arrive, s);
		else if ((rc = add_sample(f, s)) < 0)
			return rc == -E2BIG ? too_large(f, err) : rc;
		f->placed++;
		if (f->placed > f->first && left_over(f) == 0)
			return 1;
	}
	return rc;
}

static int hand_over(struct zn_flow *f, bool is_batch, struct parcel **ret)
{
	int rc = need_parcel(f);
	struct parcel *p = f->parcel;

	if (rc < 0)
		return rc;
	p->batch.epoch = f->epoch;
	p->batch.seq = f->seq;
	p->batch.next = f->placed;
	p->batch.samples = is_batch ? p->samples : NULL;
	p->batch.n = p->n;
	p->batch.losses = p->losses;
	f->seq += is_batch;
	f->parcel = NULL;
	*ret = p;
	return 1;
}

static void drop_samples(struct zn_flow *f)
{
	struct parcel *p = f->parcel;

	for (uint32_t i = 0; p && i < p->n; i++)
		zn__held_free(&f->arrive, p->held[i]);
	if (p)
		p->n = 0;
	if (p)
		p->batch.bytes = 0;
}

static void enter_epoch(struct zn_flow *f, uint64_t epoch, uint64_t first)
{
	f->epoch = epoch;
	f->first = first;
	f->arrived = f->placed = f->n = f->at = f->seq = 0;
	f->is_over = f->ask.epochs && epoch >= f->ask.epochs;
	zn__arrive_begin(&f->arrive, epoch);
}

/* The last batch of an epoch, or what was lost behind it: 1; 0: there is neither. */
static int end_epoch(struct zn_flow *f, struct parcel **ret, struct zn_err *err)
{
	if (f->placed < f->first)
		return zn_err_set(err, -EINVAL, "there are %llu samples, which is fewer than the %llu to pass over", (unsigned long long)f->placed,
		                  (unsigned long long)f->first);
	bool is_batch = left_over(f) && f->ask.order.tail == ZN_TAIL_SHARE, is_empty = !f->placed;
	if (!is_batch)
		drop_samples(f);
	int rc = is_batch || (f->parcel && f->parcel->batch.n_losses) ? hand_over(f, is_batch, ret) : 0;
	enter_epoch(f, f->epoch + 1, 0);
	f->is_over |= is_empty; /* or it would never end */
	return rc;
}

static int next(struct zn_flow *f, struct parcel **ret, struct zn_err *err)
{
	int rc = 0;

	while (rc == 0 && !f->is_over) {
		rc = gather(f, err);
		rc = rc > 0 ? hand_over(f, true, ret) : rc == 0 ? end_epoch(f, ret, err) : rc;
	}
	if (rc < 0 && err && !err->text[0])
		zn_err_set(err, rc, "%s", strerrordesc_np(-rc));
	return rc;
}

/* ---- the flow --------------------------------------------------------------------------------------------- */

static int check(const struct zn_sources *sources, const struct zn_loader_ask *ask, struct zn_err *err)
{
	const char *once = NULL;

	if (!ask->order.batch || !ask->order.world || ask->rank >= ask->order.world)
		return zn_err_set(err, -EINVAL, "rank %u of %u makes no sense", ask->rank, ask->order.world);
	if (ask->n_fields > ZN__FIELDS_MAX)
		return zn_err_set(err, -EINVAL, "more than %d fields", ZN__FIELDS_MAX);
	if (ask->order.tail == ZN_TAIL_REPEAT)
		return zn_err_set(err, -EINVAL, "the tail can't be repeated from the beginning of what can only be read once from there: share or drop it");
	if (ask->order.window == UINT64_MAX)
		return zn_err_set(err, -EINVAL, "not all can be mixed of what can only be read from its beginning: give a number of samples");
	for (uint32_t i = 0; i < sources->n; i++) {
		const struct zn_source *s = &sources->v[i];
		if (s->url)
			return zn_err_set(err, -ENOTSUP, "'%s': what lies at a URL is not read together with what can only be read from its beginning", s->name);
		if (s->is_once && ask->epochs != 1)
			return zn_err_set(err, -EINVAL, "'%s' can only be read once: not for more than one epoch", s->name);
		if (s->is_once && !strcmp(s->name, "-") && once)
			return zn_err_set(err, -EINVAL, "'-' is given twice, and can only be read once");
		once = s->is_once && !strcmp(s->name, "-") ? s->name : once;
	}
	return 0;
}

int zn_flow_new(const struct zn_sources *sources, const struct zn_loader_ask *ask, struct zn_flow **ret, struct zn_err *err)
{
	int rc = check(sources, ask, err);
	struct zn_flow *f = rc == 0 ? calloc(1, sizeof(*f)) : NULL;

	if (rc < 0)
		return rc;
	if (!f)
		return zn_err_set(err, -ENOMEM, "out of memory");
	f->ask = *ask;
	f->arrive = (struct zn__arrive){ .sources = sources, .ask = &f->ask, .lose = lose, .arg = f };
	enter_epoch(f, ask->epoch, ask->first);
	rc = zn__hands_make(&f->ask, &f->hands);
	if (rc < 0) {
		zn_flow_free(f);
		return zn_err_set(err, rc, "out of memory");
	}
	*ret = f;
	return 0;
}

void zn_flow_free(struct zn_flow *f)
{
	if (!f)
		return;
	free_parcel(f, f->parcel);
	for (uint64_t i = 0; i < f->n; i++)
		zn__held_free(&f->arrive, f->window[i]);
	free(f->window);
	zn__arrive_done(&f->arrive);
	zn__hands_done(&f->ask, &f->hands);
	free(f);
}

int zn_flow_next(struct zn_flow *f, const struct zn_batch **ret, struct zn_err *err)
{
	struct parcel *p = NULL;
	uint64_t begun = zn_boot_ns();

	if (f->rc == 0)
		f->rc = next(f, &p, &f->err);
	f->total_ns += zn_boot_ns() - begun;
	if (f->rc < 0)
		return zn_err_set(err, f->rc, "%s", f->err.text);
	if (!p)
		return 0;
	f->rc = 0;
	*ret = &p->batch;
	return 1;
}

void zn_flow_put(struct zn_flow *f, const struct zn_batch *batch)
{
	free_parcel(f, (struct parcel *)((char *)batch - offsetof(struct parcel, batch)));
}

struct zn_flow_stats zn_flow_count(const struct zn_flow *f)
{
	struct zn_flow_stats s = f->arrive.stats;

	if (f->arrive.unpack) {
		s.read_bytes += zn__unpack_read_bytes(f->arrive.unpack);
		s.wait_ns += zn__unpack_wait_ns(f->arrive.unpack);
	}
	s.unpack_ns = f->total_ns > s.wait_ns ? f->total_ns - s.wait_ns : 0;
	return s;
}
