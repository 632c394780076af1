/* out: how a program speaks: records on stdout, one sentence on stderr, an exit code. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/table.h"

struct zn_cli_output zn_cli_output;

/* "zn-queue cancel: " is too much: the program alone speaks. */
static const char *speaker(void)
{
	return zn__cli.cmd ? zn__cli.cmd->name : program_invocation_short_name;
}

/* One line on stderr in one write; a culprit's control bytes never reach the terminal. */
static void say(const char *fmt, va_list ap)
{
	char *text = NULL;
	struct zn_buf line = { 0 };

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	zn_buf_printf(&line, "%s: ", speaker());
	const char *said = text ? text : "out of memory";
	zn_text_escape(said, strlen(said), &line);
	zn_buf_addch(&line, '\n');
	const char *whole = zn_buf_text(&line);
	fputs(whole ? whole : "out of memory\n", stderr);
	zn_buf_done(&line);
	free(text);
}

int zn_cli_fail(enum zn_exit code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return (int)code;
}

void zn_cli_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void zn_cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	if (zn__cli.cmd)
		zn__usage_line(stderr, zn__cli.cmd, zn__cli.verb);
	exit(zn__cli.cmd && zn__cli.cmd->wraps ? ZN_EXIT_WRAP : ZN_EXIT_USAGE);
}

void *zn_cli_must(void *p)
{
	if (!p)
		exit(zn_cli_fail(ZN_EXIT_OS, "out of memory"));
	return p;
}

enum zn_exit zn_cli_code(int rc)
{
	switch (-rc) {
	case EINVAL:
	case ERANGE:
		return ZN_EXIT_USAGE;
	case EBADMSG:
		return ZN_EXIT_DATA;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case ETIMEDOUT:
		return ZN_EXIT_UNAVAILABLE;
	case EAGAIN:
	case EBUSY:
		return ZN_EXIT_AGAIN;
	case EPERM:
	case EACCES:
		return ZN_EXIT_DENIED;
	default:
		return ZN_EXIT_OS;
	}
}

bool zn_cli_color(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && strcmp(term, "dumb") && isatty(fd);
}

int zn__width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns && zn_parse_u64(columns, 1, 10000, &n, NULL) == 0 ? (int)n : 0;
}

enum zn_format zn_cli_format(void)
{
	const char *env = getenv("ZENITH_OUTPUT");
	enum zn_format format = isatty(STDOUT_FILENO) ? ZN_FORMAT_TABLE : ZN_FORMAT_MSGPACK;
	struct zn_err err;

	if (zn_cli_output.format) {
		if (zn_format_parse(zn_cli_output.format, &format, &err) < 0)
			zn_cli_usage("option '--output': %s", err.text);
	} else if (env && *env) {
		if (zn_format_parse(env, &format, &err) < 0)
			zn_cli_usage("ZENITH_OUTPUT: %s", err.text);
	}
	return format;
}

/* Is the path "alloc.node" one of this kind's?  What is inside a map or a passed-through value is anybody's. */
static bool kind_has(const struct zn_kind *kind, const char *path, size_t n)
{
	const char *dot = memchr(path, '.', n);
	size_t head = dot ? (size_t)(dot - path) : n;

	for (const struct zn_field *f = kind->fields; f->key; f++) {
		if (strlen(f->key) != head || memcmp(f->key, path, head))
			continue;
		if (!dot || f->type == ZN_T_MAP || f->type == ZN_T_ANY)
			return true;
		return f->sub && kind_has(f->sub, dot + 1, n - head - 1);
	}
	return kind->name && n == 4 && !memcmp(path, "kind", 4);
}

static bool any_has(const struct zn_kind *const *kinds, const char *path, size_t n)
{
	for (; *kinds; kinds++)
		if (kind_has(*kinds, path, n))
			return true;
	return false;
}

/* The keys of all kinds, each once. */
static void put_keys(struct zn_buf *to, const struct zn_kind *const *kinds)
{
	for (size_t k = 0; kinds[k]; k++)
		for (const struct zn_field *f = kinds[k]->fields; f->key; f++) {
			bool seen = false;
			for (size_t i = 0; i < k && !seen; i++)
				seen = kind_has(kinds[i], f->key, strlen(f->key));
			if (!seen)
				zn_buf_printf(to, "%s%s", to->len ? ", " : "", f->key);
		}
}

static void check_fields(const struct zn_kind *const *kinds, const char *fields)
{
	struct zn_buf keys = { 0 };

	for (const char *p = fields;; p++) {
		size_t n = strcspn(p, ",");
		if (!any_has(kinds, p, n)) {
			put_keys(&keys, kinds);
			zn_cli_usage("option '--fields': unknown key '%.*s'; known are %s", (int)n, p,
			             (const char *)zn_cli_must((void *)zn_buf_text(&keys)));
		}
		p += n;
		if (!*p)
			return;
	}
}

static void print_fields(const struct zn_kind *kind, const char *prefix)
{
	char path[200];

	for (const struct zn_field *f = kind->fields; f->key; f++) {
		snprintf(path, sizeof(path), "%s%s", prefix, f->key);
		printf("  %-24s %s\n", path, f->help ? f->help : "");
		if (f->sub && strlen(path) + 1 < sizeof(path)) {
			strcat(path, ".");
			print_fields(f->sub, path);
		}
	}
}

static _Noreturn void help_fields(const struct zn_kind *const *kinds)
{
	for (size_t k = 0; kinds[k]; k++) {
		printf("%s%s: %s\n", k ? "\n" : "", kinds[k]->name, kinds[k]->brief ? kinds[k]->brief : "");
		print_fields(kinds[k], "");
	}
	exit(zn_cli_end(NULL, ZN_EXIT_OK));
}

struct zn_writer *zn_cli_writer(const struct zn_kind *const *kinds, bool live)
{
	const char *fields = zn_cli_output.fields;
	struct zn_writer *w;

	if (fields && kinds && *kinds) {
		if (!strcmp(fields, "help"))
			help_fields(kinds);
		check_fields(kinds, fields);
	}
	struct zn_writer_opts opts = {
		.format = zn_cli_format(), .fields = fields, .live = live,
		.color = zn_cli_color(STDOUT_FILENO), .no_heading = zn_cli_output.no_heading,
		.width = zn__width(STDOUT_FILENO),
	};
	int rc = zn_writer_new(STDOUT_FILENO, &opts, &w);
	if (rc == -EINVAL)
		zn_cli_usage("'%s' is no list of keys", fields ? fields : "");
	if (rc < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "can't write records: %s", strerror(-rc)));
	return w;
}

/* Closes stdout and says what went wrong, as an errno.  A stdout that was closed from the start is no error
 * to a program that had nothing to say.
 */
static int close_stdout(void)
{
	bool pending = __fpending(stdout) > 0, failed = ferror(stdout);

	errno = 0;
	if (fclose(stdout) == 0)
		return failed ? EIO : 0;
	return errno == EBADF && !pending && !failed ? 0 : errno;
}

int zn_cli_end(struct zn_writer *w, int code)
{
	int rc = w ? -zn_writer_end(w) : 0, closed = close_stdout();

	zn_writer_free(w);
	if (rc == 0)
		rc = closed;
	if (rc == 0)
		return code;
	zn_cli_warn("can't write to standard output: %s", strerror(rc));
	return code == ZN_EXIT_OK ? ZN_EXIT_OS : code;
}
