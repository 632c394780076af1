#include "fleet/domains.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE = ZN_FLEET_LEVELS + 1 }; /* a depth: paths are the same when nothing of them differs */

/* How long the first depth parts of a path are. */
static size_t part_len(const char *path, uint32_t depth)
{
	const char *at = path;

	if (depth == WHOLE)
		return strlen(path);
	for (uint32_t i = 0; i < depth; i++) {
		at = strchrnul(at, '/');
		if (i + 1 < depth && *at)
			at++;
	}
	return (size_t)(at - path);
}

static uint32_t depth_of(const char *path)
{
	uint32_t n = *path != 0;

	for (const char *at = path; (at = strchr(at, '/')); at++)
		n++;
	return n < ZN_FLEET_LEVELS ? n : ZN_FLEET_LEVELS;
}

/* Whoever's path is shorter is near nobody at that depth. */
static bool reaches(const char *path, uint32_t depth)
{
	return depth == WHOLE || depth_of(path) >= depth;
}

static bool is_same(const char *a, const char *b, uint32_t depth)
{
	size_t len = part_len(a, depth);

	if (!reaches(a, depth) || !reaches(b, depth))
		return false;
	return len == part_len(b, depth) && !memcmp(a, b, len);
}

static int make_level(const char *const *paths, size_t n, uint32_t depth, struct zn__level *ret)
{
	*ret = (struct zn__level){ .first = calloc(n + 1, sizeof(*ret->first)), .of = calloc(n, sizeof(*ret->of)) };
	if (!ret->first || !ret->of)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !is_same(paths[i - 1], paths[i], depth))
			ret->first[ret->n++] = (uint32_t)i;
		ret->of[i] = ret->n - 1;
	}
	ret->first[ret->n] = (uint32_t)n;
	return 0;
}

struct begin { const char *path; size_t len; };

static int by_path(const void *a, const void *b)
{
	const struct begin *x = a, *y = b;
	int order = memcmp(x->path, y->path, x->len < y->len ? x->len : y->len);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Whether no domain begins twice. */
static int check_level(const char *const *paths, uint32_t depth, const struct zn__level *l)
{
	struct begin *v = calloc(l->n, sizeof(*v));
	int rc = v ? 0 : -ENOMEM;

	uint32_t n = 0;
	for (uint32_t i = 0; v && i < l->n; i++)
		if (reaches(paths[l->first[i]], depth))
			v[n++] = (struct begin){ paths[l->first[i]], part_len(paths[l->first[i]], depth) };
	if (v)
		qsort(v, n, sizeof(*v), by_path);
	for (uint32_t i = 1; v && i < n; i++)
		if (!by_path(&v[i - 1], &v[i]))
			rc = -EINVAL;
	free(v);
	return rc;
}

static int add_level(const char *const *paths, size_t n, uint32_t depth, struct zn__level *ret)
{
	int rc = make_level(paths, n, depth, ret);

	return rc < 0 ? rc : check_level(paths, depth, ret);
}

int zn__domains_make(const char *const *paths, size_t n, struct zn__domains **ret)
{
	struct zn__domains *d = calloc(1, sizeof(*d));
	uint32_t deepest = 0;
	int rc = d ? 0 : -ENOMEM;

	for (size_t i = 0; i < n; i++)
		deepest = depth_of(paths[i]) > deepest ? depth_of(paths[i]) : deepest;
	for (uint32_t depth = deepest; rc == 0 && depth; depth--)
		rc = add_level(paths, n, depth, &d->v[d->n++]);
	if (rc == 0)
		rc = add_level(paths, n, WHOLE, &d->v[d->n]);
	if (rc < 0)
		zn__domains_free(d);
	else
		*ret = d;
	return rc;
}

void zn__domains_free(struct zn__domains *d)
{
	for (uint32_t i = 0; d && i <= d->n; i++) {
		free(d->v[i].first);
		free(d->v[i].of);
	}
	free(d);
}
