#include "data/stages.h"

#define S struct zn_stage
static const struct zn_field fields[] = {
	ZN_FIELD(S, time_s, F64, "TIME", "since loading began"),
	ZN_FIELD(S, stage, STR, "STAGE", "which one"),
	ZN_FIELD(S, bytes, OU64, "BYTES", "that have gone through it"),
	ZN_FIELD(S, rate, OF64, "RATE", "of them a second"),
	ZN_FIELD(S, busy_s, OF64, "BUSY", "it worked, all threads together"),
	ZN_FIELD(S, waited_s, OF64, "WAITED", "it waited, all threads together"),
	ZN_FIELD(S, waited_for, STR, "FOR", "for what"),
	ZN_FIELD(S, queue, OF64, "QUEUE", "requests or batches ahead, the mean"),
	ZN_FIELD_AS(S, is_bottleneck, "bottleneck", BOOL, "WORST", "most time went there"),
	{ 0 },
};
const struct zn_kind zn_stage_kind = { "stage", "a stage of loading", fields, sizeof(S), NULL };

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static S begin(const char *stage, const char *text, double time_s)
{
	return (S){ .stage = stage, .text = text, .time_s = time_s };
}

static S with_bytes(S s, uint64_t bytes)
{
	s.bytes = ZN_SOME_U64(bytes);
	s.rate = ZN_SOME_F64(s.time_s > 0 ? (double)bytes / s.time_s : 0);
	return s;
}

static S busy(S s, uint64_t ns)
{
	s.busy_s = ZN_SOME_F64(seconds(ns));
	return s;
}

static S waited(S s, uint64_t ns, const char *what)
{
	s.waited_s = ZN_SOME_F64(seconds(ns));
	s.waited_for = what;
	return s;
}

static S with_queue(S s, uint64_t sum, uint64_t n)
{
	if (n)
		s.queue = ZN_SOME_F64((double)sum / (double)n);
	return s;
}

static const char to_reader[] = "the reader of the batches: most time it was waited for";

static S begin_sink(const struct zn_stage_sink *sink, double time_s)
{
	return with_bytes(begin("sink", to_reader, time_s), sink->bytes);
}

/* What writes waits for who reads, and does little else. */
static S of_sink(const struct zn_stage_sink *sink, double time_s)
{
	return waited(begin_sink(sink, time_s), sink->ns, "reader");
}

/* Beside threads it waits for them, too. */
static S of_sink_of_threads(const struct zn_stage_sink *sink, const struct zn_loader_stats *s, double time_s)
{
	return waited(busy(begin_sink(sink, time_s), sink->ns), s->empty_ns, "batch");
}

/* Time that this stage took from the others. */
static double cost(const S *s)
{
	return s->busy_s.has ? s->busy_s.v : s->waited_s.has ? s->waited_s.v : 0;
}

static size_t mark(S *v, size_t n, size_t worst)
{
	v[worst].is_bottleneck = true;
	return n;
}

static size_t costliest(const S *v, size_t n)
{
	size_t most = 0;

	for (size_t i = 1; i < n; i++)
		most = cost(&v[i]) > cost(&v[most]) ? i : most;
	return most;
}

size_t zn_stages_of_loader(const struct zn_loader_stats *s, const struct zn_stage_sink *sink, bool has_threads, double time_s, S *ret)
{
	static const char server[] = "the server: most time it was waited for", device[] = "the device: most time it was waited for";
	bool is_far = s->url_bytes > s->cold_bytes;
	size_t n = 0;

	ret[n++] = with_queue(with_bytes(waited(begin("device", is_far ? server : device, time_s), s->device_ns, is_far ? "server" : "device"),
	                                 s->cold_bytes + s->url_bytes), s->requests, s->asked);
	ret[n++] = with_bytes(busy(begin("copy", "copying from the page cache", time_s), s->copy_ns), s->warm_bytes);
	ret[n++] = with_bytes(busy(begin("parse", "taking samples apart", time_s), s->parse_ns), s->warm_bytes + s->cold_bytes + s->url_bytes);
	ret[n++] = busy(begin("decode", "decoding", time_s), s->decode_ns);
	size_t worst = costliest(ret, n);
	S last = has_threads ? of_sink_of_threads(sink, s, time_s) : of_sink(sink, time_s);
	/* with threads it is what holds up when it seldom waits for a batch */
	bool is_sink = has_threads ? s->empty_ns < sink->ns : cost(&last) > cost(&ret[worst]);
	if (has_threads)
		ret[n++] = with_queue(waited(begin("ready", NULL, time_s), s->full_ns, "room"), s->ready, s->taken);
	ret[n++] = last;
	return mark(ret, n, is_sink ? n - 1 : worst);
}

size_t zn_stages_of_flow(const struct zn_flow_stats *s, const struct zn_stage_sink *sink, double time_s, S *ret)
{
	static const char stream[] = "whoever writes the stream, or its device: most time it was waited for";

	ret[0] = with_bytes(waited(begin("stream", stream, time_s), s->wait_ns, "stream"), s->read_bytes);
	ret[1] = busy(begin("unpack", "unpacking", time_s), s->unpack_ns);
	ret[2] = of_sink(sink, time_s);
	return mark(ret, 3, costliest(ret, 3));
}

const S *zn_stages_worst(const S *v, size_t n)
{
	size_t i = 0;

	while (i + 1 < n && !v[i].is_bottleneck)
		i++;
	return &v[i];
}
