#include "rec/expr.h"
#include "rec/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum { DEPTH_MAX = 64 };

enum op { OP_ANY, OP_ALL, OP_NOT, OP_HAS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_MATCH };

struct literal {
	enum { LIT_TEXT, LIT_NUMBER, LIT_BOOL } type;
	const char *text;      /* as it was written, without quotes */
	long double number;    /* a text may have one too: the moment that it names */
	bool has_number, truth;
	regex_t re;
};

struct node {
	enum op op;
	struct node *next;     /* beside this one in a list of OP_ANY or OP_ALL */
	struct node *first;    /* what OP_ANY, OP_ALL and OP_NOT are about */
	const char *key;
	struct literal lit;
	struct node *next_re;  /* all OP_MATCH nodes, to free their regex_t */
};

struct zn_expr {
	struct node *root;
	struct node *regexes;
	struct zn_arena arena;
};

struct parsing {
	const char *text, *p;
	struct zn_expr *e;
	struct zn_err *err;
	int depth;
};

/* ---- parse ------------------------------------------------------------------------------------ */

static int bad_at(const struct parsing *ps, const char *at, const char *what)
{
	return zn_err_set(ps->err, -EINVAL, "%s at column %zu of '%s'", what, (size_t)(at - ps->text) + 1,
	                  ps->text);
}

static void skip_blanks(struct parsing *ps)
{
	ps->p += strspn(ps->p, " \t\n");
}

static bool take_word(struct parsing *ps, const char *word)
{
	skip_blanks(ps);
	if (strncmp(ps->p, word, strlen(word)) != 0)
		return false;
	ps->p += strlen(word);
	return true;
}

static bool is_key_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_.-@/:", c)) || (unsigned char)c >= 0x80;
}

static size_t word_length(const char *p)
{
	size_t n = 0;

	while (is_key_char(p[n]) || (p[n] == '+' && n && (p[n - 1] == 'e' || p[n - 1] == 'E')))
		n++;
	return n;
}

static struct node *node_new(struct parsing *ps, enum op op)
{
	struct node *n = zn_arena_new(&ps->e->arena, struct node);

	if (n)
		n->op = op;
	return n;
}

static const struct {
	const char *word;
	enum op op;
} ops[] = {
	{ "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE }, { ">=", OP_GE }, { "<", OP_LT }, { ">", OP_GT },
	{ "~", OP_MATCH },
};

/* OP_HAS when no operator follows. */
static int parse_op(struct parsing *ps, enum op *ret)
{
	*ret = OP_HAS;
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (take_word(ps, ops[i].word)) {
			*ret = ops[i].op;
			return 0;
		}
	return *ps->p == '=' ? bad_at(ps, ps->p, "a single '=', write '=='") : 0;
}

static int parse_quoted(struct parsing *ps, struct literal *ret)
{
	const char *end = strchr(ps->p + 1, *ps->p);
	double moment;

	if (!end)
		return bad_at(ps, ps->p, "a quote that is not closed");
	ret->type = LIT_TEXT;
	ret->text = zn_arena_memdup(&ps->e->arena, ps->p + 1, (size_t)(end - ps->p - 1));
	if (!ret->text)
		return -ENOMEM;
	if (isdigit((unsigned char)*ret->text) && strchr(ret->text, '-') &&
	    zn_parse_time(ret->text, 0, &moment, NULL) == 0) {
		ret->number = (long double)moment;
		ret->has_number = true;
	}
	ps->p = end + 1;
	return 0;
}

/* "5m" is five minutes, unless the key says bytes. */
static bool parse_with_unit(const char *text, bool is_bytes, long double *ret)
{
	uint64_t bytes;
	double s;

	if (is_bytes && zn_parse_bytes(text, &bytes, NULL) == 0)
		*ret = (long double)bytes;
	else if (zn_parse_duration(text, &s, NULL) == 0)
		*ret = (long double)s;
	else if (zn_parse_bytes(text, &bytes, NULL) == 0)
		*ret = (long double)bytes;
	else
		return false;
	return true;
}

static bool parse_number(const char *text, bool is_bytes, long double *ret)
{
	uint64_t u;
	int64_t i;
	double f;

	if (zn_parse_u64(text, 0, UINT64_MAX, &u, NULL) == 0)
		*ret = (long double)u;
	else if (zn_parse_i64(text, INT64_MIN, INT64_MAX, &i, NULL) == 0)
		*ret = (long double)i;
	else if (zn_parse_f64(text, &f, NULL) == 0)
		*ret = (long double)f;
	else
		return parse_with_unit(text, is_bytes, ret);
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcmp(text + n - k, end);
}

static int parse_literal(struct parsing *ps, const char *key, struct literal *ret)
{
	skip_blanks(ps);
	const char *at = ps->p;
	size_t n = word_length(at);

	if (*at == '\'' || *at == '"')
		return parse_quoted(ps, ret);
	if (!n)
		return bad_at(ps, at, "a value is missing");
	char *word = zn_arena_memdup(&ps->e->arena, at, n);
	if (!word)
		return -ENOMEM;
	ps->p += n;
	ret->text = word;
	if (!strcmp(word, "true") || !strcmp(word, "false")) {
		ret->type = LIT_BOOL;
		ret->truth = *word == 't';
		return 0;
	}
	if (!isdigit((unsigned char)*word) && *word != '-' && *word != '.')
		return bad_at(ps, at, "text must stand in quotes");
	ret->type = LIT_NUMBER;
	ret->has_number = parse_number(word, ends_with(key, "_bytes"), &ret->number);
	return ret->has_number ? 0 : bad_at(ps, at, "neither a number, a size nor a duration");
}

static int compile_regex(struct parsing *ps, const char *at, struct node *n)
{
	struct zn_err why = { "" };

	if (n->lit.type != LIT_TEXT)
		return bad_at(ps, at, "~ needs a regular expression in quotes");
	int rc = zn_regex_compile(n->lit.text, &n->lit.re, &why);
	if (rc == -EINVAL)
		return zn_err_set(ps->err, rc, "bad regular expression '%s' at column %zu: %s", n->lit.text,
		                  (size_t)(at - ps->text) + 1, why.text);
	if (rc < 0)
		return rc;
	n->next_re = ps->e->regexes;
	ps->e->regexes = n;
	return 0;
}

static int parse_test(struct parsing *ps, struct node **ret)
{
	const char *at = ps->p;
	size_t len = word_length(at);
	struct node *n;

	if (!len || *at == '-' || isdigit((unsigned char)*at) || (len == 4 && !memcmp(at, "true", 4)) ||
	    (len == 5 && !memcmp(at, "false", 5)))
		return bad_at(ps, at, "a key is missing");
	n = node_new(ps, OP_HAS);
	if (!n)
		return -ENOMEM;
	n->key = zn_arena_memdup(&ps->e->arena, at, len);
	if (!n->key)
		return -ENOMEM;
	ps->p += len;
	int rc = parse_op(ps, &n->op);
	if (rc == 0 && n->op != OP_HAS) {
		skip_blanks(ps);
		at = ps->p;
		rc = parse_literal(ps, n->key, &n->lit);
	}
	if (rc == 0 && n->op == OP_MATCH)
		rc = compile_regex(ps, at, n);
	*ret = n;
	return rc;
}

static int parse_list(struct parsing *ps, enum op op, struct node **ret);

static int parse_factor(struct parsing *ps, struct node **ret)
{
	struct node *n;
	int rc;

	skip_blanks(ps);
	const char *at = ps->p;
	if (*at != '!' && *at != '(')
		return parse_test(ps, ret);
	if (ps->depth == DEPTH_MAX)
		return bad_at(ps, at, "nesting that is too deep");
	ps->p++;
	ps->depth++;
	if (*at == '!') {
		n = node_new(ps, OP_NOT);
		rc = n ? parse_factor(ps, &n->first) : -ENOMEM;
	} else {
		rc = parse_list(ps, OP_ANY, &n);
		if (rc == 0 && !take_word(ps, ")"))
			rc = bad_at(ps, ps->p, "')' is missing");
	}
	ps->depth--;
	if (rc == 0)
		*ret = n;
	return rc;
}

/* a || b || c, or a && b && c one level below, as one node with a list. */
static int parse_list(struct parsing *ps, enum op op, struct node **ret)
{
	struct node *n = node_new(ps, op), **to;

	if (!n)
		return -ENOMEM;
	to = &n->first;
	do {
		int rc = op == OP_ANY ? parse_list(ps, OP_ALL, to) : parse_factor(ps, to);
		if (rc < 0)
			return rc;
		to = &(*to)->next;
	} while (take_word(ps, op == OP_ANY ? "||" : "&&"));
	*ret = n;
	return 0;
}

int zn_expr_parse(const char *text, struct zn_expr **ret, struct zn_err *err)
{
	struct zn_expr *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	struct parsing ps = { .text = text, .p = text, .e = e, .err = err };
	int rc = parse_list(&ps, OP_ANY, &e->root);
	if (rc == 0) {
		skip_blanks(&ps);
		if (*ps.p)
			rc = bad_at(&ps, ps.p, "'&&', '||' or the end is missing");
	}
	if (rc < 0) {
		zn_expr_free(e);
		return rc;
	}
	*ret = e;
	return 0;
}

void zn_expr_free(struct zn_expr *e)
{
	if (!e)
		return;
	for (struct node *n = e->regexes; n; n = n->next_re)
		regfree(&n->lit.re);
	zn_arena_done(&e->arena);
	free(e);
}

/* ---- match ------------------------------------------------------------------------------------ */

static bool is_true(const msgpack_object *v)
{
	long double n;

	switch (v->type) {
	case MSGPACK_OBJECT_NIL:
		return false;
	case MSGPACK_OBJECT_BOOLEAN:
		return v->via.boolean;
	case MSGPACK_OBJECT_STR:
	case MSGPACK_OBJECT_BIN:
		return v->via.str.size != 0;
	case MSGPACK_OBJECT_ARRAY:
		return v->via.array.size != 0;
	case MSGPACK_OBJECT_MAP:
		return v->via.map.size != 0;
	default:
		return !zn_val_number(v, &n) || n != 0;
	}
}

static int order_text(const msgpack_object_str *a, const char *b)
{
	size_t n = strlen(b), least = a->size < n ? a->size : n;
	int order = least ? memcmp(a->ptr, b, least) : 0;

	return order ? order : (a->size > n) - (a->size < n);
}

/* False when the two can't be compared. */
static bool order(const msgpack_object *v, const struct literal *lit, int *ret)
{
	long double n;

	if (lit->has_number && zn_val_number(v, &n))
		*ret = (n > lit->number) - (n < lit->number);
	else if (v->type == MSGPACK_OBJECT_STR && lit->type == LIT_TEXT)
		*ret = order_text(&v->via.str, lit->text);
	else if (v->type == MSGPACK_OBJECT_BOOLEAN && lit->type == LIT_BOOL)
		*ret = v->via.boolean - lit->truth;
	else
		return false;
	return true;
}

static int match_regex(const struct node *n, const msgpack_object *v, struct zn_arena *scratch)
{
	if (v->type != MSGPACK_OBJECT_STR)
		return 0;
	const char *text = zn_val_text(v, scratch);
	return text ? regexec(&n->lit.re, text, 0, NULL, 0) == 0 : -ENOMEM;
}

static int match_one(const struct node *n, const msgpack_object *v, struct zn_arena *scratch)
{
	int o;

	if (n->op == OP_MATCH)
		return match_regex(n, v, scratch);
	if (!order(v, &n->lit, &o))
		return 0;
	switch (n->op) {
	case OP_LT:
		return o < 0;
	case OP_LE:
		return o <= 0;
	case OP_GT:
		return o > 0;
	case OP_GE:
		return o >= 0;
	default:
		return o == 0;
	}
}

static int match_value(const struct node *n, const msgpack_object *v, struct zn_arena *scratch)
{
	int rc = 0;

	if (v->type != MSGPACK_OBJECT_ARRAY)
		return match_one(n, v, scratch);
	for (uint32_t i = 0; i < v->via.array.size && rc == 0; i++)
		rc = match_value(n, &v->via.array.ptr[i], scratch);
	return rc;
}

static int match_test(const struct node *n, const msgpack_object *map, struct zn_arena *scratch)
{
	const msgpack_object *v = zn_val_path(map, n->key, scratch);

	if (!v || v->type == MSGPACK_OBJECT_NIL)
		return 0;
	if (n->op == OP_HAS)
		return is_true(v);
	int rc = match_value(n, v, scratch);
	return n->op == OP_NE && rc >= 0 ? !rc : rc;
}

static int match(const struct node *n, const msgpack_object *map, struct zn_arena *scratch)
{
	int rc;

	switch (n->op) {
	case OP_NOT:
		rc = match(n->first, map, scratch);
		return rc < 0 ? rc : !rc;
	case OP_ANY:
	case OP_ALL:
		rc = n->op == OP_ALL;
		for (const struct node *c = n->first; c && rc == (n->op == OP_ALL); c = c->next)
			rc = match(c, map, scratch);
		return rc;
	default:
		return match_test(n, map, scratch);
	}
}

int zn_expr_match(const struct zn_expr *e, const msgpack_object *map, struct zn_arena *scratch)
{
	return match(e->root, map, scratch);
}
