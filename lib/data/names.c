#include "data/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/gather.h"

static bool is_lower(const char *text, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] != (char)tolower((unsigned char)p[i]))
			return false;
	return !text[n];
}

const char *zn__names_get(struct zn__names *names, const char *p, size_t n)
{
	for (size_t i = 0; i < names->n; i++)
		if (is_lower(names->v[i], p, n))
			return names->v[i];
	if (names->n == names->cap) {
		size_t cap = names->cap ? 2 * names->cap : 8;
		char **v = reallocarray(names->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		names->v = v;
		names->cap = cap;
	}
	char *name = strndup(p, n);
	for (char *c = name; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (name)
		names->v[names->n++] = name;
	return name;
}

void zn__names_done(struct zn__names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct zn__names){ .n = 0 };
}

bool zn__is_wanted(const struct zn_loader_ask *ask, const char *p, size_t n)
{
	for (uint32_t i = 0; i < ask->n_fields; i++)
		if (is_lower(ask->fields[i], p, n))
			return true;
	return !ask->n_fields;
}

const char *zn__choose(const struct zn_loader_ask *ask, struct zn_datum *data, uint32_t *n)
{
	struct zn_datum chosen[ZN__FIELDS_MAX];

	for (uint32_t i = 0; i < ask->n_fields; i++) {
		uint32_t k = 0;
		while (k < *n && strcasecmp(data[k].field, ask->fields[i]))
			k++;
		if (k == *n)
			return "it lacks a field that was asked for";
		chosen[i] = data[k];
	}
	if (ask->n_fields) {
		*n = ask->n_fields;
		memcpy(data, chosen, *n * sizeof(*chosen));
	}
	return NULL;
}
