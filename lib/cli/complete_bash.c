/* complete_bash: one function.  It walks the words to find the verb (or, for a program that becomes
 * another, where the other's command line begins), stepping over values; then it offers the value of the
 * option before the cursor, options, or operands.  Bash splits "--name=value" at "=" into three words.
 */
#include <string.h>

#include "cli/table.h"

/* "a|b" as "a b". */
static void put_words(FILE *to, const char *words)
{
	for (; *words; words++)
		fputc(*words == '|' ? ' ' : *words, to);
}

static void put_reply(FILE *to, const char *complete)
{
	struct zn__word w = zn__word_source(complete);

	switch (w.source) {
	case ZN__NONE:
		fputs(":", to);
		break;
	case ZN__WORDS:
		fputs("_zn_reply -W '", to);
		put_words(to, w.words);
		fputs("'", to);
		break;
	case ZN__FILE:
		fputs("compopt -o filenames; _zn_reply -f", to);
		break;
	case ZN__DIR:
		fputs("compopt -o filenames; _zn_reply -d", to);
		break;
	case ZN__COMMAND:
		fputs("_zn_reply -c", to);
		break;
	case ZN__USER:
		fputs("_zn_reply -u", to);
		break;
	case ZN__ASKED:
		fprintf(to, "_zn_reply -W \"$(%s)\"", w.ask);
	}
}

static void put_names(FILE *to, const struct zn_opt *o, const char *between)
{
	if (o->key)
		fprintf(to, "-%c%s", o->key, between);
	fprintf(to, "--%s", o->name);
}

/* The options with a value, as a case pattern: -o|--output|... */
static void put_valued(FILE *to, const struct zn_opt *const *tables)
{
	const char *between = "";

	for (; *tables; tables++)
		zn__opts_each(o, *tables)
			if (o->kind != ZN_OPT_FLAG) {
				fputs(between, to);
				put_names(to, o, "|");
				between = "|";
			}
}

static void put_value_cases(FILE *to, const struct zn_opt *opts, const struct zn_opt *but, const char *indent)
{
	zn__opts_each(o, opts) {
		if (o->kind == ZN_OPT_FLAG || zn__opt_is_in(o, but))
			continue;
		fputs(indent, to);
		put_names(to, o, "|");
		fputs(") ", to);
		put_reply(to, o->complete);
		fputs("; return ;;\n", to);
	}
}

static void put_option_words(FILE *to, const struct zn_opt *opts, const struct zn_opt *but, const char **between)
{
	zn__opts_each(o, opts) {
		if (zn__opt_is_in(o, but))
			continue;
		fputs(*between, to);
		put_names(to, o, " ");
		*between = " ";
	}
}

/* What may follow once the verb, if any, is known.  An option that the verb has too is the verb's. */
static void put_body(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb, const char *indent)
{
	const struct zn_opt *own = verb ? verb->opts : NULL;
	const struct zn_opt *tables[] = { own, cmd->opts, zn__common_opts };
	const char *between = "";

	fprintf(to, "%scase $prev in\n", indent);
	for (int i = 0; i < 3; i++)
		put_value_cases(to, tables[i], i ? own : NULL, indent);
	fprintf(to, "%sesac\n%sif [[ $cur == -* ]]; then\n%s\t_zn_reply -W '", indent, indent, indent);
	for (int i = 0; i < 3; i++)
		put_option_words(to, tables[i], i ? own : NULL, &between);
	fprintf(to, "'\n%selse\n%s\t", indent, indent);
	if (!verb && cmd->verbs) {
		fputs("_zn_reply -W '", to);
		zn__verbs_each(v, cmd)
			fprintf(to, "%s%s", v == cmd->verbs ? "" : " ", v->name);
		fputc('\'', to);
	} else {
		put_reply(to, verb ? verb->complete : cmd->complete);
	}
	fprintf(to, "\n%sfi\n", indent);
}

/* Leaves i at the first operand, or past the end. */
static void put_walk(FILE *to, const struct zn_cmd *cmd)
{
	const struct zn_opt *tables[] = { zn__common_opts, cmd->opts, NULL };

	fprintf(to, "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	            "\t\tcase ${COMP_WORDS[i]} in\n"
	            "\t\t--) %s((i++)); break ;;\n"
	            "\t\t", cmd->verbs ? "" : "dashes=1; ");
	put_valued(to, tables);
	fputs(") [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++)); ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n", to);
}

/* The command line behind our options is another program's. */
static void put_handover(FILE *to)
{
	fputs("\tif ((i < COMP_CWORD || dashes)); then\n"
	            "\t\tif ((i == COMP_CWORD)); then _zn_reply -c\n"
	            "\t\telif declare -F _command_offset >/dev/null; then _command_offset \"$i\"\n"
	            "\t\telse compopt -o filenames; _zn_reply -f; fi\n"
	            "\t\treturn\n\tfi\n", to);
}

static void put_verb_cases(FILE *to, const struct zn_cmd *cmd)
{
	fputs("\tcase $verb in\n", to);
	zn__verbs_each(v, cmd) {
		fprintf(to, "\t%s)\n", v->name);
		put_body(to, cmd, v, "\t\t");
		fputs("\t\t;;\n", to);
	}
	fputs("\t*)\n", to);
	put_body(to, cmd, NULL, "\t\t");
	fputs("\t\t;;\n\tesac\n", to);
}

static void put_head(FILE *to, const struct zn_cmd *cmd, const char *locals)
{
	fprintf(to, "# shellcheck shell=bash\n# Completion of %s, printed by %s --complete=bash.\n"
	            "_zn_reply() { mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\"); }\n\n_", cmd->name,
	        cmd->name);
	zn__put_ident(to, cmd->name);
	fprintf(to, "()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}%s\n\n"
	            "\tif [[ $cur == = ]]; then\n\t\tcur=\n"
	            "\telif [[ $prev == = ]]; then\n\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n\tfi\n", locals);
}

void zn__complete_bash(FILE *to, const struct zn_cmd *cmd)
{
	bool hands_over = cmd->stop_at_operand || (cmd->complete && !strcmp(cmd->complete, "command"));

	put_head(to, cmd, cmd->verbs ? " i verb=" : hands_over ? " i dashes=0" : "");
	if (cmd->verbs) {
		put_walk(to, cmd);
		fputs("\t((i < COMP_CWORD)) && verb=${COMP_WORDS[i]}\n", to);
		put_verb_cases(to, cmd);
	} else {
		if (hands_over) {
			put_walk(to, cmd);
			put_handover(to);
		}
		put_body(to, cmd, NULL, "\t");
	}
	fputs("}\ncomplete -F _", to);
	zn__put_ident(to, cmd->name);
	fprintf(to, " %s\n", cmd->name);
}
