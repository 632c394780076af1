/* help: --help and the synopsis, from the tables. */
#include <string.h>

#include "base/text.h"
#include "cli/table.h"

enum { HELP_COLUMN = 26, WIDTH_DEFAULT = 80, WIDTH_MAX = 100 };

void zn__synopsis(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb)
{
	const char *line = verb ? verb->synopsis : cmd->synopsis, *lead = "usage:";

	do {
		int n = line ? (int)strcspn(line, "\n") : 0;
		fprintf(to, "%s %s%s%s%s%.*s\n", lead, cmd->name, verb ? " " : "", verb ? verb->name : "",
		        n ? " " : "", n, line ? line : "");
		line = line && line[n] ? line + n + 1 : NULL;
		lead = "   or:";
	} while (line);
}

void zn__usage_line(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb)
{
	const char *line = verb ? verb->synopsis : cmd->synopsis;
	int n = line ? (int)strcspn(line, "\n") : 0;

	fprintf(to, "usage: %s %s%s%.*s%s\n", cmd->name, verb ? verb->name : "", verb && n ? " " : "", n, line ? line : "",
	        line && line[n] ? ", and other ways: --help" : "");
}

/* Words of text in lines of width, each new line indented; the first begins at column at. */
static void put_wrapped(FILE *to, const char *text, int at, int indent, int width)
{
	int column = at;

	while (*text) {
		size_t n = strcspn(text, " ");
		int w = (int)zn_text_width(text, n);
		if (column > indent && column + 1 + w > width) {
			fprintf(to, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', to);
			column++;
		}
		fwrite(text, 1, n, to);
		column += w;
		text += n + strspn(text + n, " ");
	}
	fputc('\n', to);
}

static void put_row(FILE *to, const char *left, const char *help, int width)
{
	int n = (int)zn_text_width(left, strlen(left));

	fputs(left, to);
	if (n + 2 > HELP_COLUMN)
		fprintf(to, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(to, "%*s", HELP_COLUMN - n, "");
	put_wrapped(to, help ? help : "", HELP_COLUMN, HELP_COLUMN, width);
}

static void put_opts(FILE *to, const struct zn_opt *opts, int width)
{
	char left[120];

	zn__opts_each(o, opts) {
		char key[5] = "    ";
		if (o->key)
			snprintf(key, sizeof(key), "-%c, ", o->key);
		snprintf(left, sizeof(left), "  %s--%s%s%s", key, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		put_row(to, left, o->help, width);
	}
}

static void put_verbs(FILE *to, const struct zn_cmd *cmd, int width)
{
	char left[120];

	fputs("\ncommands:\n", to);
	zn__verbs_each(v, cmd) {
		snprintf(left, sizeof(left), "  %s", v->name);
		put_row(to, left, v->brief, width);
	}
	fprintf(to, "\n'%s COMMAND --help' says more.\n", cmd->name);
}

/* Where a paragraph ends: before a line that is empty or begins with a blank. */
static size_t paragraph_length(const char *text)
{
	size_t n = strcspn(text, "\n");

	while (text[n] && text[n + 1] && !strchr("\n ", text[n + 1]))
		n += 1 + strcspn(text + n + 1, "\n");
	return n;
}

/* Paragraphs are filled; lines that begin with a blank, such as examples, stay as they are. */
static void put_footer(FILE *to, const char *text, int width)
{
	char part[2000];

	fputc('\n', to);
	while (*text) {
		bool as_is = *text == ' ' || *text == '\n';
		size_t n = as_is ? strcspn(text, "\n") : paragraph_length(text);
		snprintf(part, sizeof(part), "%.*s", (int)n, text);
		for (char *p = part; (p = strchr(p, '\n'));)
			*p = ' ';
		if (as_is)
			fprintf(to, "%s\n", part);
		else
			put_wrapped(to, part, 0, 0, width);
		text += n + (text[n] == '\n');
	}
}

void zn__help(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb, int width)
{
	const struct zn_cmd *what = verb ? verb : cmd;

	width = width <= HELP_COLUMN + 20 ? WIDTH_DEFAULT : width < WIDTH_MAX ? width : WIDTH_MAX;
	zn__synopsis(to, cmd, verb);
	fputc('\n', to);
	put_wrapped(to, what->brief, 0, 0, width);
	if (!verb && cmd->verbs)
		put_verbs(to, cmd, width);
	fputs("\noptions:\n", to);
	if (verb)
		put_opts(to, verb->opts, width);
	put_opts(to, cmd->opts, width);
	put_opts(to, zn__common_opts, width);
	if (what->footer)
		put_footer(to, what->footer, width);
}
