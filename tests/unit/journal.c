/* What a journal promises about the bytes on the disk: order, damage, rotation, space. */
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tap.h"
#include "journal_help.h"

enum { SMALL = 4096 };

static char dir[256];

static const char *fresh(const char *name)
{
	snprintf(dir, sizeof(dir), "%s/%s", scratch, name);
	remove_tree(dir);
	return dir;
}

static void test_reopen(void)
{
	struct zn_journal *j = open_journal(fresh("reopen"), 0);
	struct stat st;
	char path[256];

	tap_ok(j && seen.n == 0 && zn_journal_durable(j) == 0, "a new journal is empty");
	tap_ok(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700, "its directory is private");
	tap_ok(append_id(j, 0, NULL) == 1 && append_id(j, 1, NULL) == 2, "numbers begin at 1 and rise");
	tap_ok(append_ids(j, 2, 98, NULL) && zn_journal_durable(j) == 100, "after a flush all is durable");
	uint64_t bytes = zn_journal_bytes(j);
	zn_journal_close(j);

	j = open_journal(dir, 0);
	tap_ok(j && saw_ids(0, 100) && !seen.damaged, "all is there in order after reopening");
	tap_ok(zn_journal_bytes(j) == bytes && zn_journal_durable(j) == 100, "size and number go on");
	tap_ok(append_id(j, 100, NULL) == 101, "the next number follows");
	zn_journal_close(j);
	j = open_journal(dir, 0);
	tap_ok(j && saw_ids(0, 101), "closing makes what was appended durable");
	zn_journal_close(j);
	find_files(dir, ".zj", path);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "a segment is private");
}

static void test_event(void)
{
	struct zn_journal *j = open_journal(fresh("event"), 0);
	struct pollfd p = { .fd = zn_journal_fd(j), .events = POLLIN };

	append_id(j, 1, NULL);
	zn_journal_kick(j);
	tap_ok(poll(&p, 1, 10000) == 1, "the descriptor is readable when the number has grown");
	tap_ok(zn_journal_durable(j) == 1 && poll(&p, 1, 0) == 0, "asking for the number empties it");
	zn_journal_close(j);
}

static void test_lock(void)
{
	struct zn_journal *j = open_journal(fresh("lock"), 0), *other;
	struct zn_journal_opts ro = { .read_only = true };
	struct zn_err err;

	append_ids(j, 0, 5, NULL);
	tap_ok(zn_journal_open(dir, NULL, &remember, &other, &err) == -EBUSY && strstr(err.text, "in use"),
	       "a second opening is refused: %s", err.text);
	seen.n = 0;
	tap_ok(zn_journal_open(dir, &ro, &remember, &other, &err) == 0 && saw_ids(0, 5),
	       "reading only is allowed meanwhile");
	tap_ok(append_id(other, 9, NULL) == -EROFS && zn_journal_room(other) == 0, "and can't append");
	zn_journal_close(other);
	zn_journal_close(j);
	tap_ok(zn_journal_open("/proc/self/nothing", &ro, &remember, &other, &err) == -ENOENT,
	       "reading what is not there: %s", err.text);
}

static int refuse(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	(void)arg, (void)loc, (void)payload, (void)len;
	return seq == 3 ? -EDOM : 0;
}

static void test_refusal(void)
{
	struct zn_journal *j = open_journal(fresh("refusal"), 0);
	const struct zn_journal_replay r = { .record = refuse };
	struct zn_err err;

	append_ids(j, 0, 5, NULL);
	zn_journal_close(j);
	tap_ok(zn_journal_open(dir, NULL, &r, &j, &err) == -EDOM && strstr(err.text, "record 3 at byte"),
	       "a record that the caller refuses stops the opening: %s", err.text);
}

/* A directory of five records, and where each frame begins. */
static struct image five(struct zn_arena *a, char path[256], size_t begin[6])
{
	struct zn_journal *j = open_journal(fresh("five"), SMALL);
	struct zn_loc loc[5];

	append_ids(j, 0, 5, loc);
	zn_journal_close(j);
	find_files(dir, ".zj", path);
	struct image im = load_records(a, path);
	for (int i = 0; i < 5; i++)
		begin[i] = loc[i].offset - ZN_FRAME_HEAD;
	begin[5] = im.len;
	return im;
}

/* With a file as long as what was written, and with cleared space behind it, in which a head's last zeros can't be seen. */
static bool survives_cut(struct image im, const char *path, const size_t begin[6], size_t cut, bool cleared)
{
	size_t whole = 0, was = cut;

	while (whole < 5 && begin[whole + 1] <= cut)
		whole++;
	store(path, im.data, cut);
	while (cut > begin[whole] && !im.data[cut - 1])
		cut--;
	if (cleared && truncate(path, (off_t)was + 3000) < 0)
		return false;
	struct zn_journal *j = open_journal(dir, SMALL);
	bool good = j && saw_ids(0, whole) && seen.damaged == (cut > begin[whole]);
	if (seen.damaged)
		good &= seen.damage[0].offset == begin[whole] && seen.damage[0].len == cut - begin[whole];
	good = good && append_ids(j, whole, 2, NULL);
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	good = good && j && saw_ids(0, whole + 2) && !seen.damaged;
	zn_journal_close(j);
	return good;
}

static void test_cuts(void)
{
	struct zn_arena a = { 0 };
	char path[256];
	size_t begin[6], bad = 0;
	struct image im = five(&a, path, begin);

	for (size_t cut = begin[3]; cut <= im.len; cut++)
		for (int cleared = 0; cleared < 2; cleared++)
			bad += !survives_cut(im, path, begin, cut, cleared);
	bad += !survives_cut(im, path, begin, 0, false) + !survives_cut(im, path, begin, 1, false);
	tap_ok(bad == 0, "cut at any byte of the last frames, all before is there and appends go on (%zu bad)", bad);
	zn_arena_done(&a);
}

/* One byte of frame `hit` flipped: the other four are there, and the range is reported. */
static bool survives_flip(struct image im, const char *path, const size_t begin[6], size_t hit, size_t at)
{
	im.data[at] ^= 0x10;
	store(path, im.data, im.len);
	im.data[at] ^= 0x10;
	struct zn_journal *j = open_journal(dir, SMALL);
	bool good = j && seen.n == 4 && seen.damaged == 1 && seen.damage[0].offset == begin[hit] &&
	            seen.damage[0].len == begin[hit + 1] - begin[hit];
	for (size_t i = 0; good && i < 4; i++)
		good = seen.rec[i].id == i + (i >= hit);
	/* The number of what was lost is not given out again. */
	good = good && append_id(j, 5, NULL) > 5 && zn_journal_flush(j) == 0;
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	good = good && j && seen.n == 5 && seen.rec[4].id == 5;
	zn_journal_close(j);
	return good;
}

static void test_flips(void)
{
	static const struct { size_t frame; const char *name; } hits[] = {
		{ 0, "first" }, { 2, "middle" }, { 4, "last" },
	};
	struct zn_arena a = { 0 };
	char path[256];
	size_t begin[6];
	struct image im = five(&a, path, begin);

	for (size_t h = 0; h < 3; h++) {
		size_t hit = hits[h].frame, bad = 0;
		for (size_t at = begin[hit]; at < begin[hit + 1]; at++)
			bad += !survives_flip(im, path, begin, hit, at);
		tap_ok(bad == 0, "any byte of the %s frame flipped: only that frame is lost, and reported (%zu bad)",
		       hits[h].name, bad);
	}
	zn_arena_done(&a);
}

/* A segment that is not the newest is damaged at its end, over zeroes, and at its beginning. */
static void test_old_segment_damage(void)
{
	struct zn_journal *j = open_journal(fresh("old"), SMALL);
	struct zn_arena a = { 0 };
	char path[256];

	append_ids(j, 0, 300, NULL);
	zn_journal_close(j);
	snprintf(path, sizeof(path), "%.128s/%016x.zj", dir, 1);
	struct image im = load(&a, path);
	memset(im.data, 0, 512);
	store(path, im.data, im.len - 10);
	j = open_journal(dir, SMALL);
	tap_ok(j && seen.damaged == 2 && seen.damage[0].offset == 0 && seen.damage[0].len >= 512 &&
	       seen.n > 250 && seen.rec[seen.n - 1].id == 299, "a lost first sector and a cut end cost what they hit");
	tap_ok(append_ids(j, 300, 1, NULL) && zn_journal_durable(j) == 301, "and later numbers are as they were");
	zn_journal_close(j);
	zn_arena_done(&a);
}

/* A record made of well-formed frames, torn: none of its inside may be believed. */
static void test_forgery(void)
{
	struct zn_journal *j = open_journal(fresh("forgery"), 0);
	struct zn_buf forged = { 0 };
	struct zn_arena a = { 0 };
	char path[256], text[128];

	for (uint32_t nonce = 0; nonce < 64; nonce++)
		zn_frame_put(&forged, 1000 + nonce, nonce, text, record_text(666, text));
	append_ids(j, 0, 3, NULL);
	zn_journal_append(j, forged.data, forged.len, NULL);
	zn_journal_close(j);
	find_files(dir, ".zj", path);
	struct image im = load_records(&a, path);
	store(path, im.data, im.len - 1);
	j = open_journal(dir, 0);
	tap_ok(j && saw_ids(0, 3) && seen.damaged == 1, "frames inside a torn record are not believed");
	zn_journal_close(j);
	zn_arena_done(&a);
	zn_buf_done(&forged);
}

static void test_rotation(void)
{
	struct zn_journal *j = open_journal(fresh("rotation"), SMALL);
	static struct zn_loc loc[2000];
	bool good = append_ids(j, 0, 2000, loc), got = true;

	for (size_t i = 0; i < 2000; i++)
		got &= has_id(j, loc[i], i);
	tap_ok(good && got && find_files(dir, ".zj", NULL) > 20, "segments are begun as they fill up");
	zn_journal_close(j);
	j = open_journal(dir, SMALL);
	got = j && saw_ids(0, 2000);
	for (size_t i = 0; got && i < 2000; i++)
		got = seen.rec[i].loc.file == loc[i].file && seen.rec[i].loc.offset == loc[i].offset;
	tap_ok(got, "they are read in order, and each record is where it was said to be");
	zn_journal_close(j);
}

static int count(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	(void)seq, (void)loc, (void)payload;
	((size_t *)arg)[0]++;
	((size_t *)arg)[1] += len;
	return 0;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* What makes a sync cheap: it has no new length to write. */
static void test_cleared(void)
{
	struct zn_journal *j = open_journal(fresh("cleared"), 0);
	struct zn_loc loc[1000];
	char path[256];

	append_ids(j, 0, 1, loc);
	find_files(dir, ".zj", path);
	off_t size = size_of(path);
	tap_ok(size > (off_t)loc[0].offset + 100000, "behind the first record space is cleared");
	tap_ok(append_ids(j, 1, 1000, loc) && size_of(path) == size, "a thousand more do not make the file longer");
	zn_journal_close(j);

	j = open_journal(fresh("cleared"), SMALL);
	append_ids(j, 0, 100, loc);
	snprintf(path, sizeof(path), "%.128s/%016x.zj", dir, 1);
	struct zn_arena a = { 0 };
	tap_ok(find_files(dir, ".zj", NULL) > 1 && load(&a, path).len == load_records(&a, path).len,
	       "a segment that is full ends with its last record");
	zn_arena_done(&a);
	zn_journal_close(j);
}

/* Whoever appends is read meanwhile: what is durable, and no damage. */
static bool reads_beside(struct zn_journal *j, uint64_t n)
{
	static char record[300000];
	size_t got[2];
	const struct zn_journal_opts ro = { .read_only = true };
	const struct zn_journal_replay r = { .arg = got, .record = count, .damage = saw_damage };
	bool good = true;

	memset(record, 'x', sizeof(record));
	for (uint64_t i = 0; good && i < n; i++) {
		good = zn_journal_append(j, record, sizeof(record), NULL) > 0;
		zn_journal_kick(j);
		for (uint64_t durable = 0; good && durable <= i;) {
			struct zn_journal *other = NULL;
			durable = zn_journal_durable(j);
			got[0] = got[1] = 0;
			good = zn_journal_open(dir, &ro, &r, &other, NULL) == 0 && got[0] >= durable;
			zn_journal_close(other);
		}
	}
	return good;
}

static void test_beside(void)
{
	bool good = true;

	seen.damaged = 0;
	for (int i = 0; good && i < 20; i++) {
		struct zn_journal *j = open_journal(fresh("beside"), 0);
		good = reads_beside(j, 10) && !seen.damaged;
		zn_journal_close(j);
	}
	tap_ok(good, "who reads what is just written meets no damage");
}

static void test_large(void)
{
	struct zn_journal *j = open_journal(fresh("large"), SMALL);
	size_t sum[2] = { 0 }, len = 3 << 20;
	const struct zn_journal_replay r = { .arg = sum, .record = count };
	char *big = calloc(1, len), *huge = calloc(1, (64 << 20) + 1);
	struct zn_loc loc;

	bool good = zn_journal_append(j, big, len, NULL) == 1 && zn_journal_append(j, "", 0, NULL) == 2 &&
	            zn_journal_append(j, big, len, &loc) == 3 && zn_journal_append(j, "x", 1, NULL) == 4;
	tap_ok(good && zn_journal_flush(j) == 0, "records larger than a segment, and empty ones, are taken");
	tap_ok(zn_journal_append(j, huge, (64 << 20) + 1, NULL) == -EMSGSIZE, "one over 64 MiB is refused");
	zn_journal_close(j);
	tap_ok(zn_journal_open(dir, NULL, &r, &j, NULL) == 0 && sum[0] == 4 && sum[1] == 2 * len + 1,
	       "and are there again");
	zn_journal_close(j);
	free(big);
	free(huge);
}

/* Nobody kicks: past 64 MiB the append itself does, and memory stays bounded. */
static void test_burst(void)
{
	struct zn_journal *j = open_journal(fresh("burst"), 0);
	size_t len = 1 << 20;
	char *big = calloc(1, len);
	bool good = true;

	for (int i = 0; good && i < 68; i++)
		good = zn_journal_append(j, big, len, NULL) > 0;
	tap_ok(good && zn_journal_durable(j) >= 60, "a burst over 64 MiB is committed without being asked");
	zn_journal_close(j);
	remove_tree(dir);
	free(big);
}

static void test_get(void)
{
	struct zn_journal *j = open_journal(fresh("get"), 0);
	static struct zn_loc loc[3000];
	struct zn_arena a = { 0 };
	const char *p;
	char path[256];
	bool good = true;

	append_id(j, 0, &loc[0]);
	tap_ok(has_id(j, loc[0], 0), "a record is readable while it is in the buffer");
	for (size_t i = 1; i < 3000; i++) {
		append_id(j, i, &loc[i]);
		if (i % 10 == 0)
			zn_journal_kick(j);
		good &= has_id(j, loc[i], i) && has_id(j, loc[i / 2], i / 2);
	}
	tap_ok(good, "and while it is being committed");
	zn_journal_flush(j);
	good = true;
	for (size_t i = 0; i < 3000; i++)
		good &= has_id(j, loc[i], i);
	tap_ok(good, "and when it is on the disk");
	find_files(dir, ".zj", path);
	int fd = open(path, O_WRONLY);
	good = pwrite(fd, "!", 1, (off_t)loc[7].offset + 3) == 1;
	close(fd);
	tap_ok(good && zn_journal_get(j, loc[7], &a, &p, NULL) == -EBADMSG && has_id(j, loc[8], 8),
	       "a record that has rotted is not handed out");
	struct zn_loc no = { .file = 99, .offset = 28, .len = 1 };
	tap_ok(zn_journal_get(j, no, &a, &p, NULL) == -ENOENT, "nor one whose file is gone");
	zn_arena_done(&a);
	zn_journal_close(j);
}

/* The kernel refuses to let the file grow: as good as a disk that fails. */
static void test_failure(void)
{
	struct zn_journal *j = open_journal(fresh("failure"), 1 << 20);
	struct rlimit was, low;
	struct pollfd p = { .fd = zn_journal_fd(j), .events = POLLIN };
	struct zn_err err;

	append_ids(j, 0, 10, NULL);
	zn_journal_durable(j);
	getrlimit(RLIMIT_FSIZE, &was);
	low = was;
	low.rlim_cur = 2000;
	setrlimit(RLIMIT_FSIZE, &low);
	for (uint64_t id = 10; id < 100; id++)
		append_id(j, id, NULL);
	zn_journal_kick(j);
	bool told = poll(&p, 1, 10000) == 1 && zn_journal_durable(j) == -EIO;
	setrlimit(RLIMIT_FSIZE, &was);
	tap_ok(told, "a failed write wakes the loop and is told");
	tap_ok(append_id(j, 100, NULL) == -EIO && zn_journal_flush(j) == -EIO && zn_journal_room(j) == 0,
	       "nothing is taken from then on, though the disk would");
	tap_ok(zn_journal_failure(j, &err) == -EIO && strstr(err.text, ".zj': File too large"), "it says why: %s",
	       err.text);
	zn_journal_close(j);
	j = open_journal(dir, 0);
	bool good = j && seen.n >= 10;
	for (size_t i = 0; good && i < seen.n; i++)
		good = seen.rec[i].id == i;
	tap_ok(good, "what was durable before is there");
	zn_journal_close(j);
}

/* ---- a full disk ------------------------------------------------------------------------------- */

static bool tell_kernel(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

static bool own_namespace(void)
{
	char uids[64], gids[64];

	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
	return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 && tell_kernel("/proc/self/setgroups", "deny") &&
	       tell_kernel("/proc/self/uid_map", uids) && tell_kernel("/proc/self/gid_map", gids);
}

static bool mount_small(const char *at)
{
	return mkdir(at, 0700) == 0 && own_namespace() &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", at, "tmpfs", 0, "size=4m") == 0;
}

static int fill(const char *at)
{
	static char block[4096];
	char path[256];

	snprintf(path, sizeof(path), "%.128s/filling", at);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	int rc = errno;
	close(fd);
	return rc;
}

static void on_full_disk(const char *at)
{
	enum { SEGMENT = 256 << 10 };
	static char submission[4096];
	char path[256];

	snprintf(path, sizeof(path), "%.128s/journal", at);
	struct zn_journal *j = open_journal(path, SEGMENT);
	if (!tap_ok(j && zn_journal_room(j) == SEGMENT, "a new journal has a spare"))
		return;
	append_ids(j, 0, 1, NULL);
	tap_ok(zn_journal_room(j) > SEGMENT && fill(at) == ENOSPC, "and one is made when it is taken");
	zn_journal_close(j);
	j = open_journal(path, SEGMENT);
	uint64_t room = zn_journal_room(j), low = room;
	tap_ok(saw_ids(0, 1) && room > SEGMENT, "reopened on the full disk it has kept its %llu bytes",
	       (unsigned long long)room);

	uint64_t reserve = SEGMENT / 2, taken = 0;
	for (; zn_journal_room(j) >= reserve; taken++)
		if (zn_journal_append(j, submission, sizeof(submission), NULL) < 0 || zn_journal_flush(j) < 0)
			break;
	tap_ok(taken > 50 && zn_journal_room(j) < reserve, "submissions go in until only the reserve is left");
	uint64_t id = 1, before = zn_journal_bytes(j);
	int64_t rc;
	for (low = zn_journal_room(j); (rc = append_id(j, id, NULL)) > 0 && zn_journal_flush(j) == 0; id++)
		;
	tap_ok(zn_journal_bytes(j) - before > low - 200, "finishes go in until it is used up (%llu of them)", (unsigned long long)id);
	tap_ok(rc == -ENOSPC && zn_journal_room(j) < 100 && zn_journal_failure(j, NULL) == 0,
	       "then an append is refused, and the journal has not failed");
	snprintf(path, sizeof(path), "%.128s/filling", at);
	unlink(path);
	tap_ok(append_ids(j, id, 10, NULL), "with space again it goes on");
	zn_journal_close(j);
}

/* In a child, because the mount namespace is its own. */
static void test_full_disk(void)
{
	int *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), status = 0;
	char at[128];
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(at, sizeof(at), "%s/small", scratch);
		if (mount_small(at))
			on_full_disk(at);
		else
			tap_ok(true, "a full disk # SKIP can't mount a tmpfs here: %s", strerror(errno));
		counts[0] = tap_count;
		counts[1] = tap_failed;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tap_count = counts[0] ? counts[0] : tap_count;
	tap_failed = counts[0] ? counts[1] : tap_failed;
	if (status)
		tap_ok(false, "the child that fills the disk ended with status %d", status);
}

int main(void)
{
	make_scratch();
	test_reopen();
	test_event();
	test_lock();
	test_refusal();
	test_cuts();
	test_flips();
	test_old_segment_damage();
	test_forgery();
	test_rotation();
	test_cleared();
	test_beside();
	test_large();
	test_burst();
	test_get();
	test_failure();
	test_full_disk();
	remove_tree(scratch);
	return tap_done();
}
