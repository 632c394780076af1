/* io_ring: reads through io_uring, where zn-bench was built with liburing, or by threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "bench/bench.h"
#include "bench/io.h"
#ifdef ZN_WITH_LIBURING
#include <liburing.h>
#endif

uint64_t zn__io_next(const struct zn__io_load *load, uint64_t *at)
{
	uint64_t blocks = load->bytes / load->block;

	return (load->random ? zn_random(at) : (*at)++) % blocks * load->block;
}

static int say_failed(struct zn_err *err, int rc)
{
	return zn_err_set(err, rc, "can't read the file: %s", strerror(-rc));
}

static int say_short(struct zn_err *err)
{
	return zn_err_set(err, -EIO, "a read brought less than there should be: the file has changed");
}

/* ---- io_uring ---- */

#ifdef ZN_WITH_LIBURING
struct ring {
	struct io_uring uring;
	const struct zn__io_load *load;
	uint64_t at, end_ns, done;
	unsigned under_way;
};

static void ask(struct ring *r, size_t slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring); /* there are as many as reads under way */
	char *to = r->load->room + slot * r->load->block;

	io_uring_prep_read(sqe, r->load->fd, to, (unsigned)r->load->block, zn__io_next(r->load, &r->at));
	io_uring_sqe_set_data(sqe, to);
	r->under_way++;
}

/* What has come is counted and, until the time is over, asked for again. */
static int take(struct ring *r, struct io_uring_cqe *cqe, struct zn_err *err)
{
	size_t slot = (size_t)((char *)io_uring_cqe_get_data(cqe) - r->load->room) / r->load->block;
	int got = cqe->res;

	io_uring_cqe_seen(&r->uring, cqe);
	r->under_way--;
	if (got < 0)
		return say_failed(err, got);
	if ((size_t)got != r->load->block)
		return say_short(err);
	r->done++;
	if (zn_boot_ns() < r->end_ns)
		ask(r, slot);
	return 0;
}

static int take_all(struct ring *r, struct zn_err *err)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit_and_wait(&r->uring, 1);

	if (rc < 0 && rc != -EINTR)
		return say_failed(err, rc);
	for (rc = 0; rc == 0 && io_uring_peek_cqe(&r->uring, &cqe) == 0;)
		rc = take(r, cqe, err);
	return rc;
}

/* Room that is still written to must not go away. */
static void wait_for_rest(struct ring *r)
{
	struct io_uring_cqe *cqe;

	while (r->under_way && io_uring_wait_cqe(&r->uring, &cqe) == 0) {
		io_uring_cqe_seen(&r->uring, cqe);
		r->under_way--;
	}
}

int zn__io_by_ring(const struct zn__io_load *load, double *ret, struct zn_err *err)
{
	struct ring r = { .load = load };
	int rc = io_uring_queue_init(ZN__IO_DEPTH_MAX, &r.uring, 0);

	if (rc < 0)
		return zn_err_set(err, rc, "there is no io_uring: %s", strerror(-rc));
	uint64_t begin_ns = zn_boot_ns();
	r.end_ns = begin_ns + ZN__IO_MS * UINT64_C(1000000);
	for (size_t slot = 0; slot < load->depth; slot++)
		ask(&r, slot);
	while (rc == 0 && r.under_way)
		rc = take_all(&r, err);
	*ret = (double)r.done / (double)(zn_boot_ns() - begin_ns) * 1e9;
	wait_for_rest(&r);
	io_uring_queue_exit(&r.uring);
	return rc;
}

int zn__io_ring_try(void)
{
	struct io_uring uring;
	int rc = io_uring_queue_init(ZN__IO_DEPTH_MAX, &uring, 0);

	if (rc == 0)
		io_uring_queue_exit(&uring);
	return rc;
}
#else
int zn__io_by_ring(const struct zn__io_load *load, double *ret, struct zn_err *err)
{
	(void)load;
	(void)ret;
	return zn_err_set(err, -ENOTSUP, "this zn-bench was built without liburing");
}

int zn__io_ring_try(void)
{
	return -ENOTSUP;
}
#endif

/* ---- threads ---- */

struct reader {
	const struct zn__io_load *load;
	uint64_t *at;                  /* of all of them when they read one after another, else its own */
	uint64_t chance;
	char *to;
	uint64_t begin_ns, end_ns, done;
	int rc;
};

static uint64_t next_of(struct reader *r)
{
	uint64_t turn;

	if (r->load->random)
		return zn__io_next(r->load, &r->chance);
	turn = __atomic_fetch_add(r->at, 1, __ATOMIC_RELAXED);
	return zn__io_next(r->load, &turn);
}

static void read_until(void *arg)
{
	struct reader *r = arg;

	r->begin_ns = r->end_ns = zn_boot_ns();
	while (r->rc == 0 && r->end_ns - r->begin_ns < ZN__IO_MS * UINT64_C(1000000)) {
		ssize_t n = pread(r->load->fd, r->to, r->load->block, (off_t)next_of(r));
		r->rc = n < 0 ? -errno : (size_t)n == r->load->block ? 0 : -ENODATA;
		r->done++;
		r->end_ns = zn_boot_ns();
	}
}

static int sum_up(const struct reader *readers, size_t n, double *ret, struct zn_err *err)
{
	uint64_t begin_ns = UINT64_MAX, end_ns = 0, done = 0;

	for (size_t i = 0; i < n; i++) {
		if (readers[i].rc < 0)
			return readers[i].rc == -ENODATA ? say_short(err) : say_failed(err, readers[i].rc);
		begin_ns = readers[i].begin_ns < begin_ns ? readers[i].begin_ns : begin_ns;
		end_ns = readers[i].end_ns > end_ns ? readers[i].end_ns : end_ns;
		done += readers[i].done;
	}
	*ret = (double)done / (double)(end_ns - begin_ns) * 1e9;
	return 0;
}

int zn__io_by_threads(const struct zn__io_load *load, const struct zn_idset *cpus, double *ret, struct zn_err *err)
{
	struct reader readers[ZN__IO_DEPTH_MAX];
	struct zn_bench_side sides[ZN__IO_DEPTH_MAX];
	uint64_t at = 0;
	int cpu = -1;

	for (unsigned i = 0; i < load->depth; i++) {
		cpu = zn_idset_next(cpus, (unsigned)(cpu + 1));
		if (cpu < 0)
			cpu = zn_idset_next(cpus, 0);
		readers[i] = (struct reader){ .load = load, .at = &at, .chance = i, .to = load->room + i * load->block };
		sides[i] = (struct zn_bench_side){ (uint32_t)cpu, read_until, &readers[i] };
	}
	int rc = zn_bench_on_each(sides, load->depth);
	return rc < 0 ? rc : sum_up(readers, load->depth, ret, err);
}
