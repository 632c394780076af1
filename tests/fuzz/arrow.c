/* arrow: batches of any make as a stream in Arrow's format, under libFuzzer (scripts/fuzz).  The bytes say how many batches there
 * are, which fields a sample has, their types, shapes and sizes, and what lies next to what in memory.  Beside not crashing, what is
 * refused leaves the stream as it was, and what is written is made of whole messages, each of which lies where it says.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "data/arrow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition) do { if (!(condition)) abort(); } while (0)

enum { BATCHES_MAX = 4, ROWS_MAX = 40, FIELDS_MAX = 6, POOL = 1 << 16 };

struct bytes { const uint8_t *p; size_t n; };

static unsigned take(struct bytes *b, unsigned below)
{
	if (!b->n || !below)
		return 0;
	b->n--;
	return *b->p++ % below;
}

/* ---- a batch of what the bytes say ------------------------------------------------------------------------ */

static const char *const names[FIELDS_MAX] = { "jpg", "cls", "\xc3\xa4", "__key__", "meta", "" };
static char pool[POOL];

static void take_shape(struct bytes *b, struct zn_shape *to)
{
	*to = (struct zn_shape){ .dtype = (enum zn_dtype)take(b, ZN_DTYPE_I16 + 1), .n_dims = take(b, 4) };
	for (uint32_t i = 0; i < to->n_dims; i++)
		to->dims[i] = take(b, 5);
}

static const char *take_key(struct bytes *b, struct zn_arena *a)
{
	size_t n = take(b, 9);
	char *key = zn_arena_room(a, n + 1);

	for (size_t i = 0; i < n; i++)
		key[i] = (char)(1 + take(b, 255));
	key[n] = 0;
	return key;
}

static struct zn_datum take_datum(struct bytes *b, unsigned field, const struct zn_shape *shape, size_t *at)
{
	size_t n = shape ? zn_shape_bytes(shape) : take(b, 256);
	bool is_next = take(b, 4) != 0; /* to the one before, as the loader's tensors are */

	if (!is_next)
		*at += take(b, 64);
	if (*at + n > POOL)
		*at = 0;
	must(*at + n <= POOL);
	struct zn_datum d = { .field = names[field], .p = pool + *at, .n = n, .shape = shape };
	*at += n;
	return d;
}

static struct zn_batch take_batch(struct bytes *b, struct zn_arena *a, const struct zn_shape *shapes, unsigned is_shaped)
{
	uint32_t rows = take(b, ROWS_MAX), n_fields = take(b, FIELDS_MAX + 1);
	struct zn_sample *samples = zn_arena_array(a, rows + 1, sizeof(*samples));
	size_t at = 0;

	for (uint32_t r = 0; r < rows; r++) {
		struct zn_datum *data = zn_arena_array(a, n_fields + 1, sizeof(*data));
		samples[r] = (struct zn_sample){ .key = take_key(b, a), .data = data };
		for (uint32_t i = 0; i < n_fields; i++) {
			unsigned what = take(b, 32), field = what == 1 ? take(b, FIELDS_MAX) : i;
			if (what)
				data[samples[r].n++] = take_datum(b, field, is_shaped >> field & 1 ? &shapes[field] : NULL, &at);
		}
	}
	return (struct zn_batch){ .epoch = take(b, 3), .seq = take(b, 3), .samples = samples, .n = rows };
}

/* ---- the stream ------------------------------------------------------------------------------------------- */

static uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static int32_t i32(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return v; }
static int64_t i64(const uint8_t *p) { int64_t v; memcpy(&v, p, 8); return v; }

/* Bytes of the body of the message that p has n bytes of: a table of FlatBuffers, whose field 3 that is. */
static size_t body_of(const uint8_t *p, size_t n)
{
	must(n >= 8 && i32(p) >= 4 && (size_t)i32(p) + 4 <= n);
	const uint8_t *table = p + i32(p), *vtable = table - i32(table);
	must(vtable >= p && vtable + 4 <= p + n && vtable + u16(vtable) <= p + n && table + u16(vtable + 2) <= p + n);
	unsigned off = u16(vtable) > 10 ? u16(vtable + 10) : 0;
	int64_t bytes = off ? i64(table + off) : 0;
	must(bytes >= 0 && bytes % 64 == 0);
	return (size_t)bytes;
}

/* Schema, so many batches, and the end. */
static void walk(const uint8_t *p, size_t n, size_t batches)
{
	size_t at = 0, messages = 0;

	for (;;) {
		must(n - at >= 8 && at % 64 == 0 && i32(p + at) == -1 && i32(p + at + 4) >= 0);
		size_t head = (size_t)i32(p + at + 4);
		at += 8;
		if (!head)
			break;
		must(head <= n - at);
		size_t body = body_of(p + at, head);
		at += head;
		must(body <= n - at);
		at += body;
		messages++;
	}
	must(at == n && messages == batches + 1);
}

static void check(int fd, size_t written)
{
	size_t n = (size_t)lseek(fd, 0, SEEK_END);
	uint8_t *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);

	must(p != MAP_FAILED);
	walk(p, n, written);
	munmap(p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes b = { data, n };
	struct zn_shape shapes[FIELDS_MAX];
	struct zn_arena arena = { 0 };
	struct zn_arrow_opts opts = { .drop_others = take(&b, 2), .meta = take(&b, 4) ? NULL : "m" };
	unsigned is_shaped = take(&b, 1 << FIELDS_MAX);
	int fd = memfd_create("stream", MFD_CLOEXEC);
	struct zn_arrow *a = NULL;
	size_t written = 0;

	must(fd >= 0);
	for (int i = 0; i < FIELDS_MAX; i++)
		take_shape(&b, &shapes[i]);
	int rc = zn_arrow_new(fd, &opts, &a, NULL);
	must(rc == 0);
	for (unsigned i = 0, all = take(&b, BATCHES_MAX + 1); i < all; i++) {
		struct zn_batch batch = take_batch(&b, &arena, shapes, is_shaped);
		off_t before = lseek(fd, 0, SEEK_END);
		if (take(&b, 8) == 7)
			take_shape(&b, &shapes[take(&b, FIELDS_MAX)]); /* of another shape from now on */
		rc = zn_arrow_write(a, &batch, NULL);
		must(rc == 0 || rc == -EINVAL);
		must(rc == 0 || lseek(fd, 0, SEEK_END) == before);
		written += rc == 0;
	}
	must(zn_arrow_end(a, NULL) == 0);
	check(fd, written);
	must(zn_arrow_stats_get(a)->bytes == (uint64_t)lseek(fd, 0, SEEK_END) && zn_arrow_stats_get(a)->batches == written);
	zn_arrow_free(a);
	close(fd);
	zn_arena_done(&arena);
	return 0;
}
