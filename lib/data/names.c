#include "data/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "data/gather.h"

static bool is_lower(const char *text, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] != (char)tolower((unsigned char)p[i]))
			return false;
	return !text[n];
}

struct zn__name { UT_hash_handle hh; char text[]; };

static struct zn__name *add(struct zn__names *names, const char *text, size_t n)
{
	struct zn__name *f = calloc(1, sizeof(*f) + n + 1);

	if (f) {
		memcpy(f->text, text, n);
		HASH_ADD_KEYPTR(hh, names->by_text, f->text, n, f);
	}
	return f;
}

const char *zn__names_get(struct zn__names *names, const char *p, size_t n)
{
	char few[256], *text = n <= sizeof(few) ? few : malloc(n);
	struct zn__name *f;

	if (!text)
		return NULL;
	for (size_t i = 0; i < n; i++)
		text[i] = (char)tolower((unsigned char)p[i]);
	HASH_FIND(hh, names->by_text, text, n, f);
	if (!f)
		f = add(names, text, n);
	if (text != few)
		free(text);
	return f ? f->text : NULL;
}

void zn__names_done(struct zn__names *names)
{
	struct zn__name *f, *next;

	HASH_ITER(hh, names->by_text, f, next) {
		HASH_DEL(names->by_text, f);
		free(f);
	}
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
