/* record: how many records of 20 fields are packed and unpacked in a second.  Ours go through the writer and the reader that
 * all programs use, from a table of fields and with all checks; the peer is msgpack-c as its manual shows it, the calls
 * written out one by one.  Both write to /dev/null in pieces of 64 KiB and read from the same file in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/bench.h"
#include "rec/reader.h"
#include "rec/writer.h"

enum { RECORDS = 20000, PIECE = 64 << 10 };

struct sample {
	uint64_t id, array, cpus, gpus, mem_bytes, pid, uid, priority, attempts;
	const char *name, *user, *state, *node, *dir, *account;
	double submit, start, elapsed_s, busy, share;
};

static const struct zn_field fields[] = {
	ZN_FIELD(struct sample, id, U64, "", ""),
	ZN_FIELD(struct sample, array, U64, "", ""),
	ZN_FIELD(struct sample, cpus, U64, "", ""),
	ZN_FIELD(struct sample, gpus, U64, "", ""),
	ZN_FIELD(struct sample, mem_bytes, U64, "", ""),
	ZN_FIELD(struct sample, pid, U64, "", ""),
	ZN_FIELD(struct sample, uid, U64, "", ""),
	ZN_FIELD(struct sample, priority, U64, "", ""),
	ZN_FIELD(struct sample, attempts, U64, "", ""),
	ZN_FIELD(struct sample, name, STR, "", ""),
	ZN_FIELD(struct sample, user, STR, "", ""),
	ZN_FIELD(struct sample, state, STR, "", ""),
	ZN_FIELD(struct sample, node, STR, "", ""),
	ZN_FIELD(struct sample, dir, STR, "", ""),
	ZN_FIELD(struct sample, account, STR, "", ""),
	ZN_FIELD(struct sample, submit, F64, "", ""),
	ZN_FIELD(struct sample, start, F64, "", ""),
	ZN_FIELD(struct sample, elapsed_s, F64, "", ""),
	ZN_FIELD(struct sample, busy, F64, "", ""),
	ZN_FIELD(struct sample, share, F64, "", ""),
	{ 0 },
};
static const struct zn_kind kind = { "sample", "a record that is measured", fields, sizeof(struct sample), NULL };

static struct sample sample_of(uint64_t i)
{
	return (struct sample){
		.id = 100000 + i, .array = i % 100, .cpus = 16, .gpus = i % 8, .mem_bytes = UINT64_C(64) << 30, .pid = 4000 + i, .uid = 1000 + i % 50,
		.priority = i % 1000, .attempts = 1, .name = "train-resnet50-imagenet", .user = "somebody", .state = "running", .node = "node-0017",
		.dir = "/home/somebody/experiments/2026/resnet50", .account = "vision", .submit = 1.7e9 + (double)i * 0.25, .start = 1.7e9 + (double)i,
		.elapsed_s = (double)i / 3, .busy = 0.875, .share = 0.01 * (double)(i % 100),
	};
}

struct run {
	int sink, file;                /* /dev/null; all of them, packed */
};

/* ---- ours ---- */

static int write_ours(int fd)
{
	const struct zn_writer_opts opts = { .format = ZN_FORMAT_MSGPACK };
	struct zn_writer *w;
	int rc = zn_writer_new(fd, &opts, &w);

	if (rc < 0)
		return rc;
	for (uint64_t i = 0; rc == 0 && i < RECORDS; i++) {
		struct sample s = sample_of(i);
		rc = zn_writer_put(w, &kind, &s);
	}
	if (rc == 0)
		rc = zn_writer_end(w);
	zn_writer_free(w);
	return rc;
}

static int decode(const struct zn_rec *rec, struct zn_arena *a, uint64_t i, struct zn_err *err)
{
	struct sample s;

	zn_arena_reset(a);
	int rc = zn_decode(&kind, &rec->map, a, &s, err);
	return rc < 0 ? rc : s.id == 100000 + i ? 0 : -EBADMSG;
}

static int read_ours(int fd, bool decodes, struct zn_err *err)
{
	struct zn_reader *r;
	struct zn_rec rec;
	struct zn_arena a = { 0 };
	uint64_t n = 0;
	int rc = zn_reader_new(fd, &r);

	if (rc < 0)
		return rc;
	while ((rc = zn_reader_next(r, &rec, err)) > 0 && (!decodes || (rc = decode(&rec, &a, n, err)) == 0))
		n++;
	zn_arena_done(&a);
	zn_reader_free(r);
	return rc == 0 && n != RECORDS ? -EBADMSG : rc;
}

/* ---- msgpack-c's ---- */

static void pack_text(msgpack_packer *to, const char *text)
{
	size_t n = strlen(text);

	msgpack_pack_str(to, n);
	msgpack_pack_str_body(to, text, n);
}

#define PACK_U64(member) (pack_text(to, #member), msgpack_pack_uint64(to, s->member))
#define PACK_STR(member) (pack_text(to, #member), pack_text(to, s->member))
#define PACK_F64(member) (pack_text(to, #member), msgpack_pack_double(to, s->member))

static void pack(msgpack_packer *to, const struct sample *s)
{
	msgpack_pack_map(to, 21);
	pack_text(to, "kind");
	pack_text(to, "sample");
	PACK_U64(id);
	PACK_U64(array);
	PACK_U64(cpus);
	PACK_U64(gpus);
	PACK_U64(mem_bytes);
	PACK_U64(pid);
	PACK_U64(uid);
	PACK_U64(priority);
	PACK_U64(attempts);
	PACK_STR(name);
	PACK_STR(user);
	PACK_STR(state);
	PACK_STR(node);
	PACK_STR(dir);
	PACK_STR(account);
	PACK_F64(submit);
	PACK_F64(start);
	PACK_F64(elapsed_s);
	PACK_F64(busy);
	PACK_F64(share);
}

static int write_theirs(int fd)
{
	msgpack_sbuffer buffer;
	msgpack_packer to;
	int rc = 0;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&to, &buffer, msgpack_sbuffer_write);
	for (uint64_t i = 0; rc == 0 && i < RECORDS; i++) {
		struct sample s = sample_of(i);
		pack(&to, &s);
		if (buffer.size >= PIECE || i == RECORDS - 1) {
			rc = zn_write_all(fd, buffer.data, buffer.size);
			msgpack_sbuffer_clear(&buffer);
		}
	}
	msgpack_sbuffer_destroy(&buffer);
	return rc;
}

/* All that are whole in what was read so far: how many. */
static ssize_t unpack_some(msgpack_unpacker *from, msgpack_unpacked *one)
{
	msgpack_unpack_return rc;
	ssize_t n = 0;

	while ((rc = msgpack_unpacker_next(from, one)) == MSGPACK_UNPACK_SUCCESS)
		n += one->data.type == MSGPACK_OBJECT_MAP;
	return rc == MSGPACK_UNPACK_CONTINUE ? n : rc == MSGPACK_UNPACK_NOMEM_ERROR ? -ENOMEM : -EBADMSG;
}

static int unpack_all(int fd, msgpack_unpacker *from, msgpack_unpacked *one)
{
	ssize_t n = 0, got, some = 0;

	do {
		if (!msgpack_unpacker_reserve_buffer(from, PIECE))
			return -ENOMEM;
		got = read(fd, msgpack_unpacker_buffer(from), PIECE);
		if (got < 0)
			return -errno;
		msgpack_unpacker_buffer_consumed(from, (size_t)got);
		some = unpack_some(from, one);
		n += some;
	} while (got > 0 && some >= 0);
	return some < 0 ? (int)some : n == RECORDS ? 0 : -EBADMSG;
}

static int read_theirs(int fd)
{
	msgpack_unpacker from;
	msgpack_unpacked one;

	if (!msgpack_unpacker_init(&from, PIECE))
		return -ENOMEM;
	msgpack_unpacked_init(&one);
	int rc = unpack_all(fd, &from, &one);
	msgpack_unpacked_destroy(&one);
	msgpack_unpacker_destroy(&from);
	return rc;
}

/* ---- rounds ---- */

enum what { PACK, PACK_PEER, UNPACK, UNPACK_PEER, DECODE };

static int work(const struct run *r, enum what what, struct zn_err *err)
{
	if (what <= PACK_PEER)
		return what == PACK ? write_ours(r->sink) : write_theirs(r->sink);
	if (lseek(r->file, 0, SEEK_SET) < 0)
		return -errno;
	return what == UNPACK_PEER ? read_theirs(r->file) : read_ours(r->file, what == DECODE, err);
}

struct job {
	const struct run *run;
	enum what what;
};

static int measure(void *arg, double *ret, struct zn_err *err)
{
	const struct job *j = arg;
	uint64_t begin_ns = zn_boot_ns();
	int rc = work(j->run, j->what, err);

	*ret = RECORDS / (double)(zn_boot_ns() - begin_ns) * 1e9;
	return rc;
}

/* The peer's bytes must be ours, or other things would be compared. */
static int is_same(const struct run *r, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	char *bytes[2];
	size_t len[2];
	int rc = write_ours(r->file);

	for (int i = 0; rc == 0 && i < 2; i++) {
		rc = lseek(r->file, 0, SEEK_SET) < 0 ? -errno : zn_fd_read(r->file, 64 << 20, &a, &bytes[i], &len[i]);
		if (rc == 0 && i == 0)
			rc = lseek(r->file, 0, SEEK_SET) < 0 ? -errno : write_theirs(r->file);
	}
	if (rc == 0 && (len[0] != len[1] || memcmp(bytes[0], bytes[1], len[0])))
		rc = zn_err_set(err, -EBADMSG, "msgpack-c packs these records otherwise");
	zn_arena_done(&a);
	return rc;
}

static int all_figures(const struct zn_bench_ask *ask, const struct run *r, struct zn_err *err)
{
	struct { const char *name; struct job ours, peer; bool has_peer; } figures[] = {
		{ "packed", { r, PACK }, { r, PACK_PEER }, true },
		{ "unpacked", { r, UNPACK }, { r, UNPACK_PEER }, true },
		{ "unpacked and decoded", { r, DECODE }, { r, DECODE }, false },
	};
	int rc = is_same(r, err);

	for (size_t i = 0; rc == 0 && i < sizeof(figures) / sizeof(*figures); i++) {
		struct zn_bench_result result = { .bench = "record", .name = figures[i].name, .unit = "records/s" };
		rc = zn_bench_by_turns(ask, &result, (struct zn_bench_way){ measure, &figures[i].ours },
		                       (struct zn_bench_way){ figures[i].has_peer ? measure : NULL, &figures[i].peer }, err);
	}
	return rc;
}

int zn_bench_record(const struct zn_bench_ask *ask, struct zn_err *err)
{
	struct run r = { .sink = open("/dev/null", O_WRONLY | O_CLOEXEC), .file = memfd_create("records", MFD_CLOEXEC) };
	int rc = r.sink < 0 || r.file < 0 ? -errno : all_figures(ask, &r, err);

	if (r.sink >= 0)
		close(r.sink);
	if (r.file >= 0)
		close(r.file);
	return rc;
}
