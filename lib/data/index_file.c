/* An index in a file: a head, offsets, parts, flaws, blocks, texts; in the machine's byte order, which the magic number shows.
 * 12 bytes a sample.  Read whole, into memory that it stays in, rather than mapped: who else may write there can't take it away under us.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "data/gather.h"
#include "data/tar.h"

#define MAGIC UINT64_C(0x32585844494e5a01) /* 0x01 "ZNIDXX2" on a little-endian machine */

struct head {
	uint64_t magic, size;
	int64_t mtime_ns;
	uint64_t n, n_parts, n_flaws, n_other, n_text;
	uint32_t crc, zero;            /* of all bytes, itself taken as 0 */
};

struct flaw { uint64_t offset; uint32_t key, reason; }; /* where in the texts; NO_KEY */
#define NO_KEY UINT32_MAX

static uint32_t crc_of(uint32_t crc, const void *p, uint64_t n)
{
	for (const char *at = p; n;) {
		uInt step = n < UINT_MAX ? (uInt)n : UINT_MAX;
		crc = (uint32_t)crc32(crc, (const Bytef *)at, step);
		at += step;
		n -= step;
	}
	return crc;
}

/* ---- writing ---------------------------------------------------------------------------------------------- */

static uint32_t put_text(struct zn_buf *to, const char *text)
{
	size_t at = to->len;

	zn_buf_add(to, text, strlen(text) + 1);
	return (uint32_t)at;
}

static void put_flaws(const struct zn_index *x, struct zn_buf *flaws, struct zn_buf *text)
{
	for (uint64_t i = 0; i < x->n_flaws; i++) {
		const struct zn_flaw *f = &x->flaws[i];
		struct flaw on_disk = { f->offset, f->key ? put_text(text, f->key) : NO_KEY, put_text(text, f->reason) };
		zn_buf_add(flaws, &on_disk, sizeof(on_disk));
	}
}

int zn_index_write(const char *path, const struct zn_index_of *of, const struct zn_index *x, struct zn_err *err)
{
	struct zn_buf text = { 0 }, flaws = { 0 }, all = { 0 };

	put_flaws(x, &flaws, &text);
	struct head h = { .magic = MAGIC, .size = of->size, .mtime_ns = of->mtime_ns, .n = x->n, .n_parts = x->n_parts,
	                  .n_flaws = x->n_flaws, .n_other = x->n_other, .n_text = text.len };
	zn_buf_add(&all, &h, sizeof(h));
	zn_buf_add(&all, x->offsets, x->n * sizeof(*x->offsets));
	zn_buf_add(&all, x->parts, x->n_parts * sizeof(*x->parts));
	zn_buf_add(&all, flaws.data, flaws.len);
	zn_buf_add(&all, x->blocks, x->n * sizeof(*x->blocks));
	zn_buf_add(&all, text.data, text.len);
	bool failed = text.failed || flaws.failed || all.failed || text.len >= NO_KEY;
	if (!failed) {
		h.crc = crc_of(0, all.data, all.len);
		memcpy(all.data, &h, sizeof(h));
	}
	int rc = failed ? zn_err_set(err, -ENOMEM, "out of memory") : zn_file_replace(path, all.data, all.len, 0644, err);
	zn_buf_done(&text);
	zn_buf_done(&flaws);
	zn_buf_done(&all);
	return rc;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

/* The bytes behind a head; UINT64_MAX: more than there can be. */
static uint64_t body_of(const struct head *h)
{
	uint64_t max = UINT64_C(1) << 40;

	if (h->n > max || h->n_parts > max || !h->n_parts || h->n_flaws > max || h->n_text > max)
		return UINT64_MAX;
	return h->n * 12 + h->n_parts * sizeof(struct zn__part) + h->n_flaws * sizeof(struct flaw) + h->n_text;
}

static int read_all(int fd, void *to, uint64_t n)
{
	for (char *at = to; n;) {
		ssize_t got = read(fd, at, n < SSIZE_MAX ? n : SSIZE_MAX);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		at += got;
		n -= (uint64_t)got;
	}
	return 0;
}

static bool copy_flaws(struct zn_index *x, const struct head *h, const char *from, const char *from_text)
{
	const char *text = zn_arena_memdup(&x->arena, from_text, h->n_text);

	x->flaws = calloc(h->n_flaws ? h->n_flaws : 1, sizeof(*x->flaws));
	if (!text || !x->flaws)
		return false;
	for (uint64_t i = 0; i < h->n_flaws; i++) {
		struct flaw f;
		memcpy(&f, from + i * sizeof(f), sizeof(f));
		if ((f.key != NO_KEY && f.key >= h->n_text) || f.reason >= h->n_text)
			return false;
		x->flaws[x->n_flaws++] = (struct zn_flaw){ f.offset, f.key == NO_KEY ? NULL : text + f.key, text + f.reason };
	}
	return true;
}

/* No more than a shard of that size can have: a sample, a part and a flaw take a block of it at least. */
static bool can_be(const struct head *h, uint64_t size)
{
	uint64_t blocks = size / ZN_TAR_BLOCK + 1;

	return h->n <= blocks && h->n_parts - 1 <= blocks && h->n_flaws <= blocks && h->n_text / (ZN_TAR_BLOCK + 256) <= blocks;
}

static bool is_within(uint64_t offset, uint32_t blocks, uint64_t size)
{
	return offset < size && blocks && (uint64_t)blocks * ZN_TAR_BLOCK <= zn_tar_padded(size - offset);
}

/* A sample has not more parts than members.  One that follows is always a later one, so there is an end. */
static bool is_short(const struct zn_index *x, uint32_t at)
{
	unsigned n = 0;

	for (; at && n <= ZN__FIELDS_MAX; at = x->parts[at].more)
		n++;
	return n && n <= ZN__FIELDS_MAX;
}

static bool makes_sense(const struct zn_index *x, uint64_t size)
{
	for (uint64_t i = 1; i < x->n_parts; i++)
		if (!is_within(x->parts[i].offset, x->parts[i].blocks, size) || (x->parts[i].more && (x->parts[i].more <= i || x->parts[i].more >= x->n_parts)))
			return false;
	for (uint64_t i = 0; i < x->n; i++) {
		uint32_t at = x->blocks[i], part = at & ZN__BLOCKS_MAX;
		if (at & ZN__IS_PARTS ? part >= x->n_parts || !is_short(x, part) : !is_within(x->offsets[i], at, size))
			return false;
	}
	return true;
}

/* Takes body over when it makes sense: 1. */
static int take(const struct head *h, char *body, struct zn_index *ret)
{
	struct zn_index x = { .n = h->n, .n_parts = h->n_parts, .n_other = h->n_other };
	char *parts = body + h->n * sizeof(*x.offsets), *flaws = parts + h->n_parts * sizeof(*x.parts), *blocks = flaws + h->n_flaws * sizeof(struct flaw);

	x.offsets = (uint64_t *)body;
	x.parts = (struct zn__part *)parts;
	x.blocks = (uint32_t *)blocks;
	bool ok = copy_flaws(&x, h, flaws, blocks + h->n * sizeof(*x.blocks)) && makes_sense(&x, h->size);
	x.body = ok ? body : NULL;
	if (ok) {
		*ret = x;
		return 1;
	}
	x.offsets = NULL;
	x.parts = NULL;
	x.blocks = NULL;
	zn_index_done(&x);
	return -EBADMSG;
}

/* A large one in huge pages: making the pages took longer than all else. */
static char *room_for(uint64_t n)
{
	const size_t huge = (size_t)2 << 20;
	bool is_large = n >= huge / 2;
	size_t rounded = is_large ? (n + huge - 1) / huge * huge : (size_t)n + 8;
	char *p = is_large ? aligned_alloc(huge, rounded) : malloc(rounded);

	if (p && is_large)
		madvise(p, rounded, MADV_HUGEPAGE); /* else small ones do */
	return p;
}

static int read_open(int fd, const struct zn_index_of *of, struct zn_index *ret, const char **ret_why)
{
	struct stat st;
	struct head h;
	int rc = read_all(fd, &h, sizeof(h));

	*ret_why = "it is damaged";
	if (rc < 0 || fstat(fd, &st) < 0)
		return rc < 0 ? rc : -errno;
	uint64_t n = body_of(&h);
	if (h.magic != MAGIC || n == UINT64_MAX || (uint64_t)st.st_size != sizeof(h) + n)
		return -EBADMSG;
	if (h.size != of->size || h.mtime_ns != of->mtime_ns) {
		*ret_why = "the shard has changed since";
		return 0;
	}
	if (!can_be(&h, of->size))
		return -EBADMSG;
	char *body = room_for(n);
	if (!body)
		return -ENOMEM;
	rc = read_all(fd, body, n);
	uint32_t crc = h.crc;
	h.crc = 0;
	if (rc == 0)
		rc = crc_of(crc_of(0, &h, sizeof(h)), body, n) == crc ? take(&h, body, ret) : -EBADMSG;
	if (rc <= 0)
		free(body);
	return rc;
}

int zn_index_read(const char *path, const struct zn_index_of *of, struct zn_index *ret, const char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*ret_why = "there is none";
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int rc = read_open(fd, of, ret, ret_why);
	close(fd);
	return rc;
}
