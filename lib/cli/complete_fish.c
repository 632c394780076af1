/* complete_fish: one "complete" line for each option, verb and operand. */
#include <string.h>

#include "cli/table.h"

static void put_text(FILE *to, const char *text)
{
	fputc('\'', to);
	zn__put_quoted(to, text ? text : "", "\\", "\\'");
	fputc('\'', to);
}

/* -F: files too; -a: these words. */
static void put_words(FILE *to, const char *complete)
{
	struct zn__word w = zn__word_source(complete);

	switch (w.source) {
	case ZN__NONE:
		break;
	case ZN__WORDS:
		fputs(" -a '", to);
		for (const char *p = w.words; *p; p++)
			fputc(*p == '|' ? ' ' : *p, to);
		fputc('\'', to);
		break;
	case ZN__FILE:
		fputs(" -F", to);
		break;
	case ZN__DIR:
		fputs(" -a '(__fish_complete_directories)'", to);
		break;
	case ZN__COMMAND:
		fputs(" -a '(__fish_complete_command)'", to);
		break;
	case ZN__USER:
		fputs(" -a '(__fish_complete_users)'", to);
		break;
	case ZN__ASKED:
		fprintf(to, " -a '(%s)'", w.ask);
	}
}

static void put_opts(FILE *to, const struct zn_cmd *cmd, const char *when, const struct zn_opt *opts)
{
	zn__opts_each(o, opts) {
		fprintf(to, "complete -c %s%s", cmd->name, when);
		if (o->key)
			fprintf(to, " -s %c", o->key);
		fprintf(to, " -l %s", o->name);
		if (o->kind != ZN_OPT_FLAG) {
			fputs(o->complete && !strcmp(o->complete, "file") ? " -r" : " -x", to);
			put_words(to, o->complete);
		}
		fputs(" -d ", to);
		put_text(to, o->help);
		fputc('\n', to);
	}
}

/* Behind our options another program's command line begins; fish has to know which of ours take a value. */
static void put_command(FILE *to, const struct zn_cmd *cmd)
{
	fprintf(to, "complete -c %s -x -a '(__fish_complete_subcommand --", cmd->name);
	zn__opts_each(o, cmd->opts)
		if (o->kind != ZN_OPT_FLAG) {
			if (o->key)
				fprintf(to, " -%c", o->key);
			fprintf(to, " --%s", o->name);
		}
	fputs(")'\n", to);
}

static void put_operands(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *what, const char *when)
{
	if (what->stop_at_operand || (what->complete && !strcmp(what->complete, "command"))) {
		put_command(to, cmd);
	} else if (what->complete) {
		fprintf(to, "complete -c %s%s", cmd->name, when);
		put_words(to, what->complete);
		fputc('\n', to);
	}
}

static void put_verb(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb)
{
	char when[100];

	snprintf(when, sizeof(when), " -n '__fish_seen_subcommand_from %s'", verb->name);
	fprintf(to, "complete -c %s -n __fish_use_subcommand -a %s -d ", cmd->name, verb->name);
	put_text(to, verb->brief);
	fputc('\n', to);
	put_opts(to, cmd, when, verb->opts);
	put_operands(to, cmd, verb, when);
}

void zn__complete_fish(FILE *to, const struct zn_cmd *cmd)
{
	fprintf(to, "# Completion of %s, printed by %s --complete=fish.\ncomplete -c %s -f\n", cmd->name,
	        cmd->name, cmd->name);
	put_opts(to, cmd, "", cmd->opts);
	put_opts(to, cmd, "", zn__common_opts);
	zn__verbs_each(v, cmd)
		put_verb(to, cmd, v);
	if (!cmd->verbs)
		put_operands(to, cmd, cmd, "");
}
