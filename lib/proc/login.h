/* login: see login.c. */
#ifndef ZN_PROC_LOGIN_H
#define ZN_PROC_LOGIN_H

/* Gives this process, which is still root, the limits of the user's logins.  0, also where the system has no
 * service "zenith"; -1: PAM refuses him.
 */
int zn__login_limits(const char *user);

#endif
