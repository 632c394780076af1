/* later: what may be shown only when the journal is durable that far: replies and starts, in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <event2/event.h>

#include "proc/pidfd.h"
#include "serve/server.h"

static struct zn_later *later_add(struct zn_server *s)
{
	struct zn_later *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->seq = s->seq;
	TAILQ_INSERT_TAIL(&s->laters, l, link);
	return l;
}

static void later_drop(struct zn_server *s, struct zn_later *l)
{
	TAILQ_REMOVE(&s->laters, l, link);
	zn_buf_done(&l->bytes);
	free(l);
}

int zn_later_reply(struct zn_server *s, struct zn_conn *conn, const struct zn_reply *reply)
{
	struct zn_later *l = later_add(s);

	if (!l)
		return -ENOMEM;
	l->conn = conn;
	int rc = zn_encode(&zn_reply_kind, reply, &l->bytes);
	if (rc < 0)
		later_drop(s, l);
	else
		zn_conn_owe(conn);
	return rc;
}

int zn_later_start(struct zn_server *s, const struct zn_job *job)
{
	struct zn_later *l = later_add(s);

	if (!l)
		return -ENOMEM;
	l->job = job->id;
	l->attempt = job->attempt;
	return 0;
}

/* A part that can't be started may end all of it: then it has other places, or none. */
static void start_all(struct zn_server *s, struct zn_job *job, uint32_t attempt)
{
	for (uint32_t i = 0; job->attempt == attempt && job->state == ZN_JOB_SCHEDULED && job->places && i < job->places->n; i++) {
		struct zn_place *p = &job->places->v[i];
		if (p->told || p->over || !s->nodes[p->node].settled) /* it is started when its agent is back (settle) */
			continue;
		p->told = true;
		if (zn_agent_start(s, job, i) == -ENOTCONN)
			p->told = false;
	}
}

static void start_job(struct zn_server *s, const struct zn_later *l)
{
	struct zn_job *job = zn_jobs_get(&s->jobs, l->job);

	/* gone meanwhile */
	if (!job || job->state != ZN_JOB_SCHEDULED || !job->places || job->attempt != l->attempt)
		return;
	if (job->cancel || job->requeue)
		zn_job_unstarted(s, job);
	else
		start_all(s, job, l->attempt);
}

static void stop_parting(struct zn_server *s)
{
	if (!s->parting)
		return;
	close(event_get_fd(s->parting));
	event_free(s->parting);
	s->parting = NULL;
}

static void on_parted(evutil_socket_t fd, short what, void *arg)
{
	struct zn_server *s = arg;

	(void)fd;
	(void)what;
	stop_parting(s);
	zn_later_run(s);
	zn_turn_end(s);
}

/* Somebody who submits one job and waits for nothing else ends at its answer: for that moment he has the CPU that the
 * job would start on.  Longer than that moment nobody is waited for.
 */
static void see_off(struct zn_server *s, const struct zn_conn *c)
{
	static const struct timeval moment = { .tv_usec = 2000 };

	if (s->parting || s->stopping || s->n_conns > 1 || zn_conn_answers(c) > 1)
		return;
	int fd = zn__pidfd_open(zn_conn_pid(c));
	if (fd < 0)
		return;
	s->parting = event_new(s->base, fd, EV_READ, on_parted, s);
	if (!s->parting)
		close(fd);
	else if (event_add(s->parting, &moment) < 0)
		stop_parting(s);
}

void zn_later_run(struct zn_server *s)
{
	struct zn_later *l;

	while ((l = TAILQ_FIRST(&s->laters)) && l->seq <= s->durable) {
		if (l->conn) {
			zn_conn_write(l->conn, l->bytes.data, l->bytes.len);
			see_off(s, l->conn);
		} else if (l->job) {
			if (s->parting && !s->stopping)
				return;
			start_job(s, l);
		}
		later_drop(s, l);
	}
}

void zn_later_forget(struct zn_server *s, struct zn_conn *conn)
{
	struct zn_later *l;

	TAILQ_FOREACH(l, &s->laters, link)
		if (l->conn == conn)
			l->conn = NULL;
}

void zn_later_drop_all(struct zn_server *s)
{
	struct zn_later *l;

	stop_parting(s);
	while ((l = TAILQ_FIRST(&s->laters)))
		later_drop(s, l);
}
