/* compare: a result beside the one of the same name in a file of earlier ones. */
#include "bench/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "rec/reader.h"
#include "rec/wire.h"

static int keep(struct zn_bench_before *b, const struct zn_rec *rec, const char *path, struct zn_err *err)
{
	struct zn_bench_result *v = zn_arena_array(&b->arena, b->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (b->n)
		memcpy(v, b->v, b->n * sizeof(*v));
	int rc = zn_decode(&zn_bench_kind, &rec->map, &b->arena, &v[b->n], err);
	if (rc == 0 && (!v[b->n].bench || !v[b->n].name || !(v[b->n].median > 0)))
		rc = zn_err_set(err, -EBADMSG, "the record at byte %llu of '%s' is no result of zn-bench", (unsigned long long)rec->offset, path);
	if (rc < 0)
		return rc;
	b->v = v;
	b->n++;
	return 0;
}

int zn_bench_before_read(const char *path, struct zn_bench_before *ret, struct zn_err *err)
{
	struct zn_reader *r = NULL;
	struct zn_rec rec;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? zn_err_set(err, -errno, "can't open '%s': %s", path, strerror(errno)) : zn_reader_new(fd, &r);

	*ret = (struct zn_bench_before){ 0 };
	while (rc >= 0 && (rc = zn_reader_next(r, &rec, err)) == 1)
		if (zn_val_is_text(zn_val_get(&rec.map, "kind"), zn_bench_kind.name) && (rc = keep(ret, &rec, path, err)) < 0)
			break;
	zn_reader_free(r);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		zn_arena_done(&ret->arena);
	return rc;
}

void zn_bench_before_compare(const struct zn_bench_before *b, const char *path, struct zn_bench_result *r)
{
	for (size_t i = 0; i < b->n; i++) {
		if (strcmp(b->v[i].bench, r->bench) || strcmp(b->v[i].name, r->name))
			continue;
		r->against = path;
		r->peer_median = ZN_SOME_F64(b->v[i].median);
		r->ratio = ZN_SOME_F64(r->median / b->v[i].median);
	}
}
