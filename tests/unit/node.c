/* node: the agent's log, its messages and the leases. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/lease.h"
#include "node/log.h"
#include "node/task.h"
#include "rec/frame.h"
#include "tap.h"

static char dir[] = "/tmp/zn-node.XXXXXX";
static int home;

struct seen {
	unsigned begins, starts, reports, acks;
	uint64_t seqs[64], jobs[64];
};

static int note(void *ctx, const struct zn_log_entry *e)
{
	struct seen *s = ctx;

	s->begins += e->begin != NULL;
	s->starts += e->start != NULL;
	s->acks += e->ack != NULL;
	if (e->report && s->reports < 64) {
		s->seqs[s->reports] = e->seq;
		s->jobs[s->reports++] = e->report->job;
	}
	return 0;
}

static struct seen read_all(struct zn_log *log)
{
	struct seen s = { 0 };

	if (zn_log_read(log, note, &s) < 0)
		s.reports = 99;
	return s;
}

static int add(uint64_t job)
{
	struct zn_msg_report r = { .what = "exited", .job = job, .attempt = 1, .exit_code = ZN_SOME_I64(3), .reason = "x" };

	return zn_log_append(home, &zn_msg_report_kind, &r, false);
}

static struct zn_log reopen(struct zn_log *old)
{
	struct zn_log log;

	zn_log_close(old);
	if (zn_log_open(home, &log, NULL) < 0)
		exit(1);
	return log;
}

static void test_log(void)
{
	struct zn_log_start start = { .job = 1, .attempt = 1, .pid = 5, .ticks = 6, .hold = "1.1" };
	struct zn_buf none = { 0 }, keep = { 0 };
	struct zn_log log;

	tap_ok(zn_log_open(home, &log, NULL) == 0 && zn_log_rewrite(&log, &none) == 0, "a log is begun");
	tap_ok(zn_log_append(home, &zn_log_start_kind, &start, false) == 0 && add(1) == 0 && add(2) == 0, "entries are added");
	struct seen s = read_all(&log);
	tap_ok(s.starts == 1 && s.reports == 2 && s.jobs[1] == 2 && s.seqs[0] < s.seqs[1], "and read in order, numbers rising");
	tap_ok(read_all(&log).reports == 0, "once");
	add(3);
	struct seen more = read_all(&log);
	tap_ok(more.reports == 1 && more.seqs[0] > s.seqs[1], "what is added later is read later");
	log = reopen(&log);
	struct seen again = read_all(&log);
	tap_ok(again.begins == 1 && again.reports == 3 && again.seqs[0] == s.seqs[0] && again.seqs[2] == more.seqs[0],
	       "another reader gives them the same numbers");
	struct zn_msg_report old = { .what = "exited", .seq = s.seqs[1], .job = 2, .attempt = 1 };
	zn_msg_put(&keep, 0, 0, &zn_msg_report_kind, &old);
	add(4);
	tap_ok(zn_log_rewrite(&log, &keep) == -EAGAIN, "a rewrite waits until everything was read");
	read_all(&log);
	tap_ok(zn_log_rewrite(&log, &keep) == 0 && add(5) == 0, "then it replaces the file");
	tap_ok(read_all(&log).reports == 1, "whose kept entries are not read again");
	log = reopen(&log);
	struct seen kept = read_all(&log);
	tap_ok(kept.reports == 2 && kept.seqs[0] == s.seqs[1] && kept.seqs[1] > more.seqs[0],
	       "a kept entry has its number still, a new one a larger one than ever");
	tap_ok(zn_log_reserve(&log) == 0, "space can be reserved");
	zn_log_close(&log);
	zn_buf_done(&keep);
}

static void write_at(off_t at, const void *p, size_t n)
{
	int fd = openat(home, "events", O_WRONLY);

	if (fd < 0 || pwrite(fd, p, n, at) != (ssize_t)n)
		exit(1);
	close(fd);
}

static void test_damage(void)
{
	struct zn_buf none = { 0 };
	struct zn_log log;
	uint64_t ends[4];

	zn_log_open(home, &log, NULL);
	read_all(&log);
	zn_log_rewrite(&log, &none);
	for (int i = 0; i < 4; i++) {
		add((uint64_t)i + 1);
		ends[i] = zn_log_size(&log);
	}
	write_at((off_t)ends[1] - 5, "\xff", 1);
	struct seen s = read_all(&log);
	tap_ok(s.reports == 3 && s.jobs[1] == 3 && log.damaged_bytes == ends[1] - ends[0], "a flipped byte costs one entry");
	tap_ok(s.seqs[1] - s.seqs[0] == ends[2] - ends[0], "and shifts no number");
	unsigned wrong = 0;
	for (uint64_t cut = ends[2] + 1; cut < ends[3]; cut++) {
		wrong += ftruncate(log.fd, (off_t)cut) < 0;
		log = reopen(&log);
		wrong += read_all(&log).reports != 2; /* of three, one is damaged */
		add(9);
		struct seen t = read_all(&log);
		wrong += t.reports != 1 || t.jobs[0] != 9;
	}
	tap_ok(!wrong, "a tail torn at any byte hides neither what is before nor what comes after");
	zn_log_close(&log);
}

static void test_messages(void)
{
	struct zn_msg_start m = { .job = 7, .attempt = 2, .command = "x", .tasks = 3, .grace_s = 1.5 }, back;
	struct zn_arena a = { 0 };
	struct zn_buf b = { 0 };
	struct zn_frame f;
	msgpack_object map;
	unsigned wrong = 0;

	zn_msg_put(&b, 5, 6, &zn_msg_start_kind, &m);
	for (size_t n = 0; n < b.len; n++)
		wrong += zn_frame_get(b.data, n, &f) != 0;
	tap_ok(!wrong && zn_frame_get(b.data, b.len, &f) == (ssize_t)b.len, "a message cut at any byte is not one yet");
	tap_ok(zn_msg_unpack(&f, &a, &map, NULL) == 0 && zn_decode(&zn_msg_start_kind, &map, &a, &back, NULL) == 0 &&
	       back.job == 7 && back.tasks == 3 && back.grace_s == 1.5 && !back.limit_s.has && f.seq == 5 && f.nonce == 6,
	       "a whole one comes back as it was");
	struct zn_err err = { .text = "" };
	f.payload = "\x01\x02";
	f.len = 2;
	tap_ok(zn_msg_unpack(&f, &a, &map, &err) == -EBADMSG && err.text[0], "two values are no message: %s", err.text);
	f.len = 1;
	tap_ok(zn_msg_unpack(&f, &a, &map, &err) == -EBADMSG, "nor is a number");
	zn_arena_done(&a);
	zn_buf_done(&b);
}

static void test_leases(void)
{
	struct zn_gpu gpu = { .gpu = 3, .uuid = "GPU-1/../x" }, other = { .gpu = 4, .pci = "0000:01:00.0" };
	struct zn_lease_holder h;
	struct zn_err err = { .text = "" };
	char path[64], file[128];

	snprintf(path, sizeof(path), "%s/leases", dir);
	setenv("ZENITH_LEASE_DIR", path, 1);
	int d = zn_lease_dir(&err);
	struct stat st;
	tap_ok(d >= 0 && fstat(d, &st) == 0 && (st.st_mode & 07777) == 01777, "the lease directory is made for everybody");
	int one = zn_lease_take(d, &gpu, &h, &err), two = zn_lease_take(d, &other, &h, &err);
	tap_ok(one >= 0 && two >= 0, "each GPU has a lease of its own");
	tap_ok(zn_lease_take(d, &gpu, &h, &err) == -EBUSY && h.pid == getpid(), "a lease has one holder: %s", err.text);
	tap_ok(zn_lease_is_held(d, &gpu, &h) && h.pid == getpid(), "who can be seen without touching it");
	pid_t pid = fork();
	if (pid == 0)
		_exit(one < 0);
	waitpid(pid, NULL, 0);
	tap_ok(zn_lease_is_held(d, &gpu, &h), "a process that inherited it and ended changes nothing");
	close(one);
	tap_ok(!zn_lease_is_held(d, &gpu, &h), "it ends with its descriptor");
	snprintf(file, sizeof(file), "%s/GPU-1_.._x", path);
	tap_ok(access(file, F_OK) == 0, "no name leaves the directory");
	unlink(file);
	tap_ok(symlink("/etc/passwd", file) == 0 && zn_lease_take(d, &gpu, &h, &err) == -ELOOP, "a symlink is no lease: %s", err.text);
	unlink(file);
	snprintf(path, sizeof(path), "%s/leases/0000:01:00.0", dir);
	tap_ok(link(path, file) == 0 && zn_lease_take(d, &gpu, &h, &err) < 0, "nor is a second name of another's: %s", err.text);
	close(two);
	tap_ok(zn_lease_take(d, &gpu, &h, &err) == -EPERM, "held by nobody, either: %s", err.text);
	close(d);
}

static void test_ports(void)
{
	char a[8], b[8];
	int fd1 = -1, fd2 = -1;

	tap_ok(zn_task_port(0, a, sizeof(a), &fd1) == 0 && zn_task_port(0, b, sizeof(b), &fd2) == 0 && strcmp(a, b) != 0,
	       "two jobs have two ports: %s, %s", a, b);
	close(fd1);
	close(fd2);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	home = open(dir, O_RDONLY | O_DIRECTORY);
	test_log();
	test_damage();
	test_messages();
	test_leases();
	test_ports();
	char rm[80];
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	tap_ok(system(rm) == 0, "tidied up");
	return tap_done();
}
