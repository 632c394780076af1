/* Which spool, who may own it, and sockets at long paths. */
#include "queue/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static char scratch[PATH_MAX];
static struct zn_arena arena;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static const char *below(const char *name)
{
	return zn_spool_file(&arena, scratch, name);
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

/* ---- which --------------------------------------------------------------------------------------- */

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void test_which(void)
{
	bool system = access(ZN_SPOOL_SYSTEM, F_OK) == 0;
	static const struct {
		const char *spool, *state, *home, *want; /* %h: the host's name; NULL: from the user database */
		const char *name;
	} rows[] = {
		{ "/a/b", "/s", "/h", "/a/b", "ZENITH_SPOOL comes first" },
		{ "/a/b//", NULL, NULL, "/a/b", "trailing slashes go" },
		{ "/", NULL, NULL, "/", "but not the only one" },
		{ "rel/x", NULL, NULL, "%c/rel/x", "a relative one is made absolute" },
		{ "", "/s", "/h", "/s/zenith/%h", "an empty one counts as none; XDG_STATE_HOME is next" },
		{ NULL, "rel", "/h", "/h/.local/state/zenith/%h", "a relative XDG_STATE_HOME is ignored" },
		{ NULL, "", "/h", "/h/.local/state/zenith/%h", "an empty one too" },
		{ NULL, NULL, NULL, NULL, "without HOME, as in cron, the user database says" },
		{ NULL, NULL, "", NULL, "and when it is empty" },
	};
	char host[256], cwd[PATH_MAX];
	struct zn_err err;

	gethostname(host, sizeof(host));
	if (!getcwd(cwd, sizeof(cwd)))
		exit(1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *got = NULL, *want = rows[i].want, *mark;
		set("ZENITH_SPOOL", rows[i].spool);
		set("XDG_STATE_HOME", rows[i].state);
		set("HOME", rows[i].home);
		int rc = zn_spool_path(&arena, &got, &err);
		if (system && (!rows[i].spool || !*rows[i].spool))
			want = ZN_SPOOL_SYSTEM;
		else if (want && (mark = strstr(want, "%h")))
			want = zn_arena_printf(&arena, "%.*s%s", (int)(mark - want), want, host);
		else if (want && strncmp(want, "%c", 2) == 0)
			want = zn_arena_printf(&arena, "%s%s", cwd, want + 2);
		bool good = rc == 0 && (want ? strcmp(got, want) == 0
		                             : *got == '/' && strstr(got, "/.local/state/zenith/") && strstr(got, host));
		tap_ok(good, "%s: %s", rows[i].name, rc ? err.text : got);
	}
	char *long_path = zn_arena_alloc(&arena, PATH_MAX);
	memset(long_path, 'x', PATH_MAX - 100);
	*long_path = '/';
	const char *got = "untouched";
	set("ZENITH_SPOOL", long_path);
	tap_ok(zn_spool_path(&arena, &got, NULL) == -ENAMETOOLONG && strcmp(got, "untouched") == 0,
	       "one that leaves no room for what is below it is refused");
	set("ZENITH_SPOOL", NULL);
}

/* ---- making ---------------------------------------------------------------------------------------- */

static void test_private(void)
{
	const char *path = below("p/q/own");
	struct zn_err err = { 0 };

	umask(077);
	tap_ok(zn_spool_make(path, NULL, &err) == 0, "a private spool is made, with what leads to it %s", err.text);
	tap_ok(mode_of(path) == 0700 && mode_of(below("p/q/own/journal")) == 0700 &&
	       mode_of(below("p/q/own/view")) == 0755 && mode_of(below("p/q/own/drop")) == 0700 &&
	       mode_of(below("p/q/own/node")) == 0700, "nobody else gets in, whatever the umask");
	tap_ok(!zn_spool_is_system(path) && zn_spool_make(path, NULL, &err) == 0, "and is found good the next time");
	umask(022);

	chmod(path, 0755);
	tap_ok(zn_spool_make(path, NULL, &err) == -EPERM && mode_of(path) == 0755, "one left open is refused: %s",
	       err.text);
	mkdir(below("empty"), 0755);
	tap_ok(zn_spool_make(below("empty"), NULL, &err) == 0 && mode_of(below("empty")) == 0700,
	       "an empty directory is tightened");
	tap_ok(zn_spool_make("rel", NULL, &err) == -EINVAL && zn_spool_make("/", NULL, &err) == -EINVAL,
	       "neither a relative path nor the root: %s", err.text);
	close(open(below("file"), O_CREAT | O_WRONLY, 0600));
	tap_ok(zn_spool_make(below("file"), NULL, &err) == -ENOTDIR, "nor a file: %s", err.text);
	tap_ok(zn_spool_make(below("file/x"), NULL, &err) == -ENOTDIR, "nor one below a file: %s", err.text);
}

static void test_links(void)
{
	struct zn_err err = { 0 };

	mkdir(below("real"), 0700);
	if (symlink("real", below("link")) < 0)
		exit(1);
	tap_ok(zn_spool_make(below("link/spool"), NULL, &err) == 0, "a link of ours may lead to it %s", err.text);
	tap_ok(zn_spool_make(below("link"), NULL, &err) == -ENOTDIR, "but not be it: %s", err.text);
	if (geteuid() != 0) {
		tap_ok(true, "a stranger's link # SKIP needs root to make one");
		return;
	}
	if (lchown(below("link"), 65534, 65534) < 0)
		exit(1);
	tap_ok(zn_spool_make(below("link/spool"), NULL, &err) == -EPERM && strstr(err.text, "another user"),
	       "a stranger's link may not: %s", err.text);
	mkdir(below("theirs"), 0700);
	if (chown(below("theirs"), 65534, 65534) < 0)
		exit(1);
	tap_ok(zn_spool_make(below("theirs"), NULL, &err) == -EPERM, "nor may it be a stranger's: %s", err.text);
	if (rename(below("real/spool/journal"), below("real/spool/j")) < 0 ||
	    symlink("/etc", below("real/spool/journal")) < 0)
		exit(1);
	tap_ok(zn_spool_make(below("real/spool"), NULL, &err) == -ENOTDIR, "a link in place of a part: %s", err.text);
}

static unsigned owner_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_uid;
}

/* Makes it again as the scheduler itself would, without root's rights. */
static int make_as(const char *path, uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct zn_spool_owner owner = { .uid = uid, .gid = uid };
		struct zn_err err = { 0 };
		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(99);
		int rc = zn_spool_make(path, &owner, &err);
		if (rc < 0)
			printf("# %s\n", err.text);
		fflush(stdout);
		_exit(-rc);
	}
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

static void test_system(void)
{
	struct zn_spool_owner owner = { .uid = geteuid() ? geteuid() : 4711, .gid = getegid() ? getegid() : 4711 };
	const char *path = below("sys");
	struct zn_err err = { 0 };

	chmod(scratch, 0755);
	tap_ok(zn_spool_make(path, &owner, &err) == 0 && zn_spool_is_system(path), "a machine-wide spool %s", err.text);
	tap_ok(mode_of(path) == 0755 && mode_of(below("sys/journal")) == 0700 && mode_of(below("sys/view")) == 0755 &&
	       mode_of(below("sys/drop")) == 03773, "others see the view and may drop, and no more");
	tap_ok(owner_of(path) == owner.uid && owner_of(below("sys/journal")) == owner.uid &&
	       (geteuid() ? access(below("sys/node"), F_OK) < 0 : owner_of(below("sys/node")) == 0),
	       "it is the scheduler's, the agent's part is root's, who makes it");
	if (geteuid() == 0) {
		tap_ok(make_as(path, 4711) == 0, "the scheduler finds it good");
		tap_ok(make_as(path, 4712) == -EPERM, "somebody else does not");
	} else {
		tap_ok(true, "by other users # SKIP needs root");
	}
	tap_ok(zn_spool_make(path, NULL, &err) == -EPERM, "nor does a private scheduler: %s", err.text);
}

static void test_lock(void)
{
	const char *path = below("empty");
	struct zn_err err = { 0 };
	int fd = zn_spool_lock(path, &err);

	tap_ok(fd >= 0 && mode_of(below("empty/lock")) == 0600, "a spool is locked %s", err.text);
	tap_ok(zn_spool_lock(path, &err) == -EBUSY, "once: %s", err.text);
	close(fd);
	fd = zn_spool_lock(path, &err);
	tap_ok(fd >= 0, "and again when its owner is gone");
	close(fd);
	tap_ok(zn_spool_lock(below("nowhere"), &err) == -ENOENT, "%s", err.text);
}

/* ---- sockets --------------------------------------------------------------------------------------- */

static bool talk(int server, const char *path)
{
	struct zn_err err = { 0 };
	char c = 0;
	int client = zn_spool_connect(path, &err);
	int peer = client < 0 ? -1 : accept4(server, NULL, NULL, SOCK_CLOEXEC);
	bool good = peer >= 0 && write(peer, "x", 1) == 1 && read(client, &c, 1) == 1 && c == 'x';

	if (!good)
		printf("# %s: %s\n", path, err.text);
	close(client);
	close(peer);
	return good;
}

static int connect_as(const char *path, uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(99);
		int fd = zn_spool_connect(path, NULL);
		_exit(fd < 0 ? -fd : 0);
	}
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

static void test_sockets(void)
{
	char deep[PATH_MAX];
	struct zn_err err = { 0 };

	snprintf(deep, sizeof(deep), "%.200s/%0200d", scratch, 7);
	mkdir(deep, 0755);
	const char *path = zn_spool_file(&arena, deep, "sock");
	tap_ok(zn_spool_connect(path, &err) == -ENOENT, "nothing there: %s", err.text);
	umask(0);
	int fd = zn_spool_listen(path, false, &err);
	umask(022);
	tap_ok(fd >= 0 && talk(fd, path), "a path of %zu bytes works", strlen(path));
	tap_ok(mode_of(path) == 0600, "only the owner may connect, whatever the umask");
	tap_ok((fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "it does not block, nor leak");
	if (geteuid() == 0)
		tap_ok(connect_as(path, 4711) == -EACCES, "others are refused by the kernel");
	else
		tap_ok(true, "others are refused # SKIP needs root");
	close(fd);
	tap_ok(zn_spool_connect(path, &err) == -ECONNREFUSED, "its owner is gone: %s", err.text);
	fd = zn_spool_listen(path, true, &err);
	tap_ok(fd >= 0 && talk(fd, path) && mode_of(path) == 0666, "what is left of it is replaced; open to everyone");
	if (geteuid() == 0)
		tap_ok(connect_as(path, 4711) == 0, "then others may");
	else
		tap_ok(true, "others may # SKIP needs root");
	close(fd);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	tap_ok(zn_spool_listen(path, false, &err) == -EEXIST && mode_of(path) == 0600, "a file is not: %s", err.text);
	tap_ok(zn_spool_listen("sock", false, &err) == -EINVAL && zn_spool_connect("sock", &err) == -EINVAL,
	       "a relative path is refused: %s", err.text);
	tap_ok(zn_spool_listen(below("nowhere/sock"), false, &err) == -ENOENT, "a missing directory: %s", err.text);
}

int main(void)
{
	char made[] = "/tmp/zn-spool-XXXXXX";

	if (!mkdtemp(made) || !realpath(made, scratch))
		return 1;
	test_which();
	test_private();
	test_links();
	test_system();
	test_lock();
	test_sockets();
	zn_arena_done(&arena);
	nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return tap_done();
}
