/* idset: a set of small numbers (CPUs, GPUs, NUMA nodes) as a value that can be copied with =.
 *
 * Words: an *idset* is the value; a *cpu list* is its text ("0-3,8", as the kernel and taskset write
 * it); a *mask* is the kernel's comma-separated hexadecimal words ("ff,00000003").
 */
#ifndef ZN_BASE_IDSET_H
#define ZN_BASE_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zenith.h"

enum { ZN_IDSET_MAX = 2048 }; /* ids are 0 .. ZN_IDSET_MAX-1; Linux's largest NR_CPUS is 8192, the
                               * largest machine sold today has 1,920 */

struct zn_idset {
	uint64_t w[ZN_IDSET_MAX / 64];
};

/* "" is the empty set.  -EINVAL for anything else that is no list, runs backwards or repeats a comma;
 * -ERANGE for an id of ZN_IDSET_MAX or more.
 */
int zn_idset_parse(const char *text, struct zn_idset *ret, struct zn_err *err);
int zn_idset_parse_mask(const char *mask, struct zn_idset *ret, struct zn_err *err);
/* The list behind "FIELD:" and a tab, on a line of a text like /proc/PID/status.  -ENOENT: there is no such line. */
int zn_idset_parse_field(const char *text, const char *field, struct zn_idset *ret);
/* Writes the list and a NUL, cut at size; returns the length it wanted, as snprintf does. */
size_t zn_idset_format(const struct zn_idset *s, char *text, size_t size);

void zn_idset_add(struct zn_idset *s, unsigned id); /* an id out of range is ignored */
void zn_idset_remove(struct zn_idset *s, unsigned id);
bool zn_idset_has(const struct zn_idset *s, unsigned id);
unsigned zn_idset_count(const struct zn_idset *s);
bool zn_idset_is_empty(const struct zn_idset *s);
bool zn_idset_equal(const struct zn_idset *a, const struct zn_idset *b);
bool zn_idset_is_within(const struct zn_idset *part, const struct zn_idset *whole);
struct zn_idset zn_idset_and(const struct zn_idset *a, const struct zn_idset *b);
struct zn_idset zn_idset_or(const struct zn_idset *a, const struct zn_idset *b);
struct zn_idset zn_idset_minus(const struct zn_idset *a, const struct zn_idset *b);
/* The first n members, or all when there are fewer. */
struct zn_idset zn_idset_first(const struct zn_idset *s, unsigned n);
/* The smallest member that is >= from, or -1. */
int zn_idset_next(const struct zn_idset *s, unsigned from);

#define zn_idset_each(id, s) \
	for (int id = zn_idset_next((s), 0); id >= 0; id = zn_idset_next((s), (unsigned)id + 1))

#endif
