#include "node/task.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "job/number.h"
#include "job/spec.h"
#include "plan/plan.h"

/* ---- the environment --------------------------------------------------------------------------- */

struct env {
	struct zn_arena *a;
	const char **v;
	size_t n, cap;
	bool failed;
};

static const char *env_find(const struct env *e, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < e->n; i++)
		if (strncmp(e->v[i], name, len) == 0 && e->v[i][len] == '=')
			return e->v[i] + len + 1;
	return NULL;
}

/* For names that are known to be new. */
static void env_add(struct env *e, const char *name, const char *value)
{
	char *line = zn_arena_printf(e->a, "%s=%s", name, value);

	if (!line || e->n == e->cap)
		e->failed = true;
	else
		e->v[e->n++] = line;
}

static void env_set(struct env *e, const char *name, const char *value)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < e->n; i++)
		if (strncmp(e->v[i], name, len) == 0 && e->v[i][len] == '=') {
			e->v[i] = e->v[--e->n];
			break;
		}
	env_add(e, name, value);
}

static void env_set_number(struct env *e, const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	env_set(e, name, text);
}

/* A mock device's UUID means nothing to a driver. */
static const char *real_uuid(const struct zn_facts *f, unsigned gpu)
{
	const struct zn_gpu *g = f ? zn_facts_gpu(f, gpu) : NULL;
	const char *mock = getenv("ZENITH_MOCK_GPUS");

	return g && g->uuid && !(mock && *mock) ? g->uuid : NULL;
}

static bool all_have_uuids(const struct zn_facts *f, const struct zn_idset *gpus)
{
	bool all = true;

	zn_idset_each(id, gpus)
		all &= real_uuid(f, (unsigned)id) != NULL;
	return all;
}

static void add_gpus(struct zn_buf *list, const struct zn_facts *f, const struct zn_idset *gpus, bool by_uuid)
{
	zn_idset_each(id, gpus) {
		if (list->len)
			zn_buf_addch(list, ',');
		if (by_uuid)
			zn_buf_addstr(list, real_uuid(f, (unsigned)id));
		else
			zn_buf_printf(list, "%d", id);
	}
}

/* The ranks of a gang see all of its GPUs, as torchrun's and Slurm's do: a program that reads LOCAL_RANK takes the
 * device with that number, which is the rank's own.
 */
static void set_gpus(struct env *e, const struct zn_task_job *j, const struct zn_idset *gpus)
{
	struct zn_buf list = { 0 };
	bool by_uuid = all_have_uuids(j->home->facts, gpus);

	add_gpus(&list, j->home->facts, gpus, by_uuid);
	if (list.failed)
		e->failed = true;
	else
		env_set(e, "CUDA_VISIBLE_DEVICES", j->all_gpus ? j->all_gpus : list.len ? zn_buf_text(&list) : "");
	if (j->all_gpus && !list.failed)
		env_set(e, "ZENITH_RANK_GPUS", list.len ? zn_buf_text(&list) : "");
	if (!by_uuid)
		env_set(e, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
	zn_buf_done(&list);
}

/* Those beside the rank's own GPUs, in a gang too: each rank sends by what is next to its device. */
static void set_nics(struct env *e, const struct zn_facts *f, const struct zn_idset *gpus)
{
	const char *nics = NULL;

	if (f && zn_plan_nics(f, gpus, e->a, &nics) < 0)
		e->failed = true;
	if (nics)
		env_set(e, "ZENITH_NICS", nics);
}

/* What the driver's MPS holds a process to, if its daemon runs: each task to an even part of what the job has.  Memory is by the
 * number that the task sees, and there is but one.
 */
static void set_part(struct env *e, const struct zn_msg_start *s)
{
	uint64_t tasks = s->tasks ? s->tasks : 1, mib = (s->gpu_mem_bytes / tasks) >> 20;
	uint64_t percent = (s->gpu_milli / tasks + 5) / 10;
	char text[40];

	if (!s->gpu_milli)
		return;
	env_set_number(e, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", percent ? percent : 1);
	snprintf(text, sizeof(text), "0=%lluM", (unsigned long long)(mib ? mib : 1));
	if (s->gpu_mem_bytes)
		env_set(e, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", text);
}

/* Only where there is more than one: torchrun, accelerate and Lightning take them for their own.  GROUP_RANK and
 * TORCHELASTIC_* stay torchrun's: with them Lightning believes that torchrun started it.
 */
static void set_ranks(struct env *e, const struct zn_task_job *j, uint32_t rank)
{
	const struct zn_msg_start *s = j->start;
	uint32_t world = s->world ? s->world : s->tasks;

	if (world < 2)
		return;
	env_set_number(e, "RANK", s->first_rank + rank);
	env_set_number(e, "LOCAL_RANK", rank);
	env_set_number(e, "WORLD_SIZE", world);
	env_set_number(e, "LOCAL_WORLD_SIZE", s->tasks);
	env_set_number(e, "NODE_RANK", s->node_rank);
	env_set(e, "MASTER_ADDR", s->master_addr ? s->master_addr : "127.0.0.1");
	if (j->master_port)
		env_set(e, "MASTER_PORT", j->master_port);
}

static char *const *make_env(const struct zn_task_job *j, uint32_t rank, const struct zn_plan *share,
                             struct zn_arena *a)
{
	const struct zn_msg_start *s = j->start;
	struct env e = { .a = a, .cap = s->environment.n + 28 };

	e.v = zn_arena_array(a, e.cap + 1, sizeof(*e.v));
	if (!e.v)
		return NULL;
	for (size_t i = 0; i < s->environment.n; i++)
		env_add(&e, s->environment.v[i].key, s->environment.v[i].value);
	env_set_number(&e, "ZENITH_JOB_ID", zn_handle_number(s->job));
	if (zn_handle_is_element(s->job))
		env_set_number(&e, "ZENITH_ARRAY_INDEX", zn_handle_index(s->job));
	env_set(&e, "ZENITH_SPOOL", j->home->spool);
	env_set(&e, "ZENITH_NODES", s->nodes ? s->nodes : j->home->node);
	env_set(&e, "ZENITH_NODE", j->home->node);
	if (s->name)
		env_set(&e, "ZENITH_JOB_NAME", s->name);
	set_gpus(&e, j, &share->gpus);
	set_nics(&e, j->home->facts, &share->gpus);
	set_part(&e, s);
	set_ranks(&e, j, rank);
	unsigned threads = share->cpus_held ? share->cpus_held : zn_idset_count(&share->cpus);
	if (threads && !env_find(&e, "OMP_NUM_THREADS"))
		env_set_number(&e, "OMP_NUM_THREADS", threads);
	return e.failed ? NULL : (char *const *)e.v;
}

/* ---- arguments, files -------------------------------------------------------------------------- */

static bool has_rank(const char *path)
{
	for (const char *p = path; p && (p = strchr(p, '%')); p += 2)
		if (p[1] == 'r')
			return true;
		else if (!p[1])
			return false;
	return false;
}

static char *const *make_argv(const struct zn_task_job *j, struct zn_arena *a)
{
	const struct zn_strs *args = &j->start->arguments;
	const char **v = zn_arena_array(a, args->n + 2, sizeof(*v));

	if (!v)
		return NULL;
	v[0] = j->script ? j->script : j->start->command;
	for (size_t i = 0; i < args->n; i++)
		v[i + 1] = args->v[i];
	return (char *const *)v;
}

/* The whole job's plan as the scheduler made it. */
static struct zn_plan job_plan(const struct zn_task_job *j)
{
	struct zn_plan p = { .cpus = j->cpus, .numas = j->numas, .cpus_held = j->start->cpus_held,
	                     .mem_bytes = j->start->mem_bytes };

	for (size_t i = 0; i < j->start->gpus.n; i++)
		zn_idset_add(&p.gpus, j->start->gpus.v[i]);
	return p;
}

int zn_task_all_gpus(struct zn_task_job *j, struct zn_arena *a)
{
	struct zn_plan whole = job_plan(j);
	const struct zn_facts *f = j->home->facts;
	struct zn_buf list = { 0 };
	struct zn_idset named = { 0 };
	bool by_uuid = all_have_uuids(f, &whole.gpus);

	if (j->start->tasks < 2 || !j->start->gpus.n || !f)
		return 0;
	for (uint32_t rank = 0; rank < j->start->tasks; rank++) {
		struct zn_plan share = zn_plan_rank(f, &whole, rank, j->start->tasks);
		struct zn_idset more = zn_idset_minus(&share.gpus, &named); /* ranks may share one */
		add_gpus(&list, f, &more, by_uuid);
		zn_idset_each(id, &more)
			zn_idset_add(&named, (unsigned)id);
	}
	const char *text = zn_buf_text(&list);
	j->all_gpus = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&list);
	return j->all_gpus ? 0 : -ENOMEM;
}

static const struct zn_idset *keep(struct zn_arena *a, const struct zn_idset *s)
{
	return zn_idset_is_empty(s) ? NULL : (void *)zn_arena_memdup(a, s, sizeof(*s));
}

int zn_task_make(const struct zn_task_job *j, uint32_t rank, struct zn_arena *a, struct zn_spawn *ret)
{
	const struct zn_msg_start *s = j->start;
	struct zn_plan share = job_plan(j);

	if (s->tasks > 1 && j->home->facts)
		share = zn_plan_rank(j->home->facts, &share, rank, s->tasks);
	*ret = (struct zn_spawn){
		.argv = make_argv(j, a), .envp = make_env(j, rank, &share, a), .directory = s->directory,
		.output = s->output ? zn_spec_output_rank(s->output, s->first_rank + rank, a) : NULL,
		.error = s->error ? zn_spec_output_rank(s->error, s->first_rank + rank, a) : NULL,
		.change_user = j->change_user, .uid = (uid_t)s->uid.v, .gid = j->gid,
		.groups = j->groups, .n_groups = j->n_groups, .login = j->login,
		.umask = s->umask.has ? (mode_t)(s->umask.v & 0777) : 022, .hold = j->hold, .nofile = &j->home->nofile,
		.has_tty = j->has_tty, .tty = j->tty,
		.cpus = keep(a, &share.cpus), .numas = keep(a, &share.numas),
		/* later ranks, and those of other nodes, share the first one's file; a requeued job adds to what it wrote */
		.truncate_output = s->attempt <= 1 && ((rank == 0 && !s->world) || has_rank(s->output)),
		.truncate_error = s->attempt <= 1 && ((rank == 0 && !s->world) || has_rank(s->error)),
	};
	if (!ret->argv || !ret->envp || (s->output && !ret->output) || (s->error && !ret->error))
		return -ENOMEM;
	ret->file = ret->argv[0];
	return 0;
}

/* ---- pins --------------------------------------------------------------------------------------- */

static struct zn_idset allowed_cpus(void)
{
	struct zn_idset s = { 0 };

	sched_getaffinity(0, sizeof(s.w), (cpu_set_t *)s.w);
	return s;
}

static struct zn_idset present_numas(const struct zn_idset *asked)
{
	struct zn_idset s = { 0 };
	char path[64];

	zn_idset_each(id, asked) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", id);
		if (access(path, F_OK) == 0)
			zn_idset_add(&s, (unsigned)id);
	}
	return s;
}

void zn_task_pins(struct zn_task_job *j, struct zn_buf *notes)
{
	const struct zn_msg_start *s = j->start;
	struct zn_idset asked = { 0 }, nodes = { 0 }, allowed;
	struct zn_err err;

	if (s->cpus && zn_idset_parse(s->cpus, &asked, &err) < 0)
		zn_buf_printf(notes, "; not pinned: %s", err.text);
	if (s->numas && zn_idset_parse(s->numas, &nodes, &err) < 0)
		zn_buf_printf(notes, "; no memory policy: %s", err.text);
	if (!zn_idset_is_empty(&asked)) {
		allowed = allowed_cpus();
		j->cpus = zn_idset_and(&asked, &allowed);
		if (zn_idset_is_empty(&j->cpus))
			zn_buf_printf(notes, "; not pinned: none of cpus %s is ours", s->cpus);
		else if (!zn_idset_equal(&j->cpus, &asked))
			zn_buf_printf(notes, "; pinned to fewer than cpus %s", s->cpus);
	}
	j->numas = present_numas(&nodes);
	if (!zn_idset_is_empty(&nodes) && zn_idset_is_empty(&j->numas))
		zn_buf_printf(notes, "; no memory policy: there is no node %s here", s->numas);
}

/* ---- MASTER_PORT ---------------------------------------------------------------------------------- */

/* Ports that the kernel never hands out by itself: above the range of ephemeral ones, else below it. */
static void port_range(unsigned *lo, unsigned *hi)
{
	unsigned first = 32768, last = 60999;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f && fscanf(f, "%u %u", &first, &last) != 2)
		last = 60999;
	if (f)
		fclose(f);
	*lo = last + 1;
	*hi = 65535;
	if (last > 64000) {
		*lo = first > 24000 ? 20000 : 10000;
		*hi = first > *lo + 100 ? first - 1 : 32767;
	}
}

static bool can_bind(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* The reservation among jobs is a name in the abstract socket space, gone with its holder.  A bound TCP socket
 * would keep everybody else away too, but also a task that does not say SO_REUSEADDR.
 */
static int reserve_port(unsigned port)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int len = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "zenith-port-%u", port);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
		return fd;
	int rc = -errno;
	close(fd);
	return rc;
}

bool zn_task_port_is_free(uint32_t port)
{
	int fd = port ? reserve_port(port) : -EINVAL;

	if (fd >= 0)
		close(fd);
	return fd >= 0 && can_bind(port);
}

int zn_task_port(uint32_t wanted, char *port, size_t size, int *ret_fd)
{
	unsigned lo = wanted, hi = wanted;

	if (!wanted)
		port_range(&lo, &hi);
	unsigned n = hi - lo + 1, from = (unsigned)getpid() * 7 % n;
	for (unsigned i = 0; i < n; i++) {
		unsigned p = lo + (from + i) % n;
		int fd = reserve_port(p);
		if (fd == -EMFILE || fd == -ENFILE)
			return fd;
		if (fd < 0)
			continue;
		if (can_bind(p)) {
			snprintf(port, size, "%u", p);
			*ret_fd = fd;
			return 0;
		}
		close(fd);
	}
	return -EADDRINUSE;
}
