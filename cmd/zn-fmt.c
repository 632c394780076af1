/* zn-fmt: any stream of records to table, JSON, CSV or MessagePack; pick, filter, sort on the way. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gpu/health.h"
#include "job/record.h"
#include "job/spec.h"
#include "plan/verdict.h"
#include "rec/sift.h"
#include "topo/topo.h"

static const char *where, *sort;
static struct zn_ou64 head, tail;
static bool live;

static const struct zn_opt opts[] = {
	ZN_CLI_OUTPUT_OPTS,
	{ 0, "select", ZN_OPT_STR, "KEYS", &zn_cli_output.fields, NULL, "the same as --fields" },
	{ 'w', "where", ZN_OPT_STR, "EXPR", &where, NULL, "only records for which this holds" },
	{ 's', "sort", ZN_OPT_STR, "KEY", &sort, NULL, "smallest first by this key; -KEY: largest first" },
	{ 0, "head", ZN_OPT_U64, "N", &head, NULL, "only the first N" },
	{ 0, "tail", ZN_OPT_U64, "N", &tail, NULL, "only the last N" },
	{ 'l', "live", ZN_OPT_FLAG, NULL, &live, NULL, "show each record when it comes, also in a table" },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-fmt",
	.brief = "turn records into a table, JSON, CSV or MessagePack",
	.synopsis = "[options] [FILE...]",
	.opts = opts,
	.complete = "file",
};

static const struct zn_kind *const kinds[] = {
	&zn_machine_kind, &zn_numa_kind, &zn_cpu_kind, &zn_gpu_kind, &zn_nic_kind, &zn_nvme_kind, &zn_link_kind,
	&zn_verdict_kind, &zn_spec_kind, &zn_job_kind, &zn_event_kind, &zn_node_kind, &zn_gpu_sample_kind, &zn_gpu_event_kind,
	&zn_gpu_health_kind, NULL,
};

/* The exit code; *ret_enough is set when the files behind this one do not matter any more. */
static int run_fd(struct zn_sift *s, int fd, const char *name, struct zn_writer *w, bool *ret_enough)
{
	struct zn_reader *r;
	struct zn_err err = { "" };
	int rc = zn_reader_new(fd, &r);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", strerror(-rc));
	rc = zn_sift_run(s, r, w, &err);
	zn_reader_free(r);
	*ret_enough = rc > 0;
	if (rc >= 0)
		return 0;
	if (!*err.text)
		return ZN_EXIT_OS; /* the writer failed; zn_cli_end says how */
	return name ? zn_cli_fail(zn_cli_code(rc), "'%s': %s", name, err.text)
	            : zn_cli_fail(zn_cli_code(rc), "%s", err.text);
}

static int run_file(struct zn_sift *s, const char *name, struct zn_writer *w, bool *ret_enough)
{
	if (!strcmp(name, "-"))
		return run_fd(s, STDIN_FILENO, NULL, w, ret_enough);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return zn_cli_fail(zn_cli_code(-errno), "can't open '%s': %s", name, strerror(errno));
	int code = run_fd(s, fd, name, w, ret_enough);
	close(fd);
	return code;
}

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv);
	bool enough = false;
	struct zn_err err = { "" };
	struct zn_sift *s;

	if (head.has && tail.has)
		zn_cli_usage("options '--head' and '--tail' exclude each other");
	if (sort && !sort[*sort == '-'])
		zn_cli_usage("option '--sort': a key is missing");
	if (at == argc && isatty(STDIN_FILENO))
		zn_cli_usage("records come from a pipe or a file, not from the terminal");
	struct zn_sift_opts o = { .where = where, .sort = sort, .has_head = head.has, .head = head.v,
	                          .has_tail = tail.has, .tail = tail.v, .kinds = kinds };
	int rc = zn_sift_new(&o, &s, &err);
	if (rc == -EINVAL)
		zn_cli_usage("option '--where': %s", err.text);
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", strerror(-rc));
	/* Any key may be asked for: the kinds we know are not all there are. */
	bool help = zn_cli_output.fields && !strcmp(zn_cli_output.fields, "help");
	struct zn_writer *w = zn_cli_writer(help ? kinds : NULL, live);

	int code = at == argc ? run_fd(s, STDIN_FILENO, NULL, w, &enough) : 0;
	for (; at < argc && code == 0 && !enough; at++)
		code = run_file(s, argv[at], w, &enough);
	rc = zn_sift_end(s, w);
	zn_sift_free(s);
	if (rc < 0 && code == 0)
		code = ZN_EXIT_OS;
	return zn_cli_end(w, code);
}
