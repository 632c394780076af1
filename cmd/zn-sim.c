/* zn-sim: the scheduler in virtual time. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/cli.h"
#include "job/record.h"
#include "queue/conf.h"
#include "sim/saturate.h"
#include "sim/summary.h"
#include "sim/cluster.h"
#include "sim/nodes.h"
#include "sim/plot.h"
#include "sim/trace.h"

static struct {
	const char *cluster, *config, *plot, *policy, *estimates, *scale, *from, *to;
	struct zn_ou64 gpus, depth, reservations, seed;
	struct zn_oi64 preempt_below;
	struct zn_strs add_nodes;
	bool flat, saturate, per_vc, priorities, fair, only_summary;
} o = { .policy = "default", .estimates = "user" };

static const struct zn_opt opts[] = {
	{ 'c', "cluster", ZN_OPT_STR, "FILE", &o.cluster, "file", "the nodes: CSV with a column gpus, and more as zn-sim(1) says" },
	{ 0, "add-nodes", ZN_OPT_STRS, "NxMODEL:GPUS", &o.add_nodes, NULL, "so many nodes more, each with so many GPUs: 2xH100:8" },
	{ 'g', "gpus", ZN_OPT_U64, "N", &o.gpus, NULL, "with --flat: a pool of N GPUs, instead of a file" },
	{ 0, "flat", ZN_OPT_FLAG, NULL, &o.flat, NULL, "take the cluster for one pool of equal GPUs, whichever node they are on" },
	{ 0, "saturate", ZN_OPT_FLAG, NULL, &o.saturate, NULL,
	  "fill the nodes with the jobs of the trace in random order, none of which ends, and say how full they get" },
	{ 0, "seed", ZN_OPT_U64, "N", &o.seed, NULL, "with --saturate: another random order for each N (default 1)" },
	{ 'p', "policy", ZN_OPT_CHOICE, "POLICY", &o.policy, "default|easy|fcfs|sjf|bestfit|random",
	  "default: as zenith(7) orders and backfills; easy: in order of arrival, with backfill; fcfs: without; sjf: shortest estimate first; "
	  "with --saturate default, bestfit or random" },
	{ 0, "depth", ZN_OPT_U64, "N", &o.depth, NULL, "backfill looks at N jobs behind the first (default: at all)" },
	{ 0, "reservations", ZN_OPT_U64, "N", &o.reservations, NULL, "so many of the first in line have one, which no backfill delays (default 1)" },
	{ 'e', "estimates", ZN_OPT_CHOICE, "WHOSE", &o.estimates, "user|exact",
	  "user: what was asked for, where the trace has it, but no less than it took; exact: what it took" },
	{ 0, "priorities", ZN_OPT_FLAG, NULL, &o.priorities, NULL, "mind the priorities of the trace; for them the default policy preempts, too" },
	{ 0, "preempt-below", ZN_OPT_I64, "N", &o.preempt_below, NULL, "mind them, and take jobs with a priority below N for preemptible" },
	{ 0, "config", ZN_OPT_STR, "FILE", &o.config, "file", "mind the quotas of that configuration, and with --fair its shares" },
	{ 0, "fair", ZN_OPT_FLAG, NULL, &o.fair, NULL, "default with fair share between the users of the trace, in their virtual clusters" },
	{ 0, "per-vc", ZN_OPT_FLAG, NULL, &o.per_vc, NULL, "each virtual cluster is a pool of its own, for its own jobs" },
	{ 0, "scale", ZN_OPT_STR, "F", &o.scale, NULL, "multiply the times between submissions; below 1 there is more to do" },
	{ 0, "from", ZN_OPT_STR, "SECONDS", &o.from, NULL, "only jobs submitted from then on" },
	{ 0, "to", ZN_OPT_STR, "SECONDS", &o.to, NULL, "only jobs submitted before then" },
	{ 0, "plot", ZN_OPT_STR, "FILE", &o.plot, "file", "draw it over time, too: jobs that wait, GPUs in use, waits; SVG" },
	{ 's', "summary", ZN_OPT_FLAG, NULL, &o.only_summary, NULL, "write the summary alone, and no job records" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-sim",
	.brief = "run a recorded workload through the scheduler in virtual time",
	.synopsis = "--cluster FILE [options] TRACE\n--flat (--cluster FILE | --gpus N) [options] TRACE\n--saturate --cluster FILE [--seed N] [options] TRACE",
	.opts = opts,
	.complete = "file",
};

static int fail(int rc, const struct zn_err *err)
{
	return zn_cli_fail(zn_cli_code(rc), "%s", err->text[0] ? err->text : strerror(-rc));
}

/* ---- what is asked ------------------------------------------------------------------------------------- */

static double number(const char *option, const char *text, double min, double otherwise)
{
	char *end;

	if (!text)
		return otherwise;
	double v = strtod(text, &end);
	if (end == text || *end || !(v >= min) || v > 1e12)
		zn_cli_usage("option '--%s': '%s' is no number of %g or more", option, text, min);
	return v;
}

static struct zn_pick_policy policy(void)
{
	bool backfill = !strcmp(o.policy, "easy") || !strcmp(o.policy, "default");

	if (o.depth.has && (!backfill || o.depth.v > UINT32_MAX))
		zn_cli_usage("option '--depth': only easy and default look behind the first, at 2^32 at most");
	if (o.reservations.has && (!backfill || o.reservations.v < 1 || o.reservations.v > ZN_PICK_RESERVATIONS))
		zn_cli_usage("option '--reservations': 1 to %d, and only with easy and default", ZN_PICK_RESERVATIONS);
	return (struct zn_pick_policy){
		.order = !strcmp(o.policy, "default") ? ZN_PICK_SLOWDOWN : !strcmp(o.policy, "sjf") ? ZN_PICK_SHORTEST : ZN_PICK_ARRIVAL,
		.backfill = backfill, .depth = (uint32_t)o.depth.v, .reservations = (uint32_t)o.reservations.v,
	};
}

static bool places(void) /* a policy of --saturate; default is one of both */
{
	return !strcmp(o.policy, "bestfit") || !strcmp(o.policy, "random");
}

static void check_saturate(void)
{
	if (o.flat || o.gpus.has || o.depth.has || o.reservations.has || o.per_vc || o.priorities || o.preempt_below.has || o.fair || o.config || o.plot || o.scale || o.from || o.to || strcmp(o.estimates, "user"))
		zn_cli_usage("option '--saturate' knows no time: give --cluster, and of the others --policy and --seed alone");
	if (!o.cluster)
		zn_cli_usage("option '--saturate' needs the nodes: give --cluster");
	if (!places() && strcmp(o.policy, "default"))
		zn_cli_usage("option '--policy': '%s' orders jobs; with --saturate give default, bestfit or random", o.policy);
}

static void check_usage(int argc, int at)
{
	if (at + 1 != argc)
		zn_cli_usage(at == argc ? "a trace is missing" : "one trace at a time");
	if (o.saturate) {
		check_saturate();
		return;
	}
	if (places())
		zn_cli_usage("option '--policy': '%s' needs --saturate", o.policy);
	if (o.seed.has)
		zn_cli_usage("option '--seed' needs --saturate");
	if (o.fair && strcmp(o.policy, "default"))
		zn_cli_usage("option '--fair': only the default policy knows urgency");
	if (o.preempt_below.has && strcmp(o.policy, "default"))
		zn_cli_usage("option '--preempt-below': only the default policy preempts");
	if (!o.cluster == !o.gpus.has)
		zn_cli_usage("give either --cluster or --gpus");
	if (o.gpus.has && !o.flat)
		zn_cli_usage("option '--gpus': a pool of GPUs has no nodes; give --flat too, or the nodes with --cluster");
	if (o.gpus.has && o.add_nodes.n)
		zn_cli_usage("option '--add-nodes' needs the nodes that there are: give --cluster");
	if (o.per_vc && o.gpus.has)
		zn_cli_usage("option '--per-vc' needs a cluster that says which node belongs to whom");
	if (o.gpus.has && (o.gpus.v < 1 || o.gpus.v > 1 << 24))
		zn_cli_usage("option '--gpus': between 1 and %d", 1 << 24);
}

/* "2xH100:8" */
static void add_nodes(struct zn_cluster *c, const char *spec)
{
	char model[64], rest;
	unsigned n, gpus;

	if (*spec < '0' || *spec > '9' || sscanf(spec, "%6ux%63[^:]:%3u%c", &n, model, &gpus, &rest) != 3 || !n || !gpus || gpus > ZN_FLEET_GPUS)
		zn_cli_usage("option '--add-nodes': '%s' is not like 2xH100:8, with 1 to %d GPUs on each", spec, ZN_FLEET_GPUS);
	int rc = zn_cluster_more(c, n, model, gpus);
	zn_cli_must(rc == -ENOMEM ? NULL : c);
	if (rc < 0)
		zn_cli_usage("option '--add-nodes': more nodes than there can be");
}

/* The pools that jobs go to: those of the file, or all in one. */
static int read_cluster(struct zn_cluster *c, struct zn_err *err)
{
	if (o.cluster) {
		int rc = zn_cluster_read(o.cluster, o.flat ? ZN_TRACE_POOL : ZN_TRACE_RUN, c, err);
		if (rc < 0)
			return rc;
		for (size_t i = 0; i < o.add_nodes.n; i++)
			add_nodes(c, o.add_nodes.v[i]);
		if (o.per_vc)
			return 0;
	}
	free(c->pools);
	c->pools = zn_cli_must(calloc(1, sizeof(*c->pools)));
	c->n = 1;
	c->gpus = o.gpus.has ? (uint32_t)o.gpus.v : c->gpus;
	c->pools[0] = (struct zn_sim_pool){ .vc = "", .gpus = c->gpus };
	return 0;
}

/* ---- running it ---------------------------------------------------------------------------------------- */

/* One pool: its GPUs, or its nodes. */
struct world {
	struct zn_pool pool;
	struct zn_hall hall;
	const struct zn_sim_node **nodes; /* by their numbers in the hall */
	struct zn_sim_models models;
};

struct sim {
	struct zn_trace trace;
	struct zn_cluster cluster;
	struct zn_sim_job *jobs;      /* pool after pool */
	size_t n_jobs;
	const char **lacks;           /* of the trace's jobs: NULL: nothing, else why it can never start */
	struct zn_conf conf;
	struct zn_payers payers;
	struct zn_arena places;
	struct world *worlds;         /* of each pool of the cluster */
	struct zn_sim_sum sum;
	double from_s, to_s, scale;
	double took_s;
};

static bool is_wanted(const struct sim *s, const struct zn_trace_job *t)
{
	return t->submit_s >= s->from_s && t->submit_s < s->to_s;
}

static double estimate(const struct zn_trace_job *t)
{
	bool users = !strcmp(o.estimates, "user") && t->walltime_s > t->duration_s;

	return users ? t->walltime_s : t->duration_s;
}

static bool minds_priorities(void)
{
	return o.priorities || o.preempt_below.has;
}

static bool is_preemptible(const struct zn_trace_job *t)
{
	return t->preemptible || (o.preempt_below.has && t->priority < o.preempt_below.v);
}

static bool is_in(const char *vc, const struct zn_sim_pool *pool)
{
	return !o.per_vc || !strcmp(vc, pool->vc);
}

static int make_world(struct sim *s, const struct zn_sim_pool *pool, struct world *w, struct zn_err *err)
{
	if (!o.flat) {
		size_t max = 1;
		for (size_t i = 0; i < s->cluster.n_nodes; i++)
			max += is_in(s->cluster.nodes[i].vc, pool);
		w->nodes = zn_cli_must(zn_arena_array(&s->places, max, sizeof(struct zn_sim_node *)));
		int rc = zn_sim_hall(&s->cluster, o.per_vc ? pool->vc : NULL, policy(), &w->models, &w->hall, w->nodes, err);
		w->hall.pick.line.weights = s->conf.weights;
		return rc;
	}
	zn_pool_init(&w->pool, policy(), pool->gpus);
	w->pool.pick.line.weights = s->conf.weights;
	return 0;
}

static void end_world(struct world *w)
{
	if (!o.flat)
		zn_hall_done(&w->hall);
	else
		zn_pick_done(&w->pool.pick);
}

/* What the job asks of this pool; false: it could never start, and s->lacks says why. */
static bool fits(struct sim *s, const struct zn_sim_pool *pool, struct world *w, const struct zn_trace_job *t, struct zn_sim_job *to)
{
	const char **lacks = &s->lacks[t - s->trace.jobs];
	char text[256];

	to->gpus = t->gpus * (o.flat ? 1 : t->gpu_milli / 1000.);
	to->size = (float)t->gpus;
	to->use = (struct zn_use){ .running = 1, .gpus = t->gpus };
	if (o.flat && t->gpus <= pool->gpus)
		return true;
	if (o.flat) {
		snprintf(text, sizeof(text), "needs %u gpus; %s has fewer", (unsigned)t->gpus, o.per_vc ? "its virtual cluster" : "the cluster");
	} else {
		struct zn_fleet_gang gang;
		int rc = zn_sim_ask(&w->hall, &w->models, t, to, &gang);
		zn_cli_must(rc == -ENOMEM ? NULL : s);
		if (rc == 0)
			return true;
		zn_sim_lacks(&gang, t, text, sizeof(text));
	}
	*lacks = zn_cli_must(zn_arena_strdup(&s->places, text));
	return false;
}

/* False: a quota never lets it, and s->lacks says which. */
static bool may_start(struct sim *s, const struct zn_trace_job *t, struct zn_sim_job *to)
{
	const char *user = *t->user || o.fair ? t->user : NULL; /* where nobody has a name the shares are between accounts */
	int64_t payer = zn_payers_get(&s->payers, user, *t->vc ? t->vc : NULL);

	zn_cli_must(payer < 0 ? NULL : s);
	to->payer = (uint32_t)payer;
	return zn_payer_may(&s->payers, to->payer, &to->use, to->preemptible ? ZN_QUOTA_HARD : ZN_QUOTA_SOFT, &s->places,
	                    &s->lacks[t - s->trace.jobs]);
}

/* The elements of one are one after the other, before is the job before it; NULL: it is of none, or has no limit. */
static struct zn_gate *array_of(struct sim *s, const struct zn_trace_job *t, const struct zn_sim_job *before)
{
	const struct zn_trace_job *last = before ? &s->trace.jobs[before->trace] : NULL;

	if (!t->at_once || !t->index.has)
		return NULL;
	if (last && before->array && last->id == t->id && last->submit_s == t->submit_s)
		return before->array;
	struct zn_gate *a = zn_cli_must(zn_arena_new(&s->places, struct zn_gate));
	a->at_once = t->at_once;
	return a;
}

/* The jobs of one pool, behind those that are there; returns how many. */
static size_t gather(struct sim *s, uint32_t number, struct world *w)
{
	const struct zn_sim_pool *pool = &s->cluster.pools[number];
	struct zn_sim_job *to = s->jobs + s->n_jobs;
	size_t n = 0;

	for (size_t i = 0; i < s->trace.n; i++) {
		const struct zn_trace_job *t = &s->trace.jobs[i];
		if (!is_wanted(s, t) || !is_in(t->vc, pool))
			continue;
		s->lacks[i] = NULL;
		if (t->submit_s * s->scale > 1e13)
			zn_cli_usage("option '--scale': with it job %llu would come after 10^13 s", (unsigned long long)t->id);
		to[n] = (struct zn_sim_job){
			.priority = minds_priorities() ? t->priority : 0,
			.preemptible = (minds_priorities() || o.config) && !strcmp(o.policy, "default") && is_preemptible(t),
			.submit_s = t->submit_s * s->scale, .estimate_s = estimate(t), .duration_s = t->duration_s,
			.trace = i, .pool = number, .array = array_of(s, t, n ? &to[n - 1] : NULL),
		};
		if (!fits(s, pool, w, t, &to[n]))
			continue;
		if (may_start(s, t, &to[n]))
			n++;
	}
	s->n_jobs += n;
	return n;
}

static size_t total; /* for the progress, which is drawn over itself */

static void draw_progress(size_t done)
{
	fprintf(stderr, "\r%3.0f %% of %zu jobs", 100. * (double)done / (double)total, total);
}

static void wipe_progress(void)
{
	fprintf(stderr, "\r%40s\r", "");
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int simulate(struct sim *s, struct zn_err *err)
{
	bool draw = isatty(STDERR_FILENO);
	double from = seconds();
	int rc = 0;

	total = s->trace.n;
	for (size_t i = 0; rc == 0 && i < s->cluster.n; i++) {
		struct zn_sim_job *jobs = s->jobs + s->n_jobs;
		struct world *w = &s->worlds[i];
		zn_payers_init(&s->payers, s->conf.quotas, o.fair ? s->conf.shares : (struct zn_shares){ 0 });
		rc = make_world(s, &s->cluster.pools[i], w, err);
		size_t n = rc < 0 ? 0 : gather(s, (uint32_t)i, w);
		if (rc == 0)
			rc = zn_sim_run(jobs, n, (struct zn_sim_world){ .pool = o.flat ? &w->pool : NULL, .hall = o.flat ? NULL : &w->hall },
			                &s->payers, &s->places, &s->sum, draw ? draw_progress : NULL, err);
		zn_payers_done(&s->payers);
	}
	if (rc == 0)
		rc = zn_sim_links_check(s->cluster.links, err);
	s->took_s = seconds() - from;
	if (draw)
		wipe_progress();
	return rc;
}

/* ---- telling ------------------------------------------------------------------------------------------- */

static struct zn_job_alloc alloc_on(const struct world *w, const struct zn_fleet_task *task, const struct zn_fleet_spot *spot, uint32_t *gpus)
{
	struct zn_job_alloc a = { .node = w->nodes[spot->node]->name, .gpus = { .v = gpus },
	                          .cpus = (task->cpu_milli * spot->tasks + 999) / 1000 };

	for (uint64_t m = spot->gpus; m; m &= m - 1)
		gpus[a.gpus.n++] = (uint32_t)__builtin_ctzll(m);
	if (task->gpus && task->gpu_milli < ZN_GPU_MILLI)
		a.gpu_milli = ZN_SOME_U64(task->gpu_milli);
	if (task->mem_bytes)
		a.mem_bytes = ZN_SOME_U64(task->mem_bytes * spot->tasks);
	return a;
}

/* What a job was given on nodes. */
static void put_places(struct zn_arena *a, const struct sim *s, const struct zn_sim_job *ran, struct zn_job_record *r)
{
	const struct world *w = &s->worlds[ran->pool];
	const struct zn_fleet_gang *gang = &w->hall.gangs[ran->gang]->gang;
	uint32_t n = ran->place.n;
	struct zn_job_alloc *v = zn_cli_must(zn_arena_array(a, n, sizeof(*v)));
	uint32_t *gpus = zn_cli_must(zn_arena_array(a, (size_t)n * ZN_FLEET_GPUS, sizeof(*gpus)));

	for (uint32_t i = 0; i < n; i++)
		v[i] = alloc_on(w, &gang->task, &ran->place.spots[i], gpus + (size_t)i * ZN_FLEET_GPUS);
	r->alloc = (struct zn_list){ v, n };
	r->tasks = gang->n;
}

static void put_job(struct zn_writer *w, struct zn_arena *a, const struct sim *s, const struct zn_trace_job *t, const struct zn_sim_job *ran)
{
	const char *lacks = s->lacks[t - s->trace.jobs];
	struct zn_job_record r = {
		.id = t->id, .index = t->index, .user = *t->user ? t->user : NULL, .account = *t->vc ? t->vc : NULL,
		.gpus = t->gpus, .tasks = 1, .priority = t->priority, .submit_s = t->submit_s * s->scale,
		.state = ran ? "COMPLETED" : "QUEUED",
	};
	char reason[320];

	if (t->at_once)
		r.at_once = ZN_SOME_U64(t->at_once);
	if (is_preemptible(t))
		r.preemptible = ZN_SOME_BOOL(true);
	if (t->same_switch)
		r.same_switch = ZN_SOME_BOOL(true);
	if (t->walltime_s > 0)
		r.time_limit_s = ZN_SOME_F64(t->walltime_s);
	if (!o.flat && t->cpus > 0)
		r.cpus = ZN_SOME_U64((uint64_t)ceil(t->cpus));
	if (!o.flat && t->mem_mb > 0)
		r.mem_bytes = ZN_SOME_U64((uint64_t)(t->mem_mb * (1 << 20)));
	if (ran) {
		r.start_s = ZN_SOME_F64(ran->start_s);
		r.end_s = ZN_SOME_F64(ran->end_s);
		if (ran->use.over)
			r.over_quota = ZN_SOME_BOOL(true);
		if (ran->preempted)
			r.preempted = ZN_SOME_U64(ran->preempted);
	} else {
		snprintf(reason, sizeof(reason), "it can never start here: %s", lacks);
		r.reason = reason;
	}
	if (ran && !o.flat)
		put_places(a, s, ran, &r);
	zn_writer_put(w, &zn_job_kind, &r);
}

static void put_jobs(struct zn_writer *w, const struct sim *s)
{
	const struct zn_sim_job **ran = zn_cli_must(calloc(s->trace.n + 1, sizeof(struct zn_sim_job *)));
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < s->n_jobs; i++)
		ran[s->jobs[i].trace] = &s->jobs[i];
	for (size_t i = 0; i < s->trace.n; i++)
		if (is_wanted(s, &s->trace.jobs[i])) {
			zn_arena_reset(&a);
			put_job(w, &a, s, &s->trace.jobs[i], ran[i]);
		}
	zn_arena_done(&a);
	free(ran);
}

static int plot(const struct sim *s, const char *trace, const struct zn_summary *sum, struct zn_err *err)
{
	char title[512], subtitle[256], mean[ZN_UNIT_TEXT], most[ZN_UNIT_TEXT];

	const char *name = strrchr(trace, '/');

	snprintf(title, sizeof(title), "%s: %s on %llu GPUs%s", name ? name + 1 : trace, o.policy, (unsigned long long)sum->gpus, o.fair ? ", fair share" : "");
	snprintf(subtitle, sizeof(subtitle), "%llu jobs; wait %s in the mean, %s at most; bounded slowdown %.3g; %.1f %% of the GPU time used",
	         (unsigned long long)sum->jobs, zn_format_duration(sum->wait_mean_s.v, mean), zn_format_duration(sum->wait_max_s.v, most),
	         sum->bsld_mean.v, 100 * sum->util);
	return zn_plot_write(o.plot, s->jobs, s->n_jobs, (double)sum->gpus, title, subtitle, err);
}

static struct zn_summary summary(const struct sim *s)
{
	double *waits = zn_cli_must(calloc(s->n_jobs + 1, sizeof(*waits)));
	struct zn_summary sum;

	for (size_t i = 0; i < s->n_jobs; i++)
		waits[i] = s->jobs[i].start_s - s->jobs[i].submit_s;
	zn_summary_make(&s->sum, waits, &sum);
	free(waits);
	sum.policy = o.policy;
	sum.gpus = s->cluster.gpus;
	sum.left_out = s->trace.left_out;
	for (size_t i = 0; i < s->trace.n; i++)
		sum.never += s->lacks[i] && is_wanted(s, &s->trace.jobs[i]);
	if (s->took_s > 0)
		sum.jobs_per_s = ZN_SOME_F64((double)s->n_jobs / s->took_s);
	return sum;
}

static int run(struct sim *s, const char *path, struct zn_writer *w, struct zn_err *err)
{
	struct zn_arena arena = { 0 };

	policy();
	int rc = read_cluster(&s->cluster, err);
	if (rc == 0)
		rc = zn_conf_read(o.config ? o.config : "/dev/null", &s->conf, err);
	if (rc == 0)
		rc = zn_trace_read(path, o.flat ? ZN_TRACE_POOL : ZN_TRACE_RUN, &s->trace, err);
	if (rc == 0) {
		s->jobs = zn_cli_must(zn_arena_room(&arena, (s->trace.n + 1) * sizeof(*s->jobs))); /* which has its pages at once */
		s->lacks = zn_cli_must(calloc(s->trace.n + 1, sizeof(*s->lacks)));
		for (size_t i = 0; i < s->trace.n; i++)
			s->lacks[i] = "it belongs to no virtual cluster that has nodes";
		s->worlds = zn_cli_must(calloc(s->cluster.n, sizeof(*s->worlds)));
		rc = simulate(s, err);
	}
	struct zn_summary sum = rc == 0 ? summary(s) : (struct zn_summary){ 0 };
	if (rc == 0 && o.plot)
		rc = plot(s, path, &sum, err);
	if (rc == 0 && !o.only_summary)
		put_jobs(w, s);
	if (rc == 0)
		zn_writer_put(w, &zn_summary_kind, &sum);
	zn_arena_done(&arena);
	zn_arena_done(&s->places);
	for (size_t i = 0; s->worlds && i < s->cluster.n; i++)
		end_world(&s->worlds[i]);
	free(s->worlds);
	free(s->lacks);
	return rc;
}

/* ---- filling it ---------------------------------------------------------------------------------------- */

static void put_saturation(void *w, const struct zn_saturation *now)
{
	struct zn_saturation r = *now;

	r.policy = o.policy;
	zn_writer_put(w, &zn_saturation_kind, &r);
}

static void skip_saturation(void *w, const struct zn_saturation *now)
{
	(void)w;
	(void)now;
}

static int saturate(struct sim *s, const char *path, struct zn_writer *w, struct zn_err *err)
{
	struct zn_saturate_sum sum;
	struct zn_saturate ask = {
		.trace = &s->trace, .cluster = &s->cluster, .seed = o.seed.has ? o.seed.v : 1, .arg = w,
		.tell = o.only_summary ? skip_saturation : put_saturation,
		.policy = !strcmp(o.policy, "bestfit") ? ZN_FLEET_BESTFIT : !strcmp(o.policy, "random") ? ZN_FLEET_RANDOM : ZN_FLEET_FRAGMENT,
	};
	int rc = zn_cluster_read(o.cluster, ZN_TRACE_PLACE, &s->cluster, err);

	if (rc == 0)
		rc = zn_trace_read(path, ZN_TRACE_PLACE, &s->trace, err);
	if (rc == 0)
		rc = zn_saturate(&ask, &sum, err);
	if (rc < 0)
		return rc;
	struct zn_summary r = {
		.policy = o.policy, .jobs = sum.placed, .never = sum.refused, .gpus = s->cluster.gpus, .util = sum.allocated,
		.fragmentation = ZN_SOME_F64(sum.fragmentation), .decisions = sum.decisions.n,
		.decision_p50_us = zn_sim_times_us(&sum.decisions, 0.5), .decision_p99_us = zn_sim_times_us(&sum.decisions, 0.99),
		.decision_max_us = (double)sum.decisions.max_ns / 1e3,
	};
	zn_writer_put(w, &zn_summary_kind, &r);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct zn_kind *const kinds[] = { &zn_job_kind, &zn_saturation_kind, &zn_summary_kind, NULL };
	int at = zn_cli_parse(&cmd, argc, argv);
	struct sim s = { .to_s = 1e18 };
	struct zn_err err = { 0 };

	struct zn_writer *w = zn_cli_writer(kinds, false);
	check_usage(argc, at);
	s.scale = number("scale", o.scale, 0, 1);
	s.from_s = number("from", o.from, 0, 0);
	s.to_s = number("to", o.to, 0, 1e18);
	int rc = o.saturate ? saturate(&s, argv[at], w, &err) : run(&s, argv[at], w, &err);
	zn_trace_done(&s.trace);
	zn_cluster_done(&s.cluster);
	zn_conf_done(&s.conf);
	return zn_cli_end(w, rc < 0 ? fail(rc, &err) : ZN_EXIT_OK);
}
