/* journal_help: what the journal's tests share: a scratch directory, numbered records, and a replay that
 * remembers what it was told.
 */
#ifndef ZN_TESTS_JOURNAL_HELP_H
#define ZN_TESTS_JOURNAL_HELP_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "queue/journal.h"
#include "rec/frame.h"

enum { SEEN_MAX = 200000 };

struct seen {
	size_t n, damaged;
	struct { uint64_t seq, id; struct zn_loc loc; } rec[SEEN_MAX];
	struct { char name[32]; uint64_t offset, len; } damage[64];
};

static struct seen seen;
static char scratch[64];

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void make_scratch(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%s/zn-journal-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(scratch)) {
		perror(scratch);
		exit(1);
	}
}

/* A record is its number in eight digits and a filling whose length depends on it. */
static inline size_t record_text(uint64_t id, char to[128])
{
	return (size_t)snprintf(to, 128, "%08llu %.*s", (unsigned long long)id, (int)(id % 23),
	                        "the quick brown fox jumps");
}

static inline int saw(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	char want[128];
	uint64_t id = strtoull(payload, NULL, 10);

	(void)arg;
	if (len != record_text(id, want) || memcmp(want, payload, len) != 0)
		return -EBADMSG;
	if (seen.n == SEEN_MAX)
		return -E2BIG;
	seen.rec[seen.n].seq = seq;
	seen.rec[seen.n].loc = loc;
	seen.rec[seen.n++].id = id;
	return 0;
}

static inline void saw_damage(void *arg, const char *path, uint64_t offset, uint64_t len)
{
	(void)arg;
	if (seen.damaged < 64) {
		snprintf(seen.damage[seen.damaged].name, 32, "%s", strrchr(path, '/') + 1);
		seen.damage[seen.damaged].offset = offset;
		seen.damage[seen.damaged].len = len;
	}
	seen.damaged++;
}

static const struct zn_journal_replay remember = { .record = saw, .damage = saw_damage };

/* NULL, with the sentence on stderr, when it can't be opened. */
static inline struct zn_journal *open_journal(const char *dir, uint64_t segment_bytes)
{
	struct zn_journal_opts opts = { .segment_bytes = segment_bytes };
	struct zn_journal *j = NULL;
	struct zn_err err = { 0 };

	seen.n = seen.damaged = 0;
	if (zn_journal_open(dir, &opts, &remember, &j, &err) < 0)
		fprintf(stderr, "# %s\n", err.text);
	return j;
}

static inline int64_t append_id(struct zn_journal *j, uint64_t id, struct zn_loc *ret)
{
	char text[128];

	return zn_journal_append(j, text, record_text(id, text), ret);
}

/* Appends ids first .. first+n-1; false if one fails. */
static inline bool append_ids(struct zn_journal *j, uint64_t first, size_t n, struct zn_loc *ret)
{
	for (size_t i = 0; i < n; i++)
		if (append_id(j, first + i, ret ? ret + i : NULL) < 0)
			return false;
	return zn_journal_flush(j) == 0;
}

/* Were exactly ids first .. first+n-1 seen, in order, with rising numbers? */
static inline bool saw_ids(uint64_t first, size_t n)
{
	for (size_t i = 0; i < seen.n; i++)
		if (seen.rec[i].id != first + i || (i && seen.rec[i].seq <= seen.rec[i - 1].seq))
			return false;
	return seen.n == n;
}

static inline bool has_id(struct zn_journal *j, struct zn_loc loc, uint64_t id)
{
	struct zn_arena a = { 0 };
	char want[128];
	const char *got;
	size_t len, n = record_text(id, want);
	bool same = zn_journal_get(j, loc, &a, &got, &len) == 0 && len == n && strcmp(got, want) == 0;

	zn_arena_done(&a);
	return same;
}

/* How many files whose names end so; the last of them, in order of name, goes to ret_path. */
static inline int find_files(const char *dir, const char *end, char ret_path[256])
{
	struct dirent **list;
	int found = 0, n = scandir(dir, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name), tail = strlen(end);
		if (len >= tail && strcmp(list[i]->d_name + len - tail, end) == 0) {
			found++;
			if (ret_path)
				snprintf(ret_path, 256, "%.64s/%.128s", dir, list[i]->d_name);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

struct image {
	char *data;
	size_t len;
};

static inline struct image load(struct zn_arena *a, const char *path)
{
	struct image im = { 0 };

	if (zn_file_read(AT_FDCWD, path, 64 << 20, a, &im.data, &im.len) < 0) {
		perror(path);
		exit(1);
	}
	return im;
}

/* Without the cleared space behind the records, none of which ends with a zero here. */
static inline struct image load_records(struct zn_arena *a, const char *path)
{
	struct image im = load(a, path);

	while (im.len && !im.data[im.len - 1])
		im.len--;
	return im;
}

static inline void store(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || zn_write_all(fd, p, n) < 0 || close(fd) < 0) {
		perror(path);
		exit(1);
	}
}

#endif
