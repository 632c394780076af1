/* proc: processes, trees, holds and spawning, on this machine as it is. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc/proc.h"
#include "tap.h"

static char dir[] = "/tmp/zn-proc.XXXXXX";

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void on_signal(int sig)
{
	(void)sig;
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void test_identity(void)
{
	struct zn_proc_id me, child;
	pid_t pid = sleeper();

	tap_ok(zn_proc_id_read(getpid(), &me) == 0 && zn_proc_is_alive(&me), "a process is alive");
	tap_ok(zn_proc_id_read(pid, &child) == 0, "a child can be named");
	struct zn_proc_id other = { .pid = pid, .start = child.start + 1 };
	tap_ok(!zn_proc_is_alive(&other), "the same number with another start time is somebody else");
	tap_ok(zn_proc_signal(&other, SIGKILL) == -ESRCH && zn_proc_is_alive(&child), "and is not signalled");
	tap_ok(zn_proc_signal(&child, SIGKILL) == 0, "the child itself is");
	while (zn_proc_is_alive(&child))
		nap();
	tap_ok(kill(pid, 0) == 0, "a zombie is not alive, though its number is taken");
	reap_all();
	tap_ok(zn_proc_signal(&child, SIGKILL) == -ESRCH, "a process that was reaped is gone");
}

static void *stay(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* /proc shows such a process as a zombie. */
static void test_first_thread_ended(void)
{
	struct zn_proc_stat st = { 0 };
	struct zn_proc_id id;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t t;
		if (pthread_create(&t, NULL, stay, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	for (int i = 0; i < 2000 && (zn_proc_stat(pid, &st) < 0 || st.state != 'Z'); i++)
		nap();
	tap_ok(st.state == 'Z' && !st.is_gone && zn_proc_id_read(pid, &id) == 0 && zn_proc_is_alive(&id),
	       "a process whose first thread has ended is alive while another one runs");
	tap_ok(zn_tree_signal(getpid(), NULL, SIGKILL).reached == 1, "and is signalled");
	while (zn_proc_is_alive(&id))
		nap();
	tap_ok(zn_tree_signal(getpid(), NULL, SIGKILL).reached == 0, "a zombie is not");
	reap_all();
}

static void test_dies_of(void)
{
	struct zn_proc_id id;
	pid_t pid = sleeper();

	tap_ok(zn_proc_dies_of(pid, SIGTERM) && zn_proc_dies_of(pid, SIGUSR1), "a process dies of a signal by default");
	tap_ok(!zn_proc_dies_of(pid, SIGWINCH) && !zn_proc_dies_of(pid, SIGSTOP), "but not of every one");
	zn_proc_id_read(pid, &id);
	kill(pid, SIGKILL);
	while (zn_proc_is_alive(&id))
		nap();
	tap_ok(zn_proc_dies_of(pid, SIGTERM), "of a zombie it can be seen still");
	reap_all();
	tap_ok(!zn_proc_dies_of(pid, SIGTERM), "of one that was reaped not");
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, on_signal);
	tap_ok(!zn_proc_dies_of(getpid(), SIGUSR1), "not of one that it ignores");
	tap_ok(!zn_proc_dies_of(getpid(), SIGUSR2), "nor of one that it catches");
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &one, NULL);
	tap_ok(!zn_proc_dies_of(getpid(), SIGUSR1), "nor of one that it blocks, and may wait for");
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

static void test_env(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		char *const argv[] = { (char *)"sleep", (char *)"60", NULL }, *const envp[] = { (char *)"A=1", (char *)"LONG=x y", NULL };
		execve("/bin/sleep", argv, envp);
		_exit(127);
	}
	for (int i = 0; i < 2000 && !zn_proc_has_env(pid, "A=1"); i++)
		nap();
	tap_ok(zn_proc_has_env(pid, "A=1") && zn_proc_has_env(pid, "LONG=x y"), "an environment has its lines");
	tap_ok(!zn_proc_has_env(pid, "A=") && !zn_proc_has_env(pid, "A=12") && !zn_proc_has_env(pid, "LONG=x"),
	       "and no part of one");
	kill(pid, SIGKILL);
	reap_all();
	tap_ok(!zn_proc_has_env(pid, "A=1"), "a process that is gone has none");
}

/* Children, grandchildren, and orphans that left the session. */
static void grow_tree(void)
{
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			setsid();
			if (fork() == 0 && fork() == 0)
				setsid();
			signal(SIGTERM, SIG_IGN);
			for (;;)
				pause();
		}
	for (int i = 0; i < 2000 && zn_tree_signal(getpid(), NULL, 0).reached < 9; i++)
		nap();
}

static void test_tree(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tap_ok(zn_tree_is_empty(getpid(), NULL), "no children, an empty tree");
	grow_tree();
	tap_ok(!zn_tree_is_empty(getpid(), NULL) && zn_tree_signal(getpid(), NULL, 0).reached == 9, "a tree of nine is met");
	tap_ok(zn_tree_stop(getpid(), NULL).reached == 9, "and stopped");
	pid_t spared = sleeper();
	struct zn_pids skip = { .v = &spared, .n = 1 };
	tap_ok(zn_tree_is_empty(spared, NULL), "a child has a tree of its own");
	zn_tree_kill(getpid(), &skip);
	for (int n = 0; n < 9;)
		n += waitpid(-1, NULL, 0) > 0;
	tap_ok(zn_tree_is_empty(getpid(), &skip) && kill(spared, 0) == 0, "killed, orphans too, but for who is to be spared");
	zn_tree_kill(getpid(), NULL);
	reap_all();
	tap_ok(zn_tree_is_empty(getpid(), NULL), "and then nobody is left");
}

/* ---- spawning ---- */

static char out[64], text[4096];

static const char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static struct zn_spawn ask(char **argv)
{
	static char *env[] = { (char *)"PATH=/nowhere:/usr/bin:/bin", (char *)"X=1", NULL };

	return (struct zn_spawn){ .file = argv[0], .argv = argv, .envp = env, .directory = dir, .output = out,
	                          .truncate_output = true, .truncate_error = true, .umask = 027 };
}

/* The exit status, or the negative errno; *code and err as zn_spawn sets them. */
static int run(const struct zn_spawn *s, int *code, struct zn_err *err)
{
	struct zn_spawned got;
	int status, rc = zn_spawn(s, &got, code, err);

	if (rc < 0)
		return rc;
	waitpid(got.pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void test_spawn(void)
{
	char *sh[] = { (char *)"sh", (char *)"-c", NULL, NULL };
	struct zn_err err;
	struct stat st;
	int code = -2;

	sh[2] = (char *)"pwd; echo $X; umask; readlink /proc/self/fd/0; exit 9";
	struct zn_spawn s = ask(sh);
	tap_ok(run(&s, &code, &err) == 9, "a task runs and its exit is its own");
	char want[128];
	snprintf(want, sizeof(want), "%s\n1\n0027\n/dev/null\n", dir);
	tap_ok(strcmp(slurp(out), want) == 0, "in its directory, with its environment, umask and standard input");
	tap_ok(stat(out, &st) == 0 && (st.st_mode & 0777) == 0640, "its output has the rights of its umask");
	sh[2] = (char *)"echo more; echo err >&2";
	s.truncate_output = s.truncate_error = false;
	s.error = out;
	run(&s, &code, &err);
	tap_ok(strstr(slurp(out), "/dev/null\nmore\nerr\n"), "and is appended to when asked");
	sh[2] = (char *)"kill -9 $$";
	tap_ok(run(&s, &code, &err) == 1009, "a signal is a signal");
}

static void test_refusals(void)
{
	static char plain[80], deep[80];
	char *argv[] = { NULL, NULL };
	snprintf(plain, sizeof(plain), "%s/plain", dir);
	snprintf(deep, sizeof(deep), "%s/bad-interpreter", dir);
	int fd = open(deep, O_WRONLY | O_CREAT, 0700);
	if (write(fd, "#!/no/such\n", 11) != 11)
		tap_ok(false, "a file can be written");
	close(fd);
	close(open(plain, O_WRONLY | O_CREAT, 0600));
	const struct { const char *file, *directory, *output; int rc, code; const char *says; } cases[] = {
		{ "nosuch", dir, out, -ENOENT, 127, "command 'nosuch' not found" },
		{ "", dir, out, -ENOENT, 127, "command '' not found" },
		{ "/no/such", dir, out, -ENOENT, 127, "command '/no/such' not found" },
		{ plain, dir, out, -EACCES, 126, "can't be run: Permission denied" },
		{ deep, dir, out, -ENOENT, 126, "its interpreter is not there" },
		{ "true", "/no/such", out, -ENOENT, -1, "directory '/no/such': No such file or directory" },
		{ "true", plain, out, -ENOTDIR, -1, "Not a directory" },
		{ "true", dir, "/no/such/out", -ENOENT, -1, "output '/no/such/out': No such file" },
		{ "true", dir, dir, -EISDIR, -1, "Is a directory" },
		{ "true", dir, "/dev/zero", -EPERM, -1, "output '/dev/zero': is a device" },
		{ "true", dir, "/dev/full", 0, -2, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct zn_err err = { .text = "" };
		int code = -2;
		argv[0] = (char *)cases[i].file;
		struct zn_spawn s = ask(argv);
		s.directory = cases[i].directory;
		s.output = cases[i].output;
		int rc = run(&s, &code, &err);
		tap_ok(rc == cases[i].rc && code == cases[i].code && strstr(err.text, cases[i].says),
		       "'%s' in '%s' to '%s': %d, %d, %s", cases[i].file, cases[i].directory, cases[i].output, rc, code, err.text);
	}
	tap_ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "what did not start leaves no zombie");
}

static void test_user(void)
{
	char *argv[] = { (char *)"id", (char *)"-u", NULL };
	struct zn_spawn s = ask(argv);
	struct zn_err err;
	int code = -2;

	s.change_user = true;
	s.uid = 54321;
	s.gid = 54321;
	s.output = NULL;
	s.directory = "/";
	int rc = run(&s, &code, &err);
	if (geteuid() == 0)
		tap_ok(rc == 0, "root becomes another user");
	else
		tap_ok(rc == -EPERM && strstr(err.text, "user 54321: "), "nobody but root becomes another user: %s", err.text);
	tap_ok(geteuid() != 54321, "and stays who it is");
}

/* ---- holding ---- */

static void hold_and_end(const struct zn_confine *c, const char *how)
{
	char *sh[] = { (char *)"sh", (char *)"-c", (char *)"(setsid sleep 60 &); sleep 60", NULL };
	struct zn_hold_ask what = { .name = "1.1" };
	struct zn_buf notes = { 0 };
	struct zn_hold h;
	struct zn_spawned got;
	struct zn_err err;
	struct zn_hold_usage u;
	int code;

	zn_hold_open(c, &what, &h, &notes);
	tap_ok(notes.len && strcmp(zn_buf_text(&notes), how) == 0, "held by %s", how);
	struct zn_spawn s = ask(sh);
	s.hold = &h;
	tap_ok(zn_spawn(&s, &got, &code, &err) == 0, "a task is born in it");
	for (int i = 0; i < 2000 && zn_tree_signal(getpid(), NULL, 0).reached < 3; i++)
		nap();
	zn_hold_freeze(&h, true);
	zn_hold_kill(&h);
	reap_all();
	tap_ok(zn_tree_is_empty(getpid(), NULL), "frozen, then killed, with who had left the session");
	zn_hold_usage(&h, &u);
	tap_ok(u.has_cpu == (h.v2[0] != '\0'), "CPU time is known where there is a cgroup");
	tap_ok(zn_hold_close(&h) == 0, "and nothing of it is left");
	zn_buf_done(&notes);
}

static void test_holds(void)
{
	struct zn_confine c;
	struct zn_err err;
	char tag[64];

	snprintf(tag, sizeof(tag), "zenith-test-%d", (int)getpid());
	tap_ok(zn_confine_open(tag, "magic", &c, &err) == -EINVAL, "an unknown way is refused: %s", err.text);
	tap_ok(zn_confine_open(tag, "subreaper", &c, &err) == 0 && !c.v2[0], "no cgroup when none is wanted");
	hold_and_end(&c, "subreaper");
	tap_ok(zn_confine_open(tag, NULL, &c, &err) == 0, "the best there is");
	if (c.v2[0])
		hold_and_end(&c, "cgroup v2");
	tap_ok(zn_confine_clear(&c) == 0, "nothing is left to clear");
	zn_confine_close(&c);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(out, sizeof(out), "%s/out", dir);
	test_identity();
	test_first_thread_ended();
	test_dies_of();
	test_env();
	test_tree();
	test_spawn();
	test_refusals();
	test_user();
	test_holds();
	char rm[80];
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	tap_ok(system(rm) == 0, "tidied up");
	return tap_done();
}
