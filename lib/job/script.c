#include "job/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct words {
	struct zn_arena *a;
	const char **v;
	size_t n, cap;
};

static int add_word(struct words *w, const char *text, size_t len)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		const char **v = zn_arena_array(w->a, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		if (w->n)
			memcpy(v, w->v, w->n * sizeof(*v));
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n] = zn_arena_memdup(w->a, text, len);
	if (!w->v[w->n])
		return -ENOMEM;
	w->n++;
	return 0;
}

/* One word at *p; quotes may begin and end inside it.  1: a word was added, 0: the line is done. */
static int take_word(struct words *w, const char **p, const char *end, struct zn_buf *word)
{
	char quote = 0;

	while (*p < end && (**p == ' ' || **p == '\t' || **p == '\r'))
		(*p)++;
	if (*p == end || **p == '#')
		return 0;
	word->len = 0;
	for (; *p < end && (quote || (**p != ' ' && **p != '\t' && **p != '\r')); (*p)++) {
		char c = **p;
		if (quote ? c == quote : c == '\'' || c == '"')
			quote = quote ? 0 : c;
		else if (c == '\\' && quote != '\'' && *p + 1 < end)
			zn_buf_addch(word, *++*p);
		else
			zn_buf_addch(word, c);
	}
	if (quote)
		return -EBADMSG;
	const char *text = zn_buf_text(word);
	int rc = text ? add_word(w, text, word->len) : -ENOMEM;
	return rc < 0 ? rc : 1;
}

static int take_line(struct words *w, const char *p, const char *end)
{
	struct zn_buf word = { 0 };
	int rc;

	do
		rc = take_word(w, &p, end, &word);
	while (rc > 0);
	zn_buf_done(&word);
	return rc;
}

int zn_script_words(const char *script, const char *mark, struct zn_arena *a, struct zn_strs *ret, struct zn_err *err)
{
	struct words w = { .a = a };
	size_t number = 0, len = strlen(mark);

	for (const char *line = script; *line;) {
		const char *end = strchrnul(line, '\n');
		number++;
		if (!strncmp(line, mark, len) && (line[len] == ' ' || line[len] == '\t')) {
			int rc = take_line(&w, line + len, end);
			if (rc < 0)
				return zn_err_set(err, rc, rc == -ENOMEM ? "out of memory"
				                  : "line %zu of the script: a quote is not closed", number);
		} else if (*line != '#' && line[strspn(line, " \t\r")] != '\n' && line[strspn(line, " \t\r")]) {
			break;
		}
		line = *end ? end + 1 : end;
	}
	*ret = (struct zn_strs){ .v = w.v, .n = w.n };
	return 0;
}
