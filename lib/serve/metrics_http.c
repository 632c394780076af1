/* metrics_http: zn-schedd's metrics to who asks for GET /metrics.
 *
 * It is in the loop that also schedules, so everything about it is bounded: so many connections, the oldest of which goes
 * when another one comes; so many bytes of a request; so many seconds from its first byte to the last of the answer; and one
 * answer each, made once and sent as the other side takes it.  (libevent's own HTTP server bounds neither the number of
 * connections nor their time as a whole.)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/listener.h>

#include "base/units.h"
#include "serve/server.h"

enum { SCRAPES_MAX = 8, REQUEST_MAX = 8 << 10, MORE_MAX = 256 << 10, SCRAPE_S = 5 };

struct scrape {
	struct zn_server *s;
	struct bufferevent *bev;
	struct event *deadline;
	bool is_answered, is_sent;     /* it has its answer; all of that is on its way */
	bool is_over;                  /* it says nothing more */
	size_t more;                   /* bytes that came behind what was answered */
	TAILQ_ENTRY(scrape) link;      /* by age */
};

struct zn_scrapes {
	struct evconnlistener *listener;
	TAILQ_HEAD(, scrape) all;
	unsigned n;
};

/* ---- one scrape ------------------------------------------------------------------------------------------------------ */

static void hang_up(struct scrape *c)
{
	struct zn_scrapes *all = c->s->scrapes;

	TAILQ_REMOVE(&all->all, c, link);
	all->n--;
	if (c->deadline)
		event_free(c->deadline);
	if (c->bev)
		bufferevent_free(c->bev);
	free(c);
}

static void answer(struct scrape *c, const char *status, const char *more, const struct zn_buf *body)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	c->is_answered = true;
	evbuffer_add_printf(out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", status, more, body->len);
	evbuffer_add(out, body->data, body->len);
}

static void refuse(struct scrape *c, const char *status, const char *more)
{
	struct zn_buf body = { 0 };

	zn_buf_printf(&body, "%s\n", status);
	answer(c, status, more, &body);
	zn_buf_done(&body);
}

static void answer_metrics(struct scrape *c)
{
	struct zn_buf body = { 0 };

	zn_metrics_put(c->s, &body);
	if (body.failed)
		refuse(c, "503 Service Unavailable", "");
	else
		answer(c, "200 OK", "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", &body);
	zn_buf_done(&body);
}

/* The length of text up to the next blank, or the end of the line. */
static size_t word(const char *text, size_t n)
{
	size_t len = 0;

	while (len < n && text[len] != ' ' && text[len] != '\r' && text[len] != '\n')
		len++;
	return len;
}

static bool is_word(const char *text, size_t n, const char *expected)
{
	return n == strlen(expected) && !memcmp(text, expected, n);
}

/* n bytes of text are a whole request, or what claims to be one. */
static void take_request(struct scrape *c, const char *text, size_t n)
{
	size_t method = word(text, n), from = method + 1;
	size_t path = from < n ? word(text + from, n - from) : 0, version = from + path + 1;
	const char *query = path ? memchr(text + from, '?', path) : NULL;

	if (!method || !path || text[method] != ' ' || n - version < 7 || memcmp(text + version, "HTTP/1.", 7))
		refuse(c, "400 Bad Request", "");
	else if (!is_word(text + from, query ? (size_t)(query - text) - from : path, "/metrics"))
		refuse(c, "404 Not Found", "");
	else if (!is_word(text, method, "GET"))
		refuse(c, "405 Method Not Allowed", "Allow: GET\r\n");
	else
		answer_metrics(c);
}

/* What comes behind a request is taken and forgotten: were it left, the kernel would end the connection with a reset, which may
 * overtake the answer.
 */
static void take_more(struct scrape *c, struct evbuffer *in)
{
	size_t n = evbuffer_get_length(in);

	c->more += n;
	evbuffer_drain(in, n);
	if (c->more > MORE_MAX)
		hang_up(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct scrape *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);
	const char *text = (const char *)evbuffer_pullup(in, -1);

	if (c->is_answered) {
		take_more(c, in);
		return;
	}
	if (!text)
		return;
	if (memmem(text, n, "\r\n\r\n", 4) || memmem(text, n, "\n\n", 2))
		take_request(c, text, n);
	else if (n >= REQUEST_MAX)
		refuse(c, "431 Request Header Fields Too Large", "");
	if (c->is_answered)
		take_more(c, in);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct scrape *c = arg;

	if (!c->is_answered || c->is_sent)
		return;
	c->is_sent = true;
	if (c->is_over || shutdown(bufferevent_getfd(bev), SHUT_WR) < 0)
		hang_up(c);
}

/* Its end, in whatever way.  Who only says that he says nothing more still gets his answer. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct scrape *c = arg;

	(void)bev;
	c->is_over = true;
	if (!c->is_answered || c->is_sent || (what & BEV_EVENT_ERROR))
		hang_up(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hang_up(arg);
}

static void on_scrape(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
	static const struct timeval at_most = { .tv_sec = SCRAPE_S };
	struct zn_server *s = arg;
	struct zn_scrapes *all = s->scrapes;
	struct scrape *c = calloc(1, sizeof(*c));

	(void)listener;
	(void)from;
	(void)len;
	if (!c) {
		close(fd);
		return;
	}
	if (all->n == SCRAPES_MAX)
		hang_up(TAILQ_FIRST(&all->all));
	c->s = s;
	TAILQ_INSERT_TAIL(&all->all, c, link);
	all->n++;
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		close(fd);
	c->deadline = evtimer_new(s->base, on_deadline, c);
	if (!c->bev || !c->deadline || evtimer_add(c->deadline, &at_most) < 0) {
		hang_up(c);
		return;
	}
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, REQUEST_MAX);
	if (bufferevent_enable(c->bev, EV_READ | EV_WRITE) < 0)
		hang_up(c);
}

/* ---- who may ---------------------------------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr_storage *at)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)at;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)at;

	return at->ss_family == AF_INET ? ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Port 0: one that the kernel chooses. */
static bool parse_address(const char *text, struct sockaddr_storage *at, int *len)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || zn_parse_u64(colon + 1, 0, UINT16_MAX, &port, NULL) < 0)
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	*len = sizeof(*at);
	if (evutil_parse_sockaddr_port(host, (struct sockaddr *)at, len) < 0)
		return false;
	((struct sockaddr_in *)at)->sin_port = htons((uint16_t)port); /* where an IPv6 address has it, too */
	return true;
}

static int read_address(const char *text, bool anywhere, struct sockaddr_storage *at, int *len, struct zn_err *err)
{
	if (!parse_address(text, at, len))
		return zn_err_set(err, -EINVAL, "metrics at '%s': say an address and a port, such as 127.0.0.1:9464 or [::1]:9464", text);
	if (!is_loopback(at) && !anywhere)
		return zn_err_set(err, -EINVAL, "metrics at '%s': others reach that address; if they may, say --metrics-anywhere, or "
		                  "'anywhere = yes' in [metrics]", text);
	return 0;
}

int zn_serve_check_metrics(const char *listen, bool anywhere, struct zn_err *err)
{
	struct sockaddr_storage at;
	int len;

	return read_address(listen, anywhere, &at, &len, err);
}

/* With port 0 it is one that the kernel chose. */
static void say_where(const struct evconnlistener *listener)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *in = (const struct sockaddr_in *)&at;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&at;

	if (getsockname(evconnlistener_get_fd((struct evconnlistener *)listener), (struct sockaddr *)&at, &len) < 0)
		return;
	bool is_6 = at.ss_family == AF_INET6;
	evutil_inet_ntop(at.ss_family, is_6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host, sizeof(host));
	zn_log(is_6 ? "metrics are at http://[%s]:%u/metrics" : "metrics are at http://%s:%u/metrics", host,
	       ntohs(is_6 ? in6->sin6_port : in->sin_port));
}

int zn_scrapes_open(struct zn_server *s, const char *listen, bool anywhere, struct zn_err *err)
{
	struct sockaddr_storage at;
	int len, rc = read_address(listen, anywhere, &at, &len, err);

	if (rc < 0)
		return rc;
	s->scrapes = calloc(1, sizeof(*s->scrapes));
	if (!s->scrapes)
		return -ENOMEM;
	TAILQ_INIT(&s->scrapes->all);
	errno = 0;
	s->scrapes->listener = evconnlistener_new_bind(s->base, on_scrape, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
	                                               SCRAPES_MAX, (struct sockaddr *)&at, len);
	if (!s->scrapes->listener) {
		rc = errno ? -errno : -ENOMEM;
		zn_scrapes_close(s);
		return zn_err_set(err, rc, "metrics can't be served at '%s': %s", listen, strerror(-rc));
	}
	say_where(s->scrapes->listener);
	return 0;
}

void zn_scrapes_close(struct zn_server *s)
{
	struct scrape *c;

	if (!s->scrapes)
		return;
	if (s->scrapes->listener)
		evconnlistener_free(s->scrapes->listener);
	while ((c = TAILQ_FIRST(&s->scrapes->all)))
		hang_up(c);
	free(s->scrapes);
	s->scrapes = NULL;
}
