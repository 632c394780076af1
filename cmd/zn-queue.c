/* zn-queue: see, explain and steer jobs; follow events and output. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adopt/adopt.h"
#include "base/account.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"
#include "job/number.h"
#include "job/spans.h"
#include "job/spec.h"
#include "queue/blame.h"
#include "queue/find.h"
#include "queue/follow.h"
#include "queue/listing.h"
#include "queue/machine.h"
#include "queue/picture.h"
#include "queue/spool.h"
#include "queue/watch.h"
#include "rec/ids.h"
#include "show/show.h"

static struct {
	struct zn_strs users, states, names, accounts, nodes, devices;
	bool all, mine, usage;
	bool follow, error;
	struct zn_ou64 since;
	struct zn_of64 days, timeout, grace, limit, from;
	struct zn_oi64 priority;
	struct zn_ou64 mem;
	const char *signal, *name, *gpus, *reason, *until;
} o;

static struct zn_arena arena;
static const char *spool;

static int fail(int rc, const struct zn_err *err)
{
	return zn_cli_fail(zn_cli_code(rc), "%s", err->text[0] ? err->text : strerror(-rc));
}

static int no_such(int rc, const struct zn_err *err)
{
	return rc == -ENOENT || rc == -ENODATA ? zn_cli_fail(ZN_EXIT_NO, "%s", err->text) : fail(rc, err);
}

/* ---- filters ---- */

/* Of the options; what passes goes to w. */
static struct zn_listing listing(struct zn_writer *w, void (*put)(void *arg, struct zn_bytes record))
{
	return (struct zn_listing){ .users = o.users, .states = o.states, .names = o.names, .put = put, .arg = w };
}

static void check_filters(void)
{
	struct zn_listing l = listing(NULL, NULL);
	struct zn_err err;

	if (zn_listing_check(&l, &err) < 0)
		zn_cli_usage("%s", err.text);
	if (o.mine) {
		struct zn_account *me = zn_cli_must(zn_arena_new(&arena, struct zn_account));
		const char **v = zn_cli_must(zn_arena_array(&arena, 1, sizeof(*v)));
		v[0] = zn_account_read(geteuid(), me) == 0 ? me->name
		       : zn_cli_must(zn_arena_printf(&arena, "%u", (unsigned)geteuid()));
		o.users = (struct zn_strs){ v, 1 };
	}
}

/* ---- lists ---- */

static const struct zn_kind *const job_kinds[] = { &zn_job_kind, NULL };

static void put_job(void *w, struct zn_bytes job)
{
	zn_writer_put_raw(w, job_kinds, job);
}

static int run_list(int argc, char **argv)
{
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_filters();
	struct zn_writer *w = zn_cli_writer(job_kinds, false);
	struct zn_listing l = listing(w, put_job);
	int rc = zn_listing_jobs(&l, spool, o.all, &err);
	return zn_cli_end(w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}

static int run_history(int argc, char **argv)
{
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_filters();
	if (!zn_cli_output.fields)
		zn_cli_output.fields = zn_cli_format() == ZN_FORMAT_TABLE
			? "id,name,user,state,gpus,submit_s,start_s,end_s,exit_code,signal,reason" : NULL;
	struct zn_writer *w = zn_cli_writer(job_kinds, false);
	struct zn_listing l = listing(w, put_job);
	int rc = zn_listing_ended(&l, spool, o.days.has ? zn_now_s() - o.days.v : 0, &err);
	return zn_cli_end(w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}

/* The queue as it is, for a verb without operands; exits where it can't be read. */
static void read_picture(int argc, char **argv, bool count, struct zn_picture *ret)
{
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	int rc = zn_picture_of_spool(spool, ret, &err);
	if (rc == 0 && count)
		rc = zn_picture_count(ret, spool, &err);
	if (rc < 0)
		exit(fail(rc, &err));
}

static int run_nodes(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_node_kind, NULL };
	struct zn_picture p;
	struct zn_err err = { 0 };

	read_picture(argc, argv, false, &p);
	if (o.usage && !zn_cli_output.fields && zn_cli_format() == ZN_FORMAT_TABLE)
		zn_cli_output.fields = "node_id,state,jobs,cpu_utilization_pct,mem_bytes,mem_available_bytes";
	struct zn_writer *w = zn_cli_writer(kinds, false);
	if (p.n_nodes)
		zn_picture_room(&p, &err); /* without it nothing is known of what is free */
	for (size_t i = 0; i < p.n_nodes; i++) {
		if (o.usage)
			zn_machine_measure(&p.nodes[i]);
		zn_writer_put(w, &zn_node_kind, &p.nodes[i]);
	}
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

static const struct zn_kind *const quota_kinds[] = { &zn_quota_kind, NULL };

static void put_quota(void *w, const struct zn_quota *q)
{
	zn_writer_put(w, &zn_quota_kind, q);
}

static int run_quotas(int argc, char **argv)
{
	struct zn_picture p;

	read_picture(argc, argv, true, &p);
	struct zn_writer *w = zn_cli_writer(quota_kinds, false);
	zn_cli_must(zn_payers_each(&p.payers, put_quota, w) < 0 ? NULL : w);
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

static const struct zn_kind *const licence_kinds[] = { &zn_licence_kind, NULL };

static void put_licence(void *w, const struct zn_licence_record *r)
{
	zn_writer_put(w, &zn_licence_kind, r);
}

static int run_licences(int argc, char **argv)
{
	struct zn_picture p;

	read_picture(argc, argv, true, &p);
	struct zn_writer *w = zn_cli_writer(licence_kinds, false);
	zn_picture_each_licence(&p, put_licence, w);
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

static const struct zn_kind *const share_kinds[] = { &zn_share_kind, NULL };

static int run_shares(int argc, char **argv)
{
	struct zn_picture p;

	read_picture(argc, argv, false, &p);
	struct zn_writer *w = zn_cli_writer(share_kinds, false);
	for (size_t i = 0; i < p.n_shares; i++)
		zn_writer_put(w, &zn_share_kind, &p.shares[i]);
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

/* What is done or refused. */
static int ask_once(const struct zn_request *r)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int rc = zn_client_ask(spool, &c, r, &reply, &err);

	if (rc < 0)
		return fail(rc, &err);
	int code = reply.ok ? ZN_EXIT_OK : zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	zn_client_close(c);
	return zn_cli_end(NULL, code);
}

/* Not before all options are known: a time of day is the first after the beginning. */
static struct zn_of64 parse_until(void)
{
	double now_s = zn_now_s();
	struct zn_of64 until = { .has = o.until };
	struct zn_err err;

	if (o.until && zn_parse_until(o.until, o.from.has ? o.from.v : now_s, now_s, &until.v, &err) < 0)
		zn_cli_usage("option '--until': %s", err.text);
	return until;
}

/* "drain" or "resume", and the node's name where there are several. */
static int run_node(int argc, char **argv)
{
	struct zn_request r = { .reason = o.reason, .from_s = o.from, .until_s = parse_until(), .node = argc > 1 ? argv[1] : NULL };
	bool drain = argc && !strcmp(argv[0], "drain");

	if (argc < 1 || argc > 2 || (!drain && strcmp(argv[0], "resume")))
		zn_cli_usage("node takes 'drain' or 'resume', and the name of one");
	if (!drain && (o.reason || o.from.has || o.until))
		zn_cli_usage("options '--reason', '--from' and '--until' go with drain");
	r.op = drain ? "drain" : "undrain";
	return ask_once(&r);
}

static const struct zn_kind *const booking_kinds[] = { &zn_booking_kind, NULL };

static int run_reservations(int argc, char **argv)
{
	struct zn_picture p;

	read_picture(argc, argv, false, &p);
	struct zn_writer *w = zn_cli_writer(booking_kinds, false);
	for (size_t i = 0; i < p.bookings.n; i++)
		zn_writer_put(w, &zn_booking_kind, zn_bookings_get(&p.bookings, i));
	zn_picture_done(&p);
	return zn_cli_end(w, ZN_EXIT_OK);
}

/* "ann,bob", as often as it was given, one by one. */
static struct zn_strs split(const struct zn_strs *lists)
{
	struct zn_strs all = { 0 };
	size_t most = lists->n;

	for (size_t i = 0; i < lists->n; i++)
		for (const char *at = lists->v[i]; (at = strchr(at, ',')); at++)
			most++;
	all.v = zn_cli_must(zn_arena_array(&arena, most + 1, sizeof(*all.v)));
	for (size_t i = 0; i < lists->n; i++) {
		char *list = zn_cli_must(zn_arena_strdup(&arena, lists->v[i]));
		for (char *item; (item = strsep(&list, ","));)
			all.v[all.n++] = item;
	}
	return all;
}

static struct zn_u32s parse_devices(const struct zn_strs *lists)
{
	struct zn_idset all = { 0 }, some;
	struct zn_u32s numbers;
	struct zn_err err;

	for (size_t i = 0; i < lists->n; i++) {
		if (zn_idset_parse(lists->v[i], &some, &err) < 0)
			zn_cli_usage("option '--device': %s", err.text);
		all = zn_idset_or(&all, &some);
	}
	if (lists->n && zn_idset_is_empty(&all))
		zn_cli_usage("option '--device' names none");
	zn_cli_must(zn_ids_numbers(&all, &arena, &numbers) < 0 ? NULL : &numbers);
	return numbers;
}

static int run_reserve(int argc, char **argv)
{
	struct zn_request r = { .op = "reserve", .from_s = o.from, .until_s = parse_until() };

	if (argc != 1)
		zn_cli_usage("reserve makes one reservation: give it a name");
	if (!o.until)
		zn_cli_usage("until when is it: give --until");
	r.reservation = (struct zn_booking){ .name = argv[0], .users = split(&o.users), .accounts = split(&o.accounts), .nodes = split(&o.nodes),
	                                     .gpus = parse_devices(&o.devices) };
	return ask_once(&r);
}

static int run_unreserve(int argc, char **argv)
{
	if (argc != 1)
		zn_cli_usage("unreserve takes the name of one reservation");
	return ask_once(&(struct zn_request){ .op = "unreserve", .reservation.name = argv[0] });
}

/* ---- job numbers ---- */

struct ids { uint64_t *v; size_t n, cap; };

static void add_id(struct ids *ids, uint64_t handle)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap ? 2 * ids->cap : 16;
		ids->v = zn_cli_must(reallocarray(ids->v, ids->cap, sizeof(*ids->v)));
	}
	ids->v[ids->n++] = handle;
}

/* "12.5-9,20": several elements of an array.  False: it is nothing like that. */
static bool add_elements(struct ids *ids, const char *text)
{
	const char *dot = strchr(text, '.');
	struct zn_spans spans;
	struct zn_err err;
	uint32_t at_once;
	uint64_t number;

	if (!dot || !dot[1 + strspn(dot + 1, "0123456789")] ||
	    zn_handle_parse(zn_cli_must(zn_arena_printf(&arena, "%.*s", (int)(dot - text), text)), &number) < 0)
		return false;
	if (zn_spans_parse(dot + 1, &spans, &at_once, &err) < 0)
		zn_cli_usage("%s", err.text);
	if (at_once)
		zn_cli_usage("'%s' names no elements: they are 12.0-9,20", text);
	for (; spans.count; zn_spans_remove(&spans, zn_spans_first(&spans)))
		add_id(ids, zn_handle(number, zn_spans_first(&spans)));
	zn_spans_done(&spans);
	return true;
}

static struct ids parse_ids(int argc, char **argv)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	static struct ids ids; /* likewise */
	struct zn_err err = { 0 };
	uint64_t handle;

	if (!argc)
		zn_cli_usage("a job number is missing");
	for (int i = 0; i < argc; i++) {
		if (add_elements(&ids, argv[i]))
			continue;
		int rc = zn_job_id_parse(spool, &c, argv[i], &handle, &err);
		if (rc == -EINVAL)
			zn_cli_usage("%s", err.text);
		if (rc < 0)
			exit(no_such(rc, &err));
		add_id(&ids, handle);
	}
	zn_client_close(c);
	return ids;
}

/* ---- steering ---- */

enum { AHEAD = 256 };

/* One request per job, sent ahead of the answers: each answer waits for the disk, but many may wait at once.  Each
 * failure is one sentence, the first one's code is the exit status.
 */
static int steer(struct zn_request r, int argc, char **argv, bool print)
{
	struct ids ids = parse_ids(argc, argv);
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_reply reply;
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK, rc = zn_client_open(spool, true, &c, &err);

	for (size_t i = 0, sent = 0; i < ids.n; i++) {
		for (; rc == 0 && sent < ids.n && sent < i + AHEAD; sent++) {
			r.id = ZN_SOME_U64(ids.v[sent]);
			rc = zn_client_send(c, &r, &err);
		}
		if (rc == 0)
			rc = zn_client_wait(c, ZN_ANSWER_MS, &reply, &err);
		if (rc < 0)
			return fail(rc, &err);
		if (!reply.ok) {
			int one = zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
			code = code ? code : one;
		} else if (print && reply.id.v != ids.v[i]) {
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

static int run_adopt(int argc, char **argv)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	const struct zn_adopt_wish wish = { .name = o.name, .gpus = o.gpus, .limit_s = o.limit, .mem_bytes = o.mem };
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
		rc = zn_adopt_compose(spool, (pid_t)pid, &wish, &arena, &r.job, &err);
	if (rc == 0)
		rc = zn_client_ask(spool, &c, &r, &reply, &err);
	if (rc < 0)
		return no_such(rc, &err);
	if (!reply.ok)
		return zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	uint64_t id = reply.id.v;
	rc = zn_adopt_await(spool, c, id, (pid_t)pid, &err);
	zn_client_close(c);
	if (rc < 0)
		return rc == -ECANCELED ? zn_cli_fail(ZN_EXIT_NO, "%s", err.text) : fail(rc, &err);
	printf("%llu\n", (unsigned long long)id);
	return zn_cli_end(NULL, ZN_EXIT_OK);
}

/* ---- one job ---- */

/* What is said of jobs: records, or text where w is NULL. */
struct answer {
	struct zn_picture picture;
	struct zn_writer *w;
	struct zn_buf text;
};

static void print_text(struct zn_buf *text)
{
	if (text->failed)
		zn_cli_must(NULL);
	if (text->len)
		fwrite(text->data, 1, text->len, stdout);
	zn_buf_done(text);
}

static int answer_each(int argc, char **argv, const struct zn_kind *const *kinds, const char *between,
                       int (*add)(struct answer *a, struct zn_job_record *job, struct zn_err *err))
{
	struct ids ids = parse_ids(argc, argv);
	struct answer a = { 0 };
	struct zn_err err = { 0 };
	int code = ZN_EXIT_OK;
	int rc = zn_picture_of_spool(spool, &a.picture, &err);

	if (rc == 0)
		rc = zn_picture_count(&a.picture, spool, &err);
	if (rc < 0)
		return fail(rc, &err);
	if (zn_cli_format() != ZN_FORMAT_TABLE || zn_cli_output.fields)
		a.w = zn_cli_writer(kinds, false);
	for (size_t i = 0; i < ids.n; i++) {
		struct zn_job_record job;
		rc = zn_job_find(spool, &a.picture, ids.v[i], &arena, &job, &err);
		if (rc == 0 && i && !a.w)
			zn_buf_addstr(&a.text, between);
		if (rc == 0)
			rc = add(&a, &job, &err);
		if (rc < 0)
			code = no_such(rc, &err);
	}
	zn_picture_done(&a.picture);
	if (!a.w)
		print_text(&a.text);
	return zn_cli_end(a.w, code);
}

static int add_all(struct answer *a, struct zn_job_record *job, struct zn_err *err)
{
	static struct zn_client *c; /* for all of them, and dropped with the process */
	struct zn_reply reply;
	int rc = zn_picture_add_order(&a->picture, job, err);

	if (rc < 0)
		return rc;
	zn_job_add_private(spool, &c, job, &reply);
	if (a->w)
		zn_writer_put(a->w, &zn_job_kind, job);
	else
		zn_show_job(job, &a->text);
	return 0;
}

static int run_show(int argc, char **argv)
{
	return answer_each(argc, argv, job_kinds, "\n", add_all);
}

static int add_why(struct answer *a, struct zn_job_record *job, struct zn_err *err)
{
	struct zn_explained e;
	int rc = zn_picture_explain(&a->picture, job, &e, err);

	if (rc == 0 && a->w)
		zn_writer_put(a->w, &zn_explained_kind, &e);
	else if (rc == 0)
		zn_show_why(&e, &a->text);
	return rc;
}

static int run_why(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_explained_kind, NULL };

	return answer_each(argc, argv, kinds, "", add_why);
}

static int add_blame(struct answer *a, struct zn_job_record *job, struct zn_err *err)
{
	struct zn_blame b;
	int rc = zn_picture_blame(&a->picture, spool, job, &b, err);

	if (rc == 0 && a->w)
		zn_writer_put(a->w, &zn_blame_kind, &b);
	else if (rc == 0)
		zn_show_blame(&b, &a->text);
	return rc;
}

static int run_blame(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_blame_kind, NULL };

	return answer_each(argc, argv, kinds, "", add_blame);
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
	struct ids ids = parse_ids(argc, argv);
	struct zn_follow f = { .done = on_done };
	struct zn_err err = { 0 };

	if (zn_client_open(spool, true, &f.client, NULL) < 0)
		f.client = NULL; /* the view alone will do, if somebody else starts zn-schedd */
	int rc = zn_follow_jobs(spool, ids.v, ids.n, o.timeout.has ? o.timeout.v : -1, &f, &err);
	zn_client_close(f.client);
	if (rc == -ETIMEDOUT)
		return zn_cli_fail(ZN_EXIT_AGAIN, "%s", err.text);
	return rc < 0 ? no_such(rc, &err) : wait_status;
}

static int run_log(int argc, char **argv)
{
	static struct zn_client *c; /* dropped with the process when something fails */
	struct zn_reply reply;
	struct zn_err err = { 0 };

	struct ids ids = parse_ids(argc, argv);
	if (ids.n != 1)
		zn_cli_usage("log shows one job");
	struct zn_request r = { .op = "show", .id = ZN_SOME_U64(ids.v[0]) };
	int rc = zn_client_ask(spool, &c, &r, &reply, &err);
	if (rc < 0)
		return fail(rc, &err);
	if (!reply.ok)
		return zn_cli_fail((enum zn_exit)reply.code, "%s", reply.error);
	const struct zn_job_record *job = reply.jobs.v;
	if (reply.jobs.n && job->elements.has && !job->index.has)
		return zn_cli_fail(ZN_EXIT_NO, "job %llu is an array: name one of its elements, as in %llu.0",
		                   (unsigned long long)job->id, (unsigned long long)job->id);
	if (reply.jobs.n && !job->output)
		return zn_cli_fail(ZN_EXIT_NO, job->adopted_pid.has ? "job %llu was adopted: its output goes to no file"
		                   : "job %llu has a terminal: its output went there", (unsigned long long)job->id);
	if (!reply.jobs.n)
		return zn_cli_fail(ZN_EXIT_BUG, "zn-schedd did not say where the output is");
	const char *path = o.error && job->error ? job->error : job->output;
	struct zn_watch w = { .out = { .path = zn_cli_must(zn_spec_output_rank(path, 0, &arena)), .from = -1, .to = 1 } };
	if (!o.follow && access(w.out.path, R_OK) < 0)
		return zn_cli_fail(ZN_EXIT_NO, "can't read '%s': %s", w.out.path, strerror(errno));
	rc = o.follow ? zn_watch_job(spool, c, ids.v[0], &w, &err) : zn_tail_copy(&w.out, &err);
	zn_tail_done(&w.out);
	zn_client_close(c);
	return rc < 0 ? fail(rc, &err) : zn_cli_end(NULL, ZN_EXIT_OK);
}

static const struct zn_kind *const event_kinds[] = { &zn_event_kind, NULL };

static void put_event(void *w, struct zn_bytes event)
{
	zn_writer_put_raw(w, event_kinds, event);
}

static int run_events(int argc, char **argv)
{
	struct zn_view_reader *r;
	struct zn_err err = { 0 };

	if (argc)
		zn_cli_usage("'%s' is too much", argv[0]);
	check_filters();
	struct zn_writer *w = zn_cli_writer(event_kinds, o.follow);
	struct zn_listing l = listing(w, put_event);
	int rc = zn_view_open(spool, &r, &err);
	if (rc < 0)
		return fail(rc, &err);
	rc = zn_listing_events(&l, r, o.since.has ? o.since.v : 0, o.follow, &err);
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
static const struct zn_opt node_opts[] = {
	{ 0, "reason", ZN_OPT_STR, "TEXT", &o.reason, NULL, "why, for all who ask" },
	{ 0, "from", ZN_OPT_TIME, "TIME", &o.from, NULL, "not before then: until then jobs start that are over in time" },
	{ 0, "until", ZN_OPT_STR, "TIME", &o.until, NULL, "it gets jobs again then: 18:30, the first after --from, +2h, 2026-12-31T18:30" },
	{ 0 },
};
static const struct zn_opt reserve_opts[] = {
	{ 0, "from", ZN_OPT_TIME, "TIME", &o.from, NULL, "when it begins (default: at once): 18:30, +2h, 2026-12-31T18:30" },
	{ 0, "until", ZN_OPT_STR, "TIME", &o.until, NULL, "when it ends: 18:30 is the first after it began" },
	{ 'u', "user", ZN_OPT_STRS, "USER,...", &o.users, "user", "whose jobs may use it" },
	{ 0, "account", ZN_OPT_STRS, "NAME,...", &o.accounts, NULL, "of which accounts these have to be" },
	{ 0, "node", ZN_OPT_STRS, "NODE,...", &o.nodes, NULL, "what is reserved; of one machine alone it need not be said" },
	{ 0, "device", ZN_OPT_STRS, "LIST", &o.devices, NULL, "of each of these only such GPUs, by their indices: 0-3 (default: all of the machine)" },
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
	{ .name = "blame", .brief = "say what a job's wait was made of", .synopsis = JOBS, .opts = record_opts, .run = run_blame, .complete = "job" },
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
	{ .name = "quotas", .brief = "list what users and accounts may use, and use", .synopsis = "[options]", .opts = record_opts, .run = run_quotas },
	{ .name = "shares", .brief = "list what users used lately of their share", .synopsis = "[options]", .opts = record_opts, .run = run_shares },
	{ .name = "licences", .brief = "list licences, how many there are and how many jobs have", .synopsis = "[options]", .opts = record_opts, .run = run_licences },
	{ .name = "reserve", .brief = "keep a machine, or GPUs of it, for some users from one time until another", .synopsis = "[options] NAME", .opts = reserve_opts, .run = run_reserve },
	{ .name = "unreserve", .brief = "end a reservation, or take it away before it begins", .synopsis = "NAME", .run = run_unreserve },
	{ .name = "reservations", .brief = "list reservations", .synopsis = "[options]", .opts = record_opts, .run = run_reservations },
	{ .name = "node", .brief = "keep new jobs from a machine, or let them on it again", .synopsis = "[options] drain|resume [NODE]", .opts = node_opts, .run = run_node },
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
