/* zn-gpu: accelerators: what they do now, and who uses them. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "audit/devices.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "gpu/health.h"

enum { PAUSE_MS = 100 }; /* between the two looks that activity and traffic take */
enum { AGAIN_MS = 500 }; /* before what is wrong is looked at again */

static const double INTERVAL_S = 1, INTERVAL_MIN_S = 0.01, INTERVAL_MAX_S = 86400;

static struct {
	const char *mock;
	bool quick;
	struct zn_of64 interval_s;
	struct zn_ou64 count;
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

/* ---- watch -------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void catch_stop(void)
{
	const struct sigaction act = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND }; /* a second one is at once */

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
}

/* Of those that are lost there is an event instead of samples, once. */
static int put_round(struct zn_writer *w, const struct zn_list *found, bool *lost)
{
	const struct zn_gpu_state *v = found->v;
	struct zn_gpu_event event;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < found->n; i++) {
		if (zn_gpu_state_turned(&v[i], &lost[i], &event))
			rc = zn_writer_put(w, &zn_gpu_event_kind, &event);
		if (rc == 0 && !lost[i])
			rc = zn_writer_put(w, &zn_gpu_sample_kind, &v[i]);
	}
	return rc;
}

/* Moments lie a whole number of intervals behind the first one, however long a look takes; those that passed meanwhile are
 * left out.
 */
static uint64_t wait_for_next(uint64_t at_ns, uint64_t interval_ns)
{
	uint64_t now_ns = zn_boot_ns();
	uint64_t next_ns = at_ns + interval_ns;

	if (next_ns <= now_ns)
		next_ns += ((now_ns - next_ns) / interval_ns + 1) * interval_ns;
	const struct timespec until = { .tv_sec = (time_t)(next_ns / 1000000000), .tv_nsec = (long)(next_ns % 1000000000) };
	while (!stopped && clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
	return next_ns;
}

/* The exit code. */
static int watch(struct zn_devices *d, struct zn_writer *w)
{
	uint64_t interval_ns = (uint64_t)((args.interval_s.has ? args.interval_s.v : INTERVAL_S) * 1e9), at_ns = zn_boot_ns();
	struct zn_list found = { 0 };
	struct zn_arena kept = { 0 };
	bool *lost = NULL;
	int rc = 0, code = look_well(d, &found);

	for (uint64_t left = args.count.has ? args.count.v : UINT64_MAX; !code && rc == 0 && !stopped && left; left--) {
		if (!lost)
			lost = zn_cli_must(zn_arena_array(&kept, found.n + 1, sizeof(*lost)));
		rc = put_round(w, &found, lost);
		if (rc < 0 || left == 1)
			break;
		at_ns = wait_for_next(at_ns, interval_ns);
		zn_arena_reset(&arena);
		code = stopped ? 0 : look(d, &found);
	}
	zn_arena_done(&kept);
	return code;
}

static void check_watch(int argc, char **argv)
{
	if (argc)
		zn_cli_usage("unexpected operand '%s'", argv[0]);
	if (args.interval_s.has && !(args.interval_s.v >= INTERVAL_MIN_S && args.interval_s.v <= INTERVAL_MAX_S))
		zn_cli_usage("option '--interval': %g s is not within %g s and a day", args.interval_s.v, INTERVAL_MIN_S);
	if (args.count.has && !args.count.v)
		zn_cli_usage("option '--count': nothing would be looked at");
}

static int run_watch(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_gpu_sample_kind, &zn_gpu_event_kind, NULL };
	struct zn_devices *d = NULL;

	check_watch(argc, argv);
	struct zn_writer *w = zn_cli_writer(kinds, true);
	int code = open_devices(&d);
	catch_stop();
	if (!code)
		code = watch(d, w);
	zn_devices_close(d);
	zn_arena_done(&arena);
	return zn_cli_end(w, code);
}

/* ---- health ------------------------------------------------------------------------------------- */

enum worst { FINE, WARNED, SPOILED };

static enum worst judge(const struct zn_list *found, struct zn_list *ret)
{
	struct zn_gpu_health *v = zn_cli_must(zn_arena_array(&arena, found->n + 1, sizeof(*v)));
	const struct zn_gpu_state *st = found->v;
	enum worst worst = FINE;

	for (size_t i = 0; i < found->n; i++) {
		if (zn_gpu_health_make(&st[i], &arena, &v[i]) < 0)
			zn_cli_must(NULL);
		enum worst here = zn_gpu_health_is_bad(&v[i]) ? SPOILED : v[i].findings.n ? WARNED : FINE;
		worst = here > worst ? here : worst;
	}
	*ret = (struct zn_list){ .v = v, .n = found->n };
	return worst;
}

/* What is wrong once may be a process that ended between two questions: it is looked at again. */
static int look_and_judge(struct zn_devices *d, struct zn_list *ret, enum worst *ret_worst)
{
	struct zn_list found = { 0 };
	int code = look(d, &found);

	if (code)
		return code;
	*ret_worst = judge(&found, ret);
	if (*ret_worst == FINE || args.quick)
		return 0;
	pause_ms(AGAIN_MS);
	code = look(d, &found);
	if (!code)
		*ret_worst = judge(&found, ret);
	return code;
}

static int run_health(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_gpu_health_kind, NULL };
	struct zn_devices *d = NULL;
	struct zn_list verdicts = { 0 };
	enum worst worst = FINE;

	if (argc)
		zn_cli_usage("unexpected operand '%s'", argv[0]);
	struct zn_writer *w = zn_cli_writer(kinds, false);
	int code = open_devices(&d);
	if (!code)
		code = look_and_judge(d, &verdicts, &worst);
	if (!code) {
		put(w, &zn_gpu_health_kind, &verdicts);
		code = worst == SPOILED ? ZN_EXIT_NO : ZN_EXIT_OK;
	}
	zn_devices_close(d);
	zn_arena_done(&arena);
	return zn_cli_end(w, code);
}

/* ---- the program -------------------------------------------------------------------------------- */

static const struct zn_opt opts[] = {
	{ 'q', "quick", ZN_OPT_FLAG, NULL, &args.quick, NULL,
	  "look once: leave out what is measured between two looks" },
	{ 0, "mock", ZN_OPT_STR, "N[:MODEL]", &args.mock, NULL, "make up N GPUs; nothing is measured of these" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_opt watch_opts[] = {
	{ 'i', "interval", ZN_OPT_DUR, "TIME", &args.interval_s, NULL, "from one look to the next (default: 1 second)" },
	{ 'n', "count", ZN_OPT_U64, "N", &args.count, NULL, "end after N looks" },
	{ 0 },
};

static const struct zn_cmd verbs[] = {
	{ .name = "list", .brief = "list the GPUs, what they do now and who uses them (the default)", .synopsis = "[options]",
	  .run = run_list },
	{ .name = "watch", .brief = "sample what the GPUs do, again and again", .synopsis = "[options]", .opts = watch_opts,
	  .run = run_watch },
	{ .name = "health", .brief = "say of each GPU whether it is fit for work; 1 if one is bad", .synopsis = "[options]",
	  .run = run_health },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-gpu",
	.brief = "what the GPUs of this machine do now, and who uses them",
	.synopsis = "[list] [options]\nwatch [-i TIME] [-n N] [options]\nhealth [options]",
	.opts = opts,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv);

	return zn_cli_run_verb(&cmd, "list", argc, argv, at);
}
