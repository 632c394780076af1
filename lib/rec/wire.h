/* wire: the heads of MessagePack values, for the scanner and the unpacker of this room. */
#ifndef ZN_REC_WIRE_H
#define ZN_REC_WIRE_H

#include <msgpack.h>
#include <sys/types.h>

#include "rec/val.h"

/* Reads the head of the value at p: type, number, or the size that a text, binary, list or map claims
 * (its pointer is not set).  Returns the head's length, 0 when it needs more than n bytes, -EBADMSG for
 * what we never accept: 0xc1 and extension types.
 */
ssize_t zn__wire_any_head(const unsigned char *p, size_t n, msgpack_object *ret);
static inline ssize_t zn__wire_head(const unsigned char *p, size_t n, msgpack_object *ret)
{
	if (!n || (*p & 0xe0) != 0xa0)
		return zn__wire_any_head(p, n, ret);
	ret->type = MSGPACK_OBJECT_STR; /* short: every key, and most of what is under them */
	ret->via.str = (msgpack_object_str){ .size = *p & 31 };
	return 1;
}

/* What a head promises: a text or binary; its bytes behind the head; values of their own behind it. */
static inline bool zn__wire_is_text(const msgpack_object *head)
{
	return head->type == MSGPACK_OBJECT_STR || head->type == MSGPACK_OBJECT_BIN;
}

static inline size_t zn__wire_payload(const msgpack_object *head)
{
	return head->type == MSGPACK_OBJECT_STR ? head->via.str.size
	       : head->type == MSGPACK_OBJECT_BIN ? head->via.bin.size : 0;
}

static inline uint64_t zn__wire_members(const msgpack_object *head)
{
	return head->type == MSGPACK_OBJECT_MAP ? 2 * (uint64_t)head->via.map.size
	       : head->type == MSGPACK_OBJECT_ARRAY ? head->via.array.size : 0;
}

/* A key that means "this is a binary" in JSON. */
bool zn__is_reserved(const char *key, size_t n);
/* Why text must not pass, or NULL. */
const char *zn__text_fault(const char *p, size_t n);

#endif
