/* zn-schedd: the scheduler. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "queue/client.h"
#include "queue/spool.h"
#include "serve/serve.h"

static struct {
	const char *spool, *config;
	bool detach, stop, check;
} o;

static const struct zn_opt opts[] = {
	{ 0, "spool", ZN_OPT_STR, "DIR", &o.spool, "dir", "the spool (default: ZENITH_SPOOL, or the user's own)" },
	{ 0, "config", ZN_OPT_STR, "FILE", &o.config, "file", "configuration (default: ZENITH_CONFIG, or the usual places)" },
	{ 0, "detach", ZN_OPT_FLAG, NULL, &o.detach, NULL,
	  "go to the background once listening, log to the spool, go away after an hour without work" },
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

enum { LOG_MAX = 4 << 20 };

/* Everything that is written to stderr from here on is the log; one old one is kept. */
static int log_to(const char *spool)
{
	char path[4200], old[4210];
	struct stat st;

	snprintf(path, sizeof(path), "%s/schedd.log", spool);
	snprintf(old, sizeof(old), "%s.1", path);
	if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
		rename(path, old);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(fd, 2) < 0)
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

static int serve(const char *spool)
{
	struct zn_serve_opts so = { .spool = spool, .config = o.config, .on_demand = o.detach, .ready_fd = -1 };
	struct zn_err err = { 0 };
	int rc = zn_spool_make(spool, NULL, &err);

	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	if (o.detach) {
		so.ready_fd = detach();
		if (chdir("/") < 0 || log_to(spool) < 0)
			return ZN_EXIT_OS;
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
	int rc = o.spool && setenv("ZENITH_SPOOL", o.spool, 1) < 0 ? -errno : zn_spool_path(&arena, &spool, &err);
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err.text);
	int code = o.stop ? stop(spool) : o.check ? check(spool) : serve(spool);
	zn_arena_done(&arena);
	return code;
}
