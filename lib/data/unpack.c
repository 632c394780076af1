#include "data/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/foreign.h"
#include "data/input.h"
#include "data/untar.h"

/* The first bytes, looked at before it is decided who reads them, and then whatever follows. */
struct look {
	struct zn__bytes from;
	char *p;
	size_t n;
	bool is_given, is_tar;
};

struct zn__unpack {
	struct zn__input input;
	struct look looks[2];          /* at the input, at what is unpacked */
	struct zn__foreign *packed;    /* or NULL: the input is not */
	struct zn__foreign *foreign;   /* or NULL: it is tar */
	struct zn__untar tar;
	uint64_t at;                   /* of what was read last */
	bool is_lost, is_ended;
	char why[256];
};

/* ---- looking ---------------------------------------------------------------------------------------------- */

static ssize_t next_looked(void *arg, const void **ret)
{
	struct look *l = arg;

	if (l->is_given || !l->n)
		return l->from.next(l->from.arg, ret);
	l->is_given = true;
	*ret = l->p;
	return (ssize_t)l->n;
}

static int add(struct look *l, const void *piece, size_t n)
{
	char *more = realloc(l->p, l->n + n);

	if (!more)
		return -ENOMEM;
	memcpy(more + l->n, piece, n);
	l->p = more;
	l->n += n;
	return 0;
}

/* Reads no more than it takes: whoever writes may wait.  A failure is of what lies behind these bytes, and comes again there. */
static int look(struct look *l, struct zn__bytes from)
{
	const void *piece;
	ssize_t n = 1;
	int is_tar = -1, rc = 0;

	l->from = from;
	while (rc == 0 && n > 0 && is_tar < 0) {
		n = from.next(from.arg, &piece);
		rc = n > 0 ? add(l, piece, (size_t)n) : n == -ENOMEM || n == -EINTR ? (int)n : 0;
		is_tar = zn__untar_knows(l->p, l->n, n <= 0);
	}
	l->is_tar = is_tar > 0;
	return rc;
}

static struct zn__bytes looked(struct look *l)
{
	return (struct zn__bytes){ .next = next_looked, .arg = l, .why = l->from.why };
}

/* ---- who reads it ----------------------------------------------------------------------------------------- */

static ssize_t next_of_input(void *arg, const void **ret)
{
	return zn__input_next(arg, ret);
}

static off_t seek_input(void *arg, off_t to, int whence)
{
	return zn__input_seek(arg, to, whence);
}

/* What is no tar archive: from its beginning again, where that can be had. */
static int open_foreign(struct zn__unpack *u, struct look *l)
{
	struct zn__bytes from = looked(l);

	if (!u->packed && u->input.can_seek) {
		from = l->from;
		from.seek = seek_input;
		off_t at = zn__input_seek(&u->input, 0, SEEK_SET);
		if (at < 0)
			return (int)at;
	}
	return zn__foreign_new(&from, false, &u->foreign);
}

static int open_any(struct zn__unpack *u)
{
	struct look *l = &u->looks[0];
	int rc = look(l, (struct zn__bytes){ .next = next_of_input, .arg = &u->input, .why = u->input.why });

	if (rc == 0 && !l->is_tar && zn__foreign_is_packed(l->p, l->n)) {
		struct zn__bytes from = looked(l);
		rc = zn__foreign_new(&from, true, &u->packed);
		l++;
		if (rc == 0)
			rc = look(l, zn__foreign_bytes(u->packed));
	}
	if (rc < 0)
		return rc;
	if (!l->is_tar)
		return open_foreign(u, l);
	zn__untar_init(&u->tar, looked(l));
	return 0;
}

int zn__unpack_open(const char *name, struct zn__unpack **ret, struct zn_err *err)
{
	struct zn__unpack *u = calloc(1, sizeof(*u));
	int rc = u ? zn__input_open(&u->input, name) : -ENOMEM;

	if (rc < 0) {
		free(u);
		return zn_err_set(err, rc, "'%s': %s", name, strerrordesc_np(-rc));
	}
	rc = open_any(u);
	if (rc < 0)
		zn__unpack_free(u);
	else
		*ret = u;
	if (rc == -ENOTSUP)
		return zn_err_set(err, rc, "'%s' is neither tar nor tar.gz, which takes libarchive, and this was built without it", name);
	return rc < 0 ? zn_err_set(err, rc, "'%s': %s", name, strerrordesc_np(-rc)) : 0;
}

void zn__unpack_free(struct zn__unpack *u)
{
	if (!u)
		return;
	zn__untar_done(&u->tar);
	zn__foreign_free(u->foreign);
	zn__foreign_free(u->packed);
	zn__input_done(&u->input);
	free(u->looks[0].p);
	free(u->looks[1].p);
	free(u);
}

/* ---- what is in it ---------------------------------------------------------------------------------------- */

static int note(struct zn__unpack *u, int rc)
{
	const char *why = u->foreign ? zn__foreign_why(u->foreign) : u->tar.why;

	if (rc == ZN__UNPACKED_DAMAGE)
		snprintf(u->why, sizeof(u->why), "%s", why);
	if (rc != ZN__UNPACKED_LOST)
		return rc;
	u->is_lost = true;
	snprintf(u->why, sizeof(u->why), "%s%s", why, !u->foreign && u->tar.is_at_end ? "" : ": nothing behind it can be read");
	return rc;
}

/* The archive's end, if the checksums behind it are right. */
static int end(struct zn__unpack *u)
{
	int rc = zn__input_check(&u->input);

	u->is_ended = true;
	if (rc == 0)
		return ZN__UNPACKED_END;
	if (rc == -EINTR || rc == -ENOMEM)
		return rc;
	snprintf(u->why, sizeof(u->why), "%s", u->input.why);
	u->is_lost = true;
	return ZN__UNPACKED_LOST;
}

int zn__unpack_next(struct zn__unpack *u, struct zn__member *ret)
{
	*ret = (struct zn__member){ .offset = u->at };
	if (u->is_lost || u->is_ended)
		return u->is_lost ? ZN__UNPACKED_LOST : ZN__UNPACKED_END;
	int rc = u->foreign ? zn__foreign_next(u->foreign, ret) : zn__untar_next(&u->tar, ret);
	u->at = ret->offset;
	return rc == ZN__UNPACKED_END ? end(u) : note(u, rc);
}

int zn__unpack_read(struct zn__unpack *u, const void **ret, size_t *ret_n, uint64_t *ret_at)
{
	return note(u, u->foreign ? zn__foreign_read(u->foreign, ret, ret_n, ret_at) : zn__untar_read(&u->tar, ret, ret_n, ret_at));
}

const char *zn__unpack_why(const struct zn__unpack *u)
{
	return u->why;
}

uint64_t zn__unpack_read_bytes(const struct zn__unpack *u)
{
	return u->input.read_bytes;
}

uint64_t zn__unpack_wait_ns(const struct zn__unpack *u)
{
	return u->input.wait_ns;
}
