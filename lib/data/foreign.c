#include "data/foreign.h"

#include <errno.h>
#include <string.h>

bool zn__foreign_is_packed(const void *p, size_t n)
{
	static const char *const magics[] = {
		"\3757zXZ", "\x28\xb5\x2f\xfd", "BZh", "\x04\x22\x4d\x18", "LZIP", "\x1f\x9d", "\x5d\0\0",
	};
	static const size_t lens[] = { 5, 4, 3, 4, 4, 2, 3 };

	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++)
		if (n >= lens[i] && !memcmp(p, magics[i], lens[i]))
			return true;
	return false;
}

#ifdef ZN_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

enum { STUCK = 1 << 16 };              /* failures in a row without a byte between them */

struct zn__foreign {
	struct archive *archive;
	struct zn__bytes from;
	locale_t utf8;                 /* or 0: names that are not ASCII may be lost */
	char why[256];
	int from_rc, rc;               /* from_rc: a failure of from; rc: what is packed is over: 1: it is not */
	bool is_entered;               /* what is packed */
	bool in_damage;
	uint64_t stuck_at;
	unsigned stuck;
	uint64_t last;                 /* offset of the last member */
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
static int (*const packed[])(struct archive *) = { archive_read_support_format_raw, archive_read_support_format_empty };

/* ---- what libarchive calls -------------------------------------------------------------------------------- */

static la_ssize_t give(struct archive *a, void *arg, const void **ret)
{
	struct zn__foreign *f = arg;
	ssize_t n = f->from.next(f->from.arg, ret);

	f->from_rc = n < 0 ? (int)n : 0;
	if (n < 0)
		archive_set_error(a, (int)-n, "%s", f->from.why);
	return n < 0 ? ARCHIVE_FATAL : n;
}

static la_int64_t seek(struct archive *a, void *arg, la_int64_t to, int whence)
{
	struct zn__foreign *f = arg;
	off_t at = f->from.seek(f->from.arg, to, whence);

	f->from_rc = at < 0 ? (int)at : 0;
	if (at < 0)
		archive_set_error(a, (int)-at, "%s", f->from.why);
	return at < 0 ? ARCHIVE_FATAL : at;
}

/* ---- what came of it -------------------------------------------------------------------------------------- */

static int say(struct zn__foreign *f, const char *fallback)
{
	const char *text = archive_error_string(f->archive);

	snprintf(f->why, sizeof(f->why), "%s", f->from_rc < 0 && f->from.why[0] ? f->from.why : text ? text : fallback);
	return ZN__UNPACKED_DAMAGE;
}

static int lose(struct zn__foreign *f)
{
	if (f->from_rc == -EINTR || f->from_rc == -ENOMEM)
		return f->from_rc;
	if (archive_errno(f->archive) == ENOMEM)
		return -ENOMEM;
	say(f, "it makes no sense");
	return ZN__UNPACKED_LOST;
}

/* As far as it is known after a failure. */
static uint64_t unpacked_to(const struct zn__foreign *f)
{
	la_int64_t at = archive_filter_bytes(f->archive, 0);

	return at > (la_int64_t)f->last ? (uint64_t)at : f->last;
}

/* A format that says again and again that one thing can't be read would never end. */
static bool is_stuck(struct zn__foreign *f)
{
	uint64_t at = unpacked_to(f);

	f->stuck = at == f->stuck_at ? f->stuck + 1 : 0;
	f->stuck_at = at;
	return f->stuck > STUCK;
}

static void describe(struct archive_entry *e, struct zn__member *ret)
{
	const char *name = archive_entry_pathname(e);
	uint64_t size = archive_entry_size_is_set(e) && archive_entry_size(e) > 0 ? (uint64_t)archive_entry_size(e) : 0;

	ret->name = name ? name : archive_entry_pathname_utf8(e);
	ret->name_len = ret->name ? strlen(ret->name) : 0;
	ret->is_file = archive_entry_filetype(e) == AE_IFREG && (size || !archive_entry_hardlink(e));
	ret->size = size;
}

static int next(struct zn__foreign *f, struct zn__member *ret)
{
	struct archive_entry *e;
	int rc = archive_read_next_header(f->archive, &e);
	la_int64_t at = archive_read_header_position(f->archive);

	f->last = at > (la_int64_t)f->last ? (uint64_t)at : f->last;
	*ret = (struct zn__member){ .offset = rc == ARCHIVE_FATAL || rc == ARCHIVE_EOF ? unpacked_to(f) : f->last };
	switch (rc) {
	case ARCHIVE_OK: case ARCHIVE_WARN: /* of a name in another character set, which is taken as it is */
		describe(e, ret);
		return ZN__UNPACKED_ONE;
	case ARCHIVE_EOF:
		return ZN__UNPACKED_END;
	case ARCHIVE_FATAL:
		return lose(f);
	default:
		return is_stuck(f) ? lose(f) : say(f, "its header makes no sense");
	}
}

/* libarchive asks the locale what a name's bytes are.  All that is damaged up to the next member is one damage. */
int zn__foreign_next(struct zn__foreign *f, struct zn__member *ret)
{
	locale_t before = f->utf8 ? uselocale(f->utf8) : (locale_t)0;
	int rc;

	do
		rc = next(f, ret);
	while (rc == ZN__UNPACKED_DAMAGE && f->in_damage);
	f->in_damage = rc == ZN__UNPACKED_DAMAGE;
	if (before)
		uselocale(before);
	return rc;
}

int zn__foreign_read(struct zn__foreign *f, const void **ret, size_t *ret_n, uint64_t *ret_at)
{
	la_int64_t at;

	switch (archive_read_data_block(f->archive, ret, ret_n, &at)) {
	case ARCHIVE_OK:
		*ret_at = (uint64_t)at;
		return ZN__UNPACKED_ONE;
	case ARCHIVE_EOF:
		return ZN__UNPACKED_END;
	case ARCHIVE_FATAL:
		return lose(f);
	default: /* also a warning: that is of a checksum */
		return say(f, "its bytes make no sense");
	}
}

/* ---- what is packed --------------------------------------------------------------------------------------- */

static ssize_t fail(struct zn__foreign *f)
{
	int rc = lose(f);

	return f->rc = rc < 0 ? rc : f->from_rc < 0 ? f->from_rc : -EBADMSG;
}

static ssize_t next_bytes(void *arg, const void **ret)
{
	struct zn__foreign *f = arg;
	struct archive_entry *e;
	la_int64_t at;
	size_t n = 0;

	if (f->rc <= 0)
		return f->rc;
	int rc = f->is_entered ? ARCHIVE_OK : archive_read_next_header(f->archive, &e);
	f->is_entered = true;
	while (rc >= ARCHIVE_WARN && rc != ARCHIVE_EOF && !n)
		rc = archive_read_data_block(f->archive, ret, &n, &at);
	if (rc == ARCHIVE_EOF)
		f->rc = 0;
	return rc == ARCHIVE_EOF ? 0 : rc < ARCHIVE_WARN ? fail(f) : (ssize_t)n;
}

struct zn__bytes zn__foreign_bytes(struct zn__foreign *f)
{
	return (struct zn__bytes){ .next = next_bytes, .arg = f, .why = f->why };
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static int support(struct archive *a, int (*const v[])(struct archive *), size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		rc = v[i](a) == ARCHIVE_FATAL ? -ENOMEM : rc;
	return rc;
}

/* Where it is no archive, that is found by the first that is asked of it. */
static int start(struct zn__foreign *f, bool is_packed)
{
	int rc = support(f->archive, filters, sizeof(filters) / sizeof(*filters));

	if (rc == 0)
		rc = is_packed ? support(f->archive, packed, sizeof(packed) / sizeof(*packed))
		               : support(f->archive, formats, sizeof(formats) / sizeof(*formats));
	if (rc < 0)
		return rc;
	/* Else a block of zeros behind a damaged header would be the end of all. */
	archive_read_set_option(f->archive, "tar", "read_concatenated_archives", "1");
	archive_read_set_callback_data(f->archive, f);
	archive_read_set_read_callback(f->archive, give);
	if (f->from.seek)
		archive_read_set_seek_callback(f->archive, seek);
	rc = archive_read_open1(f->archive) < ARCHIVE_WARN ? lose(f) : 0;
	return rc < 0 ? rc : 0;
}

int zn__foreign_new(const struct zn__bytes *from, bool is_packed, struct zn__foreign **ret)
{
	struct zn__foreign *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->from = *from;
	f->rc = 1;
	f->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	f->archive = archive_read_new();
	int rc = f->archive ? start(f, is_packed) : -ENOMEM;
	if (rc < 0)
		zn__foreign_free(f);
	else
		*ret = f;
	return rc;
}

void zn__foreign_free(struct zn__foreign *f)
{
	if (!f)
		return;
	archive_read_free(f->archive);
	if (f->utf8)
		freelocale(f->utf8);
	free(f);
}

const char *zn__foreign_why(const struct zn__foreign *f)
{
	return f->why;
}

#else

int zn__foreign_new(const struct zn__bytes *from, bool is_packed, struct zn__foreign **ret)
{
	(void)from, (void)is_packed, (void)ret;
	return -ENOTSUP;
}

/* There is none that these could be asked of. */
void zn__foreign_free(struct zn__foreign *f) { (void)f; }
struct zn__bytes zn__foreign_bytes(struct zn__foreign *f) { (void)f; return (struct zn__bytes){ .why = "" }; }
int zn__foreign_next(struct zn__foreign *f, struct zn__member *ret) { (void)f, (void)ret; return -ENOTSUP; }
int zn__foreign_read(struct zn__foreign *f, const void **ret, size_t *ret_n, uint64_t *ret_at) { (void)f, (void)ret, (void)ret_n, (void)ret_at; return -ENOTSUP; }
const char *zn__foreign_why(const struct zn__foreign *f) { (void)f; return ""; }

#endif
