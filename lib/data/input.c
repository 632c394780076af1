#include "data/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { PIECE = 256 << 10, GZIP = 15 + 16 };

static int fail(struct zn__input *in, int rc, const char *why)
{
	snprintf(in->why, sizeof(in->why), "%s", why);
	return in->rc = rc;
}

/* More of the file behind what is there: 1; 0: it has ended; -errno. */
static int fill(struct zn__input *in)
{
	if (in->raw_at) {
		memmove(in->raw, in->raw + in->raw_at, in->raw_n - in->raw_at);
		in->raw_n -= in->raw_at;
		in->raw_at = 0;
	}
	uint64_t begun = zn_boot_ns();
	ssize_t n = read(in->fd, in->raw + in->raw_n, PIECE - in->raw_n);
	int rc = n < 0 ? -errno : n > 0;
	in->wait_ns += zn_boot_ns() - begun;
	if (n > 0) {
		in->raw_n += (size_t)n;
		in->read_bytes += (uint64_t)n;
	}
	return rc < 0 ? fail(in, rc, strerrordesc_np(-rc)) : rc;
}

/* ---- gzip ------------------------------------------------------------------------------------------------- */

/* Steps over the zeros that some write behind the last member, onto the next one: 1; 0: there is none; -errno. */
static int next_member(struct zn__input *in)
{
	int rc = 1;

	do {
		while (in->raw_at < in->raw_n && !in->raw[in->raw_at])
			in->raw_at++;
	} while (in->raw_at == in->raw_n && (rc = fill(in)) > 0);
	if (rc <= 0)
		return rc;
	inflateReset(&in->z);
	in->in_member = true;
	return 1;
}

static int inflate_more(struct zn__input *in)
{
	int rc = in->raw_at < in->raw_n ? 1 : fill(in);

	if (rc <= 0)
		return rc < 0 ? rc : fail(in, -EBADMSG, "gzip that ends too early");
	in->z.next_in = in->raw + in->raw_at;
	in->z.avail_in = (uInt)(in->raw_n - in->raw_at);
	rc = inflate(&in->z, Z_NO_FLUSH);
	in->raw_at = in->raw_n - in->z.avail_in;
	if (rc == Z_STREAM_END)
		in->in_member = false;
	if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR)
		return 1;
	char why[100];
	snprintf(why, sizeof(why), "damaged gzip: %s", in->z.msg ? in->z.msg : "no reason is given");
	return fail(in, rc == Z_MEM_ERROR ? -ENOMEM : -EBADMSG, why);
}

/* What could be unpacked before a failure comes first. */
static ssize_t next_of_gzip(struct zn__input *in, const void **ret)
{
	int rc = in->rc;

	in->z.next_out = in->out;
	in->z.avail_out = PIECE;
	while (rc > 0 && in->z.avail_out == PIECE) {
		rc = in->in_member ? 1 : next_member(in);
		while (rc > 0 && in->in_member && in->z.avail_out)
			rc = inflate_more(in);
	}
	in->rc = rc;
	*ret = in->out;
	return in->z.avail_out < PIECE ? (ssize_t)(PIECE - in->z.avail_out) : rc;
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

static int look(struct zn__input *in)
{
	int rc = 1;

	while (in->raw_n < 2 && rc > 0)
		rc = fill(in);
	if (rc < 0)
		return rc;
	in->is_gzip = in->raw_n >= 2 && in->raw[0] == 0x1f && in->raw[1] == 0x8b;
	if (!in->is_gzip)
		return 0;
	in->can_seek = false;
	in->out = malloc(PIECE);
	in->in_member = true;
	return in->out && inflateInit2(&in->z, GZIP) == Z_OK ? 0 : -ENOMEM;
}

int zn__input_open(struct zn__input *in, const char *name)
{
	struct stat st;

	*in = (struct zn__input){ .fd = !strcmp(name, "-") ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC), .rc = 1 };
	int rc = in->fd < 0 || fstat(in->fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && !(in->raw = malloc(PIECE)))
		rc = -ENOMEM;
	if (rc == 0) {
		in->can_seek = S_ISREG(st.st_mode) && lseek(in->fd, 0, SEEK_CUR) == 0;
		posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		rc = look(in);
	}
	if (rc < 0)
		zn__input_done(in);
	return rc;
}

void zn__input_done(struct zn__input *in)
{
	if (in->fd > STDIN_FILENO)
		close(in->fd);
	if (in->is_gzip)
		inflateEnd(&in->z);
	free(in->raw);
	free(in->out);
	in->raw = in->out = NULL;
	in->is_gzip = false;
	in->fd = -1;
}

ssize_t zn__input_next(struct zn__input *in, const void **ret)
{
	if (in->is_gzip)
		return in->rc > 0 ? next_of_gzip(in, ret) : in->rc;
	if (in->rc > 0 && in->raw_at == in->raw_n) {
		int rc = fill(in);
		in->rc = in->can_seek && rc == 0 ? 1 : rc; /* one that can be read elsewhere has no end */
		if (rc <= 0)
			return rc;
	}
	if (in->rc <= 0)
		return in->rc;
	size_t n = in->raw_n - in->raw_at;
	*ret = in->raw + in->raw_at;
	in->raw_at = in->raw_n;
	return (ssize_t)n;
}

off_t zn__input_seek(struct zn__input *in, off_t to, int whence)
{
	if (whence == SEEK_CUR)
		to -= (off_t)(in->raw_n - in->raw_at);
	in->raw_at = in->raw_n = 0;
	off_t at = lseek(in->fd, to, whence);
	return at < 0 ? fail(in, -errno, strerrordesc_np(errno)) : at;
}

int zn__input_check(struct zn__input *in)
{
	const void *p;
	ssize_t n = in->is_gzip ? 1 : 0;

	while (n > 0)
		n = zn__input_next(in, &p);
	return (int)n;
}
