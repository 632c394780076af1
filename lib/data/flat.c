#include "data/flat.h"

#include <string.h>

static void add_zeros(struct zn_buf *b, size_t n)
{
	char *to = zn_buf_room(b, n);

	if (!to)
		return;
	memset(to, 0, n);
	b->len += n;
}

void zn__flat_pad(struct zn_buf *b, size_t align)
{
	add_zeros(b, -b->len % align);
}

void zn__flat_put(struct zn_buf *b, size_t at, uint64_t v, unsigned bytes)
{
	if (b->failed)
		return;
	for (unsigned i = 0; i < bytes; i++)
		b->data[at + i] = (char)(v >> 8 * i);
}

static uint64_t get(const struct zn_buf *b, size_t at, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && !b->failed; i++)
		v |= (uint64_t)(uint8_t)b->data[at + i] << 8 * i;
	return v;
}

/* The fields of one size, one behind the other; their places go to the vtable. */
static size_t place(struct zn_buf *b, size_t vtable, const char *layout, char size, size_t at)
{
	for (unsigned i = 0; layout[i]; i++)
		if (layout[i] == size) {
			zn__flat_put(b, vtable + 4 + 2 * i, at, 2);
			at += (size_t)(size - '0');
		}
	return at;
}

size_t zn__flat_table(struct zn_buf *b, const char *layout)
{
	size_t n = strlen(layout), bytes = 4;

	zn__flat_pad(b, 2);
	size_t vtable = b->len;
	add_zeros(b, 4 + 2 * n);
	add_zeros(b, (4 - b->len) % 8); /* so that fields of 8 bytes, which come first behind the table's own 4, are aligned */
	size_t table = b->len;
	for (const char *size = "8421"; *size; size++)
		bytes = place(b, vtable, layout, *size, bytes);
	add_zeros(b, bytes);
	zn__flat_put(b, vtable, 4 + 2 * n, 2);
	zn__flat_put(b, vtable + 2, bytes, 2);
	zn__flat_put(b, table, table - vtable, 4);
	return table;
}

size_t zn__flat_slot(const struct zn_buf *b, size_t table, unsigned i)
{
	size_t vtable = table - get(b, table, 4);

	return table + get(b, vtable + 4 + 2 * i, 2);
}

void zn__flat_set(struct zn_buf *b, size_t table, unsigned i, uint64_t v, unsigned bytes)
{
	zn__flat_put(b, zn__flat_slot(b, table, i), v, bytes);
}

void zn__flat_refer_at(struct zn_buf *b, size_t at, size_t target)
{
	zn__flat_put(b, at, target - at, 4);
}

void zn__flat_refer(struct zn_buf *b, size_t table, unsigned i, size_t target)
{
	zn__flat_refer_at(b, zn__flat_slot(b, table, i), target);
}

size_t zn__flat_string(struct zn_buf *b, const char *text, size_t n)
{
	size_t at = zn__flat_vector(b, n + 1, 1);

	zn__flat_put(b, at, n, 4);
	if (n && !b->failed)
		memcpy(b->data + at + 4, text, n);
	return at;
}

size_t zn__flat_vector(struct zn_buf *b, size_t n, size_t bytes)
{
	zn__flat_pad(b, 4);
	if (bytes > 4)
		add_zeros(b, (b->len + 4) % 8);
	size_t at = b->len;
	add_zeros(b, 4 + n * bytes);
	zn__flat_put(b, at, n, 4);
	return at;
}
