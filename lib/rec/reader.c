#include "rec/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rec/wire.h"

enum { READ_SIZE = 64 << 10 };

enum stream { STREAM_UNKNOWN, STREAM_MSGPACK, STREAM_JSON };

struct zn_reader {
	int fd;
	enum stream stream;
	bool eof, dead;
	struct zn_buf in;        /* in.data[begin..len) is not consumed yet */
	size_t begin;
	uint64_t offset;         /* of in.data[begin] in the stream */
	uint64_t line;
	struct zn_scan scan;     /* of the record at begin */
	size_t searched;         /* bytes behind begin that hold no end of line */
	struct zn_buf packed;    /* a JSON record as MessagePack */
	struct zn_arena arena;
};

int zn_reader_new(int fd, struct zn_reader **ret)
{
	struct zn_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	*ret = r;
	return 0;
}

void zn_reader_free(struct zn_reader *r)
{
	if (!r)
		return;
	zn_buf_done(&r->in);
	zn_buf_done(&r->packed);
	zn_arena_done(&r->arena);
	free(r);
}

static const char *unread(const struct zn_reader *r)
{
	return r->in.data ? r->in.data + r->begin : NULL;
}

static size_t unread_size(const struct zn_reader *r)
{
	return r->in.len - r->begin;
}

static void consume(struct zn_reader *r, size_t n)
{
	r->begin += n;
	r->offset += n;
	r->searched = 0;
	r->scan = (struct zn_scan){ 0 };
}

static int bad(struct zn_reader *r, struct zn_err *err, const char *what)
{
	return zn_err_set(err, -EBADMSG, "%s at byte %llu", what, (unsigned long long)r->offset);
}

/* One read; 0 also at the end of the stream, which sets eof. */
static int fill(struct zn_reader *r)
{
	ssize_t n;

	if (r->begin)
		zn_buf_eat(&r->in, r->begin);
	r->begin = 0;
	char *room = zn_buf_room(&r->in, READ_SIZE);
	if (!room)
		return -ENOMEM;
	do
		n = read(r->fd, room, r->in.cap - r->in.len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->in.len += (size_t)n;
	r->eof = n == 0;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_map_head(unsigned char b)
{
	return (b & 0xf0) == 0x80 || b == 0xde || b == 0xdf;
}

static int recognise(struct zn_reader *r, struct zn_err *err)
{
	unsigned char b = (unsigned char)*unread(r);

	if (is_map_head(b))
		r->stream = STREAM_MSGPACK;
	else if (b == '{' || is_blank((char)b))
		r->stream = STREAM_JSON;
	else
		return bad(r, err, "neither a MessagePack map nor a JSON object");
	return 0;
}

/* ---- MessagePack ------------------------------------------------------------------------------ */

/* The length of the record at begin, 0 when it is not all there. */
static ssize_t whole_msgpack(struct zn_reader *r, struct zn_err *err)
{
	if (!unread_size(r))
		return 0;
	if (!is_map_head((unsigned char)*unread(r)))
		return bad(r, err, "a value that is no map");
	ssize_t n = zn_msgpack_scan(&r->scan, unread(r), unread_size(r), r->offset, err);
	if (n == 0 && r->eof)
		return zn_err_set(err, -EBADMSG, "the input ends inside the record at byte %llu",
		                  (unsigned long long)r->offset);
	return n;
}

static int deliver(struct zn_reader *r, const void *p, size_t n, struct zn_rec *ret, struct zn_err *err)
{
	msgpack_object map;

	zn_arena_reset(&r->arena);
	int rc = zn_val_unpack(p, n, r->offset, &r->arena, &map, err);
	if (rc < 0)
		return rc;
	*ret = (struct zn_rec){ .map = map, .p = p, .n = n, .offset = r->offset };
	return 1;
}

static int next_msgpack(struct zn_reader *r, struct zn_rec *ret, struct zn_err *err)
{
	ssize_t n = whole_msgpack(r, err);

	if (n <= 0)
		return (int)n;
	int rc = deliver(r, unread(r), (size_t)n, ret, err);
	consume(r, (size_t)n);
	return rc;
}

/* ---- JSON Lines ------------------------------------------------------------------------------- */

/* The length of the line at begin with its newline, 0 when it is not all there. */
static ssize_t whole_line(struct zn_reader *r, struct zn_err *err)
{
	size_t n = unread_size(r);
	const char *end = n > r->searched ? memchr(unread(r) + r->searched, '\n', n - r->searched) : NULL;
	size_t len = end ? (size_t)(end - unread(r)) + 1 : n;

	if (len > ZN_RECORD_MAX)
		return bad(r, err, "a record that is too long");
	r->searched = n;
	return end || r->eof ? (ssize_t)len : 0;
}

static int line_to_record(struct zn_reader *r, size_t n, struct zn_rec *ret, struct zn_err *err)
{
	struct zn_err inner = { "" };

	r->packed.len = 0;
	int rc = zn_json_to_msgpack(unread(r), n, r->offset, &r->packed, &inner);
	if (rc == 0 && !is_map_head((unsigned char)r->packed.data[0]))
		rc = bad(r, &inner, "a value that is no JSON object");
	if (rc == 0)
		rc = deliver(r, r->packed.data, r->packed.len, ret, &inner);
	if (rc < 0)
		return zn_err_set(err, rc, "line %llu: %s", (unsigned long long)r->line, inner.text);
	ret->line = r->line;
	return rc;
}

static int next_json(struct zn_reader *r, struct zn_rec *ret, struct zn_err *err)
{
	for (;;) {
		ssize_t n = whole_line(r, err);
		if (n <= 0)
			return (int)n;
		size_t lead = 0;
		while (lead < (size_t)n && is_blank(unread(r)[lead]))
			lead++;
		r->line++;
		int rc = lead == (size_t)n ? 0 : line_to_record(r, (size_t)n, ret, err);
		consume(r, (size_t)n);
		if (rc)
			return rc;
	}
}

/* ----------------------------------------------------------------------------------------------- */

static int try_next(struct zn_reader *r, struct zn_rec *ret, struct zn_err *err)
{
	if (!unread_size(r))
		return 0;
	int rc = r->stream == STREAM_UNKNOWN ? recognise(r, err) : 0;
	if (rc < 0)
		return rc;
	return r->stream == STREAM_JSON ? next_json(r, ret, err) : next_msgpack(r, ret, err);
}

int zn_reader_next(struct zn_reader *r, struct zn_rec *ret, struct zn_err *err)
{
	if (r->dead)
		return bad(r, err, "nothing can be read after the bad record");
	for (;;) {
		int rc = try_next(r, ret, err);
		r->dead = rc == -EBADMSG;
		if (rc || r->eof)
			return rc;
		rc = fill(r);
		if (rc < 0)
			return zn_err_set(err, rc, "can't read records: %s", strerror(-rc));
	}
}

/* A bad record can be reported without reading, too. */
int zn_reader_has_buffered(const struct zn_reader *r)
{
	const char *p = unread(r);
	size_t n = unread_size(r);
	struct zn_scan s = r->scan;

	if (r->dead || !n)
		return 0;
	if (r->stream != STREAM_JSON)
		return r->eof || zn_msgpack_scan(&s, p, n, 0, NULL) != 0;
	for (size_t i = 0, filled = 0; i < n; i++) {
		filled |= !is_blank(p[i]);
		if (filled && (r->eof || memchr(p + i, '\n', n - i)))
			return 1;
		if (filled)
			return 0;
	}
	return 0;
}
