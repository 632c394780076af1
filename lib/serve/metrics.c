/* metrics: what an operator can watch of zn-schedd.  What happened is counted where it does (s->counts, the journal); what is,
 * is looked up when somebody asks.  How many samples there are depends on the configuration alone, never on jobs or users.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "serve/server.h"

#define NO_LABELS ((struct zn_labels){ 0 })
#define LABELS(...) ((struct zn_labels){ (const struct zn_label[]){ __VA_ARGS__ }, sizeof((const struct zn_label[]){ __VA_ARGS__ }) / sizeof(struct zn_label) })

enum { RESOURCES = 6 };
static const char *const resources[RESOURCES] = { "jobs_running", "jobs_queued", "gpus", "cpus", "memory_bytes", "gpu_seconds" };

/* What of each resource somebody uses, or may; NAN: there is no limit. */
struct amounts { double v[RESOURCES]; };

/* What is looked up once for all families. */
struct look {
	struct zn_server *s;
	struct zn_journal_did journal;
	uint32_t gpus, gpus_allocated, gpus_foreign, cpus, cpus_allocated, agents_up;
	uint64_t mem_bytes, mem_allocated_bytes;
	struct amounts *used;          /* of each quota: of all for whom it holds, the most that any one has */
};

void zn_counts_init(struct zn_counts *c)
{
	static const double wait_s[] = { .01, .1, 1, 10, 60, 300, 1800, 7200, 28800, 86400, 259200, 604800 };
	static const double decision_s[] = { .00001, .00005, .0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5 };

	*c = (struct zn_counts){ .wait_s = ZN_HIST(wait_s), .decision_s = ZN_HIST(decision_s) };
}

static void look_at_node(struct look *l, uint32_t i)
{
	const struct zn_node *n = &l->s->nodes[i];
	const struct zn_room_node *r = &l->s->jobs.room.nodes[i];

	l->agents_up += n->settled && !n->is_silent;
	if (!r->facts)
		return;
	struct zn_free all = zn_plan_idle(r->facts);
	l->gpus += zn_idset_count(&all.gpus);
	l->gpus_allocated += zn_idset_count(&all.gpus) - zn_idset_count(&r->free.gpus);
	l->gpus_foreign += zn_idset_count(&r->held);
	l->cpus += zn_idset_count(&all.cpus);
	l->cpus_allocated += zn_idset_count(&all.cpus) - zn_idset_count(&r->free.cpus);
	l->mem_bytes += all.mem_bytes;
	l->mem_allocated_bytes += all.mem_bytes - r->free.mem_bytes;
}

/* ---- families ---------------------------------------------------------------------------------------------------- */

struct family {
	struct zn_meter is;
	void (*put)(const struct look *l, const struct family *f, struct zn_buf *to);
	size_t at;                     /* for some: of what they put, in what that is in */
};

static void put_count(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)*(const uint64_t *)((const char *)&l->s->counts + f->at));
}

static void put_hist(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put_hist(to, &f->is, NO_LABELS, (const struct zn_hist *)((const char *)&l->s->counts + f->at));
}

static void put_looked(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, *(const uint32_t *)((const char *)l + f->at));
}

static void put_looked_bytes(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)*(const uint64_t *)((const char *)l + f->at));
}

static uint64_t jobs_in(const struct look *l, enum zn_job_state state)
{
	const struct zn_jobs *q = &l->s->jobs;

	return state <= ZN_JOB_QUEUED ? q->waiting[state] : q->count[state];
}

static void put_pending(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)(jobs_in(l, ZN_JOB_PENDING) + jobs_in(l, ZN_JOB_QUEUED)));
}

static void put_running(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)jobs_in(l, ZN_JOB_RUNNING));
}

static void put_by_state(const struct look *l, const struct family *f, struct zn_buf *to)
{
	static const char *const names[] = { "pending", "queued", "scheduled", "running", "suspended" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		zn_meter_put(to, &f->is, LABELS({ "state", names[i] }), (double)jobs_in(l, (enum zn_job_state)i));
}

static void put_ended(const struct look *l, const struct family *f, struct zn_buf *to)
{
	static const struct { enum zn_job_state state; const char *name; } rows[] = {
		{ ZN_JOB_COMPLETED, "completed" }, { ZN_JOB_FAILED, "failed" }, { ZN_JOB_CANCELLED, "cancelled" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		zn_meter_put(to, &f->is, LABELS({ "state", rows[i].name }), (double)l->s->counts.ended[rows[i].state]);
}

static void put_again(const struct look *l, const struct family *f, struct zn_buf *to)
{
	static const char *const names[ZN_AGAINS] = { "asked", "preempted", "lost", "put_off" };

	for (unsigned i = 0; i < ZN_AGAINS; i++)
		zn_meter_put(to, &f->is, LABELS({ "cause", names[i] }), (double)l->s->counts.again[i]);
}

static void put_preempted(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, LABELS({ "how", "sent_back" }), (double)l->s->counts.sent_back);
	zn_meter_put(to, &f->is, LABELS({ "how", "frozen" }), (double)l->s->counts.frozen);
}

static void put_nodes(const struct look *l, const struct family *f, struct zn_buf *to)
{
	static const char *const states[] = { "up", "draining", "drained", "down" };
	const struct zn_server *s = l->s;

	for (unsigned k = 0; k < sizeof(states) / sizeof(*states); k++) {
		uint32_t n = 0;
		for (uint32_t i = 0; i < s->n_nodes; i++)
			n += !strcmp(zn_node_state(&s->nodes[i]), states[k]);
		zn_meter_put(to, &f->is, LABELS({ "state", states[k] }), n);
	}
}

static void put_clients(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)l->s->n_conns);
}

static void put_sync(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put_hist(to, &f->is, NO_LABELS, &l->journal.sync_s);
}

static void put_records(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)l->journal.records);
}

static void put_written(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)l->journal.bytes);
}

static void put_journal_size(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)zn_journal_bytes(l->s->journal));
}

static void put_journal_room(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, (double)zn_journal_room(l->s->journal));
}

static void put_start(const struct look *l, const struct family *f, struct zn_buf *to)
{
	zn_meter_put(to, &f->is, NO_LABELS, l->s->start_s);
}

static void put_build(const struct look *l, const struct family *f, struct zn_buf *to)
{
	(void)l;
	zn_meter_put(to, &f->is, LABELS({ "version", ZN_VERSION }), 1);
}

/* ---- quotas and licences: as many as are configured ------------------------------------------------------------------ */

static double u64_or_nan(struct zn_ou64 v)
{
	return v.has ? (double)v.v : __builtin_nan("");
}

static struct amounts limits(const struct zn_limits *l, struct zn_ou64 queued)
{
	return (struct amounts){ {
		u64_or_nan(l->running), u64_or_nan(queued), u64_or_nan(l->gpus), u64_or_nan(l->cpus), u64_or_nan(l->mem_bytes),
		l->gpu_hours.has ? l->gpu_hours.v * 3600 : __builtin_nan(""),
	} };
}

static struct amounts used_by(struct zn_owner *o, double now_s)
{
	const struct zn_use *u = &o->use;

	return (struct amounts){ { (double)u->running, (double)u->queued, zn_use_gpus(u), (double)u->cpus, (double)u->mem_bytes,
	                           zn_owner_gpu_s(o, now_s) } };
}

static int look_at_owners(struct look *l)
{
	const struct zn_quotas *quotas = &l->s->conf.quotas;
	double now_s = zn_now_s();

	l->used = calloc(quotas->n ? quotas->n : 1, sizeof(*l->used));
	if (!l->used)
		return -ENOMEM;
	for (struct zn_owner *o = l->s->jobs.payers.owners; o; o = o->hh.next) {
		struct amounts a = used_by(o, now_s), *most = &l->used[o->quota - quotas->v];
		for (unsigned i = 0; i < RESOURCES; i++)
			most->v[i] = a.v[i] > most->v[i] ? a.v[i] : most->v[i];
	}
	return 0;
}

static void quota_name(const struct zn_quota *q, char name[80])
{
	snprintf(name, 80, "%s:%s", q->of, q->name);
}

static void put_quota_used(const struct look *l, const struct family *f, struct zn_buf *to)
{
	const struct zn_quotas *quotas = &l->s->conf.quotas;
	char name[80];

	for (size_t k = 0; k < quotas->n; k++) {
		quota_name(&quotas->v[k], name);
		for (unsigned i = 0; i < RESOURCES; i++)
			zn_meter_put(to, &f->is, LABELS({ "quota", name }, { "resource", resources[i] }), l->used[k].v[i]);
	}
}

static void put_limits(const struct family *f, const char *name, const char *level, struct amounts most, struct zn_buf *to)
{
	for (unsigned i = 0; i < RESOURCES; i++)
		if (most.v[i] == most.v[i])
			zn_meter_put(to, &f->is, LABELS({ "quota", name }, { "resource", resources[i] }, { "level", level }), most.v[i]);
}

static void put_quota_limits(const struct look *l, const struct family *f, struct zn_buf *to)
{
	const struct zn_quotas *quotas = &l->s->conf.quotas;
	char name[80];

	for (size_t k = 0; k < quotas->n; k++) {
		const struct zn_quota *q = &quotas->v[k];
		quota_name(q, name);
		put_limits(f, name, "hard", limits(&q->hard, q->queued), to);
		put_limits(f, name, "soft", limits(&q->soft, (struct zn_ou64){ 0 }), to);
	}
}

static void put_licences(const struct look *l, const struct family *f, struct zn_buf *to)
{
	for (size_t i = 0; i < l->s->conf.n_licences; i++)
		zn_meter_put(to, &f->is, LABELS({ "licence", l->s->conf.licences[i].name }), (double)l->s->conf.licences[i].total);
}

static const struct zn_licence *licence_in_room(const struct look *l, const char *name)
{
	const struct zn_licences *all = &l->s->jobs.room.licences;

	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->v[i].name, name))
			return &all->v[i];
	return NULL;
}

static void put_licences_used(const struct look *l, const struct family *f, struct zn_buf *to)
{
	for (size_t i = 0; i < l->s->conf.n_licences; i++) {
		const char *name = l->s->conf.licences[i].name;
		const struct zn_licence *licence = licence_in_room(l, name);
		double used = licence ? (double)licence->total - (double)licence->left[ZN_LICENCES_NOW] : 0;
		zn_meter_put(to, &f->is, LABELS({ "licence", name }), used);
	}
}

/* ---- all of them ----------------------------------------------------------------------------------------------------- */

#define COUNTER(name, help) { name, help, ZN_METER_COUNTER }
#define GAUGE(name, help) { name, help, ZN_METER_GAUGE }
#define HISTOGRAM(name, help) { name, help, ZN_METER_HISTOGRAM }
#define COUNTED(what) put_count, offsetof(struct zn_counts, what)
#define LOOKED(what) put_looked, offsetof(struct look, what)
#define LOOKED_BYTES(what) put_looked_bytes, offsetof(struct look, what)

static const struct family families[] = {
	{ GAUGE("zenith_scheduler_jobs_pending", "Jobs that wait, held ones too; of an array each element."), put_pending, 0 },
	{ GAUGE("zenith_scheduler_jobs_running", "Jobs that run."), put_running, 0 },
	{ GAUGE("zenith_scheduler_jobs", "Jobs that have not ended, by state."), put_by_state, 0 },
	{ COUNTER("zenith_scheduler_jobs_submitted_total", "Jobs that were accepted."), COUNTED(submitted) },
	{ COUNTER("zenith_scheduler_submissions_refused_total", "Submissions that were not accepted."), COUNTED(refused) },
	{ COUNTER("zenith_scheduler_allocation_success_total", "Times that a job was given a place."), COUNTED(placed) },
	{ COUNTER("zenith_scheduler_jobs_ended_total", "Jobs that ended, by final state."), put_ended, 0 },
	{ COUNTER("zenith_scheduler_requeues_total", "Times that a job which had a place waits again, by cause."), put_again, 0 },
	{ COUNTER("zenith_scheduler_preemptions_total", "Times that a job had to make room for one more urgent."), put_preempted, 0 },
	{ HISTOGRAM("zenith_scheduler_queue_wait_seconds", "From a job's submission, or when it was to begin, to its first place."),
	  put_hist, offsetof(struct zn_counts, wait_s) },
	{ HISTOGRAM("zenith_scheduler_decision_seconds", "How long each pass over the jobs that wait took."),
	  put_hist, offsetof(struct zn_counts, decision_s) },
	{ GAUGE("zenith_scheduler_nodes", "Nodes, by state."), put_nodes, 0 },
	{ GAUGE("zenith_scheduler_agents_up", "Nodes whose agent answers."), LOOKED(agents_up) },
	{ GAUGE("zenith_scheduler_gpus", "GPUs of all nodes that said what they have."), LOOKED(gpus) },
	{ GAUGE("zenith_scheduler_gpus_allocated", "GPUs that a job has, or a part of which one has."), LOOKED(gpus_allocated) },
	{ GAUGE("zenith_scheduler_gpus_foreign", "GPUs that processes outside the queue use."), LOOKED(gpus_foreign) },
	{ GAUGE("zenith_scheduler_cpus", "Hardware threads of all nodes that said what they have."), LOOKED(cpus) },
	{ GAUGE("zenith_scheduler_cpus_allocated", "Hardware threads that jobs have alone."), LOOKED(cpus_allocated) },
	{ GAUGE("zenith_scheduler_memory_bytes", "Memory of all nodes that said what they have."), LOOKED_BYTES(mem_bytes) },
	{ GAUGE("zenith_scheduler_memory_allocated_bytes", "Memory that jobs with a place asked for."), LOOKED_BYTES(mem_allocated_bytes) },
	{ GAUGE("zenith_scheduler_clients", "Connections of zn-submit, zn-queue and the like."), put_clients, 0 },
	{ GAUGE("zenith_scheduler_start_time_seconds", "When zn-schedd started, in seconds since 1970."), put_start, 0 },
	{ HISTOGRAM("zenith_journal_fsync_seconds", "How long each fdatasync of the journal took."), put_sync, 0 },
	{ COUNTER("zenith_journal_records_total", "Records that became durable."), put_records, 0 },
	{ COUNTER("zenith_journal_written_bytes_total", "Bytes of these."), put_written, 0 },
	{ GAUGE("zenith_journal_size_bytes", "The journal on the disk."), put_journal_size, 0 },
	{ GAUGE("zenith_journal_room_bytes", "What can certainly be written to it yet."), put_journal_room, 0 },
	{ GAUGE("zenith_quota_used", "Of each quota what is used of it; of one for all, the most that any one uses."), put_quota_used, 0 },
	{ GAUGE("zenith_quota_limit", "Of each quota what is allowed, where it has a limit."), put_quota_limits, 0 },
	{ GAUGE("zenith_licences", "Licences that there are."), put_licences, 0 },
	{ GAUGE("zenith_licences_used", "Licences that jobs have."), put_licences_used, 0 },
	{ GAUGE("zenith_build_info", "1, and which release this is."), put_build, 0 },
};

void zn_metrics_put(struct zn_server *s, struct zn_buf *to)
{
	struct look l = { .s = s };

	if (look_at_owners(&l) < 0) {
		to->failed = true;
		return;
	}
	zn_journal_count(s->journal, &l.journal);
	for (uint32_t i = 0; i < s->n_nodes; i++)
		look_at_node(&l, i);
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		zn_meter_begin(to, &families[i].is);
		families[i].put(&l, &families[i], to);
	}
	free(l.used);
}
