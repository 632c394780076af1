/* preempt: of the jobs that run, those that must make room for the first in line. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "queue/jobs.h"

static bool may_run_again(const struct zn_job *job)
{
	return job->preemptible && !job->adopted_pid && !job->cancel;
}

static struct zn_victim victim_of(struct zn_job *job)
{
	return (struct zn_victim){ .job = &job->pick, .priority = job->priority, .times = job->preempted, .gpus = job->gpus,
	                           .goes = job->requeue || job->cancel };
}

int zn_jobs_preempt(struct zn_jobs *q, const struct zn_pick_job *head, double now_s, struct zn_job ***ret, size_t *ret_n)
{
	const struct zn_pick_ask *ask = &head->shape->ask;
	uint32_t n_running = zn_row_size(&q->pick.running);
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	struct zn_victim *v = q->n_preemptible ? calloc(n_running + 1, sizeof(*v)) : NULL;
	if (!v)
		return q->n_preemptible ? -ENOMEM : 0;
	for (uint32_t i = 0; i < n_running; i++) {
		struct zn_job *job = zn__line_job(zn_pick_job_that_runs(zn_row_nth(&q->pick.running, i)));
		v[n] = victim_of(job);
		n += v[n].goes || (job->state != ZN_JOB_SCHEDULED && may_run_again(job) && zn_victim_weigh(&v[n], ask->priority, now_s));
	}
	n = zn_room_preempt(&q->room, ask, v, n);
	*ret = n ? calloc(n, sizeof(**ret)) : NULL;
	for (size_t i = 0; *ret && i < n; i++)
		(*ret)[(*ret_n)++] = zn__line_job(v[i].job);
	free(v);
	return n && !*ret ? -ENOMEM : 0;
}

void zn_jobs_set_going(struct zn_jobs *q, struct zn_job *job, double end_s)
{
	struct zn_pick_job *p = &job->pick;

	if (p->runs && p->start_s + p->limit_s > end_s)
		zn_pick_set_limit(&q->pick, p, p->estimate_s, end_s - p->start_s);
}
