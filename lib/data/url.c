#include "data/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char S3[] = "s3://";

static bool begins_with(const char *text, const char *with)
{
	return !strncasecmp(text, with, strlen(with));
}

bool zn_url_is(const char *name)
{
	return begins_with(name, "http://") || begins_with(name, "https://") || begins_with(name, S3);
}

/* In the key of an S3 object neither "?" nor "#" means anything. */
size_t zn_url_path_end(const char *name)
{
	return begins_with(name, S3) ? strlen(name) : strcspn(name, "?#");
}

static const char *env(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? text : NULL;
}

static const char *either(const char *a, const char *b)
{
	return a ? a : b;
}

/* As SigV4 wants a path: each byte but those that need no escape as %XX, once. */
static char *escape_key(struct zn_arena *a, const char *key)
{
	char *to = zn_arena_alloc(a, 3 * strlen(key) + 1), *at = to;

	for (; to && *key; key++) {
		unsigned char c = (unsigned char)*key;
		if (isalnum(c) || strchr("-._~/", c)) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '%';
		*at++ = "0123456789ABCDEF"[c >> 4];
		*at++ = "0123456789ABCDEF"[c & 15];
	}
	return to;
}

/* A bucket with dots in its name is no name that Amazon's certificate is for. */
static const char *where(struct zn_url *u, const char *bucket, const char *key, const char *region)
{
	const char *endpoint = either(env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"));
	int n = endpoint ? (int)strlen(endpoint) : 0;

	while (n && endpoint[n - 1] == '/')
		n--;
	if (endpoint)
		return zn_arena_printf(&u->arena, "%.*s/%s/%s", n, endpoint, bucket, key);
	return zn_arena_printf(&u->arena, strchr(bucket, '.') ? "https://s3.%3$s.amazonaws.com/%1$s/%2$s" : "https://%1$s.s3.%3$s.amazonaws.com/%2$s",
	                       bucket, key, region);
}

static int sign_by_env(struct zn_url *u, const char *region, struct zn_err *err)
{
	const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY"), *token = env("AWS_SESSION_TOKEN");

	if (!id && !secret)
		return 0;
	if (!id || !secret)
		return zn_err_set(err, -EINVAL, "there is only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
	u->sigv4 = zn_arena_printf(&u->arena, "aws:amz:%s:s3", region);
	u->key_id = zn_arena_strdup(&u->arena, id);
	u->secret = zn_arena_strdup(&u->arena, secret);
	u->token = token ? zn_arena_strdup(&u->arena, token) : NULL;
	return u->sigv4 && u->key_id && u->secret && (!token || u->token) ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
}

static bool is_word(const char *p, size_t n, const char *beside)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && !strchr(beside, p[i]))
			return false;
	return n > 0;
}

static int take_s3(struct zn_url *u, const char *name, struct zn_err *err)
{
	const char *bucket = name + strlen(S3), *key = bucket + strcspn(bucket, "/");
	const char *region = either(either(env("AWS_REGION"), env("AWS_DEFAULT_REGION")), "us-east-1");
	const char *endpoint = either(env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"));
	size_t n = (size_t)(key - bucket);

	if (!is_word(bucket, n, "-._") || strlen(key) < 2)
		return zn_err_set(err, -EINVAL, "'%s' is not s3://BUCKET/KEY", name);
	if (!is_word(region, strlen(region), "-"))
		return zn_err_set(err, -EINVAL, "the region '%s' makes no sense", region);
	if (endpoint && !begins_with(endpoint, "http://") && !begins_with(endpoint, "https://"))
		return zn_err_set(err, -EINVAL, "the endpoint '%s' begins neither with http:// nor with https://", endpoint);
	const char *own = zn_arena_memdup(&u->arena, bucket, n);
	const char *escaped = escape_key(&u->arena, key + 1);
	u->is_s3 = true;
	u->url = own && escaped ? where(u, own, escaped, region) : NULL;
	return u->url ? sign_by_env(u, region, err) : zn_err_set(err, -ENOMEM, "out of memory");
}

static int take_http(struct zn_url *u, const char *name, struct zn_err *err)
{
	const char *host = strstr(name, "://") + 3;

	if (!*host || *host == '/')
		return zn_err_set(err, -EINVAL, "'%s' names no host", name);
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return zn_err_set(err, -EINVAL, "'%s' has a blank in it, which a URL writes as %%20", name);
	u->url = zn_arena_strdup(&u->arena, name);
	return u->url ? 0 : zn_err_set(err, -ENOMEM, "out of memory");
}

int zn_url_new(const char *name, struct zn_url **ret, struct zn_err *err)
{
	struct zn_url *u = calloc(1, sizeof(*u));
	int rc = !u ? zn_err_set(err, -ENOMEM, "out of memory") : begins_with(name, S3) ? take_s3(u, name, err) : take_http(u, name, err);

	if (rc < 0)
		zn_url_free(u);
	else
		*ret = u;
	return rc;
}

void zn_url_free(struct zn_url *u)
{
	if (!u)
		return;
	zn_arena_done(&u->arena);
	free(u);
}
