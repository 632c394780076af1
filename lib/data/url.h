/* url: an object that lies at http://, https:// or s3://, of which any range of bytes can be asked.
 *
 * s3://BUCKET/KEY is made what it stands for by the environment: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (then the bucket is the
 * first part of the path), AWS_REGION or AWS_DEFAULT_REGION, and, to sign with, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN.  Without a key nothing is signed.
 */
#ifndef ZN_DATA_URL_H
#define ZN_DATA_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "zenith.h"

enum { ZN_URL_VERSION = 256, ZN_URL_SAID = 64 };

struct zn_url {
	const char *url;               /* http:// or https:// */
	bool is_s3;
	const char *sigv4;             /* of s3: "aws:amz:REGION:s3"; NULL: not signed */
	const char *key_id, *secret, *token; /* token may be NULL */
	struct zn_arena arena;         /* of the texts */
	/* What the first answer said, and all others must say, too. */
	bool is_known;
	uint64_t size;
	char version[ZN_URL_VERSION];  /* its ETag, else Last-Modified; "": the server says neither */
	char said[ZN_URL_SAID];        /* why it refused, if it said so: "SignatureDoesNotMatch" */
};

/* Whether a name begins as one. */
bool zn_url_is(const char *name);
/* The end of the path: where what is asked of the server, or is a mark within, begins. */
size_t zn_url_path_end(const char *name);
/* Asks nothing of anybody.  -EINVAL: it makes no sense; -ENOMEM. */
int zn_url_new(const char *name, struct zn_url **ret, struct zn_err *err);
void zn_url_free(struct zn_url *u);

#endif
