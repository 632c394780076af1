#include "data/tar.h"

#include <errno.h>
#include <string.h>

/* A header as it lies in the archive. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == ZN_TAR_BLOCK, "a header is a block");

enum { GNU_IS_EXTENDED = 482, GNU_MORE_IS_EXTENDED = 504 }; /* bytes in a header, and in the blocks behind it */

/* ---- numbers ---------------------------------------------------------------------------------------------- */

/* Of base 256: the first bit says so, the second that it is below 0. */
static bool large_number(const unsigned char *p, size_t n, uint64_t *ret)
{
	uint64_t v = p[0] & 0x3f;

	if (p[0] & 0x40)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (v >> 55)
			return false;
		v = v << 8 | p[i];
	}
	*ret = v;
	return true;
}

/* Octal digits, between blanks; none is 0. */
static bool number(const char *text, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (text[0] & 0x80)
		return large_number((const unsigned char *)text, n, ret);
	while (i < n && text[i] == ' ')
		i++;
	for (; i < n && text[i] >= '0' && text[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(text[i] - '0');
	if (i < n && text[i] && text[i] != ' ')
		return false;
	*ret = v;
	return true;
}

/* The sum of all bytes, the field of the sum itself taken as blanks; as some old programs did it, of signed ones. */
static void sums(const struct header *h, uint32_t *ret_unsigned, int32_t *ret_signed)
{
	const uint64_t low = UINT64_C(0x00ff00ff00ff00ff), top = UINT64_C(0x0101010101010101);
	uint64_t lanes = 0, tops = 0, word;
	uint32_t sum = 0, high = 0;

	for (size_t i = 0; i < sizeof(*h); i += sizeof(word)) {
		memcpy(&word, (const char *)h + i, sizeof(word));
		lanes += (word & low) + (word >> 8 & low);   /* 64 times 510 at most in a lane of 16 bits */
		tops += word >> 7 & top;                     /* 64 at most in one of 8 */
	}
	for (unsigned i = 0; i < 4; i++)
		sum += (uint16_t)(lanes >> 16 * i);
	for (unsigned i = 0; i < 8; i++)
		high += (uint8_t)(tops >> 8 * i);
	for (size_t i = 0; i < sizeof(h->sum); i++) {
		sum += ' ' - (unsigned)(unsigned char)h->sum[i];
		high -= (unsigned char)h->sum[i] >> 7;
	}
	*ret_unsigned = sum;
	*ret_signed = (int32_t)sum - 256 * (int32_t)high;
}

static bool has_sum(const struct header *h)
{
	uint64_t said;
	uint32_t sum;
	int32_t signed_sum;

	if (!number(h->sum, sizeof(h->sum), &said))
		return false;
	sums(h, &sum, &signed_sum);
	return said == sum || (signed_sum >= 0 && said == (uint64_t)signed_sum);
}

static bool is_zero(const struct header *h)
{
	static const char zeros[ZN_TAR_BLOCK];

	return !h->name[0] && !memcmp(h, zeros, sizeof(zeros));
}

/* ---- names and pax ---------------------------------------------------------------------------------------- */

/* "PREFIX/NAME", where there is a prefix. */
static void set_name(const struct header *h, struct zn_tar_head *to)
{
	size_t n = strnlen(h->name, sizeof(h->name)), prefix = 0;

	if (!memcmp(h->magic, "ustar", 6)) /* GNU's "ustar  " has other things there */
		prefix = strnlen(h->prefix, sizeof(h->prefix));
	to->name = to->text;
	memcpy(to->text, h->prefix, prefix);
	if (prefix)
		to->text[prefix++] = '/';
	memcpy(to->text + prefix, h->name, n);
	to->name_len = prefix + n;
}

/* What the headers before a member say of it. */
struct said {
	const char *name;
	size_t name_len;
	uint64_t size;
	bool has_size, is_sparse;
};

static bool decimal(const char *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	*ret = v;
	return n > 0;
}

static bool take_pair(const char *key, size_t key_len, const char *value, size_t n, struct said *to)
{
	if (key_len == 4 && !memcmp(key, "path", 4)) {
		to->name = value;
		to->name_len = strnlen(value, n);
	} else if (key_len == 4 && !memcmp(key, "size", 4)) {
		to->has_size = true;
		return decimal(value, n, &to->size);
	} else if (key_len > 11 && !memcmp(key, "GNU.sparse.", 11)) {
		to->is_sparse = true;
	}
	return true;
}

/* Records "LENGTH KEY=VALUE\n", of which the length counts all. */
static bool take_pax(const char *p, size_t n, struct said *to)
{
	while (n && *p) {
		const char *blank = memchr(p, ' ', n < 20 ? n : 20);
		uint64_t len;
		if (!blank || !decimal(p, (size_t)(blank - p), &len) || len > n || len < (size_t)(blank - p) + 3 || p[len - 1] != '\n')
			return false;
		const char *key = blank + 1, *end = p + len - 1, *equals = memchr(key, '=', (size_t)(end - key));
		if (!equals || !take_pair(key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1), to))
			return false;
		p += len;
		n -= len;
	}
	return true;
}

/* ---- one header ------------------------------------------------------------------------------------------- */

static enum zn_tar_kind kind_of(char type)
{
	switch (type) {
	case '1': case '2': case '3': case '4': case '5': case '6': case 'D': case 'V': case 'M': case 'N':
		return ZN_TAR_OTHER;
	case 'S':
		return ZN_TAR_SPARSE;
	default: /* POSIX: an unknown type is a file */
		return ZN_TAR_FILE;
	}
}

/* Where a member that only describes the next has what it says; 0: more bytes are needed. */
static bool take_description(const struct header *h, uint64_t size, struct said *to, const char **ret_why)
{
	const char *body = (const char *)(h + 1);

	if (h->type == 'L') {
		to->name = body;
		to->name_len = strnlen(body, size);
	} else if (h->type == 'x' && !take_pax(body, size, to)) {
		*ret_why = "its pax header makes no sense";
		return false;
	}
	return true;
}

/* The blocks behind a sparse one's header that go on with it; SIZE_MAX: more bytes are needed. */
static size_t sparse_blocks(const char *p, size_t n)
{
	size_t len = ZN_TAR_BLOCK;
	bool more = p[GNU_IS_EXTENDED] != 0;

	while (more && len + ZN_TAR_BLOCK <= n) {
		more = p[len + GNU_MORE_IS_EXTENDED] != 0;
		len += ZN_TAR_BLOCK;
	}
	return more ? SIZE_MAX : len;
}

static ssize_t need(size_t bytes, size_t *ret_need, const char **ret_why)
{
	*ret_need = bytes;
	*ret_why = "its headers are too long";
	return bytes > ZN_TAR_HEADS_MAX ? -EBADMSG : 0;
}

static ssize_t bad(const char *why, const char **ret_why)
{
	*ret_why = why;
	return -EBADMSG;
}

static bool is_size_of_link(char type)
{
	return type >= '1' && type <= '6'; /* where it says nothing of what follows */
}

/* The header of the member itself, at p + at. */
static ssize_t take_member(const char *p, size_t n, size_t at, uint64_t size, const struct said *said, struct zn_tar_head *ret,
                           size_t *ret_need, const char **ret_why)
{
	const struct header *h = (const struct header *)(p + at);
	size_t len = h->type == 'S' ? sparse_blocks(p + at, n - at) : ZN_TAR_BLOCK;

	if (len == SIZE_MAX)
		return need(n + ZN_TAR_BLOCK, ret_need, ret_why);
	ret->kind = said->is_sparse ? ZN_TAR_SPARSE : kind_of(h->type);
	set_name(h, ret);
	if (said->name) {
		ret->name = said->name;
		ret->name_len = said->name_len;
	}
	ret->size = said->has_size ? said->size : is_size_of_link(h->type) ? 0 : size;
	if (ret->kind == ZN_TAR_FILE && ret->name_len && ret->name[ret->name_len - 1] == '/')
		ret->kind = ZN_TAR_OTHER; /* before there was a type for directories */
	return (ssize_t)(at + len);
}

ssize_t zn_tar_head(const void *archive, size_t n, struct zn_tar_head *ret, size_t *ret_need, const char **ret_why)
{
	struct said said = { 0 };
	const char *p = archive;
	size_t at = 0;

	for (unsigned n_before = 0;; n_before++) {
		const struct header *h = (const struct header *)(p + at);
		uint64_t size;
		if (n < at + ZN_TAR_BLOCK)
			return need(at + ZN_TAR_BLOCK, ret_need, ret_why);
		if (is_zero(h)) {
			if (at)
				return bad("the archive ends after the first of its headers", ret_why);
			*ret = (struct zn_tar_head){ .kind = ZN_TAR_END };
			return ZN_TAR_BLOCK;
		}
		if (!has_sum(h))
			return bad("the header's checksum is wrong", ret_why);
		if (!number(h->size, sizeof(h->size), &size))
			return bad("the header's size is no number", ret_why);
		if (!strchr("xgXLK", h->type) || !h->type)
			return take_member(p, n, at, size, &said, ret, ret_need, ret_why);
		if (size > ZN_TAR_HEADS_MAX || n_before == ZN_TAR_DESCRIPTIONS_MAX)
			return bad("its headers are too long", ret_why);
		size_t next = at + ZN_TAR_BLOCK + (size_t)zn_tar_padded(size);
		if (n < next)
			return need(next + ZN_TAR_BLOCK, ret_need, ret_why);
		if (!take_description(h, size, &said, ret_why))
			return -EBADMSG;
		at = next;
	}
}

size_t zn_tar_resync(const void *archive, size_t n)
{
	const char *p = archive;
	size_t at = 0;

	for (; at + ZN_TAR_BLOCK <= n; at += ZN_TAR_BLOCK) {
		const struct header *h = (const struct header *)(p + at);
		if (!memcmp(h->magic, "ustar", 5) && has_sum(h))
			break;
	}
	return at;
}
