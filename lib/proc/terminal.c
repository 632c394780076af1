#include "proc/terminal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 5 };

static int connect_to(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	size_t len = strlen(name);

	if (len + 1 > sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path + 1, name, len);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) == 0)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

/* One descriptor, and it is a terminal. */
static int receive(int sock)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd;

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (isatty(fd))
		return fd;
	close(fd);
	return -ENOTTY;
}

int zn_terminal_take(const char *name, uid_t uid, int *ret_sock, int *ret_tty, struct zn_err *err)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	int sock = connect_to(name), rc = sock < 0 ? sock : 0;

	if (rc == 0 && getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		rc = -errno;
	if (rc == 0 && who.uid != uid)
		rc = -EPERM;
	int tty = rc == 0 ? receive(sock) : rc;
	if (tty < 0) {
		if (sock >= 0)
			close(sock);
		return zn_err_set(err, tty, "its terminal is gone: %s", strerror(-tty));
	}
	*ret_sock = sock;
	*ret_tty = tty;
	return 0;
}
