/* Samples of tar shards that are in the page cache, each byte looked at: by the loader, in batches of 32, and by a bare reader of
 * libarchive's, one member after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef ZN_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "bench/bench.h"
#include "data/loader.h"

/* One pass over everything. */
struct pass { double cpu_s, wall_s; uint64_t samples, bytes, sum; };

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t look_at(const void *p, size_t n)
{
	uint64_t sum = 0, word;
	size_t i = 0;

	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, (const char *)p + i, sizeof(word));
		sum ^= word;
	}
	for (; i < n; i++)
		sum ^= ((const unsigned char *)p)[i];
	return sum;
}

static int pass_of_loader(const struct zn_sources *s, struct pass *p, struct zn_err *err)
{
	struct zn_loader_ask ask = { .order = { .batch = 32, .world = 1 }, .epochs = 1, .memory_bytes = 256 << 20 };
	const struct zn_batch *b;
	struct zn_loader *l;
	int rc = zn_loader_new(s, &ask, &l, err);

	if (rc < 0)
		return rc;
	while ((rc = zn_loader_next(l, &b, err)) > 0) {
		for (uint32_t i = 0; i < b->n; i++)
			for (uint32_t k = 0; k < b->samples[i].n; k++)
				p->sum ^= look_at(b->samples[i].data[k].p, b->samples[i].data[k].n);
		p->samples += b->n;
		p->bytes += b->bytes;
		zn_loader_put(l, b);
	}
	zn_loader_free(l);
	return rc;
}

#ifdef ZN_WITH_LIBARCHIVE
static int pass_of_archive(const char *path, struct pass *p, struct zn_err *err)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	const void *block;
	size_t n;
	int64_t at;
	int rc;

	if (!a)
		return zn_err_set(err, -ENOMEM, "out of memory");
	archive_read_support_format_tar(a);
	rc = archive_read_open_filename(a, path, 65536);
	while (rc == ARCHIVE_OK && (rc = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
		while ((rc = archive_read_data_block(a, &block, &n, &at)) == ARCHIVE_OK) {
			p->sum ^= look_at(block, n);
			p->bytes += n;
		}
		rc = rc == ARCHIVE_EOF ? ARCHIVE_OK : rc;
	}
	rc = rc == ARCHIVE_EOF ? 0 : zn_err_set(err, -EIO, "libarchive: '%s': %s", path, archive_error_string(a));
	archive_read_free(a);
	return rc;
}

static int pass_of_peer(const struct zn_sources *s, struct pass *p, struct zn_err *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->n && rc == 0; i++) {
		rc = pass_of_archive(s->v[i].name, p, err);
		p->samples += s->v[i].n;
	}
	return rc;
}
#else
static int pass_of_peer(const struct zn_sources *s, struct pass *p, struct zn_err *err)
{
	(void)s, (void)p;
	return zn_err_set(err, -ENOTSUP, "zn-bench was built without libarchive");
}
#endif

static int measure(int (*run)(const struct zn_sources *s, struct pass *p, struct zn_err *err), const struct zn_sources *s, struct pass *ret, struct zn_err *err)
{
	struct pass p = { .samples = 0 };
	double cpu = cpu_s();
	uint64_t begun = zn_boot_ns();
	int rc = run(s, &p, err);

	p.cpu_s = cpu_s() - cpu;
	p.wall_s = (double)(zn_boot_ns() - begun) / 1e9;
	if (rc == 0 && !p.samples)
		rc = zn_err_set(err, -EINVAL, "there is no sample to load");
	*ret = p;
	return rc;
}

static int by_turns(const struct zn_bench_ask *ask, const struct zn_sources *s, double *v[2][2], struct zn_err *err)
{
	struct pass ours = { .samples = 0 }, theirs = { .samples = 0 };
	int rc = 0;

	for (uint32_t i = 0; i < ask->rounds && rc == 0; i++) {
		rc = measure(pass_of_loader, s, &ours, err);
		if (rc == 0 && ask->against)
			rc = measure(pass_of_peer, s, &theirs, err);
		if (rc == 0 && ask->against && (ours.bytes != theirs.bytes))
			rc = zn_err_set(err, -EBADMSG, "we read %llu bytes, %s %llu", (unsigned long long)ours.bytes, ask->against, (unsigned long long)theirs.bytes);
		v[0][0][i] = ours.cpu_s * 1e6 / (double)ours.samples;
		v[1][0][i] = (double)ours.bytes / 1e9 / ours.wall_s;
		if (ask->against) {
			v[0][1][i] = theirs.cpu_s * 1e6 / (double)theirs.samples;
			v[1][1][i] = (double)theirs.bytes / 1e9 / theirs.wall_s;
		}
	}
	return rc;
}

static int load(const struct zn_bench_ask *ask, const struct zn_sources *s, struct zn_err *err)
{
	double *all = calloc(4 * (size_t)ask->rounds, sizeof(*all));
	double *v[2][2] = { { all, all + ask->rounds }, { all + 2 * ask->rounds, all + 3 * ask->rounds } };
	struct zn_bench_result cpu = { .bench = "load", .name = "CPU time of a sample", .unit = "us" }, rate = { .bench = "load", .name = "bytes looked at", .unit = "GB/s" };
	struct pass first;
	int rc = all ? measure(pass_of_loader, s, &first, err) : zn_err_set(err, -ENOMEM, "out of memory"); /* so that all is warm */

	if (rc == 0)
		rc = by_turns(ask, s, v, err);
	if (rc == 0)
		rc = zn_bench_hand_over(ask, &cpu, v[0][0], ask->against ? v[0][1] : NULL, ask->rounds);
	if (rc >= 0)
		rc = zn_bench_hand_over(ask, &rate, v[1][0], ask->against ? v[1][1] : NULL, ask->rounds);
	free(all);
	return rc;
}

/* ---- a shard of our own ----------------------------------------------------------------------------------- */

enum { OWN_SAMPLES = 2560, OWN_BYTES = 100000 };

static void put_head(char to[512], int number)
{
	unsigned sum = 8 * ' ';

	memset(to, 0, 512);
	snprintf(to, 100, "%06d.bin", number);
	memcpy(to + 100, "0000644", 8);
	snprintf(to + 124, 12, "%011o", (unsigned)OWN_BYTES);
	to[156] = '0';
	memcpy(to + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)to[i];
	snprintf(to + 148, 8, "%06o", sum & 0777777);
}

static int write_own(int fd)
{
	size_t room = 512 + (OWN_BYTES + 511) / 512 * 512;
	char *sample = calloc(1, room);
	uint64_t random = 1;
	int rc = sample ? 0 : -ENOMEM;

	for (size_t i = 512; rc == 0 && i < 512 + OWN_BYTES; i++)
		sample[i] = (char)zn_random(&random);
	for (int i = 0; i < OWN_SAMPLES && rc == 0; i++) {
		put_head(sample, i);
		rc = zn_write_all(fd, sample, room);
	}
	free(sample);
	return rc;
}

/* Without a name, so that nothing is left of it; found by its descriptor. */
static int make_own(const char *dir, char name[32], struct zn_err *err)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : write_own(fd);

	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return zn_err_set(err, rc, "can't make a shard in '%s': %s", dir, strerrordesc_np(-rc));
	}
	snprintf(name, 32, "/proc/self/fd/%d", fd);
	return fd;
}

int zn_bench_load(const struct zn_bench_ask *ask, struct zn_err *err)
{
	struct zn_source_opts opts = { .threads = 1 };
	struct zn_sources s = { .n = 0 };
	const char *where = ask->file ? ask->file : ".";
	struct stat st;
	char own[32];
	bool is_own = stat(where, &st) == 0 && S_ISDIR(st.st_mode);
	int fd = is_own ? make_own(where, own, err) : -1;
	int rc = is_own && fd < 0 ? fd : zn_sources_add(&s, is_own ? own : where, err);

	if (rc >= 0)
		rc = zn_sources_open(&s, &opts, err);
	if (rc >= 0)
		rc = load(ask, &s, err);
	zn_sources_done(&s);
	if (fd >= 0)
		close(fd);
	return rc;
}
