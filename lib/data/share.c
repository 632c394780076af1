#include "data/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "data/pack.h"

enum { HEAD = 8 };

/* That the other side has. */
struct out { const struct zn_batch *batch; bool is_back; };

struct zn_share {
	int socket;
	void (*put)(void *arg, const struct zn_batch *batch, bool is_done);
	void *arg;
	struct out *out;               /* a ring of most, in order */
	uint32_t most, n;
	uint64_t first;                /* the number of the oldest */
	unsigned char number[8];       /* half of one that is given back */
	size_t n_number;
	struct zn_buf record;
};

int zn_share_accept(const char *path, const volatile sig_atomic_t *stop, struct zn_err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reader = -1, rc = 0;

	if (strlen(path) >= sizeof(at.sun_path))
		rc = -ENAMETOOLONG;
	else
		strcpy(at.sun_path, path);
	mode_t mask = umask(077); /* nobody else's business */
	if (rc == 0 && (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0))
		rc = -errno;
	umask(mask);
	bool is_bound = rc == 0;
	while (rc == 0 && reader < 0) {
		reader = *stop ? -1 : accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		rc = reader >= 0 || (!*stop && errno == EINTR) ? 0 : *stop ? -EINTR : -errno;
	}
	if (fd >= 0)
		close(fd);
	if (is_bound)
		unlink(path);
	return rc < 0 ? zn_err_set(err, rc, "'%s': %s", path, strerrordesc_np(-rc)) : reader;
}

int zn_share_new(int socket, uint32_t most, void (*put)(void *arg, const struct zn_batch *batch, bool is_done), void *arg, struct zn_share **ret)
{
	struct zn_share *s = calloc(1, sizeof(*s));

	if (!s || !(s->out = calloc(most, sizeof(*s->out)))) {
		free(s);
		return -ENOMEM;
	}
	s->socket = socket;
	s->most = most;
	s->put = put;
	s->arg = arg;
	*ret = s;
	return 0;
}

static void put_oldest(struct zn_share *s, bool is_done)
{
	s->put(s->arg, s->out[s->first % s->most].batch, is_done);
	s->first++;
	s->n--;
}

void zn_share_free(struct zn_share *s)
{
	if (!s)
		return;
	while (s->n) /* behind one that is not done nothing counts as that */
		put_oldest(s, false);
	zn_buf_done(&s->record);
	free(s->out);
	free(s);
}

/* ---- what comes back -------------------------------------------------------------------------------------- */

static int take_back(struct zn_share *s, uint64_t number)
{
	struct out *o = &s->out[number % s->most];

	if (number < s->first || number >= s->first + s->n || o->is_back)
		return -EBADMSG;
	o->is_back = true;
	while (s->n && s->out[s->first % s->most].is_back)
		put_oldest(s, true);
	return 0;
}

/* One number that was given back; waits for it, or takes what is there: 1; 0: there is none now. */
static int receive(struct zn_share *s, int flags)
{
	ssize_t n = recv(s->socket, s->number + s->n_number, sizeof(s->number) - s->n_number, flags);
	uint64_t number = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	s->n_number += (size_t)n;
	if (s->n_number < sizeof(s->number))
		return 1;
	s->n_number = 0;
	for (size_t i = 0; i < sizeof(s->number); i++)
		number |= (uint64_t)s->number[i] << 8 * i;
	int rc = take_back(s, number);
	return rc < 0 ? rc : 1;
}

static int await(struct zn_share *s, uint32_t most)
{
	int rc = 1;

	while (rc > 0) /* what is there already */
		rc = s->n ? receive(s, MSG_DONTWAIT) : 0;
	while (rc >= 0 && s->n > most)
		rc = receive(s, 0);
	return rc < 0 ? rc : 0;
}

/* ---- what goes -------------------------------------------------------------------------------------------- */

static int send_rest(int socket, const char *p, size_t n)
{
	while (n) {
		ssize_t done = send(socket, p, n, MSG_NOSIGNAL);
		if (done < 0 && errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
		p += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

/* The record, behind a head that brings fd; -1: none. */
static int send_record(struct zn_share *s, int fd)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } control = { .room = "" };
	struct iovec v = { s->record.data, s->record.len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	uint32_t n = (uint32_t)(s->record.len - HEAD);
	ssize_t done;

	for (int i = 0; i < 4; i++)
		s->record.data[i] = (char)(n >> 8 * i);
	if (fd >= 0) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
		control.h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	}
	do
		done = sendmsg(s->socket, &m, MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	return done < 0 ? errno == ECONNRESET ? -EPIPE : -errno : send_rest(s->socket, s->record.data + done, s->record.len - (size_t)done);
}

static int put_bytes(void *to, const char *p, size_t n)
{
	zn_buf_add(to, p, n);
	return 0;
}

static void put_text(msgpack_packer *m, const char *text)
{
	msgpack_pack_str(m, strlen(text));
	msgpack_pack_str_body(m, text, strlen(text));
}

static void put_number(msgpack_packer *m, const char *key, uint64_t v)
{
	put_text(m, key);
	msgpack_pack_uint64(m, v);
}

static void put_datum(msgpack_packer *m, const struct zn_datum *d, const char *memory)
{
	zn_pack_name(m, d->field);
	msgpack_pack_map(m, d->shape ? 4 : 2);
	put_number(m, "offset", (uint64_t)((const char *)d->p - memory));
	put_number(m, "bytes", d->n);
	if (d->shape)
		zn_pack_shape(m, d->shape);
}

static int describe(struct zn_share *s, const struct zn_batch *b)
{
	msgpack_packer m;

	s->record.len = 0;
	zn_buf_add(&s->record, (char[HEAD]){ 0 }, HEAD);
	msgpack_packer_init(&m, &s->record, put_bytes);
	msgpack_pack_map(&m, 7);
	put_text(&m, "kind");
	put_text(&m, "batch");
	put_number(&m, "number", s->first + s->n);
	put_number(&m, "epoch", b->epoch);
	put_number(&m, "seq", b->seq);
	put_number(&m, "next", b->next);
	put_number(&m, "bytes", b->memory_bytes);
	put_text(&m, "samples");
	msgpack_pack_array(&m, b->n);
	for (uint32_t i = 0; i < b->n; i++) {
		msgpack_pack_map(&m, b->samples[i].n + 1);
		put_text(&m, "key");
		zn_pack_key(&m, b->samples[i].key);
		for (uint32_t k = 0; k < b->samples[i].n; k++)
			put_datum(&m, &b->samples[i].data[k], b->memory);
	}
	return s->record.failed || s->record.len > UINT32_MAX ? -ENOMEM : 0;
}

/* One that the other side can't write to. */
static int read_only(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}

int zn_share_batch(struct zn_share *s, const struct zn_batch *batch)
{
	int rc = await(s, s->most - 1), fd = -1;

	if (rc == 0)
		rc = describe(s, batch);
	if (rc == 0 && batch->memory && (fd = read_only(batch->memory_fd)) < 0)
		rc = fd;
	if (rc == 0)
		rc = send_record(s, fd);
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		s->put(s->arg, batch, false);
		return rc;
	}
	s->out[(s->first + s->n++) % s->most] = (struct out){ batch, false };
	return 0;
}

int zn_share_loss(struct zn_share *s, const struct zn_loss *loss)
{
	s->record.len = 0;
	zn_buf_add(&s->record, (char[HEAD]){ 0 }, HEAD);
	int rc = zn_encode(&zn_loss_kind, loss, &s->record);
	return rc < 0 ? rc : send_record(s, -1);
}

int zn_share_end(struct zn_share *s)
{
	shutdown(s->socket, SHUT_WR);
	return await(s, 0);
}
