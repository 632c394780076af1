/* What a name that is a URL stands for, by the environment. */
#include "data/url.h"

#include <errno.h>
#include <string.h>

#include "tap.h"

#define ENDPOINT "AWS_ENDPOINT_URL"
#define KEYS "AWS_ACCESS_KEY_ID", "id", "AWS_SECRET_ACCESS_KEY", "a:secret"

static const struct {
	const char *name, *env[9];     /* names and values in turn */
	int rc;
	const char *url, *sigv4;       /* of a failure: what the sentence has in it */
} cases[] = {
	{ "http://h/a.tar", { NULL }, 0, "http://h/a.tar", NULL },
	{ "HTTPS://h:1/a.tar?b=c", { KEYS }, 0, "HTTPS://h:1/a.tar?b=c", NULL },
	{ "http://", { NULL }, -EINVAL, "names no host", NULL },
	{ "http:///a.tar", { NULL }, -EINVAL, "names no host", NULL },
	{ "http://h/a b.tar", { NULL }, -EINVAL, "a blank", NULL },
	{ "http://h/a\nX: y", { NULL }, -EINVAL, "a blank", NULL },
	{ "s3://b/k.tar", { NULL }, 0, "https://b.s3.us-east-1.amazonaws.com/k.tar", NULL },
	{ "s3://b/k.tar", { "AWS_REGION", "eu-west-1" }, 0, "https://b.s3.eu-west-1.amazonaws.com/k.tar", NULL },
	{ "s3://b/k.tar", { "AWS_DEFAULT_REGION", "r-2", "AWS_REGION", "" }, 0, "https://b.s3.r-2.amazonaws.com/k.tar", NULL },
	{ "s3://b.c/k.tar", { NULL }, 0, "https://s3.us-east-1.amazonaws.com/b.c/k.tar", NULL },
	{ "s3://b/d/k 1+ü?#%.tar", { ENDPOINT, "http://h:9000/" }, 0, "http://h:9000/b/d/k%201%2B%C3%BC%3F%23%25.tar", NULL },
	{ "s3://b/k", { ENDPOINT, "http://h", "AWS_ENDPOINT_URL_S3", "https://s" }, 0, "https://s/b/k", NULL },
	{ "s3://b/k", { KEYS }, 0, "https://b.s3.us-east-1.amazonaws.com/k", "aws:amz:us-east-1:s3" },
	{ "s3://b/k", { KEYS, ENDPOINT, "http://h", "AWS_REGION", "x" }, 0, "http://h/b/k", "aws:amz:x:s3" },
	{ "s3://b/k", { "AWS_ACCESS_KEY_ID", "id" }, -EINVAL, "only one of", NULL },
	{ "s3://b/k", { "AWS_SECRET_ACCESS_KEY", "s" }, -EINVAL, "only one of", NULL },
	{ "s3://b/k", { ENDPOINT, "h:9000" }, -EINVAL, "neither with http://", NULL },
	{ "s3://b/k", { "AWS_REGION", "a.evil/" }, -EINVAL, "the region", NULL },
	{ "s3://b", { NULL }, -EINVAL, "not s3://BUCKET/KEY", NULL },
	{ "s3://b/", { NULL }, -EINVAL, "not s3://BUCKET/KEY", NULL },
	{ "s3:///k", { NULL }, -EINVAL, "not s3://BUCKET/KEY", NULL },
	{ "s3://b@h/k", { NULL }, -EINVAL, "not s3://BUCKET/KEY", NULL },
};

static void set_env(const char *const *env)
{
	static const char *const all[] = { "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
	                                   "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		unsetenv(all[i]);
	for (; *env; env += 2)
		setenv(env[0], env[1], 1);
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void test_case(size_t i)
{
	struct zn_err err = { .text = "" };
	struct zn_url *u = NULL;

	set_env(cases[i].env);
	int rc = zn_url_new(cases[i].name, &u, &err);
	bool good = rc == cases[i].rc && (rc < 0 ? !u && strstr(err.text, cases[i].url) : is_same(u->url, cases[i].url) && is_same(u->sigv4, cases[i].sigv4));
	tap_ok(good, "case %zu: %s", i, cases[i].name[0] && !strchr(cases[i].name, '\n') ? cases[i].name : "a header in a URL");
	if (!good)
		printf("# %d %s %s\n", rc, err.text, u ? u->url : "-");
	zn_url_free(u);
}

static void test_keys(void)
{
	const char *const env[] = { KEYS, "AWS_SESSION_TOKEN", "token==", NULL };
	struct zn_url *u = NULL;

	set_env(env);
	int rc = zn_url_new("s3://b/k", &u, NULL);
	tap_ok(rc == 0 && is_same(u->key_id, "id") && is_same(u->secret, "a:secret") && is_same(u->token, "token=="), "what it is signed with");
	zn_url_free(u);
}

static void test_names(void)
{
	tap_ok(zn_url_is("http://h") && zn_url_is("https://h") && zn_url_is("s3://b/k") && zn_url_is("S3://b/k"), "names that are URLs");
	tap_ok(!zn_url_is("http:/h") && !zn_url_is("a/http://h") && !zn_url_is("ftp://h") && !zn_url_is(""), "names that are none");
	tap_ok(zn_url_path_end("http://h/a.tar?x#y") == 14 && zn_url_path_end("http://h/a.tar#y") == 14 && zn_url_path_end("s3://b/a?#") == 10, "where a path ends");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		test_case(i);
	test_keys();
	test_names();
	return tap_done();
}
