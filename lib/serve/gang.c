/* gang: a job on several nodes runs when it runs on all of them, and is over when nothing of it runs on any.  The first part
 * that fails, or does not start, ends the others; what will be said of the end is kept as a report, in the journal too, since
 * an agent forgets what was acknowledged.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rec/raw.h"
#include "serve/server.h"

struct zn_place *zn_place_on(const struct zn_job *job, const struct zn_node *n)
{
	for (uint32_t i = 0; job->places && i < job->places->n; i++)
		if (job->places->v[i].node == n->number)
			return &job->places->v[i];
	return NULL;
}

static bool all_started(const struct zn_job *job)
{
	bool all = true;

	for (uint32_t i = 0; i < job->places->n; i++)
		all &= job->places->v[i].started || job->places->v[i].over;
	return all;
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

static bool is_trouble(const struct zn_msg_report *m)
{
	return strcmp(m->what, "exited") || m->signal.has || m->reason || m->exit_code.v;
}

static struct zn_ou64 sum_u64(struct zn_ou64 a, struct zn_ou64 b)
{
	return (struct zn_ou64){ .has = a.has || b.has, .v = a.v + b.v };
}

static struct zn_of64 sum_f64(struct zn_of64 a, struct zn_of64 b)
{
	return (struct zn_of64){ .has = a.has || b.has, .v = a.v + b.v };
}

/* It may start in a while, as a whole: what became of the others meanwhile does not count. */
static bool is_put_off(const struct zn_msg_report *m)
{
	return !strcmp(m->what, "refused") && m->again.v;
}

/* The first trouble is the end's; time, memory and CPU time are those of all. */
static struct zn_msg_report merge(const struct zn_msg_report *so_far, const struct zn_msg_report *m)
{
	struct zn_msg_report r = is_trouble(so_far) || !is_trouble(m) ? *so_far : *m;

	if (is_put_off(m) && strcmp(so_far->what, "refused"))
		r = *m;
	if (is_trouble(so_far) && so_far->reason && !strcmp(so_far->reason, ZN_GANG_PARTNER) && is_trouble(m))
		r = *m;
	r.time_s = fmax(so_far->time_s, m->time_s);
	r.max_rss_bytes = sum_u64(so_far->max_rss_bytes, m->max_rss_bytes);
	r.cpu_s = sum_f64(so_far->cpu_s, m->cpu_s);
	r.gpu_s = sum_f64(so_far->gpu_s, m->gpu_s);
	return r;
}

static int keep(struct zn_job *job, const struct zn_msg_report *m)
{
	struct zn_buf b = { 0 };
	int rc = zn_encode(&zn_msg_report_kind, m, &b);
	struct zn_gang *gang = rc == 0 ? malloc(sizeof(*gang) + b.len) : NULL;

	if (gang) {
		gang->len = b.len;
		memcpy(gang->end, b.data, b.len);
		free(job->run->gang);
		job->run->gang = gang;
	}
	zn_buf_done(&b);
	return gang ? 0 : -ENOMEM;
}

/* The end that it will have; of one of which nothing has ended, what m says. */
static int end_with(struct zn_server *s, const struct zn_job *job, const struct zn_msg_report *m, struct zn_msg_report *ret)
{
	struct zn_msg_report so_far;
	const struct zn_gang *g = zn_job_run(job)->gang;

	*ret = *m;
	if (!g)
		return 0;
	if (zn_raw_decode(&zn_msg_report_kind, (struct zn_bytes){ g->end, g->len }, &s->arena, &so_far, NULL) < 0 || !so_far.what)
		return -EBADMSG;
	*ret = merge(&so_far, m);
	return 0;
}

static bool all_over(const struct zn_job *job)
{
	bool all = true;

	for (uint32_t i = 0; i < job->places->n; i++)
		all &= job->places->v[i].over;
	return all;
}

/* What it will end as, so far; false: nothing of it is over. */
static bool end_so_far(struct zn_server *s, const struct zn_job *job, struct zn_msg_report *ret)
{
	const struct zn_msg_report nothing = { .what = "exited" };

	return zn_job_run(job)->gang && end_with(s, job, &nothing, ret) == 0;
}

/* A part that is refused is over and never began, so that not all of it will have started. */
bool zn_gang_started(struct zn_server *s, struct zn_place *place, const struct zn_job *job)
{
	struct zn_msg_report end;

	place->started = true;
	return all_started(job) && !(end_so_far(s, job, &end) && !strcmp(end.what, "refused"));
}

/* Those that were told nothing have nothing to end; the others are told, or are when they are back. */
static void end_others(struct zn_server *s, struct zn_job *job)
{
	for (uint32_t i = 0; i < job->places->n; i++) {
		struct zn_place *p = &job->places->v[i];
		if (p->over)
			continue;
		if (!p->told && !p->started && job->state == ZN_JOB_SCHEDULED && s->nodes[p->node].settled)
			p->over = true;
		else
			zn_agent_steer(&s->nodes[p->node], &(struct zn_msg_steer){ .op = "stop", .job = job->id, .attempt = job->attempt,
			                                                           .reason = ZN_GANG_PARTNER });
	}
}

bool zn_gang_is_ending(struct zn_server *s, const struct zn_job *job)
{
	struct zn_msg_report end;

	return end_so_far(s, job, &end) && is_trouble(&end);
}

bool zn_gang_over(struct zn_server *s, struct zn_job *job, struct zn_place *place, struct zn_msg_report *m)
{
	bool ends_already = job->cancel || job->requeue || zn_gang_is_ending(s, job); /* once more it might get less grace */
	struct zn_msg_report end;

	if (place->over)
		return false;
	place->over = true;
	if (end_with(s, job, m, &end) < 0)
		end = *m;
	if (is_trouble(&end) && !ends_already)
		end_others(s, job);
	*m = end;
	if (all_over(job))
		return true;
	if (keep(job, &end) < 0)
		zn_server_fail(s, -ENOMEM); /* the agent says it again to the next one */
	else
		zn_change_save(s, job, "partly over");
	return false;
}

/* ---- what its parts are told ------------------------------------------------------------------------------------ */

bool zn_gang_is_heard(const struct zn_server *s, const struct zn_job *job)
{
	bool all = job->places != NULL;

	for (uint32_t i = 0; job->places && i < job->places->n; i++)
		all &= job->places->v[i].over || s->nodes[job->places->v[i].node].greeted;
	return all;
}

int zn_gang_steer(struct zn_server *s, const struct zn_job *job, const struct zn_msg_steer *asked)
{
	struct zn_msg_steer m = *asked;
	int rc = job->places ? 0 : -ENOTCONN;

	m.job = job->id;
	m.attempt = job->attempt;
	for (uint32_t i = 0; job->places && i < job->places->n; i++) {
		const struct zn_place *p = &job->places->v[i];
		int one = p->over ? 0 : zn_agent_steer(&s->nodes[p->node], &m);
		rc = rc < 0 ? rc : one;
	}
	return rc;
}

/* The same for all of its parts, another one for each attempt: a port that is in use is not asked for twice.  Nor is that of the
 * same job of another queue on that machine.  Below those that the kernel hands out.
 */
uint32_t zn_gang_port(const struct zn_job *job)
{
	enum { FIRST = 20000, SOME = 10000 };
	uint64_t asked = (job->id + (uint64_t)(job->submit_s * 1e6)) * 64 + job->attempt;
	uint64_t mixed = asked * UINT64_C(0x9e3779b97f4a7c15);

	return FIRST + (uint32_t)(mixed >> 40) % SOME;
}
