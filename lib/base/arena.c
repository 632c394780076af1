#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20, MANY_PAGES = 64 << 10, HUGE_PAGE = 2 << 20 };

struct zn_chunk {
	struct zn_chunk *next;
	size_t size, used;
	_Alignas(max_align_t) unsigned char bytes[];
};

/* All of it will be used: its pages are cheaper had at once than by a fault each, and large ones than many.  A kernel before
 * 5.14 won't.
 */
static void populate(struct zn_chunk *c)
{
#ifdef MADV_POPULATE_WRITE
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)c->bytes + page - 1) & -page;
	size_t n = ((uintptr_t)c->bytes + c->size - begin) & -page;

	if (n >= HUGE_PAGE)
		madvise((void *)begin, n, MADV_HUGEPAGE);
	madvise((void *)begin, n, MADV_POPULATE_WRITE);
#endif
}

static struct zn_chunk *chunk_add(struct zn_arena *a, size_t need)
{
	size_t size = a->head ? a->head->size * 2 : FIRST_CHUNK;

	if (size > LARGEST_CHUNK)
		size = LARGEST_CHUNK;
	if (size < need)
		size = need;
	struct zn_chunk *c = malloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	*c = (struct zn_chunk){ .next = a->head, .size = size };
	if (size >= MANY_PAGES)
		populate(c);
	a->head = c;
	return c;
}

void *zn_arena_room(struct zn_arena *a, size_t size)
{
	const size_t align = _Alignof(max_align_t);

	if (size > PTRDIFF_MAX - align)
		return NULL;
	size = (size + align - 1) & ~(align - 1);
	struct zn_chunk *c = a->head;
	if (!c || c->size - c->used < size)
		c = chunk_add(a, size);
	if (!c)
		return NULL;
	void *p = c->bytes + c->used;
	c->used += size;
	return p;
}

void *zn_arena_alloc(struct zn_arena *a, size_t size)
{
	void *p = zn_arena_room(a, size);

	return p ? memset(p, 0, size) : NULL;
}

void *zn_arena_array(struct zn_arena *a, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	return zn_arena_alloc(a, total);
}

char *zn_arena_memdup(struct zn_arena *a, const void *p, size_t n)
{
	char *copy = n == SIZE_MAX ? NULL : zn_arena_room(a, n + 1);

	if (copy && n)
		memcpy(copy, p, n);
	if (copy)
		copy[n] = '\0';
	return copy;
}

char *zn_arena_strdup(struct zn_arena *a, const char *text)
{
	return zn_arena_memdup(a, text, strlen(text));
}

char *zn_arena_printf(struct zn_arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *text = n < 0 ? NULL : zn_arena_alloc(a, (size_t)n + 1);
	if (text)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return text;
}

void zn_arena_reset(struct zn_arena *a)
{
	while (a->head && a->head->next) {
		struct zn_chunk *c = a->head;
		a->head = c->next;
		free(c);
	}
	if (a->head)
		a->head->used = 0;
}

void zn_arena_done(struct zn_arena *a)
{
	zn_arena_reset(a);
	free(a->head);
	a->head = NULL;
}
