#include "queue/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "queue/memo.h"

/* Takes the buffer. */
static int digest(int rc, struct zn_buf *content, unsigned char ret[ZN_DIGEST])
{
	unsigned char full[EVP_MAX_MD_SIZE];

	if (rc == 0 && !EVP_Digest(content->data, content->len, full, NULL, EVP_sha256(), NULL))
		rc = -EIO;
	if (rc == 0)
		memcpy(ret, full, ZN_DIGEST);
	zn_buf_done(content);
	return rc;
}

int zn_spec_digest(const struct zn_spec *spec, unsigned char ret[ZN_DIGEST])
{
	struct zn_buf b = { 0 };

	return digest(zn_spec_content(spec, &b), &b, ret);
}

int zn_env_digest(uid_t uid, const struct zn_strmap *environment, unsigned char ret[ZN_DIGEST])
{
	struct zn_memo_env m = { .uid = uid, .environment = *environment };
	struct zn_buf b = { 0 };

	return digest(zn_encode(&zn_memo_env_kind, &m, &b), &b, ret);
}
