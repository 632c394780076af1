/* peer: connections.  Anybody of our user, and root, may connect; who says hello becomes the peer and takes the
 * place of the one before.  Garbage ends a connection and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/agent.h"
#include "rec/frame.h"
#include "rec/val.h"

#define NS 1000000000ull

enum {
	CONNS_MAX = 16,
	READ_SIZE = 64 << 10,
	STRANGER_MAX = 64 << 10,  /* bytes of somebody who has not said hello */
	OUT_MAX = 64 << 20,       /* a peer that does not read; the log has it all */
};

/* ---- out ----------------------------------------------------------------------------------------------- */

static void flush(struct agent *a, struct conn *c)
{
	while (c->out.len) {
		ssize_t n = send(c->watch.fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			c->out.len = 0;
			shutdown(c->watch.fd, SHUT_RDWR); /* the loop will see it and drop the connection */
		}
		if (n < 0)
			break;
		zn_buf_eat(&c->out, (size_t)n);
	}
	bool wait = c->out.len > 0;
	if (wait == c->waits_to_write)
		return;
	struct epoll_event e = { .events = EPOLLIN | (wait ? EPOLLOUT : 0), .data.ptr = &c->watch };
	epoll_ctl(a->epoll, EPOLL_CTL_MOD, c->watch.fd, &e);
	c->waits_to_write = wait;
}

void zn__peer_send_body(struct agent *a, uint64_t seq, const struct zn_buf *body)
{
	struct conn *c = a->peer;

	if (!c)
		return;
	if (zn_frame_put(&c->out, seq, a->nonce, body->data, body->len) < 0 || c->out.len > OUT_MAX) {
		zn_buf_done(&c->out);
		c->out = (struct zn_buf){ 0 };
		shutdown(c->watch.fd, SHUT_RDWR);
		return;
	}
	flush(a, c);
}

void zn__peer_send(struct agent *a, const struct zn_kind *kind, const void *msg)
{
	struct zn_buf body = { 0 };

	if (a->peer && zn_encode(kind, msg, &body) == 0)
		zn__peer_send_body(a, 0, &body);
	zn_buf_done(&body);
}

static void send_hello(struct agent *a)
{
	struct utsname host;
	char boot[ZN_BOOT_ID];
	size_t n = HASH_COUNT(a->jobs);
	struct zn_msg_running *jobs = calloc(n + 1, sizeof(*jobs));
	struct zn_msg_hello m = { .version = ZN_NODE_VERSION, .node = a->opts->node, .pid = (uint32_t)getpid(),
	                          .hostname = uname(&host) == 0 ? host.nodename : NULL, .boot_id = boot };

	if (!jobs)
		return;
	n = 0;
	for (const struct job *j = a->jobs; j; j = j->hh.next)
		if (!j->exited)
			jobs[n++] = (struct zn_msg_running){ .job = j->key.job, .attempt = (uint32_t)j->key.attempt,
			                                     .start_s = j->start_s, .suspended = j->suspended };
	m.jobs = (struct zn_list){ .v = jobs, .n = n };
	zn_boot_id(boot);
	zn__peer_send(a, &zn_msg_hello_kind, &m);
	free(jobs);
}

/* ---- in ------------------------------------------------------------------------------------------------- */

static int greet(struct agent *a, struct conn *c, const msgpack_object *map)
{
	struct zn_msg_hello m;
	struct zn_err err;

	if (!zn_val_is_text(zn_val_get(map, "kind"), "hello")) {
		zn__agent_say(a, "a connection that does not begin with hello was dropped");
		return -EPROTO;
	}
	if (zn_decode(&zn_msg_hello_kind, map, &a->msg, &m, &err) < 0 || !m.version) {
		zn__agent_say(a, "a hello of no version that we know was dropped");
		return -EPROTO;
	}
	if (c->has_said_hello)
		return 0;
	c->has_said_hello = true;
	a->retiring = false;
	c->deadline_ns = 0;
	if (a->peer)
		zn__peer_drop(a, a->peer);
	a->peer = c;
	if (getrandom(&a->nonce, sizeof(a->nonce), GRND_NONBLOCK) < 0)
		a->nonce = (uint32_t)zn_boot_ns();
	send_hello(a);
	for (size_t i = 0; i < a->n_reports && a->peer == c; i++)
		zn__peer_send_body(a, a->reports[i].seq, &a->reports[i].body);
	/* last: with it the scheduler knows that it has heard everything */
	zn__look_send_state(a, true);
	return 0;
}

static void put_by(struct agent *a, const struct zn_frame *f)
{
	struct waiting *w = calloc(1, sizeof(*w)), **at = &a->waiting;

	if (!w)
		return; /* the scheduler asks again when it hears nothing */
	zn_buf_add(&w->body, f->payload, f->len);
	while (*at)
		at = &(*at)->next;
	*at = w;
}

static int do_start(struct agent *a, const msgpack_object *map, const struct zn_frame *f, struct zn_err *err)
{
	struct zn_msg_start m;
	int rc = zn_decode(&zn_msg_start_kind, map, &a->msg, &m, err);

	if (rc < 0)
		return rc;
	if (!m.gpus.n || !zn__look_needed(a)) {
		zn__job_start(a, &m);
		return 0;
	}
	put_by(a, f);
	a->want_users = true;
	zn__look_begin(a);
	return 0;
}

/* A cancel must not overtake the start that waits. */
static int do_steer(struct agent *a, const msgpack_object *map, const struct zn_frame *f, struct zn_err *err)
{
	struct zn_msg_steer m;
	int rc = zn_decode(&zn_msg_steer_kind, map, &a->msg, &m, err);

	if (rc < 0)
		return rc;
	if (a->waiting && m.job && !zn__job_find(a, m.job, m.attempt))
		put_by(a, f);
	else
		zn__job_steer(a, &m);
	return 0;
}

/* Kinds that we don't know come from a newer scheduler and are skipped. */
static int dispatch(struct agent *a, const msgpack_object *map, const struct zn_frame *f, struct zn_err *err)
{
	const msgpack_object *kind = zn_val_get(map, "kind");
	struct zn_msg_ack ack;
	int rc = 0;

	if (zn_val_is_text(kind, "start")) {
		rc = do_start(a, map, f, err);
	} else if (zn_val_is_text(kind, "steer")) {
		rc = do_steer(a, map, f, err);
	} else if (zn_val_is_text(kind, "ack")) {
		rc = zn_decode(&zn_msg_ack_kind, map, &a->msg, &ack, err);
		if (rc == 0)
			zn__agent_ack(a, ack.seq);
	}
	return rc;
}

static int take_frame(struct agent *a, struct conn *c, const struct zn_frame *f)
{
	struct zn_err err = { 0 };
	msgpack_object map;
	int rc = 0;

	if (c->has_nonce && c->nonce != f->nonce)
		rc = zn_err_set(&err, -EPROTO, "a frame of another session");
	c->nonce = f->nonce;
	c->has_nonce = true;
	if (rc == 0)
		rc = zn_msg_unpack(f, &a->msg, &map, &err);
	if (rc == 0 && (!c->has_said_hello || zn_val_is_text(zn_val_get(&map, "kind"), "hello")))
		rc = greet(a, c, &map);
	else if (rc == 0)
		rc = dispatch(a, &map, f, &err);
	if (rc < 0 && err.text[0])
		zn__agent_say(a, "a connection was dropped: %s", err.text);
	zn_arena_reset(&a->msg);
	return rc;
}

/* Everything whole that has come; negative: drop the connection. */
static int take_frames(struct agent *a, struct conn *c)
{
	struct zn_frame f;
	size_t at = 0;
	ssize_t n = 0;
	int rc = 0;

	while (rc == 0 && at < c->in.len && (n = zn_frame_get(c->in.data + at, c->in.len - at, &f)) > 0) {
		rc = take_frame(a, c, &f);
		at += (size_t)n;
	}
	if (rc == 0 && n < 0) {
		zn__agent_say(a, "a connection was dropped: damaged frame");
		rc = (int)n;
	}
	zn_buf_eat(&c->in, at);
	if (rc == 0 && !c->has_said_hello && c->in.len > STRANGER_MAX)
		rc = -EMSGSIZE;
	return rc;
}

static void on_conn(struct agent *a, struct watch *w, uint32_t events)
{
	struct conn *c = (struct conn *)w;

	if (events & EPOLLOUT)
		flush(a, c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	char *room = zn_buf_room(&c->in, READ_SIZE);
	ssize_t n = room ? recv(w->fd, room, READ_SIZE, MSG_DONTWAIT) : -1;
	if (room && n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->in.len += (size_t)n;
	if (n <= 0 || take_frames(a, c) < 0)
		zn__peer_drop(a, c);
}

/* ---- coming and going --------------------------------------------------------------------------------- */

void zn__peer_drop(struct agent *a, struct conn *c)
{
	struct conn **at = &a->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (a->peer == c) {
		a->peer = NULL;
		a->watch_ns = 0;
		a->tell_state = false;
		zn__look_forget(a);
		/* what was sent but never acknowledged has only us to remember it now */
		if (a->n_reports)
			zn_log_sync(&a->log);
	}
	zn__agent_unwatch(a, &c->watch);
	zn_buf_done(&c->in);
	zn_buf_done(&c->out);
	free(c);
}

bool zn__peer_is_replaced(const struct agent *a)
{
	struct pollfd fds[] = { { .fd = a->peer ? a->peer->watch.fd : -1 }, { .fd = a->listener.fd, .events = POLLIN } };

	return poll(fds, 2, 0) == 2 && fds[0].revents & POLLHUP;
}

static bool may_talk(const struct agent *a, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return false;
	return who.uid == geteuid() || who.uid == 0 || (a->opts->has_scheduler && who.uid == a->opts->scheduler_uid);
}

/* Without a descriptor for him a caller would stay in the queue and wake us for ever. */
static void turn_away(struct agent *a, int listener)
{
	close(a->spare_fd);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void zn__peer_accept(struct agent *a, struct watch *w, uint32_t events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	size_t n = 0;

	(void)events;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		turn_away(a, w->fd);
	if (fd < 0)
		return;
	for (struct conn *c = a->conns; c; c = c->next)
		n++;
	struct conn *c = may_talk(a, fd) && n < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->watch = (struct watch){ .fd = fd, .ready = on_conn };
	c->deadline_ns = zn_boot_ns() + ZN_NODE_HELLO_S * NS;
	c->next = a->conns;
	a->conns = c;
	if (zn__agent_watch(a, &c->watch, EPOLLIN) < 0)
		zn__peer_drop(a, c);
}

void zn__peer_expire(struct agent *a, uint64_t now_ns)
{
	for (struct conn *c = a->conns, *next; c; c = next) {
		next = c->next;
		if (c->deadline_ns && now_ns >= c->deadline_ns) {
			zn__agent_say(a, "a connection that said nothing was dropped");
			zn__peer_drop(a, c);
		}
	}
}
