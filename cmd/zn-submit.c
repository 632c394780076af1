/* zn-submit: put jobs in the queue, exactly once. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/pty.h"
#include "job/compose.h"
#include "job/licences.h"
#include "job/mail.h"
#include "job/operand.h"
#include "job/sbatch.h"
#include "queue/client.h"
#include "queue/follow.h"
#include "queue/picture.h"
#include "queue/spool.h"
#include "queue/stream.h"
#include "queue/watch.h"

static struct {
	const char *name, *directory, *output, *error, *key, *nvlink, *near, *constraint, *signal, *on_end, *mail, *mail_on, *after, *account, *array, *every, *licences, *reservation;
	struct zn_ou64 gpus, gpus_per_node, gpu_mem, cpus, mem, tasks, tasks_per_node, requeue;
	const char *nodes;
	struct zn_of64 gpu_share, limit, begin, deadline, grace, timeout;
	struct zn_oi64 priority;
	struct zn_strs env;
	bool pack, spread, same_switch, hold, preemptible, wait, follow, pty, dry_run, records;
} o;

static const struct zn_opt opts[] = {
	{ 'n', "name", ZN_OPT_STR, "NAME", &o.name, NULL, "what to call the job (default: the command's name)" },
	{ 'g', "gpus", ZN_OPT_U64, "N", &o.gpus, NULL, "GPUs for the whole job" },
	{ 0, "gpu-share", ZN_OPT_F64, "PART", &o.gpu_share, NULL, "a part of one GPU, in thousandths: 0.25" },
	{ 0, "gpu-mem", ZN_OPT_BYTES, "SIZE", &o.gpu_mem, NULL, "memory of one GPU; without --gpu-share the part of the GPU that this is" },
	{ 'c', "cpus", ZN_OPT_U64, "N", &o.cpus, NULL, "hardware threads for the whole job, its alone (default: one per task; "
	  "with GPUs the fair slice next to them)" },
	{ 'm', "mem", ZN_OPT_BYTES, "SIZE", &o.mem, NULL, "memory for the whole job, a limit where the machine can hold it to one" },
	{ 0, "licences", ZN_OPT_STR, "NAME[:N],...", &o.licences, NULL, "licences, as many of each as it says (default 1)" },
	{ 't', "time", ZN_OPT_DUR, "TIME", &o.limit, NULL, "longest running time: 90, 1h30m, 02:00:00" },
	{ 'p', "priority", ZN_OPT_I64, "N", &o.priority, NULL, "larger is more urgent (default 0)" },
	{ 'A', "account", ZN_OPT_STR, "NAME", &o.account, NULL, "who pays: whose quota it counts for, beside the user's" },
	{ 0, "reservation", ZN_OPT_STR, "NAME", &o.reservation, NULL, "in this reservation, while it lasts: zn-queue reservations lists them" },
	{ 'N', "nodes", ZN_OPT_STR, "N[-M]", &o.nodes, NULL, "nodes that start together, each with an equal part of all it asks for (default 1)" },
	{ 0, "gpus-per-node", ZN_OPT_U64, "N", &o.gpus_per_node, NULL, "GPUs on each of them, instead of --gpus" },
	{ 0, "tasks", ZN_OPT_U64, "N", &o.tasks, NULL, "processes that start together, each with its rank (default 1)" },
	{ 0, "tasks-per-node", ZN_OPT_U64, "N", &o.tasks_per_node, NULL, "processes on each of its nodes, instead of --tasks" },
	{ 0, "nvlink", ZN_OPT_CHOICE, "WISH", &o.nvlink, "require|prefer", "NVLink between the GPUs (default: prefer)" },
	{ 0, "pack", ZN_OPT_FLAG, NULL, &o.pack, NULL, "on as few nodes and NUMA nodes as can be, which is the default" },
	{ 0, "spread", ZN_OPT_FLAG, NULL, &o.spread, NULL, "on as many nodes of a range, NUMA nodes and PCIe roots as can be" },
	{ 0, "near", ZN_OPT_STR, "DEVICE", &o.near, NULL, "on a node with that device, as near to it as can be: mlx5_0, eth0, nvme0n1, a PCI address; nic, nvme: any" },
	{ 'C', "constraint", ZN_OPT_STR, "LABELS", &o.constraint, NULL, "on nodes with these labels: gold,!slow,rack=7,node!=n3" },
	{ 0, "same-switch", ZN_OPT_FLAG, NULL, &o.same_switch, NULL, "all of its nodes at one switch" },
	{ 0, "env", ZN_OPT_STRS, "K=V", &o.env, NULL, "set a variable beside the environment of now; may be repeated" },
	{ 'D', "chdir", ZN_OPT_STR, "DIR", &o.directory, "dir", "where to run (default: here)" },
	{ 0, "output", ZN_OPT_STR, "FILE", &o.output, "file", "standard output; %j job, %a index, %r rank, %n node (default: zn-%j.out, of an array zn-%j.%a.out)" },
	{ 0, "error", ZN_OPT_STR, "FILE", &o.error, "file", "standard error (default: where the output goes)" },
	{ 0, "begin", ZN_OPT_TIME, "TIME", &o.begin, NULL, "not before: 18:30, +2h, 2026-12-31T18:30" },
	{ 0, "every", ZN_OPT_STR, "CALENDAR", &o.every, NULL, "again and again: 'daily 02:00', 'Mon..Fri 18:30', '*-*-01', as systemd writes them" },
	{ 0, "deadline", ZN_OPT_TIME, "TIME", &o.deadline, NULL, "ended by then, or given up when that is not possible any more" },
	{ 0, "array", ZN_OPT_STR, "LIST[%N]", &o.array, NULL, "as many jobs as the list has numbers, 0-99 or 1,3,10-50:10, each with its own in ZENITH_ARRAY_INDEX; N at once" },
	{ 0, "after", ZN_OPT_STR, "JOB[:HOW],...", &o.after, NULL, "not before these jobs have ended: ok (the default), any or fail" },
	{ 0, "hold", ZN_OPT_FLAG, NULL, &o.hold, NULL, "wait for zn-queue release" },
	{ 0, "requeue", ZN_OPT_U64, "N", &o.requeue, NULL, "run again up to N times if the machine or its agent failed" },
	{ 0, "preemptible", ZN_OPT_FLAG, NULL, &o.preemptible, NULL, "it may be sent back to the queue for a job with a higher priority, and then runs again" },
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

static struct zn_arena arena;
static const char *spool;
static struct zn_cli_pty pty;

static int fail(int rc, const struct zn_err *err)
{
	return zn_cli_fail(rc == -EOPNOTSUPP ? ZN_EXIT_DATA : zn_cli_code(rc), "%s", err->text[0] ? err->text : strerror(-rc));
}

/* ---- from options to a submission ---- */

static void say_ignored(const struct zn_strs *ignored)
{
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < ignored->n; i++)
		zn_buf_printf(&b, "%s%s", i ? ", " : "", ignored->v[i]);
	if (b.len)
		zn_cli_warn("of the #SBATCH lines, ignored: %s", (const char *)zn_cli_must((void *)zn_buf_text(&b)));
	zn_buf_done(&b);
}

/* The options of #ZN lines, and then of #SBATCH lines, go where the command line's would; those stay. */
static int take_script_options(const char *script, struct zn_err *err)
{
	struct zn_strs words;
	struct zn_sbatch sbatch = { 0 };
	bool pack = o.pack, spread = o.spread;
	int rc = zn_script_words(script, "#ZN", &arena, &words, err);

	if (rc == 0 && words.n)
		rc = zn_cli_parse_more(&cmd, (int)words.n, (char **)words.v, err);
	if (rc == 0)
		rc = zn_sbatch_options(script, strstr(script, "--mail") ? zn_mail_own_address(&arena) : NULL, &arena, &sbatch, err);
	if (rc == 0 && sbatch.words.n)
		rc = zn_cli_parse_more(&cmd, (int)sbatch.words.n, (char **)sbatch.words.v, err);
	if (pack != spread) { /* what the command line says of the two holds */
		o.pack = pack;
		o.spread = spread;
	}
	if (rc == 0)
		say_ignored(&sbatch.ignored);
	if (rc == 0 && o.array && strstr(script, "SLURM_ARRAY_TASK_ID"))
		zn_cli_warn("the script reads SLURM_ARRAY_TASK_ID; here the index is in ZENITH_ARRAY_INDEX");
	return rc == 0 && o.records ? zn_err_set(err, -EINVAL, "option '--records' makes no sense in a script") : rc;
}

static int take_options(struct zn_spec *s, struct zn_err *err)
{
	int rc = 0;

	s->on_end = o.on_end;
	if (o.mail)
		rc = zn_mail_on_end(o.mail, o.mail_on && !strcmp(o.mail_on, "fail"), o.on_end, &arena, &s->on_end, err);
	else if (o.mail_on)
		rc = zn_err_set(err, -EINVAL, "--mail-on without --mail says nothing");
	if (rc < 0)
		return rc;
	if (o.name)
		s->job_name = o.name;
	s->key = o.key;
	if (o.hold)
		s->hold = ZN_SOME_BOOL(true);
	if (o.preemptible)
		s->policy.preemptible = ZN_SOME_BOOL(true);
	s->output = o.output;
	s->error = o.error;
	s->resources.gpus = o.gpus;
	s->resources.gpu_share = o.gpu_share;
	s->resources.gpu_mem_bytes = o.gpu_mem;
	s->resources.cpus = o.cpus;
	s->resources.mem_bytes = o.mem;
	s->resources.tasks = o.tasks;
	s->resources.gpus_per_node = o.gpus_per_node;
	s->resources.tasks_per_node = o.tasks_per_node;
	s->policy.requeue = o.requeue;
	s->resources.time_limit_s = o.limit;
	s->policy.begin_s = o.begin;
	s->policy.deadline_s = o.deadline;
	s->policy.grace_s = o.grace;
	s->policy.priority = o.priority;
	s->policy.signal = o.signal;
	s->policy.array = o.array;
	s->policy.every = o.every;
	s->policy.account = o.account;
	s->policy.reservation = o.reservation;
	s->locality.nvlink = o.nvlink;
	s->locality.near = o.near;
	s->locality.constraint = o.constraint;
	if (o.pack)
		s->locality.pack = ZN_SOME_BOOL(true);
	if (o.spread)
		s->locality.spread = ZN_SOME_BOOL(true);
	if (o.same_switch)
		s->locality.same_switch = ZN_SOME_BOOL(true);
	rc = o.nodes ? zn_spec_nodes_parse(o.nodes, &s->resources, err) : 0;
	if (rc < 0)
		return rc;
	rc = o.after ? zn_after_parse(o.after, &arena, &s->policy.after, err) : 0;
	if (rc == 0 && o.licences)
		rc = zn_spec_licences_parse(o.licences, &arena, &s->resources.licences, err);
	if (rc < 0)
		return rc;
	if (o.array && o.follow)
		return zn_err_set(err, -EINVAL, "--follow shows the output of one job, and an array is many");
	if (o.pty && !o.dry_run) {
		rc = o.follow ? zn_err_set(err, -EINVAL, "--pty shows what --follow would") : zn_cli_pty_open(&pty, err);
		if (rc < 0)
			return rc;
		s->terminal = pty.name;
	}
	return zn_compose_environment(environ, &o.env, &arena, &s->environment, err);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static int compose(int argc, char **argv, struct zn_spec *s, struct zn_err *err)
{
	int rc = 0;

	*s = (struct zn_spec){ 0 };
	s->arguments = (struct zn_strs){ (const char **)argv + 1, (size_t)argc - 1 };
	if (zn_cli_had_dashes())
		s->command = argv[0];
	else
		rc = zn_operand_take(argv[0], &o.env, o.directory, &arena, s, err);
	if (rc == 0 && s->script)
		rc = take_script_options(s->script, err);
	s->job_name = base_name(argv[0]);
	if (zn_spec_check_name("name", s->job_name, NULL) < 0)
		s->job_name = "job";
	if (rc == 0)
		rc = take_options(s, err);
	s->directory = o.directory;
	if (rc == 0)
		rc = zn_spec_fill_in(s, &arena, err);
	if (rc == 0)
		rc = zn_spec_check(s, err);
	return rc < 0 || o.pty ? rc : zn_spec_check_paths(s, &arena, err);
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

static void on_done(void *status, const struct zn_job_record *job)
{
	*(int *)status = is_lost(job) ? ZN_EXIT_WRAP : zn_job_exit_status(job, ZN_EXIT_WRAP);
	if ((!job->exit_code.has && !job->signal) || is_lost(job))
		zn_cli_warn("job %llu is %s: %s", (unsigned long long)job->id, job->state,
		            job->reason ? job->reason : "no reason known");
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
	int status = 0;
	struct zn_err err = { 0 };
	struct zn_watch w = { .out = { .from = -1, .to = 1 }, .err = { .from = -1, .to = 2 }, .done = on_done, .arg = &status };

	gethostname(host, sizeof(host) - 1);
	if (o.follow) {
		w.out.path = output_of(s, zn_spec_output_pattern(s), id, host);
		if (s->error)
			w.err.path = output_of(s, s->error, id, host);
	}
	int rc = zn_watch_job(spool, client, id, &w, &err);
	return rc < 0 ? zn_cli_fail(ZN_EXIT_WRAP, "%s", err.text) : status;
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

struct session { uint64_t id; int ticks, status; bool done; };

static void on_session_done(void *arg, const struct zn_job_record *job)
{
	struct session *se = arg;

	se->done = true;
	on_done(&se->status, job);
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
	return rc < 0 ? zn_cli_fail(ZN_EXIT_WRAP, "%s", err.text) : se.status;
}

/* ---- the ways to submit ---- */

static int submit_one(const struct zn_spec *s)
{
	struct zn_request request = { .op = "submit", .job = *s };
	static struct zn_client *client; /* its connection ends with the process, in which nothing waits for that */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int rc = zn_client_open(spool, true, &client, &err);

	if (rc == -ECONNREFUSED && !o.wait && !o.follow && !o.pty)
		return drop(s);
	if (rc < 0)
		return fail(rc, &err);
	rc = zn_client_send(client, &request, &err);
	if (rc == 0)
		rc = zn_client_insist(client, timeout_ms(), &reply, &err);
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
	return code ? code : zn_cli_end(NULL, 0);
}

static int on_answer(void *writer, uint64_t n, const char *key, const struct zn_reply *reply)
{
	return reply->ok ? say_number(writer, reply->id.v, key)
	       : zn_cli_fail((enum zn_exit)reply->code, "record %llu: %s", (unsigned long long)n, reply->error);
}

static int submit_records(void)
{
	static struct zn_stream st; /* dropped with the process when something fails */
	struct zn_err err = { 0 };
	int rc = zn_client_open(spool, true, &st.client, &err);

	if (rc < 0)
		return fail(rc, &err);
	struct zn_writer *w = number_writer();
	st.timeout_ms = timeout_ms();
	st.answered = on_answer;
	st.arg = w;
	rc = zn_stream_submit(&st, STDIN_FILENO, &err);
	zn_client_close(st.client);
	return zn_cli_end(w, rc < 0 ? fail(rc, &err) : rc);
}

static int dry_run(const struct zn_spec *s)
{
	static const struct zn_kind *const kinds[] = { &zn_planned_kind, NULL };
	struct zn_planned planned;
	struct zn_err err = { 0 };
	int rc = zn_dry_run(spool, s, &arena, &planned, &err);

	if (rc < 0)
		return fail(rc, &err);
	struct zn_writer *w = zn_cli_writer(kinds, false);
	zn_writer_put(w, &zn_planned_kind, &planned);
	int code = zn_cli_end(w, planned.now ? ZN_EXIT_OK : ZN_EXIT_NO);
	if (!planned.now && zn_cli_format() == ZN_FORMAT_TABLE)
		for (size_t i = 0; i < planned.reasons.n; i++)
			zn_cli_warn("%s", ((const struct zn_explained_reason *)planned.reasons.v)[i].text);
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
