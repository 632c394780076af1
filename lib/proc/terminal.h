#ifndef ZN_PROC_TERMINAL_H
#define ZN_PROC_TERMINAL_H

#include <sys/types.h>

#include "zenith.h"

/* Takes the terminal that a client of user uid offers at an abstract socket.  *ret_sock stays connected as long as the
 * client is there, *ret_tty is for the task.  -EPERM: it is somebody else's socket.
 */
int zn_terminal_take(const char *name, uid_t uid, int *ret_sock, int *ret_tty, struct zn_err *err);

#endif
