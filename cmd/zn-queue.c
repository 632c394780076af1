/* zn-queue: see, explain and steer jobs; follow events and output. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"
#include "job/compose.h"
#include "job/spec.h"
#include "job/state.h"
#include "plan/plan.h"
#include "proc/describe.h"
#include "queue/find.h"
#include "queue/follow.h"
#include "queue/latest.h"
#include "queue/picture.h"
#include "queue/spool.h"
#include "queue/view.h"
#include "show/show.h"
#include "usage/usage.h"

static struct {
	struct zn_strs users, states, names;
	bool all, mine, usage;
	bool follow, error;
	struct zn_ou64 since;
	struct zn_of64 days, timeout, grace, limit;
	struct zn_oi64 priority;
	struct zn_ou64 mem;
	const char *signal, *name, *gpus;
} o;

static struct zn_arena arena;
static const char *spool;

static int fail(int rc, const struct zn_err *err)
{
	return zn_cli_fail(zn_cli_code(rc), "%s", err->text[0] ? err->text : strerror(-rc));
}

/* ---- filters ---- */

static bool is_listed(const struct zn_strs *list, struct zn_bytes record, const char *key)
{
	struct zn_bytes text = list->n ? zn_raw_text(zn_raw_get(record, key)) : (struct zn_bytes){ 0 };

	for (size_t i = 0; i < list->n; i++)
		if (text.p && strlen(list->v[i]) == text.n && !strncasecmp(list->v[i], text.p, text.n))
			return true;
	return !list->n;
}

static void check_states(void)
{
	enum zn_job_state state;

	for (size_t i = 0; i < o.states.n; i++)
		if (zn_job_state_parse(o.states.v[i], &state) < 0)
			zn_cli_usage("there is no state '%s'", o.states.v[i]);
	if (o.mine) {
		struct passwd *pw = getpwuid(geteuid());
		const char **v = zn_cli_must(zn_arena_array(&arena, 1, sizeof(*v)));
		v[0] = zn_cli_must(pw ? zn_arena_strdup(&arena, pw->pw_name)
		                      : zn_arena_printf(&arena, "%u", (unsigned)geteuid()));
		o.users = (struct zn_strs){ v, 1 };
	}
}

static bool is_wanted(struct zn_bytes job)
{
	return is_listed(&o.users, job, "user") && is_listed(&o.states, job, "state") &&
	       is_listed(&o.names, job, "name");
}

static bool has_ended(struct zn_bytes job)
{
	for (enum zn_job_state s = 0; s < ZN_JOB_STATES; s++)
		if (zn_raw_is_text(zn_raw_get(job, "state"), zn_job_state_name(s)))
			return zn_job_is_finished(s);
	return false;
}

/* ---- reading the view ---- */

static int read_picture(struct zn_picture *p, struct zn_err *err)
{
	struct zn_view_reader *r;
	int rc = zn_view_open(spool, &r, err);

	if (rc == -ENOENT) { /* nothing was ever submitted: an empty queue, not an error */
		*p = (struct zn_picture){ 0 };
		return 0;
	}
	if (rc < 0)
		return rc;
	rc = zn_picture_read(r, p, err);
	zn_view_close(r);
	return rc;
}

static const struct zn_kind *const job_kinds[] = { &zn_job_kind, NULL };

struct listing {
	struct zn_writer *w;
	struct zn_latest latest;
	bool *ended;                  /* of the latest: the history has them */
};

static int put_job(void *arg, struct zn_bytes event)
{
	struct listing *l = arg;
	struct zn_bytes job = zn_raw_get(event, "job");
	uint64_t id = 0;

	zn_raw_u64(zn_raw_get(job, "id"), &id);
	ssize_t at = zn_latest_find(&l->latest, id);
	if (at >= 0) /* a view that is behind, as on a full disk, still has it */
		l->ended[at] = true;
	if (is_wanted(job))
		zn_writer_put_raw(l->w, job_kinds, job);
	return 0;
}

static double history_since(void)
{
	return o.days.has ? zn_now_s() - o.days.v : 0;
}

static int read_latest(struct zn_latest *l, struct zn_err *err)
{
	struct zn_view_reader *r = NULL;
	int rc = zn_view_open(spool, &r, err);

	if (rc == 0)
		rc = zn_latest_read(r, l, err);
	zn_view_close(r);
	return rc == -ENOENT ? 0 : rc; /* nothing was ever submitted: an empty queue, not an error */
}

static int run_list(int argc, char **argv)
{
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_states();
	struct listing l = { .w = zn_cli_writer(job_kinds, false) };
	int rc = read_latest(&l.latest, &err);
	l.ended = zn_cli_must(zn_arena_array(&arena, l.latest.n_jobs + 1, sizeof(*l.ended)));
	if (rc == 0 && o.all)
		rc = zn_history_each(spool, history_since(), false, put_job, &l, &err);
	for (size_t i = 0; rc >= 0 && i < l.latest.n_jobs; i++) {
		struct zn_bytes job = l.latest.jobs[i].record;
		bool ended = l.ended[i] || has_ended(job);
		/* with --all the history said it already */
		if (is_wanted(job) && (!ended || (!o.all && o.states.n)))
			zn_writer_put_raw(l.w, job_kinds, job);
	}
	zn_latest_done(&l.latest);
	return zn_cli_end(l.w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}

static int run_history(int argc, char **argv)
{
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_states();
	if (!zn_cli_output.fields)
		zn_cli_output.fields = zn_cli_format() == ZN_FORMAT_TABLE
			? "id,name,user,state,gpus,submit_s,start_s,end_s,exit_code,signal,reason" : NULL;
	struct listing l = { .w = zn_cli_writer(job_kinds, false) };
	int rc = zn_history_each(spool, history_since(), false, put_job, &l, &err);
	return zn_cli_end(l.w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}

/* This machine's own node only: the others are measured where they are. */
static void measure(struct zn_node_record *node)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	struct zn_cpu_times a, b;
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (!node->hostname || strcmp(node->hostname, host) || zn_cpu_times_read("", &a) < 0)
		return;
	nanosleep(&tenth, NULL);
	if (zn_cpu_times_read("", &b) == 0)
		node->cpu_utilization_pct = ZN_SOME_F64(zn_cpu_busy_pct(&a, &b));
	uint64_t available;
	if (zn_mem_available_read("", &available) == 0)
		node->mem_available_bytes = ZN_SOME_U64(available);
}

static int run_nodes(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_node_kind, NULL };
	struct zn_picture p;
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	int rc = read_picture(&p, &err);
	if (rc < 0)
		return fail(rc, &err);
	if (o.usage && !zn_cli_output.fields && zn_cli_format() == ZN_FORMAT_TABLE)
		zn_cli_output.fields = "node_id,state,jobs,cpu_utilization_pct,mem_bytes,mem_available_bytes";
	struct zn_writer *w = zn_cli_writer(kinds, false);
	for (size_t i = 0; i < p.n_nodes; i++) {
		struct zn_facts *facts = NULL;
		struct zn_free free;
		if (zn_picture_node(&p, &p.nodes[i], &facts, &free, &err) == 0)
			zn_facts_free(facts);
		if (o.usage)
			measure(&p.nodes[i]);
		zn_writer_put(w, &zn_node_kind, &p.nodes[i]);
	}
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

/* ---- job numbers ---- */

static uint64_t *parse_ids(int argc, char **argv)
{
	uint64_t *ids = zn_cli_must(zn_arena_array(&arena, (size_t)argc + 1, sizeof(*ids)));
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_err err = { 0 };

	if (!argc)
		zn_cli_usage("a job number is missing");
	for (int i = 0; i < argc; i++) {
		int rc = zn_job_id_parse(spool, &c, argv[i], &ids[i], &err);
		if (rc == -EINVAL)
			zn_cli_usage("%s", err.text);
		if (rc < 0)
			exit(rc == -ENOENT ? zn_cli_fail(ZN_EXIT_NO, "%s", err.text) : fail(rc, &err));
	}
	zn_client_close(c);
	return ids;
}

/* ---- steering ---- */

/* One request per job; each failure is one sentence, the first one's code is the exit status. */
static int steer(struct zn_request r, int argc, char **argv, bool print)
{
	uint64_t *ids = parse_ids(argc, argv);
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK;

	for (int i = 0; i < argc; i++) {
		r.id = ZN_SOME_U64(ids[i]);
		int rc = zn_client_ask(spool, &c, &r, &reply, &err);
		if (rc < 0)
			return fail(rc, &err);
		if (!reply.ok) {
			int one = zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
			code = code ? code : one;
		} else if (print && reply.id.v != ids[i]) {
			printf("%llu\n", (unsigned long long)reply.id.v);
		}
	}
	zn_client_close(c);
	return zn_cli_end(NULL, code);
}

static int run_cancel(int argc, char **argv)
{
	struct zn_request r = { .op = "cancel", .grace_s = o.grace };

	if (o.signal) {
		int n = zn_signal_parse(o.signal);
		if (n < 0)
			zn_cli_usage("there is no signal '%s'", o.signal);
		r.signal = ZN_SOME_U64((uint64_t)n);
	}
	return steer(r, argc, argv, false);
}

static int run_hold(int argc, char **argv)
{
	return steer((struct zn_request){ .op = "hold" }, argc, argv, false);
}

static int run_release(int argc, char **argv)
{
	return steer((struct zn_request){ .op = "release" }, argc, argv, false);
}

static int run_suspend(int argc, char **argv)
{
	return steer((struct zn_request){ .op = "suspend" }, argc, argv, false);
}

static int run_resume(int argc, char **argv)
{
	return steer((struct zn_request){ .op = "resume" }, argc, argv, false);
}

static int run_requeue(int argc, char **argv)
{
	return steer((struct zn_request){ .op = "requeue" }, argc, argv, true);
}

static int run_modify(int argc, char **argv)
{
	if (!o.priority.has && !o.limit.has && !o.name)
		zn_cli_usage("nothing to modify was named: give --priority, --time or --name");
	return steer((struct zn_request){ .op = "modify", .priority = o.priority, .time_limit_s = o.limit,
	                                  .job_name = o.name }, argc, argv, false);
}

/* ---- adopting ---- */

enum { AGENT_WAIT_MS = 10000, AGENT_POLL_MS = 20 };

/* A zn-schedd that was just started has no agent yet.  What the node is, or NULL. */
static struct zn_facts *wait_for_node(struct zn_picture *p, struct zn_err *err)
{
	struct zn_facts *facts = NULL;
	struct zn_free free;

	for (int ms = 0; ms < AGENT_WAIT_MS && !facts; ms += AGENT_POLL_MS) {
		if (read_picture(p, err) < 0)
			return NULL;
		if (p->n_nodes && !strcmp(p->nodes->state, "up") && zn_picture_node(p, p->nodes, &facts, &free, err) == 0)
			return facts;
		zn_picture_done(p);
		usleep(AGENT_POLL_MS * 1000);
	}
	zn_err_set(err, -EAGAIN, "the agent does not answer just now");
	return NULL;
}

/* What the user says, else the driver, else its environment. */
static int find_gpus(const struct zn_facts *f, pid_t pid, struct zn_u32s *ret, struct zn_err *err)
{
	const char *mock = getenv("ZENITH_MOCK_GPUS");
	struct zn_idset set = { 0 };
	struct zn_gpus *g = NULL;
	int rc = 0;

	if (o.gpus)
		rc = *o.gpus ? zn_pin_parse_gpus(f, o.gpus, &set, err) : 0;
	else if (!(mock && *mock))
		rc = zn_gpus_read(&g, err);
	if (rc < 0)
		return rc;
	if (!o.gpus)
		zn_audit_gpus_of(f, g, pid, &set);
	zn_gpus_free(g);
	uint32_t *v = zn_cli_must(zn_arena_array(&arena, zn_idset_count(&set) + 1, sizeof(*v)));
	*ret = (struct zn_u32s){ .v = v };
	zn_idset_each(gpu, &set)
		v[ret->n++] = (uint32_t)gpu;
	return 0;
}

/* As a pattern that means itself. */
static const char *literal(const char *path)
{
	struct zn_buf b = { 0 };

	for (; *path; path++)
		zn_buf_printf(&b, *path == '%' ? "%%%%" : "%c", *path);
	const char *text = zn_cli_must(zn_arena_strdup(&arena, zn_cli_must((void *)zn_buf_text(&b))));
	zn_buf_done(&b);
	return text;
}

static int compose_adoption(pid_t pid, struct zn_spec *s, struct zn_err *err)
{
	static char key[ZN_KEY];
	struct zn_proc_described d;
	struct zn_picture p;
	char user[64], name[64];
	int rc = zn_proc_describe(pid, &arena, &d);

	if (rc < 0)
		return zn_err_set(err, rc == -ESRCH || rc == -ENOENT ? -ENOENT : rc, "there is no process %d", (int)pid);
	zn_proc_owner(pid, user, sizeof(user), name, sizeof(name));
	*s = (struct zn_spec){
		.job_name = o.name ? o.name : zn_spec_check_name("name", name, NULL) == 0 ? zn_arena_strdup(&arena, name) : NULL,
		.key = key, .directory = d.directory ? d.directory : "/", .output = d.output ? literal(d.output) : NULL,
		.resources.time_limit_s = o.limit, .resources.mem_bytes = o.mem,
		.adopt = { .pid = ZN_SOME_U64((uint64_t)pid), .start_ticks = ZN_SOME_U64(d.id.start), .command = d.command },
	};
	struct zn_facts *facts = wait_for_node(&p, err);
	if (!facts)
		return -EAGAIN;
	rc = find_gpus(facts, pid, &s->adopt.gpus, err);
	zn_facts_free(facts);
	zn_picture_done(&p);
	return rc < 0 ? rc : zn_key_make(key, err);
}

struct adoption { bool started; const char *reason; };

static void on_adopted(void *arg, const struct zn_job_record *job)
{
	(void)job;
	((struct adoption *)arg)->started = true;
}

static void on_refused(void *arg, const struct zn_job_record *job)
{
	struct adoption *ad = arg;

	if (!ad->started)
		ad->reason = zn_cli_must(zn_arena_strdup(&arena, job->reason ? job->reason : job->state));
}

/* Enough was seen: -EINTR ends the watch. */
static int stop_when_adopted(void *arg, struct zn_err *err)
{
	(void)err;
	return ((struct adoption *)arg)->started ? -EINTR : 0;
}

static int await_adoption(struct zn_client *c, uint64_t id, pid_t pid)
{
	struct adoption ad = { 0 };
	struct zn_follow f = { .client = c, .arg = &ad, .started = on_adopted, .done = on_refused, .tick = stop_when_adopted,
	                       .tick_ms = AGENT_POLL_MS };
	struct zn_err err = { 0 };
	int rc = zn_follow_jobs(spool, &id, 1, -1, &f, &err);

	if (rc < 0 && rc != -EINTR)
		return fail(rc, &err);
	if (ad.reason)
		return zn_cli_fail(ZN_EXIT_NO, "process %d was not adopted: %s", (int)pid, ad.reason);
	printf("%llu\n", (unsigned long long)id);
	return zn_cli_end(NULL, ZN_EXIT_OK);
}

static int run_adopt(int argc, char **argv)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_request r = { .op = "submit" };
	struct zn_reply reply;
	struct zn_err err = { 0 };
	uint64_t pid;

	if (argc != 1)
		zn_cli_usage("adopt takes one process");
	if (zn_parse_u64(argv[0], 2, INT32_MAX, &pid, NULL) < 0)
		zn_cli_usage("'%s' is no process number", argv[0]);
	int rc = zn_client_open(spool, true, &c, &err);
	if (rc == 0)
		rc = compose_adoption((pid_t)pid, &r.job, &err);
	if (rc == 0)
		rc = zn_client_ask(spool, &c, &r, &reply, &err);
	if (rc < 0)
		return rc == -ENOENT ? zn_cli_fail(ZN_EXIT_NO, "%s", err.text) : fail(rc, &err);
	int code = reply.ok ? await_adoption(c, reply.id.v, (pid_t)pid) : zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	zn_client_close(c);
	return code;
}

/* ---- one job ---- */

static int no_such(int rc, const struct zn_err *err)
{
	return rc == -ENOENT ? zn_cli_fail(ZN_EXIT_NO, "%s", err->text) : fail(rc, err);
}

static void print_text(struct zn_buf *text)
{
	if (text->failed)
		zn_cli_must(NULL);
	if (text->len)
		fwrite(text->data, 1, text->len, stdout);
	zn_buf_done(text);
}

static int run_show(int argc, char **argv)
{
	uint64_t *ids = parse_ids(argc, argv);
	struct zn_picture p;
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_buf text = { 0 };
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK;
	bool plain = zn_cli_format() == ZN_FORMAT_TABLE && !zn_cli_output.fields;
	int rc = read_picture(&p, &err);

	if (rc < 0)
		return fail(rc, &err);
	struct zn_writer *w = plain ? NULL : zn_cli_writer(job_kinds, false);
	for (int i = 0; i < argc; i++) {
		struct zn_job_record job;
		struct zn_reply reply;
		rc = zn_job_find(spool, &p, ids[i], &arena, &job, &err);
		if (rc < 0) {
			code = no_such(rc, &err);
			continue;
		}
		zn_job_add_private(spool, &c, &job, &reply);
		if (plain && i)
			zn_buf_addch(&text, '\n');
		if (plain)
			zn_show_job(&job, &text);
		else
			zn_writer_put(w, &zn_job_kind, &job);
	}
	zn_client_close(c);
	zn_picture_done(&p);
	print_text(&text);
	return zn_cli_end(w, code);
}

static int run_why(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_explained_kind, NULL };
	uint64_t *ids = parse_ids(argc, argv);
	struct zn_picture p;
	struct zn_buf text = { 0 };
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK;
	bool plain = zn_cli_format() == ZN_FORMAT_TABLE && !zn_cli_output.fields;
	int rc = read_picture(&p, &err);

	if (rc < 0)
		return fail(rc, &err);
	struct zn_writer *w = plain ? NULL : zn_cli_writer(kinds, false);
	for (int i = 0; i < argc; i++) {
		struct zn_job_record job;
		struct zn_explained e;
		rc = zn_job_find(spool, &p, ids[i], &arena, &job, &err);
		if (rc == 0)
			rc = zn_picture_explain(&p, &job, &e, &err);
		if (rc < 0)
			code = no_such(rc, &err);
		else if (plain)
			zn_show_why(&e, &text);
		else
			zn_writer_put(w, &zn_explained_kind, &e);
	}
	zn_picture_done(&p);
	print_text(&text);
	return zn_cli_end(w, code);
}

/* ---- waiting, output, events ---- */

static int wait_status;

static void on_done(void *arg, const struct zn_job_record *job)
{
	(void)arg;
	if (strcmp(job->state, "COMPLETED"))
		wait_status = ZN_EXIT_NO;
}

static int run_wait(int argc, char **argv)
{
	uint64_t *ids = parse_ids(argc, argv);
	struct zn_follow f = { .done = on_done };
	struct zn_err err = { 0 };

	if (zn_client_open(spool, true, &f.client, NULL) < 0)
		f.client = NULL; /* the view alone will do, if somebody else starts zn-schedd */
	int rc = zn_follow_jobs(spool, ids, (size_t)argc, o.timeout.has ? o.timeout.v : -1, &f, &err);
	zn_client_close(f.client);
	if (rc == -ETIMEDOUT)
		return zn_cli_fail(ZN_EXIT_AGAIN, "%s", err.text);
	return rc < 0 ? no_such(rc, &err) : wait_status;
}

struct log_watch { struct zn_tail tail; bool started; };

static void on_started(void *arg, const struct zn_job_record *job)
{
	(void)job;
	((struct log_watch *)arg)->started = true;
}

static int on_tick(void *arg, struct zn_err *err)
{
	struct log_watch *w = arg;

	return w->started ? zn_tail_copy(&w->tail, err) : 0;
}

static int run_log(int argc, char **argv)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_reply reply;
	struct zn_err err = { 0 };

	if (argc != 1)
		zn_cli_usage("log shows one job");
	uint64_t *ids = parse_ids(argc, argv);
	struct zn_request r = { .op = "show", .id = ZN_SOME_U64(ids[0]) };
	int rc = zn_client_ask(spool, &c, &r, &reply, &err);
	if (rc < 0)
		return fail(rc, &err);
	if (!reply.ok)
		return zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	const struct zn_job_record *job = reply.jobs.v;
	if (reply.jobs.n && !job->output)
		return zn_cli_fail(ZN_EXIT_NO, job->adopted_pid.has ? "job %llu was adopted: its output goes to no file"
		                   : "job %llu has a terminal: its output went there", (unsigned long long)job->id);
	if (!reply.jobs.n)
		return zn_cli_fail(ZN_EXIT_BUG, "zn-schedd did not say where the output is");
	const char *path = o.error && job->error ? job->error : job->output;
	struct log_watch w = { .tail = { .path = zn_cli_must(zn_spec_output_rank(path, 0, &arena)), .from = -1, .to = 1 } };
	if (!o.follow && access(w.tail.path, R_OK) < 0)
		return zn_cli_fail(ZN_EXIT_NO, "can't read '%s': %s", w.tail.path, strerror(errno));
	struct zn_follow f = { .client = c, .arg = &w, .started = on_started, .tick = on_tick, .tick_ms = 50 };
	rc = o.follow ? zn_follow_jobs(spool, ids, 1, -1, &f, &err) : zn_tail_copy(&w.tail, &err);
	zn_tail_done(&w.tail);
	zn_client_close(c);
	return rc < 0 ? fail(rc, &err) : zn_cli_end(NULL, ZN_EXIT_OK);
}

static void show_event(struct zn_writer *w, const struct zn_kind *const *kinds, struct zn_bytes event, uint64_t *last)
{
	uint64_t seq = 0;

	if (!zn_raw_is_text(zn_raw_get(event, "kind"), "event") || zn_raw_is_text(zn_raw_get(event, "event"), "is") ||
	    !zn_raw_u64(zn_raw_get(event, "seq"), &seq) || seq <= *last)
		return;
	*last = seq;
	if (is_wanted(zn_raw_get(event, "job")))
		zn_writer_put_raw(w, kinds, event);
}

static int run_events(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_event_kind, NULL };
	struct zn_view_reader *r;
	struct zn_bytes record;
	struct zn_err err = { 0 };
	uint64_t last = o.since.has ? o.since.v : 0;

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_states();
	struct zn_writer *w = zn_cli_writer(kinds, o.follow);
	int rc = zn_view_open(spool, &r, &err);
	if (rc < 0)
		return fail(rc, &err);
	for (;;) {
		rc = zn_view_next(r, &record, &err);
		if (rc == 1)
			show_event(w, kinds, record, &last);
		if (rc < 0 || (rc == 0 && !o.follow))
			break;
		if (rc == 0 && (rc = zn_view_wait(r, -1, -1)) < 0)
			break;
	}
	zn_view_close(r);
	return zn_cli_end(w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}

/* ---- tables ---- */

#define FILTER_OPTS \
	{ 'u', "user", ZN_OPT_STRS, "USER", &o.users, "user", "only this user's jobs; may be repeated" }, \
	{ 'm', "mine", ZN_OPT_FLAG, NULL, &o.mine, NULL, "only my own jobs" }, \
	{ 's', "state", ZN_OPT_STRS, "STATE", &o.states, \
	  "PENDING|QUEUED|SCHEDULED|RUNNING|SUSPENDED|COMPLETED|FAILED|CANCELLED", \
	  "only jobs in this state; may be repeated" }, \
	{ 'n', "name", ZN_OPT_STRS, "NAME", &o.names, NULL, "only jobs of this name; may be repeated" }

static const struct zn_opt list_opts[] = {
	FILTER_OPTS,
	{ 'a', "all", ZN_OPT_FLAG, NULL, &o.all, NULL, "also jobs that have ended" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};
static const struct zn_opt history_opts[] = {
	FILTER_OPTS,
	{ 0, "within", ZN_OPT_DUR, "TIME", &o.days, NULL, "only jobs that ended within this time: 12h, 7d" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};
static const struct zn_opt record_opts[] = { ZN_CLI_OUTPUT_OPTS, { 0 } };
static const struct zn_opt nodes_opts[] = {
	{ 0, "usage", ZN_OPT_FLAG, NULL, &o.usage, NULL, "measure how busy this machine is, for a tenth of a second" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};
static const struct zn_opt cancel_opts[] = {
	{ 0, "signal", ZN_OPT_STR, "NAME", &o.signal, NULL, "first signal instead of TERM" },
	{ 0, "grace", ZN_OPT_DUR, "TIME", &o.grace, NULL, "from that signal to SIGKILL" },
	{ 0 },
};
static const struct zn_opt modify_opts[] = {
	{ 'p', "priority", ZN_OPT_I64, "N", &o.priority, NULL, "new priority; raising it takes an operator" },
	{ 't', "time", ZN_OPT_DUR, "TIME", &o.limit, NULL, "new time limit, counted from the start; 0: none" },
	{ 0, "name", ZN_OPT_STR, "NAME", &o.name, NULL, "new name" },
	{ 0 },
};
static const struct zn_opt adopt_opts[] = {
	{ 'g', "gpus", ZN_OPT_STR, "LIST", &o.gpus, NULL, "the GPUs that it holds: 0,2 (default: those that the driver says, else its CUDA_VISIBLE_DEVICES)" },
	{ 't', "time", ZN_OPT_DUR, "TIME", &o.limit, NULL, "time limit, counted from now" },
	{ 0, "mem", ZN_OPT_BYTES, "SIZE", &o.mem, NULL, "memory limit, for what it takes from now on" },
	{ 0, "name", ZN_OPT_STR, "NAME", &o.name, NULL, "what to call the job (default: what the process is called)" },
	{ 0 },
};
static const struct zn_opt wait_opts[] = {
	{ 0, "timeout", ZN_OPT_DUR, "TIME", &o.timeout, NULL, "give up after this long, with status 75" },
	{ 0 },
};
static const struct zn_opt log_opts[] = {
	{ 'f', "follow", ZN_OPT_FLAG, NULL, &o.follow, NULL, "go on until the job ends" },
	{ 'e', "error", ZN_OPT_FLAG, NULL, &o.error, NULL, "its standard error, if that is another file" },
	{ 0 },
};
static const struct zn_opt events_opts[] = {
	FILTER_OPTS,
	{ 'f', "follow", ZN_OPT_FLAG, NULL, &o.follow, NULL, "go on as they happen" },
	{ 0, "since", ZN_OPT_U64, "SEQ", &o.since, NULL, "only events after this sequence number" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

#define JOBS "[options] JOB..."

static const struct zn_cmd verbs[] = {
	{ .name = "list", .brief = "list the jobs that have not ended (the default)", .synopsis = "[options]", .run = run_list },
	{ .name = "show", .brief = "show all that is known of a job", .synopsis = JOBS, .opts = record_opts, .run = run_show, .complete = "job" },
	{ .name = "why", .brief = "say why a job does not start", .synopsis = JOBS, .opts = record_opts, .run = run_why, .complete = "job" },
	{ .name = "cancel", .brief = "end jobs, waiting or running", .synopsis = JOBS, .opts = cancel_opts, .run = run_cancel, .complete = "job" },
	{ .name = "hold", .brief = "keep waiting jobs from starting", .synopsis = "JOB...", .run = run_hold, .complete = "job" },
	{ .name = "release", .brief = "let held jobs start", .synopsis = "JOB...", .run = run_release, .complete = "job" },
	{ .name = "suspend", .brief = "freeze running jobs; they keep their devices", .synopsis = "JOB...", .run = run_suspend, .complete = "job" },
	{ .name = "resume", .brief = "let suspended jobs go on", .synopsis = "JOB...", .run = run_resume, .complete = "job" },
	{ .name = "requeue", .brief = "run jobs again: running ones are ended first, ended ones become new jobs", .synopsis = "JOB...", .run = run_requeue, .complete = "job" },
	{ .name = "modify", .brief = "change priority, time limit or name", .synopsis = JOBS, .opts = modify_opts, .run = run_modify, .complete = "job" },
	{ .name = "adopt", .brief = "make a job of a process that runs already, and print its number", .synopsis = "[options] PID", .opts = adopt_opts, .run = run_adopt },
	{ .name = "wait", .brief = "wait until jobs have ended; 1 if one did not complete", .synopsis = JOBS, .opts = wait_opts, .run = run_wait, .complete = "job" },
	{ .name = "log", .brief = "show a job's output", .synopsis = "[options] JOB", .opts = log_opts, .run = run_log, .complete = "job" },
	{ .name = "events", .brief = "show what happened to jobs", .synopsis = "[options]", .opts = events_opts, .run = run_events },
	{ .name = "history", .brief = "list the jobs that have ended", .synopsis = "[options]", .opts = history_opts, .run = run_history },
	{ .name = "nodes", .brief = "list the machines that run jobs", .synopsis = "[options]", .opts = nodes_opts, .run = run_nodes },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-queue",
	.brief = "see, explain and steer jobs",
	.synopsis = "[list] [options]\nVERB [options] [JOB...]",
	.opts = list_opts,
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	struct zn_err err = { 0 };
	int at = zn_cli_parse(&cmd, argc, argv);
	int rc = zn_spool_path(&arena, &spool, &err);

	if (rc < 0)
		return fail(rc, &err);
	return zn_cli_run_verb(&cmd, "list", argc, argv, at);
}
