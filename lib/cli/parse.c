/* parse: argv by a table of options.
 *
 * Long names are spelled in full, "--name=value" or "--name value"; short ones bundle, "-xyvalue" or
 * "-xy value".  The word after an option that takes a value is that value, whatever it looks like, so
 * "-p -5" works.  "--" ends the options.  Operands found between options are moved behind them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/table.h"

struct zn__cli zn__cli;

const struct zn_opt zn__common_opts[] = {
	{ 'h', "help", ZN_OPT_FLAG, NULL, NULL, NULL, "print this help" },
	{ 0, "version", ZN_OPT_FLAG, NULL, NULL, NULL, "print the version" },
	{ 0, "complete", ZN_OPT_STR, "SHELL", NULL, "bash|zsh|fish", "print the completions for a shell" },
	{ 0 },
};

/* Lives as long as the program: repeated options and the list of what was given. */
static struct {
	struct zn_arena arena;
	const struct zn_opt **v;
	size_t n;
	bool dashes;
} given;

struct scan {
	const struct zn_opt *tables[3];
	int argc, at;
	char **argv;
	bool only_new;
	size_t n_before;      /* of given, those of earlier calls */
	struct zn__parsed *ret;
	struct zn_err *err;
};

void zn__parse_reset(void)
{
	zn_arena_done(&given.arena);
	memset(&given, 0, sizeof(given));
}

/* A list whose room is the next power of two of its length: it must have begun empty. */
static void *grow(void *v, size_t n, size_t size)
{
	if (n & (n - 1))
		return v;
	void *bigger = zn_cli_must(zn_arena_array(&given.arena, n ? n * 2 : 1, size));
	if (n)
		memcpy(bigger, v, n * size);
	return bigger;
}

static bool was_given(const struct zn_opt *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (given.v[i] == o)
			return true;
	return false;
}

static void note_given(const struct zn_opt *o)
{
	if (was_given(o, given.n))
		return;
	given.v = grow(given.v, given.n, sizeof(*given.v));
	given.v[given.n++] = o;
}

bool zn_cli_given(const char *name)
{
	for (size_t i = 0; i < given.n; i++)
		if (!strcmp(given.v[i]->name, name))
			return true;
	return false;
}

bool zn_cli_had_dashes(void)
{
	return given.dashes;
}

static int store_choice(const struct zn_opt *o, const char *value, struct zn_err *err)
{
	char words[200] = "";
	size_t n = strlen(value), at = 0;

	for (const char *w = o->complete; *w; w += strspn(w, "|")) {
		size_t len = strcspn(w, "|");
		if (len == n && !memcmp(w, value, n)) {
			*(const char **)o->to = value;
			return 0;
		}
		if (at < sizeof(words))
			at += (size_t)snprintf(words + at, sizeof(words) - at, "%s%.*s", at ? ", " : "",
			                       (int)len, w);
		w += len;
	}
	return zn_err_set(err, -EINVAL, "'%s' is not one of %s", value, words);
}

static int store_number(const struct zn_opt *o, const char *value, struct zn_err *err)
{
	struct zn_ou64 u = { .has = true };
	struct zn_oi64 i = { .has = true };
	struct zn_of64 f = { .has = true };
	int rc;

	switch (o->kind) {
	case ZN_OPT_U64:
	case ZN_OPT_BYTES:
		rc = o->kind == ZN_OPT_U64 ? zn_parse_u64(value, 0, UINT64_MAX, &u.v, err)
		                           : zn_parse_bytes(value, &u.v, err);
		if (rc == 0)
			*(struct zn_ou64 *)o->to = u;
		return rc;
	case ZN_OPT_I64:
		rc = zn_parse_i64(value, INT64_MIN, INT64_MAX, &i.v, err);
		if (rc == 0)
			*(struct zn_oi64 *)o->to = i;
		return rc;
	default:
		rc = o->kind == ZN_OPT_F64 ? zn_parse_f64(value, &f.v, err) : o->kind == ZN_OPT_DUR ? zn_parse_duration(value, &f.v, err)
		                           : zn_parse_time(value, zn_now_s(), &f.v, err);
		if (rc == 0)
			*(struct zn_of64 *)o->to = f;
		return rc;
	}
}

static int store(const struct zn_opt *o, const char *value, struct zn_err *err)
{
	struct zn_strs *list;

	switch (o->kind) {
	case ZN_OPT_FLAG:
		*(bool *)o->to = true;
		return 0;
	case ZN_OPT_STR:
		*(const char **)o->to = value;
		return 0;
	case ZN_OPT_STRS:
		list = o->to;
		list->v = grow(list->v, list->n, sizeof(*list->v));
		list->v[list->n++] = value;
		return 0;
	case ZN_OPT_CHOICE:
		return store_choice(o, value, err);
	default:
		return store_number(o, value, err);
	}
}

static int ask(struct scan *s, const struct zn_opt *o, const char *value)
{
	if (s->only_new)
		return zn_err_set(s->err, -EINVAL, "option '--%s' makes no sense here", o->name);
	s->ret->ask = ZN__ASK_HELP + (enum zn__ask)(o - zn__common_opts);
	s->ret->shell = value;
	return 0;
}

/* One option with its value, NULL for a flag. */
static int give(struct scan *s, const struct zn_opt *o, const char *value)
{
	struct zn_err why;

	if (o->to == NULL)
		return ask(s, o, value);
	if (s->only_new && o->kind != ZN_OPT_STRS && was_given(o, s->n_before))
		return 0;
	if (store(o, value, &why) < 0)
		return zn_err_set(s->err, -EINVAL, "option '--%s': %s", o->name, why.text);
	note_given(o);
	return 0;
}

static const struct zn_opt *find_long(const struct scan *s, const char *name, size_t n)
{
	for (int t = 0; t < 3; t++)
		zn__opts_each(o, s->tables[t])
			if (strlen(o->name) == n && !memcmp(o->name, name, n))
				return o;
	return NULL;
}

static const struct zn_opt *find_key(const struct scan *s, char key)
{
	for (int t = 0; t < 3; t++)
		zn__opts_each(o, s->tables[t])
			if (o->key == key)
				return o;
	return NULL;
}

/* What was meant: the only option that begins like this. */
static const struct zn_opt *guess(const struct scan *s, const char *name, size_t n)
{
	const struct zn_opt *found = NULL;

	for (int t = 0; n && t < 3; t++)
		zn__opts_each(o, s->tables[t])
			if (!strncmp(o->name, name, n)) {
				if (found)
					return NULL;
				found = o;
			}
	return found;
}

static int unknown_long(struct scan *s, const char *name, size_t n)
{
	const struct zn_opt *near = guess(s, name, n);

	if (near)
		return zn_err_set(s->err, -EINVAL, "unknown option '--%.*s' (did you mean '--%s'?)", (int)n,
		                  name, near->name);
	return zn_err_set(s->err, -EINVAL, "unknown option '--%.*s'", (int)n, name);
}

static int needs_value(struct scan *s, const struct zn_opt *o)
{
	return zn_err_set(s->err, -EINVAL, "option '--%s' needs a value (%s)", o->name, o->arg);
}

static const char *next_word(struct scan *s)
{
	return s->at < s->argc ? s->argv[s->at++] : NULL;
}

/* text is behind the dashes. */
static int take_long(struct scan *s, const char *text)
{
	size_t n = strcspn(text, "=");
	const struct zn_opt *o = find_long(s, text, n);
	const char *value = text[n] ? text + n + 1 : NULL;

	if (!o)
		return unknown_long(s, text, n);
	if (o->kind == ZN_OPT_FLAG && value)
		return zn_err_set(s->err, -EINVAL, "option '--%s' takes no value", o->name);
	if (o->kind != ZN_OPT_FLAG && !value && !(value = next_word(s)))
		return needs_value(s, o);
	return give(s, o, value);
}

/* text is behind the dash: flags, the last of which may take the rest or the next word. */
static int take_short(struct scan *s, const char *text)
{
	for (; *text; text++) {
		const struct zn_opt *o = find_key(s, *text);
		if (!o)
			return zn_err_set(s->err, -EINVAL, "unknown option '-%c'", *text);
		if (o->kind != ZN_OPT_FLAG) {
			const char *value = text[1] ? text + 1 : next_word(s);
			return value ? give(s, o, value) : needs_value(s, o);
		}
		int rc = give(s, o, NULL);
		if (rc < 0 || s->ret->ask)
			return rc;
	}
	return 0;
}

/* Options to the front, operands (in their order) behind them; returns where the operands begin. */
static int walk(struct scan *s, bool stop_at_operand, char **operands)
{
	int front = s->at, n = 0, rc = 0;

	while (s->at < s->argc && !s->ret->ask) {
		char *word = s->argv[s->at];
		if (word[0] != '-' || !word[1]) {
			if (stop_at_operand)
				break;
			operands[n++] = word;
			s->at++;
			continue;
		}
		int begin = s->at++;
		s->ret->dashes = !strcmp(word, "--");
		if (!s->ret->dashes)
			rc = word[1] == '-' ? take_long(s, word + 2) : take_short(s, word + 1);
		if (rc < 0)
			return rc;
		while (begin < s->at)
			s->argv[front++] = s->argv[begin++];
		if (s->ret->dashes)
			break;
	}
	if (n)
		memcpy(s->argv + front, operands, (size_t)n * sizeof(*operands));
	return front;
}

int zn__parse(const struct zn_cmd *cmd, const struct zn_cmd *verb, int from, int argc, char **argv,
              bool only_new, struct zn__parsed *ret, struct zn_err *err)
{
	struct scan s = { .tables = { verb ? verb->opts : NULL, cmd->opts, zn__common_opts },
	                  .argc = argc, .at = from < argc ? from : argc, .argv = argv,
	                  .only_new = only_new, .n_before = given.n, .ret = ret, .err = err };
	bool stop = verb ? verb->stop_at_operand : cmd->stop_at_operand || cmd->verbs;
	char **operands = zn_cli_must(calloc((size_t)argc + 1, sizeof(*operands)));

	*ret = (struct zn__parsed){ 0 };
	int rc = walk(&s, stop, operands);
	free(operands);
	if (rc < 0)
		return rc;
	ret->first = rc;
	return 0;
}

/* Whoever starts us with a closed standard descriptor must not find our records in the next file that
 * opens.  Opened the wrong way round, so that writing to it still fails.
 */
static void keep_std_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			exit(ZN_EXIT_OS);
}

/* --help and the like, or a usage error: does not return then. */
static void answer(const struct zn__parsed *p, int rc, const struct zn_err *err)
{
	if (rc < 0)
		zn_cli_usage("%s", err->text);
	switch (p->ask) {
	case ZN__ASK_NOTHING:
		return;
	case ZN__ASK_HELP:
		zn__help(stdout, zn__cli.cmd, zn__cli.verb, zn__width(STDOUT_FILENO));
		break;
	case ZN__ASK_VERSION:
		printf("%s (Zenith) %s\n", zn__cli.cmd->name, zn_version());
		break;
	case ZN__ASK_COMPLETE:
		if (zn__complete(stdout, zn__cli.cmd, p->shell) < 0)
			zn_cli_usage("option '--complete': '%s' is not one of bash, zsh, fish", p->shell);
	}
	exit(zn_cli_end(NULL, ZN_EXIT_OK));
}

int zn_cli_parse(const struct zn_cmd *cmd, int argc, char **argv)
{
	struct zn__parsed p;
	struct zn_err err;

	keep_std_fds();
	zn__cli = (struct zn__cli){ .cmd = cmd };
	answer(&p, zn__parse(cmd, NULL, 1, argc, argv, false, &p, &err), &err);
	given.dashes = p.dashes;
	return p.first;
}

int zn_cli_parse_more(const struct zn_cmd *cmd, int argc, char **argv, struct zn_err *err)
{
	struct zn__parsed p;
	int rc = zn__parse(cmd, NULL, 0, argc, argv, true, &p, err);

	if (rc == 0 && p.first < argc)
		return zn_err_set(err, -EINVAL, "'%s' is not an option", argv[p.first]);
	return rc;
}

const struct zn_cmd *zn__verb(const struct zn_cmd *cmd, const char *name)
{
	zn__verbs_each(v, cmd)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

int zn_cli_run_verb(const struct zn_cmd *cmd, const char *fallback, int argc, char **argv, int at)
{
	const char *name = at < argc ? argv[at++] : fallback;
	struct zn__parsed p;
	struct zn_err err;

	if (!name)
		zn_cli_usage("a command is missing; '%s --help' lists them", cmd->name);
	const struct zn_cmd *verb = zn__verb(cmd, name);
	if (!verb)
		zn_cli_usage("'%s' is not a command; '%s --help' lists them", name, cmd->name);
	zn__cli.verb = verb;
	answer(&p, zn__parse(cmd, verb, at, argc, argv, false, &p, &err), &err);
	given.dashes = p.dashes;
	return verb->run(argc - p.first, argv + p.first);
}
