/* val: looking at a decoded value.  The value type is msgpack-c's msgpack_object; what it points to lives
 * in the record it came from.
 */
#ifndef ZN_REC_VAL_H
#define ZN_REC_VAL_H

#include <msgpack.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "zenith.h"

/* What we accept from anybody: everything larger is refused before anything is allocated for it. */
enum {
	ZN_RECORD_MAX = 64 << 20, /* bytes of one record */
	ZN_DEPTH_MAX = 64,        /* maps and arrays inside each other */
	ZN_ITEMS_MAX = 1 << 20,   /* values in one record, keys counted too */
};

/* Looks at the bytes of one value without building it: the length of the first whole value in p[0..n),
 * 0 when more bytes are needed, -EBADMSG with a sentence that names the byte offset (base + position)
 * when it is malformed, nested deeper than ZN_DEPTH_MAX, has more than ZN_ITEMS_MAX values or claims more
 * than ZN_RECORD_MAX bytes; also for text that is not UTF-8 or holds a NUL, a NaN, an infinity, a map key
 * that is no text, one that ends in "@base64" before anything but text or a binary (JSON could not tell it
 * from a binary), extension types and the byte 0xc1.  Duplicate keys are found by zn_val_unpack.
 */
ssize_t zn_msgpack_check(const void *p, size_t n, uint64_t base, struct zn_err *err);

/* A scan that goes on where it stopped when more bytes have come, so that a record read in pieces is
 * looked at once.  Zero-initialised storage is a scan that has not begun.
 */
struct zn_scan {
	size_t at;                      /* bytes that are settled */
	uint32_t items;                 /* values seen or promised */
	int depth;
	uint32_t left[ZN_DEPTH_MAX];    /* values that each open list or map still owes */
	bool is_map[ZN_DEPTH_MAX];
	bool is_reserved;               /* the last value was a key that ends in "@base64" */
};
/* As zn_msgpack_check; p is always the beginning of the value. */
ssize_t zn_msgpack_scan(struct zn_scan *s, const void *p, size_t n, uint64_t base, struct zn_err *err);

/* One checked value into msgpack_objects in a (strings are borrowed from p).  -EBADMSG for duplicate keys
 * in one map.
 */
int zn_val_unpack(const void *p, size_t n, uint64_t base, struct zn_arena *a, msgpack_object *ret,
                  struct zn_err *err);

/* JSON text of n bytes (one document) as MessagePack: the strict half of JSON Lines.  "key@base64" becomes
 * a binary, and so does {"@base64": "..."} in a list.  Integers outside -2^63..2^63-1 (jansson holds no
 * more), NaN, duplicate keys, NUL in text: -EBADMSG with the offset.
 */
int zn_json_to_msgpack(const char *text, size_t n, uint64_t base, struct zn_buf *to, struct zn_err *err);
/* The value as JSON on one line, no newline; keys in the value's order; a binary in a map becomes
 * "key@base64", one in a list {"@base64": "..."}; a text whose key ends in "@base64" is sent as a binary,
 * so that reading it back can't take it for something else; doubles in the shortest form that reads back
 * the same, integral ones as "3.0" so that JSON -> MessagePack gives a double again.
 */
int zn_val_to_json(const msgpack_object *v, struct zn_buf *to);
/* Packs the value as it is. */
int zn_val_pack(const msgpack_object *v, struct zn_buf *to);

const msgpack_object *zn_val_get(const msgpack_object *map, const char *key); /* NULL: no map or no key */
/* The value at "resources.gpus" or "alloc.0.node", NULL if there is none.  A key that has dots in it wins.
 * A path into a list picks from each element: a new list in a.
 */
const msgpack_object *zn_val_path(const msgpack_object *v, const char *path, struct zn_arena *a);
bool zn_val_is_text(const msgpack_object *v, const char *text);
/* The text of a str, NUL-terminated in a; NULL when v is NULL, no text, or holds a NUL. */
const char *zn_val_text(const msgpack_object *v, struct zn_arena *a);
bool zn_val_u64(const msgpack_object *v, uint64_t *ret); /* 3.0 counts, 3.5 and -1 do not */
bool zn_val_f64(const msgpack_object *v, double *ret); /* integers count */
/* Any number; a long double holds all 64 bits where it is wider than a double. */
bool zn_val_number(const msgpack_object *v, long double *ret);

#endif
