#define HASH_NONFATAL_OOM 1
#include "queue/words.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct zn_word {
	UT_hash_handle hh;
	char text[];
};

const char *zn_words_get(struct zn_word **words, const char *text)
{
	struct zn_word *w;

	HASH_FIND_STR(*words, text, w);
	if (w)
		return w->text;
	w = calloc(1, sizeof(*w) + strlen(text) + 1);
	if (!w)
		return NULL;
	strcpy(w->text, text);
	HASH_ADD_KEYPTR(hh, *words, w->text, strlen(w->text), w);
	if (w->hh.tbl)
		return w->text;
	free(w);
	return NULL;
}

void zn_words_free(struct zn_word *words)
{
	struct zn_word *w, *next;

	HASH_ITER(hh, words, w, next) {
		HASH_DEL(words, w);
		free(w);
	}
}
