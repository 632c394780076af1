/* pty: the terminal of this program becomes that of a job on the same machine.
 *
 * We make a pair of pseudo-terminals, keep the one end and give the other to the job's shepherd, through a socket that
 * only it finds: so what is typed and shown passes through nobody else.  The socket stays: when it closes, the other
 * side is gone.
 */
#ifndef ZN_CLI_PTY_H
#define ZN_CLI_PTY_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#include "zenith.h"

enum { ZN_CLI_PTY_NAME = 48 };

struct zn_cli_pty {
	char name[ZN_CLI_PTY_NAME];  /* of the socket, in the abstract space */
	int listener, master, slave, sock;
	struct termios saved;
	bool is_raw;
};

/* -EINVAL: standard input or output is no terminal. */
int zn_cli_pty_open(struct zn_cli_pty *p, struct zn_err *err);
/* True once the job has its terminal; ours is raw from then on. */
bool zn_cli_pty_accept(struct zn_cli_pty *p);
/* Copies both ways until the other side is gone: 0; -EINTR: *ended was set by a signal, which, with SIGWINCH, must be
 * blocked: waiting is where they come.
 */
int zn_cli_pty_copy(struct zn_cli_pty *p, const volatile sig_atomic_t *ended);
void zn_cli_pty_restore(struct zn_cli_pty *p);

#endif
