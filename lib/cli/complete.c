/* complete: what the three shells' completions have in common, and the tables as text for tests.
 *
 * A word is completed from its source: a fixed list, the shell's own knowledge (files, users), or a
 * program of ours that is asked at that moment (the jobs in the queue, the GPUs of this machine).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cli/table.h"

/* Only numbers: what is printed besides them (nothing, today) would end up in a command line. */
#define NUMBERS_OF(key) \
	"command -v zn-topo >/dev/null && zn-topo -o csv --no-heading --fields " key " 2>/dev/null | " \
	"grep -x \"[0-9][0-9]*\" | sort -nu"

static const struct {
	const char *complete;
	struct zn__word word;
} sources[] = {
	{ "file", { .source = ZN__FILE } },
	{ "dir", { .source = ZN__DIR } },
	{ "command", { .source = ZN__COMMAND } },
	{ "user", { .source = ZN__USER } },
	{ "state", { .source = ZN__WORDS, .words = "PENDING|QUEUED|SCHEDULED|RUNNING|SUSPENDED|COMPLETED|FAILED|"
	                                           "CANCELLED" } },
	{ "job", { .source = ZN__ASKED, .name = "job",
	           .ask = "command -v zn-queue >/dev/null && zn-queue list -o csv --no-heading --fields id 2>/dev/null" } },
	{ "gpu", { .source = ZN__ASKED, .name = "gpu", .ask = NUMBERS_OF("gpu") } },
	{ "numa", { .source = ZN__ASKED, .name = "numa", .ask = NUMBERS_OF("numa") } },
};
enum { N_SOURCES = sizeof(sources) / sizeof(*sources) };

struct zn__word zn__word_source(const char *complete)
{
	if (!complete || !*complete)
		return (struct zn__word){ .source = ZN__NONE };
	for (int i = 0; i < N_SOURCES; i++)
		if (!strcmp(sources[i].complete, complete))
			return sources[i].word;
	return (struct zn__word){ .source = ZN__WORDS, .words = complete };
}

bool zn__opt_is_in(const struct zn_opt *o, const struct zn_opt *table)
{
	zn__opts_each(b, table)
		if ((o->key && o->key == b->key) || !strcmp(o->name, b->name))
			return true;
	return false;
}

static bool opts_use(const struct zn_opt *opts, const char *complete)
{
	zn__opts_each(o, opts)
		if (o->complete && !strcmp(o->complete, complete))
			return true;
	return false;
}

static bool uses(const struct zn_cmd *cmd, const char *complete)
{
	if ((cmd->complete && !strcmp(cmd->complete, complete)) || opts_use(cmd->opts, complete))
		return true;
	zn__verbs_each(v, cmd)
		if (uses(v, complete))
			return true;
	return false;
}

void zn__asked_each(const struct zn_cmd *cmd, void (*f)(FILE *to, const struct zn_cmd *cmd, struct zn__word w),
                    FILE *to)
{
	for (int i = 0; i < N_SOURCES; i++)
		if (sources[i].word.source == ZN__ASKED && uses(cmd, sources[i].complete))
			f(to, cmd, sources[i].word);
}

void zn__put_ident(FILE *to, const char *name)
{
	for (; *name; name++)
		fputc(isalnum((unsigned char)*name) ? *name : '_', to);
}

void zn__put_quoted(FILE *to, const char *text, const char *escape, const char *apostrophe)
{
	for (; *text; text++) {
		if (*text == '\'') {
			fputs(apostrophe, to);
			continue;
		}
		if (strchr(escape, *text))
			fputc('\\', to);
		fputc(*text, to);
	}
}

static void put_table(FILE *to, const char *verb, const struct zn_opt *opts)
{
	zn__opts_each(o, opts)
		fprintf(to, "%s\t%.1s\t%s\t%s\t%s\n", verb, &o->key, o->name, o->arg ? o->arg : "",
		        o->help ? o->help : "");
}

/* verb, key, name, argument, help, separated by tabs.  A line without a name is the verb itself. */
static void put_tables(FILE *to, const struct zn_cmd *cmd)
{
	put_table(to, "", cmd->opts);
	put_table(to, "", zn__common_opts);
	zn__verbs_each(v, cmd) {
		fprintf(to, "%s\t\t\t\t%s\n", v->name, v->brief);
		put_table(to, v->name, v->opts);
	}
}

int zn__complete(FILE *to, const struct zn_cmd *cmd, const char *shell)
{
	static const struct {
		const char *shell;
		void (*put)(FILE *to, const struct zn_cmd *cmd);
	} shells[] = {
		{ "bash", zn__complete_bash }, { "zsh", zn__complete_zsh }, { "fish", zn__complete_fish },
		{ "options", put_tables },
	};

	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (!strcmp(shells[i].shell, shell)) {
			shells[i].put(to, cmd);
			return 0;
		}
	return -EINVAL;
}
