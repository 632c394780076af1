/* Arrays: their indices, their numbers, and that their elements start as they would had each been submitted by itself. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job/number.h"
#include "job/spans.h"
#include "pick/gate.h"
#include "pick/pool.h"
#include "tap.h"

static const struct { const char *text, *list; uint32_t count, at_once; } good[] = {
	{ "0", "0", 1, 0 },
	{ "0-9", "0-9", 10, 0 },
	{ "3,1,2", "1-3", 3, 0 },
	{ "7-8", "7,8", 2, 0 },
	{ "0-100:10", "0,10,20,30,40,50,60,70,80,90,100", 11, 0 },
	{ "0-9:2,1-9:2", "0-9", 10, 0 },
	{ "5-5:3", "5", 1, 0 },
	{ "1-4:3", "1,4", 2, 0 },
	{ "20-29,0-9%3", "0-9,20-29", 20, 3 },
	{ "16777214", "16777214", 1, 0 },
	{ "0-99999%100000", "0-99999", 100000, 100000 },
	{ "16777200-16777214:7", "16777200,16777207,16777214", 3, 0 },
};

static const struct { const char *text, *sentence; } bad[] = {
	{ "", "indices are numbers" },
	{ "x", "indices are numbers" },
	{ "-1", "indices are numbers" },
	{ "16777215", "indices are numbers" },
	{ "99999999999999999999", "indices are numbers" },
	{ "1-", "a range ends with a number" },
	{ "9-1", "runs backwards" },
	{ "1-9:0", "a step is a number" },
	{ "1-9:", "a step is a number" },
	{ "1,", "indices are numbers" },
	{ "1,,2", "indices are numbers" },
	{ "1-5,3", "named twice" },
	{ "3,3", "named twice" },
	{ "0-100000", "more than 100000" },
	{ "0-99999,100001", "more than 100000" },
	{ "0-16777214:2", "more than 100000" },
	{ "1%0", "behind %" },
	{ "1%", "behind %" },
	{ "1%2%3", "it is a list" },
	{ "1 2", "it is a list" },
	{ "1.5", "it is a list" },
};

static void lists(void)
{
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct zn_spans s;
		uint32_t at_once = 99;
		struct zn_err err = { "" };
		int rc = zn_spans_parse(good[i].text, &s, &at_once, &err);
		const char *text = rc == 0 ? zn_spans_text(&s, &a) : err.text;
		tap_ok(rc == 0 && !strcmp(text, good[i].list) && s.count == good[i].count && at_once == good[i].at_once,
		       "%s is %s: %.60s", good[i].text, good[i].list, text);
		zn_spans_done(&s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct zn_spans s;
		uint32_t at_once;
		struct zn_err err = { "" };
		int rc = zn_spans_parse(bad[i].text, &s, &at_once, &err);
		tap_ok(rc == -EBADMSG && strstr(err.text, bad[i].sentence) && !s.v, "'%s' is refused: %s", bad[i].text, err.text);
	}
	zn_arena_done(&a);
}

/* Random removals against one byte an index. */
static void removals(void)
{
	enum { N = 300 };
	int wrong = 0;

	for (unsigned seed = 1; seed <= 50; seed++) {
		struct zn_spans s;
		uint32_t at_once, left = N;
		bool has[N];

		srand(seed);
		zn_spans_parse("0-299", &s, &at_once, NULL);
		memset(has, true, sizeof(has));
		for (int i = 0; i < 500 && left; i++) {
			uint32_t index = rand() % 3 ? (uint32_t)rand() % N : zn_spans_first(&s), before = 0;
			zn_spans_remove(&s, index);
			left -= has[index];
			has[index] = false;
			for (uint32_t k = 0, first = N; k < N; k++) {
				first = has[k] && k < first ? k : first;
				wrong += zn_spans_has(&s, k) != has[k] || zn_spans_before(&s, k) != before;
				before += has[k];
				wrong += k == N - 1 && left && zn_spans_first(&s) != first;
			}
			wrong += s.count != left;
		}
		zn_spans_done(&s);
	}
	tap_ok(!wrong, "what is left after 25,000 random removals is what a plain table has");
}

static void numbers(void)
{
	static const struct { const char *text; int rc; uint64_t handle; } rows[] = {
		{ "12", 0, 12 }, { "12.3", 0, 12 | UINT64_C(4) << 40 }, { "12.0", 0, 12 | UINT64_C(1) << 40 },
		{ "1099511627775.16777214", 0, ((UINT64_C(1) << 40) - 1) | UINT64_C(16777215) << 40 },
		{ "1099511627776", -EINVAL, 0 }, { "0", -EINVAL, 0 }, { "0.1", -EINVAL, 0 }, { "1.16777215", -EINVAL, 0 }, { "1.", -EINVAL, 0 },
		{ ".1", -EINVAL, 0 }, { "1.2.3", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "1.-2", -EINVAL, 0 }, { "+1", -EINVAL, 0 },
	};
	char text[ZN_NUMBER_TEXT];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t handle = 0;
		int rc = zn_handle_parse(rows[i].text, &handle);
		tap_ok(rc == rows[i].rc && (rc < 0 || (handle == rows[i].handle && !strcmp(zn_handle_text(handle, text), rows[i].text) &&
		                                       zn_handle_of_arrival(zn_handle_arrival(handle)) == handle)),
		       "'%s' is %s", rows[i].text, rc < 0 ? "no job number" : "a job number, and comes back");
	}
	tap_ok(zn_handle_arrival(zn_handle(12, 3)) < zn_handle_arrival(zn_handle(12, 4)) &&
	       zn_handle_arrival(zn_handle(12, ZN_INDEX_MAX)) < zn_handle_arrival(12) && zn_handle_arrival(12) < zn_handle_arrival(zn_handle(13, 0)),
	       "elements come by index, then their array, then the next job");
}

/* ---- as if each were a job ----------------------------------------------------------------------------------- */

enum { BATCHES = 60, LARGEST = 30, GPUS = 24, STEPS = 10000 };

struct one { struct zn_pick_job pick; unsigned batch; double end_s; bool runs; };

struct side {
	struct zn_pool pool;
	struct one array[BATCHES], one[BATCHES][LARGEST];
	unsigned left[BATCHES], begun[BATCHES], busy[BATCHES];
	double run_s[BATCHES][LARGEST];
};

static unsigned at_once[BATCHES];

static struct zn_pick_job *part(void *arg, struct zn_pick_job *picked, bool *ret_more)
{
	struct side *s = arg;
	unsigned b = ((struct one *)picked)->batch, i = s->begun[b];
	struct one *one = &s->one[b][i];

	*one = (struct one){ .batch = b, .pick = { .seq = picked->seq - LARGEST + i, .submit_s = picked->submit_s,
		.estimate_s = picked->estimate_s, .limit_s = picked->limit_s, .size = picked->size } };
	*ret_more = --s->left[b] && (!at_once[b] || s->busy[b] + 1 < at_once[b]);
	return &one->pick;
}

static void submit(struct side *s, unsigned b, unsigned n, const struct zn_pick_job *like, bool as_array)
{
	s->left[b] = n;
	if (as_array) {
		s->array[b] = (struct one){ .batch = b, .pick = *like };
		s->array[b].pick.many = true;
		zn_pool_wait(&s->pool, &s->array[b].pick, 0, 0, false);
	}
	for (unsigned i = 0; !as_array && i < n; i++) {
		s->one[b][i] = (struct one){ .batch = b, .pick = *like };
		s->one[b][i].pick.seq = like->seq - LARGEST + i;
		zn_pool_wait(&s->pool, &s->one[b][i].pick, 0, 0, false);
	}
}

static void end_those(struct side *s, double now_s)
{
	for (unsigned b = 0; b < BATCHES; b++)
		for (unsigned i = 0; i < s->begun[b]; i++) {
			struct one *one = &s->one[b][i];
			if (!one->runs || one->end_s > now_s)
				continue;
			one->runs = false;
			s->busy[b]--;
			zn_pool_end(&s->pool, &one->pick, now_s);
			if (s->array[b].pick.many && s->left[b] && !s->array[b].pick.shape)
				zn_pool_wait(&s->pool, &s->array[b].pick, 0, 0, false);
		}
}

static unsigned start_those(struct side *s, double now_s)
{
	struct zn_pick_pass pass;
	struct zn_pick_job *pick;
	unsigned n = 0;

	zn_pick_begin(&pass, &s->pool.pick, now_s);
	while ((pick = zn_pick_next(&pass))) {
		struct one *one = (struct one *)pick;
		one->runs = true;
		one->end_s = now_s + s->run_s[one->batch][s->begun[one->batch]++];
		s->busy[one->batch]++;
		n++;
	}
	return n;
}

static struct side whole, apart;

static void compare(struct zn_pick_policy policy, const char *name)
{
	int wrong = 0, over = 0;
	unsigned started = 0;

	for (unsigned seed = 1; seed <= 20; seed++) {
		memset(&whole, 0, sizeof(whole));
		memset(&apart, 0, sizeof(apart));
		memset(at_once, 0, sizeof(at_once));
		zn_pool_init(&whole.pool, policy, GPUS);
		zn_pool_init(&apart.pool, policy, GPUS);
		whole.pool.pick.part = part;
		whole.pool.pick.part_arg = &whole;
		srand(seed);
		for (unsigned step = 0, b = 0; step < STEPS; step++) {
			double now_s = step * 10.;
			end_those(&whole, now_s);
			end_those(&apart, now_s);
			if (b < BATCHES && rand() % 8 == 0) {
				double estimate_s = 10 + rand() % 600;
				unsigned n = rand() % 3 ? 1 + (unsigned)rand() % LARGEST : 1;
				struct zn_pick_job like = { .seq = (b + 1) * 2 * LARGEST, .submit_s = now_s, .estimate_s = estimate_s,
				                            .limit_s = estimate_s, .size = (float)(1 + rand() % (rand() % 4 ? 6 : GPUS)) };
				for (unsigned i = 0; i < LARGEST; i++)
					whole.run_s[b][i] = apart.run_s[b][i] = estimate_s * (1 + rand() % 10) / 10;
				submit(&whole, b, n, &like, true);
				submit(&apart, b, n, &like, false);
				b++;
			}
			started += start_those(&whole, now_s);
			start_those(&apart, now_s);
			wrong += memcmp(whole.begun, apart.begun, sizeof(whole.begun)) != 0;
		}
		over += whole.pool.free != GPUS || zn_row_size(&whole.pool.pick.line.all);
		zn_pick_done(&whole.pool.pick);
		zn_pick_done(&apart.pool.pick);
	}
	tap_ok(!wrong && !over, "%s: %u elements of arrays start just when they would as jobs", name, started);
}

/* The limit holds at each moment, and everybody starts. */
static void limits(void)
{
	static const struct zn_pick_policy policy = { .order = ZN_PICK_SLOWDOWN, .backfill = true };
	int over = 0, left = 0;

	for (unsigned seed = 1; seed <= 20; seed++) {
		memset(&whole, 0, sizeof(whole));
		zn_pool_init(&whole.pool, policy, GPUS);
		whole.pool.pick.part = part;
		whole.pool.pick.part_arg = &whole;
		srand(seed);
		for (unsigned b = 0; b < BATCHES; b++) {
			at_once[b] = (unsigned)rand() % 4;
			struct zn_pick_job like = { .seq = (b + 1) * 2 * LARGEST, .estimate_s = 10, .limit_s = 10, .size = (float)(1 + rand() % 3) };
			for (unsigned i = 0; i < LARGEST; i++)
				whole.run_s[b][i] = 1 + rand() % 10;
			submit(&whole, b, 1 + (unsigned)rand() % LARGEST, &like, true);
		}
		for (unsigned step = 0; step < STEPS; step++) {
			end_those(&whole, step);
			start_those(&whole, step);
			for (unsigned b = 0; b < BATCHES; b++)
				over += at_once[b] && whole.busy[b] > at_once[b];
		}
		for (unsigned b = 0; b < BATCHES; b++)
			left += whole.left[b] || whole.busy[b];
		zn_pick_done(&whole.pool.pick);
	}
	tap_ok(!over && !left, "never more at once than may be, and all have run");
}

/* "+" one comes, "-" one that came has ended, "3" three may from now on; out: who came, by his letter, "." where nobody did. */
static const struct { const char *in, *out; } gates[] = {
	{ "+++--+", "abc..d" }, { "2+++--", "ab.c." }, { "1+++---+", "a..bc.d" }, { "1+++-+--", "a..b.cd" },
	{ "3++++1---", "abc...d" }, { "2+++0+-", "ab.dc" }, { "1++3+-", "a.cb" },
};

static void play(const char *in, char *out)
{
	struct zn_gated all[16], *next;
	struct zn_gate g = { 0 };
	size_t n = 0;

	for (; *in; in++) {
		if (*in == '+') {
			n++;
			*out++ = zn_gate_enter(&g, &all[n - 1]) ? (char)('a' + n - 1) : '.';
		} else if (*in == '-') {
			next = zn_gate_leave(&g);
			*out++ = next ? (char)('a' + (next - all)) : '.';
		} else {
			g.at_once = (uint32_t)(*in - '0');
		}
	}
	*out = 0;
}

static void gate(void)
{
	for (size_t i = 0; i < sizeof(gates) / sizeof(*gates); i++) {
		char out[16];
		play(gates[i].in, out);
		tap_ok(!strcmp(out, gates[i].out), "%s: %s", gates[i].in, out);
	}
}

int main(void)
{
	lists();
	removals();
	numbers();
	compare((struct zn_pick_policy){ .order = ZN_PICK_SLOWDOWN, .backfill = true }, "default");
	compare((struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL, .backfill = true }, "EASY");
	compare((struct zn_pick_policy){ .order = ZN_PICK_ARRIVAL }, "first come, first served");
	compare((struct zn_pick_policy){ .order = ZN_PICK_SHORTEST, .backfill = true }, "shortest first");
	limits();
	gate();
	return tap_done();
}
