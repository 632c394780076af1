/* zn-submit: put jobs in the queue, exactly once. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/account.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/pty.h"
#include "job/compose.h"
#include "job/mail.h"
#include "job/sbatch.h"
#include "queue/client.h"
#include "queue/follow.h"
#include "queue/machine.h"
#include "queue/picture.h"
#include "queue/spool.h"
#include "rec/reader.h"

static struct {
	const char *name, *directory, *output, *error, *key, *nvlink, *signal, *on_end, *mail, *mail_on;
	struct zn_ou64 gpus, cpus, mem, tasks, requeue;
	struct zn_of64 limit, begin, grace, timeout;
	struct zn_oi64 priority;
	struct zn_strs env;
	bool hold, wait, follow, pty, dry_run, records;
} o;

static const struct zn_opt opts[] = {
	{ 'n', "name", ZN_OPT_STR, "NAME", &o.name, NULL, "what to call the job (default: the command's name)" },
	{ 'g', "gpus", ZN_OPT_U64, "N", &o.gpus, NULL, "GPUs for the whole job" },
	{ 'c', "cpus", ZN_OPT_U64, "N", &o.cpus, NULL, "hardware threads for the whole job, its alone (default: one per task; "
	  "with GPUs the fair slice next to them)" },
	{ 'm', "mem", ZN_OPT_BYTES, "SIZE", &o.mem, NULL, "memory for the whole job, a limit where the machine can hold it to one" },
	{ 't', "time", ZN_OPT_DUR, "TIME", &o.limit, NULL, "longest running time: 90, 1h30m, 02:00:00" },
	{ 'p', "priority", ZN_OPT_I64, "N", &o.priority, NULL, "larger is more urgent (default 0)" },
	{ 0, "tasks", ZN_OPT_U64, "N", &o.tasks, NULL, "processes that start together, each with its rank (default 1)" },
	{ 0, "nvlink", ZN_OPT_CHOICE, "WISH", &o.nvlink, "require|prefer", "NVLink between the GPUs (default: prefer)" },
	{ 0, "env", ZN_OPT_STRS, "K=V", &o.env, NULL, "set a variable beside the environment of now; may be repeated" },
	{ 'D', "chdir", ZN_OPT_STR, "DIR", &o.directory, "dir", "where to run (default: here)" },
	{ 0, "output", ZN_OPT_STR, "FILE", &o.output, "file", "standard output; %j job, %r rank, %n node (default: zn-%j.out)" },
	{ 0, "error", ZN_OPT_STR, "FILE", &o.error, "file", "standard error (default: where the output goes)" },
	{ 0, "begin", ZN_OPT_TIME, "TIME", &o.begin, NULL, "not before: 18:30, +2h, 2026-12-31T18:30" },
	{ 0, "hold", ZN_OPT_FLAG, NULL, &o.hold, NULL, "wait for zn-queue release" },
	{ 0, "requeue", ZN_OPT_U64, "N", &o.requeue, NULL, "run again up to N times if the machine or its agent failed" },
	{ 0, "signal", ZN_OPT_STR, "NAME", &o.signal, NULL, "first signal when the job must end (default TERM)" },
	{ 0, "grace", ZN_OPT_DUR, "TIME", &o.grace, NULL, "from that signal to SIGKILL" },
	{ 0, "on-end", ZN_OPT_STR, "COMMAND", &o.on_end, NULL, "when the job has ended, run this by a shell, as a job of its own" },
	{ 0, "mail", ZN_OPT_STR, "ADDRESS", &o.mail, NULL, "when the job has ended, send a letter there" },
	{ 0, "mail-on", ZN_OPT_CHOICE, "WHEN", &o.mail_on, "end|fail", "fail: not if the job completed (default: end)" },
	{ 0, "key", ZN_OPT_STR, "KEY", &o.key, NULL, "a submit with the same key happens once; the retry gets the same job" },
	{ 'w', "wait", ZN_OPT_FLAG, NULL, &o.wait, NULL, "wait for the job's end and exit with its status" },
	{ 'f', "follow", ZN_OPT_FLAG, NULL, &o.follow, NULL, "wait and show its output as it comes" },
	{ 0, "pty", ZN_OPT_FLAG, NULL, &o.pty, NULL, "give the job this terminal, wait for it, and exit with its status; without a command: the shell" },
	{ 0, "timeout", ZN_OPT_DUR, "TIME", &o.timeout, NULL, "how long to wait for zn-schedd's answer (default 30s)" },
	{ 0, "dry-run", ZN_OPT_FLAG, NULL, &o.dry_run, NULL, "say where the job would go now; submit nothing" },
	{ 0, "records", ZN_OPT_FLAG, NULL, &o.records, NULL, "read submission records from standard input" },
	{ 'o', "format", ZN_OPT_CHOICE, "FORMAT", &zn_cli_output.format, "table|json|csv|msgpack",
	  "a record instead of the plain job number" },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-submit",
	.brief = "put jobs in the queue, exactly once",
	.synopsis = "[options] -- COMMAND [ARG...]\n[options] SCRIPT [ARG...]\n[options] --records",
	.opts = opts,
	.complete = "command",
	.stop_at_operand = true,
	.footer = "Prints the job number. Lines '#ZN options' at the top of a script hold options, as if they had been\n"
	          "given here; what is given here wins. '#SBATCH' lines are understood where they mean the same.",
};

extern char **environ;

enum { SCRIPT_MAX = 8 << 20, AHEAD = 512 };

static struct zn_arena arena;
static const char *spool;
static struct zn_cli_pty pty;

static int fail(int rc, const struct zn_err *err)
{
	return zn_cli_fail(rc == -EOPNOTSUPP ? ZN_EXIT_DATA : zn_cli_code(rc), "%s", err->text[0] ? err->text : strerror(-rc));
}

/* ---- from options to a submission ---- */

/* One that can't be read counts too: reading all of it then says why. */
static bool looks_like_script(const char *path)
{
	struct stat st;
	char head[2] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t n = is_file ? read(fd, head, 2) : 0;
	close(fd);
	return is_file && (n < 0 || (n == 2 && head[0] == '#' && head[1] == '!') || !(st.st_mode & 0111));
}

static bool is_directory(const char *word)
{
	struct stat st;

	return strchr(word, '/') && stat(word, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A word that the job would look for in vain.  With another PATH or directory only the job can tell. */
static bool is_nowhere(const char *word)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	for (size_t i = 0; i < o.env.n; i++)
		if (!strncmp(o.env.v[i], "PATH=", 5))
			return false;
	if (strchr(word, '/'))
		return !o.directory && access(word, F_OK) < 0 && errno == ENOENT;
	for (size_t len; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		int n = snprintf(file, sizeof(file), "%.*s/%s", len ? (int)len : 1, len ? path : ".", word);
		if (n < (int)sizeof(file) && access(file, X_OK) == 0)
			return false;
	}
	return true;
}

static int read_script(const char *path, const char **ret, struct zn_err *err)
{
	char *text;
	size_t n;
	int rc = strcmp(path, "-") ? zn_file_read(AT_FDCWD, path, SCRIPT_MAX, &arena, &text, &n)
	                           : zn_fd_read(STDIN_FILENO, SCRIPT_MAX, &arena, &text, &n);

	if (rc < 0)
		return zn_err_set(err, rc, "can't read the script '%s': %s", path,
		                  rc == -EFBIG ? "it is larger than 8 MiB" : strerror(-rc));
	if (strlen(text) != n)
		return zn_err_set(err, -EBADMSG, "the script '%s' holds a NUL byte: it is no text", path);
	*ret = text;
	return 0;
}

static void say_ignored(const struct zn_strs *ignored)
{
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < ignored->n; i++)
		zn_buf_printf(&b, "%s%s", i ? ", " : "", ignored->v[i]);
	if (b.len)
		zn_cli_warn("of the #SBATCH lines, ignored: %s", (const char *)zn_cli_must((void *)zn_buf_text(&b)));
	zn_buf_done(&b);
}

/* Whom a script's #SBATCH lines mean when they name nobody; NULL: no mail can be sent from here. */
static const char *own_address(void)
{
	struct zn_mail_program program;
	struct zn_account me;

	if (zn_account_read(geteuid(), &me) < 0 || zn_mail_find(&program, NULL) < 0)
		return NULL;
	return zn_cli_must(zn_arena_strdup(&arena, me.name));
}

/* The options of #ZN lines, and then of #SBATCH lines, go where the command line's would; those stay. */
static int take_script_options(const char *script, struct zn_err *err)
{
	struct zn_strs words;
	struct zn_sbatch sbatch = { 0 };
	int rc = zn_script_words(script, "#ZN", &arena, &words, err);

	if (rc == 0 && words.n)
		rc = zn_cli_parse_more(&cmd, (int)words.n, (char **)words.v, err);
	if (rc == 0)
		rc = zn_sbatch_options(script, strstr(script, "--mail") ? own_address() : NULL, &arena, &sbatch, err);
	if (rc == 0 && sbatch.words.n)
		rc = zn_cli_parse_more(&cmd, (int)sbatch.words.n, (char **)sbatch.words.v, err);
	if (rc == 0)
		say_ignored(&sbatch.ignored);
	return rc == 0 && o.records ? zn_err_set(err, -EINVAL, "option '--records' makes no sense in a script") : rc;
}

static void set_u64(struct zn_ou64 *to, struct zn_ou64 from)
{
	if (from.has)
		*to = from;
}

/* What is run, and what is mailed, when the job has ended. */
static int compose_end(struct zn_spec *s, struct zn_err *err)
{
	struct zn_mail_program program;

	s->on_end = o.on_end;
	if (!o.mail)
		return o.mail_on ? zn_err_set(err, -EINVAL, "--mail-on without --mail says nothing") : 0;
	int rc = zn_mail_check(o.mail, err);
	if (rc == 0)
		rc = zn_mail_find(&program, err);
	if (rc < 0)
		return rc;
	const char *mail = zn_cli_must((void *)zn_mail_command(&program, o.mail, o.mail_on && !strcmp(o.mail_on, "fail"), &arena));
	s->on_end = o.on_end ? zn_cli_must(zn_arena_printf(&arena, "%s\n%s", mail, o.on_end)) : mail;
	return 0;
}

static int take_options(struct zn_spec *s, struct zn_err *err)
{
	int rc = compose_end(s, err);

	if (rc < 0)
		return rc;
	if (o.name)
		s->job_name = o.name;
	s->key = o.key;
	if (o.hold)
		s->hold = ZN_SOME_BOOL(true);
	s->output = o.output;
	s->error = o.error;
	set_u64(&s->resources.gpus, o.gpus);
	set_u64(&s->resources.cpus, o.cpus);
	set_u64(&s->resources.mem_bytes, o.mem);
	set_u64(&s->resources.tasks, o.tasks);
	set_u64(&s->policy.requeue, o.requeue);
	s->resources.time_limit_s = o.limit;
	s->policy.begin_s = o.begin;
	s->policy.grace_s = o.grace;
	s->policy.priority = o.priority;
	s->policy.signal = o.signal;
	s->locality.nvlink = o.nvlink;
	if (o.pty && !o.dry_run) {
		rc = o.follow ? zn_err_set(err, -EINVAL, "--pty shows what --follow would") : zn_cli_pty_open(&pty, err);
		if (rc < 0)
			return rc;
		s->terminal = pty.name;
	}
	return zn_compose_environment(environ, &o.env, &arena, &s->environment, err);
}

/* Directory, umask and key, when nobody said. */
static int fill_in(struct zn_spec *s, struct zn_err *err)
{
	if (!s->directory || s->directory[0] != '/') {
		char here[PATH_MAX];
		if (!realpath(s->directory ? s->directory : ".", here))
			return zn_err_set(err, -errno, "directory '%s': %s", s->directory ? s->directory : ".",
			                  strerror(errno));
		s->directory = zn_cli_must(zn_arena_strdup(&arena, here));
	}
	if (!s->umask.has) {
		mode_t mask = umask(0);
		umask(mask);
		s->umask = ZN_SOME_U64(mask);
	}
	if (!s->key) {
		char *key = zn_cli_must(zn_arena_alloc(&arena, ZN_KEY));
		int rc = zn_key_make(key, err);
		if (rc < 0)
			return rc;
		s->key = key;
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* A mistake in a path shows now, not when the job starts at night. */
static int check_paths(const struct zn_spec *s, struct zn_err *err)
{
	const char *const patterns[] = { s->output ? s->output : "zn-%j.out", s->error };
	struct stat st;

	if (o.pty)
		return 0;
	if (stat(s->directory, &st) < 0 || !S_ISDIR(st.st_mode))
		return zn_err_set(err, -ENOENT, "directory '%s' is not there", s->directory);
	for (size_t i = 0; i < 2; i++) {
		if (!patterns[i])
			continue;
		char *path = zn_cli_must(zn_spec_output_rank(
			zn_cli_must(zn_spec_output(patterns[i], s->directory, 0, "", &arena)), 0, &arena));
		int rc = zn_output_check(path, patterns[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compose(int argc, char **argv, struct zn_spec *s, struct zn_err *err)
{
	bool is_script = !zn_cli_had_dashes() && (!strcmp(argv[0], "-") || looks_like_script(argv[0]));
	int rc = 0;

	*s = (struct zn_spec){ 0 };
	s->arguments = (struct zn_strs){ (const char **)argv + 1, (size_t)argc - 1 };
	if (is_script)
		rc = read_script(argv[0], &s->script, err);
	else if (!zn_cli_had_dashes() && is_directory(argv[0]))
		return zn_err_set(err, -EINVAL, "'%s' is a directory, neither a script nor a command", argv[0]);
	else if (!zn_cli_had_dashes() && is_nowhere(argv[0]))
		return zn_err_set(err, -ENOENT, "there is neither a script nor a command '%s'", argv[0]);
	else
		s->command = argv[0];
	if (rc == 0 && is_script)
		rc = take_script_options(s->script, err);
	s->job_name = base_name(argv[0]);
	if (zn_spec_check_name("name", s->job_name, NULL) < 0)
		s->job_name = "job";
	if (rc == 0)
		rc = take_options(s, err);
	s->directory = o.directory;
	if (rc == 0)
		rc = fill_in(s, err);
	if (rc == 0)
		rc = zn_spec_check(s, err);
	return rc < 0 ? rc : check_paths(s, err);
}

/* ---- answers ---- */

/* What numbers are written with; NULL: plain, one a line. */
static struct zn_writer *number_writer(void)
{
	static const struct zn_kind *const kinds[] = { &zn_submitted_kind, NULL };

	return zn_cli_output.format ? zn_cli_writer(kinds, true) : NULL;
}

static int say_number(struct zn_writer *w, uint64_t id, const char *key)
{
	struct zn_submitted r = { .id = id, .key = key };
	int rc = w ? zn_writer_put(w, &zn_submitted_kind, &r) : 0;

	if (!w) {
		printf("%llu\n", (unsigned long long)id);
		rc = fflush(stdout) ? -errno : 0;
	}
	return rc < 0 ? zn_cli_fail(ZN_EXIT_OS, "can't write to standard output: %s", strerror(-rc)) : 0;
}

static int no_answer(int rc, const char *key, const struct zn_err *err)
{
	if (rc == -ETIMEDOUT || rc == -ECONNRESET)
		return zn_cli_fail(ZN_EXIT_AGAIN, "%s; submit again with --key %s to be sure that it happens once",
		                   err->text, key);
	return fail(rc, err);
}

static bool is_lost(const struct zn_job_record *job)
{
	return job->reason && !strncmp(job->reason, "lost", 4);
}

/* Nobody listens and nobody may be started: leave it where the next zn-schedd looks. */
static int drop(const struct zn_spec *s)
{
	struct zn_err err = { 0 };
	int rc = zn_spool_is_system(spool) ? 0 : zn_spool_make(spool, NULL, &err);

	if (rc == 0)
		rc = zn_drop_write(spool, s, &err);
	if (rc < 0)
		return fail(rc, &err);
	printf("key:%s\n", s->key);
	return zn_cli_end(NULL, 0);
}

static int timeout_ms(void)
{
	double ms = o.timeout.has ? o.timeout.v * 1000 : 30000;

	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* ---- waiting ---- */

struct watch {
	struct zn_tail out, err;
	bool started;
	int status;
};

static void on_started(void *arg, const struct zn_job_record *job)
{
	(void)job;
	((struct watch *)arg)->started = true;
}

static void on_done(void *arg, const struct zn_job_record *job)
{
	struct watch *w = arg;

	w->status = is_lost(job) ? ZN_EXIT_WRAP : zn_job_exit_status(job, ZN_EXIT_WRAP);
	if ((!job->exit_code.has && !job->signal) || is_lost(job))
		zn_cli_warn("job %llu is %s: %s", (unsigned long long)job->id, job->state,
		            job->reason ? job->reason : "no reason known");
}

static int on_tick(void *arg, struct zn_err *err)
{
	struct watch *w = arg;

	int rc = w->started ? zn_tail_copy(&w->out, err) : 0;
	return rc == 0 && w->started && w->err.path ? zn_tail_copy(&w->err, err) : rc;
}

/* Of the first rank. */
static const char *output_of(const struct zn_spec *s, const char *pattern, uint64_t id, const char *host)
{
	char *path = zn_cli_must(zn_spec_output(pattern, s->directory, id, host, &arena));

	return zn_cli_must(zn_spec_output_rank(path, 0, &arena));
}

static int wait_for(struct zn_client *client, const struct zn_spec *s, uint64_t id)
{
	char host[256] = "";
	struct zn_err err = { 0 };
	struct watch w = { .out = { .from = -1, .to = 1 }, .err = { .from = -1, .to = 2 } };
	struct zn_follow f = { .client = client, .arg = &w, .done = on_done, .started = on_started, .tick_ms = 50 };

	gethostname(host, sizeof(host) - 1);
	if (o.follow) {
		f.tick = on_tick;
		w.out.path = output_of(s, s->output ? s->output : "zn-%j.out", id, host);
		if (s->error)
			w.err.path = output_of(s, s->error, id, host);
	}
	int rc = zn_follow_jobs(spool, &id, 1, -1, &f, &err);
	if (rc < 0)
		return zn_cli_fail(ZN_EXIT_WRAP, "%s", err.text);
	return w.status;
}

/* ---- with this terminal ---- */

enum { TICK_MS = 20, NOTE_TICKS = 50 };

static volatile sig_atomic_t ended; /* by this signal */

static void on_signal(int sig)
{
	if (sig != SIGWINCH) /* whose one use is to wake us */
		ended = sig;
}

static void restore(void)
{
	zn_cli_pty_restore(&pty);
}

static void catch_signals(sigset_t *set)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH };
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		sigaction(signals[i], &sa, NULL);
		sigaddset(set, signals[i]);
	}
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	atexit(restore);
}

struct session { uint64_t id; int ticks; struct watch watch; bool done; };

static void on_session_done(void *arg, const struct zn_job_record *job)
{
	struct session *se = arg;

	se->done = true;
	on_done(&se->watch, job);
}

/* -EINTR ends the watch: the job has its terminal, or a signal came. */
static int until_attached(void *arg, struct zn_err *err)
{
	struct session *se = arg;

	(void)err;
	if (ended || zn_cli_pty_accept(&pty))
		return -EINTR;
	if (++se->ticks == NOTE_TICKS)
		zn_cli_warn("job %llu waits for its place; Ctrl-C cancels it", (unsigned long long)se->id);
	return 0;
}

static int until_signal(void *arg, struct zn_err *err)
{
	(void)arg;
	(void)err;
	return ended ? -EINTR : 0;
}

static int give_up(struct zn_client *client, uint64_t id)
{
	struct zn_request r = { .op = "cancel", .id = ZN_SOME_U64(id) };
	struct zn_reply reply;
	struct zn_err err = { 0 };

	if (zn_client_send(client, &r, &err) < 0 || zn_client_wait(client, timeout_ms(), &reply, &err) < 0)
		zn_cli_warn("job %llu could not be cancelled: %s", (unsigned long long)id, err.text);
	return 128 + ended;
}

static int run_session(struct zn_client *client, uint64_t id)
{
	struct session se = { .id = id };
	struct zn_follow f = { .client = client, .arg = &se, .done = on_session_done, .tick = until_attached,
	                       .tick_ms = TICK_MS };
	struct zn_err err = { 0 };
	sigset_t set, before;

	catch_signals(&set);
	int rc = zn_follow_jobs(spool, &id, 1, -1, &f, &err);
	if (rc == -EINTR && ended && !pty.is_raw)
		return give_up(client, id);
	if (pty.sock >= 0) {
		sigprocmask(SIG_BLOCK, &set, &before);
		rc = zn_cli_pty_copy(&pty, &ended);
		sigprocmask(SIG_SETMASK, &before, NULL);
		restore();
		if (rc < 0) /* the socket closes with us, which ends the job */
			return 128 + (ended ? ended : SIGHUP);
	}
	f.tick = until_signal;
	rc = se.done ? 0 : zn_follow_jobs(spool, &id, 1, -1, &f, &err);
	if (rc == -EINTR)
		return 128 + ended;
	return rc < 0 ? zn_cli_fail(ZN_EXIT_WRAP, "%s", err.text) : se.watch.status;
}

/* ---- the ways to submit ---- */

/* A reply, also from a zn-schedd that had to be started again: every submission has a key, so asking twice is
 * safe.
 */
static int wait_reply(struct zn_client *client, struct zn_reply *reply, struct zn_err *err)
{
	uint64_t end_ns = zn_boot_ns() + (uint64_t)timeout_ms() * 1000000u;
	int rc = zn_client_wait(client, timeout_ms(), reply, err);

	while (rc == -ECONNRESET && zn_boot_ns() < end_ns) {
		rc = zn_client_reopen(client, err);
		if (rc == 0)
			rc = zn_client_wait(client, timeout_ms(), reply, err);
	}
	return rc;
}

static int submit_one(const struct zn_spec *s)
{
	struct zn_request request = { .op = "submit", .job = *s };
	static struct zn_client *client; /* dropped with the process */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int rc = zn_client_open(spool, true, &client, &err);

	if (rc == -ECONNREFUSED && !o.wait && !o.follow && !o.pty)
		return drop(s);
	if (rc < 0)
		return fail(rc, &err);
	rc = zn_client_send(client, &request, &err);
	if (rc == 0)
		rc = wait_reply(client, &reply, &err);
	if (rc < 0)
		return no_answer(rc, s->key, &err);
	if (!reply.ok)
		return zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	uint64_t id = reply.id.v;
	bool silent = o.follow || o.pty;
	struct zn_writer *w = silent ? NULL : number_writer();
	int code = silent ? 0 : say_number(w, id, s->key);
	if (!code && w && zn_writer_end(w) < 0)
		code = zn_cli_fail(ZN_EXIT_OS, "can't write to standard output");
	zn_writer_free(w);
	if (!code && o.pty)
		code = run_session(client, id);
	else if (!code && (o.wait || o.follow))
		code = wait_for(client, s, id);
	zn_client_close(client);
	return code ? code : zn_cli_end(NULL, 0);
}

struct stream {
	struct zn_client *client;
	struct zn_reader *reader;
	struct zn_writer *writer;
	uint64_t sent, answered;
	char *keys[AHEAD + 2];         /* of record n in [n % (AHEAD + 2)], until it is answered */
};

static char **key_of(struct stream *st, uint64_t n)
{
	return &st->keys[n % (AHEAD + 2)];
}

static int take_reply(struct stream *st, const struct zn_reply *reply)
{
	char **key = key_of(st, st->answered++);
	int code = reply->ok ? say_number(st->writer, reply->id.v, *key)
	           : zn_cli_fail((enum zn_exit)reply->code, "record %llu: %s", (unsigned long long)st->answered, reply->error);

	free(*key);
	*key = NULL;
	return code;
}

/* Waits until at most `ahead` requests are unanswered. */
static int catch_up(struct stream *st, uint64_t ahead)
{
	struct zn_err err = { 0 };
	struct zn_reply reply;

	while (st->sent - st->answered > ahead) {
		int rc = wait_reply(st->client, &reply, &err);
		if (rc < 0)
			return zn_cli_fail(ZN_EXIT_AGAIN, "record %llu, and what follows it: %s; its key is %s",
			                   (unsigned long long)st->answered + 1, err.text, *key_of(st, st->answered));
		int code = take_reply(st, &reply);
		if (code)
			return code;
	}
	return 0;
}

static int send_record(struct stream *st, const struct zn_rec *rec)
{
	struct zn_request request = { .op = "submit" };
	struct zn_err err = { 0 };
	int rc = zn_decode(&zn_spec_kind, &rec->map, &arena, &request.job, &err);

	if (rc == 0)
		rc = fill_in(&request.job, &err);
	if (rc == 0)
		rc = zn_spec_check(&request.job, &err);
	if (rc == 0)
		rc = zn_client_send(st->client, &request, &err);
	if (rc == 0)
		*key_of(st, st->sent++) = zn_cli_must(strdup(request.job.key));
	zn_arena_reset(&arena);
	if (rc == 0)
		return 0;
	int code = catch_up(st, 0); /* those before it are good: their numbers come out first */
	if (code)
		return code;
	return zn_cli_fail(ZN_EXIT_DATA, "record %llu%s%s: %s", (unsigned long long)st->sent + 1,
	                   rec->line ? ", line " : "",
	                   rec->line ? zn_arena_printf(&arena, "%llu", (unsigned long long)rec->line) : "", err.text);
}

static int submit_records(void)
{
	static struct stream st;
	struct zn_rec rec;
	struct zn_err err = { 0 };
	int code = 0, got = 0;
	int rc = zn_client_open(spool, true, &st.client, &err);

	spool = zn_cli_must(strdup(spool)); /* the arena is reset for each record */
	if (rc == 0)
		rc = zn_reader_new(0, &st.reader);
	if (rc < 0)
		return fail(rc, &err);
	st.writer = number_writer();
	while (!code && (got = zn_reader_next(st.reader, &rec, &err)) == 1) {
		code = send_record(&st, &rec);
		/* a line that was typed or piped slowly is answered before the next one comes */
		if (!code)
			code = catch_up(&st, zn_reader_has_buffered(st.reader) ? AHEAD : 0);
	}
	if (!code)
		code = catch_up(&st, 0);
	if (!code && got < 0)
		code = zn_cli_fail(zn_cli_code(got), "%s", err.text);
	for (; st.answered < st.sent; st.answered++)
		free(*key_of(&st, st.answered));
	zn_reader_free(st.reader);
	zn_client_close(st.client);
	return zn_cli_end(st.writer, code);
}

/* ---- dry run ---- */

static struct zn_ask ask_of(const struct zn_spec *s)
{
	const struct zn_spec_resources *r = &s->resources;

	return (struct zn_ask){ .gpus = (uint32_t)r->gpus.v, .cpus = r->cpus, .mem_bytes = r->mem_bytes.v,
	                        .tasks = r->tasks.has ? (uint32_t)r->tasks.v : 1,
	                        .nvlink_required = s->locality.nvlink && !strcmp(s->locality.nvlink, "require") };
}

/* From the queue's view when there is one, else this machine as if it were idle. */
static int dry_run(const struct zn_spec *s)
{
	static const struct zn_kind *const kinds[] = { &zn_planned_kind, NULL };
	struct zn_view_reader *r = NULL;
	struct zn_picture picture = { 0 };
	struct zn_facts *facts = NULL;
	struct zn_free free;
	struct zn_planned planned;
	struct zn_err err = { 0 };
	struct zn_ask ask = ask_of(s);
	char host[256] = "";
	int rc = zn_view_open(spool, &r, &err);

	if (rc == 0)
		rc = zn_picture_read(r, &picture, &err);
	if (rc == 0 && picture.n_nodes)
		rc = zn_picture_node(&picture, picture.nodes, &facts, &free, &err);
	if (!facts) {
		rc = zn_machine_ask(&facts, &err);
		if (rc < 0)
			return fail(rc, &err);
		free = zn_plan_idle(facts);
		gethostname(host, sizeof(host) - 1);
	}
	rc = zn_picture_plan(picture.n_nodes ? picture.nodes->node_id : host, facts, &free, picture.nodes, &ask,
	                     &picture.arena, &planned);
	struct zn_writer *w = zn_cli_writer(kinds, false);
	zn_writer_put(w, &zn_planned_kind, &planned);
	int code = zn_cli_end(w, rc == 0 ? ZN_EXIT_OK : ZN_EXIT_NO);
	if (rc < 0 && zn_cli_format() == ZN_FORMAT_TABLE)
		for (size_t i = 0; i < planned.reasons.n; i++)
			zn_cli_warn("%s", ((const struct zn_explained_reason *)planned.reasons.v)[i].text);
	zn_facts_free(facts);
	zn_view_close(r);
	zn_picture_done(&picture);
	return code;
}

int main(int argc, char **argv)
{
	struct zn_err err = { 0 };
	struct zn_spec spec;
	int at = zn_cli_parse(&cmd, argc, argv);
	int rc = zn_spool_path(&arena, &spool, &err);

	if (rc < 0)
		return fail(rc, &err);
	if (o.records) {
		if (at < argc)
			zn_cli_usage("--records reads standard input: '%s' is too much", argv[at]);
		return submit_records();
	}
	if (at == argc && !o.pty)
		zn_cli_usage("a command or a script is missing");
	char *shell[] = { getenv("SHELL"), NULL };
	if (!shell[0] || !*shell[0])
		shell[0] = (char *)"/bin/sh";
	rc = at < argc ? compose(argc - at, argv + at, &spec, &err) : compose(1, shell, &spec, &err);
	if (rc < 0)
		return fail(rc, &err);
	return o.dry_run ? dry_run(&spec) : submit_one(&spec);
}
