/* Snapshots of the journal: what they stand for, and what remains when somebody is killed. */
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "journal_help.h"
#include "tap.h"

enum { SMALL = 4096, N = 200 };

static char dir[128];
static struct zn_loc loc[4 * N];
static size_t moved;

static struct zn_journal *fresh(const char *name)
{
	snprintf(dir, sizeof(dir), "%.64s/%s", scratch, name);
	remove_tree(dir);
	moved = 0;
	return open_journal(dir, SMALL);
}

/* What the child does: copies ids from..to-1, when it is let go. */
struct plan {
	uint64_t from, to;
	sem_t *go;
	int rc;
};

static int write_plan(void *arg, struct zn_snapshot *s)
{
	const struct plan *p = arg;

	while (p->go && sem_wait(p->go) < 0)
		;
	for (uint64_t id = p->from; id < p->to; id++) {
		int rc = zn_snapshot_copy(s, id, loc[id]);
		if (rc < 0)
			return rc;
	}
	return p->rc;
}

static void note_moved(void *arg, uint64_t tag, struct zn_loc to)
{
	const struct plan *p = arg;

	if (tag == p->from + moved)
		moved++;
	loc[tag] = to;
}

static int wait_snapshot(struct zn_journal *j)
{
	struct pollfd p = { .fd = zn_journal_snapshot_pidfd(j), .events = POLLIN };

	poll(&p, 1, 20000);
	return zn_journal_snapshot_poll(j);
}

static int take_snapshot(struct zn_journal *j, struct plan *plan)
{
	struct zn_snapshot_job job = { .arg = plan, .write = write_plan, .moved = note_moved };
	int rc = zn_journal_snapshot_start(j, &job);

	return rc < 0 ? rc : wait_snapshot(j);
}

static sem_t *shared_gate(void)
{
	sem_t *gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	sem_init(gate, 1, 0);
	return gate;
}

static bool has_all(struct zn_journal *j, uint64_t from, uint64_t to)
{
	for (uint64_t id = from; id < to; id++)
		if (!has_id(j, loc[id], id))
			return false;
	return true;
}

static void test_simple(void)
{
	struct zn_journal *j = fresh("simple");
	struct plan plan = { .from = N / 2, .to = N };

	append_ids(j, 0, N, loc);
	struct zn_loc old = loc[N - 1];
	uint64_t before = zn_journal_bytes(j);
	tap_ok(zn_journal_snapshot_poll(j) == -ESRCH && zn_journal_snapshot_pidfd(j) == -1, "no snapshot runs unasked");
	tap_ok(take_snapshot(j, &plan) == 1 && moved == N / 2, "each record put is told in order");
	tap_ok(has_all(j, N / 2, N), "and is readable in its new place");
	tap_ok(zn_journal_bytes(j) < before * 6 / 10, "the journal has become smaller");
	/* The commit thread removes old files after a round: by the second it has. */
	append_ids(j, N, N - 1, loc + N);
	append_ids(j, 2 * N - 1, 1, loc + 2 * N - 1);
	struct zn_arena a = { 0 };
	const char *p;
	tap_ok(zn_journal_get(j, old, &a, &p, NULL) == -ENOENT, "the old place is gone");
	zn_arena_done(&a);
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	tap_ok(j && saw_ids(N / 2, N / 2 + N), "reopening reads the snapshot, then what came after");
	tap_ok(find_files(dir, ".zs", NULL) == 1 && find_files(dir, ".tmp", NULL) == 0, "one snapshot is left");
	plan = (struct plan){ 0 };
	tap_ok(take_snapshot(j, &plan) == 1 && take_snapshot(j, &plan) == 1, "an empty snapshot, twice");
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	tap_ok(j && seen.n == 0 && append_id(j, 1, NULL) > 2 * N, "leaves nothing, and numbers still rise");
	zn_journal_close(j);
}

static void test_concurrent(void)
{
	struct zn_journal *j = fresh("concurrent");
	sem_t *gate = shared_gate();
	struct plan plan = { .from = 0, .to = N, .go = gate };
	struct zn_snapshot_job job = { .arg = &plan, .write = write_plan, .moved = note_moved };

	append_ids(j, 0, N, loc);
	tap_ok(zn_journal_snapshot_start(j, &job) == 0 && zn_journal_snapshot_start(j, &job) == -EALREADY,
	       "one snapshot at a time");
	plan.to = 1; /* the child has its own copy of our memory */
	bool good = append_ids(j, N, 2 * N, loc + N) && has_all(j, 0, 3 * N);
	tap_ok(good && zn_journal_snapshot_poll(j) == 0, "appends go on while it is written");
	sem_post(gate);
	tap_ok(wait_snapshot(j) == 1 && moved == N, "it holds what there was when it began");
	tap_ok(has_all(j, 0, 3 * N), "old and new records are readable");
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	tap_ok(j && saw_ids(0, 3 * N), "and all are there after reopening, each once");
	zn_journal_close(j);
}

static void test_failing(void)
{
	struct zn_journal *j = fresh("failing");
	sem_t *gate = shared_gate();
	struct plan plan = { .from = 0, .to = N, .rc = -EDOM };
	struct zn_snapshot_job job = { .arg = &plan, .write = write_plan, .moved = note_moved };

	append_ids(j, 0, N, loc);
	tap_ok(take_snapshot(j, &plan) == -EDOM && has_all(j, 0, N), "a snapshot that its writer gives up");
	plan = (struct plan){ .from = 0, .to = N, .go = gate };
	zn_journal_snapshot_start(j, &job);
	syscall(SYS_pidfd_send_signal, zn_journal_snapshot_pidfd(j), SIGKILL, NULL, 0);
	tap_ok(wait_snapshot(j) == -ECANCELED && has_all(j, 0, N) && moved == 0, "one whose child was killed");
	tap_ok(find_files(dir, ".tmp", NULL) + find_files(dir, ".zs", NULL) == 0, "leave nothing behind");
	zn_journal_snapshot_start(j, &job);
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	tap_ok(j && saw_ids(0, N) && !seen.damaged, "closing ends a snapshot that still runs, and loses nothing");
	sem_post(gate);
	tap_ok(take_snapshot(j, &plan) == 1 && moved == N, "the next one succeeds");
	zn_journal_close(j);
}

/* Any one byte of a snapshot flipped costs at most the record it lies in. */
static void test_flips(void)
{
	struct zn_journal *j = fresh("flips");
	struct plan plan = { .from = 0, .to = 5 };
	struct zn_arena a = { 0 };
	char path[256];
	size_t bad = 0, quiet = 0;

	append_ids(j, 0, 5, loc);
	take_snapshot(j, &plan);
	append_ids(j, 5, 3, loc + 5);
	zn_journal_close(j);
	find_files(dir, ".zs", path);
	struct image im = load(&a, path);
	for (size_t at = 0; at < im.len; at++) {
		im.data[at] ^= 4;
		store(path, im.data, im.len);
		im.data[at] ^= 4;
		j = open_journal(dir, SMALL);
		bool inside = at >= loc[0].offset - ZN_FRAME_HEAD && at < loc[4].offset + loc[4].len;
		bad += !j || seen.n != 8u - inside;
		quiet += !seen.damaged;
		zn_journal_close(j);
	}
	tap_ok(bad == 0, "any byte of a snapshot flipped costs at most the record it lies in (%zu bad)", bad);
	tap_ok(quiet == 0, "and is reported (%zu were not)", quiet);
	zn_arena_done(&a);
}

/* A crash between the rename and the removal, and a file that only pretends to be whole. */
static void test_both(void)
{
	struct zn_journal *j = fresh("both");
	struct plan plan = { .from = 0, .to = N };
	struct zn_arena a = { 0 };
	char segment[256], snapshot[256], spoilt[256];

	append_ids(j, 0, N, loc);
	zn_journal_close(j);
	snprintf(segment, sizeof(segment), "%.128s/%016x.zj", dir, 1);
	struct image old = load(&a, segment);
	j = open_journal(dir, SMALL);
	take_snapshot(j, &plan);
	append_ids(j, N, 10, loc + N);
	zn_journal_close(j);
	store(segment, old.data, old.len);
	find_files(dir, ".zs", snapshot);
	struct image whole = load(&a, snapshot);
	snprintf(spoilt, sizeof(spoilt), "%.128s/%016x.zs", dir, N + 5);
	store(spoilt, whole.data, whole.len / 2);
	snprintf(spoilt, sizeof(spoilt), "%.128s/%016x.tmp", dir, N + 9);
	store(spoilt, whole.data, whole.len / 2);
	j = open_journal(dir, SMALL);
	tap_ok(j && saw_ids(0, N + 10), "old segments beside a snapshot are not read twice");
	tap_ok(seen.damaged == 1 && strstr(seen.damage[0].name, ".zs"), "a later one without an end is passed over, and reported");
	tap_ok(access(segment, F_OK) < 0 && access(spoilt, F_OK) < 0, "what is covered or unfinished is removed");
	zn_journal_close(j);
	unlink(snapshot);
	j = open_journal(dir, SMALL);
	tap_ok(j && seen.damaged && seen.n > N / 3, "when no snapshot is whole, what there is of one is read");
	zn_journal_close(j);
	zn_arena_done(&a);
}

int main(void)
{
	make_scratch();
	test_simple();
	test_concurrent();
	test_failing();
	test_flips();
	test_both();
	remove_tree(scratch);
	return tap_done();
}
