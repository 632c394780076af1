#include "data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/fetch.h"
#include "data/files.h"
#include "data/source_url.h"
#include "data/tar.h"

/* ---- what a name stands for ------------------------------------------------------------------------------- */

static struct zn_source *add(struct zn_sources *s, const char *name, enum zn_source_kind kind)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 16;
		struct zn_source *v = reallocarray(s->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	struct zn_source *source = &s->v[s->n];
	*source = (struct zn_source){ .kind = kind, .name = strdup(name), .fd = -1, .direct_fd = -1 };
	if (!source->name)
		return NULL;
	s->n++;
	return source;
}

int zn__sources_add_archive(struct zn_sources *s, enum zn_source_kind kind, const char *path, uint64_t size)
{
	struct zn_source *source = add(s, path, kind);

	if (source)
		source->size = size;
	return source ? 0 : -ENOMEM;
}

struct zn_source *zn__sources_add_files(struct zn_sources *s, const char *name)
{
	return add(s, name, ZN_SOURCE_FILES);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

bool zn__is_archive_name(const char *name, enum zn_source_kind *ret)
{
	static const char *const packed[] = {
		".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tar.lz4", ".tar.lz", ".tar.lzma", ".tar.Z", ".tgz", ".tzst", ".txz", ".tbz2", ".tbz",
		".zip", ".7z", ".cpio", ".cpio.gz", ".cpio.zst", ".cpio.xz", ".cpio.bz2", ".rar", ".cab", ".iso", ".lha", ".xar",
	};
	bool is_tar = ends_with(name, ".tar"), is = is_tar;

	for (size_t i = 0; i < sizeof(packed) / sizeof(*packed) && !is; i++)
		is = ends_with(name, packed[i]);
	if (is)
		*ret = is_tar ? ZN_SOURCE_TAR : ZN_SOURCE_STREAM;
	return is;
}

/* Whether it begins as an archive does. */
static bool is_tar(const char *path)
{
	char block[ZN_TAR_BLOCK];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && read(fd, block, sizeof(block)) == sizeof(block) && zn_tar_resync(block, sizeof(block)) == 0;

	if (fd >= 0)
		close(fd);
	return is;
}

struct adding { struct zn_sources *s; struct zn_err *err; };

static int add_once(struct zn_sources *s, const char *name)
{
	int rc = zn__sources_add_archive(s, ZN_SOURCE_STREAM, name, 0);

	if (rc == 0)
		s->v[s->n - 1].is_once = true;
	return rc;
}

static int add_regular(struct zn_sources *s, const char *name, uint64_t size)
{
	enum zn_source_kind kind = ZN_SOURCE_TAR;

	return zn__is_archive_name(name, &kind) || is_tar(name) ? zn__sources_add_archive(s, kind, name, size) : zn__files_one(s, name, size);
}

static int add_name(void *arg, const char *name)
{
	struct adding *a = arg;
	struct stat st;

	if (stat(name, &st) < 0)
		return zn_err_set(a->err, -errno, "'%s': %s", name, strerrordesc_np(errno));
	if (S_ISDIR(st.st_mode))
		return zn__files_walk(a->s, name, a->err);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return zn_err_set(a->err, -EINVAL, "'%s' is neither a file, a directory nor a FIFO", name);
	int rc = S_ISFIFO(st.st_mode) ? add_once(a->s, name) : add_regular(a->s, name, (uint64_t)st.st_size);
	return rc == -ENOMEM ? zn_err_set(a->err, rc, "out of memory") : rc;
}

/* What ends a path as a packed archive does; anything else must be a tar archive, whatever its name. */
static bool is_packed_url(const char *name, struct zn_arena *a)
{
	const char *path = zn_arena_memdup(a, name, zn_url_path_end(name));
	enum zn_source_kind kind;

	return path && zn__is_archive_name(path, &kind) && kind == ZN_SOURCE_STREAM;
}

static int add_url(void *arg, const char *name)
{
	struct adding *a = arg;
	struct zn_url *u = NULL;
	int rc = zn_url_new(name, &u, a->err);

#ifndef ZN_WITH_LIBCURL
	if (rc == 0)
		rc = zn_err_set(a->err, -ENOTSUP, "'%s': a URL needs libcurl, and this was built without it", name);
#endif
	if (rc == 0 && is_packed_url(name, &u->arena))
		rc = zn_err_set(a->err, -ENOTSUP, "'%s': a packed archive has no samples that can be asked for one by one: fetch it, and pipe it in", name);
	if (rc == 0 && zn__sources_add_archive(a->s, ZN_SOURCE_TAR, name, 0) < 0)
		rc = zn_err_set(a->err, -ENOMEM, "out of memory");
	if (rc < 0)
		zn_url_free(u);
	else
		a->s->v[a->s->n - 1].url = u;
	return rc;
}

int zn_sources_add(struct zn_sources *s, const char *name, struct zn_err *err)
{
	struct adding a = { s, err };
	struct stat st;

	if (zn_url_is(name))
		return zn_braces_expand(name, add_url, &a, err);
	if (!strcmp(name, "-"))
		return add_once(s, name) < 0 ? zn_err_set(err, -ENOMEM, "out of memory") : 0;
	return stat(name, &st) == 0 ? add_name(&a, name) : zn_braces_expand(name, add_name, &a, err); /* a name may have braces in it */
}

bool zn_sources_have_stream(const struct zn_sources *s)
{
	bool have = false;

	for (uint32_t i = 0; i < s->n; i++)
		have |= s->v[i].kind == ZN_SOURCE_STREAM;
	return have;
}

bool zn_sources_have_url(const struct zn_sources *s)
{
	bool have = false;

	for (uint32_t i = 0; i < s->n; i++)
		have |= s->v[i].url != NULL;
	return have;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

static ssize_t read_shard(void *arg, void *p, size_t n, uint64_t at)
{
	struct zn_source *s = arg;
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(s->fd, (char *)p + done, n - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : (ssize_t)done;
		done += (size_t)got;
	}
	return (ssize_t)n;
}

int zn_index_path(const char *shard, char *to, size_t size)
{
	int n = snprintf(to, size, "%s.zni", shard);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static void note(const struct zn_source_opts *opts, const struct zn_source *s, const char *what, const char *why)
{
	char text[8192];

	if (!opts->note)
		return;
	snprintf(text, sizeof(text), "%s: %s", what, why);
	opts->note(opts->arg, s->name, text);
}

/* Whatever an index is of: where it is kept (NULL: nowhere), and what the shard is like. */
struct kept { const char *path; struct zn_index_of of; const char *why; };

static int build_local(struct zn_source *s, struct zn_err *err)
{
	struct zn_blob blob = { s->size, read_shard, s };
	struct zn_err cause = { .text = "" };

	posix_fadvise(s->fd, 0, 0, POSIX_FADV_RANDOM); /* headers lie far from each other */
	int rc = zn_index_build(&blob, &s->index, &cause);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_NORMAL);
	return rc < 0 ? zn_err_set(err, rc, "'%s': %s", s->name, cause.text) : 0;
}

/* An index of a URL lies in a directory that may not be there yet. */
static int write_index(const struct zn_source *s, const struct kept *k, struct zn_err *err)
{
	char *dir = s->url ? strdup(k->path) : NULL, *slash = dir ? strrchr(dir, '/') : NULL;
	int rc = 0;

	if (slash) {
		*slash = 0;
		rc = zn_mkdirs(dir, 0700, err);
	}
	free(dir);
	return rc < 0 ? rc : zn_index_write(k->path, &k->of, &s->index, err);
}

static void keep(const struct zn_source *s, const struct zn_source_opts *opts, const struct kept *k)
{
	struct zn_err cause = { .text = "" };

	if (!opts->keep)
		return;
	if (!k->path)
		note(opts, s, "index not kept", k->why);
	else if (s->index.is_partial)
		note(opts, s, "index not kept", "a part of the shard could not be read");
	else if (write_index(s, k, &cause) < 0)
		note(opts, s, "index not kept", cause.text);
}

/* Whether it was there. */
static bool read_index(struct zn_source *s, const struct zn_source_opts *opts, struct kept *k)
{
	int rc = k->path && !opts->anew ? zn_index_read(k->path, &k->of, &s->index, &k->why) : 0;

	if (rc > 0)
		note(opts, s, "index read", k->path);
	if (rc < 0)
		k->why = rc == -EBADMSG ? "the one there is damaged" : strerrordesc_np(-rc);
	return rc > 0;
}

static int find_index(struct zn_source *s, const struct zn_source_opts *opts, struct kept *k, struct zn_fetcher *f, struct zn_err *err)
{
	int rc = 0;

	if (!read_index(s, opts, k)) {
		rc = s->url ? zn__url_index_build(s, f, err) : build_local(s, err);
		if (rc == 0) {
			note(opts, s, "index built", k->why);
			keep(s, opts, k);
		}
	}
	s->n = s->index.n;
	return rc;
}

static int open_file(struct zn_source *s, const struct zn_source_opts *opts, struct zn_err *err)
{
	struct stat st;
	char path[4096];

	s->fd = open(s->name, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return zn_err_set(err, -errno, errno == EMFILE ? "'%s': too many shards are open: raise ulimit -n" : "'%s': %s", s->name, strerrordesc_np(errno));
	s->direct_fd = open(s->name, O_RDONLY | O_CLOEXEC | O_DIRECT);
	s->size = (uint64_t)st.st_size;
	struct kept k = { .of = { s->size, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec }, .why = "asked for" };
	if (zn_index_path(s->name, path, sizeof(path)) == 0)
		k.path = path;
	else
		k.why = "the name of its file is too long";
	return find_index(s, opts, &k, NULL, err);
}

static int open_url(struct zn_source *s, const struct zn_source_opts *opts, struct zn_fetcher *f, struct zn_err *err)
{
	struct kept k = { .why = "asked for" };
	char path[4096];
	int rc = zn__url_ask(s, f, err);

	if (rc < 0)
		return rc;
	if (zn__url_index_path(s->url, path, sizeof(path), &k.of, &k.why) == 0) {
		k.path = path;
		k.why = "asked for";
	}
	return find_index(s, opts, &k, f, err);
}

/* Shards are opened by several threads, each of which takes the next. */
struct opening {
	struct zn_sources *sources;
	const struct zn_source_opts *opts;
	struct zn_fetcher *fetcher;    /* of all of them; NULL: nothing lies at a URL */
	pthread_mutex_t lock;
	uint32_t next;
	int rc;                        /* the first that failed, by its place */
	uint32_t failed;
	struct zn_err err;
};

static bool take_next(struct opening *o, uint32_t *ret)
{
	pthread_mutex_lock(&o->lock);
	bool is = o->rc == 0 && o->next < o->sources->n;
	if (is)
		*ret = o->next++;
	pthread_mutex_unlock(&o->lock);
	return is;
}

static void fail(struct opening *o, uint32_t at, int rc, const struct zn_err *err)
{
	pthread_mutex_lock(&o->lock);
	if (o->rc == 0 || at < o->failed) {
		o->rc = rc;
		o->failed = at;
		o->err = *err;
	}
	pthread_mutex_unlock(&o->lock);
}

static void *open_some(void *arg)
{
	struct opening *o = arg;
	uint32_t at;

	while (take_next(o, &at)) {
		struct zn_source *s = &o->sources->v[at];
		struct zn_err err = { .text = "" };
		int rc = s->url ? open_url(s, o->opts, o->fetcher, &err) : s->kind == ZN_SOURCE_TAR ? open_file(s, o->opts, &err) : 0;
		if (rc < 0)
			fail(o, at, rc, &err);
	}
	return NULL;
}

static void open_all(struct opening *o, unsigned most)
{
	enum { THREADS_MAX = 64 };
	pthread_t threads[THREADS_MAX];
	unsigned n = 0, want = most < o->sources->n ? most : o->sources->n;

	while (n + 1 < want && n < THREADS_MAX && pthread_create(&threads[n], NULL, open_some, o) == 0)
		n++;
	open_some(o);
	while (n)
		pthread_join(threads[--n], NULL);
}

int zn_sources_open(struct zn_sources *s, const struct zn_source_opts *opts, struct zn_err *err)
{
	enum { AT_ONCE = 16, RANGES = 32 }; /* who waits for a server needs no CPU */
	struct opening o = { .sources = s, .opts = opts, .lock = PTHREAD_MUTEX_INITIALIZER };
	bool have_url = zn_sources_have_url(s);
	int rc = have_url ? zn_fetcher_new(RANGES, &o.fetcher) : 0;

	if (rc < 0)
		return zn_err_set(err, rc, "can't fetch anything: %s", strerrordesc_np(-rc));
	open_all(&o, have_url && opts->threads < AT_ONCE ? AT_ONCE : opts->threads);
	zn_fetcher_free(o.fetcher);
	return o.rc < 0 ? zn_err_set(err, o.rc, "%s", o.err.text) : 0;
}

void zn_sources_done(struct zn_sources *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct zn_source *source = &s->v[i];
		if (source->fd >= 0)
			close(source->fd);
		if (source->direct_fd >= 0)
			close(source->direct_fd);
		zn_url_free(source->url);
		zn_index_done(&source->index);
		free(source->files);
		free(source->samples);
		free(source->flaws);
		zn_arena_done(&source->arena);
		free(source->name);
	}
	free(s->v);
	*s = (struct zn_sources){ .n = 0 };
}
