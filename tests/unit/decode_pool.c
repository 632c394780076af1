#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "data/decode_pool.h"
#include "tap.h"
#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)
#include "decode_help.h"
#endif

static struct zn_decoder *must_parse(const char *text)
{
	struct zn_decoder *d;
	struct zn_err err = { "" };

	if (zn_decode_parse(text, &d, &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, err.text);
		exit(1);
	}
	return d;
}

#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)

static const struct jpeg_how hows[] = {
	{ 90, 2, 2, false, JCS_RGB, JCS_YCbCr, 3, false }, { 90, 2, 1, false, JCS_RGB, JCS_YCbCr, 3, false }, { 75, 1, 1, false, JCS_RGB, JCS_YCbCr, 3, false },
	{ 90, 2, 2, true, JCS_RGB, JCS_YCbCr, 3, false },
};

enum { BATCH = 60 };

static void check_pool_batch(uint32_t threads)
{
	struct zn_decoder *d[2] = { must_parse("jpg=image:24x32,f32,crop=resized,flip"), must_parse("cls=int") };
	struct zn_decode_work work[2 * BATCH];
	struct zn_decode_list lists[2] = { { .work = work, .n = BATCH }, { .work = work + BATCH, .n = BATCH } };
	struct bytes jpg[BATCH];
	char text[BATCH][8];
	float *tensor = malloc(BATCH * d[0]->bytes), *alone = malloc(d[0]->bytes);
	int64_t labels[BATCH];
	struct zn_decode_pool *p;
	const char *why;
	unsigned wrong = 0;
	void *hand;

	for (uint32_t i = 0; i < BATCH; i++) {
		unsigned char *px = make_pixels(64 + i, 50, 3, i);
		jpg[i] = make_jpeg(px, 64 + i, 50, hows[i % 4]);
		free(px);
		if (i == 7)
			jpg[i].n /= 2;
		snprintf(text[i], sizeof(text[i]), "%u\n", i * 3);
		work[i] = (struct zn_decode_work){ 0, 1, jpg[i].p, jpg[i].n, i, (char *)tensor + i * d[0]->bytes, NULL };
		work[BATCH + i] = (struct zn_decode_work){ 1, 1, text[i], strlen(text[i]), 0, &labels[i], NULL };
	}
	if (zn_decode_pool_new(d, 2, threads, &p, NULL) < 0 || zn_decoder_hand_new(d[0], &hand) < 0)
		exit(1);
	for (int round = 0; round < 3; round++) {
		zn_decode_pool_put(p, &lists[0]);
		zn_decode_pool_put(p, &lists[1]);
		zn_decode_pool_wait(p, &lists[1]);
		zn_decode_pool_wait(p, &lists[0]);
	}
	for (uint32_t i = 0; i < BATCH; i++) {
		int rc = zn_decoder_run(d[0], hand, jpg[i].p, jpg[i].n, i, alone, &why);
		wrong += work[i].rc != rc || (rc < 0 && work[i].why != why) || work[BATCH + i].rc != 0 || labels[i] != i * 3;
		wrong += rc == 0 && memcmp(alone, (char *)tensor + i * d[0]->bytes, d[0]->bytes);
	}
	tap_ok(!wrong && work[7].rc == -EBADMSG, "%u threads: a batch is what one by one gives, each in its place, one lost (%u wrong)", threads, wrong);
	zn_decode_pool_free(p);
	zn_decoder_hand_free(d[0], hand);
	for (int i = 0; i < BATCH; i++)
		free(jpg[i].p);
	free(tensor), free(alone);
	zn_decoder_free(d[0]), zn_decoder_free(d[1]);
}

#endif

static void check_pool_empty(void)
{
	struct zn_decoder *d[1] = { must_parse("cls=int") };
	struct zn_decode_list none = { 0 };
	struct zn_decode_pool *p;

	if (zn_decode_pool_new(d, 1, 3, &p, NULL) < 0)
		exit(1);
	zn_decode_pool_put(p, &none);
	zn_decode_pool_wait(p, &none);
	zn_decode_pool_free(p);
	tap_ok(true, "an empty list is done, and a pool without work ends");
	zn_decoder_free(d[0]);
}

/* A decoder that waits to be let on, so that the pool can be stopped with work in it. */
struct gate { struct zn_decoder d; pthread_mutex_t lock; pthread_cond_t moved; int inside; bool open; };

static int gate_decode(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out, const char **ret_why)
{
	struct gate *g = (struct gate *)d;

	(void)hand, (void)p, (void)n, (void)random, (void)out, (void)ret_why;
	pthread_mutex_lock(&g->lock);
	g->inside++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static const struct zn_decoder_ops gate_ops = { .decode = gate_decode };

static void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void gate_await(struct gate *g, int n)
{
	pthread_mutex_lock(&g->lock);
	while (g->inside < n)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void check_pool_stop(void)
{
	struct gate g = { .d = { .ops = &gate_ops }, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };
	struct zn_decoder *d[1] = { &g.d };
	struct zn_decode_work work[100] = { 0 }, late[1] = { 0 };
	struct zn_decode_list l = { .work = work, .n = 100 }, l2 = { .work = late, .n = 1 };
	struct zn_decode_pool *p;
	unsigned done = 0, cancelled = 0;

	if (zn_decode_pool_new(d, 1, 2, &p, NULL) < 0)
		exit(1);
	zn_decode_pool_put(p, &l);
	gate_await(&g, 2);
	zn_decode_pool_stop(p);
	gate_open(&g);
	zn_decode_pool_wait(p, &l);
	zn_decode_pool_put(p, &l2);
	zn_decode_pool_wait(p, &l2);
	for (int i = 0; i < 100; i++) {
		done += work[i].rc == 0;
		cancelled += work[i].rc == -ECANCELED && work[i].why;
	}
	tap_ok(done >= 2 && done < 100 && done + cancelled == 100 && late[0].rc == -ECANCELED,
	       "stopped: what had begun is finished (%u), the rest cancelled (%u), and so is what comes later", done, cancelled);
	zn_decode_pool_free(p);
}

static void check_close_up(void)
{
	uint32_t v[6] = { 10, 11, 12, 13, 14, 15 };
	static const bool lost[6] = { false, true, false, false, true, true }, none[6] = { false };

	tap_ok(zn_decode_close_up(v, 4, none, 6) == 6 && v[5] == 15, "nothing lost, nothing moves");
	tap_ok(zn_decode_close_up(v, 4, lost, 6) == 3 && v[0] == 10 && v[1] == 12 && v[2] == 13, "what is lost leaves no gap");
}

int main(void)
{
	check_pool_empty();
	check_pool_stop();
	check_close_up();
#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)
	check_pool_batch(1);
	check_pool_batch(4);
#endif
	return tap_done();
}
