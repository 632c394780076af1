/* Batches whose every byte is known, for the tests of what takes batches. */
#ifndef ZN_TESTS_BATCH_HELP_H
#define ZN_TESTS_BATCH_HELP_H

#include "base/arena.h"
#include "data/batch.h"
#include "tap.h"

static const struct zn_shape one_i32 = { .dtype = ZN_DTYPE_I32 }, one_bf16 = { .dtype = ZN_DTYPE_BF16 };
static const struct zn_shape image = { .dtype = ZN_DTYPE_U8, .n_dims = 3, .dims = { 3, 8, 8 } };
static const struct zn_shape small = { .dtype = ZN_DTYPE_F32, .n_dims = 1, .dims = { 3 } };

struct column {
	const char *name;
	const struct zn_shape *shape;
	size_t bytes;                  /* of a datum without a shape */
	unsigned lacks;                /* every so manyth sample lacks it; 0: none */
	bool dense;                    /* one behind the other in memory */
};

static inline uint8_t value(uint32_t col, uint32_t row, size_t j)
{
	return (uint8_t)(col * 101 + row * 7 + j);
}

static inline bool is_datum(const uint8_t *p, uint32_t col, uint32_t row, size_t n)
{
	for (size_t j = 0; j < n; j++)
		if (p[j] != value(col, row, j))
			return false;
	return true;
}

static inline struct zn_datum make_datum(struct zn_arena *a, const struct column *c, uint32_t col, uint32_t row, uint8_t *dense)
{
	size_t n = c->shape ? zn_shape_bytes(c->shape) : c->bytes;
	uint8_t *p = c->dense ? dense + row * n : zn_arena_room(a, n + 1);

	for (size_t j = 0; j < n; j++)
		p[j] = value(col, row, j);
	return (struct zn_datum){ .field = c->name, .p = p, .n = n, .shape = c->shape };
}

static inline struct zn_batch make(struct zn_arena *a, uint32_t rows, const struct column *cols, uint32_t n)
{
	struct zn_sample *samples = zn_arena_array(a, rows + 1, sizeof(*samples));
	uint8_t *dense[8];

	for (uint32_t i = 0; i < n; i++)
		dense[i] = zn_arena_room(a, rows * (cols[i].shape ? zn_shape_bytes(cols[i].shape) : cols[i].bytes) + 1);
	for (uint32_t r = 0; r < rows; r++) {
		struct zn_datum *data = zn_arena_array(a, n + 1, sizeof(*data));
		samples[r] = (struct zn_sample){ .key = zn_arena_printf(a, "key%u", r), .data = data };
		for (uint32_t i = 0; i < n; i++)
			if (!cols[i].lacks || r % cols[i].lacks)
				data[samples[r].n++] = make_datum(a, &cols[i], i, r, dense[i]);
	}
	return (struct zn_batch){ .epoch = 3, .seq = 5, .samples = samples, .n = rows };
}

static const struct column mixed[] = {
	{ .name = "jpg", .bytes = 700, .lacks = 3 }, { .name = "txt", .bytes = 5 }, { .name = "cls", .shape = &one_i32 },
	{ .name = "image", .shape = &image, .lacks = 2 }, { .name = "dense", .shape = &image, .dense = true },
	{ .name = "small", .shape = &small, .lacks = 5 }, { .name = "bf", .shape = &one_bf16 },
};
#define N_MIXED (uint32_t)(sizeof(mixed) / sizeof(*mixed))

#endif
