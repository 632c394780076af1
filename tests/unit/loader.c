/* Whole loads of shards and files in a directory of their own: whatever the ranks, threads, windows and interruptions, each sample comes once, with
 * its own bytes, in the order that the same question always has; and what is damaged is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "data/decode.h"
#include "data/loader.h"
#include "shard_help.h"
#include "tap.h"

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st, (void)kind, (void)f;
	return remove(path);
}

static void write_file(const char *name, const void *p, size_t n)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n || close(fd) < 0)
		exit(2);
}

/* What a sample's field holds, by its number: so that anybody's bytes in the wrong place are seen. */
static size_t body_of(uint64_t number, unsigned field, unsigned char *to)
{
	uint64_t state = number * 2 + field;
	size_t n = zn_random(&state) % (field ? 40 : 9000);

	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(number * 31 + field + i * 7);
	return n;
}

/* Samples first .. first + n - 1; interleaved: both members of a pair of samples alternate. */
static void make_shard(const char *name, uint64_t first, uint64_t n, bool interleaved)
{
	unsigned char body[16384];
	struct zn_buf b = { 0 };
	char member[64];

	for (uint64_t i = 0; i < 2 * n; i++) {
		uint64_t group = i / 4 * 2, within = i % 4;
		bool pairs = interleaved && group + 1 < n;
		uint64_t number = first + (pairs ? group + within % 2 : i / 2);
		unsigned field = (unsigned)(pairs ? within / 2 : i % 2);
		snprintf(member, sizeof(member), "%llu.%s", (unsigned long long)number, field ? "cls" : "jpg");
		size_t len = body_of(number, field, body);
		shard_put(&b, '0', member, body, len);
	}
	shard_end(&b);
	write_file(name, b.data, b.len);
	zn_buf_done(&b);
}

static bool is_right(const struct zn_sample *s)
{
	unsigned char body[16384];
	uint64_t number = strtoull(s->key, NULL, 10);

	for (uint32_t i = 0; i < s->n; i++) {
		unsigned field = !strcmp(s->data[i].field, "cls");
		if (s->data[i].n != body_of(number, field, body) || memcmp(s->data[i].p, body, s->data[i].n))
			return false;
	}
	return s->n == 2;
}

static int open_all(struct zn_sources *s, const char *const *names, size_t n, bool keep, struct zn_err *err)
{
	struct zn_source_opts opts = { .keep = keep, .threads = 2 };
	char path[256];
	int rc = 0;

	*s = (struct zn_sources){ .n = 0 };
	for (size_t i = 0; i < n && rc == 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		rc = zn_sources_add(s, path, err);
	}
	return rc < 0 ? rc : zn_sources_open(s, &opts, err);
}

/* The keys of up to max batches, in order. */
struct got { uint64_t *keys; size_t n, cap; uint64_t epoch, next, losses; bool all_right; char reason[256]; };

static void keep(struct got *g, uint64_t key)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 256;
		g->keys = reallocarray(g->keys, g->cap, sizeof(*g->keys));
		if (!g->keys)
			exit(2);
	}
	g->keys[g->n++] = key;
}

static int run(const struct zn_sources *s, const struct zn_loader_ask *ask, uint64_t max, struct got *g)
{
	struct zn_err err = { .text = "" };
	const struct zn_batch *b;
	struct zn_loader *l;
	int rc = zn_loader_new(s, ask, &l, &err);

	if (rc < 0) {
		snprintf(g->reason, sizeof(g->reason), "%s", err.text);
		return rc;
	}
	for (uint64_t i = 0; i < max && (rc = zn_loader_next(l, &b, &err)) > 0; i++) {
		for (uint32_t k = 0; k < b->n; k++) {
			g->all_right &= is_right(&b->samples[k]);
			keep(g, strtoull(b->samples[k].key, NULL, 10));
		}
		if (b->n_losses && !g->losses)
			snprintf(g->reason, sizeof(g->reason), "%s: %s", b->losses[0].key ? b->losses[0].key : "?", b->losses[0].reason);
		g->losses += b->n_losses;
		g->epoch = b->epoch;
		g->next = b->next;
		zn_loader_put(l, b);
	}
	if (rc < 0)
		snprintf(g->reason, sizeof(g->reason), "%s", err.text);
	zn_loader_free(l);
	return rc;
}

static bool equals(const struct got *a, size_t from, const struct got *b)
{
	return a->n - from == b->n && (!b->n || !memcmp(a->keys + from, b->keys, b->n * sizeof(*b->keys)));
}

/* ---- the property ----------------------------------------------------------------------------------------- */

enum { TOTAL = 137 };
static const char *const names[] = { "a-{0..2}.tar", "files" };

static void make_data(void)
{
	unsigned char body[16384];
	char path[300];

	make_shard("a-0.tar", 0, 40, false);
	make_shard("a-1.tar", 40, 33, true);
	make_shard("a-2.tar", 73, 7, false);
	snprintf(path, sizeof(path), "%s/files", dir);
	mkdir(path, 0755);
	for (uint64_t i = 80; i < TOTAL; i++)
		for (unsigned field = 0; field < 2; field++) {
			char name[64];
			snprintf(name, sizeof(name), "files/%llu.%s", (unsigned long long)i, field ? "cls" : "jpg");
			write_file(name, body, body_of(i, field, body));
		}
}

static struct zn_loader_ask any_ask(uint64_t *random)
{
	return (struct zn_loader_ask){
		.order = { .seed = zn_random(random), .window = (uint64_t[]){ 0, 10, UINT64_MAX }[zn_random(random) % 3], .batch = 1 + (uint32_t)(zn_random(random) % 20),
		           .world = 1 + (uint32_t)(zn_random(random) % 4) },
		.epochs = 1 + zn_random(random) % 2, .memory_bytes = 1 << (20 + zn_random(random) % 4), .threads = (unsigned)(zn_random(random) % 3),
		.direct = (enum zn_direct)(zn_random(random) % 3), .no_uring = zn_random(random) % 2, .depth = 1 + (unsigned)(zn_random(random) % 8),
	};
}

static bool each_once(const struct got *all, uint32_t n, uint64_t epochs)
{
	uint64_t times[TOTAL] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		for (size_t k = 0; k < all[i].n; k++)
			times[all[i].keys[k] % TOTAL]++;
	for (int i = 0; i < TOTAL; i++)
		if (times[i] != epochs)
			return false;
	return true;
}

/* A rank is stopped after any batch, and goes on where it was; another question about the same order has the same answer. */
static bool goes_on(const struct zn_sources *s, const struct zn_loader_ask *ask, const struct got *whole, uint64_t stop)
{
	struct got first = { .all_right = true }, rest = { .all_right = true };
	struct zn_loader_ask after = *ask;
	int rc = run(s, ask, stop, &first);

	after.epoch = first.epoch;
	after.first = first.next;
	after.threads = (ask->threads + 1) % 3;
	rc = rc < 0 ? rc : run(s, &after, UINT64_MAX, &rest);
	bool good = rc == 0 && first.all_right && rest.all_right && first.n <= whole->n && (!first.n || !memcmp(first.keys, whole->keys, first.n * sizeof(*first.keys))) &&
	            equals(whole, first.n, &rest);
	free(first.keys);
	free(rest.keys);
	return good;
}

static void property(void)
{
	unsigned rounds = tap_rounds(40), once = 0, right = 0, on = 0;
	uint64_t random = 42;
	struct zn_err err = { .text = "" };
	struct zn_sources s;

	if (!tap_ok(open_all(&s, names, 2, true, &err) == 0 && s.n == 4, "three shards and a directory are opened: %s", err.text))
		return;
	for (unsigned round = 0; round < rounds; round++) {
		struct zn_loader_ask ask = any_ask(&random);
		struct got got[4] = { 0 };
		int rc = 0;
		for (ask.rank = 0; ask.rank < ask.order.world && rc == 0; ask.rank++) {
			got[ask.rank].all_right = true;
			rc = run(&s, &ask, UINT64_MAX, &got[ask.rank]);
		}
		once += rc == 0 && each_once(got, ask.order.world, ask.epochs);
		bool all = rc == 0;
		for (uint32_t i = 0; i < ask.order.world; i++)
			all &= got[i].all_right && !got[i].losses;
		right += all;
		ask.rank = (uint32_t)(zn_random(&random) % ask.order.world);
		on += goes_on(&s, &ask, &got[ask.rank], 1 + zn_random(&random) % 6);
		for (uint32_t i = 0; i < ask.order.world; i++)
			free(got[i].keys);
	}
	tap_ok(once == rounds, "over all ranks each sample comes once an epoch, in %u rounds", rounds);
	tap_ok(right == rounds, "with its own bytes");
	tap_ok(on == rounds, "and after a stop anywhere each rank goes on to the sample");
	zn_sources_done(&s);
	char path[256];
	snprintf(path, sizeof(path), "%s/a-0.tar.zni", dir);
	tap_ok(access(path, R_OK) == 0 && open_all(&s, names, 2, true, &err) == 0 && s.v[0].n == 40, "the indexes were kept, and are read");
	zn_sources_done(&s);
}

/* ---- what can't be read ----------------------------------------------------------------------------------- */

static void damage(void)
{
	static const char *const one[] = { "bad.tar" };
	struct zn_loader_ask ask = { .order = { .batch = 8, .world = 1 }, .epochs = 1, .memory_bytes = 1 << 22 };
	struct zn_err err = { .text = "" };
	struct zn_sources s;
	struct got g = { .all_right = true };
	char path[256];

	make_shard("bad.tar", 0, 20, false);
	snprintf(path, sizeof(path), "%s/bad.tar", dir);
	int fd = open(path, O_WRONLY);
	if (fd < 0 || open_all(&s, one, 1, false, &err) < 0)
		return;
	struct zn_span span;
	zn_index_spans(&s.v[0].index, 7, &span, 1);
	tap_ok(pwrite(fd, "garbage", 7, (off_t)span.offset) == 7 && run(&s, &ask, UINT64_MAX, &g) == 0 && g.n == 19 && g.losses == 1 && g.all_right,
	       "a shard that is damaged after it was indexed loses one sample");
	g.n = g.losses = 0;
	zn_index_spans(&s.v[0].index, 15, &span, 1);
	tap_ok(ftruncate(fd, (off_t)span.offset + 100) == 0 && run(&s, &ask, UINT64_MAX, &g) == 0 && g.n == 14 && g.losses == 6 && g.all_right,
	       "one that shrinks loses what is not there any more, and no other one");
	zn_sources_done(&s);
	g.n = g.losses = 0;
	tap_ok(open_all(&s, one, 1, false, &err) == 0 && run(&s, &ask, UINT64_MAX, &g) == 0 && g.n == 14 && g.losses == 2 && g.all_right,
	       "indexed after that it knows of two: a bad header, and the end");
	ask.order.world = 2;
	uint64_t sum = 0;
	for (ask.rank = 0; ask.rank < 2; ask.rank++) {
		g.n = g.losses = 0;
		run(&s, &ask, UINT64_MAX, &g);
		sum += g.losses;
	}
	tap_ok(sum == 2, "which one rank tells, not each");
	zn_sources_done(&s);
	close(fd);
	free(g.keys);
}

static void limits(void)
{
	static const char *const one[] = { "a-0.tar" };
	static const char *const wanted[] = { "cls", "jpg" }, *const missing[] = { "cls", "png" };
	struct zn_loader_ask ask = { .order = { .batch = 40, .world = 1 }, .epochs = 1, .memory_bytes = 1 << 16 };
	struct zn_err err = { .text = "" };
	struct zn_sources s;
	struct got g = { .all_right = true };

	if (open_all(&s, one, 1, true, &err) < 0)
		return;
	tap_ok(run(&s, &ask, UINT64_MAX, &g) == -E2BIG, "a batch that is larger than the memory is refused: %s", g.reason);
	ask.order.batch = 2;
	tap_ok(run(&s, &ask, UINT64_MAX, &g) == 0 && g.n == 40, "a smaller one is not");
	ask.memory_bytes = 1 << 22;
	ask.fields = wanted;
	ask.n_fields = 2;
	struct zn_loader *l;
	const struct zn_batch *b;
	bool turned = zn_loader_new(&s, &ask, &l, &err) == 0 && zn_loader_next(l, &b, &err) == 1 && b->n == 2 && !strcmp(b->samples[0].data[0].field, "cls") &&
	              b->samples[0].data[0].field == b->samples[1].data[0].field && is_right(&b->samples[0]);
	tap_ok(turned, "fields come in the order that was asked for, one text for each name");
	zn_loader_put(l, b);
	zn_loader_free(l); /* in the middle */
	g.n = g.losses = 0;
	ask.fields = missing;
	tap_ok(run(&s, &ask, UINT64_MAX, &g) == 0 && g.n == 0 && g.losses == 40, "who lacks one is lost: %s", g.reason);
	ask.order.world = 3;
	ask.rank = 3;
	tap_ok(run(&s, &ask, UINT64_MAX, &g) == -EINVAL, "a rank that there is not is refused: %s", g.reason);
	zn_sources_done(&s);
	free(g.keys);
}

/* ---- numbers ---------------------------------------------------------------------------------------------- */

/* Sample i has a label i * 10 and a vector of i, i + 1, i + 2; the label of one is no number. */
static void make_numbers(void)
{
	struct zn_buf b = { 0 };
	char name[64], label[16];

	for (int i = 0; i < 50; i++) {
		int16_t vector[3] = { (int16_t)i, (int16_t)(i + 1), (int16_t)(i + 2) };
		snprintf(name, sizeof(name), "%d.cls", i);
		snprintf(label, sizeof(label), i == 20 ? "no" : "%d\n", i * 10);
		shard_text(&b, name, label);
		snprintf(name, sizeof(name), "%d.vec", i);
		shard_put(&b, '0', name, vector, sizeof(vector));
	}
	write_file("numbers.tar", b.data, b.len);
	zn_buf_done(&b);
}

static bool is_tensor(const struct zn_batch *b)
{
	bool good = true;

	for (uint32_t i = 0; i < b->n; i++) {
		const struct zn_datum *label = &b->samples[i].data[0], *vector = &b->samples[i].data[1];
		int number = atoi(b->samples[i].key), at = 0;
		int16_t v[3];
		memcpy(&at, label->p, sizeof(at));
		memcpy(v, vector->p, sizeof(v));
		good &= label->shape && label->shape->dtype == ZN_DTYPE_I32 && !label->shape->n_dims && label->n == 4 && at == 10 * number;
		good &= vector->shape && vector->shape->dims[0] == 3 && v[0] == number && v[2] == number + 2;
		good &= (const char *)vector->p == (const char *)b->samples[0].data[1].p + i * sizeof(v);
	}
	return good;
}

static void numbers(void)
{
	static const char *const one[] = { "numbers.tar" };
	struct zn_decoder *decoders[2];
	struct zn_err err = { .text = "" };
	struct zn_sources s;
	bool good = true;

	make_numbers();
	if (open_all(&s, one, 1, false, &err) < 0 || zn_decode_parse("cls=int:i32", &decoders[0], &err) < 0 || zn_decode_parse("vec=raw:i16,3", &decoders[1], &err) < 0) {
		tap_ok(false, "numbers: %s", err.text);
		return;
	}
	for (unsigned threads = 0; threads < 3; threads++) {
		struct zn_loader_ask ask = { .order = { .batch = 8, .world = 1, .window = UINT64_MAX }, .epochs = 1, .memory_bytes = 1 << 20, .threads = threads,
		                             .decoders = decoders, .n_decoders = 2 };
		struct zn_loader *l;
		const struct zn_batch *b;
		uint64_t n = 0, losses = 0;
		if (zn_loader_new(&s, &ask, &l, &err) < 0)
			break;
		while (zn_loader_next(l, &b, &err) > 0) {
			good &= is_tensor(b) && (!b->n_losses || (!strcmp(b->losses[0].key, "20") && b->losses[0].offset_bytes == 20 * 2048));
			n += b->n;
			losses += b->n_losses;
			zn_loader_put(l, b);
		}
		good &= n == 49 && losses == 1;
		zn_loader_free(l);
	}
	tap_ok(good, "fields become numbers, one tensor for a batch, by any number of threads; who is none is lost");
	zn_decoder_free(decoders[0]);
	zn_decoder_free(decoders[1]);
	zn_sources_done(&s);
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/zn-loader-XXXXXX");
	if (!mkdtemp(dir))
		return 2;
	make_data();
	property();
	damage();
	limits();
	numbers();
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
