/* stream: the reader on descriptors that give little at a time, the writer with kinds that it knows. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rec/reader.h"
#include "rec/writer.h"
#include "tap.h"

struct job {
	uint64_t id;
	const char *name;
	uint64_t mem_bytes;
	struct zn_of64 start_s, wait_s;
	struct zn_strs nodes;
	bool hold;
};

static const struct zn_field job_fields[] = {
	ZN_FIELD(struct job, id, U64, "ID", "its number"),
	ZN_FIELD(struct job, mem_bytes, BYTES, "MEM", "memory"),
	ZN_FIELD(struct job, start_s, OTIME, "START", "when it began"),
	ZN_FIELD(struct job, wait_s, ODUR, "WAIT", "how long it waited"),
	ZN_FIELD(struct job, nodes, STRS, "NODES", "where"),
	ZN_FIELD(struct job, hold, BOOL, "", "held"),
	ZN_FIELD(struct job, name, STR, "NAME", "what it is called"),
	{ 0 },
};
static const struct zn_kind job_kind = { .name = "job", .fields = job_fields, .size = sizeof(struct job) };
static const struct zn_kind brief_kind = { .name = "job", .fields = job_fields, .size = sizeof(struct job),
                                           .columns = "name,id" };

static const char *node_names[] = { "n1", "n2" };
static const struct job jobs[] = {
	{ .id = 1, .name = "a rather long name", .mem_bytes = UINT64_C(80) << 30, .start_s = { 1700000000.5, true },
	  .wait_s = { 192, true }, .nodes = { node_names, 2 } },
	{ .id = 22, .name = "b" },
};

static char *slurp(int fd, struct zn_arena *a)
{
	size_t n = (size_t)lseek(fd, 0, SEEK_END);
	char *text = zn_arena_alloc(a, n + 1);

	if (pread(fd, text, n, 0) != (ssize_t)n)
		text = NULL;
	return text;
}

/* The same record as a struct or as the bytes that somebody wrote. */
static int put(struct zn_writer *w, const struct zn_kind *kind, const struct job *job, bool raw)
{
	const struct zn_kind *const kinds[] = { kind, NULL };
	struct zn_buf b = { 0 };

	if (!raw)
		return zn_writer_put(w, kind, job);
	int rc = zn_encode(kind, job, &b);
	if (rc == 0)
		rc = zn_writer_put_raw(w, kinds, (struct zn_bytes){ b.data, b.len });
	zn_buf_done(&b);
	return rc;
}

static void check_writer(void)
{
	static const struct { struct zn_writer_opts o; const struct zn_kind *kind; const char *want; } cases[] = {
		{ { .format = ZN_FORMAT_TABLE }, &job_kind,
		  "ID    MEM  START                 WAIT  NODES  NAME\n"
		  " 1  80.0G  2023-11-14 22:13:20  3m12s  n1,n2  a rather long name\n"
		  "22      0                                     b\n" },
		{ { .format = ZN_FORMAT_TABLE }, &brief_kind, "NAME                ID\na rather long name   1\nb                   22\n" },
		{ { .format = ZN_FORMAT_TABLE, .width = 16 }, &brief_kind, "NAME          ID\na rather lo+   1\nb             22\n" },
		{ { .format = ZN_FORMAT_TABLE, .width = 3 }, &brief_kind, "NAME      ID\na rathe+   1\nb         22\n" },
		{ { .format = ZN_FORMAT_TABLE, .fields = "hold,id,kind,nothing" }, &job_kind,
		  "HOLD  ID  KIND  NOTHING\nno     1  job\nno    22  job\n" },
		{ { .format = ZN_FORMAT_TABLE, .fields = "id", .color = true }, &job_kind, "\033[1mID\033[0m\n 1\n22\n" },
		{ { .format = ZN_FORMAT_TABLE, .fields = "id", .no_heading = true }, &job_kind, " 1\n22\n" },
		{ { .format = ZN_FORMAT_TABLE, .fields = "id,name", .live = true }, &job_kind,
		  "      ID  NAME\n       1  a rather long name\n      22  b\n" },
		{ { .format = ZN_FORMAT_CSV }, &brief_kind, "name,id\na rather long name,1\nb,22\n" },
		{ { .format = ZN_FORMAT_CSV, .no_heading = true, .fields = "start_s,nodes" }, &job_kind,
		  "1700000000.5,\"[\"\"n1\"\",\"\"n2\"\"]\"\n,\n" },
		{ { .format = ZN_FORMAT_JSON, .fields = "wait_s,id" }, &job_kind, "{\"wait_s\":192.0,\"id\":1}\n{\"id\":22}\n" },
		{ { .format = ZN_FORMAT_MSGPACK, .fields = "id" }, &job_kind, "\x81\xa2id\x01\x81\xa2id\x16" },
	};
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		bool raw = i % 2;
		int fd = memfd_create("out", MFD_CLOEXEC);
		struct zn_writer *w;
		int rc = zn_writer_new(fd, &cases[i / 2].o, &w);
		for (size_t k = 0; k < 2 && rc == 0; k++)
			rc = put(w, cases[i / 2].kind, &jobs[k], raw);
		if (rc == 0)
			rc = zn_writer_end(w);
		const char *got = slurp(fd, &a);
		if (!tap_ok(rc == 0 && got && !strcmp(got, cases[i / 2].want), "writer %zu%s", i / 2, raw ? ", raw" : ""))
			fprintf(stderr, "%s\n", got);
		zn_writer_free(w);
		close(fd);
	}
	zn_arena_done(&a);
}

/* A table goes out in pieces. */
static void check_long_table(void)
{
	enum { ROWS = 20000 };
	struct zn_writer_opts o = { .format = ZN_FORMAT_TABLE, .no_heading = true };
	struct zn_arena a = { 0 };
	struct zn_writer *w;
	int fd = memfd_create("out", MFD_CLOEXEC), rc = zn_writer_new(fd, &o, &w);
	unsigned long want = 1;

	for (struct job job = { .id = 1, .name = "x" }; job.id <= ROWS && rc == 0; job.id++)
		rc = zn_writer_put(w, &brief_kind, &job);
	if (rc == 0)
		rc = zn_writer_end(w);
	for (char *line = slurp(fd, &a), *text; line && (text = strsep(&line, "\n")) && *text; want++)
		if (strlen(text) != 8 || strtoul(text + 2, NULL, 10) != want)
			break;
	tap_ok(rc == 0 && want == ROWS + 1, "a table of %d rows is whole and in order", ROWS);
	zn_writer_free(w);
	close(fd);
	zn_arena_done(&a);
}

static void check_bad_writer(void)
{
	struct zn_writer *w;
	struct zn_writer_opts o = { .format = ZN_FORMAT_JSON, .live = true };
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	enum zn_format format = ZN_FORMAT_CSV;

	tap_ok(zn_writer_new(fd, &o, &w) == 0 && zn_writer_put(w, &job_kind, &jobs[0]) == -ENOSPC &&
	       zn_writer_put(w, &job_kind, &jobs[0]) == -ENOSPC && zn_writer_end(w) == -ENOSPC, "a full disk is remembered");
	zn_writer_free(w);
	close(fd);
	zn_writer_free(NULL);
	o.fields = "a,,b";
	tap_ok(zn_writer_new(1, &o, &w) == -EINVAL, "an empty name is no field");
	tap_ok(zn_format_parse("xml", &format, NULL) == -EINVAL && format == ZN_FORMAT_CSV &&
	       zn_format_parse("json", &format, NULL) == 0 && format == ZN_FORMAT_JSON, "names of formats");
}

/* Byte by byte through a pipe: a record comes with its last byte, not later. */
static void check_drip(const char *bytes, size_t n, size_t expected, bool json)
{
	struct zn_reader *r;
	struct zn_rec rec;
	struct zn_err err;
	int p[2];
	size_t got = 0, late = 0;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0 || zn_reader_new(p[0], &r) < 0)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (write(p[1], bytes + i, 1) != 1)
			abort();
		int rc = zn_reader_next(r, &rec, &err);
		got += rc == 1;
		late += rc == 1 && rec.offset + rec.n != i + 1 && !json;
		late += rc != 1 && rc != -EAGAIN;
	}
	tap_ok(got == expected && late == 0, "%zu records, each with its last byte", got);
	close(p[1]);
	tap_ok(zn_reader_next(r, &rec, &err) == 0 && zn_reader_next(r, &rec, &err) == 0, "and then a clean end");
	zn_reader_free(r);
	close(p[0]);
}

static void check_buffered(const char *bytes, size_t n, bool last_is_whole)
{
	struct zn_reader *r;
	struct zn_rec rec;
	struct zn_err err = { "" };
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0 || zn_reader_new(p[0], &r) < 0 || write(p[1], bytes, n) != (ssize_t)n)
		abort();
	tap_ok(!zn_reader_has_buffered(r), "nothing is buffered before the first read");
	tap_ok(zn_reader_next(r, &rec, &err) == 1 && zn_reader_has_buffered(r), "the second record needs no read");
	tap_ok(zn_reader_next(r, &rec, &err) == 1 && zn_reader_has_buffered(r) == last_is_whole, "a piece of a third does");
	close(p[1]);
	int rc = zn_reader_next(r, &rec, &err);
	tap_ok(rc == -EBADMSG && *err.text, "the end inside a record: %s", err.text);
	tap_ok(zn_reader_next(r, &rec, &err) == -EBADMSG && !zn_reader_has_buffered(r), "the reader is dead then");
	zn_reader_free(r);
	close(p[0]);
}

/* A record of many reads, and a neighbour that begins in its last one. */
static void check_large(void)
{
	struct zn_buf b = { 0 };
	struct zn_reader *r;
	struct zn_rec rec;
	int fd = memfd_create("large", MFD_CLOEXEC);

	zn_buf_add(&b, "\x81\xa1x\xc6\x00\x30\x00\x00", 8);
	memset(zn_buf_room(&b, 0x300000), 0xc1, 0x300000);
	b.len += 0x300000;
	zn_buf_add(&b, "\x81\xa1y\x05", 4);
	if (write(fd, b.data, b.len) != (ssize_t)b.len || lseek(fd, 0, SEEK_SET) != 0 || zn_reader_new(fd, &r) < 0)
		abort();
	tap_ok(zn_reader_next(r, &rec, NULL) == 1 && rec.n == 0x300008 && rec.offset == 0 &&
	       rec.map.via.map.ptr->val.via.bin.size == 0x300000, "3 MiB in one record");
	tap_ok(zn_reader_next(r, &rec, NULL) == 1 && rec.offset == 0x300008 && rec.n == 4 &&
	       zn_reader_next(r, &rec, NULL) == 0, "and a small one behind it");
	zn_reader_free(r);
	zn_buf_done(&b);
	close(fd);
}

int main(void)
{
	static const char msgpack[] = "\x81\xa1" "a\x01\x80\x82\xa1" "a\x91\xc0\xa2id\xd9\x02hi";
	static const char json[] = "{\"a\":1}\n\n  \n{}\n{\"a\":[null],\"id\":\"hi\"}\n";

	setenv("TZ", "UTC", 1);
	check_writer();
	check_long_table();
	check_bad_writer();
	check_drip(msgpack, sizeof(msgpack) - 1, 3, false);
	check_drip(json, sizeof(json) - 1, 3, true);
	check_buffered("\x80\x81\xa1" "a\x01\x81\xa1", 7, false);
	check_buffered("{}\n{}\n \n{\"a\":", 13, false);
	check_buffered("\x80\x81\xa1" "a\x01\xc1", 6, true);
	check_large();
	return tap_done();
}
