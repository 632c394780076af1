/* account: what the user database says of a user, for programs that may be linked statically: there the C library's
 * own look-up loads shared modules of whatever C library this machine has, and dies if that is another one.
 */
#ifndef ZN_BASE_ACCOUNT_H
#define ZN_BASE_ACCOUNT_H

#include <sys/types.h>

struct zn_account {
	char name[256], home[3072];
};

/* Looks into /etc/passwd and, for who is not there, asks getent(1).  -ENOENT: there is no such user. */
int zn_account_read(uid_t uid, struct zn_account *ret);

#endif
