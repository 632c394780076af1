/* arena: memory that is dropped all at once.  A command has one, a handle owns one, the daemon resets
 * one per request.
 */
#ifndef ZN_BASE_ARENA_H
#define ZN_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

/* Zero-initialised storage is an empty arena. */
struct zn_arena {
	struct zn_chunk *head;
};

/* Zeroed, aligned for any type; NULL when memory ran out.  Lives until reset or done. */
void *zn_arena_alloc(struct zn_arena *a, size_t size);
/* The same, not zeroed. */
void *zn_arena_room(struct zn_arena *a, size_t size);
/* count * size, zeroed, checked for overflow. */
void *zn_arena_array(struct zn_arena *a, size_t count, size_t size);
char *zn_arena_strdup(struct zn_arena *a, const char *text);
/* Copies n bytes and adds a NUL. */
char *zn_arena_memdup(struct zn_arena *a, const void *p, size_t n);
char *zn_arena_printf(struct zn_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Keeps one chunk for the next round. */
void zn_arena_reset(struct zn_arena *a);
void zn_arena_done(struct zn_arena *a);

#define zn_arena_new(a, type) ((type *)zn_arena_alloc((a), sizeof(type)))

#endif
