/* crash: runs a program and makes it die, or one of its system calls fail, at a chosen point.
 *
 *   crash -r ROOT -l LIST -- PROGRAM [ARG...]              writes the points that it passes to LIST
 *   crash -r ROOT -p POINT -a ACTION [-m MARK] -- PROGRAM  acts at that point, then leaves it alone
 *
 * A point is "WHO CALL WHAT #N": the Nth time that WHO makes the system CALL on WHAT.  WHO says how many forks
 * away from the program the process is, with a "t" for its threads but the first; what another program is
 * executed in is left alone.  WHAT is a path, below ROOT relative to it, with each number in it as N; or what kind
 * of thing a descriptor is.  So a point keeps its name when processes overtake each other.  Only calls that
 * change something or can be refused are points.
 *
 * A line of LIST is the point and, behind a tab, what can be done there:
 *
 *   kill      the process is killed instead of making the call
 *   EIO, ...  the call is not made and fails like that
 *   short     it is asked to write half as much
 *
 * MARK gets a line when the point is reached.  The status is the program's, 128 + N when signal N ended it.
 * Whoever kills crash kills all that it watches.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <elf.h>
#include <linux/ptrace.h>

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "crash: %s: %s\n", what, strerror(errno));
	exit(70);
}

/* ---- what this processor calls things ------------------------------------------------------------- */

#if defined(__x86_64__)
enum { RESULT = offsetof(struct user_regs_struct, rax), LENGTH = offsetof(struct user_regs_struct, rdx) };
enum { CALL_SET = NT_PRSTATUS, CALL = offsetof(struct user_regs_struct, orig_rax), CALL_BYTES = sizeof(long) };
#elif defined(__aarch64__)
enum { RESULT = offsetof(struct user_regs_struct, regs[0]), LENGTH = offsetof(struct user_regs_struct, regs[2]) };
enum { CALL_SET = NT_ARM_SYSTEM_CALL, CALL = 0, CALL_BYTES = sizeof(int) };
#else
#define NO_REGISTERS
enum { RESULT, LENGTH, CALL_SET, CALL, CALL_BYTES };
#endif

/* The n lowest bytes of value, into a register set. */
static void set_reg(pid_t tid, long set, size_t at, long value, size_t n)
{
	char regs[1024];
	struct iovec v = { regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, tid, set, &v) == 0) {
		memcpy(regs + at, &value, n);
		if (ptrace(PTRACE_SETREGSET, tid, set, &v) == 0)
			return;
	}
	if (errno != ESRCH)
		die("register");
}

static void skip_call(pid_t tid) { set_reg(tid, CALL_SET, CALL, -1, CALL_BYTES); }
static void set_result(pid_t tid, long value) { set_reg(tid, NT_PRSTATUS, RESULT, value, sizeof(value)); }
static void set_length(pid_t tid, long value) { set_reg(tid, NT_PRSTATUS, LENGTH, value, sizeof(value)); }

/* ---- the calls that matter ----------------------------------------------------------------------------- */

/* Where the thing is that the call is about. */
enum where { NOTHING, FD, WATCHED, PATH, DIR_PATH, DIR_PATH_2, OPEN, OPEN_AT, ADDRESS };

struct call {
	long nr;
	const char *name;
	enum where where;
	const char *on_file, *on_stream, *on_other; /* what can be done, by what it is about; NULL: no point */
};

#define WRITES "kill ENOSPC EIO EINTR short", "kill EINTR short", "kill"
#define READS "EIO EINTR", "EINTR", "EINTR"
#define SYNCS "kill EIO ENOSPC", NULL, NULL
#define NAMES "kill ENOSPC EIO", NULL, NULL
#define MAKES_FD "kill EMFILE", "kill EMFILE", "kill EMFILE"
#define WAITS "EINTR", "EINTR", "EINTR"
#define FORKS "kill EAGAIN", "kill EAGAIN", "kill EAGAIN"
#define ACTS "kill", "kill", "kill"

static const struct call calls[] = {
	{ SYS_write, "write", FD, WRITES },
	{ SYS_writev, "writev", FD, WRITES },
	{ SYS_pwrite64, "pwrite", FD, WRITES },
	{ SYS_sendto, "send", FD, WRITES },
	{ SYS_sendmsg, "sendmsg", FD, NULL, "kill EINTR", NULL },
	{ SYS_recvmsg, "recvmsg", FD, NULL, "kill EINTR", NULL },
	{ SYS_read, "read", FD, READS },
	{ SYS_pread64, "pread", FD, READS },
	{ SYS_recvfrom, "recv", FD, READS },
	{ SYS_readv, "readv", FD, READS },
	{ SYS_fsync, "fsync", FD, SYNCS },
	{ SYS_fdatasync, "fdatasync", FD, SYNCS },
	{ SYS_ftruncate, "ftruncate", FD, "kill EIO EINTR", NULL, NULL },
	{ SYS_fallocate, "fallocate", FD, "kill ENOSPC EIO EINTR", NULL, NULL },
	{ SYS_fchmod, "fchmod", FD, "kill EIO", NULL, NULL },
	{ SYS_flock, "flock", FD, "kill EINTR ENOLCK", NULL, NULL },
	{ SYS_openat, "open", OPEN_AT, "kill ENOSPC EIO EINTR EMFILE", NULL, "kill EMFILE" },
#ifdef SYS_openat2
	{ SYS_openat2, "open", OPEN_AT, "kill EIO EMFILE", NULL, "kill EMFILE" },
#endif
	{ SYS_mkdirat, "mkdir", DIR_PATH, NAMES },
	{ SYS_unlinkat, "unlink", DIR_PATH, NAMES },
	{ SYS_fchmodat, "chmod", DIR_PATH, NAMES },
	{ SYS_renameat2, "rename", DIR_PATH_2, NAMES },
	{ SYS_linkat, "link", DIR_PATH_2, NAMES },
#ifdef SYS_renameat
	{ SYS_renameat, "rename", DIR_PATH_2, NAMES },
#endif
#ifdef SYS_open
	{ SYS_open, "open", OPEN, "kill ENOSPC EIO EINTR EMFILE", NULL, "kill EMFILE" },
	{ SYS_mkdir, "mkdir", PATH, NAMES },
	{ SYS_rmdir, "rmdir", PATH, NAMES },
	{ SYS_unlink, "unlink", PATH, NAMES },
	{ SYS_chmod, "chmod", PATH, NAMES },
	{ SYS_rename, "rename", PATH, NAMES },
	{ SYS_fork, "fork", NOTHING, FORKS },
	{ SYS_vfork, "fork", NOTHING, FORKS },
	{ SYS_epoll_wait, "epoll_wait", NOTHING, WAITS },
	{ SYS_poll, "poll", NOTHING, WAITS },
#endif
	{ SYS_socket, "socket", NOTHING, MAKES_FD },
	{ SYS_socketpair, "socketpair", NOTHING, MAKES_FD },
	{ SYS_accept4, "accept", NOTHING, "kill EMFILE EINTR", "kill EMFILE EINTR", "kill EMFILE EINTR" },
	{ SYS_pipe2, "pipe", NOTHING, MAKES_FD },
	{ SYS_epoll_create1, "epoll_create", NOTHING, MAKES_FD },
	{ SYS_eventfd2, "eventfd", NOTHING, MAKES_FD },
	{ SYS_signalfd4, "signalfd", NOTHING, MAKES_FD },
	{ SYS_timerfd_create, "timerfd_create", NOTHING, MAKES_FD },
	{ SYS_memfd_create, "memfd_create", NOTHING, MAKES_FD },
	{ SYS_inotify_init1, "inotify_init", NOTHING, MAKES_FD },
	{ SYS_pidfd_open, "pidfd_open", NOTHING, MAKES_FD },
	{ SYS_inotify_add_watch, "inotify_add_watch", NOTHING, "kill ENOSPC", "kill ENOSPC", "kill ENOSPC" },
	{ SYS_epoll_ctl, "epoll_ctl", WATCHED, "kill ENOSPC", "kill ENOSPC", "kill ENOSPC" },
	{ SYS_timerfd_settime, "timerfd_settime", NOTHING, ACTS },
	{ SYS_bind, "bind", ADDRESS, "kill ENOSPC", NULL, NULL },
	{ SYS_listen, "listen", NOTHING, ACTS },
	{ SYS_connect, "connect", ADDRESS, "kill EINTR", NULL, NULL },
	{ SYS_shutdown, "shutdown", NOTHING, ACTS },
	{ SYS_clone, "clone", NOTHING, FORKS },
	{ SYS_clone3, "clone", NOTHING, FORKS },
	{ SYS_execve, "exec", PATH, "kill", NULL, "kill" },
	{ SYS_kill, "kill", NOTHING, ACTS },
	{ SYS_pidfd_send_signal, "pidfd_send_signal", NOTHING, ACTS },
	{ SYS_setsid, "setsid", NOTHING, ACTS },
	{ SYS_exit_group, "exit", NOTHING, ACTS },
	{ SYS_wait4, "wait", NOTHING, WAITS },
	{ SYS_waitid, "wait", NOTHING, WAITS },
	{ SYS_epoll_pwait, "epoll_wait", NOTHING, WAITS },
	{ SYS_ppoll, "poll", NOTHING, WAITS },
};

static const struct { const char *name; int number; } errors[] = {
	{ "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EINTR", EINTR }, { "EMFILE", EMFILE }, { "EAGAIN", EAGAIN },
	{ "ENOLCK", ENOLCK },
};

/* ---- who is watched --------------------------------------------------------------------------------------- */

enum { TASKS = 512, POINTS = 16384, TEXT = 512 };

struct task {
	pid_t tid, process;        /* 0: free */
	unsigned forks;            /* away from the program */
	long result;               /* to give to the call at its end; 0: none */
};

struct seen { char *text; unsigned n; };

static struct task tasks[TASKS];
static struct seen seen[POINTS];
static size_t n_seen;
static const char *root, *point, *action, *mark, *program;
static FILE *list;
static pid_t first;
static bool is_running; /* the program, not our own child that will become it */

static struct task *task_find(pid_t tid)
{
	for (size_t i = 0; i < TASKS; i++)
		if (tasks[i].tid == tid)
			return &tasks[i];
	return NULL;
}

static long status_number(pid_t tid, const char *key)
{
	char path[64], line[256];
	long n = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			n = atol(line + strlen(key));
	if (f)
		fclose(f);
	return n;
}

static struct task *task_add(pid_t tid)
{
	struct task *t = task_find(0), *parent;
	pid_t process = (pid_t)status_number(tid, "Tgid:");

	if (!t) {
		errno = ENOSPC;
		die("too many processes");
	}
	parent = task_find(process != tid ? process : (pid_t)status_number(tid, "PPid:"));
	*t = (struct task){ .tid = tid, .process = process,
	                    .forks = !parent ? 0 : parent->forks + (process == tid) };
	return t;
}

static void let_go(struct task *t)
{
	ptrace(PTRACE_DETACH, t->tid, NULL, NULL);
	t->tid = 0;
}

/* ---- what a call is about ------------------------------------------------------------------------------------ */

static bool fd_path(pid_t tid, int fd, char *to)
{
	char path[64];

	if (fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", (int)tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	ssize_t n = readlink(path, to, TEXT - 1);
	to[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void read_text(pid_t tid, uint64_t at, char *to, size_t size)
{
	struct iovec mine = { to, size - 1 }, its = { (void *)(uintptr_t)at, size - 1 };
	size_t page = 4096 - at % 4096; /* what follows it may not be there */

	ssize_t n = process_vm_readv(tid, &mine, 1, &its, 1, 0);
	if (n < 0) {
		mine.iov_len = its.iov_len = page < size - 1 ? page : size - 1;
		n = process_vm_readv(tid, &mine, 1, &its, 1, 0);
	}
	to[n > 0 ? n : 0] = '\0';
}

static void dir_path(pid_t tid, int dirfd, uint64_t at, char *to)
{
	char name[TEXT];

	read_text(tid, at, name, sizeof(name));
	if (name[0] == '/' || !fd_path(tid, dirfd, to)) {
		snprintf(to, TEXT, "%s", name);
		return;
	}
	size_t n = strlen(to);
	snprintf(to + n, TEXT - n, "/%s", name);
}

static void address(pid_t tid, uint64_t at, char *to)
{
	char raw[sizeof(struct sockaddr_un) + 1] = "";

	read_text(tid, at, raw, sizeof(raw));
	const char *path = raw + offsetof(struct sockaddr_un, sun_path), *slash = strrchr(path, '/');
	snprintf(to, TEXT, "%s/%s", root, slash ? slash + 1 : path);
}

static int find_what(pid_t tid, enum where where, const __u64 *a, char *to)
{
	to[0] = '\0';
	if (where == FD)
		return fd_path(tid, (int)a[0], to);
	if (where == WATCHED)
		return fd_path(tid, (int)a[2], to);
	if (where == PATH || where == OPEN)
		dir_path(tid, AT_FDCWD, a[0], to);
	else if (where == DIR_PATH || where == OPEN_AT)
		dir_path(tid, (int)a[0], a[1], to);
	else if (where == DIR_PATH_2)
		dir_path(tid, (int)a[2], a[3], to);
	else if (where == ADDRESS)
		address(tid, a[1], to);
	return 1;
}

/* Numbers, and long strings of hex digits, are not the same the next time. */
static void blur(char *p)
{
	char *to = p;

	while (*p) {
		size_t hex = strspn(p, "0123456789abcdef"), digits = strspn(p, "0123456789");
		size_t skip = hex >= 8 ? hex : digits;
		*to++ = skip ? 'N' : *p;
		p += skip ? skip : 1;
	}
	*to = '\0';
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Takes ROOT off the front of a path in it. */
static bool is_in_root(char *name)
{
	size_t n = strlen(root);

	if (!starts(name, root) || (name[n] && name[n] != '/'))
		return false;
	memmove(name, name + n + (name[n] == '/'), strlen(name + n) + 1);
	return true;
}

/* What can be done at this call; NULL: it is no point.  name is what it is about, and is shortened. */
static const char *what_can_be_done(const struct call *c, const __u64 *a, char *name)
{
	bool opens = c->where == OPEN || c->where == OPEN_AT;
	__u64 flags = c->where == OPEN ? a[1] : c->nr == SYS_openat ? a[2] : 0; /* openat2 has them elsewhere; ours only read */

	if (starts(name, "socket:") || starts(name, "pipe:")) {
		*strchr(name, ':') = '\0';
		return c->on_stream;
	}
	if (name[0] != '/')
		return c->on_other;
	if (is_in_root(name))
		return opens && !(flags & O_CREAT) ? "kill EIO EMFILE" : c->on_file;
	if (opens && !(flags & (O_WRONLY | O_RDWR)))
		return NULL;
	return starts(name, "/sys/fs/cgroup/") || c->nr == SYS_execve ? c->on_other ? c->on_other : "kill" : NULL;
}

/* A message is sent whole or not at all. */
static bool is_stream(pid_t tid, int fd)
{
	int type = 0, pidfd = (int)syscall(SYS_pidfd_open, status_number(tid, "Tgid:"), 0);
	int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	socklen_t size = sizeof(type);

	if (copy >= 0)
		getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &size);
	close(copy);
	close(pidfd);
	return type == SOCK_STREAM;
}

/* Calls that can't fail so. */
static const char *what_can_happen(pid_t tid, const struct call *c, const __u64 *a, const char *can)
{
	if (c->nr == SYS_wait4 && a[2] & WNOHANG)
		return NULL;
	if (c->nr == SYS_epoll_ctl && a[1] != EPOLL_CTL_ADD) /* only a new one needs room */
		return NULL;
	if (c->nr == SYS_sendto && !is_stream(tid, (int)a[0]))
		return "kill EINTR";
	return can;
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

static unsigned count(const char *text)
{
	for (size_t i = 0; i < n_seen; i++)
		if (strcmp(seen[i].text, text) == 0)
			return ++seen[i].n;
	if (n_seen == POINTS)
		die("too many points");
	seen[n_seen].text = strdup(text);
	seen[n_seen].n = 1;
	return seen[n_seen++].text ? 1 : 0;
}

static void append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
		die(path);
	close(fd);
}

static void act(struct task *t, const struct ptrace_syscall_info *info)
{
	if (mark)
		append(mark, point);
	point = NULL;
	if (strcmp(action, "kill") == 0) {
		kill(t->process, SIGKILL);
	} else if (strcmp(action, "short") == 0) {
		if (info->entry.args[2] > 1)
			set_length(t->tid, (long)info->entry.args[2] / 2);
	} else {
		for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
			if (strcmp(action, errors[i].name) == 0)
				t->result = -errors[i].number;
		skip_call(t->tid);
	}
}

static void at_call(struct task *t, const struct ptrace_syscall_info *info)
{
	char what[TEXT], text[2 * TEXT];
	const struct call *c = calls, *end = calls + sizeof(calls) / sizeof(*calls);

	while (c < end && c->nr != (long)info->entry.nr)
		c++;
	if (c == end || !find_what(t->tid, c->where, info->entry.args, what))
		return;
	const char *can = what_can_be_done(c, info->entry.args, what);
	if (can)
		can = what_can_happen(t->tid, c, info->entry.args, can);
	if (!can)
		return;
	blur(what);
	snprintf(text, TEXT + 64, "%u%s %s %s", t->forks, t->tid == t->process ? "" : "t", c->name, *what ? what : "-");
	snprintf(text + strlen(text), 16, " #%u", count(text));
	if (list)
		fprintf(list, "%s\t%s\n", text, can);
	if (point && strcmp(point, text) == 0 && strstr(can, action)) /* else this time it is another call */
		act(t, info);
}

static void at_syscall_stop(struct task *t)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) < 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY && is_running) {
		at_call(t, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->result) {
		set_result(t->tid, t->result);
		t->result = 0;
	}
}

/* ---- following ------------------------------------------------------------------------------------------------------ */

static bool is_other_program(pid_t tid)
{
	char path[64], exe[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	const char *slash = strrchr(exe, '/');
	return !slash || strcmp(slash + 1, program) != 0;
}

/* The signal to go on with, or -1: the task was let go or waits. */
static int at_stop(struct task *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (sig == (SIGTRAP | 0x80)) {
		at_syscall_stop(t);
		return 0;
	}
	if (event == PTRACE_EVENT_EXEC) {
		is_running = true;
		if (t->tid != first && is_other_program(t->tid)) {
			let_go(t);
			return -1;
		}
		return 0;
	}
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
		return -1;
	}
	return event ? 0 : sig;
}

static int follow(void)
{
	int status, end = 0;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		struct task *t = tid > 0 ? task_find(tid) : NULL;
		if (tid > 0 && !WIFSTOPPED(status)) {
			if (t)
				t->tid = 0;
			if (tid == first)
				end = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		if (tid > 0 && !t)
			t = task_add(tid);
		int sig = tid > 0 ? at_stop(t, status) : -1;
		if (sig >= 0)
			ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)sig);
	}
	return end;
}

static void begin(char **argv)
{
	enum { OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		         PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL };
	int status;

	first = fork();
	if (first == 0) {
		raise(SIGSTOP);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (first < 0 || waitpid(first, &status, WUNTRACED) < 0)
		die("fork");
	if (ptrace(PTRACE_SEIZE, first, NULL, OPTIONS) < 0)
		die("this process can't be traced");
	task_add(first);
	kill(first, SIGCONT);
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: crash -r ROOT (-l LIST | -p POINT -a ACTION [-m MARK]) -- PROGRAM [ARG...]\n");
	exit(64);
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+r:l:p:a:m:")) >= 0) {
		if (c == 'l' && !(list = fopen(optarg, "we")))
			die(optarg);
		*(c == 'r' ? &root : c == 'p' ? &point : c == 'a' ? &action : c == 'm' ? &mark : &program) = optarg;
		if (c == '?')
			usage();
	}
	if (!root || optind == argc || !list == !point || !point != !action)
		usage();
#ifdef NO_REGISTERS
	fprintf(stderr, "crash: the registers of this processor are unknown here\n");
	return 77;
#endif
	const char *slash = strrchr(argv[optind], '/');
	program = slash ? slash + 1 : argv[optind];
	begin(argv + optind);
	int end = follow();
	if (list && fclose(list) != 0)
		die("list");
	return end;
}
