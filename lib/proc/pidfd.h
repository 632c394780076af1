/* pidfd: the two calls that libc does not wrap everywhere; -errno on failure. */
#ifndef ZN_PROC_PIDFD_H
#define ZN_PROC_PIDFD_H

#include <sys/types.h>

int zn__pidfd_open(pid_t pid);
int zn__pidfd_signal(int pidfd, int sig);

#endif
