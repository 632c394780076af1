/* cli: what every program's main shares.  One table of options gives parsing, --help, the synopsis of a
 * usage error and the completions of three shells.
 */
#ifndef ZN_CLI_CLI_H
#define ZN_CLI_CLI_H

#include <stdbool.h>

#include "cli/exit.h"
#include "rec/field.h"
#include "rec/writer.h"

enum zn_opt_kind {
	ZN_OPT_FLAG,   /* bool */
	ZN_OPT_STR,    /* const char * */
	ZN_OPT_STRS,   /* struct zn_strs, empty at first: the option may be repeated */
	ZN_OPT_U64,    /* struct zn_ou64 */
	ZN_OPT_I64,    /* struct zn_oi64 */
	ZN_OPT_F64,    /* struct zn_of64: "0.25" */
	ZN_OPT_BYTES,  /* struct zn_ou64: "40G" */
	ZN_OPT_DUR,    /* struct zn_of64: seconds, "1h30m" */
	ZN_OPT_TIME,   /* struct zn_of64: epoch, "18:30", "+2h" */
	ZN_OPT_CHOICE, /* const char *: one of the words in complete, "bind|prefer|interleave" */
};

struct zn_opt {
	char key;                  /* 0: long form only */
	const char *name;          /* long form without the dashes */
	enum zn_opt_kind kind;
	const char *arg;           /* "N", "SIZE", "FILE": shown in help; NULL for a flag */
	void *to;                  /* where the value goes; must outlive parsing */
	const char *complete;      /* "file", "dir", "command", "user", "job", "gpu", "numa", "state",
	                            * a word list "a|b|c", or NULL */
	const char *help;          /* one sentence, lower case, no full stop */
};

struct zn_cmd {
	const char *name;          /* "zn-pin"; for a verb "cancel" */
	const char *brief;         /* one line: what it does */
	const char *synopsis;      /* what follows the name: "[options] -- COMMAND [ARG...]"; lines split by \n */
	const struct zn_opt *opts; /* ends with { 0 }; NULL: none */
	const struct zn_cmd *verbs;/* ends with { 0 }; NULL: none */
	int (*run)(int argc, char **argv); /* for a verb: called with its operands */
	const char *complete;      /* what completes an operand, as in zn_opt */
	bool stop_at_operand;      /* options end at the first operand (zn-pin CMD --its-own-option) */
	bool wraps;                /* becomes another program: usage errors exit 125, not 64 */
	const char *footer;        /* more help after the options, or NULL: paragraphs, filled, and lines
	                            * that begin with a blank, which stay as they are */
};

/* Options that all programs with records share; put ZN_CLI_OUTPUT_OPTS into the table. */
struct zn_cli_output {
	const char *format, *fields;
	bool no_heading;
};
extern struct zn_cli_output zn_cli_output;
#define ZN_CLI_OUTPUT_OPTS \
	{ 'o', "output", ZN_OPT_CHOICE, "FORMAT", &zn_cli_output.format, "table|json|csv|msgpack", \
	  "table, json, csv or msgpack (default: table on a terminal, else msgpack)" }, \
	{ 0, "fields", ZN_OPT_STR, "KEYS", &zn_cli_output.fields, NULL, \
	  "only these keys, comma-separated, in this order; 'help' lists them" }, \
	{ 0, "no-heading", ZN_OPT_FLAG, NULL, &zn_cli_output.no_heading, NULL, "a table without its heading" }

/* Parses argv: --help, --version, --complete=SHELL and usage errors are answered here and exit.  Returns
 * the index of the first operand; operands are moved behind the options unless cmd->stop_at_operand.
 * For a command with verbs it stops at the verb.  An option of a command with verbs may stand before or
 * behind the verb.
 */
int zn_cli_parse(const struct zn_cmd *cmd, int argc, char **argv);
/* Did "--" end the options?  Tells "zn-submit script" from "zn-submit -- command". */
bool zn_cli_had_dashes(void);
/* Did the command line give this option (long form without the dashes)? */
bool zn_cli_given(const char *name);
/* Options from elsewhere, such as a script's #ZN lines, after zn_cli_parse: argv[0] is the first of them.
 * What the command line gave already stays; a repeatable option is added to.  Operands, --help and the
 * like are refused.  -EINVAL and a sentence; values given before the culprit have been stored.
 */
int zn_cli_parse_more(const struct zn_cmd *cmd, int argc, char **argv, struct zn_err *err);
/* The verb in argv[at] parses its own options and runs with its operands alone: argv[0] is the first, argc
 * may be 0.  at == argc runs the verb named fallback; NULL: a verb is needed.  Returns what run returned.
 */
int zn_cli_run_verb(const struct zn_cmd *cmd, const char *fallback, int argc, char **argv, int at);

/* "zn-pin: sentence" on stderr; returns code, so that main can return it. */
int zn_cli_fail(enum zn_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void zn_cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Usage error: the sentence, then the synopsis (its first form); exits 64 (125 for wrappers). */
_Noreturn void zn_cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "out of memory" and exit 71; for callers that got NULL from an arena. */
void *zn_cli_must(void *p);
/* The exit code that fits a negative errno from the library: -EBADMSG 65, -EAGAIN and -EBUSY 75, -EPERM and
 * -EACCES 77, -EINVAL and -ERANGE 64, -ECONNREFUSED and the like 69, everything else 71.
 */
enum zn_exit zn_cli_code(int rc);

/* A writer on stdout by -o, ZENITH_OUTPUT, or what stdout is; answers --fields=help for these kinds (ends
 * with NULL) and exits.  An unknown name in --fields is a usage error.
 */
struct zn_writer *zn_cli_writer(const struct zn_kind *const *kinds, bool live);
/* The format that zn_cli_writer would take. */
enum zn_format zn_cli_format(void);
bool zn_cli_color(int fd); /* a terminal, NO_COLOR not set, TERM not dumb */
/* Ends the writer (may be NULL), flushes stdout; a full disk or closed pipe turns code 0 into 71. */
int zn_cli_end(struct zn_writer *w, int code);

#endif
