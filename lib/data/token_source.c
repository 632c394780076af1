/* Records of tokens as samples: of a Megatron data set, NAME.bin with NAME.idx, or of a file that is nothing but tokens. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/files.h"
#include "data/megatron.h"

enum { INDEX_MAX_GIB = 64 };

struct adding {
	struct zn_sources *sources;
	uint32_t stride;
	const enum zn_dtype *dtype;    /* NULL: the index says */
	struct zn_err *err;
};

/* NAME.bin and NAME.idx, whichever of the two was given, or neither. */
static int both_names(const char *name, char bin[PATH_MAX], char idx[PATH_MAX])
{
	size_t n = strlen(name);

	if (n > 4 && (!strcmp(name + n - 4, ".bin") || !strcmp(name + n - 4, ".idx")))
		n -= 4;
	return snprintf(bin, PATH_MAX, "%.*s.bin", (int)n, name) >= PATH_MAX || snprintf(idx, PATH_MAX, "%.*s.idx", (int)n, name) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* How many tokens, of which type, the index of a file of so many bytes says. */
static int ask_index(const char *idx, uint64_t bin_bytes, uint64_t *ret_tokens, enum zn_dtype *ret_dtype, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_megatron m;
	char *p;
	size_t n;
	int rc = zn_file_read(AT_FDCWD, idx, (size_t)INDEX_MAX_GIB << 30, &a, &p, &n);

	if (rc < 0)
		zn_err_set(err, rc, "%s", strerrordesc_np(-rc));
	if (rc == 0)
		rc = zn_megatron_open(&m, p, n, bin_bytes, err);
	if (rc == 0)
		rc = zn_megatron_stream(&m, ret_tokens, err);
	if (rc == 0)
		*ret_dtype = m.dtype;
	zn_arena_done(&a);
	return rc;
}

static int describe(struct zn_source *s, const struct adding *a, const char *idx)
{
	struct zn_err cause = { .text = "" };
	enum zn_dtype dtype = a->dtype ? *a->dtype : ZN_DTYPE_U16;
	uint64_t tokens = s->size / zn_dtype_bytes(dtype);
	int rc = a->dtype ? 0 : ask_index(idx, s->size, &tokens, &dtype, &cause);

	if (rc < 0)
		return zn_err_set(a->err, rc, "'%s': %s", idx, cause.text);
	rc = zn_tokens_init(&s->tokens, 0, tokens, dtype, a->stride, &cause);
	if (rc < 0)
		return zn_err_set(a->err, rc, "'%s': %s", s->name, cause.text);
	s->shape = zn_tokens_shape(&s->tokens);
	s->n = s->tokens.records;
	return 0;
}

static int add(void *arg, const char *name)
{
	const struct adding *a = arg;
	char bin[PATH_MAX], idx[PATH_MAX];
	struct stat st;
	int rc = both_names(name, bin, idx);
	const char *path = a->dtype ? name : bin;

	if (rc == 0)
		rc = zn__sources_add_archive(a->sources, ZN_SOURCE_TOKENS, path, 0);
	if (rc < 0)
		return zn_err_set(a->err, rc, "'%s': %s", name, strerrordesc_np(-rc));
	struct zn_source *s = &a->sources->v[a->sources->n - 1];
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return zn_err_set(a->err, -errno, "'%s': %s", path, strerrordesc_np(errno));
	s->direct_fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	s->size = (uint64_t)st.st_size;
	return describe(s, a, idx);
}

int zn_sources_add_tokens(struct zn_sources *s, const char *name, uint32_t stride, const enum zn_dtype *dtype, struct zn_err *err)
{
	struct adding a = { s, stride, dtype, err };

	return zn_braces_expand(name, add, &a, err);
}
