/* zn-schedd: the scheduler. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "engine/local.h"
#include "queue/client.h"
#include "queue/conf.h"
#include "queue/nodes.h"
#include "queue/spool.h"
#include "serve/serve.h"

static struct {
	const char *spool, *config, *nodes, *user, *metrics;
	bool detach, stop, check, for_all, metrics_anywhere;
} o = { .user = "zenith" };

static const struct zn_opt opts[] = {
	{ 0, "spool", ZN_OPT_STR, "DIR", &o.spool, "dir", "the spool (default: ZENITH_SPOOL, or the user's own)" },
	{ 0, "config", ZN_OPT_STR, "FILE", &o.config, "file", "configuration (default: ZENITH_CONFIG, or the usual places)" },
	{ 0, "nodes", ZN_OPT_STR, "FILE", &o.nodes, "file", "the nodes to serve, a line for each; remembered in the spool (default: this machine)" },
	{ 0, "detach", ZN_OPT_FLAG, NULL, &o.detach, NULL,
	  "go to the background once listening, log to the spool, go away after an hour without work" },
	{ 0, "system", ZN_OPT_FLAG, NULL, &o.for_all, NULL,
	  "machine-wide: serve all users; as root, start the agent and become the user of --user" },
	{ 0, "user", ZN_OPT_STR, "USER", &o.user, "user", "with --system: who to be (default: zenith)" },
	{ 0, "metrics", ZN_OPT_STR, "ADDR", &o.metrics, NULL, "serve metrics for Prometheus there, such as 127.0.0.1:9464 (default: as configured)" },
	{ 0, "metrics-anywhere", ZN_OPT_FLAG, NULL, &o.metrics_anywhere, NULL, "that address may be one that others reach" },
	{ 0, "stop", ZN_OPT_FLAG, NULL, &o.stop, NULL, "stop the zn-schedd of the spool; running jobs go on" },
	{ 0, "check-spool", ZN_OPT_FLAG, NULL, &o.check, NULL, "read the whole spool, change nothing, say what is damaged" },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-schedd",
	.brief = "schedule the jobs of a spool",
	.synopsis = "[options]",
	.opts = opts,
};

/* Everything that is written to stderr from here on is the log. */
static int log_to(const char *path)
{
	int fd = zn_logfile_turn(path, ZN_LOG_MAX, -1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(fd, 2) < 0)
		return -errno;
	close(fd);
	close(null);
	return 0;
}

/* The parent waits for the byte that says "I listen" (0) or why not (an exit code), or for the pipe's end. */
static int wait_ready(int fd)
{
	unsigned char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? byte : ZN_EXIT_OS;
}

/* Forks away; returns the descriptor to report to in the child, never returns in the parent. */
static int detach(void)
{
	int pipes[2];

	close_range(3, ~0U, 0); /* a lock or a pipe of whoever happened to start us first is not ours to keep */
	if (pipe2(pipes, O_CLOEXEC) < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "can't make a pipe: %s", strerror(errno)));
	pid_t pid = fork();
	if (pid < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "can't fork: %s", strerror(errno)));
	if (pid > 0) {
		close(pipes[1]);
		_exit(wait_ready(pipes[0]));
	}
	close(pipes[0]);
	setsid();
	pid = fork();
	if (pid)
		_exit(pid < 0 ? ZN_EXIT_OS : 0);
	return pipes[1];
}

/* ---- machine-wide -------------------------------------------------------------------------------- */

static bool agent_is_there(const char *spool)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/node/sock", spool);
	int fd = zn_spool_connect(path, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void start_agent(const char *spool)
{
	const char *more[ZN_LOCAL_MORE_MAX + 1] = { "--system", "--user", o.user };
	struct zn_err err = { 0 };
	struct zn_conf conf;
	char program[4096];

	if (agent_is_there(spool))
		return;
	if (zn_conf_read(o.config, &conf, &err) < 0)
		exit(zn_cli_fail(ZN_EXIT_USAGE, "%s", err.text));
	if (conf.system_accounts)
		more[3] = "--system-accounts";
	zn_conf_done(&conf);
	zn_program_beside("zn-noded", program, sizeof(program));
	int rc = zn_local_start_agent(program, spool, more, NULL, &err);
	if (rc < 0)
		exit(zn_cli_fail(zn_cli_code(rc), "%s", err.text));
}

/* For good: what strangers write is never read by root. */
static void become(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "can't become user '%s': %s", pw->pw_name, strerror(errno)));
	if (setenv("HOME", pw->pw_dir, 1) < 0 || setenv("USER", pw->pw_name, 1) < 0 || setenv("LOGNAME", pw->pw_name, 1) < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "out of memory"));
}

/* As root: everything that takes root, and then no longer root. */
static void serve_all(const char *spool)
{
	const struct passwd *pw = getpwnam(o.user);
	struct zn_err err = { 0 };

	if (!pw)
		exit(zn_cli_fail(ZN_EXIT_USAGE, "there is no user '%s' to be: make one (useradd --system), or name another with --user", o.user));
	if (pw->pw_uid == 0)
		exit(zn_cli_fail(ZN_EXIT_USAGE, "zn-schedd reads what anybody writes, so it does not serve all users as root"));
	if (geteuid() != 0 && geteuid() != pw->pw_uid)
		exit(zn_cli_fail(ZN_EXIT_DENIED, "only root and '%s' can serve all users", o.user));
	if (geteuid() != 0)
		return;
	int rc = zn_spool_make(spool, &(struct zn_spool_owner){ .uid = pw->pw_uid, .gid = pw->pw_gid }, &err);
	if (rc < 0)
		exit(zn_cli_fail(zn_cli_code(rc), "%s", err.text));
	start_agent(spool);
	become(pw);
}

/* What is wrong with it is said here: once detached, nobody sees it. */
static void check_nodes(struct zn_arena *a, const char *path)
{
	struct zn_nodes nodes;
	struct zn_err err = { 0 };
	int rc = path ? zn_nodes_read(path, a, &nodes, &err) : 0;

	if (rc < 0)
		exit(zn_cli_fail(zn_cli_code(rc), "%s", err.text));
}

static void check_metrics(void)
{
	struct zn_err err = { 0 };

	if (o.metrics && zn_serve_check_metrics(o.metrics, o.metrics_anywhere, &err) < 0)
		exit(zn_cli_fail(ZN_EXIT_USAGE, "%s", err.text));
}

/* Detached we are elsewhere when it is read. */
static const char *absolute(struct zn_arena *a, const char *path)
{
	char *full = path ? realpath(path, NULL) : NULL;
	const char *ret = full ? zn_cli_must(zn_arena_strdup(a, full)) : path;

	free(full);
	return ret;
}

/* ---- what it is asked ------------------------------------------------------------------------------ */

static int serve(const char *spool)
{
	struct zn_serve_opts so = { .spool = spool, .config = o.config, .nodes = o.nodes, .on_demand = o.detach && !o.for_all,
	                            .for_all = o.for_all, .metrics = o.metrics, .metrics_anywhere = o.metrics_anywhere, .ready_fd = -1 };
	struct zn_err err = { 0 };
	char log[4200];
	int rc = 0;

	if (o.for_all)
		serve_all(spool);
	else
		rc = zn_spool_make(spool, NULL, &err);
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	if (o.detach) {
		so.ready_fd = detach();
		snprintf(log, sizeof(log), "%s/schedd.log", spool);
		so.log = log;
		rc = chdir("/") < 0 ? -errno : log_to(log);
		if (rc < 0) /* standard error is still the caller's */
			return zn_cli_fail(ZN_EXIT_OS, "can't write '%s': %s", log, strerror(-rc));
	}
	umask(077);
	rc = zn_serve(&so, &err);
	if (rc == 0)
		return ZN_EXIT_OK;
	unsigned char code = (unsigned char)zn_cli_code(rc);
	if (so.ready_fd >= 0 && write(so.ready_fd, &code, 1) < 0)
		zn_cli_warn("nobody waits for us any more");
	return zn_cli_fail((enum zn_exit)code, "%s", err.text);
}

static int stop(const char *spool)
{
	struct zn_request request = { .op = "stop" };
	static struct zn_client *client; /* dropped with the process */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int rc = zn_client_open(spool, false, &client, &err);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	rc = zn_client_send(client, &request, &err);
	if (rc == 0)
		rc = zn_client_wait(client, 10000, &reply, &err);
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	if (!reply.ok)
		return zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	rc = zn_client_wait(client, 60000, &reply, &err); /* it hangs up when the spool is free */
	zn_client_close(client);
	return rc == -ECONNRESET ? ZN_EXIT_OK : zn_cli_fail(ZN_EXIT_AGAIN, "zn-schedd has not ended yet");
}

static void say(const char *line)
{
	puts(line);
}

static int check(const char *spool)
{
	struct zn_spool_check c;
	struct zn_err err = { 0 };
	int rc = zn_serve_check(spool, say, &c, &err);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	printf("%llu records, %llu jobs, %llu damaged ranges (%llu bytes), %llu records that contradict others\n",
	       (unsigned long long)c.records, (unsigned long long)c.jobs, (unsigned long long)c.damaged_ranges,
	       (unsigned long long)c.damaged_bytes, (unsigned long long)c.contradictions);
	return zn_cli_end(NULL, c.damaged_ranges || c.contradictions ? ZN_EXIT_NO : ZN_EXIT_OK);
}

int main(int argc, char **argv)
{
	struct zn_arena arena = { 0 };
	struct zn_err err = { 0 };
	const char *spool = NULL;
	int at = zn_cli_parse(&cmd, argc, argv);

	if (at < argc)
		zn_cli_usage("'%s' is too much", argv[at]);
	if (o.nodes && o.for_all)
		zn_cli_usage("options '--nodes' and '--system' exclude each other");
	if (!o.spool && o.for_all && !getenv("ZENITH_SPOOL"))
		o.spool = ZN_SPOOL_SYSTEM;
	int rc = o.spool && setenv("ZENITH_SPOOL", o.spool, 1) < 0 ? -errno : zn_spool_path(&arena, &spool, &err);
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	o.config = absolute(&arena, o.config);
	o.nodes = absolute(&arena, o.nodes);
	check_nodes(&arena, o.nodes);
	check_metrics();
	int code = o.stop ? stop(spool) : o.check ? check(spool) : serve(spool);
	zn_arena_done(&arena);
	return code;
}
