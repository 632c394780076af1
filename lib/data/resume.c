#include "data/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "rec/field.h"
#include "rec/val.h"

enum { LINE = 512 };

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_resume, data, STR, "DATA", "the digest of the sources"),
	ZN_FIELD(struct zn_resume, order, STR, "ORDER", "what the order depends on"),
	ZN_FIELD(struct zn_resume, epoch, U64, "EPOCH", "from 0"),
	ZN_FIELD(struct zn_resume, next, U64, "NEXT", "samples of it that all ranks have had"),
	{ 0 },
};
static const struct zn_kind kind = { "resume", "how far a rank has come", fields, sizeof(struct zn_resume), NULL };

int zn_sources_digest(const struct zn_sources *s, char to[ZN_DATA_DIGEST])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL);

	for (uint32_t i = 0; ok && i < s->n; i++) {
		const uint64_t v[3] = { s->v[i].kind, s->v[i].n, s->v[i].size };
		ok = EVP_DigestUpdate(c, v, sizeof(v));
		if (ok && s->v[i].kind == ZN_SOURCE_STREAM) /* of which nobody knows how many samples there are */
			ok = EVP_DigestUpdate(c, s->v[i].name, strlen(s->v[i].name) + 1);
	}
	ok = ok && EVP_DigestFinal_ex(c, sum, NULL);
	EVP_MD_CTX_free(c);
	if (!ok)
		return -ENOMEM;
	for (size_t i = 0; i < (ZN_DATA_DIGEST - 1) / 2; i++) {
		to[2 * i] = "0123456789abcdef"[sum[i] >> 4];
		to[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
	}
	to[ZN_DATA_DIGEST - 1] = 0;
	return 0;
}

/* ---- the line --------------------------------------------------------------------------------------------- */

static int put_line(const struct zn_resume *state, char line[LINE])
{
	struct zn_buf packed = { 0 }, text = { 0 };
	struct zn_arena a = { 0 };
	msgpack_object v;
	int rc = zn_encode(&kind, state, &packed);

	if (rc == 0)
		rc = zn_val_unpack(packed.data, packed.len, 0, &a, &v, NULL);
	if (rc == 0)
		rc = zn_val_to_json(&v, &text);
	if (rc == 0 && text.len >= LINE)
		rc = -EOVERFLOW;
	if (rc == 0) {
		memset(line, ' ', LINE - 1);
		memcpy(line, text.data, text.len);
		line[LINE - 1] = '\n';
	}
	zn_buf_done(&packed);
	zn_buf_done(&text);
	zn_arena_done(&a);
	return rc;
}

static int decode(const char *line, size_t n, struct zn_arena *a, struct zn_resume *ret, struct zn_err *err)
{
	struct zn_buf packed = { 0 };
	msgpack_object v;
	int rc = zn_json_to_msgpack(line, n, 0, &packed, err);

	if (rc == 0)
		rc = zn_val_unpack(packed.data, packed.len, 0, a, &v, err);
	if (rc == 0 && !zn_val_is_text(zn_val_get(&v, "kind"), "resume"))
		rc = zn_err_set(err, -EBADMSG, "no state of a loader");
	if (rc == 0)
		rc = zn_decode(&kind, &v, a, ret, err);
	if (rc == 0 && (!ret->data || !ret->order))
		rc = zn_err_set(err, -EBADMSG, "no state of a loader");
	zn_buf_done(&packed);
	return rc;
}

int zn_resume_read(const char *path, struct zn_arena *a, struct zn_resume *ret, struct zn_err *err)
{
	struct zn_err cause = { .text = "" };
	char *line;
	size_t n;
	int rc = zn_file_read(AT_FDCWD, path, LINE, a, &line, &n);

	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		rc = decode(line, n, a, ret, &cause);
	return rc < 0 ? zn_err_set(err, rc, "'%s': %s", path, cause.text[0] ? cause.text : strerrordesc_np(-rc)) : 1;
}

int zn_resume_open(const char *path, const struct zn_resume *state, struct zn_err *err)
{
	char line[LINE];
	int rc = put_line(state, line);

	if (rc == 0)
		rc = zn_file_replace(path, line, sizeof(line), 0644, err);
	if (rc < 0)
		return rc;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? zn_err_set(err, -errno, "can't open '%s': %s", path, strerrordesc_np(errno)) : fd;
}

int zn_resume_note(int fd, const struct zn_resume *state)
{
	char line[LINE];
	int rc = put_line(state, line);

	if (rc < 0)
		return rc;
	ssize_t n = pwrite(fd, line, sizeof(line), 0);
	return n < 0 ? -errno : n < (ssize_t)sizeof(line) ? -ENOSPC : 0;
}
