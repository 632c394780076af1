/* agent: the link to zn-noded.  hello both ways, then the agent's log from the last acknowledged entry, then
 * its state: from there on the two agree on what runs.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <event2/buffer.h>

#include "base/clock.h"
#include "engine/local.h"
#include "queue/spool.h"
#include "rec/frame.h"
#include "rec/ids.h"
#include "rec/val.h"
#include "serve/server.h"

enum {
	PROTOCOL = 1,
	FIRST_MS = 1000,      /* most agents are there in a twentieth of that */
};

/* One alone needs no name. */
static void log_of(const struct zn_node *n, const char *what, const char *why)
{
	zn_log(n->server->named.n ? "%s%s%s (node '%s')" : "%s%s%s", what, why ? ": " : "", why ? why : "", n->name);
}

static int send_record(struct zn_node *n, const struct zn_kind *kind, const void *record)
{
	struct zn_buf payload = { 0 }, frame = { 0 };

	if (!n->bev)
		return -ENOTCONN;
	int rc = zn_encode(kind, record, &payload);
	if (rc == 0)
		rc = zn_frame_put(&frame, 0, (uint32_t)getpid(), payload.data, payload.len);
	if (rc == 0 && bufferevent_write(n->bev, frame.data, frame.len) < 0)
		rc = -ENOMEM;
	zn_buf_done(&payload);
	zn_buf_done(&frame);
	return rc;
}

int zn_agent_steer(struct zn_node *n, const struct zn_msg_steer *m)
{
	return n->greeted ? send_record(n, &zn_msg_steer_kind, m) : -ENOTCONN;
}

/* "n1,n2" */
static const char *node_names(struct zn_server *s, const struct zn_places *places)
{
	const char *names = s->nodes[places->v[0].node].name;

	for (uint32_t i = 1; names && i < places->n; i++)
		names = zn_arena_printf(&s->arena, "%s,%s", names, s->nodes[places->v[i].node].name);
	return names;
}

static int fill_gang(struct zn_server *s, const struct zn_job *job, uint32_t at, struct zn_msg_start *m)
{
	const struct zn_places *places = job->places;

	m->tasks = job->tasks / places->n;
	m->world = job->tasks;
	m->first_rank = at * m->tasks;
	m->node_rank = at;
	m->nodes = node_names(s, places);
	m->master_addr = s->nodes[places->v[0].node].address;
	m->master_port = zn_gang_port(job);
	return m->nodes ? 0 : -ENOMEM;
}

static int fill_start(struct zn_server *s, const struct zn_job *job, uint32_t at, struct zn_msg_start *m, struct zn_err *err)
{
	struct zn_arena *a = &s->arena;
	struct zn_memo_submit body;
	const struct zn_plan *p = &job->places->v[at].plan;
	const struct zn_node *n = &s->nodes[job->places->v[at].node];
	int rc = zn_submit_body(s, job, &body, err);

	if (rc == 0 && zn_handle_is_element(job->id) && n->version < ZN_NODE_ELEMENTS)
		rc = zn_err_set(err, -EAGAIN, "the agent is of a version that knows no arrays: it is to be started anew");
	if (rc == 0 && p->part.milli && n->version < ZN_NODE_PARTS)
		rc = zn_err_set(err, -EAGAIN, "the agent is of a version that knows no parts of GPUs: it is to be started anew");
	if (rc == 0 && job->places->n > 1 && n->version < ZN_NODE_GANGS)
		rc = zn_err_set(err, -EAGAIN, "the agent of node '%s' is of a version that knows no gangs: it is to be started anew", n->name);
	if (rc < 0)
		return rc;
	const struct zn_spec *spec = &body.spec;
	*m = (struct zn_msg_start){
		.job = job->id, .attempt = job->attempt, .user = job->user, .name = job->name,
		.command = spec->command, .arguments = spec->arguments, .script = spec->script,
		.environment = spec->environment, .directory = spec->directory,
		.output = zn_spec_output(zn_spec_output_pattern(spec), spec->directory, job->id, n->name, a),
		.error = spec->error ? zn_spec_output(spec->error, spec->directory, job->id, n->name, a) : NULL,
		.terminal = spec->terminal, .umask = spec->umask, .tasks = job->tasks, .cpus = zn_ids_text(&p->cpus, a),
		.gpu_milli = p->part.milli, .gpu_mem_bytes = p->part.mem_bytes, .numas = zn_ids_text(&p->numas, a), .cpus_held = p->cpus_held, .mem_bytes = p->mem_bytes,
		.grace_s = job->grace_s >= 0 ? job->grace_s : s->conf.grace_s,
		.adopt_pid = spec->adopt.pid, .adopt_ticks = spec->adopt.start_ticks,
	};
	if (zn_ids_numbers(&p->gpus, a, &m->gpus) < 0 || (job->places->n > 1 && fill_gang(s, job, at, m) < 0))
		return -ENOMEM;
	if (spec->policy.signal && zn_signal_parse(spec->policy.signal) > 0)
		m->signal = ZN_SOME_U64((uint64_t)zn_signal_parse(spec->policy.signal));
	if (job->limit_s > 0)
		m->limit_s = ZN_SOME_F64(job->limit_s);
	else if (job->deadline_s > 0)
		m->limit_s = ZN_SOME_F64(fmax(0.001, job->deadline_s - zn_now_s()));
	if (!s->is_private) {
		m->uid = ZN_SOME_U64(job->uid);
		m->gid = ZN_SOME_U64(job->gid);
	}
	return m->output && m->cpus && m->numas ? 0 : -ENOMEM;
}

/* What is damaged stays so; a descriptor, memory or the disk may be there again in a while. */
static void cant_start(struct zn_server *s, struct zn_job *job, uint32_t place, int rc, const struct zn_err *err)
{
	char reason[sizeof(err->text)];
	struct zn_msg_report m = { .what = "refused", .reason = reason, .time_s = zn_now_s(), .again = ZN_SOME_BOOL(true) };

	if (rc == -EBADMSG || rc == -ENOENT) {
		job->requeues_left = 0;
		m = (struct zn_msg_report){ .what = "exited", .reason = "lost: its description in the spool is damaged", .time_s = zn_now_s() };
		if (job->places->n > 1)
			zn_report_end(s, job, &job->places->v[place], &m);
		else
			zn_job_lost(s, job, m.reason);
		return;
	}
	if (rc == -EAGAIN)
		snprintf(reason, sizeof(reason), "%s", err->text);
	else
		snprintf(reason, sizeof(reason), "its description can't be read: %s", strerror(-rc));
	if (job->places->n > 1) /* others may have begun */
		zn_report_end(s, job, &job->places->v[place], &m);
	else
		zn_job_put_off(s, job, reason);
}

int zn_agent_start(struct zn_server *s, const struct zn_job *job, uint32_t place)
{
	struct zn_msg_start m;
	struct zn_err err = { 0 };
	char number[ZN_NUMBER_TEXT];

	zn_arena_reset(&s->arena);
	int rc = fill_start(s, job, place, &m, &err);
	if (rc == 0)
		rc = send_record(&s->nodes[job->places->v[place].node], &zn_msg_start_kind, &m);
	if (rc < 0)
		zn_log("can't start job %s: %s", zn_handle_text(job->id, number), err.text[0] ? err.text : strerror(-rc));
	if (rc < 0 && rc != -ENOTCONN)
		cant_start(s, zn_jobs_get(&s->jobs, job->id), place, rc, &err);
	return rc;
}

static void take_hello(struct zn_node *n, const struct zn_msg_hello *m)
{
	n->greeted = true;
	n->version = m->version;
	free(n->running);
	n->running = calloc(m->jobs.n + 1, sizeof(*n->running));
	n->n_running = n->running ? m->jobs.n : 0;
	if (n->n_running)
		memcpy(n->running, m->jobs.v, m->jobs.n * sizeof(*n->running));
}

static void take_topology(struct zn_node *n, struct zn_bytes topology)
{
	struct zn_server *s = n->server;
	struct zn_facts *facts;
	struct zn_err err = { 0 };
	msgpack_object list;
	int rc = zn_val_unpack(topology.p, topology.n, 0, &s->arena, &list, &err);

	if (rc == 0)
		rc = zn_facts_decode(&list, &facts, &err);
	if (rc < 0) {
		zn_log("the agent's topology makes no sense: %s", err.text);
		return;
	}
	if (zn_jobs_set_facts(&s->jobs, n->number, facts) < 0)
		zn_server_fail(s, -ENOMEM);
	zn_facts_free(n->facts);
	n->facts = facts;
}

/* Said once: the agent tries again and again. */
static void take_unread(struct zn_node *n, const char *text)
{
	const char *unread = text ? zn_jobs_intern(&n->server->jobs, text) : NULL;

	if (unread && unread != n->unread)
		log_of(n, "nothing can be started", unread);
	n->unread = unread;
}

static void take_state(struct zn_node *n, const struct zn_msg_state *m)
{
	struct zn_server *s = n->server;
	struct zn_idset *held_set = &s->jobs.room.nodes[n->number].held;
	const struct zn_msg_gpu_held *held = m->held.v;

	take_unread(n, m->unread);
	if (m->topology.p)
		take_topology(n, m->topology);
	*held_set = (struct zn_idset){ 0 };
	n->n_held = 0;
	for (size_t i = 0; i < m->held.n && n->n_held < 64; i++) {
		zn_idset_add(held_set, held[i].gpu);
		n->held_by[n->n_held++] = (struct zn_node_held){
			.gpu = held[i].gpu, .pid = ZN_SOME_U64(held[i].pid),
			.user = held[i].user ? zn_jobs_intern(&s->jobs, held[i].user) : NULL,
			.command = held[i].command ? zn_jobs_intern(&s->jobs, held[i].command) : NULL,
		};
	}
	zn_jobs_unblock(&s->jobs, HUGE_VAL); /* what was in the way may be gone */
	if (!n->settled)
		zn_report_settle(n);
	else
		zn_node_publish(n);
	zn_place_soon(s);
}

static void note_report(struct zn_node *n, uint64_t seq)
{
	int at = n->acks[0].seq && n->acks[0].after < n->server->seq;

	n->acks[at].seq = seq;
	n->acks[at].after = n->server->seq;
}

static int take_message(struct zn_node *n, const struct zn_frame *f)
{
	union {
		struct zn_msg_hello hello;
		struct zn_msg_report report;
		struct zn_msg_state state;
	} m;
	msgpack_object map;
	struct zn_err err = { 0 };
	struct zn_arena *a = &n->server->arena;

	zn_arena_reset(a);
	if (zn_msgpack_check(f->payload, f->len, 0, &err) != (ssize_t)f->len ||
	    zn_val_unpack(f->payload, f->len, 0, a, &map, &err) < 0)
		return -EBADMSG;
	n->report_s = zn_now_s();
	zn_silence_heard(n);
	const msgpack_object *kind = zn_val_get(&map, "kind");
	if (zn_val_is_text(kind, zn_msg_hello_kind.name)) {
		if (zn_decode(&zn_msg_hello_kind, &map, a, &m, &err) < 0)
			return -EBADMSG;
		take_hello(n, &m.hello);
	} else if (zn_val_is_text(kind, zn_msg_report_kind.name)) {
		if (zn_decode(&zn_msg_report_kind, &map, a, &m, &err) < 0 || !m.report.what)
			return -EBADMSG;
		zn_report_take(n, &m.report);
		if (m.report.seq) /* 0: the agent could not log it */
			note_report(n, m.report.seq);
	} else if (zn_val_is_text(kind, zn_msg_state_kind.name)) {
		if (zn_decode(&zn_msg_state_kind, &map, a, &m, &err) < 0)
			return -EBADMSG;
		take_state(n, &m.state);
	}
	return 0;
}

/* Reports are acknowledged when what they changed is durable. */
static void ack(struct zn_node *n)
{
	while (n->acks[0].seq && n->acks[0].after <= n->server->durable) {
		struct zn_msg_ack ack = { .seq = n->acks[0].seq };
		if (send_record(n, &zn_msg_ack_kind, &ack) < 0)
			return;
		n->acks[0] = n->acks[1];
		n->acks[1].seq = 0;
	}
	if (n->server->farewell && !n->has_retired)
		n->has_retired = send_record(n, &zn_msg_steer_kind, &(struct zn_msg_steer){ .op = "retire" }) == 0;
}

void zn_agent_ack(struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++)
		ack(&s->nodes[i]);
}

static void retry_later(struct zn_node *n)
{
	unsigned ms = n->retries < 3 ? 20 : n->retries < 10 ? 500 : 5000;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

	n->retries++;
	event_add(n->retry, &tv);
}

static void go_away(struct zn_node *n, const char *why)
{
	log_of(n, why, NULL);
	zn_agent_disconnect(n);
	zn_node_publish(n);
	retry_later(n);
	zn_turn_end(n->server);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct zn_node *from = arg;
	struct zn_server *s = from->server;
	struct evbuffer *in = bufferevent_get_input(bev);
	const unsigned char *p = evbuffer_pullup(in, -1);
	size_t n = evbuffer_get_length(in), at = 0;

	while (at < n) {
		struct zn_frame f;
		if (zn_journal_room(s->journal) < ZN_ROOM_END) { /* it will say it all again */
			go_away(from, "the disk of the spool is full: the agent's reports wait");
			return;
		}
		ssize_t len = zn_frame_get(p + at, n - at, &f);
		if (len == 0)
			break;
		if (len < 0) { /* noise on the pipe */
			at += zn_frame_resync(p + at, n - at);
			continue;
		}
		if (take_message(from, &f) < 0)
			zn_log("the agent said something that makes no sense; ignored");
		at += (size_t)len;
	}
	evbuffer_drain(in, at);
	zn_turn_end(s);
}

void zn_agent_disconnect(struct zn_node *n)
{
	if (n->bev)
		bufferevent_free(n->bev);
	n->bev = NULL;
	n->greeted = n->settled = n->watching = n->is_silent = false;
	n->asked_s = 0;
	n->acks[0].seq = n->acks[1].seq = 0;
	zn_lost_note(n);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct zn_node *n = arg;

	(void)bev;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	if (n->server->stopping)
		zn_agent_disconnect(n);
	else
		go_away(n, "the agent went away; looking for it again");
}

/* Each under its own name, when there are several; a mock's GPUs are its alone.  It may take long to come up, as long as what the
 * one before left there does to end.
 */
static int launch(struct zn_node *n, struct zn_err *err)
{
	const struct zn_server *s = n->server;
	const char *const more[] = { "--node", n->name, NULL };
	char program[4096], leases[4300];
	const struct zn_local_mock mock = { n->mock, leases };

	zn_program_beside("zn-noded", program, sizeof(program));
	snprintf(leases, sizeof(leases), "%s/leases", n->home);
	int pid = zn_local_launch_agent(program, s->spool, s->named.n ? more : NULL, n->mock ? &mock : NULL, err);
	if (pid > 0)
		n->launcher = pid;
	return pid;
}

static int reach(const struct zn_node *n, struct zn_err *err)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/sock", n->home);
	return zn_spool_connect(path, err);
}

static void greet(struct zn_node *n, int fd)
{
	evutil_make_socket_nonblocking(fd);
	n->bev = bufferevent_socket_new(n->server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!n->bev)
		close(fd);
	else
		bufferevent_setcb(n->bev, on_read, NULL, on_event, n);
	if (!n->bev || bufferevent_enable(n->bev, EV_READ | EV_WRITE) < 0) {
		go_away(n, "the agent can't be watched: it is connected again");
		return;
	}
	struct zn_msg_hello hello = { .version = PROTOCOL, .node = n->name, .pid = (uint32_t)getpid() };
	send_record(n, &zn_msg_hello_kind, &hello);
}

static void cant_reach(struct zn_node *n, int rc, const struct zn_err *err)
{
	if (n->retries % 10 == 3)
		log_of(n, "can't reach the agent", err->text[0] ? err->text : strerror(-rc));
	retry_later(n);
}

static void launched(struct zn_node *n, int status)
{
	struct zn_err err = { 0 };
	int rc = zn_local_agent_launched(status, &err);

	n->launcher = 0;
	event_del(n->retry);
	if (rc == 0)
		rc = reach(n, &err);
	if (rc < 0)
		cant_reach(n, rc, &err);
	else
		greet(n, rc);
}

static bool reap(struct zn_node *n, int flags)
{
	int status, rc;

	do
		rc = n->launcher ? waitpid(n->launcher, &status, flags) : 0;
	while (rc < 0 && errno == EINTR);
	if (rc > 0)
		launched(n, status);
	return rc > 0;
}

void zn_agent_reap(struct zn_server *s, bool wait)
{
	for (uint32_t i = 0; i < s->n_nodes; i++)
		reap(&s->nodes[i], wait ? 0 : WNOHANG);
}

static bool any_is_launched(const struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++)
		if (s->nodes[i].launcher)
			return true;
	return false;
}

void zn_agent_await(struct zn_server *s)
{
	uint64_t until_ns = zn_boot_ns() + FIRST_MS * 1000000ULL;

	while (any_is_launched(s) && zn_boot_ns() < until_ns) {
		poll(NULL, 0, 1);
		zn_agent_reap(s, false);
	}
}

static void connect_or_launch(struct zn_node *n)
{
	struct zn_err err = { 0 };
	int rc = reach(n, &err);

	if (rc >= 0) {
		greet(n, rc);
		return;
	}
	if (n->server->is_private && (rc == -ENOENT || rc == -ECONNREFUSED)) /* machine-wide: only root could start it */
		rc = launch(n, &err);
	if (rc < 0)
		cant_reach(n, rc, &err);
	else
		retry_later(n); /* should the signal get lost that says that it was started */
}

void zn_agent_connect(struct zn_node *n)
{
	if (!n->launcher)
		connect_or_launch(n);
	else if (!reap(n, WNOHANG))
		retry_later(n);
}

void zn_agent_renew(struct zn_node *n)
{
	struct bufferevent *old = n->bev;

	if (!n->greeted)
		return;
	n->bev = NULL;
	zn_agent_disconnect(n);
	zn_agent_connect(n);
	bufferevent_free(old);
}
