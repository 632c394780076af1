/* Archives in memory, for tests: as tar writes them, and then damaged. */
#ifndef SHARD_HELP_H
#define SHARD_HELP_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "data/index.h"
#include "data/tar.h"

static inline void shard_sum(char h[512])
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum & 0777777);
}

/* A member with that type and those bytes. */
static inline void shard_put(struct zn_buf *to, char type, const char *name, const void *p, size_t n)
{
	static const char zeros[512];
	char h[513] = "";

	strncpy(h, name, 100);
	memcpy(h + 100, "0000644\0000001000\0000001000", 24);
	snprintf(h + 124, 12, "%011o", (unsigned)n);
	snprintf(h + 136, 12, "%011o", 1700000000u);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	shard_sum(h);
	zn_buf_add(to, h, 512);
	zn_buf_add(to, p, n);
	zn_buf_add(to, zeros, (512 - n % 512) % 512);
}

static inline void shard_text(struct zn_buf *to, const char *name, const char *text)
{
	shard_put(to, '0', name, text, strlen(text));
}

static inline void shard_end(struct zn_buf *to)
{
	static const char zeros[1024];

	zn_buf_add(to, zeros, sizeof(zeros));
}

static inline ssize_t shard_read(void *arg, void *p, size_t n, uint64_t at)
{
	const struct zn_buf *b = arg;

	if (at >= b->len)
		return 0;
	n = n < b->len - at ? n : b->len - at;
	memcpy(p, b->data + at, n);
	return (ssize_t)n;
}

#endif
