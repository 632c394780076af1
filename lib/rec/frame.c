#include "rec/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "rec/val.h"

static const char magic[4] = { 'Z', 'N', 'F', '1' };

static void put32(unsigned char *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, 4);
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static uint32_t frame_crc(const unsigned char *head, const void *payload, size_t len)
{
	uLong crc = crc32(0, head, 24);

	/* zlib takes a NULL for "begin anew", whatever the length. */
	return (uint32_t)(len ? crc32_z(crc, payload, len) : crc);
}

int zn_frame_put(struct zn_buf *to, uint64_t seq, uint32_t nonce, const void *payload, size_t len)
{
	unsigned char head[ZN_FRAME_HEAD] = { 0 };
	uint64_t le_seq = htole64(seq);

	if (len > ZN_RECORD_MAX)
		return -EMSGSIZE;
	memcpy(head, magic, 4);
	put32(head + 4, (uint32_t)len);
	memcpy(head + 8, &le_seq, 8);
	put32(head + 16, nonce);
	put32(head + 20, ZN_FRAME_VERSION);
	put32(head + 24, frame_crc(head, payload, len));
	if (!zn_buf_room(to, ZN_FRAME_HEAD + len))
		return -ENOMEM;
	zn_buf_add(to, head, ZN_FRAME_HEAD);
	zn_buf_add(to, payload, len);
	return 0;
}

ssize_t zn_frame_get(const void *p, size_t n, struct zn_frame *ret)
{
	const unsigned char *head = p;
	uint64_t seq;

	if (memcmp(head, magic, n < 4 ? n : 4) != 0)
		return -EBADMSG;
	if (n < ZN_FRAME_HEAD)
		return 0;
	size_t len = get32(head + 4);
	uint16_t version = (uint16_t)get32(head + 20);
	if (len > ZN_RECORD_MAX || !version)
		return -EBADMSG;
	if (n < ZN_FRAME_HEAD + len)
		return 0;
	if (get32(head + 24) != frame_crc(head, head + ZN_FRAME_HEAD, len))
		return -EBADMSG;
	memcpy(&seq, head + 8, 8);
	*ret = (struct zn_frame){ .seq = le64toh(seq), .nonce = get32(head + 16), .version = version,
	                          .payload = head + ZN_FRAME_HEAD, .len = len };
	return (ssize_t)(ZN_FRAME_HEAD + len);
}

size_t zn_frame_resync(const void *p, size_t n)
{
	const char *at = p, *end = at + n;
	struct zn_frame f;

	while (at < end) {
		at = memchr(at, magic[0], (size_t)(end - at));
		if (!at)
			return n;
		if (zn_frame_get(at, (size_t)(end - at), &f) > 0)
			return (size_t)(at - (const char *)p);
		at++;
	}
	return n;
}
