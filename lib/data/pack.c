#include "data/pack.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/text.h"

static const struct zn_field loss_fields[] = {
	ZN_FIELD(struct zn_loss, epoch, U64, "EPOCH", "in which it would have come"),
	ZN_FIELD(struct zn_loss, shard, STR, "SHARD", "where it lies"),
	ZN_FIELD(struct zn_loss, offset_bytes, U64, "OFFSET", "and from which byte on"),
	ZN_FIELD(struct zn_loss, key, STR, "KEY", "of the sample; absent if that can't be read either"),
	ZN_FIELD(struct zn_loss, reason, STR, "REASON", "why it could not be read"),
	{ 0 },
};
const struct zn_kind zn_loss_kind = { "loss", "a sample that could not be read", loss_fields, sizeof(struct zn_loss), NULL };

void zn_pack_init(struct zn_pack *p, int fd)
{
	*p = (struct zn_pack){ .fd = fd };
}

void zn_pack_done(struct zn_pack *p)
{
	zn_buf_done(&p->heads);
	free(p->v);
}

/* ---- writing ---------------------------------------------------------------------------------------------- */

static int write_some(int fd, struct iovec *v, size_t n, size_t *ret)
{
	ssize_t rc = writev(fd, v, n < IOV_MAX ? (int)n : IOV_MAX);

	if (rc < 0 && errno == EAGAIN) { /* somebody made it so for his own ends */
		struct pollfd ready = { fd, POLLOUT, 0 };
		poll(&ready, 1, -1);
		rc = 0;
	}
	if (rc < 0 && errno != EINTR)
		return -errno;
	*ret = rc < 0 ? 0 : (size_t)rc;
	return 0;
}

int zn_write_vector(int fd, struct iovec *v, size_t n, uint64_t *written)
{
	size_t done = 0;
	int rc = 0;

	while (rc == 0 && n) {
		rc = write_some(fd, v, n, &done);
		*written += rc < 0 ? 0 : done;
		while (n && done >= v->iov_len) {
			done -= v->iov_len;
			v++;
			n--;
		}
		if (n) {
			v->iov_base = (char *)v->iov_base + done;
			v->iov_len -= done;
			done = 0;
		}
	}
	return rc;
}

/* ---- pieces ----------------------------------------------------------------------------------------------- */

static struct iovec *add_piece(struct zn_pack *p)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 256;
		struct iovec *v = reallocarray(p->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		p->v = v;
		p->cap = cap;
	}
	return &p->v[p->n++];
}

/* What was put into heads since is the next piece; it may still move, so only its place is kept. */
static int end_head(struct zn_pack *p)
{
	struct iovec *v = p->heads.len > p->head_from ? add_piece(p) : NULL;

	if (p->heads.len == p->head_from)
		return 0;
	if (!v)
		return -ENOMEM;
	*v = (struct iovec){ NULL, p->heads.len - p->head_from };
	p->head_from = p->heads.len;
	return 0;
}

/* Small ones are copied: a piece of its own costs the kernel as much as some hundred bytes. */
static int add_body(struct zn_pack *p, const void *body, size_t n)
{
	enum { SMALL = 512 };

	if (n < SMALL) {
		zn_buf_add(&p->heads, body, n);
		return 0;
	}
	int rc = end_head(p);
	struct iovec *v = rc == 0 ? add_piece(p) : NULL;
	if (!v)
		return -ENOMEM;
	*v = (struct iovec){ (void *)body, n };
	return 0;
}

static int flush(struct zn_pack *p)
{
	int rc = end_head(p);
	size_t at = 0;

	if (p->heads.failed || rc < 0)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].iov_base)
			continue;
		p->v[i].iov_base = p->heads.data + at;
		at += p->v[i].iov_len;
	}
	rc = zn_write_vector(p->fd, p->v, p->n, &p->written);
	p->heads.len = p->head_from = p->n = 0;
	return rc;
}

/* ---- MessagePack ------------------------------------------------------------------------------------------ */

static int put(void *to, const char *p, size_t n)
{
	zn_buf_add(to, p, n);
	return 0;
}

static void put_text(msgpack_packer *m, const char *text)
{
	size_t n = strlen(text);

	if (zn_is_utf8(text, n)) {
		msgpack_pack_str(m, n);
		msgpack_pack_str_body(m, text, n);
	} else {
		msgpack_pack_bin(m, n);
		msgpack_pack_bin_body(m, text, n);
	}
}

static void put_number(msgpack_packer *m, const char *key, uint64_t v)
{
	put_text(m, key);
	msgpack_pack_uint64(m, v);
}

void zn_pack_key(msgpack_packer *m, const char *key)
{
	put_text(m, key);
}

void zn_pack_name(msgpack_packer *m, const char *field)
{
	struct zn_buf text = { 0 };
	size_t n = strlen(field);

	if (zn_is_utf8(field, n)) {
		put_text(m, strcmp(field, "key") ? field : "key.bin"); /* "key" is taken */
		return;
	}
	zn_text_escape(field, n, &text); /* the key of a map must be text */
	put_text(m, text.failed ? "?" : zn_buf_text(&text));
	zn_buf_done(&text);
}

void zn_pack_shape(msgpack_packer *m, const struct zn_shape *shape)
{
	put_text(m, "dtype");
	put_text(m, zn_dtype_name(shape->dtype));
	put_text(m, "shape");
	msgpack_pack_array(m, shape->n_dims);
	for (uint32_t i = 0; i < shape->n_dims; i++)
		msgpack_pack_uint32(m, shape->dims[i]);
}

static int put_datum(struct zn_pack *p, msgpack_packer *m, const struct zn_datum *d)
{
	if (d->n > UINT32_MAX)
		return -EFBIG;
	zn_pack_name(m, d->field);
	if (d->shape) {
		msgpack_pack_map(m, 3);
		zn_pack_shape(m, d->shape);
		put_text(m, "data");
	}
	msgpack_pack_bin(m, d->n);
	return add_body(p, d->p, d->n);
}

static int put_sample(struct zn_pack *p, msgpack_packer *m, const struct zn_sample *s)
{
	int rc = 0;

	msgpack_pack_map(m, s->n + 1);
	put_text(m, "key");
	put_text(m, s->key);
	for (uint32_t i = 0; i < s->n && rc == 0; i++)
		rc = put_datum(p, m, &s->data[i]);
	return rc;
}

int zn_pack_batch(struct zn_pack *p, const struct zn_batch *b)
{
	msgpack_packer m;
	int rc = 0;

	msgpack_packer_init(&m, &p->heads, put);
	msgpack_pack_map(&m, 5);
	put_text(&m, "kind");
	put_text(&m, "batch");
	put_number(&m, "epoch", b->epoch);
	put_number(&m, "seq", b->seq);
	put_number(&m, "next", b->next);
	put_text(&m, "samples");
	msgpack_pack_array(&m, b->n);
	for (uint32_t i = 0; i < b->n && rc == 0; i++)
		rc = put_sample(p, &m, &b->samples[i]);
	return rc < 0 ? rc : flush(p);
}

int zn_pack_loss(struct zn_pack *p, const struct zn_loss *loss)
{
	int rc = zn_encode(&zn_loss_kind, loss, &p->heads);

	return rc < 0 ? rc : flush(p);
}
