/* table: what parsing, help and completion share about option tables; private to cli. */
#ifndef ZN_CLI_TABLE_H
#define ZN_CLI_TABLE_H

#include <stdio.h>

#include "cli/cli.h"

/* The program that runs, for messages; both NULL until it parses. */
struct zn__cli {
	const struct zn_cmd *cmd, *verb;
};
extern struct zn__cli zn__cli;

/* --help, --version, --complete: every program has them.  Their values go nowhere. */
extern const struct zn_opt zn__common_opts[];

enum zn__ask { ZN__ASK_NOTHING, ZN__ASK_HELP, ZN__ASK_VERSION, ZN__ASK_COMPLETE };

struct zn__parsed {
	int first;            /* index of the first operand */
	bool dashes;          /* "--" was there */
	enum zn__ask ask;     /* parsing stopped there */
	const char *shell;    /* what to complete for */
};

/* Parses argv[from..argc) by the tables of verb (may be NULL), cmd and every program.  only_new: options
 * that an earlier call stored stay as they are.  -EINVAL and a sentence.
 */
int zn__parse(const struct zn_cmd *cmd, const struct zn_cmd *verb, int from, int argc, char **argv,
              bool only_new, struct zn__parsed *ret, struct zn_err *err);
/* Forgets which options were given. */
void zn__parse_reset(void);

const struct zn_cmd *zn__verb(const struct zn_cmd *cmd, const char *name); /* NULL: no such verb */
#define zn__opts_each(o, table) for (const struct zn_opt *o = (table); o && o->name; o++)
#define zn__verbs_each(v, cmd) for (const struct zn_cmd *v = (cmd)->verbs; v && v->name; v++)

void zn__synopsis(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb);
/* Its first form alone, in one line. */
void zn__usage_line(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb);
void zn__help(FILE *to, const struct zn_cmd *cmd, const struct zn_cmd *verb, int width);
/* 0, or -EINVAL when shell is none that we know.  "options" prints the tables for tests. */
int zn__complete(FILE *to, const struct zn_cmd *cmd, const char *shell);
void zn__complete_bash(FILE *to, const struct zn_cmd *cmd);
void zn__complete_zsh(FILE *to, const struct zn_cmd *cmd);
void zn__complete_fish(FILE *to, const struct zn_cmd *cmd);

/* Whether the table has an option of that key or name: a verb's own stand before the program's. */
bool zn__opt_is_in(const struct zn_opt *o, const struct zn_opt *table);

/* What completes a word: see zn_opt.complete. */
enum zn__source { ZN__NONE, ZN__WORDS, ZN__FILE, ZN__DIR, ZN__COMMAND, ZN__USER, ZN__ASKED };
struct zn__word {
	enum zn__source source;
	const char *words;    /* WORDS: separated by '|' */
	const char *name;     /* ASKED: what it is ... */
	const char *ask;      /* ... and a command that prints the words, one a line; no single quotes */
};
struct zn__word zn__word_source(const char *complete);
/* Calls each ASKED source that the program's tables use, once. */
void zn__asked_each(const struct zn_cmd *cmd, void (*f)(FILE *to, const struct zn_cmd *cmd, struct zn__word w),
                    FILE *to);
/* text with each of these bytes behind a backslash, and "'" as the shell's single quotes need it. */
void zn__put_quoted(FILE *to, const char *text, const char *escape, const char *apostrophe);
/* "zn-queue" as part of a shell function's name: "zn_queue". */
void zn__put_ident(FILE *to, const char *name);

/* Columns of the terminal at fd; 0: not known, or no terminal. */
int zn__width(int fd);

#endif
