/* zn-load: training data from its shards, in batches. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/cli.h"
#include "data/decode.h"
#include "data/feed.h"
#include "data/near.h"
#include "data/share.h"
#include "data/sink.h"
#include "data/stages.h"
#include "data/taken.h"
#include "rec/writer.h"

enum { BATCH = 32, BATCH_MAX = 1 << 20, WORLD_MAX = 1 << 20 };
#define MEMORY (UINT64_C(512) << 20)

static struct {
	struct zn_ou64 batch, seed, epochs, rank, world, threads, depth, memory, max_errors;
	const char *share, *tokens, *numa, *shuffle, *fields, *resume, *on_error, *tail, *stats_to;
	struct zn_strs decode;
	bool arrow, direct, no_uring, no_keep, progress, stats;
} o;

static const struct zn_opt opts[] = {
	{ 'b', "batch", ZN_OPT_U64, "N", &o.batch, NULL, "samples of a batch (default 32)" },
	{ 0, "shuffle", ZN_OPT_STR, "N", &o.shuffle, "all", "mix each N samples that follow each other, and the order of the shards; all: everything" },
	{ 0, "seed", ZN_OPT_U64, "S", &o.seed, NULL, "what the mixing depends on, beside the epoch (default 0)" },
	{ 'e', "epochs", ZN_OPT_U64, "E", &o.epochs, NULL, "how often all samples come; 0: without an end (default 1)" },
	{ 0, "rank", ZN_OPT_U64, "R", &o.rank, NULL, "whose batches: from 0 (default $RANK, else 0)" },
	{ 0, "world", ZN_OPT_U64, "W", &o.world, NULL, "how many ranks share the samples (default $WORLD_SIZE, else 1)" },
	{ 0, "tail", ZN_OPT_CHOICE, "HOW", &o.tail, "share|drop|repeat",
	  "what is less than a batch for each rank at the end: share it, drop it, or repeat samples from the beginning (default share)" },
	{ 0, "fields", ZN_OPT_STR, "NAMES", &o.fields, NULL, "only these, comma-separated, in this order; a sample that lacks one is lost" },
	{ 0, "tokens", ZN_OPT_STR, "N", &o.tokens, NULL, "the sources are tokens: NAME.bin with Megatron's NAME.idx; N:u16 or another type: with no index; samples of N + 1" },
	{ 0, "decode", ZN_OPT_STRS, "FIELD=KIND", &o.decode, NULL, "make numbers of a field: jpg=image:224x224,f32, cls=int; may be repeated" },
	{ 0, "arrow", ZN_OPT_FLAG, NULL, &o.arrow, NULL, "write a stream in Arrow's IPC format instead of records; losses go to stderr" },
	{ 0, "share", ZN_OPT_STR, "SOCKET", &o.share, "file", "wait for a reader at SOCKET, and hand it batches as they lie in memory" },
	{ 0, "resume", ZN_OPT_STR, "FILE", &o.resume, "file", "go on where FILE says, and keep in it how far it came" },
	{ 0, "on-error", ZN_OPT_CHOICE, "HOW", &o.on_error, "skip|fail", "what to do about a sample that can't be read (default skip)" },
	{ 0, "max-errors", ZN_OPT_U64, "N", &o.max_errors, NULL, "give up, with status 65, when more than N samples are lost" },
	{ 0, "memory", ZN_OPT_BYTES, "SIZE", &o.memory, NULL, "for all batches at once (default 512M)" },
	{ 'j', "threads", ZN_OPT_U64, "N", &o.threads, NULL, "that read beside the one that writes (default 0: that one reads, too)" },
	{ 0, "depth", ZN_OPT_U64, "N", &o.depth, NULL, "requests to a device or servers at once, of each thread (default 16)" },
	{ 0, "numa", ZN_OPT_STR, "NODE", &o.numa, "auto|none", "run, and hold batches, on this NUMA node; auto: where the device hangs; none (default auto)" },
	{ 0, "direct", ZN_OPT_FLAG, NULL, &o.direct, NULL, "read past the page cache, also what is in it" },
	{ 0, "no-uring", ZN_OPT_FLAG, NULL, &o.no_uring, NULL, "read by threads instead of io_uring" },
	{ 0, "no-index", ZN_OPT_FLAG, NULL, &o.no_keep, NULL, "keep no index of a shard" },
	{ 0, "stats", ZN_OPT_FLAG, NULL, &o.stats, NULL, "at the end say on stderr how fast it was, and what was waited for" },
	{ 0, "stats-to", ZN_OPT_STR, "FILE", &o.stats_to, "file", "add a record of each stage to FILE, once a second and at the end, as JSON" },
	{ 0, "progress", ZN_OPT_FLAG, NULL, &o.progress, NULL, "say so once a second, too" },
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-load",
	.brief = "read training data from its shards, in batches",
	.synopsis = "[options] SOURCE...\n"
	            "index [options] SOURCE...",
	.opts = opts,
	.complete = "file",
	.footer = "A SOURCE is a tar shard, a packed one (tar.gz, tar.zst, zip, ...), a FIFO, - for stdin, a directory, a file, or many "
	          "of them: train-{000..127}.tar; or a tar shard at https://, http:// or s3://BUCKET/KEY.  "
	          "Batches go to stdout as MessagePack records; index only makes the indexes.",
};

/* ---- what was asked --------------------------------------------------------------------------------------- */

static uint64_t number_or_env(struct zn_ou64 given, const char *env, uint64_t fallback)
{
	const char *text = getenv(env);
	char *end;

	if (given.has)
		return given.v;
	if (!text || !*text)
		return fallback;
	uint64_t v = strtoull(text, &end, 10);
	if (*end || *text < '0' || *text > '9')
		zn_cli_usage("$%s is '%s', which is no number", env, text);
	return v;
}

static uint64_t window(void)
{
	char *end;

	if (!o.shuffle)
		return 0;
	if (!strcmp(o.shuffle, "all"))
		return UINT64_MAX;
	errno = 0;
	uint64_t v = strtoull(o.shuffle, &end, 10);
	if (errno || *end || *o.shuffle < '0' || *o.shuffle > '9')
		zn_cli_usage("option '--shuffle': '%s' is neither a number of samples nor 'all'", o.shuffle);
	return v;
}

static enum zn_tail tail(void)
{
	return !o.tail || !strcmp(o.tail, "share") ? ZN_TAIL_SHARE : !strcmp(o.tail, "drop") ? ZN_TAIL_DROP : ZN_TAIL_REPEAT;
}

static uint64_t within(const char *option, struct zn_ou64 v, uint64_t fallback, uint64_t least, uint64_t most)
{
	if (v.has && (v.v < least || v.v > most))
		zn_cli_usage("option '--%s': not from %" PRIu64 " to %" PRIu64, option, least, most);
	return v.has ? v.v : fallback;
}

/* "jpg,cls" as words. */
static const char **fields(struct zn_arena *a, uint32_t *ret_n)
{
	char *text = o.fields ? zn_cli_must(zn_arena_strdup(a, o.fields)) : NULL, *rest;
	const char **v = NULL;

	*ret_n = 0;
	if (!text)
		return NULL;
	v = zn_cli_must(zn_arena_array(a, strlen(text) + 1, sizeof(*v)));
	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		for (uint32_t i = 0; i < *ret_n; i++)
			if (!strcmp(v[i], word))
				zn_cli_usage("option '--fields': '%s' is there twice", word);
		v[(*ret_n)++] = word;
	}
	if (!*ret_n)
		zn_cli_usage("option '--fields': names are missing");
	return v;
}

/* One of each field; freed at the end. */
static struct zn_decoder **decoders(struct zn_arena *a)
{
	struct zn_decoder **v = zn_cli_must(zn_arena_array(a, o.decode.n + 1, sizeof(struct zn_decoder *)));
	struct zn_err err = { .text = "" };

	for (size_t i = 0; i < o.decode.n; i++) {
		if (zn_decode_parse(o.decode.v[i], &v[i], &err) < 0)
			zn_cli_usage("option '--decode': %s", err.text);
		for (size_t k = 0; k < i; k++)
			if (!strcasecmp(v[k]->field, v[i]->field))
				zn_cli_usage("option '--decode': '%s' is there twice", v[i]->field);
	}
	return v;
}

/* Who decodes wants all CPUs. */
static unsigned threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (o.threads.has || !o.decode.n)
		return (unsigned)within("threads", o.threads, 0, 0, 256);
	return cpus < 1 ? 1 : cpus > 32 ? 32 : (unsigned)cpus;
}

static struct zn_loader_ask ask_of_options(struct zn_arena *a)
{
	uint64_t world = number_or_env(o.world, "WORLD_SIZE", 1), rank = number_or_env(o.rank, "RANK", 0);

	if (!world || world > WORLD_MAX)
		zn_cli_usage("option '--world': not from 1 to %d", WORLD_MAX);
	if (rank >= world)
		zn_cli_usage("there is no rank %" PRIu64 " of %" PRIu64 ": they count from 0", rank, world);
	struct zn_loader_ask ask = {
		.order = { .seed = o.seed.v, .window = window(), .batch = (uint32_t)within("batch", o.batch, BATCH, 1, BATCH_MAX),
		           .world = (uint32_t)world, .tail = tail() },
		.rank = (uint32_t)rank, .epochs = o.epochs.has ? o.epochs.v : 1,
		.memory_bytes = within("memory", o.memory, MEMORY, 1 << 20, UINT64_C(1) << 50),
		.threads = threads(), .depth = (unsigned)within("depth", o.depth, 16, 1, 256),
		.direct = o.direct ? ZN_DIRECT_ALWAYS : ZN_DIRECT_AUTO, .no_uring = o.no_uring, .shared = o.share != NULL,
	};
	ask.fields = fields(a, &ask.n_fields);
	ask.decoders = decoders(a);
	ask.n_decoders = (uint32_t)o.decode.n;
	return ask;
}

/* ---- sources ---------------------------------------------------------------------------------------------- */

static bool is_index_verb;

static void note(void *arg, const char *shard, const char *what)
{
	(void)arg;
	if (is_index_verb || strncmp(what, "index read", 10))
		fprintf(stderr, "zn-load: %s: %s\n", shard, what);
}

/* Each shard stays open, and may be twice. */
static void allow_many_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l); /* else it is as it was, and who needs more is told */
	}
}

/* "2048", "2048:u16" */
static bool token_type(uint32_t *ret_n, enum zn_dtype *ret)
{
	char *end;
	unsigned long n = strtoul(o.tokens, &end, 10);

	if (*o.tokens < '0' || *o.tokens > '9' || !n || n > INT32_MAX || (*end && *end != ':'))
		zn_cli_usage("option '--tokens': '%s' is no number of tokens", o.tokens);
	if (*end && (zn_dtype_parse(end + 1, ret) < 0 || (*ret != ZN_DTYPE_U8 && *ret != ZN_DTYPE_I8 && *ret != ZN_DTYPE_U16 && *ret != ZN_DTYPE_I16 && *ret != ZN_DTYPE_I32 && *ret != ZN_DTYPE_I64)))
		zn_cli_usage("option '--tokens': '%s' is no type of tokens: u8, i8, u16, i16, i32 or i64", end + 1);
	*ret_n = (uint32_t)n;
	return *end;
}

static int add_source(struct zn_sources *s, const char *name, struct zn_err *err)
{
	enum zn_dtype dtype;
	uint32_t n;

	if (!o.tokens)
		return zn_sources_add(s, name, err);
	bool is_said = token_type(&n, &dtype);
	return zn_sources_add_tokens(s, name, n, is_said ? &dtype : NULL, err);
}

static int open_sources(struct zn_sources *s, int n, char **names, struct zn_err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct zn_source_opts opts_of = { .keep = !o.no_keep, .anew = false, .threads = cpus > 0 ? (unsigned)cpus : 1,
	                                  .note = is_index_verb || o.stats || o.progress ? note : NULL };
	int rc = 0;

	allow_many_files();
	for (int i = 0; i < n && rc == 0; i++)
		rc = add_source(s, names[i], err);
	if (rc < 0 || (!is_index_verb && zn_sources_have_stream(s))) /* a flow needs no index, and opens one after the other */
		return rc;
	return zn_sources_open(s, &opts_of, err);
}

/* ---- where ------------------------------------------------------------------------------------------------- */

static int wanted_node(const struct zn_sources *s)
{
	struct zn_idset none;
	char *end;

	if (!o.numa || !strcmp(o.numa, "auto"))
		return zn_node_cpus("/sys", 1, &none) < 0 ? -1 : zn_sources_node("/sys", s); /* one node needs no choice */
	if (!strcmp(o.numa, "none"))
		return -1;
	long node = strtol(o.numa, &end, 10);
	if (*end || *o.numa < '0' || *o.numa > '9' || node > 1023)
		zn_cli_usage("option '--numa': '%s' is neither a node nor auto nor none", o.numa);
	return (int)node;
}

/* Onto those CPUs of a node that this process may use; none of them: it stays where it is, which is no matter unless it was asked for. */
static int go_near(int node, struct zn_err *err)
{
	struct zn_idset cpus;
	cpu_set_t may, go;

	CPU_ZERO(&go);
	int rc = zn_node_cpus("/sys", node, &cpus);
	if (rc < 0)
		return zn_err_set(err, -EINVAL, "there is no NUMA node %d here", node);
	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return 0; /* more CPUs than a set holds */
	zn_idset_each(cpu, &cpus)
		if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &may))
			CPU_SET(cpu, &go);
	if (CPU_COUNT(&go) && sched_setaffinity(0, sizeof(go), &go) < 0)
		return zn_err_set(err, -errno, "can't run on NUMA node %d: %s", node, strerrordesc_np(errno));
	return 0;
}

/* ---- how far it came -------------------------------------------------------------------------------------- */

static struct zn_taken taken = { .fd = -1 };
static int taken_rc;               /* of the last note of one that was given back */

/* Where to begin, and the file that says how far it came. */
static int open_taken(const struct zn_sources *s, struct zn_loader_ask *ask, struct zn_arena *a, struct zn_err *err)
{
	char *order = zn_cli_must(zn_arena_printf(a, "seed %" PRIu64 ", shuffle %s", ask->order.seed, o.shuffle ? o.shuffle : "0"));
	int rc = o.resume ? zn_taken_open(&taken, o.resume, STDOUT_FILENO, s, order, a, err) : 0;

	if (rc == 0 && o.resume) {
		ask->epoch = taken.state.epoch;
		ask->first = taken.state.next;
	}
	return rc;
}

/* ---- streaming -------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal;

static void on_stop(int sig)
{
	stop_signal = sig;
	signal(SIGTERM, SIG_DFL); /* a second one, whichever, is at once */
	signal(SIGINT, SIG_DFL);
}

/* interrupts: a wait for somebody who writes to a FIFO ends, which has no end else. */
static void catch_stop(bool interrupts)
{
	struct sigaction act = { .sa_handler = on_stop, .sa_flags = interrupts ? 0 : SA_RESTART };

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
}

static int open_feed(struct zn_feed *f, const struct zn_sources *s, const struct zn_loader_ask *ask, struct zn_err *err)
{
	if (zn_sources_have_stream(s) && o.share)
		return zn_err_set(err, -EINVAL, "what can only be read from its beginning can't be shared: pipe it, or unpack it first");
	int rc = zn_feed_open(f, s, ask, err);
	if (rc == 0 && f->loader && !zn_loader_total(f->loader))
		zn_cli_warn("there is no sample in it");
	return rc;
}

static struct {
	uint64_t batches, samples, bytes, losses, sink_ns, begun_ns, said_ns;
	struct zn_loss first_loss;
	char first_text[512];
} seen;

static bool is_too_many(void)
{
	return seen.losses && ((o.on_error && !strcmp(o.on_error, "fail")) || (o.max_errors.has && seen.losses > o.max_errors.v));
}

static void keep_first(const struct zn_loss *loss)
{
	if (seen.losses++)
		return;
	snprintf(seen.first_text, sizeof(seen.first_text), "%s%s%s at byte %" PRIu64 " of %s: %s", loss->key ? "'" : "", loss->key ? loss->key : "something",
	         loss->key ? "'" : "", loss->offset_bytes, loss->shard, loss->reason);
}

static int send_losses(struct zn_sink *to, const struct zn_batch *b)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->n_losses && rc == 0; i++) {
		keep_first(&b->losses[i]);
		rc = zn_sink_loss(to, &b->losses[i]);
	}
	return rc;
}

static void count(const struct zn_batch *b)
{
	seen.batches += b->samples != NULL;
	seen.samples += b->n;
	seen.bytes += b->bytes;
}

/* Takes b over. */
static int send_batch(const struct zn_feed *f, struct zn_sink *to, const struct zn_batch *b, struct zn_err *err)
{
	uint64_t begun = zn_boot_ns();
	int rc = send_losses(to, b);

	if (rc < 0 || is_too_many()) { /* then it is not sent, and who goes on begins with it */
		zn_feed_put(f, b);
		return rc;
	}
	count(b);
	if (b->samples) /* else it is only what a flow lost behind the last batch */
		rc = zn_sink_batch(to, b, err);
	if (rc == 0 && !to->share)
		rc = zn_taken_sent(&taken, zn_sink_written(to), b);
	if (!to->share) /* that puts it back when the other side has */
		zn_feed_put(f, b);
	seen.sink_ns += zn_boot_ns() - begun;
	return rc;
}

static struct { int fd; struct zn_writer *w; uint64_t put_ns; } stats_to = { .fd = -1 };

static int open_stats(struct zn_err *err)
{
	struct zn_writer_opts json = { .format = ZN_FORMAT_JSON };

	if (!o.stats_to)
		return 0;
	stats_to.fd = open(o.stats_to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	int rc = stats_to.fd < 0 ? -errno : zn_writer_new(stats_to.fd, &json, &stats_to.w);
	return rc < 0 ? zn_err_set(err, rc, "'%s': %s", o.stats_to, strerrordesc_np(-rc)) : 0;
}

static void close_stats(void)
{
	zn_writer_free(stats_to.w);
	stats_to.w = NULL;
	if (stats_to.fd >= 0)
		close(stats_to.fd);
	stats_to.fd = -1;
}

static void say_progress(const struct zn_feed *f)
{
	uint64_t now = zn_boot_ns();
	double s = (double)(now - seen.begun_ns) / 1e9;
	char of[32] = "";

	if (!o.progress || now - seen.said_ns < 1000000000)
		return;
	seen.said_ns = now;
	if (f->loader) /* nobody knows how many a flow has */
		snprintf(of, sizeof(of), " of %" PRIu64, zn_loader_total(f->loader));
	fprintf(stderr, "zn-load: %" PRIu64 "%s samples, %.0f/s, %.2f GB/s, %" PRIu64 " lost\n", seen.samples, of,
	        (double)seen.samples / s, (double)seen.bytes / 1e9 / s, seen.losses);
}

/* Of one that another process had, and is done with, or never will be. */
static void put_back(void *arg, const struct zn_batch *b, bool is_done)
{
	if (is_done && taken_rc == 0)
		taken_rc = zn_taken_back(&taken, b);
	zn_feed_put(arg, b);
}

static int open_sink(struct zn_sink *sink, struct zn_feed *f, struct zn_err *err)
{
	enum { OUT_MAX = 4 };
	struct zn_share *share;

	if (!o.share)
		return zn_sink_open(sink, STDOUT_FILENO, o.arrow, STDERR_FILENO, err);
	int reader = zn_share_accept(o.share, &stop_signal, err), rc = reader < 0 ? reader : zn_share_new(reader, OUT_MAX, put_back, f, &share);
	if (rc == 0)
		zn_sink_open_share(sink, share);
	return rc;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static size_t stages(const struct zn_feed *f, struct zn_stage *ret)
{
	struct zn_stage_sink sink = { seen.bytes, seen.sink_ns };
	double time_s = (double)(zn_boot_ns() - seen.begun_ns) / 1e9;
	struct zn_loader_stats ls = { 0 };
	struct zn_flow_stats fs = { 0 };

	if (f->flow)
		fs = zn_flow_count(f->flow);
	else
		ls = zn_loader_count(f->loader);
	return f->flow ? zn_stages_of_flow(&fs, &sink, time_s, ret) : zn_stages_of_loader(&ls, &sink, threads() > 0, time_s, ret);
}

/* Records of all stages, where --stats-to says.  Nobody's training ends because they can't be written. */
static void put_stages(const struct zn_feed *f)
{
	struct zn_stage v[ZN_STAGES_MAX];
	size_t n = stats_to.w ? stages(f, v) : 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = zn_writer_put(stats_to.w, &zn_stage_kind, &v[i]);
	if (rc == 0 && n)
		rc = zn_writer_flush(stats_to.w);
	stats_to.put_ns = zn_boot_ns();
	if (rc == 0)
		return;
	zn_cli_warn("statistics can't be written to '%s': %s", o.stats_to, strerrordesc_np(-rc));
	close_stats();
}

static void sum_up_loader(struct zn_loader *l)
{
	struct zn_loader_stats s = zn_loader_count(l);
	double ms = 1e6;

	if (s.url_bytes)
		fprintf(stderr, "zn-load: fetched %.2f GB\n", (double)s.url_bytes / 1e9);
	fprintf(stderr, "zn-load: read %.2f GB from the page cache and %.2f GB from devices%s%s%s; waited %.0f ms for %s, copied %.0f ms, took apart %.0f ms, "
	        "decoded %.0f ms, wrote %.0f ms\n", (double)s.warm_bytes / 1e9, (double)s.cold_bytes / 1e9, s.engine ? " by " : "", s.engine ? s.engine : "",
	        s.direct_bytes ? ", past the page cache" : "", (double)s.device_ns / ms, s.url_bytes ? "devices and servers" : "devices", (double)s.copy_ns / ms, (double)s.parse_ns / ms, (double)s.decode_ns / ms, (double)seen.sink_ns / ms);
}

static void sum_up_flow(struct zn_flow *f)
{
	struct zn_flow_stats s = zn_flow_count(f);
	double ms = 1e6;

	fprintf(stderr, "zn-load: read %.2f GB in order; waited %.0f ms for them, unpacked %.0f ms, wrote %.0f ms\n", (double)s.read_bytes / 1e9,
	        (double)s.wait_ns / ms, (double)s.unpack_ns / ms, (double)seen.sink_ns / ms);
}

static void sum_up(const struct zn_feed *f)
{
	double took_s = (double)(zn_boot_ns() - seen.begun_ns) / 1e9;

	if (!o.stats && !o.progress)
		return;
	fprintf(stderr, "zn-load: %" PRIu64 " batches, %" PRIu64 " samples, %.2f GB in %.2f s: %.0f samples/s, %.2f GB/s\n", seen.batches, seen.samples,
	        (double)seen.bytes / 1e9, took_s, (double)seen.samples / took_s, (double)seen.bytes / 1e9 / took_s);
	if (f->flow)
		sum_up_flow(f->flow);
	else
		sum_up_loader(f->loader);
	struct zn_stage v[ZN_STAGES_MAX];
	fprintf(stderr, "zn-load: the bottleneck is %s\n", zn_stages_worst(v, stages(f, v))->text);
}

static int end_code(int rc, const struct zn_err *err)
{
	if (rc == -EPIPE) { /* whoever read has enough */
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (rc < 0)
		return zn_cli_fail(zn_cli_code(rc), "%s", err->text[0] ? err->text : strerrordesc_np(-rc));
	if (seen.losses)
		zn_cli_warn("%" PRIu64 " lost, the first: %s", seen.losses, seen.first_text);
	if (is_too_many())
		return zn_cli_fail(ZN_EXIT_DATA, "gave up: that is more than was allowed");
	if (stop_signal)
		raise(stop_signal);
	return ZN_EXIT_OK;
}

/* Sources, order and place, and where all of it goes. */
static int open_all(const struct zn_sources *s, struct zn_loader_ask *ask, struct zn_arena *a, struct zn_feed *feed, struct zn_sink *sink, struct zn_err *err)
{
	int node = wanted_node(s), rc = node >= 0 ? go_near(node, err) : 0;

	if (node >= 0)
		zn_idset_add(&ask->nodes, (unsigned)node);
	if (rc == 0)
		rc = open_taken(s, ask, a, err);
	if (rc == 0)
		rc = open_feed(feed, s, ask, err);
	if (rc < 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	catch_stop(feed->flow != NULL || o.share);
	return open_sink(sink, feed, err);
}

static void close_feed(struct zn_feed *f, const struct zn_loader_ask *ask)
{
	zn_feed_close(f);
	for (uint32_t i = 0; i < ask->n_decoders; i++)
		zn_decoder_free(ask->decoders[i]);
}

static int stream(const struct zn_feed *f, struct zn_sink *to, struct zn_err *err)
{
	const struct zn_batch *b;
	int rc = 0;

	while (rc == 0 && !stop_signal && !is_too_many() && (rc = zn_feed_next(f, &b, err)) > 0) {
		rc = send_batch(f, to, b, err);
		say_progress(f);
		if (stats_to.w && zn_boot_ns() - stats_to.put_ns >= 1000000000)
			put_stages(f);
	}
	if (rc == -EINTR && stop_signal)
		rc = 0;
	return rc < 0 ? rc : zn_sink_end(to, err);
}

static int load(const struct zn_sources *s, struct zn_arena *a)
{
	struct zn_loader_ask ask = ask_of_options(a);
	struct zn_err err = { .text = "" };
	struct zn_feed feed = { .loader = NULL };
	struct zn_sink sink;
	int rc = open_stats(&err);

	if (rc == 0)
		rc = open_all(s, &ask, a, &feed, &sink, &err);

	if (rc < 0) {
		close_feed(&feed, &ask);
		return end_code(stop_signal ? 0 : rc, &err);
	}
	seen.begun_ns = seen.said_ns = stats_to.put_ns = zn_boot_ns();
	rc = stream(&feed, &sink, &err);
	if (rc == 0 && feed.flow && !stop_signal && !seen.samples && !seen.losses && !taken.state.next)
		zn_cli_warn("there is no sample in it");
	if (taken.fd >= 0 && !o.share) {
		int noted = zn_taken_end(&taken, zn_sink_written(&sink), rc != -EPIPE);
		rc = rc < 0 ? rc : noted;
	}
	zn_sink_close(&sink);
	rc = rc < 0 ? rc : taken_rc;
	put_stages(&feed);
	close_stats();
	sum_up(&feed);
	close_feed(&feed, &ask);
	return end_code(rc, &err);
}

static int index_only(const struct zn_sources *s)
{
	uint64_t n = 0, flaws = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->v[i].kind == ZN_SOURCE_STREAM)
			zn_cli_warn("%s: it can only be read from its beginning, and has no index", s->v[i].name);
		n += s->v[i].n;
		flaws += s->v[i].index.n_flaws + s->v[i].n_flaws;
		for (uint64_t k = 0; k < s->v[i].index.n_flaws; k++)
			zn_cli_warn("%s: at byte %" PRIu64 ": %s%s%s", s->v[i].name, s->v[i].index.flaws[k].offset, s->v[i].index.flaws[k].key ? s->v[i].index.flaws[k].key : "",
			            s->v[i].index.flaws[k].key ? ": " : "", s->v[i].index.flaws[k].reason);
	}
	fprintf(stderr, "zn-load: %" PRIu64 " samples in %" PRIu32 " sources, %" PRIu64 " lost\n", n, s->n, flaws);
	return ZN_EXIT_OK;
}

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv);
	struct zn_sources sources = { .n = 0 };
	struct zn_arena arena = { 0 };
	struct zn_err err = { .text = "" };

	is_index_verb = at < argc && !strcmp(argv[at], "index");
	at += is_index_verb;
	if (at == argc)
		zn_cli_usage("a source is missing");
	if (o.share && o.arrow)
		zn_cli_usage("--share and --arrow exclude each other");
	if (!is_index_verb && !o.share && isatty(STDOUT_FILENO))
		zn_cli_usage("batches are not for a terminal: pipe them on");
	int rc = open_sources(&sources, argc - at, argv + at, &err);
	int code = rc < 0 ? zn_cli_fail(zn_cli_code(rc), "%s", err.text) : is_index_verb ? index_only(&sources) : load(&sources, &arena);
	zn_sources_done(&sources);
	zn_arena_done(&arena);
	return code;
}
