/* zn-gpu: accelerators: what they do now, and who uses them. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "audit/devices.h"
#include "cli/cli.h"

enum { PAUSE_MS = 100 }; /* between the two looks that activity and traffic take */

static struct {
	const char *mock;
	bool quick;
} args;

static struct zn_arena arena;

/* ---- list -------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* The exit code. */
static int open_devices(struct zn_devices **ret)
{
	const struct zn_topo_opts made_up = { .mock = args.mock };
	struct zn_err err = { 0 };
	int rc = zn_devices_open(args.mock ? &made_up : NULL, ret, &err);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", *err.text ? err.text : strerror(-rc));
	if (zn_devices_note(*ret))
		zn_cli_warn("%s", zn_devices_note(*ret));
	return 0;
}

static int look(struct zn_devices *d, struct zn_list *ret)
{
	struct zn_err err = { 0 };
	int rc = zn_devices_read(d, &arena, ret, &err);

	return rc < 0 ? zn_cli_fail(zn_cli_code(rc), "%s", err.text) : 0;
}

/* Activity and traffic are what happened between two looks. */
static int look_well(struct zn_devices *d, struct zn_list *ret)
{
	int code = look(d, ret);

	if (code || args.quick || !zn_devices_want_two(d))
		return code;
	pause_ms(PAUSE_MS);
	return look(d, ret);
}

static int put(struct zn_writer *w, const struct zn_kind *kind, const struct zn_list *list)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++)
		rc = zn_writer_put(w, kind, (const char *)list->v + i * kind->size);
	return rc; /* zn_cli_end says what failed */
}

static int run_list(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_gpu_now_kind, NULL };
	struct zn_devices *d = NULL;
	struct zn_list found = { 0 };

	if (argc)
		zn_cli_usage("unexpected operand '%s'", argv[0]);
	struct zn_writer *w = zn_cli_writer(kinds, false);
	int code = open_devices(&d);
	if (!code)
		code = look_well(d, &found);
	if (!code && put(w, &zn_gpu_now_kind, &found) == 0 && !found.n && zn_cli_format() == ZN_FORMAT_TABLE)
		zn_cli_warn("there is no GPU here");
	zn_devices_close(d);
	zn_arena_done(&arena);
	return zn_cli_end(w, code);
}

/* ---- the program -------------------------------------------------------------------------------- */

static const struct zn_opt opts[] = {
	{ 'q', "quick", ZN_OPT_FLAG, NULL, &args.quick, NULL,
	  "look once: leave out activity and traffic that are measured between two looks" },
	{ 0, "mock", ZN_OPT_STR, "N[:MODEL]", &args.mock, NULL, "make up N GPUs; nothing is measured of these" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_cmd verbs[] = {
	{ .name = "list", .brief = "list the GPUs, what they do now and who uses them (the default)", .synopsis = "[options]",
	  .run = run_list },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-gpu",
	.brief = "what the GPUs of this machine do now, and who uses them",
	.synopsis = "[list] [options]",
	.opts = opts,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv);

	return zn_cli_run_verb(&cmd, "list", argc, argv, at);
}
