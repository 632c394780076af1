/* spool: records of 700 bytes a second, about what a job's submission takes, that the queue's journal has made safe from a loss of
 * power, so many at a time; and how many a second it reads back when it opens.  The journal lies in a directory of its own, which
 * goes at the end; a bench that is killed leaves it.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "bench/bench.h"
#include "queue/journal.h"

enum { RECORD = 700, REPLAYED = 100000, LONG_ENOUGH_NS = 100000000 };

struct run {
	char dir[4096];
	char record[RECORD];
	struct zn_journal *journal;
	int fd;                        /* of the peers' files: the directory's, or the one that grows */
	size_t at_once;
	uint64_t made;                 /* of the peers' files, in all */
};

/* So many rounds of one flush each, until they have taken long enough: records a second. */
static int measure(int (*flush)(struct run *r), struct run *r, double *ret, struct zn_err *err)
{
	uint64_t begin_ns = zn_boot_ns(), took_ns = 0, n = 0;
	int rc = 0;

	for (; rc == 0 && took_ns < LONG_ENOUGH_NS; n += r->at_once) {
		rc = flush(r);
		took_ns = zn_boot_ns() - begin_ns;
	}
	*ret = (double)n * 1e9 / (double)took_ns;
	return rc < 0 ? zn_err_set(err, rc, "can't write to '%s': %s", r->dir, strerror(-rc)) : 0;
}

/* ---- ours ---- */

static int flush_journal(struct run *r)
{
	int64_t rc = 0;

	for (size_t i = 0; rc >= 0 && i < r->at_once; i++)
		rc = zn_journal_append(r->journal, r->record, RECORD, NULL);
	return rc < 0 ? (int)rc : zn_journal_flush(r->journal);
}

static int measure_journal(void *arg, double *ret, struct zn_err *err)
{
	return measure(flush_journal, arg, ret, err);
}

static int open_journal(struct run *r, const struct zn_journal_replay *replay, struct zn_err *err)
{
	char path[sizeof(r->dir) + 16];

	snprintf(path, sizeof(path), "%s/journal", r->dir);
	return zn_journal_open(path, NULL, replay, &r->journal, err);
}

/* ---- peers ---- */

/* The least that any journal does: the bytes at the end of a file, and fdatasync. */
static int flush_appended(struct run *r)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->at_once; i++)
		rc = zn_write_all(r->fd, r->record, RECORD);
	return rc < 0 ? rc : fdatasync(r->fd) < 0 ? -errno : 0;
}

static int put_file(struct run *r, int fd, const char *as, const char *name)
{
	int rc = zn_write_all(fd, r->record, RECORD);

	if (rc == 0 && (fsync(fd) < 0 || renameat(r->fd, as, r->fd, name) < 0))
		rc = -errno;
	close(fd);
	return rc;
}

/* A file each, as mail queues and at(1) keep what they were given: written under another name, renamed, the directory flushed. */
static int flush_files(struct run *r)
{
	char as[32], name[32];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->at_once; i++) {
		uint64_t n = r->made++;
		snprintf(as, sizeof(as), "t%llu", (unsigned long long)n);
		snprintf(name, sizeof(name), "r%llu", (unsigned long long)n);
		int fd = openat(r->fd, as, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : put_file(r, fd, as, name);
	}
	return rc < 0 ? rc : fsync(r->fd) < 0 ? -errno : 0;
}

static int measure_appended(void *arg, double *ret, struct zn_err *err)
{
	return measure(flush_appended, arg, ret, err);
}

static int measure_files(void *arg, double *ret, struct zn_err *err)
{
	return measure(flush_files, arg, ret, err);
}

static int open_peer(struct run *r, bool is_files, struct zn_err *err)
{
	char path[sizeof(r->dir) + 16];

	snprintf(path, sizeof(path), "%s/%s", r->dir, is_files ? "files" : "appended");
	if (is_files && mkdir(path, 0700) < 0)
		return zn_err_set(err, -errno, "can't make '%s': %s", path, strerror(errno));
	r->fd = open(path, is_files ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return r->fd < 0 ? zn_err_set(err, -errno, "can't open '%s': %s", path, strerror(errno)) : 0;
}

/* ---- the figures ---- */

static int count(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	(void)seq, (void)loc, (void)payload, (void)len;
	++*(uint64_t *)arg;
	return 0;
}

static int measure_replay(void *arg, double *ret, struct zn_err *err)
{
	struct run *r = arg;
	uint64_t n = 0, begin_ns = zn_boot_ns();
	int rc = open_journal(r, &(struct zn_journal_replay){ .arg = &n, .record = count }, err);

	if (rc < 0)
		return rc;
	*ret = (double)n * 1e9 / (double)(zn_boot_ns() - begin_ns);
	zn_journal_close(r->journal);
	r->journal = NULL;
	return n == REPLAYED ? 0 : zn_err_set(err, -EBADMSG, "the journal gave back %llu records of %d", (unsigned long long)n, REPLAYED);
}

static int write_figures(const struct zn_bench_ask *ask, struct run *r, struct zn_err *err)
{
	static const struct { const char *name; size_t at_once; } all[] = {
		{ "1 a flush", 1 }, { "16 a flush", 16 }, { "128 a flush", 128 },
	};
	bool is_files = ask->against && !strcmp(ask->against, "files");
	int rc = open_journal(r, &(struct zn_journal_replay){ .arg = &r->made, .record = count }, err);

	if (rc == 0 && ask->against)
		rc = open_peer(r, is_files, err);
	for (size_t i = 0; rc == 0 && i < sizeof(all) / sizeof(*all); i++) {
		struct zn_bench_result result = { .bench = "spool", .name = all[i].name, .unit = "records/s" };
		r->at_once = all[i].at_once;
		rc = zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure_journal, r },
		                       (struct zn_bench_way){ is_files ? measure_files : measure_appended, r }, err);
	}
	if (r->journal)
		zn_journal_close(r->journal);
	r->journal = NULL;
	return rc;
}

static int replay_figure(const struct zn_bench_ask *ask, struct run *r, struct zn_err *err)
{
	struct zn_bench_result result = { .bench = "spool", .name = "read back", .unit = "records/s" };
	uint64_t n = 0;
	int rc = open_journal(r, &(struct zn_journal_replay){ .arg = &n, .record = count }, err);

	if (rc < 0)
		return rc;
	r->at_once = REPLAYED;
	rc = flush_journal(r);
	zn_journal_close(r->journal);
	r->journal = NULL;
	return rc < 0 ? zn_err_set(err, rc, "can't write to '%s': %s", r->dir, strerror(-rc))
	              : zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure_replay, r }, (struct zn_bench_way){ NULL, NULL }, err);
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st, (void)what, (void)at;
	return remove(path) < 0 ? -errno : 0;
}

/* In a directory of its own, with f. */
static int in_directory(const struct zn_bench_ask *ask, struct run *r, int (*f)(const struct zn_bench_ask *, struct run *, struct zn_err *),
                        struct zn_err *err)
{
	int n = snprintf(r->dir, sizeof(r->dir), "%s/.zn-bench.XXXXXX", ask->file ? ask->file : ".");

	if (n < 0 || (size_t)n >= sizeof(r->dir))
		return zn_err_set(err, -ENAMETOOLONG, "the name of the directory is too long");
	if (!mkdtemp(r->dir))
		return zn_err_set(err, -errno, "can't make a directory in '%s': %s", ask->file ? ask->file : ".", strerror(errno));
	r->fd = -1;
	int rc = f(ask, r, err);
	if (r->fd >= 0)
		close(r->fd);
	int removed = nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return rc < 0 || removed == 0 ? rc : zn_err_set(err, removed, "can't remove '%s': %s", r->dir, strerror(-removed));
}

int zn_bench_spool(const struct zn_bench_ask *ask, struct zn_err *err)
{
	struct run *r = calloc(1, sizeof(*r));
	uint64_t chance = 1;

	if (!r)
		return -ENOMEM;
	for (size_t i = 0; i < RECORD; i++)
		r->record[i] = (char)zn_random(&chance);
	int rc = in_directory(ask, r, write_figures, err);
	if (rc == 0)
		rc = in_directory(ask, r, replay_figure, err);
	free(r);
	return rc;
}
