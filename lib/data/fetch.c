#include "data/fetch.h"

#include <errno.h>

#ifdef ZN_WITH_LIBCURL
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"

enum { TRIES = 5, FIRST_PAUSE_MS = 200, PAUSE_MAX_MS = 30000, CONNECT_S = 10, STANDSTILL_S = 30, REFUSAL_MAX = 4096 };

/* A place for one range at a time. */
struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct zn_read *one;           /* NULL: it is free */
	unsigned tries;
	uint64_t due_ns;               /* when it is tried again; 0: it is under way */
	size_t done, got;              /* of one->n: had before this try; by now */
	size_t whole;                  /* how many there are: fewer at the object's end; SIZE_MAX: it was not said yet */
	bool is_refused;               /* libcurl did not take an option */
	const char *why;               /* what is wrong with the answer */
	int rc;
	/* the answer */
	bool has_range;
	unsigned long long first, last, total;
	char etag[ZN_URL_VERSION], modified[64];
	char refusal[REFUSAL_MAX];     /* the beginning of what came instead */
	size_t n_refusal;
};

struct zn_fetcher {
	CURLM *multi;
	struct transfer *transfers;
	unsigned depth;
	uint64_t random;
	pthread_t thread;
	pthread_mutex_t lock;          /* for what follows, and is_done */
	pthread_cond_t done;
	struct zn_read *waiting, **last;
	bool is_stopping;
	const char *over;              /* nothing is fetched any more, for that reason; with over_rc */
	ssize_t over_rc;
};

/* ---- the answer ------------------------------------------------------------------------------------------- */

/* "NAME: value" of n bytes: its value; NULL: it is another one. */
static const char *value_of(const char *line, size_t n, const char *name, size_t *ret_n)
{
	size_t at = strlen(name);

	if (n <= at || strncasecmp(line, name, at) || line[at] != ':')
		return NULL;
	for (at++; at < n && (line[at] == ' ' || line[at] == '\t'); at++)
		;
	while (n > at && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
		n--;
	*ret_n = n - at;
	return line + at;
}

static void copy_value(const char *line, size_t n, const char *name, char *to, size_t size)
{
	const char *value = value_of(line, n, name, &n);

	if (!value || n >= size) /* one that is too long would be compared in part */
		return;
	memcpy(to, value, n);
	to[n] = 0;
}

/* "bytes 0-99/1000", or, of an object that ends before, "bytes *" and its size. */
static void take_range(struct transfer *t, const char *line, size_t n)
{
	const char *value = value_of(line, n, "content-range", &n);
	char text[96];

	if (!value || n >= sizeof(text))
		return;
	memcpy(text, value, n);
	text[n] = 0;
	t->has_range = sscanf(text, "bytes %llu-%llu/%llu", &t->first, &t->last, &t->total) == 3;
	if (!t->has_range && sscanf(text, "bytes */%llu", &t->total) == 1)
		t->first = t->last = 0;
}

static void forget_answer(struct transfer *t)
{
	t->has_range = false;
	t->total = UINT64_MAX;
	t->whole = SIZE_MAX;
	t->etag[0] = t->modified[0] = 0;
	t->n_refusal = 0;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	n *= size;
	if (n > 5 && !memcmp(line, "HTTP/", 5)) /* another answer: behind a redirection, say */
		forget_answer(t);
	take_range(t, line, n);
	copy_value(line, n, "etag", t->etag, sizeof(t->etag));
	copy_value(line, n, "last-modified", t->modified, sizeof(t->modified));
	return n;
}

static const char *version_of(const struct transfer *t)
{
	return t->etag[0] ? t->etag : t->modified;
}

static int refuse(struct transfer *t, int rc, const char *why)
{
	t->rc = rc;
	t->why = why;
	return rc;
}

/* Whether what comes is what was asked for. */
static int check_answer(struct transfer *t)
{
	const struct zn_read *one = t->one;
	const struct zn_url *u = one->url;
	uint64_t from = one->at + t->done, end = one->at + one->n < t->total ? one->at + one->n : t->total;

	if (t->has_range && u->is_known && (t->total != u->size || strcmp(version_of(t), u->version)))
		return refuse(t, -ESTALE, "the object was replaced after reading began");
	if (!t->has_range || end <= from || t->first != from || t->last != end - 1)
		return refuse(t, -EIO, "the server gives another range than it was asked for");
	t->whole = end - one->at;
	return 0;
}

static long status_of(const struct transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t keep_refusal(struct transfer *t, const char *p, size_t n)
{
	size_t room = sizeof(t->refusal) - 1 - t->n_refusal, keep = n < room ? n : room;

	memcpy(t->refusal + t->n_refusal, p, keep);
	t->n_refusal += keep;
	return keep ? n : 0;
}

static size_t take_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	long status = status_of(t);

	n *= size;
	if (status == 200)
		refuse(t, -ENOTSUP, "the server does not serve ranges");
	else if (status == 206 && t->got == t->done)
		check_answer(t);
	else if (status != 206)
		return keep_refusal(t, p, n);
	if (t->why || n > t->whole - t->got)
		return 0;
	memcpy((char *)t->one->p + t->got, p, n);
	t->got += n;
	return n;
}

/* ---- asking ----------------------------------------------------------------------------------------------- */

/* One that is not taken must not go unseen: without AWS_SIGV4 the secret would be sent as a password. */
#define SET(t, option, value) ((t)->is_refused |= curl_easy_setopt((t)->easy, CURLOPT_ ## option, value) != CURLE_OK)

static void only_http(struct transfer *t)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(t, PROTOCOLS_STR, "http,https");
	SET(t, REDIR_PROTOCOLS_STR, "http,https");
#else
	SET(t, PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
	SET(t, REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static bool add_header(struct transfer *t, const char *text)
{
	struct curl_slist *more = curl_slist_append(t->headers, text);

	if (more)
		t->headers = more;
	return more != NULL;
}

/* libcurl 7.88 does not say by itself that the (empty) body is not part of the signature, which S3 wants. */
static int sign(struct transfer *t)
{
	const struct zn_url *u = t->one->url;
	char text[8192];

	if (!u->sigv4)
		return 0;
	SET(t, AWS_SIGV4, u->sigv4);
	SET(t, USERNAME, u->key_id);
	SET(t, PASSWORD, u->secret);
	if (!add_header(t, "x-amz-content-sha256: UNSIGNED-PAYLOAD"))
		return -ENOMEM;
	if (u->token && snprintf(text, sizeof(text), "x-amz-security-token: %s", u->token) >= (int)sizeof(text))
		return -E2BIG;
	return !u->token || add_header(t, text) ? 0 : -ENOMEM;
}

/* Whose certificates are good, where it is said as others take it. */
static void trust(struct transfer *t)
{
	const char *aws = getenv("AWS_CA_BUNDLE"), *file = t->one->url->is_s3 && aws && *aws ? aws : getenv("SSL_CERT_FILE");

	if (file && *file)
		SET(t, CAINFO, file);
}

static int prepare(struct transfer *t)
{
	const struct zn_read *one = t->one;
	char range[64];

	t->got = t->done;
	t->why = NULL;
	t->is_refused = false;
	forget_answer(t);
	curl_easy_reset(t->easy);
	curl_slist_free_all(t->headers);
	t->headers = NULL;
	int rc = sign(t);
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)(one->at + t->done), (unsigned long long)(one->at + one->n - 1));
	only_http(t);
	trust(t);
	SET(t, URL, one->url->url);
	SET(t, RANGE, range);
	SET(t, HTTPHEADER, t->headers);
	SET(t, USERAGENT, "zenith/" ZN_VERSION);
	SET(t, HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(t, PATH_AS_IS, 1L);
	SET(t, FOLLOWLOCATION, one->url->is_s3 ? 0L : 1L); /* a signature is for one host */
	SET(t, MAXREDIRS, 5L);
	SET(t, NOSIGNAL, 1L);
	SET(t, CONNECTTIMEOUT, (long)CONNECT_S);
	SET(t, LOW_SPEED_LIMIT, 1L);
	SET(t, LOW_SPEED_TIME, (long)STANDSTILL_S);
	SET(t, BUFFERSIZE, 64L << 10);
	SET(t, HEADERFUNCTION, take_header);
	SET(t, HEADERDATA, t);
	SET(t, WRITEFUNCTION, take_bytes);
	SET(t, WRITEDATA, t);
	SET(t, PRIVATE, t);
	return rc == 0 && t->is_refused ? -ENOTSUP : rc;
}

static void finish(struct zn_fetcher *f, struct transfer *t, ssize_t got, const char *why)
{
	pthread_mutex_lock(&f->lock);
	t->one->got = got;
	t->one->why = why;
	t->one->is_done = true;
	t->one = NULL;
	pthread_cond_broadcast(&f->done);
	pthread_mutex_unlock(&f->lock);
}

static void begin(struct zn_fetcher *f, struct transfer *t)
{
	int rc = prepare(t);

	t->due_ns = 0;
	t->tries++;
	if (rc == 0 && curl_multi_add_handle(f->multi, t->easy) != CURLM_OK)
		rc = -ENOMEM;
	if (rc < 0)
		finish(f, t, rc, rc == -E2BIG ? "the session token is too long" : rc == -ENOTSUP ? "this libcurl can't ask for it" : "out of memory");
}

/* ---- what came of it -------------------------------------------------------------------------------------- */

static const char *why_of_status(long status)
{
	static const struct { long status; const char *why; } known[] = {
		{ 400, "the server does not understand the request (400)" },
		{ 401, "the server wants to know who asks (401)" },
		{ 403, "the server refuses it (403)" },
		{ 404, "there is no such object (404)" },
		{ 408, "the server waited too long for the request (408), again and again" },
		{ 410, "the object is gone (410)" },
		{ 412, "the object was replaced after reading began (412)" },
		{ 416, "the object ends before it (416)" },
		{ 429, "the server wants fewer requests (429), again and again" },
		{ 500, "the server failed (500), again and again" },
		{ 502, "the server behind the server failed (502), again and again" },
		{ 503, "the server is too busy (503), again and again" },
		{ 504, "the server behind the server does not answer (504), again and again" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].status == status)
			return known[i].why;
	return status >= 500 ? "the server failed, again and again" : status >= 400 ? "the server refuses it" :
	       status >= 300 ? "the server names another place, where it is not looked for" : "the server's answer is none to what was asked";
}

static int rc_of_status(long status)
{
	return status == 401 || status == 403 ? -EACCES : status == 404 || status == 410 ? -ENOENT : status == 412 ? -ESTALE :
	       status == 503 || status == 429 ? -EBUSY : -EIO;
}

static bool is_passing(long status)
{
	return status >= 500 || status == 429 || status == 408;
}

static bool is_accident(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_CONNECT: case CURLE_OPERATION_TIMEDOUT: case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING: case CURLE_SEND_ERROR: case CURLE_RECV_ERROR: case CURLE_SSL_CONNECT_ERROR:
		return true;
	default:
		return false;
	}
}

static int rc_of_code(CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT :
	       code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ? -ECONNRESET :
	       code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

/* What S3 says in its XML. */
static void keep_said(struct transfer *t)
{
	static const char open[] = "<Code>";
	struct zn_url *u = t->one->url;
	char *at, *end;

	t->refusal[t->n_refusal] = 0;
	at = strstr(t->refusal, open);
	end = at ? strstr(at, "</Code>") : NULL;
	if (!end || u->is_known)
		return;
	at += strlen(open);
	size_t n = (size_t)(end - at), k = 0;
	for (; k < n && k < sizeof(u->said) - 1 && (unsigned char)at[k] > ' ' && (unsigned char)at[k] < 0x7f; k++)
		u->said[k] = at[k];
	u->said[k] = 0;
}

/* The first answer is what all others are held against. */
static void learn(struct transfer *t)
{
	struct zn_url *u = t->one->url;

	if (u->is_known)
		return;
	u->is_known = true;
	u->size = t->total;
	strcpy(u->version, version_of(t));
}

/* A range of what has no byte at all. */
static bool is_empty_object(const struct transfer *t, long status)
{
	return status == 416 && t->total == 0 && !t->one->url->is_known;
}

/* The later the more often it was tried, and a part of that by chance, or all who were sent away come back together. */
static void pause_it(struct zn_fetcher *f, struct transfer *t)
{
	uint64_t ms = (uint64_t)FIRST_PAUSE_MS << (t->tries - 1);
	curl_off_t asked_s = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &asked_s);
	ms = ms / 2 + zn_random(&f->random) % (ms / 2 + 1);
	if (asked_s > 0 && (uint64_t)asked_s * 1000 > ms)
		ms = asked_s < PAUSE_MAX_MS / 1000 ? (uint64_t)asked_s * 1000 : PAUSE_MAX_MS;
	t->due_ns = zn_boot_ns() + ms * 1000000;
}

static void judge(struct zn_fetcher *f, struct transfer *t, CURLcode code)
{
	long status = status_of(t);
	bool is_whole = code == CURLE_OK && status == 206 && t->got == t->whole;
	bool is_refusal = status >= 400 || (code == CURLE_OK && status != 206);
	bool is_again = is_refusal ? is_passing(status) : is_accident(code) || code == CURLE_OK;

	if (status == 206 && !t->why)
		t->done = t->got;
	if (is_whole || is_empty_object(t, status)) {
		learn(t);
		finish(f, t, (ssize_t)t->got, NULL);
	} else if (t->why) {
		finish(f, t, t->rc, t->why);
	} else if (is_again && t->tries < TRIES) {
		pause_it(f, t);
	} else if (is_refusal) {
		keep_said(t);
		finish(f, t, rc_of_status(status), why_of_status(status));
	} else {
		finish(f, t, code == CURLE_OK ? -ECONNRESET : rc_of_code(code), code == CURLE_OK ? "the server gives less than it was asked for" : curl_easy_strerror(code));
	}
}

/* ---- the thread ------------------------------------------------------------------------------------------- */

static struct zn_read *take_waiting(struct zn_fetcher *f)
{
	struct zn_read *one = f->waiting;

	if (one && !(f->waiting = one->next))
		f->last = &f->waiting;
	return one;
}

static bool give_work(struct zn_fetcher *f, struct transfer *t)
{
	pthread_mutex_lock(&f->lock);
	t->one = take_waiting(f);
	pthread_mutex_unlock(&f->lock);
	t->tries = 0;
	t->done = 0;
	return t->one != NULL;
}

static void begin_some(struct zn_fetcher *f)
{
	bool has_more = true;

	for (unsigned i = 0; i < f->depth; i++) {
		struct transfer *t = &f->transfers[i];
		bool is_due = t->one && t->due_ns && t->due_ns <= zn_boot_ns();
		if (!t->one && has_more)
			has_more = is_due = give_work(f, t);
		if (is_due)
			begin(f, t);
	}
}

/* How many ended. */
static unsigned end_some(struct zn_fetcher *f)
{
	unsigned n = 0;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		CURLcode code = m->data.result;
		struct transfer *t;
		CURL *easy = m->easy_handle;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
		curl_multi_remove_handle(f->multi, easy);
		judge(f, t, code);
		n++;
	}
	return n;
}

static int wait_ms(const struct zn_fetcher *f)
{
	uint64_t now = zn_boot_ns(), ms = 60000;

	for (unsigned i = 0; i < f->depth; i++) {
		const struct transfer *t = &f->transfers[i];
		if (!t->one || !t->due_ns)
			continue;
		uint64_t left = t->due_ns > now ? (t->due_ns - now) / 1000000 + 1 : 0;
		ms = left < ms ? left : ms;
	}
	return (int)ms;
}

static bool is_stopping(struct zn_fetcher *f)
{
	pthread_mutex_lock(&f->lock);
	bool is = f->is_stopping;
	pthread_mutex_unlock(&f->lock);
	return is;
}

/* With the lock held. */
static void end_now(const struct zn_fetcher *f, struct zn_read *one)
{
	one->got = f->over_rc;
	one->why = f->over;
	one->is_done = true;
}

static void give_up(struct zn_fetcher *f, ssize_t rc, const char *why)
{
	for (unsigned i = 0; i < f->depth; i++) {
		struct transfer *t = &f->transfers[i];
		if (!t->one)
			continue;
		curl_multi_remove_handle(f->multi, t->easy);
		finish(f, t, rc, why);
	}
	pthread_mutex_lock(&f->lock);
	f->over = why;
	f->over_rc = rc;
	for (struct zn_read *one; (one = take_waiting(f));)
		end_now(f, one);
	pthread_cond_broadcast(&f->done);
	pthread_mutex_unlock(&f->lock);
}

static void *work(void *arg)
{
	struct zn_fetcher *f = arg;
	CURLMcode code = CURLM_OK;
	int running;

	while (code == CURLM_OK && !is_stopping(f)) {
		begin_some(f);
		code = curl_multi_perform(f->multi, &running);
		if (code == CURLM_OK && !end_some(f))
			code = curl_multi_poll(f->multi, NULL, 0, wait_ms(f), NULL);
	}
	if (code == CURLM_OK)
		give_up(f, -ECANCELED, "it was given up");
	else
		give_up(f, -EIO, curl_multi_strerror(code));
	return NULL;
}

/* ---- from the beginning to the end ------------------------------------------------------------------------ */

static CURLcode global_rc;

static void init_global(void)
{
	global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool make_transfers(struct zn_fetcher *f)
{
	f->transfers = calloc(f->depth, sizeof(*f->transfers));
	for (unsigned i = 0; f->transfers && i < f->depth; i++)
		if (!(f->transfers[i].easy = curl_easy_init()))
			return false;
	return f->transfers != NULL;
}

/* Signals are for the threads of the program; a broken TLS connection's, too, which nobody shall die of. */
static int start_thread(struct zn_fetcher *f)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = -pthread_create(&f->thread, NULL, work, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void drop(struct zn_fetcher *f)
{
	for (unsigned i = 0; f->transfers && i < f->depth; i++) {
		curl_easy_cleanup(f->transfers[i].easy);
		curl_slist_free_all(f->transfers[i].headers);
	}
	if (f->multi)
		curl_multi_cleanup(f->multi);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->done);
	free(f->transfers);
	free(f);
}

int zn_fetcher_new(unsigned depth, struct zn_fetcher **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct zn_fetcher *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_once(&once, init_global);
	f->depth = depth ? depth : 1;
	f->last = &f->waiting;
	f->random = zn_boot_ns() ^ (uint64_t)(uintptr_t)f;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->done, NULL);
	f->multi = global_rc == CURLE_OK ? curl_multi_init() : NULL;
	int rc = f->multi && make_transfers(f) ? 0 : -ENOMEM;
	if (rc == 0) {
		curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)f->depth);
		rc = start_thread(f);
	}
	if (rc < 0)
		drop(f);
	else
		*ret = f;
	return rc;
}

void zn_fetcher_free(struct zn_fetcher *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->is_stopping = true;
	pthread_mutex_unlock(&f->lock);
	curl_multi_wakeup(f->multi);
	pthread_join(f->thread, NULL);
	drop(f);
}

void zn_fetcher_add(struct zn_fetcher *f, struct zn_read *one)
{
	pthread_mutex_lock(&f->lock);
	one->is_done = false;
	one->next = NULL;
	if (f->over) {
		end_now(f, one);
	} else {
		*f->last = one;
		f->last = &one->next;
	}
	pthread_mutex_unlock(&f->lock);
	curl_multi_wakeup(f->multi);
}

void zn_fetcher_wait(struct zn_fetcher *f, const struct zn_read *one)
{
	pthread_mutex_lock(&f->lock);
	while (!one->is_done)
		pthread_cond_wait(&f->done, &f->lock);
	pthread_mutex_unlock(&f->lock);
}
#else
int zn_fetcher_new(unsigned depth, struct zn_fetcher **ret) { (void)depth; (void)ret; return -ENOSYS; }
void zn_fetcher_free(struct zn_fetcher *f) { (void)f; }
void zn_fetcher_add(struct zn_fetcher *f, struct zn_read *one) { (void)f; (void)one; }
void zn_fetcher_wait(struct zn_fetcher *f, const struct zn_read *one) { (void)f; (void)one; }
#endif
