/* shepherd_start: how a job begins.  What its tasks need is made ready (script, groups, devices, terminal, port),
 * then all of them start, or none stays; an adopted job runs already, and is only held.
 */
#include "node/shepherd_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "node/task.h"
#include "proc/terminal.h"

/* A private copy.  The directory stays ours also where the job's user is another one: what he could put there
 * would be in the way of a later script, or lead us astray.
 */
static int write_script(struct shepherd *s)
{
	const char *text = s->start->script, shebang[] = "#!/bin/sh\n";
	char file[80];
	bool other = s->start->uid.has && s->start->uid.v != geteuid();

	if (mkdirat(s->home->dirfd, "run", 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mkdirat(s->home->dirfd, s->run_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(file, sizeof(file), "%s/script", s->run_dir);
	int fd = openat(s->home->dirfd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0700);
	if (fd < 0)
		return -errno;
	int rc = strncmp(text, "#!", 2) == 0 ? 0 : zn_write_all(fd, shebang, sizeof(shebang) - 1);
	if (rc >= 0)
		rc = zn_write_all(fd, text, strlen(text));
	if (rc >= 0 && fchmod(fd, 0700) < 0)
		rc = -errno;
	if (rc >= 0 && other && (fchown(fd, (uid_t)s->start->uid.v, (gid_t)-1) < 0 ||
	                         fchmodat(s->home->dirfd, s->run_dir, 0711, 0) < 0 ||
	                         fchmodat(s->home->dirfd, "run", 0711, 0) < 0 || fchmod(s->home->dirfd, 0711) < 0))
		rc = -errno;
	close(fd);
	snprintf(s->script, sizeof(s->script), "%s/%s", s->home->home, file);
	return rc < 0 ? rc : 0;
}

void zn__shepherd_remove_script(struct shepherd *s)
{
	char file[80];

	snprintf(file, sizeof(file), "%s/script", s->run_dir);
	unlinkat(s->home->dirfd, file, 0);
	unlinkat(s->home->dirfd, s->run_dir, AT_REMOVEDIR);
}

/* Those of the account, with its primary one: -ENOMEM. */
static int account_groups(struct shepherd *s, const struct passwd *pw, struct zn_task_job *j)
{
	int n = 64;
	gid_t *groups = zn_arena_array(&s->arena, (size_t)n, sizeof(*groups));

	if (groups && getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0) {
		groups = zn_arena_array(&s->arena, (size_t)n, sizeof(*groups));
		if (groups && getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
			n = 0;
	}
	j->groups = groups;
	j->n_groups = groups ? (size_t)n : 0;
	j->login = zn_arena_strdup(&s->arena, pw->pw_name);
	return groups && j->login ? 0 : -ENOMEM;
}

static bool has_group(const struct zn_task_job *j, gid_t gid)
{
	for (size_t i = 0; i < j->n_groups; i++)
		if (j->groups[i] == gid)
			return true;
	return false;
}

/* The scheduler, who reads what strangers write, is believed who somebody is, not what he may: a group must be
 * one that the system gives this user.
 */
static bool find_groups(struct shepherd *s, struct zn_task_job *j)
{
	uid_t uid = (uid_t)s->start->uid.v;

	j->change_user = s->start->uid.has && uid != geteuid();
	if (!j->change_user)
		return true;
	struct passwd *pw = getpwuid(uid);
	j->gid = s->start->gid.has ? (gid_t)s->start->gid.v : pw ? pw->pw_gid : 0;
	if (pw && account_groups(s, pw, j) < 0)
		zn__shepherd_set_reason(s, "out of memory");
	else if (pw && !has_group(j, j->gid))
		zn__shepherd_set_reason(s, "user '%s' is not in group %u", pw->pw_name, (unsigned)j->gid);
	else if (!pw && j->gid < ZN_UID_MIN)
		zn__shepherd_set_reason(s, "user %u has no account here, and group %u is a system group", (unsigned)uid,
		           (unsigned)j->gid);
	else
		return true;
	return false;
}

static bool has_gpu(const struct zn_msg_start *m, uint32_t gpu)
{
	for (size_t i = 0; i < m->gpus.n; i++)
		if (m->gpus.v[i] == gpu)
			return true;
	return false;
}

static size_t count_device_files(const struct zn_facts *f)
{
	size_t n = 0;

	for (size_t i = 0; f && i < f->n_gpus; i++)
		n += f->gpus[i].devices.n;
	return n;
}

/* The device files of all GPUs that are not the job's, as far as they are there. */
static void deny_others_gpus(struct shepherd *s, struct zn_hold_ask *ask)
{
	const struct zn_facts *f = s->home->facts;
	size_t max = count_device_files(f);
	struct zn_device *v = max ? zn_arena_array(&s->arena, max, sizeof(*v)) : NULL;
	struct stat st;

	ask->denied = v;
	for (size_t i = 0; v && i < f->n_gpus; i++) {
		const struct zn_strs *files = &f->gpus[i].devices;
		for (size_t k = 0; !has_gpu(s->start, f->gpus[i].gpu) && k < files->n; k++)
			if (stat(files->v[k], &st) == 0 && S_ISCHR(st.st_mode))
				v[ask->n_denied++] = (struct zn_device){ major(st.st_rdev), minor(st.st_rdev) };
	}
}

static bool take_terminal(struct shepherd *s, struct zn_task_job *j)
{
	uid_t uid = s->start->uid.has ? (uid_t)s->start->uid.v : geteuid();
	struct zn_err err = { 0 };

	if (!s->start->terminal)
		return true;
	j->has_tty = zn_terminal_take(s->start->terminal, uid, &s->term_fd, &j->tty, &err) == 0;
	if (!j->has_tty)
		zn__shepherd_set_reason(s, "%s", err.text);
	return j->has_tty;
}

/* Kept by who has the first rank; what a gang was told is the others', too. */
static int make_port(struct shepherd *s)
{
	const struct zn_msg_start *m = s->start;

	if (m->node_rank)
		return m->master_port && snprintf(s->port, sizeof(s->port), "%u", m->master_port) > 0 ? 0 : -EADDRNOTAVAIL;
	if (m->tasks < 2 && m->world < 2)
		return 0;
	return zn_task_port(m->master_port, s->port, sizeof(s->port), &s->port_fd);
}

static bool prepare(struct shepherd *s, struct zn_task_job *j)
{
	struct zn_hold_ask ask = { .mem_bytes = s->start->mem_bytes, .cpus = &j->cpus, .numas = &j->numas };
	char name[ZN_JOB_NAME];
	int rc;

	ask.name = zn_job_name(s->start->job, s->start->attempt, name);
	*j = (struct zn_task_job){ .home = s->home, .start = s->start, .hold = &s->hold };
	struct zn_buf pins = { 0 };
	zn_task_pins(j, &pins);
	deny_others_gpus(s, &ask);
	zn_hold_open(s->home->confine, &ask, &s->hold, &s->notes);
	zn_buf_add(&s->notes, pins.data, pins.len);
	zn_buf_done(&pins);
	if (!find_groups(s, j))
		return false;
	if (zn_task_all_gpus(j, &s->arena) < 0) {
		zn__shepherd_set_reason(s, "out of memory");
		return false;
	}
	if (s->start->script && (rc = write_script(s)) < 0) {
		zn__shepherd_set_reason(s, "the script can't be written: %s", strerror(-rc));
		return false;
	}
	if (!take_terminal(s, j))
		return false;
	j->script = s->start->script ? s->script : NULL;
	rc = make_port(s);
	if (rc < 0)
		zn_buf_printf(&s->notes, "; no MASTER_PORT: %s", strerror(-rc));
	j->master_port = s->port[0] ? s->port : NULL;
	return true;
}

static void note_pins(struct shepherd *s, const struct zn_spawned *sp)
{
	if (sp->pin_errno)
		zn_buf_printf(&s->notes, "; not pinned: %s", strerror(sp->pin_errno));
	if (sp->numa_errno)
		zn_buf_printf(&s->notes, "; no memory policy: %s", strerror(sp->numa_errno));
}

static bool start_rank(struct shepherd *s, const struct zn_task_job *j, uint32_t rank)
{
	struct zn_arena a = { 0 };
	struct zn_spawn ask;
	struct zn_spawned got;
	struct zn_err err = { .text = "out of memory" };
	int exit_code = -1, rc = zn_task_make(j, rank, &a, &ask);

	if (rc == 0)
		rc = zn_spawn(&ask, &got, &exit_code, &err);
	if (rc == 0) {
		s->tasks[rank].pid = got.pid;
		s->n_running++;
		if (rank == 0) {
			s->first_pid = got.pid;
			note_pins(s, &got);
		}
	} else {
		zn__shepherd_set_reason(s, "%s", err.text);
		s->failed = true;
		s->has_code = exit_code >= 0;
		s->code = exit_code;
	}
	zn_arena_done(&a);
	return rc == 0;
}

/* A gang starts as a whole: one that can't takes the others down. */
static void start_tasks(struct shepherd *s)
{
	struct zn_task_job j;
	uint32_t n = s->start->tasks;

	s->tasks = zn_arena_array(&s->arena, n, sizeof(*s->tasks));
	if (!s->tasks) {
		zn__shepherd_set_reason(s, "out of memory");
		s->failed = true;
		return;
	}
	if (!prepare(s, &j)) {
		s->failed = true;
		return;
	}
	for (uint32_t rank = 0; rank < n && !s->failed; rank++)
		if (!start_rank(s, &j, rank) && s->n_running)
			zn__shepherd_end(s, SIGTERM, s->start->grace_s);
	if (j.has_tty)
		close(j.tty); /* the tasks' alone, so that the client sees when they have closed it */
	if (s->start->gpus.n || s->hold.denies)
		zn_buf_printf(&s->notes, ", GPUs by %s", s->hold.denies ? "device filter" : "environment");
}

/* Instead of starting something: what runs already is held from now on.  Its CPUs stay as they are. */
static void adopt(struct shepherd *s)
{
	struct zn_proc_id id = { .pid = (pid_t)s->start->adopt_pid.v, .start = s->start->adopt_ticks.v };
	struct zn_hold_ask ask = { .mem_bytes = s->start->mem_bytes };
	char name[ZN_JOB_NAME];

	ask.name = zn_job_name(s->start->job, s->start->attempt, name);
	zn_buf_addstr(&s->notes, "adopted, ");
	zn_hold_open(s->home->confine, &ask, &s->hold, &s->notes);
	if (zn_herd_open(&id, &s->hold, &s->herd) < 0) {
		zn__shepherd_set_reason(s, "process %d is gone", (int)id.pid);
		s->failed = true;
		return;
	}
	s->first_pid = id.pid;
	s->n_running = 1;
	if (s->herd.left_out)
		zn_buf_printf(&s->notes, "; %u of its processes can't be moved into a cgroup", s->herd.left_out);
	if (s->herd.left_out || !s->hold.v2[0])
		zn_buf_addstr(&s->notes, "; what leaves its parent may be missed");
}

void zn__shepherd_start(struct shepherd *s)
{
	if (s->start->adopt_pid.has)
		adopt(s);
	else
		start_tasks(s);
}
