/* adopt: a process that runs already becomes a job.  It does not wait: what it holds is free as far as the queue knows,
 * and it gets just that, or nothing.  Whether it may have it says the agent.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/proc.h"
#include "serve/server.h"

static int check_gpu(struct zn_server *s, uint32_t gpu, struct zn_err *err)
{
	char number[ZN_NUMBER_TEXT];

	if (!zn_facts_gpu(s->nodes->facts, gpu))
		return zn_err_set(err, -EBADMSG, "there is no gpu %u here", gpu);
	if (zn_idset_has(&s->jobs.room.nodes->free.gpus, gpu))
		return 0;
	for (struct zn_job *job = s->jobs.by_id; job; job = job->hh.next)
		if (zn_job_has_alloc(job->state) && job->places && zn_idset_has(&job->places->v[0].plan.gpus, gpu))
			return zn_err_set(err, -EBUSY, "gpu %u is job %s's", gpu, zn_handle_text(job->id, number));
	return zn_err_set(err, -EBUSY, "gpu %u is not free", gpu);
}

static int check_process(struct zn_server *s, const struct zn_spec_adopt *a, uid_t by, uid_t *ret_uid, gid_t *ret_gid,
                         struct zn_err *err)
{
	struct zn_proc_id id = { .pid = (pid_t)a->pid.v, .start = a->start_ticks.v };
	int rc = zn_proc_is_alive(&id) ? zn_proc_user(id.pid, ret_uid, ret_gid) : -ESRCH;

	if (rc == -ESRCH)
		return zn_err_set(err, -ENOENT, "there is no process %d any more, or it may not be looked at", (int)id.pid);
	if (rc < 0)
		return zn_err_set(err, -EPERM, "process %d runs with the rights of more than one user", (int)id.pid);
	bool may = zn_is_operator(s, by) && (!s->is_private || geteuid() == 0);
	if (*ret_uid != by && !may)
		return zn_err_set(err, -EPERM, "process %d is not yours", (int)id.pid);
	return 0;
}

int zn_adopt_check(struct zn_server *s, const struct zn_spec *spec, uid_t by, uid_t *ret_uid, gid_t *ret_gid,
                   struct zn_err *err)
{
	const struct zn_spec_adopt *a = &spec->adopt;
	int rc;

	if (s->n_nodes > 1)
		return zn_err_set(err, -EBADMSG, "processes are adopted where there is one node, and this queue has several");
	if (!s->nodes->settled || !s->nodes->facts)
		return zn_err_set(err, -EAGAIN, "the agent does not answer just now");
	rc = check_process(s, a, by, ret_uid, ret_gid, err);
	for (size_t i = 0; rc == 0 && i < a->gpus.n; i++)
		rc = check_gpu(s, a->gpus.v[i], err);
	if (rc == 0 && spec->resources.mem_bytes.v > s->jobs.room.nodes->free.mem_bytes)
		rc = zn_err_set(err, -EBUSY, "so much memory is not free");
	return rc;
}

int zn_adopt_place(struct zn_server *s, struct zn_job *job, const struct zn_spec *spec)
{
	struct zn_places *places = s->jobs.room.places; /* nobody looks for a place meanwhile */
	struct zn_plan plan = { .cpus = zn_plan_idle(s->nodes->facts).cpus, .mem_bytes = job->mem_bytes };

	for (size_t i = 0; i < spec->adopt.gpus.n; i++)
		zn_idset_add(&plan.gpus, spec->adopt.gpus.v[i]);
	places->n = 1;
	places->v[0] = (struct zn_place){ .plan = plan };
	int rc = zn_jobs_move(&s->jobs, job, ZN_JOB_QUEUED);
	return rc < 0 ? rc : zn_place_job(s, job, places);
}

void zn_adopt_fail(struct zn_server *s, struct zn_job *job)
{
	job->end_s = zn_now_s();
	zn_job_finish(s, job, ZN_JOB_FAILED, "lost: zn-schedd died before it was adopted");
}
