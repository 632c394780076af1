/* The rings on every machine that C11 allows, not only on this one: their own code runs here on a memory of our own.
 *
 * Threads are contexts that one scheduler resumes, one step (an atomic operation) at a time.  A location keeps all that
 * was stored in it, in order; a thread has a view, the oldest value of each location that it may still read, and a load
 * may give any from there on: the test goes through all of them, and through all orders of the steps (where said, up to
 * a number of times that a thread is interrupted that could go on).  Release hands the view on, acquire takes it, a
 * fence does both and joins the one view of all fences.  Plain memory must be ordered by that: a race is an error.
 * (The views are those of "A promising semantics for relaxed-memory concurrency", POPL 2017, without the promises.)
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "tap.h"

/* ---- what stands in for lib/mem/order.h ---- */

#define ZN_MEM_ORDER_H
enum { ZN_LINE = 128, ZN__LOOKS = 1 };
enum order { RELAXED, ACQUIRE, RELEASE };

static uint64_t model_own(const void *p, uint64_t first);
static uint64_t model_load(const void *p, uint64_t first, enum order order);
static void model_store(void *p, uint64_t first, uint64_t v, enum order order);
static bool model_swap(size_t *p, size_t *was, size_t v);
static void model_fence(void);
static void model_plain(const void *p, bool write);
static void model_pause(void);
static void model_sleep(const uint32_t *p, uint32_t while_is);
static void model_wake(const uint32_t *p);

#define zn__load(p, order) ((__typeof__(*(p)))model_load(p, *(p), order))
#define zn__own(p) ((__typeof__(*(p)))model_own(p, *(p)))
#define zn__store(p, v, order) model_store(p, *(p), v, order)
#define zn__swap(p, was, v, order) model_swap(p, was, v)
#define zn__fence() model_fence()
#define zn__read(p) (model_plain(p, false), *(p))
#define zn__write(p, v) (model_plain(p, true), *(p) = (v))
#define zn__pause() model_pause()
#define zn__yield() model_pause()
#define zn__futex_wait(p, v) model_sleep(p, v)
#define zn__futex_wake(p) model_wake(p)

#include "../../lib/mem/mpsc.c"
#undef is_closed
#define is_closed spsc_is_closed
#define is_empty spsc_is_empty
#include "../../lib/mem/spsc.c"

/* ---- the memory ---- */

enum { THREADS = 3, PLACES = 24, STORES = 96, PLAIN = 64, DEPTH = 4096, STACK = 1 << 16 };

struct view {
	int of[PLACES];           /* the oldest store that may be read */
	int seen[THREADS];        /* how far each thread's steps happened before */
};

struct store {
	uint64_t v;
	struct view view;         /* what who acquires it gets */
};

static struct place {
	const void *p;
	int n;
	struct store s[STORES];
} places[PLACES];
static int n_places;

static struct plain {
	const void *p;
	int writer, wrote, read[THREADS];
} plains[PLAIN];
static int n_plains;

static struct thread {
	ucontext_t context;       /* to begin with; then `at`: quicker */
	jmp_buf at;
	bool begun;
	void (*run)(void);
	struct view now, released, owed; /* owed: read without acquiring, which a fence makes good */
	bool ended, paused;
	const void *bed;          /* asleep on */
	int stores;               /* how many there were when it paused */
	char stack[STACK];
} threads[THREADS];
static int n_threads, me, n_stores, saw_all;
static struct view fences;
static jmp_buf scheduler;
static ucontext_t unused;

static const char *wrong;
static unsigned long runs;

static void fail(const char *what)
{
	if (!wrong)
		wrong = what;
}

static void join(struct view *to, const struct view *from)
{
	for (int i = 0; i < PLACES; i++)
		if (from->of[i] > to->of[i])
			to->of[i] = from->of[i];
	for (int i = 0; i < THREADS; i++)
		if (from->seen[i] > to->seen[i])
			to->seen[i] = from->seen[i];
}

/* ---- choices: each run takes the path of the one before, up to the last that has another way ---- */

static int chosen[DEPTH], ways[DEPTH], depth, known;

static int choose(int n)
{
	if (n < 2)
		return 0;
	if (depth == DEPTH) {
		fail("it does not end");
		return 0;
	}
	if (depth == known) {
		chosen[known] = 0;
		ways[known++] = n;
	}
	return chosen[depth++];
}

static bool next_path(void)
{
	while (known && chosen[known - 1] + 1 == ways[known - 1])
		known--;
	if (known)
		chosen[known - 1]++;
	return known > 0;
}

/* ---- steps ---- */

static int place_of(const void *p, uint64_t first)
{
	for (int i = 0; i < n_places; i++)
		if (places[i].p == p)
			return i;
	if (n_places == PLACES) {
		fail("too many places");
		return 0;
	}
	struct place *new = &places[n_places];
	new->p = p;
	new->n = 1;
	new->s[0] = (struct store){ .v = first };
	return n_places++;
}

__attribute__((noinline)) static void step(void)
{
	if (!_setjmp(threads[me].at))
		_longjmp(scheduler, 1);
	threads[me].now.seen[me]++;
}

static uint64_t take(struct thread *t, int at, int which, enum order order)
{
	const struct store *s = &places[at].s[which];

	t->now.of[at] = which;
	join(order == ACQUIRE ? &t->now : &t->owed, &s->view);
	return s->v;
}

static uint64_t model_load(const void *p, uint64_t first, enum order order)
{
	int at = place_of(p, first);

	step();
	struct thread *t = &threads[me];
	int last = places[at].n - 1;
	return take(t, at, last - choose(last - t->now.of[at] + 1), order);
}

/* No step: nobody else's comes between. */
static uint64_t model_own(const void *p, uint64_t first)
{
	struct place *l = &places[place_of(p, first)];

	return l->s[l->n - 1].v;
}

static void put(struct thread *t, int at, uint64_t v, const struct view *with)
{
	struct place *l = &places[at];

	if (l->n == STORES) {
		fail("too many stores");
		return;
	}
	t->now.of[at] = l->n;
	l->s[l->n] = (struct store){ .v = v, .view = *with };
	l->s[l->n].view.of[at] = l->n;
	l->n++;
	n_stores++;
}

static void model_store(void *p, uint64_t first, uint64_t v, enum order order)
{
	int at = place_of(p, first);

	step();
	struct thread *t = &threads[me];
	put(t, at, v, order == RELEASE ? &t->now : &t->released);
}

/* Reads the last store and none may come between: what that one handed on goes on. */
static bool model_swap(size_t *p, size_t *was, size_t v)
{
	int at = place_of(p, *p);

	step();
	struct thread *t = &threads[me];
	int last = places[at].n - 1;
	uint64_t got = take(t, at, last, RELAXED);
	if (got != *was) {
		*was = got;
		return false;
	}
	struct view with = t->released;
	join(&with, &places[at].s[last].view);
	put(t, at, v, &with);
	return true;
}

static void model_fence(void)
{
	step();
	struct thread *t = &threads[me];
	join(&t->now, &t->owed);
	struct view places_only = fences;
	memset(places_only.seen, 0, sizeof(places_only.seen)); /* what a fence shows is no order for plain memory */
	join(&t->now, &places_only);
	join(&fences, &t->now);
	t->released = t->now;
}

static struct plain *plain_of(const void *p)
{
	for (int i = 0; i < n_plains; i++)
		if (plains[i].p == p)
			return &plains[i];
	plains[n_plains] = (struct plain){ .p = p };
	return &plains[n_plains++];
}

static void model_plain(const void *p, bool write)
{
	struct plain *x = plain_of(p);
	struct thread *t = &threads[me];

	if (x->wrote > t->now.seen[x->writer] && x->writer != me)
		fail("a slot is used that is still being written");
	for (int i = 0; write && i < n_threads; i++)
		if (i != me && x->read[i] > t->now.seen[i])
			fail("a slot is written that is still being read");
	if (write) {
		x->writer = me;
		x->wrote = ++t->now.seen[me];
	} else {
		x->read[me] = ++t->now.seen[me];
	}
}

static void model_pause(void)
{
	threads[me].paused = true;
	threads[me].stores = n_stores;
	step();
}

static void model_sleep(const uint32_t *p, uint32_t while_is)
{
	int at = place_of(p, *p);

	step();
	if (places[at].s[places[at].n - 1].v != while_is)
		return;
	threads[me].bed = p;
	step();
}

static void model_wake(const uint32_t *p)
{
	step();
	for (int i = 0; i < n_threads; i++)
		if (threads[i].bed == p)
			threads[i].bed = NULL;
}

/* ---- runs ---- */

static void enter(void)
{
	threads[me].run();
	threads[me].ended = true;
	_longjmp(scheduler, 1);
}

__attribute__((noinline)) static void resume(struct thread *t)
{
	bool first = !t->begun;

	if (_setjmp(scheduler))
		return;
	t->begun = true;
	if (first)
		swapcontext(&unused, &t->context);
	_longjmp(t->at, 1);
}

static bool can_go(const struct thread *t)
{
	return !t->ended && !t->bed && !(t->paused && t->stores == n_stores);
}

/* What was stored is seen in the end: who waits for news that he may have overlooked sees it now. */
static void see_all(void)
{
	if (saw_all == n_stores)
		fail("they look for ever");
	saw_all = n_stores;
	for (int k = 0; k < n_threads; k++) {
		for (int i = 0; i < n_places; i++)
			threads[k].now.of[i] = places[i].n - 1;
		threads[k].paused = false;
	}
}

/* To go on costs nothing; to interrupt who could is one of the interruptions. */
static int who_is_next(int last, volatile int *interruptions)
{
	int can[THREADS], n = 0;

	if (last >= 0 && can_go(&threads[last]))
		can[n++] = last;
	bool goes_on = n > 0;
	for (int i = 0; i < n_threads; i++)
		if (i != last && can_go(&threads[i]))
			can[n++] = i;
	int k = goes_on && !*interruptions ? 0 : choose(n);
	*interruptions -= goes_on && k > 0;
	return n ? can[k] : -1;
}

static bool some_wait(void)
{
	for (int i = 0; i < n_threads; i++)
		if (threads[i].paused && !threads[i].ended)
			return true;
	return false;
}

static void run(int may_interrupt)
{
	volatile int left = may_interrupt;
	volatile int last = -1;

	n_places = n_plains = n_stores = depth = 0;
	saw_all = -1;
	fences = (struct view){ 0 };
	for (int i = 0; i < n_threads; i++) {
		struct thread *t = &threads[i];
		t->now = t->released = t->owed = (struct view){ 0 };
		t->ended = t->paused = t->begun = false;
		t->bed = NULL;
		getcontext(&t->context);
		t->context.uc_stack.ss_sp = t->stack;
		t->context.uc_stack.ss_size = STACK;
		makecontext(&t->context, enter, 0);
	}
	while (!wrong && (me = who_is_next(last, &left), me >= 0 || some_wait())) {
		if (me < 0) {
			see_all();
			continue;
		}
		last = me;
		threads[me].paused = false;
		resume(&threads[me]);
	}
	for (int i = 0; !wrong && i < n_threads; i++)
		if (!threads[i].ended)
			fail("all sleep, and somebody should not");
	runs++;
}

/* ---- what is run ---- */

static struct zn_spsc spsc;
static struct zn_mpsc mpsc;
static uint64_t got[16];
static size_t n_got, items, batch;
static bool closes;

static void spsc_sender(void)
{
	uint64_t v[16];

	for (size_t i = 0; i < items; i++)
		v[i] = i + 1;
	for (size_t i = 0; i < items; i += batch)
		if (zn_spsc_send(&spsc, v + i, items - i < batch ? items - i : batch) < (items - i < batch ? items - i : batch))
			fail("less was sent than asked, and nobody had closed");
	if (closes)
		zn_spsc_close(&spsc);
}

static void spsc_receiver(void)
{
	while (closes || n_got < items) {
		size_t n = zn_spsc_receive(&spsc, got + n_got, batch);
		if (!n)
			break;
		n_got += n;
	}
}

static bool in_order(void)
{
	for (size_t i = 0; i < n_got; i++)
		if (got[i] != i + 1)
			return false;
	return n_got == items;
}

static void check_spsc(const char *title, enum zn_wait wait, size_t n, size_t at_once, bool with_close, int interruptions)
{
	runs = 0;
	wrong = NULL;
	items = n;
	batch = at_once;
	closes = with_close;
	n_threads = 2;
	threads[0].run = spsc_sender;
	threads[1].run = spsc_receiver;
	do {
		n_got = 0;
		zn_spsc_init(&spsc, 2, wait);
		run(interruptions);
		if (!in_order())
			fail("what came is not what was sent");
		zn_spsc_done(&spsc);
	} while (!wrong && next_path());
	known = 0;
	tap_ok(!wrong, "%s: %lu runs%s%s", title, runs, wrong ? ": " : "", wrong ? wrong : "");
}

static void mpsc_sender(void)
{
	uint64_t v[4];

	for (size_t i = 0; i < items; i += batch) {
		for (size_t k = 0; k < batch; k++)
			v[k] = (uint64_t)me * 100 + i + k + 1;
		if (!zn_mpsc_send(&mpsc, v, batch))
			fail("not sent, and nobody had closed");
	}
}

static void mpsc_receiver(void)
{
	while (n_got < 2 * items)
		n_got += zn_mpsc_receive(&mpsc, got + n_got, batch);
}

/* Each producer's own in their order; what went in one go stands together. */
static bool both_in_order(void)
{
	uint64_t next[2] = { 1, 1 };

	for (size_t i = 0; i < n_got; i++) {
		size_t of = got[i] / 100;
		if (of > 1 || got[i] % 100 != next[of]++ || (i % batch && got[i] != got[i - 1] + 1))
			return false;
	}
	return n_got == 2 * items;
}

static void check_mpsc(const char *title, enum zn_wait wait, size_t n, size_t at_once, int interruptions)
{
	runs = 0;
	wrong = NULL;
	items = n;
	batch = at_once;
	n_threads = 3;
	threads[0].run = threads[1].run = mpsc_sender;
	threads[2].run = mpsc_receiver;
	do {
		n_got = 0;
		zn_mpsc_init(&mpsc, 2, wait);
		run(interruptions);
		if (!both_in_order())
			fail("what came is not what was sent");
		zn_mpsc_done(&mpsc);
	} while (!wrong && next_path());
	known = 0;
	tap_ok(!wrong, "%s: %lu runs%s%s", title, runs, wrong ? ": " : "", wrong ? wrong : "");
}

int main(void)
{
	check_spsc("one by one, in every order of every step", ZN_WAIT_SPIN, 2, 1, false, 99);
	check_spsc("two at a time, through a full ring, interrupted up to 4 times", ZN_WAIT_SPIN, 4, 2, false, 4);
	check_spsc("with an end, interrupted up to 2 times", ZN_WAIT_SPIN, 3, 1, true, 2);
	check_spsc("asleep when there is nothing to do, interrupted up to 3 times", ZN_WAIT_SLEEP, 2, 1, false, 3);
	check_spsc("the same, two at a time, up to 3 times", ZN_WAIT_SLEEP, 4, 2, false, 3);
	check_spsc("and with an end, up to 3 times", ZN_WAIT_SLEEP, 2, 1, true, 3);
	check_mpsc("two producers, interrupted up to 2 times", ZN_WAIT_SPIN, 1, 1, 2);
	check_mpsc("two at a time, through a full ring, interrupted once", ZN_WAIT_SPIN, 2, 2, 1);
	check_mpsc("the same, asleep when there is nothing to do", ZN_WAIT_SLEEP, 2, 2, 1);
	return tap_done();
}
