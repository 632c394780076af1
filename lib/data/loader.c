#include "data/loader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "data/gather.h"
#include "data/load.h"
#include "mem/spsc.h"

enum {
	THREADS_MAX = 256,
	READY = 2,                     /* batches that one thread has ready */
	AHEAD = 4,                     /* times the depth: requests of what is planned */
};

/* Reads every so many batches of a rank. */
struct reader {
	struct zn_loader *loader;
	struct zn__loading loading;
	struct zn_epoch epoch;
	uint64_t k, n_batches;                  /* of that epoch: the next, and how many there are */
	struct zn__load *ahead, **last;         /* planned, in order */
	struct zn_spsc ring;                    /* what is ready; of its own thread */
	pthread_t thread;
	bool is_thread;
	uint64_t n_planned;
	uint64_t held_bytes;                    /* of used_bytes: for the next one, until it is known what that takes */
	struct zn__load failure;                /* handed over instead of a batch */
	int later;                              /* what planning ahead failed with: for behind what was planned before */
	struct zn_err later_err;
};

struct zn_loader {
	const struct zn_sources *sources;
	struct zn_loader_ask ask;
	uint64_t *counts;
	uint64_t total;
	struct zn_mempool pool;
	struct reader *readers;
	unsigned n_readers;
	pthread_mutex_t lock;                   /* for the next four */
	pthread_cond_t changed;
	uint64_t out;                           /* batches handed over, which says whose turn it is */
	uint64_t used_bytes;                    /* of memory, by batches that are read, ready or out */
	uint64_t largest_bytes;                 /* of a batch so far, as the next may be; 0: there was none */
	bool is_stopping;
	uint64_t empty_ns, ready, taken;
	int rc;                                 /* it ended with that; err says why */
	struct zn_err err;
};

/* ---- which batch is next ---------------------------------------------------------------------------------- */

static int enter_epoch(struct reader *r, uint64_t number, uint64_t first)
{
	const struct zn_loader *l = r->loader;
	struct zn_epoch e;
	int rc = zn_epoch_init(&e, &l->ask.order, number, first, l->counts, l->sources->n);

	if (rc < 0)
		return rc;
	zn_epoch_done(&r->epoch);
	r->epoch = e;
	r->n_batches = zn_epoch_batches(&e);
	return 0;
}

/* Steps on to a batch that there is: 1; 0: there is none; -errno. */
static int seek(struct reader *r)
{
	const struct zn_loader *l = r->loader;
	int rc = 0;

	if (l->ask.epochs && r->epoch.number >= l->ask.epochs) /* it was asked to go on behind the last */
		return 0;
	while (rc == 0 && r->k >= r->n_batches) {
		uint64_t next = r->epoch.number + 1;
		if (l->ask.epochs && next >= l->ask.epochs)
			return 0;
		bool was_whole = r->epoch.first == 0;
		r->k -= r->n_batches;
		rc = enter_epoch(r, next, 0);
		if (rc == 0 && was_whole && !r->n_batches) /* there is nothing in any */
			return 0;
	}
	return rc < 0 ? rc : 1;
}

/* ---- planning --------------------------------------------------------------------------------------------- */

static void use(struct zn_loader *l, uint64_t more, uint64_t less)
{
	pthread_mutex_lock(&l->lock);
	l->used_bytes += more - less;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

static void drop(struct zn_loader *l, struct zn__load *load)
{
	uint64_t bytes = load->bytes;

	zn__load_free(load, &l->pool);
	use(l, 0, bytes);
}

/* What was held for a batch is its own now; NULL: there is none. */
static void settle(struct reader *r, const struct zn__load *load)
{
	struct zn_loader *l = r->loader;
	uint64_t bytes = load ? load->bytes : 0;

	pthread_mutex_lock(&l->lock);
	if (load && l->largest_bytes <= bytes)
		l->largest_bytes = bytes ? bytes : 1;
	pthread_mutex_unlock(&l->lock);
	use(l, bytes, r->held_bytes);
	r->held_bytes = 0;
}

static int plan(struct reader *r, struct zn__load **ret, struct zn_err *err)
{
	int rc = seek(r);

	if (rc <= 0)
		return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
	rc = zn__load_plan(&r->loading, &r->epoch, r->k, ret, err);
	return rc < 0 ? rc : 1;
}

/* There is room, which is held. */
static int plan_one(struct reader *r, struct zn_err *err)
{
	struct zn__load *load = NULL;
	int rc = plan(r, &load, err);

	settle(r, load);
	if (rc <= 0)
		return rc;
	r->k += r->loader->n_readers;
	r->n_planned++;
	*r->last = load;
	r->last = &load->next;
	return 1;
}

/* Requests under way at once, of each thread. */
static unsigned depth(const struct zn_loader *l)
{
	return l->ask.depth ? l->ask.depth : 16;
}

/* What the next one may take: before there was one, everything, or all threads would begin one at once. */
static uint64_t guess(const struct zn_loader *l)
{
	return l->largest_bytes ? l->largest_bytes : l->ask.memory_bytes;
}

static bool has_room(const struct zn_loader *l)
{
	return l->used_bytes + guess(l) <= l->ask.memory_bytes;
}

static void hold(struct reader *r)
{
	r->held_bytes = guess(r->loader);
	r->loader->used_bytes += r->held_bytes;
}

/* Enough for the device to be busy, and as much again three times for what it takes longer to do now and then; more would only be
 * memory that is new each time.  One batch may be ahead in any case.
 */
static bool is_far_enough(const struct reader *r)
{
	uint64_t n = 0;

	for (const struct zn__load *load = r->ahead->next; load; load = load->next)
		n += load->n_reads;
	return r->ahead->next && r->ahead->n_reads + n >= (uint64_t)AHEAD * depth(r->loader);
}

/* What is warm needs no planning ahead: it would only leave the caches. */
static bool may_plan_ahead(struct reader *r)
{
	struct zn_loader *l = r->loader;
	const struct zn__load *last = r->ahead;

	while (last->next)
		last = last->next;
	if (!last->is_cold || is_far_enough(r))
		return false;
	pthread_mutex_lock(&l->lock);
	bool may = has_room(l);
	if (may)
		hold(r);
	pthread_mutex_unlock(&l->lock);
	return may;
}

/* Until there is memory for another batch, or it is this one that everybody waits for.  False: it is over. */
static bool await_room(struct reader *r)
{
	struct zn_loader *l = r->loader;
	uint64_t begun = zn_boot_ns(), mine = r->n_planned * l->n_readers + (uint64_t)(r - l->readers);

	pthread_mutex_lock(&l->lock);
	while (r->is_thread && !l->is_stopping && l->out < mine && !has_room(l))
		pthread_cond_wait(&l->changed, &l->lock);
	bool is_over = l->is_stopping;
	if (!is_over)
		hold(r);
	pthread_mutex_unlock(&l->lock);
	zn__count(&r->loading.stats.full_ns, zn_boot_ns() - begun);
	return !is_over;
}

static int open_reads(struct reader *r, struct zn_err *err)
{
	const struct zn_loader_ask *ask = &r->loader->ask;
	int rc = r->loading.reads ? 0 : zn_reads_new(depth(r->loader), !ask->no_uring, &r->loading.reads);

	if (rc == 0)
		__atomic_store_n(&r->loading.stats.engine, zn_reads_engine(r->loading.reads), __ATOMIC_RELAXED);
	if (rc == 0 && !r->loading.hands.v)
		rc = zn__hands_make(ask, &r->loading.hands);
	return rc < 0 ? zn_err_set(err, rc, "can't begin to read: %s", strerrordesc_np(-rc)) : 0;
}

/* Plans what is next, and what may be ahead of it. */
static int plan_some(struct reader *r, struct zn_err *err)
{
	int rc = 0;

	if (!r->ahead && r->later < 0)
		return zn_err_set(err, r->later, "%s", r->later_err.text);
	if (!r->ahead)
		rc = await_room(r) ? plan_one(r, err) : 0;
	if (rc < 0)
		return rc;
	rc = 1;
	while (rc > 0 && r->ahead && r->later == 0 && may_plan_ahead(r))
		rc = plan_one(r, &r->later_err);
	r->later = rc < 0 ? rc : r->later;
	return 0;
}

static void count_requests(struct reader *r)
{
	uint64_t n = 0;

	for (const struct zn__load *load = r->ahead; load; load = load->next)
		n += load->n_reads;
	zn__count(&r->loading.stats.requests, n);
	zn__count(&r->loading.stats.asked, n != 0);
}

/* The next of this reader's: 1; 0: there is none; -errno. */
static int read_next(struct reader *r, struct zn__load **ret, struct zn_err *err)
{
	int rc = r->later < 0 ? 0 : open_reads(r, err);

	if (rc == 0)
		rc = plan_some(r, err);
	struct zn__load *load = r->ahead;
	if (rc < 0 || !load)
		return rc;
	count_requests(r);
	r->ahead = load->next;
	if (!r->ahead)
		r->last = &r->ahead;
	load->next = NULL;
	rc = zn__load_finish(&r->loading, load, err);
	if (rc < 0) {
		drop(r->loader, load);
		return rc;
	}
	*ret = load;
	return 1;
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct zn_err err = { .text = "" };
	struct zn__load *load;
	int rc;

	do {
		rc = read_next(r, &load, &err);
		if (rc < 0) {
			r->failure.rc = rc;
			r->failure.err = err;
			load = &r->failure;
		}
		uint64_t item = (uintptr_t)load, begun = zn_boot_ns();
		if (rc && !zn_spsc_send(&r->ring, &item, 1)) {
			if (rc > 0)
				drop(r->loader, load);
			break;
		}
		zn__count(&r->loading.stats.full_ns, zn_boot_ns() - begun);
	} while (rc > 0);
	zn_spsc_close(&r->ring);
	zn_reads_free(r->loading.reads); /* waits for what is under way, which the kernel lets nobody but this thread do */
	r->loading.reads = NULL;
	return NULL;
}

static int next_of_thread(struct zn_loader *l, struct reader *r, struct zn__load **ret, struct zn_err *err)
{
	uint64_t item, begun = zn_boot_ns();
	size_t n = zn_spsc_receive(&r->ring, &item, 1);

	l->empty_ns += zn_boot_ns() - begun;
	if (!n)
		return 0;
	l->ready += 1 + zn_spsc_ready(&r->ring);
	l->taken++;
	struct zn__load *load = (struct zn__load *)(uintptr_t)item;
	if (load->rc < 0)
		return zn_err_set(err, load->rc, "%s", load->err.text);
	*ret = load;
	return 1;
}

static int start_thread(struct reader *r)
{
	int rc = zn_spsc_init(&r->ring, READY, ZN_WAIT_SLEEP);

	if (rc < 0)
		return rc;
	r->is_thread = true;
	rc = -pthread_create(&r->thread, NULL, read_on, r);
	if (rc < 0) {
		zn_spsc_done(&r->ring);
		r->is_thread = false;
	}
	return rc;
}

static void stop_thread(struct reader *r)
{
	uint64_t item;

	if (!r->is_thread)
		return;
	zn_spsc_close(&r->ring);
	pthread_join(r->thread, NULL);
	while (zn_spsc_pop(&r->ring, &item, 1))
		if ((struct zn__load *)(uintptr_t)item != &r->failure)
			drop(r->loader, (struct zn__load *)(uintptr_t)item);
	zn_spsc_done(&r->ring);
	r->is_thread = false;
}

/* ---- the loader ------------------------------------------------------------------------------------------- */

static int check(const struct zn_loader_ask *ask, uint64_t total, struct zn_err *err)
{
	if (!ask->order.batch || !ask->order.world || ask->rank >= ask->order.world)
		return zn_err_set(err, -EINVAL, "rank %u of %u makes no sense", ask->rank, ask->order.world);
	if (ask->n_fields > ZN__FIELDS_MAX)
		return zn_err_set(err, -EINVAL, "more than %d fields", ZN__FIELDS_MAX);
	if (ask->threads > THREADS_MAX)
		return zn_err_set(err, -EINVAL, "more than %d threads", THREADS_MAX);
	if (ask->first > total)
		return zn_err_set(err, -EINVAL, "there are %llu samples, which is fewer than the %llu to pass over", (unsigned long long)total, (unsigned long long)ask->first);
	return 0;
}

/* Whether what is cold is read past the page cache. */
static bool goes_direct(const struct zn_loader *l)
{
	struct sysinfo info;
	uint64_t bytes = 0;

	if (l->ask.direct != ZN_DIRECT_AUTO)
		return l->ask.direct == ZN_DIRECT_ALWAYS;
	for (uint32_t i = 0; i < l->sources->n; i++)
		bytes += l->sources->v[i].size;
	bool is_wanted_again = !l->ask.epochs || l->ask.epochs > l->ask.epoch + 1;
	return !is_wanted_again || sysinfo(&info) < 0 || bytes > (uint64_t)info.totalram * info.mem_unit / 2;
}

static void init_reader(struct zn_loader *l, unsigned i, bool direct)
{
	struct reader *r = &l->readers[i];

	r->loader = l;
	r->loading = (struct zn__loading){ .sources = l->sources, .ask = &l->ask, .pool = &l->pool, .direct = direct };
	r->last = &r->ahead;
	r->k = i;
}

/* Reads the first batch as it is, so that decoders whose shape the data say learn it. */
static int learn(struct zn_loader *l, struct zn_err *err)
{
	struct zn_loader_ask ask = l->ask;
	const char *why = zn__learn_shapes(&ask, &(struct zn_sample){ .n = 0 }, &(uint32_t){ 0 });
	const struct zn_batch *b;
	struct zn_loader *first;
	uint32_t left = 1;

	if (!why)
		return 0;
	ask.n_decoders = ask.threads = 0;
	int rc = zn_loader_new(l->sources, &ask, &first, err);
	if (rc < 0)
		return rc;
	rc = zn_loader_next(first, &b, err);
	for (uint32_t i = 0; rc > 0 && i < b->n && left; i++)
		why = zn__learn_shapes(&l->ask, &b->samples[i], &left);
	if (rc > 0) {
		if (left)
			zn_err_set(err, -EBADMSG, "the shape of a field can't be learnt: %s", why);
		zn_loader_put(first, b);
	}
	zn_loader_free(first);
	return rc > 0 && left ? -EBADMSG : rc < 0 ? rc : 0;
}

int zn_loader_new(const struct zn_sources *sources, const struct zn_loader_ask *ask, struct zn_loader **ret, struct zn_err *err)
{
	struct zn_loader *l = calloc(1, sizeof(*l));

	if (!l)
		return zn_err_set(err, -ENOMEM, "out of memory");
	l->sources = sources;
	l->ask = *ask;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	l->n_readers = ask->threads ? ask->threads : 1;
	l->counts = calloc(sources->n ? sources->n : 1, sizeof(*l->counts));
	l->readers = calloc(l->n_readers, sizeof(*l->readers));
	zn_mempool_init(&l->pool, &(struct zn_block_ask){ .pages = ZN_PAGES_BY_SIZE, .nodes = ask->nodes, .shared = ask->shared,
	                .policy = zn_idset_is_empty(&ask->nodes) ? ZN_BLOCK_ANYWHERE : ZN_BLOCK_PREFER }, ask->memory_bytes);
	int rc = l->counts && l->readers ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; rc == 0 && i < sources->n; i++)
		l->total += l->counts[i] = sources->v[i].n;
	if (rc == 0 && zn_sources_have_stream(sources))
		rc = zn_err_set(err, -EINVAL, "what can only be read from its beginning takes a flow");
	if (rc == 0)
		rc = check(ask, l->total, err);
	if (rc == 0)
		rc = learn(l, err);
	bool direct = rc == 0 && goes_direct(l);
	for (unsigned i = 0; rc == 0 && i < l->n_readers; i++) {
		init_reader(l, i, direct);
		rc = enter_epoch(&l->readers[i], ask->epoch, ask->first);
		if (rc == 0 && ask->threads)
			rc = start_thread(&l->readers[i]);
		if (rc < 0)
			zn_err_set(err, rc, "can't begin: %s", strerrordesc_np(-rc));
	}
	if (rc < 0)
		zn_loader_free(l);
	else
		*ret = l;
	return rc;
}

void zn_loader_free(struct zn_loader *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->is_stopping = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; l->readers && i < l->n_readers; i++)
		if (l->readers[i].is_thread)
			zn_spsc_close(&l->readers[i].ring); /* all of them, then wait for each */
	for (unsigned i = 0; l->readers && i < l->n_readers; i++) {
		struct reader *r = &l->readers[i];
		stop_thread(r);
		zn__loading_done(&r->loading); /* waits for what is under way, which goes into what is planned */
		for (struct zn__load *load = r->ahead, *next; load; load = next) {
			next = load->next;
			drop(l, load);
		}
		zn_epoch_done(&r->epoch);
	}
	zn_mempool_drop(&l->pool);
	zn_mempool_done(&l->pool);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
	free(l->readers);
	free(l->counts);
	free(l);
}

/* What an index says is damaged is told once an epoch, each shard's by one rank. */
static int add_flaws(const struct zn_loader *l, struct zn__load *load)
{
	const struct zn_batch *b = &load->batch;
	int rc = 0;

	for (uint32_t i = 0; i < l->sources->n; i++) {
		const struct zn_source *s = &l->sources->v[i];
		const struct zn_flaw *flaws = s->kind == ZN_SOURCE_TAR ? s->index.flaws : s->flaws;
		uint64_t n = s->kind == ZN_SOURCE_TAR ? s->index.n_flaws : s->n_flaws;
		for (uint64_t k = 0; k < n && rc == 0 && b->seq == 0 && i % l->ask.order.world == l->ask.rank; k++)
			rc = zn__load_lose(load, s, flaws[k].offset, flaws[k].key, flaws[k].reason);
	}
	return rc;
}

/* Where no batch comes at all what is damaged comes with one of nothing. */
static int only_flaws(struct zn_loader *l, struct zn__load **ret, struct zn_err *err)
{
	struct zn__load *load = l->out || l->ask.first ? NULL : calloc(1, sizeof(*load));

	if (l->out || l->ask.first)
		return 0;
	if (!load)
		return zn_err_set(err, -ENOMEM, "out of memory");
	load->batch.epoch = l->ask.epoch;
	int rc = add_flaws(l, load);
	if (rc == 0 && load->n_losses) {
		*ret = load;
		return 1;
	}
	zn__load_free(load, &l->pool);
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
}

static int next(struct zn_loader *l, struct zn__load **ret, struct zn_err *err)
{
	struct reader *r = &l->readers[l->out % l->n_readers];
	int rc = r->is_thread ? next_of_thread(l, r, ret, err) : read_next(r, ret, err);

	if (rc == 0)
		return only_flaws(l, ret, err);
	return rc > 0 && add_flaws(l, *ret) < 0 ? zn_err_set(err, -ENOMEM, "out of memory") : rc;
}

int zn_loader_next(struct zn_loader *l, const struct zn_batch **ret, struct zn_err *err)
{
	struct zn__load *load;

	if (l->rc == 0) {
		int rc = next(l, &load, &l->err);
		l->rc = rc > 0 ? 0 : rc == 0 ? 1 : rc;
	}
	if (l->rc)
		return l->rc > 0 ? 0 : zn_err_set(err, l->rc, "%s", l->err.text);
	pthread_mutex_lock(&l->lock);
	l->out++;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	load->batch.losses = load->losses;
	load->batch.n_losses = load->n_losses;
	*ret = &load->batch;
	return 1;
}

void zn_loader_put(struct zn_loader *l, const struct zn_batch *batch)
{
	drop(l, (struct zn__load *)((char *)batch - offsetof(struct zn__load, batch)));
}

uint64_t zn_loader_total(const struct zn_loader *l)
{
	return l->total;
}

struct zn_loader_stats zn_loader_count(struct zn_loader *l)
{
	struct zn_loader_stats sum = { .empty_ns = l->empty_ns, .ready = l->ready, .taken = l->taken };

#define ADD(what) sum.what += __atomic_load_n(&s->what, __ATOMIC_RELAXED)
	for (unsigned i = 0; i < l->n_readers; i++) {
		const struct zn_loader_stats *s = &l->readers[i].loading.stats;
		ADD(warm_bytes);
		ADD(cold_bytes);
		ADD(direct_bytes);
		ADD(url_bytes);
		ADD(device_ns);
		ADD(copy_ns);
		ADD(parse_ns);
		ADD(decode_ns);
		ADD(full_ns);
		ADD(requests);
		ADD(asked);
		const char *engine = __atomic_load_n(&s->engine, __ATOMIC_RELAXED);
		sum.engine = sum.cold_bytes && engine ? engine : sum.engine;
	}
#undef ADD
	sum.parse_ns = sum.parse_ns > sum.decode_ns ? sum.parse_ns - sum.decode_ns : 0; /* which is a part of it */
	return sum;
}
