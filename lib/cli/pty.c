#include "cli/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- making ---------------------------------------------------------------------------------------- */

static int make_name(char *name)
{
	unsigned char bits[16];

	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return -EIO;
	size_t n = (size_t)snprintf(name, ZN_CLI_PTY_NAME, "zenith-pty-");
	for (size_t i = 0; i < sizeof(bits); i++)
		n += (size_t)snprintf(name + n, ZN_CLI_PTY_NAME - n, "%02x", bits[i]);
	return 0;
}

static int open_listener(struct zn_cli_pty *p)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(p->name);

	memcpy(un.sun_path + 1, p->name, len);
	p->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->listener < 0 ||
	    bind(p->listener, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0 ||
	    listen(p->listener, 4) < 0)
		return -errno;
	return 0;
}

static void copy_size(const struct zn_cli_pty *p)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		ioctl(p->master, TIOCSWINSZ, &size);
}

/* The other end by way of the first, which needs no /dev/pts of ours. */
static int open_pair(struct zn_cli_pty *p)
{
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0)
		return -errno;
	p->slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->slave < 0 || tcsetattr(p->slave, TCSANOW, &p->saved) < 0)
		return -errno;
	fcntl(p->master, F_SETFL, O_NONBLOCK);
	copy_size(p);
	return 0;
}

int zn_cli_pty_open(struct zn_cli_pty *p, struct zn_err *err)
{
	*p = (struct zn_cli_pty){ .listener = -1, .master = -1, .slave = -1, .sock = -1 };
	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &p->saved) < 0)
		return zn_err_set(err, -EINVAL, "standard input and output are no terminal");
	int rc = make_name(p->name);
	if (rc == 0)
		rc = open_listener(p);
	if (rc == 0)
		rc = open_pair(p);
	return rc < 0 ? zn_err_set(err, rc, "no terminal can be made: %s", strerror(-rc)) : 0;
}

/* ---- handing over ------------------------------------------------------------------------------------ */

/* The name can be read in /proc/net/unix: who it is counts. */
static bool is_agent(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == 0 || who.uid == geteuid());
}

static int give(int sock, int fd)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec iov = { .iov_base = (char *)"t", .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)) };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static void make_raw(struct zn_cli_pty *p)
{
	struct termios raw = p->saved;

	cfmakeraw(&raw);
	p->is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void zn_cli_pty_restore(struct zn_cli_pty *p)
{
	if (p->is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &p->saved);
	p->is_raw = false;
}

bool zn_cli_pty_accept(struct zn_cli_pty *p)
{
	int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	if (!is_agent(fd) || give(fd, p->slave) < 0) {
		close(fd);
		return false;
	}
	p->sock = fd;
	close(p->listener);
	close(p->slave); /* the job's alone now: when it is closed there, our end says so */
	p->listener = p->slave = -1;
	make_raw(p);
	return true;
}

/* ---- copying ------------------------------------------------------------------------------------------ */

struct pending { char bytes[4096]; size_t n; };

static void eat(struct pending *b, size_t n)
{
	memmove(b->bytes, b->bytes + n, b->n - n);
	b->n -= n;
}

static void to_job(struct zn_cli_pty *p, struct pending *in)
{
	ssize_t n = write(p->master, in->bytes, in->n);

	if (n > 0)
		eat(in, (size_t)n);
}

/* False at the end. */
static bool show(int master)
{
	char bytes[8192];
	ssize_t n = read(master, bytes, sizeof(bytes)), at = 0;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	while (at < n) {
		ssize_t w = write(STDOUT_FILENO, bytes + at, (size_t)(n - at));
		if (w < 0 && errno != EINTR)
			return false;
		at += w > 0 ? w : 0;
	}
	return true;
}

/* What is written must be shown, also when the other side is gone already. */
static void drain(int master)
{
	struct pollfd f = { .fd = master, .events = POLLIN };

	while (poll(&f, 1, 0) == 1 && (f.revents & POLLIN) && show(master))
		;
}

int zn_cli_pty_copy(struct zn_cli_pty *p, const volatile sig_atomic_t *ended)
{
	struct pending in = { .n = 0 };
	struct pollfd f[3] = { { .fd = p->sock, .events = POLLIN }, { .fd = p->master }, { .fd = STDIN_FILENO } };
	sigset_t none;

	sigemptyset(&none);
	for (;;) {
		if (*ended)
			return -EINTR;
		copy_size(p);
		f[1].events = (short)(POLLIN | (in.n ? POLLOUT : 0));
		f[2].events = in.n < sizeof(in.bytes) ? POLLIN : 0;
		if (ppoll(f, 3, NULL, &none) < 0)
			continue;
		if (f[2].revents) {
			ssize_t got = read(STDIN_FILENO, in.bytes + in.n, sizeof(in.bytes) - in.n);
			if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
				return -EIO; /* our own terminal is gone */
			in.n += got > 0 ? (size_t)got : 0;
		}
		if (f[1].revents & POLLOUT)
			to_job(p, &in);
		if ((f[1].revents & (POLLIN | POLLHUP | POLLERR)) && !show(p->master))
			f[1].fd = -1; /* closed there; the job may go on without it */
		if (f[0].revents) {
			drain(p->master);
			return 0;
		}
	}
}
