/* conn: one client's connection.  SO_PEERCRED says who it is; requests are read one after another, replies
 * leave in the same order.  A client that talks nonsense, too much or not at all costs only itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/buffer.h>

#include "rec/val.h"
#include "serve/server.h"

enum {
	SILENCE_S = 300,
	OUT_MAX = 16 << 20,           /* a reader this far behind is dropped */
	AT_ONCE = 256,                /* requests of one client in one turn */
	USERS_SHARE = 4,              /* a user has at most one in so many of the connections */
};

struct zn_conn {
	struct zn_server *s;
	struct bufferevent *bev;
	struct ucred cred;
	uid_t counted_as;
	bool closing;                 /* after its last reply */
	bool doomed;                  /* at once */
	unsigned owed;                /* replies that wait for the disk */
	uint64_t answers;             /* those that went out */
	struct zn_scan scan;          /* of the request that comes in: however small its pieces, it is looked at once */
	TAILQ_ENTRY(zn_conn) link;
};

uid_t zn_conn_uid(const struct zn_conn *c)
{
	return c->cred.uid;
}

gid_t zn_conn_gid(const struct zn_conn *c)
{
	return c->cred.gid;
}

pid_t zn_conn_pid(const struct zn_conn *c)
{
	return c->cred.pid;
}

uint64_t zn_conn_answers(const struct zn_conn *c)
{
	return c->answers;
}

void zn_conn_close(struct zn_conn *c)
{
	struct zn_server *s = c->s;

	zn_later_forget(s, c);
	TAILQ_REMOVE(&s->conns, c, link);
	s->n_conns--;
	bufferevent_free(c->bev);
	free(c);
	zn_idle_arm(s);
	zn_textfile_note(s);
}

void zn_conn_doom(struct zn_conn *c)
{
	c->doomed = true;
	bufferevent_disable(c->bev, EV_READ);
	bufferevent_trigger(c->bev, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

void zn_conn_owe(struct zn_conn *c)
{
	c->owed++;
}

void zn_conn_write(struct zn_conn *c, const void *p, size_t n)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	ssize_t sent = 0;

	c->owed--;
	c->answers++;
	if (c->doomed)
		return;
	if (!c->owed && !c->closing && !evbuffer_get_length(out)) /* the only one: it needs no turn of the loop */
		sent = send(bufferevent_getfd(c->bev), p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent == (ssize_t)n)
		return;
	sent = sent < 0 ? 0 : sent; /* what is wrong the loop will find out */
	bufferevent_write(c->bev, (const char *)p + sent, n - (size_t)sent);
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) > OUT_MAX)
		zn_conn_doom(c);
}

static void say_broken(struct zn_conn *c, const struct zn_err *err)
{
	struct zn_reply r = { .code = 65, .error = err->text };

	c->closing = true;
	bufferevent_disable(c->bev, EV_READ);
	if (zn_later_reply(c->s, c, &r) < 0)
		zn_conn_doom(c);
}

/* One request out of the input: 1, 0 if there is no whole one, <0 if it is nonsense. */
static int take_request(struct zn_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in);
	struct zn_err err = { 0 };
	struct zn_request request;
	msgpack_object map;

	if (!len || c->s->stopping) /* the next zn-schedd is asked again */
		return 0;
	const unsigned char *p = evbuffer_pullup(in, -1);
	ssize_t n = zn_msgpack_scan(&c->scan, p, len, 0, &err);
	if (n > ZN_SPEC_BYTES_MAX || (n == 0 && len > ZN_SPEC_BYTES_MAX))
		n = zn_err_set(&err, -EBADMSG, "a request of more than %d bytes", ZN_SPEC_BYTES_MAX);
	if (n == 0)
		return 0;
	c->scan = (struct zn_scan){ 0 };
	zn_arena_reset(&c->s->arena);
	int rc = n < 0 ? (int)n : zn_val_unpack(p, (size_t)n, 0, &c->s->arena, &map, &err);
	if (rc == 0)
		rc = zn_decode(&zn_request_kind, &map, &c->s->arena, &request, &err);
	if (rc < 0) {
		say_broken(c, &err);
		return rc;
	}
	zn_request_take(c->s, c, &request);
	evbuffer_drain(in, (size_t)n);
	return 1;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct zn_conn *c = arg;
	struct zn_server *s = c->s;
	int rc = 1;

	if (c->closing || c->doomed)
		return;
	for (int i = 0; i < AT_ONCE && rc > 0; i++)
		rc = take_request(c);
	if (rc > 0) /* more is there: others first */
		bufferevent_trigger(bev, EV_READ, BEV_OPT_DEFER_CALLBACKS);
	zn_turn_end(s);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct zn_conn *c = arg;

	(void)bev;
	if (c->doomed || (c->closing && !c->owed))
		zn_conn_close(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct zn_conn *c = arg;
	size_t left = evbuffer_get_length(bufferevent_get_input(bev));
	struct zn_err err;

	if ((what & BEV_EVENT_EOF) && left && !c->closing && !c->doomed && !c->s->stopping) {
		/* it may have closed only its side, and hear us still */
		zn_err_set(&err, -EBADMSG, "a request that ends in the middle, after %zu bytes", left);
		say_broken(c, &err);
		zn_turn_end(c->s);
		return;
	}
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		zn_conn_close(arg);
}

/* All numbers without an account are one user here: whoever has a range of them (subuid(5)) could else be many. */
static uid_t counted_as(struct zn_server *s, uid_t uid)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", (unsigned)uid);
	zn_arena_reset(&s->arena);
	const char *name = zn_uid_name(s, uid);
	return name && strcmp(name, number) ? uid : (uid_t)-1;
}

static bool is_welcome(const struct zn_server *s, const struct zn_conn *who)
{
	const struct zn_conn *c;
	size_t n = 0;

	if (who->cred.uid == 0 || who->cred.uid == geteuid())
		return true;
	if (s->is_private)
		return false;
	TAILQ_FOREACH(c, &s->conns, link)
		n += c->counted_as == who->counted_as;
	return n < s->conns_max / USERS_SHARE;
}

void zn_conn_accept(struct zn_server *s, int fd)
{
	struct zn_conn *c = s->n_conns < s->conns_max ? calloc(1, sizeof(*c)) : NULL;
	socklen_t len = sizeof(c->cred);

	int rc = c ? getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &len) : -1;
	if (rc == 0)
		c->counted_as = counted_as(s, c->cred.uid);
	if (rc < 0 || !is_welcome(s, c)) {
		free(c);
		close(fd);
		return;
	}
	c->s = s;
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev) {
		free(c);
		close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	zn_idle_arm(s);
	struct timeval silence = { .tv_sec = SILENCE_S };
	bufferevent_set_timeouts(c->bev, &silence, &silence);
	bufferevent_set_max_single_read(c->bev, 1 << 20);
	bufferevent_setwatermark(c->bev, EV_READ, 0, ZN_SPEC_BYTES_MAX + (1 << 20));
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	if (bufferevent_enable(c->bev, EV_READ) < 0) /* whom we can't hear should not wait for us */
		zn_conn_close(c);
}
