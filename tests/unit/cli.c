/* cli: words in, values out; the sentences of what is refused. */
#include <errno.h>
#include <string.h>

#include "cli/table.h"
#include "tap.h"

static struct {
	bool hold, verbose;
	const char *name, *mem;
	struct zn_strs env;
	struct zn_ou64 cpus, size;
	struct zn_oi64 prio;
	struct zn_of64 limit, begin;
} got;

static const struct zn_opt opts[] = {
	{ 'H', "hold", ZN_OPT_FLAG, NULL, &got.hold, NULL, "keep it" },
	{ 'v', "verbose", ZN_OPT_FLAG, NULL, &got.verbose, NULL, "say more" },
	{ 'n', "name", ZN_OPT_STR, "NAME", &got.name, NULL, "what it's called" },
	{ 'm', "mem", ZN_OPT_CHOICE, "POLICY", &got.mem, "bind|prefer|interleave", "where memory comes from" },
	{ 'e', "env", ZN_OPT_STRS, "K=V", &got.env, NULL, "one variable" },
	{ 'c', "cpus", ZN_OPT_U64, "N", &got.cpus, NULL, "how many" },
	{ 's', "size", ZN_OPT_BYTES, "SIZE", &got.size, NULL, "how much" },
	{ 'p', "prio", ZN_OPT_I64, "N", &got.prio, NULL, "how urgent" },
	{ 't', "limit", ZN_OPT_DUR, "TIME", &got.limit, NULL, "how long" },
	{ 0, "begin", ZN_OPT_TIME, "WHEN", &got.begin, NULL, "not before" },
	{ 0 },
};
static const struct zn_opt cancel_opts[] = {
	{ 's', "signal", ZN_OPT_STR, "NAME", &got.name, NULL, "which signal" },
	{ 0 },
};
static const struct zn_cmd plain = { .name = "plain", .brief = "one", .synopsis = "[options] FILE...", .opts = opts };
static const struct zn_cmd wrapper = { .name = "wrapper", .brief = "two", .opts = opts, .stop_at_operand = true };
static const struct zn_cmd verbs[] = {
	{ .name = "list", .brief = "show them" },
	{ .name = "cancel", .brief = "end them", .synopsis = "[options] JOB...\n--all", .opts = cancel_opts },
	{ 0 },
};
static const struct zn_cmd tree = { .name = "tree", .brief = "three", .opts = opts, .verbs = verbs,
                                    .footer = "A tree has more to say\nthan fits into one line of its help, wide\n"
                                              "or not.\n\nThen:\n  as it   is\n" };

static const struct row {
	const struct zn_cmd *cmd;
	const char *words, *want;  /* words are separated by '|' */
} rows[] = {
	{ &plain, "", ":" },
	{ &plain, "-H", "hold:" },
	{ &plain, "--hold", "hold:" },
	{ &plain, "-Hv|a", "hold verbose: a" },
	{ &plain, "-Hvn|x", "hold verbose name=x:" },
	{ &plain, "-Hnv", "hold name=v:" },
	{ &plain, "--name=x", "name=x:" },
	{ &plain, "--name|x", "name=x:" },
	{ &plain, "--name=", "name=:" },
	{ &plain, "--name=a=b", "name=a=b:" },
	{ &plain, "-n|-H", "name=-H:" },
	{ &plain, "-n|--", "name=--:" },
	{ &plain, "-n|x|-n|y", "name=y:" },
	{ &plain, "-p|-5", "prio=-5:" },
	{ &plain, "-p-5", "prio=-5:" },
	{ &plain, "--prio=-5|-H", "hold prio=-5:" },
	{ &plain, "a|-H|b|-n|x|c", "hold name=x: a b c" },
	{ &plain, "a|-H|--|-v|--|b", "hold dashes: a -v -- b" },
	{ &plain, "-|-H", "hold: -" },
	{ &plain, "--|-H", "dashes: -H" },
	{ &plain, "-e|A=1|--env=B=2|-eC", "env=A=1,B=2,C:" },
	{ &plain, "-m|bind", "mem=bind:" },
	{ &plain, "-c|18446744073709551615", "cpus=18446744073709551615:" },
	{ &plain, "-s|1.5K", "size=1536:" },
	{ &plain, "-t|1h30m", "limit=5400:" },
	{ &plain, "--begin=@1700000000", "begin=1700000000:" },
	{ &plain, "--help", "help" },
	{ &plain, "-Hh", "help" },
	{ &plain, "--help|--nope", "help" },
	{ &plain, "--version", "version" },
	{ &plain, "--complete=bash", "complete bash" },
	{ &plain, "--complete|zsh", "complete zsh" },
	{ &wrapper, "-H|cmd|-v|--nope", "hold: cmd -v --nope" },
	{ &wrapper, "-H|--|-v", "hold dashes: -v" },
	{ &wrapper, "-p|-5|cmd|--|x", "prio=-5: cmd -- x" },
	{ &tree, "-H|cancel|-v", "hold: cancel -v" },
	{ &tree, "-n|cancel|list", "name=cancel: list" },

	{ &plain, "--nope", "unknown option '--nope'" },
	{ &plain, "--nope=3", "unknown option '--nope'" },
	{ &plain, "-x", "unknown option '-x'" },
	{ &plain, "-Hx", "unknown option '-x'" },
	{ &plain, "-5", "unknown option '-5'" },
	{ &plain, "--cpu|3", "unknown option '--cpu' (did you mean '--cpus'?)" },
	{ &plain, "--ver", "unknown option '--ver'" },
	{ &plain, "--=3", "unknown option '--'" },
	{ &plain, "--hold=yes", "option '--hold' takes no value" },
	{ &plain, "--help=yes", "option '--help' takes no value" },
	{ &plain, "-c", "option '--cpus' needs a value (N)" },
	{ &plain, "a|--name", "option '--name' needs a value (NAME)" },
	{ &plain, "-c|abc", "option '--cpus': 'abc' is not a whole number" },
	{ &plain, "-c|", "option '--cpus': '' is not a whole number" },
	{ &plain, "-c|-1", "option '--cpus': '-1' is not a whole number" },
	{ &plain, "--cpus=18446744073709551616", "option '--cpus': '18446744073709551616' is too large" },
	{ &plain, "-s|-4G", "option '--size': '-4G' is not a size such as 512M or 1.5G" },
	{ &plain, "-s|4Q", "option '--size': '4Q' is not a size such as 512M or 1.5G" },
	{ &plain, "-t|soon", "option '--limit': 'soon' is not a duration such as 90, 1h30m or 02:00:00" },
	{ &plain, "-m|bound", "option '--mem': 'bound' is not one of bind, prefer, interleave" },
	{ &plain, "-m|bin", "option '--mem': 'bin' is not one of bind, prefer, interleave" },
	{ &plain, "-m|", "option '--mem': '' is not one of bind, prefer, interleave" },
	{ &plain, "--n\033[1m", "unknown option '--n\\x1b[1m'" },
};

/* "a|b" as {"prog", "a", "b"}, in static storage. */
static int split(const char *words, char **argv)
{
	static char copy[400];
	int n = 0;

	snprintf(copy, sizeof(copy), "prog|%s", words);
	for (char *p = copy, *next = copy; next && (n == 0 || *words); p = next) {
		argv[n++] = p;
		if ((next = strchr(p, '|')))
			*next++ = '\0';
	}
	argv[n] = NULL;
	return n;
}

static void show_values(char *to, size_t size)
{
	FILE *f = fmemopen(to, size, "w");

	fprintf(f, "%s%s", got.hold ? " hold" : "", got.verbose ? " verbose" : "");
	if (got.name)
		fprintf(f, " name=%s", got.name);
	if (got.mem)
		fprintf(f, " mem=%s", got.mem);
	for (size_t i = 0; i < got.env.n; i++)
		fprintf(f, "%s%s", i ? "," : " env=", got.env.v[i]);
	if (got.cpus.has)
		fprintf(f, " cpus=%llu", (unsigned long long)got.cpus.v);
	if (got.size.has)
		fprintf(f, " size=%llu", (unsigned long long)got.size.v);
	if (got.prio.has)
		fprintf(f, " prio=%lld", (long long)got.prio.v);
	if (got.limit.has)
		fprintf(f, " limit=%.0f", got.limit.v);
	if (got.begin.has)
		fprintf(f, " begin=%.0f", got.begin.v);
	fclose(f);
}

static void show(const struct zn__parsed *p, int argc, char **argv, char *to, size_t size)
{
	static const char *const asks[] = { "", "help", "version", "complete" };
	char values[300] = "";

	if (p->ask) {
		snprintf(to, size, "%s%s%s", asks[p->ask], p->shell ? " " : "", p->shell ? p->shell : "");
		return;
	}
	show_values(values, sizeof(values));
	size_t n = (size_t)snprintf(to, size, "%s%s:", *values ? values + 1 : "",
	                            !p->dashes ? "" : *values ? " dashes" : "dashes");
	for (int i = p->first; i < argc; i++)
		n += (size_t)snprintf(to + n, size - n, " %s", argv[i]);
}

static void forget(void)
{
	memset(&got, 0, sizeof(got));
	zn__parse_reset();
}

static void test_rows(void)
{
	char *argv[40], text[500];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		struct zn__parsed p;
		struct zn_err err;
		int argc = split(r->words, argv);
		forget();
		int rc = zn__parse(r->cmd, NULL, 1, argc, argv, false, &p, &err);
		if (rc < 0)
			snprintf(text, sizeof(text), "%s", err.text);
		else
			show(&p, argc, argv, text, sizeof(text));
		if (!tap_ok(!strcmp(text, r->want), "%s '%s'", r->cmd->name, r->want))
			printf("# words '%s' gave '%s'\n", r->words, text);
	}
}

/* A verb's option shadows the program's of the same letter; the others of the program still hold. */
static void test_verb(void)
{
	char *argv[10];
	struct zn__parsed p;
	int argc = split("cancel|-s|KILL|1|-H|2", argv);

	forget();
	int rc = zn__parse(&tree, &verbs[1], 2, argc, argv, false, &p, NULL);
	tap_ok(rc == 0 && got.name && !strcmp(got.name, "KILL") && !got.size.has, "the verb's own -s wins");
	tap_ok(got.hold, "an option of the program may stand behind the verb");
	tap_ok(argc - p.first == 2 && !strcmp(argv[p.first], "1") && !strcmp(argv[p.first + 1], "2"),
	       "operands of the verb are moved behind its options");
}

static void test_more(void)
{
	char *argv[10], *more[] = { "-nother", "-c", "2", "-e", "B" };
	char *operand[] = { "-H", "x" }, *help[] = { "--help" };
	struct zn__parsed p;
	struct zn_err err;

	forget();
	zn__parse(&plain, NULL, 1, split("-n|mine|-e|A", argv), argv, false, &p, NULL);
	tap_ok(zn_cli_given("name") && !zn_cli_given("cpus"), "what was given is known");
	tap_ok(zn_cli_parse_more(&plain, 5, more, &err) == 0 && !strcmp(got.name, "mine"),
	       "what the command line gave stays");
	tap_ok(got.cpus.has && got.cpus.v == 2, "what it left open is filled in");
	tap_ok(got.env.n == 2, "a repeatable option is added to");
	tap_ok(zn_cli_parse_more(&plain, 2, operand, &err) == -EINVAL && !strcmp(err.text, "'x' is not an option"),
	       "an operand is refused");
	tap_ok(zn_cli_parse_more(&plain, 1, help, &err) == -EINVAL, "--help makes no sense there");
}

static void test_codes(void)
{
	static const struct { int rc; enum zn_exit code; } codes[] = {
		{ -EINVAL, 64 }, { -ERANGE, 64 }, { -EBADMSG, 65 }, { -ECONNREFUSED, 69 }, { -EIO, 71 },
		{ -ENOENT, 71 }, { -EAGAIN, 75 }, { -EBUSY, 75 }, { -EPERM, 77 }, { -EACCES, 77 },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		tap_ok(zn_cli_code(codes[i].rc) == codes[i].code, "%s is exit code %d", strerror(-codes[i].rc),
		       codes[i].code);
}

/* text, or a sentence about where the printing failed. */
static const char *printed(void (*print)(FILE *to, const struct zn_cmd *cmd), const struct zn_cmd *cmd)
{
	static char text[20000];
	FILE *f = fmemopen(text, sizeof(text), "w");

	print(f, cmd);
	fclose(f);
	return text;
}

static void print_verb_usage(FILE *to, const struct zn_cmd *cmd)
{
	zn__synopsis(to, cmd, &cmd->verbs[1]);
}

static void print_narrow_help(FILE *to, const struct zn_cmd *cmd)
{
	zn__help(to, cmd, NULL, 60);
}

static size_t longest_line(const char *text)
{
	size_t longest = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");
		longest = n > longest ? n : longest;
		text += n + (text[n] == '\n');
	}
	return longest;
}

static void test_help(void)
{
	tap_ok(!strcmp(printed(print_verb_usage, &tree),
	               "usage: tree cancel [options] JOB...\n   or: tree cancel --all\n"),
	       "a synopsis of two lines is two lines");
	const char *help = printed(print_narrow_help, &tree);
	tap_ok(longest_line(help) <= 60, "help is wrapped to the width");
	tap_ok(strstr(help, "\n  cancel                  end them\n") != NULL, "verbs are listed with their briefs");
	tap_ok(strstr(help, "\n  -e, --env K=V           one variable\n") != NULL, "options are aligned");
	tap_ok(strstr(help, "\n\nA tree has more to say than fits into one line of its help,\n"
	                    "wide or not.\n\nThen:\n  as it   is\n") != NULL,
	       "the footer is wrapped, its examples are not");
	tap_ok(strstr(help, "\n      --begin WHEN        not before\n") != NULL, "also without a letter");
}

static void test_completion(void)
{
	tap_ok(strstr(printed(zn__complete_fish, &tree), "-d 'what it\\'s called'") != NULL,
	       "fish: an apostrophe is quoted");
	tap_ok(strstr(printed(zn__complete_zsh, &tree), "[what it'\\''s called]") != NULL,
	       "zsh: an apostrophe is quoted");
	tap_ok(strstr(printed(zn__complete_bash, &tree), "-m|--mem) _zn_reply -W 'bind prefer interleave'; return ;;"),
	       "bash: a list of words is offered");
}

int main(void)
{
	test_rows();
	test_verb();
	test_more();
	test_codes();
	test_help();
	test_completion();
	forget();
	return tap_done();
}
