/* hash: of keys that are whole words, for uthash: include it before that.  Byte by byte, as uthash does it, the hash takes longer
 * than all else about finding one of a few hundred.
 */
#ifndef ZN_BASE_HASH_H
#define ZN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_FUNCTION(key, len, hashv) ((hashv) = zn_hash_words(key, len))

/* len is a multiple of 8. */
static inline unsigned zn_hash_words(const void *key, size_t len)
{
	uint64_t hash = 0, word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		memcpy(&word, (const char *)key + at, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	return (unsigned)hash;
}

#endif
