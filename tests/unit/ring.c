/* The rings between real threads and real processes: what goes in comes out, in order, however one waits. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/byte_ring.h"
#include "mem/mpsc.h"
#include "mem/spsc.h"
#include "tap.h"

enum { MANY = 200000, PRODUCERS = 4 };

static const char *const waits[] = { "spinning", "yielding", "sleeping" };

/* Numbers that look like chance, the same at each run. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* ---- one to one ---- */

static void test_steps(void)
{
	struct zn_spsc r;
	uint64_t v[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[8] = { 0 };

	tap_ok(zn_spsc_init(&r, 3, ZN_WAIT_SPIN) == -EINVAL && zn_spsc_init(&r, 1, ZN_WAIT_SPIN) == -EINVAL &&
	       zn_spsc_init(&r, 0, ZN_WAIT_SPIN) == -EINVAL, "a capacity that is no power of two is refused");
	zn_spsc_init(&r, 4, ZN_WAIT_SPIN);
	r.in.at = r.in.other = r.out.at = r.out.other = (size_t)-3; /* the indexes pass zero meanwhile */
	tap_ok(zn_spsc_pop(&r, got, 8) == 0, "an empty ring gives nothing");
	tap_ok(zn_spsc_push(&r, v, 3) == 3 && zn_spsc_push(&r, v + 3, 5) == 1 && zn_spsc_push(&r, v, 1) == 0, "as many go in as there is room for");
	tap_ok(zn_spsc_pop(&r, got, 2) == 2 && zn_spsc_push(&r, v + 4, 4) == 2 && zn_spsc_pop(&r, got + 2, 8) == 4 && memcmp(got, v, 6 * 8) == 0,
	       "and come out in order, over the end of the indexes, too");
	zn_spsc_close(&r);
	tap_ok(zn_spsc_send(&r, v, 8) == 0 && zn_spsc_receive(&r, got, 8) == 0, "a closed ring takes and gives nothing");
	zn_spsc_done(&r);
}

struct line {
	struct zn_spsc r;
	size_t batch;
	bool stops;               /* the consumer, half way */
	size_t sent;
};

static void *produce(void *arg)
{
	struct line *l = arg;
	uint64_t v[64];

	for (uint64_t at = 0; at < MANY;) {
		size_t n = MANY - at < l->batch ? (size_t)(MANY - at) : l->batch;
		for (size_t i = 0; i < n; i++)
			v[i] = at + i;
		size_t k = zn_spsc_send(&l->r, v, n);
		at += k;
		l->sent = (size_t)at;
		if (k < n)
			break;
	}
	zn_spsc_close(&l->r);
	return NULL;
}

static bool consume(struct line *l)
{
	uint64_t got[64], want = 0;
	size_t n;

	while ((n = zn_spsc_receive(&l->r, got, l->batch)) > 0) {
		for (size_t i = 0; i < n; i++)
			if (got[i] != want++)
				return false;
		if (l->stops && want > MANY / 2) {
			zn_spsc_close(&l->r);
			return true;
		}
	}
	return want == MANY;
}

static void test_threads(void)
{
	for (int w = ZN_WAIT_SPIN; w <= ZN_WAIT_SLEEP; w++) {
		for (size_t batch = 1; batch <= 64; batch *= 8) {
			struct line l = { .batch = batch };
			pthread_t t;
			zn_spsc_init(&l.r, 64, (enum zn_wait)w);
			pthread_create(&t, NULL, produce, &l);
			bool good = consume(&l);
			pthread_join(t, NULL);
			tap_ok(good && l.sent == MANY, "%zu at a time, %s", batch, waits[w]);
			zn_spsc_done(&l.r);
		}
	}
	struct line l = { .batch = 8, .stops = true };
	pthread_t t;
	zn_spsc_init(&l.r, 64, ZN_WAIT_SLEEP);
	pthread_create(&t, NULL, produce, &l);
	bool good = consume(&l);
	pthread_join(t, NULL);
	tap_ok(good && l.sent < MANY, "a consumer that closes ends its producer");
	zn_spsc_done(&l.r);
}

/* ---- many to one ---- */

struct funnel {
	struct zn_mpsc r;
	size_t batch;
	uint64_t next_name;
};

static void *pour(void *arg)
{
	struct funnel *f = arg;
	uint64_t me = __atomic_fetch_add(&f->next_name, 1, __ATOMIC_RELAXED), v[16];

	for (uint64_t at = 0; at < MANY / PRODUCERS; at += f->batch) {
		for (size_t i = 0; i < f->batch; i++)
			v[i] = me << 32 | (at + i);
		if (!zn_mpsc_send(&f->r, v, f->batch))
			break;
	}
	return NULL;
}

/* Each producer's in its order, and what was sent together is together. */
static bool drain(struct funnel *f)
{
	uint64_t got[16], want[PRODUCERS] = { 0 }, before = 0;
	size_t seen = 0, n;

	while (seen < MANY && (n = zn_mpsc_receive(&f->r, got, 16)) > 0) {
		for (size_t i = 0; i < n; i++, seen++) {
			uint64_t of = got[i] >> 32;
			if (of >= PRODUCERS || (got[i] & 0xffffffff) != want[of]++ || (seen % f->batch && got[i] != before + 1))
				return false;
			before = got[i];
		}
	}
	return seen == MANY;
}

/* Not spinning: more of them than CPUs would take their time. */
static void test_many(void)
{
	static const size_t batches[] = { 1, 4, 10 }; /* the last does not divide the capacity */

	for (int w = ZN_WAIT_YIELD; w <= ZN_WAIT_SLEEP; w++) {
		for (size_t k = 0; k < 3; k++) {
			struct funnel f = { .batch = batches[k] };
			pthread_t t[PRODUCERS];
			zn_mpsc_init(&f.r, 64, (enum zn_wait)w);
			for (int i = 0; i < PRODUCERS; i++)
				pthread_create(&t[i], NULL, pour, &f);
			bool good = drain(&f);
			zn_mpsc_close(&f.r);
			for (int i = 0; i < PRODUCERS; i++)
				pthread_join(t[i], NULL);
			tap_ok(good, "%d producers, %zu at a time, %s", PRODUCERS, f.batch, waits[w]);
			zn_mpsc_done(&f.r);
		}
	}
}

/* ---- bytes ---- */

static void fill(char *p, size_t n, uint32_t *state)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)next_random(state);
}

static bool is_filled(const char *p, size_t n, uint32_t *state)
{
	bool good = true;

	for (size_t i = 0; i < n; i++)
		good &= p[i] == (char)next_random(state);
	return good;
}

static size_t next_length(const struct zn_byte_ring *b, uint32_t *state)
{
	uint32_t r = next_random(state);

	return r % 50 == 0 ? zn_byte_ring_largest(b) - r % 7 : r % 300;
}

enum { RECORDS = 20000 };

static int write_records(struct zn_byte_ring *b)
{
	uint32_t state = 1;

	for (int i = 0; i < RECORDS; i++) {
		size_t n = next_length(b, &state);
		char *p = zn_byte_ring_room_wait(b, n);
		if (!p)
			return 1;
		fill(p, n, &state);
		zn_byte_ring_put(b, n);
	}
	zn_byte_ring_close(b);
	return 0;
}

static bool read_records(struct zn_byte_ring *b)
{
	uint32_t state = 1;
	const char *p;
	size_t n;
	int seen = 0, rc;

	while ((rc = zn_byte_ring_next_wait(b, &p, &n)) > 0) {
		if (n != next_length(b, &state) || !is_filled(p, n, &state))
			return false;
		zn_byte_ring_drop(b);
		seen++;
	}
	return rc == 0 && seen == RECORDS;
}

static void test_processes(void)
{
	struct zn_err err = { 0 };

	for (int w = ZN_WAIT_YIELD; w <= ZN_WAIT_SLEEP; w++) {
		struct zn_byte_ring b, other;
		if (!tap_ok(zn_byte_ring_make(&b, 5000, (enum zn_wait)w, &err) == 0 && b.capacity == 8192, "a ring of bytes is made, as large as pages make it"))
			return;
		pid_t pid = fork();
		if (pid == 0)
			_exit(zn_byte_ring_open(&other, dup(b.fd), &err) < 0 ? 2 : write_records(&other));
		bool good = read_records(&b);
		int status = -1;
		waitpid(pid, &status, 0);
		tap_ok(good && status == 0, "%d records of another process come out whole, %s", RECORDS, waits[w]);
		zn_byte_ring_done(&b);
	}
}

static void test_bytes_refused(void)
{
	struct zn_byte_ring b, other;
	struct zn_err err = { 0 };
	int pipes[2], file = memfd_create("file", MFD_ALLOW_SEALING);

	tap_ok(zn_byte_ring_make(&b, 0, ZN_WAIT_SPIN, &err) == -EINVAL && strstr(err.text, "1 TiB"), "a ring of no bytes is refused: %s", err.text);
	tap_ok(ftruncate(file, 8192) == 0 && zn_byte_ring_open(&other, file, &err) == -EBADMSG && strstr(err.text, "is no ring"), "a file is none: %s", err.text);
	tap_ok(pipe(pipes) == 0 && zn_byte_ring_open(&other, pipes[0], NULL) == -EBADMSG, "a pipe neither");
	close(pipes[1]);
	zn_byte_ring_make(&b, 4096, ZN_WAIT_SPIN, NULL);
	uint64_t *head = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0);
	uint64_t was = head[1];
	head[1] = 1ULL << 62;
	tap_ok(zn_byte_ring_open(&other, dup(b.fd), NULL) == -EBADMSG, "nor one that says that it is larger than its file");
	head[1] = was;
	tap_ok(zn_byte_ring_open(&other, dup(b.fd), NULL) == 0, "itself it is");
	tap_ok(ftruncate(b.fd, 0) < 0, "and nobody can make it shorter");
	munmap(head, 4096);
	zn_byte_ring_done(&other);
	zn_byte_ring_done(&b);
}

/* What the other side may have written: the indexes and lengths that are in its memory. */
static void test_bytes_hostile(void)
{
	struct zn_byte_ring b, other;
	const char *p;
	size_t n;

	zn_byte_ring_make(&b, 4096, ZN_WAIT_SPIN, NULL);
	zn_byte_ring_open(&other, dup(b.fd), NULL);
	uint64_t *in = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0);
	in += ZN_LINE / 8;
	*in = 1ULL << 40;
	tap_ok(zn_byte_ring_next(&other, &p, &n) == -EBADMSG, "more than the ring holds is not believed");
	zn_byte_ring_done(&other);
	*in = 0;
	zn_byte_ring_open(&other, dup(b.fd), NULL);
	memcpy(zn_byte_ring_room(&b, 10), "0123456789", 10);
	zn_byte_ring_put(&b, 10);
	uint32_t large = 0xfffffff0;
	memcpy(b.data, &large, sizeof(large));
	tap_ok(zn_byte_ring_next(&other, &p, &n) == -EBADMSG, "nor a record that is longer than what is there");
	in[ZN_LINE / 8] = 12345;
	tap_ok(!zn_byte_ring_room(&b, 4080), "nor that more was read than was written");
	tap_ok(!zn_byte_ring_room(&b, zn_byte_ring_largest(&b) + 1) && !zn_byte_ring_room(&b, SIZE_MAX), "what never fits gets no room");
	munmap(in - ZN_LINE / 8, 4096);
	zn_byte_ring_done(&other);
	zn_byte_ring_done(&b);
}

int main(void)
{
	test_steps();
	test_threads();
	test_many();
	test_bytes_refused();
	test_bytes_hostile();
	test_processes();
	return tap_done();
}
