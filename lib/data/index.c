#include "data/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/gather.h"
#include "data/tar.h"

/* Headers that lie near each other are read with what is between them, those far from each other alone. */
enum { NEAR = 4096, CHUNK = 256 << 10, FAR = 32 << 10 };

struct builder {
	const struct zn_blob *blob;
	struct zn__gather gather;
	char *window;                  /* bytes of the blob, from at on */
	size_t cap, n;
	uint64_t at;
	uint64_t stride;               /* from one header to the next, of late */
	bool is_archive;               /* a header was there, or an end */
	int errno_seen;                /* of a read */
};

/* ---- reading ---------------------------------------------------------------------------------------------- */

static ssize_t fill(struct builder *b, uint64_t pos, size_t need)
{
	uint64_t left = b->blob->size - pos;
	size_t want = b->stride > FAR ? NEAR : CHUNK;

	if (need > CHUNK / 2) /* and some more, or damage in long headers would have them read again for each of their blocks */
		want = 2 * need;
	want = want > need ? want : need;
	if (want > b->cap) {
		char *more = realloc(b->window, want);
		if (!more)
			return -ENOMEM;
		b->window = more;
		b->cap = want;
	}
	ssize_t got = b->blob->read(b->blob->arg, b->window, want < left ? want : (size_t)left, pos);
	if (got < 0 && want > need) /* a device that can't read one place takes nobody's header but the one that lies there */
		got = b->blob->read(b->blob->arg, b->window, need, pos);
	if (got < 0 && !b->errno_seen)
		b->errno_seen = (int)-got;
	b->n = got < 0 ? 0 : (size_t)got;
	b->at = pos;
	return got;
}

/* What lies at pos: how many bytes, at least need unless the blob ends before; -errno. */
static ssize_t look(struct builder *b, uint64_t pos, size_t need, const char **ret)
{
	uint64_t left = b->blob->size - pos;

	need = need < left ? need : (size_t)left;
	if (pos < b->at || pos + need > b->at + b->n) {
		ssize_t rc = fill(b, pos, need);
		if (rc < 0)
			return rc;
	}
	*ret = b->window + (pos - b->at);
	return (ssize_t)(b->at + b->n - pos);
}

/* The headers at pos: their length; -EBADMSG with a reason; -ENOMEM. */
static ssize_t head_at(struct builder *b, uint64_t pos, struct zn_tar_head *ret, const char **ret_why)
{
	size_t need = ZN_TAR_BLOCK;

	for (;;) {
		const char *p;
		ssize_t n = look(b, pos, need, &p);
		if (n == -ENOMEM)
			return n;
		*ret_why = n < 0 ? strerrordesc_np((int)-n) : "the shard ends within a header";
		if (n < (ssize_t)need)
			return -EBADMSG;
		ssize_t len = zn_tar_head(p, (size_t)n, ret, &need, ret_why);
		if (len)
			return len;
	}
}

/* ---- damage ----------------------------------------------------------------------------------------------- */

/* The first place behind pos where a header is; the size if there is none. */
static uint64_t resync(struct builder *b, uint64_t pos)
{
	uint64_t stride = b->stride;

	b->stride = 0; /* read on in large pieces */
	for (pos += ZN_TAR_BLOCK; pos < b->blob->size;) {
		const char *p;
		ssize_t n = look(b, pos, ZN_TAR_BLOCK, &p); /* what can't be read are whole pages */
		size_t skip = n < 0 ? NEAR - pos % NEAR : n < ZN_TAR_BLOCK ? ZN_TAR_BLOCK : zn_tar_resync(p, (size_t)n);
		pos += skip;
		if (n >= ZN_TAR_BLOCK && skip + ZN_TAR_BLOCK <= (size_t)n)
			break;
	}
	b->stride = stride;
	return pos < b->blob->size ? pos : b->blob->size;
}

static int pass_damage(struct builder *b, uint64_t *pos, const char *why)
{
	int rc = zn__gather_gap(&b->gather, *pos, why);

	*pos = resync(b, *pos);
	return rc;
}

/* Where from pos on something is that is not zero. */
static uint64_t skip_zeros(struct builder *b, uint64_t pos)
{
	static const char zeros[ZN_TAR_BLOCK];
	const char *p;
	ssize_t n;

	b->stride = 0;
	while (pos < b->blob->size && (n = look(b, pos, ZN_TAR_BLOCK, &p)) > 0) {
		size_t step = n < ZN_TAR_BLOCK ? (size_t)n : ZN_TAR_BLOCK;
		if (memcmp(p, zeros, step))
			break;
		pos += step;
	}
	return pos;
}

/* An archive ends at pos, with two blocks of zeros, often more.  Another one may follow; anything else is damage. */
static int pass_end(struct builder *b, uint64_t *pos)
{
	uint64_t next = skip_zeros(b, *pos);
	struct zn_tar_head h;
	const char *why;

	if (next < b->blob->size && (next - *pos < 2 * ZN_TAR_BLOCK || head_at(b, next, &h, &why) < 0))
		return pass_damage(b, pos, "zeros where a header should be");
	b->is_archive = true;
	*pos = next;
	return 0;
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static const char *refuse(const struct builder *b, const struct zn_tar_head *h, uint64_t data)
{
	if (h->kind == ZN_TAR_SPARSE)
		return "a sparse member is not read: pack it without --sparse";
	return h->size > b->blob->size || data > b->blob->size - h->size ? "the shard ends within it" : NULL;
}

static int take(struct builder *b, uint64_t pos, size_t heads, const struct zn_tar_head *h)
{
	const char *why = refuse(b, h, pos + heads);
	struct zn_key k;

	b->is_archive = true;
	if (h->kind == ZN_TAR_OTHER || !zn_key_split(h->name, h->name_len, &k)) {
		zn__gather_other(&b->gather);
		return 0;
	}
	return zn__gather_member(&b->gather, &k, pos, why ? 0 : heads + zn_tar_padded(h->size), why);
}

static int step(struct builder *b, uint64_t *pos)
{
	struct zn_tar_head h;
	const char *why;
	ssize_t heads = head_at(b, *pos, &h, &why);

	if (heads == -ENOMEM)
		return -ENOMEM;
	if (heads < 0)
		return pass_damage(b, pos, why);
	if (h.kind == ZN_TAR_END)
		return pass_end(b, pos);
	int rc = take(b, *pos, (size_t)heads, &h);
	uint64_t next = *pos + (uint64_t)heads + zn_tar_padded(h.size);
	if (next < *pos || next > b->blob->size)
		next = b->blob->size;
	b->stride = (3 * b->stride + (next - *pos)) / 4;
	*pos = next;
	return rc;
}

static int walk(struct builder *b, struct zn_err *err)
{
	uint64_t pos = 0;
	int rc = 0;

	while (rc == 0 && pos < b->blob->size)
		rc = step(b, &pos);
	if (rc == 0 && !b->is_archive && b->blob->size)
		return b->errno_seen ? zn_err_set(err, -b->errno_seen, "%s", strerrordesc_np(b->errno_seen))
		                     : zn_err_set(err, -EBADMSG, "no tar archive: there is no header in it");
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : zn__gather_end(&b->gather);
}

int zn_index_build(const struct zn_blob *blob, struct zn_index *ret, struct zn_err *err)
{
	struct builder b = { .blob = blob };
	struct zn_index x = { .n = 0 };
	int rc = zn__gather_init(&b.gather, &x);

	if (rc == 0)
		rc = walk(&b, err);
	else
		zn_err_set(err, rc, "out of memory");
	x.is_partial = b.errno_seen != 0;
	zn__gather_done(&b.gather);
	free(b.window);
	if (rc < 0)
		zn_index_done(&x);
	else
		*ret = x;
	return rc;
}

void zn_index_done(struct zn_index *x)
{
	if (!x->body) {
		free(x->offsets);
		free(x->blocks);
		free(x->parts);
	}
	free(x->body);
	free(x->flaws);
	zn_arena_done(&x->arena);
	*x = (struct zn_index){ .n = 0 };
}

size_t zn_index_spans(const struct zn_index *x, uint64_t i, struct zn_span *ret, size_t max)
{
	uint32_t at = x->blocks[i];
	size_t n = 0;

	if (!(at & ZN__IS_PARTS)) {
		if (max)
			ret[0] = (struct zn_span){ x->offsets[i], (uint64_t)at * ZN_TAR_BLOCK };
		return 1;
	}
	for (at &= ZN__BLOCKS_MAX; at; at = x->parts[at].more, n++)
		if (n < max)
			ret[n] = (struct zn_span){ x->parts[at].offset, (uint64_t)x->parts[at].blocks * ZN_TAR_BLOCK };
	return n;
}
