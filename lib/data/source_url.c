#include "data/source_url.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is there ---------------------------------------------------------------------------------------- */

static int say(const struct zn_source *s, int rc, const char *why, struct zn_err *err)
{
	const char *said = s->url->said;

	return zn_err_set(err, rc, said[0] ? "'%s': %s: %s" : "'%s': %s", s->name, why, said);
}

/* Some bytes, rather than what HEAD says: a URL that was signed for GET is good for nothing else.  Not one alone, for which one
 * server of S3's kind gives everything.
 */
int zn__url_ask(struct zn_source *s, struct zn_fetcher *f, struct zn_err *err)
{
	char some[512];
	struct zn_read one = { .url = s->url, .p = some, .n = sizeof(some) };

	zn_fetcher_add(f, &one);
	zn_fetcher_wait(f, &one);
	if (one.got < 0)
		return say(s, (int)one.got, one.why, err);
	s->size = s->url->size;
	return 0;
}

/* ---- where its index is ----------------------------------------------------------------------------------- */

static bool digest(const char *text, unsigned char to[EVP_MAX_MD_SIZE])
{
	return EVP_Digest(text, strlen(text), to, NULL, EVP_sha256(), NULL) == 1;
}

/* 0: there is no such directory. */
static size_t put_directory(char *to, size_t size)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n = 0;

	if (cache && *cache == '/') /* its specification: what is relative is not there */
		n = snprintf(to, size, "%s/zenith/index/", cache);
	else if (home && *home == '/')
		n = snprintf(to, size, "%s/.cache/zenith/index/", home);
	return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

int zn__url_index_path(const struct zn_url *u, char *to, size_t size, struct zn_index_of *ret, const char **ret_why)
{
	unsigned char url[EVP_MAX_MD_SIZE], version[EVP_MAX_MD_SIZE];
	enum { BYTES = 20 };           /* of the digest, in the name */
	size_t at = put_directory(to, size);

	*ret_why = !u->version[0] ? "the server says neither ETag nor Last-Modified" : "there is no home directory to keep it in";
	if (!u->version[0] || !at)
		return -ENOENT;
	*ret_why = "its name is too long";
	if (at + 2 * BYTES + sizeof(".zni") > size || !digest(u->url, url) || !digest(u->version, version))
		return -ENOENT;
	for (size_t i = 0; i < BYTES; i++)
		at += (size_t)sprintf(to + at, "%02x", url[i]);
	strcpy(to + at, ".zni");
	ret->size = u->size;
	memcpy(&ret->mtime_ns, version, sizeof(ret->mtime_ns));
	return 0;
}

/* ---- building it ------------------------------------------------------------------------------------------ */

/* Large pieces, of which more and more are asked for ahead while headers follow each other within them; who hops far gets one at a
 * time.
 */
enum { PIECE = 512 << 10, AHEAD = 8 };

struct ahead {
	const struct zn_source *source;
	struct zn_fetcher *fetcher;
	char *mem;                     /* AHEAD pieces: number i is at i % AHEAD */
	struct zn_read reads[AHEAD];
	uint64_t first, n;             /* that were asked for */
	unsigned want;
	int rc;                        /* it ended with that: nothing is asked again and again when the server is gone */
	const char *why;
};

static void drop_first(struct ahead *a)
{
	zn_fetcher_wait(a->fetcher, &a->reads[a->first % AHEAD]);
	a->first++;
	a->n--;
}

static void ask_next(struct ahead *a)
{
	uint64_t piece = a->first + a->n++, left = a->source->size - piece * PIECE;
	struct zn_read *one = &a->reads[piece % AHEAD];

	*one = (struct zn_read){ .url = a->source->url, .p = a->mem + piece % AHEAD * PIECE, .n = left < PIECE ? left : PIECE, .at = piece * PIECE };
	zn_fetcher_add(a->fetcher, one);
}

/* Until it is there. */
static const struct zn_read *get_piece(struct ahead *a, uint64_t piece)
{
	bool is_near = piece >= a->first && piece <= a->first + a->n;

	if (piece != a->first || !a->n)
		a->want = !is_near || !a->want ? 1 : 2 * a->want < AHEAD ? 2 * a->want : AHEAD;
	while (a->n && (!is_near || a->first < piece))
		drop_first(a);
	a->first = piece;
	while (a->n < a->want && (a->first + a->n) * PIECE < a->source->size)
		ask_next(a);
	const struct zn_read *one = &a->reads[piece % AHEAD];
	zn_fetcher_wait(a->fetcher, one);
	return one;
}

static ssize_t read_pieces(void *arg, void *p, size_t n, uint64_t at)
{
	struct ahead *a = arg;
	size_t done = 0;

	while (done < n && a->rc == 0 && at + done < a->source->size) {
		uint64_t pos = at + done, off = pos % PIECE;
		const struct zn_read *one = get_piece(a, pos / PIECE);
		if (one->got < 0) {
			a->rc = (int)one->got;
			a->why = one->why;
			break;
		}
		size_t step = one->n - off < n - done ? one->n - off : n - done;
		memcpy((char *)p + done, (const char *)one->p + off, step);
		done += step;
	}
	return a->rc < 0 ? a->rc : (ssize_t)done;
}

int zn__url_index_build(struct zn_source *s, struct zn_fetcher *f, struct zn_err *err)
{
	struct ahead a = { .source = s, .fetcher = f, .mem = malloc((size_t)PIECE * AHEAD) };
	struct zn_blob blob = { s->size, read_pieces, &a };
	struct zn_err cause = { .text = "" };

	if (!a.mem)
		return zn_err_set(err, -ENOMEM, "out of memory");
	int rc = zn_index_build(&blob, &s->index, &cause);
	while (a.n)
		drop_first(&a);
	free(a.mem);
	if (a.rc < 0)
		return say(s, a.rc, a.why, err);
	return rc < 0 ? say(s, rc, cause.text, err) : 0;
}
