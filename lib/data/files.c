#include "data/files.h"

#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/grow.h"
#include "data/gather.h"
#include "data/key.h"

struct walk {
	struct zn_sources *sources;
	struct zn_source *files;       /* NULL: there is none yet */
	size_t root_len;
	uint64_t n_files, cap_files, cap_samples, cap_flaws;
};

static char *lower(struct zn_arena *a, const char *p, size_t n)
{
	char *text = zn_arena_memdup(a, p, n);

	for (char *c = text; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

static bool can_get(const struct zn_source *s, const struct zn__files *sample, const struct zn_key *k)
{
	if (strlen(sample->key) != k->key_len || memcmp(sample->key, k->key, k->key_len))
		return false;
	for (uint32_t i = sample->first; i < sample->first + sample->n; i++)
		if (strlen(s->files[i].field) == k->field_len && !strncasecmp(s->files[i].field, k->field, k->field_len))
			return false;
	return sample->n < ZN__FIELDS_MAX;
}

/* A field of the sample before, if that has the same key and not this field, else of a new one.  Files come in the order of their
 * names, so those of one key follow each other.
 */
static int add_file(struct walk *w, const char *path, const struct zn_key *k, uint64_t size)
{
	struct zn_source *s = w->files;
	struct zn__files *last = s->n ? &s->samples[s->n - 1] : NULL;

	if (!last || !can_get(s, last, k)) {
		if (!zn_grow(&s->samples, s->n, &w->cap_samples, sizeof(*s->samples)))
			return -ENOMEM;
		last = &s->samples[s->n];
		*last = (struct zn__files){ zn_arena_memdup(&s->arena, k->key, k->key_len), (uint32_t)w->n_files, 0 };
		if (!last->key)
			return -ENOMEM;
		s->n++;
	}
	struct zn__file f = { zn_arena_strdup(&s->arena, path), size, lower(&s->arena, k->field, k->field_len) };
	if (w->n_files >= UINT32_MAX || !f.path || !f.field || !zn_grow(&s->files, w->n_files, &w->cap_files, sizeof(*s->files)))
		return -ENOMEM;
	s->files[w->n_files++] = f;
	last->n++;
	return 0;
}

static int add_flaw(struct walk *w, const char *path, const char *reason)
{
	struct zn_source *s = w->files;
	char *key = zn_arena_strdup(&s->arena, path);

	if (!key || !zn_grow(&s->flaws, s->n_flaws, &w->cap_flaws, sizeof(*s->flaws)))
		return -ENOMEM;
	s->flaws[s->n_flaws++] = (struct zn_flaw){ 0, key, reason };
	return 0;
}

/* A file without a dot in its name is a sample, too, whose field is "data"; one that begins with a dot, or is an index of ours, is none. */
static bool key_of(const char *name, struct zn_key *ret)
{
	const char *base = strrchr(name, '/');
	size_t n = strlen(name);

	base = base ? base + 1 : name;
	if (*base == '.' || (n > 4 && !strcmp(name + n - 4, ".zni")))
		return false;
	if (zn_key_split(name, n, ret))
		return true;
	*ret = (struct zn_key){ name, "data", n, 4 };
	return !strchr(base, '.');
}

static int take(struct walk *w, const FTSENT *f)
{
	uint64_t size = f->fts_info == FTS_F ? (uint64_t)f->fts_statp->st_size : 0;
	enum zn_source_kind kind;
	struct zn_key k;

	switch (f->fts_info) {
	case FTS_F:
		if (zn__is_archive_name(f->fts_name, &kind))
			return zn__sources_add_archive(w->sources, kind, f->fts_path, size);
		return key_of(f->fts_path + w->root_len, &k) ? add_file(w, f->fts_path, &k, size) : 0;
	case FTS_DC:
		return add_flaw(w, f->fts_path, "a directory that leads back to itself");
	case FTS_DNR: case FTS_ERR: case FTS_NS: case FTS_SLNONE:
		return add_flaw(w, f->fts_path, strerrordesc_np(f->fts_errno ? f->fts_errno : ENOENT));
	default:
		return 0;
	}
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The walk adds shards to the same array, so the files are kept aside until it is over. */
int zn__files_walk(struct zn_sources *s, const char *path, struct zn_err *err)
{
	char *const roots[] = { (char *)path, NULL };
	struct zn_source files = { .kind = ZN_SOURCE_FILES };
	struct walk w = { .sources = s, .files = &files, .root_len = strlen(path) };
	uint32_t before = s->n;
	FTS *fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	int rc = fts ? 0 : -errno;

	while (w.root_len && path[w.root_len - 1] == '/')
		w.root_len--;
	w.root_len++;
	errno = 0;
	for (FTSENT *f; rc == 0 && (f = fts_read(fts)); errno = 0)
		rc = take(&w, f);
	if (rc == 0 && errno)
		rc = -errno;
	if (fts)
		fts_close(fts);
	struct zn_source *to = rc == 0 && (files.n || files.n_flaws) ? zn__sources_add_files(s, path) : NULL;
	if (to) {
		files.name = to->name;
		files.fd = files.direct_fd = -1;
		*to = files;
	} else {
		rc = rc == 0 && (files.n || files.n_flaws) ? -ENOMEM : rc;
		free(files.files);
		free(files.samples);
		free(files.flaws);
		zn_arena_done(&files.arena);
	}
	if (rc < 0)
		return zn_err_set(err, rc, "'%s': %s", path, strerrordesc_np(-rc));
	return s->n > before ? 0 : zn_err_set(err, -ENOENT, "'%s' has no file in it", path);
}

int zn__files_one(struct zn_sources *s, const char *path, uint64_t size)
{
	struct walk w = { .sources = s, .files = zn__sources_add_files(s, path) };
	const char *base = strrchr(path, '/');
	struct zn_key k;

	if (!w.files)
		return -ENOMEM;
	base = base ? base + 1 : path;
	if (!zn_key_split(base, strlen(base), &k))
		k = (struct zn_key){ base, "data", strlen(base), 4 };
	return add_file(&w, path, &k, size);
}
