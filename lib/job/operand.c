#include "job/operand.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { SCRIPT_MAX = 8 << 20 };

/* It may well be there. */
static bool is_out_of_reach(int error)
{
	return error == EIO || error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* One that can't be read counts too: reading all of it then says why. */
static bool looks_like_script(const char *path)
{
	struct stat st;
	char head[2] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return is_out_of_reach(errno);
	bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t n = is_file ? read(fd, head, 2) : 0;
	close(fd);
	return is_file && (n < 0 || (n == 2 && head[0] == '#' && head[1] == '!') || !(st.st_mode & 0111));
}

static bool is_directory(const char *word)
{
	struct stat st;

	return strchr(word, '/') && stat(word, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A word that the job would look for in vain. */
static bool is_nowhere(const char *word, const struct zn_strs *env, const char *directory)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], "PATH=", 5))
			return false;
	if (strchr(word, '/'))
		return !directory && access(word, F_OK) < 0 && errno == ENOENT;
	for (size_t len; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		int n = snprintf(file, sizeof(file), "%.*s/%s", len ? (int)len : 1, len ? path : ".", word);
		if (n < (int)sizeof(file) && access(file, X_OK) == 0)
			return false;
	}
	return true;
}

static int read_script(const char *path, struct zn_arena *a, const char **ret, struct zn_err *err)
{
	char *text;
	size_t n;
	int rc = strcmp(path, "-") ? zn_file_read(AT_FDCWD, path, SCRIPT_MAX, a, &text, &n)
	                           : zn_fd_read(STDIN_FILENO, SCRIPT_MAX, a, &text, &n);

	if (rc < 0)
		return zn_err_set(err, rc, "can't read the script '%s': %s", path,
		                  rc == -EFBIG ? "it is larger than 8 MiB" : strerror(-rc));
	if (strlen(text) != n)
		return zn_err_set(err, -EBADMSG, "the script '%s' holds a NUL byte: it is no text", path);
	*ret = text;
	return 0;
}

int zn_operand_take(const char *word, const struct zn_strs *env, const char *directory, struct zn_arena *a,
                    struct zn_spec *s, struct zn_err *err)
{
	if (!strcmp(word, "-") || looks_like_script(word))
		return read_script(word, a, &s->script, err);
	if (is_directory(word))
		return zn_err_set(err, -EINVAL, "'%s' is a directory, neither a script nor a command", word);
	if (is_nowhere(word, env, directory))
		return zn_err_set(err, -ENOENT, "there is neither a script nor a command '%s'", word);
	s->command = word;
	return 0;
}
