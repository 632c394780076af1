/* picture_licences: how many licences there are in a picture, who has them, and what one more job lacks. */
#include <errno.h>
#include <string.h>

#include "queue/picture.h"

int zn_picture_set_licences(const struct zn_picture *p, struct zn_licences *ret)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->n_licences; i++)
		rc = zn_licences_set(ret, p->licences[i].name ? p->licences[i].name : "", p->licences[i].total);
	return rc;
}

int zn_picture_count_licences(struct zn_picture *p)
{
	const struct zn_wish *wish;
	int rc = zn_picture_set_licences(p, &p->counted);

	for (size_t i = 0; rc == 0 && i < p->n_jobs; i++) {
		if (!p->jobs[i].licences || !zn_picture_has_place(&p->jobs[i]))
			continue;
		rc = zn_licences_wish(&p->counted, p->jobs[i].licences, &wish);
		if (rc == 0)
			zn_licences_take(&p->counted, wish);
	}
	return rc;
}

void zn_picture_each_licence(const struct zn_picture *p, void (*each)(void *arg, const struct zn_licence_record *r), void *arg)
{
	for (size_t i = 0; i < p->counted.n; i++) {
		const struct zn_licence *l = &p->counted.v[i];
		struct zn_licence_record r = { .name = l->name, .total = l->total, .jobs = ZN_SOME_U64(l->jobs),
		                               .used = ZN_SOME_U64(l->total - (uint64_t)l->left[ZN_LICENCES_NOW]) };
		each(arg, &r);
	}
}

/* What there is too little of now, one sentence each. */
static size_t list_lacking(const struct zn_licences *l, const struct zn_wish *wish, struct zn_arena *a,
                           struct zn_explained_reason *to, bool *ret_ever)
{
	size_t n = 0;

	for (size_t i = 0; i < wish->n; i++) {
		const struct zn_licence *one = &l->v[wish->v[i].licence];
		int64_t left = one->left[ZN_LICENCES_NOW] > 0 ? one->left[ZN_LICENCES_NOW] : 0;
		if ((int64_t)wish->v[i].count <= left)
			continue;
		to[n++] = (struct zn_explained_reason){
			zn_arena_printf(a, "licence %s: %lld of %llu free, %llu needed", one->name, (long long)left,
			                (unsigned long long)one->total, (unsigned long long)wish->v[i].count),
			wish->v[i].count - (uint64_t)left };
		*ret_ever &= wish->v[i].count <= one->total;
	}
	return n;
}

int zn_picture_lacks(struct zn_picture *p, const char *licences, int rc, struct zn_arena *a, struct zn_list *reasons,
                     const char **smallest)
{
	const struct zn_wish *wish;
	bool ever = true;
	int bad = zn_licences_wish(&p->counted, licences, &wish);

	if (bad < 0 || !wish)
		return bad < 0 ? bad : rc;
	struct zn_explained_reason *v = zn_arena_array(a, wish->n + reasons->n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	size_t at = rc == -EINVAL ? reasons->n : 0, n = list_lacking(&p->counted, wish, a, v + at, &ever);
	if (!n)
		return rc;
	if (reasons->n)
		memcpy(v + (at ? 0 : n), reasons->v, reasons->n * sizeof(*v));
	*reasons = (struct zn_list){ v, n + reasons->n };
	*smallest = NULL;
	return ever && rc != -EINVAL ? -EAGAIN : -EINVAL;
}
