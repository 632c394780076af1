#include "job/compose.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

int zn_key_make(char key[ZN_KEY], struct zn_err *err)
{
	unsigned char bits[(ZN_KEY - 1) / 2];

	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return zn_err_set(err, -errno, "no random numbers: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bits); i++)
		sprintf(key + 2 * i, "%02x", bits[i]);
	return 0;
}

/* What some scheduler or launcher told the process that submits, and what would mislead the job: who finds a rank or
 * SLURM_NTASKS believes that it was started as one of several.
 */
static const char *const of_a_process[] = {
	"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
	"ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
	"OMP_NUM_THREADS", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT",
};
static const char *const of_a_task[] = { "ZENITH_NODES", "ZENITH_ARRAY_INDEX", "ZENITH_RANK_GPUS", "ZENITH_NICS" };
static const char *const of_a_launcher[] = { "ZENITH_JOB_", "SLURM_", "SLURMD_", "SLURMSTEPD_", "TORCHELASTIC_",
                                             "OMPI_COMM_WORLD_", "PMI_", "PMIX_" };
/* One of these: somebody launched us. */
static const char *const signs[] = { "ZENITH_JOB_ID", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK" };

static bool is_named(const char *entry, const char *name, size_t n)
{
	return !strncmp(entry, name, n) && entry[n] == '=';
}

/* A record's keys are UTF-8: a variable whose name is not can't travel, and must not stop the ones that can. */
static bool can_travel(const char *entry)
{
	const char *equals = strchr(entry, '=');

	return equals && equals != entry && zn_is_utf8(entry, (size_t)(equals - entry));
}

static bool was_launched(void)
{
	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (getenv(signs[i]))
			return true;
	return false;
}

static bool describes_a_job(const char *entry, bool launched)
{
	if (is_named(entry, "SLURM_CONF", 10)) /* where Slurm is, not who we are in it */
		return false;
	for (size_t i = 0; i < sizeof(of_a_task) / sizeof(*of_a_task); i++)
		if (is_named(entry, of_a_task[i], strlen(of_a_task[i])))
			return true;
	for (size_t i = 0; i < sizeof(of_a_launcher) / sizeof(*of_a_launcher); i++)
		if (!strncmp(entry, of_a_launcher[i], strlen(of_a_launcher[i])))
			return true;
	for (size_t i = 0; launched && i < sizeof(of_a_process) / sizeof(*of_a_process); i++)
		if (is_named(entry, of_a_process[i], strlen(of_a_process[i])))
			return true;
	return false;
}

/* Sets or replaces. */
static int put(struct zn_strmap *m, const char *entry, struct zn_arena *a)
{
	const char *equals = strchr(entry, '=');
	char *name = zn_arena_memdup(a, entry, (size_t)(equals - entry));
	size_t i = 0;

	if (!name)
		return -ENOMEM;
	while (i < m->n && strcmp(m->v[i].key, name))
		i++;
	m->v[i] = (struct zn_pair){ name, equals + 1 };
	if (i == m->n)
		m->n++;
	return 0;
}

int zn_compose_environment(char *const from[], const struct zn_strs *extra, struct zn_arena *a,
                           struct zn_strmap *ret, struct zn_err *err)
{
	struct zn_strmap m = { 0 };
	bool launched = was_launched();
	size_t n = 0;

	while (from[n])
		n++;
	m.v = zn_arena_array(a, n + extra->n + 1, sizeof(*m.v));
	if (!m.v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (can_travel(from[i]) && !describes_a_job(from[i], launched) &&
		    put(&m, from[i], a) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < extra->n; i++) {
		const char *equals = strchr(extra->v[i], '=');
		if (!equals || equals == extra->v[i])
			return zn_err_set(err, -EINVAL, "'%s' is not NAME=VALUE", extra->v[i]);
		if (put(&m, extra->v[i], a) < 0)
			return -ENOMEM;
	}
	*ret = m;
	return 0;
}

static int check_directory_of(const char *path, const char *name, struct zn_err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
	if (access(dir, W_OK | X_OK) == 0)
		return 0;
	return zn_err_set(err, -errno, "output '%s': can't write in '%s': %s", name, dir, strerror(errno));
}

int zn_output_check(const char *path, const char *name, struct zn_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? check_directory_of(path, name, err)
		       : zn_err_set(err, -errno, "output '%s': %s", name, strerror(errno));
	if (zn_file_is_sink(&st))
		return 0;
	if (!S_ISREG(st.st_mode))
		return zn_err_set(err, -EBADMSG, "output '%s' is a %s, not a file", name,
		                  S_ISFIFO(st.st_mode) ? "FIFO" : S_ISDIR(st.st_mode) ? "directory"
		                  : S_ISSOCK(st.st_mode) ? "socket" : "device");
	if (st.st_uid != geteuid())
		return zn_err_set(err, -EACCES, "output '%s' belongs to somebody else", name);
	if (access(path, W_OK) < 0)
		return zn_err_set(err, -errno, "output '%s': %s", name, strerror(errno));
	return 0;
}

int zn_spec_fill_in(struct zn_spec *s, struct zn_arena *a, struct zn_err *err)
{
	if (!s->directory || s->directory[0] != '/') {
		char here[PATH_MAX];
		if (!realpath(s->directory ? s->directory : ".", here))
			return zn_err_set(err, -errno, "directory '%s': %s", s->directory ? s->directory : ".",
			                  strerror(errno));
		s->directory = zn_arena_strdup(a, here);
		if (!s->directory)
			return -ENOMEM;
	}
	if (!s->umask.has) {
		mode_t mask = umask(0);
		umask(mask);
		s->umask = ZN_SOME_U64(mask);
	}
	if (!s->key) {
		char *key = zn_arena_alloc(a, ZN_KEY);
		int rc = key ? zn_key_make(key, err) : -ENOMEM;
		if (rc < 0)
			return rc;
		s->key = key;
	}
	return 0;
}

int zn_spec_check_paths(const struct zn_spec *s, struct zn_arena *a, struct zn_err *err)
{
	const char *const patterns[] = { s->output ? s->output : ZN_SPEC_OUTPUT, s->error };
	struct stat st;

	if (stat(s->directory, &st) < 0 || !S_ISDIR(st.st_mode))
		return zn_err_set(err, -ENOENT, "directory '%s' is not there", s->directory);
	for (size_t i = 0; i < 2; i++) {
		if (!patterns[i])
			continue;
		char *path = zn_spec_output(patterns[i], s->directory, 0, "", a);
		if (path)
			path = zn_spec_output_rank(path, 0, a);
		int rc = path ? zn_output_check(path, patterns[i], err) : -ENOMEM;
		if (rc < 0)
			return rc;
	}
	return 0;
}
