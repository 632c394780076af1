#include "data/untar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAGIC = 257,                   /* where a header has it */
	LOOK = 33 << 10,               /* the image of a disc begins with 32 KiB of zeros */
};

static const char zeros[ZN_TAR_BLOCK];

/* ---- what is one ------------------------------------------------------------------------------------------ */

static bool is_zero(const char *p, size_t n)
{
	return n == 0 || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* Where others begin, in which a tar archive may lie as it is. */
static bool is_other(const char *p, size_t n)
{
	static const char *const magics[] = {
		"PK", "7z\xbc\xaf", "0707", "\xc7\x71", "\x71\xc7", "Rar!", "MSCF", "xar!", "!<arch>",
		"\3757zXZ", "\x28\xb5\x2f\xfd", "BZh", "\x04\x22\x4d\x18", "LZIP", "\x1f\x9d", "\x1f\x8b",
	};

	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++) {
		size_t len = strlen(magics[i]);
		if (n >= len && !memcmp(p, magics[i], len))
			return true;
	}
	return false;
}

static bool is_header(const char *p, size_t n)
{
	struct zn_tar_head head;
	const char *why;
	size_t need;

	return !is_zero(p, ZN_TAR_BLOCK) && (!memcmp(p + MAGIC, "ustar", 5) || zn_tar_head(p, n, &head, &need, &why) >= 0);
}

int zn__untar_knows(const void *p, size_t n, bool is_all)
{
	if (n < ZN_TAR_BLOCK)
		return is_all ? is_zero(p, n) : -1;
	if (is_header(p, n))
		return 1;
	if (is_other(p, n))
		return 0;
	if (n < LOOK && !is_all)
		return -1;
	return is_zero(p, n) || zn_tar_resync(p, n) + ZN_TAR_BLOCK <= n;
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

static bool make_room(struct zn__untar *t, size_t cap)
{
	bool is_kept = t->buf && t->p == t->buf;

	if (cap <= t->cap)
		return true;
	char *more = realloc(t->buf, 2 * cap);
	if (!more)
		return false;
	if (is_kept)
		t->p = more;
	t->buf = more;
	t->cap = 2 * cap;
	return true;
}

/* What is left moves to the beginning of buf, before what it was borrowed from is gone. */
static bool keep(struct zn__untar *t)
{
	bool is_kept = t->buf && t->p >= t->buf && t->p < t->buf + t->cap;

	if (!is_kept && !make_room(t, t->n))
		return false;
	if (t->p != t->buf)
		memmove(t->buf, t->p, t->n);
	t->p = t->buf;
	return true;
}

/* The next piece behind what is there: 1; 0: it is over; -errno. */
static int add_piece(struct zn__untar *t)
{
	const void *piece;

	if (t->n && !keep(t))
		return t->rc = -ENOMEM;
	ssize_t n = t->from.next(t->from.arg, &piece);
	if (n <= 0)
		return t->rc = (int)n;
	if (t->n && !make_room(t, t->n + (size_t)n))
		return t->rc = -ENOMEM;
	if (t->n)
		memcpy(t->buf + t->n, piece, (size_t)n);
	else
		t->p = piece;
	t->n += (size_t)n;
	return 1;
}

/* At least need bytes at p, unless it is over: 0; -ENOMEM, -EINTR. */
static int look(struct zn__untar *t, size_t need)
{
	while (t->n < need && t->rc > 0)
		add_piece(t);
	return t->n < need && (t->rc == -ENOMEM || t->rc == -EINTR) ? t->rc : 0;
}

static void step_over(struct zn__untar *t, size_t n)
{
	t->p += n;
	t->n -= n;
	t->pos += n;
}

static int skip(struct zn__untar *t, uint64_t bytes)
{
	int rc = 0;

	while (bytes && rc == 0 && (rc = look(t, 1)) == 0 && t->n) {
		size_t n = bytes < t->n ? (size_t)bytes : t->n;
		step_over(t, n);
		bytes -= n;
	}
	return rc;
}

/* ---- damage ----------------------------------------------------------------------------------------------- */

static int astray(struct zn__untar *t, const char *why)
{
	t->is_astray = true;
	t->is_at_end = false;
	t->why = why;
	return ZN__UNPACKED_DAMAGE;
}

static int lose(struct zn__untar *t)
{
	t->why = t->from.why;
	return ZN__UNPACKED_LOST;
}

/* Onto the next header behind what is damaged, or to the end. */
static int resync(struct zn__untar *t)
{
	int rc;

	t->is_astray = false;
	while ((rc = look(t, ZN_TAR_BLOCK)) == 0 && t->n) {
		size_t n = t->n < ZN_TAR_BLOCK ? t->n : zn_tar_resync(t->p, t->n);
		bool is_found = n + ZN_TAR_BLOCK <= t->n;
		step_over(t, n);
		if (is_found)
			break;
	}
	return rc;
}

/* ---- headers ---------------------------------------------------------------------------------------------- */

/* Their length; 0: nothing is left, or reading what is left of them failed; -EBADMSG, -ENOMEM, -EINTR. */
static ssize_t head_here(struct zn__untar *t, const char **ret_why)
{
	size_t need = ZN_TAR_BLOCK;

	for (;;) {
		int rc = look(t, need);
		if (rc < 0)
			return rc;
		*ret_why = "the shard ends within a header";
		if (t->n < need)
			return t->n && t->rc == 0 ? -EBADMSG : 0;
		ssize_t len = zn_tar_head(t->p, t->n, &t->head, &need, ret_why);
		if (len)
			return len;
	}
}

/* Zeros are the archive's end where nothing follows, or, behind two blocks of them, another archive; else damage, as an index has it.
 * 0: go on; DAMAGE; -errno.
 */
static int pass_end(struct zn__untar *t, struct zn__member *ret)
{
	uint64_t begun = t->pos;
	const char *why;
	ssize_t len = 1;
	int rc;

	t->is_at_end = true;
	while ((rc = look(t, ZN_TAR_BLOCK)) == 0 && t->n) {
		size_t n = t->n < ZN_TAR_BLOCK ? t->n : ZN_TAR_BLOCK;
		if (memcmp(t->p, zeros, n))
			break;
		step_over(t, n);
	}
	if (rc < 0)
		return rc;
	if (!t->n || (t->pos - begun >= 2 * ZN_TAR_BLOCK && (len = head_here(t, &why)) >= 0))
		return 0;
	if (len < 0 && len != -EBADMSG)
		return (int)len;
	*ret = (struct zn__member){ .offset = begun };
	return astray(t, "zeros where a header should be");
}

static int enter(struct zn__untar *t, size_t len, struct zn__member *ret)
{
	const struct zn_tar_head *h = &t->head;

	*ret = (struct zn__member){ h->name, h->name_len, h->kind != ZN_TAR_OTHER, t->pos, h->kind == ZN_TAR_FILE ? h->size : 0 };
	t->is_at_end = false;
	t->size = t->left = h->size;
	t->padding = zn_tar_padded(h->size) - h->size;
	step_over(t, len);
	return ZN__UNPACKED_ONE;
}

static int go_on(struct zn__untar *t)
{
	int rc = skip(t, t->left);

	if (rc == 0)
		rc = skip(t, t->padding);
	t->left = t->padding = 0;
	return rc == 0 && t->is_astray ? resync(t) : rc;
}

int zn__untar_next(struct zn__untar *t, struct zn__member *ret)
{
	const char *why;
	int rc = go_on(t);

	for (; rc == 0; rc = pass_end(t, ret)) {
		ssize_t len = head_here(t, &why);
		*ret = (struct zn__member){ .offset = t->pos };
		if (len == 0)
			return t->rc < 0 ? lose(t) : ZN__UNPACKED_END;
		if (len == -EBADMSG) {
			step_over(t, t->n < ZN_TAR_BLOCK ? t->n : ZN_TAR_BLOCK);
			return astray(t, why);
		}
		if (len < 0)
			return (int)len;
		if (t->head.kind != ZN_TAR_END)
			return enter(t, (size_t)len, ret);
	}
	return rc;
}

int zn__untar_read(struct zn__untar *t, const void **ret, size_t *ret_n, uint64_t *ret_at)
{
	if (t->head.kind == ZN_TAR_SPARSE) {
		t->why = "a sparse member is not read: pack it without --sparse";
		return ZN__UNPACKED_DAMAGE;
	}
	if (!t->left)
		return ZN__UNPACKED_END;
	int rc = look(t, 1);
	if (rc < 0)
		return rc;
	if (!t->n && t->rc < 0)
		return lose(t);
	t->why = "the shard ends within it";
	if (!t->n)
		return ZN__UNPACKED_DAMAGE;
	*ret = t->p;
	*ret_n = t->left < t->n ? (size_t)t->left : t->n;
	*ret_at = t->size - t->left;
	t->left -= *ret_n;
	step_over(t, *ret_n);
	return ZN__UNPACKED_ONE;
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

void zn__untar_init(struct zn__untar *t, struct zn__bytes from)
{
	*t = (struct zn__untar){ .from = from, .rc = 1 };
}

void zn__untar_done(struct zn__untar *t)
{
	free(t->buf);
	t->buf = NULL;
}
