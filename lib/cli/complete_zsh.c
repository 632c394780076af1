/* complete_zsh: a specification for _arguments; for each verb, another. */
#include <string.h>

#include "cli/table.h"

static void put_action(FILE *to, const struct zn_cmd *cmd, const char *complete)
{
	struct zn__word w = zn__word_source(complete);

	switch (w.source) {
	case ZN__NONE:
		fputc(' ', to);
		break;
	case ZN__WORDS:
		fputc('(', to);
		for (const char *p = w.words; *p; p++)
			fputc(*p == '|' ? ' ' : *p, to);
		fputc(')', to);
		break;
	case ZN__FILE:
		fputs("_files", to);
		break;
	case ZN__DIR:
		fputs("_files -/", to);
		break;
	case ZN__COMMAND:
		fputs("_command_names -e", to);
		break;
	case ZN__USER:
		fputs("_users", to);
		break;
	case ZN__ASKED:
		fputc('_', to);
		zn__put_ident(to, cmd->name);
		fprintf(to, "_%s", w.name);
	}
}

static void put_explained(FILE *to, const char *text)
{
	zn__put_quoted(to, text ? text : "", "\\[]", "'\\''");
}

/* '(-o --output)'{-o,--output}'[help]:FORMAT:(a b)'; a repeatable option has a star in front instead of
 * the list of what it excludes.  An option that the verb has too is the verb's (but).
 */
static void put_opts(FILE *to, const struct zn_cmd *cmd, const struct zn_opt *opts, const struct zn_opt *but,
                     const char *indent)
{
	zn__opts_each(o, opts) {
		if (zn__opt_is_in(o, but))
			continue;
		const char *valued = o->kind == ZN_OPT_FLAG ? "" : "=";
		fprintf(to, " \\\n%s", indent);
		if (o->kind == ZN_OPT_STRS)
			fputs("'*'", to);
		else if (o->key)
			fprintf(to, "'(-%c --%s)'", o->key, o->name);
		if (o->key)
			fprintf(to, "{-%c%s,--%s%s}", o->key, *valued ? "+" : "", o->name, valued);
		else
			fprintf(to, "--%s%s", o->name, valued);
		fputs("'[", to);
		put_explained(to, o->help);
		fputc(']', to);
		if (*valued) {
			fprintf(to, ":%s:", o->arg);
			put_action(to, cmd, o->complete);
		}
		fputc('\'', to);
	}
}

static void put_operands(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *what, const char *indent)
{
	bool command = what->complete && !strcmp(what->complete, "command");

	if (!what->complete)
		return;
	fprintf(to, " \\\n%s", indent);
	if (command || what->stop_at_operand) {
		fprintf(to, "'(-)1:command:_command_names -e' \\\n%s'*::arguments:_normal'", indent);
		return;
	}
	fputs("'*:operand:", to);
	put_action(to, cmd, what->complete);
	fputc('\'', to);
}

static void put_asked(FILE *to, const struct zn_cmd *cmd, struct zn__word w)
{
	fputc('_', to);
	zn__put_ident(to, cmd->name);
	fprintf(to, "_%s() {\n  local -a words\n  words=(${(f)\"$(%s)\"})\n  compadd \"$@\" -a words\n}\n\n", w.name,
	        w.ask);
}

static void put_verb(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb)
{
	fprintf(to, "  %s)\n    _arguments -s -S", verb->name);
	put_opts(to, cmd, verb->opts, NULL, "      ");
	put_opts(to, cmd, cmd->opts, verb->opts, "      ");
	put_opts(to, cmd, zn__common_opts, verb->opts, "      ");
	put_operands(to, cmd, verb, "      ");
	fputs(" ;;\n", to);
}

static void put_verbs(FILE *to, const struct zn_cmd *cmd)
{
	fputs("  case $state in\n  verb)\n    verbs=(", to);
	zn__verbs_each(v, cmd) {
		fprintf(to, "\n      '%s:", v->name);
		zn__put_quoted(to, v->brief, "\\", "'\\''");
		fputc('\'', to);
	}
	fputs("\n    )\n    _describe command verbs; return ;;\n  esac\n  case $words[1] in\n", to);
	zn__verbs_each(v, cmd)
		put_verb(to, cmd, v);
	fputs("  esac\n", to);
}

void zn__complete_zsh(FILE *to, const struct zn_cmd *cmd)
{
	fprintf(to, "#compdef %s\n# Completion of %s, printed by %s --complete=zsh.\n\n", cmd->name, cmd->name,
	        cmd->name);
	zn__asked_each(cmd, put_asked, to);
	fputc('_', to);
	zn__put_ident(to, cmd->name);
	fputs("() {\n", to);
	if (cmd->verbs)
		fputs("  local curcontext=$curcontext state line\n  local -a verbs\n  typeset -A opt_args\n"
		      "  _arguments -s -S -C", to);
	else
		fputs("  _arguments -s -S", to);
	put_opts(to, cmd, cmd->opts, NULL, "    ");
	put_opts(to, cmd, zn__common_opts, NULL, "    ");
	if (cmd->verbs)
		fputs(" \\\n    '1: :->verb' '*:: :->rest'", to);
	else
		put_operands(to, cmd, cmd, "    ");
	fputs(cmd->verbs ? " && return\n" : "\n", to);
	if (cmd->verbs)
		put_verbs(to, cmd);
	fputs("}\n\n_", to);
	zn__put_ident(to, cmd->name);
	fputs(" \"$@\"\n", to);
}
