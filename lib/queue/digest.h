/* digest: what stands for a content that is too long to compare: SHA-256, cut.  In a file of its own, so that
 * programs which only compare do not load libcrypto, half of the time that a small one takes to start.
 */
#ifndef ZN_QUEUE_DIGEST_H
#define ZN_QUEUE_DIGEST_H

#include "queue/jobs.h"

int zn_spec_digest(const struct zn_spec *spec, unsigned char ret[ZN_DIGEST]);
int zn_env_digest(uid_t uid, const struct zn_strmap *environment, unsigned char ret[ZN_DIGEST]);

#endif
