/* A tar archive from its beginning, in pieces of any size: the members, their bytes and the damage are the same. */
#include <errno.h>
#include <stdlib.h>

#include "data/untar.h"
#include "shard_help.h"
#include "tap.h"

/* Bytes that come in pieces, each in memory of its own that is gone with the next; at the end a failure, or none. */
struct pieces { const struct zn_buf *b; size_t at, size; char *piece; int rc; };

static ssize_t next_piece(void *arg, const void **ret)
{
	struct pieces *p = arg;
	size_t left = p->b->len - p->at, n = left < p->size ? left : p->size;

	free(p->piece);
	p->piece = n ? malloc(n) : NULL;
	if (!n)
		return p->rc;
	memcpy(p->piece, p->b->data + p->at, n);
	p->at += n;
	*ret = p->piece;
	return (ssize_t)n;
}

static uint32_t sum_of(struct zn__untar *t, int *ret_rc)
{
	uint32_t sum = 0;
	uint64_t at, want = 0;
	const void *p;
	size_t n;

	while ((*ret_rc = zn__untar_read(t, &p, &n, &at)) == ZN__UNPACKED_ONE) {
		if (at != want)
			return UINT32_MAX;
		for (size_t i = 0; i < n; i++)
			sum = sum * 31 + ((const unsigned char *)p)[i];
		want += n;
	}
	return sum;
}

/* "OFFSET NAME SIZE SUM; ...", what is damaged with its reason. */
static void tell(const struct zn_buf *b, size_t size, int rc_at_end, char *to, size_t room)
{
	struct pieces p = { .b = b, .size = size, .rc = rc_at_end };
	struct zn__untar t;
	struct zn__member m;
	size_t at = 0;
	int rc;

	to[0] = 0;
	zn__untar_init(&t, (struct zn__bytes){ .next = next_piece, .arg = &p, .why = "it broke" });
	while ((rc = zn__untar_next(&t, &m)) > ZN__UNPACKED_END && at + 300 < room) {
		at += (size_t)snprintf(to + at, room - at, "%llu ", (unsigned long long)m.offset);
		if (rc == ZN__UNPACKED_ONE) {
			at += (size_t)snprintf(to + at, room - at, "%.*s %llu ", (int)m.name_len, m.name, (unsigned long long)m.size);
			uint32_t sum = m.is_file ? sum_of(&t, &rc) : 0;
			at += (size_t)snprintf(to + at, room - at, "%x %s; ", sum, rc > ZN__UNPACKED_ONE ? t.why : "");
		} else {
			at += (size_t)snprintf(to + at, room - at, "%s: %s; ", rc == ZN__UNPACKED_LOST ? "lost" : "damage", t.why);
		}
		if (rc == ZN__UNPACKED_LOST)
			break;
	}
	snprintf(to + at, room - at, "%d", rc);
	zn__untar_done(&t);
	free(p.piece);
}

static void fill(struct zn_buf *b)
{
	char name[32], path[200], data[3000];

	for (int i = 0; i < 12; i++) {
		size_t n = (size_t)(i * 251 % 3000);
		for (size_t k = 0; k < n; k++)
			data[k] = (char)rand();
		if (i % 3 == 0) {
			size_t len = (size_t)snprintf(path, sizeof(path), "d/%0120d.txt", i);
			shard_put(b, 'L', "long", path, len + 1);
		}
		if (i % 4 == 1)
			shard_put(b, 'x', "pax", "30 mtime=1700000000.123456789\n", 30);
		if (i % 5 == 1)
			shard_put(b, '5', "dir/", "", 0);
		snprintf(name, sizeof(name), "d/%d.txt", i);
		shard_put(b, '0', name, data, n);
	}
}

static void damage(struct zn_buf *b)
{
	unsigned n = (unsigned)rand() % 4;

	for (unsigned i = 0; i < n; i++) {
		size_t at = (size_t)rand() % (b->len / 512) * 512;
		if (rand() % 3)
			b->data[at + (size_t)rand() % 512] ^= (char)(1 << rand() % 8);
		else
			memset(b->data + at, rand() % 2 ? 0 : rand(), 512);
	}
	if (rand() % 4 == 0)
		b->len -= (size_t)rand() % (b->len / 2);
}

static void in_pieces(void)
{
	static const size_t sizes[] = { 1, 7, 511, 512, 513, 4096 };
	static char want[1 << 14], got[1 << 14];
	unsigned wrong = 0, damaged = 0;

	srand(7);
	for (int round = 0; round < 200; round++) {
		struct zn_buf b = { 0 };
		fill(&b);
		if (rand() % 2)
			shard_end(&b);
		damage(&b);
		int rc = rand() % 5 ? 0 : -EIO;
		tell(&b, b.len, rc, want, sizeof(want));
		damaged += strstr(want, "damage:") != NULL;
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			tell(&b, sizes[i], rc, got, sizeof(got));
			wrong += strcmp(got, want) != 0;
		}
		zn_buf_done(&b);
	}
	tap_ok(!wrong && damaged > 50, "pieces of any size say the same, %u wrong; %u of 200 archives were damaged", wrong, damaged);
}

static void hold(struct zn_buf *b, int rc, const char *want, const char *what)
{
	char got[2048];

	tell(b, 1000, rc, got, sizeof(got));
	tap_ok(!strcmp(got, want), "%s: %s", what, got);
	zn_buf_done(b);
	*b = (struct zn_buf){ 0 };
}

static void two(struct zn_buf *b)
{
	shard_text(b, "0.a", "a");
	shard_text(b, "0.b", "b");
}

static void said(void)
{
	struct zn_buf b = { 0 };

	two(&b);
	hold(&b, 0, "0 0.a 1 61 ; 1024 0.b 1 62 ; 0", "an archive without an end");
	two(&b);
	shard_end(&b);
	two(&b);
	shard_end(&b);
	hold(&b, 0, "0 0.a 1 61 ; 1024 0.b 1 62 ; 3072 0.a 1 61 ; 4096 0.b 1 62 ; 0", "one behind another");
	two(&b);
	b.data[3] ^= 1;
	hold(&b, 0, "0 damage: the header's checksum is wrong; 1024 0.b 1 62 ; 0", "a bad header");
	two(&b);
	memset(b.data + 1024, 0, 512);
	two(&b);
	hold(&b, 0, "0 0.a 1 61 ; 1024 damage: zeros where a header should be; 2048 0.a 1 61 ; 3072 0.b 1 62 ; 0", "zeros");
	two(&b);
	b.len -= 512;
	hold(&b, 0, "0 0.a 1 61 ; 1024 0.b 1 0 the shard ends within it; 0", "one that is cut off");
	two(&b);
	b.len -= 512;
	hold(&b, -EIO, "0 0.a 1 61 ; 1024 0.b 1 0 it broke; 3", "one whose bytes end by a failure");
	two(&b);
	hold(&b, -EINTR, "0 0.a 1 61 ; 1024 0.b 1 62 ; -4", "a signal");
}

static void known(void)
{
	struct zn_buf b = { 0 };
	char *other = calloc(1, 40 << 10);

	two(&b);
	tap_ok(zn__untar_knows(b.data, 511, false) < 0 && zn__untar_knows(b.data, 512, false) == 1, "tar is known by a block");
	b.data[3] ^= 1;
	tap_ok(zn__untar_knows(b.data, 512, false) == 1, "also by a damaged one");
	memset(b.data, 'x', 512);
	tap_ok(zn__untar_knows(b.data, 1024, false) < 0 && zn__untar_knows(b.data, b.len, true) == 1, "or by a later one");
	memcpy(b.data, "PK\3\4", 4);
	tap_ok(!zn__untar_knows(b.data, b.len, true), "but not in a zip");
	tap_ok(zn__untar_knows("", 0, true) == 1 && zn__untar_knows(other, 10240, true) == 1, "nothing, and zeros, are an empty one");
	memcpy(other + 32769, "CD001", 5);
	tap_ok(zn__untar_knows(other, 10240, false) < 0 && !zn__untar_knows(other, 40 << 10, false), "but not zeros before a disc's contents");
	free(other);
	zn_buf_done(&b);
}

int main(void)
{
	in_pieces();
	said();
	known();
	return tap_done();
}
