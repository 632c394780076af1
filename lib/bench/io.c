/* io: reads of a file past the page cache, one after another and at random, so many under way at once; and what plain reads
 * through the page cache make of it.  Without a file one is made that has no name, so that nothing is left of it, however
 * this ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/units.h"
#include "bench/bench.h"
#include "bench/io.h"

enum { MIB = 1 << 20, SMALL = 4 << 10, BUFFERED_MAX = 256 << 20, REST_MS = 350 };
static const uint64_t usual_bytes = UINT64_C(1) << 30;

struct file {
	int fd, direct;                /* direct < 0: this file system has no such reads */
	uint64_t bytes;                /* whole MiB */
};

/* ---- the file ---- */

/* What is written can't be made smaller, and no two blocks are the same. */
static int fill(int fd, uint64_t bytes, struct zn_err *err)
{
	uint64_t *block = malloc(MIB), chance = 1;
	int rc = block ? 0 : -ENOMEM;

	for (uint64_t at = 0; rc == 0 && at < bytes; at += MIB) {
		for (size_t i = 0; i < MIB / sizeof(*block); i++)
			block[i] = zn_random(&chance);
		rc = zn_write_all(fd, block, MIB);
	}
	free(block);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc < 0 ? zn_err_set(err, rc, "can't write a file to read: %s", strerror(-rc)) : 0;
}

/* Where the file system knows no file without a name, it has one for a moment. */
static int make_nameless(const char *dir, struct zn_err *err)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	int n = snprintf(path, sizeof(path), "%s/.zn-bench.XXXXXX", dir);
	fd = n > 0 && (size_t)n < sizeof(path) ? mkostemp(path, O_CLOEXEC) : -1;
	if (fd < 0)
		return zn_err_set(err, -errno, "can't make a file in '%s': %s", dir, strerror(errno));
	unlink(path);
	return fd;
}

static int open_there(const char *path, const struct stat *st, struct file *f, struct zn_err *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return zn_err_set(err, -EINVAL, "'%s' is no file, directory or disk", path);
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = f->fd < 0 ? -1 : lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return zn_err_set(err, -errno, "can't open '%s': %s", path, strerror(errno));
	f->bytes = f->bytes && f->bytes < (uint64_t)end ? f->bytes : (uint64_t)end;
	return 0;
}

static int open_new(const char *dir, struct file *f, struct zn_err *err)
{
	f->bytes = f->bytes ? f->bytes : usual_bytes;
	f->fd = make_nameless(dir, err);
	return f->fd < 0 ? f->fd : fill(f->fd, f->bytes & ~(uint64_t)(MIB - 1), err);
}

static int open_direct(struct file *f, struct zn_err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	f->direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (f->direct < 0 && errno != EINVAL)
		return zn_err_set(err, -errno, "can't open the file again: %s", strerror(errno));
	return 0;
}

static int open_file(const struct zn_bench_ask *ask, struct file *f, struct zn_err *err)
{
	const char *path = ask->file ? ask->file : ".";
	struct stat st;

	if (stat(path, &st) < 0)
		return zn_err_set(err, -errno, "can't look at '%s': %s", path, strerror(errno));
	f->bytes = ask->size_bytes;
	int rc = f->bytes && f->bytes < MIB ? -EINVAL : S_ISDIR(st.st_mode) ? open_new(path, f, err) : open_there(path, &st, f, err);
	if (rc == -EINVAL || (rc == 0 && f->bytes < MIB))
		return err->text[0] ? rc : zn_err_set(err, -EINVAL, "io reads 1M at a time, so it needs a file of at least that");
	f->bytes &= ~(uint64_t)(MIB - 1);
	return rc < 0 ? rc : open_direct(f, err);
}

static void close_file(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->direct >= 0)
		close(f->direct);
}

/* ---- past the page cache ---- */

struct figure {
	struct zn__io_load load;
	const struct zn_idset *cpus;   /* of threads that stand for io_uring; NULL: it is there */
	bool has_peer;
};

/* GB/s of large reads, the number of small ones. */
static double in_unit(const struct zn__io_load *load, double reads)
{
	return load->random ? reads : reads * (double)load->block / 1e9;
}

/* As long as fio takes to start: a disk that is lent out lets who has rested go faster for a while. */
static void rest(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = REST_MS * 1000000L }, NULL);
}

static int measure_ours(void *arg, double *ret, struct zn_err *err)
{
	const struct figure *f = arg;
	double reads = 0;

	if (f->has_peer)
		rest();
	int rc = f->cpus ? zn__io_by_threads(&f->load, f->cpus, &reads, err) : zn__io_by_ring(&f->load, &reads, err);

	*ret = in_unit(&f->load, reads);
	return rc;
}

static int measure_fio(void *arg, double *ret, struct zn_err *err)
{
	const struct figure *f = arg;
	double reads = 0;
	int rc = zn__io_by_fio(&f->load, &reads, err);

	*ret = in_unit(&f->load, reads);
	return rc;
}

static void say_how(char *note, size_t size, int ring_rc)
{
	if (ring_rc == 0)
		snprintf(note, size, "O_DIRECT; io_uring");
	else
		snprintf(note, size, "O_DIRECT; pread in threads, for %s%s", ring_rc == -ENOTSUP ? "zn-bench was built without liburing" : "io_uring: ",
		         ring_rc == -ENOTSUP ? "" : strerror(-ring_rc));
}

static int by_depth(const struct zn_bench_ask *ask, struct figure *f, const char *note, struct zn_err *err)
{
	char name[64], size[ZN_UNIT_TEXT];
	struct zn_bench_result result = { .bench = "io", .name = name, .unit = f->load.random ? "reads/s" : "GB/s", .note = note };
	int rc = 0;

	for (f->load.depth = 1; rc == 0 && f->load.depth <= ZN__IO_DEPTH_MAX; f->load.depth *= 2) {
		snprintf(name, sizeof(name), "%s, %s, %u deep", f->load.random ? "at random" : "one after another",
		         zn_format_bytes(f->load.block, size), f->load.depth);
		rc = zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure_ours, f }, (struct zn_bench_way){ measure_fio, f }, err);
	}
	return rc;
}

static int past_cache(const struct zn_bench_ask *ask, const struct file *file, char *room, struct zn_err *err)
{
	struct figure sequential = { .load = { .fd = file->direct, .bytes = file->bytes, .block = MIB, .room = room } };
	struct zn_idset cpus = { { 0 } };
	int ring_rc = zn__io_ring_try(), rc = zn_bench_allowed(&cpus);
	char note[128];

	sequential.has_peer = ask->against != NULL;
	sequential.cpus = ring_rc < 0 ? &cpus : NULL;
	struct figure random = sequential;
	random.load.random = true;
	random.load.block = SMALL;
	say_how(note, sizeof(note), ring_rc);
	if (rc == 0)
		rc = by_depth(ask, &sequential, note, err);
	return rc < 0 ? rc : by_depth(ask, &random, note, err);
}

/* ---- through it ---- */

struct buffered {
	const struct file *file;
	char *room;
	bool is_cold;
};

static int measure_buffered(void *arg, double *ret, struct zn_err *err)
{
	const struct buffered *b = arg;
	uint64_t bytes = b->file->bytes < BUFFERED_MAX ? b->file->bytes : BUFFERED_MAX;
	ssize_t n = 0;

	if (b->is_cold)
		posix_fadvise(b->file->fd, 0, 0, POSIX_FADV_DONTNEED);
	uint64_t begin_ns = zn_boot_ns(), at = 0;
	for (; at < bytes && (n = pread(b->file->fd, b->room, MIB, (off_t)at)) > 0; at += (uint64_t)n)
		;
	*ret = (double)at / (double)(zn_boot_ns() - begin_ns);
	return at >= bytes ? 0 : zn_err_set(err, n < 0 ? -errno : -EIO, "can't read the file: %s", n < 0 ? strerror(errno) : "it has become smaller");
}

static int through_cache(const struct zn_bench_ask *ask, const struct file *file, char *room, struct zn_err *err)
{
	const char *note = file->direct < 0 ? "pread; this file system has no O_DIRECT, so nothing past its cache is measured" : "pread";
	struct zn_bench_way none = { NULL, NULL };
	struct buffered cold = { file, room, true }, cached = { file, room, false };
	struct zn_bench_result of_cold = { .bench = "io", .name = "one after another, 1.0M, out of no cache", .unit = "GB/s", .note = note };
	struct zn_bench_result of_cached = { .bench = "io", .name = "one after another, 1.0M, out of the page cache", .unit = "GB/s", .note = note };
	int rc = zn_bench_by_turns(ask, &of_cold, (struct zn_bench_way){ measure_buffered, &cold }, none, err);

	return rc < 0 ? rc : zn_bench_by_turns(ask, &of_cached, (struct zn_bench_way){ measure_buffered, &cached }, none, err);
}

int zn_bench_io(const struct zn_bench_ask *ask, struct zn_err *err)
{
	const size_t bytes = (size_t)ZN__IO_DEPTH_MAX * MIB;
	char *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct file file = { .fd = -1, .direct = -1 };
	int rc = room == MAP_FAILED ? -ENOMEM : open_file(ask, &file, err);

	if (rc == 0 && file.direct >= 0)
		rc = past_cache(ask, &file, room, err);
	if (rc == 0)
		rc = through_cache(ask, &file, room, err);
	close_file(&file);
	if (room != MAP_FAILED)
		munmap(room, bytes);
	return rc;
}
