/* A process that appends, snapshots and is killed with -9 at a random moment, many times over: whatever it had
 * reported as durable is there after reopening, each record once and in order.
 */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "journal_help.h"
#include "tap.h"

enum { SMALL = 4096, ROUNDS = 200, KEEP = 300, A_FEW = 10, LONGEST = 64 };

static char dir[128];
static struct zn_loc loc[SEEN_MAX];

struct range {
	uint64_t from, to;
};

static int write_range(void *arg, struct zn_snapshot *s)
{
	const struct range *r = arg;

	for (uint64_t id = r->from; id < r->to; id++) {
		int rc = zn_snapshot_copy(s, id, loc[id]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void note_moved(void *arg, uint64_t tag, struct zn_loc to)
{
	(void)arg;
	loc[tag] = to;
}

static void report(int fd, uint64_t durable, const uint64_t *id_of, uint64_t base)
{
	if (durable >= base && write(fd, &id_of[durable - base], sizeof(*id_of)) < 0)
		_exit(3);
}

/* Appends id, id+1, ... in bursts and reports the last one durable, until killed.  Bad news goes out as an exit. */
static _Noreturn void work(struct zn_journal *j, uint64_t id, int fd, unsigned seed)
{
	static uint64_t id_of[SEEN_MAX];
	uint64_t base = (uint64_t)zn_journal_durable(j) + 1;
	struct range range = { 0 };
	struct zn_snapshot_job job = { .arg = &range, .write = write_range, .moved = note_moved };
	struct pollfd p = { .fd = zn_journal_fd(j), .events = POLLIN };

	for (;;) {
		for (int n = rand_r(&seed) % 20; n >= 0; n--, id++) {
			int64_t seq = append_id(j, id, &loc[id]);
			if (seq < 0 || (uint64_t)seq - base >= SEEN_MAX || id + 64 > SEEN_MAX)
				_exit(1);
			id_of[(uint64_t)seq - base] = id;
		}
		zn_journal_kick(j);
		if (poll(&p, 1, 10000) != 1)
			_exit(2);
		/* A snapshot's own number stands for no record; then the one before it does. */
		uint64_t durable = (uint64_t)zn_journal_durable(j);
		while (durable > base && !id_of[durable - base])
			durable--;
		report(fd, durable, id_of, base);
		if (zn_journal_snapshot_poll(j) == -ESRCH && rand_r(&seed) % 16 == 0) {
			range = (struct range){ .from = id > KEEP ? id - KEEP : 0, .to = id };
			if (zn_journal_snapshot_start(j, &job) < 0)
				_exit(4);
		}
	}
}

static void doze(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

/* A child that wrote a snapshot may have the lock for a moment longer than who was killed. */
static struct zn_journal *open_after_kill(void)
{
	struct zn_journal *j = open_journal(dir, SMALL);

	for (int i = 0; !j && i < 500; i++) {
		doze(10000000);
		j = open_journal(dir, SMALL);
	}
	return j;
}

/* Runs one life, which is so many times longer, and returns the last id that was reported, or 0; ret_status: how it ended. */
static uint64_t live_and_die(uint64_t next_id, int longer, unsigned *seed, int *ret_status)
{
	uint64_t id, last = 0;
	int fds[2];

	if (pipe(fds) < 0)
		exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		struct zn_journal *j = open_journal(dir, SMALL);
		if (!j)
			_exit(5);
		for (size_t i = 0; i < seen.n; i++)
			loc[seen.rec[i].id] = seen.rec[i].loc;
		work(j, next_id, fds[1], *seed);
	}
	close(fds[1]);
	if (rand_r(seed) % 4) {
		if (read(fds[0], &id, sizeof(id)) == sizeof(id))
			last = id;
	}
	doze(rand_r(seed) % 8000000 * (long)longer);
	kill(pid, SIGKILL);
	waitpid(pid, ret_status, 0);
	while (read(fds[0], &id, sizeof(id)) == sizeof(id))
		last = id;
	close(fds[0]);
	return last;
}

/* Each once, in order, none missing in between, the newest KEEP at least. */
static bool is_gapless(uint64_t reported)
{
	if (reported && (!seen.n || seen.rec[seen.n - 1].id < reported))
		return false;
	for (size_t i = 1; i < seen.n; i++)
		if (seen.rec[i].id != seen.rec[i - 1].id + 1)
			return false;
	return !seen.n || seen.rec[0].id == 1 || seen.n >= KEEP;
}

int main(void)
{
	const char *chosen = getenv("ZENITH_TEST_SEED");
	unsigned seed = chosen ? (unsigned)atoi(chosen) : (unsigned)time(NULL);
	uint64_t next_id = 1, reported = 0, lives = 0, bad = 0, damaged = 0, odd = 0;

	make_scratch();
	snprintf(dir, sizeof(dir), "%s/crash", scratch);
	printf("# ZENITH_TEST_SEED=%u\n", seed);
	/* where processes are slow none may live long enough to end a snapshot, and the journal only grows: then longer ones */
	int longer = 1;
	for (int round = 0; !bad && (round < ROUNDS || (round < 2 * ROUNDS && !find_files(dir, ".zs", NULL))); round++) {
		int status;
		if (round % A_FEW == A_FEW - 1 && longer < LONGEST && !find_files(dir, ".zs", NULL))
			longer *= 2;
		uint64_t last = live_and_die(next_id, longer, &seed, &status);
		odd += !WIFSIGNALED(status);
		lives += last > reported;
		if (last)
			reported = last;
		struct zn_journal *j = open_after_kill();
		bad += !j || !is_gapless(reported);
		damaged += seen.damaged;
		if (j && seen.n)
			next_id = seen.rec[seen.n - 1].id + 1;
		zn_journal_close(j);
	}
	zn_journal_close(open_after_kill());
	tap_ok(bad == 0, "after %d kills every record that was reported durable is there, once and in order "
	       "(last %llu, reported %llu)", ROUNDS, (unsigned long long)next_id - 1, (unsigned long long)reported);
	tap_ok(odd == 0, "no life ended in any other way (%llu did)", (unsigned long long)odd);
	tap_ok(lives > ROUNDS / 3, "most lives got something done (%llu)", (unsigned long long)lives);
	tap_ok(damaged == 0, "nothing was damaged");
	tap_ok(find_files(dir, ".tmp", NULL) == 0 && find_files(dir, "spare-1", NULL) == 1 &&
	       find_files(dir, ".zs", NULL) == 1, "and nothing unfinished is left");
	remove_tree(scratch);
	return tap_done();
}
