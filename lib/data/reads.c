#include "data/reads.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef ZN_WITH_LIBURING
#include <liburing.h>
#endif

#include "data/fetch.h"

enum { DEPTH_MAX = 256, THREADS_MAX = 16 };

struct queue { struct zn_read *first, **last; };

struct zn_reads {
	unsigned depth, under_way;
	struct queue waiting;          /* not begun yet */
	bool by_uring;
#ifdef ZN_WITH_LIBURING
	struct io_uring uring;
#endif
	/* threads: takes the lock for all below, and for waiting and is_done */
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
	bool stopping;
	/* what lies at URLs */
	struct zn_fetcher *fetcher;    /* NULL: nothing was fetched yet */
	struct queue remote;           /* not begun yet */
};

static void push(struct queue *q, struct zn_read *one)
{
	one->next = NULL;
	*q->last = one;
	q->last = &one->next;
}

static struct zn_read *pop(struct queue *q)
{
	struct zn_read *one = q->first;

	if (!one)
		return NULL;
	q->first = one->next;
	if (!q->first)
		q->last = &q->first;
	return one;
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

static ssize_t read_now(const struct zn_read *one)
{
	ssize_t got;

	do
		got = pread(one->fd, one->p, one->n, (off_t)one->at);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void *work(void *arg)
{
	struct zn_reads *r = arg;
	struct zn_read *one;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!(one = pop(&r->waiting)) && !r->stopping)
			pthread_cond_wait(&r->more, &r->lock);
		if (!one)
			break;
		pthread_mutex_unlock(&r->lock);
		ssize_t got = read_now(one);
		pthread_mutex_lock(&r->lock);
		one->got = got;
		one->is_done = true;
		pthread_cond_signal(&r->done);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int start_threads(struct zn_reads *r)
{
	unsigned want = r->depth < THREADS_MAX ? r->depth : THREADS_MAX;
	int rc = 0;

	while (r->n_threads < want && (rc = pthread_create(&r->threads[r->n_threads], NULL, work, r)) == 0)
		r->n_threads++;
	return r->n_threads ? 0 : -rc;
}

static void stop_threads(struct zn_reads *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->more);
	pthread_mutex_unlock(&r->lock);
	while (r->n_threads)
		pthread_join(r->threads[--r->n_threads], NULL);
}

static void wait_threads(struct zn_reads *r, const struct zn_read *one)
{
	pthread_mutex_lock(&r->lock);
	while (!one->is_done)
		pthread_cond_wait(&r->done, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* ---- io_uring --------------------------------------------------------------------------------------------- */

#ifdef ZN_WITH_LIBURING
static int open_uring(struct zn_reads *r)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };
	int rc = io_uring_queue_init_params(r->depth, &r->uring, &p);

	if (rc == -EINVAL) /* Linux before 6.1 */
		rc = io_uring_queue_init(r->depth, &r->uring, 0);
	return rc;
}

static void reap(struct zn_reads *r)
{
	struct io_uring_cqe *e;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&r->uring, head, e) {
		struct zn_read *one = io_uring_cqe_get_data(e);
		one->got = e->res;
		one->is_done = true;
		n++;
	}
	io_uring_cq_advance(&r->uring, n);
	r->under_way -= n;
}

static unsigned prepare(struct zn_reads *r)
{
	unsigned n = 0;

	while (r->under_way < r->depth && r->waiting.first) {
		struct io_uring_sqe *s = io_uring_get_sqe(&r->uring);
		if (!s)
			break;
		struct zn_read *one = pop(&r->waiting);
		io_uring_prep_read(s, one->fd, one->p, (unsigned)one->n, one->at);
		io_uring_sqe_set_data(s, one);
		r->under_way++;
		n++;
	}
	return n;
}

static int start_uring(struct zn_reads *r)
{
	int rc = 0;

	if (r->under_way == r->depth && r->waiting.first) { /* what has come meanwhile makes room */
		io_uring_get_events(&r->uring);
		reap(r);
	}
	if (prepare(r))
		do
			rc = io_uring_submit(&r->uring);
		while (rc == -EINTR);
	return rc == -EAGAIN || rc == -EBUSY ? 0 : rc < 0 ? rc : 0; /* what was not taken goes with the next */
}

static int wait_uring(struct zn_reads *r, const struct zn_read *one)
{
	if (one->is_done)
		return r->waiting.first ? start_uring(r) : 0; /* the device is kept busy */
	while (!one->is_done) {
		prepare(r);
		int rc = io_uring_submit_and_wait(&r->uring, 1);
		if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
			return rc;
		reap(r);
	}
	return 0;
}

static int drain_uring(struct zn_reads *r)
{
	while (r->under_way) {
		int rc = io_uring_submit_and_wait(&r->uring, 1);
		if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
			return rc;
		reap(r);
	}
	return 0;
}
#else
static int open_uring(struct zn_reads *r) { (void)r; return -ENOSYS; }
static int start_uring(struct zn_reads *r) { (void)r; return -ENOSYS; }
static int wait_uring(struct zn_reads *r, const struct zn_read *one) { (void)r; (void)one; return -ENOSYS; }
#endif

/* ---- URLs ------------------------------------------------------------------------------------------------- */

static int start_fetching(struct zn_reads *r)
{
	int rc = r->remote.first && !r->fetcher ? zn_fetcher_new(r->depth, &r->fetcher) : 0;

	for (struct zn_read *one; rc == 0 && (one = pop(&r->remote));)
		zn_fetcher_add(r->fetcher, one);
	return rc;
}

static int wait_fetching(struct zn_reads *r, const struct zn_read *one)
{
	int rc = start_fetching(r);

	if (rc == 0)
		zn_fetcher_wait(r->fetcher, one);
	return rc;
}

/* ---- either ----------------------------------------------------------------------------------------------- */

int zn_reads_new(unsigned depth, bool uring, struct zn_reads **ret)
{
	struct zn_reads *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->depth = depth < 1 ? 1 : depth < DEPTH_MAX ? depth : DEPTH_MAX;
	r->waiting.last = &r->waiting.first;
	r->remote.last = &r->remote.first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_cond_init(&r->done, NULL);
	r->by_uring = uring && open_uring(r) == 0;
	*ret = r;
	return 0;
}

void zn_reads_free(struct zn_reads *r)
{
	if (!r)
		return;
	zn_fetcher_free(r->fetcher);
#ifdef ZN_WITH_LIBURING
	if (r->by_uring) {
		drain_uring(r);
		io_uring_queue_exit(&r->uring);
	}
#endif
	stop_threads(r);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->more);
	pthread_cond_destroy(&r->done);
	free(r);
}

const char *zn_reads_engine(const struct zn_reads *r)
{
	return r->by_uring ? "io_uring" : "threads";
}

void zn_reads_add(struct zn_reads *r, struct zn_read *one)
{
	one->is_done = false;
	if (one->url) {
		push(&r->remote, one);
		return;
	}
	if (r->by_uring) {
		push(&r->waiting, one);
		return;
	}
	pthread_mutex_lock(&r->lock);
	push(&r->waiting, one);
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

int zn_reads_start(struct zn_reads *r)
{
	int rc = start_fetching(r);

	if (rc < 0 || r->by_uring)
		return rc < 0 ? rc : start_uring(r);
	return r->n_threads || !r->waiting.first ? 0 : start_threads(r); /* who never reads what is cold needs none */
}

int zn_reads_wait(struct zn_reads *r, const struct zn_read *one)
{
	if (one->url)
		return wait_fetching(r, one);
	if (r->by_uring)
		return wait_uring(r, one);
	int rc = zn_reads_start(r);
	if (rc == 0)
		wait_threads(r, one);
	return rc;
}
