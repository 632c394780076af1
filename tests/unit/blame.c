/* What a wait was made of: pictures of a queue whose futures are known. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "job/number.h"
#include "machine.h"
#include "queue/blame.h"
#include "tap.h"

static double now_s;

/* Runs since ago_s on the first GPUs from at on, or waits since then (at < 0). */
static struct zn_job_record job(uint64_t id, const char *user, double ago_s, int at, uint32_t gpus, double limit_s, int64_t priority)
{
	static uint32_t numbers[64];
	static struct zn_job_alloc alloc[64];
	struct zn_job_record r = { .id = id, .user = user, .name = "x", .state = at < 0 ? "QUEUED" : "RUNNING", .priority = priority,
	                           .gpus = gpus, .tasks = 1, .submit_s = now_s - ago_s };

	if (limit_s > 0)
		r.time_limit_s = ZN_SOME_F64(limit_s);
	if (at < 0)
		return r;
	for (uint32_t i = 0; i < 64; i++)
		numbers[i] = i;
	alloc[id] = (struct zn_job_alloc){ .node = "n", .gpus = { numbers + at, gpus } };
	r.alloc = (struct zn_list){ &alloc[id], 1 };
	r.start_s = ZN_SOME_F64(now_s - ago_s);
	return r;
}

static double saved(const struct zn_blame *b, const char *text)
{
	const struct zn_blame_cause *c = b->causes.v;

	for (size_t i = 0; i < b->causes.n; i++)
		if (!strcmp(c[i].text, text))
			return c[i].saved_s;
	return 0;
}

static bool is_about(double a, double b)
{
	return fabs(a - b) < 0.01;
}

static struct zn_facts *facts;
static struct zn_node_record node;

static struct zn_quotas quotas;
static struct zn_booking bookings[2];
static size_t n_bookings;

static int blame(struct zn_job_record *v, size_t n, uint64_t id, struct zn_picture *p, struct zn_blame *ret)
{
	struct zn_err err = { "" };

	*p = (struct zn_picture){ .jobs = v, .n_jobs = n, .nodes = &node, .n_nodes = 1, .quotas = quotas };
	zn_payers_init(&p->payers, p->quotas, zn_picture_shares(p));
	for (size_t i = 0; i < n_bookings; i++)
		if (zn_bookings_set(&p->bookings, &bookings[i]) < 0)
			return -ENOMEM;
	int rc = zn_picture_blame(p, "/nonexistent", zn_picture_job(p, id), ret, &err);
	if (rc < 0)
		printf("# %d %s\n", rc, err.text);
	return rc;
}

/* ann has four of four for 900 s more, bob's urgent job comes after her, and then the one that is asked for. */
static void one_after_the_other(void)
{
	struct zn_job_record v[] = { job(1, "ann", 100, 0, 4, 1000, 0), job(2, "bob", 60, -1, 4, 500, 1), job(3, "eve", 50, -1, 2, 100, 0) };
	struct zn_picture p;
	struct zn_blame b;

	double asked_s = zn_now_s();
	int rc = blame(v, 3, 3, &p, &b);
	double told_s = zn_now_s();
	tap_ok(rc == 0 && b.wait_s >= asked_s - now_s + 49.99 && b.wait_s <= told_s - now_s + 50.01, "how long it has waited, when asked: %.3f", b.wait_s);
	tap_ok(b.replayed_s.has && is_about(b.replayed_s.v, 900 + 500 + 50), "it starts after both: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "the jobs of ann"), 900 + 50), "without ann it would wait for bob alone, from its own beginning on: %.2f", saved(&b, "the jobs of ann"));
	tap_ok(is_about(saved(&b, "the jobs of bob"), 500), "without bob it would start after ann: %.2f", saved(&b, "the jobs of bob"));
	tap_ok(is_about(saved(&b, "priorities"), 500), "so it would if bob's were no more urgent, as it is shorter: %.2f", saved(&b, "priorities"));
	tap_ok(saved(&b, "the other jobs of eve") == 0 && b.causes.n == 3, "nothing else kept it");
	zn_picture_done(&p);
}

static void nothing_known(void)
{
	struct zn_job_record v[] = { job(1, "ann", 100, 0, 4, 0, 0), job(2, "eve", 50, -1, 2, 100, 0) };
	struct zn_picture p;
	struct zn_blame b;

	tap_ok(blame(v, 2, 2, &p, &b) == 0 && !b.replayed_s.has && !b.causes.n, "behind what has no limit nothing can be foreseen");
	zn_picture_done(&p);
	v[1].state = "PENDING";
	tap_ok(blame(v, 2, 2, &p, &b) == -ENODATA, "what waits for something else than room is not asked");
	zn_picture_done(&p);
}

/* Elements wait as an array: the third is kept by the two before it, of the same user. */
static void elements(void)
{
	struct zn_job_record v[] = { job(1, "ann", 100, 0, 3, 1000, 0), job(2, "eve", 50, -1, 1, 100, 0) };
	struct zn_picture p;
	struct zn_blame b;
	struct zn_job_record third;

	v[1].array = "4-9";
	v[1].elements = ZN_SOME_U64(6);
	third = v[1];
	third.index = ZN_SOME_U64(6);
	p = (struct zn_picture){ .jobs = v, .n_jobs = 2, .nodes = &node, .n_nodes = 1 };
	zn_payers_init(&p.payers, p.quotas, zn_picture_shares(&p));
	int rc = zn_picture_blame(&p, "/nonexistent", &third, &b, NULL);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 200), "the third of an array, one at a time: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "the jobs of ann"), 200), "with the other three GPUs all would start at once: %.2f", saved(&b, "the jobs of ann"));
	zn_picture_done(&p);
}

/* One of an array runs for 200 s more, and one may at once; the machine has room for all. */
static void limited_array(void)
{
	struct zn_job_record v[] = { job(1, "eve", 100, 0, 1, 300, 0), job(1, "eve", 100, -1, 1, 100, 0) };
	struct zn_picture p;
	struct zn_blame b;

	v[0].index = ZN_SOME_U64(0);
	v[0].at_once = ZN_SOME_U64(1);
	v[1].array = "1-4%1";
	v[1].elements = ZN_SOME_U64(5);
	struct zn_job_record third = v[1];
	zn_record_of_element(&third, 2);
	tap_ok(zn_record_at_once(&third) == 1 && zn_record_at_once(&v[1]) == 1, "an element that waits with the others knows the limit");
	p = (struct zn_picture){ .jobs = v, .n_jobs = 2, .nodes = &node, .n_nodes = 1 };
	zn_payers_init(&p.payers, p.quotas, zn_picture_shares(&p));
	int rc = zn_picture_blame(&p, "/nonexistent", &third, &b, NULL);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 300 + 100), "it comes after the one that runs and the one before it: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "limits of how many of an array may run at once"), 400), "else it had started at once: %.2f",
	       saved(&b, "limits of how many of an array may run at once"));
	zn_picture_done(&p);

	/* the same when each of it is a job of its own, as those are that were asked for one by one */
	struct zn_job_record w[] = { v[0], v[1], v[1] };
	for (uint32_t i = 1; i <= 2; i++)
		zn_record_of_element(&w[i], i);
	rc = blame(w, 3, zn_handle(1, 2), &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 400), "so it does when the array is no more: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "limits of how many of an array may run at once"), 400), "for the same cause");
	zn_picture_done(&p);
	for (uint32_t i = 0; i <= 2; i++)
		w[i].at_once = ZN_SOME_U64(2);
	rc = blame(w, 3, zn_handle(1, 2), &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 100), "two at once: after the second, which is over sooner than the first: %.2f", b.replayed_s.v);
	zn_picture_done(&p);
}

/* Eve may use a GPU hour in 6400 s.  One of hers, which runs from 4000 s ago for 7200 s, used it up before she came again, and a
 * run before it: of one that was requeued, half an hour of a GPU, until 5000 s ago.
 */
static void hours_of_a_quota(void)
{
	struct zn_quota q = { .of = "user", .name = "eve", .hard.gpu_hours = ZN_SOME_F64(1), .window_s = 6400 };
	struct zn_job_record v[] = { job(1, "eve", 4000, 0, 1, 7200, 0), job(2, "eve", 50, -1, 1, 100, 0) };
	const double part_s = q.window_s / ZN_LEDGER_PARTS;
	struct zn_picture p;
	struct zn_blame b;

	quotas = (struct zn_quotas){ &q, 1 };
	/* the window has an hour of it left when its far end is 3600 s before its end, at most a part later */
	double want = 3200 + 6400 - 3600 + 50;
	int rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && b.replayed_s.v >= want - part_s && b.replayed_s.v <= want + 2 * part_s, "it waits until hours have passed out of the window: %.0f s of %.0f", b.replayed_s.v, want);
	tap_ok(is_about(saved(&b, "quotas of GPU hours"), b.replayed_s.v), "without hours it would have started at once");
	tap_ok(is_about(saved(&b, "the other jobs of eve"), b.replayed_s.v) && b.causes.n == 2, "or had she not run the other one; nothing else kept it");
	zn_picture_done(&p);

	v[0].submit_s = now_s - 400;
	v[0].start_s = ZN_SOME_F64(now_s - 400);
	v[0].time_limit_s = ZN_SOME_F64(500);
	v[0].before_gpu_s = ZN_SOME_F64(3500);
	v[0].before_end_s = ZN_SOME_F64(now_s - 500);
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && b.replayed_s.v > 2000 && is_about(saved(&b, "quotas of GPU hours"), b.replayed_s.v), "what ran before a requeue counts, too: %.0f", b.replayed_s.v);
	zn_picture_done(&p);

	v[0].user = "bob";
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 0), "but not of somebody else: %.2f", b.replayed_s.v);
	zn_picture_done(&p);
	q.hard.running = ZN_SOME_U64(1);
	v[0].user = "eve";
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && saved(&b, "quotas") > saved(&b, "quotas of GPU hours"), "quotas are all of them: %.0f, and %.0f for hours alone", saved(&b, "quotas"), saved(&b, "quotas of GPU hours"));
	zn_picture_done(&p);
	quotas = (struct zn_quotas){ 0 };
}

static struct zn_booking booking(const char *name, double from_s, double until_s, uint32_t *gpus, size_t n)
{
	static const char *nodes[] = { "n" };

	return (struct zn_booking){ .name = name, .from_s = now_s + from_s, .until_s = now_s + until_s, .nodes = { nodes, 1 },
	                            .gpus = { gpus, n }, .by = "root" };
}

/* Of four GPUs, two are reserved for a course until in 300 s, and all of them for a demo from in 500 s on. */
static void reserved(void)
{
	static uint32_t two[] = { 0, 1 };
	struct zn_job_record v[] = { job(1, "ann", 40, -1, 2, 60, 0), job(2, "eve", 30, -1, 2, 100, 0) };
	struct zn_picture p;
	struct zn_blame b;
	int rc;

	bookings[0] = booking("course", -60, 300, two, 2);
	bookings[1] = booking("demo", 500, 900, NULL, 0);
	n_bookings = 2;
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 60), "it waits for the half that is not reserved: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "reservation 'course'"), b.replayed_s.v) && is_about(saved(&b, "the jobs of ann"), b.replayed_s.v) && b.causes.n == 2,
	       "without the course there would have been room, as without ann");
	zn_picture_done(&p);

	v[0].reservation = "course";
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 0), "who has a place in it is in nobody's way: %.2f", b.replayed_s.v);
	zn_picture_done(&p);

	v[0].reservation = NULL;
	v[1].gpus = 4;
	v[1].time_limit_s = ZN_SOME_F64(250);
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 930), "what would not be over in time waits until the demo is: %.2f", b.replayed_s.v);
	tap_ok(is_about(saved(&b, "reservation 'demo'"), 600) && saved(&b, "reservation 'course'") > 0, "without it, until the course is: %.2f, %.2f",
	       saved(&b, "reservation 'demo'"), saved(&b, "reservation 'course'"));
	zn_picture_done(&p);

	v[1].reservation = "demo";
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 530) && !saved(&b, "reservation 'demo'"),
	       "one that is to run in it waits for its begin, which is no fault of it: %.2f", b.replayed_s.v);
	zn_picture_done(&p);

	v[1] = job(2, "eve", 0, 0, 2, 100, 0); /* which started at once: what was reserved then is not on record */
	v[1].submit_s = now_s - 30;
	rc = blame(v, 2, 2, &p, &b);
	tap_ok(rc == 0 && is_about(b.replayed_s.v, 0) && !b.causes.n, "one that started is told nothing of it: %.2f", b.replayed_s.v);
	zn_picture_done(&p);
	n_bookings = 0;
}

int main(void)
{
	struct zn_buf topology = { 0 };

	now_s = zn_now_s();
	facts = machine_new("numa:2 core:8 gpu:2 mem:64");
	if (zn_facts_encode(facts, &topology) < 0)
		return 1;
	node = (struct zn_node_record){ .node_id = "n", .state = "up", .topology = { topology.data, topology.len } };
	one_after_the_other();
	nothing_known();
	elements();
	hours_of_a_quota();
	limited_array();
	reserved();
	zn_buf_done(&topology);
	machine_free(facts);
	return tap_done();
}
