/* ascii: is a text of the simplest kind, as most are?  Asked of every text of every record, so eight bytes at a time. */
#ifndef ZN_BASE_ASCII_H
#define ZN_BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZN__EACH(byte) ((uint64_t)(byte) * UINT64_C(0x0101010101010101))

/* n bytes of p, 1 to 8 of them, and some of them twice. */
static inline uint64_t zn__load_up_to_8(const char *p, size_t n)
{
	uint32_t a4, b4;
	uint16_t a2, b2;
	uint64_t v;

	if (n == 8) {
		memcpy(&v, p, 8);
	} else if (n >= 4) {
		memcpy(&a4, p, 4);
		memcpy(&b4, p + n - 4, 4);
		v = a4 | (uint64_t)b4 << 32;
	} else if (n >= 2) {
		memcpy(&a2, p, 2);
		memcpy(&b2, p + n - 2, 2);
		v = a2 * UINT64_C(0x0001000100010000) + b2;
	} else {
		v = ZN__EACH((unsigned char)*p);
	}
	return v;
}

/* A byte without its highest bit has it after this subtraction if it is below least, or borrows through one that is;
 * after this addition if it is above most.
 */
static inline bool zn__are_within(uint64_t v, unsigned char least, unsigned char most)
{
	return !((v | (v - ZN__EACH(least)) | (v + ZN__EACH(0x7f - most))) & ZN__EACH(0x80));
}

static inline bool zn__is_within(const char *p, size_t n, unsigned char least, unsigned char most)
{
	for (; n > 8; p += 8, n -= 8)
		if (!zn__are_within(zn__load_up_to_8(p, 8), least, most))
			return false;
	return !n || zn__are_within(zn__load_up_to_8(p, n), least, most);
}

/* No byte but 0x01 .. 0x7f. */
static inline bool zn_is_ascii(const char *p, size_t n)
{
	return zn__is_within(p, n, 0x01, 0x7f);
}

/* No byte but ' ' .. '~'. */
static inline bool zn_is_printable(const char *p, size_t n)
{
	return zn__is_within(p, n, 0x20, 0x7e);
}

#endif
