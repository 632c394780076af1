/* grow: arrays that grow by doubling. */
#ifndef ZN_BASE_GROW_H
#define ZN_BASE_GROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* array: the address of a pointer to *cap items of that size, n of which are used (NULL and 0 at first).  True: there is room for one
 * more; false: memory ran out, and nothing has changed.
 */
bool zn_grow(void *array, uint64_t n, uint64_t *cap, size_t size);

#endif
