/* Which stage is said to hold up the others, and what is said of each. */
#include <string.h>

#include "data/stages.h"
#include "tap.h"

#define S(x) ((uint64_t)((x) * 1e9))

static struct zn_stage v[ZN_STAGES_MAX];

static const struct zn_stage *stage(size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].stage, name))
			return &v[i];
	return NULL;
}

static void who(const char *what, const struct zn_loader_stats *s, double sink_s, bool has_threads, const char *expected)
{
	struct zn_stage_sink sink = { 1000, S(sink_s) };
	size_t n = zn_stages_of_loader(s, &sink, has_threads, 10, v), marked = 0;

	for (size_t i = 0; i < n; i++)
		marked += v[i].is_bottleneck;
	const struct zn_stage *worst = zn_stages_worst(v, n);
	tap_ok(marked == 1 && !strcmp(worst->stage, expected) && worst->text, "%s: %s", what, worst->text ? worst->text : "(no text)");
}

static void bottlenecks(void)
{
	who("cold", &(struct zn_loader_stats){ .device_ns = S(5), .copy_ns = S(1), .cold_bytes = 9 }, 1, false, "device");
	tap_ok(strstr(zn_stages_worst(v, 5)->text, "device"), "which is a device");
	who("far away", &(struct zn_loader_stats){ .device_ns = S(5), .url_bytes = 9, .cold_bytes = 1 }, 1, false, "device");
	tap_ok(strstr(zn_stages_worst(v, 5)->text, "server") && !strcmp(stage(5, "device")->waited_for, "server"), "or a server");
	who("warm", &(struct zn_loader_stats){ .copy_ns = S(2), .parse_ns = S(1) }, 1, false, "copy");
	who("many small ones", &(struct zn_loader_stats){ .copy_ns = S(2), .parse_ns = S(3) }, 1, false, "parse");
	who("pictures", &(struct zn_loader_stats){ .copy_ns = S(2), .decode_ns = S(3) }, 1, false, "decode");
	who("a slow reader", &(struct zn_loader_stats){ .copy_ns = S(2), .decode_ns = S(3) }, 4, false, "sink");
	who("threads that outrun the reader", &(struct zn_loader_stats){ .decode_ns = S(9), .empty_ns = S(1) }, 4, true, "sink");
	who("threads that do not", &(struct zn_loader_stats){ .decode_ns = S(9), .copy_ns = S(8), .empty_ns = S(5) }, 4, true, "decode");
}

static void figures(void)
{
	const struct zn_loader_stats s = { .device_ns = S(5), .cold_bytes = 600, .url_bytes = 400, .warm_bytes = 50, .copy_ns = S(0.5), .requests = 90,
	                                   .asked = 3, .full_ns = S(2), .empty_ns = S(1), .ready = 8, .taken = 4 };
	struct zn_stage_sink sink = { 700, S(3) };
	size_t n = zn_stages_of_loader(&s, &sink, true, 10, v);

	tap_ok(n == 6 && stage(n, "device")->bytes.v == 1000 && stage(n, "device")->rate.v == 100 && stage(n, "device")->waited_s.v == 5, "a device: bytes, rate, waiting");
	tap_ok(stage(n, "device")->queue.v == 30 && stage(n, "ready")->queue.v == 2, "requests and batches ahead, the mean");
	tap_ok(stage(n, "copy")->busy_s.v == 0.5 && !stage(n, "copy")->waited_s.has && stage(n, "parse")->bytes.v == 1050, "copying and parsing work");
	tap_ok(stage(n, "ready")->waited_s.v == 2 && !strcmp(stage(n, "ready")->waited_for, "room"), "threads wait for room");
	tap_ok(stage(n, "sink")->busy_s.v == 3 && stage(n, "sink")->waited_s.v == 1 && !strcmp(stage(n, "sink")->waited_for, "batch"), "who writes beside them waits for batches");
	n = zn_stages_of_loader(&(struct zn_loader_stats){ 0 }, &sink, false, 0, v);
	tap_ok(n == 5 && !stage(n, "ready") && !stage(n, "device")->queue.has && stage(n, "sink")->rate.v == 0, "without threads, time or requests there is no such figure");
}

static void flows(void)
{
	struct zn_stage_sink sink = { 700, S(3) };
	size_t n = zn_stages_of_flow(&(struct zn_flow_stats){ .read_bytes = 100, .wait_ns = S(4), .unpack_ns = S(1) }, &sink, 10, v);

	tap_ok(n == 3 && stage(n, "stream")->is_bottleneck && stage(n, "stream")->bytes.v == 100, "a slow stream");
	n = zn_stages_of_flow(&(struct zn_flow_stats){ .wait_ns = S(1), .unpack_ns = S(4) }, &sink, 10, v);
	tap_ok(stage(n, "unpack")->is_bottleneck, "much to unpack");
	n = zn_stages_of_flow(&(struct zn_flow_stats){ .wait_ns = S(1), .unpack_ns = S(2) }, &sink, 10, v);
	tap_ok(stage(n, "sink")->is_bottleneck, "a slow reader of it");
}

int main(void)
{
	bottlenecks();
	figures();
	flows();
	return tap_done();
}
