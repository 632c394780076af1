#define HASH_NONFATAL_OOM 1
#include "pick/licences.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

void zn_licences_done(struct zn_licences *l)
{
	struct zn_wish *w, *next;

	HASH_ITER(hh, l->wishes, w, next) {
		HASH_DEL(l->wishes, w);
		free(w);
	}
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	*l = (struct zn_licences){ 0 };
}

/* That of this name, a new one of which there are none if need be.  -ENOMEM. */
static int get(struct zn_licences *l, const char *name, size_t *ret)
{
	size_t at = 0;

	while (at < l->n && strcmp(l->v[at].name, name))
		at++;
	if (at == l->n) {
		struct zn_licence *v = reallocarray(l->v, l->n + 1, sizeof(*v));
		l->v = v ? v : l->v;
		char *copy = v ? strdup(name) : NULL;
		if (!copy)
			return -ENOMEM;
		l->v[l->n++] = (struct zn_licence){ .name = copy };
	}
	*ret = at;
	return 0;
}

int zn_licences_set(struct zn_licences *l, const char *name, uint64_t total)
{
	size_t at;
	int rc = get(l, name, &at);

	if (rc < 0)
		return rc;
	l->v[at].left[ZN_LICENCES_NOW] += (int64_t)total - (int64_t)l->v[at].total;
	l->v[at].total = total;
	return 0;
}

/* ---- wishes -------------------------------------------------------------------------------------------- */

/* "matlab:2"; cuts the text. */
static int read_part(struct zn_licences *l, char *word, struct zn_wish *w)
{
	char *colon = strrchr(word, ':');

	if (!colon || zn_parse_u64(colon + 1, 1, UINT32_MAX, &w->v[w->n].count, NULL) < 0)
		return -EBADMSG;
	*colon = '\0';
	return get(l, word, &w->v[w->n++].licence);
}

static int read_parts(struct zn_licences *l, const char *text, struct zn_wish *w)
{
	char *copy = strdup(text), *rest = copy;
	int rc = copy ? 0 : -ENOMEM;

	for (char *word; rc == 0 && (word = strsep(&rest, ","));)
		rc = read_part(l, word, w);
	free(copy);
	return rc;
}

static size_t count_parts(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == ',';
	return n;
}

int zn_licences_wish(struct zn_licences *l, const char *text, const struct zn_wish **ret)
{
	struct zn_wish *w = NULL;

	if (text)
		HASH_FIND_STR(l->wishes, text, w);
	*ret = w;
	if (w || !text)
		return 0;
	size_t n = count_parts(text);
	w = calloc(1, sizeof(*w) + n * sizeof(*w->v) + strlen(text) + 1);
	if (!w)
		return -ENOMEM;
	w->text = strcpy((char *)&w->v[n], text);
	int rc = read_parts(l, text, w);
	if (rc == 0) {
		HASH_ADD_KEYPTR(hh, l->wishes, w->text, strlen(w->text), w);
		rc = w->hh.tbl ? 0 : -ENOMEM;
	}
	if (rc == 0)
		*ret = w;
	else
		free(w);
	return rc;
}

/* ---- counting ------------------------------------------------------------------------------------------ */

void zn_licences_add(struct zn_licences *l, const struct zn_wish *wish, uint32_t left, int sign)
{
	for (size_t i = 0; wish && i < wish->n; i++)
		l->v[wish->v[i].licence].left[left] += sign * (int64_t)wish->v[i].count;
}

void zn_licences_take(struct zn_licences *l, const struct zn_wish *wish)
{
	zn_licences_add(l, wish, ZN_LICENCES_NOW, -1);
	for (size_t i = 0; wish && i < wish->n; i++)
		l->v[wish->v[i].licence].jobs++;
}

void zn_licences_give(struct zn_licences *l, const struct zn_wish *wish)
{
	zn_licences_add(l, wish, ZN_LICENCES_NOW, 1);
	for (size_t i = 0; wish && i < wish->n; i++)
		l->v[wish->v[i].licence].jobs--;
}

void zn_licences_give_all(struct zn_licences *l)
{
	for (size_t i = 0; i < l->n; i++) {
		l->v[i].left[ZN_LICENCES_NOW] = (int64_t)l->v[i].total;
		l->v[i].jobs = 0;
	}
}

bool zn_licences_fit(const struct zn_licences *l, const struct zn_wish *wish, uint32_t left)
{
	for (size_t i = 0; wish && i < wish->n; i++)
		if ((int64_t)wish->v[i].count > l->v[wish->v[i].licence].left[left])
			return false;
	return true;
}

double zn_licences_part(const struct zn_licences *l, const struct zn_wish *wish)
{
	double part = 0;

	for (size_t i = 0; wish && i < wish->n; i++)
		part = fmax(part, (double)wish->v[i].count / fmax(1, (double)l->v[wish->v[i].licence].total));
	return part;
}

void zn_licences_copy(struct zn_licences *l, uint32_t to, uint32_t from)
{
	for (size_t i = 0; i < l->n; i++)
		l->v[i].left[to] = l->v[i].left[from];
}
