/* shard: tar headers, the index of an archive and the file that keeps one, under libFuzzer (scripts/fuzz).  The first byte
 * chooses what the rest is taken for.  Beside not crashing, what comes out must be true: a header is within its bytes, a
 * sample within its archive, and an index that is written is read as it was.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/gather.h"
#include "data/index.h"
#include "data/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition) do { if (!(condition)) abort(); } while (0)

enum { HEAD = 72, AT_SIZE = 8, AT_MTIME = 16, AT_CRC = 64 }; /* of a file with an index */

struct bytes { const uint8_t *p; size_t n; };

static ssize_t read_bytes(void *arg, void *to, size_t n, uint64_t at)
{
	const struct bytes *b = arg;

	must(at <= b->n);
	n = n < b->n - at ? n : b->n - at;
	memcpy(to, b->p + at, n);
	return (ssize_t)n;
}

/* ---- headers ---------------------------------------------------------------------------------------------- */

static void fuzz_head(const uint8_t *p, size_t n)
{
	struct zn_tar_head h;
	const char *why = NULL;
	size_t need = 0;
	ssize_t rc = zn_tar_head(p, n, &h, &need, &why);

	must(rc == -EBADMSG || (rc >= 0 && (size_t)rc <= n));
	must(rc >= 0 || *why);
	must(rc != 0 || (need > n && need <= ZN_TAR_HEADS_MAX));
	must(rc <= 0 || h.kind == ZN_TAR_END || (!memchr(h.name ? h.name : "", 0, h.name_len) && rc % ZN_TAR_BLOCK == 0));
	must(zn_tar_resync(p, n) <= n);
}

/* ---- an index --------------------------------------------------------------------------------------------- */

static void walk(const struct zn_index *x, uint64_t size)
{
	size_t length = 0;

	for (uint64_t i = 0; i < x->n; i++) {
		struct zn_span s[ZN__FIELDS_MAX];
		size_t n = zn_index_spans(x, i, s, ZN__FIELDS_MAX);
		must(n && n <= ZN__FIELDS_MAX);
		for (size_t k = 0; k < n; k++)
			must(s[k].bytes && s[k].offset < size && s[k].bytes <= zn_tar_padded(size - s[k].offset));
	}
	for (uint64_t i = 0; i < x->n_flaws; i++)
		length += strlen(x->flaws[i].reason) + (x->flaws[i].key ? strlen(x->flaws[i].key) : 0);
	must(length < SIZE_MAX);
}

static void same(const struct zn_index *x, const struct zn_index *y)
{
	must(x->n == y->n && x->n_parts == y->n_parts && x->n_flaws == y->n_flaws && x->n_other == y->n_other);
	must(!x->n || (!memcmp(x->offsets, y->offsets, x->n * sizeof(*x->offsets)) && !memcmp(x->blocks, y->blocks, x->n * sizeof(*x->blocks))));
	for (uint64_t i = 0; i < x->n_flaws; i++) {
		const struct zn_flaw *a = &x->flaws[i], *b = &y->flaws[i];
		must(a->offset == b->offset && !strcmp(a->reason, b->reason) && !a->key == !b->key && (!a->key || !strcmp(a->key, b->key)));
	}
}

static const char *a_path(void)
{
	static char path[64];

	if (!path[0])
		snprintf(path, sizeof(path), "%s/zn-fuzz-%d.zni", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	return path;
}

static void fuzz_build(const uint8_t *p, size_t n)
{
	struct bytes b = { p, n };
	struct zn_blob blob = { n, read_bytes, &b };
	struct zn_index_of of = { n, 1 };
	struct zn_err err = { "" };
	struct zn_index x, y;
	const char *why;
	int rc = zn_index_build(&blob, &x, &err);

	must(rc == 0 || (rc == -EBADMSG && *err.text));
	if (rc < 0)
		return;
	walk(&x, n);
	if (n % 8 == 0) { /* files are slow */
		must(zn_index_write(a_path(), &of, &x, &err) == 0 && zn_index_read(a_path(), &of, &y, &why) == 1);
		same(&x, &y);
		zn_index_done(&y);
		unlink(a_path());
	}
	zn_index_done(&x);
}

/* The same, each block's checksum made right where it has a magic number. */
static void fuzz_summed(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	must(copy);
	memcpy(copy, p, n);
	for (size_t at = 0; at + ZN_TAR_BLOCK <= n; at += ZN_TAR_BLOCK) {
		uint8_t *h = copy + at;
		unsigned sum = 0;
		if (memcmp(h + 257, "ustar", 5))
			continue;
		memset(h + 148, ' ', 8);
		for (size_t i = 0; i < ZN_TAR_BLOCK; i++)
			sum += h[i];
		snprintf((char *)h + 148, 8, "%06o", sum);
	}
	fuzz_head(copy, n);
	fuzz_build(copy, n);
	free(copy);
}

/* ---- a file with one -------------------------------------------------------------------------------------- */

/* Magic number and checksum are made right, else nothing behind them would ever be looked at. */
static void fuzz_file(const uint8_t *p, size_t n)
{
	static const uint64_t magic = UINT64_C(0x31585844494e5a01);
	struct zn_index_of of = { 0, 0 };
	struct zn_index x;
	const char *why;
	char path[64];
	int fd = memfd_create("index", MFD_CLOEXEC);
	uint8_t *copy = malloc(n ? n : 1);

	must(fd >= 0 && copy);
	memcpy(copy, p, n);
	if (n >= HEAD) {
		memcpy(copy, &magic, sizeof(magic));
		memcpy(&of.size, copy + AT_SIZE, sizeof(of.size));
		memcpy(&of.mtime_ns, copy + AT_MTIME, sizeof(of.mtime_ns));
		memset(copy + AT_CRC, 0, 4);
		uint32_t crc = (uint32_t)crc32(0, copy, (uInt)n);
		memcpy(copy + AT_CRC, &crc, sizeof(crc));
	}
	must(write(fd, copy, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int rc = zn_index_read(path, &of, &x, &why);
	must(rc == 1 || rc == -EBADMSG);
	if (rc == 1) {
		walk(&x, of.size);
		zn_index_done(&x);
	}
	free(copy);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const targets[])(const uint8_t *, size_t) = { fuzz_head, fuzz_build, fuzz_summed, fuzz_file };

	if (n)
		targets[data[0] % (sizeof(targets) / sizeof(*targets))](data + 1, n - 1);
	return 0;
}
