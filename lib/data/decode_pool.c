#include "data/decode_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TAKE_MAX = 16 };

struct zn_decode_pool {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct zn_decode_list *head, **tail; /* of which something is not taken yet */
	bool stops;
	struct zn_decoder *const *decoders;
	uint32_t n_decoders, n_threads;
	void **hands;                  /* [n_threads][n_decoders] */
	struct thread { struct zn_decode_pool *pool; pthread_t id; void **hands; } *threads;
};

struct part { struct zn_decode_list *list; size_t from, to; };

static void drop_head(struct zn_decode_pool *p)
{
	p->head = p->head->next;
	if (!p->head)
		p->tail = &p->head;
}

/* Fewer at a time towards the end, so that all threads end together; the lock is asked for each part, which matters for numbers
 * and not for pictures.
 */
static struct part take_part(struct zn_decode_pool *p)
{
	struct zn_decode_list *l = p->head;
	size_t n = (l->n - l->taken) / (4 * (size_t)p->n_threads);
	struct part part = { l, l->taken, 0 };

	n = n < 1 ? 1 : n > TAKE_MAX ? TAKE_MAX : n;
	part.to = l->taken += n;
	if (l->taken == l->n)
		drop_head(p);
	return part;
}

static void decode_part(const struct thread *t, const struct part *part)
{
	for (size_t i = part->from; i < part->to; i++) {
		struct zn_decode_work *w = &part->list->work[i];
		const struct zn_decoder *d = t->pool->decoders[w->decoder];
		w->rc = zn_decoder_run(d, t->hands[w->decoder], w->p, w->n, w->random, w->out, &w->why);
	}
}

static void add_done(struct zn_decode_pool *p, struct zn_decode_list *l, size_t n)
{
	l->done += n;
	if (l->done == l->n)
		pthread_cond_broadcast(&p->done);
}

static void *work_loop(void *arg)
{
	struct thread *t = arg;
	struct zn_decode_pool *p = t->pool;
	struct part part;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->head && !p->stops)
			pthread_cond_wait(&p->work, &p->lock);
		if (!p->head)
			break;
		part = take_part(p);
		pthread_mutex_unlock(&p->lock);
		decode_part(t, &part);
		pthread_mutex_lock(&p->lock);
		add_done(p, part.list, part.to - part.from);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void cancel_list(struct zn_decode_pool *p, struct zn_decode_list *l)
{
	for (size_t i = l->taken; i < l->n; i++) {
		l->work[i].rc = -ECANCELED;
		l->work[i].why = "decoding was stopped";
	}
	add_done(p, l, l->n - l->taken);
}

void zn_decode_pool_put(struct zn_decode_pool *p, struct zn_decode_list *l)
{
	l->next = NULL;
	l->taken = l->done = 0;
	if (l->n == 0)
		return;
	pthread_mutex_lock(&p->lock);
	if (p->stops) {
		cancel_list(p, l);
	} else {
		*p->tail = l;
		p->tail = &l->next;
		pthread_cond_broadcast(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
}

void zn_decode_pool_wait(struct zn_decode_pool *p, struct zn_decode_list *l)
{
	pthread_mutex_lock(&p->lock);
	while (l->done < l->n)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void zn_decode_pool_stop(struct zn_decode_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stops = true;
	while (p->head) {
		struct zn_decode_list *l = p->head;
		drop_head(p);
		cancel_list(p, l);
	}
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
}

/* The first n threads are there. */
static void join(struct zn_decode_pool *p, uint32_t n)
{
	zn_decode_pool_stop(p);
	for (uint32_t i = 0; i < n; i++)
		pthread_join(p->threads[i].id, NULL);
}

static void drop(struct zn_decode_pool *p)
{
	for (size_t i = 0; p->hands && i < (size_t)p->n_threads * p->n_decoders; i++)
		zn_decoder_hand_free(p->decoders[i % p->n_decoders], p->hands[i]);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->hands);
	free(p->threads);
	free(p);
}

void zn_decode_pool_free(struct zn_decode_pool *p)
{
	if (!p)
		return;
	join(p, p->n_threads);
	drop(p);
}

static int make_hands(struct zn_decode_pool *p)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < (size_t)p->n_threads * p->n_decoders; i++)
		rc = zn_decoder_hand_new(p->decoders[i % p->n_decoders], &p->hands[i]);
	return rc;
}

static int start(struct zn_decode_pool *p)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < p->n_threads; i++) {
		p->threads[i] = (struct thread){ .pool = p, .hands = p->hands + (size_t)i * p->n_decoders };
		rc = pthread_create(&p->threads[i].id, NULL, work_loop, &p->threads[i]);
		if (rc)
			join(p, i);
	}
	return -rc;
}

/* The threads take no signals: those are the program's. */
static int start_quietly(struct zn_decode_pool *p)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = start(p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int zn_decode_pool_new(struct zn_decoder *const *decoders, uint32_t n_decoders, uint32_t threads, struct zn_decode_pool **ret,
                       struct zn_err *err)
{
	struct zn_decode_pool *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return zn_err_set(err, -ENOMEM, "out of memory");
	*p = (struct zn_decode_pool){ .decoders = decoders, .n_decoders = n_decoders, .n_threads = threads, .tail = &p->head };
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	p->hands = calloc((size_t)threads * n_decoders, sizeof(*p->hands));
	p->threads = calloc(threads, sizeof(*p->threads));
	rc = p->hands && p->threads ? make_hands(p) : -ENOMEM;
	if (rc == 0)
		rc = start_quietly(p);
	if (rc < 0) {
		drop(p);
		return zn_err_set(err, rc, "could not start %u threads that decode: %s", threads, strerror(-rc));
	}
	*ret = p;
	return 0;
}

size_t zn_decode_close_up(void *base, size_t bytes, const bool *lost, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (lost[i])
			continue;
		if (to != i)
			memmove((char *)base + to * bytes, (char *)base + i * bytes, bytes);
		to++;
	}
	return to;
}
