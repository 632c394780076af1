/* zn-noded: the hand of the scheduler on one machine. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/service.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/cli.h"
#include "node/node.h"
#include "queue/nodes.h"
#include "queue/spool.h"

static const char *spool, *home, *node, *confine, *user = "zenith";
static bool attach, detach, for_all, system_accounts;

static const struct zn_opt opts[] = {
	{ 0, "spool", ZN_OPT_STR, "DIR", &spool, "dir", "the spool to serve (default: as zn-submit finds it)" },
	{ 0, "node", ZN_OPT_STR, "NAME", &node, NULL, "which of several nodes of the spool it is (default: the only one, named as the machine)" },
	{ 0, "detach", ZN_OPT_FLAG, NULL, &detach, NULL, "return when the agent listens, and leave it running" },
	{ 0, "attach", ZN_OPT_FLAG, NULL, &attach, NULL, "connect standard input and output to the agent that runs" },
	{ 0, "confine", ZN_OPT_CHOICE, "HOW", &confine, "auto|subreaper", "how jobs are held (default: auto, the best there is)" },
	{ 0, "system", ZN_OPT_FLAG, NULL, &for_all, NULL,
	  "as root, machine-wide: run each job as the user who submitted it" },
	{ 0, "user", ZN_OPT_STR, "USER", &user, "user", "with --system: whose zn-schedd to serve (default: zenith)" },
	{ 0, "system-accounts", ZN_OPT_FLAG, NULL, &system_accounts, NULL,
	  "with --system: run jobs of root and of system accounts too" },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-noded",
	.brief = "run jobs on this machine for zn-schedd",
	.synopsis = "[--spool DIR] [--node NAME] [--system] [--detach | --attach]",
	.opts = opts,
};

/* ---- the agent's own log ---------------------------------------------------------------------------- */

enum { LOG_MAX = 1 << 20 };
static char log_path[4096];
static int log_fd = -1, ready_fd = -1;

/* In the background: the file.  Where it can't be had, standard error. */
static int choose_log(void)
{
	if (log_path[0])
		log_fd = zn_logfile_turn(log_path, LOG_MAX, log_fd);
	return log_fd < 0 ? STDERR_FILENO : log_fd;
}

static void say(const char *text)
{
	char when[ZN_UNIT_TEXT];
	int fd = choose_log();

	if (zn_service_is_journal(fd))
		dprintf(fd, "%s\n", text);
	else
		dprintf(fd, "%s zn-noded: %s\n", zn_format_time(zn_now_s(), when), text);
}

/* ---- detaching ---------------------------------------------------------------------------------------- */

static void ready(void)
{
	struct zn_err err = { .text = "" };

	if (ready_fd < 0) {
		if (zn_service_ready(&err) < 0)
			say(err.text);
		return;
	}
	if (write(ready_fd, "", 1) < 0)
		say("whoever started us did not wait");
	close(ready_fd);
	ready_fd = -1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd); /* only now: until it listens, its errors are for who started it */
	if (null > 2)
		close(null);
}

/* The caller waits for one byte, or for the status of an agent that did not come up. */
static void leave_caller(void)
{
	int fds[2], status;
	char byte;

	close_range(3, ~0U, 0); /* a lock or a pipe of whoever happened to start us first is not ours to keep */
	if (pipe2(fds, O_CLOEXEC) < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "no pipe: %s", strerror(errno)));
	pid_t pid = fork();
	if (pid < 0)
		exit(zn_cli_fail(ZN_EXIT_OS, "no process can be started: %s", strerror(errno)));
	if (pid > 0) {
		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1)
			_exit(0);
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : ZN_EXIT_OS);
	}
	close(fds[0]);
	setsid();
	ready_fd = fds[1];
	snprintf(log_path, sizeof(log_path), "%s/log", home);
	if (chdir("/") < 0)
		exit(ZN_EXIT_OS);
}

/* ---- main ----------------------------------------------------------------------------------------------- */

static int relay(void)
{
	struct zn_err err = { .text = "" };

	signal(SIGPIPE, SIG_IGN);
	int fd = zn_node_connect(home, &err);
	int rc = fd < 0 ? fd : zn_node_relay(fd, STDIN_FILENO, STDOUT_FILENO, &err);
	return rc < 0 ? zn_cli_fail(zn_cli_code(rc), "%s", err.text) : 0;
}

/* The path as the kernel sees it: it names the agent's cgroups and marks its jobs, whoever spells it how. */
static void find_spool(struct zn_arena *a)
{
	struct zn_err err = { .text = "" };
	if (!spool && for_all && !getenv("ZENITH_SPOOL"))
		spool = ZN_SPOOL_SYSTEM;
	int rc = spool ? 0 : zn_spool_path(a, &spool, &err);

	if (rc < 0)
		exit(zn_cli_fail(zn_cli_code(rc), "%s", err.text));
	char *full = realpath(spool, NULL);
	if (!full)
		exit(zn_cli_fail(zn_cli_code(-errno), "spool '%s': %s", spool, strerror(errno)));
	spool = zn_cli_must(zn_arena_strdup(a, full));
	free(full);
}

static void find_home(struct zn_arena *a)
{
	char many[4100];

	home = zn_cli_must(node ? zn_arena_printf(a, "%s/nodes/%s", spool, node) : zn_arena_printf(a, "%s/node", spool));
	snprintf(many, sizeof(many), "%s/nodes", spool);
	if (node && !attach && mkdir(many, for_all ? 0711 : 0700) < 0 && errno != EEXIST)
		exit(zn_cli_fail(zn_cli_code(-errno), "directory '%s': %s", many, strerror(errno)));
}

static void find_scheduler(struct zn_agent_opts *o)
{
	struct passwd *pw = getpwnam(user);

	if (geteuid() != 0)
		exit(zn_cli_fail(ZN_EXIT_DENIED, "only root can run jobs of all users"));
	if (!pw)
		exit(zn_cli_fail(ZN_EXIT_USAGE, "there is no user '%s' for zn-schedd: make one (useradd --system), or name another with --user", user));
	o->has_scheduler = true;
	o->scheduler_uid = pw->pw_uid;
}

int main(int argc, char **argv)
{
	struct utsname host;
	struct zn_err err = { .text = "" };
	struct zn_arena arena = { 0 };

	if (zn_cli_parse(&cmd, argc, argv) < argc)
		zn_cli_usage("there are no operands");
	if (attach && detach)
		zn_cli_usage("options '--attach' and '--detach' exclude each other");
	if (system_accounts && !for_all)
		zn_cli_usage("option '--system-accounts' needs '--system'");
	if (node && !zn_node_name_is_good(node))
		zn_cli_usage("'%s' is no name for a node: up to %d letters, digits, '-', '_' and '.'", node, ZN_NODE_NAME_MAX);
	find_spool(&arena);
	find_home(&arena);
	if (attach) {
		int code = relay();
		zn_arena_done(&arena);
		return code;
	}
	struct zn_agent_opts o = { .spool = spool, .home = home, .node = node, .is_one_of_many = node != NULL, .system_accounts = system_accounts, .say = say,
	                           .ready = ready };
	if (for_all)
		find_scheduler(&o);
	/* a reader of our messages that went away, or a limit on a file's size, ends no agent; jobs get the default */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (detach)
		leave_caller();
	if (!o.node)
		o.node = uname(&host) == 0 ? host.nodename : "localhost";
	if (confine && strcmp(confine, "auto") != 0)
		o.confine = confine;
	int rc = zn_agent_run(&o, &err);
	zn_arena_done(&arena);
	return rc < 0 ? zn_cli_fail(rc == -EBUSY ? ZN_EXIT_AGAIN : zn_cli_code(rc), "%s", err.text) : 0;
}
