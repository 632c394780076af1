/* pipe: what goes through a pipe from one CPU to another, by how it is written and how large the pieces are.  The pipe holds
 * 1 MiB where the kernel lets it.  vmsplice gives the pages themselves away, so they are never written to again here; who
 * does that must know that they were read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "bench/bench.h"

enum { ALL = 64 << 20, PIECE_MAX = 1 << 20, PIPE = 1 << 20, PARTS = 16 };

struct side {
	double cpu_s;
	int rc;
};

struct run {
	const struct zn_bench_ask *ask;
	const struct way *way;
	size_t piece;
	int fds[2];
	char *from, *to;
	struct side in, out;
	uint64_t begin_ns, end_ns;
	double *cpu_s_per_gb;          /* of the measurement to come */
};

struct way {
	const char *name;
	ssize_t (*put)(const struct run *r, const char *p, size_t n);
};

static ssize_t put_write(const struct run *r, const char *p, size_t n)
{
	return write(r->fds[1], p, n);
}

/* In 16 parts, as of records that lie apart. */
static ssize_t put_writev(const struct run *r, const char *p, size_t n)
{
	struct iovec v[PARTS];
	int k = 0;

	for (size_t at = 0; at < n; k++) {
		size_t part = n - at < r->piece / PARTS || k == PARTS - 1 ? n - at : r->piece / PARTS;
		v[k] = (struct iovec){ (void *)(p + at), part };
		at += part;
	}
	return writev(r->fds[1], v, k);
}

static ssize_t put_vmsplice(const struct run *r, const char *p, size_t n)
{
	return vmsplice(r->fds[1], &(struct iovec){ (void *)p, n }, 1, 0);
}

static const struct way ways[] = { { "write", put_write }, { "writev of 16", put_writev }, { "vmsplice", put_vmsplice } };

/* ---- the two sides ---- */

static double thread_cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int put_all(const struct run *r)
{
	for (size_t put = 0; put < ALL;) {
		size_t at = put % r->piece;
		ssize_t n = r->way->put(r, r->from + at, r->piece - at);
		if (n < 0 && errno != EINTR)
			return -errno;
		put += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void produce(void *arg)
{
	struct run *r = arg;
	double cpu_s = thread_cpu_s();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* of this thread: -EPIPE is enough */
	r->begin_ns = zn_boot_ns();
	r->in.rc = put_all(r);
	close(r->fds[1]);
	r->in.cpu_s = thread_cpu_s() - cpu_s;
}

/* What comes is a piece again and again: one byte of each part tells whether its place is right. */
static int get_all(const struct run *r)
{
	size_t got = 0;
	ssize_t n;

	while ((n = read(r->fds[0], r->to, r->piece)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && r->to[n - 1] != r->from[(got + (size_t)n - 1) % r->piece])
			return -EBADMSG;
		got += n > 0 ? (size_t)n : 0;
	}
	return got == ALL ? 0 : -EBADMSG;
}

static void consume(void *arg)
{
	struct run *r = arg;
	double cpu_s = thread_cpu_s();

	r->out.rc = get_all(r);
	r->end_ns = zn_boot_ns();
	close(r->fds[0]); /* a producer that is still there must not wait for ever */
	r->out.cpu_s = thread_cpu_s() - cpu_s;
}

/* ---- rounds ---- */

static int measure(void *arg, double *ret, struct zn_err *err)
{
	struct run *r = arg;

	if (pipe2(r->fds, O_CLOEXEC) < 0)
		return -errno;
	fcntl(r->fds[1], F_SETPIPE_SZ, PIPE); /* what it is then, the note says */
	int rc = zn_bench_on_two(r->ask, produce, consume, r);
	if (rc < 0) {
		close(r->fds[0]);
		close(r->fds[1]);
		return rc;
	}
	rc = r->out.rc < 0 ? r->out.rc : r->in.rc;
	if (rc < 0)
		return zn_err_set(err, rc, rc == -EBADMSG ? "what came out of the pipe is not what went in" : "%s through a pipe: %s", r->way->name,
		                  strerror(-rc));
	*ret = (double)ALL / (double)(r->end_ns - r->begin_ns);
	*r->cpu_s_per_gb++ = (r->in.cpu_s + r->out.cpu_s) / (ALL / 1e9);
	return 0;
}

static void describe_pipe(char *note, size_t size)
{
	char bytes[ZN_UNIT_TEXT];
	int fds[2], n = -1;

	if (pipe2(fds, O_CLOEXEC) == 0) {
		fcntl(fds[1], F_SETPIPE_SZ, PIPE);
		n = fcntl(fds[1], F_GETPIPE_SZ);
		close(fds[0]);
		close(fds[1]);
	}
	snprintf(note, size, "a pipe of %s", n > 0 ? zn_format_bytes((uint64_t)n, bytes) : "unknown size");
}

/* Both figures are of the same rounds. */
static int one_piece(struct run *r, double *cpu, const char *note, struct zn_err *err)
{
	char size[ZN_UNIT_TEXT], name[64], cpu_name[96];
	struct zn_bench_result result = { .bench = "pipe", .name = name, .unit = "GB/s", .note = note };
	struct zn_bench_result of_cpu = { .bench = "pipe", .name = cpu_name, .unit = "s/GB", .note = note };

	snprintf(name, sizeof(name), "%s, %s", r->way->name, zn_format_bytes(r->piece, size));
	snprintf(cpu_name, sizeof(cpu_name), "%s, CPU time", name);
	r->cpu_s_per_gb = cpu;
	int rc = zn_bench_by_turns(r->ask, &result, (struct zn_bench_way){ measure, r }, (struct zn_bench_way){ NULL, NULL }, err);
	return rc < 0 ? rc : zn_bench_hand_over(r->ask, &of_cpu, cpu, NULL, r->ask->rounds);
}

static int all_pieces(struct run *r, double *cpu, struct zn_err *err)
{
	char note[64];
	int rc = 0;

	describe_pipe(note, sizeof(note));
	for (size_t i = 0; i < PIECE_MAX; i++)
		r->from[i] = (char)(i * 131 >> 4);
	for (size_t w = 0; rc == 0 && w < sizeof(ways) / sizeof(*ways); w++) {
		r->way = &ways[w];
		for (r->piece = 4 << 10; rc == 0 && r->piece <= PIECE_MAX; r->piece *= 4)
			rc = one_piece(r, cpu, note, err);
	}
	return rc;
}

int zn_bench_pipe(const struct zn_bench_ask *ask, struct zn_err *err)
{
	struct run r = { .ask = ask };
	double *cpu = calloc(ask->rounds, sizeof(*cpu));

	r.from = mmap(NULL, 2 * PIECE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.to = r.from + PIECE_MAX;
	int rc = cpu && r.from != MAP_FAILED ? all_pieces(&r, cpu, err) : -ENOMEM;
	if (r.from != MAP_FAILED)
		munmap(r.from, 2 * PIECE_MAX);
	free(cpu);
	return rc;
}
