/* raw: looking into the bytes of a value that zn_msgpack_check let pass, without building it.  What is found lies
 * in those bytes.  Duplicate keys are not noticed: the first one counts.
 */
#ifndef ZN_REC_RAW_H
#define ZN_REC_RAW_H

#include "rec/field.h"
#include "rec/val.h"

/* The value under key of map, one whole value and not a byte more; p is NULL when map is no map (or its own p NULL) or has no such key. */
struct zn_bytes zn_raw_get(struct zn_bytes map, const char *key);
bool zn_raw_u64(struct zn_bytes v, uint64_t *ret); /* as zn_val_u64 */
bool zn_raw_f64(struct zn_bytes v, double *ret);
/* The bytes of a text or binary; p is NULL when v is neither. */
struct zn_bytes zn_raw_text(struct zn_bytes v);
bool zn_raw_is_text(struct zn_bytes v, const char *text);
/* Unpacks a map and decodes it, as zn_decode. */
int zn_raw_decode(const struct zn_kind *kind, struct zn_bytes map, struct zn_arena *a, void *ret, struct zn_err *err);

#endif
