#include "data/unpack.h"

#include <errno.h>

#ifdef ZN_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/input.h"

enum { STUCK = 1 << 16 };              /* failures in a row without a byte between them */

struct zn__unpack {
	struct archive *archive;
	struct zn__input input;
	locale_t utf8;                 /* or 0: names that are not ASCII may be lost */
	char why[256];
	uint64_t stuck_at;
	unsigned stuck;
	uint64_t last;                 /* offset of the last member */
	bool is_lost, is_ended;
};

/* Not mtree, which reads whatever files it names, nor raw, to which everything is an archive. */
static int (*const formats[])(struct archive *) = {
	archive_read_support_format_tar, archive_read_support_format_zip, archive_read_support_format_cpio, archive_read_support_format_7zip,
	archive_read_support_format_rar, archive_read_support_format_rar5, archive_read_support_format_cab, archive_read_support_format_iso9660,
	archive_read_support_format_lha, archive_read_support_format_xar, archive_read_support_format_ar, archive_read_support_format_empty,
};
static int (*const filters[])(struct archive *) = {
	archive_read_support_filter_bzip2, archive_read_support_filter_xz, archive_read_support_filter_lzma, archive_read_support_filter_lzip,
	archive_read_support_filter_zstd, archive_read_support_filter_lz4, archive_read_support_filter_compress,
};

/* ---- what libarchive calls -------------------------------------------------------------------------------- */

static la_ssize_t give(struct archive *a, void *arg, const void **ret)
{
	struct zn__unpack *u = arg;
	ssize_t n = zn__input_next(&u->input, ret);

	if (n < 0)
		archive_set_error(a, (int)-n, "%s", u->input.why);
	return n < 0 ? ARCHIVE_FATAL : n;
}

static la_int64_t seek(struct archive *a, void *arg, la_int64_t to, int whence)
{
	struct zn__unpack *u = arg;
	off_t at = zn__input_seek(&u->input, to, whence);

	if (at < 0)
		archive_set_error(a, (int)-at, "%s", u->input.why);
	return at < 0 ? ARCHIVE_FATAL : at;
}

/* ---- what came of it -------------------------------------------------------------------------------------- */

static int say(struct zn__unpack *u, const char *fallback)
{
	const char *text = archive_error_string(u->archive);

	snprintf(u->why, sizeof(u->why), "%s", u->input.rc < 0 && u->input.why[0] ? u->input.why : text ? text : fallback);
	return ZN__UNPACKED_DAMAGE;
}

static int lose(struct zn__unpack *u)
{
	if (u->input.rc == -EINTR || u->input.rc == -ENOMEM)
		return u->input.rc;
	if (archive_errno(u->archive) == ENOMEM)
		return -ENOMEM;
	say(u, "it makes no sense");
	size_t n = strlen(u->why);
	snprintf(u->why + n, sizeof(u->why) - n, "%s", u->is_ended || u->is_lost ? "" : ": nothing behind it can be read");
	u->is_lost = true;
	return ZN__UNPACKED_LOST;
}

/* As far as it is known after a failure. */
static uint64_t unpacked_to(const struct zn__unpack *u)
{
	la_int64_t at = archive_filter_bytes(u->archive, 0);

	return at > (la_int64_t)u->last ? (uint64_t)at : u->last;
}

/* A format that says again and again that one thing can't be read would never end. */
static bool is_stuck(struct zn__unpack *u)
{
	uint64_t at = unpacked_to(u);

	u->stuck = at == u->stuck_at ? u->stuck + 1 : 0;
	u->stuck_at = at;
	return u->stuck > STUCK;
}

/* The archive's end, if the checksums behind it are right. */
static int end(struct zn__unpack *u)
{
	u->is_ended = true;
	return zn__input_check(&u->input) < 0 ? lose(u) : ZN__UNPACKED_END;
}

static void describe(struct archive_entry *e, struct zn__member *ret)
{
	const char *name = archive_entry_pathname(e);
	uint64_t size = archive_entry_size_is_set(e) && archive_entry_size(e) > 0 ? (uint64_t)archive_entry_size(e) : 0;

	ret->name = name ? name : archive_entry_pathname_utf8(e);
	ret->is_file = archive_entry_filetype(e) == AE_IFREG && (size || !archive_entry_hardlink(e));
	ret->size = size;
}

static int next(struct zn__unpack *u, struct zn__member *ret)
{
	struct archive_entry *e;
	int rc = archive_read_next_header(u->archive, &e);
	la_int64_t at = archive_read_header_position(u->archive);

	u->last = at > (la_int64_t)u->last ? (uint64_t)at : u->last;
	*ret = (struct zn__member){ .offset = rc == ARCHIVE_FATAL || rc == ARCHIVE_EOF ? unpacked_to(u) : u->last };
	switch (rc) {
	case ARCHIVE_OK: case ARCHIVE_WARN: /* of a name in another character set, which is taken as it is */
		describe(e, ret);
		return ZN__UNPACKED_ONE;
	case ARCHIVE_EOF:
		return end(u);
	case ARCHIVE_FATAL:
		return lose(u);
	default:
		return is_stuck(u) ? lose(u) : say(u, "its header makes no sense");
	}
}

/* libarchive asks the locale what a name's bytes are. */
int zn__unpack_next(struct zn__unpack *u, struct zn__member *ret)
{
	locale_t before = u->utf8 ? uselocale(u->utf8) : (locale_t)0;
	int rc = u->is_lost ? ZN__UNPACKED_LOST : ZN__UNPACKED_END;

	if (u->is_lost || u->is_ended)
		*ret = (struct zn__member){ .offset = unpacked_to(u) };
	else
		rc = next(u, ret);
	if (before)
		uselocale(before);
	return rc;
}

int zn__unpack_read(struct zn__unpack *u, const void **ret, size_t *ret_n, uint64_t *ret_at)
{
	la_int64_t at;

	switch (archive_read_data_block(u->archive, ret, ret_n, &at)) {
	case ARCHIVE_OK:
		*ret_at = (uint64_t)at;
		return ZN__UNPACKED_ONE;
	case ARCHIVE_EOF:
		return ZN__UNPACKED_END;
	case ARCHIVE_FATAL:
		return lose(u);
	default: /* also a warning: that is of a checksum */
		return say(u, "its bytes make no sense");
	}
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

/* Where it is no archive, that is found by the first that is asked of it. */
static int start(struct zn__unpack *u)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		rc = formats[i](u->archive) == ARCHIVE_FATAL ? -ENOMEM : rc;
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		rc = filters[i](u->archive) == ARCHIVE_FATAL ? -ENOMEM : rc;
	if (rc < 0)
		return rc;
	/* Else a block of zeros behind a damaged header would be the end of all. */
	archive_read_set_option(u->archive, "tar", "read_concatenated_archives", "1");
	archive_read_set_callback_data(u->archive, u);
	archive_read_set_read_callback(u->archive, give);
	if (u->input.can_seek)
		archive_read_set_seek_callback(u->archive, seek);
	rc = archive_read_open1(u->archive) < ARCHIVE_WARN ? lose(u) : 0;
	return rc < 0 ? rc : 0;
}

int zn__unpack_open(const char *name, struct zn__unpack **ret, struct zn_err *err)
{
	struct zn__unpack *u = calloc(1, sizeof(*u));
	int rc = u ? zn__input_open(&u->input, name) : -ENOMEM;

	if (rc < 0) {
		free(u);
		return zn_err_set(err, rc, "'%s': %s", name, strerrordesc_np(-rc));
	}
	u->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	u->archive = archive_read_new();
	rc = u->archive ? start(u) : -ENOMEM;
	if (rc < 0) {
		zn__unpack_free(u);
		return zn_err_set(err, rc, "'%s': %s", name, strerrordesc_np(-rc));
	}
	*ret = u;
	return 0;
}

void zn__unpack_free(struct zn__unpack *u)
{
	if (!u)
		return;
	archive_read_free(u->archive);
	zn__input_done(&u->input);
	if (u->utf8)
		freelocale(u->utf8);
	free(u);
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

#else

int zn__unpack_open(const char *name, struct zn__unpack **ret, struct zn_err *err)
{
	(void)ret;
	return zn_err_set(err, -ENOTSUP, "'%s' can only be read from its beginning, which takes libarchive, and this was built without it", name);
}

/* There is none that these could be asked of. */
void zn__unpack_free(struct zn__unpack *u) { (void)u; }
int zn__unpack_next(struct zn__unpack *u, struct zn__member *ret) { (void)u, (void)ret; return -ENOTSUP; }
int zn__unpack_read(struct zn__unpack *u, const void **ret, size_t *ret_n, uint64_t *ret_at) { (void)u, (void)ret, (void)ret_n, (void)ret_at; return -ENOTSUP; }
const char *zn__unpack_why(const struct zn__unpack *u) { (void)u; return ""; }
uint64_t zn__unpack_read_bytes(const struct zn__unpack *u) { (void)u; return 0; }
uint64_t zn__unpack_wait_ns(const struct zn__unpack *u) { (void)u; return 0; }

#endif
