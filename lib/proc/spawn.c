/* spawn: one task, from clone to exec.
 *
 * The child borrows our memory until it has exec'ed (as vfork does), which costs a sixth of a fork; it is born
 * in its cgroup (CLONE_INTO_CGROUP), because moving a process between cgroups takes a lock of the whole
 * machine.  A child that becomes another user gets a copy of the memory instead: that user may signal it.  He may
 * also stop it, or lead it to a file system that never answers, so it is waited for with a pipe, and not for ever.
 * What it could not do it leaves in a shared page.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "proc/login.h"
#include "proc/proc.h"

enum { PATIENCE_MS = 30000 };

enum stage {
	AT_NONE, AT_CLONE, AT_CGROUP, AT_KEYRING, AT_LIMITS, AT_USER, AT_DIRECTORY, AT_OUTPUT, AT_ERROR, AT_STDIN, AT_TERMINAL, AT_EXEC,
	AT_PATIENCE,
};

/* AddressSanitizer keeps notes on the stack, which the child would leave behind wrong. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
enum { BORROW = 0 };
#else
enum { BORROW = CLONE_VM };
#endif

/* What the child found, in memory that both see. */
struct verdict {
	enum stage stage;
	int error;               /* an errno, or 0 with refused */
	const char *refused;     /* why a file that can be opened is not used */
	int pin_errno, numa_errno;
	const sigset_t *changed_signals; /* told by the parent */
};

/* Closes with the child's exec or end; -1 where the kernel itself lets us wait. */
struct gate { int wait, hold; };

static _Noreturn void fail(struct verdict *v, enum stage stage, int error)
{
	v->stage = stage;
	v->error = error;
	_exit(127);
}

/* The signals that do something else here than by default: who asks once need not set all 64 for each child. */
static const sigset_t *changed_signals(void)
{
	static sigset_t changed;
	static bool known;
	struct sigaction sa;

	if (known)
		return &changed;
	sigemptyset(&changed);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			sigaddset(&changed, sig);
	known = true;
	return &changed;
}

/* ---- in the child ------------------------------------------------------------------------------- */

static void default_signals(const sigset_t *others)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(others, sig))
			sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become_user(const struct zn_spawn *s, struct verdict *v)
{
	/* the raw calls: libc's wrappers tell all threads, which a borrowed memory must not be asked for */
	if (syscall(SYS_setgroups, s->n_groups, s->groups) < 0 || syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
	    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
		fail(v, AT_USER, errno);
}

/* Ours is the one of whoever started the agent, with root's tickets in it; PAM may give him yet another. */
static void leave_keyring(const struct zn_spawn *s, struct verdict *v)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0) {
		if (errno != ENOSYS && errno != EPERM) /* without that call the job reads no keys, either */
			fail(v, AT_KEYRING, errno);
		return;
	}
	syscall(SYS_keyctl, KEYCTL_CHOWN, KEY_SPEC_SESSION_KEYRING, s->uid, s->gid);
}

static void pin(const struct zn_spawn *s, struct verdict *v)
{
	unsigned long nodes[ZN_IDSET_MAX / (8 * sizeof(long))];

	if (s->cpus && !zn_idset_is_empty(s->cpus) && syscall(SYS_sched_setaffinity, 0, sizeof(s->cpus->w), s->cpus->w) < 0)
		v->pin_errno = errno;
	if (!s->numas || zn_idset_is_empty(s->numas))
		return;
	memcpy(nodes, s->numas->w, sizeof(nodes));
	/* the older policy, which takes one node only, where the kernel (before 5.15) knows no other */
	if (syscall(SYS_set_mempolicy, MPOL_PREFERRED_MANY, nodes, 1024) < 0 &&
	    syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, 1024) < 0)
		v->numa_errno = errno;
}

/* Why a file that was opened must not be written to; NULL: it may. */
static const char *refusal(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		return "can't be looked at";
	if (S_ISFIFO(st->st_mode))
		return "is a FIFO";
	if (S_ISCHR(st->st_mode))
		return zn_file_is_sink(st) ? NULL : "is a device";
	if (!S_ISREG(st->st_mode))
		return S_ISSOCK(st->st_mode) ? "is a socket" : "is no regular file";
	if (st->st_uid != geteuid())
		return "belongs to somebody else";
	return NULL;
}

/* O_NONBLOCK so that a FIFO without a reader refuses instead of waiting; it is taken off again, because the
 * task would inherit it.
 */
static int open_output(const char *path, bool truncate, enum stage stage, struct verdict *v, struct stat *st)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0666);

	if (fd < 0 && errno == ENXIO)
		v->refused = "is a FIFO or a socket";
	else if (fd < 0)
		fail(v, stage, errno);
	else
		v->refused = refusal(fd, st);
	if (v->refused)
		fail(v, stage, 0);
	if (truncate && S_ISREG(st->st_mode) && ftruncate(fd, 0) < 0)
		fail(v, stage, errno);
	fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

static bool is_standard(int fd)
{
	return fd >= 0 && fd <= 2;
}

/* A descriptor in the way of 0-2 moves up first: the caller may run without standard descriptors. */
static int above_standard(int fd, enum stage stage, struct verdict *v)
{
	int up = is_standard(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd;

	if (up < 0)
		fail(v, stage, errno);
	return up;
}

static void set_terminal(const struct zn_spawn *s, struct verdict *v)
{
	int tty = above_standard(s->tty, AT_TERMINAL, v);

	if (ioctl(tty, TIOCSCTTY, 0) < 0 || dup2(tty, 0) < 0 || dup2(tty, 1) < 0 || dup2(tty, 2) < 0)
		fail(v, AT_TERMINAL, errno);
}

static void set_output(const struct zn_spawn *s, struct verdict *v)
{
	struct stat out_st = { 0 }, err_st = { 0 };
	const char *out_path = s->output ? s->output : "/dev/null";
	int in = above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC), AT_STDIN, v);
	int out = above_standard(open_output(out_path, s->truncate_output, AT_OUTPUT, v, &out_st), AT_OUTPUT, v), err = out;

	if (s->error && strcmp(s->error, out_path) != 0) {
		err = above_standard(open_output(s->error, s->truncate_error, AT_ERROR, v, &err_st), AT_ERROR, v);
		/* one file by two names: one open description */
		if (err_st.st_dev == out_st.st_dev && err_st.st_ino == out_st.st_ino)
			err = out;
	}
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		fail(v, AT_STDIN, errno);
}

/* A script without #! is a shell script, as execvp has it. */
static int exec_path(const char *path, const struct zn_spawn *s)
{
	execve(path, s->argv, s->envp);
	if (errno != ENOEXEC)
		return errno;
	size_t n = 0;
	while (s->argv[n])
		n++;
	char **argv = alloca((n + 2) * sizeof(*argv));
	argv[0] = (char *)"sh";
	argv[1] = (char *)path;
	for (size_t i = 1; i <= n; i++)
		argv[i + 1] = s->argv[i];
	if (n == 0)
		argv[2] = NULL;
	execve("/bin/sh", argv, s->envp);
	return errno;
}

static const char *search_path(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

static int exec_search(const struct zn_spawn *s)
{
	char path[PATH_MAX];
	int found = ENOENT;

	if (strchr(s->file, '/') || !*s->file)
		return *s->file ? exec_path(s->file, s) : ENOENT;
	for (const char *at = search_path(s->envp);; at++) {
		size_t len = strcspn(at, ":");
		int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)len, at, len ? "/" : "", s->file);
		int e = n > 0 && (size_t)n < sizeof(path) ? exec_path(path, s) : ENAMETOOLONG;
		if (e != ENOENT && e != ENOTDIR && e != EACCES && e != ENAMETOOLONG)
			return e;
		if (e == EACCES)
			found = EACCES; /* a later directory may have one that runs */
		at += len;
		if (!*at)
			return found;
	}
}

static _Noreturn __attribute__((noinline)) void child(const struct zn_spawn *s, struct verdict *v, const struct gate *g,
                                                    bool join)
{
	const struct zn_hold *h = s->hold;
	char cgroup[PATH_MAX + 16];

	default_signals(v->changed_signals);
	setsid();
	if (h && h->join_fd >= 0 && write(h->join_fd, "0", 1) < 0)
		fail(v, AT_CGROUP, errno);
	if (h && h->v2[0] && join) {
		snprintf(cgroup, sizeof(cgroup), "%s/cgroup.procs", h->v2);
		int fd = open(cgroup, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) < 0)
			fail(v, AT_CGROUP, errno);
	}
	pin(s, v);
	if (s->nofile)
		setrlimit(RLIMIT_NOFILE, s->nofile);
	if (s->change_user)
		leave_keyring(s, v);
	if (s->change_user && s->login && zn__login_limits(s->login) < 0)
		fail(v, AT_LIMITS, EPERM);
	if (s->change_user)
		become_user(s, v);
	umask(s->umask);
	if (s->directory && chdir(s->directory) < 0)
		fail(v, AT_DIRECTORY, errno);
	if (s->has_tty)
		set_terminal(s, v);
	else
		set_output(s, v);
	if (g->hold > 3)
		dup3(g->hold, 3, O_CLOEXEC);
	syscall(SYS_close_range, g->hold < 0 ? 3 : 4, ~0U, 0);
	fail(v, AT_EXEC, exec_search(s));
}

/* ---- in the parent ------------------------------------------------------------------------------ */

/* The bare instruction: with memory and stack shared, a return from libc's syscall() in the child would
 * overwrite the parent's return address.
 */
static inline __attribute__((always_inline)) long bare_clone3(struct clone_args *args)
{
#if defined(__x86_64__)
	long rc;
	__asm__ volatile("syscall" : "=a"(rc) : "0"(SYS_clone3), "D"(args), "S"(sizeof(*args)) : "rcx", "r11", "memory");
	return rc;
#elif defined(__aarch64__)
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof(*args);
	register long x8 __asm__("x8") = SYS_clone3;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x8) : "memory");
	return x0;
#else
	(void)args;
	return -ENOSYS;
#endif
}

static __attribute__((noinline)) pid_t start_child(const struct zn_spawn *s, struct verdict *v, const struct gate *g)
{
	uint64_t wait = g->hold < 0 ? CLONE_VFORK : 0;
	bool into = s->hold && s->hold->v2_fd >= 0;
	struct clone_args args = {
		.flags = wait | (s->change_user ? 0 : BORROW) | (into ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD, .cgroup = into ? (uint64_t)s->hold->v2_fd : 0,
	};
	long rc = bare_clone3(&args);

	if (rc == 0)
		child(s, v, g, false);
	if (rc != -ENOSYS) /* a filter may hide clone3 */
		return (pid_t)rc;
	/* without CLONE_VM a return in the child harms nobody; still the kernel waits for its exec */
	pid_t pid = (pid_t)syscall(SYS_clone, wait | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		child(s, v, g, true);
	return pid < 0 ? -errno : pid;
}

static int open_gate(const struct zn_spawn *s, struct gate *g)
{
	int pair[2];

	*g = (struct gate){ -1, -1 };
	if (!s->change_user)
		return 0;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	/* out of the way of 0-2, and of the place that it has at last */
	*g = (struct gate){ pair[0], fcntl(pair[1], F_DUPFD_CLOEXEC, 3) };
	int rc = g->hold < 0 ? -errno : 0;
	close(pair[1]);
	if (rc < 0)
		close(g->wait);
	return rc;
}

static void wait_at_gate(struct gate *g, pid_t pid, struct verdict *v)
{
	struct pollfd p = { .fd = g->wait, .events = POLLIN };
	int n = 1;

	if (g->hold < 0)
		return;
	close(g->hold);
	if (pid > 0)
		while ((n = poll(&p, 1, PATIENCE_MS)) < 0 && errno == EINTR)
			;
	close(g->wait);
	if (n > 0)
		return;
	kill(pid, SIGKILL);
	v->stage = AT_PATIENCE;
	v->error = ETIMEDOUT;
}

static int explain_exec(const struct zn_spawn *s, int error, int *ret_exit, struct zn_err *err)
{
	bool path = strchr(s->file, '/');

	*ret_exit = 126;
	if (error == ENOENT && path && access(s->file, F_OK) == 0)
		return zn_err_set(err, -error, "command '%s' can't be run: its interpreter is not there", s->file);
	if (error != ENOENT && error != ENOTDIR)
		return zn_err_set(err, -error, "command '%s' can't be run: %s", s->file, strerror(error));
	*ret_exit = 127;
	return zn_err_set(err, -error, "command '%s' not found", s->file);
}

static int explain(const struct zn_spawn *s, const struct verdict *v, int *ret_exit, struct zn_err *err)
{
	const char *why = v->refused ? v->refused : strerror(v->error);
	int rc = v->error ? -v->error : -EPERM;

	*ret_exit = -1;
	switch (v->stage) {
	case AT_EXEC:
		return explain_exec(s, v->error, ret_exit, err);
	case AT_DIRECTORY:
		return zn_err_set(err, rc, "directory '%s': %s", s->directory, why);
	case AT_OUTPUT:
		return zn_err_set(err, rc, "output '%s': %s", s->output, why);
	case AT_ERROR:
		return zn_err_set(err, rc, "output '%s': %s", s->error, why);
	case AT_KEYRING:
		return zn_err_set(err, rc, "the task can have no keyring of its own: %s", why);
	case AT_LIMITS:
		return zn_err_set(err, rc, "PAM's service 'zenith' refuses user '%s'", s->login);
	case AT_TERMINAL:
		return zn_err_set(err, rc, "the task can't have its terminal: %s", why);
	case AT_PATIENCE:
		return zn_err_set(err, rc, "the task did not begin within %d s: something holds it up", PATIENCE_MS / 1000);
	case AT_USER:
		return zn_err_set(err, rc, "user %u: %s", (unsigned)s->uid, why);
	case AT_CGROUP:
		return zn_err_set(err, rc, "the task can't join its cgroup: %s", why);
	default:
		return zn_err_set(err, rc, "no process can be started: %s", why);
	}
}

/* One page for all children, who use it one after the other. */
static struct verdict *verdict_page(void)
{
	static struct verdict *page;

	if (!page) {
		void *p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		page = p == MAP_FAILED ? NULL : p;
	}
	if (page)
		*page = (struct verdict){ .changed_signals = changed_signals() };
	return page;
}

int zn_spawn(const struct zn_spawn *s, struct zn_spawned *ret, int *ret_exit, struct zn_err *err)
{
	struct verdict *v = verdict_page();
	int rc = 0;

	if (!v) {
		*ret_exit = -1;
		return zn_err_set(err, -errno, "no process can be started: %s", strerror(errno));
	}
	struct gate gate;
	pid_t pid = open_gate(s, &gate);
	if (pid == 0)
		pid = start_child(s, v, &gate);
	wait_at_gate(&gate, pid, v);
	if (pid < 0) {
		v->stage = AT_CLONE;
		v->error = -pid;
	}
	if (v->stage != AT_NONE) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		rc = explain(s, v, ret_exit, err);
	} else {
		*ret = (struct zn_spawned){ .pid = pid, .pin_errno = v->pin_errno, .numa_errno = v->numa_errno };
	}
	return rc;
}
